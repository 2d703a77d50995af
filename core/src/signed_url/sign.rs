//! Making a signed URL.

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Claims;
use super::canonical::{SIGNATURE_MARK, write};
use super::keyring::{Keyring, Secret};
use crate::object_path::ObjectPath;
use crate::time::UnixSeconds;

/// HMAC-SHA256.
pub(super) type Signer = Hmac<Sha256>;

/// The origin-form target that gives the right to read `path` as `claims` say, signed by
/// the key of the ring that signs. Put a scheme and an authority in front of it.
///
/// Moments past the year 9999 are written as its last second: no such URL is meant to end.
pub fn sign(path: &ObjectPath, claims: &Claims, keyring: &Keyring) -> String {
    let (key, secret) = keyring.signing();
    let bounded = |moment: UnixSeconds| moment.min(UnixSeconds::MAX_HTTP);
    let claims =
        Claims { expires: bounded(claims.expires), not_before: claims.not_before.map(bounded), ..claims.clone() };
    let mut target = write(path, key, &claims);
    let signature = mac(secret, target.as_bytes()).finalize().into_bytes();
    target.push_str(SIGNATURE_MARK);
    target.push_str(&Base64UrlUnpadded::encode_string(&signature));
    target
}

/// The code over these bytes, not finished, so that it can be compared in constant time.
pub(super) fn mac(secret: &Secret, signed: &[u8]) -> Signer {
    let mut mac = Signer::new_from_slice(secret.expose()).expect("HMAC takes keys of any length");
    mac.update(signed);
    mac
}
