//! The parameters of an admin request: its query, decoded once, every name known.

/// Parameters in one request. Unit: pairs; the longest call names a mark for each of 128 nodes.
const PAIRS_MAX: usize = 160;

/// Names and values in the order in which they stood.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query(Vec<(String, String)>);

/// What is wrong with a query, in a sentence for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct QueryError(pub String);

impl Query {
    /// Reads the part of a target behind `?`. `names` are those that mean something here.
    ///
    /// # Errors
    /// A name that means nothing here, a broken escape, or too much of all.
    pub fn parse(target: &str, names: &[&str]) -> Result<Self, QueryError> {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let mut pairs = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decode = |text| decode(text).ok_or_else(|| QueryError(format!("{text:?} is not a well-formed escape")));
            let (name, value) = (decode(name)?, decode(value)?);
            if !names.contains(&name.as_str()) {
                let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                return Err(QueryError(format!("there is no parameter {name:?} here; known are: {known}")));
            }
            if pairs.len() == PAIRS_MAX {
                return Err(QueryError(format!("more than {PAIRS_MAX} parameters")));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// All values of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(is, _)| is == name).map(|(_, value)| value.as_str())
    }

    /// The value of a name that may stand once.
    ///
    /// # Errors
    /// It stands twice.
    pub fn one(&self, name: &str) -> Result<Option<&str>, QueryError> {
        let mut values = self.0.iter().filter(|(is, _)| is == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(QueryError(format!("{name} stands twice"))),
            (first, None) => Ok(first),
        }
    }

    /// The number of a name that may stand once.
    ///
    /// # Errors
    /// It stands twice, or is no number.
    pub fn number(&self, name: &str) -> Result<Option<u64>, QueryError> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| QueryError(format!("{name}={text} is not a number")))
    }
}

/// Percent-decoding (RFC 3986 section 2.1) into text; `+` stays what it is.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = tail;
            continue;
        }
        let hex = std::str::from_utf8(tail.get(..2)?).ok()?;
        if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).ok()
}

/// Percent-encoding of a value: unreserved characters and `/` stay (RFC 3986 section 3.4).
pub fn encode(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let piece = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    value.bytes().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unknown_and_repeated_names_are_refused_by_name() {
        let query = Query::parse("/purge?tag=a%2cb&x=1", &["tag"]).unwrap_err();
        assert!(query.0.contains("\"x\"") && query.0.contains("tag"));
        let query = Query::parse("/purge?tag=a&tag=b", &["tag"]).unwrap();
        assert!(query.one("tag").is_err());
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["a", "b"]);
        for broken in ["?tag=%", "?tag=%2", "?tag=%+1", "?tag=%ff"] {
            assert!(Query::parse(broken, &["tag"]).is_err(), "{broken}");
        }
    }

    proptest! {
        #[test]
        fn every_value_survives(value in "\\PC{0,20}") {
            let query = Query::parse(&format!("/x?v={}", encode(&value)), &["v"]).unwrap();
            prop_assert_eq!(query.one("v").unwrap(), Some(value.as_str()));
        }
    }
}
