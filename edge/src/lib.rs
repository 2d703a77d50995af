//! The edge: signed range requests from listeners, answered from a block cache that fills
//! itself from upstream.
//!
//! In reading order: [`edge`] is the walk of one request. [`open`] learns of objects,
//! [`serve`] reads them, [`cache`] finds blocks, [`fill`] fetches them through [`upstream`]
//! into [`flight`]s, [`slab`] keeps them and [`store`] lets them survive the process. [`respond`]
//! alone knows status codes, [`limits`] holds every bound, [`admission`] says who may ask how often. [`purge`] makes objects gone, [`cluster`]
//! tells the other edges, [`admin`] is the port of operators.
//!
//! The edge knows nothing of music: paths are opaque, and all that it must know about a
//! listener's rights travels in the signed URL.

pub mod access;
pub mod admin;
pub mod admission;
pub mod ahead;
pub mod cache;
pub mod clock;
pub mod cluster;
pub mod deliveries;
pub mod edge;
pub mod error;
pub mod fill;
pub mod flight;
pub mod gate;
pub mod limits;
pub mod metrics;
pub mod mishaps;
pub mod object;
pub mod open;
mod piece;
mod pins;
pub mod popular;
pub mod prefetch;
pub mod purge;
pub mod respond;
pub mod serve;
pub mod shelf;
pub mod slab;
pub mod store;
mod sync;
pub mod upstream;

pub use access::ACCESS_TARGET;
pub use admin::Admin;
pub use admission::Admission;
pub use clock::Clock;
pub use cluster::Cluster;
pub use deliveries::{Deliveries, Delivery};
pub use edge::Edge;
pub use metrics::Metrics;
pub use shelf::Shelf;
pub use slab::{Slab, SlabError};
pub use upstream::{Upstream, Upstreams};
