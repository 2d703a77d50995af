//! The tables. Once released a migration never changes.

use needledrop_database::{Migration, Script};

/// All steps, oldest first.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "playlists, stars and ratings", script: Script::Both(V1) },
    Migration { version: 2, name: "public playlists by id", script: Script::Both(V2) },
];

/// Times are Unix seconds. `place` orders the items and may have gaps; `item` is an item's name, of which `next_item` is
/// the next. Accounts and tracks are no foreign keys: they belong to other services, whose tables may be elsewhere.
const V1: &str = "
CREATE TABLE playlists (
    id {key} NOT NULL PRIMARY KEY,
    owner {key} NOT NULL,
    name TEXT NOT NULL,
    about TEXT NOT NULL,
    is_public BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    items BIGINT NOT NULL,
    next_item BIGINT NOT NULL,
    created BIGINT NOT NULL,
    changed BIGINT NOT NULL
);
CREATE INDEX playlists_by_owner ON playlists (owner, created, id);
CREATE TABLE playlist_items (
    playlist {key} NOT NULL REFERENCES playlists (id) ON DELETE CASCADE,
    place BIGINT NOT NULL,
    item BIGINT NOT NULL,
    track {key} NOT NULL,
    added BIGINT NOT NULL,
    PRIMARY KEY (playlist, place)
) {clustered};
CREATE TABLE playlist_marks (
    account {key} NOT NULL,
    kind BIGINT NOT NULL,
    thing {key} NOT NULL,
    starred BIGINT,
    rating BIGINT,
    PRIMARY KEY (account, kind, thing)
) {clustered};
";

/// What everybody may read is gone through from time to time, and is a small part of all.
const V2: &str = "
CREATE INDEX playlists_public ON playlists (id) WHERE is_public = 1;
";
