//! Where an endpoint's datagrams come from: its socket, or the process that reads the socket after a take-over; and
//! what the process before sends back.
//!
//! One task owns this, so that a hand-over falls between two datagrams: what was read before is this process's, what
//! comes after is in the kernel's queue for the next one.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::endpoint::Entry;
use super::former::{BEGUN, Former, GENERATIONS};
use super::link::{Link, Notice};
use super::socket::{Inbox, Socket};

/// Somebody wants the socket: the link's other end is for the new process.
pub(super) type Request = oneshot::Sender<io::Result<OwnedFd>>;

pub(super) struct Sources {
    pub(super) inbox: Inbox,
    /// The process before this one, while it has connections.
    pub(super) former: Option<Former>,
    /// The process after this one, which reads the socket.
    pub(super) successor: Option<Link>,
    requests: mpsc::Receiver<Request>,
}

/// Which of them has something.
pub(super) enum Ready {
    Socket(io::Result<()>),
    Former,
    Successor,
    HandOver(Request),
}

impl Sources {
    pub(super) fn new(requests: mpsc::Receiver<Request>) -> Self {
        Self { inbox: Inbox::new(), former: None, successor: None, requests }
    }

    pub(super) async fn ready(&mut self, socket: &Socket) -> Ready {
        let Self { former, successor, requests, .. } = self;
        tokio::select! {
            readable = socket.readable(), if successor.is_none() => Ready::Socket(readable),
            () = async { successor.as_ref().expect("asked before").readable().await }, if successor.is_some() => {
                Ready::Successor
            }
            () = async { former.as_ref().expect("asked before").readable().await }, if former.is_some() => {
                Ready::Former
            }
            Some(request) = requests.recv() => Ready::HandOver(request),
        }
    }

    /// From here on another process reads the socket, and knows from the notice what to send here.
    pub(super) fn hand_over<'a>(
        &mut self,
        socket: &Socket,
        mark: u8,
        entries: impl Iterator<Item = &'a Entry>,
    ) -> io::Result<OwnedFd> {
        let now = Instant::now();
        let begun = entries.filter(|entry| !entry.connection.early().is_confirmed()).map(|entry| entry.first.to_vec());
        let (mut generations, mut begun) = (vec![mark], begun.take(BEGUN).collect::<Vec<_>>());
        if let Some(former) = &self.former {
            generations.extend(former.generations().iter().take(GENERATIONS - 1));
            begun.extend(former.begun(now).take(BEGUN - begun.len()));
        }
        let (link, theirs) = Link::pair()?;
        let notice = Notice { local: socket.address(), generations, begun };
        if !link.send(&notice.encode()) {
            return Err(io::Error::other("the link to the new process takes no message"));
        }
        self.successor = Some(link);
        Ok(theirs)
    }
}
