//! Network namespaces of threads. Linux keeps the namespace per thread, so neither child processes nor names in /run
//! are needed, and when the last thread and handle are gone the kernel takes it down with all that was in it.
#![allow(unsafe_code, reason = "unshare and sched_setscheduler have no safe wrapper")]

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;

/// A handle on a network namespace, which lives at least as long.
#[derive(Debug)]
pub struct Namespace(File);

impl Namespace {
    /// The one of the calling thread.
    pub fn current() -> io::Result<Self> {
        File::open("/proc/thread-self/ns/net").map(Self)
    }

    /// A new one, with nothing in it but a loopback device that is down. The calling thread stays where it is.
    pub fn new() -> io::Result<Self> {
        let made = || {
            // SAFETY: the contract is about UnshareFlags::FILES, which is not asked for.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
            Self::current()
        };
        on_a_thread(made)
    }

    /// Moves the calling thread into it. Sockets that exist stay where they were made.
    pub fn enter(&self) -> io::Result<()> {
        Ok(move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))?)
    }

    /// Does something in it, while the calling thread waits where it is.
    pub fn within<T: Send, E: Send + From<io::Error>>(
        &self,
        act: impl FnOnce() -> Result<T, E> + Send,
    ) -> Result<T, E> {
        on_a_thread(|| {
            self.enter()?;
            act()
        })
    }
}

fn on_a_thread<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(act).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Which threads are in a hurry. The greater goes first where both want the same processor.
#[derive(Debug, Clone, Copy)]
pub enum Hurry {
    /// Those who measure the emulation.
    Measuring = 1,
    /// Those who carry packets.
    Carrying = 2,
}

/// Puts the calling thread before all that are not in a hurry: packets wait for no queue of threads. Where that is not
/// allowed the thread runs as others do, and what it is late by is counted. Threads that it starts are in no hurry.
pub fn hurry(hurry: Hurry) {
    let priority = libc::sched_param { sched_priority: hurry as i32 };
    // SAFETY: zero is the calling thread, and the parameter outlives the call.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &priority) };
    // Without it the kernel may be 50 us late to save wakenings.
    let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn what_is_done_within_stays_within() {
        if !super::super::needs_root() {
            return;
        }
        let other = Namespace::new().unwrap();
        // Loopback is down in a new namespace, so nothing on it can be reached there, and still can from here.
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let there = other.within(|| TcpStream::connect(port.local_addr()?)).unwrap_err();
        assert_eq!(there.kind(), io::ErrorKind::NetworkUnreachable);
        assert!(TcpStream::connect(port.local_addr().unwrap()).is_ok());
    }
}
