//! The devices of each account.

use needledrop_core::{AccountId, UnixSeconds};
use needledrop_database::{Error, Row, Transaction};

use super::Store;
use super::read::parsed;
use crate::account::DisplayName;
use crate::devices::{self, Device, Sightings};

impl Store {
    /// The devices of an account, the last seen first.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn devices(&self, account: AccountId) -> Result<Vec<Device>, Error> {
        let mut snapshot = self.database.snapshot().await?;
        known(&mut snapshot, account).await
    }

    /// Devices were seen: what [`devices::seen`] says of each becomes so, on the accounts that are still there.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn write_sightings(&self, sightings: &Sightings) -> Result<(), Error> {
        let mut transaction = self.database.transaction().await?;
        transaction.exclusive("playback devices").await?;
        for ((account, _), device) in sightings {
            write(&mut transaction, *account, device.clone()).await?;
        }
        transaction.commit().await
    }

    /// Forgets a device; false if the account has none of that name.
    ///
    /// # Errors
    /// The database refuses.
    pub async fn forget_device(&self, account: AccountId, name: &DisplayName) -> Result<bool, Error> {
        let mut transaction = self.database.transaction().await?;
        let forgotten = forget(&mut transaction, account, name).await?;
        transaction.commit().await?;
        Ok(forgotten == 1)
    }
}

async fn write(transaction: &mut Transaction, account: AccountId, device: Device) -> Result<(), Error> {
    let Some(change) = devices::seen(&known(transaction, account).await?, device) else { return Ok(()) };
    for name in &change.forget {
        forget(transaction, account, name).await?;
    }
    let sql = "INSERT INTO account_devices (account, name, client, seen) \
               SELECT id, CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS BIGINT) FROM accounts WHERE id = $1 \
               ON CONFLICT (account, name) DO UPDATE SET client = excluded.client, seen = excluded.seen";
    let Device { name, client, seen } = change.write;
    let values = vec![account.as_str().into(), name.as_str().into(), client.as_str().into(), seen.0.into()];
    transaction.execute(sql, values).await.map(drop)
}

async fn forget(transaction: &mut Transaction, account: AccountId, name: &DisplayName) -> Result<u64, Error> {
    let sql = "DELETE FROM account_devices WHERE account = $1 AND name = $2";
    transaction.execute(sql, vec![account.as_str().into(), name.as_str().into()]).await
}

async fn known(transaction: &mut Transaction, account: AccountId) -> Result<Vec<Device>, Error> {
    let sql = "SELECT name, client, seen FROM account_devices WHERE account = $1 ORDER BY seen DESC, name";
    transaction.rows(sql, vec![account.as_str().into()]).await?.iter().map(device).collect()
}

fn device(row: &Row) -> Result<Device, Error> {
    let name = |index| parsed(row, index, |text| DisplayName::parse(text).ok());
    Ok(Device { name: name(0)?, client: name(1)?, seen: UnixSeconds(row.get(2)?) })
}
