//! The rules of needledrop, pure: values and `now` go in, decisions come out.
//!
//! Nothing here opens a socket or a file, reads a clock, rolls dice or knows an async
//! runtime; the shells (`http`, `origin`, `edge`, the front door) do that and ask here.
//! Start with [`decide()`] (what an HTTP request for bytes gets), [`answer()`] (how that
//! looks on the wire) and [`signed_url`] (who may ask at all).

pub mod answer;
pub mod block;
pub mod breaker;
pub mod cache;
pub mod cases;
pub mod cdn_loop;
pub mod decide;
pub mod etag;
pub mod forwarded;
pub mod freshness;
pub mod heavy;
pub mod id;
pub mod intervals;
pub mod media;
pub mod network;
pub mod object_path;
pub mod placement;
pub mod precondition;
pub mod prefetch;
pub mod problem;
pub mod proxy_v2;
pub mod purge;
pub mod range;
pub mod rate;
pub mod refusal;
pub mod sharing;
pub mod signed_url;
pub mod time;

pub use answer::{Answer, Segment, answer};
pub use block::{BLOCK_BYTES, BlockIndex};
pub use decide::{Conditions, Method, Outcome, Validators, decide};
pub use etag::EntityTag;
pub use id::{
    AccountId, ArtistId, ClientId, EpisodeId, PlaybackId, PlaylistId, ReleaseId, Rev, ShowId, TokenId, TrackId,
};
pub use intervals::Intervals;
pub use media::{Codec, Kbps, Rendition, content_type_for};
pub use network::Cidr;
pub use object_path::{ObjectPath, PathRefusal};
pub use problem::Problem;
pub use range::ByteRange;
pub use refusal::Refusal;
pub use signed_url::{
    Claims, HeadBytes, KeyId, KeyState, Keyring, NextObject, Pseudonym, Secret, SignedUrl, sign, verify,
};
pub use time::UnixSeconds;
