//! The store alone: loading, single things, lists at any depth, plays.

use std::{path::Path, time::Instant};

use needledrop_catalog::{
    Catalog,
    change::Change,
    store::{At, ReleaseList, TrackList},
};
use needledrop_database::Database;
use needledrop_loadtest::tally::Latencies;

use super::{
    Failure,
    files::Files,
    songs::{self, Dice, RELEASES_OF, TRACKS_ON, artist_id, release_id, track_id},
    table::Table,
};

/// Tracks of one batch.
const BATCH: u32 = 5_000;
/// Things on a page.
const PAGE: usize = 50;
/// Readings of lists; those of single things are ten times as many.
const READINGS: u32 = 2_000;
/// Tracks that are read again and again: they fit into the cache.
const HOT: u32 = 10_000;

/// Loads the catalog into an empty database and reads it. `file` is where it is, if it is a file.
pub(super) async fn measure(
    database: &Database,
    tracks: u32,
    file: &Path,
    files: &Files,
    table: &mut Table,
) -> Result<(), Failure> {
    let catalog = Catalog::open(database.clone()).await?;
    if catalog.counts().await?.tracks > 0 {
        return Err("this database has a catalog already: name an empty one".into());
    }
    let begun = Instant::now();
    load(&catalog, tracks).await?;
    table.once("load: artists, releases, tracks and all lists", begun.elapsed());
    let begun = Instant::now();
    catalog.analyze().await?;
    table.once("statistics of the database", begun.elapsed());

    let mut at = Reading { catalog: &catalog, tracks, files, table };
    at.single_tracks().await?;
    at.lists_at_any_offset().await?;
    at.parts_of_lists().await?;
    at.plays().await?;
    let bytes = bytes(database, file).await?;
    table.fact("size of the database", &format!("{} MiB", bytes >> 20));
    Ok(())
}

/// A loaded catalog that is read.
struct Reading<'a> {
    catalog: &'a Catalog,
    tracks: u32,
    files: &'a Files,
    table: &'a mut Table,
}

impl Reading<'_> {
    async fn single_tracks(&mut self) -> Result<(), Failure> {
        let (catalog, tracks) = (self.catalog, self.tracks);
        for n in 0..HOT.min(tracks) {
            catalog.track(track_id(n)).await?;
        }
        let mut dice = Dice(1);
        let cached = async || {
            catalog.track(track_id(dice.roll() % HOT.min(tracks))).await?.ok_or("no track")?;
            Ok(())
        };
        self.times("a track, cached", READINGS * 10, cached).await?;
        let mut dice = Dice(2);
        let any = async || {
            catalog.track(track_id(dice.roll() % tracks)).await?.ok_or("no track")?;
            Ok(())
        };
        self.times("a track, any of them", READINGS, any).await
    }

    async fn lists_at_any_offset(&mut self) -> Result<(), Failure> {
        let (catalog, tracks) = (self.catalog, self.tracks);
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
            let page = async || {
                let offset = At::Offset((dice.roll() % (tracks - PAGE as u32)).into());
                full(catalog.list_tracks(list, &offset, PAGE).await?.items.len())
            };
            self.times(&format!("50 tracks by {name} at any offset"), READINGS, page).await?;
        }
        let mut at = At::Offset(0);
        let next = async || {
            let page = catalog.list_tracks(&TrackList::ByName, &at, PAGE).await?;
            at = At::After(page.next.ok_or("the list is over")?);
            full(page.items.len())
        };
        self.times("50 tracks by name behind a cursor", READINGS.min(tracks / PAGE as u32 - 1), next).await
    }

    async fn parts_of_lists(&mut self) -> Result<(), Failure> {
        let (catalog, tracks) = (self.catalog, self.tracks);
        let mut dice = Dice(4);
        let genre = TrackList::Genre("Genre 3".into());
        let of_genre = async || {
            // One track in twenty is of it.
            let offset = At::Offset((dice.roll() % (tracks / 25)).into());
            full(catalog.list_tracks(&genre, &offset, PAGE).await?.items.len())
        };
        self.times("50 tracks of one genre at any offset", READINGS, of_genre).await?;
        let mut dice = Dice(5);
        let on_release = async || {
            let list = TrackList::OnRelease(release_id(dice.roll() % (tracks / TRACKS_ON)));
            some(catalog.list_tracks(&list, &At::Offset(0), PAGE).await?.items.len())
        };
        self.times("the tracks of a release", READINGS, on_release).await?;
        let mut dice = Dice(6);
        let of_artist = async || {
            let list = ReleaseList::OfArtist(artist_id(dice.roll() % (tracks / TRACKS_ON / RELEASES_OF)), None);
            some(catalog.list_releases(&list, &At::Offset(0), PAGE).await?.items.len())
        };
        self.times("an artist's releases", READINGS, of_artist).await
    }

    async fn plays(&mut self) -> Result<(), Failure> {
        let (catalog, tracks) = (self.catalog, self.tracks);
        let mut dice = Dice(7);
        let batch = async || {
            let play = |_| Change::Plays { track: track_id(dice.roll() % tracks), added: 1 };
            catalog.apply((0..1_000).map(play).collect()).await?;
            Ok(())
        };
        self.times("1,000 plays added in a batch", 30, batch).await
    }

    async fn times(
        &mut self,
        what: &str,
        times: u32,
        mut run: impl AsyncFnMut() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.files.read()?;
        let mut took = Latencies::default();
        for _ in 0..times {
            let begun = Instant::now();
            run().await?;
            took.record(begun.elapsed());
        }
        self.table.many(what, &took);
        Ok(())
    }
}

async fn bytes(database: &Database, file: &Path) -> Result<u64, Failure> {
    if let Ok(metadata) = std::fs::metadata(file) {
        return Ok(metadata.len());
    }
    let sql = "SELECT pg_database_size(current_database())";
    Ok(database.row(sql, Vec::new()).await?.ok_or("no size")?.get(0)?)
}

fn full(items: usize) -> Result<(), Failure> {
    if items == PAGE { Ok(()) } else { Err(format!("a page of {items}").into()) }
}

fn some(items: usize) -> Result<(), Failure> {
    if items > 0 { Ok(()) } else { Err("an empty list".into()) }
}

async fn load(catalog: &Catalog, tracks: u32) -> Result<(), Failure> {
    let mut from = 0;
    while from < tracks {
        let to = tracks.min(from + BATCH);
        let releases = (from.div_ceil(TRACKS_ON)..to.div_ceil(TRACKS_ON)).map(|n| Change::Release(songs::release(n)));
        let tracks = (from..to).map(|n| Change::Track(Box::new(songs::track(n))));
        catalog.apply(releases.chain(tracks).collect()).await?;
        from = to;
    }
    Ok(())
}
