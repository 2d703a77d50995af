//! Statements that belong together: a snapshot to read from, or changes that happen all or not at all.

use crate::value::Inner as RowInner;
use crate::{Error, Kind, Row, Sql, Value};
use sqlx::{Postgres, Sqlite};

/// An open transaction. Dropped without [`Transaction::commit`] it is undone.
pub struct Transaction {
    inner: Inner,
}

enum Inner {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

/// Runs `$method` of the bound query on whichever connection it is.
macro_rules! on_either {
    ($self:ident, $sql:ident, $values:ident, |$query:ident, $connection:ident| $run:expr) => {
        match &mut $self.inner {
            Inner::Sqlite(transaction) => {
                let $connection = &mut **transaction;
                let $query = $values.into_iter().fold(sqlx::query::<Sqlite>($sql.0), |q, value| value.bind_sqlite(q));
                $run
            }
            Inner::Postgres(transaction) => {
                let $connection = &mut **transaction;
                let $query =
                    $values.into_iter().fold(sqlx::query::<Postgres>($sql.0), |q, value| value.bind_postgres(q));
                $run
            }
        }
    };
}

impl Transaction {
    pub(crate) fn sqlite(transaction: sqlx::Transaction<'static, Sqlite>) -> Self {
        Self { inner: Inner::Sqlite(transaction) }
    }

    pub(crate) fn postgres(transaction: sqlx::Transaction<'static, Postgres>) -> Self {
        Self { inner: Inner::Postgres(transaction) }
    }

    /// Which database this is. Ask only where the common subset does not suffice, and say why.
    pub fn kind(&self) -> Kind {
        match self.inner {
            Inner::Sqlite(_) => Kind::Sqlite,
            Inner::Postgres(_) => Kind::Postgres,
        }
    }

    /// Runs a statement and gives back how many rows it touched. `$1` is the first value.
    pub async fn execute(&mut self, sql: impl Into<Sql>, values: Vec<Value>) -> Result<u64, Error> {
        let sql = sql.into();
        Ok(on_either!(self, sql, values, |query, connection| query.execute(connection).await?.rows_affected()))
    }

    /// All rows of the answer; the statement bounds how many.
    pub async fn rows(&mut self, sql: impl Into<Sql>, values: Vec<Value>) -> Result<Vec<Row>, Error> {
        let sql = sql.into();
        Ok(match &mut self.inner {
            Inner::Sqlite(transaction) => {
                let query = values.into_iter().fold(sqlx::query(sql.0), |q, value| value.bind_sqlite(q));
                let rows = query.fetch_all(&mut **transaction).await?;
                rows.into_iter().map(|row| Row(RowInner::Sqlite(row))).collect()
            }
            Inner::Postgres(transaction) => {
                let query = values.into_iter().fold(sqlx::query(sql.0), |q, value| value.bind_postgres(q));
                let rows = query.fetch_all(&mut **transaction).await?;
                rows.into_iter().map(|row| Row(RowInner::Postgres(row))).collect()
            }
        })
    }

    /// The first row of the answer, if there is one.
    pub async fn row(&mut self, sql: impl Into<Sql>, values: Vec<Value>) -> Result<Option<Row>, Error> {
        Ok(self.rows(sql, values).await?.into_iter().next())
    }

    /// Runs several statements without values, such as a migration.
    pub(crate) async fn script(&mut self, sql: Sql) -> Result<(), sqlx::Error> {
        match &mut self.inner {
            Inner::Sqlite(transaction) => sqlx::raw_sql(sql.0).execute(&mut **transaction).await.map(drop),
            Inner::Postgres(transaction) => sqlx::raw_sql(sql.0).execute(&mut **transaction).await.map(drop),
        }
    }

    /// From here to its end, no other transaction is in a section of this name.
    ///
    /// On SQLite there is one writer anyway. On PostgreSQL two transactions else run side by side (READ COMMITTED): who
    /// reads and then writes by what was read takes this, or says it in one statement.
    pub async fn exclusive(&mut self, section: &'static str) -> Result<(), Error> {
        if self.kind() == Kind::Postgres {
            self.rows("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", vec![section.into()]).await?;
        }
        Ok(())
    }

    /// Makes the changes last, and visible to others at once.
    pub async fn commit(self) -> Result<(), Error> {
        match self.inner {
            Inner::Sqlite(transaction) => transaction.commit().await?,
            Inner::Postgres(transaction) => transaction.commit().await?,
        }
        Ok(())
    }
}
