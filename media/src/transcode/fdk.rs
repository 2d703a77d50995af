//! AAC-LC by the bundled Fraunhofer FDK encoder.

use fdk_aac::enc::{AudioObjectType, BitRate, ChannelMode, Encoder, EncoderError, EncoderParams, Transport};
use needledrop_core::media::Kbps;

use super::aac::{AacEncoder, AacStream, UNIT_FRAMES};
use super::m4a::M4aWriter;
use crate::MediaError;

/// The largest access unit: 6144 bits per channel (ISO/IEC 14496-3, section 4.5.1.1), with room.
const UNIT_BYTES_MAX: usize = 2048;

/// Calls after the end before an encoder that gives nothing is called broken.
const FLUSH_CALLS_MAX: u32 = 16;

pub(crate) struct FdkEncoder {
    encoder: Encoder,
    delay_frames: u64,
    config: Vec<u8>,
    unit: Box<[u8; UNIT_BYTES_MAX]>,
}

impl FdkEncoder {
    pub(crate) fn start(rate: u32, kbps: Kbps) -> Result<Self, MediaError> {
        let encoder = Encoder::new(EncoderParams {
            bit_rate: BitRate::Cbr(kbps.value() * 1000),
            sample_rate: rate,
            transport: Transport::Raw,
            channels: ChannelMode::Stereo,
            audio_object_type: AudioObjectType::Mpeg4LowComplexity,
        })
        .map_err(fdk_error)?;
        let info = encoder.info().map_err(fdk_error)?;
        if info.frameLength as usize != UNIT_FRAMES {
            return Err(MediaError::Encoder(format!("AAC: units of {} frames", info.frameLength)));
        }
        let config_len = (info.confSize as usize).min(info.confBuf.len());
        Ok(Self {
            encoder,
            delay_frames: u64::from(info.nDelay),
            config: info.confBuf[..config_len].to_vec(),
            unit: Box::new([0; UNIT_BYTES_MAX]),
        })
    }
}

impl AacEncoder for FdkEncoder {
    fn encode(&mut self, mut pcm: &[i16], writer: &mut M4aWriter) -> Result<(), MediaError> {
        while !pcm.is_empty() {
            let done = self.encoder.encode(pcm, &mut self.unit[..]).map_err(fdk_error)?;
            if done.output_size > 0 {
                writer.add_unit(&self.unit[..done.output_size])?;
            }
            if done.input_consumed == 0 && done.output_size == 0 {
                return Err(MediaError::Encoder("AAC: the encoder takes no more".to_owned()));
            }
            pcm = &pcm[done.input_consumed..];
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, frames: u64, writer: &mut M4aWriter) -> Result<AacStream, MediaError> {
        let wanted = (self.delay_frames + frames).div_ceil(UNIT_FRAMES as u64);
        let silence = [0_i16; UNIT_FRAMES * 2];
        for _ in 0..FLUSH_CALLS_MAX {
            if writer.units() >= wanted {
                break;
            }
            self.encode(&silence, writer)?;
        }
        Ok(AacStream { delay_frames: self.delay_frames, config: self.config })
    }
}

fn fdk_error(error: EncoderError) -> MediaError {
    MediaError::Encoder(format!("AAC: {error}"))
}
