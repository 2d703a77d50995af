//! The reader of feeds against any bytes: it ends, and what it gives is clean: bounded texts without control characters,
//! web URLs, no two episodes of one guid.
//!
//! Input: the bytes of a feed.

#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use needledrop_fuzz::feed::{self, EPISODES_MAX};

/// What the catalog takes, in bytes.
const LINE_MAX: usize = 1_024;
const NOTES_MAX: usize = 65_536;
const URL_MAX: usize = 8_192;

fuzz_target!(|data: &[u8]| {
    let Ok(feed) = feed::parse(data) else { return };
    line(&feed.title);
    assert!(!feed.title.is_empty());
    line(&feed.publisher);
    notes(&feed.description);
    [&feed.link, &feed.image, &feed.moved].into_iter().flatten().for_each(|text| url(text));
    assert!(feed.items.len() <= EPISODES_MAX);
    let mut guids = HashSet::new();
    for item in &feed.items {
        assert!(!item.guid.is_empty() && !item.title.is_empty());
        assert!(guids.insert(&item.guid), "{} comes twice", item.guid);
        line(&item.guid);
        line(&item.title);
        notes(&item.description);
        url(&item.enclosure);
        [&item.link, &item.image].into_iter().flatten().for_each(|text| url(text));
    }
});

fn line(text: &str) {
    assert!(text.len() <= LINE_MAX && !text.contains(char::is_control), "{text:?}");
}

fn notes(text: &str) {
    assert!(text.len() <= NOTES_MAX);
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}

fn url(text: &str) {
    assert!(text.len() <= URL_MAX && text.is_ascii() && !text.contains([' ', '\n', '\0']), "{text:?}");
    assert!(text.starts_with("http://") || text.starts_with("https://"), "{text:?}");
}
