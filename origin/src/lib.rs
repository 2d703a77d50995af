//! The origin: a vault of immutable objects, the library that lists them, ingest that fills it,
//! and the server that hands ranges of it to edges.
//!
//! Knows music as files, tracks and renditions. It does not know accounts, signed URLs or
//! listeners: whoever asks the server is an edge with a client certificate.
//!
//! Where to look next: `vault` for the layout on disk, `writer` for why nothing half-written is
//! ever visible, `ingest` for how a folder of music becomes tracks, `server` for the way out.

pub mod art;
pub mod digest;
mod durable;
mod file_body;
pub mod ingest;
mod journal;
mod library;
pub mod manifest;
mod objects;
pub mod record;
mod respond;
mod server;
#[cfg(test)]
mod testing;
mod vault;
mod writer;

pub use durable::{Hook, Step, is_disk_full};
pub use library::{Damage, Library};
pub use server::Origin;
pub use vault::{Vault, VaultError};
pub use writer::Writer;
