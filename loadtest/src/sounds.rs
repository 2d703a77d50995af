//! What each object needs to sound, found once in a run however many listeners start it.
//!
//! Whoever starts an unknown object first claims it and keeps its first bytes; the others wait for what comes of it. One
//! thread of the lowest priority decodes: the instants are taken when bytes arrive, so nothing depends on when it runs,
//! and the listeners' threads come first.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::Duration,
};

use tokio::sync::Notify;

use crate::sound::{Milestones, milestones};

/// How long somebody waits for what another listener is to find out.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// All objects of a run. Grows with the number of objects that are heard, some 100 bytes each.
#[derive(Clone)]
pub struct Sounds {
    shared: Arc<Shared>,
    decoder: mpsc::Sender<(Claim, Vec<u8>)>,
}

#[derive(Default)]
struct Shared {
    objects: Mutex<HashMap<String, State>>,
    lengths: Mutex<HashMap<String, u64>>,
    changed: Notify,
}

#[derive(Clone, Copy)]
enum State {
    /// Somebody keeps the first bytes, or they are being decoded.
    Claimed,
    Known(Milestones),
}

/// The duty to find out what an object needs. Dropped undone, it is somebody else's.
pub struct Claim {
    path: String,
    shared: Arc<Shared>,
    done: bool,
}

impl Sounds {
    /// Starts the decoder; it ends with the last handle.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start() -> std::io::Result<Self> {
        let (decoder, tasks) = mpsc::channel::<(Claim, Vec<u8>)>();
        let decode = move || {
            // On Linux a nice value belongs to the thread. If it is refused the decoder is only less polite.
            let _ = rustix::process::nice(19);
            for (claim, bytes) in tasks {
                claim.fulfil(milestones(&bytes));
            }
        };
        std::thread::Builder::new().name("decoder".to_owned()).spawn(decode)?;
        Ok(Self { shared: Arc::default(), decoder })
    }

    /// The duty to keep the first bytes of an object, if nobody has it yet.
    pub fn claim(&self, path: &str) -> Option<Claim> {
        let mut objects = self.shared.objects();
        if objects.contains_key(path) {
            return None;
        }
        objects.insert(path.to_owned(), State::Claimed);
        Some(Claim { path: path.to_owned(), shared: self.shared.clone(), done: false })
    }

    /// Takes the first bytes of an object from whoever claimed it.
    pub fn decode(&self, claim: Claim, beginning: Vec<u8>) {
        // Without a decoder the claim is dropped, and the object stays unknown.
        let _ = self.decoder.send((claim, beginning));
    }

    /// What an object needs; nothing is known of one that nobody has claimed, or whose first bytes somebody else does
    /// not get: a start is not to be counted late because another one is.
    pub async fn of(&self, path: &str) -> Milestones {
        tokio::time::timeout(WAIT_MAX, self.learned(path)).await.unwrap_or_default()
    }

    /// The same without waiting: None while it is being found out.
    pub fn known(&self, path: &str) -> Option<Milestones> {
        match self.shared.objects().get(path) {
            Some(State::Known(milestones)) => Some(*milestones),
            Some(State::Claimed) => None,
            None => Some(Milestones::default()),
        }
    }

    async fn learned(&self, path: &str) -> Milestones {
        loop {
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            if let Some(milestones) = self.known(path) {
                return milestones;
            }
            changed.await;
        }
    }

    /// An object's length, once an answer has said it. Unit: bytes.
    pub fn length(&self, path: &str) -> Option<u64> {
        self.shared.lengths().get(path).copied()
    }

    /// An answer said an object's length.
    pub fn is_long(&self, path: &str, length: u64) {
        let mut lengths = self.shared.lengths();
        if lengths.get(path) != Some(&length) {
            lengths.insert(path.to_owned(), length);
        }
    }
}

impl Shared {
    fn objects(&self) -> MutexGuard<'_, HashMap<String, State>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lengths(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.lengths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    fn fulfil(mut self, milestones: Milestones) {
        self.done = true;
        self.shared.objects().insert(self.path.clone(), State::Known(milestones));
        self.shared.changed.notify_waiters();
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.done {
            self.shared.objects().remove(&self.path);
            self.shared.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_claims_and_all_who_wait_learn() {
        let sounds = Sounds::start().unwrap();
        let claim = sounds.claim("/a").unwrap();
        assert!(sounds.claim("/a").is_none());
        let waiting: Vec<_> = (0..5)
            .map(|_| {
                let sounds = sounds.clone();
                tokio::spawn(async move { sounds.of("/a").await })
            })
            .collect();
        tokio::task::yield_now().await;
        sounds.decode(claim, vec![0; 100]);
        for one in waiting {
            assert_eq!(one.await.unwrap(), Milestones::default());
        }
        assert!(sounds.claim("/a").is_none(), "it is known that it does not sound");
    }

    #[tokio::test]
    async fn a_claim_that_is_let_go_is_free_for_the_next() {
        let sounds = Sounds::start().unwrap();
        let claim = sounds.claim("/a").unwrap();
        let waiting = tokio::spawn({
            let sounds = sounds.clone();
            async move { sounds.of("/a").await }
        });
        tokio::task::yield_now().await;
        drop(claim);
        assert_eq!(waiting.await.unwrap(), Milestones::default());
        assert!(sounds.claim("/a").is_some());
    }
}
