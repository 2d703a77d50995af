//! Reads by a key that wait for each other: while statements are under way, whoever asks waits, and the next statement
//! reads for all of them at once.
//!
//! A statement costs a database more to begin than one more key in it. Where few ask, each has a statement of its own
//! and waits for nobody. The more ask, the more of them share one, so that a database that fell behind for a moment has
//! caught up a few statements later, and not after as many as there were askers.

use crate::{Database, Error, Row, Sql, Value};
use std::collections::VecDeque;
use std::fmt::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Statements under way at once: while one is on its way back, another is worked on.
const LANES_MAX: usize = 2;
/// Keys in one statement. Lengths are powers of two, so six statements are ever prepared.
const KEYS_MAX: usize = 32;
/// Who may wait: five seconds' worth at 3,000 a second. One more is told that the database is busy.
const WAITING_MAX: usize = 16_384;

/// What is read for each key.
#[derive(Clone, Copy, Debug)]
pub struct Each {
    /// Names of the columns that make a key.
    pub key: &'static [&'static str],
    /// The statement, behind `WITH asked (n, …key) AS (…)`. Its last column is `asked.n`, by which rows come back to
    /// who asked for them; those of one key keep their order.
    pub sql: &'static str,
}

/// Reads of one kind.
#[derive(Clone)]
pub struct Gathered(Arc<Inner>);

impl fmt::Debug for Gathered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Gathered").field(&self.0.statements[0].as_str()).finish()
    }
}

struct Inner {
    database: Database,
    width: usize,
    /// Values that are the same for all keys: `$1` and on, before those of the keys.
    fixed: Vec<Value>,
    /// For 1, 2, 4 keys and so on.
    statements: Vec<Sql>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Asked>,
    lanes: usize,
}

struct Asked {
    key: Vec<Value>,
    answer: oneshot::Sender<Result<Vec<Row>, Error>>,
}

impl Database {
    /// Reads of this kind, gathered; `fixed` are the statement's first values, the same for all keys. The statement is
    /// like one of [`Database::point`].
    pub fn gathered(&self, each: Each, fixed: Vec<Value>) -> Gathered {
        let statements = (0..=KEYS_MAX.ilog2()).map(|log2| statement(each, fixed.len(), 1 << log2)).collect();
        let state = Mutex::default();
        Gathered(Arc::new(Inner { database: self.clone(), width: each.key.len(), fixed, statements, state }))
    }
}

impl Gathered {
    /// The rows of this key, in the statement's order.
    ///
    /// # Errors
    /// The database refuses, the same for all who share the statement; or too many wait for it.
    pub async fn rows(&self, key: Vec<Value>) -> Result<Vec<Row>, Error> {
        assert_eq!(key.len(), self.0.width, "a key has a value for each column");
        let (answer, answered) = oneshot::channel();
        if let Some(lane) = self.0.ask(Asked { key, answer })? {
            // A task of its own: who asked first may leave, and those who share the statement stay.
            tokio::spawn(lane.run());
        }
        answered.await.unwrap_or(Err(Error::Crowded))
    }
}

impl Inner {
    /// Puts a key to those that wait; gives a lane to run where there is a free one.
    fn ask(self: &Arc<Self>, asked: Asked) -> Result<Option<Lane>, Error> {
        let mut state = self.state();
        if state.waiting.len() >= WAITING_MAX {
            return Err(Error::Crowded);
        }
        state.waiting.push_back(asked);
        if state.lanes >= LANES_MAX {
            return Ok(None);
        }
        state.lanes += 1;
        Ok(Some(Lane { of: self.clone(), has_ended: false }))
    }

    async fn read(&self, batch: Vec<Asked>) {
        let (keys, answers): (Vec<_>, Vec<_>) = batch.into_iter().map(|asked| (asked.key, asked.answer)).unzip();
        let sql = self.statements[keys.len().ilog2() as usize].clone();
        let values = self.fixed.iter().cloned().chain(keys.into_iter().flatten()).collect();
        let read = self.database.point(sql, values).await.and_then(|rows| split(rows, answers.len()));
        match read {
            // Who does not listen any more needs no answer.
            Ok(rows) => rows.into_iter().zip(answers).for_each(|(rows, answer)| drop(answer.send(Ok(rows)))),
            Err(error) => {
                let error = Arc::new(error);
                answers.into_iter().for_each(|answer| drop(answer.send(Err(Error::Shared(error.clone())))));
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One statement after the other, until nobody waits.
struct Lane {
    of: Arc<Inner>,
    has_ended: bool,
}

impl Lane {
    async fn run(mut self) {
        while let Some(batch) = self.next() {
            self.of.read(batch).await;
        }
    }

    /// As many of those that wait as make a statement. None ends the lane: whoever asks from then on begins another.
    fn next(&mut self) -> Option<Vec<Asked>> {
        let mut state = self.of.state();
        while state.waiting.front().is_some_and(|asked| asked.answer.is_closed()) {
            state.waiting.pop_front();
        }
        let count = state.waiting.len().min(KEYS_MAX);
        if count == 0 {
            state.lanes -= 1;
            drop(state);
            self.has_ended = true;
            return None;
        }
        Some(state.waiting.drain(..1 << count.ilog2()).collect())
    }
}

impl Drop for Lane {
    /// A lane that did not end by itself (a panic, the runtime's end) leaves nobody waiting for it.
    fn drop(&mut self) {
        if !self.has_ended {
            let mut state = self.of.state();
            state.lanes -= 1;
            state.waiting.clear();
        }
    }
}

/// The rows of each key.
fn split(rows: Vec<Row>, keys: usize) -> Result<Vec<Vec<Row>>, Error> {
    let mut split: Vec<Vec<Row>> = (0..keys).map(|_| Vec::new()).collect();
    for row in rows {
        let index = row.columns() - 1;
        let n = row.get::<u32>(index)?;
        let of_key = split.get_mut(n as usize);
        of_key.ok_or_else(|| Error::Column { index, why: format!("{n} is no key's number") })?.push(row);
    }
    Ok(split)
}

fn statement(each: Each, fixed: usize, keys: usize) -> Sql {
    let mut text = format!("WITH asked (n, {}) AS (VALUES ", each.key.join(", "));
    let mut place = fixed;
    for n in 0..keys {
        let comma = if n == 0 { "" } else { "," };
        // PostgreSQL takes a plain number for one of 32 bits, which is another type.
        write!(text, "{comma}(CAST({n} AS BIGINT)").expect("a String takes all text");
        for _ in each.key {
            place += 1;
            write!(text, ",${place}").expect("a String takes all text");
        }
        text.push(')');
    }
    write!(text, ") {}", each.sql).expect("a String takes all text");
    Sql::assembled(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_behind_what_is_the_same_for_all() {
        let each = Each { key: &["a", "b"], sql: "SELECT n FROM asked" };
        let text =
            "WITH asked (n, a, b) AS (VALUES (CAST(0 AS BIGINT),$2,$3),(CAST(1 AS BIGINT),$4,$5)) SELECT n FROM asked";
        assert_eq!(statement(each, 1, 2).as_str(), text);
    }
}
