//! The one spelling of a signed URL: how claims are written, and the strict way back.
//!
//! Every value has exactly one text; reading refuses any other, so that equal rights are
//! equal bytes and nothing that rewrites queries has anything to rewrite.

use std::fmt::Write;

use base64ct::{Base64UrlUnpadded, Encoding};

use super::{Claims, HeadBytes, KeyId, NextObject, Pseudonym};
use crate::id::PlaybackId;
use crate::network::Cidr;
use crate::object_path::ObjectPath;
use crate::refusal::Refusal;
use crate::time::UnixSeconds;

/// What ends the signed part.
pub(super) const SIGNATURE_MARK: &str = "&sig=";

/// Characters of a signature: 32 bytes in base64url without padding.
pub(super) const SIGNATURE_CHARS: usize = 43;

/// Every name that means something when signed, and may therefore not appear unsigned.
pub(super) const CLAIM_NAMES: [&str; 11] =
    ["exp", "kid", "sig", "nbf", "uid", "pid", "head", "dur", "next", "nhead", "ip"];

/// 1 to `chars_max` characters of `A-Za-z0-9._-`, which no URL library escapes.
pub(super) fn is_word(text: &str, chars_max: usize) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=chars_max).contains(&text.len()) && text.bytes().all(plain)
}

/// The part that is signed: path, `?`, and the claims in their order.
pub(super) fn write(path: &ObjectPath, key: &KeyId, claims: &Claims) -> String {
    let mut text = format!("{path}?exp={}&kid={key}", claims.expires);
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            write!(text, "&{name}={value}").expect("writing to a String cannot fail");
        }
    };
    let next = claims.next.as_ref();
    add("nbf", claims.not_before.map(|moment| moment.to_string()));
    add("uid", claims.user.as_ref().map(|user| user.as_str().to_owned()));
    add("pid", claims.playback.map(|id| id.to_string()));
    add("head", claims.head.map(|head| head.get().to_string()));
    add("dur", claims.duration_ms.map(|ms| ms.to_string()));
    add("next", next.map(|next| encode(next.path.as_str())));
    add("nhead", next.and_then(|next| next.head).map(|head| head.get().to_string()));
    add("ip", claims.network.map(|network| encode(&network.to_string())));
    text
}

/// Reads what [`write`] wrote; claims behind `kid` may stand in any order, each once.
pub(super) fn read(signed: &str) -> Result<(ObjectPath, KeyId, Claims), Refusal> {
    let (path, query) = signed.split_once('?').ok_or(Refusal::Malformed)?;
    let path = ObjectPath::parse(path).map_err(|_| Refusal::Malformed)?;
    let mut pairs = query.split('&').map(|pair| pair.split_once('=').ok_or(Refusal::Malformed));
    let expires = expect(pairs.next(), "exp").and_then(moment)?;
    let key = expect(pairs.next(), "kid").and_then(|text| KeyId::parse(text).ok_or(Refusal::Malformed))?;

    let mut claims = Claims::until(expires);
    let mut next_path = None;
    let mut next_head = None;
    for pair in pairs {
        let (name, value) = pair?;
        match name {
            "nbf" => once(&mut claims.not_before, moment(value)?)?,
            "uid" => once(&mut claims.user, Pseudonym::parse(value).ok_or(Refusal::Malformed)?)?,
            "pid" => once(&mut claims.playback, PlaybackId::parse(value).map_err(|_| Refusal::Malformed)?)?,
            "head" => once(&mut claims.head, head(value)?)?,
            "dur" => once(&mut claims.duration_ms, milliseconds(value)?)?,
            "next" => once(&mut next_path, object_path(value)?)?,
            "nhead" => once(&mut next_head, head(value)?)?,
            "ip" => once(&mut claims.network, network(value)?)?,
            _ => return Err(Refusal::Malformed),
        }
    }
    claims.next = match (next_path, next_head) {
        (Some(path), head) => Some(NextObject { path, head }),
        (None, None) => None,
        (None, Some(_)) => return Err(Refusal::Malformed),
    };
    Ok((path, key, claims))
}

/// The value of the next pair, which must have this name.
fn expect<'a>(pair: Option<Result<(&'a str, &'a str), Refusal>>, name: &str) -> Result<&'a str, Refusal> {
    match pair {
        Some(Ok((found, value))) if found == name => Ok(value),
        _ => Err(Refusal::Malformed),
    }
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Refusal> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refusal::Malformed),
    }
}

/// Digits without a sign or leading zeros, below 10^12.
fn number(text: &str) -> Result<u64, Refusal> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain && text.len() <= 12).ok_or(Refusal::Malformed)
}

/// Not past the year 9999, where the signer stops too.
fn moment(text: &str) -> Result<UnixSeconds, Refusal> {
    let seconds = number(text).map(UnixSeconds)?;
    if seconds > UnixSeconds::MAX_HTTP { Err(Refusal::Malformed) } else { Ok(seconds) }
}

fn head(text: &str) -> Result<HeadBytes, Refusal> {
    number(text).and_then(|bytes| HeadBytes::new(bytes).ok_or(Refusal::Malformed))
}

fn milliseconds(text: &str) -> Result<u32, Refusal> {
    number(text).and_then(|ms| u32::try_from(ms).map_err(|_| Refusal::Malformed))
}

fn object_path(value: &str) -> Result<ObjectPath, Refusal> {
    ObjectPath::parse(&decode(value)?).map_err(|_| Refusal::Malformed)
}

/// A network in its own spelling: `10.0.0.0/8`, never `::ffff:10.0.0.0/104` or a bare address.
fn network(value: &str) -> Result<Cidr, Refusal> {
    let text = decode(value)?;
    Cidr::parse(&text).ok().filter(|network| network.to_string() == text).ok_or(Refusal::Malformed)
}

pub(super) fn encode(text: &str) -> String {
    Base64UrlUnpadded::encode_string(text.as_bytes())
}

/// Canonical base64url of text: no padding, no stray bits at the end.
fn decode(value: &str) -> Result<String, Refusal> {
    let bytes = Base64UrlUnpadded::decode_vec(value).map_err(|_| Refusal::Malformed)?;
    String::from_utf8(bytes).map_err(|_| Refusal::Malformed)
}
