//! Round trips, and what is said of bad lines.

use super::*;
use crate::change::NUMBER_MAX;
use crate::model::*;
use needledrop_core::{ArtistId, EpisodeId, ReleaseId, Rev, ShowId, TrackId};
use proptest::option::of;
use proptest::prelude::*;

fn id<T>(make: fn(&[u8; 32]) -> T) -> impl Strategy<Value = T>
where
    T: std::fmt::Debug,
{
    any::<[u8; 32]>().prop_map(move |digest| make(&digest))
}

fn text() -> impl Strategy<Value = String> {
    "[^\\x00]{1,12}"
}

fn named() -> impl Strategy<Value = ArtistName> {
    (id(ArtistId::from_digest), text()).prop_map(|(id, name)| ArtistName { id, name })
}

fn date() -> impl Strategy<Value = ReleaseDate> {
    (any::<u16>(), 1..=12_u8, 1..=31_u8, 0..3).prop_map(|(year, month, day, known)| ReleaseDate {
        year,
        month: (known > 0).then_some(month),
        day: (known > 1).then_some(day),
    })
}

fn change() -> impl Strategy<Value = Change> {
    let artist =
        (id(ArtistId::from_digest), text(), proptest::collection::vec(text(), 0..3), of(text()), 0..=NUMBER_MAX)
            .prop_map(|(id, name, aliases, art, plays)| {
                Change::Artist(Artist {
                    id,
                    sort_name: name.clone(),
                    name,
                    genres: aliases.clone(),
                    aliases,
                    art,
                    plays,
                })
            });
    let release =
        (id(ReleaseId::from_digest), text(), proptest::collection::vec(named(), 0..3), of(date()), of(text()))
            .prop_map(|(id, title, artists, date, label)| {
                Change::Release(Release {
                    id,
                    title,
                    kind: ReleaseKind::Ep,
                    artists,
                    date,
                    upc: None,
                    label,
                    genres: Vec::new(),
                    art: None,
                    tracks: 0,
                    duration_ms: 0,
                    added: 1,
                    plays: 0,
                })
            });
    let track =
        (id(TrackId::from_digest), id(ReleaseId::from_digest), text(), named(), of(-70.0..0.0_f64), 0..=NUMBER_MAX)
            .prop_map(|(id, release, title, artist, loudness_lufs, plays)| {
                let renditions = needledrop_core::Rendition::ALL.map(|rendition| TrackRendition {
                    rendition,
                    bytes: plays,
                    head_bytes: 1,
                    average_bps: 2,
                });
                Change::Track(Box::new(Track {
                    id,
                    rev: Rev::from_digest(&[1; 32]),
                    release: ReleaseName { id: release, title: title.clone(), art: None, date: None },
                    title,
                    artists: vec![artist],
                    disc_no: 1,
                    track_no: 0,
                    isrc: Some("DEABC2600001".into()),
                    duration_ms: 7,
                    loudness_lufs,
                    true_peak_dbtp: None,
                    genre: None,
                    added: 3,
                    plays,
                    renditions: renditions.into(),
                }))
            });
    let track_id = || id(TrackId::from_digest);
    let shares = (track_id(), named(), 0..=WHOLE_SHARE).prop_map(|(track, holder, micro)| {
        let share =
            |micro| Share { holder: holder.clone(), right: Right::Work, territory: Territory::parse("de").ok(), micro };
        Change::Shares { track, shares: vec![share(micro), share(WHOLE_SHARE - micro)] }
    });
    let credits = (track_id(), named())
        .prop_map(|(track, artist)| Change::Credits { track, credits: vec![Credit { artist, role: Role::Writer }] });
    let windows = (track_id(), of(0..=NUMBER_MAX), of(0..=NUMBER_MAX)).prop_map(|(track, from, until)| {
        Change::Windows { track, windows: vec![Window { territory: None, from, until }] }
    });
    let episode = (id(EpisodeId::from_digest), id(ShowId::from_digest), text(), 0..=NUMBER_MAX).prop_map(
        |(id, show, title, published)| {
            Change::Episode(Episode {
                id,
                show,
                guid: title.clone(),
                description: String::new(),
                title,
                published,
                duration_ms: None,
                enclosure: None,
                media_type: None,
                bytes: Some(1),
                link: None,
                image: Some(String::new()),
                is_explicit: true,
                season: None,
                number: Some(7),
            })
        },
    );
    let removal = track_id().prop_map(|id| Change::RemoveTrack { id });
    let plays = (track_id(), 0..=NUMBER_MAX).prop_map(|(track, added)| Change::Plays { track, added });
    prop_oneof![artist, release, track, shares, credits, windows, episode, removal, plays]
}

proptest! {
    #[test]
    fn changes_come_back_as_they_went(changes in proptest::collection::vec(change(), 0..8)) {
        let text: String = changes.iter().map(|change| line(change) + "\n").collect();
        let mut back = Vec::new();
        for batch in batches(text.as_bytes()) {
            back.extend(batch.unwrap().changes);
        }
        prop_assert_eq!(back, changes);
    }

    #[test]
    fn no_text_breaks_the_reader(text in "\\PC{0,80}") {
        let _ = batches(text.as_bytes()).collect::<Vec<_>>();
    }
}

fn complaint(text: &[u8]) -> String {
    batches(text).find_map(Result::err).expect("a complaint").to_string()
}

#[test]
fn a_bad_line_is_named_with_what_to_do() {
    let id = TrackId::from_digest(&[1; 32]);
    let good = line(&Change::RemoveTrack { id });
    assert!(complaint(format!("{good}\n\n{{oops}}").as_bytes()).starts_with("line 3: is not JSON at column 2"));
    assert!(complaint(b"{\"change\":\"fly\"}").starts_with("line 1: unknown variant `fly`"));
    assert!(complaint(b"{\"change\":\"plays\",\"track\":\"x\",\"added\":1}").contains("correct this field"));
    assert!(complaint(b"{\"change\":\"remove_track\"").contains("must end on the same line"));
    assert!(complaint(b"\xff\n").contains("convert the file to UTF-8"));
    let holder = format!("{{\"id\":\"{}\",\"name\":\"H\"}}", ArtistId::from_digest(&[2; 32]));
    let share = format!("{{\"holder\":{holder},\"right\":\"work\",\"territory\":\"DE\",\"micro\":5}}");
    let shares = format!("{{\"change\":\"shares\",\"track\":\"{id}\",\"shares\":[{share}]}}");
    let said = complaint(shares.as_bytes());
    assert!(said.contains(id.as_str()) && said.contains("DE") && said.contains("sum to 5"), "{said}");
}

#[test]
fn a_line_without_end_is_not_kept_in_memory() {
    let endless = std::io::BufReader::new(std::io::repeat(b'x'));
    let bad = batches(endless).next().unwrap().unwrap_err();
    assert!(bad.why.contains("longer than"), "{bad}");
}
