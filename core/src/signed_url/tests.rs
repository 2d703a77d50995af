//! Signed URLs against honest players and dishonest ones.

use super::canonical::{CLAIM_NAMES, encode};
use super::*;
use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::Mac;
use proptest::prelude::*;
use std::collections::BTreeSet;

const NOW: UnixSeconds = UnixSeconds(1_760_000_000);
const EXPIRES: UnixSeconds = UnixSeconds(1_760_003_600);

fn key_id(text: &str) -> KeyId {
    KeyId::parse(text).expect("a key id")
}

fn secret() -> Secret {
    Secret::from_bytes(std::array::from_fn(|index| index as u8))
}

fn keyring() -> Keyring {
    Keyring::new(key_id("eu-1"), secret())
}

fn path(text: &str) -> ObjectPath {
    ObjectPath::parse(text).expect("a path")
}

fn object() -> ObjectPath {
    path("/tracks/0123456789ABCDEFGHIJKL/r1/160.ogg")
}

/// Every claim there is.
fn rich() -> Claims {
    Claims {
        not_before: Some(NOW),
        user: Pseudonym::parse("u.7_x-y"),
        playback: PlaybackId::parse("ABCDEFGHIJKLMNOPQRSTUV").ok(),
        head: HeadBytes::new(600_000),
        duration_ms: Some(213_000),
        next: Some(NextObject {
            path: path("/tracks/0123456789ABCDEFGHIJKM/r1/160.ogg"),
            head: HeadBytes::new(610_000),
        }),
        network: Cidr::parse("203.0.113.0/24").ok(),
        ..Claims::until(EXPIRES)
    }
}

fn plain_url() -> String {
    sign(&object(), &Claims::until(EXPIRES), &keyring())
}

fn rich_url() -> String {
    sign(&object(), &rich(), &keyring())
}

/// Signs any text at all, as a signer gone mad would.
fn sign_text(text: &str) -> String {
    let signature = sign::mac(&secret(), text.as_bytes()).finalize().into_bytes();
    format!("{text}&sig={}", Base64UrlUnpadded::encode_string(&signature))
}

fn check(target: &str) -> Result<SignedUrl, Refusal> {
    verify(target, &keyring(), NOW)
}

// --- what honest players do -----------------------------------------------------------

#[test]
fn signatures_are_those_that_another_implementation_computes() {
    // Computed with Python: base64.urlsafe_b64encode(hmac.new(bytes(range(32)), text, 'sha256').digest()).
    assert_eq!(
        plain_url(),
        "/tracks/0123456789ABCDEFGHIJKL/r1/160.ogg?exp=1760003600&kid=eu-1&sig=RLGMge5ANclTH8gvp87CMz8jHzH8g8oHbGTXJehgWwU"
    );
    assert_eq!(
        rich_url(),
        "/tracks/0123456789ABCDEFGHIJKL/r1/160.ogg?exp=1760003600&kid=eu-1&nbf=1760000000&uid=u.7_x-y&pid=ABCDEFGHIJKLMNOPQRSTUV\
         &head=600000&dur=213000&next=L3RyYWNrcy8wMTIzNDU2Nzg5QUJDREVGR0hJSktNL3IxLzE2MC5vZ2c&nhead=610000&ip=MjAzLjAuMTEzLjAvMjQ\
         &sig=qyyiZJx8cnwnA4EW3gynQl0YhJhndIWQpi3ppbPCTzg"
    );
}

#[test]
fn what_was_signed_is_what_is_read() {
    let url = check(&rich_url()).expect("genuine");
    assert_eq!((url.path(), url.claims(), url.key().as_str()), (&object(), &rich(), "eu-1"));
    assert_eq!(url.unsigned_query(), None);
    assert_eq!(url.seconds_left(NOW), 3600);
    let url = check(&plain_url()).expect("genuine");
    assert_eq!(url.claims(), &Claims::until(EXPIRES));
}

#[test]
fn claims_behind_the_key_may_stand_in_any_order() {
    let text = format!("{}?exp=1760003600&kid=eu-1&dur=5&uid=u&head=7", object());
    let url = check(&sign_text(&text)).expect("genuine");
    assert_eq!((url.claims().duration_ms, url.claims().head), (Some(5), HeadBytes::new(7)));
}

#[test]
fn what_players_append_is_handed_on_and_gives_nothing() {
    let url = rich_url();
    for suffix in [
        "CMCD=bl%3D21300%2Cnor%3D%22..%252Fb.ogg%22",
        "_=1700000000",
        "a",
        "a=b=c&d",
        "",
        "&&",
        "x%20y=1",
        "expires=1",
        "x_exp_y=1",
        "signature=1",
        "Kid2=1",
        "q=exp",
        "q=%26exp%3D1",
    ] {
        let read = check(&format!("{url}&{suffix}")).unwrap_or_else(|refusal| panic!("{suffix}: {refusal}"));
        assert_eq!((read.claims(), read.path(), read.unsigned_query()), (&rich(), &object(), Some(suffix)));
    }
}

#[test]
fn a_url_is_made_only_of_characters_that_url_libraries_leave_alone() {
    let longest = Claims {
        user: Pseudonym::parse(&"u".repeat(64)),
        next: Some(NextObject {
            path: path(&format!("/{}", "~".repeat(1023))),
            head: HeadBytes::new(u64::from(HeadBytes::MAX)),
        }),
        network: Some(Cidr::client_network("2001:db8::1".parse().expect("an address"))),
        duration_ms: Some(u32::MAX),
        expires: UnixSeconds(u64::MAX),
        ..rich()
    };
    let ring = Keyring::new(key_id(&"k".repeat(32)), secret());
    let url = sign(&path(&format!("/{}", "a".repeat(1023))), &longest, &ring);
    let (_, query) = url.split_once('?').expect("a query");
    assert!(query.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-=&".contains(&byte)), "{query}");
    assert!(url.len() < 3000, "{}", url.len());
    let read = verify(&url, &ring, NOW).expect("genuine");
    assert_eq!(read.claims(), &Claims { expires: UnixSeconds::MAX_HTTP, ..longest });
}

// --- time and place ---------------------------------------------------------------------

#[test]
fn time_is_judged_with_five_seconds_of_skew() {
    let url = rich_url();
    let at = |moment| verify(&url, &keyring(), moment).map(|_| ());
    assert_eq!(at(EXPIRES.plus(4)), Ok(()));
    assert_eq!(at(EXPIRES.plus(5)), Err(Refusal::Expired));
    assert_eq!(at(UnixSeconds(u64::MAX)), Err(Refusal::Expired));
    assert_eq!(at(NOW.minus(5)), Ok(()));
    assert_eq!(at(NOW.minus(6)), Err(Refusal::NotYetValid));
}

#[test]
fn only_a_genuine_url_is_told_that_its_time_is_over() {
    let altered = rich_url().replace("160.ogg", "320.ogg");
    assert_eq!(verify(&altered, &keyring(), UnixSeconds(u64::MAX)).map(|_| ()), Err(Refusal::NotGenuine));
}

#[test]
fn a_url_bound_to_a_network_is_refused_elsewhere() {
    let address = |text: &str| text.parse::<IpAddr>().expect("an address");
    let bound = check(&rich_url()).expect("genuine");
    assert_eq!(bound.admit(address("203.0.113.200")), Ok(()));
    assert_eq!(bound.admit(address("::ffff:203.0.113.200")), Ok(()));
    assert_eq!(bound.admit(address("203.0.114.1")), Err(Refusal::OtherNetwork));
    assert_eq!(bound.admit(address("2001:db8::1")), Err(Refusal::OtherNetwork));
    let free = check(&plain_url()).expect("genuine");
    assert_eq!(free.admit(address("2001:db8::1")), Ok(()));
}

// --- what dishonest ones try ------------------------------------------------------------

#[test]
fn altered_reordered_and_replayed_urls_are_not_genuine() {
    let url = rich_url();
    let (signed, signature) = url.split_once("&sig=").expect("signed");
    let tries = [
        url.replace("160.ogg", "320.ogg"),
        url.replace("exp=1760003600", "exp=1760003601"),
        url.replace("head=600000&dur=213000", "dur=213000&head=600000"),
        url.replace("uid=u.7_x-y", "uid=u.8_x-y"),
        url.replace("kid=eu-1", "kid=eu-2"),
        url.replace("&ip=MjAzLjAuMTEzLjAvMjQ", ""),
        url.replace("&nbf=1760000000", ""),
        url.replace("/r1/", "/r2/"),
        plain_url().replace("&sig=", "&dur=1&sig="),
        format!("{}&sig={signature}", signed.replace("JKL/r1", "JKM/r1")),
        format!("{}{}", plain_url().split_once("&sig=").expect("signed").0, &url[signed.len()..]),
    ];
    for tried in tries {
        assert_eq!(check(&tried).map(|_| ()), Err(Refusal::NotGenuine), "{tried}");
    }
}

#[test]
fn other_keys_are_not_genuine_here() {
    let other = Keyring::new(key_id("eu-1"), Secret::from_bytes([9; 32]));
    assert_eq!(check(&sign(&object(), &rich(), &other)).map(|_| ()), Err(Refusal::NotGenuine));
    let unknown = Keyring::new(key_id("us-1"), secret());
    assert_eq!(check(&sign(&object(), &rich(), &unknown)).map(|_| ()), Err(Refusal::NotGenuine));
    // The stand-in for unknown keys gives nobody a right.
    let zeros = Keyring::new(key_id("nobody"), Secret::from_bytes([0; 32]));
    assert_eq!(check(&sign(&object(), &rich(), &zeros)).map(|_| ()), Err(Refusal::NotGenuine));
}

#[test]
fn re_encoded_urls_are_refused() {
    let url = rich_url();
    for tried in [
        url.replace("160.ogg", "160%2eogg"),
        url.replace("/r1/", "%2fr1%2F"),
        url.replace("kid=eu-1", "kid=eu%2D1"),
        url.replace("exp=", "%65xp="),
        url.replace("exp=", "EXP="),
        url.replace('&', "&amp;"),
        url.replace('&', ";"),
        url.replace("exp=1760003600", "exp=+1760003600"),
        url.replace("exp=1760003600", "exp=01760003600"),
        url.replace("?exp", "?&exp"),
        url.replace("?exp", "??exp"),
        url.replace("&kid", "&&kid"),
    ] {
        assert!(matches!(check(&tried), Err(Refusal::Malformed | Refusal::Unsigned)), "{tried}");
    }
    assert_eq!(check(&url.replace("&sig=", "&%73ig=")).map(|_| ()), Err(Refusal::Unsigned));
    assert_eq!(check(&url.replace("&sig=", "&SIG=")).map(|_| ()), Err(Refusal::Unsigned));
    assert_eq!(check(&format!("https://example.org{url}")).map(|_| ()), Err(Refusal::Malformed));
}

#[test]
fn a_signature_has_one_spelling() {
    let url = plain_url();
    let (signed, signature) = url.split_once("&sig=").expect("signed");
    for tried in [
        String::new(),
        signature[1..].to_owned(),
        format!("{signature}="),
        format!("{signature}A"),
        format!("{signature}%3D"),
        format!("{signature} "),
        format!("{signature}#"),
        format!("{signature}/x"),
        format!("{signature}?x"),
        format!(" {}", &signature[1..]),
        format!("+{}", &signature[1..]),
        format!("/{}", &signature[1..]),
        // The last character carries two bits that must be zero.
        format!("{}V", &signature[..42]),
        format!("{}W", &signature[..42]),
        format!("{}X", &signature[..42]),
    ] {
        let found = check(&format!("{signed}&sig={tried}")).map(|_| ());
        assert!(matches!(found, Err(Refusal::Malformed)), "{tried}: {found:?}");
    }
    for tried in
        [format!("sig={signature}&{signed}"), signed.to_owned(), format!("{signed}&sig"), String::new(), "/".to_owned()]
    {
        assert_eq!(check(&tried).map(|_| ()), Err(Refusal::Unsigned), "{tried}");
    }
}

#[test]
fn even_a_mad_signer_cannot_make_other_forms_pass() {
    let base = format!("{}?exp=1760003600&kid=eu-1", object());
    let long_path = format!("/{}", "a".repeat(1024));
    let next = |text: &str| format!("&next={}", encode(text));
    let ip = |text: &str| format!("&ip={}", encode(text));
    let mut forms: Vec<String> = [
        "",
        "?",
        "?exp=1760003600",
        "?kid=eu-1&exp=1760003600",
        "?exp=1760003600&uid=u&kid=eu-1",
        "?exp=&kid=eu-1",
        "?exp=1e9&kid=eu-1",
        "?exp=-1&kid=eu-1",
        "?exp=9999999999999&kid=eu-1",
        "?exp=253402300800&kid=eu-1",
        "?exp=1760003600&kid=",
        "?exp=1760003600&kid=eu%201",
        "?exp&kid=eu-1",
    ]
    .map(|query| format!("{}{query}", object()))
    .to_vec();
    for extra in [
        "&exp=1760003600",
        "&kid=eu-1",
        "&exp=9960003600",
        "&uid=a&uid=a",
        "&uid=a&uid=b",
        "&dur=1&head=1&dur=1",
        "&x=1",
        "&Uid=a",
        "&uid",
        "&",
        "&uid=",
        "&uid=a%20",
        "&uid=a+b",
        "&uid=a~b",
        "&pid=short",
        "&pid=ABCDEFGHIJKLMNOPQRSTU-",
        "&head=0",
        "&head=2097153",
        "&head=007",
        "&head=-1",
        "&dur=4294967296",
        "&dur=",
        "&dur=1.5",
        "&nhead=5",
        "&nbf=x",
        "&nbf=",
        "&nbf=253402300800",
        "&next=",
        "&next=%2F",
        "&next=/a",
        "&next=L2E=",
        "&next=L2F",
        "&ip=",
        "&uid=é",
        "&uid=a\u{0}",
        "&=1",
        "&uid=a=b",
    ] {
        forms.push(format!("{base}{extra}"));
    }
    forms.extend(
        [next("a"), next("/"), next("/a/../b"), next("/a%2f"), next(&long_path), next("/a/"), next("/\u{0}")]
            .map(|claim| format!("{base}{claim}")),
    );
    forms.extend(
        [
            ip("203.0.113.0"),
            ip("203.0.113.5/24"),
            ip("::ffff:203.0.113.0/120"),
            ip("0/0"),
            ip("2001:DB8::/56"),
            ip("x"),
        ]
        .map(|claim| format!("{base}{claim}")),
    );
    for odd in [
        "/a/../b",
        "/./a",
        "//a",
        "/a//b",
        "/a/",
        "/",
        "",
        "a",
        "/%2e%2e/a",
        "/a%00",
        "/a\0b",
        "/a\\b",
        "/a b",
        "/ä",
        "/a;b",
        "/a#b",
        "/a+b",
        "*",
        long_path.as_str(),
    ] {
        forms.push(format!("{odd}?exp=1760003600&kid=eu-1"));
    }
    for form in forms {
        assert_eq!(check(&sign_text(&form)).map(|_| ()), Err(Refusal::Malformed), "{form:?}");
    }
    // The control: the same hand, signing the one right form.
    assert!(check(&sign_text(&format!("{base}&uid=a&next=L2E"))).is_ok());
}

#[test]
fn names_of_claims_behind_the_signature_are_refused_in_every_disguise() {
    let url = rich_url();
    let capitals = |name: &str| name.to_ascii_uppercase();
    let first_escaped = |name: &str| format!("%{:02x}{}", name.as_bytes()[0], &name[1..]);
    let all_escaped = |name: &str| name.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let twice_escaped = |name: &str| name.bytes().map(|byte| format!("%25{byte:02x}")).collect::<String>();
    let deeply_escaped = |name: &str| format!("%2525252525{:02x}{}", name.as_bytes()[0], &name[1..]);
    for name in CLAIM_NAMES {
        let disguises = [
            name.to_owned(),
            capitals(name),
            first_escaped(name),
            all_escaped(name),
            twice_escaped(name),
            deeply_escaped(name),
            format!("+{name}"),
            format!("{name}+"),
            format!("%20{name}"),
            format!("{name}%20"),
            format!("{name}%00"),
            format!("{name}%00x"),
            format!("{name}[]"),
            format!("{name}[0]"),
            format!("{name}%5B%5D"),
            format!("{name}%3D1%26x"),
            format!("x%26{name}"),
            format!("{name}."),
            format!("%09{name}"),
            format!("%EF%BB%BF{name}"),
            format!("?{name}"),
        ];
        for disguise in disguises {
            for query in [
                format!("{disguise}=1"),
                disguise.clone(),
                format!("a=b&{disguise}=1&c=d"),
                format!("a=b;{disguise}=1"),
                format!("&{disguise}="),
            ] {
                assert_eq!(check(&format!("{url}&{query}")).map(|_| ()), Err(Refusal::ClaimAfterSignature), "{query}");
            }
        }
    }
    // Letters of elsewhere that fold to ours: the Kelvin sign, the long s, full-width letters.
    for name in ["%E2%84%AAid", "%C5%BFig", "%EF%BD%85xp", "%u0065xp", "%"] {
        assert_eq!(check(&format!("{url}&{name}=1")).map(|_| ()), Err(Refusal::ClaimAfterSignature), "{name}");
    }
}

#[test]
fn what_is_appended_must_be_a_query() {
    let url = plain_url();
    for suffix in ["a b", "a#b", "\u{0}", "a\r\nb", "é", "a\t", "\u{7f}"] {
        assert_eq!(check(&format!("{url}&{suffix}")).map(|_| ()), Err(Refusal::Malformed), "{suffix:?}");
    }
}

#[test]
fn overlong_targets_are_refused_before_they_cost_anything() {
    let url = plain_url();
    let fill = "a".repeat(TARGET_BYTES_MAX - url.len() - 1);
    assert!(check(&format!("{url}&{fill}")).is_ok());
    assert_eq!(check(&format!("{url}&{fill}a")).map(|_| ()), Err(Refusal::TooLong));
    assert_eq!(check(&"/".repeat(TARGET_BYTES_MAX + 1)).map(|_| ()), Err(Refusal::TooLong));
}

// --- and what chance tries --------------------------------------------------------------

/// Refused, or the mutation changed nothing up to the end of the signature and so no right.
fn assert_no_new_right(original: &str, mutated: &str) {
    let Ok(found) = check(mutated) else { return };
    assert!(mutated.starts_with(original), "accepted: {mutated}");
    let genuine = check(original).expect("the original is genuine");
    assert_eq!((found.path(), found.claims(), found.key()), (genuine.path(), genuine.claims(), genuine.key()));
}

#[test]
fn every_single_edit_up_to_the_end_of_the_signature_is_refused() {
    let mut tried = 0u32;
    for url in [plain_url(), rich_url()] {
        let bytes = url.as_bytes();
        let mut try_edit = |edited: Vec<u8>| {
            // A target arrives as text; bytes that are none become U+FFFD on the way in.
            let text = String::from_utf8_lossy(&edited);
            assert!(text == url || check(&text).is_err(), "accepted: {text}");
            tried += 1;
        };
        let edit = |place: usize, removed: usize, inserted: &[u8]| {
            [&bytes[..place], inserted, &bytes[place + removed..]].concat()
        };
        for place in 0..bytes.len() {
            for byte in 0..=255u8 {
                try_edit(edit(place, 1, &[byte]));
                try_edit(edit(place, 0, &[byte]));
            }
            try_edit(edit(place, 1, b""));
            try_edit(edit(place, 1, format!("%{:02x}", bytes[place]).as_bytes()));
            try_edit(edit(place, 1, format!("%{:02X}", bytes[place]).as_bytes()));
            for end in place + 1..bytes.len().min(place + 60) {
                let mut swapped = bytes.to_vec();
                swapped.swap(place, end);
                try_edit(swapped);
                try_edit([&bytes[..end], &bytes[place..]].concat());
                try_edit([&bytes[..place], &bytes[end..]].concat());
            }
        }
    }
    assert!(tried >= 100_000, "only {tried} edits");
}

#[test]
fn no_two_genuine_urls_can_be_spliced_into_a_third() {
    let other = sign(
        &path("/tracks/0123456789ABCDEFGHIJKM/r1/96.m4a"),
        &Claims { duration_ms: Some(1), ..Claims::until(EXPIRES.plus(9)) },
        &keyring(),
    );
    let genuine: BTreeSet<&str> = BTreeSet::from([other.as_str()]);
    let one = plain_url();
    for head in 0..=one.len() {
        for tail in 0..=other.len() {
            let spliced = format!("{}{}", &one[..head], &other[tail..]);
            let accepted = check(&spliced).is_ok();
            assert!(!accepted || genuine.contains(spliced.as_str()) || spliced == one, "accepted: {spliced}");
        }
    }
}

/// One way of spoiling a text.
#[derive(Debug, Clone)]
enum Mutation {
    Flip { place: prop::sample::Index, bit: u8 },
    Insert { place: prop::sample::Index, text: String },
    Delete { place: prop::sample::Index, bytes: usize },
    Duplicate { place: prop::sample::Index, bytes: usize },
    Swap { one: prop::sample::Index, other: prop::sample::Index },
    Case { place: prop::sample::Index },
    Escape { place: prop::sample::Index },
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let place = || any::<prop::sample::Index>();
    prop_oneof![
        (place(), 0u8..8).prop_map(|(place, bit)| Mutation::Flip { place, bit }),
        (place(), "[ -~]{1,4}|&sig=|&exp=9960003600|%00|\\.\\./")
            .prop_map(|(place, text)| Mutation::Insert { place, text }),
        (place(), 1usize..20).prop_map(|(place, bytes)| Mutation::Delete { place, bytes }),
        (place(), 1usize..20).prop_map(|(place, bytes)| Mutation::Duplicate { place, bytes }),
        (place(), place()).prop_map(|(one, other)| Mutation::Swap { one, other }),
        place().prop_map(|place| Mutation::Case { place }),
        place().prop_map(|place| Mutation::Escape { place }),
    ]
}

fn mutate(text: &mut Vec<u8>, mutation: &Mutation) {
    if text.is_empty() {
        return;
    }
    let len = text.len();
    match mutation {
        Mutation::Flip { place, bit } => text[place.index(len)] ^= 1 << bit,
        Mutation::Insert { place, text: inserted } => {
            let place = place.index(len);
            text.splice(place..place, inserted.bytes());
        }
        Mutation::Delete { place, bytes } => {
            let place = place.index(len);
            text.drain(place..len.min(place + bytes));
        }
        Mutation::Duplicate { place, bytes } => {
            let place = place.index(len);
            let copy = text[place..len.min(place + bytes)].to_vec();
            text.splice(place..place, copy);
        }
        Mutation::Swap { one, other } => text.swap(one.index(len), other.index(len)),
        Mutation::Case { place } => text[place.index(len)] ^= 0x20,
        Mutation::Escape { place } => {
            let place = place.index(len);
            let escaped = format!("%{:02x}", text[place]);
            text.splice(place..=place, escaped.into_bytes());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn no_mutation_of_the_bytes_gives_a_right(rich in any::<bool>(), mutations in prop::collection::vec(mutation(), 1..5)) {
        let original = if rich { rich_url() } else { plain_url() };
        let mut bytes = original.clone().into_bytes();
        for one in &mutations {
            mutate(&mut bytes, one);
        }
        assert_no_new_right(&original, &String::from_utf8_lossy(&bytes));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn no_suffix_changes_a_right(suffix in "[&]?[ -~]{0,40}|(&(exp|kid|sig|ip|nbf|x|CMCD|%65xp|E%58P)(=[A-Za-z0-9%]{0,8})?){1,4}|\\PC{0,12}") {
        let original = rich_url();
        let extended = format!("{original}{suffix}");
        assert_no_new_right(&original, &extended);
        if let Ok(found) = check(&extended) {
            prop_assert_eq!(found.unsigned_query().map(|query| format!("&{query}")).unwrap_or_default(), suffix);
        }
    }

    #[test]
    fn any_claims_survive_the_way(exp in NOW.0..UnixSeconds::MAX_HTTP.0, nbf in prop::option::of(0..NOW.0), uid in prop::option::of("[A-Za-z0-9._-]{1,64}"), pid in prop::option::of("[A-Za-z0-9]{22}"), head in prop::option::of(1u64..=2_097_152), dur: Option<u32>, next in prop::option::of("(/[a-z~]{1,20}){1,5}"), nhead in prop::option::of(1u64..=2_097_152), ip: Option<(u128, u8)>) {
        let claims = Claims {
            expires: UnixSeconds(exp),
            not_before: nbf.map(UnixSeconds),
            user: uid.as_deref().and_then(Pseudonym::parse),
            playback: pid.and_then(|text| PlaybackId::parse(&text).ok()),
            head: head.and_then(HeadBytes::new),
            duration_ms: dur,
            next: next.map(|text| NextObject { path: path(&text), head: nhead.and_then(HeadBytes::new) }),
            network: ip.map(|(address, bits)| Cidr::around(IpAddr::V6(address.into()), bits)),
        };
        let url = sign(&object(), &claims, &keyring());
        let read = check(&url).expect("genuine");
        prop_assert_eq!(read.claims(), &claims);
        prop_assert_eq!(read.path(), &object());
    }

    #[test]
    fn any_text_is_read_without_a_panic(target in "\\PC{0,80}|/[a-z/.%]{0,20}\\?exp=[0-9]{0,14}&kid=[a-z%]{0,5}(&[a-z]{2,5}=[A-Za-z0-9%._-]{0,9}){0,3}&sig=[A-Za-z0-9_-]{42,44}(&[ -~]{0,9})?") {
        prop_assert!(check(&target).is_err());
    }
}
