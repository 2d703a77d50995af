//! The one thread that writes the log: collects for a moment, writes, waits for the disk, goes on.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, SyncSender},
    },
    time::Instant,
};

use super::{
    Shared,
    record::{Delivery, Note},
    segment::{Segment, sync_dir},
};
use crate::{
    clock::Clock,
    limits::{DELIVERIES_COMMIT_BYTES, DELIVERIES_COMMIT_EVERY, DELIVERIES_RESERVE_BYTES, DELIVERIES_SEGMENT_BYTES},
};

/// What the thread is told.
pub(super) enum Command {
    Record(Box<Delivery>),
    /// Commit now, then answer.
    Flush(SyncSender<()>),
    /// Everything up to this number has been taken over by somebody else.
    Acknowledge(u64, SyncSender<io::Result<()>>),
}

/// The state of the log; owned by the thread.
pub(super) struct Writer {
    dir: PathBuf,
    bytes_max: u64,
    clock: Clock,
    shared: Arc<Shared>,
    segments: Vec<Segment>,
    file: File,
    /// Lines that are not on the disk yet, and how many of them are deliveries.
    pending: String,
    pending_deliveries: u64,
    next: u64,
    /// Records refused since the last gap was written.
    missing: u64,
    is_full: bool,
}

impl Writer {
    /// Takes up the log where it ended.
    pub fn open(dir: &Path, bytes_max: u64, clock: Clock, shared: Arc<Shared>) -> io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let acknowledged = read_acknowledged(dir);
        let mut segments = Segment::list(dir)?;
        let last_line = segments.iter().rev().find_map(|segment| segment.last_line().transpose()).transpose()?;
        let file = match segments.last() {
            Some(segment) => segment.reopen()?,
            None => {
                let (segment, file) = Segment::create(dir, acknowledged + 1)?;
                segments.push(segment);
                file
            }
        };
        let next = segments.last().map_or(1, |segment| segment.next).max(acknowledged + 1);
        let mut writer = Self {
            dir: dir.to_owned(),
            bytes_max,
            clock,
            shared,
            segments,
            file,
            pending: String::new(),
            pending_deliveries: 0,
            next,
            missing: 0,
            is_full: false,
        };
        writer.shared.acknowledged.store(acknowledged, Ordering::Release);
        writer.begin(last_line.as_deref())?;
        Ok(writer)
    }

    /// Says how the log was left.
    fn begin(&mut self, last_line: Option<&str>) -> io::Result<()> {
        if last_line.is_some_and(|line| Note::is_kind(line, "full")) {
            self.note(Note::Gap { missing: None });
        }
        let clean = last_line.is_none_or(|line| Note::is_kind(line, "stopped"));
        self.note(Note::Started { clean });
        self.commit()
    }

    /// Until nobody can tell it anything any more.
    pub fn run(mut self, commands: &Receiver<Command>) {
        while let Ok(command) = commands.recv() {
            let until = Instant::now() + DELIVERIES_COMMIT_EVERY;
            self.obey(command);
            loop {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() || self.pending.is_empty() || self.pending.len() >= DELIVERIES_COMMIT_BYTES {
                    break;
                }
                match commands.recv_timeout(left) {
                    Ok(command) => self.obey(command),
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
                }
            }
            self.try_commit();
        }
        self.close_gap();
        self.note(Note::Stopped);
        self.try_commit();
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Record(delivery) => self.record(&delivery),
            Command::Flush(answer) => {
                self.try_commit();
                let _ = answer.send(());
            }
            Command::Acknowledge(through, answer) => {
                self.try_commit();
                let _ = answer.send(self.acknowledge(through));
            }
        }
    }

    fn record(&mut self, delivery: &Delivery) {
        self.missing += self.shared.overflowed.swap(0, Ordering::AcqRel);
        let room = self.bytes_max.saturating_sub(DELIVERIES_RESERVE_BYTES);
        if self.bytes() + self.pending.len() as u64 >= room {
            self.missing += 1;
            self.shared.counts.refused.inc();
            if !self.is_full {
                self.is_full = true;
                self.note(Note::Full);
                tracing::error!(folder = %self.dir.display(), bytes = self.bytes(), "the delivery log is full; records are refused until some are shipped");
            }
            return;
        }
        self.close_gap();
        self.pending += &delivery.line(self.next);
        self.next += 1;
        self.pending_deliveries += 1;
    }

    /// Says how many records are missing here.
    fn close_gap(&mut self) {
        self.missing += self.shared.overflowed.swap(0, Ordering::AcqRel);
        if self.missing > 0 || self.is_full {
            let missing = Some(std::mem::take(&mut self.missing));
            self.is_full = false;
            self.note(Note::Gap { missing });
        }
    }

    fn note(&mut self, note: Note) {
        self.pending += &note.line(self.next, self.clock.now());
        self.next += 1;
    }

    fn try_commit(&mut self) {
        if let Err(error) = self.commit() {
            // The same numbers are given again; a gap tells how many records went.
            tracing::error!(%error, folder = %self.dir.display(), "delivery records could not be written");
            self.next = self.active().next;
            self.pending.clear();
            self.shared.counts.refused.inc_by(self.pending_deliveries);
            self.missing += std::mem::take(&mut self.pending_deliveries);
        }
    }

    fn commit(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let segment_bytes = DELIVERIES_SEGMENT_BYTES.min(self.bytes_max / 8);
        if self.active().bytes > 0 && self.active().bytes + self.pending.len() as u64 > segment_bytes {
            self.rotate()?;
        }
        let segment = self.segments.last_mut().expect("there is always a file to write");
        segment.commit(&self.file, &self.pending, self.next)?;
        self.pending.clear();
        self.shared.counts.recorded.inc_by(std::mem::take(&mut self.pending_deliveries));
        self.publish();
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let (segment, file) = Segment::create(&self.dir, self.active().next)?;
        self.segments.push(segment);
        self.file = file;
        Ok(())
    }

    /// Lets readers see what is on the disk.
    fn publish(&self) {
        self.shared.counts.bytes.set(i64::try_from(self.bytes()).unwrap_or(i64::MAX));
        *self.shared.segments.lock().expect("no code panics while holding the list of files") = self.segments.clone();
        self.shared.next.store(self.active().next, Ordering::Release);
    }

    /// Forgets what was shipped. The number is on the disk before a file goes.
    fn acknowledge(&mut self, through: u64) -> io::Result<()> {
        let through = through.min(self.active().next - 1);
        if through <= self.shared.acknowledged.load(Ordering::Acquire) {
            return Ok(());
        }
        write_acknowledged(&self.dir, through)?;
        self.shared.acknowledged.store(through, Ordering::Release);
        let half_a_segment = DELIVERIES_SEGMENT_BYTES.min(self.bytes_max / 8) / 2;
        if self.active().next == through + 1 && self.active().bytes > half_a_segment {
            self.rotate()?;
        }
        let shipped = self.segments.iter().take_while(|segment| segment.next <= through + 1).count();
        // The last file stays: it is being written.
        let shipped: Vec<Segment> = self.segments.drain(..shipped.min(self.segments.len() - 1)).collect();
        self.publish();
        for segment in shipped {
            std::fs::remove_file(&segment.path)?;
        }
        Ok(())
    }

    fn active(&self) -> &Segment {
        self.segments.last().expect("there is always a file to write")
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

const ACKNOWLEDGED: &str = "acknowledged";

/// The number up to which everything was shipped. Without a readable one, nothing was: records may then be shipped
/// a second time, which their numbers show.
fn read_acknowledged(dir: &Path) -> u64 {
    std::fs::read_to_string(dir.join(ACKNOWLEDGED)).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

fn write_acknowledged(dir: &Path, through: u64) -> io::Result<()> {
    let aside = dir.join("acknowledged.new");
    std::fs::write(&aside, format!("{through}\n"))?;
    File::open(&aside)?.sync_all()?;
    std::fs::rename(&aside, dir.join(ACKNOWLEDGED))?;
    sync_dir(dir)
}
