//! The catalog: artists, releases, tracks, credits and podcasts, and search over them.
//!
//! [`model`] says what there is, [`change`] how it becomes otherwise, [`store`] keeps it, [`search`] finds it by what
//! people type. [`intake`] makes changes of what ingest published, [`json`] of JSON lines. Nothing here knows an
//! account, a signed URL or HTTP.

pub mod availability;
pub mod change;
pub mod intake;
pub mod json;
pub mod model;
pub mod search;
pub mod shares;
pub mod store;

pub use availability::{Availability, availability};
pub use change::{Change, Refusal};
pub use store::Catalog;
