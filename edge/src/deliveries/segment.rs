//! One file of the delivery log: `FIRSTSEQ.jsonl`, twenty digits, lines as in `record.rs`.
//!
//! A file is only ever written behind its last committed line, and only the newest one is written. Everything
//! here blocks on a disk.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::record::seq_of;

/// A file and what is in it.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub path: PathBuf,
    /// The number of its first line, also while it has none.
    pub first: u64,
    /// The number that its next line would have.
    pub next: u64,
    /// The length of its committed lines.
    pub bytes: u64,
}

impl Segment {
    /// A new file whose first line will have this number.
    pub fn create(dir: &Path, first: u64) -> io::Result<(Self, File)> {
        let path = dir.join(format!("{first:020}.jsonl"));
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        sync_dir(dir)?;
        Ok((Self { path, first, next: first, bytes: 0 }, file))
    }

    /// All files of a folder in order. The last one is read to its end, since a kill may have torn it.
    pub fn list(dir: &Path) -> io::Result<Vec<Self>> {
        let mut segments = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".jsonl"));
            let Some(first) = name.and_then(|name| name.parse().ok()) else { continue };
            let bytes = path.metadata()?.len();
            segments.push(Self { path, first, next: first, bytes });
        }
        segments.sort_unstable_by_key(|segment| segment.first);
        let firsts: Vec<u64> = segments.iter().skip(1).map(|segment| segment.first).collect();
        for (segment, next) in segments.iter_mut().zip(firsts) {
            segment.next = next;
        }
        if let Some(last) = segments.last_mut() {
            (last.next, last.bytes) = last.end()?;
        }
        Ok(segments)
    }

    /// The number behind the last whole line, and where that line ends. What follows was torn.
    fn end(&self) -> io::Result<(u64, u64)> {
        let (mut next, mut bytes, mut position) = (self.first, 0, 0);
        for line in lossy(&self.path)?.split_inclusive('\n') {
            position += line.len() as u64;
            if let Some(seq) = line.strip_suffix('\n').and_then(seq_of) {
                (next, bytes) = (seq + 1, position);
            }
        }
        Ok((next, bytes))
    }

    /// Opens the file for more lines and cuts off what was torn.
    pub fn reopen(&self) -> io::Result<File> {
        let file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        file.set_len(self.bytes)?;
        file.sync_data()?;
        Ok(file)
    }

    /// Writes lines behind the committed ones and waits until the disk has them.
    pub fn commit(&mut self, file: &File, lines: &str, next: u64) -> io::Result<()> {
        file.write_all_at(lines.as_bytes(), self.bytes)?;
        file.sync_data()?;
        self.bytes += lines.len() as u64;
        self.next = next;
        Ok(())
    }

    /// The last committed line.
    pub fn last_line(&self) -> io::Result<Option<String>> {
        let text = lossy(&self.path)?;
        let committed = text.get(..usize::try_from(self.bytes).unwrap_or(usize::MAX)).unwrap_or(&text);
        Ok(committed.lines().rfind(|line| seq_of(line).is_some()).map(str::to_owned))
    }

    /// Appends its whole lines with numbers in `from..to` to `text`, up to `bytes_max` of text; gives the number
    /// behind the last one. A damaged line is left out: the numbers show that.
    pub fn read(&self, from: u64, to: u64, bytes_max: usize, text: &mut String) -> io::Result<u64> {
        let mut next = from;
        for line in lossy(&self.path)?.split_inclusive('\n') {
            let Some(seq) = line.strip_suffix('\n').and_then(seq_of) else { continue };
            if seq < from {
                continue;
            }
            if seq >= to || (!text.is_empty() && text.len() + line.len() > bytes_max) {
                return Ok(next);
            }
            text.push_str(line);
            next = seq + 1;
        }
        Ok(next.max(self.next.min(to)))
    }
}

/// Bytes that are no ASCII are damage, which the sums find; each becomes one sign, so that positions stay right.
fn lossy(path: &Path) -> io::Result<String> {
    let bytes = std::fs::read(path)?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| {
        error.into_bytes().iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' }).collect()
    }))
}

/// Makes names in a folder last.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
