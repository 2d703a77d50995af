//! Finding the ids of one page: by key, by offset or by shuffled seats.

use super::Error;
use super::landmarks::{Landmarks, Spot};
use super::list::{At, Behind, Cursor};
use super::order::Stretch;
use super::rows;
use super::shuffle::Shuffle;
use needledrop_database::{Sql, Transaction, Value};
use std::collections::HashMap;
use std::str::FromStr;

/// How many times a page's length is looked at in seats, at most, when seats have been left. The page may then be short
/// though more follows; its cursor goes on.
const SEATS_PER_ITEM_MAX: u64 = 64;

/// The ids of a page.
pub(super) struct Ids<I> {
    pub(super) ids: Vec<I>,
    pub(super) total: u64,
    pub(super) next: Option<Cursor>,
}

/// A page of a stretch.
pub(super) async fn of_stretch<I: FromStr>(
    tx: &mut Transaction,
    marks: &Landmarks,
    stretch: &Stretch,
    at: &At,
    limit: usize,
) -> Result<Ids<I>, Error> {
    let (before, total) = marks.measure(tx, stretch).await?;
    let (start, skip) = match at {
        At::Offset(0) => (Start::From(Spot { key: stretch.from.clone(), id: String::new() }), 0),
        At::Offset(offset) if *offset >= total => return Ok(Ids { ids: Vec::new(), total, next: None }),
        At::Offset(offset) => {
            let (spot, skip) = marks.seek(before + offset);
            (Start::From(spot), skip)
        }
        At::After(Cursor(Behind::Spot(spot))) => (Start::Behind(spot.clone()), 0),
        At::After(_) => return Err(Error::Cursor),
    };
    // One more than asked tells whether another page follows.
    let mut found = read(tx, stretch, start, skip, limit + 1).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|spot| Cursor(Behind::Spot(spot.clone())));
    let ids = found.iter().map(|spot| spot.id.parse().map_err(|_| rows::stored("an identifier")));
    Ok(Ids { ids: ids.collect::<Result<_, Error>>()?, total, next })
}

enum Start {
    From(Spot),
    Behind(Spot),
}

async fn read(
    tx: &mut Transaction,
    stretch: &Stretch,
    start: Start,
    skip: u64,
    limit: usize,
) -> Result<Vec<Spot>, Error> {
    let (sign, spot) = match start {
        // A cursor of another list may lie before this stretch: it begins at its beginning all the same.
        Start::Behind(spot) if spot.key < stretch.from => (">=", Spot { key: stretch.from.clone(), id: String::new() }),
        Start::Behind(spot) => (">", spot),
        Start::From(spot) => (">=", spot),
    };
    let mut values: Vec<Value> =
        vec![(stretch.list as i64).into(), spot.key.into(), spot.id.into(), (limit as u64).into(), skip.into()];
    let mut end = "";
    if let Some(until) = &stretch.until {
        end = "AND key < $6";
        values.push(until.into());
    }
    let sql = format!(
        "SELECT key, id FROM catalog_listings WHERE list = $1 AND (key, id) {sign} ($2, $3) {end} \
         ORDER BY key, id LIMIT $4 OFFSET $5"
    );
    let rows = tx.rows(Sql::assembled(sql), values).await?;
    rows.iter().map(|row| Ok(Spot { key: row.get(0)?, id: row.get(1)? })).collect()
}

/// The statements that a shuffle of one table needs.
pub(super) struct Seats {
    pub(super) last: &'static str,
    pub(super) sitting: &'static str,
}

/// A page of a shuffle. The seats that were there when it began are gone through to the end, whoever comes later.
pub(super) async fn of_shuffle<I: FromStr + Copy>(
    tx: &mut Transaction,
    seats: &Seats,
    seed: u64,
    at: &At,
    limit: usize,
    total: u64,
) -> Result<Ids<I>, Error> {
    let last: Option<u64> = tx.row(seats.last, Vec::new()).await?.expect("a maximum has a row").get(0)?;
    let now = last.map_or(0, |last| last + 1);
    let (mut place, count) = match at {
        At::Offset(offset) => (*offset, now),
        At::After(Cursor(Behind::Place { at, seats })) => (*at, (*seats).min(now)),
        At::After(_) => return Err(Error::Cursor),
    };
    // Who carries a cursor from before the last seats were given up reads the order of fewer seats.
    let shuffle = Shuffle::new(seed, count.max(1));
    let end = count.min(place.saturating_add(SEATS_PER_ITEM_MAX * limit as u64));
    let mut ids = Vec::with_capacity(limit);
    while place < end && ids.len() < limit {
        let missing = (limit - ids.len()) as u64;
        let wanted: Vec<u64> = (place..end.min(place + missing)).map(|at| shuffle.seat(at)).collect();
        place += wanted.len() as u64;
        let rows = tx.rows_in(seats.sitting, 1, wanted.iter().map(|seat| (*seat).into()).collect(), "").await?;
        let mut sitting = HashMap::with_capacity(rows.len());
        for row in &rows {
            sitting.insert(row.get::<u64>(0)?, rows::parsed(row, 1)?);
        }
        ids.extend(wanted.iter().filter_map(|seat| sitting.get(seat)));
    }
    let next = (place < count).then_some(Cursor(Behind::Place { at: place, seats: count }));
    Ok(Ids { ids, total, next })
}
