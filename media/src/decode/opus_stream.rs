//! Ogg Opus (RFC 7845): pages to packets to frames, with pre-skip, output gain and end trimming.
//!
//! Reads the file once, a page at a time. Packets are bounded by [`PACKET_BYTES_MAX`]; pages whose
//! checksum is wrong are dropped and their sound replaced by silence, within the damage policy.

use std::fs::File;
use std::io::{BufReader, Read};

use super::mix::{Mixer, Pan};
use super::{Damage, Extent, FrameStream};
use crate::ogg_index::PageHeader;
use crate::opus::{Layout, MultistreamDecoder, OPUS_RATE, packet_frames};
use crate::{MediaError, PcmFormat};

/// The largest packet kept, in bytes: 255 streams of 1275 bytes and 48 such frames stay below; real
/// ones are under 4 KiB. Larger ones are damage.
const PACKET_BYTES_MAX: usize = 1 << 20;

/// Frames assumed of a packet that does not even tell its own length: 20 ms, as nearly all have.
const FRAME_FRAMES: usize = 960;

/// The decoded packets of an Ogg Opus file.
pub(crate) struct OpusStream {
    pages: Pages,
    decoder: MultistreamDecoder,
    mixer: Mixer,
    gain: f32,
    extent: Extent,
    /// Frames decoded so far, counted as the granule positions do.
    decoded: u64,
    damage: Damage,
}

impl OpusStream {
    /// Reads the headers. `last_granule` is that of the file's last page.
    pub(crate) fn open(file: File, last_granule: u64) -> Result<Self, MediaError> {
        let mut pages = Pages::new(file);
        let Some(first) = pages.next_packet()? else { return Err(MediaError::NotAudio) };
        let head = Head::parse(&first.bytes)?;
        if pages.next_packet()?.is_none() {
            return Err(MediaError::NoSound);
        }
        let decoder = MultistreamDecoder::new(&head.layout);
        let decoder = decoder.ok_or_else(|| MediaError::Damaged("impossible Opus channel layout".to_owned()))?;
        let extent = Extent { skip: head.pre_skip, frames: Some(last_granule.saturating_sub(head.pre_skip)), slack: 0 };
        Ok(Self {
            pages,
            decoder,
            mixer: Mixer::new(pans_of(head.layout.mapping.len())),
            gain: head.gain,
            extent,
            decoded: 0,
            damage: Damage::default(),
        })
    }

    /// What the container states about the length.
    pub(crate) fn extent(&self) -> Extent {
        self.extent
    }

    fn silence(&mut self, frames: usize, out: &mut Vec<f32>) {
        out.resize(out.len() + frames * usize::from(self.mixer.channels_out()), 0.0);
        self.decoded += frames as u64;
    }
}

impl FrameStream for OpusStream {
    fn format(&self) -> PcmFormat {
        PcmFormat { rate: OPUS_RATE, channels: self.mixer.channels_out() }
    }

    fn next_frames(&mut self, out: &mut Vec<f32>) -> Result<bool, MediaError> {
        let Some(packet) = self.pages.next_packet()? else { return Ok(false) };
        if packet.follows_a_hole {
            self.damage.add(0, OPUS_RATE)?;
        }
        let start = out.len();
        match self.decoder.decode(&packet.bytes) {
            Some(frames) => {
                self.mixer.mix(frames, out);
                self.decoded += (frames.len() / self.mixer.channels_in()) as u64;
                if self.gain != 1.0 {
                    out[start..].iter_mut().for_each(|sample| *sample *= self.gain);
                }
            }
            None => {
                let frames = packet_frames(&packet.bytes).unwrap_or(FRAME_FRAMES);
                self.damage.add(frames as u64, OPUS_RATE)?;
                self.silence(frames, out);
            }
        }
        // The last packet of a page ends where the page says; less was decoded if a page got lost.
        let missing = packet.end_granule.map_or(0, |granule| granule.saturating_sub(self.decoded));
        if missing > 0 && self.damage.packets() > 0 {
            self.damage.add(missing, OPUS_RATE)?;
            self.silence(missing as usize, out);
        }
        Ok(true)
    }

    fn damaged_packets(&self) -> u32 {
        self.damage.packets()
    }
}

/// The identification header (RFC 7845, section 5.1).
struct Head {
    pre_skip: u64,
    gain: f32,
    layout: Layout,
}

impl Head {
    fn parse(packet: &[u8]) -> Result<Self, MediaError> {
        let damaged = || MediaError::Damaged("unreadable Opus header".to_owned());
        let fields = packet.strip_prefix(b"OpusHead").ok_or(MediaError::NotAudio)?;
        let Some(&[version, channels, skip_low, skip_high, _, _, _, _, gain_low, gain_high, family]) =
            fields.first_chunk::<11>()
        else {
            return Err(damaged());
        };
        if version >> 4 != 0 {
            return Err(MediaError::UnsupportedCodec(format!("Opus version {version}")));
        }
        let layout = match (family, channels) {
            (0, 1) => Layout { streams: 1, coupled: 0, mapping: vec![0] },
            (0, 2) => Layout { streams: 1, coupled: 1, mapping: vec![0, 1] },
            (1, 1..=8) => {
                let mapping = fields.get(13..13 + usize::from(channels)).ok_or_else(damaged)?.to_vec();
                Layout { streams: fields[11], coupled: fields[12], mapping }
            }
            (0 | 1, _) => return Err(damaged()),
            _ => return Err(MediaError::UnsupportedCodec(format!("Opus with channel mapping {family}"))),
        };
        // Output gain in 1/256 dB (Q7.8).
        let decibels = f32::from(i16::from_le_bytes([gain_low, gain_high])) / 256.0;
        let gain = if decibels == 0.0 { 1.0 } else { 10_f32.powf(decibels / 20.0) };
        Ok(Self { pre_skip: u64::from(u16::from_le_bytes([skip_low, skip_high])), gain, layout })
    }
}

/// Channel orders of mapping family 1 (RFC 7845, section 5.1.1.2).
fn pans_of(channels: usize) -> Vec<Pan> {
    use Pan as P;
    match channels {
        1 => vec![P::CENTRE],
        2 => vec![P::LEFT, P::RIGHT],
        3 => vec![P::LEFT, P::CENTRE, P::RIGHT],
        4 => vec![P::LEFT, P::RIGHT, P::SURROUND_LEFT, P::SURROUND_RIGHT],
        5 => vec![P::LEFT, P::CENTRE, P::RIGHT, P::SURROUND_LEFT, P::SURROUND_RIGHT],
        6 => vec![P::LEFT, P::CENTRE, P::RIGHT, P::SURROUND_LEFT, P::SURROUND_RIGHT, P::SILENT],
        7 => vec![P::LEFT, P::CENTRE, P::RIGHT, P::SURROUND_LEFT, P::SURROUND_RIGHT, P::BEHIND, P::SILENT],
        _ => vec![
            P::LEFT,
            P::CENTRE,
            P::RIGHT,
            P::SURROUND_LEFT,
            P::SURROUND_RIGHT,
            P::SURROUND_LEFT,
            P::SURROUND_RIGHT,
            P::SILENT,
        ],
    }
}

struct OggPacket {
    bytes: Vec<u8>,
    /// The granule position of the page, when this is the last packet that ends on it.
    end_granule: Option<u64>,
    /// A page before this packet could not be read.
    follows_a_hole: bool,
}

/// Packets out of the pages of the file's first stream.
struct Pages {
    reader: BufReader<File>,
    serial: Option<u32>,
    header: Vec<u8>,
    body: Vec<u8>,
    /// Lacing values of the page in hand, the next one to use, and where its segment starts.
    lacing: Vec<u8>,
    next_segment: usize,
    body_at: usize,
    end_granule: Option<u64>,
    partial: Vec<u8>,
    /// The packet begun was broken by a hole: drop what continues it.
    skip_continuation: bool,
    hole: bool,
    complete: bool,
}

impl Pages {
    fn new(file: File) -> Self {
        Self {
            reader: BufReader::with_capacity(64 << 10, file),
            serial: None,
            header: Vec::new(),
            body: Vec::new(),
            lacing: Vec::new(),
            next_segment: 0,
            body_at: 0,
            end_granule: None,
            partial: Vec::new(),
            skip_continuation: false,
            hole: false,
            complete: false,
        }
    }

    fn next_packet(&mut self) -> Result<Option<OggPacket>, MediaError> {
        loop {
            while let Some(len) = self.lacing.get(self.next_segment).copied() {
                self.next_segment += 1;
                let segment = &self.body[self.body_at..self.body_at + usize::from(len)];
                self.body_at += usize::from(len);
                if !self.skip_continuation {
                    self.partial.extend_from_slice(segment);
                }
                if self.partial.len() > PACKET_BYTES_MAX {
                    return Err(MediaError::Damaged("an endless packet".to_owned()));
                }
                if len == 255 {
                    continue;
                }
                if std::mem::take(&mut self.skip_continuation) {
                    continue;
                }
                let is_last = !self.lacing[self.next_segment..].iter().any(|len| *len < 255);
                return Ok(Some(OggPacket {
                    bytes: std::mem::take(&mut self.partial),
                    end_granule: self.end_granule.filter(|_| is_last),
                    follows_a_hole: std::mem::take(&mut self.hole),
                }));
            }
            if self.complete || !self.next_page()? {
                return Ok(None);
            }
        }
    }

    /// Reads the next good page of the stream; false at the end of the file.
    fn next_page(&mut self) -> Result<bool, MediaError> {
        loop {
            if !self.read_page()? {
                return Ok(false);
            }
            // What is in the buffers was a whole page a moment ago.
            let Ok(Some(page)) = PageHeader::parse(&self.header) else { return Ok(false) };
            let serial = *self.serial.get_or_insert(page.serial);
            if checksum(&self.header, &self.body) != page.checksum {
                self.hole = true;
                self.partial.clear();
                continue;
            }
            if page.serial != serial {
                continue;
            }
            if page.is_continued() {
                self.skip_continuation = self.partial.is_empty();
            } else {
                self.skip_continuation = false;
                self.partial.clear();
            }
            self.end_granule = page.end_granule();
            self.complete = page.is_last();
            self.lacing.clear();
            self.lacing.extend_from_slice(page.lacing);
            self.next_segment = 0;
            self.body_at = 0;
            return Ok(true);
        }
    }

    /// Fills `header` and `body` with the next page there is, passing over bytes that are none.
    fn read_page(&mut self) -> Result<bool, MediaError> {
        self.header.clear();
        loop {
            let wanted = match PageHeader::parse(&self.header) {
                Ok(Some(page)) => {
                    let len = page.body_len();
                    self.body.clear();
                    let read = (&mut self.reader).take(len as u64).read_to_end(&mut self.body);
                    let read = read.map_err(|error| MediaError::io("reading", error))?;
                    return Ok(read == len);
                }
                Ok(None) => self.header.get(26).map_or(27, |count| 27 + usize::from(*count)) - self.header.len(),
                Err(()) => {
                    // Damage: look for the next page byte by byte.
                    self.hole = true;
                    self.header.remove(0);
                    if !self.header.is_empty() {
                        continue;
                    }
                    1
                }
            };
            let read = (&mut self.reader).take(wanted as u64).read_to_end(&mut self.header);
            if read.map_err(|error| MediaError::io("reading", error))? < wanted {
                return Ok(false);
            }
        }
    }
}

/// The page checksum (RFC 3533, section 6): CRC-32 of polynomial 0x04c11db7, not reflected, over the
/// page with the checksum field as zeros.
fn checksum(header: &[u8], body: &[u8]) -> u32 {
    let step = |crc: u32, byte: u8| crc << 8 ^ CRC_TABLE[usize::from((crc >> 24) as u8 ^ byte)];
    let field = 22..26;
    let masked = header.iter().enumerate().map(|(at, byte)| if field.contains(&at) { 0 } else { *byte });
    body.iter().copied().fold(masked.fold(0, step), step)
}

static CRC_TABLE: [u32; 256] = crc_table();

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = (index as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            value = if value >> 31 == 1 { value << 1 ^ 0x04c1_1db7 } else { value << 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}
