//! MP4 (ISO/IEC 14496-12) without decoding: the sample tables of the sound track, its edit list and
//! `iTunSMPB`, and the time index they imply.
//!
//! Accepts any bytes without panic. Table sizes are believed only as far as their box is long, the
//! number of samples is bounded, and nothing is allocated per sample. Fragmented files (`moof`) have
//! no tables and are reported as without sound.

use std::io::{self, Read, Seek, SeekFrom};

use crate::time_index::{Builder, HEAD_SECONDS, IndexError, TimeIndex};

/// The largest `moov` read, in bytes: a day of AAC with four bytes per sample stays below 20 MB,
/// covers add some.
pub const MOOV_BYTES_MAX: u64 = 64 << 20;

/// The most samples (access units) followed: a day of AAC at 96 kHz has 8.1 million.
const SAMPLES_MAX: u64 = 1 << 24;

/// Top-level boxes looked at before giving up on a file that is only box headers.
const TOP_BOXES_MAX: usize = 4096;

/// Encoder delays above this are no delays but nonsense; HE-AAC has 5186.
const DELAY_FRAMES_MAX: u64 = 20_000;

/// What the tables say of the first sound track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mp4Sound {
    /// The sample entry's code: `mp4a`, `alac`, `Opus`, ...
    pub codec: [u8; 4],
    /// Units of media time per second; for sound practically always its sample rate.
    pub timescale: u32,
    /// Media time to drop at the start (encoder delay).
    pub skip: u64,
    /// Media time that is sound, after the delay and without padding.
    pub sound: u64,
    /// End of the last access unit, in bytes from the start of the file: a shorter file is cut.
    pub data_end: u64,
    /// Second to byte, and the head; `None` when access units are not stored in order of time.
    pub index: Option<TimeIndex>,
}

/// The time index of a whole MP4 object that is at hand.
///
/// # Errors
/// See [`read`]; also [`IndexError::Truncated`] when samples lie beyond the end of the object.
pub fn index(object: &[u8]) -> Result<TimeIndex, IndexError> {
    let len = object.len() as u64;
    let sound = read(&mut io::Cursor::new(object), len)?;
    if sound.data_end > len {
        return Err(IndexError::Truncated);
    }
    sound.index.ok_or(IndexError::NoSound)
}

/// Finds and reads the `moov` box of an object of `len` bytes; nothing else is read.
///
/// # Errors
/// [`IndexError::NotThisFormat`], [`IndexError::Truncated`] (no index in what is there of the file),
/// [`IndexError::Damaged`], [`IndexError::NoSound`], [`IndexError::TooLong`].
pub fn read<R: Read + Seek>(reader: &mut R, len: u64) -> Result<Mp4Sound, IndexError> {
    let mut at = 0_u64;
    for number in 0..TOP_BOXES_MAX {
        if at == len && number > 0 {
            break;
        }
        let header = read_box_header(reader, at, len)?;
        if number == 0 && !header.is_likely_first() {
            return Err(IndexError::NotThisFormat);
        }
        let end = at.saturating_add(header.len);
        if &header.kind == b"moov" {
            if end > len {
                return Err(IndexError::Truncated);
            }
            let body_len = header.len - header.header_len;
            if body_len > MOOV_BYTES_MAX {
                return Err(IndexError::TooLong);
            }
            let mut body = vec![0; body_len as usize];
            reader.read_exact(&mut body).map_err(|_| IndexError::Truncated)?;
            return parse_moov(&body, Place { moov_at: at, object_len: len });
        }
        if end > len {
            return Err(IndexError::Truncated);
        }
        at = end;
    }
    Err(IndexError::Truncated)
}

struct TopBox {
    kind: [u8; 4],
    header_len: u64,
    len: u64,
}

impl TopBox {
    fn is_likely_first(&self) -> bool {
        [b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot"].contains(&&self.kind)
    }
}

/// Leaves the reader behind the header.
fn read_box_header<R: Read + Seek>(reader: &mut R, at: u64, len: u64) -> Result<TopBox, IndexError> {
    let not_here = if at == 0 { IndexError::NotThisFormat } else { IndexError::Truncated };
    let mut short = [0_u8; 8];
    reader.seek(SeekFrom::Start(at)).map_err(|_| not_here.clone())?;
    reader.read_exact(&mut short).map_err(|_| not_here)?;
    let kind = [short[4], short[5], short[6], short[7]];
    let size = u32::from_be_bytes([short[0], short[1], short[2], short[3]]);
    let (header_len, box_len) = match size {
        0 => (8, len - at),
        1 => {
            let mut long = [0_u8; 8];
            reader.read_exact(&mut long).map_err(|_| IndexError::Truncated)?;
            (16, u64::from_be_bytes(long))
        }
        size => (8, u64::from(size)),
    };
    if box_len < header_len {
        return Err(IndexError::Damaged { at });
    }
    Ok(TopBox { kind, header_len, len: box_len })
}

/// Where the `moov` was found.
#[derive(Debug, Clone, Copy)]
struct Place {
    moov_at: u64,
    object_len: u64,
}

fn parse_moov(moov: &[u8], place: Place) -> Result<Mp4Sound, IndexError> {
    let movie_timescale = child(moov, b"mvhd").and_then(timescale_of).unwrap_or(0);
    let track = children(moov).filter(|(kind, _)| *kind == b"trak").find_map(|(_, trak)| Track::parse(trak));
    let track = track.ok_or(IndexError::NoSound)?;
    let smpb = itun_smpb(moov);
    track.sound(movie_timescale, smpb, place)
}

/// The tables of one sound track, still in the bytes of the file.
struct Track<'a> {
    codec: [u8; 4],
    timescale: u32,
    edits: Option<&'a [u8]>,
    time_to_sample: &'a [u8],
    sample_to_chunk: &'a [u8],
    sizes: &'a [u8],
    chunk_offsets: &'a [u8],
    offsets_are_long: bool,
}

impl<'a> Track<'a> {
    /// `None` for anything but sound.
    fn parse(trak: &'a [u8]) -> Option<Self> {
        let media = child(trak, b"mdia")?;
        let handler = child(media, b"hdlr")?;
        if handler.get(8..12)? != b"soun" {
            return None;
        }
        let tables = child(child(media, b"minf")?, b"stbl")?;
        let entry = child(tables, b"stsd")?.get(12..16)?;
        let long = child(tables, b"co64");
        Some(Self {
            codec: entry.try_into().ok()?,
            timescale: timescale_of(child(media, b"mdhd")?).filter(|scale| *scale > 0)?,
            edits: child(trak, b"edts").and_then(|edts| child(edts, b"elst")),
            time_to_sample: child(tables, b"stts").unwrap_or_default(),
            sample_to_chunk: child(tables, b"stsc").unwrap_or_default(),
            sizes: child(tables, b"stsz").unwrap_or_default(),
            chunk_offsets: long.or_else(|| child(tables, b"stco")).unwrap_or_default(),
            offsets_are_long: long.is_some(),
        })
    }

    fn sound(&self, movie_timescale: u32, smpb: Option<Smpb>, place: Place) -> Result<Mp4Sound, IndexError> {
        let media = self.media_time().ok_or(IndexError::TooLong)?;
        let (skip, sound) = self.presented(media, movie_timescale, smpb);
        let mut layout = Layout::new(self.timescale, skip);
        self.walk(&mut layout)?;
        if layout.samples == 0 || sound == 0 {
            return Err(IndexError::NoSound);
        }
        let moov_in_front = place.moov_at < layout.data_start;
        let head_bytes = if moov_in_front { layout.head_bytes } else { None };
        let ordered = layout.ordered;
        let index = layout.builder.finish(sound).filter(|_| ordered).map(|seconds| TimeIndex {
            seconds,
            head_bytes: head_bytes.unwrap_or(place.object_len),
            frames: sound,
            rate: self.timescale,
        });
        Ok(Mp4Sound { codec: self.codec, timescale: self.timescale, skip, sound, data_end: layout.data_end, index })
    }

    /// Sum of all sample durations; `None` beyond what can be.
    fn media_time(&self) -> Option<u64> {
        entries(self.time_to_sample, 8, 4).try_fold(0_u64, |sum, entry| {
            sum.checked_add(u64::from(word(entry, 0)) * u64::from(word(entry, 4))).filter(|sum| *sum < 1 << 48)
        })
    }

    /// Which part of the media time is sound: by `iTunSMPB` where it is sane (it counts in frames),
    /// else by the edit list, whose length is in movie time and often rounded to milliseconds.
    fn presented(&self, media: u64, movie_timescale: u32, smpb: Option<Smpb>) -> (u64, u64) {
        let edit = self.edits.and_then(single_edit);
        if let Some(smpb) = smpb.filter(|smpb| smpb.fits(media)) {
            // Both may be there; they must mean the same start.
            if edit.is_none_or(|edit| edit.media_start == smpb.delay) {
                return (smpb.delay, smpb.length);
            }
        }
        let Some(edit) = edit.filter(|edit| edit.media_start < media) else { return (0, media) };
        let rest = media - edit.media_start;
        if movie_timescale == 0 || edit.duration == 0 {
            return (edit.media_start, rest);
        }
        let scale = |time: u64| u128::from(time) * u128::from(self.timescale) / u128::from(movie_timescale);
        let stated = scale(edit.duration);
        let is_rounded_rest = stated.abs_diff(u128::from(rest)) <= scale(1) + 1;
        let length = if is_rounded_rest { rest } else { u64::try_from(stated).map_or(rest, |s| s.min(rest)) };
        (edit.media_start, length)
    }

    /// Visits every access unit in order of the chunk table.
    fn walk(&self, layout: &mut Layout) -> Result<(), IndexError> {
        let width = if self.offsets_are_long { 8 } else { 4 };
        let mut durations = Durations::new(self.time_to_sample);
        let mut runs = entries(self.sample_to_chunk, 12, 4).peekable();
        let mut per_chunk = 0_u32;
        let fixed_size = self.sizes.get(4..8).map_or(0, |bytes| word(bytes, 0));
        let count = self.sizes.get(8..12).map_or(0, |bytes| u64::from(word(bytes, 0)));
        let mut sizes = entries(self.sizes, 4, 8);
        for (chunk, offset) in entries(self.chunk_offsets, width, 4).enumerate() {
            while runs.peek().is_some_and(|run| u64::from(word(run, 0)) <= chunk as u64 + 1) {
                per_chunk = runs.next().map_or(0, |run| word(run, 4));
            }
            let mut at = if self.offsets_are_long {
                u64::from(word(offset, 0)) << 32 | u64::from(word(offset, 4))
            } else {
                u64::from(word(offset, 0))
            };
            for _ in 0..per_chunk {
                if layout.samples == count {
                    return Ok(());
                }
                let size = if fixed_size > 0 { Some(fixed_size) } else { sizes.next().map(|size| word(size, 0)) };
                let (Some(size), Some(duration)) = (size, durations.next()) else { return Ok(()) };
                layout.unit(at, u64::from(size), u64::from(duration))?;
                at = at.saturating_add(u64::from(size));
            }
        }
        Ok(())
    }
}

/// Collects places and times of access units.
struct Layout {
    timescale: u32,
    skip: u64,
    samples: u64,
    time: u64,
    data_start: u64,
    data_end: u64,
    last_start: u64,
    ordered: bool,
    head_bytes: Option<u64>,
    builder: Builder,
}

impl Layout {
    fn new(timescale: u32, skip: u64) -> Self {
        Self {
            timescale,
            skip,
            samples: 0,
            time: 0,
            data_start: u64::MAX,
            data_end: 0,
            last_start: 0,
            ordered: true,
            head_bytes: None,
            builder: Builder::new(timescale),
        }
    }

    fn unit(&mut self, at: u64, size: u64, duration: u64) -> Result<(), IndexError> {
        let end = self.time.saturating_add(duration);
        // AAC overlaps its neighbour: the unit decoded first only prepares the next one.
        let first_frame = if self.samples == 0 { 0 } else { end.saturating_sub(self.skip) };
        if self.samples == SAMPLES_MAX {
            return Err(IndexError::TooLong);
        }
        self.samples += 1;
        self.time = end;
        // A unit without bytes takes its time and is nowhere: its offset may be the end of the object.
        if size > 0 {
            self.place(at, size, first_frame)?;
        }
        let head_time = HEAD_SECONDS * u64::from(self.timescale) + self.skip;
        if self.head_bytes.is_none() && end >= head_time && self.data_end > 0 {
            self.head_bytes = Some(self.data_end);
        }
        Ok(())
    }

    fn place(&mut self, at: u64, size: u64, first_frame: u64) -> Result<(), IndexError> {
        if !self.builder.entry(at, first_frame) {
            return Err(IndexError::TooLong);
        }
        self.ordered &= at >= self.last_start;
        self.last_start = at;
        self.data_start = self.data_start.min(at);
        self.data_end = self.data_end.max(at.saturating_add(size));
        Ok(())
    }
}

/// The `stts` run lengths, unrolled lazily.
struct Durations<'a> {
    runs: std::slice::ChunksExact<'a, u8>,
    left: u32,
    duration: u32,
}

impl<'a> Durations<'a> {
    fn new(table: &'a [u8]) -> Self {
        Self { runs: entries(table, 8, 4), left: 0, duration: 0 }
    }
}

impl Iterator for Durations<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while self.left == 0 {
            let run = self.runs.next()?;
            (self.left, self.duration) = (word(run, 0), word(run, 4));
        }
        self.left -= 1;
        Some(self.duration)
    }
}

#[derive(Debug, Clone, Copy)]
struct Edit {
    media_start: u64,
    duration: u64,
}

/// The one edit that shows media; empty edits before it only delay. `None` when there are several.
fn single_edit(elst: &[u8]) -> Option<Edit> {
    let long = *elst.first()? == 1;
    let mut shown = entries(elst, if long { 20 } else { 12 }, 4).filter_map(|entry| {
        let (duration, start) = if long {
            let wide = |at: usize| u64::from(word(entry, at)) << 32 | u64::from(word(entry, at + 4));
            (wide(0), wide(8).cast_signed())
        } else {
            (u64::from(word(entry, 0)), i64::from(word(entry, 4).cast_signed()))
        };
        Some(Edit { media_start: u64::try_from(start).ok()?, duration })
    });
    let edit = shown.next()?;
    shown.next().is_none().then_some(edit)
}

/// What `iTunSMPB` states: frames of delay, padding, and sound.
#[derive(Debug, Clone, Copy)]
struct Smpb {
    delay: u64,
    length: u64,
}

impl Smpb {
    /// " 00000000 00000840 000001CA 00000000003F31F6 ...": all hexadecimal.
    fn parse(text: &[u8]) -> Option<Self> {
        let mut fields = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
        let mut number = |skip: usize| u64::from_str_radix(fields.nth(skip)?, 16).ok();
        let (delay, _padding, length) = (number(1)?, number(0)?, number(0)?);
        Some(Self { delay, length })
    }

    fn fits(&self, media: u64) -> bool {
        let end = self.delay.checked_add(self.length);
        self.length > 0 && self.delay <= DELAY_FRAMES_MAX && end.is_some_and(|end| end <= media)
    }
}

/// Looks for the freeform item `com.apple.iTunes:iTunSMPB` in the metadata of the movie.
fn itun_smpb(moov: &[u8]) -> Option<Smpb> {
    let meta = child(child(moov, b"udta")?, b"meta")?;
    // `meta` is a full box: version and flags come before its children.
    let items = child(meta.get(4..)?, b"ilst")?;
    let freeform = children(items).filter(|(kind, _)| *kind == b"----").map(|(_, item)| item);
    freeform.filter(|item| child(item, b"name").and_then(|n| n.get(4..)) == Some(b"iTunSMPB")).find_map(|item| {
        // data: type[4] locale[4] value
        Smpb::parse(child(item, b"data")?.get(8..)?)
    })
}

/// The timescale of an `mvhd` or `mdhd` box.
fn timescale_of(body: &[u8]) -> Option<u32> {
    let at = if *body.first()? == 1 { 20 } else { 12 };
    body.get(at..at + 4).map(|bytes| word(bytes, 0))
}

/// The boxes in `data`, as kind and body, up to the first that does not fit.
fn children(data: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let mut rest = data;
    std::iter::from_fn(move || {
        let header = rest.first_chunk::<8>()?;
        let size = word(header, 0) as usize;
        let (header_len, len) = match size {
            0 => (8, rest.len()),
            1 => {
                let long = rest.get(8..16)?.try_into().ok()?;
                (16, usize::try_from(u64::from_be_bytes(long)).ok()?)
            }
            size => (8, size),
        };
        let body = rest.get(header_len..len)?;
        let kind = rest.get(4..8)?.try_into().ok()?;
        rest = &rest[len..];
        Some((kind, body))
    })
}

fn child<'a>(data: &'a [u8], wanted: &[u8; 4]) -> Option<&'a [u8]> {
    children(data).find(|(kind, _)| *kind == wanted).map(|(_, body)| body)
}

/// The entries of a table that begins with version, flags, `extra` bytes whose last four are the
/// count; no more entries than the count says and than the box has room for.
fn entries(table: &[u8], entry_len: usize, extra: usize) -> std::slice::ChunksExact<'_, u8> {
    let body = table.get(4 + extra..).unwrap_or_default();
    let count = table.get(extra..extra + 4).map_or(0, |bytes| word(bytes, 0) as usize);
    let len = count.saturating_mul(entry_len).min(body.len());
    body[..len].chunks_exact(entry_len)
}

/// A big-endian word; the caller has made sure that it is there.
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn atom(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut out = (body.len() as u32 + 8).to_be_bytes().to_vec();
        out.extend(kind);
        out.extend(body);
        out
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// 40 units of 1 s, 10 bytes each, two in a chunk; one unit of delay; 38.5 s of sound.
    fn object() -> Vec<u8> {
        object_with_sizes(&words(&[0, 10, 40]))
    }

    fn object_with_sizes(stsz: &[u8]) -> Vec<u8> {
        let ftyp = atom(b"ftyp", b"M4A \0\0\0\0");
        let moov_for = |base: u32| {
            let offsets: Vec<u32> = (0..20).map(|chunk| base + chunk * 20).collect();
            let tables = [
                atom(b"stsd", &[words(&[0, 1, 16]), b"mp4a\0\0\0\0".to_vec()].concat()),
                atom(b"stts", &words(&[0, 1, 40, 1000])),
                atom(b"stsc", &words(&[0, 1, 1, 2, 1])),
                atom(b"stsz", stsz),
                atom(b"stco", &[words(&[0, 20]), words(&offsets)].concat()),
            ];
            let media = [
                atom(b"mdhd", &words(&[0, 0, 0, 1000, 40_000, 0])),
                atom(b"hdlr", &[words(&[0, 0]), b"soun".to_vec(), vec![0; 12]].concat()),
                atom(b"minf", &atom(b"stbl", &tables.concat())),
            ];
            let edits = atom(b"edts", &atom(b"elst", &words(&[0, 1, 38_500, 1000, 0x1_0000])));
            let trak = atom(b"trak", &[edits, atom(b"mdia", &media.concat())].concat());
            atom(b"moov", &[atom(b"mvhd", &words(&[0, 0, 0, 1000, 38_500])), trak].concat())
        };
        let base = (ftyp.len() + moov_for(0).len() + 8) as u32;
        [ftyp, moov_for(base), atom(b"mdat", &[1; 400])].concat()
    }

    #[test]
    fn the_unit_before_the_asked_second_is_where_decoding_starts() {
        let object = object();
        let base = object.len() as u64 - 400;
        let index = index(&object).unwrap();
        assert_eq!(index.seconds.len(), 39);
        // Second 0 lies in unit 1, after a second of delay: unit 0 prepares it.
        assert_eq!(index.seconds[..3], [base, base + 10, base + 20]);
        assert_eq!((index.frames, index.rate), (38_500, 1000));
        assert_eq!(index.head_bytes, base + 310);
    }

    /// Found by the fuzz target: the offset of such a unit was the end of the object.
    #[test]
    fn a_unit_without_bytes_is_no_place_to_decode_from() {
        let sizes: Vec<u32> =
            [0, 0, 40].into_iter().chain((0..40).map(|unit| if unit < 38 { 10 } else { 0 })).collect();
        let mut object = object_with_sizes(&words(&sizes));
        object.truncate(object.len() - 20);
        let (len, index) = (object.len() as u64, index(&object).unwrap());
        assert_eq!(index.seconds.len(), 39);
        assert_eq!(index.seconds[36..], [len - 20, len - 10, len - 10]);
    }

    #[test]
    fn what_is_cut_or_foreign_is_refused_by_name() {
        let object = object();
        assert_eq!(index(b""), Err(IndexError::NotThisFormat));
        assert_eq!(index(b"RIFF\0\0\0\0WAVE"), Err(IndexError::NotThisFormat));
        assert_eq!(index(&object[..object.len() - 1]), Err(IndexError::Truncated));
        assert_eq!(index(&object[..100]), Err(IndexError::Truncated));
        assert_eq!(index(&atom(b"moov", &[])), Err(IndexError::NoSound));
    }

    #[test]
    fn itunsmpb_is_read_in_frames() {
        let smpb = Smpb::parse(b" 00000000 00000840 000001CA 00000000003F31F6 00000000").unwrap();
        assert_eq!((smpb.delay, smpb.length), (0x840, 0x3f_31f6));
        assert!(Smpb::parse(b"nonsense").is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut object = object();
            for (at, value) in flips {
                let at = at.index(object.len());
                object[at] = value;
            }
            object.truncate(cut.index(object.len()) + 1);
            if let Ok(index) = index(&object) {
                prop_assert!(index.seconds.is_sorted());
                prop_assert!(!index.seconds.is_empty());
            }
        }

        #[test]
        fn any_random_bytes_give_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = index(&bytes);
            let _ = parse_moov(&bytes, Place { moov_at: 0, object_len: 400 });
        }
    }
}
