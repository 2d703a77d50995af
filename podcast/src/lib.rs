//! Podcasts: feeds from elsewhere are fetched, read and kept in the catalog, and feeds of our own are written.
//!
//! Rules and shells are apart. [`feed`] reads the bytes of a feed and knows no network, [`schedule`] says when a feed is
//! looked at again and knows no clock, [`differ`] says what a feed changes in the catalog. [`fetch`] is the shell that goes
//! out (only where `needledrop_http::Outside` allows), [`store`] keeps what is known of each feed, and [`Podcasts`] puts
//! them together: what the gateway calls and what goes on in the background. [`rss`] writes a feed, and [`guid`] names it.

pub mod differ;
pub mod feed;
pub mod fetch;
pub mod guid;
pub mod rss;
pub mod schedule;
pub mod service;
pub mod store;

pub use service::{Announce, Error, Podcasts, Settings};
pub use store::{FeedState, Position};
