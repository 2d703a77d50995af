//! The tables. Once released a migration never changes.

use needledrop_database::{Migration, Script};

/// All steps, oldest first.
pub(super) const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, name: "accounts and what belongs to them", script: Script::Both(V1) }];

/// Times are Unix seconds but for `play_queues.changed`, which is in milliseconds. `items` are track ids of 22
/// characters, one after the other. `current_plays` names no account as a foreign key: its rows are written in
/// batches, and one account that was removed meanwhile must not make a batch fail.
const V1: &str = "
CREATE TABLE accounts (
    id {key} NOT NULL PRIMARY KEY,
    name {key} NOT NULL UNIQUE,
    shown_as TEXT NOT NULL,
    password TEXT NOT NULL,
    plan TEXT NOT NULL,
    territory TEXT,
    is_admin BIGINT NOT NULL,
    must_change_password BIGINT NOT NULL,
    quality TEXT NOT NULL,
    data_saver BIGINT NOT NULL,
    normalise BIGINT NOT NULL,
    created BIGINT NOT NULL
);
CREATE TABLE account_tokens (
    id {key} NOT NULL PRIMARY KEY,
    account {key} NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    kind {key} NOT NULL,
    digest {bytes} NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    client TEXT NOT NULL,
    created BIGINT NOT NULL,
    last_used BIGINT,
    expires BIGINT
);
CREATE INDEX account_tokens_by_account ON account_tokens (account, kind);
CREATE INDEX account_tokens_by_expiry ON account_tokens (expires);
CREATE TABLE account_devices (
    account {key} NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name {key} NOT NULL,
    client TEXT NOT NULL,
    seen BIGINT NOT NULL,
    PRIMARY KEY (account, name)
) {clustered};
CREATE TABLE play_queues (
    account {key} NOT NULL PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    changed BIGINT NOT NULL,
    digest {bytes} NOT NULL,
    client TEXT NOT NULL,
    place BIGINT NOT NULL,
    position_ms BIGINT NOT NULL,
    playing BIGINT NOT NULL,
    shuffle BIGINT NOT NULL,
    repeat_mode TEXT NOT NULL,
    items TEXT NOT NULL
);
CREATE TABLE current_plays (
    account {key} NOT NULL,
    client {key} NOT NULL,
    track {key} NOT NULL,
    playback {key} NOT NULL,
    granted BIGINT NOT NULL,
    PRIMARY KEY (account, client, track)
) {clustered};
CREATE INDEX current_plays_by_moment ON current_plays (granted);
";
