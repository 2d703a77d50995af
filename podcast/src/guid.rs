//! `podcast:guid`: one name for a podcast wherever its feed stands.
//!
//! It is a UUID of version 5 (RFC 9562, 5.5) of the feed's address without scheme and last slash, in the namespace that
//! the Podcasting 2.0 project has set. A feed of ours about a podcast of a publisher bears the publisher's: it is the
//! same podcast.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// ead4c236-bf58-58c6-a2c6-a6b28d128cb6, as the specification of `podcast:guid` says.
const NAMESPACE: [u8; 16] =
    [0xea, 0xd4, 0xc2, 0x36, 0xbf, 0x58, 0x58, 0xc6, 0xa2, 0xc6, 0xa6, 0xb2, 0x8d, 0x12, 0x8c, 0xb6];

/// The name of the podcast with this feed.
pub fn of_feed(url: &str) -> String {
    let bare = url.split_once("://").map_or(url, |(_, bare)| bare).trim_end_matches('/');
    let named = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[&NAMESPACE, bare.as_bytes()].concat());
    let mut id: [u8; 16] = named.as_ref()[..16].try_into().expect("SHA-1 has 20 bytes");
    id[6] = id[6] & 0x0f | 0x50;
    id[8] = id[8] & 0x3f | 0x80;
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_name_that_others_give_it() {
        // The specification's own example.
        let podnews = "917393e3-1b1e-5cef-ace4-edaa54e1f810";
        for url in ["https://mp3s.nashownotes.com/pc20rss.xml", "http://mp3s.nashownotes.com/pc20rss.xml/"] {
            assert_eq!(of_feed(url), podnews, "{url}");
        }
    }
}
