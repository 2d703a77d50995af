//! Frames: a length, a code, and JSON.
//!
//! ```text
//!  0        4                       36
//! +--------+-----------------------+------------------------+
//! | length | HMAC-SHA256           | JSON, `length` bytes   |
//! | u32 BE | (not in the handshake)|                        |
//! +--------+-----------------------+------------------------+
//! ```
//!
//! The code is over the number of the frame and its JSON, with a key for each direction: frames cannot be changed, left
//! out, repeated or turned around on the way.

use std::io;

use hmac::Mac;
use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::token::mac;
use crate::report::numbers::harmless;

/// Largest frame between sides that know each other: a tally with every class is a tenth of it.
pub(super) const FRAME_BYTES_MAX: usize = 64 << 20;

/// Largest frame before that.
pub(super) const GREETING_BYTES_MAX: usize = 4096;

/// What can go wrong between coordinator and agent.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The network.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It closed the connection.
    #[error("closed the connection")]
    Closed,
    /// It closed the connection within a frame.
    #[error("closed the connection in the middle of a message")]
    Truncated,
    /// More than there may be.
    #[error("a message of {0} bytes is too large")]
    TooLarge(usize),
    /// Not from the side that knows the token.
    #[error("a message was changed on the way")]
    Forged,
    /// Something else than the sides say to each other.
    #[error("says something that is not understood: {0}")]
    Unknown(String),
    /// Nothing for too long.
    #[error("silent for too long")]
    Silent,
    /// Another token.
    #[error("the tokens differ: use the same token file on all machines")]
    Token,
    /// Another version.
    #[error("speaks {theirs}, and this side {ours}: use the same version on all machines")]
    Version {
        /// What the other side said.
        theirs: String,
        /// What this side is.
        ours: String,
    },
    /// It said why it does not want to.
    #[error("refused: {0}")]
    Refused(String),
}

/// The end of a direction that sends.
pub(super) struct Sender<W> {
    out: W,
    key: [u8; 32],
    number: u64,
}

/// The end that receives.
pub(super) struct Receiver<R> {
    input: R,
    key: [u8; 32],
    number: u64,
}

impl<W: AsyncWrite + Unpin> Sender<W> {
    pub(super) fn new(out: W, key: [u8; 32]) -> Self {
        Self { out, key, number: 0 }
    }

    /// Sends one. Not to be left in the middle: the other side would wait for the rest.
    pub(super) async fn send(&mut self, message: &impl Serialize) -> Result<(), WireError> {
        let json = serde_json::to_vec(message).map_err(io::Error::from)?;
        if json.len() > FRAME_BYTES_MAX {
            return Err(WireError::TooLarge(json.len()));
        }
        let code = coded(&self.key, self.number, &json).finalize().into_bytes();
        self.number += 1;
        self.out.write_all(&(json.len() as u32).to_be_bytes()).await?;
        self.out.write_all(&code).await?;
        self.out.write_all(&json).await?;
        Ok(self.out.flush().await?)
    }
}

impl<R: AsyncRead + Unpin> Receiver<R> {
    pub(super) fn new(input: R, key: [u8; 32]) -> Self {
        Self { input, key, number: 0 }
    }

    /// Waits for one.
    pub(super) async fn receive<T: DeserializeOwned>(&mut self) -> Result<T, WireError> {
        let length = length(&mut self.input, FRAME_BYTES_MAX).await?;
        let code = exactly(&mut self.input, 32).await?;
        let json = exactly(&mut self.input, length).await?;
        coded(&self.key, self.number, &json).verify_slice(&code).map_err(|_| WireError::Forged)?;
        self.number += 1;
        understood(&json)
    }
}

fn coded(key: &[u8; 32], number: u64, json: &[u8]) -> hmac::Hmac<sha2::Sha256> {
    let mut mac = mac(key);
    mac.update(&number.to_be_bytes());
    mac.update(json);
    mac
}

/// Sends a frame of the handshake.
pub(super) async fn greet(out: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> Result<(), WireError> {
    let json = serde_json::to_vec(message).map_err(io::Error::from)?;
    let mut frame = (json.len() as u32).to_be_bytes().to_vec();
    frame.extend(json);
    out.write_all(&frame).await?;
    Ok(out.flush().await?)
}

/// Waits for a frame of the handshake.
pub(super) async fn greeted<T: DeserializeOwned>(input: &mut (impl AsyncRead + Unpin)) -> Result<T, WireError> {
    let length = length(input, GREETING_BYTES_MAX).await?;
    understood(&exactly(input, length).await?)
}

async fn length(input: &mut (impl AsyncRead + Unpin), most: usize) -> Result<usize, WireError> {
    let mut bytes = [0; 4];
    // Closed between two frames is another thing than closed within one.
    if input.read(&mut bytes[..1]).await? == 0 {
        return Err(WireError::Closed);
    }
    input.read_exact(&mut bytes[1..]).await.map_err(truncated)?;
    let length = u32::from_be_bytes(bytes) as usize;
    if length > most { Err(WireError::TooLarge(length)) } else { Ok(length) }
}

/// Takes memory as bytes come, not as they are promised.
async fn exactly(input: &mut (impl AsyncRead + Unpin), length: usize) -> Result<Vec<u8>, WireError> {
    let mut bytes = Vec::new();
    input.take(length as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < length { Err(WireError::Truncated) } else { Ok(bytes) }
}

fn truncated(error: io::Error) -> WireError {
    if error.kind() == io::ErrorKind::UnexpectedEof { WireError::Truncated } else { WireError::Io(error) }
}

fn understood<T: DeserializeOwned>(json: &[u8]) -> Result<T, WireError> {
    serde_json::from_slice(json).map_err(|error| WireError::Unknown(harmless(&error.to_string())))
}
