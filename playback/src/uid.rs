//! What edges call a listener: a name that changes every day (UTC) and leads back to the account only with the
//! server's key.

use base64ct::{Base64UrlUnpadded, Encoding};
use needledrop_core::{AccountId, Pseudonym, UnixSeconds};

use crate::server_key::{Purpose, ServerKey};

/// Length of a day, in seconds.
const DAY_SECONDS: u64 = 86_400;

/// Bytes of the HMAC that are kept: 128 bits, so that two listeners of a day never share a name.
const NAME_BYTES: usize = 16;

/// The account's name of the day.
pub fn pseudonym(key: &ServerKey, account: AccountId, now: UnixSeconds) -> Pseudonym {
    let day = now.0 / DAY_SECONDS;
    let derived = key.derive(Purpose::Pseudonym, &[account.as_str().as_bytes(), &day.to_be_bytes()]);
    let text = Base64UrlUnpadded::encode_string(&derived[..NAME_BYTES]);
    Pseudonym::parse(&text).expect("base64url is made of the characters of a pseudonym")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_holds_for_a_day_and_for_one_account_and_does_not_tell_it() {
        let key = ServerKey::from_bytes([3; 32]);
        let (ada, bob) = (AccountId::from_random([1; 16]), AccountId::from_random([2; 16]));
        let name = |account, now| pseudonym(&key, account, UnixSeconds(now));
        assert_eq!(name(ada, 86_400), name(ada, 2 * 86_400 - 1));
        assert_ne!(name(ada, 86_400), name(ada, 2 * 86_400));
        assert_ne!(name(ada, 86_400), name(bob, 86_400));
        assert_ne!(name(ada, 0), pseudonym(&ServerKey::from_bytes([4; 32]), ada, UnixSeconds(0)));
        assert_eq!(name(ada, 0).as_str().len(), 22);
        assert!(!name(ada, 0).as_str().contains(ada.as_str()));
    }
}
