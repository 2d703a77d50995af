//! Databases for tests: every case runs on a temporary SQLite file and on a real PostgreSQL.
//!
//! PostgreSQL is one temporary cluster per test process, on a unix socket, or what `NEEDLEDROP_POSTGRES` names. Where
//! there is none, tests say so and go on; with `CI=true` they fail.

mod cluster;

use crate::{Database, Kind};
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// Names a server to make databases on, as `postgres://user@host/name`; its user may create databases.
pub const POSTGRES_VARIABLE: &str = "NEEDLEDROP_POSTGRES";

/// An empty database of its own, gone after [`TestDatabase::close`].
pub struct TestDatabase {
    database: Database,
    place: String,
    home: Home,
}

enum Home {
    Folder(TempDir),
    Server { url: String, name: String },
}

impl TestDatabase {
    /// The database.
    pub fn database(&self) -> Database {
        self.database.clone()
    }

    /// What [`Database::open`] takes to open it once more, as another process would.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Closes and removes it.
    pub async fn close(self) {
        self.database.close().await;
        match self.home {
            Home::Folder(folder) => folder.close().expect("a scratch folder can be removed"),
            Home::Server { url, name } => statement_at(&url, format!("DROP DATABASE {name} WITH (FORCE)")).await,
        }
    }
}

impl fmt::Display for TestDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.database.kind() {
            Kind::Sqlite => "SQLite",
            Kind::Postgres => "PostgreSQL",
        })
    }
}

/// One database of each kind that this machine has.
pub async fn databases() -> Vec<TestDatabase> {
    let mut all = vec![sqlite().await];
    match server() {
        Ok(url) => all.push(postgres(&url).await),
        Err(why) if std::env::var("CI").is_ok_and(|ci| ci == "true") => panic!("no PostgreSQL to test on: {why}"),
        Err(why) => say(&format!("SKIPPED on PostgreSQL: {why}\n")),
    }
    all
}

/// Runs a case on each database, one after the other, and names the database on which it fails.
pub async fn on_each<F: Future<Output = ()>>(case: impl Fn(Database, String) -> F) {
    for test in databases().await {
        let named = NamedFailure(test.to_string());
        case(test.database(), test.place().to_owned()).await;
        drop(named);
        test.close().await;
    }
}

/// Past the test harness, which keeps to itself what passing tests print.
fn say(line: &str) {
    use std::io::Write;
    std::io::stdout().write_all(line.as_bytes()).expect("stdout takes a line");
}

struct NamedFailure(String);

impl Drop for NamedFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this failed on {}", self.0);
        }
    }
}

/// A server's URL: the one that the environment names, or a cluster of this process.
fn server() -> Result<String, String> {
    match std::env::var(POSTGRES_VARIABLE) {
        Ok(url) => Ok(url),
        Err(_) => cluster::url(),
    }
}

async fn sqlite() -> TestDatabase {
    let folder = TempDir::new().expect("a scratch folder can be made");
    let place = folder.path().join("test.db").display().to_string();
    let database = Database::open(&place).await.expect("a SQLite file can be made");
    TestDatabase { database, place, home: Home::Folder(folder) }
}

async fn postgres(url: &str) -> TestDatabase {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!("needledrop_{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
    statement_at(url, format!("CREATE DATABASE {name}")).await;
    let place = with_name(url, &name);
    let database = Database::open(&place).await.expect("the new database can be opened");
    TestDatabase { database, place, home: Home::Server { url: url.to_owned(), name } }
}

/// Databases are made and dropped outside of any transaction.
async fn statement_at(url: &str, sql: String) {
    use sqlx::Connection;
    let mut connection = sqlx::PgConnection::connect(url).await.expect("the test server answers");
    let made = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await;
    made.expect("the test user may make and drop databases");
    connection.close().await.expect("a connection can be closed");
}

/// The URL with another database's name.
fn with_name(url: &str, name: &str) -> String {
    let (before, query) =
        url.split_once('?').map_or((url, String::new()), |(before, query)| (before, format!("?{query}")));
    let host = before.find("://").map_or(0, |at| at + 3);
    let end = before[host..].find('/').map_or(before.len(), |at| host + at);
    format!("{}/{name}{query}", &before[..end])
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_url_gets_another_database() {
        assert_eq!(super::with_name("postgres://u@h:1/a?host=/s", "b"), "postgres://u@h:1/b?host=/s");
        assert_eq!(super::with_name("postgres://u@h", "b"), "postgres://u@h/b");
    }
}
