//! A run as one page that needs no network and no script, for a person who would rather look than read.
//!
//! All that a server or a file said passes through [`escape`] on its way in; the policy in the head forbids whatever
//! would come through nevertheless.

pub mod cdf;
mod phases;
pub mod plot;
mod timeline;

use std::{fmt::Write, time::Duration};

use serde_json::Value;

use super::{
    Report,
    figures::{self, Class, Figures},
    numbers::{self, bytes, clock, count, harmless, rate, share, took, took_or_dash},
    text,
};
use crate::{
    measured::{Cache, Key, Measure, Opening, Protocol, Why},
    tally::Latencies,
};

/// Most settings that are listed.
const SETTINGS_MAX: usize = 200;

/// Text as HTML shows it, in an element or in a quoted attribute.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(letter),
        }
    }
    out
}

/// Foreign text: nothing that moves or turns, and escaped.
pub fn foreign(text: &str) -> String {
    escape(&harmless(text))
}

/// A whole page around this content.
pub fn document(title: &str, about: &str, content: &str) -> String {
    let (title, about, version) = (escape(title), escape(about), env!("CARGO_PKG_VERSION"));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         img-src data:; base-uri 'none'; form-action 'none'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>\n{}</style>\n</head>\n<body>\n\
         <header>{LOGO}<div><h1>{title}</h1><p class=\"about\">{about}</p></div></header>\n\
         <main>\n{content}</main>\n<footer>Made by needledrop-loadtest {version}. Every latency counts from the \
         instant at which the tap was meant to happen.</footer>\n</body>\n</html>\n",
        include_str!("style.css"),
    )
}

/// A record, and the needle on it.
const LOGO: &str = "<svg viewBox=\"0 0 32 32\" aria-hidden=\"true\"><circle cx=\"15\" cy=\"17\" r=\"13.5\" \
    fill=\"#1d1a26\" \
    stroke=\"#57506b\" stroke-width=\".7\"/><circle cx=\"15\" cy=\"17\" r=\"9.4\" fill=\"none\" stroke=\"#57506b\" \
    stroke-width=\".7\"/><circle cx=\"15\" cy=\"17\" r=\"4.6\" fill=\"#ff6b4a\"/><circle cx=\"15\" cy=\"17\" r=\"1.1\" \
    fill=\"#fff\"/><path d=\"M29 3 22 13\" stroke=\"#f2a65a\" stroke-width=\"2.4\" stroke-linecap=\"round\"/></svg>";

impl Report {
    /// The run as one HTML page.
    pub fn page(&self) -> String {
        let content = [
            self.distrusted(),
            self.headline(),
            self.verdicts(),
            self.distributions(),
            self.phases(),
            self.over_time(),
            self.classes(),
            self.sound(),
            self.troubles(),
            self.health(),
            self.conditions(),
        ]
        .concat();
        let target = self.settings.get("target").and_then(Value::as_str).unwrap_or_default();
        let title =
            if target.is_empty() { "Needle drop".into() } else { format!("Needle drop of {}", harmless(target)) };
        let length = clock(Duration::from_secs_f64(self.seconds));
        let about =
            format!("{}, {length} long, by {} listeners", numbers::date(self.began), count(self.tally.listeners));
        document(&title, &about, &content)
    }

    fn distrusted(&self) -> String {
        distrusted("Do not trust these numbers", &self.distrust())
    }

    fn headline(&self) -> String {
        let (figures, tally) = (Figures::of(&self.tally), &self.tally);
        let drop = |share| took_or_dash(figures.needle_drop.quantile(share));
        let about = if figures.sounded { "from tap to first sound" } else { "from tap to 64 KiB: nothing sounded" };
        let hits = match figures.hit_share {
            Some(hits) => (share(hits), "of the answers that said it"),
            None => ("unsaid".into(), "no answer says where it came from"),
        };
        let stalls = match figures.stalled_share {
            Some(stalled) => {
                (share(stalled), format!("{} in {} of music", count(figures.stalls.count()), played(self)))
            }
            None => ("–".into(), "nothing was played".into()),
        };
        let started = rate(tally.starts as f64 / self.seconds.max(0.001));
        let errors = match figures.trouble_share {
            Some(errors) if figures.troubles > 0 => (share(errors), format!("{} in all", count(figures.troubles))),
            _ => (count(figures.troubles), "for each start".into()),
        };
        let all = [
            ("Needle drop, median", drop(0.5), about.to_owned(), " drop"),
            ("Needle drop, p99", drop(0.99), format!("p99.9 {}, longest {}", drop(0.999), drop(1.0)), " drop"),
            ("Starts", count(tally.starts), format!("{started} a second"), ""),
            ("Errors", errors.0, errors.1, ""),
            ("Hits", hits.0, hits.1.into(), ""),
            ("Stalled", stalls.0, stalls.1, ""),
        ];
        let mut out = String::from("<section aria-label=\"Headline\"><dl class=\"headline\">");
        for (name, value, more, class) in all {
            let (value, more) = (escape(&value), escape(&more));
            let _ = write!(
                out,
                "<div class=\"figure{class}\"><dt>{name}</dt><dd>{value}</dd><dd class=\"more\">{more}</dd></div>"
            );
        }
        out + "</dl></section>\n"
    }

    fn verdicts(&self) -> String {
        if self.thresholds.is_empty() {
            return String::new();
        }
        let mut out = String::from(
            "<section><h2>Thresholds</h2><p class=\"note\">The run fails if one of these holds.</p><ul \
             class=\"verdicts\">",
        );
        for judged in &self.thresholds {
            let (class, word) = if judged.failed { ("failed", "✗ failed") } else { ("passed", "✓ passed") };
            let (text, sentence) = (foreign(&judged.text), foreign(&judged.sentence));
            let _ = write!(out, "<li class=\"{class}\"><b>{word}</b> <code>{text}</code> <span>{sentence}</span></li>");
        }
        out + "</ul></section>\n"
    }

    fn distributions(&self) -> String {
        let (measure, about) = self.start_measure();
        let line = |series, name: String, pleases: &dyn Fn(&Key) -> bool| cdf::Line {
            series,
            name,
            latencies: self.tally.sum(measure, |key| text::is_waited_for(key) && pleases(key)),
        };
        let protocols = Protocol::ALL.into_iter().enumerate();
        let protocols: Vec<_> = protocols.map(|(at, is)| line(at, is.to_string(), &|key| key.protocol == is)).collect();
        let openings = Opening::ALL.into_iter().enumerate();
        let openings: Vec<_> = openings.map(|(at, is)| line(at, is.to_string(), &|key| key.opening == is)).collect();
        let caches = Cache::ALL.into_iter().enumerate();
        let caches: Vec<_> = caches.map(|(at, is)| line(at, is.to_string(), &|key| key.cache == is)).collect();
        let plots = [
            cdf::draw("By protocol", about, &protocols),
            cdf::draw("By connection", about, &openings),
            cdf::draw("By cache", about, &caches),
        ]
        .concat();
        section(
            "How long people waited",
            "Taps and skips. Along: the wait. Upwards: how many waited no longer; each line is rarer than the one \
             below. A curve ends where its samples end.",
            &format!("<div class=\"plots\">{plots}</div>"),
            !plots.is_empty(),
        )
    }

    /// What the plots of starts are of.
    fn start_measure(&self) -> (Measure, &'static str) {
        let sounded = self.tally.latencies.keys().any(|key| key.measure == Measure::FirstAudio);
        if sounded { (Measure::FirstAudio, "tap to first sound") } else { (Measure::First64K, "tap to 64 KiB") }
    }

    fn phases(&self) -> String {
        let drawn = phases::draw(&self.tally);
        let table = boxed("Phases of a start", &phases::table(&self.tally));
        section(
            "What a start is made of",
            "Each percentile is of its own: the tap that was slow to connect need not be the one that was slow to \
             sound.",
            &format!("<div class=\"plots pair\">{drawn}{table}</div>"),
            !drawn.is_empty(),
        )
    }

    fn over_time(&self) -> String {
        let drawn = timeline::draw(&self.tally, self.seconds);
        section("Over time", "", &format!("<div class=\"plots\">{drawn}</div>"), !drawn.is_empty())
    }

    fn classes(&self) -> String {
        let mut out = String::from(
            "<table><thead><tr><th scope=\"col\" rowspan=\"2\">taps and skips</th><th scope=\"col\" \
             rowspan=\"2\">count</th>",
        );
        for measure in text::TABLE {
            let _ =
                write!(out, "<th scope=\"colgroup\" colspan=\"4\" class=\"start\">{}</th>", figures::title(measure));
        }
        out.push_str("</tr><tr>");
        for _ in text::TABLE {
            for (at, (name, _)) in text::PERCENTILES.into_iter().enumerate() {
                let _ = write!(out, "<th scope=\"col\"{}>{name}</th>", if at == 0 { " class=\"start\"" } else { "" });
            }
        }
        out.push_str("</tr></thead><tbody>");
        let mut row = |name: &str, class: &str, pleases: &dyn Fn(&Key) -> bool| {
            let sums = text::TABLE.map(|measure| self.tally.sum(measure, pleases));
            let most = sums.iter().map(Latencies::count).max().unwrap_or(0);
            if most == 0 {
                return;
            }
            let _ = write!(out, "<tr{class}><th scope=\"row\">{}</th><td>{}</td>", escape(name), count(most));
            for sum in sums {
                for (at, (_, quantile)) in text::PERCENTILES.into_iter().enumerate() {
                    let class = if at == 0 { " class=\"start\"" } else { "" };
                    let _ = write!(out, "<td{class}>{}</td>", took_or_dash(sum.quantile(quantile)));
                }
            }
            out.push_str("</tr>");
        };
        row("all", " class=\"all\"", &text::is_waited_for);
        let mut before = None;
        for class in Class::all([&self.tally]) {
            let group = (class.protocol, class.opening);
            let first = if before.replace(group) == Some(group) { "" } else { " class=\"first\"" };
            row(&class.to_string(), first, &|key| text::is_waited_for(key) && Class::of(key) == class);
        }
        out.push_str("</tbody></table>");
        let mut whys = String::from(
            "<table><caption>By what the listener did</caption><thead><tr><th scope=\"col\">why</th><th \
             scope=\"col\">count</th>\
             <th scope=\"col\">first audio p50</th><th scope=\"col\">p99</th></tr></thead><tbody>",
        );
        for why in Why::ALL {
            let sounds = self.tally.sum(self.start_measure().0, |key| key.why == why);
            if sounds.count() > 0 {
                let [median, high] = [0.5, 0.99].map(|quantile| took_or_dash(sounds.quantile(quantile)));
                let number = count(sounds.count());
                let _ = write!(
                    whys,
                    "<tr><th scope=\"row\">{why}</th><td>{number}</td><td>{median}</td><td>{high}</td></tr>"
                );
            }
        }
        whys.push_str("</tbody></table>");
        section(
            "By class",
            "Protocol, state of the connection, and what the cache said of the first answer.",
            &format!("{}<div class=\"apart\">{}</div>", boxed("Latencies by class", &out), boxed("By why", &whys)),
            !self.tally.latencies.is_empty(),
        )
    }

    fn sound(&self) -> String {
        let (stalls, gaps) = (Figures::of(&self.tally).stalls, self.tally.sum(Measure::Gap, |_| true));
        let mut rows = String::new();
        for (name, latencies) in [("stalls", &stalls), ("gaps between tracks", &gaps)] {
            if latencies.count() > 0 {
                let total = took(latencies.total());
                let _ = write!(rows, "<tr><th scope=\"row\">{name}</th><td>{}</td>", count(latencies.count()));
                for quantile in [0.5, 0.9, 0.99, 1.0] {
                    let _ = write!(rows, "<td>{}</td>", took_or_dash(latencies.quantile(quantile)));
                }
                let _ = write!(rows, "<td>{total}</td></tr>");
            }
        }
        let note = match (stalls.count(), self.tally.played_ms) {
            (_, 0) => String::new(),
            (0, _) => format!("No stall in {} of music.", played(self)),
            (_, whole) => {
                let stalled = figures::share(self.tally.stalled_ms, whole).map_or_else(String::new, share);
                format!("{stalled} of {} of music was silence in the middle of a track.", played(self))
            }
        };
        let table = format!(
            "<table><thead><tr><th scope=\"col\">silence</th><th scope=\"col\">count</th><th scope=\"col\">p50</th>\
             <th scope=\"col\">p90</th><th scope=\"col\">p99</th><th scope=\"col\">longest</th><th scope=\"col\">in \
             all</th>\
             </tr></thead><tbody>{rows}</tbody></table>"
        );
        let table = if rows.is_empty() { String::new() } else { boxed("Stalls and gaps", &table) };
        section("Silence", &note, &table, !(rows.is_empty() && note.is_empty()))
    }

    fn troubles(&self) -> String {
        if self.tally.troubles.is_empty() {
            return section("Troubles", "None.", "", true);
        }
        let mut out = String::from("<ul class=\"box troubles\">");
        for (trouble, times) in &self.tally.troubles {
            let _ = write!(out, "<li><b>{trouble}</b> ×{}", count(*times));
            for sentence in self.tally.examples.get(trouble).into_iter().flatten() {
                let _ = write!(out, "<code>{}</code>", foreign(sentence));
            }
            out.push_str("</li>");
        }
        section("Troubles", "With the first sentences about each kind.", &(out + "</ul>"), true)
    }

    fn health(&self) -> String {
        let (own, late) = (&self.own, &self.tally.late);
        let seconds = self.seconds.max(0.001);
        let step_seconds = self.tally.timeline.step_seconds as f64;
        let presence: f64 = self.tally.timeline.steps.iter().map(|step| step.listeners as f64 * step_seconds).sum();
        let mut facts = vec![
            ("late at p50", took_or_dash(late.quantile(0.5))),
            ("late at p99", took_or_dash(late.quantile(0.99))),
            ("late at most", took_or_dash(late.max())),
            ("processor time", format!("{:.1} s: {:.2} cores on average", own.cpu_seconds, own.cpu_seconds / seconds)),
        ];
        if presence > 0.0 && own.cpu_seconds > 0.0 {
            let each = numbers::micros(own.cpu_seconds / presence * 1e6);
            facts.push(("for each listener", format!("{each} of processor time a second")));
        }
        facts.push(("memory at most", bytes(own.peak_memory_bytes)));
        facts.push(("workers", count(own.workers)));
        facts.push(("bytes checked", format!("{} of {}", bytes(self.tally.checked_bytes), bytes(self.tally.bytes))));
        let limit = took(Duration::from_micros(figures::LATE_MICROS_MAX));
        let mut content = list(&facts);
        if !self.generators.is_empty() {
            let mut table = String::from(
                "<table><thead><tr><th scope=\"col\">generator</th><th scope=\"col\">cores</th><th \
                 scope=\"col\">processor time</th>\
                 <th scope=\"col\">memory</th><th scope=\"col\">machine</th></tr></thead><tbody>",
            );
            for generator in &self.generators {
                let _ = write!(
                    table,
                    "<tr><th scope=\"row\">{}</th><td>{}</td><td>{:.1} s</td><td>{}</td><td \
                     class=\"words\">{}</td></tr>",
                    foreign(&generator.name),
                    generator.machine.cores,
                    generator.own.cpu_seconds,
                    bytes(generator.own.peak_memory_bytes),
                    foreign(&format!("{}, {}", generator.machine.cpu, generator.machine.kernel)),
                );
            }
            content.push_str(&boxed("Generators", &(table + "</tbody></table>")));
        }
        let note = format!(
            "The generator measures itself: acting more than {limit} late at p99, it would be measuring its own \
             slowness."
        );
        section("The generator's own health", &note, &content, true)
    }

    fn conditions(&self) -> String {
        let mut settings = Vec::new();
        flatten(String::new(), &self.settings, &mut settings);
        let settings: Vec<(&str, String)> =
            settings.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let machine = self.machine.facts();
        let content = format!(
            "<div class=\"apart\"><div><h3>Settings</h3>{}</div><div><h3>Machine of the generator</h3>{}</div></div>",
            list(&settings),
            list(&machine)
        );
        section("Under which conditions", &format!("needledrop-loadtest {}", harmless(&self.version)), &content, true)
    }
}

/// Reasons for not believing what follows, where there are any.
pub fn distrusted(title: &str, reasons: &[String]) -> String {
    if reasons.is_empty() {
        return String::new();
    }
    let items: String = reasons.iter().map(|reason| format!("<li>{}</li>", escape(reason))).collect();
    format!("<section class=\"distrust\" role=\"alert\"><h2>⚠ {}</h2><ul>{items}</ul></section>\n", escape(title))
}

/// A heading, a sentence and content; nothing at all where there is none.
pub fn section(title: &str, note: &str, content: &str, is_shown: bool) -> String {
    if !is_shown {
        return String::new();
    }
    let note = if note.is_empty() { String::new() } else { format!("<p class=\"note\">{}</p>", escape(note)) };
    format!("<section><h2>{}</h2>{note}{content}</section>\n", escape(title))
}

/// A table that scrolls within its box, by keys as well.
pub fn boxed(name: &str, table: &str) -> String {
    format!("<div class=\"box\" role=\"region\" aria-label=\"{}\" tabindex=\"0\">{table}</div>", escape(name))
}

fn list(facts: &[(&str, String)]) -> String {
    let mut out = String::from("<dl class=\"box facts\">");
    for (name, fact) in facts {
        let _ = write!(out, "<dt>{}</dt><dd>{}</dd>", foreign(name), foreign(fact));
    }
    out + "</dl>"
}

fn played(report: &Report) -> String {
    clock(Duration::from_millis(report.tally.played_ms))
}

/// Settings within settings as `outer.inner`, so that any shape can be shown as a list.
pub fn flatten(name: String, value: &Value, out: &mut Vec<(String, String)>) {
    if out.len() >= SETTINGS_MAX {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (inner, value) in fields {
                let name = if name.is_empty() { inner.clone() } else { format!("{name}.{inner}") };
                flatten(name, value, out);
            }
        }
        Value::Array(items) if items.iter().all(|item| !item.is_object() && !item.is_array()) => {
            out.push((name, items.iter().map(plain).collect::<Vec<_>>().join(", ")));
        }
        Value::Array(items) => {
            for (at, value) in items.iter().enumerate() {
                flatten(format!("{name}.{at}"), value, out);
            }
        }
        Value::Null => {}
        _ => out.push((name, plain(value))),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{measured::Trouble, report::example};

    /// Every tag is closed by its own, which a browser would forgive and a reader of the source would not.
    fn assert_balanced(page: &str) {
        let mut open: Vec<&str> = Vec::new();
        for tag in page.split('<').skip(1).filter_map(|rest| rest.split('>').next()) {
            let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
            match tag {
                _ if matches!(name, "!doctype" | "meta" | "link") || tag.ends_with('/') => {}
                _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(name), "{tag}"),
                _ => open.push(name),
            }
        }
        assert_eq!(open, Vec::<&str>::new());
    }

    #[test]
    fn the_page_is_whole_and_refers_to_nothing_outside() {
        let page = example::report(1).page();
        assert_balanced(&page);
        assert!(page.len() < 400_000, "{}", page.len());
        for outside in ["http://", "src=", "@import", "url(", "<script", "href=\"h", "NaN", "inf"] {
            let found = page.find(outside).map(|at| &page[at..(at + 80).min(page.len())]);
            assert!(found.is_none_or(|found| found.starts_with("info")), "{outside}: {found:?}");
        }
        for part in ["<title>Needle drop of https://edge.example:4433</title>", "✗ failed", "✓ passed", "role=\"img\""]
        {
            assert!(page.contains(part), "{part}");
        }
    }

    #[test]
    fn what_a_server_says_does_not_become_part_of_the_page() {
        let mut report = example::report(1);
        let attack = "\"'><script>alert(1)</script>\u{202e}";
        report.tally.trouble(Duration::ZERO, Trouble::Protocol, || attack.into());
        report.settings = serde_json::json!({ "target": attack, attack: [attack, {attack: attack}] });
        report.missing = vec![attack.into()];
        report.version = attack.into();
        report.machine.cpu = attack.into();
        report.thresholds[0].text = attack.into();
        report.thresholds[0].sentence = attack.into();
        let page = report.page();
        assert_balanced(&page);
        assert!(!page.contains("<script") && !page.contains("\"'>") && !page.contains('\u{202e}'));
    }

    #[test]
    fn a_run_in_which_nothing_happened_has_a_page() {
        let report = Report::new(Value::Null, 0, 0.0, Default::default(), Default::default());
        let page = report.page();
        assert_balanced(&page);
        assert!(page.contains("nothing was started"));
    }

    /// `NEEDLEDROP_PAGE=/tmp/page.html cargo test -p needledrop-loadtest -- --ignored look`
    #[test]
    #[ignore = "writes a page to look at"]
    fn look_at_the_page() {
        let mut report = example::report(1);
        if std::env::var_os("NEEDLEDROP_PAGE_BAD").is_some() {
            report.missing = vec!["192.0.2.7:4711".into()];
            report.tally.trouble(Duration::ZERO, Trouble::Ourselves, || "out of ports".into());
        }
        let path = std::env::var_os("NEEDLEDROP_PAGE").expect("NEEDLEDROP_PAGE names the file");
        std::fs::write(path, report.page()).unwrap();
    }
}
