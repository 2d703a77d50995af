//! The Ogg parser against any bytes: the same index whole or in slices, entries that are pages of
//! the object and never go back, and a head inside of it.
//!
//! Input: one byte that says how to slice, then the object.

#![no_main]

use libfuzzer_sys::fuzz_target;
use needledrop_fuzz::{check_index, ogg_index};

fuzz_target!(|data: &[u8]| {
    let Some((slicing, object)) = data.split_first() else { return };
    let whole = ogg_index::index(object);

    let mut walk = ogg_index::Walk::new();
    let slices = object.chunks(usize::from(*slicing % 64) + 1);
    let sliced = slices.map(|slice| walk.push(slice)).find(Result::is_err).unwrap_or(Ok(()));
    assert_eq!(sliced.and_then(|()| walk.finish()), whole);

    let Ok(index) = whole else { return };
    check_index(&index, object.len());
    for offset in &index.seconds {
        assert!(object[*offset as usize..].starts_with(b"OggS"));
    }
});
