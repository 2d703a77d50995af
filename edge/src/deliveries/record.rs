//! One line of the delivery log, and how it proves that it is whole.
//!
//! ```text
//! {"seq":7,"at":1700000000,"kind":"delivery","pid":"…","path":"/tracks/…/160.ogg","len":4000000,
//!  "bytes":[[0,524288]],"end":"sent","protocol":"h3","sum":"0123456789abcdef"}
//! ```
//! (one line in the file). `seq` rises by one from line to line over all files. `at` is in seconds since 1970.
//! `bytes` are first and last-plus-one positions in the object of `len` bytes, in rising order. `sum` is the XXH3-64 of
//! everything before `,"sum":`, in hexadecimal. Other kinds are about the log itself:
//!
//! | kind | says |
//! |---|---|
//! | `started` | the edge began to write; if `clean` is false, up to a tenth of a second of records before it may be missing |
//! | `stopped` | the edge ended in order |
//! | `full` | from here on records are refused |
//! | `gap` | so many records are `missing` here; null if the process ended while records were refused |

use needledrop_core::{Intervals, ObjectPath, PlaybackId, UnixSeconds};
use needledrop_http::{End, Protocol};
use serde::{Serialize, Serializer, ser::SerializeSeq};
use twox_hash::XxHash3_64;

/// What one answer delivered of one object for one playback.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// When the body ended.
    pub at: UnixSeconds,
    /// The playback that the URL was minted for.
    pub playback: PlaybackId,
    /// The object.
    pub path: ObjectPath,
    /// Its length in bytes.
    pub len: u64,
    /// Its bytes that arrived.
    pub bytes: Intervals,
    /// How the body ended.
    pub end: End,
    /// How it was carried.
    pub protocol: Protocol,
}

/// A line that is not about a delivery.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Note {
    Started { clean: bool },
    Stopped,
    Full,
    Gap { missing: Option<u64> },
}

#[derive(Serialize)]
struct Line<T> {
    seq: u64,
    at: UnixSeconds,
    #[serde(flatten)]
    what: T,
}

#[derive(Serialize)]
struct Delivered<'a> {
    kind: &'static str,
    pid: &'a str,
    path: &'a str,
    len: u64,
    bytes: Pairs<'a>,
    end: &'static str,
    protocol: &'static str,
}

struct Pairs<'a>(&'a Intervals);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.ranges().len()))?;
        for range in self.0.ranges() {
            list.serialize_element(&[range.start(), range.end()])?;
        }
        list.end()
    }
}

const SUM_MARK: &str = ",\"sum\":\"";
/// The mark, 16 digits, `"}`.
const SUM_BYTES: usize = SUM_MARK.len() + 16 + 2;

impl Delivery {
    pub(super) fn line(&self, seq: u64) -> String {
        let what = Delivered {
            kind: "delivery",
            pid: self.playback.as_str(),
            path: self.path.as_str(),
            len: self.len,
            bytes: Pairs(&self.bytes),
            end: self.end.as_str(),
            protocol: self.protocol.as_str(),
        };
        sealed(&Line { seq, at: self.at, what })
    }
}

impl Note {
    pub(super) fn line(self, seq: u64, at: UnixSeconds) -> String {
        sealed(&Line { seq, at, what: self })
    }

    /// Whether a line that was read is of this kind.
    pub(super) fn is_kind(line: &str, kind: &str) -> bool {
        line.contains(&format!("\"kind\":\"{kind}\""))
    }
}

fn sealed(line: &impl Serialize) -> String {
    let mut text = serde_json::to_string(line).expect("numbers and texts are JSON");
    text.pop();
    let sum = XxHash3_64::oneshot(text.as_bytes());
    text += &format!("{SUM_MARK}{sum:016x}\"}}\n");
    text
}

/// The number of a line (without its end) that is whole; None for anything else.
pub(super) fn seq_of(line: &str) -> Option<u64> {
    let (text, sum) = line.split_at_checked(line.len().checked_sub(SUM_BYTES)?)?;
    let sum = sum.strip_prefix(SUM_MARK)?.strip_suffix("\"}")?;
    if u64::from_str_radix(sum, 16) != Ok(XxHash3_64::oneshot(text.as_bytes())) {
        return None;
    }
    text.strip_prefix("{\"seq\":")?.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use needledrop_core::ByteRange;

    #[test]
    fn a_line_is_json_and_no_changed_byte_of_it_passes() {
        let mut bytes = Intervals::new();
        bytes.add(ByteRange::new(5, 9).unwrap());
        let delivery = Delivery {
            at: UnixSeconds(1_700_000_000),
            playback: PlaybackId::from_random([7; 16]),
            path: ObjectPath::parse("/tracks/a/b/160.ogg").unwrap(),
            len: 10,
            bytes,
            end: End::Left,
            protocol: Protocol::H2,
        };
        let line = delivery.line(41);
        let line = line.strip_suffix('\n').unwrap();
        assert_eq!(seq_of(line), Some(41));
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(value["bytes"], serde_json::json!([[5, 9]]));
        assert_eq!((&value["end"], &value["path"]), (&"left".into(), &"/tracks/a/b/160.ogg".into()));
        for index in 0..line.len() {
            let mut broken = line.as_bytes().to_vec();
            broken[index] ^= 1;
            assert_eq!(seq_of(&String::from_utf8_lossy(&broken)), None, "byte {index}");
            assert_eq!(seq_of(&line[..index]), None);
        }
    }
}
