//! Why something was not done, each with a stable name.

use crate::{ITEMS_MAX, MARKS_MAX, PLAYLISTS_MAX, THINGS_MAX};

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such playlist, or it is somebody else's and private.
    #[error("there is no such playlist")]
    NotFound,
    /// It may be read but not changed: it is somebody else's.
    #[error("the playlist is somebody else's")]
    NotYours,
    /// It is not at the revision that the change was made for.
    #[error("the playlist was changed meanwhile: read it again")]
    Conflict,
    /// Somebody made a playlist of this identity before.
    #[error("a playlist of this identity exists")]
    Exists,
    /// The account has as many playlists as it may have.
    #[error("an account has at most {PLAYLISTS_MAX} playlists")]
    PlaylistsFull,
    /// The playlist would be too long.
    #[error("a playlist has at most {ITEMS_MAX} tracks")]
    ItemsFull,
    /// The account has starred and rated as much as it may.
    #[error("an account stars and rates at most {MARKS_MAX} things")]
    MarksFull,
    /// Too much at once.
    #[error("at most {THINGS_MAX} things at once")]
    TooMany,
    /// The database refuses. Its words are for the operator.
    #[error("storage: {0}")]
    Storage(#[from] needledrop_database::Error),
}

impl Error {
    /// The stable name of this kind.
    pub fn slug(&self) -> &'static str {
        match self {
            Error::NotFound => "no-playlist",
            Error::NotYours => "not-your-playlist",
            Error::Conflict => "conflict",
            Error::Exists => "playlist-exists",
            Error::PlaylistsFull => "too-many-playlists",
            Error::ItemsFull => "playlist-too-long",
            Error::MarksFull => "too-many-marks",
            Error::TooMany => "too-many-things",
            Error::Storage(_) => "storage",
        }
    }

    /// Whether the same may well succeed a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Error::Storage(error) if error.is_transient())
    }
}
