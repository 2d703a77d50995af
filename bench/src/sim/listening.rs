//! Made-up listening: habits of `needledrop_loadtest::habits`, players that fetch 10 s before they
//! need the next bytes, listeners who each keep to one of three bitrates.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
};

use needledrop_loadtest::{
    dice::{Dice, Zipf},
    habits::{CHUNK_BYTES, FETCH_AHEAD_SECONDS, FOLLOWS, heard_seconds},
    trace::{Event, Object, ObjectId, Trace},
};

const HEAD_SECONDS: u64 = 30;
/// Bitrates in kbit/s, and up to which share of the listeners each goes.
const RATES: [(u64, f64); 3] = [(96, 0.2), (160, 0.7), (320, 1.0)];

/// When a player says what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// With the signed URL: when a play starts, and the whole head.
    AtStart,
    /// As CMCD `nor` and `nrr`: with the last request of a play, and the first 256 KiB.
    AtLastChunk,
}

/// The world and its seed.
#[derive(Debug, Clone, Copy)]
pub struct Listening {
    pub tracks: u32,
    pub listeners: u32,
    pub plays: u32,
    pub skew: f64,
    pub says: Says,
    pub seed: u64,
}

impl Listening {
    /// The workload of the research.
    pub fn full(skew: f64, says: Says) -> Self {
        Self { tracks: 200_000, listeners: 1_500, plays: 150_000, skew, says, seed: 42 }
    }

    /// The same world, `factor` times smaller in every direction.
    pub fn scaled(self, factor: u32) -> Self {
        let smaller = |count: u32| (count / factor).max(1);
        Self { tracks: smaller(self.tracks), listeners: smaller(self.listeners), plays: smaller(self.plays), ..self }
    }

    /// Plays it; the first quarter of the plays is warm-up.
    pub fn trace(self, name: &str) -> Trace {
        Stage::new(self).run(name)
    }
}

struct Listener {
    rate: u64,
    track: Option<u32>,
}

/// The heap holds what each listener does next: (millisecond, listener or play event).
struct Stage {
    world: Listening,
    zipf: Zipf,
    dice: Dice,
    listeners: Vec<Listener>,
    ids: HashMap<(u32, u64), ObjectId>,
    objects: Vec<Object>,
}

/// An event of a play under way, ordered by time and then as they were planned.
type Planned = (u64, u64);

impl Stage {
    fn new(world: Listening) -> Self {
        let mut dice = Dice::new(world.seed);
        let listeners = (0..world.listeners).map(|_| {
            let chance = dice.unit();
            let (rate, _) = RATES.into_iter().find(|(_, up_to)| chance < *up_to).expect("the last one is 1");
            Listener { rate, track: None }
        });
        Self {
            listeners: listeners.collect(),
            zipf: Zipf::new(world.tracks, world.skew),
            dice,
            ids: HashMap::new(),
            objects: Vec::new(),
            world,
        }
    }

    fn run(mut self, name: &str) -> Trace {
        let mut starts: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
        for listener in 0..self.listeners.len() {
            // Not all at once: spread over the length of a track.
            starts.push(Reverse(((self.dice.unit() * 200_000.0) as u64, listener)));
        }
        let mut events: Vec<(Planned, Event)> = Vec::new();
        let mut warm_until = 0;
        for play in 0..self.world.plays {
            let Some(Reverse((start, listener))) = starts.pop() else { break };
            if play == self.world.plays / 4 {
                warm_until = start;
            }
            let end = self.play(start, listener, &mut events);
            starts.push(Reverse((end, listener)));
        }
        events.sort_unstable_by_key(|(planned, _)| *planned);
        let warm_up = events.partition_point(|((at, _), _)| *at < warm_until);
        let events = events.into_iter().map(|((at, _), event)| (at / 1_000, event)).collect();
        Trace { name: name.to_owned(), objects: self.objects, events, warm_up }
    }

    /// Plans all events of one play; gives the millisecond at which the next one starts.
    fn play(&mut self, start: u64, listener: usize, events: &mut Vec<(Planned, Event)>) -> u64 {
        let follows = self.dice.unit() < FOLLOWS;
        let rate = self.listeners[listener].rate;
        let track = match self.listeners[listener].track {
            Some(track) if follows => (track + 1) % self.world.tracks,
            _ => self.zipf.rank(&mut self.dice),
        };
        self.listeners[listener].track = Some(track);
        let seconds = self.seconds(track);
        let heard = heard_seconds(seconds, &mut self.dice);
        let object = self.object(track, rate);
        let next = self.object((track + 1) % self.world.tracks, rate);
        let len = self.objects[object.0 as usize].len;
        let mut plan = |at: f64, event| events.push(((start + (at * 1e3) as u64, events.len() as u64), event));
        let mut told = false;
        for from in (0..len).step_by(CHUNK_BYTES as usize) {
            let at = ((from / (rate * 125)) as f64 - FETCH_AHEAD_SECONDS).max(0.0);
            if at > heard {
                break;
            }
            let end = (from + CHUNK_BYTES).min(len);
            plan(at, Event::Ask { object, start: from, end, tap: from == 0 });
            let says = match self.world.says {
                Says::AtStart => from == 0,
                Says::AtLastChunk => end == len,
            };
            if says && !told {
                told = true;
                let bytes = match self.world.says {
                    Says::AtStart => self.objects[next.0 as usize].head,
                    Says::AtLastChunk => 256 * 1024,
                };
                plan(at, Event::Next { object: next, bytes, due_seconds: (seconds - at).ceil() as u64 });
            }
        }
        start + (heard * 1e3) as u64 + 1
    }

    /// 2 to 5 minutes, always the same for one track.
    fn seconds(&self, track: u32) -> f64 {
        Dice::new(self.world.seed ^ u64::from(track) << 20).between(120.0, 300.0)
    }

    fn object(&mut self, track: u32, rate: u64) -> ObjectId {
        let len = (self.seconds(track) * rate as f64 * 125.0) as u64;
        *self.ids.entry((track, rate)).or_insert_with(|| {
            self.objects.push(Object { len, head: (HEAD_SECONDS * rate * 125).min(len) });
            ObjectId(self.objects.len() as u32 - 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_trace_twice() {
        let world = Listening::full(0.9, Says::AtStart).scaled(200);
        let (one, two) = (world.trace("one"), world.trace("two"));
        assert_eq!(format!("{:?}", one.events), format!("{:?}", two.events));
    }

    #[test]
    fn listening_is_shaped_as_published() {
        let trace = Listening::full(0.9, Says::AtStart).scaled(10).trace("shape");
        let mut follows = 0;
        let taps = trace.events.iter().filter(|(_, event)| matches!(event, Event::Ask { tap: true, .. })).count();
        assert_eq!(taps, 15_000);
        assert!(trace.events.is_sorted_by_key(|(at, _)| *at));
        let mut said = std::collections::HashSet::new();
        for (_, event) in &trace.events {
            match event {
                Event::Next { object, .. } => {
                    said.insert(*object);
                }
                Event::Ask { object, tap: true, .. } => follows += usize::from(said.contains(object)),
                Event::Ask { .. } => {}
            }
        }
        assert!(follows * 100 > taps * 61, "what follows was said before");
    }
}
