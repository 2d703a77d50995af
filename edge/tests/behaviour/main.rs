//! How an edge behaves, over real files and sockets: one program, since linking each file by itself took longer than all
//! the tests.

#[path = "../world/mod.rs"]
mod world;

mod admin;
mod amplification;
mod foreign_origins;
mod hits_and_misses;
mod limits;
mod origin_down;
mod prefetch;
mod purge;
mod ranges_and_conditions;
mod rights;
mod seen;
mod stale;
mod stalls;
mod survives;
mod tiers;
mod upstream_trouble;
