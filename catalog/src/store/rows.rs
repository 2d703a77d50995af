//! Rows of the tables and the things they stand for, both ways.

use super::Error;
use super::order::date_number;
use crate::model::{
    Artist, ArtistName, Credit, Episode, Release, ReleaseDate, ReleaseKind, ReleaseName, Right, Role, Share, Show,
    Territory, Track, TrackRendition, Window,
};
use needledrop_core::{ArtistId, EpisodeId, ReleaseId, Rendition, Rev, ShowId, TrackId};
use needledrop_database::{Insert, Row, Transaction, Value};
use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

/// A thing and its seat, by which it is shuffled.
#[derive(Clone, Debug)]
pub(super) struct Seated<T> {
    pub(super) thing: T,
    pub(super) seat: u64,
}

pub(super) const ARTISTS: Insert = Insert {
    head: "INSERT INTO catalog_artists (id, name, sort_name, aliases, genres, art, plays, seat)",
    width: 8,
    tail: "ON CONFLICT (id) DO UPDATE SET name = excluded.name, sort_name = excluded.sort_name, \
           aliases = excluded.aliases, genres = excluded.genres, art = excluded.art, plays = excluded.plays",
};

pub(super) const RELEASES: Insert = Insert {
    head: "INSERT INTO catalog_releases (id, title, kind, artists, date, upc, label, genres, art, tracks, \
           duration_ms, added, plays, seat)",
    width: 14,
    tail: "ON CONFLICT (id) DO UPDATE SET title = excluded.title, kind = excluded.kind, artists = excluded.artists, \
           date = excluded.date, upc = excluded.upc, label = excluded.label, genres = excluded.genres, \
           art = excluded.art, tracks = excluded.tracks, duration_ms = excluded.duration_ms, \
           added = excluded.added, plays = excluded.plays",
};

pub(super) const TRACKS: Insert = Insert {
    head: "INSERT INTO catalog_tracks (id, rev, title, artists, release_id, disc_no, track_no, isrc, duration_ms, \
           loudness_lufs, true_peak_dbtp, genre, added, plays, renditions, seat)",
    width: 16,
    tail: "ON CONFLICT (id) DO UPDATE SET rev = excluded.rev, title = excluded.title, artists = excluded.artists, \
           release_id = excluded.release_id, disc_no = excluded.disc_no, track_no = excluded.track_no, \
           isrc = excluded.isrc, duration_ms = excluded.duration_ms, loudness_lufs = excluded.loudness_lufs, \
           true_peak_dbtp = excluded.true_peak_dbtp, genre = excluded.genre, added = excluded.added, \
           plays = excluded.plays, renditions = excluded.renditions",
};

pub(super) const SHOWS: Insert = Insert {
    head: "INSERT INTO catalog_shows (id, title, publisher, description, feed, language, art, episodes, link, image, \
           explicit)",
    width: 11,
    tail: "ON CONFLICT (id) DO UPDATE SET title = excluded.title, publisher = excluded.publisher, \
           description = excluded.description, feed = excluded.feed, language = excluded.language, \
           art = excluded.art, episodes = excluded.episodes, link = excluded.link, image = excluded.image, \
           explicit = excluded.explicit",
};

pub(super) const EPISODES: Insert = Insert {
    head: "INSERT INTO catalog_episodes (id, show_id, title, description, published, duration_ms, enclosure, guid, \
           media_type, bytes, link, image, explicit, season, number)",
    width: 15,
    tail: "ON CONFLICT (id) DO UPDATE SET show_id = excluded.show_id, title = excluded.title, \
           description = excluded.description, published = excluded.published, duration_ms = excluded.duration_ms, \
           enclosure = excluded.enclosure, guid = excluded.guid, media_type = excluded.media_type, \
           bytes = excluded.bytes, link = excluded.link, image = excluded.image, explicit = excluded.explicit, \
           season = excluded.season, number = excluded.number",
};

pub(super) const CREDITS: Insert =
    Insert { head: "INSERT INTO catalog_credits (track_id, position, artist_id, role)", width: 4, tail: "" };
pub(super) const SHARES: Insert = Insert {
    head: "INSERT INTO catalog_shares (track_id, position, holder_id, kind, territory, micro)",
    width: 6,
    tail: "",
};
pub(super) const WINDOWS: Insert =
    Insert { head: "INSERT INTO catalog_windows (track_id, position, territory, opens, closes)", width: 5, tail: "" };

pub(super) fn artist_values(artist: &Artist, seat: u64) -> [Value; 8] {
    [
        artist.id.as_str().into(),
        (&artist.name).into(),
        (&artist.sort_name).into(),
        strings(&artist.aliases),
        strings(&artist.genres),
        artist.art.as_deref().into(),
        artist.plays.into(),
        seat.into(),
    ]
}

pub(super) fn release_values(release: &Release, seat: u64) -> [Value; 14] {
    [
        release.id.as_str().into(),
        (&release.title).into(),
        kind_text(release.kind).into(),
        spaced(release.artists.iter().map(|artist| artist.id)).into(),
        date_number(release.date).into(),
        release.upc.as_deref().into(),
        release.label.as_deref().into(),
        strings(&release.genres),
        release.art.as_deref().into(),
        release.tracks.into(),
        release.duration_ms.into(),
        release.added.into(),
        release.plays.into(),
        seat.into(),
    ]
}

pub(super) fn track_values(track: &Track, seat: u64) -> [Value; 16] {
    [
        track.id.as_str().into(),
        track.rev.as_str().into(),
        (&track.title).into(),
        spaced(track.artists.iter().map(|artist| artist.id)).into(),
        track.release.id.as_str().into(),
        track.disc_no.into(),
        track.track_no.into(),
        track.isrc.as_deref().into(),
        track.duration_ms.into(),
        track.loudness_lufs.into(),
        track.true_peak_dbtp.into(),
        track.genre.as_deref().into(),
        track.added.into(),
        track.plays.into(),
        spaced(track.renditions.iter().map(rendition_text)).into(),
        seat.into(),
    ]
}

pub(super) fn show_values(show: &Show) -> [Value; 11] {
    [
        show.id.as_str().into(),
        (&show.title).into(),
        (&show.publisher).into(),
        (&show.description).into(),
        show.feed.as_deref().into(),
        show.language.as_deref().into(),
        show.art.as_deref().into(),
        show.episodes.into(),
        show.link.as_deref().into(),
        show.image.as_deref().into(),
        show.is_explicit.into(),
    ]
}

pub(super) fn episode_values(episode: &Episode) -> [Value; 15] {
    [
        episode.id.as_str().into(),
        episode.show.as_str().into(),
        (&episode.title).into(),
        (&episode.description).into(),
        episode.published.into(),
        episode.duration_ms.into(),
        episode.enclosure.as_deref().into(),
        (&episode.guid).into(),
        episode.media_type.as_deref().into(),
        episode.bytes.into(),
        episode.link.as_deref().into(),
        episode.image.as_deref().into(),
        episode.is_explicit.into(),
        episode.season.into(),
        episode.number.into(),
    ]
}

pub(super) fn credit_values(track: &TrackId, position: u64, credit: &Credit) -> [Value; 4] {
    let role = match credit.role {
        Role::Performer => "performer",
        Role::Writer => "writer",
        Role::Producer => "producer",
        Role::Holder => "holder",
    };
    [track.as_str().into(), position.into(), credit.artist.id.as_str().into(), role.into()]
}

pub(super) fn share_values(track: &TrackId, position: u64, share: &Share) -> [Value; 6] {
    let kind = match share.right {
        Right::Recording => "recording",
        Right::Work => "work",
    };
    let territory = share.territory.as_ref().map(Territory::as_str);
    let holder = share.holder.id.as_str();
    [track.as_str().into(), position.into(), holder.into(), kind.into(), territory.into(), share.micro.into()]
}

pub(super) fn window_values(track: &TrackId, position: u64, window: &Window) -> [Value; 5] {
    let territory = window.territory.as_ref().map(Territory::as_str);
    [track.as_str().into(), position.into(), territory.into(), window.from.into(), window.until.into()]
}

pub(super) async fn artists(tx: &mut Transaction, ids: &[ArtistId]) -> Result<Vec<Seated<Artist>>, Error> {
    let head = "SELECT id, name, sort_name, aliases, genres, art, plays, seat FROM catalog_artists WHERE id IN";
    let rows = tx.rows_in(head, 1, keys(ids, ArtistId::as_str), "").await?;
    rows.iter()
        .map(|row| {
            let thing = Artist {
                id: parsed(row, 0)?,
                name: row.get(1)?,
                sort_name: row.get(2)?,
                aliases: read_strings(row, 3)?,
                genres: read_strings(row, 4)?,
                art: row.get(5)?,
                plays: row.get(6)?,
            };
            Ok(Seated { thing, seat: row.get(7)? })
        })
        .collect()
}

pub(super) async fn releases(tx: &mut Transaction, ids: &[ReleaseId]) -> Result<Vec<Seated<Release>>, Error> {
    let head = "SELECT id, title, kind, artists, date, upc, label, genres, art, tracks, duration_ms, added, plays, \
                seat FROM catalog_releases WHERE id IN";
    let rows = tx.rows_in(head, 1, keys(ids, ReleaseId::as_str), "").await?;
    let lists = rows.iter().map(|row| read_spaced(row, 3)).collect::<Result<Vec<Vec<ArtistId>>, _>>()?;
    let names = names(tx, &lists).await?;
    rows.iter()
        .zip(lists)
        .map(|(row, list)| {
            let thing = Release {
                id: parsed(row, 0)?,
                title: row.get(1)?,
                kind: read_kind(row, 2)?,
                artists: named(&names, list)?,
                date: read_date(row, 4)?,
                upc: row.get(5)?,
                label: row.get(6)?,
                genres: read_strings(row, 7)?,
                art: row.get(8)?,
                tracks: row.get(9)?,
                duration_ms: row.get(10)?,
                added: row.get(11)?,
                plays: row.get(12)?,
            };
            Ok(Seated { thing, seat: row.get(13)? })
        })
        .collect()
}

pub(super) async fn tracks(tx: &mut Transaction, ids: &[TrackId]) -> Result<Vec<Seated<Track>>, Error> {
    // The join is from each track to its one release; PostgreSQL takes the list for the driving side.
    let head = "SELECT t.id, t.rev, t.title, t.artists, t.release_id, t.disc_no, t.track_no, t.isrc, t.duration_ms, \
                t.loudness_lufs, t.true_peak_dbtp, t.genre, t.added, t.plays, t.renditions, t.seat, r.title, r.art, \
                r.date FROM catalog_tracks t JOIN catalog_releases r ON r.id = t.release_id WHERE t.id IN";
    let rows = tx.rows_in(head, 1, keys(ids, TrackId::as_str), "").await?;
    let lists = rows.iter().map(|row| read_spaced(row, 3)).collect::<Result<Vec<Vec<ArtistId>>, _>>()?;
    let names = names(tx, &lists).await?;
    rows.iter()
        .zip(lists)
        .map(|(row, list)| {
            let release =
                ReleaseName { id: parsed(row, 4)?, title: row.get(16)?, art: row.get(17)?, date: read_date(row, 18)? };
            let thing = Track {
                id: parsed(row, 0)?,
                rev: Rev::parse(&row.get::<String>(1)?).map_err(|_| stored("a rev"))?,
                title: row.get(2)?,
                artists: named(&names, list)?,
                release,
                disc_no: row.get(5)?,
                track_no: row.get(6)?,
                isrc: row.get(7)?,
                duration_ms: row.get(8)?,
                loudness_lufs: row.get(9)?,
                true_peak_dbtp: row.get(10)?,
                genre: row.get(11)?,
                added: row.get(12)?,
                plays: row.get(13)?,
                renditions: read_renditions(&row.get::<String>(14)?)?,
            };
            Ok(Seated { thing, seat: row.get(15)? })
        })
        .collect()
}

pub(super) async fn shows(tx: &mut Transaction, ids: &[ShowId]) -> Result<Vec<Show>, Error> {
    let head = "SELECT id, title, publisher, description, feed, language, art, episodes, link, image, explicit \
                FROM catalog_shows WHERE id IN";
    let rows = tx.rows_in(head, 1, keys(ids, ShowId::as_str), "").await?;
    let show = |row: &Row| {
        Ok(Show {
            id: parsed(row, 0)?,
            title: row.get(1)?,
            publisher: row.get(2)?,
            description: row.get(3)?,
            feed: row.get(4)?,
            language: row.get(5)?,
            art: row.get(6)?,
            episodes: row.get(7)?,
            link: row.get(8)?,
            image: row.get(9)?,
            is_explicit: row.get(10)?,
        })
    };
    rows.iter().map(show).collect()
}

pub(super) async fn episodes(tx: &mut Transaction, ids: &[EpisodeId]) -> Result<Vec<Episode>, Error> {
    let head = "SELECT id, show_id, title, description, published, duration_ms, enclosure, guid, media_type, bytes, \
                link, image, explicit, season, number FROM catalog_episodes WHERE id IN";
    let rows = tx.rows_in(head, 1, keys(ids, EpisodeId::as_str), "").await?;
    let episode = |row: &Row| {
        Ok(Episode {
            id: parsed(row, 0)?,
            show: parsed(row, 1)?,
            title: row.get(2)?,
            description: row.get(3)?,
            published: row.get(4)?,
            duration_ms: row.get(5)?,
            enclosure: row.get(6)?,
            guid: row.get(7)?,
            media_type: row.get(8)?,
            bytes: row.get(9)?,
            link: row.get(10)?,
            image: row.get(11)?,
            is_explicit: row.get(12)?,
            season: row.get(13)?,
            number: row.get(14)?,
        })
    };
    rows.iter().map(episode).collect()
}

pub(super) async fn credits(tx: &mut Transaction, track: &TrackId) -> Result<Vec<Credit>, Error> {
    let sql = "SELECT a.id, a.name, c.role FROM catalog_credits c JOIN catalog_artists a ON a.id = c.artist_id \
               WHERE c.track_id = $1 ORDER BY c.position";
    let rows = tx.rows(sql, vec![track.as_str().into()]).await?;
    let credit = |row: &Row| {
        let role = match &*row.get::<String>(2)? {
            "performer" => Role::Performer,
            "writer" => Role::Writer,
            "producer" => Role::Producer,
            "holder" => Role::Holder,
            _ => return Err(stored("a role")),
        };
        Ok(Credit { artist: ArtistName { id: parsed(row, 0)?, name: row.get(1)? }, role })
    };
    rows.iter().map(credit).collect()
}

pub(super) async fn shares(tx: &mut Transaction, track: &TrackId) -> Result<Vec<Share>, Error> {
    let sql = "SELECT a.id, a.name, s.kind, s.territory, s.micro FROM catalog_shares s \
               JOIN catalog_artists a ON a.id = s.holder_id WHERE s.track_id = $1 ORDER BY s.position";
    let rows = tx.rows(sql, vec![track.as_str().into()]).await?;
    let share = |row: &Row| {
        let right = match &*row.get::<String>(2)? {
            "recording" => Right::Recording,
            "work" => Right::Work,
            _ => return Err(stored("a right")),
        };
        let holder = ArtistName { id: parsed(row, 0)?, name: row.get(1)? };
        Ok(Share { holder, right, territory: read_territory(row, 3)?, micro: row.get(4)? })
    };
    rows.iter().map(share).collect()
}

pub(super) async fn windows(tx: &mut Transaction, track: &TrackId) -> Result<Vec<Window>, Error> {
    let sql = "SELECT territory, opens, closes FROM catalog_windows WHERE track_id = $1 ORDER BY position";
    let rows = tx.rows(sql, vec![track.as_str().into()]).await?;
    rows.iter().map(|row| read_window(row, 0)).collect()
}

/// Territory, opening and close, from this column on.
pub(super) fn read_window(row: &Row, first: usize) -> Result<Window, Error> {
    Ok(Window { territory: read_territory(row, first)?, from: row.get(first + 1)?, until: row.get(first + 2)? })
}

/// Ids as keys of a statement.
pub(super) fn keys<T>(ids: &[T], text: impl Fn(&T) -> &str) -> Vec<Value> {
    ids.iter().map(|id| text(id).into()).collect()
}

/// Reads an id.
pub(super) fn parsed<T: FromStr>(row: &Row, index: usize) -> Result<T, Error> {
    row.get::<String>(index)?.parse().map_err(|_| stored("an identifier"))
}

pub(super) fn stored(what: &str) -> Error {
    Error::Stored(format!("{what} that is none"))
}

async fn names(tx: &mut Transaction, lists: &[Vec<ArtistId>]) -> Result<HashMap<ArtistId, String>, Error> {
    let mut ids: Vec<ArtistId> = lists.iter().flatten().copied().collect();
    ids.sort();
    ids.dedup();
    let head = "SELECT id, name FROM catalog_artists WHERE id IN";
    let rows = tx.rows_in(head, 1, keys(&ids, ArtistId::as_str), "").await?;
    rows.iter().map(|row| Ok((parsed(row, 0)?, row.get(1)?))).collect()
}

fn named(names: &HashMap<ArtistId, String>, ids: Vec<ArtistId>) -> Result<Vec<ArtistName>, Error> {
    ids.into_iter()
        .map(|id| match names.get(&id) {
            Some(name) => Ok(ArtistName { id, name: name.clone() }),
            None => Err(Error::Stored(format!("artist {id} is named and not there"))),
        })
        .collect()
}

fn strings(list: &[String]) -> Value {
    serde_json::to_string(list).expect("texts are JSON").into()
}

fn read_strings(row: &Row, index: usize) -> Result<Vec<String>, Error> {
    serde_json::from_str(&row.get::<String>(index)?).map_err(|_| stored("a list of texts"))
}

fn spaced(list: impl Iterator<Item = impl Display>) -> String {
    list.map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}

fn read_spaced<T: FromStr>(row: &Row, index: usize) -> Result<Vec<T>, Error> {
    let text: String = row.get(index)?;
    text.split_ascii_whitespace().map(|part| part.parse().map_err(|_| stored("an identifier"))).collect()
}

fn rendition_text(of: &TrackRendition) -> String {
    format!("{}/{}/{}/{}", of.rendition, of.bytes, of.head_bytes, of.average_bps)
}

pub(super) fn read_renditions(text: &str) -> Result<Vec<TrackRendition>, Error> {
    text.split_ascii_whitespace().map(|part| read_rendition(part).ok_or_else(|| stored("a rendition"))).collect()
}

fn read_rendition(text: &str) -> Option<TrackRendition> {
    let mut parts = text.split('/');
    let rendition = Rendition::parse(parts.next()?)?;
    let mut number = || parts.next()?.parse().ok();
    Some(TrackRendition { rendition, bytes: number()?, head_bytes: number()?, average_bps: number()? })
}

fn kind_text(kind: ReleaseKind) -> &'static str {
    match kind {
        ReleaseKind::Album => "album",
        ReleaseKind::Single => "single",
        ReleaseKind::Ep => "ep",
        ReleaseKind::Compilation => "compilation",
    }
}

fn read_kind(row: &Row, index: usize) -> Result<ReleaseKind, Error> {
    match &*row.get::<String>(index)? {
        "album" => Ok(ReleaseKind::Album),
        "single" => Ok(ReleaseKind::Single),
        "ep" => Ok(ReleaseKind::Ep),
        "compilation" => Ok(ReleaseKind::Compilation),
        _ => Err(stored("a kind of release")),
    }
}

fn read_date(row: &Row, index: usize) -> Result<Option<ReleaseDate>, Error> {
    let Some(number) = row.get::<Option<u32>>(index)? else { return Ok(None) };
    let year = u16::try_from(number / 10_000).map_err(|_| stored("a date"))?;
    let part = |number: u32| (number > 0).then_some(number as u8); // below 100
    Ok(Some(ReleaseDate { year, month: part(number / 100 % 100), day: part(number % 100) }))
}

fn read_territory(row: &Row, index: usize) -> Result<Option<Territory>, Error> {
    let text: Option<String> = row.get(index)?;
    text.map(|text| Territory::parse(&text).map_err(|_| stored("a territory"))).transpose()
}
