//! How long a catalog takes to load and to read, on SQLite or PostgreSQL, as a table for `bench/results/catalog.md`.
//!
//! `cargo run --release -p needledrop-catalog --example load -- --tracks 1000000 [--postgres URL]`. The database must be
//! empty; SQLite gets a file in a scratch folder.

use clap::Parser;
use hdrhistogram::Histogram;
use needledrop_catalog::Catalog;
use needledrop_catalog::change::Change;
use needledrop_catalog::model::*;
use needledrop_catalog::store::{At, ReleaseList, TrackList};
use needledrop_core::{ArtistId, ReleaseId, Rendition, Rev, TrackId};
use needledrop_database::Database;
use std::time::{Duration, Instant};

/// Tracks of one batch.
const BATCH: u32 = 5_000;
/// Tracks on a release, and releases of an artist.
const TRACKS_ON: u32 = 10;
const RELEASES_OF: u32 = 5;
/// Things on a page.
const PAGE: usize = 50;
/// Readings of lists; those of single things are ten times as many.
const READINGS: u32 = 2_000;
/// Tracks that are read again and again: they fit into the cache.
const HOT: u32 = 10_000;

#[derive(Parser)]
struct Arguments {
    /// How many tracks.
    #[arg(long, default_value_t = 1_000_000)]
    tracks: u32,
    /// A PostgreSQL database; without it SQLite is measured.
    #[arg(long)]
    postgres: Option<String>,
}

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("catalog.db");
    let place = arguments.postgres.clone().unwrap_or_else(|| file.display().to_string());
    let database = Database::open(&place).await?;
    let version = database.version().await?;
    let catalog = Catalog::open(database.clone()).await?;
    if catalog.counts().await?.tracks > 0 {
        return Err("this database has a catalog already: name an empty one".into());
    }
    let tracks = arguments.tracks;
    let mut table = Table::new(&version);

    let begun = Instant::now();
    load(&catalog, tracks).await?;
    table.once("load: artists, releases, tracks and all lists", begun.elapsed());
    let begun = Instant::now();
    catalog.analyze().await?;
    table.once("statistics of the database", begun.elapsed());

    let mut dice = Dice(1);
    for n in 0..HOT.min(tracks) {
        catalog.track(track_id(n)).await?;
    }
    let track = |n| track_id(n % tracks);
    table
        .many("a track, cached", READINGS * 10, async || {
            catalog.track(track(dice.roll() % HOT)).await?.ok_or("no track")?;
            Ok(())
        })
        .await?;
    let mut dice = Dice(2);
    table
        .many("a track, any of them", READINGS, async || {
            catalog.track(track(dice.roll())).await?.ok_or("no track")?;
            Ok(())
        })
        .await?;
    let lists = [
        ("name", TrackList::ByName),
        ("newest", TrackList::Newest),
        ("most played", TrackList::MostPlayed),
        ("year", TrackList::ByYear),
        ("genre", TrackList::ByGenre),
        ("shuffled", TrackList::Shuffled(7)),
    ];
    for (name, list) in &lists {
        let mut dice = Dice(3);
        table
            .many(&format!("50 tracks by {name} at any offset"), READINGS, async || {
                let page = catalog.list_tracks(list, &At::Offset((dice.roll() % (tracks - 50)).into()), PAGE).await?;
                full(page.items.len())
            })
            .await?;
    }
    let mut at = At::Offset(0);
    table
        .many("50 tracks by name behind a cursor", READINGS.min(tracks / 50 - 1), async || {
            let page = catalog.list_tracks(&TrackList::ByName, &at, PAGE).await?;
            at = At::After(page.next.ok_or("the list is over")?);
            full(page.items.len())
        })
        .await?;
    let mut dice = Dice(4);
    table
        .many("50 tracks of one genre at any offset", READINGS, async || {
            let offset = dice.roll() % (tracks / 25);
            catalog.list_tracks(&TrackList::Genre("Genre 3".into()), &At::Offset(offset.into()), PAGE).await?;
            Ok(())
        })
        .await?;
    let mut dice = Dice(5);
    table
        .many("the tracks of a release", READINGS, async || {
            let list = TrackList::OnRelease(release_id(dice.roll() % (tracks / TRACKS_ON)));
            catalog.list_tracks(&list, &At::Offset(0), PAGE).await?;
            Ok(())
        })
        .await?;
    let mut dice = Dice(6);
    table
        .many("an artist's releases", READINGS, async || {
            let list = ReleaseList::OfArtist(artist_id(dice.roll() % (tracks / TRACKS_ON / RELEASES_OF)), None);
            catalog.list_releases(&list, &At::Offset(0), PAGE).await?;
            Ok(())
        })
        .await?;
    let mut dice = Dice(7);
    table
        .many("1,000 plays added in a batch", 30, async || {
            let play = |_| Change::Plays { track: track(dice.roll()), added: 1 };
            catalog.apply((0..1_000).map(play).collect()).await?;
            Ok(())
        })
        .await?;
    table.size(&database, &file).await?;
    table.print(tracks);
    Ok(())
}

fn full(items: usize) -> Result<(), Failure> {
    if items == PAGE { Ok(()) } else { Err(format!("a page of {items}").into()) }
}

async fn load(catalog: &Catalog, tracks: u32) -> Result<(), Failure> {
    let mut from = 0;
    while from < tracks {
        let to = tracks.min(from + BATCH);
        let releases = (from.div_ceil(TRACKS_ON)..to.div_ceil(TRACKS_ON)).map(|n| Change::Release(release(n)));
        let tracks = (from..to).map(|n| Change::Track(Box::new(a_track(n))));
        catalog.apply(releases.chain(tracks).collect()).await?;
        from = to;
    }
    Ok(())
}

/// One table of measurements.
struct Table {
    version: String,
    rows: Vec<String>,
}

impl Table {
    fn new(version: &str) -> Self {
        Self { version: version.to_owned(), rows: Vec::new() }
    }

    fn once(&mut self, what: &str, took: Duration) {
        self.row(format!("| {what} | {:.1} s | | |", took.as_secs_f64()));
    }

    async fn many(
        &mut self,
        what: &str,
        times: u32,
        mut run: impl AsyncFnMut() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut times_us: Histogram<u64> = Histogram::new(3)?;
        for _ in 0..times {
            let begun = Instant::now();
            run().await?;
            times_us.record(begun.elapsed().as_nanos() as u64 / 1_000)?;
        }
        let ms = |us: u64| us as f64 / 1_000.0;
        let (p50, p99, max) = (times_us.value_at_quantile(0.5), times_us.value_at_quantile(0.99), times_us.max());
        self.row(format!("| {what} | {:.3} ms | {:.3} ms | {:.3} ms |", ms(p50), ms(p99), ms(max)));
        Ok(())
    }

    async fn size(&mut self, database: &Database, file: &std::path::Path) -> Result<(), Failure> {
        let bytes = match std::fs::metadata(file) {
            Ok(metadata) => metadata.len(),
            Err(_) => {
                let sql = "SELECT pg_database_size(current_database())";
                database.row(sql, Vec::new()).await?.ok_or("no size")?.get(0)?
            }
        };
        self.row(format!("| size of the database | {} MiB | | |", bytes >> 20));
        Ok(())
    }

    #[expect(clippy::print_stderr, reason = "progress of a program that runs for minutes")]
    fn row(&mut self, row: String) {
        eprintln!("{row}");
        self.rows.push(row);
    }

    #[expect(clippy::print_stdout, reason = "the table is what this program is for")]
    fn print(&self, tracks: u32) {
        println!("\n{} tracks on {}:\n", tracks, self.version);
        println!("| what | p50 or once | p99 | longest |\n|---|---:|---:|---:|\n{}", self.rows.join("\n"));
    }
}

/// Numbers that look like chance, the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }
}

/// Scattered like real digests.
fn digest(n: u32) -> [u8; 32] {
    let mut digest = [0; 32];
    for (at, chunk) in (0_u64..).zip(digest.chunks_mut(8)) {
        let mut dice = Dice(u64::from(n) << 2 | at);
        let (high, low) = (dice.roll(), dice.roll());
        chunk.copy_from_slice(&(u64::from(high) << 33 ^ u64::from(low)).to_be_bytes());
    }
    digest
}

fn artist_id(n: u32) -> ArtistId {
    ArtistId::from_digest(&digest(n))
}

fn release_id(n: u32) -> ReleaseId {
    ReleaseId::from_digest(&digest(n))
}

fn track_id(n: u32) -> TrackId {
    TrackId::from_digest(&digest(n))
}

/// Words that many titles begin with, and some that few do.
fn title(n: u32) -> String {
    const WORDS: [&str; 16] = [
        "The", "Love", "Night", "You", "Blue", "Summer", "Dance", "Home", "Heart", "River", "Zebra", "Élan", "Moon",
        "Fire", "Rain", "Ghost",
    ];
    let mut dice = Dice(n.into());
    let mut word = || WORDS[dice.roll() as usize % WORDS.len()];
    format!("{} {} {} {n}", word(), word(), word())
}

fn by(n: u32) -> ArtistName {
    ArtistName { id: artist_id(n), name: format!("{} Band", title(n)) }
}

fn release(n: u32) -> Release {
    Release {
        id: release_id(n),
        title: title(n),
        kind: if n.is_multiple_of(4) { ReleaseKind::Ep } else { ReleaseKind::Album },
        artists: vec![by(n / RELEASES_OF)],
        date: Some(ReleaseDate { year: 1950 + (n % 75) as u16, month: Some(1 + (n % 12) as u8), day: None }),
        upc: Some(format!("{n:013}")),
        label: Some("Label".into()),
        genres: vec![format!("Genre {}", n % 20)],
        art: Some("0123456789abcdef0123456789abcdef".into()),
        tracks: 0,
        duration_ms: 0,
        added: 1_700_000_000 + u64::from(n),
        plays: 0,
    }
}

fn a_track(n: u32) -> Track {
    let on = n / TRACKS_ON;
    let renditions = Rendition::ALL.map(|rendition| TrackRendition {
        rendition,
        bytes: 4_000_000 + u64::from(n),
        head_bytes: 600_000,
        average_bps: 158_123,
    });
    Track {
        id: track_id(n),
        rev: Rev::from_digest(&digest(n)),
        title: title(n),
        artists: vec![by(on / RELEASES_OF)],
        release: ReleaseName { id: release_id(on), title: String::new(), art: None, date: None },
        disc_no: 1,
        track_no: 1 + n % TRACKS_ON,
        isrc: Some(format!("DEABC{:07}", n)),
        duration_ms: 200_000 + u64::from(n % 60_000),
        loudness_lufs: Some(-9.5),
        true_peak_dbtp: Some(-0.3),
        genre: Some(format!("Genre {}", on % 20)),
        added: 1_700_000_000 + u64::from(n),
        plays: u64::from(Dice(n.into()).roll() % 100_000),
        renditions: renditions.into(),
    }
}
