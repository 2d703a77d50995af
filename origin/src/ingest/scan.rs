//! Walking folders of music: every candidate once, always in the same order.
//!
//! Knows names and folders only. A folder is entered once, however many links lead to it, so a
//! loop of symbolic links ends; hidden files and the vault itself are left out. Explicitly named
//! files are always candidates.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::sniff;

/// Folders nested deeper than this are reported instead of entered: no collection is, and the
/// walk must not run out of stack.
const DEPTH_MAX: usize = 128;

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Candidates, absolute, in walking order: what was named first comes first, a folder's own
    /// files before its subfolders, both by name.
    pub(crate) files: Vec<PathBuf>,
    /// Folders that were named, absolute.
    pub(crate) roots: Vec<PathBuf>,
    /// What could not be looked at.
    pub(crate) failed: Vec<(PathBuf, String)>,
}

struct Walk<'a> {
    vault: Option<(u64, u64)>,
    entered: HashSet<(u64, u64)>,
    listed: HashSet<PathBuf>,
    stop: &'a dyn Fn() -> bool,
    found: Found,
}

/// Walks `paths`. The folder `vault` is never entered. Ends early, with what it has, when `stop` says so.
pub(crate) fn scan(paths: &[PathBuf], vault: &Path, stop: &dyn Fn() -> bool) -> Found {
    let vault = fs::metadata(vault).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    let mut walk = Walk { vault, entered: HashSet::new(), listed: HashSet::new(), stop, found: Found::default() };
    for path in paths {
        walk.named(path);
    }
    walk.found
}

impl Walk<'_> {
    fn named(&mut self, path: &Path) {
        let looked_up = fs::metadata(path).and_then(|metadata| Ok((metadata, absolute(path)?)));
        let (metadata, path) = match looked_up {
            Ok(found) => found,
            Err(error) => return self.failed(path, &error),
        };
        if metadata.is_dir() {
            self.found.roots.push(path.clone());
            self.folder(&path, 0);
        } else if metadata.is_file() {
            self.list(path);
        } else {
            self.found.failed.push((path, "neither a file nor a folder".into()));
        }
    }

    fn folder(&mut self, dir: &Path, depth: usize) {
        if (self.stop)() {
            return;
        }
        if depth > DEPTH_MAX {
            self.found.failed.push((dir.to_owned(), format!("nested deeper than {DEPTH_MAX} folders")));
            return;
        }
        let entries = fs::metadata(dir).and_then(|metadata| {
            let identity = (metadata.dev(), metadata.ino());
            if self.vault == Some(identity) || !self.entered.insert(identity) {
                return Ok(Vec::new());
            }
            visible_entries(dir)
        });
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.failed(dir, &error),
        };
        let mut folders = Vec::new();
        for path in entries {
            // Follows links; a link to nowhere is nobody's music.
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => folders.push(path),
                Ok(metadata) if metadata.is_file() && sniff::is_audio(&path) => self.list(path),
                _ => {}
            }
        }
        for folder in folders {
            self.folder(&folder, depth + 1);
        }
    }

    fn list(&mut self, path: PathBuf) {
        if self.listed.insert(path.clone()) {
            self.found.files.push(path);
        }
    }

    fn failed(&mut self, path: &Path, error: &io::Error) {
        self.found.failed.push((path.to_owned(), error.to_string()));
    }
}

fn visible_entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        if !name.as_encoded_bytes().starts_with(b".") {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names.into_iter().map(|name| dir.join(name)).collect())
}

/// The folder resolved, the last name kept: two links to one file are two names.
fn absolute(path: &Path) -> io::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if !path.is_dir() => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            Ok(fs::canonicalize(parent)?.join(name))
        }
        _ => fs::canonicalize(path),
    }
}

/// Names under which a folder's picture is looked for, best first.
const COVER_STEMS: &[&str] = &["cover", "folder", "front", "album"];
const COVER_EXTENSIONS: &[&str] = &["jpg", "jpeg", "png", "webp"];

/// The picture that stands for everything in `dir`, if there is one.
pub(crate) fn folder_cover(dir: &Path) -> Option<PathBuf> {
    let rank = |path: &PathBuf| {
        let stem = path.file_stem()?.to_str()?.to_ascii_lowercase();
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        let stem = COVER_STEMS.iter().position(|known| *known == stem)?;
        let extension = COVER_EXTENSIONS.iter().position(|known| *known == extension)?;
        Some((stem, extension))
    };
    let entries = visible_entries(dir).ok()?;
    let ranked = entries.into_iter().filter_map(|path| Some((rank(&path)?, path)));
    ranked.filter(|(_, path)| path.is_file()).min().map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"x").unwrap();
    }

    fn names(root: &Path, found: &Found) -> Vec<String> {
        let root = fs::canonicalize(root).unwrap();
        let name = |path: &PathBuf| path.strip_prefix(&root).unwrap().display().to_string();
        found.files.iter().map(name).collect()
    }

    #[test]
    fn a_tree_is_walked_in_one_order_without_loops_twins_hidden_files_or_the_vault() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in
            ["b.mp3", "a.flac", "z/1.ogg", "c/2.wav", "c/notes.txt", "c/.hid.mp3", ".git/x.mp3", "data/tracks/t.ogg"]
        {
            touch(&root.join(name));
        }
        symlink(root, root.join("c/loop")).unwrap();
        symlink(root.join("z"), root.join("twin")).unwrap();
        symlink(root.join("nowhere"), root.join("dangling.mp3")).unwrap();
        let found = scan(&[root.to_owned()], &root.join("data"), &|| false);
        assert_eq!(names(root, &found), ["a.flac", "b.mp3", "c/2.wav", "twin/1.ogg"]);
        assert!(found.failed.is_empty());
    }

    #[test]
    fn named_files_are_always_listed_and_only_once_and_missing_ones_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        touch(&root.join("notes.txt"));
        let paths = [root.join("notes.txt"), root.join("./notes.txt"), root.join("gone.mp3"), "/dev/null".into()];
        let found = scan(&paths, Path::new("/nowhere"), &|| false);
        assert_eq!(names(root, &found), ["notes.txt"]);
        assert_eq!(found.failed.len(), 2);
    }

    #[test]
    fn the_best_cover_of_a_folder_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(folder_cover(folder.path()), None);
        touch(&folder.path().join("back.jpg"));
        touch(&folder.path().join("Folder.PNG"));
        assert_eq!(folder_cover(folder.path()), Some(folder.path().join("Folder.PNG")));
        touch(&folder.path().join("cover.png"));
        assert_eq!(folder_cover(folder.path()), Some(folder.path().join("cover.png")));
    }
}
