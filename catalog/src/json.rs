//! The catalog as JSON lines: one change a line, for imports and exports.
//!
//! A line is an object with `change` and the fields of what is put or taken away:
//! `{"change":"artist","id":"…","name":"…","sort_name":"…"}`. Empty lines are passed over. What a line names comes
//! before it: releases before their tracks, shows before their episodes.

use crate::change::{Change, Refusal};
use crate::store::{Applied, Catalog, Error};
use std::io::{BufRead, Read};

/// Longest line, in bytes: a track with all its shares in every country, several times over.
pub const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Changes of one batch of an import.
const BATCH: usize = 2_000;

/// A line that cannot be read or is refused.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct BadLine {
    /// From 1.
    pub line: u64,
    /// What is wrong and how to correct it.
    pub why: String,
}

/// Why an import stopped. Batches before were applied.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A line is bad; nothing of its batch was applied.
    #[error(transparent)]
    Line(#[from] BadLine),
    /// The catalog failed.
    #[error(transparent)]
    Catalog(Error),
}

/// Changes that are applied together, and the lines they stand on.
#[derive(Debug, Default)]
pub struct Batch {
    changes: Vec<Change>,
    lines: Vec<u64>,
}

/// A change as a line, without its end.
pub fn line(change: &Change) -> String {
    serde_json::to_string(change).expect("a change is JSON")
}

/// Reads lines batch by batch and ends after the first bad one. It waits for its input: not for a reactor's thread.
pub fn batches<R: BufRead>(input: R) -> impl Iterator<Item = Result<Batch, BadLine>> {
    let mut lines = Lines { input, line: 0 };
    let mut is_over = false;
    std::iter::from_fn(move || {
        let mut batch = Batch::default();
        while !is_over && batch.changes.len() < BATCH {
            match lines.next() {
                Ok(Some(change)) => {
                    batch.changes.push(change);
                    batch.lines.push(lines.line);
                }
                Ok(None) => is_over = true,
                Err(bad) => {
                    is_over = true;
                    return Some(Err(bad));
                }
            }
        }
        (!batch.changes.is_empty()).then_some(Ok(batch))
    })
}

impl Catalog {
    /// Applies a batch of lines.
    pub async fn import(&self, batch: Batch) -> Result<Applied, ImportError> {
        let Batch { changes, lines } = batch;
        self.apply(changes).await.map_err(|error| match error {
            Error::Refused { index, refusal } => BadLine { line: lines[index], why: refusal.to_string() }.into(),
            other => ImportError::Catalog(other),
        })
    }
}

impl Batch {
    /// The changes, in order.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }
}

struct Lines<R> {
    input: R,
    /// The number of the last line read, from 1.
    line: u64,
}

impl<R: BufRead> Lines<R> {
    /// The next change; None at the end.
    fn next(&mut self) -> Result<Option<Change>, BadLine> {
        loop {
            let mut bytes = Vec::new();
            self.line += 1;
            let read = self.input.by_ref().take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut bytes);
            match read.map_err(|error| self.bad(format!("cannot be read: {error}")))? {
                0 => return Ok(None),
                read if read as u64 > LINE_BYTES_MAX => {
                    return Err(self.bad(format!("is longer than {LINE_BYTES_MAX} bytes: write one change a line")));
                }
                _ => {}
            }
            let text = std::str::from_utf8(&bytes).map_err(|e| {
                self.bad(format!("is not UTF-8 at byte {}: convert the file to UTF-8", e.valid_up_to()))
            })?;
            // What some editors put before the first line.
            let text = text.trim_start_matches('\u{feff}').trim();
            if !text.is_empty() {
                return self.change(text).map(Some);
            }
        }
    }

    fn change(&self, text: &str) -> Result<Change, BadLine> {
        let change: Change = serde_json::from_str(text).map_err(|error| self.bad(advice(&error)))?;
        change.check().map_err(|refusal: Refusal| self.bad(refusal.to_string()))?;
        Ok(change)
    }

    fn bad(&self, why: String) -> BadLine {
        BadLine { line: self.line, why }
    }
}

fn advice(error: &serde_json::Error) -> String {
    // The line's own number stands before it; the one of the parser is always 1.
    let text = error.to_string();
    let text = text.split(" at line 1 column").next().unwrap_or(&text);
    match error.classify() {
        serde_json::error::Category::Data => format!("{text}: correct this field"),
        serde_json::error::Category::Eof => format!("{text}: the object must end on the same line"),
        _ => format!("is not JSON at column {}: {text}", error.column()),
    }
}

#[cfg(test)]
mod tests;
