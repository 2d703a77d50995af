//! Reading a signed URL that anybody may have written.
//!
//! The order matters: form, then signature, then time, so that only the holder of a genuine
//! URL learns that it is too late or too early.

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
    if let Some(query) = unsigned_query {
        check_unsigned(query)?;
    }
    check_signature(signed, &key, &signature, keyring)?;
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

/// Whether some decoder reads this parameter's name as a claim's: percent-decoded any number
/// of times, in any case, with blanks, NUL or brackets around it. Names that decode to
/// anything but visible ASCII are counted in: folding of letters beyond ASCII has no end.
fn is_claim_like(parameter: &str) -> bool {
    let mut name = parameter.split('=').next().unwrap_or("").as_bytes().to_vec();
    // An encoded `=`, `&` or `;` could move the borders of the name itself.
    while let Some(decoded) = percent_decoded(&name) {
        name = decoded;
    }
    let foreign = |byte: &u8| !matches!(byte, b' '..=b'~');
    if name.iter().any(foreign) {
        return true;
    }
    let text = String::from_utf8(name).expect("visible ASCII").to_ascii_lowercase();
    text.split(|character: char| !character.is_ascii_alphanumeric()).any(|word| CLAIM_NAMES.contains(&word))
}

/// One round of percent-decoding; `None` if nothing was encoded. Each round is shorter, so rounds end.
fn percent_decoded(name: &[u8]) -> Option<Vec<u8>> {
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
    (decoded.len() < name.len()).then_some(decoded)
}

fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some((digit(high)? * 16 + digit(low)?) as u8)
}
