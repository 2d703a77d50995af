//! The crowd: listeners who tap, read, play, seek and skip, and measure the needle drop of any audio server.
//!
//! Load is listeners, not requests: they arrive when the schedule says, whether or not the server keeps up, and every
//! latency counts from the instant at which the tap was meant to happen. What a measurement is called is in
//! [`measured`]; it is counted in a [`tally`]; everything that is shown comes from a tally.
//!
//! Rules apart from shells: [`arrivals`], [`habits`], [`playback`], [`sound`], [`cmcd`], [`cache_said`] and the reports take
//! values, seeds and instants and give back decisions. Sockets are in [`client`], namespaces and tunnels in [`link`],
//! tasks and threads in [`listener`] and [`crowd`].

pub mod agents;
pub mod arrivals;
pub mod awake;
pub mod cache_said;
pub mod catalog;
pub mod client;
pub mod cmcd;
pub mod crowd;
pub mod dice;
pub mod ear;
pub mod gateway;
pub mod generated;
pub mod habits;
pub mod link;
pub mod listener;
pub mod measured;
pub mod mix;
pub mod needle;
pub mod planted;
pub mod playback;
pub mod prepare;
pub mod replay;
pub mod report;
pub mod run;
pub mod settings;
pub mod sound;
pub mod sounds;
pub mod tally;
pub mod timer;
pub mod trace;
pub mod verify;
pub mod world;
