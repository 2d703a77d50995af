//! Which object's head may be fetched ahead because of a request, and until when it is due.
//!
//! Only a signature gives the right: the claim `next` of the URL that is played, or a valid
//! signed URL that the player names itself. Players may point at either with a relative
//! path (CMCD `nor`); what points elsewhere is as if unsaid.

use std::net::IpAddr;

use super::cmcd::{Cmcd, NextRequest};
use super::reference::{Resolved, resolve};
use crate::block::HEAD_BYTES_DEFAULT;
use crate::object_path::ObjectPath;
use crate::range::{ByteRange, RangeSpec};
use crate::signed_url::{HeadBytes, Keyring, SignedUrl, verify};
use crate::time::UnixSeconds;

/// How much longer than the current track a head is kept for: a short pause, a slow line. Unit: seconds.
pub const MARGIN_SECONDS: u64 = 60;

/// For how long a head is kept if nobody said how long the current track is: two tracks' time. Unit: seconds.
pub const UNTOLD_SECONDS: u64 = 480;

/// The longest time a head is kept for, so that an audio book does not hold the next one all
/// day. Unit: seconds.
pub const AHEAD_SECONDS_MAX: u64 = 3 * 3_600;

/// A request that plays: its URL, and who sent it.
#[derive(Debug, Clone, Copy)]
pub struct Play<'a> {
    /// The URL, verified and admitted.
    pub url: &'a SignedUrl,
    /// The client's address, to which a named URL may be bound.
    pub client: IpAddr,
}

/// A head that may be fetched ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The object.
    pub path: ObjectPath,
    /// The length of its head, if a signature says it.
    pub head: Option<HeadBytes>,
    /// The bytes of it that are wanted; all of them inside of the head, or of what heads usually are.
    pub range: ByteRange,
}

impl Target {
    /// The whole head of an object.
    pub fn head(path: ObjectPath, head: Option<HeadBytes>) -> Self {
        let usual = ByteRange::whole(HEAD_BYTES_DEFAULT);
        let range = head.map_or(usual, |head| ByteRange::whole(head.get())).expect("a head has bytes");
        Self { path, head, range }
    }

    /// The head of the object that a signed URL gives the right to.
    pub fn of_url(url: &SignedUrl) -> Self {
        Self::head(url.path().clone(), url.claims().head)
    }

    /// Only what is asked for of it; `None` if that is nothing. The end of an object is not in its head.
    fn clipped(self, asked: Option<RangeSpec>) -> Option<Self> {
        let range = match asked {
            None => Some(self.range),
            Some(RangeSpec::From(first)) => ByteRange::new(first, self.range.end()),
            Some(RangeSpec::Between(first, last)) => {
                ByteRange::new(first, self.range.end().min(last.saturating_add(1)))
            }
            Some(RangeSpec::Suffix(_)) => None,
        };
        Some(Self { range: range?, ..self })
    }
}

/// What may be fetched ahead because of this request: what its player announces, if that
/// counts, else what its URL says will be next.
pub fn target(play: Play<'_>, cmcd: Option<&Cmcd>, keyring: &Keyring, now: UnixSeconds) -> Option<Target> {
    let announced = cmcd.into_iter().flat_map(|cmcd| &cmcd.next);
    announced.filter_map(|next| announced_target(play, next, keyring, now)).next().or_else(|| claimed(play.url))
}

/// The claims `next` and `nhead`.
fn claimed(url: &SignedUrl) -> Option<Target> {
    let next = url.claims().next.as_ref().filter(|next| next.path != *url.path())?;
    Some(Target::head(next.path.clone(), next.head))
}

fn announced_target(play: Play<'_>, next: &NextRequest, keyring: &Keyring, now: UnixSeconds) -> Option<Target> {
    let found = resolve(play.url.path(), &next.reference)?;
    // More of what is being played is not what comes next.
    if found.path == *play.url.path() {
        return None;
    }
    let target = claimed(play.url)
        .filter(|claimed| claimed.path == found.path)
        .or_else(|| right_of_its_own(play, &found, keyring, now))?;
    target.clipped(next.range)
}

fn right_of_its_own(play: Play<'_>, found: &Resolved, keyring: &Keyring, now: UnixSeconds) -> Option<Target> {
    let url = verify(&found.target(), keyring, now).ok()?;
    url.admit(play.client).ok()?;
    Some(Target::of_url(&url))
}

/// When the track after this one is due, with a margin: a request for bytes from `start` of
/// `len` comes no later than these bytes are played.
pub fn due(url: &SignedUrl, start: u64, len: u64, now: UnixSeconds) -> UnixSeconds {
    let Some(duration_ms) = url.claims().duration_ms else { return now.plus(UNTOLD_SECONDS) };
    let left = u128::from(len.saturating_sub(start)) * u128::from(duration_ms) / u128::from(len.max(1));
    let seconds = u64::try_from(left.div_ceil(1_000)).expect("no more than the duration, which has 32 bits");
    now.plus((seconds + MARGIN_SECONDS).min(AHEAD_SECONDS_MAX))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::network::Cidr;
    use crate::signed_url::{Claims, KeyId, NextObject, Secret, sign};

    const NOW: UnixSeconds = UnixSeconds(1_760_000_000);
    const HERE: &str = "/tracks/A/r1/160.ogg";
    const NEXT: &str = "/tracks/B/r1/160.ogg";
    const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

    fn path(text: &str) -> ObjectPath {
        ObjectPath::parse(text).expect("a plain path")
    }

    fn keyring() -> Keyring {
        Keyring::new(KeyId::parse("k").expect("a key id"), Secret::from_bytes([7; 32]))
    }

    fn claims() -> Claims {
        Claims::until(NOW.plus(600))
    }

    fn next_claims() -> Claims {
        let next = NextObject { path: path(NEXT), head: HeadBytes::new(600_000) };
        Claims { next: Some(next), duration_ms: Some(200_000), ..claims() }
    }

    fn url(path_text: &str, claims: &Claims) -> SignedUrl {
        verify(&sign(&path(path_text), claims, &keyring()), &keyring(), NOW).expect("a valid URL")
    }

    fn planned(claims: &Claims, cmcd: &str) -> Option<(String, u64, u64)> {
        let url = url(HERE, claims);
        let cmcd = Cmcd::parse(cmcd).expect("CMCD that parses");
        let found = target(Play { url: &url, client: CLIENT }, Some(&cmcd), &keyring(), NOW)?;
        Some((found.path.to_string(), found.range.start(), found.range.end()))
    }

    fn whole_head() -> Option<(String, u64, u64)> {
        Some((NEXT.to_owned(), 0, 600_000))
    }

    #[test]
    fn the_signed_next_counts_without_a_word_from_the_player() {
        assert_eq!(planned(&next_claims(), ""), whole_head());
        assert_eq!(planned(&claims(), ""), None);
        let untold = Claims { next: Some(NextObject { path: path(NEXT), head: None }), ..claims() };
        assert_eq!(planned(&untold, ""), Some((NEXT.to_owned(), 0, HEAD_BYTES_DEFAULT)));
    }

    #[test]
    fn an_announcement_of_the_signed_next_is_clipped_to_its_head() {
        let planned = |cmcd: &str| planned(&next_claims(), cmcd);
        assert_eq!(planned(r#"nor="..%2F..%2FB%2Fr1%2F160.ogg""#), whole_head());
        assert_eq!(planned(r#"nor="../../B/r1/160.ogg",nrr="0-524287""#), Some((NEXT.to_owned(), 0, 524_288)));
        assert_eq!(
            planned(r#"nor=("../../B/r1/160.ogg";r="131072-9999999")"#),
            Some((NEXT.to_owned(), 131_072, 600_000))
        );
        assert_eq!(planned(r#"nor="/tracks/B/r1/160.ogg",nrr="0-18446744073709551615""#), whole_head());
    }

    #[test]
    fn an_announcement_that_leads_elsewhere_is_as_if_unsaid() {
        let elsewhere = [
            r#"nor="../../C/r1/160.ogg""#,
            r#"nor="160.ogg",nrr="524288-""#,
            r#"nor="//evil.example/tracks/B/r1/160.ogg""#,
            r#"nor="../../../../../etc/passwd""#,
            r#"nor="../../B/r1/160.ogg",nrr="600000-700000""#,
            r#"nor="../../B/r1/160.ogg",nrr="-500""#,
        ];
        for cmcd in elsewhere {
            assert_eq!(planned(&next_claims(), cmcd), whole_head(), "{cmcd}");
            assert_eq!(planned(&claims(), cmcd), None, "{cmcd}");
        }
    }

    #[test]
    fn a_signed_url_that_the_player_names_has_a_right_of_its_own() {
        let other =
            sign(&path("/tracks/C/r1/160.ogg"), &Claims { head: HeadBytes::new(500_000), ..claims() }, &keyring());
        let cmcd = format!(r#"nor="../../..{other}",nrr="0-999999999""#);
        assert_eq!(planned(&next_claims(), &cmcd), Some(("/tracks/C/r1/160.ogg".to_owned(), 0, 500_000)));
        assert_eq!(planned(&claims(), &cmcd), Some(("/tracks/C/r1/160.ogg".to_owned(), 0, 500_000)));
        let forged = cmcd.replace("&sig=", "&sig=A");
        assert_eq!(planned(&claims(), &forged), None);
    }

    #[test]
    fn a_named_url_that_is_over_or_bound_to_another_network_gives_nothing() {
        let name = |claims: &Claims| format!(r#"nor="{}""#, sign(&path("/tracks/C/r1/160.ogg"), claims, &keyring()));
        assert_eq!(planned(&claims(), &name(&Claims::until(NOW.minus(60)))), None);
        let bound = |network: &str| Claims { network: Cidr::parse(network).ok(), ..claims() };
        assert_eq!(planned(&claims(), &name(&bound("198.51.100.0/24"))), None);
        assert!(planned(&claims(), &name(&bound("203.0.113.0/24"))).is_some());
    }

    #[test]
    fn the_first_announcement_that_counts_is_taken() {
        let cmcd = r#"nor=("../../X/r1/160.ogg" "../../B/r1/160.ogg";r="0-99")"#;
        assert_eq!(planned(&next_claims(), cmcd), Some((NEXT.to_owned(), 0, 100)));
    }

    #[test]
    fn a_track_that_follows_itself_needs_no_fetching() {
        let again = Claims { next: Some(NextObject { path: path(HERE), head: None }), ..claims() };
        assert_eq!(planned(&again, ""), None);
    }

    #[test]
    fn the_next_track_is_due_when_the_rest_of_this_one_is_over() {
        let play = url(HERE, &next_claims());
        assert_eq!(due(&play, 0, 4_000_000, NOW), NOW.plus(200 + MARGIN_SECONDS));
        assert_eq!(due(&play, 3_000_000, 4_000_000, NOW), NOW.plus(50 + MARGIN_SECONDS));
        assert_eq!(due(&url(HERE, &claims()), 0, 1, NOW), NOW.plus(UNTOLD_SECONDS));
        let book = Claims { duration_ms: Some(u32::MAX), ..claims() };
        assert_eq!(due(&url(HERE, &book), 0, 1, NOW), NOW.plus(AHEAD_SECONDS_MAX));
    }

    proptest! {
        #[test]
        fn whatever_is_announced_stays_inside_of_the_head(first in 0u64..1 << 21, last in any::<u64>(), open in any::<bool>()) {
            let last = if open { String::new() } else { last.max(first).to_string() };
            let (_, start, end) = planned(&next_claims(), &format!(r#"nor="{NEXT}",nrr="{first}-{last}""#)).unwrap();
            prop_assert!(start < end && end <= 600_000);
        }

        #[test]
        fn what_is_due_never_lies_behind(start in any::<u64>(), len in any::<u64>()) {
            let due = due(&url(HERE, &next_claims()), start, len, NOW);
            prop_assert!(due > NOW && due <= NOW.plus(200 + MARGIN_SECONDS));
        }
    }
}
