//! One listener: taps, connects, reads by range as a player does, plays, seeks, skips, goes on.
//!
//! Every wait for sound is counted from the instant at which it was meant to begin; what goes wrong on the way is
//! counted by kind. The listener leaves when a track cannot be played.

use std::{
    net::IpAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use http::StatusCode;
use needledrop_core::block::HEAD_BYTES_DEFAULT;

use crate::{
    catalog::Place,
    client::{Connection, Device, Failure, Get, Origin, Wish},
    cmcd::{Cmcd, Said},
    dice::Dice,
    ear::{Deaf, Ear, Heard, Page, failure_of},
    habits,
    measured::{Cache, Key, Measure, Opening, Protocol, Trouble, Why},
    needle::Needle,
    playback::Playback,
    replay::Event,
    sound::Milestones,
    world::World,
};

/// How long before the tap a listener begins whose connection or session is older than the tap.
pub const PREPARE: Duration = Duration::from_secs(3);

/// What a used connection has carried before the tap. Unit: bytes.
const WARM_UP_BYTES: u64 = 64 * 1024;

/// The first bytes that are a measure of their own.
const FIRST_64K: u64 = 64 * 1024;

/// Average rate where neither the list nor the object says it. Unit: bytes per second (160 kbit/s).
const BYTES_PER_SECOND: f64 = 20_000.0;

/// Somebody at a device.
pub struct Listener {
    world: Rc<World>,
    number: u64,
    dice: Dice,
    device: Device,
    protocol: Protocol,
    line: Option<Line>,
    api: Option<Line>,
    /// Whether there was silence since the last request.
    starved: bool,
    /// Whether somebody waits for sound at this moment.
    waiting: bool,
}

/// A connection and where it leads.
struct Line {
    connection: Connection,
    origin: Origin,
    used: bool,
}

/// How a play ended.
struct Ended {
    at: Instant,
    whole: bool,
}

/// A start under way.
struct Start<'a> {
    place: &'a Place,
    why: Why,
    intended: Instant,
}

impl Listener {
    /// The `number`-th of the run; everything about them follows from it and the seed.
    pub fn new(world: Rc<World>, number: u64) -> Self {
        let mut dice = Dice::new(world.settings.seed ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let source = world.side.as_ref().map(|side| IpAddr::V4(side.address(number as u32)));
        let (device, protocol) = (world.client.device(source), world.settings.protocols.draw(&mut dice));
        Self { world, number, dice, device, protocol, line: None, api: None, starved: false, waiting: false }
    }

    /// Comes, listens, leaves. `tap` is when the first track is meant to be tapped.
    pub async fn listen(mut self, tap: Instant) {
        let mut track = self.pick();
        let wanted = self.world.settings.openings.draw(&mut self.dice);
        if let Err(failure) = self.prepare(track, wanted).await {
            self.intend(tap);
            return self.trouble(&failure);
        }
        self.wait_for_tap(tap, wanted).await;
        let (mut why, mut intended) = (Why::Tap, tap);
        let mut wish = wish_of(wanted);
        for _ in 0..self.world.settings.plays.unwrap_or(u32::MAX) {
            if self.world.is_closing() && why != Why::Tap {
                return;
            }
            let next = self.world.after(track);
            self.intend(intended);
            let ended = match self.play(track, next, why, intended, wish).await {
                Ok(Some(ended)) => ended,
                Ok(None) => return,
                Err(failure) => return self.trouble(&failure),
            };
            track = if self.dice.unit() < habits::FOLLOWS { next } else { self.pick() };
            (why, intended) = (if ended.whole { Why::Next } else { Why::Skip }, ended.at);
            wish = Wish::Resumed;
        }
    }

    /// Who had to prepare may be late through the server: only the others tell something about the generator.
    async fn wait_for_tap(&self, at: Instant, wanted: Opening) {
        if wanted == Opening::Full { self.world.wait_for_tap(at).await } else { self.world.wait(at).await }
    }

    /// From now on somebody waits for sound.
    fn intend(&mut self, at: Instant) {
        self.waiting = true;
        let mut tally = self.world.tally();
        tally.starts += 1;
        tally.timeline.at(self.world.since(at)).starts += 1;
    }

    fn trouble(&mut self, failure: &Failure) {
        self.waiting = false;
        self.world.trouble(failure);
    }

    fn pick(&mut self) -> usize {
        self.world.pick(self.number, &mut self.dice)
    }

    /// Makes one request of a trace.
    pub(crate) async fn ask_once(mut self, event: Event, at: Instant) {
        let world = self.world.clone();
        let wanted = world.settings.openings.draw(&mut self.dice);
        let track = event.rank % world.catalog.entries.len();
        if let Err(failure) = self.prepare(track, wanted).await {
            self.intend(at);
            return self.trouble(&failure);
        }
        self.wait_for_tap(at, wanted).await;
        self.intend(at);
        let outcome = self.ask_range(track, event, at, wish_of(wanted)).await;
        if let Err(failure) = outcome {
            self.trouble(&failure);
        }
    }

    async fn ask_range(&mut self, track: usize, event: Event, at: Instant, wish: Wish) -> Result<(), Failure> {
        let world = self.world.clone();
        let place = self.locate(track, world.after(track)).await?;
        let located_at = world.catalog.asks().then(Instant::now);
        let start = Start { place: &place, why: if event.tap { Why::Tap } else { Why::Seek }, intended: at };
        let length = world.sounds.length(place.path());
        let first = length.map_or(event.first, |length| event.first % length.max(1));
        let last = first + (event.end - event.first).max(1) - 1;
        let said = Said { startup: event.tap, ..self.said(&place, 0) };
        let (heard, opening, ready_at) = self.fetch(&start, (first, last), &said, wish).await?;
        let milestones = if first == 0 { world.sounds.known(place.path()) } else { Some(Milestones::default()) };
        let marks = Marks { located_at, ready_at, opening, milestones };
        self.record(&start, &heard, &marks);
        Ok(())
    }

    /// What is older than the tap: a session to resume, or a connection that was used.
    async fn prepare(&mut self, track: usize, wanted: Opening) -> Result<(), Failure> {
        if wanted == Opening::Full {
            return Ok(());
        }
        let other = self.world.after(track);
        let place = self.locate(other, track).await?;
        let origin = self.world.reach(&place.origin);
        if wanted != Opening::Warm {
            self.api = None;
            return self.device.prime(&origin, self.protocol).await.map(|_| ());
        }
        let mut connection = self.device.open(&origin, self.protocol, Wish::Full).await?;
        let get = Get { target: &place.target, range: Some((0, WARM_UP_BYTES - 1)), fields: &[] };
        connection.get(&get, &mut Deaf { left: WARM_UP_BYTES }).await?;
        if connection.is_usable() {
            self.line = Some(Line { connection, origin, used: true });
        }
        Ok(())
    }

    /// Where a track is: by the list, or by asking the gateway.
    async fn locate(&mut self, track: usize, next: usize) -> Result<Place, Failure> {
        let world = self.world.clone();
        if !world.catalog.asks() {
            return Ok(world.catalog.place(track, next));
        }
        let target = world.catalog.question(track, next);
        let origin = world.reach(&world.catalog.origins[0]);
        let credential = world.catalog.credential();
        let mut body = Vec::new();
        // A gateway that closed its idle connection is asked once more over a new one.
        for _ in 0..2 {
            let mut line = match self.api.take().or_else(|| self.line.take_if(|line| line.origin == origin)) {
                Some(line) if line.connection.is_usable() => line,
                _ => Line {
                    connection: self.device.open(&origin, self.protocol, Wish::Resumed).await?,
                    origin: origin.clone(),
                    used: false,
                },
            };
            let get = Get { target: &target, range: None, fields: credential.as_slice() };
            let mut page = Page { status: StatusCode::OK, body: Vec::new() };
            world.tally().requests += 1;
            match line.connection.get(&get, &mut page).await {
                Err(failure) if line.used && failure.trouble == Trouble::Broken => continue,
                Err(failure) => return Err(failure),
                Ok(_) if page.status != StatusCode::OK => {
                    return Err(failure_of(page.status, || format!("the gateway says {} to {target}", page.status)));
                }
                Ok(_) => body = page.body,
            }
            line.used = true;
            self.api = Some(line);
            break;
        }
        world.catalog.answer(&body).map_err(|sentence| Failure { trouble: Trouble::Url, sentence })
    }

    /// Plays one track. None: the run ended.
    async fn play(
        &mut self,
        track: usize,
        next: usize,
        why: Why,
        intended: Instant,
        wish: Wish,
    ) -> Result<Option<Ended>, Failure> {
        let world = self.world.clone();
        let place = self.locate(track, next).await?;
        let located_at = world.catalog.asks().then(Instant::now);
        let start = Start { place: &place, why, intended };
        let said = Said { startup: true, ..self.said(&place, 0) };
        let (heard, opening, ready_at) = self.fetch(&start, self.chunk(0), &said, wish).await?;
        let milestones = world.sounds.known(place.path());
        let marks = Marks { located_at, ready_at, opening, milestones };
        let sound_at = self.record(&start, &heard, &marks);
        if world.settings.starts_only {
            return Ok(None);
        }
        self.play_on(&start, heard, sound_at, opening).await
    }

    fn said<'a>(&self, place: &'a Place, buffered_ms: u64) -> Said<'a> {
        Said {
            session: self.number ^ self.world.settings.seed.rotate_left(32),
            kbps: self.world.kbps(place),
            duration_ms: place.seconds.map(|seconds| (seconds * 1e3) as u64),
            buffered_ms,
            starved: self.starved,
            startup: false,
            next: place.next.as_ref().map(|(path, head)| (path.as_str(), *head)),
        }
    }

    /// The chunk from there on: first and last byte.
    fn chunk(&self, first: u64) -> (u64, u64) {
        (first, first + self.world.settings.chunk_bytes - 1)
    }

    /// Reads one range, over the connection that is there or a new one. Gives what was heard, the state in which the
    /// connection was, and when a request could go out.
    async fn fetch(
        &mut self,
        start: &Start<'_>,
        (first, last): (u64, u64),
        said: &Said<'_>,
        wish: Wish,
    ) -> Result<(Heard, Opening, Instant), Failure> {
        let world = self.world.clone();
        let origin = world.reach(&start.place.origin);
        let (target, fields) = dressed(&start.place.target, said, world.settings.cmcd);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let get = Get { target: &target, range: Some((first, last)), fields: &fields };
        loop {
            // A browser uses one connection for the API and the music of one origin; so do listeners.
            let kept = self.line.take().or_else(|| self.api.take_if(|line| line.origin == origin));
            let mut line = match kept {
                Some(line) if line.origin == origin && line.connection.is_usable() => line,
                _ => Line {
                    connection: self.device.open(&origin, self.protocol, wish).await?,
                    origin: origin.clone(),
                    used: false,
                },
            };
            let ready_at = line.connection.ready_at();
            let mut ear = Ear::new(&world, start.place.path(), first, last);
            world.tally().requests += 1;
            let answer = line.connection.get(&get, &mut ear).await;
            world.tally().bytes += ear.heard.bytes();
            // One that was opened for this very tap, if only to ask for the URL, is part of what was waited for.
            let is_older = ready_at < start.intended;
            let opening = if is_older { Opening::Warm } else { line.connection.opening() };
            match answer {
                // The server closed an idle connection at the very moment: everybody asks again.
                Err(failure) if line.used && ear.heard.log.is_empty() && failure.trouble == Trouble::Broken => continue,
                Err(failure) => return Err(failure),
                Ok(answer) => {
                    let mut heard = ear.finish(&answer)?;
                    if let Some((claim, beginning)) = heard.kept.take() {
                        world.sounds.decode(claim, beginning);
                    }
                    if let Some(length) = heard.length {
                        world.sounds.is_long(start.place.path(), length);
                    }
                    line.used = true;
                    if line.connection.is_usable() {
                        self.line = Some(line);
                    }
                    self.starved = false;
                    return Ok((heard, opening, ready_at));
                }
            }
        }
    }

    /// Counts a start; gives the instant of the first sound, or of the first byte of what does not sound or is still at
    /// the decoder.
    fn record(&mut self, start: &Start<'_>, heard: &Heard, marks: &Marks) -> Instant {
        self.waiting = false;
        let (world, opening) = (&self.world, marks.opening);
        let key =
            Key { measure: Measure::FirstByte, why: start.why, protocol: self.protocol, opening, cache: heard.cache };
        let first_64k = heard.at(FIRST_64K.min(heard.length.unwrap_or(FIRST_64K)));
        let connected_at = if opening == Opening::Warm { start.intended } else { marks.ready_at };
        let mut tally = world.tally();
        for (measure, at) in [
            (Measure::Url, marks.located_at),
            (Measure::Connect, Some(connected_at)),
            (Measure::FirstByte, heard.log.first().map(|(at, _)| *at)),
            (Measure::First64K, first_64k),
        ] {
            if let Some(at) = at {
                tally.record(Key { measure, ..key }, at.saturating_duration_since(start.intended));
            }
        }
        let step = tally.timeline.at(world.since(start.intended));
        step.hits += u64::from(matches!(heard.cache, Cache::Memory | Cache::Disk | Cache::Prefetched | Cache::Hit));
        step.bytes += heard.bytes();
        drop(tally);
        let (world, intended, log) = (world.clone(), start.intended, heard.log.clone());
        let needle = Needle { world, key, intended, log, first_64k };
        match marks.milestones {
            Some(milestones) => needle.fall(milestones),
            None => needle.fall_later(start.place.path()),
        }
    }

    /// Hears the track to its end, or to where it is skipped.
    async fn play_on(
        &mut self,
        start: &Start<'_>,
        first: Heard,
        sound_at: Instant,
        opening: Opening,
    ) -> Result<Option<Ended>, Failure> {
        let world = self.world.clone();
        let settings = &world.settings;
        let length = first.length.unwrap_or(first.bytes());
        let rate = start.place.seconds.map_or(BYTES_PER_SECOND, |seconds| length as f64 / seconds);
        let seconds = length as f64 / rate;
        let mut to_hear = if settings.skips { habits::heard_seconds(seconds, &mut self.dice) } else { seconds };
        let whole = to_hear >= seconds;
        let mut seek_at = (self.dice.unit() < settings.seeks).then(|| self.dice.between(0.0, to_hear));
        let mut playback = Playback::begin(sound_at, rate, settings.speed);
        let (mut from, mut have) = (0, first.bytes());
        let mut head_at = self.head_mark(start, (&first, opening), 0, length);
        let key = Key { measure: Measure::Stall, why: start.why, protocol: self.protocol, opening, cache: first.cache };
        self.hear(&mut playback, &first, 0, key);
        loop {
            let is_all_here = from + have >= length || have as f64 / rate >= to_hear;
            let more_at =
                if is_all_here { playback.reaches(to_hear) } else { playback.wants_more_at(settings.ahead_seconds) };
            let jump_at = seek_at.map(|at| playback.reaches(at));
            let until = jump_at.map_or(more_at, |at| at.min(more_at));
            if !world.play_until(until).await {
                return Ok(None);
            }
            if let Some(heard_seconds) = seek_at.take_if(|_| jump_at == Some(until)) {
                world.played(heard_seconds);
                let to_seconds = self.dice.between(0.0, seconds);
                to_hear = (seconds - to_seconds).min(to_hear);
                from = ((to_seconds * rate) as u64).min(length - 1);
                let (heard, at) = self.seek(start, from, until).await?;
                playback = Playback::begin(at, rate, settings.speed);
                have = heard.bytes();
                self.hear(&mut playback, &heard, 0, key);
                continue;
            }
            if is_all_here {
                world.played(to_hear);
                return Ok(Some(Ended { at: until, whole }));
            }
            let buffered = playback.runs_dry_at().saturating_duration_since(until).as_millis() as u64;
            let said = self.said(start.place, buffered);
            let (heard, _, _) = self.fetch(start, self.chunk(from + have), &said, Wish::Resumed).await?;
            if head_at.is_none() && from == 0 {
                head_at = self.head_mark(start, (&heard, opening), have, length);
            }
            self.hear(&mut playback, &heard, have, key);
            have += heard.bytes();
            world.tally().timeline.at(world.since(until)).bytes += heard.bytes();
        }
    }

    /// Bytes of a jump within the track: measured like a start, but for sound, which needs more than these bytes.
    async fn seek(&mut self, start: &Start<'_>, from: u64, intended: Instant) -> Result<(Heard, Instant), Failure> {
        self.intend(intended);
        let start = Start { place: start.place, why: Why::Seek, intended };
        let said = Said { startup: true, ..self.said(start.place, 0) };
        let (heard, opening, ready_at) = self.fetch(&start, self.chunk(from), &said, Wish::Resumed).await?;
        let marks = Marks { located_at: None, ready_at, opening, milestones: Some(Milestones::default()) };
        let at = self.record(&start, &heard, &marks);
        Ok((heard, at))
    }

    /// Counts the end of the head, if it is among these bytes.
    fn head_mark(
        &self,
        start: &Start<'_>,
        (heard, opening): (&Heard, Opening),
        before: u64,
        length: u64,
    ) -> Option<Instant> {
        let head = start.place.head.unwrap_or(HEAD_BYTES_DEFAULT).min(length);
        let at = heard.at(head.checked_sub(before)?)?;
        let key = Key { measure: Measure::Head, why: start.why, protocol: self.protocol, opening, cache: heard.cache };
        self.world.tally().record(key, at.saturating_duration_since(start.intended));
        Some(at)
    }

    fn hear(&mut self, playback: &mut Playback, heard: &Heard, before: u64, key: Key) {
        for (at, bytes) in &heard.log {
            if let Some(silence) = playback.arrived(*at, before + bytes) {
                self.starved = true;
                let mut tally = self.world.tally();
                tally.record(key, silence);
                tally.stalled_ms += silence.as_millis() as u64;
            }
        }
    }
}

/// Whoever still waits for sound when the run is cut off has waited in vain.
impl Drop for Listener {
    fn drop(&mut self) {
        if self.waiting {
            let sentence = "still without sound when the run ended".to_owned();
            self.world.trouble(&Failure { trouble: Trouble::Timeout, sentence });
        }
    }
}

/// What is known of a start besides its bytes.
struct Marks {
    located_at: Option<Instant>,
    ready_at: Instant,
    opening: Opening,
    /// None: still at the decoder.
    milestones: Option<Milestones>,
}

fn wish_of(opening: Opening) -> Wish {
    match opening {
        Opening::Full | Opening::Warm => Wish::Full,
        Opening::Resumed => Wish::Resumed,
        Opening::ZeroRtt => Wish::ZeroRtt,
    }
}

/// The target and fields of a request that says what the player does.
fn dressed(target: &str, said: &Said<'_>, cmcd: Cmcd) -> (String, Vec<(&'static str, String)>) {
    match cmcd {
        Cmcd::Off => (target.to_owned(), Vec::new()),
        Cmcd::Fields => (target.to_owned(), said.fields()),
        Cmcd::Query => {
            (format!("{target}{}{}", if target.contains('?') { '&' } else { '?' }, said.query()), Vec::new())
        }
    }
}
