use super::*;
use std::collections::BTreeSet;

use needledrop_core::{AccountId, KeyId, Secret, verify};
use proptest::prelude::*;

use crate::account::{DisplayName, Plan, Settings, UserName};

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

fn account(plan: Plan) -> Account {
    let name = UserName::parse("ada").unwrap();
    Account {
        id: AccountId::from_random([0xaa; 16]),
        shown_as: DisplayName::from(&name),
        name,
        plan,
        territory: Some(Territory::parse("DE").unwrap()),
        is_admin: false,
        must_change_password: false,
        settings: Settings::default(),
    }
}

fn made(renditions: &[Rendition]) -> Vec<TrackRendition> {
    let of = |rendition: &Rendition| {
        let head_bytes = u64::from(rendition.kbps.value()) * 3_750;
        TrackRendition { rendition: *rendition, bytes: head_bytes * 8, head_bytes, average_bps: 1 }
    };
    renditions.iter().map(of).collect()
}

fn track<'a>(n: u8, duration_ms: u64, renditions: &'a [TrackRendition], windows: &'a [Window]) -> TrackFacts<'a> {
    let (id, rev) = (TrackId::from_random([n; 16]), Rev::from_digest(&[n; 32]));
    TrackFacts { id, rev, duration_ms, renditions, windows }
}

fn keyring(n: u8) -> Keyring {
    Keyring::new(KeyId::parse(&format!("k{n}")).unwrap(), Secret::from_bytes([n; 32]))
}

fn listener(account: &Account) -> Listener<'_> {
    let (pseudonym, playback) = (Pseudonym::parse("today").unwrap(), PlaybackId::from_random([5; 16]));
    Listener { account, pseudonym, playback }
}

fn target(url: &str) -> &str {
    &url[url.find("/tracks/").unwrap()..]
}

#[test]
fn a_grant_names_this_and_the_next_head_and_every_edge_verifies_its_own() {
    let (ada, renditions) = (account(Plan::Premium), made(&Rendition::ALL));
    let (this, next) = (track(1, 200_000, &renditions, &[]), track(2, 100_000, &renditions, &[]));
    let (near, far) = (keyring(1), keyring(2));
    let bases =
        ["https://a.example", "https://b.example:8443", "https://c.example"].map(|b| EdgeBase::parse(b).unwrap());
    let edges = [
        Edge { base: &bases[0], keys: &near },
        Edge { base: &bases[1], keys: &near },
        Edge { base: &bases[2], keys: &far },
    ];
    let decided = decide(&ada, &this, &Asked::default(), NOW).unwrap();
    let grant = grant(&listener(&ada), &this, Some(&next), decided, &edges, NOW).unwrap();

    assert_eq!(grant.rendition.rendition, Rendition { codec: Codec::Vorbis, kbps: Kbps::K320 });
    assert_eq!((grant.reason, grant.next), (Reason::Plan, Some(next.id)));
    assert_eq!(grant.expires, NOW.plus(3_600));
    for (url, edge) in grant.urls.iter().zip(edges) {
        assert!(url.starts_with(edge.base.as_str()));
        let signed = verify(target(url), edge.keys, NOW).unwrap();
        assert_eq!(signed.path(), &ObjectPath::rendition(&this.id, &this.rev, grant.rendition.rendition));
        let claims = signed.claims();
        assert_eq!(claims.playback, Some(grant.playback));
        assert_eq!(claims.head.unwrap().get(), grant.rendition.head_bytes);
        assert_eq!(claims.duration_ms, Some(200_000));
        let announced = claims.next.as_ref().unwrap();
        assert_eq!(announced.path, ObjectPath::rendition(&next.id, &next.rev, grant.rendition.rendition));
        assert_eq!(announced.head.unwrap().get(), grant.rendition.head_bytes);
        assert!(!url.contains(ada.id.as_str()), "no URL names the account");
    }
    assert!(verify(target(&grant.urls[2]), &near, NOW).is_err(), "keys belong to a region");
}

#[test]
fn a_url_lives_an_hour_or_twice_the_track() {
    let (ada, renditions, keys) = (account(Plan::Premium), made(&Rendition::ALL), keyring(1));
    let base = EdgeBase::parse("http://127.0.0.1:8080").unwrap();
    let edges = [Edge { base: &base, keys: &keys }];
    for (duration_ms, lifetime) in [(0, 3_600), (1_800_000, 3_600), (1_800_001, 3_601), (7_200_000, 14_400)] {
        let this = track(1, duration_ms, &renditions, &[]);
        let decided = decide(&ada, &this, &Asked::default(), NOW).unwrap();
        let grant = grant(&listener(&ada), &this, None, decided, &edges, NOW).unwrap();
        assert_eq!(grant.expires, NOW.plus(lifetime), "{duration_ms}");
    }
    let endless = track(1, u64::MAX, &renditions, &[]);
    let decided = decide(&ada, &endless, &Asked::default(), NOW).unwrap();
    let grant = grant(&listener(&ada), &endless, None, decided, &edges, NOW).unwrap();
    assert!(verify(target(&grant.urls[0]), &keys, NOW).is_ok());
}

#[test]
fn rights_come_before_everything_else() {
    let (ada, renditions) = (account(Plan::Premium), made(&Rendition::ALL));
    let window = |land: Option<&str>, from, until| Window {
        territory: land.map(|land| Territory::parse(land).unwrap()),
        from,
        until,
    };
    let refused = |windows: &[Window]| decide(&ada, &track(1, 1, &renditions, windows), &Asked::default(), NOW);
    assert_eq!(refused(&[window(Some("US"), None, None)]), Err(Refusal::NotAvailableHere(ada.territory)));
    assert_eq!(refused(&[window(None, Some(NOW.0 + 9), None)]), Err(Refusal::NotYet(NOW.plus(9))));
    assert_eq!(refused(&[window(Some("DE"), None, Some(NOW.0))]), Err(Refusal::NoLonger));
    assert!(refused(&[window(Some("DE"), None, Some(NOW.0 + 1))]).is_ok());
}

#[test]
fn a_next_track_that_may_not_be_heard_is_not_announced() {
    let (ada, renditions, keys) = (account(Plan::Free), made(&Rendition::ALL), keyring(1));
    let base = EdgeBase::parse("http://127.0.0.1:8080").unwrap();
    let edges = [Edge { base: &base, keys: &keys }];
    let elsewhere = [Window { territory: Some(Territory::parse("US").unwrap()), from: None, until: None }];
    let (this, next) = (track(1, 1, &renditions, &[]), track(2, 1, &renditions, &elsewhere));
    let decided = decide(&ada, &this, &Asked::default(), NOW).unwrap();
    let grant = grant(&listener(&ada), &this, Some(&next), decided, &edges, NOW).unwrap();
    assert_eq!(grant.next, None);
    assert_eq!(verify(target(&grant.urls[0]), &keys, NOW).unwrap().claims().next, None);
}

#[test]
fn the_codec_is_the_one_asked_for_or_the_first_there_is() {
    let aac = |kbps| Rendition { codec: Codec::Aac, kbps };
    let only_aac = made(&[aac(Kbps::K96), aac(Kbps::K320)]);
    let this = track(1, 1, &only_aac, &[]);
    let of = |plan, codec| decide(&account(plan), &this, &Asked { codec, ..Asked::default() }, NOW);
    assert_eq!(of(Plan::Premium, None).unwrap().0.rendition, aac(Kbps::K320));
    let (free, reason) = of(Plan::Free, Some(Codec::Aac)).unwrap();
    assert_eq!((free.rendition, reason), (aac(Kbps::K96), Reason::Made));
    assert_eq!(of(Plan::Premium, Some(Codec::Vorbis)), Err(Refusal::NoRendition));
    let only_320 = made(&[aac(Kbps::K320)]);
    let dear = track(1, 1, &only_320, &[]);
    assert_eq!(decide(&account(Plan::Free), &dear, &Asked::default(), NOW), Err(Refusal::NoRendition));
}

#[test]
fn without_an_edge_there_is_no_grant_and_never_more_urls_than_the_bound() {
    let (ada, renditions, keys) = (account(Plan::Free), made(&Rendition::ALL), keyring(1));
    let this = track(1, 1, &renditions, &[]);
    let decided = decide(&ada, &this, &Asked::default(), NOW).unwrap();
    assert_eq!(grant(&listener(&ada), &this, None, decided, &[], NOW), Err(Refusal::NoEdge));
    let base = EdgeBase::parse("http://127.0.0.1:8080").unwrap();
    let many = [Edge { base: &base, keys: &keys }; 9];
    assert_eq!(grant(&listener(&ada), &this, None, decided, &many, NOW).unwrap().urls.len(), URLS_MAX);
}

#[test]
fn what_is_no_base_is_refused() {
    for text in
        ["", "https://", "ftp://a", "https://a/", "https://a?x", "https://u@a", "https://a b", "//a", "HTTPS://a"]
    {
        assert_eq!(EdgeBase::parse(text), None, "{text}");
    }
    assert!(EdgeBase::parse("https://[::1]:8443").is_some());
}

#[test]
fn every_refusal_has_a_name_of_its_own() {
    let slugs: BTreeSet<_> = Refusal::KINDS.into_iter().map(Refusal::slug).collect();
    assert_eq!(slugs.len(), Refusal::KINDS.len());
}

proptest! {
    #[test]
    fn no_free_account_ever_gets_more_than_160(
        kbps in prop::option::of(prop::sample::select(&Kbps::ALL[..])),
        codec in prop::option::of(prop::sample::select(vec![Codec::Vorbis, Codec::Aac])),
        there in prop::sample::subsequence(Rendition::ALL.to_vec(), 0..=6),
        network in prop::sample::select(NetworkClass::ALL.to_vec()),
        save_data: bool,
    ) {
        let renditions = made(&there);
        let this = track(1, 1, &renditions, &[]);
        let asked = Asked { codec, kbps, network, save_data };
        if let Ok((given, _)) = decide(&account(Plan::Free), &this, &asked, NOW) {
            prop_assert!(given.rendition.kbps <= Kbps::K160);
            prop_assert!(kbps.is_none_or(|kbps| given.rendition.kbps <= kbps));
            prop_assert!(codec.is_none_or(|codec| given.rendition.codec == codec));
            prop_assert!(there.contains(&given.rendition));
        }
    }
}
