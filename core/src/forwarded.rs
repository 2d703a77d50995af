//! The client's address behind trusted proxies: Forwarded (RFC 7239) and X-Forwarded-For.
//!
//! Anybody can write these fields, so the chain is read from the near end, and only as long
//! as the one who wrote a link is trusted. What cannot be read ends the walk: the last
//! address that somebody trusted vouched for is the answer.

use std::net::{IpAddr, SocketAddr};

use crate::network::{Cidr, any_contains, unmapped};

/// Most links of a chain that are walked; real chains have three.
pub const LINKS_MAX: usize = 32;

/// Longest field that is looked at, in bytes; longer ones are as if unreadable.
pub const FIELD_BYTES_MAX: usize = 8192;

/// The address of the client, as far as it can be trusted.
///
/// `socket` is who is connected. `forwarded` and `x_forwarded_for` are the fields, several
/// lines joined with `", "`. Forwarded wins: if it is there, the other is not looked at,
/// even when it cannot be read.
pub fn client_address(
    socket: IpAddr,
    forwarded: Option<&str>,
    x_forwarded_for: Option<&str>,
    trusted: &[Cidr],
) -> IpAddr {
    match (forwarded, x_forwarded_for) {
        (Some(field), _) => walk(socket, forwarded_links(field).into_iter().rev(), trusted),
        (None, Some(field)) => walk(socket, x_forwarded_for_links(field), trusted),
        (None, None) => unmapped(socket),
    }
}

/// From the near end: a link counts if the one who wrote it is trusted.
fn walk(socket: IpAddr, links: impl Iterator<Item = Option<IpAddr>>, trusted: &[Cidr]) -> IpAddr {
    let mut client = unmapped(socket);
    for link in links.take(LINKS_MAX) {
        match link {
            Some(address) if any_contains(trusted, client) => client = unmapped(address),
            _ => break,
        }
    }
    client
}

/// The links of X-Forwarded-For, nearest first; a link that is no address is `None`.
fn x_forwarded_for_links(field: &str) -> impl Iterator<Item = Option<IpAddr>> {
    let readable = field.len() <= FIELD_BYTES_MAX;
    let field = if readable { field } else { "" };
    field.rsplit(',').map(|link| parse_node(link.trim_matches([' ', '\t'])))
}

/// The `for` of each element of Forwarded, farthest first. If the field as a whole breaks the
/// grammar there are no links: no part of it can be told from the rest with certainty.
fn forwarded_links(field: &str) -> Vec<Option<IpAddr>> {
    let readable = field.len() <= FIELD_BYTES_MAX;
    readable.then(|| Elements { rest: field }.read()).flatten().unwrap_or_default()
}

/// A walk over the grammar of RFC 7239, 4: elements of `name=value` pairs.
struct Elements<'a> {
    rest: &'a str,
}

impl<'a> Elements<'a> {
    fn read(mut self) -> Option<Vec<Option<IpAddr>>> {
        let mut links = Vec::new();
        loop {
            let (link, had_pairs) = self.element()?;
            if had_pairs {
                links.push(link);
            }
            if self.rest.is_empty() {
                return Some(links);
            }
            self.take(',')?;
        }
    }

    /// One element, up to its comma: the address after `for=`, and whether there was any pair.
    fn element(&mut self) -> Option<(Option<IpAddr>, bool)> {
        let mut link = None;
        let mut seen_for = false;
        let mut had_pairs = false;
        loop {
            self.skip_blanks();
            if self.rest.is_empty() || self.rest.starts_with(',') {
                return Some((link, had_pairs));
            }
            if self.take(';').is_some() {
                continue;
            }
            let name = self.token()?;
            self.take('=')?;
            let value = self.value()?;
            had_pairs = true;
            if name.eq_ignore_ascii_case("for") {
                // RFC 7239, 4: each parameter at most once per element.
                if std::mem::replace(&mut seen_for, true) {
                    return None;
                }
                link = parse_node(&value);
            }
            self.skip_blanks();
            if !self.rest.is_empty() && !self.rest.starts_with([',', ';']) {
                return None;
            }
        }
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn take(&mut self, character: char) -> Option<()> {
        self.rest = self.rest.strip_prefix(character)?;
        Some(())
    }

    /// token of RFC 9110, 5.6.2.
    fn token(&mut self) -> Option<&'a str> {
        let end = self.rest.find(|character| !is_token(character)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }

    /// token / quoted-string (RFC 9110, 5.6.4).
    fn value(&mut self) -> Option<String> {
        if self.take('"').is_none() {
            return self.token().map(str::to_owned);
        }
        let mut value = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((index, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = &self.rest[index + 1..];
                    return Some(value);
                }
                '\\' => value.push(characters.next()?.1),
                other => value.push(other),
            }
        }
        None
    }
}

fn is_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)
}

/// An address, with or without port, IPv6 in brackets or bare; `unknown` and obfuscated
/// names (RFC 7239, 6) are no addresses.
fn parse_node(node: &str) -> Option<IpAddr> {
    if let Ok(address) = node.parse() {
        return Some(address);
    }
    if let Some(address) = node.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse().ok().filter(IpAddr::is_ipv6);
    }
    node.parse::<SocketAddr>().ok().map(|socket| socket.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn trusted() -> Vec<Cidr> {
        ["10.0.0.0/8", "fd00::/8"].map(|text| Cidr::parse(text).expect("a network")).to_vec()
    }

    fn forwarded(field: &str) -> String {
        client_address(address("10.0.0.1"), Some(field), None, &trusted()).to_string()
    }

    fn x_forwarded_for(field: &str) -> String {
        client_address(address("10.0.0.1"), None, Some(field), &trusted()).to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        let stranger = address("198.51.100.7");
        assert_eq!(client_address(stranger, Some("for=203.0.113.9"), None, &trusted()), stranger);
        assert_eq!(client_address(stranger, None, Some("203.0.113.9"), &trusted()), stranger);
        assert_eq!(client_address(address("::ffff:198.51.100.7"), None, None, &trusted()), stranger);
    }

    #[test]
    fn the_chain_is_read_from_the_near_end_while_it_is_trusted() {
        assert_eq!(forwarded("for=203.0.113.9"), "203.0.113.9");
        assert_eq!(forwarded("for=1.1.1.1, for=203.0.113.9, for=10.2.3.4"), "203.0.113.9");
        assert_eq!(forwarded("for=10.9.9.9, for=10.2.3.4"), "10.9.9.9");
        assert_eq!(x_forwarded_for("1.1.1.1, 203.0.113.9 ,10.2.3.4"), "203.0.113.9");
        assert_eq!(x_forwarded_for("203.0.113.9"), "203.0.113.9");
        assert_eq!(x_forwarded_for("203.0.113.9, fd00::7"), "203.0.113.9");
    }

    #[test]
    fn the_spellings_of_rfc_7239_are_understood() {
        assert_eq!(forwarded(r#"For="[2001:db8:cafe::17]:4711""#), "2001:db8:cafe::17");
        assert_eq!(forwarded(r#"for="[2001:db8::1]""#), "2001:db8::1");
        assert_eq!(forwarded("for=192.0.2.60;proto=http;by=203.0.113.43"), "192.0.2.60");
        assert_eq!(forwarded(r#"proto=https ; FOR="192.0.2.60:80" ; host="a,b;c""#), "192.0.2.60");
        assert_eq!(forwarded(r#"for="192.0.2.\60""#), "192.0.2.60");
        assert_eq!(forwarded("for=192.0.2.60,,"), "192.0.2.60");
        assert_eq!(x_forwarded_for("::ffff:192.0.2.60"), "192.0.2.60");
        assert_eq!(x_forwarded_for("192.0.2.60:1234"), "192.0.2.60");
    }

    #[test]
    fn a_link_that_hides_or_lies_ends_the_walk_at_who_vouched_for_it() {
        for field in
            ["for=unknown", "for=_hidden", "for=\"_a\"", "proto=https", "", ",", "for=203.0.113.9, for=unknown"]
        {
            assert_eq!(forwarded(field), "10.0.0.1", "{field}");
        }
        assert_eq!(forwarded("for=203.0.113.9, for=_x, for=10.2.3.4"), "10.2.3.4");
        assert_eq!(x_forwarded_for("203.0.113.9, , 10.2.3.4"), "10.2.3.4");
        assert_eq!(x_forwarded_for("203.0.113.9, 999.1.1.1"), "10.0.0.1");
    }

    #[test]
    fn a_field_that_breaks_the_grammar_says_nothing_at_all() {
        for field in [
            "for=\"203.0.113.9",
            "for",
            "for=",
            "for=203.0.113.9 for=1.1.1.1",
            "for=203.0.113.9;for=1.1.1.1",
            "=203.0.113.9",
            "for=[2001:db8::1]",
            "for=2001:db8::1",
            "for=\"a\"b, for=203.0.113.9",
            "for=203.0.113.9, \"",
        ] {
            assert_eq!(forwarded(field), "10.0.0.1", "{field}");
        }
        // A broken Forwarded does not make the other field believed.
        let broken = client_address(address("10.0.0.1"), Some("for=\""), Some("1.1.1.1"), &trusted());
        assert_eq!(broken, address("10.0.0.1"));
    }

    #[test]
    fn endless_chains_are_cut() {
        let chain = vec!["10.2.3.4"; 400].join(",");
        assert_eq!(x_forwarded_for(&format!("1.1.1.1,{chain}")), "10.2.3.4");
        let huge = format!("1.1.1.1{}", " ".repeat(FIELD_BYTES_MAX));
        assert_eq!(x_forwarded_for(&huge), "10.0.0.1");
    }

    proptest! {
        #[test]
        fn nothing_said_makes_a_stranger_someone_else(field in "\\PC{0,60}|(for=|FOR=|[\",;=\\\\ \\[\\]0-9.:a-f]){0,40}") {
            let stranger = address("198.51.100.7");
            prop_assert_eq!(client_address(stranger, Some(&field), Some(&field), &trusted()), stranger);
            // And from a trusted peer any text gives some address without a panic.
            client_address(address("10.0.0.1"), Some(&field), None, &trusted());
            client_address(address("10.0.0.1"), None, Some(&field), &trusted());
        }

        #[test]
        fn what_trusted_proxies_wrote_is_found(v4: u32, v6: u128) {
            for client in [IpAddr::V4(v4.into()), IpAddr::V6(v6.into())] {
                prop_assume!(!any_contains(&trusted(), client));
                let node = if client.is_ipv6() { format!("\"[{client}]:1\"") } else { client.to_string() };
                let field = format!("for=9.9.9.9, for={node};proto=https, for=10.1.1.1");
                prop_assert_eq!(client_address(address("10.0.0.1"), Some(&field), None, &trusted()), unmapped(client));
            }
        }
    }
}
