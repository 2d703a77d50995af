//! Flushes that are put off until a writer's turn is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;

/// For a writer that flushes after each of its frames, each of which would end in a segment that is not full, and cost a
/// system call: its flushes are put off until its turn is over. Clones are of the same.
#[derive(Clone, Default)]
pub(crate) struct Together(Arc<Flushes>);

#[derive(Default)]
struct Flushes {
    /// A flush was answered and not done.
    is_put_off: AtomicBool,
    /// Somebody asks [`Together::is_due`] at the end of each turn; else the task is woken for another one.
    is_attended: AtomicBool,
    /// A request came since the last piece.
    is_asked: AtomicBool,
    /// An answer has begun.
    is_answering: AtomicBool,
}

impl Together {
    /// Promises that [`is_due`](Self::is_due) will be asked.
    pub(crate) fn attend(&self) {
        self.0.is_attended.store(true, Ordering::Relaxed);
    }

    /// Whether a flush was put off. It is done when the stream is read next and has nothing.
    pub(crate) fn is_due(&self) -> bool {
        self.0.is_put_off.load(Ordering::Relaxed)
    }

    /// A request came. The stream cannot tell: most of what it reads makes room for an answer under way.
    pub(super) fn asked(&self) {
        self.0.is_asked.store(true, Ordering::Relaxed);
    }

    /// Whether a request came since this was asked last.
    pub(super) fn was_asked(&self) -> bool {
        self.0.is_asked.swap(false, Ordering::Relaxed)
    }

    /// An answer begins: it takes along what waited for it.
    pub(super) fn answering(&self) {
        self.0.is_answering.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_answering(&self) -> bool {
        self.0.is_answering.load(Ordering::Relaxed)
    }

    pub(super) fn put_off(&self, cx: &Context<'_>) {
        self.0.is_put_off.store(true, Ordering::Relaxed);
        if !self.0.is_attended.load(Ordering::Relaxed) {
            cx.waker().wake_by_ref();
        }
    }

    pub(super) fn done(&self) {
        self.0.is_put_off.store(false, Ordering::Relaxed);
    }
}
