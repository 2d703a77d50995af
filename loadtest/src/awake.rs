//! Keeps cores from going to sleep while a run lasts.
//!
//! A core without work halts, and wakes late: by microseconds on a machine of one's own, by milliseconds on a virtual
//! one, whose host gives the halted core to somebody else. A tap that finds its core asleep is late by as much. A thread
//! that spins at the lowest priority costs the others next to nothing and keeps the core running.

use std::{
    hint::spin_loop,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// Spins between two looks at whether it is over: some microseconds.
const SPINS: u32 = 1_000;

/// Threads that spin until this is dropped.
pub struct Awake(Arc<AtomicBool>);

impl Awake {
    /// Starts one for each worker.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(workers: u32) -> io::Result<Self> {
        let awake = Self(Arc::default());
        for number in 0..workers {
            let over = awake.0.clone();
            let spin = move || {
                // On Linux a nice value belongs to the thread. Without it the spinning would take turns with the work.
                if rustix::process::nice(19).is_err() {
                    return;
                }
                while !over.load(Ordering::Relaxed) {
                    (0..SPINS).for_each(|_| spin_loop());
                }
            };
            thread::Builder::new().name(format!("awake-{number}")).spawn(spin)?;
        }
        Ok(awake)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
