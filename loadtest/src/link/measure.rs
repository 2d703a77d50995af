//! Measurements through the kernel's sockets over an emulated link. Both ends are in this process and read one clock,
//! so each direction can be timed by itself. What the numbers should be is in [`super::self_test`].

use super::Side;
use super::namespace::{Hurry, hurry};
use super::profile::Direction;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The bytes that IPv4 and UDP put before a datagram.
pub const UDP_OVERHEAD: u64 = 28;

/// Datagrams that go out on time, whatever comes back.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The listeners who take part, in turns.
    pub lines: Range<u32>,
    /// How many datagrams, over all lines.
    pub datagrams: u32,
    /// The bytes of each, without headers; at least eight.
    pub payload: usize,
    /// So many go out at once, first of all.
    pub burst: u32,
    /// Between one and the next, over all lines, after the burst.
    pub gap: Duration,
    /// How long to wait for the last.
    pub patience: Duration,
}

/// A datagram that arrived. Times are since the measurement began.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// When it was sent.
    pub sent_at: Duration,
    /// When it arrived, at the other end or back.
    pub arrived_at: Duration,
}

impl Plan {
    fn due(&self, nth: u32) -> Duration {
        self.gap * nth.saturating_sub(self.burst)
    }

    fn line(&self, nth: u32) -> usize {
        (nth % self.lines.len() as u32) as usize
    }
}

/// Sends each datagram to an echo and back.
pub fn round_trips(side: &Side, plan: &Plan) -> Result<Vec<Arrival>, String> {
    let echo = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(said)?;
    let (listeners, done) = (listeners(side, plan, &echo)?, AtomicBool::new(false));
    echo.set_read_timeout(Some(Duration::from_millis(20))).map_err(said)?;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            hurry(Hurry::Measuring);
            let mut room = vec![0; plan.payload];
            while !done.load(Ordering::Relaxed) {
                if let Ok((len, from)) = echo.recv_from(&mut room) {
                    let _ = echo.send_to(&room[..len], from);
                }
            }
        });
        let arrivals = scope.spawn(|| ping(&listeners, plan)).join();
        done.store(true, Ordering::Relaxed);
        arrivals.unwrap_or_else(|panic| std::panic::resume_unwind(panic)).map_err(said)
    })
}

/// One thread sends when it is time and receives when something is there.
fn ping(sockets: &[UdpSocket], plan: &Plan) -> io::Result<Vec<Arrival>> {
    hurry(Hurry::Measuring);
    sockets.iter().try_for_each(|socket| socket.set_nonblocking(true))?;
    let (began, mut arrivals, mut sent) = (Instant::now(), Vec::new(), 0);
    let (mut datagram, end) = (vec![0; plan.payload], plan.due(plan.datagrams) + plan.patience);
    loop {
        while sent < plan.datagrams && plan.due(sent) <= began.elapsed() {
            stamp(&mut datagram, began);
            sockets[plan.line(sent)].send(&datagram)?;
            sent += 1;
        }
        let wake = if sent < plan.datagrams { plan.due(sent) } else { end };
        if began.elapsed() >= end || arrivals.len() == plan.datagrams as usize {
            return Ok(arrivals);
        }
        let wait = Timespec::try_from(wake.saturating_sub(began.elapsed())).unwrap_or_default();
        let mut ready: Vec<_> = sockets.iter().map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        poll(&mut ready, Some(&wait))?;
        for (socket, _) in sockets.iter().zip(&ready).filter(|(_, ready)| !ready.revents().is_empty()) {
            while socket.recv(&mut datagram).is_ok() {
                arrivals.push(arrival(&datagram, began));
            }
        }
    }
}

/// Sends all datagrams one way.
pub fn one_way(side: &Side, direction: Direction, plan: &Plan) -> Result<Vec<Arrival>, String> {
    let (senders, receiver) = match direction {
        Direction::Up => {
            let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(said)?;
            (listeners(side, plan, &receiver)?, receiver)
        }
        Direction::Down => {
            // All addresses of the listeners are local where they are, so one socket receives for all.
            let receiver = side.within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))).map_err(said)?;
            let port = receiver.local_addr().map_err(said)?.port();
            let sender = |line| {
                let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
                socket.connect((side.address(line), port))?;
                Ok(socket)
            };
            (plan.lines.clone().map(sender).collect::<io::Result<_>>().map_err(said)?, receiver)
        }
    };
    // As much as the system lets us have; if it is too little, the kernel counts what it drops as lost, and so do we.
    let _ = socket2::SockRef::from(&receiver).set_recv_buffer_size(16 << 20);
    receiver.set_read_timeout(Some(Duration::from_millis(20))).map_err(said)?;
    let (began, sent) = (Instant::now(), AtomicUsize::new(usize::MAX));
    std::thread::scope(|scope| {
        let receiving = scope.spawn(|| {
            hurry(Hurry::Measuring);
            let (mut arrivals, mut room, mut last) = (Vec::new(), vec![0; plan.payload], began.elapsed());
            while arrivals.len() < sent.load(Ordering::Relaxed) {
                match receiver.recv(&mut room) {
                    Ok(_) => {
                        arrivals.push(arrival(&room, began));
                        last = began.elapsed();
                    }
                    Err(_) if sent.load(Ordering::Relaxed) == usize::MAX => last = began.elapsed(),
                    Err(_) if began.elapsed() > last + plan.patience => break,
                    Err(_) => {}
                }
            }
            arrivals
        });
        scope.spawn(|| {
            hurry(Hurry::Measuring);
            let mut datagram = vec![0; plan.payload];
            for nth in 0..plan.datagrams {
                match plan.due(nth).saturating_sub(began.elapsed()) {
                    Duration::ZERO => {}
                    wait => std::thread::sleep(wait),
                }
                stamp(&mut datagram, began);
                // What the kernel does not take is lost, and is seen as such.
                let _ = senders[plan.line(nth)].send(&datagram);
            }
            sent.store(plan.datagrams as usize, Ordering::Relaxed);
        });
        Ok(receiving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

/// Fills one TCP connection in this direction; gives the bytes a second that arrive in a window that opens later.
pub fn transfer(
    side: &Side,
    direction: Direction,
    listener: u32,
    opens: Duration,
    window: Duration,
) -> Result<f64, String> {
    let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(said)?;
    let there = side.reach(server.local_addr().map_err(said)?).map_err(said)?;
    let dial = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((side.address(listener), 0)).into())?;
        socket.connect_timeout(&there.into(), Duration::from_secs(30))?;
        io::Result::Ok(TcpStream::from(socket))
    };
    let here = side.within(dial).map_err(said)?;
    let (there, _) = server.accept().map_err(said)?;
    let (mut from, to) = match direction {
        Direction::Up => (here, there),
        Direction::Down => (there, here),
    };
    std::thread::scope(|scope| {
        // Ends with an error when the receiver hangs up.
        scope.spawn(move || while from.write_all(&[7; 16 << 10]).is_ok() {});
        let began = Instant::now();
        let mut to = to;
        let (mut room, mut first, mut last, mut bytes) = (vec![0; 1 << 20], None, Duration::ZERO, 0);
        to.set_read_timeout(Some(opens + window)).map_err(said)?;
        while began.elapsed() < opens + window {
            let len = to.read(&mut room).map_err(said)?;
            let now = began.elapsed();
            // The first read in the window begins it; its bytes came before.
            match first {
                None if now >= opens => first = Some(now),
                None => {}
                Some(_) => (last, bytes) = (now, bytes + len),
            }
        }
        // The sender stops when the receiver is gone; what is still in its buffer need not arrive.
        let _ = socket2::SockRef::from(&to).set_linger(Some(Duration::ZERO));
        drop(to);
        let seconds = last.saturating_sub(first.unwrap_or(last)).as_secs_f64();
        Ok(if seconds > 0.0 { bytes as f64 / seconds } else { 0.0 })
    })
}

/// A socket for each of the listeners who take part, connected to this server.
fn listeners(side: &Side, plan: &Plan, server: &UdpSocket) -> Result<Vec<UdpSocket>, String> {
    let there = side.reach(server.local_addr().map_err(said)?).map_err(said)?;
    let socket = |line| {
        let socket = UdpSocket::bind((side.address(line), 0))?;
        socket.connect(there)?;
        Ok(socket)
    };
    side.within(|| plan.lines.clone().map(socket).collect::<io::Result<_>>()).map_err(said)
}

fn stamp(datagram: &mut [u8], began: Instant) {
    datagram[..8].copy_from_slice(&(began.elapsed().as_nanos() as u64).to_le_bytes());
}

fn arrival(datagram: &[u8], began: Instant) -> Arrival {
    let nanos = datagram.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    Arrival { sent_at: Duration::from_nanos(nanos), arrived_at: began.elapsed() }
}

fn said(error: impl std::fmt::Display) -> String {
    format!("measuring the link: {error}")
}
