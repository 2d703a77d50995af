//! A moment as whole seconds since 1970, and its HTTP text (RFC 9110, 5.6.7).
//!
//! There is no clock here: `now` is always an argument.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Whole seconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// 9999-12-31T23:59:59Z: the last moment an HTTP date can name.
    pub const MAX_HTTP: UnixSeconds = UnixSeconds(253_402_300_799);

    /// The moment of a system time; before 1970 counts as 1970.
    pub fn from_system(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
    }

    /// An HTTP date in any of the three forms a recipient must take; `None` if it is none,
    /// or lies before 1970.
    pub fn parse_http(text: &str) -> Option<Self> {
        let time = httpdate::parse_http_date(text).ok()?;
        let since = time.duration_since(UNIX_EPOCH).ok()?;
        Some(Self(since.as_secs()))
    }

    /// The IMF-fixdate, as `Sun, 06 Nov 1994 08:49:37 GMT`; moments past the year 9999 are
    /// written as its last second.
    pub fn to_http(self) -> String {
        let bounded = self.min(Self::MAX_HTTP);
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(bounded.0))
    }

    /// This moment and so many seconds; stops at the end of the number.
    pub fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// So many seconds earlier; stops at 1970.
    pub fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// Seconds from `earlier` until this moment; 0 if it is not earlier.
    pub fn since(self, earlier: UnixSeconds) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_forms_of_a_date_mean_the_same_moment() {
        let moment = Some(UnixSeconds(784_111_777));
        assert_eq!(UnixSeconds::parse_http("Sun, 06 Nov 1994 08:49:37 GMT"), moment);
        assert_eq!(UnixSeconds::parse_http("Sunday, 06-Nov-94 08:49:37 GMT"), moment);
        assert_eq!(UnixSeconds::parse_http("Sun Nov  6 08:49:37 1994"), moment);
    }

    #[test]
    fn text_that_is_no_date_is_none() {
        for text in [
            "",
            "0",
            "now",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Thu, 31 Dec 1969 23:59:59 GMT",
        ] {
            assert_eq!(UnixSeconds::parse_http(text), None, "{text}");
        }
    }

    #[test]
    fn dates_survive_their_text_and_the_end_of_time_is_written_not_panicked_over() {
        for seconds in [0, 784_111_777, UnixSeconds::MAX_HTTP.0] {
            let moment = UnixSeconds(seconds);
            assert_eq!(UnixSeconds::parse_http(&moment.to_http()), Some(moment));
        }
        assert_eq!(UnixSeconds(u64::MAX).to_http(), "Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
