//! The catalog: artists, releases, tracks, credits and podcasts, and search over them.
//!
//! [`model`] says what there is, [`search`] finds it by what people type. Nothing here knows an account, a signed URL
//! or HTTP.

pub mod model;
pub mod search;
