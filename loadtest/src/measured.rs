//! The words of a measurement: what was timed, of which kind of start, over what, and what the cache said.
//!
//! Every instant is counted from the intended tap, so that a generator or a server that falls behind cannot hide it.

use serde::{Deserialize, Serialize};

/// How the bytes travelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1, over TLS for https targets.
    H1,
    /// HTTP/2 over TLS.
    H2,
    /// HTTP/3.
    H3,
}

impl Protocol {
    /// All, oldest first.
    pub const ALL: [Protocol; 3] = [Protocol::H1, Protocol::H2, Protocol::H3];
}

/// In what state the connection was when the first request of a start could go out. What happened, not what was wished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// A new connection; a full handshake if there is TLS.
    Full,
    /// A new connection whose TLS session was resumed.
    Resumed,
    /// A new connection, resumed, and the server took the request as early data.
    ZeroRtt,
    /// A connection that had been used before.
    Warm,
}

impl Opening {
    /// All, slowest first.
    pub const ALL: [Opening; 4] = [Opening::Full, Opening::Resumed, Opening::ZeroRtt, Opening::Warm];
}

/// Where the first answer of a start came from, by its Cache-Status (RFC 9211) or X-Cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cache {
    /// A hit whose detail says memory.
    Memory,
    /// A hit whose detail says disk.
    Disk,
    /// A hit on what was fetched before it was asked for.
    Prefetched,
    /// A hit that says no more.
    Hit,
    /// Fetched from upstream, or validated there.
    Miss,
    /// The answer says nothing.
    Unsaid,
}

impl Cache {
    /// All, as they are listed.
    pub const ALL: [Cache; 6] = [Cache::Memory, Cache::Disk, Cache::Prefetched, Cache::Hit, Cache::Miss, Cache::Unsaid];
}

/// Why a listener waited for sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A tap, by a listener who has just come.
    Tap,
    /// A skip to another track: a tap on a connection that is there.
    Skip,
    /// The track before it ended.
    Next,
    /// A jump within the track.
    Seek,
}

impl Why {
    /// All, as they are listed.
    pub const ALL: [Why; 4] = [Why::Tap, Why::Skip, Why::Next, Why::Seek];
}

/// What is timed. All but `Gap`, `Stall` and `Late` are counted from the intended tap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The URL is known; measured only with a gateway.
    Url,
    /// The connection can carry a request: TCP and TLS, or QUIC. Zero on a warm one.
    Connect,
    /// The first byte of the body.
    FirstByte,
    /// The last byte that a decoder needs for its first packet of sound.
    FirstAudio,
    /// The last byte of the first second of sound.
    OneSecond,
    /// The 65,536th byte, or the last of a shorter object.
    #[serde(rename = "first_64k")]
    First64K,
    /// The last byte of the head: the first 30 s, or 640 KiB where nothing says how many bytes those are.
    Head,
    /// Silence between the end of a track and the first sound of the next.
    Gap,
    /// Silence in the middle of a track: each one counted once.
    Stall,
    /// How much later than intended the generator itself acted: its own error, nothing of the server's.
    Late,
}

impl Measure {
    /// All, in the order in which they happen.
    pub const ALL: [Measure; 10] = [
        Measure::Url,
        Measure::Connect,
        Measure::FirstByte,
        Measure::FirstAudio,
        Measure::OneSecond,
        Measure::First64K,
        Measure::Head,
        Measure::Gap,
        Measure::Stall,
        Measure::Late,
    ];
}

/// What a histogram is of. Rollups are sums over keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// What was timed.
    pub measure: Measure,
    /// Why the listener waited.
    pub why: Why,
    /// How the bytes travelled.
    pub protocol: Protocol,
    /// The state of the connection.
    pub opening: Opening,
    /// What the cache said.
    pub cache: Cache,
}

/// What went wrong, as a listener would tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// No URL from the gateway.
    Url,
    /// The name has no address.
    Resolve,
    /// No TCP connection or no QUIC answer.
    Connect,
    /// TLS refused: certificate, version, ALPN.
    Tls,
    /// Nothing came within the time limit.
    Timeout,
    /// The connection or the stream broke in the middle.
    Broken,
    /// What came is not HTTP, or another range than was asked for.
    Protocol,
    /// 4xx, except the next one.
    Refused,
    /// 429 or 503: the server says that it is too much.
    Overload,
    /// Any other 5xx.
    Server,
    /// The body was shorter or longer than its length said.
    Length,
    /// Bytes other than those of the object.
    Bytes,
    /// The generator could not do its part: out of ports, files or memory. The run is not to be trusted.
    Ourselves,
}

impl Trouble {
    /// All, as they are listed.
    pub const ALL: [Trouble; 13] = [
        Trouble::Url,
        Trouble::Resolve,
        Trouble::Connect,
        Trouble::Tls,
        Trouble::Timeout,
        Trouble::Broken,
        Trouble::Protocol,
        Trouble::Refused,
        Trouble::Overload,
        Trouble::Server,
        Trouble::Length,
        Trouble::Bytes,
        Trouble::Ourselves,
    ];
}

macro_rules! said {
    ($($name:ident),*) => {$(
        impl std::fmt::Display for $name {
            /// As in JSON.
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let json = serde_json::to_value(self).map_err(|_| std::fmt::Error)?;
                out.write_str(json.as_str().unwrap_or_default())
            }
        }
    )*};
}
said!(Protocol, Opening, Cache, Why, Measure, Trouble);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_same_in_json_and_on_the_terminal() {
        let words: Vec<String> = Measure::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(words.join(" "), "url connect first_byte first_audio one_second first_64k head gap stall late");
        assert_eq!((Protocol::H3.to_string(), Opening::ZeroRtt.to_string()), ("h3".into(), "zero_rtt".into()));
    }
}
