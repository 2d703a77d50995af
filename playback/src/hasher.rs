//! Where passwords are hashed: on the blocking pool, few at a time, with a short queue.
//!
//! One hash takes 19 MiB and tens of milliseconds of a core, so whoever may sign in could otherwise take all memory
//! and all cores from those who listen.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::password::{self, Password, PasswordHash, SALT_BYTES, Verdict};

/// Hashes at once: 38 MiB, and on the smallest machine the listeners keep a core between two.
const AT_ONCE: usize = 2;

/// How many may wait: the last of them for half a second, at 30 ms a hash.
const WAITING_MAX: usize = 32;

/// Too many passwords are being checked at the moment: try again in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked at the moment")]
pub struct Busy;

/// The place where passwords are hashed.
#[derive(Clone, Debug)]
pub struct Hasher {
    places: Arc<Semaphore>,
    at_once: Arc<Semaphore>,
}

impl Default for Hasher {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE + WAITING_MAX)), at_once: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Hasher {
    /// What to keep of a password.
    ///
    /// # Errors
    /// The queue is full.
    pub async fn hash(&self, password: Password, salt: [u8; SALT_BYTES]) -> Result<PasswordHash, Busy> {
        self.run(move || password::hash(&password, salt)).await
    }

    /// Whether a password is the right one; takes as long for an account that does not exist.
    ///
    /// # Errors
    /// The queue is full.
    pub async fn verify(&self, password: Password, known: Option<PasswordHash>) -> Result<Verdict, Busy> {
        self.run(move || password::verify(&password, known.as_ref())).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| Busy)?;
        let turn = self.at_once.clone().acquire_owned().await.map_err(|_| Busy)?;
        // Place and turn stay with the work: who stops waiting for it does not make room for more.
        let done = tokio::task::spawn_blocking(move || {
            let result = work();
            drop((turn, place));
            result
        });
        done.await.map_err(|_| Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_run_at_once_a_few_wait_and_the_rest_hear_that_it_is_busy() {
        let hasher = Hasher::default();
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let (hasher, running, most) = (hasher.clone(), running.clone(), most.clone());
                tokio::spawn(async move {
                    let work = move || {
                        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_millis(20));
                        running.fetch_sub(1, Ordering::SeqCst);
                    };
                    hasher.run(work).await
                })
            })
            .collect();
        let mut busy = 0;
        for task in tasks {
            busy += usize::from(task.await.unwrap().is_err());
        }
        assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
        assert!((60..=66).contains(&busy), "{busy}");
        assert!(hasher.run(|| ()).await.is_ok(), "afterwards there is room again");
    }
}
