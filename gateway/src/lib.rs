//! The gateway: the public API, OpenSubsonic, the web player and the operator page.

pub mod web;
