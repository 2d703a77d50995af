//! `CDN-Loop` (RFC 8586): which nodes a request has passed, so that none of them asks itself.
//!
//! A node adds its own id to whatever chain came with the request that made it ask upstream,
//! and refuses a request whose chain bears that id already. Nobody may remove ids, so what
//! cannot be kept whole is refused as well.

use crate::freshness::Quotes;

/// Ids in a chain. Unit: ids. Origin, shield, edge and a CDN in front of each make fewer.
pub const HOPS_MAX: usize = 16;

/// The longest chain. Unit: bytes.
pub const CHAIN_BYTES_MAX: usize = 1_024;

/// The ids that came with a request, in the order of the nodes it passed. Empty for a request of
/// our own or of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Chain(String);

/// Why a request must not be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loop {
    /// It has been here.
    Closed,
    /// It passed more nodes than any sane set-up has, or bears a chain that cannot be kept.
    TooLong,
}

impl Chain {
    /// Reads the lines of the field (RFC 9110 section 5.3 joins them).
    ///
    /// # Errors
    /// The chain bears `own` or is longer than the limits.
    pub fn read<'a>(lines: impl IntoIterator<Item = &'a [u8]>, own: &str) -> Result<Self, Loop> {
        let mut chain = String::new();
        for line in lines {
            let text = std::str::from_utf8(line).ok().filter(|text| text.is_ascii()).ok_or(Loop::TooLong)?;
            let text = text.trim_matches([' ', '\t', ',']);
            if text.is_empty() {
                continue;
            }
            if chain.len() + text.len() + 2 > CHAIN_BYTES_MAX {
                return Err(Loop::TooLong);
            }
            if !chain.is_empty() {
                chain.push_str(", ");
            }
            chain.push_str(text);
        }
        if has_open_quote(&chain) {
            // An id added behind it would be inside of the string, and not be found again.
            return Err(Loop::TooLong);
        }
        let mut hops = 0;
        for member in members(&chain) {
            hops += 1;
            // cdn-info = cdn-id *( OWS ";" OWS parameter ); hosts are compared without case.
            let id = member.split(';').next().unwrap_or("").trim_matches([' ', '\t']);
            if id.eq_ignore_ascii_case(own) {
                return Err(Loop::Closed);
            }
        }
        if hops >= HOPS_MAX { Err(Loop::TooLong) } else { Ok(Self(chain)) }
    }

    /// The field of a request that node `own` sends because of this one.
    pub fn with(&self, own: &str) -> String {
        if self.0.is_empty() { own.to_owned() } else { format!("{}, {own}", self.0) }
    }
}

/// The members of a list; commas inside of quoted strings do not divide.
fn members(field: &str) -> impl Iterator<Item = &str> {
    let mut quotes = Quotes::default();
    let divides = move |character: char| !quotes.inside(character) && character == ',';
    field.split(divides).map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty())
}

fn has_open_quote(field: &str) -> bool {
    let mut quotes = Quotes::default();
    field.chars().fold(false, |_, character| quotes.inside(character))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(lines: &[&str]) -> Result<Chain, Loop> {
        Chain::read(lines.iter().map(|line| line.as_bytes()), "edge-1")
    }

    #[test]
    fn ids_are_added_behind_what_came() {
        assert_eq!(read(&[]).unwrap().with("edge-1"), "edge-1");
        assert_eq!(read(&["a.example:8080; v=1", "b"]).unwrap().with("edge-1"), "a.example:8080; v=1, b, edge-1");
    }

    #[test]
    fn our_own_id_is_found_wherever_it_stands() {
        for lines in
            [&["edge-1"][..], &["a, edge-1"], &["EDGE-1 ; x=y"], &["a", "b,edge-1,c"], &["a; q=\"1,2\", edge-1"]]
        {
            assert_eq!(read(lines), Err(Loop::Closed), "{lines:?}");
        }
        for lines in [&["edge-10"][..], &["a; id=edge-1"], &["a; q=\", edge-1\""], &["xedge-1"]] {
            assert!(read(lines).is_ok(), "{lines:?}");
        }
    }

    #[test]
    fn a_chain_without_end_is_refused() {
        let many = vec!["a"; HOPS_MAX].join(",");
        assert_eq!(read(&[&many]), Err(Loop::TooLong));
        assert_eq!(read(&[&"a".repeat(CHAIN_BYTES_MAX)]), Err(Loop::TooLong));
        assert_eq!(Chain::read([&b"\xff"[..]], "edge-1"), Err(Loop::TooLong));
    }

    proptest! {
        #[test]
        fn whatever_a_node_sends_it_recognises(lines in prop::collection::vec("[a-z0-9.;=:, \"\\\\-]{0,40}", 0..6)) {
            if let Ok(chain) = Chain::read(lines.iter().map(String::as_bytes), "edge-1") {
                let sent = chain.with("edge-1");
                prop_assert_eq!(Chain::read([sent.as_bytes()], "edge-1"), Err(Loop::Closed));
            }
        }
    }
}
