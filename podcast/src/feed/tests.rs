use super::*;
use proptest::prelude::*;

const WHOLE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:i="http://www.itunes.com/dtds/podcast-1.0.dtd" xmlns:podcast="https://podcastindex.org/namespace/1.0"
     xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:atom="http://www.w3.org/2005/Atom">
<channel>
  <title>Q&A &amp; Söhne</title>
  <atom:link href="https://example.org/feed" rel="self"/>
  <link>https://example.org/</link>
  <description><![CDATA[<p>About <b>things</b></p>]]></description>
  <language>de-DE</language><ttl>120</ttl>
  <i:author>Ada</i:author><i:owner><i:name>Owner</i:name></i:owner>
  <image><url>https://example.org/small.png</url><title>not the title</title><link>https://wrong.example/</link></image>
  <i:image href="https://example.org/large.jpg"/>
  <i:explicit>true</i:explicit>
  <podcast:guid>917393e3-1b1e-5cef-ace4-edaa54e1f810</podcast:guid>
  <i:new-feed-url>https://example.org/new</i:new-feed-url>
  <item>
    <title>Two</title><guid isPermaLink="false"> two </guid>
    <enclosure url="https://cdn.example/two file.mp3?a=1&amp;b=2" length="123456" type="audio/mpeg"/>
    <pubDate>Tue, 03 Jun 2003 09:39:21 GMT</pubDate><i:duration>1:01:01</i:duration>
    <content:encoded>&lt;p&gt;Longer&lt;/p&gt;</content:encoded><i:summary>Shorter</i:summary>
    <i:season>3</i:season><i:episode>7</i:episode><i:explicit>clean</i:explicit><i:image href="https://example.org/two.jpg"/>
    <link>https://example.org/two</link>
  </item>
  <item><title>No audio</title><guid>blog</guid></item>
  <item><title>One</title><enclosure url="https://cdn.example/one.mp3" length="0" type="audio/mpeg"/></item>
  <item><title>Again</title><guid>two</guid><enclosure url="https://cdn.example/x.mp3"/></item>
</channel></rss>"#;

#[test]
fn a_feed_is_read_whole() {
    let feed = parse(WHOLE.as_bytes()).unwrap();
    assert_eq!(feed.title, "Q&A & Söhne");
    assert_eq!((feed.publisher.as_str(), feed.description.as_str()), ("Ada", "About things"));
    assert_eq!((feed.language.as_deref(), feed.ttl_minutes), (Some("de-DE"), Some(120)));
    assert_eq!(feed.link.as_deref(), Some("https://example.org/"));
    assert_eq!(feed.image.as_deref(), Some("https://example.org/large.jpg"));
    assert_eq!(feed.guid.as_deref(), Some("917393e3-1b1e-5cef-ace4-edaa54e1f810"));
    assert_eq!(feed.moved.as_deref(), Some("https://example.org/new"));
    assert!(feed.is_explicit && !feed.is_complete);
    let two = Item {
        guid: "two".into(),
        title: "Two".into(),
        description: "Longer".into(),
        published: Some(UnixSeconds(1_054_633_161)),
        duration_ms: Some(3_661_000),
        enclosure: "https://cdn.example/two%20file.mp3?a=1&b=2".into(),
        media_type: Some("audio/mpeg".into()),
        bytes: Some(123_456),
        link: Some("https://example.org/two".into()),
        image: Some("https://example.org/two.jpg".into()),
        is_explicit: Some(false),
        season: Some(3),
        number: Some(7),
    };
    let one = Item {
        guid: "https://cdn.example/one.mp3".into(),
        title: "One".into(),
        enclosure: "https://cdn.example/one.mp3".into(),
        media_type: Some("audio/mpeg".into()),
        ..Item::default()
    };
    assert_eq!(feed.items, [two, one]);
}

#[test]
fn atom_is_read() {
    let atom = r#"<feed xmlns="http://www.w3.org/2005/Atom"><title type="html">A &lt;i&gt;show&lt;/i&gt;</title>
        <subtitle>Sub</subtitle><author><name>Ada</name></author><link href="https://example.org/"/>
        <entry><id>tag:1</id><title>First</title><updated>2003-12-13T18:30:02Z</updated>
        <link rel="enclosure" type="audio/ogg" length="99" href="https://example.org/1.ogg"/>
        <content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml">Some <b>words</b></div></content></entry></feed>"#;
    let feed = parse(atom.as_bytes()).unwrap();
    assert_eq!((feed.title.as_str(), feed.publisher.as_str(), feed.description.as_str()), ("A show", "Ada", "Sub"));
    let item = &feed.items[0];
    assert_eq!((item.guid.as_str(), item.enclosure.as_str()), ("tag:1", "https://example.org/1.ogg"));
    assert_eq!((item.published, item.description.as_str()), (Some(UnixSeconds(1_071_340_202)), "Some words"));
}

#[test]
fn what_is_no_feed_says_why() {
    let refused = |text: &str| parse(text.as_bytes()).unwrap_err();
    assert_eq!(refused(""), NotFeed::Other);
    assert_eq!(refused("just words"), NotFeed::Other);
    assert_eq!(refused("<!DOCTYPE html><html><body>A page</body></html>"), NotFeed::Other);
    assert_eq!(refused("<rss><channel><title>Cut"), NotFeed::Cut);
    assert_eq!(refused("<rss><channel></channel></rss>"), NotFeed::Untitled);
    assert!(matches!(refused("<rss><channel></rss>"), NotFeed::Xml(_)));
    assert!(matches!(refused("<rss></rss><rss></rss>"), NotFeed::Xml(_)));
    assert_eq!(parse(&vec![b' '; FEED_BYTES_MAX + 1]), Err(NotFeed::Large));
}

#[test]
fn entities_of_the_document_are_refused() {
    let laughs = r#"<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;&lol;&lol;">]>
        <rss><channel><title>&lol2;</title></channel></rss>"#;
    assert_eq!(parse(laughs.as_bytes()), Err(NotFeed::Declares));
    let outside = r#"<!DOCTYPE rss SYSTEM "file:///etc/passwd"><rss><channel><title>a&xxe;b</title></channel></rss>"#;
    assert_eq!(parse(outside.as_bytes()).unwrap().title, "a&xxe;b", "nothing is read, the reference stays");
}

#[test]
fn depth_elements_and_texts_are_bounded() {
    let deep = format!("<rss><channel>{}", "<a>".repeat(100_000));
    assert_eq!(parse(deep.as_bytes()), Err(NotFeed::Deep));
    let many = format!("<rss><channel>{}", "<a/>".repeat(400_000));
    assert_eq!(parse(many.as_bytes()), Err(NotFeed::Large));
    let long = format!("<rss><channel><title>{0}</title><description>{0}</description>", "ä".repeat(1_000_000));
    let feed = parse(format!("{long}</channel></rss>").as_bytes()).unwrap();
    assert_eq!((feed.title.len(), feed.description.len()), (LINE_BYTES_MAX, NOTES_BYTES_MAX));
    let attributes = format!("<rss {}><channel><title>t</title></channel></rss>", "a='b' ".repeat(100_000));
    assert_eq!(parse(attributes.as_bytes()).unwrap().title, "t");
    let item = |n: usize| format!("<item><guid>{n}</guid><enclosure url='http://a.example/{n}'/></item>");
    let items: String = (0..EPISODES_MAX + 10).map(item).collect();
    let feed = parse(format!("<rss><channel><title>t</title>{items}</channel></rss>").as_bytes()).unwrap();
    assert_eq!((feed.items.len(), feed.items[0].guid.as_str()), (EPISODES_MAX, "0"));
}

#[test]
fn only_web_urls_are_kept() {
    for url in
        ["javascript:alert(1)", "file:///etc/passwd", "/relative.mp3", "ftp://a.example/1.mp3", "data:audio/mpeg,x"]
    {
        let feed = format!(
            "<rss><channel><title>t</title><link>{url}</link><item><enclosure url=\"{url}\"/></item></channel></rss>"
        );
        let feed = parse(feed.as_bytes()).unwrap();
        assert_eq!((feed.link, feed.items.len()), (None, 0), "{url}");
    }
}

#[test]
fn controls_and_nul_do_not_get_in() {
    let feed =
        "<rss><channel><title>a\u{0}b&#0;&#1;c\u{1b}[31m</title><description>x\u{0}y</description></channel></rss>";
    let feed = parse(feed.as_bytes()).unwrap();
    assert!(!feed.title.contains(char::is_control) && !feed.description.contains('\0'), "{feed:?}");
}

proptest! {
    #[test]
    fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_pieces_of_feeds_break_it(pieces in prop::collection::vec(prop::sample::select(vec![
        "<rss>", "</rss>", "<channel>", "</channel>", "<item>", "</item>", "<title>", "</title>", "<![CDATA[", "]]>",
        "<enclosure url='http://a.example/'/>", "&amp;", "&", "<!--", "-->", "<?x", "?>", "<", ">", "ä", "<a:b c=\"d",
    ]), 0..40)) {
        if let Ok(feed) = parse(pieces.concat().as_bytes()) {
            prop_assert!(!feed.title.is_empty());
            prop_assert!(feed.items.iter().all(|item| !item.guid.is_empty() && !item.title.is_empty()));
        }
    }
}
