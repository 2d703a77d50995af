//! Who may make an account: whoever was invited, and everybody where the operator says so.
//!
//! Pure. [`Policy`] is what the operator decided, [`Invitation`] what an administrator gave somebody. A server is private
//! unless it is said otherwise: whoever can reach it cannot therefore listen on it.

use needledrop_core::{TokenId, UnixSeconds};

use crate::account::{DisplayName, Plan, UserName};
use crate::token::{Digest, Secret};

/// Accounts of a server where nobody says otherwise: more listeners than one machine at home serves at once, and an end
/// for whoever makes accounts all day, since each may keep playlists. An operator with more people sets more.
pub const MOST_ACCOUNTS: u64 = 1_000;

/// Most accounts that may be allowed: they are counted at each sign-up, which takes milliseconds up to here.
pub const MOST_ACCOUNTS_MAX: u64 = 1_000_000;

/// Most invitations at a time that nobody has used yet: a list that is looked through by hand, and 300 KB as an answer.
pub const INVITATIONS_MAX: usize = 1_000;

/// What the operator decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether strangers may make accounts; without it only who was invited may.
    pub open: bool,
    /// The plan of who comes without an invitation.
    pub plan: Plan,
    /// With so many accounts nobody signs up any more, invited or not.
    pub most_accounts: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { open: false, plan: Plan::Free, most_accounts: MOST_ACCOUNTS }
    }
}

impl Policy {
    /// How somebody with this invitation, or with none, comes in; None if he does not. Whether the invitation is good
    /// is for storage to say. One that is shown counts, where everybody may come too: its plan may be better.
    pub fn way(&self, invitation: Option<&str>) -> Option<Way> {
        match invitation {
            // Longer than any of ours: no digest of it is known.
            Some(text) => Some(Way::Invited(Secret::present(text)?.digest())),
            None => self.open.then_some(Way::Open(self.plan)),
        }
    }
}

/// How somebody comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// As everybody may, on this plan.
    Open(Plan),
    /// With an invitation of this digest, if there is one.
    Invited(Digest),
}

/// How long an invitation is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime(u64);

impl Lifetime {
    /// The shortest: a minute, for somebody who stands beside.
    pub const SECONDS_MIN: u64 = 60;
    /// The longest: 90 days, as a session. What lies in somebody's mail for longer is for anybody who reads it.
    pub const SECONDS_MAX: u64 = 90 * 86_400;

    /// So many seconds; None if that is too short or too long.
    pub fn of_seconds(seconds: u64) -> Option<Self> {
        (Self::SECONDS_MIN..=Self::SECONDS_MAX).contains(&seconds).then_some(Self(seconds))
    }

    /// In seconds.
    pub fn seconds(self) -> u64 {
        self.0
    }
}

impl Default for Lifetime {
    /// Seven days: who is invited reads it at the weekend.
    fn default() -> Self {
        Self(7 * 86_400)
    }
}

/// A right to make one account. What is kept of it: whoever has the secret has it once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Its public name.
    pub id: TokenId,
    /// SHA-256 of the secret.
    pub digest: Digest,
    /// The plan of the account that is made with it.
    pub plan: Plan,
    /// Whom it is for, in the words of who made it.
    pub note: Option<DisplayName>,
    /// The administrator who made it; it ends with his account.
    pub made_by: UserName,
    /// When it was made.
    pub created: UnixSeconds,
    /// The first second in which it is no longer good.
    pub expires: UnixSeconds,
}

impl Invitation {
    /// Whether it is still good.
    pub fn is_alive(&self, now: UnixSeconds) -> bool {
        now < self.expires
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_private_unless_it_is_said_otherwise() {
        let closed = Policy::default();
        assert_eq!((closed.open, closed.plan), (false, Plan::Free));
        assert_eq!(closed.way(None), None);
        let secret = Secret::invitation([7; 32]);
        assert_eq!(closed.way(Some(secret.expose())), Some(Way::Invited(secret.digest())));
        assert_eq!(closed.way(Some("")), None);
        assert_eq!(closed.way(Some(&"x".repeat(1_000))), None, "no text of ours is so long");
    }

    #[test]
    fn where_it_is_open_everybody_comes_on_its_plan_and_an_invitation_still_counts() {
        let open = Policy { open: true, plan: Plan::Premium, ..Policy::default() };
        assert_eq!(open.way(None), Some(Way::Open(Plan::Premium)));
        let secret = Secret::invitation([7; 32]);
        assert_eq!(open.way(Some(secret.expose())), Some(Way::Invited(secret.digest())));
    }

    #[test]
    fn an_invitation_is_good_for_a_minute_to_ninety_days() {
        assert_eq!(Lifetime::default().seconds(), 604_800);
        for (seconds, fits) in
            [(0, false), (59, false), (60, true), (7_776_000, true), (7_776_001, false), (u64::MAX, false)]
        {
            assert_eq!(Lifetime::of_seconds(seconds).is_some(), fits, "{seconds}");
        }
    }
}
