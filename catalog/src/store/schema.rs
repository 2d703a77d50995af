//! The catalog's tables, version by version. A version that was released never changes.
//!
//! Whatever can be listed stands as a row `(list, key, id)` in `catalog_listings`: a list in its order is a range of
//! that one table, and so are the tracks of a release or the releases of an artist. `catalog_landmarks` counts these
//! rows in pieces of about a thousand, so that any depth of a list is found without walking there. There are no foreign
//! keys: one engine writes these tables and checks each change before, batch by batch instead of row by row.

use needledrop_database::{Migration, Script};

/// In order.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "artists, releases and tracks", script: Script::Both(MUSIC) },
    Migration { version: 2, name: "podcasts", script: Script::Both(PODCASTS) },
    Migration { version: 3, name: "what ingest brought", script: Script::Both(INTAKE) },
    Migration { version: 4, name: "what feeds say of podcasts", script: Script::Both(FEEDS) },
];

/// Lists of ids are text with spaces between them, renditions are `160.ogg/bytes/head/bps`, dates are YYYYMMDD with 00
/// for what is unknown.
const MUSIC: &str = "
CREATE TABLE catalog_state (one BIGINT NOT NULL PRIMARY KEY, version BIGINT NOT NULL);
INSERT INTO catalog_state (one, version) VALUES (1, 0);

CREATE TABLE catalog_artists (
    id {key} NOT NULL PRIMARY KEY, name TEXT NOT NULL, sort_name TEXT NOT NULL, aliases TEXT NOT NULL,
    genres TEXT NOT NULL, art TEXT, plays BIGINT NOT NULL, seat BIGINT NOT NULL
);
CREATE UNIQUE INDEX catalog_artists_seat ON catalog_artists (seat);

CREATE TABLE catalog_releases (
    id {key} NOT NULL PRIMARY KEY, title TEXT NOT NULL, kind TEXT NOT NULL, artists TEXT NOT NULL, date BIGINT,
    upc TEXT, label TEXT, genres TEXT NOT NULL, art TEXT, tracks BIGINT NOT NULL, duration_ms BIGINT NOT NULL,
    added BIGINT NOT NULL, plays BIGINT NOT NULL, seat BIGINT NOT NULL
);
CREATE UNIQUE INDEX catalog_releases_seat ON catalog_releases (seat);

CREATE TABLE catalog_tracks (
    id {key} NOT NULL PRIMARY KEY, rev TEXT NOT NULL, title TEXT NOT NULL, artists TEXT NOT NULL,
    release_id {key} NOT NULL, disc_no BIGINT NOT NULL, track_no BIGINT NOT NULL, isrc TEXT,
    duration_ms BIGINT NOT NULL, loudness_lufs DOUBLE PRECISION, true_peak_dbtp DOUBLE PRECISION, genre TEXT,
    added BIGINT NOT NULL, plays BIGINT NOT NULL, renditions TEXT NOT NULL, seat BIGINT NOT NULL
);
CREATE UNIQUE INDEX catalog_tracks_seat ON catalog_tracks (seat);

CREATE TABLE catalog_credits (
    track_id {key} NOT NULL, position BIGINT NOT NULL, artist_id {key} NOT NULL, role TEXT NOT NULL,
    PRIMARY KEY (track_id, position)
) {clustered};
CREATE INDEX catalog_credits_artist ON catalog_credits (artist_id);

CREATE TABLE catalog_shares (
    track_id {key} NOT NULL, position BIGINT NOT NULL, holder_id {key} NOT NULL, kind TEXT NOT NULL, territory TEXT,
    micro BIGINT NOT NULL, PRIMARY KEY (track_id, position)
) {clustered};
CREATE INDEX catalog_shares_holder ON catalog_shares (holder_id);

CREATE TABLE catalog_windows (
    track_id {key} NOT NULL, position BIGINT NOT NULL, territory TEXT, opens BIGINT, closes BIGINT,
    PRIMARY KEY (track_id, position)
) {clustered};

CREATE TABLE catalog_listings (
    list BIGINT NOT NULL, key {key} NOT NULL, id {key} NOT NULL, PRIMARY KEY (list, key, id)
) {clustered};

CREATE TABLE catalog_landmarks (
    list BIGINT NOT NULL, key {key} NOT NULL, id {key} NOT NULL, count BIGINT NOT NULL, PRIMARY KEY (list, key, id)
) {clustered};
";

const PODCASTS: &str = "
CREATE TABLE catalog_shows (
    id {key} NOT NULL PRIMARY KEY, title TEXT NOT NULL, publisher TEXT NOT NULL, description TEXT NOT NULL, feed TEXT,
    language TEXT, art TEXT, episodes BIGINT NOT NULL
);
CREATE TABLE catalog_episodes (
    id {key} NOT NULL PRIMARY KEY, show_id {key} NOT NULL, title TEXT NOT NULL, description TEXT NOT NULL,
    published BIGINT NOT NULL, duration_ms BIGINT, enclosure TEXT, guid TEXT NOT NULL
);
";

const INTAKE: &str = "
CREATE TABLE catalog_intake (
    kind BIGINT NOT NULL, id {key} NOT NULL, fingerprint TEXT NOT NULL, PRIMARY KEY (kind, id)
) {clustered};
";

const FEEDS: &str = "
ALTER TABLE catalog_shows ADD COLUMN link TEXT;
ALTER TABLE catalog_shows ADD COLUMN image TEXT;
ALTER TABLE catalog_shows ADD COLUMN explicit BIGINT NOT NULL DEFAULT 0;
ALTER TABLE catalog_episodes ADD COLUMN media_type TEXT;
ALTER TABLE catalog_episodes ADD COLUMN bytes BIGINT;
ALTER TABLE catalog_episodes ADD COLUMN link TEXT;
ALTER TABLE catalog_episodes ADD COLUMN image TEXT;
ALTER TABLE catalog_episodes ADD COLUMN explicit BIGINT NOT NULL DEFAULT 0;
ALTER TABLE catalog_episodes ADD COLUMN season BIGINT;
ALTER TABLE catalog_episodes ADD COLUMN number BIGINT;
CREATE INDEX catalog_episodes_published ON catalog_episodes (published, id);
";
