//! What went wrong lately, by kind, with a few examples of each: for whoever looks at an edge and asks why.
//!
//! The counters say how often; here is what it looked like. An example holds no more than a line of the access log: the
//! path without its query, and the client's network instead of its address.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::Method;
use needledrop_core::{Cidr, UnixSeconds};
use needledrop_http::Protocol;

use crate::limits::{MISHAP_KINDS_MAX, MISHAP_PATH_BYTES_MAX, MISHAPS_PER_KIND};

/// Why a request got no object: the name of its problem. Left with the answer for the record of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Why(pub &'static str);

/// The kind of a body that had to be reset.
pub const RESET: &str = "body-reset";

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mishap {
    /// When its answer had ended.
    pub at: UnixSeconds,
    /// The status that was sent.
    pub status: u16,
    /// The method.
    pub method: Method,
    /// The path, cut to a bound.
    pub path: Box<str>,
    /// Where it came from.
    pub client: Cidr,
    /// Over which protocol.
    pub protocol: Protocol,
    /// Until the head of the answer.
    pub took: Duration,
}

/// All of one kind.
#[derive(Debug, Clone)]
pub struct Kind {
    /// The problem's name.
    pub name: &'static str,
    /// How often since the start.
    pub count: u64,
    /// The last ones, newest first.
    pub recent: VecDeque<Mishap>,
}

/// What went wrong at one edge.
#[derive(Debug, Default)]
pub struct Mishaps(Mutex<Vec<Kind>>);

impl Mishaps {
    /// One more. A flood of one kind leaves the examples of the others alone.
    pub fn note(&self, name: &'static str, mishap: Mishap) {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kinds.iter().position(|kind| kind.name == name);
        let place = place.unwrap_or_else(|| {
            let name = if kinds.len() + 1 < MISHAP_KINDS_MAX { name } else { "other" };
            kinds.iter().position(|kind| kind.name == name).unwrap_or_else(|| {
                kinds.push(Kind { name, count: 0, recent: VecDeque::with_capacity(MISHAPS_PER_KIND) });
                kinds.len() - 1
            })
        });
        let kind = &mut kinds[place];
        kind.count += 1;
        kind.recent.truncate(MISHAPS_PER_KIND - 1);
        kind.recent.push_front(mishap);
    }

    /// All kinds, the most frequent first.
    pub fn kinds(&self) -> Vec<Kind> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        kinds.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(b.name)));
        kinds
    }
}

/// A path, cut where it is longer than an example needs.
pub fn cut(path: &str) -> Box<str> {
    match path.len() > MISHAP_PATH_BYTES_MAX {
        true => format!("{}…", &path[..path.floor_char_boundary(MISHAP_PATH_BYTES_MAX)]).into(),
        false => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mishap(at: u64) -> Mishap {
        Mishap {
            at: UnixSeconds(at),
            status: 403,
            method: Method::GET,
            path: cut("/tracks/a"),
            client: Cidr::client_network("203.0.113.9".parse().unwrap()),
            protocol: Protocol::H2,
            took: Duration::from_micros(40),
        }
    }

    #[test]
    fn the_last_of_each_kind_are_kept_whatever_the_others_do() {
        let mishaps = Mishaps::default();
        mishaps.note("not-found", mishap(1));
        (2..1_000).for_each(|at| mishaps.note("signature", mishap(at)));
        let kinds = mishaps.kinds();
        assert_eq!((kinds[0].name, kinds[0].count, kinds[0].recent.len()), ("signature", 998, MISHAPS_PER_KIND));
        assert_eq!(kinds[0].recent[0].at, UnixSeconds(999));
        assert_eq!((kinds[1].name, kinds[1].count, kinds[1].recent[0].at), ("not-found", 1, UnixSeconds(1)));
    }

    #[test]
    fn kinds_and_paths_have_bounds() {
        let mishaps = Mishaps::default();
        for number in 0..3 * MISHAP_KINDS_MAX {
            mishaps.note(Box::leak(format!("kind-{number}").into_boxed_str()), mishap(1));
        }
        let kinds = mishaps.kinds();
        assert_eq!(kinds.len(), MISHAP_KINDS_MAX);
        assert_eq!(kinds.iter().map(|kind| kind.count).sum::<u64>(), 3 * MISHAP_KINDS_MAX as u64);
        assert!(cut(&"é".repeat(4_000)).len() <= MISHAP_PATH_BYTES_MAX + '…'.len_utf8());
    }
}
