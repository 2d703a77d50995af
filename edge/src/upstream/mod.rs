//! Where the bytes come from: shields and origins, any HTTP(S) servers, ours or not.
//!
//! [`Upstreams`] is what the rest of the edge knows: it decides whom to ask, when to ask a
//! second one, and when to give up. An [`Upstream`] is one of them and only speaks the
//! protocol; `way` remembers how it fared lately, `health` asks it from time to time. What
//! comes back is hostile until it has become [`Facts`]. The rules (breaker, budget,
//! placement) are in `core`.
//!
//! Only the path travels upstream: no query, cookie or Authorization of a listener.

mod body;
mod counts;
mod facts;
mod group;
mod health;
mod one;
mod settings;
mod way;

pub use body::{RelayBody, UpstreamBody};
pub use counts::Counts;
pub use facts::Facts;
pub use group::{Errand, Upstreams};
pub use health::HealthCheck;
pub use one::{Answered, Asked, Condition, Upstream};
pub use settings::Settings;
pub use way::{Tier, WayId};
