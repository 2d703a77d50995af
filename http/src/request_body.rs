//! The body of a request, for the few handlers that want one: read whole, within bounds, before the handler is asked.

use std::future::Future;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use needledrop_core::problem::Problem;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::limits::Limits;

/// What a door reads a body from.
pub(crate) trait Carried: Send {
    /// The next piece; None at the end.
    fn piece(&mut self) -> impl Future<Output = Option<Result<Bytes, Broken>>> + Send;
}

/// The body will not be whole: its client went away, or broke the protocol.
pub(crate) struct Broken;

/// Room for the bodies of all requests of one set of doors.
pub(crate) struct Bodies {
    room: Semaphore,
    limits: Limits,
}

impl Bodies {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { room: Semaphore::new(limits.bodies_bytes), limits: limits.clone() }
    }

    /// The whole body, and the room it takes until it is dropped.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        carried: &mut impl Carried,
    ) -> Result<(Bytes, SemaphorePermit<'_>), Problem> {
        let most = self.limits.body_bytes;
        let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|declared| declared > most as u64) {
            return Err(too_large(most));
        }
        let room = declared.and_then(|declared| u32::try_from(declared).ok()).unwrap_or(most as u32);
        let permit = self
            .room
            .try_acquire_many(room)
            .map_err(|_| Problem::new("busy", "Too many requests bring bodies at the moment; ask again", 503))?;
        let reading = async {
            let mut body = BytesMut::new();
            while let Some(piece) = carried.piece().await {
                let piece = piece.map_err(|Broken| Problem::new("body", "The body of the request broke off", 400))?;
                if body.len() + piece.len() > most {
                    return Err(too_large(most));
                }
                body.extend_from_slice(&piece);
            }
            Ok(body.freeze())
        };
        let late = || Problem::new("body-late", "The body of the request took too long", 408);
        let body = timeout(self.limits.body, reading).await.map_err(|_| late())??;
        Ok((body, permit))
    }
}

fn too_large(most: usize) -> Problem {
    let said = Problem::new("body-too-large", "The body of the request is too large", 413);
    said.with_detail(format!("At most {most} bytes; send it in several requests"))
}
