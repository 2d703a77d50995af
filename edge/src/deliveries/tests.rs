use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command as Process, Stdio},
};

use needledrop_core::{ByteRange, Intervals, ObjectPath, PlaybackId, UnixSeconds};
use needledrop_http::{End, Protocol};

use super::{record::seq_of, *};

const ROOMY: u64 = 64 << 20;

fn open(dir: &Path, bytes_max: u64) -> Deliveries {
    Deliveries::open(dir, bytes_max, Clock::manual(UnixSeconds(1_700_000_000))).unwrap()
}

fn delivery(number: u64) -> Delivery {
    let mut bytes = Intervals::new();
    bytes.add(ByteRange::new(number, number + 10).unwrap());
    Delivery {
        at: UnixSeconds(1_700_000_000 + number),
        playback: PlaybackId::from_random([3; 16]),
        path: ObjectPath::parse("/tracks/a/b/160.ogg").unwrap(),
        len: 1 << 20,
        bytes,
        end: End::Sent,
        protocol: Protocol::H3,
    }
}

/// Everything behind a number, in pages, with the numbers checked to rise by one.
fn all(log: &Deliveries, since: u64) -> Vec<serde_json::Value> {
    let (mut at, mut values) = (since, Vec::new());
    loop {
        let page = log.read(at, 1_000).unwrap();
        if page.through == at {
            return values;
        }
        for line in page.lines.lines() {
            at += 1;
            assert_eq!(seq_of(line), Some(at), "{line}");
            values.push(serde_json::from_str(line).unwrap());
        }
        assert_eq!(page.through, at);
    }
}

fn kinds(values: &[serde_json::Value]) -> Vec<&str> {
    values.iter().map(|value| value["kind"].as_str().unwrap()).collect()
}

#[test]
fn records_outlast_the_process_and_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let log = open(dir.path(), ROOMY);
        log.record(delivery(1));
        log.record(delivery(2));
    }
    let log = open(dir.path(), ROOMY);
    let values = all(&log, 0);
    let session = ["started", "delivery", "delivery", "stopped"];
    assert_eq!(kinds(&values), [&session[..], &session, &["started"]].concat());
    assert!(values.iter().all(|value| value["kind"] != "started" || value["clean"] == true));
    assert_eq!(values[1]["bytes"], serde_json::json!([[1, 11]]));
    assert_eq!(values[1]["at"], 1_700_000_001u64);
}

#[test]
fn what_was_acknowledged_goes_and_what_was_not_stays() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 64 << 10);
    for number in 0..150 {
        log.record(delivery(number));
        // A commit each, so that the log rotates.
        log.flush();
    }
    let is_segment = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|kind| kind == "jsonl");
    let files = || std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap).filter(is_segment).count();
    let before = files();
    assert!(before >= 4, "{before} files");
    let middle = 70;
    log.acknowledge(middle).unwrap();
    assert!(files() < before);
    let left = all(&log, middle);
    assert_eq!(left.len(), 151 - middle as usize);
    // Asking for what was shipped gives what comes behind it.
    assert_eq!(seq_of(log.read(0, 1).unwrap().lines.trim_end()), Some(middle + 1));
    drop(log);

    let log = open(dir.path(), 64 << 10);
    assert_eq!(log.standing().acknowledged, middle);
    let last = log.standing().last;
    log.acknowledge(u64::MAX).unwrap();
    assert_eq!(log.standing().acknowledged, last);
    assert_eq!(log.read(0, 1_000).unwrap(), Page { lines: String::new(), through: last });
    log.record(delivery(9));
    log.flush();
    assert_eq!(kinds(&all(&log, last)), ["delivery"]);
}

#[test]
fn a_full_log_keeps_the_old_refuses_the_new_and_says_how_many() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 16 << 10);
    for number in 0..200 {
        log.record(delivery(number));
    }
    log.flush();
    let values = all(&log, 0);
    assert_eq!(values.last().unwrap()["kind"], "full");
    let kept = kinds(&values).iter().filter(|kind| **kind == "delivery").count() as u64;
    assert!(kept > 30 && log.standing().refused == 200 - kept);
    assert!(log.standing().bytes <= 16 << 10);

    log.acknowledge(values.len() as u64).unwrap();
    log.record(delivery(500));
    log.flush();
    let values = all(&log, values.len() as u64);
    assert_eq!(kinds(&values), ["gap", "delivery"]);
    assert_eq!(values[0]["missing"], 200 - kept);
}

#[test]
fn a_torn_line_is_dropped_and_its_number_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), ROOMY);
    log.record(delivery(1));
    log.flush();
    let whole = all(&log, 0).len() as u64;
    drop(log);
    let path = dir.path().join(format!("{:020}.jsonl", 1));
    let text = std::fs::read_to_string(&path).unwrap();
    let stopped = text.lines().last().unwrap().len() + 1;
    for torn in [1, 2, stopped / 2, stopped - 1, stopped] {
        // As if the process had been killed in the middle of its last line.
        std::fs::write(&path, &text[..text.len() - torn]).unwrap();
        let log = open(dir.path(), ROOMY);
        let values = all(&log, whole);
        assert_eq!(kinds(&values), ["started"], "{torn} bytes torn off");
        assert_eq!(values[0]["clean"], false);
        drop(log);
    }
    // Zeroes where the file had grown but its pages had not been written.
    std::fs::write(&path, [text.as_bytes(), &[0; 500]].concat()).unwrap();
    assert_eq!(kinds(&all(&open(dir.path(), ROOMY), whole)), ["stopped", "started"]);
}

#[test]
fn a_kill_while_records_were_refused_leaves_a_gap_of_unknown_size() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 16 << 10);
    (0..200).for_each(|number| log.record(delivery(number)));
    log.flush();
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let log = open(copy.path(), 16 << 10);
    let values = all(&log, 0);
    let end = &values[values.len() - 3..];
    assert_eq!(kinds(end), ["full", "gap", "started"]);
    assert!(end[1]["missing"].is_null());
}

/// The life of the process that is killed: records and tells what it knows to be on the disk.
#[test]
#[ignore = "run by the test below, in a process of its own"]
#[allow(clippy::print_stdout, reason = "it tells its parent")]
fn child_that_records_until_it_is_killed() {
    let Some(dir) = std::env::var_os("NEEDLEDROP_TEST_DELIVERIES") else { return };
    let log = open(Path::new(&dir), 1 << 20);
    for number in 0.. {
        log.record(delivery(number));
        if number % 7 == 0 {
            log.flush();
            println!("\ncommitted {}", log.standing().last);
        }
    }
}

#[test]
fn kill_9_at_any_moment_loses_nothing_that_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    let mut committed = 0;
    for round in 0..12 {
        let mut child = Process::new(std::env::current_exe().unwrap())
            .args(["--exact", "deliveries::tests::child_that_records_until_it_is_killed", "--ignored", "--nocapture"])
            .env("NEEDLEDROP_TEST_DELIVERIES", dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let told = lines.filter_map(|line| line.strip_prefix("committed ")?.parse::<u64>().ok());
        committed = told.take(2 + round * 3).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let log = open(dir.path(), 1 << 20);
    let values = all(&log, 0);
    assert!(values.len() as u64 > committed);
    let unclean = values.iter().filter(|value| value["clean"] == false).count();
    assert_eq!(unclean, 12, "each kill is written down by the start after it");
}
