//! Texts of feeds: references, markup that is taken off, and lengths.

/// Most bytes of a reference between `&` and `;`.
const REFERENCE_BYTES_MAX: usize = 12;

/// The character that a reference names: those of XML, numbers, and what people write without declaring it.
pub(super) fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
            None => number.parse().ok()?,
        };
        // NUL has no place in XML, and none in our database.
        return char::from_u32(code).filter(|character| *character != '\0');
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "hellip" => '…',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "laquo" => '«',
        "raquo" => '»',
        "bull" => '•',
        "middot" => '·',
        "copy" => '©',
        "reg" => '®',
        "trade" => '™',
        "euro" => '€',
        "pound" => '£',
        "deg" => '°',
        "auml" => 'ä',
        "ouml" => 'ö',
        "uuml" => 'ü',
        "Auml" => 'Ä',
        "Ouml" => 'Ö',
        "Uuml" => 'Ü',
        "szlig" => 'ß',
        "eacute" => 'é',
        "egrave" => 'è',
        "agrave" => 'à',
        "ccedil" => 'ç',
        "ntilde" => 'ñ',
        _ => return None,
    })
}

/// Resolves references, once: what comes out is not looked at again.
pub(super) fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.bytes().take(REFERENCE_BYTES_MAX + 2).position(|byte| byte == b';');
        match end.and_then(|end| Some((entity(&rest[1..end])?, end))) {
            Some((character, end)) => {
                out.push(character);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

/// Cuts a text to so many bytes, between two characters.
pub(super) fn shorten(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let end = (0..=bytes_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
}

/// One line without blanks at its ends or several in a row, and without control characters; at most so many bytes.
pub(super) fn line(text: &str, bytes_max: usize) -> String {
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
        if out.len() > bytes_max {
            break;
        }
    }
    shorten(&mut out, bytes_max);
    out.truncate(out.trim_end().len());
    out
}

/// The plain text of what may be HTML: tags go, those that end a line end one, what a script or a style holds goes too.
pub(super) fn plain(html: &str, bytes_max: usize) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let is_tag = rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
        let Some(end) = is_tag.then(|| rest.find('>')).flatten() else {
            text.push('<');
            rest = &rest[1..];
            // Without another `>` nothing that follows is a tag.
            if is_tag {
                text.push_str(rest);
                rest = "";
            }
            continue;
        };
        let tag = tag_name(&rest[1..end]);
        rest = &rest[end + 1..];
        match tag.as_str() {
            "script" | "style" => rest = behind_end(rest, &tag),
            "br" | "p" | "/p" | "div" | "/div" | "li" | "/ul" | "/ol" | "tr" | "h1" | "h2" | "h3" | "h4" => {
                text.push('\n');
            }
            _ => {}
        }
    }
    text.push_str(rest);
    lines(&unescape(&text), bytes_max)
}

fn tag_name(tag: &str) -> String {
    let name = tag.split(|c: char| c.is_whitespace()).next().unwrap_or_default();
    name.chars().take(16).collect::<String>().trim_end_matches('/').to_ascii_lowercase()
}

/// What follows the end tag of this name.
fn behind_end<'a>(text: &'a str, name: &str) -> &'a str {
    let is_end = |rest: &str| rest.get(2..2 + name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name));
    let mut from = 0;
    while let Some(at) = text[from..].find("</") {
        let at = from + at;
        if is_end(&text[at..]) {
            return text[at..].find('>').map_or("", |end| &text[at + end + 1..]);
        }
        from = at + 2;
    }
    ""
}

/// Lines without blanks at their ends, and never two empty ones in a row.
fn lines(text: &str, bytes_max: usize) -> String {
    let mut out = String::new();
    let mut is_gap = false;
    for written in text.lines() {
        let clean = line(written, bytes_max);
        if clean.is_empty() {
            is_gap = !out.is_empty();
            continue;
        }
        if !out.is_empty() {
            out.push_str(if is_gap { "\n\n" } else { "\n" });
        }
        is_gap = false;
        out.push_str(&clean);
        if out.len() > bytes_max {
            break;
        }
    }
    shorten(&mut out, bytes_max);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn references_are_resolved_once() {
        assert_eq!(unescape("a &amp; b &#233;&#xE9; &lt;x&gt; &amp;lt; &nope; & &"), "a & b éé <x> &lt; &nope; & &");
        assert_eq!(unescape("&#0;&#x110000;&#xD800;&#99999999999;"), "&#0;&#x110000;&#xD800;&#99999999999;");
    }

    #[test]
    fn markup_is_taken_off() {
        let html =
            "<p>One<br/>two &amp; three</p>\n<SCRIPT>alert('<b>')</SCRIPT><ul><li>x</li></ul> 1 < 2 <a href='>'>l</a>";
        assert_eq!(plain(html, 999), "One\ntwo & three\n\nx\n1 < 2 '>l");
        assert_eq!(plain("a <unfinished", 999), "a <unfinished");
        assert_eq!(plain("a<style>never ends", 999), "a");
        assert_eq!(plain("no markup at all", 8), "no marku");
        assert_eq!(plain("&lt;b&gt; stays", 99), "<b> stays");
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(line("  a\t\n b\u{0}c \u{a0}d ", 99), "a b c d");
        assert_eq!(line("äöü", 3), "ä");
    }

    proptest! {
        #[test]
        fn lengths_hold_for_every_text(text in "\\PC{0,200}", max in 0_usize..50) {
            prop_assert!(line(&text, max).len() <= max);
            prop_assert!(plain(&text, max).len() <= max);
            let cleaned = line(&text, 999);
            prop_assert_eq!(line(&cleaned, 999), cleaned);
        }
    }
}
