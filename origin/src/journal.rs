//! A file of lines that only grows: how the library remembers.
//!
//! ```text
//! {"library":{"version":1}}\n        first line, always
//! {"track":{…}}\n                    one JSON object a line, at most 256 KiB each
//! {"source":{…}}\n
//! {"tra                              torn tail: no newline, so it does not exist
//! ```
//!
//! A line exists once its newline does. Readers ignore a torn tail; the writer cuts it before it
//! appends. What the lines mean is said in `record`; `library` folds them into a list.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::durable::{Durable, Step};

/// The longest line, newline included: a record is about 2 KiB, and its texts are clipped
/// (`record::TEXT_BYTES_MAX`); what is longer is damage and must not fill memory.
pub(crate) const LINE_BYTES_MAX: u64 = 256 * 1024;

/// One complete line.
pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: u64,
    /// Without the newline; `None` when it is longer than [`LINE_BYTES_MAX`] or not UTF-8.
    pub(crate) text: Option<String>,
}

/// Follows a journal from its start; remembers where it stopped.
#[derive(Debug)]
pub(crate) struct Follower {
    path: PathBuf,
    inode: u64,
    offset: u64,
    lines: u64,
}

/// What following found.
pub(crate) enum Followed {
    /// Nothing was added.
    Same,
    /// Lines that were added.
    More(Vec<Line>),
    /// The journal was replaced (compacted) or went away: all lines from the start.
    Anew(Vec<Line>),
}

impl Follower {
    pub(crate) fn new(path: PathBuf) -> Follower {
        Follower { path, inode: 0, offset: 0, lines: 0 }
    }

    /// The offset after the last complete line that was read, in bytes.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Complete lines read so far.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// Reads what was added. Costs one stat when nothing was.
    pub(crate) fn follow(&mut self) -> io::Result<Followed> {
        let metadata = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let was_empty = self.inode == 0;
                (self.inode, self.offset, self.lines) = (0, 0, 0);
                return Ok(if was_empty { Followed::Same } else { Followed::Anew(Vec::new()) });
            }
            Err(error) => return Err(error),
        };
        if metadata.ino() == self.inode && metadata.len() == self.offset {
            return Ok(Followed::Same);
        }
        let file = File::open(&self.path)?;
        let metadata = file.metadata()?;
        let anew = metadata.ino() != self.inode || metadata.len() < self.offset;
        if anew {
            (self.inode, self.offset, self.lines) = (metadata.ino(), 0, 0);
        }
        let lines = self.read_lines(file)?;
        Ok(match (anew, lines.is_empty()) {
            (true, _) => Followed::Anew(lines),
            (false, true) => Followed::Same,
            (false, false) => Followed::More(lines),
        })
    }

    fn read_lines(&mut self, mut file: File) -> io::Result<Vec<Line>> {
        file.seek(SeekFrom::Start(self.offset))?;
        let mut reader = BufReader::with_capacity(64 * 1024, file);
        let mut lines = Vec::new();
        while let Some((bytes, text)) = next_line(&mut reader)? {
            self.offset += bytes;
            self.lines += 1;
            lines.push(Line { number: self.lines, text });
        }
        Ok(lines)
    }
}

/// The next complete line with its length in bytes, newline included; `None` at a torn tail or the end.
fn next_line(reader: &mut impl BufRead) -> io::Result<Option<(u64, Option<String>)>> {
    let mut bytes = Vec::new();
    let count = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)? as u64;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        return Ok(Some((count, String::from_utf8(bytes).ok())));
    }
    if count < LINE_BYTES_MAX {
        return Ok(None);
    }
    Ok(skip_line(reader)?.map(|rest| (count + rest, None)))
}

/// Skips to the end of a line that is too long to be ours, without keeping it.
fn skip_line(reader: &mut impl BufRead) -> io::Result<Option<u64>> {
    let mut skipped = 0;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(None);
        }
        let newline = buffer.iter().position(|byte| *byte == b'\n');
        let count = newline.map_or(buffer.len(), |at| at + 1);
        reader.consume(count);
        skipped += count as u64;
        if newline.is_some() {
            return Ok(Some(skipped));
        }
    }
}

/// Appends lines, one writer at a time (the vault's lock sees to that).
#[derive(Debug)]
pub(crate) struct Appender {
    file: File,
    len: u64,
}

impl Appender {
    /// Opens the journal and cuts everything after `complete_bytes`, the end of its last complete line.
    pub(crate) fn open(path: &Path, complete_bytes: u64) -> io::Result<Appender> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        if file.metadata()?.len() != complete_bytes {
            file.set_len(complete_bytes)?;
            file.sync_all()?;
        }
        Ok(Appender { file, len: complete_bytes })
    }

    /// Appends complete lines (each ends in a newline) and syncs them. All or nothing: after an
    /// error the file ends where it ended before.
    pub(crate) fn append(&mut self, durable: &Durable, lines: &str) -> io::Result<()> {
        durable.announce(Step::AppendLine)?;
        let written = self.write(lines);
        if written.is_err() {
            // A torn tail is harmless to readers and cut by the next writer, so a failing cut is no new failure.
            let _ = self.file.set_len(self.len);
        }
        written
    }

    fn write(&mut self, lines: &str) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.len))?;
        self.file.write_all(lines.as_bytes())?;
        self.file.sync_data()?;
        self.len += lines.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(followed: Followed) -> Vec<Option<String>> {
        match followed {
            Followed::Same => Vec::new(),
            Followed::More(lines) | Followed::Anew(lines) => lines.into_iter().map(|line| line.text).collect(),
        }
    }

    #[test]
    fn a_torn_tail_is_ignored_by_readers_and_cut_by_the_writer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        std::fs::write(&path, "one\ntwo\nthr").unwrap();
        let mut follower = Follower::new(path.clone());
        assert_eq!(texts(follower.follow().unwrap()), [Some("one".into()), Some("two".into())]);
        assert!(matches!(follower.follow().unwrap(), Followed::Same));

        let mut appender = Appender::open(&path, follower.offset()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        appender.append(&Durable::default(), "four\n").unwrap();
        assert_eq!(texts(follower.follow().unwrap()), [Some("four".into())]);
        assert_eq!(follower.lines(), 3);
    }

    #[test]
    fn a_replaced_journal_is_read_from_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        std::fs::write(&path, "one\n").unwrap();
        let mut follower = Follower::new(path.clone());
        follower.follow().unwrap();
        std::fs::write(folder.path().join("new"), "uno\ndue\n").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert!(matches!(follower.follow().unwrap(), Followed::Anew(lines) if lines.len() == 2));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(follower.follow().unwrap(), Followed::Anew(lines) if lines.is_empty()));
        assert!(matches!(follower.follow().unwrap(), Followed::Same));
    }

    #[test]
    fn an_endless_line_is_skipped_without_being_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let long = "x".repeat(LINE_BYTES_MAX as usize * 3);
        std::fs::write(&path, format!("one\n{long}\ntwo\n{long}")).unwrap();
        let mut follower = Follower::new(path);
        let found = texts(follower.follow().unwrap());
        assert_eq!(found, [Some("one".into()), None, Some("two".into())]);
    }

    #[test]
    fn a_failed_append_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        std::fs::write(&path, "one\n").unwrap();
        let mut appender = Appender::open(&path, 4).unwrap();
        let durable = Durable::with_hook(std::sync::Arc::new(|_| Err(io::ErrorKind::StorageFull.into())));
        appender.append(&durable, "two\n").unwrap_err();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\n");
        appender.append(&Durable::default(), "two\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }
}
