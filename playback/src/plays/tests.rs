use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

fn key(account: u8, client: &str, track: u8) -> PlayKey {
    PlayKey {
        account: AccountId::from_random([account; 16]),
        client: DisplayName::parse(client).unwrap(),
        track: TrackId::from_random([track; 16]),
    }
}

#[test]
fn a_seek_keeps_the_id_and_a_restart_from_zero_does_not() {
    let mut plays = Plays::default();
    let first = plays.settle(&key(1, "phone", 1), Start::Resume, UnixSeconds(0), [1; 16]);
    let seek = plays.settle(&key(1, "phone", 1), Start::Resume, UnixSeconds(60), [2; 16]);
    assert_eq!(seek, Settled { id: first.id, is_news: false });
    let again = plays.settle(&key(1, "phone", 1), Start::Zero, UnixSeconds(90), [3; 16]);
    assert_ne!(again.id, first.id);
    assert_eq!(plays.settle(&key(1, "phone", 1), Start::Resume, UnixSeconds(95), [4; 16]).id, again.id);
}

#[test]
fn another_account_client_or_track_is_another_play() {
    let mut plays = Plays::default();
    let keys = [key(1, "phone", 1), key(2, "phone", 1), key(1, "car", 1), key(1, "phone", 2)];
    let ids: Vec<_> = (0..4).map(|n| plays.settle(&keys[n], Start::Resume, UnixSeconds(0), [n as u8; 16]).id).collect();
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(plays.settle(&keys[n], Start::Resume, UnixSeconds(1), [99; 16]).id, *id);
        assert_eq!(ids.iter().filter(|other| *other == id).count(), 1);
    }
}

#[test]
fn a_play_ends_a_day_after_its_last_grant_or_when_it_was_heard() {
    let mut plays = Plays::default();
    let phone = key(1, "phone", 1);
    let first = plays.settle(&phone, Start::Resume, UnixSeconds(0), [1; 16]).id;
    let renewed = plays.settle(&phone, Start::Resume, UnixSeconds(PLAY_SECONDS_MAX - 1), [2; 16]);
    assert_eq!(renewed, Settled { id: first, is_news: true });
    let next_day = UnixSeconds(2 * PLAY_SECONDS_MAX - 1);
    assert!(!plays.knows(&phone, next_day));
    let second = plays.settle(&phone, Start::Resume, next_day, [3; 16]).id;
    assert_ne!(second, first);
    plays.end(phone.clone());
    plays.remember(phone.clone(), Play { id: second, granted: next_day }, next_day);
    assert_ne!(plays.settle(&phone, Start::Resume, next_day, [4; 16]).id, second);
}

#[test]
fn what_storage_knew_goes_on_but_never_replaces_what_is_newer() {
    let mut plays = Plays::default();
    let stored = Play { id: PlaybackId::from_random([7; 16]), granted: UnixSeconds(100) };
    plays.remember(key(1, "phone", 1), stored, UnixSeconds(200));
    assert_eq!(plays.settle(&key(1, "phone", 1), Start::Resume, UnixSeconds(200), [1; 16]).id, stored.id);
    let newer = plays.settle(&key(1, "phone", 1), Start::Zero, UnixSeconds(300), [2; 16]).id;
    plays.remember(key(1, "phone", 1), stored, UnixSeconds(300));
    assert_eq!(plays.settle(&key(1, "phone", 1), Start::Resume, UnixSeconds(301), [3; 16]).id, newer);
}

proptest! {
    /// Against a model that forgets nothing: within the bound of the table both agree on who gets which id.
    #[test]
    fn the_table_is_a_map_of_bounded_size(
        asks in prop::collection::vec((0u8..3, 0u8..4, any::<bool>(), 0u64..50_000), 1..60),
        room in 1usize..16,
    ) {
        let (mut plays, mut model) = (Plays::new(room), HashMap::<PlayKey, Play>::new());
        let mut now = UnixSeconds(0);
        for (n, (account, track, zero, pause)) in asks.into_iter().enumerate() {
            now = now.plus(pause);
            let (key, start) = (key(account, "x", track), if zero { Start::Zero } else { Start::Resume });
            let fresh = PlaybackId::from_random([n as u8 + 1; 16]);
            let expected = model.get(&key).filter(|play| !zero && play.goes_on(now)).map(|play| play.id);
            let given = plays.settle(&key, start, now, [n as u8 + 1; 16]).id;
            match expected {
                Some(id) if room >= 12 => prop_assert_eq!(given, id),
                Some(id) => prop_assert!(given == id || given == fresh),
                None => prop_assert_eq!(given, fresh),
            }
            model.insert(key, Play { id: given, granted: now });
            prop_assert!(plays.len() <= room);
        }
    }
}
