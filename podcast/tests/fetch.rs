//! The fetcher against servers that mean harm.

mod world;

use std::io::Write;
use std::time::{Duration, Instant};

use needledrop_core::network::Cidr;
use needledrop_http::{Outside, Roots, Unreachable};
use needledrop_podcast::feed::FEED_BYTES_MAX;
use needledrop_podcast::fetch::{FetchError, Fetcher, Known};
use tokio::net::TcpListener;
use world::{Publisher, fetcher};

async fn fetch(url: &str) -> Result<Vec<u8>, FetchError> {
    Ok(fetcher().fetch(url, &Known::default()).await?.fresh.unwrap().bytes)
}

#[tokio::test]
async fn a_feed_comes_and_nothing_of_ours_goes_along() {
    let publisher = Publisher::open().await;
    publisher.page("/feed", "200 OK", "etag: \"a\"\r\nlast-modified: yesterday\r\nset-cookie: a=b\r\n", b"bytes");
    let fetcher = fetcher();
    let first = fetcher.fetch(&publisher.url("/feed"), &Known::default()).await.unwrap();
    let fresh = first.fresh.unwrap();
    assert_eq!(fresh.bytes, b"bytes");
    publisher.page("/feed", "304 Not Modified", "", b"");
    let again = fetcher.fetch(&publisher.url("/feed"), &fresh.known).await.unwrap();
    assert!(again.fresh.is_none());
    let asked = publisher.asked();
    assert!(!asked[0].contains("if-none-match"));
    assert!(asked[1].contains("if-none-match: \"a\"\r\n") && asked[1].contains("if-modified-since: yesterday\r\n"));
    for head in &asked {
        let head = head.to_lowercase();
        assert!(!head.contains("cookie") && !head.contains("authorization") && !head.contains("referer"), "{head}");
    }
}

#[tokio::test]
async fn redirects_are_followed_five_times_and_kept_where_all_are_permanent() {
    let publisher = Publisher::open().await;
    publisher.page("/feed", "200 OK", "", b"there");
    for n in 1..=6 {
        let to = if n == 1 { "/feed".to_owned() } else { format!("/{}", n - 1) };
        publisher.redirect(&format!("/{n}"), 302, &to);
    }
    assert_eq!(fetch(&publisher.url("/5")).await.unwrap(), b"there");
    assert!(matches!(fetch(&publisher.url("/6")).await, Err(FetchError::Redirects)));
    publisher.redirect("/old", 301, "/older");
    publisher.redirect("/older", 308, "feed");
    publisher.redirect("/mixed", 301, "/4");
    let moved = |path: &'static str| {
        let url = publisher.url(path);
        async move { fetcher().fetch(&url, &Known::default()).await.unwrap().moved }
    };
    assert_eq!(moved("/old").await, Some(publisher.url("/feed")));
    assert_eq!(moved("/mixed").await, Some(publisher.url("/4")), "as far as it is permanent");
    assert_eq!(moved("/1").await, None);
}

#[tokio::test]
async fn each_redirect_is_judged_anew() {
    let publisher = Publisher::open().await;
    for (path, to) in [("/a", "http://10.0.0.1/"), ("/b", "http://169.254.169.254/"), ("/c", "http://[fd00::1]/")] {
        publisher.redirect(path, 302, to);
        let refused = fetch(&publisher.url(path)).await;
        assert!(matches!(refused, Err(FetchError::Refused(Unreachable::Address(_)))), "{to}: {refused:?}");
    }
    publisher.redirect("/d", 302, "file:///etc/passwd");
    assert!(matches!(fetch(&publisher.url("/d")).await, Err(FetchError::Refused(Unreachable::Scheme(_)))));
    publisher.redirect("/e", 302, "http://user:secret@127.0.0.1/");
    assert!(matches!(fetch(&publisher.url("/e")).await, Err(FetchError::Refused(Unreachable::Credentials))));
    publisher.page("/f", "302 Found", "", b"");
    assert!(matches!(fetch(&publisher.url("/f")).await, Err(FetchError::Redirects)));
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // Another network is exempted, so that the port alone does not decide.
    let outside = Outside::new(vec![Cidr::parse("192.0.2.0/24").unwrap()]);
    let fetcher = Fetcher::within(outside, Roots::System, Duration::from_secs(5)).unwrap();
    let refused = fetcher.fetch(&format!("http://localhost:{port}/"), &Known::default()).await.unwrap_err();
    assert!(refused.to_string().contains("not a public address"), "{refused}");
    let came = tokio::time::timeout(Duration::from_millis(300), listener.accept()).await;
    assert!(came.is_err(), "somebody connected");
}

#[tokio::test]
async fn what_is_too_large_is_not_read_to_its_end() {
    let publisher = Publisher::open().await;
    publisher.page("/most", "200 OK", "", &vec![b' '; FEED_BYTES_MAX]);
    assert_eq!(fetch(&publisher.url("/most")).await.unwrap().len(), FEED_BYTES_MAX);
    publisher.page("/more", "200 OK", "", &vec![b' '; FEED_BYTES_MAX + 1]);
    assert!(matches!(fetch(&publisher.url("/more")).await, Err(FetchError::Large)));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&vec![0; 32 * FEED_BYTES_MAX]).unwrap();
    publisher.page("/bomb", "200 OK", "content-encoding: gzip\r\n", &encoder.finish().unwrap());
    assert!(matches!(fetch(&publisher.url("/bomb")).await, Err(FetchError::Large)));
    publisher.page("/brotli", "200 OK", "content-encoding: br\r\n", b"x");
    assert!(matches!(fetch(&publisher.url("/brotli")).await, Err(FetchError::Compression)));
    publisher.raw("/head", format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(100_000)));
    assert!(matches!(fetch(&publisher.url("/head")).await, Err(FetchError::Broken(_))));
    publisher.raw("/short", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    assert!(matches!(fetch(&publisher.url("/short")).await, Err(FetchError::Broken(_))));
}

#[tokio::test]
async fn a_server_that_keeps_still_is_left_after_the_time_for_all() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let begun = Instant::now();
    assert!(matches!(fetch(&url).await, Err(FetchError::Slow)));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn refusals_say_when_to_come_again() {
    let publisher = Publisher::open().await;
    publisher.page("/busy", "429 Too Many", "retry-after: 77\r\n", b"");
    let refused = fetch(&publisher.url("/busy")).await.unwrap_err();
    assert_eq!(refused.retry_after(), Some(77));
    publisher.page("/gone", "410 Gone", "", b"");
    assert!(matches!(fetch(&publisher.url("/gone")).await, Err(FetchError::Gone)));
    assert!(matches!(fetch(&publisher.url("/nothing")).await, Err(FetchError::Status { status: 404, .. })));
}
