//! AAC-LC by the program `ffmpeg`: for builds without the bundled encoder, or by choice.
//!
//! Samples go to its standard input; it writes ADTS (ISO/IEC 13818-7, section 6.2) to a scratch
//! file, from which the access units are taken, so that no second pipe can block the first.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use needledrop_core::media::Kbps;

use super::aac::{AacEncoder, AacStream};
use super::m4a::M4aWriter;
use super::sink::writing;
use crate::MediaError;

/// Frames ffmpeg's own AAC encoder puts before the sound.
const DELAY_FRAMES: u64 = 1024;
/// An ADTS header without checksum.
const ADTS_BYTES: usize = 7;

pub(crate) struct FfmpegEncoder {
    process: Guard,
    input: Option<BufWriter<ChildStdin>>,
    adts: PathBuf,
    bytes: Vec<u8>,
}

/// Ends the process with its owner.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        // Both fail only when it is over already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl FfmpegEncoder {
    pub(crate) fn start(rate: u32, kbps: Kbps, adts: &Path) -> Result<Self, MediaError> {
        let mut process = Command::new("ffmpeg")
            .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y", "-f", "s16le", "-ac", "2", "-ar"])
            .arg(rate.to_string())
            .args(["-i", "pipe:0", "-c:a", "aac", "-threads", "1", "-flags", "+bitexact", "-b:a"])
            .arg(format!("{}k", kbps.value()))
            .args(["-f", "adts"])
            .arg(adts)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    MediaError::Encoder("AAC needs ffmpeg, which is not installed".to_owned())
                }
                _ => MediaError::io("starting ffmpeg", error),
            })?;
        let input = process.stdin.take().map(BufWriter::new);
        Ok(Self { process: Guard(process), input, adts: adts.to_owned(), bytes: Vec::new() })
    }
}

impl AacEncoder for FfmpegEncoder {
    fn encode(&mut self, pcm: &[i16], _writer: &mut M4aWriter) -> Result<(), MediaError> {
        self.bytes.clear();
        self.bytes.extend(pcm.iter().flat_map(|sample| sample.to_le_bytes()));
        let Some(input) = &mut self.input else { return Err(broken("it was closed")) };
        input.write_all(&self.bytes).map_err(|error| MediaError::io("feeding ffmpeg", error))
    }

    fn finish(mut self: Box<Self>, _frames: u64, writer: &mut M4aWriter) -> Result<AacStream, MediaError> {
        if let Some(mut input) = self.input.take() {
            input.flush().map_err(|error| MediaError::io("feeding ffmpeg", error))?;
        }
        let status = self.process.0.wait().map_err(|error| MediaError::io("waiting for ffmpeg", error))?;
        if !status.success() {
            return Err(broken(&status.to_string()));
        }
        let config = take_units(&self.adts, writer)?;
        fs::remove_file(&self.adts).map_err(|error| writing(&self.adts, error))?;
        Ok(AacStream { delay_frames: DELAY_FRAMES, config })
    }
}

/// Moves the access units over; the decoder configuration is in every header.
fn take_units(adts: &Path, writer: &mut M4aWriter) -> Result<Vec<u8>, MediaError> {
    let file = File::open(adts).map_err(|error| MediaError::io("reading what ffmpeg wrote", error))?;
    let mut reader = BufReader::new(file);
    let mut header = [0_u8; ADTS_BYTES];
    let mut unit = Vec::new();
    let mut config = None;
    while reader.read_exact(&mut header).is_ok() {
        let is_header = header[0] == 0xff && header[1] & 0xf7 == 0xf1;
        let len = usize::from(header[3] & 3) << 11 | usize::from(header[4]) << 3 | usize::from(header[5] >> 5);
        if !is_header || len < ADTS_BYTES {
            return Err(broken("unreadable output"));
        }
        unit.resize(len - ADTS_BYTES, 0);
        reader.read_exact(&mut unit).map_err(|error| MediaError::io("reading what ffmpeg wrote", error))?;
        writer.add_unit(&unit)?;
        config.get_or_insert_with(|| {
            // profile - 1 [2], frequency index [4], private [1], channels [3]
            let object_type = (header[2] >> 6) + 1;
            let frequency = header[2] >> 2 & 15;
            let channels = (header[2] & 1) << 2 | header[3] >> 6;
            vec![object_type << 3 | frequency >> 1, (frequency & 1) << 7 | channels << 3]
        });
    }
    config.ok_or_else(|| broken("no output"))
}

fn broken(reason: &str) -> MediaError {
    MediaError::Encoder(format!("ffmpeg: {reason}"))
}
