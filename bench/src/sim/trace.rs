//! A trace: who asked when for which bytes, and what was said about the next track.

/// An object of a trace, by its place in [`Trace::objects`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(pub u32);

/// What is known of an object. Unit: bytes.
#[derive(Debug, Clone, Copy)]
pub struct Object {
    pub len: u64,
    /// Its first 30 s.
    pub head: u64,
}

/// One thing that happens at an edge.
#[derive(Debug, Clone, Copy)]
pub enum Event {
    /// A player asks for bytes `start..end`; `tap`: these are the first of a play.
    Ask { object: ObjectId, start: u64, end: u64, tap: bool },
    /// A player or a signed URL tells what comes next, how many of its first bytes will be
    /// wanted, and in how many seconds.
    Next { object: ObjectId, bytes: u64, due_seconds: u64 },
}

/// Events in order, each with its second.
#[derive(Debug)]
pub struct Trace {
    pub name: String,
    pub objects: Vec<Object>,
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

    pub fn object(&self, id: ObjectId) -> Object {
        self.objects[id.0 as usize]
    }
}
