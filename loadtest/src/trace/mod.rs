//! A trace: who asked when for which bytes, and what was said about the next track.

pub mod file;

/// An object of a trace, by its place in [`Trace::objects`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(pub u32);

/// What is known of an object. Unit: bytes.
#[derive(Debug, Clone, Copy)]
pub struct Object {
    /// All of it.
    pub len: u64,
    /// Its first 30 s.
    pub head: u64,
}

/// One thing that happens at an edge.
#[derive(Debug, Clone, Copy)]
pub enum Event {
    /// A player asks for bytes `start..end`; `tap`: these are the first of a play.
    Ask {
        /// Of which object.
        object: ObjectId,
        /// The first byte.
        start: u64,
        /// The first byte that is not asked for.
        end: u64,
        /// Whether somebody waits for the sound.
        tap: bool,
    },
    /// A player or a signed URL tells what comes next, how many of its first bytes will be
    /// wanted, and in how many seconds.
    Next {
        /// What comes next.
        object: ObjectId,
        /// How many of its first bytes will be wanted.
        bytes: u64,
        /// When it will be asked for.
        due_seconds: u64,
    },
}

/// Events in order, each with its second.
#[derive(Debug)]
pub struct Trace {
    /// What it is called in reports.
    pub name: String,
    /// All objects that it speaks of.
    pub objects: Vec<Object>,
    /// What happened, and in which second.
    pub events: Vec<(u64, Event)>,
    /// How many events are there only to fill the cache.
    pub warm_up: usize,
}

impl Trace {
    /// The sum of the lengths of all objects that are asked for. Unit: bytes.
    pub fn footprint(&self) -> u64 {
        let mut asked = vec![false; self.objects.len()];
        for (_, event) in &self.events {
            if let Event::Ask { object, .. } = event {
                asked[object.0 as usize] = true;
            }
        }
        let lengths = self.objects.iter().zip(asked).filter(|(_, asked)| *asked).map(|(object, _)| object.len);
        lengths.sum()
    }

    /// What is known of an object of this trace.
    pub fn object(&self, id: ObjectId) -> Object {
        self.objects[id.0 as usize]
    }
}
