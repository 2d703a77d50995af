//! Moments and lengths as feeds write them.

use needledrop_core::UnixSeconds;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// A moment of RFC 822 in all its spellings, or of RFC 3339. None if it is neither, or lies before 1970.
pub(super) fn moment(text: &str) -> Option<UnixSeconds> {
    let text = text.trim();
    if text.len() > 64 {
        return None;
    }
    rfc_822(text).or_else(|| rfc_3339(text))
}

/// `Tue, 03 Jun 2003 09:39:21 +0200`: the day of the week, the seconds and the zone may be missing, the year may have two
/// digits, months may be written out.
fn rfc_822(text: &str) -> Option<UnixSeconds> {
    let text = text.split_once(',').map_or(text, |(_, rest)| rest);
    let mut fields = text.split_ascii_whitespace();
    let day = fields.next()?.parse().ok()?;
    let month = month(fields.next()?)?;
    let year = year(fields.next()?)?;
    let clock = clock(fields.next()?)?;
    let zone = fields.next().map_or(Some(0), zone_seconds)?;
    unix(year, month, day, clock, zone)
}

/// `2003-12-13T18:30:02.25+01:00`; a date alone is its midnight.
fn rfc_3339(text: &str) -> Option<UnixSeconds> {
    let (date, rest) = text.split_at_checked(10)?;
    let mut parts = date.split('-');
    let (year, month, day) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
    if parts.next().is_some() {
        return None;
    }
    let Some(rest) = rest.strip_prefix(['T', 't', ' ']) else {
        return rest.is_empty().then(|| unix(year, month, day, 0, 0)).flatten();
    };
    let at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(at);
    let time = time.split('.').next()?;
    let zone = if zone.is_empty() { 0 } else { zone_seconds(zone)? };
    unix(year, month, day, clock(time)?, zone)
}

fn number(text: &str) -> Option<i64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn month(word: &str) -> Option<i64> {
    let start = word.get(..3)?.to_ascii_lowercase();
    MONTHS.iter().position(|name| *name == start).map(|place| place as i64 + 1)
}

fn year(word: &str) -> Option<i64> {
    let year = number(word)?;
    match word.len() {
        // RFC 5322, 4.3.
        2 if year < 50 => Some(2000 + year),
        2 | 3 => Some(1900 + year),
        _ => Some(year),
    }
}

/// Seconds of the day.
fn clock(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let (hour, minute) = (number(parts.next()?)?, number(parts.next()?)?);
    let second = parts.next().map_or(Some(0), number)?;
    let is_time = hour < 24 && minute < 60 && second <= 60 && parts.next().is_none();
    is_time.then_some(hour * 3_600 + minute * 60 + second)
}

/// What is to be taken off for UTC. A zone that nobody knows is UTC (RFC 5322, 4.3).
fn zone_seconds(zone: &str) -> Option<i64> {
    let hours = match zone.to_ascii_uppercase().as_str() {
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        "BST" | "CET" => 1,
        "CEST" => 2,
        text if text.starts_with(['+', '-']) => {
            let sign = if text.starts_with('-') { -1 } else { 1 };
            let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
            let value = number(&digits).filter(|_| digits.len() == 4)?;
            let (hours, minutes) = (value / 100, value % 100);
            return (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60));
        }
        _ => 0,
    };
    Some(hours * 3_600)
}

fn unix(year: i64, month: i64, day: i64, clock: i64, zone: i64) -> Option<UnixSeconds> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days_of_month).contains(&day) || !(1970..=9999).contains(&year) {
        return None;
    }
    // Days before a year that begins in March, so that the leap day is its last.
    let shifted = if month > 2 { year } else { year - 1 };
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let days = 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + of_year - 719_468;
    u64::try_from(days * 86_400 + clock - zone).ok().map(UnixSeconds)
}

/// `HH:MM:SS`, `MM:SS` or seconds, as milliseconds. None if it is none of them, nothing, or longer than a year.
pub(super) fn duration_ms(text: &str) -> Option<u64> {
    const YEAR_SECONDS: f64 = 366.0 * 86_400.0;
    let parts: Vec<&str> = text.trim().split(':').collect();
    if parts.len() > 3 {
        return None;
    }
    let mut seconds = 0.0;
    for part in parts {
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let value: f64 = part.parse().ok().filter(|_| is_number)?;
        seconds = seconds * 60.0 + value;
    }
    (seconds > 0.0 && seconds < YEAR_SECONDS).then_some((seconds * 1_000.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_are_read_in_all_their_spellings() {
        let cases = [
            ("Tue, 03 Jun 2003 09:39:21 GMT", 1_054_633_161),
            ("Tue, 3 Jun 2003 09:39:21 +0000", 1_054_633_161),
            ("3 June 2003 09:39:21 UT", 1_054_633_161),
            ("Tue, 03 Jun 2003 11:39:21 +0200", 1_054_633_161),
            ("Tue, 03 Jun 2003 05:39:21 EDT", 1_054_633_161),
            ("Tue, 03 Jun 03 09:39:21 Z", 1_054_633_161),
            ("Tue, 03 Jun 2003 09:39 GMT", 1_054_633_140),
            ("Tue, 03 Jun 2003 09:39:21", 1_054_633_161),
            ("2003-06-03T09:39:21Z", 1_054_633_161),
            ("2003-06-03T10:39:21.5+01:00", 1_054_633_161),
            ("2003-06-03", 1_054_598_400),
            ("Thu, 29 Feb 2024 00:00:00 GMT", 1_709_164_800),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ];
        for (text, seconds) in cases {
            assert_eq!(moment(text), Some(UnixSeconds(seconds)), "{text}");
        }
        for text in
            ["", "yesterday", "Tue, 30 Feb 2024 00:00:00 GMT", "31 Dec 1969 00:00:00 GMT", "2024-13-01", "1 Jän 2024"]
        {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn lengths_are_seconds_or_clocks() {
        let cases =
            [("3600", 3_600_000), ("1:00:00", 3_600_000), ("01:30", 90_000), ("90.5", 90_500), (" 12 ", 12_000)];
        for (text, ms) in cases {
            assert_eq!(duration_ms(text), Some(ms), "{text}");
        }
        for text in ["", "0", "-5", "1:2:3:4", "an hour", "1e9", "99999999999", "::"] {
            assert_eq!(duration_ms(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_we_write_we_read(seconds in 0_u64..253_402_300_799) {
            prop_assert_eq!(moment(&UnixSeconds(seconds).to_http()), Some(UnixSeconds(seconds)));
        }

        #[test]
        fn no_text_breaks_it(text in "\\PC{0,70}") {
            let _ = (moment(&text), duration_ms(&text));
        }
    }
}
