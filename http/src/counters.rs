//! What the doors refuse and cut off, counted: one counter for each kind, in one table.
//!
//! A door counts where it decides. Whoever shows metrics asks [`Counters::each`] and [`Counters::levels`], and needs
//! not know the kinds; a new kind is one line here and one call where it happens.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn bump(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// So far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number of things that are there now.
#[derive(Debug, Default)]
pub struct Level(AtomicU64);

impl Level {
    /// One more is there.
    pub(crate) fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One is gone, that came before.
    pub(crate) fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// There now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Makes the struct, and the walks over its fields.
macro_rules! table {
    (counts { $($count:ident: $count_help:literal,)+ } levels { $($level:ident: $level_help:literal,)+ }) => {
        /// Every refusal and limit of one set of doors. Cheap to bump from anywhere: relaxed atomics.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(#[doc = $count_help] pub $count: Count,)+
            $(#[doc = $level_help] pub $level: Level,)+
        }

        impl Counters {
            /// What only grows: name, a line of help, value.
            pub fn each(&self, mut show: impl FnMut(&'static str, &'static str, u64)) {
                $(show(stringify!($count), $count_help, self.$count.get());)+
            }

            /// What is there now: name, a line of help, value.
            pub fn levels(&self, mut show: impl FnMut(&'static str, &'static str, u64)) {
                $(show(stringify!($level), $level_help, self.$level.get());)+
            }
        }
    };
}

table! {
    counts {
        connections_delayed: "TCP connections that waited because all places were taken",
        network_refused: "Connections closed because their client network has all of its places",
        neighbourhood_refused: "Connections closed because the networks around theirs have all of their places",
        proxy_header_bad: "Connections from trusted peers without a good PROXY v2 header in time",
        handshake_failed: "TLS and QUIC handshakes that failed",
        handshake_late: "TLS and QUIC handshakes that took too long",
        handshake_crowded: "TLS and QUIC handshakes ended because too many were under way",
        quic_refused: "QUIC connections refused because all places were taken",
        quic_retried: "QUIC clients asked to prove their address first",
        quic_forwarded: "Datagrams sent on to the process whose connection they belong to, after a take-over",
        quic_forward_lost: "Datagrams for another process that found the way to it full",
        head_late: "Requests whose head took too long",
        head_refused: "Requests whose head was malformed or too large",
        body_refused: "Requests whose body was too large, too late, broken off, or more than there was room for",
        target_too_long: "Requests answered 414",
        idle: "Connections closed after a time without a request",
        silent: "Connections whose peer answered no ping",
        write_stalled: "Connections closed because the peer took no byte for too long",
        stream_stalled: "Answers reset because the peer gave their stream no window for too long",
        slow_reader: "Answers reset because the peer read slower than any music plays",
        h2_flooded: "HTTP/2 connections closed for frames that bring nothing: SETTINGS, PING, resets, empty ones",
        h3_flooded: "HTTP/3 connections closed for frames that bring nothing, and for requests given up",
        h2_broken: "HTTP/2 connections closed for an error of the protocol",
        h3_broken: "HTTP/3 connections closed for an error of the protocol",
        h3_request_too_long: "HTTP/3 requests stopped because their stream carried too much",
        early_refused: "Requests in early data answered 425",
        handler_panicked: "Requests answered 500 because the handler panicked",
    }
    levels {
        connections: "Connections open now, TCP and QUIC",
        networks: "Client networks with an open connection, and the networks around them",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_is_shown_once_with_its_value_and_a_line_of_help() {
        let counters = Counters::default();
        counters.network_refused.bump();
        counters.connections.up();
        let (mut names, mut kinds) = (BTreeSet::new(), 0);
        let mut show = |name: &'static str, help: &'static str, value: u64| {
            let expected = u64::from(name == "network_refused" || name == "connections");
            assert_eq!(value, expected, "{name}");
            assert!(!help.is_empty());
            names.insert(name);
            kinds += 1;
        };
        counters.each(&mut show);
        counters.levels(&mut show);
        assert_eq!(names.len(), kinds);
    }
}
