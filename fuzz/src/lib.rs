//! What the targets share: media's container parsers, the reader of feeds, and what every time index promises.
//!
//! The parsers are compiled from media's own files instead of through the crate: they need none
//! of its codecs, whose instrumented build would take minutes before every run.

#[path = "../../podcast/src/feed/mod.rs"]
#[allow(dead_code, reason = "the service uses more of it")]
pub mod feed;

#[path = "../../media/src/error.rs"]
#[allow(dead_code, reason = "the transcoder's errors are not met here")]
mod error;
#[path = "../../media/src/mp4_index.rs"]
#[allow(dead_code, reason = "some of it serves the decoders")]
pub mod mp4_index;
#[path = "../../media/src/ogg_index.rs"]
#[allow(dead_code, reason = "some of it serves the decoders")]
pub mod ogg_index;
#[path = "../../media/src/pcm.rs"]
#[allow(dead_code, reason = "only its limits are used")]
mod pcm;
#[path = "../../media/src/time_index.rs"]
#[allow(dead_code, reason = "some of it serves the transcoder")]
mod time_index;

pub use error::MediaError;
pub use pcm::MAX_SECONDS;
pub use time_index::{IndexError, TimeIndex};

/// Panics unless the index could be that of an object of `len` bytes: one entry per started
/// second, never going back, and everything inside of the object.
pub fn check_index(index: &TimeIndex, len: usize) {
    let len = len as u64;
    assert!(index.rate > 0);
    let seconds = index.frames.div_ceil(u64::from(index.rate)).max(1);
    assert_eq!(index.seconds.len() as u64, seconds);
    assert!(seconds <= MAX_SECONDS + 1);
    assert!(index.seconds.is_sorted());
    assert!(index.seconds.iter().all(|offset| *offset < len));
    assert!((1..=len).contains(&index.head_bytes));
    let exact = u128::from(index.frames) * 1000 / u128::from(index.rate);
    assert!(u128::from(index.duration_ms()).abs_diff(exact) <= 1);
}
