//! How an index is set up: the policy, and the share of heads.

use std::{fmt, str::FromStr};

/// Who leaves when a slot is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PolicyKind {
    /// The least recently used block: the baseline, on the `lru` crate.
    Lru,
    /// Three FIFO queues (Yang et al., SOSP 2023): what is not used again soon leaves soon.
    S3Fifo,
    /// One queue and a hand (Zhang et al., NSDI 2024): what was used since the hand's last visit stays.
    Sieve,
    /// A window, then frequency decides who may enter (Einziger et al., 2017).
    WTinyLfu,
}

impl PolicyKind {
    /// All of them, the baseline first.
    pub const ALL: [Self; 4] = [Self::Lru, Self::S3Fifo, Self::Sieve, Self::WTinyLfu];

    /// Its name on the command line and in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lru => "lru",
            Self::S3Fifo => "s3-fifo",
            Self::Sieve => "sieve",
            Self::WTinyLfu => "w-tinylfu",
        }
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A policy that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no cache policy {0:?}; there are lru, s3-fifo, sieve and w-tinylfu")]
pub struct PolicyUnknown(String);

impl FromStr for PolicyKind {
    type Err = PolicyUnknown;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or_else(|| PolicyUnknown(name.to_owned()))
    }
}

/// How an index is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Who leaves.
    pub policy: PolicyKind,
    /// The share of the slots that the kept parts of heads may always have, and beyond which they
    /// make room for each other first. Unit: thousandths. 0: heads are blocks like others, in one
    /// order.
    pub heads_permille: u16,
    /// How much of a head is kept in that share. Unit: blocks from the object's first on. A start
    /// needs the first one at once; the rest of the head has its seconds of sound to arrive in.
    pub kept_blocks: u32,
}

impl Default for Shape {
    /// What the traces choose: see `bench/results`.
    fn default() -> Self {
        Self { policy: PolicyKind::S3Fifo, heads_permille: 300, kept_blocks: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_as_it_is_written() {
        for kind in PolicyKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("LRU".parse::<PolicyKind>().is_err());
    }
}
