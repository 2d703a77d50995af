//! Why a call gives nothing, as Subsonic numbers it.

use needledrop_playback::Error as PlaybackError;

/// An error of the protocol: answered with status 200, as the protocol wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its number.
    pub code: u16,
    /// In words, for people.
    pub message: String,
}

impl Failure {
    /// Whatever has no number of its own.
    pub fn other(message: impl Into<String>) -> Self {
        Self { code: 0, message: message.into() }
    }

    /// A required parameter is not there.
    pub fn missing(name: &str) -> Self {
        Self { code: 10, message: format!("Required parameter is missing: {name}") }
    }

    /// A parameter is there and cannot be used. The protocol has no number for it.
    pub fn wrong(name: &str, why: &str) -> Self {
        Self::other(format!("Parameter {name}: {why}"))
    }

    /// The client speaks another version.
    pub fn version(is_newer: bool) -> Self {
        let (code, who) = if is_newer { (30, "Server") } else { (20, "Client") };
        Self { code, message: format!("Incompatible Subsonic REST protocol version. {who} must upgrade.") }
    }

    /// Name or proof are wrong. Which one is not said.
    pub fn credentials() -> Self {
        Self { code: 40, message: "Wrong username or password. Programs need an app password.".to_owned() }
    }

    /// Several ways to say who asks.
    pub fn conflicting() -> Self {
        Self { code: 43, message: "Multiple conflicting authentication mechanisms provided".to_owned() }
    }

    /// The key is none.
    pub fn api_key() -> Self {
        Self { code: 44, message: "Invalid API key".to_owned() }
    }

    /// It is not allowed.
    pub fn not_allowed(message: impl Into<String>) -> Self {
        Self { code: 50, message: message.into() }
    }

    /// It is not there.
    pub fn not_found() -> Self {
        Self { code: 70, message: "The requested data was not found".to_owned() }
    }
}

impl From<PlaybackError> for Failure {
    fn from(error: PlaybackError) -> Self {
        match error {
            PlaybackError::WrongCredential | PlaybackError::WrongPassword => Self::credentials(),
            PlaybackError::NotAllowed(_) => Self::not_allowed(error.title()),
            PlaybackError::NotFound => Self::not_found(),
            PlaybackError::Refused(refusal) => Self { code: 70, message: refusal.title().to_owned() },
            PlaybackError::Storage(why) => inside("accounts", &why),
            other => Self::other(other.title()),
        }
    }
}

impl From<needledrop_catalog::store::Error> for Failure {
    fn from(error: needledrop_catalog::store::Error) -> Self {
        inside("catalog", &error)
    }
}

impl From<needledrop_playlist::Error> for Failure {
    fn from(error: needledrop_playlist::Error) -> Self {
        use needledrop_playlist::Error;
        match error {
            Error::NotFound => Self::not_found(),
            Error::NotYours => Self::not_allowed(error.to_string()),
            Error::Storage(why) => inside("playlists", &why),
            other => Self::other(other.to_string()),
        }
    }
}

impl From<needledrop_podcast::Error> for Failure {
    fn from(error: needledrop_podcast::Error) -> Self {
        match error.told() {
            Some(words) => Self::other(words),
            None => inside("podcasts", &error),
        }
    }
}

/// Our own fault: the words are for the operator.
fn inside(what: &'static str, why: &dyn std::error::Error) -> Failure {
    tracing::error!(what, error = %why, "an OpenSubsonic call failed");
    Failure::other("Something broke on our side")
}
