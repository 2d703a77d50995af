//! What a path asks the planted server to do. Pure: no sockets, no clock.

use std::time::Duration;

use http::StatusCode;

use crate::generated;

/// An object without `size=` has this many bytes.
const SIZE: u64 = 1 << 20;
/// No object is longer: 1 TiB.
const SIZE_MAX: u64 = 1 << 40;

/// An object and its faults, from a path `/fault/fault/NAME`. The table of faults is in the module's documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The object's name, as [`generated`] wants it.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Wait before the head.
    pub delay: Duration,
    /// Wait between the head and the body.
    pub after: Duration,
    /// Wait before this byte of the object.
    pub stall: Option<(u64, Duration)>,
    /// This byte of the object is wrong: all its bits are.
    pub flip: Option<u64>,
    /// Bytes a second.
    pub rate: Option<u64>,
    /// The answer's status, instead of what it should be.
    pub status: Option<StatusCode>,
    /// Text of Cache-Status.
    pub cache: Option<String>,
    /// What happens to a range that was asked for.
    pub range: RangeFault,
    /// The stream is reset before this byte of the object.
    pub cut: Option<u64>,
    /// As many bytes less are sent than the head says.
    pub short: u64,
    /// As many bytes more.
    pub long: u64,
}

/// What happens to a range that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeFault {
    /// It is served.
    None,
    /// The answer is 200 with the whole object.
    Ignored,
    /// Content-Range and the body begin one byte later.
    Shifted,
}

/// An answer's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The fields, without Content-Length.
    pub fields: Vec<(&'static str, String)>,
    /// The object's bytes in the body: from here.
    pub from: u64,
    /// Up to here, this one left out.
    pub to: u64,
}

impl Plan {
    /// From a path, whose query does not count. The error says what is wrong with it.
    pub fn parse(target: &str) -> Result<Self, String> {
        let path = target.split('?').next().unwrap_or_default();
        let (faults, name) = path.rsplit_once('/').ok_or("a path begins with /")?;
        if name.is_empty() {
            return Err("the path has no NAME: try /delay=50ms/size=64k/song".to_owned());
        }
        let mut plan = Self {
            name: name.to_owned(),
            size: SIZE,
            delay: Duration::ZERO,
            after: Duration::ZERO,
            stall: None,
            flip: None,
            rate: None,
            status: None,
            cache: None,
            range: RangeFault::None,
            cut: None,
            short: 0,
            long: 0,
        };
        for fault in faults.split('/').filter(|fault| !fault.is_empty()) {
            plan.add(fault).map_err(|why| format!("{fault}: {why}"))?;
        }
        Ok(plan)
    }

    fn add(&mut self, fault: &str) -> Result<(), String> {
        let (key, value) = fault.split_once('=').ok_or("a fault is key=value")?;
        match key {
            "size" => self.size = count(value)?.clamp(1, SIZE_MAX),
            "delay" => self.delay = duration(value)?,
            "after" => self.after = duration(value)?,
            "stall" => {
                let (at, wait) = value.split_once(':').ok_or("as in stall=64k:500ms")?;
                self.stall = Some((count(at)?, duration(wait)?));
            }
            "flip" => self.flip = Some(count(value)?),
            "rate" => self.rate = Some(count(value)?.max(1)),
            "status" => self.status = Some(value.parse().map_err(|_| "as in status=503")?),
            "cache" => self.cache = Some(value.replace("%20", " ")),
            "range" => {
                self.range = match value {
                    "ignored" => RangeFault::Ignored,
                    "shifted" => RangeFault::Shifted,
                    _ => return Err("is ignored or shifted".to_owned()),
                }
            }
            "cut" => self.cut = Some(count(value)?),
            "short" => self.short = count(value)?,
            "long" => self.long = count(value)?,
            _ => return Err("there is no such fault".to_owned()),
        }
        Ok(())
    }

    /// The head of the answer to a request with this Range.
    pub fn reply(&self, range: Option<&str>) -> Reply {
        let mut fields = vec![
            ("accept-ranges", "bytes".to_owned()),
            ("content-type", "application/octet-stream".to_owned()),
            ("etag", format!("\"{}-{}\"", self.name, self.size)),
        ];
        if let Some(cache) = &self.cache {
            fields.push(("cache-status", cache.clone()));
        }
        if let Some(status) = self.status.filter(|status| !status.is_success()) {
            if status.is_redirection() {
                fields.push(("location", format!("/{}", self.name)));
            }
            return Reply { status, fields, from: 0, to: 0 };
        }
        let range = if self.range == RangeFault::Ignored { None } else { range.and_then(|range| self.ranged(range)) };
        let Some((first, last)) = range else {
            return Reply { status: self.status.unwrap_or(StatusCode::OK), fields, from: 0, to: self.size };
        };
        if first >= self.size {
            fields.push(("content-range", format!("bytes */{}", self.size)));
            return Reply { status: StatusCode::RANGE_NOT_SATISFIABLE, fields, from: 0, to: 0 };
        }
        let last = last.min(self.size - 1);
        let first = if self.range == RangeFault::Shifted { last.min(first + 1) } else { first };
        fields.push(("content-range", format!("bytes {first}-{last}/{}", self.size)));
        Reply { status: self.status.unwrap_or(StatusCode::PARTIAL_CONTENT), fields, from: first, to: last + 1 }
    }

    /// One range, in all three forms (RFC 9110 14.1.1); others are ignored, as is allowed.
    fn ranged(&self, range: &str) -> Option<(u64, u64)> {
        let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        match (first, last) {
            ("", suffix) => Some((self.size.saturating_sub(suffix.parse().ok()?), self.size - 1)),
            (first, "") => Some((first.parse().ok()?, u64::MAX)),
            (first, last) => {
                let (first, last) = (first.parse().ok()?, last.parse().ok()?);
                (first <= last).then_some((first, last))
            }
        }
    }

    /// Bytes of the object, the wrong one included.
    pub fn bytes(&self, from: u64, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        generated::fill(&self.name, from, &mut bytes);
        if let Some(wrong) = self.flip.and_then(|flip| flip.checked_sub(from))
            && let Some(byte) = bytes.get_mut(wrong as usize)
        {
            *byte = !*byte;
        }
        bytes
    }

    /// The next position at which something happens; a piece must not go past it.
    pub fn next_stop(&self, from: u64) -> Option<u64> {
        let stops = [self.stall.map(|(at, _)| at), self.cut];
        stops.into_iter().flatten().filter(|stop| *stop > from).min()
    }
}

/// `64k` and the like, in powers of 1024.
fn count(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k') => (&text[..text.len() - 1], 1 << 10),
        Some(b'm') => (&text[..text.len() - 1], 1 << 20),
        Some(b'g') => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    let number: Option<u64> = digits.parse().ok();
    number.and_then(|number| number.checked_mul(unit)).ok_or_else(|| format!("{text} is no number like 1000 or 64k"))
}

/// `50ms` or `1.5s`, up to an hour.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s').unwrap_or_default(), 1.0),
    };
    let seconds = number.parse::<f64>().ok().map(|number| number * unit).filter(|s| (0.0..=3600.0).contains(s));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| format!("{text} is no time like 50ms or 1.5s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_is_planted() {
        let plan = Plan::parse("/delay=50ms/stall=64k:1.5s/size=2m/cache=edge;hit;detail=memory/song?exp=1").unwrap();
        assert_eq!((plan.name.as_str(), plan.size, plan.delay), ("song", 2 << 20, Duration::from_millis(50)));
        assert_eq!(plan.stall, Some((65_536, Duration::from_millis(1500))));
        assert_eq!(plan.cache.as_deref(), Some("edge;hit;detail=memory"));
        for (path, why) in [
            ("/", "NAME"),
            ("/delay=50/song", "50ms"),
            ("/size=many/song", "64k"),
            ("/deley=50ms/song", "no such fault"),
            ("/slow/song", "key=value"),
        ] {
            let error = Plan::parse(path).unwrap_err();
            assert!(error.contains(why), "{path}: {error}");
        }
    }

    #[test]
    fn ranges_are_served_or_lied_about() {
        let reply = |path: &str, range| {
            let reply = Plan::parse(path).unwrap().reply(Some(range));
            (reply.status.as_u16(), reply.from, reply.to)
        };
        assert_eq!(reply("/size=1000/a", "bytes=10-19"), (206, 10, 20));
        assert_eq!(reply("/size=1000/a", "bytes=990-"), (206, 990, 1000));
        assert_eq!(reply("/size=1000/a", "bytes=-10"), (206, 990, 1000));
        assert_eq!(reply("/size=1000/a", "bytes=1000-"), (416, 0, 0));
        assert_eq!(reply("/size=1000/range=ignored/a", "bytes=10-19"), (200, 0, 1000));
        assert_eq!(reply("/size=1000/range=shifted/a", "bytes=10-19"), (206, 11, 20));
        assert_eq!(reply("/size=1000/status=503/a", "bytes=10-19"), (503, 0, 0));
    }

    #[test]
    fn a_flipped_byte_is_the_only_wrong_one() {
        let plan = Plan::parse("/flip=1000/a").unwrap();
        assert_eq!(generated::first_difference("a", 900, &plan.bytes(900, 200)), Some(1000));
        assert!(generated::matches("a", 1001, &plan.bytes(1001, 200)));
    }
}
