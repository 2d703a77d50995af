//! One answer on its way to its client: head, body without a copy, acknowledgement, receipt. Whoever does not read loses
//! patience (`patience.rs`), and what its client gave up is no longer worked on.

use std::future::Future;

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::BodyExt;
use quinn_proto::StreamId;

use super::connection::Connection;
use super::floods::Floods;
use super::stream::stream_error;
use super::{Broken, Stream};
use crate::body::Body;
use crate::exchange::Response;
use crate::limits::Limits;
use crate::patience::Patience;
use crate::receipt::{Delivered, End, Receipt};

/// Largest piece written at once: the first in line does not hold up the others for longer.
const PIECE_BYTES: usize = 64 * 1024;

/// Where an answer goes.
pub(super) struct Way<'a> {
    pub(super) quic: &'a Connection,
    pub(super) id: StreamId,
    pub(super) floods: &'a Floods,
    pub(super) limits: &'a Limits,
    pub(super) patience: Patience,
    /// What the peer had acknowledged on the connection when patience was last asked about.
    pub(super) acked_bytes: u64,
}

impl Way<'_> {
    /// Sends an answer, until all of it was acknowledged.
    pub(super) async fn send(&mut self, stream: &mut Stream, response: Response) -> Result<(), Broken> {
        let (head, body) = response.into_parts();
        let mut handed = Handed::new(body);
        self.wait(stream.send_response(http::Response::from_parts(head, ()))).await??;
        while let Some(frame) = handed.body.frame().await {
            let Ok(mut data) = frame?.into_data() else {
                continue;
            };
            while !data.is_empty() {
                let piece = data.split_to(data.len().min(PIECE_BYTES));
                let bytes = piece.len() as u64;
                let window_bytes = send_window(self.quic, self.limits);
                self.quic.set_send_window(window_bytes);
                self.write([data_frame(bytes), piece]).await?;
                handed.took(bytes, window_bytes);
            }
        }
        self.wait(stream.finish()).await??;
        handed.is_acknowledged = true;
        Ok(())
    }

    /// Writes these pieces whole, without a copy.
    async fn write(&mut self, mut pieces: [Bytes; 2]) -> Result<(), Broken> {
        let mut done = 0;
        while done < pieces.len() {
            let (quic, id) = (self.quic, self.id);
            let written = self.wait(quic.write(id, &mut pieces[done..])).await?.map_err(stream_error)?;
            done += written.chunks;
            self.patience.took(written.bytes);
            self.floods.took(written.bytes as u64);
        }
        Ok(())
    }

    /// Waits for the peer. That is not to blame where its credit would let bytes go, but others of its answers go first:
    /// what it acknowledges of them is shared out among all. So the peer reads as much on the whole as it would have to
    /// if all answers took turns.
    async fn wait<F: Future>(&mut self, work: F) -> Result<F::Output, Broken> {
        let Self { quic, id, patience, acked_bytes, .. } = self;
        let excuse = || {
            let acked = quic.acked_bytes();
            // After a move they are counted from the start.
            let news = acked.checked_sub(*acked_bytes).unwrap_or(acked);
            *acked_bytes = acked;
            if quic.has_credit(*id) { usize::try_from(news / quic.answers()).unwrap_or(usize::MAX) } else { 0 }
        };
        patience.wait_or(work, excuse).await.ok_or_else(|| "the peer does not read".into())
    }
}

/// The head of a DATA frame (RFC 9114 7.2.1) of so many bytes.
fn data_frame(bytes: u64) -> Bytes {
    let mut head = BytesMut::with_capacity(9);
    head.put_u8(0);
    // Four bytes say up to 2^30 (RFC 9000 16), and a piece is less.
    head.put_u32(0x8000_0000 | u32::try_from(bytes).expect("a piece is 64 KiB at most"));
    head.freeze()
}

/// What quinn may hold unacknowledged of a connection: twice what may be in flight, so that there is always something
/// to send, and within the limit. Not more, because what a listener who leaves has got is only known to within this.
fn send_window(quic: &Connection, limits: &Limits) -> u64 {
    let least = 2 * limits.quic_initial_window_bytes;
    (2 * quic.congestion_window()).clamp(least.min(limits.quic_send_window_bytes), limits.quic_send_window_bytes)
}

/// A body on its way, for its receipt.
///
/// Once the stream is finished and quinn says that all of it was acknowledged, every byte arrived. Before that quinn
/// tells no offset, but takes a write only while less than the send window is unacknowledged on the connection: when
/// it has taken a piece, all but a window of this stream's bytes were acknowledged. That is the lower bound here. It
/// counts acknowledged bytes, of which in a moment of loss some may lie behind a gap.
struct Handed {
    body: Body,
    receipt: Option<Receipt>,
    written: u64,
    acknowledged: u64,
    is_acknowledged: bool,
}

impl Handed {
    fn new(mut body: Body) -> Self {
        let receipt = body.take_receipt();
        Self { body, receipt, written: 0, acknowledged: 0, is_acknowledged: false }
    }

    fn took(&mut self, bytes: u64, window_bytes: u64) {
        self.written += bytes;
        self.acknowledged = self.acknowledged.max(self.written.saturating_sub(window_bytes));
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        let Some(receipt) = self.receipt.take() else { return };
        receipt.settle(match (self.is_acknowledged, self.body.end()) {
            (true, _) => Delivered { bytes: self.written, end: End::Sent },
            (false, End::Broken) => Delivered { bytes: self.acknowledged, end: End::Broken },
            (false, _) => Delivered { bytes: self.acknowledged, end: End::Left },
        });
    }
}
