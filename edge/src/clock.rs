//! The one place of the edge that reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use needledrop_core::UnixSeconds;

/// Now, in whole seconds. A clock before 1970 reads as 1970.
pub fn now() -> UnixSeconds {
    UnixSeconds(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}
