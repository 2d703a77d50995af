//! The writer under kills and failures, step by step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;
use crate::durable::is_disk_full;
use crate::testing::{assert_all_visible_is_whole, copy_folder, count, id_of, publish};

fn titles(vault: &Vault) -> Vec<String> {
    Library::open(vault).unwrap().list().map(|track| track.title.clone()).collect()
}

#[test]
fn a_kill_at_any_step_leaves_whole_tracks_only_and_the_next_writer_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::at(folder.path().join("data"));
    let (armed, shots) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let photograph: Hook = {
        let (armed, shots, from) = (armed.clone(), shots.clone(), vault.dir().to_owned());
        let album = folder.path().to_owned();
        Arc::new(move |_| {
            if armed.load(Ordering::Relaxed) {
                copy_folder(&from, &album.join(shots.fetch_add(1, Ordering::Relaxed).to_string()));
            }
            Ok(())
        })
    };
    let writer = Writer::open_with_hook(&vault, photograph).unwrap();
    publish(&writer, "first", b"first").unwrap();
    armed.store(true, Ordering::Relaxed);
    publish(&writer, "second", b"second").unwrap();
    writer.put_art(ArtId::of_picture(b"p"), &[(64, b"jpeg")], 0).unwrap();
    armed.store(false, Ordering::Relaxed);

    let taken = shots.load(Ordering::Relaxed);
    assert!(taken >= 12, "{taken} steps were seen");
    for shot in 0..taken {
        let vault = Vault::at(folder.path().join(shot.to_string()));
        assert_all_visible_is_whole(&vault);
        let before = titles(&vault);
        assert!(before == ["first"] || before == ["first", "second"], "{before:?} after a kill at step {shot}");
        let writer = Writer::open(&vault).unwrap();
        assert_eq!(count(&vault.tmp_dir()), 0);
        publish(&writer, "second", b"second").unwrap();
        publish(&writer, "third", b"third").unwrap();
        writer.put_art(ArtId::of_picture(b"p"), &[(64, b"jpeg")], 0).unwrap();
        assert_all_visible_is_whole(&vault);
        assert_eq!(titles(&vault), ["first", "second", "third"]);
        assert!(vault.art_manifest(&ArtId::of_picture(b"p")).unwrap().is_some());
    }
}

#[test]
fn a_failure_at_any_step_leaves_no_scrap_and_no_half_track_and_can_be_retried() {
    for failing in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::at(folder.path());
        let steps_left = Arc::new(AtomicUsize::new(usize::MAX));
        let fail: Hook = {
            let steps_left = steps_left.clone();
            Arc::new(move |_| match steps_left.fetch_sub(1, Ordering::Relaxed) {
                0 => Err(io::ErrorKind::StorageFull.into()),
                _ => Ok(()),
            })
        };
        let writer = Writer::open_with_hook(&vault, fail).unwrap();
        publish(&writer, "first", b"first").unwrap();
        steps_left.store(failing, Ordering::Relaxed);
        let Err(error) = publish(&writer, "second", b"second") else {
            assert!(failing > 8, "{failing} steps were failed");
            return;
        };
        assert!(is_disk_full(&error), "{error}");
        assert_eq!(count(&vault.tmp_dir()), 0);
        assert_all_visible_is_whole(&vault);
        assert_eq!(titles(&vault), ["first"]);
        steps_left.store(usize::MAX, Ordering::Relaxed);
        publish(&writer, "second", b"second").unwrap();
        assert_eq!(titles(&vault), ["first", "second"]);
    }
}

#[test]
fn one_folder_has_one_writer_and_any_number_of_readers() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::at(folder.path());
    let writer = Writer::open(&vault).unwrap();
    let mut reader = Library::open(&vault).unwrap();
    assert!(reader.is_empty() && !reader.refresh().unwrap());
    let Err(VaultError::Locked { holder, .. }) = Writer::open(&vault) else {
        panic!("a second writer was let in");
    };
    assert_eq!(holder, Some(std::process::id()));
    publish(&writer, "first", b"first").unwrap();
    assert!(reader.refresh().unwrap() && !reader.refresh().unwrap());
    assert_eq!(reader.get(&id_of("first")).unwrap().title, "first");
    drop(writer);
    Writer::open(&vault).unwrap();
}

#[test]
fn somebody_elses_tmp_is_not_emptied() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("tmp")).unwrap();
    fs::write(folder.path().join("tmp/thesis.txt"), "years of work").unwrap();
    assert!(matches!(Writer::open(&Vault::at(folder.path())), Err(VaultError::Damaged { .. })));
    assert!(folder.path().join("tmp/thesis.txt").exists());
}

#[test]
fn a_removed_track_is_gone_from_the_list_and_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::at(folder.path());
    let writer = Writer::open(&vault).unwrap();
    let (id, _) = publish(&writer, "first", b"first").unwrap();
    publish(&writer, "second", b"second").unwrap();
    assert!(writer.remove(&id).unwrap());
    assert!(!writer.remove(&id).unwrap());
    assert_eq!(titles(&vault), ["second"]);
    assert!(!vault.track_dir(&id).exists());
    assert_eq!(count(&vault.tmp_dir()), 0);
    publish(&writer, "first", b"first").unwrap();
    assert_eq!(titles(&vault), ["second", "first"]);
}

#[test]
fn a_superseded_rev_is_kept_for_its_listeners_and_then_swept() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::at(folder.path());
    let writer = Writer::open(&vault).unwrap();
    let (id, old) = publish(&writer, "track", b"old").unwrap();
    let (_, new) = publish(&writer, "track", b"new").unwrap();
    let at = crate::testing::PUBLISHED;
    assert_eq!(writer.sweep(at + SUPERSEDED_KEEP_SECONDS - 1).unwrap(), 0);
    assert!(vault.rev_dir(&id, &old).exists());
    // Who retags back gets the earlier rev back, and the later one is swept.
    publish(&writer, "track", b"old").unwrap();
    assert_eq!(writer.sweep(at + SUPERSEDED_KEEP_SECONDS).unwrap(), 1);
    assert!(vault.rev_dir(&id, &old).exists() && !vault.rev_dir(&id, &new).exists());
    assert_eq!(writer.sweep(u64::MAX).unwrap(), 0);
    assert_eq!(count(&vault.tmp_dir()), 0);
    assert_all_visible_is_whole(&vault);
}

#[test]
fn a_journal_of_mostly_dead_lines_is_compacted_and_followers_notice() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::at(folder.path());
    let writer = Writer::open(&vault).unwrap();
    for number in 0..40_u32 {
        publish(&writer, "again", &(number % 4).to_le_bytes()).unwrap();
    }
    publish(&writer, "other", b"other").unwrap();
    let mut reader = Library::open(&vault).unwrap();
    let lines = |vault: &Vault| fs::read_to_string(vault.journal_path()).unwrap().lines().count();
    assert_eq!(lines(&vault), 1 + 41 * 2);
    drop(writer);
    let writer = Writer::open(&vault).unwrap();
    // Two tracks with their sources, and three revs that wait to be swept.
    assert_eq!(lines(&vault), 1 + 2 * 2 + 3);
    assert_eq!(writer.sweep(u64::MAX).unwrap(), 3);
    assert_all_visible_is_whole(&vault);
    assert!(reader.refresh().unwrap());
    publish(&writer, "third", b"third").unwrap();
    assert!(reader.refresh().unwrap());
    assert_eq!(reader.list().map(|track| &*track.title).collect::<Vec<_>>(), ["again", "other", "third"]);
}

#[test]
fn an_unreadable_line_is_named_and_the_others_stay_and_it_is_never_compacted_away() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::at(folder.path());
    let writer = Writer::open(&vault).unwrap();
    publish(&writer, "first", b"first").unwrap();
    for number in 0..80_u32 {
        publish(&writer, "again", &number.to_le_bytes()).unwrap();
    }
    drop(writer);
    let text = fs::read_to_string(vault.journal_path()).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    lines.insert(2, "{\"track\":{\"id\":");
    fs::write(vault.journal_path(), lines.join("\n") + "\n{\"torn").unwrap();
    let library = Library::open(&vault).unwrap();
    assert_eq!(library.damage().iter().map(|damage| damage.line).collect::<Vec<_>>(), [3]);
    assert_eq!(titles(&vault), ["first", "again"]);
    let writer = Writer::open(&vault).unwrap();
    publish(&writer, "third", b"third").unwrap();
    assert_eq!(titles(&vault), ["first", "again", "third"]);
    assert_eq!(Library::open(&vault).unwrap().damage(), library.damage());
}

#[test]
fn a_library_of_a_later_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::at(folder.path());
    fs::write(vault.journal_path(), "{\"library\":{\"version\":99}}\n").unwrap();
    assert!(matches!(Library::open(&vault), Err(VaultError::TooNew { found: 99, .. })));
    assert!(Writer::open(&vault).is_err());
}
