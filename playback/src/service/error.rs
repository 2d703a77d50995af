//! Why something was not done, each with a stable name. What it means in HTTP is the gateway's to say.

use std::time::Duration;

use crate::account::NameRefusal;
use crate::caller::NotAllowed;
use crate::grant::Refusal;
use crate::hasher::Busy;
use crate::password::PasswordRefusal;
use crate::queue::QueueRefusal;
use needledrop_core::rate::Limited;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A text is no name.
    #[error(transparent)]
    Name(#[from] NameRefusal),
    /// A text cannot be a password.
    #[error(transparent)]
    Password(#[from] PasswordRefusal),
    /// Somebody else has the name.
    #[error("the name is taken")]
    NameTaken,
    /// Nobody makes an account here without an invitation.
    #[error("this server is by invitation: ask its administrator for one")]
    SignUpClosed,
    /// The invitation is none, was used or taken back, or is over. Which is not said.
    #[error("the invitation is not good (any more): ask for another")]
    NotInvited,
    /// There are as many accounts as the operator allows.
    #[error("the server has as many accounts as it may have: its operator can raise up.sign_up.most_accounts")]
    AccountsFull,
    /// There are as many unused invitations as there may be.
    #[error("there are too many invitations that nobody has used: take some back")]
    InvitationsFull,
    /// Nobody would be left who administers.
    #[error("the last administrator cannot leave")]
    LastAdmin,
    /// Name or password are wrong. Which one is not said.
    #[error("name or password are wrong")]
    WrongPassword,
    /// The credential is none, or no longer good. Which is not said.
    #[error("the credential is not valid")]
    WrongCredential,
    /// The credential does not allow this.
    #[error(transparent)]
    NotAllowed(#[from] NotAllowed),
    /// Too many tries: wait so long.
    #[error("too many tries: wait {} s", .0.as_secs() + 1)]
    Limited(Duration),
    /// Too many passwords are being checked.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The account has as many credentials as it may have.
    #[error("the account has too many credentials: revoke one")]
    TokensFull,
    /// There is no such account, credential or device, or it is somebody else's.
    #[error("there is no such thing here")]
    NotFound,
    /// It changed at the same moment: read it again.
    #[error("it was changed at the same moment")]
    Conflict,
    /// OAuth says no, in its own words.
    #[error(transparent)]
    OAuth(#[from] crate::oauth::Refusal),
    /// A queue is none.
    #[error(transparent)]
    Queue(#[from] QueueRefusal),
    /// The track may not be heard.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
    /// The database refuses. Its words are for the operator.
    #[error("storage: {0}")]
    Storage(#[from] needledrop_database::Error),
}

impl Error {
    /// The stable name of this kind.
    pub fn slug(&self) -> &'static str {
        match self {
            Error::Name(_) => "name",
            Error::Password(_) => "password",
            Error::NameTaken => "name-taken",
            Error::SignUpClosed => "sign-up-closed",
            Error::NotInvited => "not-invited",
            Error::AccountsFull => "too-many-accounts",
            Error::InvitationsFull => "too-many-invitations",
            Error::LastAdmin => "last-administrator",
            Error::WrongPassword => "wrong-password",
            Error::WrongCredential => "wrong-credential",
            Error::NotAllowed(_) => "not-allowed",
            Error::Limited(_) => "too-many-tries",
            Error::Busy(_) => "busy",
            Error::TokensFull => "too-many-credentials",
            Error::NotFound => "not-found",
            Error::Conflict => "conflict",
            Error::OAuth(refusal) => refusal.code,
            Error::Queue(_) => "queue",
            Error::Refused(refusal) => refusal.slug(),
            Error::NoRandomness => "no-randomness",
            Error::Storage(_) => "storage",
        }
    }

    /// The title of the problem; says nothing about the inside.
    pub fn title(&self) -> &'static str {
        match self {
            Error::Name(_) => "The name cannot be used",
            Error::Password(_) => "The password cannot be used",
            Error::NameTaken => "The name is taken",
            Error::SignUpClosed => "Accounts are by invitation here",
            Error::NotInvited => "The invitation is not good",
            Error::AccountsFull => "There is no room for another account",
            Error::InvitationsFull => "There are too many invitations",
            Error::LastAdmin => "Somebody must administer",
            Error::WrongPassword => "Name or password are wrong",
            Error::WrongCredential => "The credential is not valid",
            Error::NotAllowed(_) => "The credential does not allow this",
            Error::Limited(_) => "Too many tries",
            Error::Busy(_) => "Too many people are signing in at the moment",
            Error::TokensFull => "The account has too many credentials",
            Error::NotFound => "There is no such thing here",
            Error::Conflict => "It was changed at the same moment",
            Error::OAuth(_) => "The program may not do this",
            Error::Queue(_) => "The queue cannot be used",
            Error::Refused(refusal) => refusal.title(),
            Error::NoRandomness => "The system gives no randomness",
            Error::Storage(_) => "Storage is not available",
        }
    }

    /// Whether the same may well succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Limited(_) | Error::Busy(_) | Error::NoRandomness => true,
            Error::Storage(error) => error.is_transient(),
            _ => false,
        }
    }
}

impl From<Limited> for Error {
    fn from(limited: Limited) -> Self {
        Error::Limited(limited.retry_after)
    }
}
