//! The body of an answer, and the promise about its end.
//!
//! A client may believe that a body which ended well is whole. So a body that fails, or yields another number of
//! bytes than it declared, ends in an error here, and every door turns that error into a reset: a broken connection
//! on HTTP/1.1, RST_STREAM on HTTP/2, RESET_STREAM on HTTP/3. A panic while the body is polled counts as failure.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use http_body::{Frame, SizeHint};

use crate::receipt::{Delivered, End, Receipt};

type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, BodyError>> + Send>>;

/// Why a body could not be finished. The client never sees the text, only the reset.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// What produces the bytes failed.
    #[error("the body's source failed: {0}")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The source ended before the declared length.
    #[error("the body ended after {produced} of {declared} bytes")]
    Short {
        /// Bytes promised, the Content-Length.
        declared: u64,
        /// Bytes that came.
        produced: u64,
    },
    /// The source had more bytes than the declared length.
    #[error("the body goes on after its declared {declared} bytes")]
    Long {
        /// Bytes promised, the Content-Length.
        declared: u64,
    },
    /// The source panicked; the panic hook has logged where.
    #[error("the body's source panicked")]
    Panicked,
}

impl BodyError {
    /// A failure of whatever produces the bytes.
    pub fn source(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Source(error.into())
    }
}

enum Source {
    Empty,
    Full(Bytes),
    Chunks(Chunks),
}

/// The bytes of an answer. An error, or a length other than the declared one, resets the stream on every protocol.
pub struct Body {
    source: Source,
    declared: Option<u64>,
    produced: u64,
    failed: bool,
    receipt: Option<Receipt>,
}

impl Body {
    fn new(source: Source, declared: Option<u64>) -> Self {
        Self { source, declared, produced: 0, failed: false, receipt: None }
    }

    /// No bytes.
    pub fn empty() -> Self {
        Self::new(Source::Empty, Some(0))
    }

    /// All bytes at once.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let declared = Some(bytes.len() as u64);
        let source = if bytes.is_empty() { Source::Empty } else { Source::Full(bytes) };
        Self::new(source, declared)
    }

    /// Bytes as they come. `len` is the exact number of bytes that will come, and becomes the Content-Length;
    /// None means that nobody knows it yet. The stream is not polled again after its end or its first error.
    pub fn stream<S>(chunks: S, len: Option<u64>) -> Self
    where
        S: Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
    {
        let source = if len == Some(0) { Source::Empty } else { Source::Chunks(Box::pin(chunks)) };
        Self::new(source, len)
    }

    /// The exact number of bytes of the whole body, if known.
    pub fn declared_len(&self) -> Option<u64> {
        self.declared
    }

    /// Has the body's end told to `receipt`. A body that no door sends (a handler called by a program or a test)
    /// counts what was taken out of it.
    #[must_use]
    pub fn with_receipt(mut self, receipt: Receipt) -> Self {
        self.receipt = Some(receipt);
        self
    }

    /// Leaves the receipt to a door, which knows better what arrived.
    pub(crate) fn take_receipt(&mut self) -> Option<Receipt> {
        self.receipt.take()
    }

    /// Bytes taken out so far.
    pub(crate) fn produced(&self) -> u64 {
        self.produced
    }

    /// How it ended, if nothing more is taken out of it.
    pub(crate) fn end(&self) -> End {
        match http_body::Body::is_end_stream(self) {
            _ if self.failed => End::Broken,
            true => End::Sent,
            false => End::Left,
        }
    }

    /// The next bytes, never an empty piece; None after the declared end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        loop {
            let next = match &mut self.source {
                Source::Empty => return Poll::Ready(None),
                Source::Full(bytes) => Ok(Some(std::mem::take(bytes))),
                Source::Chunks(chunks) => ready!(poll_guarded(chunks, cx)),
            };
            let verdict = match next {
                Ok(Some(bytes)) if bytes.is_empty() => continue,
                Ok(next) => self.account(next),
                Err(error) => Err(error),
            };
            self.failed |= verdict.is_err();
            if !matches!(verdict, Ok(Some(_))) || self.declared == Some(self.produced) {
                // Letting go of the source here frees what it holds (a pinned slot, an upstream connection)
                // before the last bytes have left.
                self.source = Source::Empty;
            }
            return Poll::Ready(verdict.transpose());
        }
    }

    /// Counts what came against what was declared.
    fn account(&mut self, next: Option<Bytes>) -> Result<Option<Bytes>, BodyError> {
        let Some(bytes) = next else {
            return match self.declared {
                Some(declared) if declared != self.produced => {
                    Err(BodyError::Short { declared, produced: self.produced })
                }
                _ => Ok(None),
            };
        };
        self.produced += bytes.len() as u64;
        match self.declared {
            Some(declared) if self.produced > declared => Err(BodyError::Long { declared }),
            _ => Ok(Some(bytes)),
        }
    }
}

/// Polls foreign code: a panic must end this body in a reset, and not look like an end of the connection.
fn poll_guarded(chunks: &mut Chunks, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyError>> {
    match catch_unwind(AssertUnwindSafe(|| chunks.as_mut().poll_next(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(next)) => Poll::Ready(next.transpose()),
        Err(_) => Poll::Ready(Err(BodyError::Panicked)),
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(receipt) = self.receipt.take() {
            receipt.settle(Delivered { bytes: self.produced(), end: self.end() });
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.get_mut().poll_chunk(cx).map(|next| next.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.source, Source::Empty) && self.declared.is_none_or(|declared| declared == self.produced)
    }

    fn size_hint(&self) -> SizeHint {
        match self.declared {
            Some(declared) => SizeHint::with_exact(declared.saturating_sub(self.produced)),
            None => SizeHint::default(),
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::full(bytes)
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::full(text)
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::full(text)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("declared", &self.declared).field("produced", &self.produced).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::BodyExt;

    fn chunks(sizes: &'static [usize]) -> impl Stream<Item = Result<Bytes, BodyError>> {
        stream::iter(sizes.iter().map(|&size| Ok(Bytes::from(vec![7; size]))))
    }

    #[tokio::test]
    async fn a_body_of_the_declared_length_ends_well() {
        let body = Body::stream(chunks(&[3, 0, 4]), Some(7));
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 7);
    }

    #[tokio::test]
    async fn a_body_that_ends_early_is_an_error() {
        let error = Body::stream(chunks(&[3, 3]), Some(7)).collect().await.unwrap_err();
        assert!(matches!(error, BodyError::Short { declared: 7, produced: 6 }));
    }

    #[tokio::test]
    async fn a_body_that_goes_on_is_an_error_before_the_extra_byte_leaves() {
        let mut body = Body::stream(chunks(&[3, 5]), Some(7));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 3);
        assert!(matches!(body.frame().await.unwrap(), Err(BodyError::Long { declared: 7 })));
        assert!(body.frame().await.is_none());
    }

    #[tokio::test]
    async fn a_panicking_source_is_an_error() {
        let body = Body::stream(stream::poll_fn(|_| panic!("on purpose")), Some(7));
        assert!(matches!(body.collect().await.unwrap_err(), BodyError::Panicked));
    }

    #[tokio::test]
    async fn an_unknown_length_ends_where_the_source_ends() {
        let body = Body::stream(chunks(&[1, 2]), None);
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 3);
    }
}
