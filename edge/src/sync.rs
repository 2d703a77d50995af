//! The atomics under the protocols that a model checker walks through: a model includes the
//! protocol's file by `#[path]` and puts loom's atomics here instead (`edge/tests/pins_model.rs`).

pub(crate) use std::sync::atomic::{AtomicU32, Ordering};
