//! Every bound of the doors, in one table: default, unit and the reason.
//!
//! What a stranger can make us hold is the number of connections times what one connection may hold; both factors
//! are here. Bounds that need to know whose request it is (requests per second of a listener) belong to the edge.

use std::time::Duration;

/// The bounds of one [`Doors`](crate::Doors). Counts are of things, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// TCP connections open at once over all plain and TLS doors; further ones wait, all but one per door in the kernel.
    /// 8,192 at about 40 KiB each is 320 MiB, and stays below the usual limit on open files.
    pub connections: usize,
    /// QUIC connections open at once; further ones are refused with CONNECTION_REFUSED, which costs us one packet.
    pub quic_connections: usize,
    /// Connections of one client network at once, TCP and QUIC together: an IPv4 address or an IPv6 /64; 0 is no
    /// bound. A carrier's translator may have 2,000 subscribers behind an address, of whom a few hundred play at a
    /// time over one connection each. A sixteenth of all places.
    pub network_connections: usize,
    /// Connections of one neighbourhood at once: an IPv4 /24 or an IPv6 /48, what one person can rent; 0 is no
    /// bound. A quarter of all places.
    pub neighbourhood_connections: usize,
    /// TLS handshakes under way at once; with more, the oldest of the network that has the most is ended. 512 full
    /// handshakes of half a millisecond are a quarter of a second of work, and an honest one takes less than a second.
    pub handshakes: usize,
    /// Time from accepted socket to finished TLS or QUIC handshake, PROXY header included. Mobile networks need seconds.
    pub handshake: Duration,
    /// Time from the first byte of a request head to its last, on every protocol. A head is one or two packets.
    pub head: Duration,
    /// Time an HTTP/1.1 connection may stay without a request. A player asks for 512 KiB about every 26 s at
    /// 160 kbit/s, and should find its connection open.
    pub idle: Duration,
    /// Time a write to a TCP connection may wait without the peer taking a single byte. A paused player closes its
    /// window for minutes, a dead one for ever.
    pub write_stall: Duration,
    /// Time that an HTTP/2 or HTTP/3 answer waits for its peer to read `read_bytes_min` before it counts as paused. A
    /// hundred downloads that share a slow line get through in it.
    pub stream_stall: Duration,
    /// Bytes that a peer must read of an answer in `stream_stall` of waiting. 4 KiB a minute is half a kbit/s.
    pub read_bytes_min: usize,
    /// Paused answers that one HTTP/2 or HTTP/3 connection may have: the track that plays and the next, over one
    /// connection for two players. Further ones are reset.
    pub paused_streams: usize,
    /// Time that an answer may be paused. Whoever takes longer over dinner asks again.
    pub pause: Duration,
    /// Frames that bring nothing on one HTTP/2 or HTTP/3 connection (SETTINGS, PING, PRIORITY, WINDOW_UPDATE and RST_STREAM;
    /// PRIORITY_UPDATE, MAX_PUSH_ID, GOAWAY, QPACK instructions, streams of no use and requests given up; unknown ones),
    /// beyond one for each request and KiB sent; a reset counts twice. A thousand streams opened and reset at a skip of a
    /// crowd behind one proxy.
    pub idle_frames: u32,
    /// Such frames that are forgiven each second: what a chatty client sends for no reason, a hundred times.
    pub idle_frames_per_second: u32,
    /// Bytes of a request head: request line and fields. A signed target is at most a few KiB.
    pub head_bytes: u32,
    /// Bytes of a request target (`:path`). Longer ones get 414.
    pub target_bytes: usize,
    /// Fields in a request head on HTTP/1.1, where each costs a slot.
    pub head_fields: usize,
    /// Unsent bytes kept in the kernel for each TCP connection (`TCP_NOTSENT_LOWAT`). Without it a paced listener
    /// makes the kernel hold up to 4 MiB of music that a skip throws away; a block is 6.6 s of 160 kbit/s.
    pub unsent_bytes: u32,
    /// Requests under way at once on one HTTP/2 or HTTP/3 connection.
    pub streams: u32,
    /// Bytes of answer kept per HTTP/2 stream ahead of what the peer's window lets go.
    pub h2_send_buffer_bytes: usize,
    /// Bytes one QUIC connection may have sent without acknowledgement: 1 MiB is 80 Mbit/s at 100 ms.
    pub quic_send_window_bytes: u64,
    /// Bytes QUIC may send in the first round trip: 64 KiB of audio, their headers and the end of the handshake. More
    /// would overflow the queue of a slow line (`quic/flight.rs`).
    pub quic_initial_window_bytes: u64,
    /// Time without a packet after which a QUIC connection is forgotten.
    pub quic_idle: Duration,
    /// Bytes of a request's body, where a handler wants one: sign-in, settings, or a playlist of 2,000 tracks by their ids.
    pub body_bytes: usize,
    /// Bytes of all request bodies at once, of which one client network may hold an eighth; beyond it requests with a
    /// body get 503. 270 of the largest.
    pub bodies_bytes: usize,
    /// Time from a request's head to the end of its body.
    pub body: Duration,
    /// Bytes a peer may send on one HTTP/3 request stream, whatever frames it calls them.
    pub h3_request_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8_192,
            quic_connections: 8_192,
            network_connections: 1_024,
            neighbourhood_connections: 4_096,
            handshakes: 512,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            write_stall: Duration::from_secs(120),
            stream_stall: Duration::from_secs(60),
            read_bytes_min: 4 * 1024,
            paused_streams: 4,
            pause: Duration::from_secs(30 * 60),
            idle_frames: 2_000,
            idle_frames_per_second: 100,
            head_bytes: 16 * 1024,
            target_bytes: 8 * 1024,
            head_fields: 64,
            unsent_bytes: 128 * 1024,
            streams: 128,
            h2_send_buffer_bytes: 128 * 1024,
            quic_send_window_bytes: 1024 * 1024,
            quic_initial_window_bytes: 72 * 1024,
            quic_idle: Duration::from_secs(60),
            body_bytes: 60 * 1024,
            bodies_bytes: 16 * 1024 * 1024,
            body: Duration::from_secs(30),
            h3_request_bytes: 64 * 1024,
        }
    }
}
