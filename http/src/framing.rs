//! Whose bytes a door writes: the output of one connection, split into bodies and what is around them.
//!
//! The libraries that write HTTP/1.1 and HTTP/2 do not say where a body's bytes come to lie among the
//! bytes of a connection, so the output is followed here as it passes: by the end of each head and the
//! declared length on HTTP/1.1 (RFC 9112 6.3), by the frame headers on HTTP/2 (RFC 9113 4.1). Pure: it
//! sees bytes and knows no socket.

use std::collections::{HashMap, VecDeque};

/// The number of an answer on one connection, in the order in which they were announced.
pub(crate) type AnswerId = u64;

/// What the next bytes of the output are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// How many of them.
    pub(crate) bytes: usize,
    /// The answer whose body they carry, if they do.
    pub(crate) answer: Option<AnswerId>,
}

/// Follows the output of one connection.
pub(crate) enum Framing {
    H1(H1),
    H2(H2),
}

impl Framing {
    /// What the first of these bytes are; never an empty piece of them.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Piece {
        match self {
            Self::H1(h1) => h1.next(bytes),
            Self::H2(h2) => h2.next(bytes),
        }
    }
}

/// HTTP/1.1: answers in the order of their requests.
#[derive(Default)]
pub(crate) struct H1 {
    announced: VecDeque<(AnswerId, Option<u64>)>,
    at: At,
}

#[derive(Default, Clone, Copy)]
enum At {
    /// Where the next head begins.
    #[default]
    Start,
    /// In the head of an answer, after so many bytes of the empty line that ends it.
    Head { answer: AnswerId, length: Option<u64>, matched: usize },
    /// In a body of known length.
    Body { answer: AnswerId, left: u64 },
    /// In a body of unknown length: only who writes it knows where it ends.
    Open(AnswerId),
    /// In something that was not announced: hyper's own answer to a malformed head, after which it closes.
    Lost,
}

impl H1 {
    /// The next answer will have a body of this length, if it is known.
    pub(crate) fn announce(&mut self, answer: AnswerId, length: Option<u64>) {
        self.announced.push_back((answer, length));
    }

    /// Everything that was produced has been written. Ends a body of unknown length that is complete.
    pub(crate) fn flushed(&mut self, is_complete: impl Fn(AnswerId) -> bool) -> Option<AnswerId> {
        match self.at {
            At::Open(answer) if is_complete(answer) => {
                self.at = At::Start;
                Some(answer)
            }
            _ => None,
        }
    }

    fn next(&mut self, bytes: &[u8]) -> Piece {
        if matches!(self.at, At::Start) {
            self.at = match self.announced.pop_front() {
                Some((answer, length)) => At::Head { answer, length, matched: 0 },
                None => At::Lost,
            };
        }
        match &mut self.at {
            At::Start => unreachable!("left above"),
            At::Head { answer, length, matched } => {
                let (answer, length) = (*answer, *length);
                let end = end_of_head(bytes, matched);
                if end.is_some() {
                    self.at = match length {
                        Some(0) => At::Start,
                        Some(left) => At::Body { answer, left },
                        None => At::Open(answer),
                    };
                }
                Piece { bytes: end.unwrap_or(bytes.len()), answer: None }
            }
            At::Body { answer, left } => {
                let answer = *answer;
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                if *left == 0 {
                    self.at = At::Start;
                }
                Piece { bytes: taken, answer: Some(answer) }
            }
            At::Open(_) | At::Lost => Piece { bytes: bytes.len(), answer: None },
        }
    }
}

/// The empty line that ends a head, and the end of the line before it.
const END: &[u8; 4] = b"\r\n\r\n";

/// How many bytes reach to the end of the empty line; goes on where the last call stopped.
fn end_of_head(bytes: &[u8], matched: &mut usize) -> Option<usize> {
    // A head is nearly always written in one piece.
    if *matched == 0
        && let Some(at) = memchr::memmem::find(bytes, END)
    {
        return Some(at + END.len());
    }
    for (index, byte) in bytes.iter().enumerate() {
        *matched = match (*byte == END[*matched], *byte) {
            (true, _) => *matched + 1,
            (false, b'\r') => 1,
            (false, _) => 0,
        };
        if *matched == END.len() {
            return Some(index + 1);
        }
    }
    None
}

/// HTTP/2: frames of many answers between each other.
#[derive(Default)]
pub(crate) struct H2 {
    streams: HashMap<u32, AnswerId>,
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    /// Left of the frame under way, and whose body it carries.
    left: usize,
    answer: Option<AnswerId>,
}

/// The header of every frame: length in 24 bits, type, flags, stream in 31 bits (RFC 9113 4.1).
const HEADER_BYTES: usize = 9;
const DATA: u8 = 0;
/// A padded frame carries a length and filling of its own (RFC 9113 6.1); our side never pads.
const PADDED: u8 = 0x8;

impl H2 {
    /// The body of this stream is the answer's.
    pub(crate) fn announce(&mut self, stream: u32, answer: AnswerId) {
        self.streams.insert(stream, answer);
    }

    /// Nothing more will come of this stream that counts.
    pub(crate) fn forget(&mut self, stream: u32) {
        self.streams.remove(&stream);
    }

    fn next(&mut self, bytes: &[u8]) -> Piece {
        if self.left == 0 && self.header_bytes < HEADER_BYTES {
            let taken = bytes.len().min(HEADER_BYTES - self.header_bytes);
            self.header[self.header_bytes..self.header_bytes + taken].copy_from_slice(&bytes[..taken]);
            self.header_bytes += taken;
            if self.header_bytes == HEADER_BYTES {
                self.begin_frame();
            }
            return Piece { bytes: taken, answer: None };
        }
        let taken = bytes.len().min(self.left);
        self.left -= taken;
        let answer = self.answer;
        if self.left == 0 {
            self.header_bytes = 0;
        }
        Piece { bytes: taken, answer }
    }

    fn begin_frame(&mut self) {
        let [a, b, c, kind, flags, stream @ ..] = self.header;
        let stream = u32::from_be_bytes(stream) & 0x7fff_ffff;
        self.left = u32::from_be_bytes([0, a, b, c]) as usize;
        let carries_body = kind == DATA && flags & PADDED == 0;
        self.answer = self.streams.get(&stream).copied().filter(|_| carries_body);
        if self.left == 0 {
            self.header_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Body bytes by answer, whatever the pieces in which the output comes.
    fn counted(framing: &mut Framing, output: &[u8], step: usize) -> HashMap<AnswerId, usize> {
        let mut counts = HashMap::new();
        for mut chunk in output.chunks(step) {
            while !chunk.is_empty() {
                let piece = framing.next(chunk);
                assert!(piece.bytes > 0);
                if let Some(answer) = piece.answer {
                    *counts.entry(answer).or_default() += piece.bytes;
                }
                chunk = &chunk[piece.bytes..];
            }
        }
        counts
    }

    #[test]
    fn h1_bodies_are_told_from_heads_in_any_pieces() {
        let output =
            b"HTTP/1.1 200 OK\r\na: \r\r\n\r\nfirstHTTP/1.1 304 X\r\n\r\nHTTP/1.1 200 OK\r\nb: c\r\n\r\nlast\r\n\r\n";
        for step in 1..output.len() {
            let mut h1 = H1::default();
            h1.announce(1, Some(5));
            h1.announce(2, Some(0));
            h1.announce(3, Some(8));
            let counts = counted(&mut Framing::H1(h1), output, step);
            assert_eq!(counts, HashMap::from([(1, 5), (3, 8)]), "in steps of {step}");
        }
    }

    #[test]
    fn h1_output_that_nobody_announced_is_nobodys_body() {
        let counts = counted(&mut Framing::H1(H1::default()), b"HTTP/1.1 400 Bad\r\n\r\nwhat", 7);
        assert!(counts.is_empty());
    }

    #[test]
    fn an_h1_body_of_unknown_length_ends_when_its_writer_says_so() {
        let mut h1 = H1::default();
        h1.announce(1, None);
        h1.announce(2, Some(2));
        let mut framing = Framing::H1(h1);
        assert!(counted(&mut framing, b"HTTP/1.1 200 OK\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 4).is_empty());
        let Framing::H1(h1) = &mut framing else { unreachable!() };
        assert_eq!(h1.flushed(|_| false), None);
        assert_eq!(h1.flushed(|answer| answer == 1), Some(1));
        assert_eq!(counted(&mut framing, b"HTTP/1.1 200 OK\r\n\r\nab", 4), HashMap::from([(2, 2)]));
    }

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    #[test]
    fn h2_data_frames_belong_to_their_streams_in_any_pieces() {
        let output = [
            frame(4, 0, 0, b""),
            frame(1, 4, 1, b"head"),
            frame(0, 0, 1, b"first"),
            frame(0, 0, 3, b"other"),
            frame(8, 0, 0, &[0, 0, 1, 0]),
            frame(0, 1, 1, b" and last"),
            frame(0, 0, 5, b"nobody's"),
            frame(0, 1, 3, b""),
        ]
        .concat();
        for step in 1..output.len() {
            let mut h2 = H2::default();
            h2.announce(1, 10);
            h2.announce(3, 30);
            let counts = counted(&mut Framing::H2(h2), &output, step);
            assert_eq!(counts, HashMap::from([(10, 14), (30, 5)]), "in steps of {step}");
        }
    }
}
