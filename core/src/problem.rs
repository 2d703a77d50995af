//! Problem details for HTTP (RFC 9457): what a refusal looks like to the outside.

use std::fmt::Write;

/// A refusal in words for the client; never holds secrets or inner state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Stable name of the kind of problem: lowercase words with hyphens. Becomes the `type` URI.
    pub slug: &'static str,
    /// The kind of problem in a few words; the same for every occurrence.
    pub title: &'static str,
    /// The HTTP status sent with it.
    pub status: u16,
    /// This occurrence in a sentence, if there is more to say.
    pub detail: Option<String>,
}

impl Problem {
    /// The Content-Type of [`to_json`](Self::to_json).
    pub const CONTENT_TYPE: &'static str = "application/problem+json";

    /// What every `type` begins with. A name, not an address: nothing is to be fetched there.
    pub const TYPE_PREFIX: &'static str = "urn:needledrop:problem:";

    /// A problem without an occurrence's own words.
    pub fn new(slug: &'static str, title: &'static str, status: u16) -> Self {
        Self { slug, title, status, detail: None }
    }

    /// The same with a sentence about this occurrence.
    pub fn with_detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// The JSON text, members in fixed order.
    pub fn to_json(&self) -> String {
        let mut json = String::with_capacity(160);
        json.push_str("{\"type\":");
        push_string(&mut json, &format!("{}{}", Self::TYPE_PREFIX, self.slug));
        json.push_str(",\"title\":");
        push_string(&mut json, self.title);
        write!(json, ",\"status\":{}", self.status).expect("writing to a String cannot fail");
        if let Some(detail) = &self.detail {
            json.push_str(",\"detail\":");
            push_string(&mut json, detail);
        }
        json.push('}');
        json
    }
}

/// A JSON string (RFC 8259, 7).
fn push_string(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            control if u32::from(control) < 0x20 => {
                write!(json, "\\u{:04x}", u32::from(control)).expect("writing to a String cannot fail");
            }
            other => json.push(other),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_written_with_its_members_in_order() {
        let problem = Problem::new("url-expired", "The URL has expired", 403);
        assert_eq!(
            problem.to_json(),
            r#"{"type":"urn:needledrop:problem:url-expired","title":"The URL has expired","status":403}"#
        );
    }

    #[test]
    fn text_from_outside_cannot_leave_its_string() {
        let problem = Problem::new("x", "X", 400).with_detail("a\"b\\c\n\u{1}é");
        assert!(problem.to_json().ends_with(r#","detail":"a\"b\\c\u000a\u0001é"}"#));
    }
}
