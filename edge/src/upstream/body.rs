//! Bodies from upstream: counted, and reported on to the way they come by.

use bytes::Bytes;
use needledrop_http::IncomingBody;

use super::{WayId, one::told, way::Leave};
use crate::error::FillError;

/// The bytes of an answer, counted against what it promised.
pub struct UpstreamBody {
    body: IncomingBody,
    left: u64,
    leave: Option<Leave>,
    has_brought: bool,
}

impl UpstreamBody {
    pub(super) fn new(body: IncomingBody, left: u64) -> Self {
        Self { body, left, leave: None, has_brought: false }
    }

    /// From now on the body's end, good or bad, is the way's.
    pub(super) fn under(mut self, leave: Leave) -> Self {
        self.leave = Some(leave);
        self
    }

    /// The next bytes; `None` after exactly as many as promised.
    ///
    /// # Errors
    /// Upstream stalled, broke off, or sent more or less than it promised.
    pub async fn next(&mut self) -> Result<Option<Bytes>, FillError> {
        let next = self.counted().await;
        match &next {
            Ok(Some(chunk)) => {
                self.has_brought = true;
                if let Some(leave) = &self.leave {
                    leave.brought(chunk.len());
                }
            }
            Ok(None) => self.end(Leave::succeeded),
            Err(_) => self.end(Leave::failed),
        }
        next
    }

    /// By which way it comes.
    pub fn way(&self) -> Option<WayId> {
        self.leave.as_ref().map(|leave| leave.id)
    }

    /// Gives it up because it brought too little for too long.
    pub fn give_up(mut self) {
        self.end(Leave::failed);
    }

    async fn counted(&mut self) -> Result<Option<Bytes>, FillError> {
        match next_data(&mut self.body).await? {
            Some(chunk) if chunk.len() as u64 <= self.left => {
                self.left -= chunk.len() as u64;
                Ok(Some(chunk))
            }
            Some(_) => Err(FillError::Nonsense("more bytes than promised")),
            None if self.left == 0 => Ok(None),
            None => Err(FillError::Broken),
        }
    }

    fn end(&mut self, word: fn(Leave)) {
        if let Some(leave) = self.leave.take() {
            word(leave);
        }
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        // Whoever left in the middle of a body that came has nothing bad to say of the way.
        if self.has_brought {
            self.end(Leave::succeeded);
        }
    }
}

/// The bytes of a relayed answer, as they come.
pub struct RelayBody {
    body: IncomingBody,
    leave: Option<Leave>,
}

impl RelayBody {
    pub(super) fn new(body: IncomingBody, leave: Leave) -> Self {
        Self { body, leave: Some(leave) }
    }

    /// The next bytes, or the end.
    ///
    /// # Errors
    /// Upstream stalled or broke off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, FillError> {
        let next = next_data(&mut self.body).await;
        match (&next, &self.leave) {
            (Ok(Some(chunk)), Some(leave)) => leave.brought(chunk.len()),
            (Ok(Some(_)), None) => {}
            (Ok(None), _) => self.end(Leave::succeeded),
            (Err(_), _) => self.end(Leave::failed),
        }
        next
    }

    fn end(&mut self, word: fn(Leave)) {
        if let Some(leave) = self.leave.take() {
            word(leave);
        }
    }
}

impl Drop for RelayBody {
    fn drop(&mut self) {
        // Its head came; how fast the listener reads says nothing about the way.
        self.end(Leave::succeeded);
    }
}

async fn next_data(body: &mut IncomingBody) -> Result<Option<Bytes>, FillError> {
    body.chunk().await.transpose().map_err(|error| told(&error))
}
