//! Writes that nobody waits for: which plays go on, and when tokens and devices were last seen. One task gathers them
//! and writes them in batches, so that a grant does not wait for a disk.
//!
//! A crash loses what is on its way, a fraction of a second of it. Then a listener who goes on with a play that was
//! begun in that moment gets a second id for it; an account, a token or a queue is never written through here.

use std::collections::BTreeMap;
use std::time::Duration;

use needledrop_core::{AccountId, TokenId, UnixSeconds};
use tokio::sync::{mpsc, oneshot};

use crate::devices::{Device, Sightings};
use crate::plays::{Play, PlayKey};
use crate::store::Store;

/// Writes on their way: two seconds at 3,000 grants a second. Then grants wait.
const WRITES_MAX: usize = 8_192;

/// Writes in one transaction, a few milliseconds of the database's writer.
const BATCH_MAX: usize = 1_024;

/// How long the first of a batch waits for others. Unit of what a crash loses.
const GATHER: Duration = Duration::from_millis(50);

/// Waits before a batch is tried again; after the last it is given up and the operator told.
const RETRIES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(5)];

/// One write.
#[derive(Debug)]
pub enum Write {
    /// A play goes on; None when it has ended.
    Play(PlayKey, Option<Play>),
    /// A token was used.
    Used(TokenId, UnixSeconds),
    /// A device of an account was played on.
    Seen(AccountId, Device),
    /// Say when everything before this is on disk.
    Flush(oneshot::Sender<()>),
}

/// Hands writes over; when the last one is gone the task writes what is left and ends.
#[derive(Clone, Debug)]
pub struct Writer {
    writes: mpsc::Sender<Write>,
}

impl Writer {
    /// Starts the task.
    pub fn start(store: Store) -> (Self, tokio::task::JoinHandle<()>) {
        let (writes, waiting) = mpsc::channel(WRITES_MAX);
        (Self { writes }, tokio::spawn(run(store, waiting)))
    }

    /// Hands over a play; waits where too many are on their way.
    pub async fn play(&self, key: PlayKey, play: Option<Play>) {
        self.send(Write::Play(key, play)).await;
    }

    /// Hands over a use; leaves it out where too many writes are on their way: the next one is a minute later.
    pub fn used(&self, token: TokenId, at: UnixSeconds) {
        if self.writes.try_send(Write::Used(token, at)).is_err() {
            tracing::debug!(%token, "the last use of a token is not written: too many writes are on their way");
        }
    }

    /// Hands over a device that was seen; false where too many writes are on their way: the next sighting will do.
    pub fn seen(&self, account: AccountId, device: Device) -> bool {
        self.writes.try_send(Write::Seen(account, device)).is_ok()
    }

    /// Returns when everything that was handed over is on disk or given up.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        self.send(Write::Flush(done)).await;
        // The task answers before it ends, and it ends only when all writers are gone.
        let _ = flushed.await;
    }

    async fn send(&self, write: Write) {
        if self.writes.send(write).await.is_err() {
            tracing::error!("the writer of plays has ended: a play is not written");
        }
    }
}

/// What is written together, each thing once, and in one order, so that two processes do not wait for each other.
#[derive(Default)]
struct Batch {
    plays: BTreeMap<PlayKey, Option<Play>>,
    uses: BTreeMap<TokenId, UnixSeconds>,
    sightings: Sightings,
    flushes: Vec<oneshot::Sender<()>>,
}

impl Batch {
    fn take(&mut self, write: Write) {
        match write {
            Write::Play(key, play) => drop(self.plays.insert(key, play)),
            Write::Used(token, at) => drop(self.uses.insert(token, at)),
            Write::Seen(account, device) => drop(self.sightings.insert((account, device.name.clone()), device)),
            Write::Flush(done) => self.flushes.push(done),
        }
    }
}

async fn run(store: Store, mut waiting: mpsc::Receiver<Write>) {
    let mut gathered = Vec::with_capacity(BATCH_MAX);
    while let Some(first) = waiting.recv().await {
        let is_urgent = matches!(first, Write::Flush(_));
        if !is_urgent && waiting.len() < BATCH_MAX {
            tokio::time::sleep(GATHER).await;
        }
        gathered.push(first);
        while gathered.len() < BATCH_MAX
            && let Ok(write) = waiting.try_recv()
        {
            gathered.push(write);
        }
        let mut batch = Batch::default();
        gathered.drain(..).for_each(|write| batch.take(write));
        write(&store, &batch).await;
        for done in batch.flushes {
            // Who asked may have stopped waiting.
            let _ = done.send(());
        }
    }
}

async fn write(store: &Store, batch: &Batch) {
    for wait in RETRIES.into_iter().map(Some).chain([None]) {
        let Err(error) = write_once(store, batch).await else { return };
        let (plays, uses) = (batch.plays.len(), batch.uses.len());
        let Some(wait) = wait else {
            tracing::error!(%error, plays, uses, "plays and uses are given up: they could not be written");
            return;
        };
        tracing::warn!(%error, plays, uses, "plays and uses could not be written and are tried again");
        tokio::time::sleep(wait).await;
    }
}

async fn write_once(store: &Store, batch: &Batch) -> Result<(), needledrop_database::Error> {
    if !batch.plays.is_empty() {
        store.write_plays(&batch.plays).await?;
    }
    if !batch.uses.is_empty() {
        store.write_uses(&batch.uses).await?;
    }
    if !batch.sightings.is_empty() {
        store.write_sightings(&batch.sightings).await?;
    }
    Ok(())
}
