//! A time index: for every second of a rendition, the byte from which that second can be played.
//!
//! The container parsers feed [`Builder`] with places where decoding may start; this file knows
//! nothing of containers.

use crate::pcm::MAX_SECONDS;

/// The head of an object is the bytes that are needed for this many seconds of sound.
pub const HEAD_SECONDS: u64 = 30;

/// Why an object has no time index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// The bytes are no object of this container.
    #[error("not this container")]
    NotThisFormat,
    /// The object ends early.
    #[error("truncated")]
    Truncated,
    /// The structure breaks.
    #[error("damaged at byte {at}")]
    Damaged {
        /// Where it breaks, as near as can be told.
        at: u64,
    },
    /// Longer than [`MAX_SECONDS`](crate::MAX_SECONDS), or with tables of hostile size.
    #[error("too long")]
    TooLong,
    /// There is no sound in it that this parser understands.
    #[error("no sound")]
    NoSound,
}

/// What the container's own timing says about an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeIndex {
    /// Entry `s` is the byte offset from which a decoder that has the setup headers can produce
    /// second `s`; one entry per started second, at least one, never decreasing.
    pub seconds: Vec<u64>,
    /// Bytes from the start of the object that suffice for the first [`HEAD_SECONDS`] of sound; the
    /// whole object when it is shorter.
    pub head_bytes: u64,
    /// Sound in the object, in frames of `rate`, without encoder delay and padding.
    pub frames: u64,
    /// Frames per second.
    pub rate: u32,
}

impl TimeIndex {
    /// Length of the sound in milliseconds, rounded.
    pub fn duration_ms(&self) -> u64 {
        frames_to_ms(self.frames, self.rate)
    }
}

/// Frames to milliseconds, rounded to nearest.
pub(crate) fn frames_to_ms(frames: u64, rate: u32) -> u64 {
    let rate = u128::from(rate.max(1));
    let ms = (u128::from(frames) * 1000 + rate / 2) / rate;
    u64::try_from(ms).unwrap_or(u64::MAX)
}

/// Collects entry points in the order of the file and turns them into one offset per second.
#[derive(Debug)]
pub(crate) struct Builder {
    rate: u32,
    seconds: Vec<u64>,
    current: Option<u64>,
}

impl Builder {
    /// `rate` is clamped to at least 1 Hz.
    pub(crate) fn new(rate: u32) -> Self {
        Self { rate: rate.max(1), seconds: Vec::new(), current: None }
    }

    /// Decoding from byte `offset` yields every frame from `first_frame` on. Frames that do not
    /// grow are kept for the earlier offset.
    ///
    /// Returns false when the sound is longer than [`MAX_SECONDS`].
    pub(crate) fn entry(&mut self, offset: u64, first_frame: u64) -> bool {
        if first_frame / u64::from(self.rate) > MAX_SECONDS {
            return false;
        }
        if let Some(current) = self.current {
            while self.next_second_frame() < first_frame {
                self.seconds.push(current);
            }
        }
        self.current = Some(offset);
        true
    }

    /// The whole sound has `frames`; `None` when that is longer than [`MAX_SECONDS`], or when no
    /// entry was ever given.
    pub(crate) fn finish(mut self, frames: u64) -> Option<Vec<u64>> {
        let current = self.current?;
        if frames / u64::from(self.rate) > MAX_SECONDS {
            return None;
        }
        let wanted = frames.div_ceil(u64::from(self.rate)).max(1) as usize;
        self.seconds.resize(wanted.max(self.seconds.len()), current);
        self.seconds.truncate(wanted);
        Some(self.seconds)
    }

    fn next_second_frame(&self) -> u64 {
        self.seconds.len() as u64 * u64::from(self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_belongs_to_the_last_entry_that_can_produce_it() {
        let mut builder = Builder::new(10);
        assert!(builder.entry(100, 0));
        assert!(builder.entry(200, 10));
        assert!(builder.entry(300, 11));
        assert!(builder.entry(400, 35));
        assert_eq!(builder.finish(40).unwrap(), [100, 200, 300, 300]);
    }

    #[test]
    fn a_hostile_length_is_refused_before_memory_is_spent() {
        let mut builder = Builder::new(1);
        assert!(builder.entry(1, 0));
        assert!(!builder.entry(2, u64::MAX));
        assert_eq!(builder.finish(u64::MAX), None);
    }
}
