//! One batch of changes, from what the tables hold to what they hold afterwards.
//!
//! Everything that the changes touch is read first, the changes are played through in memory in their order, and what
//! differs at the end is written with few statements: things, their places in lists, and the counts over these.

use super::landmarks::{Landmarks, Spot};
use super::order::{self, List, Stretch};
use super::rows::{self, Seated};
use super::touched::Touched;
use super::{Applied, Error};
use crate::change::{Change, NUMBER_MAX, Refusal};
use crate::model::{Artist, ArtistName, Credit, Episode, Release, ReleaseName, Share, Show, Track, Window};
use needledrop_core::{ArtistId, EpisodeId, ReleaseId, ShowId, TrackId};
use needledrop_database::{Insert, Transaction, Value};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

/// The landmarks of the lists that were looked at, at one version.
pub(super) type AllLandmarks = HashMap<List, Arc<Landmarks>>;

/// Before and after.
struct Slot<T> {
    old: Option<T>,
    new: Option<T>,
    seat: Option<u64>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self { old: None, new: None, seat: None }
    }
}

type Slots<I, T> = HashMap<I, Slot<T>>;

#[derive(Default)]
struct Work {
    artists: Slots<ArtistId, Artist>,
    releases: Slots<ReleaseId, Release>,
    tracks: Slots<TrackId, Track>,
    shows: Slots<ShowId, Show>,
    episodes: Slots<EpisodeId, Episode>,
    credits: HashMap<TrackId, Vec<Credit>>,
    shares: HashMap<TrackId, Vec<Share>>,
    windows: HashMap<TrackId, Vec<Window>>,
    leaving_artists: HashSet<ArtistId>,
    leaving_releases: HashSet<ReleaseId>,
    applied: Applied,
}

/// Plays the changes and writes the outcome. The transaction stands in the catalog's exclusive section.
pub(super) async fn run(
    tx: &mut Transaction,
    changes: Vec<Change>,
    landmarks: &mut AllLandmarks,
) -> Result<(Applied, Touched), Error> {
    let mut work = Work::default();
    work.load(tx, &changes).await?;
    for (index, change) in changes.into_iter().enumerate() {
        change.check().and_then(|()| work.play(change)).map_err(|refusal| Error::Refused { index, refusal })?;
    }
    work.count();
    work.release_leavers();
    work.take_seats(tx).await?;

    let mut listings = Listings::default();
    work.list(&mut listings);
    work.write(tx).await?;
    let mut touched = work.touched();
    touched.reordered = listings.moves(List::TrackRelease);
    listings.write(tx, landmarks).await?;

    let left = work.artist_leavers(tx, landmarks).await?;
    touched.artists.extend(left);
    Ok((work.applied, touched))
}

impl Work {
    /// Reads whatever the changes may touch.
    async fn load(&mut self, tx: &mut Transaction, changes: &[Change]) -> Result<(), Error> {
        let mut tracks = Vec::new();
        let mut artists = Vec::new();
        let mut releases = Vec::new();
        let (mut shows, mut episodes) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Artist(artist) => artists.push(artist.id),
                Change::Release(release) => {
                    releases.push(release.id);
                    artists.extend(release.artists.iter().map(|artist| artist.id));
                }
                Change::Track(track) => {
                    tracks.push(track.id);
                    releases.push(track.release.id);
                    artists.extend(track.artists.iter().map(|artist| artist.id));
                }
                Change::Credits { track, credits } => {
                    tracks.push(*track);
                    artists.extend(credits.iter().map(|credit| credit.artist.id));
                }
                Change::Shares { track, shares } => {
                    tracks.push(*track);
                    artists.extend(shares.iter().map(|share| share.holder.id));
                }
                Change::Windows { track, .. } | Change::Plays { track, .. } => tracks.push(*track),
                Change::Show(show) => shows.push(show.id),
                Change::Episode(episode) => {
                    shows.push(episode.show);
                    episodes.push(episode.id);
                }
                Change::RemoveTrack { id } => tracks.push(*id),
                Change::RemoveRelease { id } => releases.push(*id),
                Change::RemoveArtist { id } => artists.push(*id),
                Change::RemoveShow { id } => {
                    shows.push(*id);
                    episodes.extend(members::<EpisodeId>(tx, Stretch::episodes_of(id)).await?);
                }
                Change::RemoveEpisode { id } => episodes.push(*id),
            }
        }
        self.load_tracks(tx, tracks).await?;
        releases.extend(self.tracks.values().filter_map(|slot| Some(slot.old.as_ref()?.release.id)));
        fill(&mut self.releases, rows::releases(tx, &distinct(releases)).await?, |release| release.id);
        for release in self.redated(changes) {
            // The place of its tracks in the order of years depends on the date.
            let tracks = members(tx, Stretch::tracks_on(&release)).await?;
            self.load_tracks(tx, tracks).await?;
        }
        let of_tracks = self.tracks.values().filter_map(|slot| slot.old.as_ref()).flat_map(|track| &track.artists);
        artists.extend(of_tracks.map(|artist| artist.id));
        fill(&mut self.artists, rows::artists(tx, &distinct(artists)).await?, |artist| artist.id);

        let found = rows::episodes(tx, &distinct(episodes)).await?;
        shows.extend(found.iter().map(|episode| episode.show));
        fill(&mut self.episodes, found.into_iter().map(|thing| Seated { thing, seat: 0 }).collect(), |e| e.id);
        let found = rows::shows(tx, &distinct(shows)).await?;
        fill(&mut self.shows, found.into_iter().map(|thing| Seated { thing, seat: 0 }).collect(), |show| show.id);
        Ok(())
    }

    async fn load_tracks(&mut self, tx: &mut Transaction, ids: Vec<TrackId>) -> Result<(), Error> {
        let missing: Vec<TrackId> = ids.into_iter().filter(|id| !self.tracks.contains_key(id)).collect();
        fill(&mut self.tracks, rows::tracks(tx, &distinct(missing)).await?, |track| track.id);
        Ok(())
    }

    /// Releases whose date the changes may change.
    fn redated(&self, changes: &[Change]) -> Vec<ReleaseId> {
        let put = changes.iter().filter_map(|change| match change {
            Change::Release(release) => Some(release),
            _ => None,
        });
        let is_other = |release: &&Release| {
            let old = self.releases.get(&release.id).and_then(|slot| slot.old.as_ref());
            old.is_some_and(|old| old.date != release.date)
        };
        distinct(put.filter(is_other).map(|release| release.id).collect())
    }

    fn play(&mut self, change: Change) -> Result<(), Refusal> {
        match change {
            Change::Artist(artist) => {
                self.leaving_artists.remove(&artist.id);
                let slot = self.artists.entry(artist.id).or_default();
                let plays = slot.new.as_ref().map_or(0, |old| old.plays);
                slot.new = Some(Artist { plays, ..artist });
            }
            Change::Release(release) => self.put_release(release),
            Change::Track(track) => self.put_track(*track)?,
            Change::Credits { track, credits } => {
                self.needs_track(track)?;
                credits.iter().for_each(|credit| self.introduce(&credit.artist));
                self.credits.insert(track, credits);
            }
            Change::Shares { track, shares } => {
                self.needs_track(track)?;
                shares.iter().for_each(|share| self.introduce(&share.holder));
                self.shares.insert(track, shares);
            }
            Change::Windows { track, windows } => {
                self.needs_track(track)?;
                self.windows.insert(track, windows);
            }
            Change::Show(show) => {
                let slot = self.shows.entry(show.id).or_default();
                let episodes = slot.new.as_ref().map_or(0, |old| old.episodes);
                slot.new = Some(Show { episodes, ..show });
            }
            Change::Episode(episode) => {
                if self.shows.get(&episode.show).is_none_or(|slot| slot.new.is_none()) {
                    return Err(Refusal::NoShow { episode: episode.id, show: episode.show });
                }
                let slot = self.episodes.entry(episode.id).or_default();
                slot.new = Some(episode);
            }
            Change::Plays { track, added } => {
                if let Some(track) = self.tracks.get_mut(&track).and_then(|slot| slot.new.as_mut()) {
                    track.plays = track.plays.saturating_add(added).min(NUMBER_MAX);
                }
            }
            Change::RemoveTrack { id } => {
                self.tracks.entry(id).or_default().new = None;
                self.credits.insert(id, Vec::new());
                self.shares.insert(id, Vec::new());
                self.windows.insert(id, Vec::new());
            }
            Change::RemoveRelease { id } => drop(self.leaving_releases.insert(id)),
            Change::RemoveArtist { id } => drop(self.leaving_artists.insert(id)),
            Change::RemoveShow { id } => {
                self.shows.entry(id).or_default().new = None;
                for slot in self.episodes.values_mut() {
                    slot.new.take_if(|episode| episode.show == id);
                }
            }
            Change::RemoveEpisode { id } => self.episodes.entry(id).or_default().new = None,
        }
        Ok(())
    }

    fn put_release(&mut self, mut release: Release) {
        self.leaving_releases.remove(&release.id);
        self.introduce_all(&mut release.artists);
        let slot = self.releases.entry(release.id).or_default();
        let (tracks, duration_ms, plays) = slot.new.as_ref().map_or((0, 0, 0), |r| (r.tracks, r.duration_ms, r.plays));
        let added = slot.new.as_ref().map_or(release.added, |old| old.added);
        slot.new = Some(Release { tracks, duration_ms, plays, added, ..release });
    }

    fn put_track(&mut self, mut track: Track) -> Result<(), Refusal> {
        let Some(release) = self.releases.get(&track.release.id).and_then(|slot| slot.new.as_ref()) else {
            return Err(Refusal::NoRelease { track: track.id, release: track.release.id });
        };
        self.leaving_releases.remove(&release.id);
        let (title, art) = (release.title.clone(), release.art.clone());
        track.release = ReleaseName { id: release.id, title, art, date: release.date };
        self.introduce_all(&mut track.artists);
        let slot = self.tracks.entry(track.id).or_default();
        if let Some(old) = &slot.new {
            (track.plays, track.added) = (old.plays, old.added);
        }
        slot.new = Some(track);
        Ok(())
    }

    /// Whom something names is there from now on, and is called as they are called.
    fn introduce_all(&mut self, artists: &mut [ArtistName]) {
        for artist in artists {
            self.introduce(artist);
            let known = self.artists[&artist.id].new.as_ref().expect("has just been introduced");
            artist.name.clone_from(&known.name);
        }
    }

    fn introduce(&mut self, artist: &ArtistName) {
        self.leaving_artists.remove(&artist.id);
        let slot = self.artists.entry(artist.id).or_default();
        slot.new.get_or_insert_with(|| Artist {
            id: artist.id,
            name: artist.name.clone(),
            sort_name: artist.name.clone(),
            aliases: Vec::new(),
            genres: Vec::new(),
            art: None,
            plays: 0,
        });
    }

    fn needs_track(&self, id: TrackId) -> Result<(), Refusal> {
        let is_there = self.tracks.get(&id).is_some_and(|slot| slot.new.is_some());
        if is_there { Ok(()) } else { Err(Refusal::NoTrack(id)) }
    }

    /// Carries what tracks and episodes add up to over to their releases, artists and shows.
    fn count(&mut self) {
        for slot in self.tracks.values() {
            for (track, sign) in [(&slot.old, -1), (&slot.new, 1)] {
                let Some(track) = track else { continue };
                if let Some(release) = self.releases.get_mut(&track.release.id).and_then(|slot| slot.new.as_mut()) {
                    release.tracks = shifted(release.tracks.into(), sign, 1) as u32;
                    release.duration_ms = shifted(release.duration_ms, sign, track.duration_ms);
                    release.plays = shifted(release.plays, sign, track.plays);
                }
                for id in distinct(track.artists.iter().map(|artist| artist.id).collect()) {
                    if let Some(artist) = self.artists.get_mut(&id).and_then(|slot| slot.new.as_mut()) {
                        artist.plays = shifted(artist.plays, sign, track.plays);
                    }
                }
            }
        }
        for slot in self.episodes.values() {
            for (episode, sign) in [(&slot.old, -1), (&slot.new, 1)] {
                let show =
                    episode.as_ref().and_then(|e| self.shows.get_mut(&e.show)).and_then(|slot| slot.new.as_mut());
                if let Some(show) = show {
                    show.episodes = shifted(show.episodes.into(), sign, 1) as u32;
                }
            }
        }
    }

    /// Releases that were to go and on which nothing stands any more.
    fn release_leavers(&mut self) {
        for id in std::mem::take(&mut self.leaving_releases) {
            let Some(slot) = self.releases.get_mut(&id) else { continue };
            match &slot.new {
                Some(release) if release.tracks > 0 => self.applied.kept_releases.push(id),
                _ => slot.new = None,
            }
        }
    }

    async fn take_seats(&mut self, tx: &mut Transaction) -> Result<(), Error> {
        seats(tx, "SELECT max(seat) FROM catalog_artists", &mut self.artists).await?;
        seats(tx, "SELECT max(seat) FROM catalog_releases", &mut self.releases).await?;
        seats(tx, "SELECT max(seat) FROM catalog_tracks", &mut self.tracks).await
    }

    /// Where each thing stood and where it will stand.
    fn list(&self, listings: &mut Listings) {
        for (id, slot) in &self.artists {
            listings.differ(id.as_str(), &slot.old, &slot.new, order::of_artist);
        }
        for (id, slot) in &self.releases {
            listings.differ(id.as_str(), &slot.old, &slot.new, order::of_release);
        }
        for (id, slot) in &self.tracks {
            let new = slot.new.as_ref().map(|track| {
                let release = self.releases.get(&track.release.id).and_then(|slot| slot.new.as_ref());
                order::of_track(track, release.map_or(track.release.date, |release| release.date))
            });
            let old = slot.old.as_ref().map(|track| order::of_track(track, track.release.date));
            listings.differ_keys(id.as_str(), old.unwrap_or_default(), new.unwrap_or_default());
        }
        for (id, slot) in &self.shows {
            listings.differ(id.as_str(), &slot.old, &slot.new, order::of_show);
        }
        for (id, slot) in &self.episodes {
            listings.differ(id.as_str(), &slot.old, &slot.new, order::of_episode);
        }
    }

    async fn write(&mut self, tx: &mut Transaction) -> Result<(), Error> {
        let artists = &self.artists;
        write(
            tx,
            artists,
            rows::ARTISTS,
            "DELETE FROM catalog_artists WHERE id IN",
            ArtistId::as_str,
            |slot, thing| rows::artist_values(thing, seat(slot)).into(),
        )
        .await?;
        let releases = &self.releases;
        write(
            tx,
            releases,
            rows::RELEASES,
            "DELETE FROM catalog_releases WHERE id IN",
            ReleaseId::as_str,
            |slot, r| rows::release_values(r, seat(slot)).into(),
        )
        .await?;
        let tracks = &self.tracks;
        write(tx, tracks, rows::TRACKS, "DELETE FROM catalog_tracks WHERE id IN", TrackId::as_str, |slot, track| {
            rows::track_values(track, seat(slot)).into()
        })
        .await?;
        let shows = &self.shows;
        write(tx, shows, rows::SHOWS, "DELETE FROM catalog_shows WHERE id IN", ShowId::as_str, |_, show| {
            rows::show_values(show).into()
        })
        .await?;
        let episodes = &self.episodes;
        let delete = "DELETE FROM catalog_episodes WHERE id IN";
        write(tx, episodes, rows::EPISODES, delete, EpisodeId::as_str, |_, episode| {
            rows::episode_values(episode).into()
        })
        .await?;
        self.write_rights(tx).await
    }

    async fn write_rights(&mut self, tx: &mut Transaction) -> Result<(), Error> {
        let delete = "DELETE FROM catalog_credits WHERE track_id IN";
        replace(tx, delete, rows::CREDITS, &self.credits, |t, n, c| rows::credit_values(t, n, c).into()).await?;
        let delete = "DELETE FROM catalog_shares WHERE track_id IN";
        replace(tx, delete, rows::SHARES, &self.shares, |t, n, s| rows::share_values(t, n, s).into()).await?;
        let delete = "DELETE FROM catalog_windows WHERE track_id IN";
        replace(tx, delete, rows::WINDOWS, &self.windows, |t, n, w| rows::window_values(t, n, w).into()).await
    }

    fn touched(&self) -> Touched {
        let renamed_artist = |slot: &Slot<Artist>| both(slot).is_some_and(|(old, new)| old.name != new.name);
        let renamed_release = |slot: &Slot<Release>| {
            both(slot).is_some_and(|(old, new)| (&old.title, &old.art, old.date) != (&new.title, &new.art, new.date))
        };
        Touched {
            tracks: self.tracks.keys().copied().collect(),
            releases: self.releases.keys().copied().collect(),
            artists: self.artists.keys().copied().collect(),
            artist_renamed: self.artists.values().any(renamed_artist),
            release_renamed: self.releases.values().any(renamed_release),
            reordered: false, // the listings know
        }
    }

    /// Artists who were to go and whom nothing names any more, now that all else is written.
    async fn artist_leavers(
        &mut self,
        tx: &mut Transaction,
        landmarks: &mut AllLandmarks,
    ) -> Result<Vec<ArtistId>, Error> {
        let mut leavers = Vec::new();
        for id in std::mem::take(&mut self.leaving_artists) {
            let Some(artist) = self.artists.get(&id).and_then(|slot| slot.new.clone()) else { continue };
            if is_named(tx, &id).await? { self.applied.kept_artists.push(id) } else { leavers.push(artist) }
        }
        let mut listings = Listings::default();
        for artist in &leavers {
            listings.differ_keys(artist.id.as_str(), order::of_artist(artist), Vec::new());
        }
        let ids: Vec<ArtistId> = leavers.iter().map(|artist| artist.id).collect();
        tx.execute_in("DELETE FROM catalog_artists WHERE id IN", 1, rows::keys(&ids, ArtistId::as_str)).await?;
        listings.write(tx, landmarks).await?;
        Ok(ids)
    }
}

/// Rows that come to and go from `catalog_listings`.
#[derive(Default)]
struct Listings {
    come: BTreeMap<List, Vec<Spot>>,
    go: BTreeMap<List, Vec<Spot>>,
}

impl Listings {
    fn differ<T>(&mut self, id: &str, old: &Option<T>, new: &Option<T>, keys: impl Fn(&T) -> Vec<(List, String)>) {
        let keys_of = |thing: &Option<T>| thing.as_ref().map(&keys).unwrap_or_default();
        self.differ_keys(id, keys_of(old), keys_of(new));
    }

    fn differ_keys(&mut self, id: &str, old: Vec<(List, String)>, new: Vec<(List, String)>) {
        let spot = |key: &str| Spot { key: key.to_owned(), id: id.to_owned() };
        for (list, key) in old.iter().filter(|key| !new.contains(key)) {
            self.go.entry(*list).or_default().push(spot(key));
        }
        for (list, key) in new.iter().filter(|key| !old.contains(key)) {
            self.come.entry(*list).or_default().push(spot(key));
        }
    }

    /// Whether anything comes to a list or leaves it.
    fn moves(&self, list: List) -> bool {
        self.come.contains_key(&list) || self.go.contains_key(&list)
    }

    /// Writes the rows in the order of the table, and counts them.
    async fn write(mut self, tx: &mut Transaction, landmarks: &mut AllLandmarks) -> Result<(), Error> {
        self.come.values_mut().for_each(|spots| spots.sort());
        let insert = Insert { head: "INSERT INTO catalog_listings (list, key, id)", width: 3, tail: "" };
        tx.execute_in("DELETE FROM catalog_listings WHERE (list, key, id) IN", 3, values(&self.go)).await?;
        tx.insert(insert, values(&self.come)).await?;
        let lists: Vec<List> = distinct(self.come.keys().chain(self.go.keys()).copied().collect());
        for list in lists {
            let marks = match landmarks.entry(list) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(vacant) => vacant.insert(Arc::new(Landmarks::load(tx, list).await?)),
            };
            let marks = Arc::make_mut(marks);
            self.go.get(&list).into_iter().flatten().for_each(|spot| marks.went(spot));
            self.come.get(&list).into_iter().flatten().for_each(|spot| marks.came(spot));
            marks.settle(tx).await?;
        }
        Ok(())
    }
}

fn values(spots: &BTreeMap<List, Vec<Spot>>) -> Vec<Value> {
    let rows = spots.iter().flat_map(|(list, spots)| spots.iter().map(|spot| (*list, spot)));
    rows.flat_map(|(list, spot)| [(list as i64).into(), (&spot.key).into(), (&spot.id).into()]).collect()
}

/// Writes the things of one kind that differ.
async fn write<I: Eq + Hash + Ord, T: PartialEq>(
    tx: &mut Transaction,
    slots: &Slots<I, T>,
    insert: Insert,
    delete: &'static str,
    text: impl Fn(&I) -> &str,
    values: impl Fn(&Slot<T>, &T) -> Vec<Value>,
) -> Result<(), Error> {
    let mut ordered: Vec<_> = slots.iter().filter(|(_, slot)| slot.old != slot.new).collect();
    ordered.sort_by_key(|(id, _)| *id);
    let (mut gone, mut put) = (Vec::new(), Vec::new());
    for (id, slot) in ordered {
        match &slot.new {
            Some(thing) => put.extend(values(slot, thing)),
            None => gone.push(Value::from(text(id))),
        }
    }
    tx.execute_in(delete, 1, gone).await?;
    tx.insert(insert, put).await?;
    Ok(())
}

/// Replaces what belongs to tracks as a whole.
async fn replace<T>(
    tx: &mut Transaction,
    delete: &'static str,
    insert: Insert,
    lists: &HashMap<TrackId, Vec<T>>,
    values: impl Fn(&TrackId, u64, &T) -> Vec<Value>,
) -> Result<(), Error> {
    tx.execute_in(delete, 1, lists.keys().map(|track| track.as_str().into()).collect()).await?;
    let numbered = lists.iter().flat_map(|(track, list)| (0..).zip(list).map(move |(n, item)| (track, n, item)));
    tx.insert(insert, numbered.flat_map(|(track, n, item)| values(track, n, item)).collect()).await?;
    Ok(())
}

async fn is_named(tx: &mut Transaction, artist: &ArtistId) -> Result<bool, Error> {
    for stretch in [Stretch::tracks_of(artist), Stretch::releases_of(artist, None)] {
        if !first_members(tx, stretch, 1).await?.is_empty() {
            return Ok(true);
        }
    }
    let sql = "SELECT 1 FROM catalog_credits WHERE artist_id = $1 UNION ALL \
               SELECT 1 FROM catalog_shares WHERE holder_id = $1 LIMIT 1";
    Ok(tx.row(sql, vec![artist.as_str().into()]).await?.is_some())
}

/// All ids of a stretch.
async fn members<I: std::str::FromStr>(tx: &mut Transaction, stretch: Stretch) -> Result<Vec<I>, Error> {
    let ids = first_members(tx, stretch, i64::MAX).await?;
    ids.into_iter().map(|id| id.parse().map_err(|_| rows::stored("an identifier"))).collect()
}

async fn first_members(tx: &mut Transaction, stretch: Stretch, limit: i64) -> Result<Vec<String>, Error> {
    let sql = "SELECT id FROM catalog_listings WHERE list = $1 AND key >= $2 AND key < $3 LIMIT $4";
    let until = stretch.until.expect("members are asked of a part");
    let values = vec![(stretch.list as i64).into(), stretch.from.into(), until.into(), limit.into()];
    tx.rows(sql, values).await?.iter().map(|row| Ok(row.get(0)?)).collect()
}

fn fill<I: Eq + Hash, T: Clone>(slots: &mut Slots<I, T>, found: Vec<Seated<T>>, id: impl Fn(&T) -> I) {
    for Seated { thing, seat } in found {
        slots.insert(id(&thing), Slot { old: Some(thing.clone()), new: Some(thing), seat: Some(seat) });
    }
}

/// Gives seats behind the last to those that are new.
async fn seats<I: Ord + Hash, T>(
    tx: &mut Transaction,
    last: &'static str,
    slots: &mut Slots<I, T>,
) -> Result<(), Error> {
    let mut new: Vec<_> = slots.iter_mut().filter(|(_, slot)| slot.new.is_some() && slot.seat.is_none()).collect();
    if new.is_empty() {
        return Ok(());
    }
    // In the order of ids, so that the same changes give the same seats.
    new.sort_by_key(|(id, _)| *id);
    let last: Option<u64> = tx.row(last, Vec::new()).await?.expect("a maximum has a row").get(0)?;
    let next = last.map_or(0, |last| last + 1);
    new.into_iter().zip(next..).for_each(|((_, slot), seat)| slot.seat = Some(seat));
    Ok(())
}

fn seat<T>(slot: &Slot<T>) -> u64 {
    slot.seat.expect("whoever is written has taken a seat")
}

fn both<T>(slot: &Slot<T>) -> Option<(&T, &T)> {
    slot.old.as_ref().zip(slot.new.as_ref())
}

/// Never below nothing: a sum that was capped before may be too small to take from.
fn shifted(sum: u64, sign: i8, by: u64) -> u64 {
    if sign < 0 { sum.saturating_sub(by) } else { sum.saturating_add(by).min(NUMBER_MAX) }
}

fn distinct<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items.dedup();
    items
}
