//! HTTP/1.1 by hand (RFC 9112), over anything that carries bytes. Between two answers a connection holds no buffer.

use std::cell::RefCell;
use std::future::poll_fn;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use http::header::{CONNECTION, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use super::answer::Account;
use super::patience::Patience;
use super::wire::{Opened, Wire};
use super::{Answer, ClientConfig, Device, Failure, Get, Head, Origin, Reader, Wish};
use crate::measured::{Opening, Protocol, Trouble};

/// Most bytes of an answer's head, interim answers before it included.
pub(super) const HEAD_BYTES: usize = 64 * 1024;
/// Most fields of a head.
const FIELDS: usize = 128;
/// Most bytes of a chunk's first line, and of all trailers.
const CHUNK_LINE_BYTES: usize = 4 * 1024;
/// Read at once: four TLS records, which decrypt in a few tens of microseconds.
const SCRATCH_BYTES: usize = 64 * 1024;

thread_local! {
    /// Where all connections of a worker read into. Nothing stays in it between two polls.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_BYTES]);
}

pub(super) struct Connection {
    /// Locked only for a moment, to look whether it is silent.
    wire: Mutex<Wire>,
    opened: Opened,
    config: ClientConfig,
    is_open: bool,
}

impl Connection {
    pub(super) async fn open(device: &Device, origin: &Origin, wish: Wish) -> Result<Self, Failure> {
        let wire = Wire::open(device, origin, Protocol::H1, wish).await?;
        let opened = wire.opened();
        Ok(Self { wire: Mutex::new(wire), opened, config: device.client.config.clone(), is_open: true })
    }

    pub(super) fn opening(&self) -> Opening {
        self.opened.get()
    }

    pub(super) fn is_usable(&self) -> bool {
        self.is_open && self.wire.lock().expect("nothing panics under this lock").is_silent()
    }

    pub(super) async fn close(mut self) {
        let _ = self.wire().shutdown().await;
    }

    /// Reads, expecting no answer, until something is true.
    pub(super) async fn read_until(&mut self, is_there: impl Fn() -> bool) {
        poll_fn(|cx| {
            let is_quiet = poll_read(self.wire(), cx, |_| ()).is_pending();
            self.is_open &= is_quiet;
            if is_there() || !is_quiet { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn wire(&mut self) -> &mut Wire {
        self.wire.get_mut().expect("nothing panics under this lock")
    }

    pub(super) async fn get(
        &mut self,
        origin: &Origin,
        get: &Get<'_>,
        reader: &mut impl Reader,
    ) -> Result<Answer, Failure> {
        self.exchange(origin, get, None, reader).await
    }

    /// A POST of JSON to where this GET would go.
    pub(super) async fn post(
        &mut self,
        origin: &Origin,
        get: &Get<'_>,
        json: &str,
        reader: &mut impl Reader,
    ) -> Result<Answer, Failure> {
        self.exchange(origin, get, Some(json), reader).await
    }

    async fn exchange(
        &mut self,
        origin: &Origin,
        get: &Get<'_>,
        json: Option<&str>,
        reader: &mut impl Reader,
    ) -> Result<Answer, Failure> {
        if !self.is_usable() {
            return Err(Failure::broken("the connection was closed, or the server spoke without being asked"));
        }
        // Only a whole answer opens it again.
        self.is_open = false;
        let limit = self.config.head_timeout;
        let asking = async {
            self.ask(origin, get, json).await?;
            self.read_head().await
        };
        let (head, rest) = timeout(limit, asking).await.unwrap_or_else(|_| Err(Failure::no_head(limit)))?;
        let lives_on = lives_on(&head);
        let head = Head::new(head.status, head.fields, head.at)?;
        let mut account = Account::open(get, &head)?;
        let mut framing = Framing::of(&head, &account)?;
        reader.head(&head);
        let (ended_at, end) = self.read_body(&mut framing, &mut account, &head, &rest, reader).await?;
        self.is_open = end == End::Whole && lives_on && !matches!(framing, Framing::Close);
        Ok(Answer { head, body_bytes: account.come(), ended_at, left: end == End::Left })
    }

    async fn ask(&mut self, origin: &Origin, get: &Get<'_>, json: Option<&str>) -> Result<(), Failure> {
        let mut text = Vec::with_capacity(512);
        let (method, host) = (if json.is_some() { "POST" } else { "GET" }, origin.authority());
        text.extend_from_slice(format!("{method} {} HTTP/1.1\r\nhost: {host}\r\n", get.target).as_bytes());
        for (name, value) in &get.fields()? {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                text.extend_from_slice(part);
            }
        }
        if let Some(json) = json {
            let about = format!("content-type: application/json\r\ncontent-length: {}\r\n", json.len());
            text.extend_from_slice(about.as_bytes());
        }
        text.extend_from_slice(b"\r\n");
        text.extend_from_slice(json.unwrap_or_default().as_bytes());
        let failed = |error| Failure::io(Trouble::Broken, "sending the request", &error);
        self.wire().write_all(&text).await.map_err(failed)?;
        self.wire().flush().await.map_err(failed)
    }

    /// The head, and the bytes behind it that came with it.
    async fn read_head(&mut self) -> Result<(RawHead, Vec<u8>), Failure> {
        let mut text = Vec::new();
        let mut start = 0;
        loop {
            let looked = text.len();
            let (count, at) = poll_fn(|cx| poll_read(self.wire(), cx, |bytes| text.extend_from_slice(bytes)))
                .await
                .map_err(|error| Failure::io(Trouble::Broken, "waiting for the answer", &error))?;
            if count == 0 {
                return Err(Failure::broken("the connection was closed before the answer's head was whole"));
            }
            if !has_line_end(&text[looked..]) {
                bound(&text)?;
                continue;
            }
            while let Some((head, end)) = RawHead::parse(&text[start..], at)? {
                start += end;
                if !head.status.is_informational() {
                    return Ok((head, text.split_off(start)));
                }
                if head.status == StatusCode::SWITCHING_PROTOCOLS {
                    return Err(Failure::protocol("the server switches to a protocol that was not asked for"));
                }
            }
            bound(&text)?;
        }
    }

    async fn read_body(
        &mut self,
        framing: &mut Framing,
        account: &mut Account,
        head: &Head,
        rest: &[u8],
        reader: &mut impl Reader,
    ) -> Result<(Instant, End), Failure> {
        if let Some(end) = framing.feed(account, head.at, rest, reader)? {
            return self.finish(end, account, head.at);
        }
        let limit = self.config.body_timeout;
        let mut patience = Patience::new(limit);
        loop {
            let mut outcome = Ok(None);
            let mut at = head.at;
            let wire = self.wire.get_mut().expect("nothing panics under this lock");
            let read = poll_fn(|cx| {
                if patience.poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
                poll_read_at(wire, cx, |now, bytes| {
                    at = now;
                    outcome = framing.feed(account, now, bytes, reader);
                })
                .map(Some)
            });
            let count = match read.await {
                None => return Err(Failure::no_piece(limit, account.come())),
                Some(Err(error)) => return Err(self.broke(framing, account, &error)),
                Some(Ok(count)) => count,
            };
            if count == 0 {
                framing.closed(account)?;
                return Ok((Instant::now(), End::Whole));
            }
            if let Some(end) = outcome? {
                return self.finish(end, account, at);
            }
            if let Some(until) = reader.rests_until() {
                tokio::time::sleep_until(until.into()).await;
            }
            patience.renew();
        }
    }

    /// Bytes that stand right behind a whole body were meant to be part of it: they answer nothing.
    fn finish(&mut self, end: End, account: &Account, at: Instant) -> Result<(Instant, End), Failure> {
        let mut context = Context::from_waker(futures_util::task::noop_waker_ref());
        if end == End::Whole
            && let Poll::Ready(Ok((1.., _))) = poll_read(self.wire(), &mut context, |_| ())
        {
            return Err(account.too_long());
        }
        Ok((at, end))
    }

    fn broke(&self, framing: &Framing, account: &Account, error: &std::io::Error) -> Failure {
        // A TLS connection that ends without saying so: what had come may be less than all.
        if matches!(framing, Framing::Close) && error.kind() == std::io::ErrorKind::UnexpectedEof {
            return Failure::broken(format!("the connection broke after {} bytes of unknown many", account.come()));
        }
        Failure::io(Trouble::Broken, format!("after {} bytes of the body", account.come()), error)
    }
}

/// How reading a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Whole,
    Left,
}

/// Reads once into the worker's buffer, and shows what came and when.
fn poll_read_at(
    wire: &mut Wire,
    cx: &mut Context<'_>,
    show: impl FnOnce(Instant, &[u8]),
) -> Poll<std::io::Result<usize>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut buffer = ReadBuf::new(scratch);
        ready!(Pin::new(wire).poll_read(cx, &mut buffer))?;
        let bytes = buffer.filled();
        if !bytes.is_empty() {
            show(Instant::now(), bytes);
        }
        Poll::Ready(Ok(bytes.len()))
    })
}

fn poll_read(
    wire: &mut Wire,
    cx: &mut Context<'_>,
    show: impl FnOnce(&[u8]),
) -> Poll<std::io::Result<(usize, Instant)>> {
    let mut at = None;
    let read = poll_read_at(wire, cx, |now, bytes| {
        at = Some(now);
        show(bytes);
    });
    read.map_ok(|count| (count, at.unwrap_or_else(Instant::now)))
}

fn has_line_end(bytes: &[u8]) -> bool {
    bytes.contains(&b'\n')
}

fn bound(text: &[u8]) -> Result<(), Failure> {
    match text.len() {
        0..=HEAD_BYTES => Ok(()),
        bytes => Err(Failure::protocol(format!("the answer's head does not end within {bytes} bytes"))),
    }
}

/// A head as it stands there.
struct RawHead {
    version: Version,
    status: StatusCode,
    fields: HeaderMap,
    at: Instant,
}

impl RawHead {
    /// The first head in these bytes and where it ends; None if it is not whole.
    fn parse(text: &[u8], at: Instant) -> Result<Option<(Self, usize)>, Failure> {
        let mut slots = [httparse::EMPTY_HEADER; FIELDS];
        let mut parsed = httparse::Response::new(&mut slots);
        let bad = |what: &dyn std::fmt::Display| Failure::protocol(format!("the answer is not HTTP/1: {what}"));
        let end = match parsed.parse(text).map_err(|error| bad(&error))? {
            httparse::Status::Partial => return Ok(None),
            httparse::Status::Complete(end) => end,
        };
        let version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
        let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or_else(|| bad(&"its status"))?;
        let mut fields = HeaderMap::with_capacity(parsed.headers.len());
        for field in parsed.headers {
            let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|error| bad(&error))?;
            fields.append(name, HeaderValue::from_bytes(field.value).map_err(|error| bad(&error))?);
        }
        Ok(Some((Self { version, status, fields, at }, end)))
    }
}

/// Whether the connection goes on after this answer (RFC 9112 9.3).
fn lives_on(head: &RawHead) -> bool {
    let says = |word: &str| {
        let values = head.fields.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    if head.version == Version::HTTP_10 { says("keep-alive") } else { !says("close") }
}

/// Where a body ends (RFC 9112 6.3).
enum Framing {
    /// After the bytes of its account.
    Counted,
    Chunked(Chunks),
    /// Where the connection does.
    Close,
}

impl Framing {
    fn of(head: &Head, account: &Account) -> Result<Self, Failure> {
        let mut codings = head.fields.get_all(TRANSFER_ENCODING).iter();
        let Some(coding) = codings.next() else {
            return Ok(if account.declared().is_some() { Self::Counted } else { Self::Close });
        };
        if head.length.is_some() {
            return Err(Failure::protocol("the answer has both Content-Length and Transfer-Encoding"));
        }
        if codings.next().is_some() || !coding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Failure::protocol(format!("the answer has an unknown Transfer-Encoding: {coding:?}")));
        }
        Ok(Self::Chunked(Chunks::default()))
    }

    /// Takes bytes that came; tells when the body has ended.
    fn feed(
        &mut self,
        account: &mut Account,
        at: Instant,
        mut bytes: &[u8],
        reader: &mut impl Reader,
    ) -> Result<Option<End>, Failure> {
        let mut give = |account: &mut Account, piece: &[u8]| {
            account.take(piece.len())?;
            Ok::<_, Failure>(!piece.is_empty() && reader.body(at, piece).is_break())
        };
        match self {
            Self::Close => Ok(give(account, bytes)?.then_some(End::Left)),
            Self::Counted => {
                let due = account.declared().unwrap_or(0) - account.come();
                let is_long = bytes.len() as u64 > due;
                let piece = if is_long { &bytes[..due as usize] } else { bytes };
                if give(account, piece)? {
                    return Ok(Some(End::Left));
                }
                if is_long {
                    return Err(account.too_long());
                }
                Ok((piece.len() as u64 == due).then_some(End::Whole))
            }
            Self::Chunked(chunks) => {
                while !bytes.is_empty() {
                    let step = chunks.step(bytes)?;
                    if give(account, &bytes[step.data.clone()])? {
                        return Ok(Some(End::Left));
                    }
                    bytes = &bytes[step.consumed..];
                    if step.is_end {
                        account.end()?;
                        return if bytes.is_empty() { Ok(Some(End::Whole)) } else { Err(account.too_long()) };
                    }
                }
                Ok(None)
            }
        }
    }

    /// The connection ended.
    fn closed(&self, account: &Account) -> Result<(), Failure> {
        match self {
            Self::Chunked(_) => {
                Err(Failure::length(format!("the connection was closed after {} bytes, in a chunk", account.come())))
            }
            Self::Counted | Self::Close => account.end(),
        }
    }
}

/// Chunked coding (RFC 9112 7.1).
#[derive(Debug, Default)]
struct Chunks {
    part: Part,
    line: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Part {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailers,
}

/// What the next bytes are.
struct Step {
    consumed: usize,
    data: Range<usize>,
    is_end: bool,
}

impl Chunks {
    fn step(&mut self, bytes: &[u8]) -> Result<Step, Failure> {
        if let Part::Data(left) = self.part {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            let left = left - count as u64;
            self.part = if left == 0 { Part::DataEnd } else { Part::Data(left) };
            return Ok(Step { consumed: count, data: 0..count, is_end: false });
        }
        let end = bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
        let consumed = end.unwrap_or(bytes.len());
        self.line.extend_from_slice(&bytes[..consumed]);
        if self.line.len() > CHUNK_LINE_BYTES {
            return Err(Failure::protocol("a chunk's first line or the trailers are too long"));
        }
        let is_end = end.is_some() && self.line_ended()?;
        Ok(Step { consumed, data: 0..0, is_end })
    }

    /// Reads a whole line; true at the end of the body.
    fn line_ended(&mut self) -> Result<bool, Failure> {
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match self.part {
            Part::Size => {
                let size = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
                let size = std::str::from_utf8(size).ok().filter(|size| !size.starts_with('+'));
                let size = size.and_then(|size| u64::from_str_radix(size, 16).ok());
                let size = size.ok_or_else(|| Failure::protocol("a chunk has no size"))?;
                self.part = if size == 0 { Part::Trailers } else { Part::Data(size) };
            }
            Part::DataEnd if line.is_empty() => self.part = Part::Size,
            Part::DataEnd | Part::Data(_) => return Err(Failure::length("a chunk is longer than it said")),
            // The bound holds for all trailers together: the lines stay in the buffer.
            Part::Trailers if line.is_empty() || line.ends_with(b"\n") => return Ok(true),
            Part::Trailers => return Ok(false),
        }
        self.line.clear();
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ops::ControlFlow;

    struct Bytes(Vec<u8>);

    impl Reader for Bytes {
        fn head(&mut self, _: &Head) {}

        fn body(&mut self, _: Instant, bytes: &[u8]) -> ControlFlow<()> {
            self.0.extend_from_slice(bytes);
            ControlFlow::Continue(())
        }
    }

    /// Feeds a chunked body in pieces of these sizes, over and over. Gives what came out, and whether it ended.
    fn decode(text: &[u8], sizes: &[usize]) -> Result<(Vec<u8>, bool), Failure> {
        let get = Get { target: "/", ..Get::default() };
        let head = Head::new(StatusCode::OK, HeaderMap::new(), Instant::now())?;
        let mut account = Account::open(&get, &head)?;
        let mut framing = Framing::Chunked(Chunks::default());
        let (mut rest, mut reader, mut sizes) = (text, Bytes(Vec::new()), sizes.iter().cycle());
        while !rest.is_empty() {
            let size = (*sizes.next().expect("a cycle")).min(rest.len());
            let (piece, behind) = rest.split_at(size);
            rest = behind;
            if framing.feed(&mut account, head.at, piece, &mut reader)?.is_some() {
                return Ok((reader.0, rest.is_empty()));
            }
        }
        Ok((reader.0, false))
    }

    proptest! {
        #[test]
        fn chunks_say_the_same_however_they_are_cut(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..8),
            sizes in prop::collection::vec(1usize..20, 1..10),
            trailers in 0usize..3,
        ) {
            let mut text = Vec::new();
            for chunk in &chunks {
                text.extend_from_slice(format!("{:x};a=b\r\n", chunk.len()).as_bytes());
                text.extend_from_slice(chunk);
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"0\r\n");
            text.extend_from_slice(&b"a: b\r\n".repeat(trailers));
            text.extend_from_slice(b"\r\n");
            prop_assert_eq!(decode(&text, &sizes), Ok((chunks.concat(), true)));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(text in prop::collection::vec(any::<u8>(), 0..200), size in 1usize..20) {
            let _ = decode(&text, &[size]);
        }
    }
}
