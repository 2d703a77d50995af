//! Opening a database and beginning transactions on it.

use crate::{Error, Place, Row, Sql, Transaction, Value};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlSafeStr};
use std::time::Duration;

/// Connections that read a SQLite file, each a thread of its own: enough to keep small machines' cores busy.
const SQLITE_READERS_MAX: u32 = 4;
/// Connections to PostgreSQL for transactions. Its default allows 100 in all; several services and nodes share them.
const POSTGRES_CONNECTIONS_MAX: u32 = 8;
/// Connections to PostgreSQL for statements that are planned once: at 1 ms to the server and back, 8,000 a second.
const POSTGRES_POINTS_MAX: u32 = 8;
/// How long a request waits for a connection before it is told that the database is busy.
const ACQUIRE_WAIT: Duration = Duration::from_secs(10);
/// How long SQLite waits for another process's write; an import's batch takes a second or two.
const BUSY_WAIT: Duration = Duration::from_secs(10);
/// Pages that each SQLite connection keeps, in KiB: inner pages of the indexes of a million tracks.
const SQLITE_CACHE_KIB: u32 = 32 * 1024;
/// Statements kept prepared on each connection: bulk statements come in ten lengths each.
const STATEMENTS_MAX: usize = 256;
/// Longest single statement on PostgreSQL; a batch's largest takes about a second.
const STATEMENT_LIMIT: &str = "60s";
/// Longest wait for a lock on PostgreSQL: longer than a batch of an import, shorter than people wait.
const LOCK_LIMIT: &str = "30s";
/// A page of 50 and one of 5,000 want different plans, and planning for one table takes 0.1 ms.
const GENERAL_PLANS: &[(&str, &str)] = &[("plan_cache_mode", "force_custom_plan")];
/// Planned once, when a table may still be empty: then PostgreSQL would read all of it for a few keys, and go on doing so
/// while it grows. What is found by its key needs no other way than the key's index.
const POINT_PLANS: &[(&str, &str)] = &[
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];
/// A transaction that nobody continues would keep old rows from being cleaned up.
const IDLE_TRANSACTION_LIMIT: &str = "120s";

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file in this process.
    Sqlite,
    /// A server.
    Postgres,
}

/// An open database. Cheap to clone; all clones share its connections.
#[derive(Clone, Debug)]
pub struct Database {
    pools: Pools,
}

#[derive(Clone, Debug)]
enum Pools {
    /// SQLite has one writer at a time: waiting for it in our own queue is fair, its own lock is not.
    Sqlite { writer: SqlitePool, readers: SqlitePool },
    Postgres {
        general: PgPool,
        /// Connections that plan each statement once, for any values.
        points: PgPool,
    },
}

impl Database {
    /// Opens what [`Place::parse`] reads; a SQLite file is made when it is not there.
    pub async fn open(place: &str) -> Result<Database, Error> {
        Self::open_place(&Place::parse(place)?).await
    }

    /// Opens the database; a SQLite file is made when it is not there.
    pub async fn open_place(place: &Place) -> Result<Database, Error> {
        let pools = match place {
            Place::File(path) => sqlite(path).await,
            Place::Postgres(url) => postgres(url).await,
        };
        let pools = pools.map_err(|source| Error::Open { place: place.to_string(), source })?;
        Ok(Database { pools })
    }

    /// Which database this is.
    pub fn kind(&self) -> Kind {
        match self.pools {
            Pools::Sqlite { .. } => Kind::Sqlite,
            Pools::Postgres { .. } => Kind::Postgres,
        }
    }

    /// Begins to read: all statements see the same moment. It cannot write.
    pub async fn snapshot(&self) -> Result<Transaction, Error> {
        Ok(match &self.pools {
            Pools::Sqlite { readers, .. } => Transaction::sqlite(readers.begin().await?),
            Pools::Postgres { general, .. } => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                Transaction::postgres(general.begin_with(begin).await?)
            }
        })
    }

    /// Begins to write. On SQLite it waits for its turn first; see [`Transaction::exclusive`] for PostgreSQL.
    pub async fn transaction(&self) -> Result<Transaction, Error> {
        Ok(match &self.pools {
            // A deferred transaction that reads first could not wait for another process's write: it would fail.
            Pools::Sqlite { writer, .. } => Transaction::sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Pools::Postgres { general, .. } => Transaction::postgres(general.begin_with("BEGIN").await?),
        })
    }

    /// All rows of one statement that reads.
    pub async fn rows(&self, sql: impl Into<Sql>, values: Vec<Value>) -> Result<Vec<Row>, Error> {
        match &self.pools {
            Pools::Sqlite { readers, .. } => from_sqlite(readers, sql.into(), values).await,
            Pools::Postgres { general, .. } => from_postgres(general, sql.into(), values).await,
        }
    }

    /// All rows of one statement that finds them by a whole key, or next to one: its plan is the same for all values, and
    /// PostgreSQL makes it once on each connection.
    pub async fn point(&self, sql: impl Into<Sql>, values: Vec<Value>) -> Result<Vec<Row>, Error> {
        match &self.pools {
            Pools::Sqlite { readers, .. } => from_sqlite(readers, sql.into(), values).await,
            Pools::Postgres { points, .. } => from_postgres(points, sql.into(), values).await,
        }
    }

    /// The first row of one statement that reads.
    pub async fn row(&self, sql: impl Into<Sql>, values: Vec<Value>) -> Result<Option<Row>, Error> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// Runs one statement that writes, as a transaction of its own, and gives back how many rows it touched.
    pub async fn execute(&self, sql: impl Into<Sql>, values: Vec<Value>) -> Result<u64, Error> {
        let mut transaction = self.transaction().await?;
        let touched = transaction.execute(sql, values).await?;
        transaction.commit().await?;
        Ok(touched)
    }

    /// Brings the database's own knowledge of its tables up to date: after a large import, or else plans go wrong.
    pub async fn analyze(&self) -> Result<(), Error> {
        match &self.pools {
            // All tables, a sample of each (0x10). Whole ones would leave histograms as well, and with these SQLite
            // compiles a statement anew for each value that is bound to it.
            Pools::Sqlite { writer, .. } => sqlx::query("PRAGMA optimize = 0x10012").execute(writer).await.map(drop)?,
            // The visibility map makes scans of an index alone possible; autovacuum would come to it later.
            Pools::Postgres { general, .. } => sqlx::query("VACUUM (ANALYZE)").execute(general).await.map(drop)?,
        }
        Ok(())
    }

    /// Version of the database itself, for reports.
    pub async fn version(&self) -> Result<String, Error> {
        let (name, sql) = match self.kind() {
            Kind::Sqlite => ("SQLite", "SELECT sqlite_version()"),
            Kind::Postgres => ("PostgreSQL", "SELECT current_setting('server_version')"),
        };
        let row = self.row(sql, Vec::new()).await?;
        let version: String = row.expect("a SELECT without FROM has one row").get(0)?;
        Ok(format!("{name} {version}"))
    }

    /// Closes all connections, when those in use are given back.
    pub async fn close(self) {
        match self.pools {
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Pools::Postgres { general, points } => {
                points.close().await;
                general.close().await;
            }
        }
    }
}

async fn from_sqlite(pool: &SqlitePool, sql: Sql, values: Vec<Value>) -> Result<Vec<Row>, Error> {
    let query = values.into_iter().fold(sqlx::query(sql.0), |q, value| value.bind_sqlite(q));
    let rows = query.fetch_all(pool).await?;
    Ok(rows.into_iter().map(|row| Row(crate::value::Inner::Sqlite(row))).collect())
}

async fn from_postgres(pool: &PgPool, sql: Sql, values: Vec<Value>) -> Result<Vec<Row>, Error> {
    let query = values.into_iter().fold(sqlx::query(sql.0), |q, value| value.bind_postgres(q));
    let rows = query.fetch_all(pool).await?;
    Ok(rows.into_iter().map(|row| Row(crate::value::Inner::Postgres(row))).collect())
}

async fn sqlite(path: &std::path::Path) -> Result<Pools, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // Who was told that an account exists finds it after a power cut. NORMAL would lose the last transactions; we
        // write in batches, so a sync per transaction costs little.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_WAIT)
        .pragma("cache_size", format!("-{SQLITE_CACHE_KIB}"))
        .pragma("temp_store", "MEMORY")
        .statement_cache_capacity(STATEMENTS_MAX)
        .disable_statement_logging();
    // The writer first: it makes the file and its log, without which a reader cannot begin.
    let writer = sqlite_pool(1).connect_with(options.clone()).await?;
    let readers = sqlite_pool(SQLITE_READERS_MAX).connect_with(options.pragma("query_only", "ON")).await?;
    Ok(Pools::Sqlite { writer, readers })
}

fn sqlite_pool(connections_max: u32) -> SqlitePoolOptions {
    // Connections are our own threads: there is nothing to find out about them, and nothing to gain by closing them.
    let options = SqlitePoolOptions::new().max_connections(connections_max).acquire_timeout(ACQUIRE_WAIT);
    options.test_before_acquire(false).idle_timeout(None).max_lifetime(None)
}

async fn postgres(url: &str) -> Result<Pools, sqlx::Error> {
    let options: PgConnectOptions = url.parse()?;
    let options = options
        .application_name("needledrop")
        .statement_cache_capacity(STATEMENTS_MAX)
        .options([
            ("statement_timeout", STATEMENT_LIMIT),
            ("lock_timeout", LOCK_LIMIT),
            ("idle_in_transaction_session_timeout", IDLE_TRANSACTION_LIMIT),
            // Compiling a statement takes longer than any of ours runs.
            ("jit", "off"),
            // So does starting workers: of a million tracks those of a release took 17 ms with them, and 2 without.
            ("max_parallel_workers_per_gather", "0"),
        ])
        .disable_statement_logging();
    // A ping before each use would double the round trips; a broken connection is an error that is safe to try again.
    let pool = |connections_min, connections_max, plans: &[(&str, &str)]| {
        let pool = PgPoolOptions::new().min_connections(connections_min).max_connections(connections_max);
        let pool = pool.acquire_timeout(ACQUIRE_WAIT);
        pool.test_before_acquire(false).connect_with(options.clone().options(plans.iter().copied()))
    };
    let general = pool(0, POSTGRES_CONNECTIONS_MAX, GENERAL_PLANS).await?;
    // Open from the beginning: those who listen first would wait for them.
    let points = pool(POSTGRES_POINTS_MAX, POSTGRES_POINTS_MAX, POINT_PLANS).await?;
    Ok(Pools::Postgres { general, points })
}

impl Sql {
    /// The statement's text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl SqlSafeStr for Sql {
    fn into_sql_str(self) -> sqlx::SqlStr {
        self.0
    }
}
