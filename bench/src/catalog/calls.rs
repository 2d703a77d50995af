//! Calls to a `needledrop up` at a fixed rate.
//!
//! Each connection is a thread that sleeps until its next call is due: an open loop as long as an answer comes before
//! the connection's next call, and counted from the instant at which it was due where it does not.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use needledrop_core::TrackId;
use needledrop_loadtest::tally::Latencies;

use super::{Args, Failure, files::Files, songs, table::Table};

/// Connections, a thread each. At 3,000 calls a second each of them has 21 ms for an answer.
pub(super) const CONNECTIONS: u32 = 64;
/// How long a server may take until it answers.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How long it may take until search has read the whole catalog: nothing is measured beside that.
const READ_WITHIN: Duration = Duration::from_secs(600);
/// No answer of ours is longer. Unit: bytes.
const ANSWER_MAX: u64 = 4 << 20;
/// Things that are asked for again and again.
const HOT: u32 = 500;
/// Lists a second: people who scroll.
const LISTS_PER_SECOND: u32 = 100;
/// Keystrokes a second, each of them searched for.
const SEARCHES_PER_SECOND: u32 = 200;
/// Keys of a title that somebody types until it is found.
const KEYS: u32 = 12;

/// A running server; dropping it ends it.
pub(super) struct Up {
    child: Child,
    port: u16,
    token: String,
}

impl Up {
    pub(super) fn start(program: &Path, folder: &Path, place: &str) -> Result<Self, Failure> {
        let (port, tls) = (free_port()?, free_port()?);
        let music = folder.join("no music");
        std::fs::create_dir_all(&music)?;
        let log = std::fs::File::create(folder.join("up.log"))?;
        let mut command = Command::new(program);
        command.arg("up").arg("--data").arg(folder.join("data")).arg("--music").arg(music);
        command.args(["--listen", &format!("127.0.0.1:{port}"), "--tls-listen", &format!("127.0.0.1:{tls}")]);
        // A line for each request, as in service.
        command.args(["--log", "warn,needledrop::access=info"]);
        if place.contains("://") {
            command.args(["--database", place]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
        let mut up = Self { child, port, token: String::new() };
        let until = Instant::now() + START_WITHIN;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if Instant::now() > until || up.child.try_wait()?.is_some() {
                let said = std::fs::read_to_string(folder.join("up.log"))?;
                return Err(format!("{} does not answer: {}", program.display(), said.trim()).into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        up.token = up.sign_in()?;
        Ok(up)
    }

    /// Waits until the last name that search reads is found; how long that took.
    pub(super) fn has_read(&self, tracks: u32) -> Result<Duration, Failure> {
        let begun = Instant::now();
        let last = (0..tracks).map(songs::title).max_by_key(|title| title.to_lowercase()).ok_or("no tracks")?;
        let request = self.get(&format!("/v1/search?type=track&limit=1&q={}", in_query(&last)));
        let mut connection = Connection::open(self.port)?;
        while begun.elapsed() < READ_WITHIN {
            let (_, text) = connection.call(&request)?;
            let said: serde_json::Value = serde_json::from_slice(&text)?;
            if said["tracks"]["items"][0]["name"].as_str() == Some(&last) {
                return Ok(begun.elapsed());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Err(format!("search does not find {last:?} within {} s", READ_WITHIN.as_secs()).into())
    }

    fn get(&self, path: &str) -> String {
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n", self.token)
    }

    /// A session of the demo account.
    fn sign_in(&self) -> Result<String, Failure> {
        let body = r#"{"user":"demo","password":"demo","bearer":true}"#;
        let request = format!(
            "POST /v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (status, text) = Connection::open(self.port)?.call(&request)?;
        let said: serde_json::Value = serde_json::from_slice(&text)?;
        let token = said["token"].as_str();
        Ok(token.ok_or_else(|| format!("signing in is answered {status}: {said}"))?.to_owned())
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

/// All kinds of calls, each by itself, in rounds.
pub(super) fn measure(up: &Up, args: &Args, files: &Files, table: &mut Table) -> Result<(), Failure> {
    // Once, so that what is read again and again is in memory.
    load(up, HOT, 1, &|n| format!("/v1/tracks/{}", songs::track_id(n % HOT)))?;
    load(up, HOT, 1, &|n| format!("/v1/albums/{}", songs::release_id(n % HOT)))?;
    load(up, HOT, 1, &|n| format!("/v1/artists/{}", songs::artist_id(n % HOT)))?;
    // The first grants of a server are slower: each connection to its database plans their statements.
    load(up, HOT, 1, &|n| format!("/v1/tracks/{}/stream", songs::track_id(args.tracks - 1 - n)))?;
    let rounds = (0..args.rounds).map(|round| one_round(up, args, files, round)).collect::<Result<Vec<_>, _>>()?;
    for (row, (what, _)) in rounds[0].iter().enumerate() {
        table.rounds(what, &rounds.iter().map(|round| &round[row].1).collect::<Vec<_>>());
    }
    Ok(())
}

/// Each kind of call once, and how long it took.
fn one_round(up: &Up, args: &Args, files: &Files, round: u32) -> Result<Vec<(String, Latencies)>, Failure> {
    let Args { tracks, per_second, seconds, .. } = *args;
    // Another seed for each kind of call and each round: none finds in memory what the one before has read.
    let dice = |seed: u32, n: u32| songs::Dice(u64::from(round << 8 | seed) << 32 | u64::from(n)).roll();
    let any = |seed: u32, n: u32| songs::track_id(dice(seed, n) % tracks);
    let hot = |n: u32| songs::track_id(n % HOT);
    let offset = |n: u32| dice(3, n) % (tracks - 50);
    let mut rows = Vec::new();
    let mut row = |what: &str, per_second: u32, path: &(dyn Fn(u32) -> String + Sync)| -> Result<(), Failure> {
        files.read()?;
        let times = load(up, per_second, seconds, path)?;
        let p99 = times.quantile(0.99).unwrap_or_default().as_secs_f64() * 1e3;
        eprintln!("round {}: `{what}: p99 {p99:.2} ms", round + 1);
        rows.push((format!("`{what}, {per_second} a second"), times));
        Ok(())
    };
    row("/v1/tracks/{id}` cached", 1_000, &|n| format!("/v1/tracks/{}", hot(n)))?;
    row("/v1/albums/{id}` with its tracks, cached", 1_000, &|n| format!("/v1/albums/{}", songs::release_id(n % HOT)))?;
    row("/v1/artists/{id}` cached", 1_000, &|n| format!("/v1/artists/{}", songs::artist_id(n % HOT)))?;
    row("/v1/tracks/{id}` any of them", 1_000, &|n| format!("/v1/tracks/{}", any(1, n)))?;
    row("/stream`: as people listen", per_second, &|n| format!("/v1/tracks/{}/stream", listened(dice(5, n), tracks)))?;
    row("/stream`: a new play of any track", per_second, &|n| format!("/v1/tracks/{}/stream", any(2, n)))?;
    row("/stream`: plays that go on", per_second, &|n| format!("/v1/tracks/{}/stream", hot(n)))?;
    for order in ["name", "newest", "played"] {
        let what = format!("/v1/tracks?order={order}` 50 at any offset");
        row(&what, LISTS_PER_SECOND, &|n| format!("/v1/tracks?order={order}&limit=50&offset={}", offset(n)))?;
    }
    row("/v1/search?q=` a key after the other", SEARCHES_PER_SECOND, &|n| {
        let typed = songs::title(dice(4, n / KEYS) % tracks);
        let typed: String = typed.chars().take((n % KEYS + 1) as usize).collect();
        format!("/v1/search?type=track,album,artist&q={}", in_query(typed.trim_end()))
    })?;
    Ok(rows)
}

/// What somebody listens to, of a roll of 31 bits: a track's chance falls with its rank (Zipf, exponent 1), since the
/// logarithm of ranks is even.
fn listened(dice: u32, tracks: u32) -> TrackId {
    let rank = f64::from(tracks).powf(f64::from(dice) / f64::from(1_u32 << 31));
    songs::track_id((rank as u32).min(tracks) - 1)
}

/// Calls at a rate, for so long; their times from when they were due. Any other answer than 200 ends it all.
fn load(up: &Up, per_second: u32, seconds: u32, path: &(dyn Fn(u32) -> String + Sync)) -> Result<Latencies, Failure> {
    let calls = per_second * seconds;
    let begin = Instant::now() + Duration::from_millis(50);
    let one = |first: u32| -> Result<Latencies, String> {
        let mut times = Latencies::default();
        let mut connection = Connection::open(up.port).map_err(|error| error.to_string())?;
        for n in (first..calls).step_by(CONNECTIONS as usize) {
            let due = begin + Duration::from_secs(1) * n / per_second;
            let request =
                format!("GET {} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n", path(n), up.token);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let (status, text) = connection.call(&request).map_err(|error| format!("{}: {error}", path(n)))?;
            times.record(due.elapsed());
            if status != 200 {
                return Err(format!("{} is answered {status}: {}", path(n), String::from_utf8_lossy(&text)));
            }
        }
        Ok(times)
    };
    let mut all = Latencies::default();
    std::thread::scope(|scope| -> Result<(), Failure> {
        let threads: Vec<_> = (0..CONNECTIONS).map(|first| scope.spawn(move || one(first))).collect();
        for thread in threads {
            all.add(&thread.join().map_err(|_| "a connection's thread panicked: see above")??);
        }
        Ok(())
    })?;
    Ok(all)
}

/// One connection that is kept.
struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(port: u16) -> std::io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self { stream: BufReader::with_capacity(64 << 10, stream) })
    }

    /// Status and body of the answer, which says its length as all of ours do.
    fn call(&mut self, request: &str) -> Result<(u16, Vec<u8>), Failure> {
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status line")?;
        let mut length = None;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            if line.trim_end().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse::<u64>()?);
            }
        }
        let length = length.filter(|length| *length <= ANSWER_MAX).ok_or("an answer without a length, or too long")?;
        let mut body = vec![0; length as usize];
        self.stream.read_exact(&mut body)?;
        Ok((status, body))
    }
}

/// Text as it stands in a query: the invented titles have no other characters of meaning there.
fn in_query(text: &str) -> String {
    let written = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(written).collect()
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
