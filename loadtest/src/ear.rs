//! Ears: what listens to an answer while it comes, with the instant of every byte.

use std::{ops::ControlFlow, time::Instant};

use http::StatusCode;

use crate::{
    cache_said::said_of_cache,
    client::{Answer, Failure, Head, Reader},
    measured::{Cache, Trouble},
    needle::when,
    sound::BEGINNING_BYTES_MAX,
    sounds::Claim,
    world::World,
};

/// Instants kept of one answer; more are merged, the last one stays exact.
const MARKS_MAX: usize = 8_192;

/// What came of one answer.
pub struct Heard {
    /// Instants, and how many bytes had come by then.
    pub log: Vec<(Instant, u64)>,
    /// Length of the object, if the answer says it.
    pub length: Option<u64>,
    /// What the answer says about its cache.
    pub cache: Cache,
    /// The first bytes, if it is ours to have this object decoded.
    pub kept: Option<(Claim, Vec<u8>)>,
}

impl Heard {
    /// How many there are.
    pub fn bytes(&self) -> u64 {
        self.log.last().map_or(0, |(_, bytes)| *bytes)
    }

    /// When the `bytes`-th byte came.
    pub fn at(&self, bytes: u64) -> Option<Instant> {
        when(&self.log, bytes)
    }
}

/// Reads the answer to a request for music.
pub struct Ear<'a> {
    world: &'a World,
    path: &'a str,
    first: u64,
    last: u64,
    /// So far.
    pub heard: Heard,
    status: StatusCode,
    checked: u64,
    wrong_at: Option<u64>,
}

impl<'a> Ear<'a> {
    /// Listens for these bytes, the last one included, of the object at this path.
    pub fn new(world: &'a World, path: &'a str, first: u64, last: u64) -> Self {
        let claim = (first == 0).then(|| world.sounds.claim(path)).flatten();
        let kept = claim.map(|claim| (claim, Vec::new()));
        let heard = Heard { log: Vec::new(), length: None, cache: Cache::Unsaid, kept };
        Self { world, path, first, last, heard, status: StatusCode::OK, checked: 0, wrong_at: None }
    }

    /// What was heard, or what is wrong with it.
    ///
    /// # Errors
    /// Another status than was hoped for, other bytes than the object's, or none.
    pub fn finish(self, answer: &Answer) -> Result<Heard, Failure> {
        self.world.tally().checked_bytes += self.checked;
        if let Some(at) = self.wrong_at {
            let sentence =
                format!("{}: other bytes than the object's within {} bytes from {at} on", self.path, answer.body_bytes);
            return Err(Failure { trouble: Trouble::Bytes, sentence });
        }
        let is_range = self.status == StatusCode::PARTIAL_CONTENT;
        let is_whole = self.status == StatusCode::OK && self.first == 0;
        if !is_range && !is_whole {
            let sentence = || format!("{} to {} bytes={}-{}", self.status, self.path, self.first, self.last);
            return Err(failure_of(self.status, sentence));
        }
        if self.heard.log.is_empty() {
            let sentence = format!("{}: an answer without a byte", self.path);
            return Err(Failure { trouble: Trouble::Length, sentence });
        }
        Ok(self.heard)
    }
}

impl Reader for Ear<'_> {
    fn head(&mut self, head: &Head) {
        self.status = head.status;
        self.heard.cache = said_of_cache(&head.fields);
        self.heard.length = match head.content_range {
            Some(range) => range.total,
            None => head.length,
        };
    }

    fn body(&mut self, at: Instant, bytes: &[u8]) -> ControlFlow<()> {
        if !self.status.is_success() {
            return ControlFlow::Break(());
        }
        let have = self.heard.bytes();
        if self.heard.log.len() >= MARKS_MAX {
            self.heard.log.pop();
        }
        self.heard.log.push((at, have + bytes.len() as u64));
        if let Some((_, kept)) = &mut self.heard.kept {
            let room = BEGINNING_BYTES_MAX.saturating_sub(kept.len()).min(bytes.len());
            kept.extend_from_slice(&bytes[..room]);
        }
        match self.world.book.agrees(self.path, self.first + have, bytes) {
            Some(true) => self.checked += bytes.len() as u64,
            Some(false) => {
                self.wrong_at = Some(self.first + have);
                return ControlFlow::Break(());
            }
            None => {}
        }
        ControlFlow::Continue(())
    }
}

/// Reads a page of a gateway.
pub struct Page {
    /// The answer's status.
    pub status: StatusCode,
    /// Its body.
    pub body: Vec<u8>,
}

/// Longest page that is read. Unit: bytes. Ten thousand tracks are about 6 MB.
const PAGE_BYTES_MAX: usize = 32 << 20;

impl Reader for Page {
    fn head(&mut self, head: &Head) {
        self.status = head.status;
    }

    fn body(&mut self, _: Instant, bytes: &[u8]) -> ControlFlow<()> {
        self.body.extend_from_slice(bytes);
        if self.body.len() > PAGE_BYTES_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Reads without looking, to use a connection; leaves a server that sends more than was asked for.
pub struct Deaf {
    /// How many bytes it takes.
    pub left: u64,
}

impl Reader for Deaf {
    fn head(&mut self, _: &Head) {}

    fn body(&mut self, _: Instant, bytes: &[u8]) -> ControlFlow<()> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.unwrap_or(0);
        if left.is_none() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// What an answer with another status than was hoped for is to a listener.
pub fn failure_of(status: StatusCode, sentence: impl FnOnce() -> String) -> Failure {
    let trouble = match status.as_u16() {
        429 | 503 => Trouble::Overload,
        500.. => Trouble::Server,
        400..500 => Trouble::Refused,
        _ => Trouble::Protocol,
    };
    Failure { trouble, sentence: sentence() }
}
