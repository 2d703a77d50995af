//! Traces from files: CSV with named columns, and libCacheSim's oracleGeneral.
//!
//! CSV: the first line names the columns, in any order: `time` (seconds), `id` (anything), `size`
//! (bytes of the object), and optionally `start` and `end` (the bytes asked for, end exclusive).
//! A line without them asks for the whole object.
//!
//! oracleGeneral, 24 bytes a request, little-endian:
//!
//! ```text
//!   0        4                12       16                24
//!   | time u32 | object id u64 | size u32 | next access i64 |
//! ```
//!
//! A request from the first byte on counts as a tap. Such files say nothing of heads and next
//! tracks: the first 640 KiB are the head, and nothing is prefetched.

use std::{collections::HashMap, io, path::Path};

use needledrop_core::block::HEAD_BYTES_DEFAULT;

use super::{Event, Object, ObjectId, Trace};

const RECORD_BYTES: usize = 24;

/// Why a trace file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be read.
    #[error("{0}: {1}")]
    Io(String, io::Error),
    /// A column that is needed is not there.
    #[error("{0} has no column named {1}; a trace needs time, id and size")]
    Column(String, &'static str),
    /// A field that should be a number is none.
    #[error("{0}, line {1}: {2:?} is not a number")]
    Number(String, usize, String),
    /// The file ends in the middle of a record.
    #[error("{0} is not a whole number of 24-byte records")]
    Torn(String),
    /// Nobody asks for anything.
    #[error("{0} holds no request")]
    Empty(String),
}

/// Reads a trace: `.csv` as CSV, anything else as oracleGeneral.
pub fn read(path: &Path) -> Result<Trace, FileError> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| FileError::Io(name.clone(), error))?;
    let is_csv = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let trace = if is_csv { csv(&name, &String::from_utf8_lossy(&bytes))? } else { oracle_general(&name, &bytes)? };
    if trace.events.is_empty() { Err(FileError::Empty(name)) } else { Ok(trace) }
}

fn csv(name: &str, text: &str) -> Result<Trace, FileError> {
    let mut lines = text.lines().enumerate();
    let header: Vec<&str> = lines.next().map(|(_, line)| line.split(',').map(str::trim).collect()).unwrap_or_default();
    let find = |column: &str| header.iter().position(|name| *name == column);
    let need = |column| find(column).ok_or_else(|| FileError::Column(name.to_owned(), column));
    let (time, id, size) = (need("time")?, need("id")?, need("size")?);
    let range = find("start").zip(find("end"));
    let mut gathered = Gathered::default();
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or("");
        let parse = |at: usize| {
            let text = field(at);
            text.parse::<u64>().map_err(|_| FileError::Number(name.to_owned(), number + 1, text.to_owned()))
        };
        let len = parse(size)?;
        let (start, end) = match range {
            Some((start, end)) => (parse(start)?, parse(end)?.min(len)),
            None => (0, len),
        };
        gathered.ask(parse(time)?, field(id).to_owned(), len, start, end);
    }
    Ok(gathered.trace(name))
}

fn oracle_general(name: &str, bytes: &[u8]) -> Result<Trace, FileError> {
    let (records, rest) = bytes.as_chunks::<RECORD_BYTES>();
    if !rest.is_empty() {
        return Err(FileError::Torn(name.to_owned()));
    }
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
    let mut gathered = Gathered::default();
    for record in records {
        let (time, id, len) = (number(&record[..4]), number(&record[4..12]), number(&record[12..16]));
        gathered.ask(time, id, len, 0, len);
    }
    Ok(gathered.trace(name))
}

struct Gathered<Id> {
    ids: HashMap<Id, ObjectId>,
    objects: Vec<Object>,
    events: Vec<(u64, Event)>,
}

impl<Id> Default for Gathered<Id> {
    fn default() -> Self {
        Self { ids: HashMap::new(), objects: Vec::new(), events: Vec::new() }
    }
}

impl<Id: std::hash::Hash + Eq> Gathered<Id> {
    fn ask(&mut self, at: u64, id: Id, len: u64, start: u64, end: u64) {
        if start >= end {
            return;
        }
        let object = *self.ids.entry(id).or_insert_with(|| {
            self.objects.push(Object { len: 0, head: 0 });
            ObjectId(self.objects.len() as u32 - 1)
        });
        let known = &mut self.objects[object.0 as usize];
        // An object that grew in the trace is the longest it has been.
        known.len = known.len.max(len);
        known.head = known.len.min(HEAD_BYTES_DEFAULT);
        self.events.push((at, Event::Ask { object, start, end, tap: start == 0 }));
    }

    fn trace(self, name: &str) -> Trace {
        let warm_up = self.events.len() / 4;
        Trace { name: name.to_owned(), objects: self.objects, events: self.events, warm_up }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_may_stand_in_any_order_and_ranges_may_be_left_out() {
        let trace = csv("t", "id,size,time\na,100,5\nb,7,6\na,100,9\n").unwrap();
        assert_eq!((trace.objects.len(), trace.events.len(), trace.footprint()), (2, 3, 107));
        let trace = csv("t", "time,id,size,start,end\n1,a,100,10,400\n").unwrap();
        assert!(matches!(trace.events[0], (1, Event::Ask { start: 10, end: 100, tap: false, .. })));
    }

    #[test]
    fn what_is_not_a_trace_is_refused_by_name() {
        assert!(matches!(csv("t", "time,id\n1,a\n"), Err(FileError::Column(_, "size"))));
        assert!(matches!(csv("t", "time,id,size\n1,a,x\n"), Err(FileError::Number(_, 2, _))));
        assert!(matches!(oracle_general("t", &[0; 25]), Err(FileError::Torn(_))));
    }

    #[test]
    fn oracle_general_records_are_read_little_endian() {
        let mut record = vec![];
        record.extend(7u32.to_le_bytes());
        record.extend(99u64.to_le_bytes());
        record.extend(5_000u32.to_le_bytes());
        record.extend((-1i64).to_le_bytes());
        let trace = oracle_general("t", &record.repeat(2)).unwrap();
        assert_eq!((trace.objects.len(), trace.objects[0].len), (1, 5_000));
        assert!(matches!(trace.events[1], (7, Event::Ask { start: 0, end: 5_000, tap: true, .. })));
    }
}
