//! Taking over from a running edge: sockets and cache change hands without a refused connection.
//!
//! The running edge listens on `takeover.sock` in the data folder, for programs of its own user. A new one that is
//! started with `--take-over` speaks to it, one line a step:
//!
//! ```text
//!  new                    old
//!  "take-over 2"  ->
//!                 <-      "sockets ..." with the listening sockets          old: serves as before
//!  (reads its files: what fails until here leaves no trace)
//!  "lease"        ->
//!                 <-      "lease SLOTS" with the cache's lock               old: writes nothing into the cache any
//!                                                                           more
//!  (recovers the cache, opens its doors on the sockets)
//!  "quic"         ->
//!                 <-      "links N" with a link for each UDP socket         old: reads no UDP socket any more; what is
//!                                                                           for its connections comes over the links
//!  (serves)
//!  "serving"      ->                                                        old: drains and exits
//!                 <-      end of stream when the old process is gone        new: may write into the cache
//! ```
//!
//! Until the old process is gone the new one stores no block: the old one's answers are slices of the same slots.
//! Should the new one fail after it got the lease, the old one goes on without storing anything, and can be asked again;
//! its UDP sockets it reads again as soon as the other ends of the links are gone.

use std::{
    fs,
    io::{self, IoSlice, IoSliceMut, Write},
    mem::MaybeUninit,
    net::{TcpListener, UdpSocket},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use needledrop_edge::slab::Lease;
use needledrop_http::Sockets;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg, sockopt::socket_peercred,
};
use tokio::sync::oneshot;

/// Sockets of one edge, at most: what one message carries (SCM_MAX_FD is 253).
const SOCKETS_MAX: usize = 64;
/// How long a step of the other side may take: a cache of many GiB is recovered in seconds.
const STEP: Duration = Duration::from_secs(60);
const HELLO: &str = "take-over 2";

/// The listening sockets of an edge.
#[derive(Debug, Default)]
pub struct Held {
    /// Of the public doors.
    pub public: Sockets,
    /// Of the admin doors.
    pub admin: Sockets,
}

impl Held {
    /// In a fixed order, with the numbers of each kind.
    fn list(&self) -> (Vec<BorrowedFd<'_>>, [usize; 6]) {
        let Self { public, admin } = self;
        let mut fds = Vec::new();
        for sockets in [public, admin] {
            fds.extend(sockets.plain.iter().map(AsFd::as_fd));
            fds.extend(sockets.tls.iter().map(AsFd::as_fd));
            fds.extend(sockets.quic.iter().map(AsFd::as_fd));
        }
        let counts = [&public.plain, &public.tls, &admin.plain, &admin.tls].map(Vec::len);
        (fds, [counts[0], counts[1], public.quic.len(), counts[2], counts[3], admin.quic.len()])
    }

    fn of(counts: [usize; 6], fds: Vec<OwnedFd>) -> io::Result<Self> {
        if counts.iter().try_fold(0_usize, |sum, count| sum.checked_add(*count)) != Some(fds.len()) {
            return Err(io::Error::other("the running edge sent other sockets than it named"));
        }
        let mut fds = fds.into_iter();
        let mut held = Self::default();
        for (sockets, counts) in [(&mut held.public, &counts[..3]), (&mut held.admin, &counts[3..])] {
            sockets.plain = fds.by_ref().take(counts[0]).map(TcpListener::from).collect();
            sockets.tls = fds.by_ref().take(counts[1]).map(TcpListener::from).collect();
            sockets.quic = fds.by_ref().take(counts[2]).map(UdpSocket::from).collect();
        }
        Ok(held)
    }
}

fn path(data: &Path) -> PathBuf {
    data.join("takeover.sock")
}

fn said(line: &str, expected: &str) -> io::Result<()> {
    match line == expected {
        true => Ok(()),
        false => Err(io::Error::other(format!("{line:?} where {expected:?} was expected"))),
    }
}

/// A line, with the descriptors that came along with it. Every line has a length of at most 64 bytes.
fn receive(stream: &UnixStream) -> io::Result<(String, Vec<OwnedFd>)> {
    let (mut line, mut fds) = (Vec::new(), Vec::new());
    while line.last() != Some(&b'\n') {
        let mut byte = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let got = recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        if got.bytes == 0 || line.len() == 64 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        line.push(byte[0]);
    }
    line.pop();
    let line = String::from_utf8(line).map_err(io::Error::other)?;
    Ok((line, fds))
}

fn send(mut stream: &UnixStream, line: &str, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::other(format!("more than {SOCKETS_MAX} sockets")));
    }
    let line = format!("{line}\n");
    let sent = sendmsg(stream, &[IoSlice::new(line.as_bytes())], &mut control, SendFlags::NOSIGNAL)?;
    stream.write_all(&line.as_bytes()[sent..])
}

/// The running edge's side: waits for who wants to take over.
pub struct Desk {
    held: Arc<Mutex<Option<Held>>>,
}

/// What the new process asks of this one.
pub enum Wish {
    /// Stop writing, let go of what cannot be shared, and send the cache's lock.
    Lease(oneshot::Sender<io::Result<Lease>>),
    /// Let it read the UDP sockets.
    Quic(oneshot::Sender<io::Result<Vec<OwnedFd>>>),
    /// It serves: drain and exit.
    Leave,
}

impl Desk {
    /// Listens in the data folder; every wish goes to `wishes`.
    ///
    /// # Errors
    /// The socket cannot be made: the path is too long, or the folder is not ours.
    pub fn open(data: &Path, held: Held, wishes: tokio::sync::mpsc::Sender<Wish>) -> io::Result<Self> {
        let path = path(data);
        // Left by a process that is gone, or by the one that handed over to us and listens no more.
        let _ = fs::remove_file(&path);
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let held = Arc::new(Mutex::new(Some(held)));
        let theirs = Arc::clone(&held);
        let listen = move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { continue };
                match attend(stream, &theirs, &wishes) {
                    Ok(()) => return,
                    Err(error) => tracing::warn!(%error, "a take-over was begun and not finished"),
                }
            }
        };
        thread::Builder::new().name("take-over".into()).spawn(listen)?;
        Ok(Self { held })
    }

    /// Lets go of the sockets, so that nobody waits in front of doors that do not open again.
    pub fn close(&self) {
        drop(self.held.lock().expect("nobody panics while sending").take());
    }
}

/// One take-over, step by step. `Ok` when the new process serves.
fn attend(stream: UnixStream, held: &Mutex<Option<Held>>, wishes: &tokio::sync::mpsc::Sender<Wish>) -> io::Result<()> {
    let peer = socket_peercred(&stream)?;
    if peer.uid != rustix::process::geteuid() && !peer.uid.is_root() {
        return Err(io::Error::other("a process of another user asked"));
    }
    stream.set_read_timeout(Some(STEP))?;
    said(&receive(&stream)?.0, HELLO)?;
    {
        let held = held.lock().expect("nobody panics while sending");
        let held = held.as_ref().ok_or_else(|| io::Error::other("this edge is stopping"))?;
        let (fds, counts) = held.list();
        send(&stream, &format!("sockets {}", counts.map(|count| count.to_string()).join(" ")), &fds)?;
    }
    said(&receive(&stream)?.0, "lease")?;
    let lease = wish(wishes, Wish::Lease)?;
    send(&stream, &format!("lease {}", lease.slots), &[lease.lock.as_fd()])?;
    said(&receive(&stream)?.0, "quic")?;
    let links = wish(wishes, Wish::Quic)?;
    let fds = links.iter().map(AsFd::as_fd).collect::<Vec<_>>();
    send(&stream, &format!("links {}", fds.len()), &fds)?;
    // Our copies would keep them open when the new process is gone.
    drop(links);
    said(&receive(&stream)?.0, "serving")?;
    // Open until this process ends: its end is what the new one waits for.
    std::mem::forget(stream);
    let _ = wishes.blocking_send(Wish::Leave);
    Ok(())
}

/// Hands a wish on and waits for its answer.
fn wish<T>(
    wishes: &tokio::sync::mpsc::Sender<Wish>,
    of: impl FnOnce(oneshot::Sender<io::Result<T>>) -> Wish,
) -> io::Result<T> {
    let is_stopping = || io::Error::other("this edge is stopping");
    let (reply, answer) = oneshot::channel();
    wishes.blocking_send(of(reply)).map_err(|_| is_stopping())?;
    answer.blocking_recv().map_err(|_| is_stopping())?
}

/// The new edge's side, with the sockets in hand.
pub struct Offer {
    stream: UnixStream,
}

/// Asks the edge that runs on this data folder for its sockets; `None` if none runs.
///
/// # Errors
/// One runs, but does not hand over.
pub fn ask(data: &Path) -> Result<Option<(Offer, Held)>, String> {
    let stream = match UnixStream::connect(path(data)) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(format!("take-over: {}: {error}", path(data).display())),
    };
    let asked = || {
        stream.set_read_timeout(Some(STEP))?;
        send(&stream, HELLO, &[])?;
        let (line, fds) = receive(&stream)?;
        let counts = line.strip_prefix("sockets ").unwrap_or_default().split(' ').map(str::parse::<usize>);
        let counts = counts.collect::<Result<Vec<_>, _>>().ok().and_then(|counts| counts.try_into().ok());
        Held::of(counts.ok_or_else(|| io::Error::other(format!("{line:?} names no sockets")))?, fds)
    };
    match asked() {
        Ok(held) => Ok(Some((Offer { stream }, held))),
        Err(error) => Err(format!("take-over: the running edge does not hand over: {error}")),
    }
}

impl Offer {
    /// The cache's lock. From here on the running edge stores nothing. Blocks.
    ///
    /// # Errors
    /// The running edge has gone, or cannot give it.
    pub fn lease(&self) -> Result<Lease, String> {
        let asked = || {
            send(&self.stream, "lease", &[])?;
            let (line, mut fds) = receive(&self.stream)?;
            let slots = line.strip_prefix("lease ").and_then(|slots| slots.parse().ok());
            match (slots, fds.pop()) {
                (Some(slots), Some(lock)) => Ok(Lease { lock: lock.into(), slots }),
                _ => Err(io::Error::other(format!("{line:?} is no lease"))),
            }
        };
        asked().map_err(|error| format!("take-over: the running edge does not give its cache: {error}"))
    }

    /// From here on this edge is the one that reads the UDP sockets: a link for each, to the connections of the running
    /// one. Blocks.
    ///
    /// # Errors
    /// The running edge has gone, or cannot give them.
    pub fn quic(&self) -> Result<Vec<OwnedFd>, String> {
        let asked = || {
            send(&self.stream, "quic", &[])?;
            let (line, links) = receive(&self.stream)?;
            said(&line, &format!("links {}", links.len()))?;
            Ok(links)
        };
        asked().map_err(|error: io::Error| format!("take-over: the running edge keeps its UDP sockets: {error}"))
    }

    /// Tells the running edge that this one serves, and calls `gone` when that process has ended.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn serving(self, gone: impl FnOnce() + Send + 'static) -> io::Result<()> {
        // If it is gone already, that is what the thread finds.
        let _ = send(&self.stream, "serving", &[]);
        let _ = self.stream.set_read_timeout(None);
        let wait = move || {
            while receive(&self.stream).is_ok() {}
            gone();
        };
        thread::Builder::new().name("take-over".into()).spawn(wait).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Held {
        let tcp = || vec![TcpListener::bind("127.0.0.1:0").unwrap()];
        let public = Sockets { plain: tcp(), tls: tcp(), quic: vec![UdpSocket::bind("127.0.0.1:0").unwrap()] };
        Held { public, admin: Sockets { plain: tcp(), ..Sockets::default() } }
    }

    #[test]
    fn sockets_and_lock_change_hands_and_the_end_is_noticed() {
        let data = tempfile::tempdir().unwrap();
        assert!(ask(data.path()).unwrap().is_none(), "nobody runs");
        let held = held();
        let addresses = |held: &Held| {
            let tcp = |list: &[TcpListener]| list.iter().map(|one| one.local_addr().unwrap()).collect::<Vec<_>>();
            (
                tcp(&held.public.plain),
                tcp(&held.public.tls),
                held.public.quic[0].local_addr().unwrap(),
                tcp(&held.admin.plain),
            )
        };
        let before = addresses(&held);
        let (sender, mut wishes) = tokio::sync::mpsc::channel(1);
        let _desk = Desk::open(data.path(), held, sender).unwrap();
        let mode = fs::metadata(path(data.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        // One that gives up changes nothing.
        drop(ask(data.path()).unwrap().unwrap());
        let (offer, taken) = ask(data.path()).unwrap().unwrap();
        assert_eq!(addresses(&taken), before);
        let old = thread::spawn(move || {
            let Some(Wish::Lease(reply)) = wishes.blocking_recv() else { panic!() };
            reply.send(Ok(Lease { lock: tempfile::tempfile().unwrap(), slots: 77 })).unwrap();
            let Some(Wish::Quic(reply)) = wishes.blocking_recv() else { panic!() };
            reply.send(Ok(vec![tempfile::tempfile().unwrap().into()])).unwrap();
            assert!(matches!(wishes.blocking_recv(), Some(Wish::Leave)));
        });
        assert_eq!(offer.lease().unwrap().slots, 77);
        assert_eq!(offer.quic().unwrap().len(), 1);
        offer.serving(|| {}).unwrap();
        old.join().unwrap();
    }
}
