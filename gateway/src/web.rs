//! The web player: its files as they stand in `web/`, embedded in the binary, and the policy they are served under.
//!
//! A table and nothing else: which path has which type, bytes and tag. Who answers requests, conditional ones
//! included, lives elsewhere. No build step: the browser runs these very files.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::LazyLock,
};

use needledrop_core::etag::EntityTag;

pub(crate) const HTML: &str = "text/html; charset=utf-8";
pub(crate) const CSS: &str = "text/css; charset=utf-8";
pub(crate) const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// The files change with the binary only, and are small: a browser asks each time, and is told that it has them.
pub const CACHE_CONTROL: &str = "no-cache";

/// One file of the player.
#[derive(Debug, Clone, Copy)]
pub struct File {
    /// Path of the request.
    pub path: &'static str,
    /// `Content-Type`.
    pub media_type: &'static str,
    /// The whole file.
    pub bytes: &'static [u8],
}

macro_rules! files {
    ($($media_type:ident $name:literal)*) => {
        &[
            File { path: "/", media_type: HTML, bytes: include_bytes!("web/index.html") },
            $(File { path: concat!("/web/", $name), media_type: $media_type, bytes: include_bytes!(concat!("web/", $name)) },)*
        ]
    };
}

/// Every file of the player.
pub const FILES: &[File] = files! {
    SVG "icon.svg"
    HTML "consent.html"
    CSS "css/base.css"
    CSS "css/consent.css"
    CSS "css/deck.css"
    CSS "css/docs.css"
    CSS "css/shell.css"
    CSS "css/views.css"
    JS "js/api.js"
    JS "js/art.js"
    JS "js/consent.js"
    JS "js/deck.js"
    JS "js/dom.js"
    JS "js/drops.js"
    JS "js/format.js"
    JS "js/icons.js"
    JS "js/keys.js"
    JS "js/main.js"
    JS "js/menu.js"
    JS "js/model.js"
    JS "js/player.js"
    JS "js/plays.js"
    JS "js/positions.js"
    JS "js/queue.js"
    JS "js/router.js"
    JS "js/settings.js"
    JS "js/stage.js"
    JS "js/stream.js"
    JS "js/sync.js"
    JS "js/toast.js"
    JS "js/trackmenu.js"
    JS "js/views/account.js"
    JS "js/views/album.js"
    JS "js/views/artist.js"
    JS "js/views/door.js"
    JS "js/views/home.js"
    JS "js/views/invitations.js"
    JS "js/views/join.js"
    JS "js/views/library.js"
    JS "js/views/making.js"
    JS "js/views/parts.js"
    JS "js/views/playlists.js"
    JS "js/views/podcasts.js"
    JS "js/views/queue.js"
    JS "js/views/search.js"
    JS "js/views/settings.js"
    JS "js/views/signin.js"
};

/// These and those of the operator page.
fn all() -> impl Iterator<Item = &'static File> {
    FILES.iter().chain(crate::ops::page::FILES)
}

/// The file at this path and its tag, if there is one.
pub fn find(path: &str) -> Option<(&'static File, &'static EntityTag)> {
    static TABLE: LazyLock<HashMap<&str, (&File, EntityTag)>> =
        LazyLock::new(|| all().map(|file| (file.path, (file, tag(file.bytes)))).collect());
    TABLE.get(path).map(|(file, tag)| (*file, tag))
}

/// Of the bytes, so that another binary with the same file has the same tag. Nobody gains by two files that share one.
fn tag(bytes: &[u8]) -> EntityTag {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    EntityTag::strong(&format!("{:016x}", hasher.finish()))
}

/// Whether a page came over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// It did: what it plays comes over TLS too.
    Secure,
    /// Over plain HTTP, as on the own machine.
    Plain,
}

/// `Content-Security-Policy`: only our own files, wherever a tag's text ends up in the page. Requests may go to the
/// public URL as well, where that is another host than the page's. Sound may come from anywhere on the web, since an
/// episode's is at its publisher's; it can run nothing and be read by nobody. Pictures may not: to look at a page must not
/// tell publishers who does.
pub fn content_security_policy(public_url: Option<&str>, page: Page) -> String {
    let audio = public_url.map(|url| format!(" {url}")).unwrap_or_default();
    let sound = match page {
        Page::Secure => "https:",
        Page::Plain => "https: http:",
    };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; media-src 'self' blob: {sound}; \
         connect-src 'self'{audio}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

#[cfg(test)]
pub(crate) mod tests;
