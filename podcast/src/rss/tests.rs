use super::*;
use crate::feed;
use proptest::prelude::*;

fn channel(title: &str, items: Vec<Item>) -> Channel {
    Channel {
        title: title.to_owned(),
        author: "Ada & Söhne".to_owned(),
        description: "<b>About</b> it".to_owned(),
        itself: "https://music.example/feeds/t/shows/a.xml".to_owned(),
        link: "https://music.example/?a=1&b=\"2\"".to_owned(),
        image: Some("https://music.example/art/a/640.jpg".to_owned()),
        language: Some("de".to_owned()),
        is_explicit: true,
        guid: "917393e3-1b1e-5cef-ace4-edaa54e1f810".to_owned(),
        medium: Medium::Podcast,
        items,
    }
}

fn item(n: u32, title: &str) -> Item {
    Item {
        guid: format!("guid-{n}"),
        title: title.to_owned(),
        author: String::new(),
        description: "One\n\nTwo".to_owned(),
        published: UnixSeconds(1_700_000_000 + u64::from(n)),
        link: None,
        image: None,
        is_explicit: false,
        season: Some(2),
        number: Some(n),
        duration_ms: Some(20_000),
        enclosure: Enclosure {
            url: "https://music.example/a.m4a?a=1&b=2".to_owned(),
            bytes: 320_000,
            media_type: "audio/mp4".to_owned(),
        },
    }
}

#[test]
fn what_is_written_is_read_again() {
    let text = written(&channel("Gärten & Nächte", vec![item(2, "]]> <i>"), item(1, "愛 \"x\"")]));
    let read = feed::parse(text.as_bytes()).unwrap();
    assert_eq!((read.title.as_str(), read.publisher.as_str()), ("Gärten & Nächte", "Ada & Söhne"));
    assert_eq!(read.language.as_deref(), Some("de"));
    assert_eq!(read.guid.as_deref(), Some("917393e3-1b1e-5cef-ace4-edaa54e1f810"));
    assert!(read.is_explicit && read.image.is_some());
    let [first, second] = &read.items[..] else { panic!("{text}") };
    assert_eq!((first.guid.as_str(), second.title.as_str()), ("guid-2", "愛 \"x\""));
    assert_eq!(first.enclosure, "https://music.example/a.m4a?a=1&b=2");
    assert_eq!((first.bytes, first.media_type.as_deref()), (Some(320_000), Some("audio/mp4")));
    assert_eq!((first.duration_ms, first.season, first.number), (Some(20_000), Some(2), Some(2)));
    assert_eq!(first.published, Some(UnixSeconds(1_700_000_002)));
    assert_eq!(first.is_explicit, Some(false));
}

#[test]
fn a_feed_is_bounded() {
    let text = written(&channel("Long", (0..400).map(|n| item(n, &"愛".repeat(2_000))).collect()));
    let read = feed::parse(text.as_bytes()).unwrap();
    assert_eq!(read.items.len(), ITEMS_MAX);
    assert!(text.len() < 2 << 20, "{} bytes", text.len());
}

proptest! {
    #[test]
    fn no_text_leaves_its_element(title in ".{1,40}", control in any::<char>(), name in "[<>&\"'\\]!\\[a-z;/ -]{1,30}") {
        let hostile = format!("x{title}{control}{name}");
        let mut made = item(1, &hostile);
        made.guid = hostile.clone();
        made.author = hostile.clone();
        made.enclosure.url = format!("https://music.example/{name}");
        let text = written(&channel(&hostile, vec![made, item(2, "the next")]));
        prop_assert!(text.chars().all(|character| is_xml(&character)));
        let read = feed::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(read.items.len(), 2);
        prop_assert_eq!(&read.items[1].title, "the next");
        prop_assert_eq!(read.language.as_deref(), Some("de"));
    }
}
