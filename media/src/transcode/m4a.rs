//! M4A with the index in front, written in bounded memory.
//!
//! Access units go to a scratch file as they come; only their sizes are kept (4 bytes each, 16 MB
//! for the longest track). At the end `ftyp`, `moov` and `mdat` are put together. The edit list, the
//! length of the last access unit and `iTunSMPB` all state the exact sound.
//!
//! ```text
//! ftyp | moov: mvhd, trak (tkhd, edts, mdia), udta (meta: ilst) | mdat: access units in order
//! ```

use std::fs::{self, File};
use std::io::{self, BufWriter, Cursor, Seek, Write};
use std::path::{Path, PathBuf};

use needledrop_core::media::Kbps;

use super::Written;
use super::aac::{AacStream, UNIT_FRAMES};
use super::sink::{HashedFile, writing};
use crate::mp4_index;
use crate::tags::clean;
use crate::{MediaError, Tags};

/// Access units per chunk: about half a second, which keeps the offset table small and lets readers
/// that fetch whole chunks stay economical.
const UNITS_PER_CHUNK: u32 = 22;

/// Collects access units.
pub(crate) struct M4aWriter {
    scratch: PathBuf,
    data: BufWriter<File>,
    sizes: Vec<u32>,
    bytes: u64,
}

/// What goes around the access units.
pub(crate) struct M4aFile<'a> {
    pub(crate) path: &'a Path,
    pub(crate) rate: u32,
    pub(crate) kbps: Kbps,
    pub(crate) frames: u64,
    pub(crate) tags: &'a Tags,
    pub(crate) aac: AacStream,
}

impl M4aWriter {
    pub(crate) fn create(scratch: &Path) -> Result<Self, MediaError> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(scratch);
        let file = file.map_err(|error| writing(scratch, error))?;
        Ok(Self { scratch: scratch.to_owned(), data: BufWriter::new(file), sizes: Vec::new(), bytes: 0 })
    }

    pub(crate) fn units(&self) -> u64 {
        self.sizes.len() as u64
    }

    pub(crate) fn add_unit(&mut self, unit: &[u8]) -> Result<(), MediaError> {
        self.data.write_all(unit).map_err(|error| writing(&self.scratch, error))?;
        self.sizes.push(unit.len() as u32);
        self.bytes += unit.len() as u64;
        Ok(())
    }

    /// Writes the finished file and removes the scratch file.
    pub(crate) fn assemble(mut self, file: &M4aFile<'_>) -> Result<Written, MediaError> {
        self.drop_surplus_units(file)?;
        let ftyp = atom(b"ftyp", &[b"M4A ", &[0, 0, 2, 0], b"M4A ", b"mp42", b"isom"]);
        let moov_len = moov(file, &self.sizes, 0).len();
        let mdat_at = (ftyp.len() + moov_len) as u64;
        let mdat_len = self.bytes + 8;
        let (Ok(data_at), Ok(mdat_size), true) =
            (u32::try_from(mdat_at + 8), u32::try_from(mdat_len), mdat_at + mdat_len <= u64::from(u32::MAX))
        else {
            return Err(MediaError::Encoder("M4A beyond 4 GiB".to_owned()));
        };
        let moov = moov(file, &self.sizes, data_at);

        let mut out = HashedFile::create(file.path)?;
        let mut write = |bytes: &[u8]| out.write_all(bytes).map_err(|error| writing(file.path, error));
        write(&ftyp)?;
        write(&moov)?;
        write(&mdat_size.to_be_bytes())?;
        write(b"mdat")?;
        self.data.flush().map_err(|error| writing(&self.scratch, error))?;
        self.data.rewind().map_err(|error| writing(&self.scratch, error))?;
        let copied = io::copy(&mut io::Read::take(self.data.get_mut(), self.bytes), &mut out);
        if copied.map_err(|error| writing(file.path, error))? != self.bytes {
            return Err(writing(file.path, io::ErrorKind::UnexpectedEof.into()));
        }
        let (path, bytes, sha256) = out.close()?;
        fs::remove_file(&self.scratch).map_err(|error| writing(&self.scratch, error))?;

        // The index is read back from the boxes as any client would read them.
        let head = [&ftyp[..], &moov[..]].concat();
        let sound = mp4_index::read(&mut Cursor::new(head), bytes);
        let index = sound.ok().filter(|sound| sound.data_end == bytes).and_then(|sound| sound.index);
        let index = index.ok_or_else(|| MediaError::Encoder("M4A index does not read back".to_owned()))?;
        Ok(Written { file: path, bytes, sha256, index })
    }

    /// An encoder may flush more units than the sound needs.
    fn drop_surplus_units(&mut self, file: &M4aFile<'_>) -> Result<(), MediaError> {
        let wanted = (file.aac.delay_frames + file.frames).div_ceil(UNIT_FRAMES as u64);
        if self.units() < wanted {
            return Err(MediaError::Encoder(format!("AAC: {} of {wanted} units came out", self.units())));
        }
        let surplus = self.sizes.drain(wanted as usize..);
        self.bytes -= surplus.map(u64::from).sum::<u64>();
        Ok(())
    }
}

/// A box: size, kind, the parts of its body.
fn atom(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let len = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut out = Vec::with_capacity(len);
    out.extend((len as u32).to_be_bytes());
    out.extend(kind);
    parts.iter().for_each(|part| out.extend(*part));
    out
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// The unity matrix of `mvhd` and `tkhd` (ISO/IEC 14496-12, section 8.2.2).
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// `data_at` is where the first access unit will be. Times are zero: files must be reproducible.
fn moov(file: &M4aFile<'_>, sizes: &[u32], data_at: u32) -> Vec<u8> {
    // A day at 48 kHz is 4.1 billion frames: it fits into 32 bits, with the delay.
    let frames = file.frames as u32;
    let media = (file.frames + file.aac.delay_frames) as u32;
    // Movie time counts frames too, so that the edit list is exact.
    let mvhd = [&[0, 0, 0, file.rate, frames, 0x1_0000, 0x0100_0000, 0, 0][..], &MATRIX, &[0; 6], &[2]].concat();
    // Flags 7: the track is enabled, in the movie, in the preview.
    let tkhd = [&[7, 0, 0, 1, 0, frames, 0, 0, 0, 0x0100_0000][..], &MATRIX, &[0, 0]].concat();
    let elst = words(&[0, 1, frames, file.aac.delay_frames as u32, 0x1_0000]);
    // Language "und": three times five bits.
    let mdhd = words(&[0, 0, 0, file.rate, media, 0x55c4 << 16]);
    let hdlr = [&words(&[0, 0])[..], b"soun", &[0; 12], b"needledrop\0"].concat();
    let url = atom(b"url ", &[&words(&[1])]);
    let minf = atom(
        b"minf",
        &[
            &atom(b"smhd", &[&words(&[0, 0])]),
            &atom(b"dinf", &[&atom(b"dref", &[&words(&[0, 1]), &url])]),
            &sample_tables(file, sizes, media, data_at),
        ],
    );
    let mdia = atom(b"mdia", &[&atom(b"mdhd", &[&mdhd]), &atom(b"hdlr", &[&hdlr]), &minf]);
    let trak = atom(b"trak", &[&atom(b"tkhd", &[&words(&tkhd)]), &atom(b"edts", &[&atom(b"elst", &[&elst])]), &mdia]);
    atom(b"moov", &[&atom(b"mvhd", &[&words(&mvhd)]), &trak, &user_data(file, sizes.len() as u64)])
}

fn sample_tables(file: &M4aFile<'_>, sizes: &[u32], media: u32, data_at: u32) -> Vec<u8> {
    let units = sizes.len() as u32;
    let unit = UNIT_FRAMES as u32;
    // The last unit lasts only as long as the sound in it.
    let last = media - (units - 1) * unit;
    let stts = if units == 1 { vec![0, 1, 1, last] } else { vec![0, 2, units - 1, unit, 1, last] };
    let mut chunks = Vec::new();
    let mut at = data_at;
    for chunk in sizes.chunks(UNITS_PER_CHUNK as usize) {
        chunks.push(at);
        at += chunk.iter().sum::<u32>();
    }
    let last_chunk_units = units - (chunks.len() as u32 - 1) * UNITS_PER_CHUNK;
    let mut stsc = Vec::new();
    if chunks.len() > 1 {
        stsc.extend([1, UNITS_PER_CHUNK, 1]);
    }
    if chunks.len() == 1 || last_chunk_units != UNITS_PER_CHUNK {
        stsc.extend([chunks.len() as u32, last_chunk_units, 1]);
    }
    atom(
        b"stbl",
        &[
            &atom(b"stsd", &[&words(&[0, 1]), &sample_entry(file, sizes)]),
            &atom(b"stts", &[&words(&stts)]),
            &atom(b"stsc", &[&words(&[0, stsc.len() as u32 / 3]), &words(&stsc)]),
            &atom(b"stsz", &[&words(&[0, 0, units]), &words(sizes)]),
            &atom(b"stco", &[&words(&[0, chunks.len() as u32]), &words(&chunks)]),
            // Every unit but the first needs the one before it (ISO/IEC 14496-12, section 10.1).
            &roll_groups(units),
        ],
    )
}

/// Tells players to decode one unit before the one they seek to.
fn roll_groups(units: u32) -> Vec<u8> {
    let description = atom(b"sgpd", &[&words(&[1 << 24]), b"roll", &words(&[2, 1]), &(-1_i16).to_be_bytes()]);
    let members = atom(b"sbgp", &[&words(&[0]), b"roll", &words(&[1, units, 1])]);
    [description, members].concat()
}

/// `mp4a` with `esds` (ISO/IEC 14496-14, section 5.6).
fn sample_entry(file: &M4aFile<'_>, sizes: &[u32]) -> Vec<u8> {
    let bit_rate = file.kbps.value() * 1000;
    let largest = sizes.iter().copied().max().unwrap_or(0).min(0xff_ffff);
    let decoder_specific = descriptor(5, &file.aac.config);
    // Object type 0x40: MPEG-4 audio; stream type 5 (audio), upstream 0, reserved 1.
    let largest = largest.to_be_bytes();
    let decoder =
        [&[0x40, 0x15][..], &largest[1..], &bit_rate.to_be_bytes(), &bit_rate.to_be_bytes(), &decoder_specific];
    // The sync layer is the predefined one for MP4 files.
    let stream = [&[0, 0, 0][..], &descriptor(4, &decoder.concat()), &descriptor(6, &[2])].concat();
    let esds = atom(b"esds", &[&[0; 4], &descriptor(3, &stream)]);
    // Six reserved bytes, data reference 1, eight reserved, 2 channels of 16 bits, rate as 16.16.
    let fixed = [&[0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 8], &[0, 2, 0, 16, 0, 0, 0, 0], &(file.rate << 16).to_be_bytes()];
    atom(b"mp4a", &[&fixed.concat(), &esds])
}

/// A descriptor of ISO/IEC 14496-1, section 8.3.3; all of ours are shorter than 128 bytes.
fn descriptor(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag, 0x80, 0x80, 0x80, body.len() as u8];
    out.extend(body);
    out
}

/// The tags as iTunes writes them, and the gapless statement.
fn user_data(file: &M4aFile<'_>, units: u64) -> Vec<u8> {
    let tags = file.tags;
    let text = |kind: &[u8; 4], value: Option<&str>| {
        value.and_then(clean).map(|value| atom(kind, &[&data(1, value.as_bytes())])).unwrap_or_default()
    };
    let number = |kind: &[u8; 4], value: Option<u32>, tail: &[u8]| {
        let value = value.and_then(|value| u16::try_from(value).ok());
        value.map(|value| {
            let pair = [&[0, 0][..], &value.to_be_bytes(), &[0, 0], tail].concat();
            atom(kind, &[&data(0, &pair)])
        })
    };
    let year = tags.year.map(|year| year.to_string());
    let items = [
        text(b"\xa9nam", tags.title.as_deref()),
        text(b"\xa9ART", tags.artist.as_deref()),
        text(b"aART", tags.album_artist.as_deref()),
        text(b"\xa9alb", tags.album.as_deref()),
        text(b"\xa9gen", tags.genre.as_deref()),
        text(b"\xa9day", year.as_deref()),
        number(b"trkn", tags.track_no, &[0, 0]).unwrap_or_default(),
        number(b"disk", tags.disc_no, &[]).unwrap_or_default(),
        text(b"\xa9too", Some("needledrop")),
        tags.isrc.as_deref().and_then(clean).map(|isrc| freeform("ISRC", &isrc)).unwrap_or_default(),
        freeform("iTunSMPB", &smpb(file, units)),
    ];
    let hdlr = [&words(&[0, 0])[..], b"mdirappl", &[0; 9]].concat();
    let meta = atom(b"meta", &[&[0; 4], &atom(b"hdlr", &[&hdlr]), &atom(b"ilst", &[&items.concat()])]);
    atom(b"udta", &[&meta])
}

fn data(kind: u32, value: &[u8]) -> Vec<u8> {
    atom(b"data", &[&words(&[kind, 0]), value])
}

fn freeform(name: &str, value: &str) -> Vec<u8> {
    atom(
        b"----",
        &[
            &atom(b"mean", &[&[0; 4], b"com.apple.iTunes"]),
            &atom(b"name", &[&[0; 4], name.as_bytes()]),
            &data(1, value.as_bytes()),
        ],
    )
}

/// Delay, padding and length in frames, then fields nobody uses.
fn smpb(file: &M4aFile<'_>, units: u64) -> String {
    let delay = file.aac.delay_frames;
    let padding = units * UNIT_FRAMES as u64 - delay - file.frames;
    let zeros = " 00000000".repeat(8);
    format!(" 00000000 {delay:08X} {padding:08X} {:016X}{zeros}", file.frames)
}
