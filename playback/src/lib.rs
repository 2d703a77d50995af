//! Playback: who may hear what, in which quality, and where to fetch it.
//!
//! The rules are pure and have a file each: [`account`], [`password`], [`token`] and [`scope`] say who somebody is;
//! [`quality`] in which bitrate he may hear what the catalog's windows allow; [`grant`] puts it into signed URLs, under
//! the name of the day ([`uid`]) and the playback id ([`plays`]) that counting goes by; [`oauth`] lets programs of other
//! people in; [`sign_up`] says who may make an account; [`queue`] and [`devices`] are
//! what an account is about to hear and on what; [`limits`] slows down who guesses. [`store`] keeps it, on SQLite or PostgreSQL;
//! [`Playback`] puts it all together. HTTP is not known here: errors have stable names, and the gateway gives them
//! their status.

pub mod account;
pub mod auth_cache;
pub mod caller;
pub mod devices;
pub mod grant;
pub mod hasher;
pub mod limits;
pub mod oauth;
pub mod password;
pub mod play_id;
pub mod plays;
pub mod quality;
pub mod queue;
pub mod scope;
pub mod server_key;
pub mod service;
pub mod sign_up;
pub mod store;
pub mod token;
pub mod uid;
pub mod writer;

pub use account::{Account, DisplayName, Plan, Settings, UserName};
pub use caller::Caller;
pub use grant::{Asked, Edge, EdgeBase, Grant, TrackFacts};
pub use plays::Start;
pub use queue::{Queue, UnixMs};
pub use scope::{Scope, Scopes};
pub use server_key::ServerKey;
pub use service::{
    Ask, Change, Error, Invited, Issued, Leaving, OneTimePassword, Playback, Proof, Registered, Renewed, SignUp,
};
pub use sign_up::Policy;
