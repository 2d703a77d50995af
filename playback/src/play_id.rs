//! Playback ids that tell whose they are. Pure.
//!
//! Plays are reported long after they were granted: by a player that was offline, by one of several nodes, after a
//! restart. A report must not need a table to be believed, so an id carries its own proof: half of it is random, and half is
//! a MAC over that, the account and the track. To anybody without the key it is 128 random bits.

use needledrop_core::{AccountId, PlaybackId, TrackId};
use subtle::ConstantTimeEq;

use crate::server_key::{Purpose, ServerKey};

/// Random bytes of an id: two plays of one track by one account have the same with a chance of one in 2^64.
pub const RANDOM_BYTES: usize = 8;

/// The bytes of an id for this account and track.
pub fn bytes(key: &ServerKey, account: AccountId, track: TrackId, random: [u8; RANDOM_BYTES]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..RANDOM_BYTES].copy_from_slice(&random);
    bytes[RANDOM_BYTES..].copy_from_slice(&mark(key, account, track, &random));
    bytes
}

/// Whether an id was made for this account and track. Whoever guesses has one chance in 2^64 for each question.
pub fn is_of(key: &ServerKey, account: AccountId, track: TrackId, id: PlaybackId) -> bool {
    let Some(bytes) = id.to_bytes() else { return false };
    let (random, said) = bytes.split_at(RANDOM_BYTES);
    mark(key, account, track, random).ct_eq(said).into()
}

fn mark(key: &ServerKey, account: AccountId, track: TrackId, random: &[u8]) -> [u8; 16 - RANDOM_BYTES] {
    let mac = key.derive(Purpose::Play, &[account.as_str().as_bytes(), track.as_str().as_bytes(), random]);
    let (mark, _) = mac.split_first_chunk().expect("32 bytes hold 8");
    *mark
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_is_of_its_account_and_track_and_of_no_other(
            key: [u8; 32], account: [u8; 16], track: [u8; 16], random: [u8; RANDOM_BYTES], bit in 0_usize..128
        ) {
            let (key, account, track) =
                (ServerKey::from_bytes(key), AccountId::from_random(account), TrackId::from_random(track));
            let made = bytes(&key, account, track, random);
            let id = PlaybackId::from_random(made);
            prop_assert!(is_of(&key, account, track, id));
            prop_assert_eq!(PlaybackId::parse(id.as_str()).unwrap().to_bytes(), Some(made));
            let mut altered = made;
            altered[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!is_of(&key, account, track, PlaybackId::from_random(altered)));
            prop_assert!(!is_of(&key, AccountId::from_random([1; 16]), track, id));
            prop_assert!(!is_of(&key, account, TrackId::from_random([2; 16]), id));
            prop_assert!(!is_of(&ServerKey::from_bytes([3; 32]), account, track, id));
        }
    }

    #[test]
    fn what_is_no_number_of_sixteen_bytes_is_nobodys() {
        let id = PlaybackId::parse("zzzzzzzzzzzzzzzzzzzzzz").unwrap();
        assert_eq!(id.to_bytes(), None);
        let key = ServerKey::from_bytes([0; 32]);
        assert!(!is_of(&key, AccountId::from_random([1; 16]), TrackId::from_random([2; 16]), id));
    }
}
