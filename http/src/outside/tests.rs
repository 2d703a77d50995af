use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn only_public_addresses_are_public() {
    let public = [
        "1.1.1.1",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "93.184.216.34",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2001:200::1",
        "2606:4700:4700::1111",
        "2a00:1450:4001:81b::200e",
        "3fff:1000::1",
        "2620:fe::fe",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
    ];
    for text in public {
        assert!(is_public(address(text)), "{text} is public");
    }
}

#[test]
fn all_else_is_refused() {
    let inside = [
        // IPv4, both ends of each network.
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.0.0",
        "169.254.169.254",
        "169.254.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.0",
        "192.0.0.192",
        "192.0.0.255",
        "192.0.2.0",
        "192.0.2.255",
        "192.88.99.1",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.9",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.0",
        "255.255.255.255",
        // IPv6: unspecified, loopback, compatible, mapped, translated.
        "::",
        "::1",
        "::7f00:1",
        "::8.8.8.8",
        "::ffff:127.0.0.1",
        "::ffff:10.1.2.3",
        "::ffff:169.254.169.254",
        "::ffff:0:8.8.8.8",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::8.8.8.8",
        "64:ff9b:0:0:0:1:808:808",
        // 6to4 and Teredo, whatever is inside; documentation; ORCHID; benchmarks; discard; segment routing.
        "2002:7f00:1::",
        "2002:808:808::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001::1",
        "2001:db8::1",
        "2001:1ff:ffff::1",
        "2001:20::1",
        "2001:2::1",
        "3fff::1",
        "3fff:fff:ffff::1",
        "100::1",
        "5f00::1",
        // Unique local with a cloud's metadata, link-local, site-local, multicast.
        "fc00::1",
        "fd00:ec2::254",
        "fd20:ce::254",
        "fdff:ffff::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "4000::1",
        "1fff::1",
    ];
    for text in inside {
        assert!(!is_public(address(text)), "{text} is not public");
    }
}

#[test]
fn a_url_is_http_or_https_and_nothing_more() {
    let outside = Outside::default();
    let good = [
        "http://example.org/feed",
        "https://example.org:443/feed.xml?a=b",
        " https://1.1.1.1/ ",
        "HTTPS://EXAMPLE.org",
        "https://[2606:4700:4700::1111]/",
        "http://example.org:80",
        "https://münchen.example/ü",
        "https://example.org./",
        // Port 80 by https is odd and does no harm.
        "https://example.org:80/",
    ];
    for text in good {
        assert!(outside.place(text).is_ok(), "{text}: {:?}", outside.place(text));
    }
    let refused = |text: &str| outside.place(text).unwrap_err();
    for text in
        ["", "feed", "//example.org/feed", "https://", "https://exa mple.org/", "http://[::1/", "https://a:99999/"]
    {
        assert_eq!(refused(text), Unreachable::NotUrl, "{text}");
    }
    // A URL to its parser, and none to what sends it.
    for text in ["https://a{b.example/", "https://a`b.example/", "http://a\"b.example/feed"] {
        assert!(Url::parse(text).is_ok());
        assert_eq!(refused(text), Unreachable::NotUrl, "{text}");
    }
    for text in ["https://example.org/a{b}?c=\"d`", "https://example.org/é"] {
        let place = outside.place(text).unwrap();
        assert!(http::Uri::try_from(place.as_str()).is_ok(), "{text}");
    }
    for text in ["file:///etc/passwd", "ftp://example.org/", "gopher://example.org/", "data:text/xml,<rss/>", "feed:x"]
    {
        assert!(matches!(refused(text), Unreachable::Scheme(_)), "{text}");
    }
    for text in ["https://user@example.org/", "https://user:pass@example.org/", "https://:pass@example.org/"] {
        assert_eq!(refused(text), Unreachable::Credentials, "{text}");
    }
    for port in [1, 22, 25, 81, 6379, 8080] {
        assert_eq!(refused(&format!("http://example.org:{port}/")), Unreachable::Port(port));
        assert_eq!(refused(&format!("http://1.1.1.1:{port}/")), Unreachable::Port(port));
    }
    assert_eq!(refused(&format!("https://example.org/{}", "a".repeat(URL_BYTES_MAX))), Unreachable::Long);
}

#[test]
fn an_address_is_known_in_every_dress() {
    let dressed = [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://017700000001/",
        "http://127.0.0.1./",
        "http://①②⑦.0.0.1/",
        "http://%31%32%37.0.0.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://0/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://169.254.169.254/latest/meta-data/",
        "http:\\\\10.0.0.1\\",
        "http:////192.168.1.1/",
    ];
    let outside = Outside::default();
    for text in dressed {
        assert!(matches!(outside.place(text), Err(Unreachable::Address(_))), "{text}: {:?}", outside.place(text));
    }
}

#[test]
fn a_redirect_is_judged_anew() {
    let outside = Outside::default();
    let from = outside.place("https://example.org/a/feed?x=1#part").unwrap();
    let next = |location: &str| outside.next(&from, location);
    assert_eq!(next("../b").unwrap().as_str(), "https://example.org/b");
    assert_eq!(next("//other.example/c").unwrap().as_str(), "https://other.example/c");
    assert_eq!(next("https://other.example/#x").unwrap().as_str(), "https://other.example/");
    assert_eq!(next("http://example.org/a"), Err(Unreachable::Downgrade));
    assert!(matches!(next("//127.0.0.1/"), Err(Unreachable::Address(_))));
    assert!(matches!(next("https://[::1]/"), Err(Unreachable::Address(_))));
    assert_eq!(next("https://user:pass@example.org/"), Err(Unreachable::Credentials));
    assert_eq!(next("//example.org:22/"), Err(Unreachable::Port(22)));
    assert!(matches!(next("file:///etc/passwd"), Err(Unreachable::Scheme(_))));
    assert_eq!(next(&format!("/{}", "a".repeat(URL_BYTES_MAX))), Err(Unreachable::Long));
    let plain = outside.place("http://example.org/").unwrap();
    assert_eq!(outside.next(&plain, "https://example.org/").unwrap().as_str(), "https://example.org/");
}

#[test]
fn an_exempted_network_is_reached_at_any_port_and_no_other_is() {
    let outside = Outside::new(vec![Cidr::parse("127.0.0.0/8").unwrap()]);
    assert!(outside.place("http://127.0.0.1:8080/").is_ok());
    assert!(outside.place("http://[::ffff:127.0.0.9]:8080/").is_ok());
    assert!(outside.place("http://name.example:8080/").is_ok(), "the address will tell");
    assert_eq!(outside.place("http://1.1.1.1:8080/"), Err(Unreachable::Port(8080)));
    assert!(matches!(outside.place("http://[::1]/"), Err(Unreachable::Address(_))));
    assert!(matches!(outside.place("http://10.0.0.1/"), Err(Unreachable::Address(_))));
}

#[tokio::test]
async fn a_name_is_judged_by_its_addresses() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let within = Duration::from_secs(5);
    // The name of this machine resolves, and what it resolves to is refused.
    let refused = Outside::default().dial("localhost", 80, within).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{refused}");
    assert!(refused.to_string().contains("not a public address"), "{refused}");
    let exempted = Outside::new(Cidr::LOOPBACK.to_vec());
    let stream = exempted.dial("localhost", port, within).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
    let elsewhere = Outside::new(vec![Cidr::parse("127.0.0.2").unwrap()]);
    let refused = elsewhere.dial("localhost", port, within).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{refused}");
}
