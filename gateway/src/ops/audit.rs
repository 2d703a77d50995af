//! Who did what to which edge, and what came of it: kept in the database, on SQLite or PostgreSQL.
//!
//! A line is written before anything is done, and its outcome afterwards: what was done without a line does not exist,
//! and a line without an outcome says that the house went down in between.

use needledrop_core::{AccountId, UnixSeconds};
use needledrop_database::{Database, Error, Migration, Row, Script};

/// Lines that are kept. Unit: acts, about 300 B each; the oldest go. Ten a day for some years.
pub const AUDIT_MAX: u64 = 20_000;
/// What is kept of words that come from outside. Unit: characters.
const WORDS_MAX: usize = 1_000;

const MIGRATIONS: &[Migration] = &[Migration { version: 1, name: "what operators did", script: Script::Both(V1) }];

/// Times are Unix seconds. The account is no foreign key: what somebody did stays when he has gone.
const V1: &str = "
CREATE TABLE ops_audit (
    id BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    account {key} NOT NULL,
    name TEXT NOT NULL,
    act {key} NOT NULL,
    edges TEXT NOT NULL,
    target TEXT NOT NULL,
    outcome {key} NOT NULL,
    words TEXT NOT NULL
);
";

/// What can be done to edges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Take no new requests.
    Drain,
    /// Take them again.
    Undrain,
    /// Forget objects.
    Purge,
}

impl Act {
    /// As it is kept and told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Undrain => "undrain",
            Self::Purge => "purge",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Drain, Self::Undrain, Self::Purge].into_iter().find(|act| act.name() == name)
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody knows (yet).
    Begun,
    /// It was done.
    Done,
    /// Some of it was.
    Partly,
    /// It was not.
    Failed,
}

impl Outcome {
    /// As it is kept and told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Partly => "partly",
            Self::Failed => "failed",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Begun, Self::Done, Self::Partly, Self::Failed].into_iter().find(|outcome| outcome.name() == name)
    }
}

/// What somebody is about to do.
#[derive(Debug, Clone)]
pub struct Deed {
    /// Who.
    pub account: AccountId,
    /// How he is called.
    pub name: String,
    /// What.
    pub act: Act,
    /// To which edges.
    pub edges: String,
    /// About which objects; nothing for a drain.
    pub target: String,
}

/// A line of the list.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its number; later ones are larger.
    pub id: u64,
    /// When it was begun.
    pub at: UnixSeconds,
    /// Who did what.
    pub deed: Deed,
    /// What came of it.
    pub outcome: Outcome,
    /// The same in a sentence.
    pub words: String,
}

/// The list. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit {
    database: Database,
}

impl Audit {
    /// The list in this database.
    ///
    /// # Errors
    /// The database refuses, or a newer program has written it.
    pub async fn open(database: Database) -> Result<Self, Error> {
        database.migrate("ops", MIGRATIONS).await?;
        Ok(Self { database })
    }

    /// Writes down that something begins; gives the number of the line.
    ///
    /// # Errors
    /// The database refuses: then nothing may be done.
    pub async fn begin(&self, deed: &Deed, now: UnixSeconds) -> Result<u64, Error> {
        let mut tx = self.database.transaction().await?;
        tx.exclusive("lines of the audit").await?;
        let row = tx.row("SELECT coalesce(max(id), 0) FROM ops_audit", Vec::new()).await?;
        let id = row.expect("an aggregate has a row").get::<u64>(0)? + 1;
        let sql = "INSERT INTO ops_audit (id, at, account, name, act, edges, target, outcome, words) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '')";
        let values = vec![
            id.into(),
            now.0.into(),
            deed.account.as_str().into(),
            cut(&deed.name).into(),
            deed.act.name().into(),
            cut(&deed.edges).into(),
            cut(&deed.target).into(),
            Outcome::Begun.name().into(),
        ];
        tx.execute(sql, values).await?;
        tx.execute("DELETE FROM ops_audit WHERE id <= $1", vec![id.saturating_sub(AUDIT_MAX).into()]).await?;
        tx.commit().await?;
        Ok(id)
    }

    /// Writes down what came of it.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn end(&self, id: u64, outcome: Outcome, words: &str) -> Result<(), Error> {
        let sql = "UPDATE ops_audit SET outcome = $2, words = $3 WHERE id = $1";
        self.database.execute(sql, vec![id.into(), outcome.name().into(), cut(words).into()]).await?;
        Ok(())
    }

    /// The newest lines before a number, newest first.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn newest(&self, before: Option<u64>, most: u64) -> Result<Vec<Line>, Error> {
        let sql = "SELECT id, at, account, name, act, edges, target, outcome, words FROM ops_audit \
                   WHERE id < $1 ORDER BY id DESC LIMIT $2";
        let before = before.unwrap_or(i64::MAX as u64);
        let rows = self.database.rows(sql, vec![before.into(), most.into()]).await?;
        rows.iter().map(line).collect()
    }
}

fn line(row: &Row) -> Result<Line, Error> {
    Ok(Line {
        id: row.get(0)?,
        at: UnixSeconds(row.get(1)?),
        deed: Deed {
            account: known(row, 2, |text| AccountId::parse(text).ok())?,
            name: row.get(3)?,
            act: known(row, 4, Act::from_name)?,
            edges: row.get(5)?,
            target: row.get(6)?,
        },
        outcome: known(row, 7, Outcome::from_name)?,
        words: row.get(8)?,
    })
}

/// What storage holds was written by us: a text that does not parse is damage, never a default.
fn known<T>(row: &Row, index: usize, parse: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
    parse(&row.get::<String>(index)?)
        .ok_or_else(|| Error::Column { index, why: "does not hold what this program writes".to_owned() })
}

/// NUL has no place in PostgreSQL's text; an edge's words may have any length.
fn cut(words: &str) -> String {
    words.chars().filter(|c| *c != '\0').take(WORDS_MAX).collect()
}
