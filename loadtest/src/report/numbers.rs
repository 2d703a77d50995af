//! How numbers and foreign text are written, the same on the terminal and on the page.

use std::time::Duration;

/// Longest piece of foreign text that is shown, in characters.
const HARMLESS_MAX: usize = 300;

/// A duration in three digits: `420 µs`, `18.3 ms`, `1.20 s`.
pub fn took(duration: Duration) -> String {
    micros(duration.as_secs_f64() * 1e6)
}

/// The same, or a dash.
pub fn took_or_dash(duration: Option<Duration>) -> String {
    duration.map_or_else(|| "–".into(), took)
}

/// Microseconds in three digits.
pub fn micros(micros: f64) -> String {
    // What would be rounded up to a thousand takes the next unit.
    if micros < 999.5 {
        format!("{micros:.0} µs")
    } else if micros < 999_500.0 {
        format!("{} ms", three_digits(micros / 1e3))
    } else {
        format!("{} s", three_digits(micros / 1e6))
    }
}

fn three_digits(value: f64) -> String {
    match value {
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A whole number with its thousands apart: `1,204,311`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap_or("")).collect();
    groups.join(",")
}

/// A share from 0 to 1 in per cent, with more digits where it is close to none: `98.1 %`, `0.042 %`.
pub fn share(share: f64) -> String {
    let percent = share * 100.0;
    match percent.abs() {
        0.0 => "0 %".into(),
        ..0.001 => format!("{percent:.1e} %"),
        ..0.095 => format!("{percent:.3} %"),
        ..0.995 => format!("{percent:.2} %"),
        _ => format!("{percent:.1} %"),
    }
}

/// A number per second.
pub fn rate(value: f64) -> String {
    if value < 99.95 { format!("{value:.1}") } else { count(value.round() as u64) }
}

/// Bytes in powers of 1,024.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{} {}", three_digits(value), UNITS[unit]) }
}

/// Bits in powers of a thousand, as lines are sold.
pub fn bits(bits: f64) -> String {
    match bits {
        ..999.5 => format!("{bits:.0} bit"),
        ..999_500.0 => format!("{} kbit", three_digits(bits / 1e3)),
        ..999_500_000.0 => format!("{} Mbit", three_digits(bits / 1e6)),
        _ => format!("{} Gbit", three_digits(bits / 1e9)),
    }
}

/// Hours, minutes and seconds of a clock: `1:02:03`, `0:07`.
pub fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// Seconds since 1970 as `2026-11-22 04:49 UTC`.
pub fn date(unix: u64) -> String {
    let (days, second) = (unix / 86_400, unix % 86_400);
    // Days into years of 400-year eras that begin on 1 March (Hinnant: "chrono-compatible low-level date algorithms").
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", second / 3600, second / 60 % 60)
}

/// Foreign text as one line without anything that moves a cursor or turns the direction of writing.
pub fn harmless(text: &str) -> String {
    let shown = |letter: char| match letter {
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => '·',
        _ if letter.is_control() => '·',
        _ => letter,
    };
    let mut line: String = text.chars().take(HARMLESS_MAX).map(shown).collect();
    if text.chars().nth(HARMLESS_MAX).is_some() {
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits_and_the_unit_that_fits() {
        let said: Vec<String> = [0, 420, 999, 1_000, 9_999, 18_250, 99_990, 183_000, 999_600, 61_000_000]
            .map(|micros| took(Duration::from_micros(micros)))
            .into();
        assert_eq!(said.join("|"), "0 µs|420 µs|999 µs|1.00 ms|10.0 ms|18.2 ms|100 ms|183 ms|1.00 s|61.0 s");
    }

    #[test]
    fn counts_shares_bytes_and_dates_read_well() {
        assert_eq!([count(0), count(999), count(1_204_311)].join(" "), "0 999 1,204,311");
        assert_eq!([share(0.0), share(0.981), share(0.00042), share(0.002)].join("|"), "0 %|98.1 %|0.042 %|0.20 %");
        assert_eq!([bytes(12), bytes(1 << 20), bytes(u64::MAX)].join("|"), "12 B|1.00 MiB|16384 PiB");
        assert_eq!([date(0), date(1_795_322_940)].join("|"), "1970-01-01 00:00 UTC|2026-11-22 04:49 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
    }

    #[test]
    fn foreign_text_moves_no_cursor() {
        assert_eq!(harmless("a\x1b[2Jb\n\u{202e}c"), "a·[2Jb··c");
        assert_eq!(harmless(&"x".repeat(1_000)).chars().count(), HARMLESS_MAX + 1);
    }
}
