//! What holds for the player's files as a set: none is missing, none leads elsewhere, none needs what the policy forbids.

use std::path::{Path, PathBuf};

use super::*;

pub(crate) fn text(file: &File) -> &'static str {
    std::str::from_utf8(file.bytes).unwrap()
}

/// The quoted strings that follow `before`.
pub(crate) fn quoted_after<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(|rest| rest.split_once('"')).map(|(name, _)| name)
}

/// `./dom.js` said in `/web/js/views/home.js`, as a path of the table.
pub(crate) fn resolve(from: &str, name: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in name.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

pub(crate) fn files_under(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_under(&path) } else { vec![path] }).collect()
}

#[test]
fn every_file_of_the_folder_is_in_the_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
    let on_disk = files_under(&folder).into_iter().filter(|path| path.extension().is_none_or(|kind| kind != "rs"));
    let mut expected: Vec<String> = on_disk
        .map(|path| format!("/web/{}", path.strip_prefix(&folder).unwrap().display()))
        .map(|path| if path == "/web/index.html" { "/".to_owned() } else { path })
        .collect();
    let mut known: Vec<&str> = FILES.iter().map(|file| file.path).collect();
    expected.sort_unstable();
    known.sort_unstable();
    assert_eq!(known, expected);
}

#[test]
fn every_import_leads_to_a_file_and_is_announced_by_the_page() {
    let page = text(find("/").unwrap().0);
    let announced: Vec<&str> = quoted_after(page, "href=\"").filter(|path| path.starts_with("/web/")).collect();
    assert!(announced.iter().all(|path| find(path).is_some()), "{announced:?}");
    for file in FILES.iter().filter(|file| file.media_type == JS) {
        for name in quoted_after(text(file), " from \"") {
            let path = resolve(file.path, name);
            assert!(find(&path).is_some(), "{} imports {name}", file.path);
            assert!(announced.contains(&path.as_str()), "{path} is found late");
        }
    }
}

#[test]
fn no_file_asks_anyone_else_or_turns_text_into_markup() {
    for file in all() {
        let text = text(file).replace("http://www.w3.org/2000/svg", "");
        for forbidden in ["http://", "https://", "innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "@import"] {
            assert!(!text.contains(forbidden), "{} has {forbidden}", file.path);
        }
    }
    for page in ["/", "/ops"].map(|page| text(find(page).unwrap().0)) {
        for inline in [" style=", " onclick=", "<style", "<script>"] {
            assert!(!page.contains(inline), "the policy forbids {inline}");
        }
    }
}

#[test]
fn a_tag_is_strong_and_follows_the_bytes() {
    let of = |path| find(path).unwrap().1.clone();
    assert!(!of("/").is_weak());
    assert!(of("/web/js/main.js").strong_eq(&tag(find("/web/js/main.js").unwrap().0.bytes)));
    assert!(!of("/web/js/main.js").strong_eq(&of("/web/js/player.js")));
    assert!(find("/web/js/nothing.js").is_none());
}

#[test]
fn the_policy_admits_our_own_host_the_public_url_and_sound_from_the_web() {
    let own = content_security_policy(None, Page::Secure);
    assert!(own.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{own}");
    assert!(!own.contains("unsafe"));
    assert!(own.contains("media-src 'self' blob: https:;") && own.contains("img-src 'self' data:;"), "{own}");
    assert!(own.contains("connect-src 'self';"), "{own}");
    let plain = content_security_policy(None, Page::Plain);
    assert!(plain.contains("media-src 'self' blob: https: http:;"), "{plain}");
    let public = content_security_policy(Some("https://music.example"), Page::Secure);
    assert!(public.contains("connect-src 'self' https://music.example;"), "{public}");
    assert_eq!(public.matches("https:").count(), 2, "{public}");
}
