//! The next track's head, fetched while the current one plays: whose word counts, and whose
//! turn it is.
//!
//! [`cmcd`] reads what players say about their next request, [`reference`] resolves it
//! against the current one, [`target`] decides which object may be fetched ahead because of a
//! request, and [`planner`] when. Nothing here fetches: the edge does, in what room is left.

pub mod cmcd;
pub mod planner;
pub mod reference;
pub mod target;

pub use cmcd::Cmcd;
pub use planner::{Dropped, Drops, End, Job, Limits, Listener, Planner, Pressure, Verdict, Wish};
pub use target::{Play, Target, due, target};
