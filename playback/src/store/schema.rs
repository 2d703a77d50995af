//! The tables. Once released a migration never changes.

use needledrop_database::{Migration, Script};

/// All steps, oldest first.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "accounts and what belongs to them", script: Script::Both(V1) },
    Migration { version: 2, name: "when a play began, and when it ends", script: Script::Both(V2) },
    Migration { version: 3, name: "programs that ask for access by OAuth", script: Script::Both(V3) },
    Migration { version: 4, name: "invitations", script: Script::Both(V4) },
];

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

/// Plays from before have begun in 1970: what their clients say ends them at once, as it did then.
const V2: &str = "
ALTER TABLE current_plays ADD COLUMN begun BIGINT NOT NULL DEFAULT 0;
ALTER TABLE current_plays ADD COLUMN ends BIGINT;
";

/// `redirects` are addresses with line feeds between them. A family is what came of one consent; `oauth_spent` are the
/// refresh tokens of a family that were exchanged. A code keeps the name of its family when the family has gone, so that
/// it is never good again.
const V3: &str = "
CREATE TABLE oauth_clients (
    id {key} NOT NULL PRIMARY KEY,
    account {key} NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    secret {bytes},
    redirects TEXT NOT NULL,
    created BIGINT NOT NULL
);
CREATE INDEX oauth_clients_by_account ON oauth_clients (account, created);
CREATE TABLE oauth_families (
    id {key} NOT NULL PRIMARY KEY,
    client {key} NOT NULL REFERENCES oauth_clients (id) ON DELETE CASCADE,
    account {key} NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    created BIGINT NOT NULL
);
CREATE INDEX oauth_families_by_client ON oauth_families (client);
CREATE INDEX oauth_families_by_account ON oauth_families (account);
CREATE TABLE oauth_tokens (
    token {key} NOT NULL PRIMARY KEY REFERENCES account_tokens (id) ON DELETE CASCADE,
    family {key} NOT NULL REFERENCES oauth_families (id) ON DELETE CASCADE
);
CREATE INDEX oauth_tokens_by_family ON oauth_tokens (family);
CREATE TABLE oauth_spent (
    digest {bytes} NOT NULL PRIMARY KEY,
    family {key} NOT NULL REFERENCES oauth_families (id) ON DELETE CASCADE,
    expires BIGINT NOT NULL
);
CREATE INDEX oauth_spent_by_family ON oauth_spent (family);
CREATE TABLE oauth_codes (
    digest {bytes} NOT NULL PRIMARY KEY,
    client {key} NOT NULL REFERENCES oauth_clients (id) ON DELETE CASCADE,
    account {key} NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    redirect TEXT,
    scopes TEXT NOT NULL,
    challenge {bytes},
    expires BIGINT NOT NULL,
    family {key}
);
CREATE INDEX oauth_codes_by_account ON oauth_codes (account);
CREATE INDEX oauth_codes_by_expiry ON oauth_codes (expires);
";

/// An invitation that was used is gone.
const V4: &str = "
CREATE TABLE invitations (
    id {key} NOT NULL PRIMARY KEY,
    digest {bytes} NOT NULL UNIQUE,
    plan TEXT NOT NULL,
    note TEXT,
    made_by {key} NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX invitations_by_maker ON invitations (made_by);
CREATE INDEX invitations_by_expiry ON invitations (expires);
";
