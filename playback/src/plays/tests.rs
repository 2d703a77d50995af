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
    assert_eq!((seek.play.id, seek.is_news), (first.play.id, false));
    let again = plays.settle(&key(1, "phone", 1), Start::Zero, UnixSeconds(90), [3; 16]);
    assert_ne!(again.play.id, first.play.id);
    assert_eq!(plays.settle(&key(1, "phone", 1), Start::Resume, UnixSeconds(95), [4; 16]).play.id, again.play.id);
}

#[test]
fn another_account_client_or_track_is_another_play() {
    let mut plays = Plays::default();
    let keys = [key(1, "phone", 1), key(2, "phone", 1), key(1, "car", 1), key(1, "phone", 2)];
    let ids: Vec<_> =
        (0..4).map(|n| plays.settle(&keys[n], Start::Resume, UnixSeconds(0), [n as u8; 16]).play.id).collect();
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(plays.settle(&keys[n], Start::Resume, UnixSeconds(1), [99; 16]).play.id, *id);
        assert_eq!(ids.iter().filter(|other| *other == id).count(), 1);
    }
}

#[test]
fn a_play_ends_a_day_after_its_last_grant_or_when_it_was_heard() {
    let mut plays = Plays::default();
    let phone = key(1, "phone", 1);
    let first = plays.settle(&phone, Start::Resume, UnixSeconds(0), [1; 16]).play.id;
    let renewed = plays.settle(&phone, Start::Resume, UnixSeconds(PLAY_SECONDS_MAX - 1), [2; 16]);
    assert_eq!((renewed.play.id, renewed.is_news), (first, true));
    let next_day = UnixSeconds(2 * PLAY_SECONDS_MAX - 1);
    assert!(!plays.knows(&phone, next_day));
    let second = plays.settle(&phone, Start::Resume, next_day, [3; 16]).play.id;
    assert_ne!(second, first);
    plays.end(phone.clone());
    plays.remember(phone.clone(), Play::begin(second, next_day), next_day);
    assert_ne!(plays.settle(&phone, Start::Resume, next_day, [4; 16]).play.id, second);
}

#[test]
fn what_storage_knew_goes_on_but_never_replaces_what_is_newer() {
    let mut plays = Plays::default();
    let stored = Play::begin(PlaybackId::from_random([7; 16]), UnixSeconds(100));
    plays.remember(key(1, "phone", 1), stored, UnixSeconds(200));
    assert_eq!(plays.settle(&key(1, "phone", 1), Start::Resume, UnixSeconds(200), [1; 16]).play.id, stored.id);
    let newer = plays.settle(&key(1, "phone", 1), Start::Zero, UnixSeconds(300), [2; 16]).play.id;
    plays.remember(key(1, "phone", 1), stored, UnixSeconds(300));
    assert_eq!(plays.settle(&key(1, "phone", 1), Start::Resume, UnixSeconds(301), [3; 16]).play.id, newer);
}

#[test]
fn a_word_at_half_time_ends_the_play_when_the_track_is_over() {
    let mut plays = Plays::default();
    let phone = key(1, "phone", 1);
    let first = plays.settle(&phone, Start::Resume, UnixSeconds(1_000), [1; 16]).play.id;
    assert_eq!(plays.heard(&phone, 199_500, UnixSeconds(1_100)).map(|play| play.id), Some(first));
    assert_eq!(plays.settle(&phone, Start::Resume, UnixSeconds(1_199), [2; 16]).play.id, first, "a seek after it");
    // A second word about the same play changes nothing.
    assert_eq!(plays.heard(&phone, 199_500, UnixSeconds(1_199)).unwrap().ends, Some(UnixSeconds(1_200)));
    assert_eq!(plays.heard(&phone, 199_500, UnixSeconds(1_200)), None);
    let second = plays.settle(&phone, Start::Resume, UnixSeconds(1_200), [3; 16]).play.id;
    assert_ne!(second, first);
    // At the end, after a break: from now on it is another play.
    assert!(plays.heard(&phone, 199_500, UnixSeconds(2_000)).is_some());
    assert_ne!(plays.settle(&phone, Start::Resume, UnixSeconds(2_000), [4; 16]).play.id, second);
    assert_eq!(plays.heard(&key(1, "car", 1), 1, UnixSeconds(2_000)), None, "nothing was granted there");
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
            let given = plays.settle(&key, start, now, [n as u8 + 1; 16]).play.id;
            match expected {
                Some(id) if room >= 12 => prop_assert_eq!(given, id),
                Some(id) => prop_assert!(given == id || given == fresh),
                None => prop_assert_eq!(given, fresh),
            }
            model.insert(key, Play::begin(given, now));
            prop_assert!(plays.len() <= room);
        }
    }
}
