//! Versioned tables: each service hands in its list, and has its own table of what was applied.

use crate::{Database, Error, Kind, Sql, Transaction};
use sha2::{Digest, Sha256};

/// One step of a service's tables.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// From 1, without gaps.
    pub version: u32,
    /// What it brings, in a few words.
    pub name: &'static str,
    /// Its statements. Once released it never changes.
    pub script: Script,
}

/// The statements of a migration, separated by semicolons.
#[derive(Clone, Copy, Debug)]
pub enum Script {
    /// Written once. These words stand for what the databases spell differently:
    /// `{key}` is text that compares byte by byte, `{bytes}` is a byte string, `{clustered}` after a table's closing
    /// parenthesis keeps its rows in the order of its primary key where the database can.
    Both(&'static str),
    /// Written for each.
    Each {
        /// For SQLite.
        sqlite: &'static str,
        /// For PostgreSQL.
        postgres: &'static str,
    },
}

impl Script {
    fn text(&self, kind: Kind) -> String {
        match (self, kind) {
            (Script::Each { sqlite, .. }, Kind::Sqlite) => (*sqlite).to_owned(),
            (Script::Each { postgres, .. }, Kind::Postgres) => (*postgres).to_owned(),
            (Script::Both(text), kind) => words(kind).iter().fold((*text).to_owned(), |t, (a, b)| t.replace(a, b)),
        }
    }

    /// Independent of the database, so that an edit is found on either.
    fn digest(&self) -> String {
        let hash = match self {
            Script::Both(text) => Sha256::digest(text),
            Script::Each { sqlite, postgres } => Sha256::digest(format!("{sqlite}\n--\n{postgres}")),
        };
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn words(kind: Kind) -> [(&'static str, &'static str); 3] {
    match kind {
        Kind::Sqlite => [("{key}", "TEXT"), ("{bytes}", "BLOB"), ("{clustered}", "WITHOUT ROWID")],
        Kind::Postgres => [("{key}", "TEXT COLLATE \"C\""), ("{bytes}", "BYTEA"), ("{clustered}", "")],
    }
}

/// What a migration run did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// Version before; 0 where there was nothing.
    pub from: u32,
    /// Version now.
    pub to: u32,
}

impl Database {
    /// Brings a service's tables to the last version of its list, all pending steps in one transaction. Processes that
    /// start together wait for each other. The service's name is a word in lower case.
    pub async fn migrate(&self, service: &'static str, migrations: &[Migration]) -> Result<Migrated, Error> {
        assert!(service.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "a service's name is a word");
        let numbered = migrations.iter().zip(1..).all(|(migration, version)| migration.version == version);
        assert!(numbered, "migrations are numbered from 1 without gaps");

        let mut transaction = self.transaction().await?;
        transaction.exclusive("needledrop migrations").await?;
        let applied = applied(&mut transaction, service).await?;
        let from = applied.len() as u32;
        let known = migrations.len() as u32;
        if from > known {
            return Err(Error::Newer { service, found: from, known });
        }
        for (migration, digest) in migrations.iter().zip(&applied) {
            if *digest != migration.script.digest() {
                return Err(Error::Edited { service, version: migration.version });
            }
        }
        for migration in &migrations[applied.len()..] {
            apply(&mut transaction, service, migration).await?;
        }
        transaction.commit().await?;
        Ok(Migrated { from, to: known })
    }
}

/// The digests of what was applied, by version.
async fn applied(transaction: &mut Transaction, service: &'static str) -> Result<Vec<String>, Error> {
    let table = format!(
        "CREATE TABLE IF NOT EXISTS {service}_migrations (version BIGINT PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL)"
    );
    transaction.script(Sql::assembled(table)).await?;
    let digests = format!("SELECT digest FROM {service}_migrations ORDER BY version");
    let rows = transaction.rows(Sql::assembled(digests), Vec::new()).await?;
    rows.iter().map(|row| row.get(0)).collect()
}

async fn apply(transaction: &mut Transaction, service: &'static str, migration: &Migration) -> Result<(), Error> {
    let script = Sql::assembled(migration.script.text(transaction.kind()));
    let version = migration.version;
    transaction.script(script).await.map_err(|source| Error::Migration { service, version, source })?;
    let insert = format!("INSERT INTO {service}_migrations (version, name, digest) VALUES ($1, $2, $3)");
    let values = vec![version.into(), migration.name.into(), migration.script.digest().into()];
    transaction.execute(Sql::assembled(insert), values).await?;
    Ok(())
}
