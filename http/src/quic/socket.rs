//! A UDP socket that moves datagrams in batches: segmentation offload on the way out (GSO), coalescing on the way in
//! (GRO), congestion marks and our own address on both. What is in the datagrams is not its business.

use std::array;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use bytes::BytesMut;
use quinn_proto::{EcnCodepoint, Transmit};
use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Kernel buffers, where the system's limits allow it: a burst of all connections fits.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Segments of one batch. 40 full ones stay below the 64 KiB of a UDP datagram, and more gained nothing.
const SEGMENTS: usize = 40;
/// Buffers that one call fills.
const BATCH: usize = 8;
/// The largest a coalesced datagram gets.
const BATCH_BYTES: usize = 64 * 1024;

/// One datagram that came.
#[derive(Clone)]
pub(super) struct Datagram {
    pub(super) remote: SocketAddr,
    pub(super) local_ip: Option<IpAddr>,
    pub(super) ecn: Option<EcnCodepoint>,
    pub(super) bytes: BytesMut,
}

/// A bound socket.
pub(super) struct Socket {
    io: UdpSocket,
    offload: UdpSocketState,
    address: SocketAddr,
}

/// A UDP socket bound to this address.
pub(super) fn open(address: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The system clamps these to its own limits; less is slower, not wrong.
    let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(BUFFER_BYTES);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

impl Socket {
    /// Whoever opened it. Must run inside a tokio runtime.
    pub(super) fn of(socket: std::net::UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let io = UdpSocket::from_std(socket)?;
        let offload = UdpSocketState::new(UdpSockRef::from(&io))?;
        Ok(Self { address: io.local_addr()?, io, offload })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether routers may cut our datagrams up, which makes probing for larger ones meaningless.
    pub(super) fn may_fragment(&self) -> bool {
        self.offload.may_fragment()
    }

    /// Segments that one batch may have; 1 where the system has no offload.
    pub(super) fn segments(&self) -> usize {
        self.offload.max_gso_segments().min(SEGMENTS)
    }

    /// Sends, unless the socket's buffer is full. What the network refuses counts as sent: it is lost like any packet.
    pub(super) fn try_send(&self, transmit: &Transmit, contents: &[u8]) -> bool {
        let transmit = quinn_udp::Transmit {
            destination: transmit.destination,
            ecn: transmit.ecn.and_then(|ecn| quinn_udp::EcnCodepoint::from_bits(ecn as u8)),
            contents: &contents[..transmit.size],
            segment_size: transmit.segment_size,
            src_ip: transmit.src_ip,
        };
        let sent = self.io.try_io(Interest::WRITABLE, || self.offload.send(UdpSockRef::from(&self.io), &transmit));
        !matches!(sent, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    pub(super) async fn writable(&self) {
        // An error shows again when sending.
        let _ = self.io.writable().await;
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        self.io.readable().await
    }

    /// Takes one batch out of the socket; false if there is nothing.
    pub(super) fn receive(&self, inbox: &mut Inbox, mut each: impl FnMut(Datagram)) -> io::Result<bool> {
        let mut metas = [RecvMeta::default(); BATCH];
        let mut slices = inbox.buffers.each_mut().map(|buffer| IoSliceMut::new(buffer));
        let received = self
            .io
            .try_io(Interest::READABLE, || self.offload.recv(UdpSockRef::from(&self.io), &mut slices, &mut metas));
        let count = match received {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            received => received?,
        };
        for (meta, buffer) in metas.iter().zip(&inbox.buffers).take(count) {
            // One copy for all segments; they share it.
            let mut bytes = BytesMut::from(&buffer[..meta.len]);
            while !bytes.is_empty() {
                let datagram = bytes.split_to(meta.stride.clamp(1, bytes.len()));
                each(Datagram {
                    remote: meta.addr,
                    local_ip: meta.dst_ip,
                    ecn: meta.ecn.and_then(|ecn| EcnCodepoint::from_bits(ecn as u8)),
                    bytes: datagram,
                });
            }
        }
        Ok(true)
    }
}

/// Room for one batch of received datagrams: 512 KiB a door.
pub(super) struct Inbox {
    buffers: [Vec<u8>; BATCH],
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self { buffers: array::from_fn(|_| vec![0; BATCH_BYTES]) }
    }
}
