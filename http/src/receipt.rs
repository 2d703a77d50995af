//! The receipt of an answer: how many bytes of its body arrived, said once, at the end.
//!
//! A handler gives one with the body ([`Body::with_receipt`](crate::Body::with_receipt)). The count is
//! a lower bound that holds whatever happens: bytes that the peer's system has acknowledged, never
//! bytes that merely left us. What each protocol can know stands in `wire.rs` and `quic/mod.rs`.

use std::fmt;

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Every byte arrived.
    Sent,
    /// The peer went away before the end, or its acknowledgement never came.
    Left,
    /// We could not finish the body and reset it.
    Broken,
}

impl End {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Sent, Self::Left, Self::Broken];

    /// "sent", "left" or "reset", for log fields and metric labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Left => "left",
            Self::Broken => "reset",
        }
    }
}

/// What became of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// At least so many of its bytes arrived. Never more than did.
    pub bytes: u64,
    /// How it ended.
    pub end: End,
}

type Callback = Box<dyn FnOnce(Delivered) + Send>;

/// Is told once what became of a body. The callback runs on a reactor and must not block.
pub struct Receipt(Option<Callback>);

impl Receipt {
    /// A receipt that is handed to `callback`.
    pub fn new(callback: impl FnOnce(Delivered) + Send + 'static) -> Self {
        Self(Some(Box::new(callback)))
    }

    /// Hands it over.
    pub(crate) fn settle(mut self, delivered: Delivered) {
        self.hand_over(delivered);
    }

    fn hand_over(&mut self, delivered: Delivered) {
        if let Some(callback) = self.0.take() {
            callback(delivered);
        }
    }
}

impl Drop for Receipt {
    /// Lost on the way (a task that was dropped): nothing is known to have arrived.
    fn drop(&mut self) {
        self.hand_over(Delivered { bytes: 0, end: End::Left });
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receipt")
    }
}
