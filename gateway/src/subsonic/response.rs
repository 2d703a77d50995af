//! Answers as a tree, written as XML or as JSON.
//!
//! Subsonic says the same thing in both: attributes of an element become members of an object, elements that may come
//! several times become an array, and the text of an element becomes a member that the caller names (`value`). Names
//! are constants of ours; every value is hostile and is escaped here. XML has no place for most control characters, not
//! even escaped (XML 1.0, 2.2): they are left out.

use needledrop_core::UnixSeconds;
use serde_json::{Map, Value as Json};

/// What an attribute holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Yes or no.
    Bool(bool),
    /// Any number.
    Float(f64),
}

/// What stands below an element.
#[derive(Clone, Debug, PartialEq)]
enum Child {
    One(Element),
    Many(Vec<Element>),
    Words(Vec<Value>),
}

/// An element of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Element {
    attributes: Vec<(&'static str, Value)>,
    children: Vec<(&'static str, Child)>,
    text: Option<String>,
}

impl Element {
    /// Without anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// With an attribute.
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// With an attribute, if there is a value.
    pub fn maybe(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With a text of its own, `value` in JSON.
    pub fn said(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// With an element that comes once.
    pub fn one(mut self, name: &'static str, element: Element) -> Self {
        self.children.push((name, Child::One(element)));
        self
    }

    /// With elements of one name: always an array in JSON, even without any.
    pub fn many(mut self, name: &'static str, elements: Vec<Element>) -> Self {
        self.children.push((name, Child::Many(elements)));
        self
    }

    /// With elements of one name that hold a value and nothing else: an array of values in JSON.
    pub fn words(mut self, name: &'static str, values: impl IntoIterator<Item = impl Into<Value>>) -> Self {
        self.children.push((name, Child::Words(values.into_iter().map(Into::into).collect())));
        self
    }

    /// The element as XML.
    pub fn xml(&self, name: &str, out: &mut String) {
        out.push('<');
        out.push_str(name);
        for (name, value) in &self.attributes {
            out.push(' ');
            out.push_str(name);
            out.push_str("=\"");
            escape(&value.text(), out);
            out.push('"');
        }
        if self.children.is_empty() && self.text.is_none() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        if let Some(text) = &self.text {
            escape(text, out);
        }
        for (name, child) in &self.children {
            match child {
                Child::One(element) => element.xml(name, out),
                Child::Many(elements) => elements.iter().for_each(|element| element.xml(name, out)),
                Child::Words(values) => values.iter().for_each(|value| {
                    *out += &format!("<{name}>");
                    escape(&value.text(), out);
                    *out += &format!("</{name}>");
                }),
            }
        }
        *out += &format!("</{name}>");
    }

    /// The element as JSON.
    pub fn json(&self) -> Json {
        let mut members = Map::new();
        for (name, value) in &self.attributes {
            members.insert((*name).to_owned(), value.json());
        }
        for (name, child) in &self.children {
            let json = match child {
                Child::One(element) => element.json(),
                Child::Many(elements) => elements.iter().map(Element::json).collect(),
                Child::Words(values) => values.iter().map(Value::json).collect(),
            };
            members.insert((*name).to_owned(), json);
        }
        if let Some(text) = &self.text {
            members.insert("value".to_owned(), text.as_str().into());
        }
        Json::Object(members)
    }
}

impl Value {
    fn text(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Int(number) => number.to_string(),
            Value::Bool(yes) => yes.to_string(),
            Value::Float(number) => number.to_string(),
        }
    }

    fn json(&self) -> Json {
        match self {
            Value::Text(text) => text.as_str().into(),
            Value::Int(number) => (*number).into(),
            Value::Bool(yes) => (*yes).into(),
            Value::Float(number) => (*number).into(),
        }
    }
}

macro_rules! values {
    ($($from:ty => $value:ident => $to:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $to
            }
        }
    )*};
}

values! {
    &str => text => Value::Text(text.to_owned());
    String => text => Value::Text(text);
    bool => yes => Value::Bool(yes);
    f64 => number => Value::Float(number);
    u8 => number => Value::Int(number.into());
    u16 => number => Value::Int(number.into());
    u32 => number => Value::Int(number.into());
    // More than 63 bits hold is no count of anything here.
    u64 => number => Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    usize => number => Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    UnixSeconds => moment => Value::Text(date_time(moment));
}

/// Escapes what XML would take for something else, in attributes and in text, and leaves out what XML has no place for.
fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // As they are they would be made blanks in an attribute (XML 1.0, 3.3.3).
            '\t' | '\n' | '\r' => *out += &format!("&#{};", character as u32),
            '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => {}
            _ => out.push(character),
        }
    }
}

/// `2026-11-22T23:00:00Z`.
pub fn date_time(moment: UnixSeconds) -> String {
    // Later than the year 9999 is no date that a client reads.
    let seconds = moment.0.min(253_402_300_799);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Days since 1 March of the year 0, in eras of 400 years: the leap day ends a year that begins in March.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xml(element: &Element) -> String {
        let mut out = String::new();
        element.xml("e", &mut out);
        out
    }

    #[test]
    fn hostile_names_stay_names() {
        let name = "</e><x a='\"&\u{0}\u{1b}\n愛\u{ffff}";
        let element = Element::new().with("name", name).said(name);
        let escaped = "&lt;/e&gt;&lt;x a='&quot;&amp;&#10;愛";
        assert_eq!(xml(&element), format!("<e name=\"{escaped}\">{escaped}</e>"));
        assert_eq!(element.json()["name"], name);
    }

    #[test]
    fn types_are_kept_in_json_and_lists_are_lists() {
        let element = Element::new()
            .with("n", 7_u32)
            .with("yes", true)
            .maybe("none", None::<u32>)
            .many("item", vec![Element::new().with("id", "1")])
            .many("nothing", Vec::new())
            .words("folder", [0_u32]);
        let json = serde_json::json!({
            "n": 7, "yes": true, "item": [{ "id": "1" }], "nothing": [], "folder": [0],
        });
        assert_eq!(element.json(), json);
        assert_eq!(xml(&element), "<e n=\"7\" yes=\"true\"><item id=\"1\"/><folder>0</folder></e>");
    }

    #[test]
    fn moments_are_dates() {
        let dates = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_800_000_000, "2027-01-15T08:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ];
        for (moment, date) in dates {
            assert_eq!(date_time(UnixSeconds(moment)), date);
        }
    }
}
