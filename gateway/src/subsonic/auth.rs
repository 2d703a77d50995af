//! Who asks: an API key, or a name with an app password, proved by `md5` or sent.
//!
//! Login passwords are taken in none of these ways, not even over TLS: programs keep what they are given, and the proof
//! by `md5` would need a password that can be read. What an account takes is decided by
//! [`Playback`](needledrop_playback::Playback), which does the same work for a name that does not exist.

use std::sync::Arc;

use needledrop_core::UnixSeconds;
use needledrop_playback::token::{Kind, Md5Proof};
use needledrop_playback::{Caller, Error, Playback};

use super::failure::Failure;
use super::params::Params;

/// The caller.
///
/// # Errors
/// Who asks is not said, said twice, or not proved.
pub async fn asks(playback: &Playback, params: &Params<'_>, now: UnixSeconds) -> Result<Arc<Caller>, Failure> {
    let said = |name| params.text(name).is_some();
    if let Some(key) = params.text("apiKey") {
        if said("u") || said("p") || said("t") || said("s") {
            return Err(Failure::conflicting());
        }
        let caller = playback.authenticate(key, now).await.map_err(|error| match error {
            Error::WrongCredential => Failure::api_key(),
            other => other.into(),
        })?;
        // A session of the web player is no key for programs.
        return match caller.kind() {
            Kind::ApiKey | Kind::AppPassword => Ok(caller),
            _ => Err(Failure::api_key()),
        };
    }
    let name = params.required("u")?;
    match (params.text("t"), params.text("p")) {
        (Some(_), Some(_)) => Err(Failure::conflicting()),
        (Some(token), None) => {
            let proof = Md5Proof::parse(token, params.required("s")?).ok_or_else(Failure::credentials)?;
            Ok(playback.authenticate_md5(name, &proof, now).await?)
        }
        (None, Some(password)) => {
            let password = plain(password).ok_or_else(Failure::credentials)?;
            let caller = playback.authenticate_as(name, &password, now).await?;
            match caller.kind() {
                Kind::ApiKey | Kind::AppPassword => Ok(caller),
                _ => Err(Failure::credentials()),
            }
        }
        (None, None) => Err(Failure::missing("t and s, or p, or apiKey")),
    }
}

/// The password as it is, or after `enc:` in hexadecimal.
fn plain(password: &str) -> Option<String> {
    let Some(hex) = password.strip_prefix("enc:") else { return Some(password.to_owned()) };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = hex.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| match pair {
            [high, low] => Some((digit(*high)? * 16 + digit(*low)?) as u8),
            _ => None,
        })
        .collect();
    String::from_utf8(bytes?).ok()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn a_password_may_be_in_hexadecimal() {
        assert_eq!(plain("sesame").as_deref(), Some("sesame"));
        assert_eq!(plain("enc:736573616d65").as_deref(), Some("sesame"));
        assert_eq!(plain("enc:7365736").as_deref(), None);
        assert_eq!(plain("enc:zz").as_deref(), None);
        assert_eq!(plain("enc:ff").as_deref(), None);
    }
}
