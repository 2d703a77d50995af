//! What an operator puts into the DNS so that a client's first connection is HTTP/3 already: HTTPS records
//! (RFC 9460), and the Alt-Svc field that says the same to those who came without.

use std::{
    collections::BTreeMap,
    fmt::Write,
    net::{IpAddr, SocketAddr},
};

/// How long resolvers keep the record, in seconds: as long as a change of addresses may take.
const TTL: u32 = 300;

/// The records for a name whose TLS and QUIC doors are at these addresses, one for each port, as lines of a zone.
///
/// # Errors
/// The name is not one of the DNS, or no port is known.
pub fn records(name: &str, doors: &[SocketAddr]) -> Result<String, String> {
    let name = name.trim_end_matches('.');
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if name.len() > 253 || !name.split('.').all(is_label) || name.parse::<IpAddr>().is_ok() {
        return Err(format!("{name:?} is not a name in the DNS"));
    }
    let mut ports = BTreeMap::<u16, Vec<IpAddr>>::new();
    for door in doors.iter().filter(|door| door.port() != 0) {
        ports.entry(door.port()).or_default().push(door.ip());
    }
    if ports.is_empty() {
        return Err("say on which port the edge listens: --tls-listen ADDR:PORT".into());
    }
    let mut text = String::new();
    for (port, addresses) in &ports {
        // Other ports have names of their own, and the target is then not theirs (RFC 9460 9.1).
        let (owner, target, parameter) = match port {
            443 => (format!("{name}."), ".".to_owned(), String::new()),
            _ => (format!("_{port}._https.{name}."), format!("{name}."), format!(" port={port}")),
        };
        let _ = write!(text, "{owner} {TTL} IN HTTPS 1 {target} alpn=\"h3,h2\"{parameter}");
        for (key, hints) in
            [("ipv4hint", hints(addresses, IpAddr::is_ipv4)), ("ipv6hint", hints(addresses, IpAddr::is_ipv6))]
        {
            if !hints.is_empty() {
                let _ = write!(text, " {key}={hints}");
            }
        }
        text.push('\n');
    }
    let first = doors.iter().map(SocketAddr::port).find(|port| *port != 0).expect("one was seen above");
    let _ = writeln!(text, "; Alt-Svc: h3=\":{first}\"; ma=86400   (sent with every answer over HTTP/1.1 and HTTP/2)");
    Ok(text)
}

/// Addresses that the world can reach.
fn hints(addresses: &[IpAddr], is_kind: fn(&IpAddr) -> bool) -> String {
    let public = addresses.iter().filter(|address| is_kind(address) && is_public(**address));
    public.map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => {
            let is_shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_unspecified() || is_shared)
                && !(ip.is_multicast() || ip.is_broadcast() || ip.is_documentation())
        }
        // Global unicast, without the documentation's network.
        IpAddr::V6(ip) => ip.segments()[0] & 0xe000 == 0x2000 && ip.segments()[..2] != [0x2001, 0xdb8],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(doors: &[&str]) -> String {
        records("music.example.", &doors.iter().map(|door| door.parse().unwrap()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_door_on_the_usual_port_is_the_name_itself() {
        let text = of(&["9.9.9.9:443", "[2620:fe::fe]:443"]);
        let record = "music.example. 300 IN HTTPS 1 . alpn=\"h3,h2\" ipv4hint=9.9.9.9 ipv6hint=2620:fe::fe\n";
        assert!(text.starts_with(record), "{text}");
        assert!(text.contains("Alt-Svc: h3=\":443\"; ma=86400"), "{text}");
    }

    #[test]
    fn a_door_on_another_port_has_a_name_of_its_own() {
        let text = of(&["0.0.0.0:8443"]);
        let record = "_8443._https.music.example. 300 IN HTTPS 1 music.example. alpn=\"h3,h2\" port=8443\n";
        assert!(text.starts_with(record), "{text}");
    }

    #[test]
    fn addresses_that_nobody_reaches_are_no_hints() {
        for private in ["10.0.0.1", "127.0.0.1", "100.64.1.1", "192.0.2.1", "[fe80::1]", "[::]", "[2001:db8::1]"] {
            let text = of(&[&format!("{private}:443")]);
            assert!(!text.contains("hint"), "{private}: {text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let door = ["0.0.0.0:443".parse().unwrap()];
        for wrong in ["", "a..b", "a b", "9.9.9.9", "ex\"ample"] {
            assert!(records(wrong, &door).is_err(), "{wrong}");
        }
        assert!(records("music.example", &["0.0.0.0:0".parse().unwrap()]).is_err());
    }
}
