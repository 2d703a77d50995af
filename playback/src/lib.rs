//! Playback: who may hear what, in which quality, and where to fetch it.
//!
//! The rules are pure and have a file each: [`account`], [`password`], [`token`] and [`scope`] say who somebody is;
//! [`available`] and [`quality`] what he may hear; [`grant`] puts it into signed URLs, under the name of the day
//! ([`uid`]) and the playback id ([`plays`]) that counting goes by; [`queue`] and [`devices`] are what an account is
//! about to hear and on what; [`limits`] slows down who guesses.

pub mod account;
pub mod available;
pub mod devices;
pub mod grant;
pub mod hasher;
pub mod limits;
pub mod password;
pub mod plays;
pub mod quality;
pub mod queue;
pub mod scope;
pub mod server_key;
pub mod token;
pub mod uid;
