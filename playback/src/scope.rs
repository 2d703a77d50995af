//! What a token may be used for: names as in OAuth, the ones the Spotify Web API uses where it has one.

use std::fmt;

macro_rules! scopes {
    ($($(#[$meaning:meta])* $name:ident = $text:literal,)*) => {
        /// One thing a token may be used for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Scope {
            $($(#[$meaning])* $name,)*
        }

        impl Scope {
            /// Every scope.
            pub const ALL: &'static [Scope] = &[$(Scope::$name,)*];

            /// Its name in OAuth and in storage.
            pub fn name(self) -> &'static str {
                match self {
                    $(Scope::$name => $text,)*
                }
            }
        }
    };
}

scopes! {
    /// Read the catalog: every credential may, but that of an account whose password must be changed.
    CatalogRead = "catalog-read",
    /// Fetch signed URLs and play.
    Streaming = "streaming",
    /// Read plan, territory and settings.
    ReadPrivate = "user-read-private",
    /// Read the address somebody signs in with.
    ReadEmail = "user-read-email",
    /// Read saved tracks and albums.
    LibraryRead = "user-library-read",
    /// Save and remove tracks and albums.
    LibraryModify = "user-library-modify",
    /// Read private playlists.
    PlaylistReadPrivate = "playlist-read-private",
    /// Read playlists that others edit too.
    PlaylistReadCollaborative = "playlist-read-collaborative",
    /// Edit public playlists.
    PlaylistModifyPublic = "playlist-modify-public",
    /// Edit private playlists.
    PlaylistModifyPrivate = "playlist-modify-private",
    /// Read queue, position and devices.
    PlaybackRead = "user-read-playback-state",
    /// Change queue and position.
    PlaybackModify = "user-modify-playback-state",
    /// Read what is playing.
    CurrentlyPlaying = "user-read-currently-playing",
    /// Read what was played.
    RecentlyPlayed = "user-read-recently-played",
    /// Read how far an episode was heard.
    PlaybackPosition = "user-read-playback-position",
    /// Read what somebody plays most.
    TopRead = "user-top-read",
    /// Read whom somebody follows.
    FollowRead = "user-follow-read",
    /// Follow and unfollow.
    FollowModify = "user-follow-modify",
    /// Put pictures on playlists.
    ImageUpload = "ugc-image-upload",
    /// Change name, password and settings; make and revoke credentials.
    Account = "account",
    /// Whatever an administrator may do, if the account is one.
    Admin = "admin",
}

/// A set of scopes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Scopes(u64);

impl Scopes {
    /// None at all.
    pub const NONE: Scopes = Scopes(0);

    /// What a signed-in person may do: everything.
    pub fn all() -> Self {
        Scope::ALL.iter().copied().collect()
    }

    /// What a player needs and an app password or key gives: everything but changing or administering the account.
    pub fn player() -> Self {
        Scope::ALL.iter().copied().filter(|scope| !matches!(scope, Scope::Account | Scope::Admin)).collect()
    }

    /// What a podcast program needs: to read what it subscribed to, and to play it.
    pub fn feeds() -> Self {
        [Scope::Streaming, Scope::PlaylistReadPrivate].into_iter().collect()
    }

    /// Reads names between blanks. Unknown names are left out, as OAuth (RFC 6749, 3.3) lets a server do.
    pub fn parse(text: &str) -> Self {
        let known = |name: &str| Scope::ALL.iter().copied().find(|scope| scope.name() == name);
        text.split_ascii_whitespace().filter_map(known).collect()
    }

    /// Whether the scope is in the set.
    pub fn allow(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    /// What is in both.
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Its scopes.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.allow(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | 1 << scope as u8))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.iter().enumerate() {
            write!(f, "{}{}", if place == 0 { "" } else { " " }, scope.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scopes({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_player_cannot_change_the_account() {
        assert!(Scopes::player().allow(Scope::Streaming));
        assert!(!Scopes::player().allow(Scope::Account) && !Scopes::player().allow(Scope::Admin));
        assert!(Scopes::all().allow(Scope::Admin));
        assert_eq!(Scopes::parse("streaming nonsense  admin").to_string(), "streaming admin");
    }

    proptest! {
        #[test]
        fn sets_survive_their_text(picks in prop::collection::vec(0..Scope::ALL.len(), 0..30)) {
            let set: Scopes = picks.iter().map(|pick| Scope::ALL[*pick]).collect();
            prop_assert_eq!(Scopes::parse(&set.to_string()), set);
            prop_assert!(picks.iter().all(|pick| set.allow(Scope::ALL[*pick])));
        }
    }
}
