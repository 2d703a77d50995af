//! The crowd: listeners who tap, read, play, seek and skip, and measure the needle drop of any audio server.
//!
//! Load is listeners, not requests: they arrive when the schedule says, whether or not the server keeps up, and every
//! latency counts from the instant at which the tap was meant to happen. What a measurement is called is in
//! [`measured`]; it is counted in a [`tally`]; everything that is shown comes from a tally.

pub mod agents;
pub mod client;
pub mod dice;
pub mod generated;
pub mod habits;
pub mod link;
pub mod measured;
pub mod planted;
pub mod report;
pub mod tally;
pub mod trace;
