//! From the segments of an answer to bytes: present blocks by slice, flying ones as they arrive.

use std::sync::Arc;

use bytes::Bytes;
use needledrop_core::{BLOCK_BYTES, Segment, cdn_loop::Chain};

use crate::{
    ahead::reach,
    cache::{Found, Look},
    error::FillError,
    flight::{Flight, Interest, Piece},
    object::Object,
    shelf::Shelf,
    slab::{Damaged, Held, Loaded, Pin},
};

/// How often a block may be looked for anew before the reader gives up: its flight was
/// deserted, or it was evicted between its storing and this reader's turn. Unit: looks.
const LOOKS_MAX: u32 = 8;

/// Reads one answer's body. Dropping it takes back its interest in running fills.
pub struct Reader {
    shelf: Arc<Shelf>,
    object: Arc<Object>,
    chain: Chain,
    segments: std::vec::IntoIter<Segment>,
    /// The first block of the range being read.
    part_first: u32,
    /// What is left of it: from here,
    position: u64,
    /// to here.
    end: u64,
    flight: Option<Arc<Flight>>,
    interests: Vec<Interest>,
    prefetched: bool,
    /// The slots that its bytes hold.
    held: Held,
}

impl Reader {
    /// A reader of `segments` of one version.
    pub fn new(shelf: Arc<Shelf>, object: Arc<Object>, segments: Vec<Segment>) -> Self {
        let segments = segments.into_iter();
        let (chain, flight, interests, held) = (Chain::default(), None, Vec::new(), Held::default());
        let (part_first, position, end, prefetched) = (0, 0, 0, false);
        Self { shelf, object, chain, segments, part_first, position, end, flight, interests, prefetched, held }
    }

    /// The same for a request that has passed the nodes of `chain`.
    #[must_use]
    pub fn on_behalf_of(mut self, chain: Chain) -> Self {
        self.chain = chain;
        self
    }

    /// The next bytes, at most a block; `None` at the end.
    ///
    /// # Errors
    /// The fill failed; the body cannot be finished and must be reset.
    pub async fn next(&mut self) -> Option<Result<Bytes, FillError>> {
        while self.position == self.end {
            match self.segments.next()? {
                Segment::Literal(text) => return Some(Ok(Bytes::from(text))),
                Segment::Range(range) => {
                    (self.position, self.end) = (range.start(), range.end());
                    self.part_first = block_at(self.position);
                    self.flight = None;
                }
            }
        }
        let bytes = match self.read_block().await {
            Ok(bytes) => bytes,
            Err(error) => return Some(Err(error)),
        };
        self.position += bytes.len() as u64;
        if self.position.is_multiple_of(BLOCK_BYTES) {
            self.flight = None;
        }
        Some(Ok(bytes))
    }

    /// Whether everything has been read.
    pub fn is_finished(&self) -> bool {
        self.position == self.end && self.segments.len() == 0
    }

    /// Whether any block so far was here, or on its way, because it was expected, and nobody had come for it.
    pub fn is_prefetched(&self) -> bool {
        self.prefetched
    }

    async fn read_block(&mut self) -> Result<Bytes, FillError> {
        let block = block_at(self.position);
        let offset = (self.position % BLOCK_BYTES) as usize;
        let wanted = (self.end - self.position).min((BLOCK_BYTES as usize - offset) as u64) as usize;
        let mut look = Look::First;
        for _ in 0..LOOKS_MAX {
            let flight = match self.flight.take() {
                Some(flight) => flight,
                None => match self.look(block, look) {
                    Found::Present(pin) => match warm(pin).await {
                        Ok(loaded) => return Ok(loaded.into_bytes(offset..offset + wanted, &self.held)),
                        Err(Damaged) => {
                            self.shelf.cache.discard(&self.object, block);
                            continue;
                        }
                    },
                    Found::Flying(flight, interest) => {
                        self.interests.push(interest);
                        flight
                    }
                },
            };
            look = Look::Again;
            match flight.read(offset).await {
                Ok(Piece::Bytes(mut bytes)) => {
                    bytes.truncate(wanted);
                    self.flight = Some(flight);
                    return Ok(bytes);
                }
                // Look again: in the store, or anew where nobody had waited.
                Ok(Piece::Settled) | Err(FillError::Deserted) => {}
                Err(error) => return Err(error),
            }
        }
        Err(FillError::Broken)
    }

    fn look(&mut self, block: u32, look: Look) -> Found {
        self.interests.retain(|interest| interest.last() >= block);
        let last = block_at(self.end - 1);
        let reach = reach(self.part_first, last, block);
        let (demanded, ahead) = self.shelf.demand_for(&self.chain, &self.object, block, reach, look);
        self.interests.extend(ahead);
        self.prefetched |= look == Look::First && demanded.prefetched;
        demanded.found
    }
}

fn block_at(position: u64) -> u32 {
    u32::try_from(position / BLOCK_BYTES).expect("bounded by the object's length")
}

/// Makes sure that the block's bytes are sound and that touching them will not wait for a disk.
pub(crate) async fn warm(pin: Pin) -> Result<Loaded, Damaged> {
    match pin.ready() {
        Ok(loaded) => Ok(loaded),
        Err(pin) => tokio::task::spawn_blocking(|| pin.load()).await.expect("loading does not panic"),
    }
}
