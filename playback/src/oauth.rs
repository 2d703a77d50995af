//! OAuth 2.0 for programs of other people (RFC 6749, as RFC 9700 says it is done today): the rules, pure.
//!
//! A program is registered by an account, with the exact addresses that it may be answered at. Somebody who agrees gives
//! it a code, which is good for a minute and one exchange, and which a program without a secret must prove to have asked
//! for (PKCE, RFC 7636). Refresh tokens are good for one exchange each; one that comes twice was stolen from somebody,
//! and ends everything that came of the same consent. The service is in `service/oauth.rs`.

use std::fmt;
use std::net::IpAddr;

use base64ct::{Base64UrlUnpadded, Encoding};
use needledrop_core::{AccountId, ClientId, TokenId, UnixSeconds};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::account::DisplayName;
use crate::scope::Scopes;
use crate::token::Digest;

/// How long a code is good for, in seconds. RFC 6749 (4.1.2) allows ten minutes; a program exchanges it at once.
pub const CODE_SECONDS: u64 = 60;

/// How long a code that was exchanged is remembered, in seconds, so that it is known when it comes again.
pub const CODE_REMEMBERED_SECONDS: u64 = 600;

/// Programs that one account may register: a household of them.
pub const CLIENTS_MAX: usize = 20;

/// Addresses of one program: one for each place it runs at.
pub const REDIRECTS_MAX: usize = 10;

/// Longest address in bytes.
const REDIRECT_BYTES_MAX: usize = 512;

/// Why something said in OAuth is not taken: with the words of RFC 6749 (4.1.2.1 and 5.2).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    /// The code of the specification.
    pub code: &'static str,
    /// For a developer.
    pub why: &'static str,
}

impl Refusal {
    const fn new(code: &'static str, why: &'static str) -> Self {
        Self { code, why }
    }

    /// Which program asks is not said, not known, or not proved.
    pub const CLIENT: Self = Self::new("invalid_client", "the client is not known, or its secret is wrong");
    /// The code or refresh token is none.
    pub const GRANT: Self = Self::new("invalid_grant", "the code or token is not valid, expired, or was used before");
    /// The address is none of the registered ones. Nobody is sent there.
    pub const REDIRECT: Self = Self::new("invalid_request", "redirect_uri is not one that the client registered");
    /// Not what this server gives.
    pub const RESPONSE_TYPE: Self = Self::new("unsupported_response_type", "response_type is code");
    /// Not what this server takes.
    pub const GRANT_TYPE: Self =
        Self::new("unsupported_grant_type", "grant_type is authorization_code, refresh_token or client_credentials");
    /// A program without a secret has no rights of its own.
    pub const NO_SECRET: Self = Self::new("unauthorized_client", "only a client with a secret may use this grant");
    /// PKCE is missing or of the weak kind.
    pub const CHALLENGE: Self = Self::new(
        "invalid_request",
        "code_challenge must be the base64url SHA-256 of a verifier, with code_challenge_method=S256 (RFC 7636)",
    );
    /// The verifier does not fit the challenge.
    pub const VERIFIER: Self = Self::new("invalid_grant", "code_verifier does not fit the code_challenge");
    /// No scope of these is known.
    pub const SCOPE: Self = Self::new("invalid_scope", "none of the scopes is known or allowed to programs");
    /// The person said no.
    pub const DENIED: Self = Self::new("access_denied", "the person said no");
    /// Something is missing.
    pub const MISSING: Self = Self::new("invalid_request", "a parameter is missing, or comes twice");
    /// A body that is no form.
    pub const FORM: Self = Self::new("invalid_request", "the body is to be application/x-www-form-urlencoded");
    /// Two programs, or one that proves itself in two ways.
    pub const TWICE: Self =
        Self::new("invalid_request", "show one client in one way: by Authorization: Basic, or in the form");
    /// Something broke on our side.
    pub const BROKEN: Self = Self::new("server_error", "something broke on our side");
}

/// A program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its name in the protocol.
    pub id: ClientId,
    /// Who registered it.
    pub account: AccountId,
    /// What people are asked about.
    pub name: DisplayName,
    /// SHA-256 of its secret; None for a program that cannot keep one, in a browser or on a phone.
    pub secret: Option<Digest>,
    /// Where it may be answered.
    pub redirects: Vec<RedirectUri>,
    /// When it was registered.
    pub created: UnixSeconds,
}

impl Client {
    /// The address to answer at: the one that is named, if it is registered. Without a name, the only one there is.
    ///
    /// # Errors
    /// It is none of the registered ones, or none is named of several.
    pub fn redirect(&self, named: Option<&str>) -> Result<RedirectUri, Refusal> {
        match (named, &self.redirects[..]) {
            (None, [only]) => Ok(only.clone()),
            (None, _) => Err(Refusal::REDIRECT),
            (Some(named), all) => {
                let named = RedirectUri::parse(named).map_err(|_| Refusal::REDIRECT)?;
                if all.iter().any(|known| known.admits(&named)) { Ok(named) } else { Err(Refusal::REDIRECT) }
            }
        }
    }

    /// Whether this is the client's secret; a client without one has none to show.
    pub fn is_proved_by(&self, presented: Option<&Digest>) -> bool {
        match (&self.secret, presented) {
            (Some(known), Some(presented)) => known == presented,
            (None, None) => true,
            _ => false,
        }
    }
}

/// An address that a program may be answered at: https, or http on the machine itself (RFC 8252, 7.3), or a scheme of the
/// program's own with a dot in it (RFC 8252, 7.1). No fragment, nobody's name in it.
#[derive(Clone, PartialEq, Eq)]
pub struct RedirectUri {
    text: Box<str>,
    /// Where the port begins and ends, on a loopback address: a program there takes the port it gets.
    port: Option<(usize, usize)>,
}

impl RedirectUri {
    /// Reads an address.
    ///
    /// # Errors
    /// It is none that a code may be sent to.
    pub fn parse(text: &str) -> Result<Self, RedirectRefusal> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"#\"<>\\^`{|}".contains(&byte);
        if text.is_empty() || text.len() > REDIRECT_BYTES_MAX || !text.bytes().all(is_plain) {
            return Err(RedirectRefusal::Text);
        }
        let (scheme, rest) = text.split_once(':').ok_or(RedirectRefusal::Text)?;
        match scheme {
            "https" | "http" => {
                let rest = rest.strip_prefix("//").ok_or(RedirectRefusal::Text)?;
                let authority = rest.split(['/', '?']).next().unwrap_or_default();
                let (host, port) = split_port(authority).ok_or(RedirectRefusal::Text)?;
                let is_here = is_loopback(host);
                if scheme == "http" && !is_here {
                    return Err(RedirectRefusal::Clear);
                }
                // From the colon on, so that no port and another port differ in the same stretch.
                let from = scheme.len() + "://".len() + host.len();
                let port = is_here.then(|| (from, from + port.map_or(0, |port| port.len() + 1)));
                Ok(Self { text: text.into(), port })
            }
            // A scheme with a dot belongs to whoever has the domain; one without is anybody's, `javascript` among them.
            _ if scheme.contains('.') && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) => {
                Ok(Self { text: text.into(), port: None })
            }
            _ => Err(RedirectRefusal::Scheme),
        }
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host, or the scheme where there is none: what a person is shown.
    pub fn place(&self) -> &str {
        let after = self.text.split_once("://").map(|(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
        after.filter(|host| !host.is_empty()).or_else(|| self.text.split(':').next()).unwrap_or_default()
    }

    /// Whether a program registered as this may be answered at `named`: the same, byte by byte (RFC 9700, 2.1), but for
    /// the port on a loopback address.
    pub fn admits(&self, named: &Self) -> bool {
        match (self.port, named.port) {
            (Some(mine), Some(its)) => {
                self.text[..mine.0] == named.text[..its.0] && self.text[mine.1..] == named.text[its.1..]
            }
            _ => self.text == named.text,
        }
    }

    /// The address with these parameters added to its query.
    pub fn with<'a>(&self, parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let mut text = self.text.to_string();
        let mut joint = if text.contains('?') { '&' } else { '?' };
        for (name, value) in parameters {
            text.push(joint);
            text.push_str(name);
            text.push('=');
            text.extend(value.bytes().map(escaped));
            joint = '&';
        }
        text
    }
}

/// Unreserved characters stay (RFC 3986, 2.3).
fn escaped(byte: u8) -> String {
    match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    }
}

/// Host and port of an authority without a name in it.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if authority.contains('@') {
        return None;
    }
    let is_port = |port: &str| port.parse::<u16>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit());
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    (!host.is_empty() && port.is_none_or(is_port)).then_some((host, port))
}

fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Debug for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedirectUri({})", self.text)
    }
}

/// Why an address is none that a code may be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectRefusal {
    /// Not an address.
    #[error("a redirect address is an absolute URL of at most {REDIRECT_BYTES_MAX} characters, without a fragment")]
    Text,
    /// Plain http to another machine.
    #[error("a redirect address is https, or http on 127.0.0.1, [::1] or localhost")]
    Clear,
    /// A scheme that is nobody's.
    #[error("a scheme of a program's own has a dot in it, as in com.example.app:/callback")]
    Scheme,
}

/// SHA-256 of the verifier that the program keeps until it exchanges the code (RFC 7636, `S256`). `plain` is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge([u8; 32]);

impl Challenge {
    /// Reads `code_challenge` and `code_challenge_method`.
    ///
    /// # Errors
    /// Not of the kind that is taken.
    pub fn parse(text: &str, method: Option<&str>) -> Result<Self, Refusal> {
        let mut bytes = [0; 32];
        match (method, Base64UrlUnpadded::decode(text, &mut bytes)) {
            (Some("S256"), Ok(decoded)) if decoded.len() == 32 => Ok(Self(bytes)),
            _ => Err(Refusal::CHALLENGE),
        }
    }

    /// As storage has it.
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether this verifier (RFC 7636, 4.1: 43 to 128 unreserved characters) was meant.
    pub fn is_met_by(&self, verifier: &str) -> bool {
        let is_form = (43..=128).contains(&verifier.len())
            && verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
        let sum: [u8; 32] = Sha256::digest(verifier.as_bytes()).into();
        is_form && bool::from(sum.ct_eq(&self.0))
    }
}

/// What a person agrees to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The program.
    pub client: Client,
    /// Where the answer goes.
    pub redirect: RedirectUri,
    /// Whether the program named the address: then it names it again when it exchanges the code.
    pub is_redirect_named: bool,
    /// What it wants to do.
    pub scopes: Scopes,
    /// What it can prove to have asked.
    pub challenge: Option<Challenge>,
}

/// What a program asks a person for, as it came.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// `response_type`.
    pub response_type: Option<&'a str>,
    /// `scope`.
    pub scope: Option<&'a str>,
    /// `code_challenge`.
    pub challenge: Option<&'a str>,
    /// `code_challenge_method`.
    pub method: Option<&'a str>,
}

impl Wish {
    /// What is asked, once client and address are known: from here on refusals go to that address.
    ///
    /// # Errors
    /// In the words of RFC 6749 (4.1.2.1).
    pub fn read(client: Client, redirect: RedirectUri, is_named: bool, asked: Asked<'_>) -> Result<Self, Refusal> {
        if asked.response_type != Some("code") {
            return Err(Refusal::RESPONSE_TYPE);
        }
        let challenge = asked.challenge.map(|text| Challenge::parse(text, asked.method)).transpose()?;
        // A program without a secret has nothing else to prove itself with (RFC 9700, 2.1.1).
        if challenge.is_none() && client.secret.is_none() {
            return Err(Refusal::CHALLENGE);
        }
        let scopes = Scopes::parse(asked.scope.unwrap_or_default()).and(Scopes::player());
        // A program may ask for no more than to read what there is; but not for things we never heard of.
        if scopes == Scopes::default() && asked.scope.is_some_and(|text| !text.trim().is_empty()) {
            return Err(Refusal::SCOPE);
        }
        Ok(Self { client, redirect, is_redirect_named: is_named, scopes, challenge })
    }
}

/// A code, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// SHA-256 of it.
    pub digest: Digest,
    /// The program it was made for.
    pub client: ClientId,
    /// Who agreed.
    pub account: AccountId,
    /// The address that must be named again.
    pub redirect: Option<Box<str>>,
    /// What was agreed to.
    pub scopes: Scopes,
    /// What must be proved.
    pub challenge: Option<Challenge>,
    /// The first second in which it is no longer good.
    pub expires: UnixSeconds,
    /// What came of it, once it was exchanged.
    pub family: Option<TokenId>,
}

impl Code {
    /// Whether this client may exchange the code now.
    ///
    /// # Errors
    /// It may not.
    pub fn admits(
        &self,
        client: ClientId,
        redirect: Option<&str>,
        verifier: Option<&str>,
        now: UnixSeconds,
    ) -> Result<(), Refusal> {
        if self.client != client || now >= self.expires || self.family.is_some() {
            return Err(Refusal::GRANT);
        }
        if self.redirect.is_some() && self.redirect.as_deref() != redirect {
            return Err(Refusal::GRANT);
        }
        match (&self.challenge, verifier) {
            (Some(challenge), Some(verifier)) if challenge.is_met_by(verifier) => Ok(()),
            (None, None) => Ok(()),
            // A verifier without a challenge is somebody's code put into somebody else's exchange (RFC 9700, 4.8.2).
            _ => Err(Refusal::VERIFIER),
        }
    }
}

#[cfg(test)]
mod tests;
