//! What a peer says on its unidirectional streams, read along with h3, which looks at SETTINGS and GOAWAY only.
//!
//! Two things come of it: priorities that change (RFC 9218 7.2), and the errors that a peer must be told about
//! (RFC 9114 6.2 and 7.2, RFC 9204 4). We offer no dynamic table and push nothing, so little is allowed.

use h3::error::Code;

use super::priority::{FIELD_BYTES, Priority};

/// Stream types (RFC 9114 6.2, RFC 9204 4.2).
const CONTROL: u64 = 0x00;
const PUSH: u64 = 0x01;
const ENCODER: u64 = 0x02;
const DECODER: u64 = 0x03;
/// Frame types (RFC 9114 7.2, RFC 9218 7.2).
const CANCEL_PUSH: u64 = 0x03;
const SETTINGS: u64 = 0x04;
const MAX_PUSH_ID: u64 = 0x0d;
const PRIORITY_UPDATE: u64 = 0xf0700;

/// Reads one stream, however its bytes are cut.
#[derive(Default)]
pub(super) struct Uni {
    at: At,
    /// The beginning of something that is not whole: never more than a frame's that is looked at.
    held: Vec<u8>,
    max_push_id: u64,
    /// Frames and instructions since they were last counted, but for the first.
    said: u64,
}

#[derive(Clone, Copy, Default)]
enum At {
    /// The stream's type comes next.
    #[default]
    Type,
    /// The first frame of the control stream.
    Settings,
    Frame,
    /// So many bytes of a frame that is nothing to us.
    Skip(u64),
    Update(usize),
    PushId(usize),
    /// Instructions about a table that we do not have.
    Encoder,
    Decoder,
    /// In the middle of a long stream id.
    Cancellation,
    /// A stream of a type that means nothing to us.
    Elsewhere,
}

impl Uni {
    /// Takes in the next bytes. `each` hears of changed priorities, and may say what is wrong with them.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(u64, Priority) -> Result<(), Code>,
    ) -> Result<(), Code> {
        if matches!(self.at, At::Elsewhere) {
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let mut left = &held[..];
        while let Some((at, used)) = self.step(left, &mut each)? {
            self.said += u64::from(matches!(self.at, At::Frame | At::Encoder | At::Decoder));
            self.at = at;
            left = &left[used..];
        }
        self.held = left.to_vec();
        Ok(())
    }

    /// Frames and instructions that came since this was asked before. SETTINGS, which must come, is none.
    pub(super) fn count(&mut self) -> u64 {
        std::mem::take(&mut self.said)
    }

    /// Whether it carries instructions about a table: h3 reads its type and then no more.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.at, At::Encoder | At::Decoder | At::Cancellation)
    }

    /// The stream has ended. h3 knows about the control stream.
    pub(super) fn end(&self) -> Result<(), Code> {
        if self.is_table() { Err(Code::H3_CLOSED_CRITICAL_STREAM) } else { Ok(()) }
    }

    /// Where it goes on, and behind how many bytes; None if what comes next is not whole.
    fn step(
        &mut self,
        bytes: &[u8],
        each: &mut impl FnMut(u64, Priority) -> Result<(), Code>,
    ) -> Result<Option<(At, usize)>, Code> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        Ok(match self.at {
            At::Type => match varint(bytes) {
                Some((PUSH, _)) => return Err(Code::H3_STREAM_CREATION_ERROR),
                Some((CONTROL, used)) => Some((At::Settings, used)),
                Some((ENCODER, used)) => Some((At::Encoder, used)),
                Some((DECODER, used)) => Some((At::Decoder, used)),
                Some((_, used)) => Some((At::Elsewhere, used)),
                None => None,
            },
            At::Settings | At::Frame => self.frame(bytes)?,
            At::Skip(len) => {
                let used = usize::try_from(len).unwrap_or(usize::MAX).min(bytes.len());
                Some((if used as u64 == len { At::Frame } else { At::Skip(len - used as u64) }, used))
            }
            At::Update(len) => match bytes.get(..len) {
                Some(frame) => {
                    update(frame, each)?;
                    Some((At::Frame, len))
                }
                None => None,
            },
            At::PushId(len) => match bytes.get(..len) {
                Some(frame) => {
                    let (id, used) = varint(frame).ok_or(Code::H3_FRAME_ERROR)?;
                    if used != len {
                        return Err(Code::H3_FRAME_ERROR);
                    }
                    if id < self.max_push_id {
                        return Err(Code::H3_ID_ERROR);
                    }
                    self.max_push_id = id;
                    Some((At::Frame, len))
                }
                None => None,
            },
            // Setting the capacity of a table of none to none is all that can be said.
            At::Encoder if first == 0x20 => Some((At::Encoder, 1)),
            At::Encoder => return Err(Code::QPACK_ENCODER_STREAM_ERROR),
            // Stream Cancellation, whose id has six bits here and may go on in the next bytes (RFC 7541 5.1).
            At::Decoder if first & 0xc0 == 0x40 => {
                Some((if first & 0x3f == 0x3f { At::Cancellation } else { At::Decoder }, 1))
            }
            At::Decoder => return Err(Code::QPACK_DECODER_STREAM_ERROR),
            At::Cancellation => Some((if first & 0x80 == 0 { At::Decoder } else { At::Cancellation }, 1)),
            At::Elsewhere => Some((At::Elsewhere, bytes.len())),
        })
    }

    /// The head of a frame on the control stream.
    fn frame(&self, bytes: &[u8]) -> Result<Option<(At, usize)>, Code> {
        let Some((kind, first)) = varint(bytes) else { return Ok(None) };
        if matches!(self.at, At::Settings) && kind != SETTINGS {
            return Err(Code::H3_MISSING_SETTINGS);
        }
        let Some((len, second)) = varint(&bytes[first..]) else { return Ok(None) };
        let size = usize::try_from(len).unwrap_or(usize::MAX);
        let at = match kind {
            // Nothing was ever promised.
            CANCEL_PUSH => return Err(Code::H3_ID_ERROR),
            MAX_PUSH_ID if !(1..=8).contains(&size) => return Err(Code::H3_FRAME_ERROR),
            MAX_PUSH_ID => At::PushId(size),
            PRIORITY_UPDATE if size == 0 => return Err(Code::H3_FRAME_ERROR),
            PRIORITY_UPDATE if size <= FIELD_BYTES => At::Update(size),
            _ if len == 0 => At::Frame,
            _ => At::Skip(len),
        };
        Ok(Some((at, first + second)))
    }
}

fn update(frame: &[u8], each: &mut impl FnMut(u64, Priority) -> Result<(), Code>) -> Result<(), Code> {
    let (stream, used) = varint(frame).ok_or(Code::H3_FRAME_ERROR)?;
    // Only a client's bidirectional streams are requests (RFC 9000 2.1).
    if stream % 4 != 0 {
        return Err(Code::H3_ID_ERROR);
    }
    match std::str::from_utf8(&frame[used..]) {
        Ok(field) => each(stream, Priority::parse(field)),
        Err(_) => Ok(()),
    }
}

/// A variable-length integer and its length (RFC 9000 16).
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let len = 1 << (first >> 6);
    let rest = bytes.get(1..len)?;
    Some((rest.iter().fold(u64::from(first & 0x3f), |value, byte| value << 8 | u64::from(*byte)), len))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREAMBLE: [u8; 3] = [0x00, 0x04, 0x00];

    fn read(bytes: &[u8], size: usize) -> (Result<(), Code>, Vec<(u64, Priority)>) {
        let (mut uni, mut found) = (Uni::default(), Vec::new());
        for piece in bytes.chunks(size) {
            let heard = uni.read(piece, |stream, priority| {
                found.push((stream, priority));
                Ok(())
            });
            if let Err(code) = heard {
                return (Err(code), found);
            }
        }
        (uni.end(), found)
    }

    #[test]
    fn updates_are_found_between_other_frames_however_they_are_cut() {
        // SETTINGS of 2 bytes, a reserved frame, PRIORITY_UPDATE for stream 4, MAX_PUSH_ID, another update for stream 8.
        let bytes = [
            &[0x00, 0x04, 0x02, 0x01, 0x00, 0x21, 0x03, 9, 9, 9, 0x21, 0x00][..],
            &[0x80, 0x0f, 0x07, 0x00, 0x06, 0x04],
            b"u=1,i",
            &[0x0d, 0x01, 0x05],
            &[0x80, 0x0f, 0x07, 0x00, 0x01, 0x08],
        ]
        .concat();
        for size in 1..=bytes.len() {
            let (ended, found) = read(&bytes, size);
            assert_eq!(found, [(4, Priority::parse("u=1,i")), (8, Priority::default())], "in pieces of {size}");
            assert!(ended.is_ok());
        }
    }

    #[test]
    fn what_brings_nothing_is_counted_however_it_is_cut() {
        let update = [0x80, 0x0f, 0x07, 0x00, 0x03, 0x04, b'u', b'='];
        let control =
            [&PREAMBLE[..], &update, &[0x0d, 0x01, 0x05], &[0x21, 0x03, 9, 9, 9], &[0x07, 0x01, 0x00]].concat();
        for (bytes, expected) in
            [(control, 4), (vec![0x02, 0x20, 0x20, 0x20], 3), (vec![0x03, 0x44, 0x7f, 0x80, 0x01], 2)]
        {
            for size in 1..=bytes.len() {
                let mut uni = Uni::default();
                bytes.chunks(size).for_each(|piece| uni.read(piece, |_, _| Ok(())).unwrap());
                assert_eq!((uni.count(), uni.count()), (expected, 0), "{bytes:?} in pieces of {size}");
            }
        }
    }

    #[test]
    fn what_a_client_may_not_say_has_its_code() {
        let control = |frames: &[u8]| [&PREAMBLE, frames].concat();
        for (bytes, code) in [
            (vec![0x01], Code::H3_STREAM_CREATION_ERROR),
            (vec![0x00, 0x21, 0x00], Code::H3_MISSING_SETTINGS),
            (control(&[0x03, 0x01, 0x00]), Code::H3_ID_ERROR),
            (control(&[0x0d, 0x01, 0x05, 0x0d, 0x01, 0x04]), Code::H3_ID_ERROR),
            (control(&[0x0d, 0x02, 0x05, 0x00]), Code::H3_FRAME_ERROR),
            (control(&[0x80, 0x0f, 0x07, 0x00, 0x01, 0x02]), Code::H3_ID_ERROR),
            (vec![0x02, 0x20, 0x3f], Code::QPACK_ENCODER_STREAM_ERROR),
            (vec![0x02, 0x20], Code::H3_CLOSED_CRITICAL_STREAM),
            (vec![0x03, 0x44, 0x7f, 0x80, 0x01, 0x01], Code::QPACK_DECODER_STREAM_ERROR),
            (vec![0x03, 0x80], Code::QPACK_DECODER_STREAM_ERROR),
        ] {
            for size in 1..=bytes.len() {
                assert_eq!(read(&bytes, size).0, Err(code), "{bytes:?} in pieces of {size}");
            }
        }
        // Reserved types carry what they like.
        assert!(read(&[0x21, 0x02, 0x03, 0xff], 1).0.is_ok());
    }
}
