//! Ogg (RFC 3533) without decoding: pages, their granule positions, and the time index they imply.
//!
//! [`Walk`] takes the bytes of one object in pieces of any size, keeps no more than one page header,
//! and accepts any bytes without panic. It reads Vorbis and Opus streams; page checksums are the
//! decoder's business. [`index`] is the same for bytes that are at hand.
//!
//! ```text
//! page: "OggS" version flags granule[8] serial[4] sequence[4] crc[4] n lacing[n] body
//! flags: 1 = begins inside a packet, 2 = first page of the stream, 4 = last page
//! ```

use crate::time_index::{Builder, HEAD_SECONDS, IndexError, TimeIndex};

const FIXED_HEADER_BYTES: usize = 27;
const CONTINUED: u8 = 1;
const FIRST_PAGE: u8 = 2;
const LAST_PAGE: u8 = 4;
/// A granule position of -1: no packet ends on this page.
const NO_GRANULE: u64 = u64::MAX;
/// The largest page there can be: 27 bytes, 255 lacing values, 255 segments of 255 bytes.
pub(crate) const PAGE_BYTES_MAX: usize = FIXED_HEADER_BYTES + 255 + 255 * 255;
/// As much of the first packet as the identification headers need.
const IDENTIFICATION_BYTES: usize = 30;
/// Opus converges within 80 ms of 48 kHz frames (RFC 7845, section 4.6).
const OPUS_PREROLL_FRAMES: u64 = 3840;
/// The longest Opus packet: 120 ms.
const OPUS_PACKET_FRAMES_MAX: u64 = 5760;

/// The time index of a whole Ogg Vorbis or Ogg Opus object.
///
/// # Errors
/// See [`Walk::push`] and [`Walk::finish`].
pub fn index(object: &[u8]) -> Result<TimeIndex, IndexError> {
    let mut walk = Walk::new();
    walk.push(object)?;
    walk.finish()
}

/// One page header, lacing values included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageHeader<'a> {
    flags: u8,
    pub(crate) granule: u64,
    pub(crate) serial: u32,
    pub(crate) checksum: u32,
    pub(crate) lacing: &'a [u8],
}

impl<'a> PageHeader<'a> {
    /// Reads a header from the front of `bytes`; `Ok(None)` when more bytes are needed, `Err` when
    /// this is no page.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Option<Self>, ()> {
        let magic_len = bytes.len().min(4);
        if bytes[..magic_len] != b"OggS"[..magic_len] || bytes.get(4).is_some_and(|v| *v != 0) {
            return Err(());
        }
        let Some(fixed) = bytes.first_chunk::<FIXED_HEADER_BYTES>() else { return Ok(None) };
        let lacing_end = FIXED_HEADER_BYTES + usize::from(fixed[26]);
        let Some(lacing) = bytes.get(FIXED_HEADER_BYTES..lacing_end) else { return Ok(None) };
        let word = |at: usize| u32::from_le_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let granule = u64::from(word(6)) | u64::from(word(10)) << 32;
        Ok(Some(Self { flags: fixed[5], granule, serial: word(14), checksum: word(22), lacing }))
    }

    pub(crate) fn header_len(&self) -> usize {
        FIXED_HEADER_BYTES + self.lacing.len()
    }

    pub(crate) fn body_len(&self) -> usize {
        self.lacing.iter().map(|len| usize::from(*len)).sum()
    }

    pub(crate) fn is_first(&self) -> bool {
        self.flags & FIRST_PAGE != 0
    }

    pub(crate) fn is_last(&self) -> bool {
        self.flags & LAST_PAGE != 0
    }

    pub(crate) fn is_continued(&self) -> bool {
        self.flags & CONTINUED != 0
    }

    /// The granule position, when a packet ends on this page. Positions beyond 2^62 are nonsense
    /// that would only overflow later.
    pub(crate) fn end_granule(&self) -> Option<u64> {
        (self.granule != NO_GRANULE && self.granule < 1 << 62).then_some(self.granule)
    }

    fn packets_ended(&self) -> usize {
        self.lacing.iter().filter(|len| **len < 255).count()
    }
}

/// What the identification header says that timing depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    rate: u32,
    header_packets: usize,
    pre_skip_frames: u64,
    /// Frames lost to decoder start-up when a page begins with a fresh packet.
    warm_up_frames: u64,
    /// Frames lost with the packet a page begins inside of.
    packet_frames_max: u64,
}

impl Identity {
    fn parse(packet: &[u8]) -> Option<Self> {
        if let Some(vorbis) = packet.strip_prefix(b"\x01vorbis") {
            // version[4] channels rate[4] bitrates[12] blocksizes
            let rate = u32::from_le_bytes(vorbis.get(5..9)?.try_into().ok()?);
            let long_block = 1_u64 << (vorbis.get(21)? >> 4);
            return (rate > 0).then_some(Self {
                rate,
                header_packets: 3,
                pre_skip_frames: 0,
                warm_up_frames: long_block / 2,
                packet_frames_max: long_block / 2,
            });
        }
        let opus = packet.strip_prefix(b"OpusHead")?;
        Some(Self {
            rate: 48_000,
            header_packets: 2,
            pre_skip_frames: u64::from(u16::from_le_bytes([*opus.get(2)?, *opus.get(3)?])),
            warm_up_frames: OPUS_PREROLL_FRAMES,
            packet_frames_max: OPUS_PACKET_FRAMES_MAX,
        })
    }
}

/// The one stream followed: the first sound stream of the object.
#[derive(Debug)]
struct Stream {
    serial: u32,
    identity: Identity,
    header_packets_left: usize,
    audio_pages: u64,
    end_granule: u64,
    head_bytes: Option<u64>,
    builder: Builder,
    complete: bool,
}

/// An incremental reader of one Ogg object.
#[derive(Debug, Default)]
pub struct Walk {
    /// Offset of the next byte to come.
    position: u64,
    page_start: u64,
    header: Vec<u8>,
    body_left: usize,
    /// The first bytes of the body of a first page.
    identification: Option<Vec<u8>>,
    stream: Option<Stream>,
}

impl Walk {
    /// A walk at the start of an object.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes.
    ///
    /// # Errors
    /// [`IndexError::NotThisFormat`] where the first page should be, [`IndexError::Damaged`] where a
    /// later one should be, [`IndexError::TooLong`]. After an error the walk is over.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), IndexError> {
        while !bytes.is_empty() {
            let taken = if self.body_left > 0 { self.push_body(bytes) } else { self.push_header(bytes)? };
            bytes = &bytes[taken..];
            self.position += taken as u64;
            if self.body_left == 0 {
                self.end_page_if_whole()?;
            }
        }
        Ok(())
    }

    /// Ends the object and gives its index.
    ///
    /// # Errors
    /// [`IndexError::Truncated`] inside of a page or without a last page, [`IndexError::NoSound`].
    pub fn finish(self) -> Result<TimeIndex, IndexError> {
        if self.position == 0 {
            return Err(IndexError::NotThisFormat);
        }
        if !self.header.is_empty() || self.body_left > 0 {
            return Err(IndexError::Truncated);
        }
        let stream = self.stream.ok_or(IndexError::NoSound)?;
        if !stream.complete {
            return Err(IndexError::Truncated);
        }
        let frames = stream.end_granule.saturating_sub(stream.identity.pre_skip_frames);
        let seconds = stream.builder.finish(frames).ok_or(IndexError::NoSound)?;
        let head_bytes = stream.head_bytes.unwrap_or(self.position);
        Ok(TimeIndex { seconds, head_bytes, frames, rate: stream.identity.rate })
    }

    fn push_body(&mut self, bytes: &[u8]) -> usize {
        let taken = self.body_left.min(bytes.len());
        if let Some(start) = &mut self.identification {
            let room = IDENTIFICATION_BYTES.saturating_sub(start.len());
            start.extend_from_slice(&bytes[..taken.min(room)]);
        }
        self.body_left -= taken;
        taken
    }

    /// Takes bytes into the header until it is whole, and begins the page then.
    fn push_header(&mut self, bytes: &[u8]) -> Result<usize, IndexError> {
        if self.header.is_empty() {
            self.page_start = self.position;
        }
        let before = self.header.len();
        let wanted = match self.header.get(26) {
            Some(lacing) => FIXED_HEADER_BYTES + usize::from(*lacing),
            None => FIXED_HEADER_BYTES,
        };
        let taken = (wanted - before).min(bytes.len());
        self.header.extend_from_slice(&bytes[..taken]);
        let damaged =
            if self.page_start == 0 { IndexError::NotThisFormat } else { IndexError::Damaged { at: self.page_start } };
        let header = std::mem::take(&mut self.header);
        match PageHeader::parse(&header) {
            Err(()) => return Err(damaged),
            Ok(None) => {}
            Ok(Some(page)) => {
                self.body_left = page.body_len();
                self.identification = page.is_first().then(Vec::new);
                self.begin_page(&page)?;
            }
        }
        self.header = header;
        Ok(taken)
    }

    fn begin_page(&mut self, page: &PageHeader<'_>) -> Result<(), IndexError> {
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.carries_sound(page)) else {
            return Ok(());
        };
        let first_frame = stream.first_frame_from(page);
        stream.audio_pages += 1;
        let fits = stream.builder.entry(self.page_start, first_frame);
        if fits { Ok(()) } else { Err(IndexError::TooLong) }
    }

    fn end_page_if_whole(&mut self) -> Result<(), IndexError> {
        let Ok(Some(page)) = PageHeader::parse(&self.header) else { return Ok(()) };
        if let Some(start) = self.identification.take()
            && self.stream.is_none()
        {
            self.stream = Identity::parse(&start).map(|identity| Stream::new(page.serial, identity));
        }
        if let Some(stream) = self.stream.as_mut().filter(|s| s.serial == page.serial && !s.complete) {
            stream.end_page(&page, self.position);
        }
        self.header.clear();
        Ok(())
    }
}

impl Stream {
    fn new(serial: u32, identity: Identity) -> Self {
        Self {
            serial,
            identity,
            header_packets_left: identity.header_packets,
            audio_pages: 0,
            end_granule: 0,
            head_bytes: None,
            builder: Builder::new(identity.rate),
            complete: false,
        }
    }

    fn carries_sound(&self, page: &PageHeader<'_>) -> bool {
        self.serial == page.serial && self.header_packets_left == 0 && !self.complete
    }

    /// The first frame a decoder that starts with this page yields for sure.
    fn first_frame_from(&self, page: &PageHeader<'_>) -> u64 {
        if self.audio_pages == 0 {
            return 0;
        }
        let lost = if page.is_continued() { self.identity.packet_frames_max } else { 0 };
        let yielded = self.end_granule + self.identity.warm_up_frames + lost;
        yielded.saturating_sub(self.identity.pre_skip_frames)
    }

    fn end_page(&mut self, page: &PageHeader<'_>, page_end: u64) {
        let in_headers = self.header_packets_left > 0;
        self.header_packets_left = self.header_packets_left.saturating_sub(page.packets_ended());
        self.complete = page.is_last();
        if in_headers {
            return;
        }
        if let Some(granule) = page.end_granule() {
            self.end_granule = self.end_granule.max(granule);
        }
        let head_frames = HEAD_SECONDS * u64::from(self.identity.rate) + self.identity.pre_skip_frames;
        if self.head_bytes.is_none() && self.end_granule >= head_frames {
            self.head_bytes = Some(page_end);
        }
    }
}

/// The last page of an object, found in its last [`PAGE_BYTES_MAX`] bytes (or all of it): what tells
/// a whole file from one that was cut.
pub(crate) fn last_page_granule(tail: &[u8]) -> Option<u64> {
    let mut starts = tail.windows(4).enumerate().rev().filter(|(_, w)| w == b"OggS");
    starts.find_map(|(at, _)| {
        let page = PageHeader::parse(&tail[at..]).ok()??;
        let whole = at + page.header_len() + page.body_len() <= tail.len();
        (whole && page.is_last()).then(|| page.end_granule().unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A page with one packet of `body` per call.
    fn page(flags: u8, granule: u64, body: &[u8]) -> Vec<u8> {
        let mut out = b"OggS\0".to_vec();
        out.push(flags);
        out.extend(granule.to_le_bytes());
        out.extend([9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        out.push(1);
        out.push(u8::try_from(body.len()).unwrap());
        out.extend(body);
        out
    }

    fn vorbis() -> Vec<u8> {
        let mut id = b"\x01vorbis\0\0\0\0\x02".to_vec();
        id.extend(1000_u32.to_le_bytes());
        id.extend([0; 12]);
        id.extend([0x86, 1]); // blocks of 64 and 256 frames
        let mut object = page(FIRST_PAGE, 0, &id);
        object.extend(page(0, 0, b"\x03vorbis"));
        object.extend(page(0, 0, b"\x05vorbis"));
        object
    }

    #[test]
    fn an_entry_leaves_room_for_the_decoder_to_warm_up() {
        let mut object = vorbis();
        let first = object.len() as u64;
        object.extend(page(0, 900, b"a"));
        let second = object.len() as u64;
        object.extend(page(0, 1800, b"b"));
        object.extend(page(LAST_PAGE, 2500, b"c"));
        let index = index(&object).unwrap();
        // The second page yields frames from 900 + 128 on: too late for frame 1000.
        assert_eq!(index.seconds, [first, first, second + 29]);
        assert_eq!((index.frames, index.rate, index.duration_ms()), (2500, 1000, 2500));
        assert_eq!(index.head_bytes, object.len() as u64);
    }

    #[test]
    fn the_head_ends_with_the_page_that_completes_thirty_seconds() {
        let mut object = vorbis();
        object.extend(page(0, 29_999, b"a"));
        object.extend(page(0, 30_000, b"b"));
        let head = object.len() as u64;
        object.extend(page(LAST_PAGE, 40_000, b"c"));
        assert_eq!(index(&object).unwrap().head_bytes, head);
    }

    #[test]
    fn what_is_cut_or_foreign_or_endless_is_refused_by_name() {
        let mut object = vorbis();
        object.extend(page(0, 900, b"abc"));
        assert_eq!(index(b""), Err(IndexError::NotThisFormat));
        assert_eq!(index(b"RIFF"), Err(IndexError::NotThisFormat));
        assert_eq!(index(&object), Err(IndexError::Truncated));
        assert_eq!(index(&object[..object.len() - 1]), Err(IndexError::Truncated));
        let damage_at = object.len() as u64;
        let mut damaged = object.clone();
        damaged.extend(b"junk");
        assert_eq!(index(&damaged), Err(IndexError::Damaged { at: damage_at }));
        object.extend(page(0, 1 << 61, b"a"));
        object.extend(page(LAST_PAGE, 1 << 61, b"a"));
        assert_eq!(index(&object), Err(IndexError::TooLong));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_give_the_same_answer(
            mut object in Just(()).prop_map(|()| {
                let mut object = vorbis();
                for second in 1..40_u64 {
                    object.extend(page(0, second * 1000, &[7; 100]));
                }
                object.extend(page(LAST_PAGE, 40_000, b"end"));
                object
            }),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in any::<prop::sample::Index>(),
            piece in 1_usize..300,
        ) {
            for (at, value) in flips {
                let at = at.index(object.len());
                object[at] = value;
            }
            object.truncate(cut.index(object.len()) + 1);
            let mut walk = Walk::new();
            let pieces = object.chunks(piece).try_for_each(|piece| walk.push(piece));
            let piecewise = pieces.and_then(|()| walk.finish());
            if let Ok(index) = &piecewise {
                prop_assert!(index.seconds.is_sorted());
                prop_assert!(index.seconds.iter().all(|at| *at < object.len() as u64));
            }
            prop_assert_eq!(piecewise, index(&object));
        }
    }
}
