//! Development certificates: made once, renewed when they must be, private where they must be.

mod world;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use needledrop_http::{Certificates, DevCerts};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    all.sort();
    all
}

fn changed(before: &[(String, Vec<u8>)], after: &[(String, Vec<u8>)]) -> Vec<String> {
    after.iter().filter(|file| !before.contains(file)).map(|(name, _)| name.clone()).collect()
}

#[test]
fn keys_are_private_and_every_pair_belongs_together() {
    let dir = tempfile::tempdir().unwrap();
    let certs = world::dev_certs(dir.path());
    for (certificate, key) in
        [(&certs.server, &certs.server_key), (&certs.origin, &certs.origin_key), (&certs.edge, &certs.edge_key)]
    {
        Certificates::load(certificate, key).unwrap();
    }
    for entry in fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        let expected = if path.extension().unwrap() == "key" { 0o600 } else { 0o644 };
        assert_eq!(mode, expected, "{}", path.display());
    }
}

#[test]
fn a_second_run_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    world::dev_certs(dir.path());
    let before = contents(dir.path());
    world::dev_certs(dir.path());
    assert!(changed(&before, &contents(dir.path())).is_empty());
}

#[test]
fn a_missing_name_makes_new_server_leaves_under_the_same_authority() {
    let dir = tempfile::tempdir().unwrap();
    world::dev_certs(dir.path());
    let before = contents(dir.path());
    let names = ["music.example".to_owned(), "192.0.2.7".to_owned(), "2001:DB8:0::7".to_owned()];
    for _ in 0..2 {
        DevCerts::ensure(dir.path(), &names, SystemTime::now()).unwrap();
        let after = contents(dir.path());
        assert_eq!(changed(&before, &after), ["origin.key", "origin.pem", "server.key", "server.pem"]);
    }
    let named = contents(dir.path());
    DevCerts::ensure(dir.path(), &names, SystemTime::now()).unwrap();
    assert!(changed(&named, &contents(dir.path())).is_empty(), "the same names again change nothing");
    DevCerts::ensure(dir.path(), &[], SystemTime::now()).unwrap();
    assert!(changed(&named, &contents(dir.path())).is_empty(), "fewer names do not either");
}

#[test]
fn what_ends_soon_is_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let now = SystemTime::now();
    DevCerts::ensure(dir.path(), &[], now).unwrap();
    let before = contents(dir.path());
    DevCerts::ensure(dir.path(), &[], now + 300 * DAY).unwrap();
    assert!(changed(&before, &contents(dir.path())).is_empty());
    DevCerts::ensure(dir.path(), &[], now + 340 * DAY).unwrap();
    let after = contents(dir.path());
    assert_eq!(changed(&before, &after).len(), 6, "all three leaves");
    DevCerts::ensure(dir.path(), &[], now + 3630 * DAY).unwrap();
    assert_eq!(changed(&after, &contents(dir.path())).len(), 8, "the authority and with it everything");
}

#[test]
fn a_lost_or_damaged_file_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let certs = world::dev_certs(dir.path());
    fs::remove_file(&certs.edge_key).unwrap();
    fs::write(&certs.server, "nonsense").unwrap();
    world::dev_certs(dir.path());
    Certificates::load(&certs.edge, &certs.edge_key).unwrap();
    Certificates::load(&certs.server, &certs.server_key).unwrap();
}

#[test]
fn a_name_that_cannot_be_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(DevCerts::ensure(dir.path(), &["h\u{f6}st".to_owned()], SystemTime::now()).is_err());
}
