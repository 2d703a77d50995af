//! What can go wrong with sound, in words that can be shown to the person who owns the file.

use std::io;

/// Why a file was refused or a transcode did not finish.
///
/// The `Display` text is a whole reason ("truncated: ..."), written for users; the variants are for
/// programs. Only [`MediaError::Io`], [`MediaError::Encoder`] and [`MediaError::Stopped`] may go
/// away when the same file is tried again.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The file has no bytes at all.
    #[error("empty file")]
    Empty,
    /// Nothing in the file looks like a container or stream we know.
    #[error("not audio")]
    NotAudio,
    /// A known container without a sound track in it.
    #[error("no audio track")]
    NoAudioTrack,
    /// The container is fine, the codec (or a variant of it) is not one we decode.
    #[error("unsupported codec {0}")]
    UnsupportedCodec(String),
    /// More channels, or a sample rate, than we decode.
    #[error("unsupported format: {0}")]
    UnsupportedFormat(String),
    /// The file ends before the sound it promises.
    #[error("truncated: {0}")]
    Truncated(String),
    /// Stretches of the file cannot be decoded, beyond a handful of packets.
    #[error("damaged: {0}")]
    Damaged(String),
    /// Longer than [`MAX_SECONDS`](crate::MAX_SECONDS).
    #[error("too long: more than {0} hours")]
    TooLong(u64),
    /// The sound has no frames.
    #[error("no sound in the file")]
    NoSound,
    /// A picture that is no picture we can decode, or is larger than the limits.
    #[error("unusable picture: {0}")]
    Picture(String),
    /// Reading the source or writing a rendition failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, as in "reading" or "writing 160.ogg".
        doing: String,
        /// The system's own reason.
        #[source]
        source: io::Error,
    },
    /// An encoder refused to work.
    #[error("encoder: {0}")]
    Encoder(String),
    /// The caller asked to stop.
    #[error("stopped")]
    Stopped,
}

impl MediaError {
    /// Wraps an I/O error with what was being done.
    pub(crate) fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io { doing: doing.into(), source }
    }
}
