//! Reading a signed URL that anybody may have written.
//!
//! The order matters: form, then signature, then what was appended, then time, so that only
//! the holder of a genuine URL learns that it is too late or too early.

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::Mac;

use super::canonical::{CLAIM_NAMES, SIGNATURE_CHARS, SIGNATURE_MARK, read};
use super::keyring::{KeyId, Keyring, Secret};
use super::sign::mac;
use super::{Claims, SKEW_SECONDS, SignedUrl, TARGET_BYTES_MAX};
use crate::refusal::Refusal;
use crate::time::UnixSeconds;

/// Checks the origin-form target (`:path`) of a request, exactly as it came.
///
/// Judged when a request starts; a body that is running is not asked again. The network
/// claim is judged by [`SignedUrl::admit`].
pub fn verify(target: &str, keyring: &Keyring, now: UnixSeconds) -> Result<SignedUrl, Refusal> {
    if target.len() > TARGET_BYTES_MAX {
        return Err(Refusal::TooLong);
    }
    let (signed, rest) = target.split_once(SIGNATURE_MARK).ok_or(Refusal::Unsigned)?;
    let (signature, unsigned_query) = split_signature(rest)?;
    let signature = decode_signature(signature)?;
    let (path, key, claims) = read(signed)?;
    check_signature(signed, &key, &signature, keyring)?;
    if let Some(query) = unsigned_query {
        check_unsigned(query)?;
    }
    check_time(&claims, now)?;
    Ok(SignedUrl { path, key, claims, unsigned_query: unsigned_query.map(Into::into) })
}

/// The 43 characters, and what follows the `&` behind them.
fn split_signature(rest: &str) -> Result<(&str, Option<&str>), Refusal> {
    match rest.split_once('&') {
        Some((signature, query)) => Ok((signature, Some(query))),
        None => Ok((rest, None)),
    }
}

/// Exactly 43 characters; the two bits left over must be zero, or one signature would have four spellings.
fn decode_signature(text: &str) -> Result<[u8; 32], Refusal> {
    if text.len() != SIGNATURE_CHARS {
        return Err(Refusal::Malformed);
    }
    let mut signature = [0; 32];
    Base64UrlUnpadded::decode(text, &mut signature).map_err(|_| Refusal::Malformed)?;
    Ok(signature)
}

/// Compares in constant time. An unknown key costs the same work as a wrong signature and
/// is the same refusal.
fn check_signature(signed: &str, key: &KeyId, signature: &[u8; 32], keyring: &Keyring) -> Result<(), Refusal> {
    let known = keyring.verifying(key);
    let nobody = Secret::from_bytes([0; 32]);
    let code = mac(known.unwrap_or(&nobody), signed.as_bytes());
    let fits = code.verify_slice(signature).is_ok();
    if fits && known.is_some() { Ok(()) } else { Err(Refusal::NotGenuine) }
}

fn check_time(claims: &Claims, now: UnixSeconds) -> Result<(), Refusal> {
    if now >= claims.expires.plus(SKEW_SECONDS) {
        return Err(Refusal::Expired);
    }
    match claims.not_before {
        Some(start) if now.plus(SKEW_SECONDS) < start => Err(Refusal::NotYetValid),
        _ => Ok(()),
    }
}

/// What players append must be a query of visible ASCII in which no name could be taken for
/// a claim's by any decoder.
fn check_unsigned(query: &str) -> Result<(), Refusal> {
    if !query.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b'#') {
        return Err(Refusal::Malformed);
    }
    // Some servers split at `;` as well as at `&`.
    match query.split(['&', ';']).any(is_claim_like) {
        true => Err(Refusal::ClaimAfterSignature),
        false => Ok(()),
    }
}

/// How often a name may be percent-encoded over itself; bounds the work on hostile queries.
const DECODE_ROUNDS_MAX: usize = 3;

/// Whether some decoder could read this parameter's name as a claim's: percent-decoded more
/// than once, in any case, with blanks or other signs around it, as a list (`exp[]`).
///
/// What stays undecided counts in: escapes within escapes within escapes, broken escapes, and
/// names beyond visible ASCII, since folding the letters of the world has no end.
fn is_claim_like(parameter: &str) -> bool {
    let mut name = parameter.split('=').next().unwrap_or("").as_bytes().to_vec();
    for _ in 0..DECODE_ROUNDS_MAX {
        name = percent_decoded(&name);
    }
    if name.contains(&b'%') || !name.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return true;
    }
    let name = String::from_utf8(name).expect("visible ASCII").to_ascii_lowercase();
    // Decoding may have brought forth a sign that divides names for whoever decodes early.
    let words = name.split(['&', ';', '=', '[', '?', '#']);
    words
        .map(|word| word.trim_matches(|sign: char| !sign.is_ascii_alphanumeric()))
        .any(|word| CLAIM_NAMES.contains(&word))
}

/// One round of percent-decoding; what is no escape stays.
fn percent_decoded(name: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name;
    while let [byte, behind @ ..] = rest {
        let escape = match (byte, behind) {
            (b'%', [high, low, ..]) => hex_pair(*high, *low),
            _ => None,
        };
        decoded.push(escape.unwrap_or(*byte));
        rest = if escape.is_some() { &behind[2..] } else { behind };
    }
    decoded
}

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(high)? * 16 + digit(low)?) as u8)
}
