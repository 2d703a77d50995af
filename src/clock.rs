//! The front door's look at the wall clock.

use needledrop_core::UnixSeconds;

/// Now, in whole seconds.
pub fn now() -> UnixSeconds {
    UnixSeconds::from_system(std::time::SystemTime::now())
}
