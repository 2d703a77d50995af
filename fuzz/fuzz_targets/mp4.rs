//! The MP4 parser against any bytes: an index only of data that is there, entries that never go
//! back, a head inside of the object, and the same reading with and without an index.
//!
//! Input: one byte that is not used, so that seeds have the same form as those of `ogg`, then the object.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use needledrop_fuzz::{check_index, mp4_index};

fuzz_target!(|data: &[u8]| {
    let Some((_, object)) = data.split_first() else { return };
    let len = object.len() as u64;
    let read = mp4_index::read(&mut Cursor::new(object), len);
    let index = mp4_index::index(object);
    let Ok(sound) = read else {
        assert_eq!(index, Err(read.expect_err("just seen")));
        return;
    };
    assert!(sound.timescale > 0 && sound.sound > 0);
    if let Ok(index) = index {
        assert!(sound.data_end <= len);
        assert_eq!(sound.index.as_ref(), Some(&index));
        assert_eq!((index.rate, index.frames), (sound.timescale, sound.sound));
        check_index(&index, object.len());
    }
});
