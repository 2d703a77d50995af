//! Both sides prove that they know the token, without saying it.
//!
//! ```text
//! agent        Hello { kind, version, nonce_a }                         -> coordinator
//! coordinator  Proof { kind, version, nonce_c, code("coordinator") }    -> agent
//! agent        Proof { …, code("agent") }  or  Refused { reason }       -> coordinator
//! ```
//!
//! The codes are over both nonces, and name the side that makes them: neither can be replayed or sent back.

use serde::{Deserialize, Serialize};
use tokio::net::{
    TcpStream,
    tcp::{OwnedReadHalf, OwnedWriteHalf},
};

use super::{
    HANDSHAKE_MAX, KIND, Token,
    token::mac,
    wire::{Receiver, Sender, WireError, greet, greeted},
};
use crate::report::numbers::harmless;

/// A connection whose other side has proved itself.
pub(super) struct Proven {
    pub(super) sender: Sender<OwnedWriteHalf>,
    pub(super) receiver: Receiver<OwnedReadHalf>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Greeting {
    Hello { kind: String, version: String, nonce: Bytes },
    Proof { kind: String, version: String, nonce: Bytes, code: Bytes },
    Refused { reason: String },
}

/// 32 bytes as hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Bytes(pub(super) [u8; 32]);

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> String {
        bytes.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TryFrom<String> for Bytes {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err("not 64 hexadecimal digits");
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = str::from_utf8(pair).map_err(|_| "not ASCII")?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| "not hexadecimal")?;
        }
        Ok(Self(bytes))
    }
}

/// The agent's side.
pub(super) async fn as_agent(stream: TcpStream, token: &Token) -> Result<Proven, WireError> {
    within(async {
        let (mut input, mut out) = split(stream)?;
        let mine = nonce()?;
        greet(&mut out, &Greeting::Hello { kind: KIND.into(), version: version(), nonce: mine }).await?;
        let (theirs, code) = match greeted(&mut input).await? {
            Greeting::Proof { kind, version, nonce, code } => {
                same_version(&kind, &version)?;
                (nonce, code)
            }
            Greeting::Refused { reason } => return Err(WireError::Refused(harmless(&reason))),
            Greeting::Hello { .. } => return Err(WireError::Unknown("a greeting of an agent".into())),
        };
        if !is_same(&token.code("coordinator", [&mine.0, &theirs.0]), &code.0) {
            greet(&mut out, &Greeting::Refused { reason: WireError::Token.to_string() }).await?;
            return Err(WireError::Token);
        }
        let code = Bytes(token.code("agent", [&mine.0, &theirs.0]));
        greet(&mut out, &Greeting::Proof { kind: KIND.into(), version: version(), nonce: mine, code }).await?;
        Ok(Proven {
            sender: Sender::new(out, token.code("from agent", [&mine.0, &theirs.0])),
            receiver: Receiver::new(input, token.code("from coordinator", [&mine.0, &theirs.0])),
        })
    })
    .await
}

/// The coordinator's side.
pub(super) async fn as_coordinator(stream: TcpStream, token: &Token) -> Result<Proven, WireError> {
    within(async {
        let (mut input, mut out) = split(stream)?;
        let theirs = match greeted(&mut input).await? {
            Greeting::Hello { kind, version: theirs, nonce } => {
                if let Err(error) = same_version(&kind, &theirs) {
                    greet(&mut out, &Greeting::Refused { reason: error.to_string() }).await?;
                    return Err(error);
                }
                nonce
            }
            _ => return Err(WireError::Unknown("no greeting of an agent".into())),
        };
        let mine = nonce()?;
        let code = Bytes(token.code("coordinator", [&theirs.0, &mine.0]));
        greet(&mut out, &Greeting::Proof { kind: KIND.into(), version: version(), nonce: mine, code }).await?;
        match greeted(&mut input).await? {
            Greeting::Proof { code, .. } if is_same(&token.code("agent", [&theirs.0, &mine.0]), &code.0) => {}
            Greeting::Proof { .. } => return Err(WireError::Token),
            Greeting::Refused { reason } => return Err(WireError::Refused(harmless(&reason))),
            Greeting::Hello { .. } => return Err(WireError::Unknown("a second greeting".into())),
        }
        Ok(Proven {
            sender: Sender::new(out, token.code("from coordinator", [&theirs.0, &mine.0])),
            receiver: Receiver::new(input, token.code("from agent", [&theirs.0, &mine.0])),
        })
    })
    .await
}

async fn within<T>(talk: impl Future<Output = Result<T, WireError>>) -> Result<T, WireError> {
    tokio::time::timeout(HANDSHAKE_MAX, talk).await.unwrap_or(Err(WireError::Silent))
}

fn split(stream: TcpStream) -> Result<(OwnedReadHalf, OwnedWriteHalf), WireError> {
    // Pings measure the network, not Nagle's patience.
    stream.set_nodelay(true)?;
    Ok(stream.into_split())
}

fn nonce() -> Result<Bytes, WireError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| WireError::Io(std::io::Error::other(error.to_string())))?;
    Ok(Bytes(bytes))
}

fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}

fn same_version(kind: &str, theirs: &str) -> Result<(), WireError> {
    if kind == KIND && theirs == version() {
        return Ok(());
    }
    Err(WireError::Version { theirs: harmless(&format!("{kind} {theirs}")), ours: format!("{KIND} {}", version()) })
}

/// In constant time: under a key that is of no other use, equal codes mean equal bytes.
fn is_same(one: &[u8; 32], two: &[u8; 32]) -> bool {
    use hmac::Mac;
    let mut ours = mac(b"compare");
    ours.update(one);
    let mut theirs = mac(b"compare");
    theirs.update(two);
    ours.verify_slice(&theirs.finalize().into_bytes()).is_ok()
}
