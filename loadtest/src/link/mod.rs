//! Lines between listeners and servers on one machine: delay, rate, loss and jitter under whole IP packets, so that
//! handshakes and the loss recovery of TCP and QUIC are the kernel's and the libraries' own.
//!
//! ```text
//!   listeners' namespace                                               the machine
//!   10.64.0.2 ┐                    ┌───────────────┐                    ┌ 10.65.255.1  servers on 0.0.0.0
//!   10.64.0.3 ┼─ AnyIP ─ TUN line0 ┤ model per line├ TUN server0 ───────┤
//!   …         ┘                    └───────────────┘                    └ 10.65.0.1 = 127.0.0.1
//! ```
//!
//! What is asked is in [`profile`], what a line does with a packet in [`model`]: both are arithmetic. [`Emulation`]
//! owns the devices and the threads; [`Side`] is what listeners need of it. `self_test` measures what was asked through
//! the kernel's sockets. Waking threads adds about 0.3 ms to a round trip, which is not taken off again. Remote servers and IPv6 are refused: a remote server has a link already.

mod addresses;
mod cli;
mod emulator;
mod measure;
pub mod model;
mod namespace;
mod packet;
pub mod profile;
mod self_test;
mod tun;

pub use cli::{Args, run};
pub use emulator::{Late, Passed};
pub use profile::Link;

use addresses::Addresses;
use emulator::{Counts, Courier};
use model::Way;
use namespace::Namespace;
use profile::Direction;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime};
use tun::Tun;

/// What can go wrong with an emulation, and what helps.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Namespaces and devices are for root.
    #[error(
        "link emulation makes a network namespace and TUN devices, which needs root (CAP_NET_ADMIN and CAP_SYS_ADMIN): \
         run it with sudo, or a container with --privileged --device /dev/net/tun ({0})"
    )]
    Forbidden(io::Error),
    /// The kernel has no TUN devices, or the container does not show them.
    #[error(
        "link emulation needs /dev/net/tun: load it with `modprobe tun`, or start the container with \
         --device /dev/net/tun ({0})"
    )]
    NoTun(io::Error),
    /// The `ip` command is not there.
    #[error("link emulation sets its devices up with the ip command: install the package iproute2 ({0})")]
    NoIp(io::Error),
    /// The `ip` command would not.
    #[error("`ip` refused: {0}")]
    Refused(String),
    /// All pairs of nets are in use.
    #[error(
        "link emulation needs a free /15 in 10.64.0.0/10, 172.16.0.0/12 or 198.18.0.0/15, and all have routes here"
    )]
    NoAddresses,
    /// The server listens on IPv6.
    #[error("{0} is IPv6, which link emulation does not carry: let the server listen on 127.0.0.1 or 0.0.0.0")]
    V6(SocketAddr),
    /// The server listens on an address that has no alias.
    #[error("{0} cannot be reached over an emulated link: let the server listen on 127.0.0.1 or 0.0.0.0")]
    Loopback(SocketAddr),
    /// The server is elsewhere.
    #[error("{0} is not on this machine: a remote server already has a link; leave --link out, or run the server here")]
    Remote(SocketAddr),
    /// Anything else that the system refused.
    #[error("link emulation: {0}")]
    Io(#[from] io::Error),
}

impl From<rustix::io::Errno> for LinkError {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

/// A running emulation: the owner of its threads and devices, which end with it.
///
/// Nothing of it outlives the process, however that ends: devices and namespace go with their last descriptor.
#[derive(Debug)]
pub struct Emulation {
    side: Side,
    stop: Arc<OwnedFd>,
    couriers: Vec<JoinHandle<()>>,
    down: Arc<Mutex<Counts>>,
    up: Arc<Mutex<Counts>>,
    here: Arc<Tun>,
    there: Arc<Tun>,
}

/// The listeners' side of a running emulation.
#[derive(Debug, Clone)]
pub struct Side(Arc<Listeners>);

#[derive(Debug)]
struct Listeners {
    namespace: Namespace,
    addresses: Addresses,
    machine: Vec<Ipv4Addr>,
}

/// What passed, and what the emulation itself did wrong.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Counted {
    /// From the servers to the listeners.
    pub down: Passed,
    /// From the listeners to the servers.
    pub up: Passed,
}

impl Emulation {
    /// Starts one. The calling thread's namespace is the servers'. The same seed gives the same chance to every line.
    pub fn start(link: &Link, seed: u64) -> Result<Self, LinkError> {
        let listeners = Namespace::new().map_err(forbidden)?;
        let here = Tun::open(c"server").map_err(no_tun)?;
        let there = listeners.within(|| Tun::open(c"line").map_err(no_tun))?;
        let addresses = attach(&here)?;
        let machine = machine_addresses()?;
        listeners.within(|| attach_listeners(&there, &addresses, &machine))?;

        let (here, there) = (Arc::new(here), Arc::new(there));
        let stop = Arc::new(rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)?);
        let began = Instant::now();
        let (down, up) = (Arc::<Mutex<Counts>>::default(), Arc::<Mutex<Counts>>::default());
        let courier = |direction, from: &Arc<Tun>, to: &Arc<Tun>, counts: &Arc<Mutex<Counts>>| {
            let (from, to, counts, stop) = (from.clone(), to.clone(), counts.clone(), stop.clone());
            let way = Way::new(link, direction);
            let courier = Courier { direction, way, addresses, from, to, stop, began, seed, counts };
            let name = match direction {
                Direction::Down => "link down",
                Direction::Up => "link up",
            };
            std::thread::Builder::new().name(name.into()).spawn(|| courier.run())
        };
        let mut emulation = Self {
            side: Side(Arc::new(Listeners { namespace: listeners, addresses, machine })),
            stop: stop.clone(),
            couriers: Vec::new(),
            down: down.clone(),
            up: up.clone(),
            here: here.clone(),
            there: there.clone(),
        };
        // One by one, so that the first ends if the second does not begin.
        emulation.couriers.push(courier(Direction::Down, &here, &there, &down)?);
        emulation.couriers.push(courier(Direction::Up, &there, &here, &up)?);
        Ok(emulation)
    }

    /// What listeners need.
    pub fn side(&self) -> Side {
        self.side.clone()
    }

    /// What passed so far.
    pub fn counted(&self) -> Counted {
        // Reading the kernel's counts of a device that is ours cannot fail; if it did, ours would still be right.
        let (here, there) = (self.here.dropped().unwrap_or_default(), self.there.dropped().unwrap_or_default());
        let (down, up) = (emulator::lock(&self.down).clone(), emulator::lock(&self.up).clone());
        Counted { down: down.passed(here.unread + there.untaken), up: up.passed(there.unread + here.untaken) }
    }
}

impl Drop for Emulation {
    fn drop(&mut self) {
        // The couriers look at it and nobody reads it, so it stays readable for both.
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        for courier in self.couriers.drain(..) {
            let _ = courier.join();
        }
    }
}

impl Side {
    /// Moves the calling thread to the listeners: sockets that it makes from now on are theirs. Threads and processes
    /// that it starts are there too.
    pub fn enter(&self) -> io::Result<()> {
        self.0.namespace.enter()
    }

    /// The address of a listener, who has a line of his own. Sockets bind it before they connect. There are 65,534.
    pub fn address(&self, listener: u32) -> Ipv4Addr {
        self.0.addresses.listener(listener)
    }

    /// What a listener connects to in place of this server, which listens on this machine.
    pub fn reach(&self, server: SocketAddr) -> Result<SocketAddr, LinkError> {
        let there = self.0.addresses.reach(server)?;
        match there.ip() {
            IpAddr::V4(v4) if there.ip() == server.ip() && !self.0.machine.contains(&v4) => {
                Err(LinkError::Remote(server))
            }
            _ => Ok(there),
        }
    }

    /// Does something on the listeners' side, while the calling thread waits where it is.
    pub fn within<T: Send, E: Send + From<io::Error>>(
        &self,
        act: impl FnOnce() -> Result<T, E> + Send,
    ) -> Result<T, E> {
        self.0.namespace.within(act)
    }
}

/// Sets the servers' device up, on the first pair of nets that is free.
fn attach(tun: &Tun) -> Result<Addresses, LinkError> {
    let device = tun.name();
    set(&format!("ipv6/conf/{device}/disable_ipv6"), "1").or_else(only_not_found)?;
    // Packets to and from 127.0.0.0/16 may cross this device, and only this one.
    set(&format!("ipv4/conf/{device}/route_localnet"), "1")?;
    let taken = routes()?;
    let begin = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_micros();
    for addresses in Addresses::candidates(begin as usize).filter(|pair| !taken.iter().any(|route| pair.meets(route))) {
        let Addresses { listeners, .. } = addresses;
        let (machine, length, packets) = (addresses.machine(), tun::MTU, tun::KERNEL_QUEUE_PACKETS);
        let setup = format!(
            "link set dev {device} mtu {length} txqueuelen {packets} up\n\
             address add {machine}/32 dev {device}\n\
             route add {listeners} dev {device} src {machine}\n"
        );
        match ip_batch(&setup) {
            // What an earlier run's listeners taught TCP about these addresses is not about these listeners.
            Ok(()) => {
                return ip(&["tcp_metrics", "flush", &listeners.to_string()]).or(Ok(String::new())).map(|_| addresses);
            }
            // Another emulation was faster.
            Err(LinkError::Refused(why)) if why.contains("File exists") => {
                ip(&["address", "flush", "dev", device])?;
            }
            Err(error) => return Err(error),
        }
    }
    Err(LinkError::NoAddresses)
}

/// Sets the listeners' device up; the calling thread is theirs.
fn attach_listeners(tun: &Tun, addresses: &Addresses, machine: &[Ipv4Addr]) -> Result<(), LinkError> {
    let device = tun.name();
    set(&format!("ipv6/conf/{device}/disable_ipv6"), "1").or_else(only_not_found)?;
    // A listener starts without what TCP learned from his neighbours.
    set("ipv4/tcp_no_metrics_save", "1")?;
    let Addresses { listeners, servers } = addresses;
    let (unbound, length, packets) = (addresses.unbound(), tun::MTU, tun::KERNEL_QUEUE_PACKETS);
    let mut setup = format!(
        "link set dev lo up\n\
         link set dev {device} mtu {length} txqueuelen {packets} up\n\
         address add {unbound}/32 dev {device}\n\
         route add local {listeners} dev lo\n\
         route add {servers} dev {device} src {unbound}\n"
    );
    for address in machine.iter().filter(|address| servers.host(**address).is_none()) {
        setup += &format!("route add {address}/32 dev {device} src {unbound}\n");
    }
    ip_batch(&setup)
}

/// What the machine has routes to, in all tables, and which addresses it has.
fn routes() -> Result<Vec<String>, LinkError> {
    let table = ip(&["-4", "route", "show", "table", "all"])?;
    // `local 10.0.0.1 dev lo …` and `10.0.0.0/8 via …`: the type is left out where it is unicast.
    let nets = table.lines().flat_map(|line| line.split_whitespace().take(2)).map(str::to_owned);
    Ok(nets.chain(machine_addresses()?.iter().map(ToString::to_string)).collect())
}

/// The addresses that are this machine's, in the calling thread's namespace.
fn machine_addresses() -> Result<Vec<Ipv4Addr>, LinkError> {
    let list = ip(&["-4", "-o", "address", "show"])?;
    let addresses = list.lines().filter_map(|line| {
        let (_, rest) = line.split_once("inet ")?;
        rest.split(['/', ' ']).next()?.parse::<Ipv4Addr>().ok()
    });
    Ok(addresses.filter(|address| !address.is_loopback()).collect())
}

fn ip(words: &[&str]) -> Result<String, LinkError> {
    let output = Command::new("ip").args(words).stdin(Stdio::null()).output().map_err(LinkError::NoIp)?;
    said(output)
}

/// Lines of the words that follow `ip`, up to the first that is refused.
fn ip_batch(lines: &str) -> Result<(), LinkError> {
    let mut command = Command::new("ip");
    command.args(["-4", "-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(LinkError::NoIp)?;
    if let Some(mut stdin) = child.stdin.take() {
        // It may have refused before it read all; then what it says is more useful than a broken pipe.
        let _ = stdin.write_all(lines.as_bytes());
    }
    said(child.wait_with_output()?).map(drop)
}

fn said(output: std::process::Output) -> Result<String, LinkError> {
    if !output.status.success() {
        return Err(LinkError::Refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A setting of the calling thread's namespace.
fn set(setting: &str, value: &str) -> io::Result<()> {
    std::fs::write(format!("/proc/sys/net/{setting}"), value)
        .map_err(|error| io::Error::new(error.kind(), format!("/proc/sys/net/{setting}: {error}")))
}

/// Kernels without IPv6 have no settings for it.
fn only_not_found(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn forbidden(error: io::Error) -> LinkError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => LinkError::Forbidden(error),
        _ => LinkError::Io(error),
    }
}

fn no_tun(error: io::Error) -> LinkError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => LinkError::Forbidden(error),
        _ => LinkError::NoTun(error),
    }
}

/// Tests of the emulation need what it needs. Where that is missing they fail, and say how to leave them out.
#[cfg(test)]
fn needs_root() -> bool {
    if std::env::var_os("NEEDLEDROP_NO_LINK").is_some() {
        return false;
    }
    match Namespace::new().map_err(forbidden).and_then(|_| Tun::open(c"try").map_err(no_tun)) {
        Ok(_) => true,
        Err(error) => panic!("{error}; NEEDLEDROP_NO_LINK=1 leaves these tests out"),
    }
}

#[cfg(test)]
mod tests;
