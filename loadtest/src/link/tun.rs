//! A TUN device: what the kernel sends to it is read as a packet, what is written to it the kernel receives.
//!
//! It asks for no offloads, so packets come in the size of the MTU and with whole checksums, as on a wire.
#![allow(unsafe_code, reason = "TUNSETIFF has no safe wrapper")]

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Mutex;

/// What Ethernet carries.
pub const MTU: usize = 1_500;
/// Packets that the kernel holds for us before it drops some: a hundredth of a second at 12 Gbit/s.
pub const KERNEL_QUEUE_PACKETS: u32 = 10_000;

/// A device in the namespace in which it was opened. It ends with this value.
#[derive(Debug)]
pub struct Tun {
    file: File,
    name: String,
    devices: Mutex<File>,
}

/// What the kernel says about a device's losses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Packets that the kernel had for us when its queue was full: we read too slowly.
    pub unread: u64,
    /// Packets of ours that the kernel did not take.
    pub untaken: u64,
}

impl Tun {
    /// A new device in the calling thread's namespace; it is down and has no address. The kernel numbers the name.
    pub fn open(name: &CStr) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
        // SAFETY: a request of zeroes is a valid ifreq.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        let pattern = [name.to_bytes(), b"%d"].concat();
        assert!(pattern.len() < request.ifr_name.len(), "names of devices are short, and ours are constants");
        for (to, from) in request.ifr_name.iter_mut().zip(pattern) {
            *to = from as libc::c_char;
        }
        request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
        // SAFETY: the descriptor is open, and TUNSETIFF reads and writes one ifreq, which is ours.
        if unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &mut request) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let given = request.ifr_name.iter().take_while(|byte| **byte != 0).map(|byte| char::from(*byte as u8));
        // A file of /proc/net stays with the namespace in which it was opened, whoever reads it later.
        let devices = File::open("/proc/thread-self/net/dev")?;
        Ok(Self { file, name: given.collect(), devices: Mutex::new(devices) })
    }

    /// As in `ip link`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next packet that the kernel sent, into `room`; None when there is none yet.
    pub fn receive<'a>(&self, room: &'a mut [u8]) -> io::Result<Option<&'a mut [u8]>> {
        match (&self.file).read(room) {
            Ok(len) => Ok(Some(&mut room[..len])),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Gives the kernel a packet to receive.
    pub fn send(&self, packet: &[u8]) -> io::Result<()> {
        (&self.file).write(packet).map(drop)
    }

    /// The device's losses so far.
    pub fn dropped(&self) -> io::Result<Dropped> {
        let mut table = String::new();
        let mut devices = self.devices.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        devices.rewind()?;
        devices.read_to_string(&mut table)?;
        Ok(dropped(&table, &self.name).unwrap_or_default())
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// `name: bytes packets errs drop fifo frame compressed multicast` received, then `bytes packets errs drop ...` sent.
/// To the kernel, what it receives from a TUN device is what we wrote.
fn dropped(table: &str, name: &str) -> Option<Dropped> {
    let line = table.lines().find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'))?;
    let numbers: Vec<u64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    Some(Dropped { untaken: numbers.get(2)? + numbers.get(3)?, unread: *numbers.get(11)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_those_of_the_device_by_that_name() {
        let table = "Inter-|   Receive      |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes\n\
                     line10: 9 9 9 9 0 0 0 0 9 9 9 9 0 0 0 0\n line1: 5000 10 1 2 0 0 0 0 6000 11 0 3 0 0 0 0\n";
        assert_eq!(dropped(table, "line1"), Some(Dropped { unread: 3, untaken: 3 }));
        assert_eq!(dropped(table, "line2"), None);
    }
}
