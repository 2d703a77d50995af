//! Ogg Vorbis renditions (aoTuV), quality-managed: equal input gives equal bytes.

use std::io::{self, Write};
use std::num::{NonZeroU8, NonZeroU32};
use std::path::Path;

use needledrop_core::media::{Codec, Kbps, Rendition};
use vorbis_rs::{VorbisBitrateManagementStrategy, VorbisEncoder, VorbisEncoderBuilder, VorbisError};

use super::Written;
use super::sink::{HashedFile, writing};
use crate::ogg_index::Walk;
use crate::{MediaError, Tags};

/// A fixed stream serial: files are served alone, never chained, and must be reproducible.
const SERIAL: i32 = 0x6e64_7270;

/// Frames given to the encoder at a time; libvorbis degrades with very long blocks.
const BLOCK_FRAMES: usize = 8192;

/// One Vorbis file being written.
pub(crate) struct VorbisRendition {
    kbps: Kbps,
    encoder: VorbisEncoder<Sink>,
}

impl VorbisRendition {
    pub(crate) fn start(kbps: Kbps, rate: u32, tags: &Tags, dir: &Path) -> Result<Self, MediaError> {
        let name = Rendition { codec: Codec::Vorbis, kbps }.file_name();
        let sink = Sink { file: HashedFile::create(&dir.join(name))?, walk: Walk::new() };
        let rate = NonZeroU32::new(rate).ok_or_else(|| MediaError::Encoder("sample rate 0".to_owned()))?;
        let mut builder = VorbisEncoderBuilder::new_with_serial(rate, NonZeroU8::MIN.saturating_add(1), sink, SERIAL);
        builder
            .bitrate_management_strategy(VorbisBitrateManagementStrategy::QualityVbr { target_quality: quality(kbps) });
        builder.comment_tags(tags.vorbis_comments()).map_err(encoder_error)?;
        let encoder = builder.build().map_err(encoder_error)?;
        Ok(Self { kbps, encoder })
    }

    pub(crate) fn kbps(&self) -> Kbps {
        self.kbps
    }

    pub(crate) fn encode(&mut self, [left, right]: &[Vec<f32>; 2]) -> Result<(), MediaError> {
        for (left, right) in left.chunks(BLOCK_FRAMES).zip(right.chunks(BLOCK_FRAMES)) {
            self.encoder.encode_audio_block([left, right]).map_err(encoder_error)?;
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Written, MediaError> {
        let Sink { file, walk } = self.encoder.finish().map_err(encoder_error)?;
        let path = file.path().to_owned();
        let index = walk.finish().map_err(|error| writing(&path, io::Error::other(error)))?;
        let (file, bytes, sha256) = file.close()?;
        Ok(Written { file, bytes, sha256, index })
    }
}

/// The quality whose average over music is near the nominal bit rate.
fn quality(kbps: Kbps) -> f32 {
    match kbps {
        Kbps::K96 => 0.27,
        Kbps::K160 => 0.6,
        Kbps::K320 => 0.95,
    }
}

/// The file, and the index growing with it.
struct Sink {
    file: HashedFile,
    walk: Walk,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.walk.push(bytes).map_err(io::Error::other)?;
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn encoder_error(error: VorbisError) -> MediaError {
    match error {
        VorbisError::Io(source) => MediaError::io("writing Ogg Vorbis", source),
        error => MediaError::Encoder(format!("Vorbis: {error}")),
    }
}
