//! Clients take queries apart and put them together again; a signed URL must come out as it went in.

use needledrop_core::signed_url::{Pseudonym, Secret};
use needledrop_core::{
    Cidr, Claims, HeadBytes, KeyId, Keyring, NextObject, ObjectPath, PlaybackId, UnixSeconds, sign, verify,
};
use url::Url;

#[test]
fn a_query_rewritten_by_the_url_crate_still_verifies() {
    let keyring = Keyring::new(KeyId::parse("k.1_a-b").unwrap(), Secret::from_bytes([1; 32]));
    let path = ObjectPath::parse("/tracks/a/b_~-.x/160.ogg").unwrap();
    let claims = Claims {
        not_before: Some(UnixSeconds(1)),
        user: Pseudonym::parse("some_body.7-x"),
        playback: Some(PlaybackId::from_random([3; 16])),
        head: HeadBytes::new(600_000),
        duration_ms: Some(200_000),
        next: Some(NextObject { path: ObjectPath::parse("/tracks/c/d/160.ogg").unwrap(), head: HeadBytes::new(1) }),
        network: Some(Cidr::parse("2001:db8::/56").unwrap()),
        ..Claims::until(UnixSeconds(2_000))
    };
    let target = sign(&path, &claims, &keyring);
    let mut url = Url::parse(&format!("https://edge.example{target}&CMCD=br%3D160%2Cot%3Da")).unwrap();
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    url.query_pairs_mut().clear().extend_pairs(pairs);
    let rewritten = format!("{}?{}", url.path(), url.query().unwrap());
    let verified = verify(&rewritten, &keyring, UnixSeconds(1_000)).expect("the rewriting changes no signed byte");
    assert_eq!(verified.claims(), &claims);
    assert!(rewritten.starts_with(&target));
}
