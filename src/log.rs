//! The log: one line an event, on stderr.
//!
//! The lines of the access log, one for each request, are gathered and written by a thread of their own: whoever answers
//! requests makes no system call for them and never waits for a terminal, a pipe or a disk. All other lines are few, and
//! are written at once.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use needledrop_edge::ACCESS_TARGET;
use tracing::Metadata;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How long a line may wait for others: who follows the log sees it as live.
const GATHER: Duration = Duration::from_millis(100);
/// Lines that make a write without waiting longer. A few hundred of them.
const ENOUGH_BYTES: usize = 64 << 10;
/// Lines that may wait for a slow reader: two seconds of 10,000 requests each. What comes beyond that is counted and said.
const WAITING_BYTES_MAX: usize = 8 << 20;

/// One line an event, either way.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Starts the log. What is given back is dropped last: it writes what still waits.
pub fn start(filter: &str, format: Format) -> Result<Keeper, String> {
    let filter = EnvFilter::try_new(filter).map_err(|error| format!("--log {filter}: {error}"))?;
    let waiting = Arc::new(Waiting::default());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(io::stderr().is_terminal());
    let log = log.with_writer(Output(waiting.clone()));
    match format {
        Format::Text => log.init(),
        Format::Json => log.json().flatten_event(true).init(),
    }
    Keeper::start(waiting).map_err(|error| format!("the log cannot be written: {error}"))
}

/// Lines on their way.
#[derive(Default)]
struct Waiting {
    lines: Mutex<Lines>,
    enough: Condvar,
}

#[derive(Default)]
struct Lines {
    text: Vec<u8>,
    /// Lines that found no room.
    lost: u64,
    is_over: bool,
}

impl Waiting {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &[u8]) {
        let mut lines = self.lines();
        if lines.text.len() + line.len() > WAITING_BYTES_MAX {
            lines.lost += 1;
            return;
        }
        let before = lines.text.len();
        lines.text.extend_from_slice(line);
        if before < ENOUGH_BYTES && lines.text.len() >= ENOUGH_BYTES {
            self.enough.notify_one();
        }
    }

    /// What waits, and how many were lost, once it is enough or has waited long enough; None after the end.
    fn take(&self, mut room: Vec<u8>) -> Option<(Vec<u8>, u64)> {
        let is_early = |lines: &mut Lines| lines.text.len() < ENOUGH_BYTES && !lines.is_over;
        let waited = self.enough.wait_timeout_while(self.lines(), GATHER, is_early);
        let (mut lines, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if lines.is_over && lines.text.is_empty() {
            return None;
        }
        room.clear();
        let text = std::mem::replace(&mut lines.text, room);
        Some((text, std::mem::take(&mut lines.lost)))
    }

    /// Writes until the end. A reader that went away ends nothing: there is nobody to tell.
    fn write_to(&self, mut sink: impl Write) {
        let mut room = Vec::new();
        while let Some((text, lost)) = self.take(room) {
            parts(&text).for_each(|part| drop(sink.write_all(part)));
            if lost > 0 {
                let _ = writeln!(sink, "{lost} lines of the access log are lost: nothing reads them fast enough");
            }
            room = text;
        }
    }
}

/// Whole lines, some at a time: standard error is locked while it is written to, and a warning of a reactor's thread must
/// not wait until a slow reader has taken megabytes.
fn parts(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let most = text.len().min(ENOUGH_BYTES);
        let end = text[..most].iter().rposition(|byte| *byte == b'\n').map_or(most, |line_end| line_end + 1);
        let (part, rest) = text.split_at_checked(end).filter(|(part, _)| !part.is_empty())?;
        text = rest;
        Some(part)
    })
}

/// Keeps the thread that writes.
pub struct Keeper {
    waiting: Arc<Waiting>,
    writing: Option<JoinHandle<()>>,
}

impl Keeper {
    fn start(waiting: Arc<Waiting>) -> io::Result<Self> {
        let lines = waiting.clone();
        let thread = std::thread::Builder::new().name("log".into());
        let writing = thread.spawn(move || lines.write_to(io::stderr()))?;
        Ok(Self { waiting, writing: Some(writing) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.waiting.lines().is_over = true;
        self.waiting.enough.notify_one();
        // It has nothing to say that could still be said.
        let _ = self.writing.take().map(JoinHandle::join);
    }
}

/// Where the subscriber writes.
struct Output(Arc<Waiting>);

impl<'a> MakeWriter<'a> for Output {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { waiting: None }
    }

    fn make_writer_for(&'a self, of: &Metadata<'_>) -> Line<'a> {
        Line { waiting: (of.target() == ACCESS_TARGET).then_some(&self.0) }
    }
}

/// One line, which the subscriber writes in one piece.
struct Line<'a> {
    waiting: Option<&'a Waiting>,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self.waiting {
            Some(waiting) => {
                waiting.add(line);
                Ok(line.len())
            }
            None => io::stderr().write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_is_written_in_parts_of_whole_lines() {
        let line = [&[b'x'; 99][..], b"\n"].concat();
        let text = line.repeat(3 * ENOUGH_BYTES / line.len());
        let all: Vec<&[u8]> = parts(&text).collect();
        assert_eq!(all.concat(), text);
        assert!(all.len() >= 3 && all.iter().all(|part| part.len() <= ENOUGH_BYTES && part.ends_with(b"\n")));
        let endless = vec![b'x'; 2 * ENOUGH_BYTES + 1];
        assert_eq!(parts(&endless).map(<[u8]>::len).collect::<Vec<_>>(), [ENOUGH_BYTES, ENOUGH_BYTES, 1]);
        assert_eq!(parts(b"").count(), 0);
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !bytes.is_empty() {
                self.0.lock().unwrap().push(bytes.to_vec());
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_together_and_the_last_of_them_before_the_end() {
        let (waiting, sink) = (Arc::new(Waiting::default()), Sink::default());
        for n in 0..100 {
            waiting.add(format!("line {n}\n").as_bytes());
        }
        let (lines, to) = (waiting.clone(), sink.clone());
        let writing = std::thread::spawn(move || lines.write_to(to));
        while sink.0.lock().unwrap().is_empty() {
            std::thread::yield_now();
        }
        waiting.add(b"the last\n");
        waiting.lines().is_over = true;
        waiting.enough.notify_one();
        writing.join().unwrap();
        let written = sink.0.lock().unwrap();
        assert_eq!(written.len(), 2, "a hundred lines in one write, and what came before the end");
        assert!(written[0].starts_with(b"line 0\nline 1\n") && written[0].ends_with(b"line 99\n"));
        assert_eq!(written[1], b"the last\n");
    }

    #[test]
    fn what_nobody_reads_is_bounded_and_said() {
        let waiting = Waiting::default();
        let line = vec![b'x'; 1 << 20];
        for _ in 0..10 {
            waiting.add(&line);
        }
        assert_eq!(waiting.lines().text.len(), WAITING_BYTES_MAX);
        waiting.lines().is_over = true;
        let sink = Sink::default();
        waiting.write_to(sink.clone());
        let said = sink.0.lock().unwrap().concat();
        let tail = String::from_utf8_lossy(&said[WAITING_BYTES_MAX..]).into_owned();
        assert_eq!(tail, "2 lines of the access log are lost: nothing reads them fast enough\n");
    }
}
