//! Which file names which library: the table in `src/lib.rs`, held against the sources of every crate that serves.

use std::fs;
use std::path::{Path, PathBuf};

/// Crates beside this one whose code must do without the libraries of the doors.
const ROUND_ABOUT: [&str; 5] = ["core", "media", "origin", "edge", "."];

#[test]
fn each_library_is_named_only_where_the_table_says() {
    let http = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let table = Table::read(&fs::read_to_string(http.join("src/lib.rs")).unwrap());
    assert!(table.rows.len() >= 10, "the table in src/lib.rs was not found: {:?}", table.rows);
    let mut wrong = Vec::new();
    let mut seen = 0;
    for file in sources(&http.join("src")) {
        seen += 1;
        let name = file.strip_prefix(http.join("src")).unwrap().to_str().unwrap().to_owned();
        let strays = table.strays(&name, &fs::read_to_string(&file).unwrap());
        wrong.extend(strays.into_iter().map(|path| format!("http/src/{name} names {path}")));
    }
    let root = http.parent().unwrap();
    for part in ROUND_ABOUT {
        let folder = root.join(part).join("src");
        for file in sources(&folder) {
            seen += 1;
            let strays = table.strays("", &fs::read_to_string(&file).unwrap());
            wrong.extend(strays.into_iter().map(|path| format!("{} names {path}", file.display())));
        }
    }
    assert!(seen > 60, "only {seen} source files were found");
    assert!(wrong.is_empty(), "see the table in http/src/lib.rs:\n{}", wrong.join("\n"));
}

#[test]
fn a_row_without_a_use_is_not_kept() {
    let http = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let table = Table::read(&fs::read_to_string(http.join("src/lib.rs")).unwrap());
    let named: Vec<String> =
        sources(&http.join("src")).iter().flat_map(|file| paths(&fs::read_to_string(file).unwrap())).collect();
    for (library, _) in &table.rows {
        // A lower layer may stand in the table before it is used; its upper one may not.
        let is_lower_layer = library.starts_with("quinn_");
        assert!(is_lower_layer || named.iter().any(|path| is_below(path, library)), "nothing names {library}");
    }
}

#[test]
fn a_planted_use_is_found() {
    let table = Table::read(
        "//! | `hyper::server` | `h1.rs` |\n//! | `hyper::body` | `h1.rs`, `client.rs` |\n//! | `h2` | `h2.rs` |\n\
         //! | `quinn` | `quic/` |\n",
    );
    let strays = |file: &str, text: &str| table.strays(file, text);
    assert_eq!(strays("client.rs", "use hyper::server::conn::http1;"), ["hyper::server::conn::http1"]);
    assert_eq!(
        strays("client.rs", "use hyper::{body::Incoming, server::{conn::http1, *}};"),
        ["hyper::server::conn::http1", "hyper::server::*"]
    );
    assert_eq!(strays("serve.rs", "fn a(b: quinn::Connection) {}"), ["quinn::Connection"]);
    assert_eq!(strays("serve.rs", "use h2;"), ["h2"]);
    assert_eq!(strays("serve.rs", "pub use h2 as frames;"), ["h2"]);
    assert_eq!(strays("serve.rs", "extern crate quinn;"), ["quinn"]);
    assert_eq!(strays("serve.rs", "use hyper::client::conn;"), ["hyper::client::conn"], "what no row allows");
    assert_eq!(strays("serve.rs", "use tokio::net;\nfn a() { quinn::b() }"), ["quinn::b"]);
    assert_eq!(
        strays("serve.rs", "use other::quinn;\nfn a() { quinn::b() }"),
        [""; 0],
        "another's module of that name"
    );
    for fine in
        ["use crate::{h1, h2};\nfn a() { h2::serve() }", "// quinn::Connection", "fn a() { crate::h2::serve() }"]
    {
        assert_eq!(strays("doors.rs", fine), [""; 0], "{fine}");
    }
    assert_eq!(strays("quic/deep/driver.rs", "use quinn::Endpoint;"), [""; 0]);
    assert_eq!(strays("h2.rs", "use h2::server::Builder;"), [""; 0]);
}

/// Paths and the files (or folders, with a slash at the end) that may name them.
struct Table {
    rows: Vec<(String, Vec<String>)>,
}

impl Table {
    /// Reads the rows of a Markdown table in a module comment: names in backquotes, files in backquotes.
    fn read(text: &str) -> Self {
        let mut rows = Vec::new();
        for line in text.lines().filter_map(|line| line.strip_prefix("//! | `")) {
            let Some((left, right)) = line.split_once('|') else { continue };
            let files = quoted(right);
            rows.extend(quoted(&format!("`{left}")).into_iter().map(|library| (library, files.clone())));
        }
        Self { rows }
    }

    /// What `text`, the content of `file`, names and may not.
    fn strays(&self, file: &str, text: &str) -> Vec<String> {
        let allows = |(library, files): &(String, Vec<String>), path: &str| {
            is_below(path, library) && files.iter().any(|f| f == file || (f.ends_with('/') && file.starts_with(f)))
        };
        let guarded = |path: &str| {
            let library = path.split("::").next().unwrap_or(path);
            self.rows.iter().any(|(row, _)| row.split("::").next() == Some(library))
        };
        paths(text).into_iter().filter(|path| guarded(path) && !self.rows.iter().any(|row| allows(row, path))).collect()
    }
}

fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn is_below(path: &str, library: &str) -> bool {
    path.strip_prefix(library).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Every path that starts with a crate's name, groups of `use` spelled out. Comments are not code.
fn paths(text: &str) -> Vec<String> {
    let code: String = text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    let mut own = Vec::new();
    let mut rest = String::new();
    for statement in code.split_inclusive(';') {
        // What stands before a `use` in its statement is the end of something else.
        let start = statement.rfind("use ").filter(|at| is_word_start(statement, *at));
        let Some(start) = start else {
            rest.push_str(statement);
            continue;
        };
        rest.push_str(&statement[..start]);
        let mut leaves = Vec::new();
        spell_out("", statement[start + 4..].trim_end_matches(';').trim(), &mut leaves);
        for leaf in leaves {
            // What was brought in by its path is called by its last name from here on.
            if let Some((_, name)) = leaf.rsplit_once("::") {
                own.push(name.to_owned());
            }
            if !leaf.starts_with("crate::") {
                found.push(leaf);
            }
        }
    }
    for (at, _) in rest.match_indices("extern crate ") {
        found.push(rest[at + 13..].chars().take_while(|c| is_word(*c)).collect());
    }
    found.extend(inline(&rest).into_iter().filter(|path| !own.iter().any(|ours| is_below(path, ours))));
    found
}

/// `a::{b, c::d}` as `a::b` and `a::c::d`.
fn spell_out(prefix: &str, tree: &str, leaves: &mut Vec<String>) {
    let (head, group) = tree.split_once('{').map_or((tree, None), |(head, group)| (head, Some(group)));
    let head = head.split(" as ").next().unwrap_or(head).trim();
    let path = format!("{prefix}{}", head.trim_start_matches("::"));
    let Some(group) = group else {
        let leaf = path.trim_end_matches("::self");
        if !leaf.is_empty() {
            leaves.push(leaf.to_owned());
        }
        return;
    };
    let group = group.rsplit_once('}').map_or(group, |(inside, _)| inside);
    let (mut depth, mut begin) = (0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                spell_out(&path, group[begin..at].trim(), leaves);
                begin = at + 1;
            }
            _ => {}
        }
    }
    if !group[begin..].trim().is_empty() {
        spell_out(&path, group[begin..].trim(), leaves);
    }
}

/// Paths inside code: words joined by `::`, from the first word on.
fn inline(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("::") {
        let start = code[..at].rfind(|c| !is_word(c)).map_or(0, |before| before + 1);
        if start == at || code[..start].ends_with("::") {
            continue;
        }
        let path: String = code[start..].chars().take_while(|c| is_word(*c) || *c == ':').collect();
        found.push(path.trim_end_matches(':').to_owned());
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_word_start(text: &str, at: usize) -> bool {
    !text[..at].ends_with(is_word)
}

/// All Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
