//! How many rows of a list stand before a place: counts of pieces of the list, kept in step with every change.
//!
//! A piece begins at its landmark and ends before the next. The n-th row of a list is found by adding up counts in
//! memory and then walking inside one piece, so depth costs nothing. The counts are written in the transaction that
//! changes the list, so they are exact for every reader's moment, in every process.

use super::Error;
use super::order::{List, Stretch};
use needledrop_database::{Insert, Transaction, Value};
use std::collections::BTreeSet;

/// A piece is split when it has more rows: walking through so many costs a fraction of a millisecond.
const PIECE_ROWS_MAX: u64 = 2_048;
/// What it is split into.
const PIECE_ROWS: u64 = 1_024;
/// Below this a piece joins the one before it, if both together are small.
const PIECE_ROWS_MIN: u64 = 256;

/// A place in a list: its key, then its id.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    pub(super) key: String,
    pub(super) id: String,
}

#[derive(Clone, Debug)]
struct Piece {
    first: Spot,
    count: u64,
}

/// The landmarks of one list. The first piece begins before everything and is always there.
#[derive(Clone, Debug)]
pub(super) struct Landmarks {
    list: List,
    pieces: Vec<Piece>,
    changed: BTreeSet<Spot>,
    gone: BTreeSet<Spot>,
}

impl Landmarks {
    pub(super) async fn load(transaction: &mut Transaction, list: List) -> Result<Self, Error> {
        let sql = "SELECT key, id, count FROM catalog_landmarks WHERE list = $1 ORDER BY key, id";
        let rows = transaction.rows(sql, vec![(list as i64).into()]).await?;
        let mut pieces = Vec::with_capacity(rows.len().max(1));
        for row in rows {
            pieces.push(Piece { first: Spot { key: row.get(0)?, id: row.get(1)? }, count: row.get(2)? });
        }
        if pieces.is_empty() {
            pieces.push(Piece { first: Spot::default(), count: 0 });
        }
        Ok(Self { list, pieces, changed: BTreeSet::new(), gone: BTreeSet::new() })
    }

    /// Rows of the whole list.
    pub(super) fn total(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.count).sum()
    }

    /// The landmark of the piece that holds the n-th row, and how many rows of that piece come before it.
    fn piece_of_row(&self, row: u64) -> (&Spot, u64) {
        let mut left = row;
        for piece in &self.pieces {
            if left < piece.count {
                return (&piece.first, left);
            }
            left -= piece.count;
        }
        let last = self.pieces.last().expect("there is always a first piece");
        (&last.first, last.count + left)
    }

    fn piece_of(&self, spot: &Spot) -> usize {
        self.pieces.partition_point(|piece| piece.first <= *spot).saturating_sub(1)
    }

    /// How many rows stand before a key.
    pub(super) async fn rank(&self, transaction: &mut Transaction, key: &str) -> Result<u64, Error> {
        if key.is_empty() {
            return Ok(0);
        }
        let at = self.piece_of(&Spot { key: key.to_owned(), id: String::new() });
        let before: u64 = self.pieces[..at].iter().map(|piece| piece.count).sum();
        let first = &self.pieces[at].first;
        let sql = "SELECT count(*) FROM catalog_listings WHERE list = $1 AND (key, id) >= ($2, $3) AND key < $4";
        let values = vec![(self.list as i64).into(), (&first.key).into(), (&first.id).into(), key.into()];
        let row = transaction.row(sql, values).await?.expect("a count has a row");
        Ok(before + row.get::<u64>(0)?)
    }

    /// Rows before a stretch and rows in it.
    pub(super) async fn measure(&self, transaction: &mut Transaction, stretch: &Stretch) -> Result<(u64, u64), Error> {
        let before = self.rank(transaction, &stretch.from).await?;
        let end = match &stretch.until {
            Some(until) => self.rank(transaction, until).await?,
            None => self.total(),
        };
        Ok((before, end.saturating_sub(before)))
    }

    /// Where to begin to read so that the first row is the n-th of the list: a place, and rows to pass over.
    pub(super) fn seek(&self, row: u64) -> (Spot, u64) {
        let (spot, skip) = self.piece_of_row(row);
        (spot.clone(), skip)
    }

    /// Takes note of a row that came.
    pub(super) fn came(&mut self, spot: &Spot) {
        let at = self.piece_of(spot);
        self.pieces[at].count += 1;
        self.changed.insert(self.pieces[at].first.clone());
    }

    /// Takes note of a row that went.
    pub(super) fn went(&mut self, spot: &Spot) {
        let at = self.piece_of(spot);
        let piece = &mut self.pieces[at];
        piece.count = piece.count.checked_sub(1).expect("a row that goes was counted when it came");
        self.changed.insert(piece.first.clone());
    }

    /// Splits and joins pieces and writes what changed, after the rows themselves are written.
    pub(super) async fn settle(&mut self, transaction: &mut Transaction) -> Result<(), Error> {
        for first in std::mem::take(&mut self.changed) {
            let at = self.piece_of(&first);
            if self.pieces[at].first != first {
                continue; // it has joined another one
            }
            self.changed.insert(first);
            if self.pieces[at].count > PIECE_ROWS_MAX {
                self.split(transaction, at).await?;
            } else {
                self.join(at);
            }
        }
        self.write(transaction).await
    }

    async fn split(&mut self, transaction: &mut Transaction, at: usize) -> Result<(), Error> {
        let mut at = at;
        while self.pieces[at].count > PIECE_ROWS_MAX {
            let first = &self.pieces[at].first;
            let sql = "SELECT key, id FROM catalog_listings WHERE list = $1 AND (key, id) >= ($2, $3) \
                       ORDER BY key, id LIMIT 1 OFFSET $4";
            let list = self.list as i64;
            let values = vec![list.into(), (&first.key).into(), (&first.id).into(), PIECE_ROWS.into()];
            let row = transaction.row(sql, values).await?;
            let row = row.ok_or_else(|| Error::Stored("a landmark counts rows that are not there".into()))?;
            let second = Spot { key: row.get(0)?, id: row.get(1)? };
            let count = self.pieces[at].count - PIECE_ROWS;
            self.pieces[at].count = PIECE_ROWS;
            self.gone.remove(&second);
            self.changed.insert(second.clone());
            at += 1;
            self.pieces.insert(at, Piece { first: second, count });
        }
        Ok(())
    }

    /// The first piece is never joined to another: it is where everything begins.
    fn join(&mut self, at: usize) {
        if at == 0 || self.pieces[at].count >= PIECE_ROWS_MIN {
            return;
        }
        if self.pieces[at - 1].count + self.pieces[at].count <= PIECE_ROWS {
            let piece = self.pieces.remove(at);
            self.pieces[at - 1].count += piece.count;
            self.changed.insert(self.pieces[at - 1].first.clone());
            self.changed.remove(&piece.first);
            self.gone.insert(piece.first);
        }
    }

    async fn write(&mut self, transaction: &mut Transaction) -> Result<(), Error> {
        let list = Value::from(self.list as i64);
        let gone = std::mem::take(&mut self.gone);
        let keys = gone.into_iter().flat_map(|spot| [list.clone(), spot.key.into(), spot.id.into()]).collect();
        transaction.execute_in("DELETE FROM catalog_landmarks WHERE (list, key, id) IN", 3, keys).await?;
        let mut values = Vec::new();
        for first in std::mem::take(&mut self.changed) {
            let count = self.pieces[self.piece_of(&first)].count;
            values.extend([list.clone(), first.key.into(), first.id.into(), count.into()]);
        }
        let insert = Insert {
            head: "INSERT INTO catalog_landmarks (list, key, id, count)",
            width: 4,
            tail: "ON CONFLICT (list, key, id) DO UPDATE SET count = excluded.count",
        };
        transaction.insert(insert, values).await?;
        Ok(())
    }
}
