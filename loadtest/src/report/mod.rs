//! What a person reads of a run: live on the terminal, as text at the end, as JSON, as one page, and beside another
//! run.
//!
//! Everything here is drawn from a [`Tally`](crate::tally::Tally) and knows nothing of sockets. Whatever a server said
//! comes in as text that is not trusted: [`numbers::harmless`] takes control characters out of it, the page escapes it.

pub mod compare;
pub mod figures;
mod json;
pub mod machine;
pub mod numbers;
pub mod page;
pub mod terminal;
mod text;
pub mod threshold;

pub use json::{Generator, KIND, Own, Report, ReportError};
pub use machine::Machine;
pub use threshold::{Judged, Threshold};

#[cfg(test)]
pub(crate) mod example;
