//! Everything that makes a run: what a report shows of it, and what a coordinator sends to its agents.
//!
//! No secret is in here: keys and tokens are named by the path of their file.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    arrivals::Arrivals,
    cmcd::Cmcd,
    measured::{Opening, Protocol},
    mix::Mix,
    verify::Against,
};

/// Where the music is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A needledrop gateway: tracks from `/v1/tracks`, a URL for each tap from `/v1/tracks/{id}/stream`.
    Gateway {
        /// Scheme, host and port.
        base: String,
        /// Which bitrate to ask for. Unit: kbit/s.
        kbps: Option<u32>,
        /// Which codec to ask for: ogg or m4a.
        codec: Option<String>,
        /// Who asks.
        #[serde(default)]
        credential: Credential,
    },
    /// URLs of any server, the most popular first, with what is known of them.
    Urls(Vec<Listed>),
    /// Paths behind a needledrop edge, signed here.
    Signed {
        /// Scheme, host and port of the edge.
        base: String,
        /// The key file, as `needledrop keys` makes it.
        keys: PathBuf,
        /// Paths instead of URLs, the most popular first.
        paths: Vec<Listed>,
    },
}

impl Source {
    /// What a report calls it.
    pub fn name(&self) -> &str {
        match self {
            Self::Gateway { base, .. } | Self::Signed { base, .. } => base,
            Self::Urls(list) => list.first().map_or("", |listed| &listed.url),
        }
    }
}

/// Who asks a gateway: all listeners are one account.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// The demo account, which a gateway has where no stranger can ask it.
    #[default]
    Demo,
    /// An account.
    Account {
        /// Its name.
        user: String,
        /// The file with its password.
        password: PathBuf,
    },
    /// A file with a session's token or an API key.
    Bearer(PathBuf),
}

/// A line of a list: a URL or path, and what is known of the object.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Listed {
    /// The URL, or the path.
    pub url: String,
    /// Duration. Unit: seconds.
    pub seconds: Option<f64>,
    /// Bytes of the first 30 s.
    pub head: Option<u64>,
    /// Digest of the whole object, as hexadecimal digits.
    pub sha256: Option<String>,
}

impl std::str::FromStr for Listed {
    type Err = String;

    /// `URL [seconds=S] [head=BYTES] [sha256=HEX]`
    fn from_str(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let mut listed = Self { url: words.next().unwrap_or_default().to_owned(), ..Self::default() };
        for word in words {
            let told = || format!("{word:?} is not seconds=S, head=BYTES or sha256=HEX");
            let (name, value) = word.split_once('=').ok_or_else(told)?;
            match name {
                "seconds" => {
                    listed.seconds = Some(value.parse().ok().filter(|seconds| *seconds > 0.0).ok_or_else(told)?);
                }
                "head" => listed.head = Some(value.parse().map_err(|_| told())?),
                "sha256" if value.len() == 64 => listed.sha256 = Some(value.to_ascii_lowercase()),
                _ => return Err(told()),
            }
        }
        Ok(listed)
    }
}

/// Which track somebody picks who picks one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Popularity {
    /// The r-th of the list with a weight of 1 / r^skew.
    Zipf(f64),
    /// All alike.
    Uniform,
    /// One after the other, by the number of the listener.
    InOrder,
}

impl std::str::FromStr for Popularity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let skew = |text: &str| text.parse().ok().filter(|skew| (0.0..=5.0).contains(skew));
        match text {
            "uniform" => Ok(Self::Uniform),
            "in-order" => Ok(Self::InOrder),
            _ => text
                .strip_prefix("zipf:")
                .and_then(skew)
                .map(Self::Zipf)
                .ok_or_else(|| format!("{text:?} is no popularity: write zipf:0.9, uniform or in-order")),
        }
    }
}

/// A run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Where the music is.
    pub source: Source,
    /// When listeners come; with a trace, its requests come instead.
    pub arrivals: Arrivals,
    /// Requests to replay: see `trace::file`.
    pub trace: Option<PathBuf>,
    /// Seconds of the trace for a second of time.
    pub trace_speed: f64,
    /// How long listeners come. Unit: ms.
    pub lasting_ms: u64,
    /// How long starts that are under way may take when no more listeners come. Unit: ms.
    pub grace_ms: u64,
    /// Which track somebody picks.
    pub popularity: Popularity,
    /// Tracks that one listener hears before leaving; without a number until the run ends.
    pub plays: Option<u32>,
    /// Whether listeners leave with the first sound, so that starts are all there is.
    pub starts_only: bool,
    /// Most listeners at once, over all workers.
    pub listeners_max: u32,
    /// Over what.
    pub protocols: Mix<Protocol>,
    /// The state of the connection at a listener's first tap.
    pub openings: Mix<Opening>,
    /// Bytes that a player asks for at once.
    pub chunk_bytes: u64,
    /// Music that a player keeps ahead. Unit: seconds.
    pub ahead_seconds: f64,
    /// Seconds of music for a second of time.
    pub speed: f64,
    /// Whether listeners skip as published; otherwise they hear all of each track.
    pub skips: bool,
    /// The share of plays with a seek to a place at random.
    pub seeks: f64,
    /// How players say what they do.
    pub cmcd: Cmcd,
    /// What the bytes are compared with.
    pub against: Against,
    /// The listeners' line.
    pub link: Option<String>,
    /// Certificates to trust besides the system's: a PEM file.
    pub ca: Option<PathBuf>,
    /// Whether any certificate will do.
    pub insecure: bool,
    /// Generator threads.
    pub workers: u32,
    /// Whether their cores are kept from going to sleep.
    #[serde(default)]
    pub awake: bool,
    /// Of all chance.
    pub seed: u64,
    /// Limits for connecting, for the head of an answer, and between two pieces of a body. Unit: ms.
    pub timeout_ms: u64,
}

impl Settings {
    /// How long listeners come.
    pub fn lasting(&self) -> Duration {
        Duration::from_millis(self.lasting_ms)
    }

    /// How long starts under way may take at the end.
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_list_may_say_what_is_known() {
        let listed: Listed = "https://a/b.ogg seconds=212.5 head=600000".parse().unwrap();
        assert_eq!((listed.seconds, listed.head, listed.sha256), (Some(212.5), Some(600_000), None));
        assert!("https://a/b.ogg minutes=3".parse::<Listed>().unwrap_err().contains("seconds=S"));
        assert!("https://a/b.ogg seconds=0".parse::<Listed>().is_err());
    }

    #[test]
    fn a_popularity_reads_as_it_is_written() {
        assert_eq!("zipf:0.9".parse(), Ok(Popularity::Zipf(0.9)));
        assert!("zipf:nan".parse::<Popularity>().is_err());
    }
}
