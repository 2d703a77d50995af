//! Bytes of a file on their way out: positioned reads on the blocking pool, a few windows ahead.
//!
//! No reactor thread touches the file, no blocking thread waits for a slow client: a window is
//! read, put into a channel of two, and the next read begins when there is room. Memory per body
//! is bounded by four windows. A read error or a file that ends early fails the body, which
//! resets the stream.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use needledrop_core::answer::Segment;
use needledrop_core::range::ByteRange;
use needledrop_http::{Body, BodyError};
use tokio::sync::mpsc;

/// How much is read at once, in bytes: two blocks of an edge.
pub(crate) const WINDOW_BYTES: u64 = 256 * 1024;

/// Windows that wait for the client.
const WINDOWS_AHEAD: usize = 2;

/// Reads one range in full. A file that ends early is an error. Blocks.
pub(crate) fn read_range(file: &File, range: ByteRange) -> io::Result<Bytes> {
    let mut bytes = vec![0; usize::try_from(range.len()).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, range.start())?;
    Ok(bytes.into())
}

/// All segments in one piece. Blocks; for bodies of up to a window.
pub(crate) fn read_all(file: &File, segments: &[Segment]) -> io::Result<Bytes> {
    if let [Segment::Range(range)] = segments {
        return read_range(file, *range);
    }
    let mut all = Vec::new();
    for segment in segments {
        match segment {
            Segment::Literal(bytes) => all.extend_from_slice(bytes),
            Segment::Range(range) => all.extend_from_slice(&read_range(file, *range)?),
        }
    }
    Ok(all.into())
}

/// A body that reads the segments as the client takes them. Must be called on a runtime.
pub(crate) fn stream(file: Arc<File>, segments: Vec<Segment>, bytes: u64) -> Body {
    let (sender, mut receiver) = mpsc::channel(WINDOWS_AHEAD);
    // Ends when the body is dropped: the next send then fails.
    tokio::spawn(async move {
        for piece in segments.into_iter().flat_map(windows) {
            let read = match piece {
                Segment::Literal(bytes) => Ok(bytes.into()),
                Segment::Range(range) => read_on_pool(file.clone(), range).await,
            };
            let is_broken = read.is_err();
            if sender.send(read.map_err(BodyError::source)).await.is_err() || is_broken {
                return;
            }
        }
    });
    Body::stream(futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx)), Some(bytes))
}

async fn read_on_pool(file: Arc<File>, range: ByteRange) -> io::Result<Bytes> {
    let read = tokio::task::spawn_blocking(move || read_range(&file, range));
    read.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// Cuts a segment into pieces of at most a window.
fn windows(segment: Segment) -> impl Iterator<Item = Segment> {
    let (literal, range) = match segment {
        Segment::Literal(bytes) => (Some(Segment::Literal(bytes)), None),
        Segment::Range(range) => (None, Some(range)),
    };
    let mut rest = range;
    let pieces = std::iter::from_fn(move || {
        let whole = rest?;
        let end = whole.end().min(whole.start() + WINDOW_BYTES);
        rest = ByteRange::new(end, whole.end());
        ByteRange::new(whole.start(), end).map(Segment::Range)
    });
    literal.into_iter().chain(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_cover_a_range_without_gap_or_overlap() {
        let range = ByteRange::new(5, 5 + 2 * WINDOW_BYTES + 7).unwrap();
        let pieces: Vec<_> = windows(Segment::Range(range)).collect();
        let mut next = range.start();
        for piece in &pieces {
            let Segment::Range(piece) = piece else { panic!("a range gives ranges") };
            assert_eq!(piece.start(), next);
            assert!(piece.len() <= WINDOW_BYTES);
            next = piece.end();
        }
        assert_eq!((next, pieces.len()), (range.end(), 3));
    }
}
