//! The labels of the metrics: few values each, known beforehand.

use needledrop_core::cache::Class;
use needledrop_http::End;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use std::fmt::Write;

/// Makes an enum of label values with a list of them and their texts.
macro_rules! values {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$value_doc])* $value,)+ }

        impl $name {
            /// All of them, in the order of their numbers.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$value),+];

            /// As it stands in metrics and log lines.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$value => $text,)+ }
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
                encoder.write_str(self.as_str())
            }
        }
    };
}

values! {
    /// What kind of bytes an answer begins with.
    Kind {
        /// A block that has a part in the first 30 s.
        Head = "head",
        /// Any other block.
        Body = "body",
        /// A block that was here because it was expected.
        Prefetched = "prefetched",
        /// A block of an object that needs no signature, such as artwork.
        Public = "public",
        /// No bytes of an object: a refusal, a preflight, or an answer past the cache.
        None = "none",
    }
}

values! {
    /// Who asked.
    Tier {
        /// A listener with a signed URL, or anybody for a public path.
        Listener = "listener",
        /// Another edge, for which this one is the shield.
        Edge = "edge",
    }
}

values! {
    /// What the cache had.
    Served {
        /// Every block.
        Hit = "hit",
        /// Every block, past its freshness.
        Stale = "stale",
        /// Some blocks.
        Partial = "partial",
        /// No block, but the first was on its way for somebody else.
        Collapsed = "collapsed",
        /// No block.
        Miss = "miss",
        /// The object does not pass through the cache.
        Bypass = "bypass",
        /// The request was refused before the cache was asked, or failed.
        Refused = "refused",
    }
}

values! {
    /// Which limit on who may ask how often a request met.
    Reason {
        /// Its client network asked too often.
        NetworkRate = "network-rate",
        /// The networks around its own asked too often.
        NeighbourhoodRate = "neighbourhood-rate",
        /// Its listener asked too often.
        ListenerRate = "listener-rate",
        /// Its play is fetched from too many networks.
        Shared = "url-shared",
        /// The same, of a request that may be a replay: it is to come again after the handshake.
        TooEarly = "too-early",
    }
}

impl From<Class> for Kind {
    fn from(class: Class) -> Self {
        match class {
            Class::Head => Self::Head,
            Class::Body => Self::Body,
        }
    }
}

/// [`End`] as a label value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct EndValue(End);

impl From<End> for EndValue {
    fn from(end: End) -> Self {
        Self(end)
    }
}

impl EncodeLabelValue for EndValue {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        encoder.write_str(self.0.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByKindTierAndStatus {
    pub class: Kind,
    pub tier: Tier,
    pub status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByKindAndServed {
    pub class: Kind,
    pub outcome: Served,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByKindAndTier {
    pub class: Kind,
    pub tier: Tier,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByReason {
    pub reason: Reason,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByEnd {
    pub end: EndValue,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByProtocol {
    pub protocol: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct ByProtocolAndServed {
    pub protocol: &'static str,
    pub outcome: Served,
}
