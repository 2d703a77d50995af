//! The client against real servers: our own doors with planted faults, and small servers that do what ours do not.

mod early;
mod hostile;
mod liars;
mod marks;
mod opening;
mod world;
