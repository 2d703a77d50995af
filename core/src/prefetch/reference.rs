//! A relative reference, resolved against the path of the current request (RFC 3986, 5.2).
//!
//! Only paths and queries: a reference that names a scheme or an authority would let a
//! listener choose whom the edge asks, and is refused before anything is resolved.

use crate::object_path::ObjectPath;

/// Where a reference leads: an object of this site, and the query behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The object.
    pub path: ObjectPath,
    /// What followed the first `?`.
    pub query: Option<String>,
}

impl Resolved {
    /// As origin-form target, the form that signatures are made over.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.to_string(),
        }
    }
}

/// Resolves `reference` against `base`. `None`: it names another site, a fragment, nothing
/// at all, or no path that an object can have.
pub fn resolve(base: &ObjectPath, reference: &str) -> Option<Resolved> {
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (reference, None),
    };
    if path.is_empty() || path.starts_with("//") || reference.contains('#') || has_scheme(path) {
        return None;
    }
    let merged = match path.starts_with('/') {
        true => path.to_owned(),
        // RFC 3986, 5.2.3: everything up to the last slash of the base, which always has one.
        false => format!("{}/{path}", base.as_str().rsplit_once('/')?.0),
    };
    let path = ObjectPath::parse(&without_dots(&merged)).ok()?;
    Some(Resolved { path, query })
}

/// A colon in the first segment makes it a scheme (RFC 3986, 4.2).
fn has_scheme(path: &str) -> bool {
    path.split('/').next().is_some_and(|first| first.contains(':'))
}

/// RFC 3986, 5.2.4, for an absolute path: `..` above the root stays at the root.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            plain => {
                kept.push(plain);
                continue;
            }
        }
        if is_last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> ObjectPath {
        ObjectPath::parse(text).expect("a plain path")
    }

    #[test]
    fn references_resolve_as_the_rfc_says() {
        let base = path("/b/c/d.ogg");
        let cases = [
            ("g", "/b/c/g"),
            ("./g", "/b/c/g"),
            ("/g", "/g"),
            ("../g", "/b/g"),
            ("../../g", "/g"),
            ("../../../g", "/g"),
            ("/../g", "/g"),
            ("./../g", "/b/g"),
            ("g/./h", "/b/c/g/h"),
            ("g/../h", "/b/c/h"),
            ("..g", "/b/c/..g"),
            ("g..", "/b/c/g.."),
        ];
        for (reference, expected) in cases {
            assert_eq!(resolve(&base, reference).map(|found| found.target()).as_deref(), Some(expected), "{reference}");
        }
        let signed = resolve(&base, "../x/160.ogg?exp=1&kid=k&sig=s").unwrap();
        assert_eq!(signed.target(), "/b/x/160.ogg?exp=1&kid=k&sig=s");
    }

    #[test]
    fn other_sites_and_what_is_no_object_are_refused() {
        let base = path("/b/c/d.ogg");
        for reference in [
            "",
            "?x",
            "#f",
            "g#f",
            ".",
            "..",
            "./",
            "g/",
            "//evil.example/g",
            "https://evil.example/g",
            "javascript:g",
            "///g",
            "g//h",
            "%2e%2e/g",
            "g\\h",
            "/",
        ] {
            assert_eq!(resolve(&base, reference), None, "{reference}");
        }
    }

    proptest! {
        #[test]
        fn what_resolves_is_an_object_path_and_resolves_to_itself(reference in "[a./?:#%]{0,16}") {
            let base = path("/b/c/d.ogg");
            if let Some(found) = resolve(&base, &reference) {
                prop_assert_eq!(ObjectPath::parse(found.path.as_str()), Ok(found.path.clone()));
                prop_assert_eq!(resolve(&base, &found.target()), Some(found));
            }
        }

        /// From any object to any other one, up by dots and down by names.
        #[test]
        fn every_object_can_be_reached_by_dots(from in "(/[a-z]{1,3}){1,4}", to in "(/[a-z]{1,3}){1,4}") {
            let ups = "../".repeat(from.matches('/').count() - 1);
            let reference = format!("{ups}{}", &to[1..]);
            prop_assert_eq!(resolve(&path(&from), &reference).map(|found| found.path), Some(path(&to)));
        }
    }
}
