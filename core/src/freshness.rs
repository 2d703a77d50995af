//! How long a foreign object may be served without asking (RFC 9111), for a shared cache.
//!
//! The origin's word counts and nothing is guessed: without a stated lifetime it is zero,
//! so every use revalidates. Doubtful statements count as the most careful reading.

use crate::time::UnixSeconds;

/// Longest lifetime or age that is counted, in seconds (RFC 9111, 1.2.2).
pub const DELTA_SECONDS_MAX: u64 = 1 << 31;

/// What an upstream answer says about its own keeping, fields as they came, several lines
/// joined with `", "`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Statement<'a> {
    /// Its status. Only 200 and 206 are ever stored.
    pub status: u16,
    /// Cache-Control.
    pub cache_control: Option<&'a str>,
    /// Expires.
    pub expires: Option<&'a str>,
    /// Age.
    pub age: Option<&'a str>,
    /// Date.
    pub date: Option<&'a str>,
    /// Vary.
    pub vary: Option<&'a str>,
}

/// When the exchange with upstream happened.
#[derive(Debug, Clone, Copy)]
pub struct Exchange {
    /// When the request was sent.
    pub requested: UnixSeconds,
    /// When the head of the answer arrived.
    pub answered: UnixSeconds,
}

/// The cache directives of a response (RFC 9111, 5.2.2; RFC 5861; RFC 8246).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Directives {
    /// no-store.
    pub no_store: bool,
    /// no-cache, with or without field names.
    pub no_cache: bool,
    /// private, with or without field names.
    pub private: bool,
    /// public.
    pub public: bool,
    /// must-revalidate.
    pub must_revalidate: bool,
    /// proxy-revalidate.
    pub proxy_revalidate: bool,
    /// must-understand.
    pub must_understand: bool,
    /// immutable.
    pub immutable: bool,
    /// max-age in seconds.
    pub max_age: Option<u64>,
    /// s-maxage in seconds.
    pub s_maxage: Option<u64>,
    /// stale-while-revalidate in seconds.
    pub stale_while_revalidate: Option<u64>,
    /// stale-if-error in seconds.
    pub stale_if_error: Option<u64>,
}

/// What may be done with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Storage {
    /// Whether its bytes may be kept at all.
    pub store: bool,
    /// From this second on it must be revalidated before it is used; in the past if it was
    /// stale on arrival.
    pub fresh_until: UnixSeconds,
    /// When stale it may not be used without revalidation, whatever happened to the origin.
    pub must_revalidate: bool,
    /// For how many seconds after `fresh_until` it may be served while a revalidation runs (RFC 5861, 3).
    pub stale_while_revalidate_s: u64,
    /// For how many seconds after `fresh_until` it may be served when the origin fails (RFC 5861, 4).
    pub stale_if_error_s: u64,
    /// Whether the origin said that the bytes of this version never change (RFC 8246).
    pub immutable: bool,
    /// Its age in seconds when it arrived (RFC 9111, 4.2.3).
    pub initial_age_s: u64,
    /// When it arrived.
    pub answered: UnixSeconds,
}

impl Storage {
    /// Whether it may be used without asking.
    pub fn is_fresh(&self, now: UnixSeconds) -> bool {
        now < self.fresh_until
    }

    /// Its age in seconds: the Age field of an answer from the cache (RFC 9111, 4.2.3).
    pub fn age_s(&self, now: UnixSeconds) -> u64 {
        self.initial_age_s.saturating_add(now.since(self.answered)).min(DELTA_SECONDS_MAX)
    }

    /// Whether it may be used although stale, while somebody revalidates it.
    pub fn may_serve_while_revalidating(&self, now: UnixSeconds) -> bool {
        !self.must_revalidate && now < self.fresh_until.plus(self.stale_while_revalidate_s)
    }

    /// Whether it may be used although stale, because the origin cannot be asked.
    pub fn may_serve_on_error(&self, now: UnixSeconds) -> bool {
        !self.must_revalidate && now < self.fresh_until.plus(self.stale_if_error_s)
    }
}

impl Directives {
    /// Reads a Cache-Control field. Names are case-insensitive, arguments may be quoted
    /// (RFC 9111, 5.2), unknown directives are passed over.
    ///
    /// A lifetime that is not a number, or that is stated twice and differently, is 0:
    /// RFC 9111, 4.2.1 encourages to take such answers as stale.
    pub fn parse(field: &str) -> Self {
        let mut directives = Self::default();
        let mut quotes = Quotes::default();
        field.chars().for_each(|character| {
            quotes.inside(character);
        });
        // A string that never ends may have swallowed anything: do not keep such an answer.
        directives.no_store = quotes.open;
        for member in members(field) {
            let (name, argument) = match member.split_once('=') {
                Some((name, argument)) => (name.trim(), Some(argument.trim())),
                None => (member, None),
            };
            directives.add(&name.to_ascii_lowercase(), argument);
        }
        directives
    }

    fn add(&mut self, name: &str, argument: Option<&str>) {
        match name {
            "no-store" => self.no_store = true,
            "no-cache" => self.no_cache = true,
            "private" => self.private = true,
            "public" => self.public = true,
            "must-revalidate" => self.must_revalidate = true,
            "proxy-revalidate" => self.proxy_revalidate = true,
            "must-understand" => self.must_understand = true,
            "immutable" => self.immutable = true,
            "max-age" => state(&mut self.max_age, argument),
            "s-maxage" => state(&mut self.s_maxage, argument),
            "stale-while-revalidate" => state(&mut self.stale_while_revalidate, argument),
            "stale-if-error" => state(&mut self.stale_if_error, argument),
            _ => {}
        }
    }
}

/// Judges an upstream answer for a shared cache that never forwards credentials.
pub fn judge(statement: &Statement<'_>, exchange: Exchange) -> Storage {
    let directives = Directives::parse(statement.cache_control.unwrap_or(""));
    let date = statement.date.and_then(parse_date).unwrap_or(exchange.answered);
    let initial_age_s = initial_age(statement.age, date, exchange);
    let lifetime = if directives.no_cache { 0 } else { lifetime(&directives, statement.expires, date) };
    // RFC 9111, 5.2.2.10: s-maxage carries the meaning of proxy-revalidate.
    let must_revalidate = directives.must_revalidate
        || directives.proxy_revalidate
        || directives.no_cache
        || directives.s_maxage.is_some();
    Storage {
        store: may_store(statement, &directives),
        fresh_until: UnixSeconds((exchange.answered.0.saturating_add(lifetime)).saturating_sub(initial_age_s)),
        must_revalidate,
        stale_while_revalidate_s: directives.stale_while_revalidate.unwrap_or(0),
        stale_if_error_s: directives.stale_if_error.unwrap_or(0),
        immutable: directives.immutable,
        initial_age_s,
        answered: exchange.answered,
    }
}

/// RFC 9111, 3. Requests upstream are always the same apart from the range, so of Vary only
/// the star matters.
fn may_store(statement: &Statement<'_>, directives: &Directives) -> bool {
    let varies_on_everything = statement.vary.is_some_and(|field| members(field).any(|member| member == "*"));
    // RFC 9111, 5.2.2.3: must-understand lets a cache that understands the status pass over
    // no-store. We do understand, and stay careful: both together are not stored.
    let is_ours = matches!(statement.status, 200 | 206);
    is_ours && !directives.no_store && !directives.private && !varies_on_everything
}

/// RFC 9111, 4.2.1; without a statement zero, never a guess (4.2.2).
fn lifetime(directives: &Directives, expires: Option<&str>, date: UnixSeconds) -> u64 {
    let by_expires = || expires.map(|field| parse_date(field).map_or(0, |moment| moment.since(date)));
    let stated = directives.s_maxage.or(directives.max_age).or_else(by_expires);
    stated.unwrap_or(0).min(DELTA_SECONDS_MAX)
}

/// RFC 9111, 4.2.3.
fn initial_age(age: Option<&str>, date: UnixSeconds, exchange: Exchange) -> u64 {
    let apparent_age = exchange.answered.since(date);
    let response_delay = exchange.answered.since(exchange.requested);
    // RFC 9111, 5.1: of a list the first member counts; what is no number is ignored.
    let told = age.and_then(|field| field.split(',').next()).and_then(|text| delta_seconds(text.trim()));
    let corrected_age = told.unwrap_or(0).saturating_add(response_delay);
    apparent_age.max(corrected_age).min(DELTA_SECONDS_MAX)
}

fn parse_date(field: &str) -> Option<UnixSeconds> {
    UnixSeconds::parse_http(field.trim_matches([' ', '\t']))
}

/// Sets a lifetime; the second, different statement of it makes it 0.
fn state(place: &mut Option<u64>, argument: Option<&str>) {
    let seconds = argument.and_then(|text| delta_seconds(unquoted(text))).unwrap_or(0);
    *place = match *place {
        Some(earlier) if earlier != seconds => Some(0),
        _ => Some(seconds),
    };
}

/// delta-seconds (RFC 9111, 1.2.2): digits; too large a number is [`DELTA_SECONDS_MAX`].
fn delta_seconds(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX).min(DELTA_SECONDS_MAX))
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(text)
}

/// The members of a list, blanks removed; commas inside of quoted strings do not divide.
fn members(field: &str) -> impl Iterator<Item = &str> {
    let mut quotes = Quotes::default();
    let divides = move |character: char| !quotes.inside(character) && character == ',';
    field.split(divides).map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty())
}

/// Whether a walk over text is inside of a quoted string (RFC 9110, 5.6.4).
#[derive(Default)]
pub(crate) struct Quotes {
    open: bool,
    escaping: bool,
}

impl Quotes {
    /// Takes the next character; true if a quoted string is open behind it.
    pub(crate) fn inside(&mut self, character: char) -> bool {
        if self.escaping {
            self.escaping = false;
        } else if character == '"' {
            self.open = !self.open;
        } else {
            self.escaping = self.open && character == '\\';
        }
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const NOW: UnixSeconds = UnixSeconds(784_111_777);
    const AT_ONCE: Exchange = Exchange { requested: NOW, answered: NOW };

    fn with(cache_control: &'static str) -> Statement<'static> {
        Statement { status: 200, cache_control: Some(cache_control), ..Statement::default() }
    }

    /// Seconds of freshness left on arrival; negative when stale, as far as the clock shows.
    fn left(statement: &Statement<'_>) -> i64 {
        judge(statement, AT_ONCE).fresh_until.0 as i64 - NOW.0 as i64
    }

    #[test]
    fn lifetimes_come_from_the_most_specific_statement() {
        let table = [
            ("max-age=60", 60),
            ("max-age=60, s-maxage=10", 10),
            ("s-maxage=0, max-age=60", 0),
            ("MAX-AGE=60", 60),
            ("max-age=\"60\"", 60),
            ("max-age = 60", 60),
            ("public, max-age=060", 60),
            ("max-age=99999999999999999999", DELTA_SECONDS_MAX as i64),
            ("max-age=4294967296", DELTA_SECONDS_MAX as i64),
            ("max-age=-1", 0),
            ("max-age=1.5", 0),
            ("max-age=", 0),
            ("max-age", 0),
            ("max-age=60 seconds", 0),
            ("max-age=60, max-age=60", 60),
            ("max-age=60, max-age=30", 0),
            ("extension=\"a, max-age=60\"", 0),
            ("extension=\"\\\", max-age=60\", max-age=5", 5),
            ("x-max-age=60", 0),
            ("no-cache, max-age=60", 0),
            ("no-cache=\"Set-Cookie\", max-age=60", 0),
            ("immutable", 0),
            ("public", 0),
            ("", 0),
        ];
        for (field, seconds) in table {
            assert_eq!(left(&with(field)), seconds, "{field}");
        }
    }

    #[test]
    fn expires_counts_from_the_origins_own_clock() {
        let date = NOW.to_http();
        let later = NOW.plus(100).to_http();
        let statement = |expires, date| Statement { status: 200, expires, date, ..Statement::default() };
        assert_eq!(left(&statement(Some(&later), Some(&date))), 100);
        assert_eq!(left(&statement(Some(&later), None)), 100);
        assert_eq!(left(&statement(Some("0"), Some(&date))), 0);
        assert_eq!(left(&statement(Some(&date), Some(&later))), 0);
        assert_eq!(left(&statement(Some("never"), None)), 0);
        let both = format!("{later}, {later}");
        assert_eq!(left(&statement(Some(&both), None)), 0);
        // max-age wins over Expires (RFC 9111, 5.3).
        let statement = Statement { cache_control: Some("max-age=7"), ..statement(Some(&later), Some(&date)) };
        assert_eq!(left(&statement), 7);
    }

    #[test]
    fn age_and_delay_are_taken_off_the_lifetime() {
        let earlier = NOW.minus(20).to_http();
        let judged = |age, date, delay| {
            let statement = Statement { age, date, ..with("max-age=100") };
            judge(&statement, Exchange { requested: NOW.minus(delay), answered: NOW })
        };
        assert_eq!(judged(Some("30"), None, 0).initial_age_s, 30);
        assert_eq!(judged(Some("30"), None, 5).initial_age_s, 35);
        assert_eq!(judged(Some("10"), Some(earlier.as_str()), 5).initial_age_s, 20);
        assert_eq!(judged(Some("30, 900"), None, 0).initial_age_s, 30);
        assert_eq!(judged(Some("old"), None, 0).initial_age_s, 0);
        assert_eq!(judged(Some("-3"), None, 0).initial_age_s, 0);
        let storage = judged(Some("30"), None, 0);
        assert_eq!(storage.fresh_until, NOW.plus(70));
        assert_eq!(storage.age_s(NOW.plus(12)), 42);
        assert!(storage.is_fresh(NOW.plus(69)) && !storage.is_fresh(NOW.plus(70)));
        assert!(!judged(Some("100"), None, 0).is_fresh(NOW));
        assert!(!judged(Some("999999999999999999999"), None, 0).is_fresh(NOW));
    }

    #[test]
    fn what_must_not_be_kept_is_not_kept() {
        let store = |statement: &Statement<'_>| judge(statement, AT_ONCE).store;
        assert!(store(&with("max-age=60")) && store(&with("")) && store(&with("no-cache")));
        for field in [
            "no-store",
            "private",
            "NO-STORE",
            "max-age=60, private=\"X\"",
            "no-store, must-understand",
            "no-store=\"x\"",
        ] {
            assert!(!store(&with(field)), "{field}");
        }
        assert!(store(&Statement { vary: Some("Accept-Encoding, Origin"), ..with("") }));
        assert!(!store(&Statement { vary: Some("Origin, *"), ..with("") }));
        for (status, stored) in
            [(200, true), (206, true), (203, false), (204, false), (301, false), (404, false), (500, false)]
        {
            assert_eq!(store(&Statement { status, ..with("max-age=60") }), stored, "{status}");
        }
    }

    #[test]
    fn stale_use_is_allowed_only_where_stated_and_not_forbidden() {
        let after = |field, seconds| {
            let storage = judge(&with(field), AT_ONCE);
            (storage.may_serve_while_revalidating(NOW.plus(seconds)), storage.may_serve_on_error(NOW.plus(seconds)))
        };
        let stated = "max-age=10, stale-while-revalidate=20, stale-if-error=30";
        assert_eq!(after(stated, 29), (true, true));
        assert_eq!(after(stated, 30), (false, true));
        assert_eq!(after(stated, 40), (false, false));
        assert_eq!(after("max-age=10", 10), (false, false));
        for forbidding in ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=10"] {
            let field = format!("{stated}, {forbidding}");
            let storage = judge(&Statement { cache_control: Some(&field), ..with("") }, AT_ONCE);
            assert!(storage.must_revalidate && !storage.may_serve_on_error(NOW.plus(11)), "{forbidding}");
        }
    }

    proptest! {
        #[test]
        fn any_statement_is_judged_without_overflow(cache_control in "([a-z-]{0,12}=?\"?[0-9]{0,22}\"?[, ]{0,2}){0,6}|\\PC{0,40}", age in "\\PC{0,25}|[0-9]{0,25}", expires in "\\PC{0,30}", requested: u64, answered: u64, now: u64) {
            let statement = Statement { status: 200, cache_control: Some(&cache_control), age: Some(&age), expires: Some(&expires), ..Statement::default() };
            let exchange = Exchange { requested: UnixSeconds(requested), answered: UnixSeconds(answered) };
            let storage = judge(&statement, exchange);
            let now = UnixSeconds(now);
            prop_assert!(storage.fresh_until <= exchange.answered.plus(DELTA_SECONDS_MAX));
            prop_assert!(storage.age_s(now) <= DELTA_SECONDS_MAX);
            prop_assert!(!storage.is_fresh(now) || storage.may_serve_on_error(now) || storage.must_revalidate);
        }

        #[test]
        fn an_older_answer_is_never_fresh_for_longer(max_age in 0u64..1000, age in 0u64..1000, older in 0u64..1000) {
            let field = format!("max-age={max_age}");
            let until = |age: u64| {
                let age = age.to_string();
                judge(&Statement { age: Some(&age), cache_control: Some(&field), status: 200, ..Statement::default() }, AT_ONCE).fresh_until
            };
            prop_assert!(until(age + older) <= until(age));
        }
    }
}
