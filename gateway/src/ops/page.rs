//! The files of the operator page, embedded as they stand in `web/`. The player's table serves them: they share its
//! colours, its small modules and its policy.

use crate::web::{CSS, File, HTML, JS};

macro_rules! files {
    ($($media_type:ident $name:literal)*) => {
        &[
            File { path: "/ops", media_type: HTML, bytes: include_bytes!("web/index.html") },
            $(File { path: concat!("/ops/", $name), media_type: $media_type, bytes: include_bytes!(concat!("web/", $name)) },)*
        ]
    };
}

/// Every file of the page.
pub const FILES: &[File] = files! {
    CSS "ops.css"
    JS "acts.js"
    JS "door.js"
    JS "edges.js"
    JS "lists.js"
    JS "main.js"
    JS "plot.js"
    JS "units.js"
};

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::web::find;
    use crate::web::tests::{files_under, quoted_after, resolve, text};

    #[test]
    fn every_file_of_the_folder_is_in_the_table() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops/web");
        let mut expected: Vec<String> = files_under(&folder)
            .iter()
            .map(|path| format!("/ops/{}", path.strip_prefix(&folder).unwrap().display()))
            .map(|path| if path == "/ops/index.html" { "/ops".to_owned() } else { path })
            .collect();
        let mut known: Vec<&str> = FILES.iter().map(|file| file.path).collect();
        expected.sort_unstable();
        known.sort_unstable();
        assert_eq!(known, expected);
    }

    #[test]
    fn every_import_leads_to_a_file_and_is_announced_by_the_page() {
        let page = text(find("/ops").unwrap().0);
        let announced: Vec<&str> = quoted_after(page, "href=\"").filter(|path| path.contains('.')).collect();
        assert!(announced.iter().all(|path| find(path).is_some()), "{announced:?}");
        for file in FILES.iter().filter(|file| file.media_type == JS) {
            for name in quoted_after(text(file), " from \"") {
                let path = if name.starts_with('/') { name.to_owned() } else { resolve(file.path, name) };
                assert!(find(&path).is_some(), "{} imports {name}", file.path);
                assert!(announced.contains(&path.as_str()), "{path} is found late");
            }
        }
    }
}
