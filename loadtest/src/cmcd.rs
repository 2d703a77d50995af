//! What a player says about itself with a request: Common Media Client Data, version 1 (CTA-5004).

use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// How it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Cmcd {
    /// Not at all.
    Off,
    /// In the four request fields.
    Fields,
    /// In the query parameter CMCD.
    Query,
}

/// What there is to say.
#[derive(Debug, Clone, Default)]
pub struct Said<'a> {
    /// The session: the same for all requests of a listener.
    pub session: u64,
    /// Encoded rate of what plays, if known. Unit: kbit/s.
    pub kbps: Option<u32>,
    /// Duration of what plays. Unit: ms.
    pub duration_ms: Option<u64>,
    /// Music at hand, ahead of the playhead. Unit: ms.
    pub buffered_ms: u64,
    /// Whether there was silence since the last request.
    pub starved: bool,
    /// Whether this is needed to begin.
    pub startup: bool,
    /// The path that will be asked for next, and how many of its first bytes.
    pub next: Option<(&'a str, u64)>,
}

impl Said<'_> {
    /// As request fields: the object's, the request's, the session's, the status.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields =
            vec![("CMCD-Object", self.object()), ("CMCD-Request", self.request()), ("CMCD-Session", self.of_session())];
        if self.starved {
            fields.push(("CMCD-Status", "bs".to_owned()));
        }
        fields
    }

    /// As a query parameter: keys in alphabetical order, all of it percent-encoded.
    pub fn query(&self) -> String {
        let mut keys: Vec<String> =
            [self.object(), self.request(), self.of_session()].join(",").split(',').map(str::to_owned).collect();
        if self.starved {
            keys.push("bs".to_owned());
        }
        keys.sort_unstable();
        format!("CMCD={}", encode(&keys.join(",")))
    }

    fn object(&self) -> String {
        let rate = self.kbps.map(|kbps| format!("br={kbps},")).unwrap_or_default();
        let duration = self.duration_ms.map(|ms| format!("d={ms},")).unwrap_or_default();
        format!("{rate}{duration}ot=a")
    }

    fn request(&self) -> String {
        // To the nearest 100 ms, says the standard.
        let mut text = format!("bl={}", (self.buffered_ms + 50) / 100 * 100);
        if let Some((path, bytes)) = self.next {
            let _ = write!(text, ",nor=\"{}\"", encode(path));
            if bytes > 0 {
                let _ = write!(text, ",nrr=\"0-{}\"", bytes - 1);
            }
        }
        if self.startup {
            text.push_str(",su");
        }
        text
    }

    fn of_session(&self) -> String {
        format!("sid=\"{:016x}\",sf=o,st=v", self.session)
    }
}

fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use needledrop_core::prefetch::cmcd;

    use super::*;

    #[test]
    fn what_is_said_is_what_an_edge_reads() {
        let said = Said {
            session: 7,
            kbps: Some(160),
            next: Some(("/tracks/a,b\"c/160.ogg?x=1&y", 600_000)),
            ..Said::default()
        };
        let request = said.fields().into_iter().find(|(name, _)| *name == "CMCD-Request").unwrap().1;
        let read = cmcd::Cmcd::parse(&request).unwrap();
        assert_eq!(read.next[0].reference, "/tracks/a,b\"c/160.ogg?x=1&y");
        assert!(read.next[0].range.is_some());
    }

    #[test]
    fn the_query_is_one_parameter_with_sorted_keys() {
        let said = Said { startup: true, starved: true, ..Said::default() };
        let query = said.query();
        assert!(!query[5..].contains(['&', '=', ',', '"']), "{query}");
        assert!(query.starts_with("CMCD=bl%3D0%2Cbs%2Cot%3Da"), "{query}");
    }
}
