//! Why a signed URL is not honoured, in the words the outside may hear.
//!
//! The kinds are few on purpose: none tells which byte, claim or key was wrong, so that
//! nobody can feel their way towards a URL that works.

use crate::problem::Problem;

/// A signed URL that gives no right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// There is no signature at all.
    #[error("the URL is not signed")]
    Unsigned,
    /// Longer than any URL that is made here.
    #[error("the URL is too long")]
    TooLong,
    /// Not in the one form that signed URLs have.
    #[error("the URL is not in canonical form")]
    Malformed,
    /// Something behind the signature bears the name of a claim.
    #[error("an unsigned parameter bears the name of a claim")]
    ClaimAfterSignature,
    /// The signature is not by a key that is valid here.
    #[error("the signature does not fit the URL")]
    NotGenuine,
    /// Its time has not come.
    #[error("the URL is not valid yet")]
    NotYetValid,
    /// Its time is over.
    #[error("the URL has expired")]
    Expired,
    /// It was made for another network.
    #[error("the URL was issued to another network")]
    OtherNetwork,
}

impl Refusal {
    /// Every refusal, for tables and metrics.
    pub const ALL: [Refusal; 8] = [
        Refusal::Unsigned,
        Refusal::TooLong,
        Refusal::Malformed,
        Refusal::ClaimAfterSignature,
        Refusal::NotGenuine,
        Refusal::NotYetValid,
        Refusal::Expired,
        Refusal::OtherNetwork,
    ];

    /// The stable name of this kind: problem type, metric label, log field.
    pub fn slug(self) -> &'static str {
        match self {
            Refusal::Unsigned => "url-unsigned",
            Refusal::TooLong => "url-too-long",
            Refusal::Malformed => "url-malformed",
            Refusal::ClaimAfterSignature => "url-claim-after-signature",
            Refusal::NotGenuine => "url-not-genuine",
            Refusal::NotYetValid => "url-not-yet-valid",
            Refusal::Expired => "url-expired",
            Refusal::OtherNetwork => "url-other-network",
        }
    }

    /// The title of the problem.
    pub fn title(self) -> &'static str {
        match self {
            Refusal::Unsigned => "The URL is not signed",
            Refusal::TooLong => "The URL is too long",
            Refusal::Malformed => "The URL is not in canonical form",
            Refusal::ClaimAfterSignature => "An unsigned parameter bears the name of a claim",
            Refusal::NotGenuine => "The signature does not fit the URL",
            Refusal::NotYetValid => "The URL is not valid yet",
            Refusal::Expired => "The URL has expired",
            Refusal::OtherNetwork => "The URL was issued to another network",
        }
    }

    /// 400 for what no honest signer makes, 414 for length, 403 for everything that was or may once have been right.
    pub fn status(self) -> u16 {
        match self {
            Refusal::TooLong => 414,
            Refusal::Malformed | Refusal::ClaimAfterSignature => 400,
            Refusal::Unsigned
            | Refusal::NotGenuine
            | Refusal::NotYetValid
            | Refusal::Expired
            | Refusal::OtherNetwork => 403,
        }
    }

    /// The refusal as problem details.
    pub fn problem(self) -> Problem {
        Problem::new(self.slug(), self.title(), self.status())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_refusal_has_a_name_of_its_own_and_a_client_error() {
        let slugs: BTreeSet<_> = Refusal::ALL.into_iter().map(Refusal::slug).collect();
        assert_eq!(slugs.len(), Refusal::ALL.len());
        assert!(Refusal::ALL.into_iter().all(|refusal| (400..500).contains(&refusal.status())));
    }
}
