//! An account: who listens, on which plan, with which settings.
//!
//! Names arrive as hostile text and are parsed here once; whoever holds a [`UserName`] holds one spelling of it.

use std::fmt;

use needledrop_catalog::model::Territory;
use needledrop_core::{AccountId, Kbps};
use serde::{Deserialize, Serialize};

use crate::quality::Wish;

/// The name somebody signs in with: 1 to 64 of `a-z0-9._@+-`, in lower case.
///
/// ASCII only: one spelling on every keyboard, and no two names that look alike in different alphabets. What others
/// see is the [`DisplayName`], which takes any alphabet.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct UserName(Box<str>);

impl UserName {
    /// Longest name in characters: an e-mail address of usual length fits.
    pub const CHARS_MAX: usize = 64;

    /// Trims blanks and lowers the case, then takes what is left if it can be a name.
    ///
    /// # Errors
    /// Empty, too long, or a character that does not belong.
    pub fn parse(text: &str) -> Result<Self, NameRefusal> {
        let text = text.trim_matches([' ', '\t']);
        if text.is_empty() {
            return Err(NameRefusal::Empty);
        }
        if text.len() > Self::CHARS_MAX {
            return Err(NameRefusal::TooLong(Self::CHARS_MAX));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._@+-".contains(&byte);
        match text.bytes().all(plain) {
            true => Ok(Self(text.to_ascii_lowercase().into())),
            false => Err(NameRefusal::Character),
        }
    }

    /// A name that somebody chooses for a new account: [parsed](Self::parse), begins with a letter or digit, and is not
    /// one that people would take for the server's own, whatever marks stand in it (`ad-min`).
    ///
    /// # Errors
    /// What [`parse`](Self::parse) refuses, a mark in front, or a name that is kept.
    pub fn choose(text: &str) -> Result<Self, NameRefusal> {
        let name = Self::parse(text)?;
        if !name.0.starts_with(|first: char| first.is_ascii_alphanumeric()) {
            return Err(NameRefusal::Beginning);
        }
        let bare: String = name.0.chars().filter(char::is_ascii_alphanumeric).collect();
        match RESERVED.contains(&&*bare) {
            true => Err(NameRefusal::Reserved),
            false => Ok(name),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names of ours, and names that people believe. Looked for without the marks that a name may have.
const RESERVED: &[&str] = &[
    "abuse",
    "admin",
    "administrator",
    "anonymous",
    "demo",
    "everybody",
    "guest",
    "help",
    "hostmaster",
    "me",
    "moderator",
    "needledrop",
    "nobody",
    "null",
    "operator",
    "owner",
    "postmaster",
    "root",
    "security",
    "server",
    "staff",
    "superuser",
    "support",
    "system",
    "undefined",
    "webmaster",
];

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserName({})", self.0)
    }
}

/// A name as others see it: of an account, of a client program, of a device. 1 to 64 characters, none of control.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct DisplayName(Box<str>);

impl DisplayName {
    /// Longest name in characters: what a phone shows in one line, twice over.
    pub const CHARS_MAX: usize = 64;

    /// Trims white space, then takes what is left if it can be shown in a line.
    ///
    /// # Errors
    /// Empty, too long, or a character that is not shown or turns the writing direction.
    pub fn parse(text: &str) -> Result<Self, NameRefusal> {
        // Before anything walks over it: a megabyte of text is not a name.
        if text.len() > 8 * Self::CHARS_MAX {
            return Err(NameRefusal::TooLong(Self::CHARS_MAX));
        }
        let text = text.trim();
        if text.is_empty() {
            return Err(NameRefusal::Empty);
        }
        if text.chars().count() > Self::CHARS_MAX {
            return Err(NameRefusal::TooLong(Self::CHARS_MAX));
        }
        match text.chars().any(is_unseen) {
            true => Err(NameRefusal::Character),
            false => Ok(Self(text.into())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Controls, and the marks that turn or hide text: they make one name look like another.
fn is_unseen(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl From<&UserName> for DisplayName {
    fn from(name: &UserName) -> Self {
        Self(name.0.clone())
    }
}

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Why a text is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameRefusal {
    /// Nothing but blanks.
    #[error("a name has at least one character")]
    Empty,
    /// More characters than this.
    #[error("a name has at most {0} characters")]
    TooLong(usize),
    /// A character that does not belong into such a name.
    #[error("a user name is made of letters a-z, digits and . _ @ + -; a shown name has no control characters")]
    Character,
    /// The name of a new account begins with a mark.
    #[error("a user name begins with a letter or digit")]
    Beginning,
    /// A name that people would take for the server's own.
    #[error("this name is kept for the server itself")]
    Reserved,
}

/// What an account pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plan {
    /// Up to 160 kbit/s.
    Free,
    /// Up to 320 kbit/s.
    Premium,
}

impl Plan {
    /// Every plan.
    pub const ALL: [Plan; 2] = [Plan::Free, Plan::Premium];

    /// The highest bitrate of the plan.
    pub fn cap(self) -> Kbps {
        match self {
            Plan::Free => Kbps::K160,
            Plan::Premium => Kbps::K320,
        }
    }

    /// The word for it in storage and in answers.
    pub fn name(self) -> &'static str {
        match self {
            Plan::Free => "free",
            Plan::Premium => "premium",
        }
    }

    /// The plan of that word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plan| plan.name() == name)
    }
}

/// How somebody wants to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The bitrate the listener chose.
    pub quality: Wish,
    /// Spend as little data as possible.
    pub data_saver: bool,
    /// Play all tracks at one loudness.
    pub normalise: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { quality: Wish::Automatic, data_saver: false, normalise: true }
    }
}

/// Somebody who listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Identity; stays inside.
    pub id: AccountId,
    /// What it signs in with.
    pub name: UserName,
    /// What others see.
    pub shown_as: DisplayName,
    /// What it pays for.
    pub plan: Plan,
    /// Where it listens; None while nobody has said: then only what may be heard everywhere is available.
    pub territory: Option<Territory>,
    /// Whether it may administer.
    pub is_admin: bool,
    /// Its password was made by us: nothing but changing it is allowed before it is changed.
    pub must_change_password: bool,
    /// How it wants to listen.
    pub settings: Settings,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_user_name_has_one_spelling() {
        let name = UserName::parse("  Ada.Lovelace@Example.org\t").unwrap();
        assert_eq!(name.as_str(), "ada.lovelace@example.org");
        assert_eq!(UserName::parse("ADA"), UserName::parse("ada"));
    }

    #[test]
    fn what_is_no_user_name_is_refused() {
        assert_eq!(UserName::parse(" \t "), Err(NameRefusal::Empty));
        assert_eq!(UserName::parse(&"a".repeat(65)), Err(NameRefusal::TooLong(64)));
        assert!(UserName::parse(&"a".repeat(64)).is_ok());
        for text in ["a b", "a\0", "аda", "ada\n", "a/b", "a:b", "a'--", "\u{212a}", "a\u{301}", "ＡＤＡ"] {
            assert_eq!(UserName::parse(text), Err(NameRefusal::Character), "{text:?}");
        }
    }

    #[test]
    fn nobody_chooses_a_name_that_looks_like_the_server_s_own() {
        assert_eq!(UserName::choose(" Ada.Lovelace@Example.org").unwrap().as_str(), "ada.lovelace@example.org");
        for text in ["demo", "ADMIN", "ad-min", "a.d.m.i.n", "root@", "Needle.Drop", "me"] {
            assert_eq!(UserName::choose(text), Err(NameRefusal::Reserved), "{text}");
            assert!(UserName::parse(text).is_ok(), "{text}: we may have it ourselves");
        }
        for text in ["...", "-ada", "_", "@home"] {
            assert_eq!(UserName::choose(text), Err(NameRefusal::Beginning), "{text}");
        }
        assert!(["admiral", "root2", "7", "a-", "meg"].iter().all(|text| UserName::choose(text).is_ok()));
        assert_eq!(UserName::choose("a b"), Err(NameRefusal::Character));
        for name in RESERVED {
            assert_eq!(UserName::parse(name).unwrap().as_str(), *name);
        }
    }

    #[test]
    fn a_shown_name_takes_any_alphabet_but_nothing_unseen() {
        assert_eq!(DisplayName::parse(" Ada Λ 愛 ").unwrap().as_str(), "Ada Λ 愛");
        assert!(DisplayName::parse(&"愛".repeat(64)).is_ok());
        assert_eq!(DisplayName::parse(&"愛".repeat(65)), Err(NameRefusal::TooLong(64)));
        assert_eq!(DisplayName::parse(&"x".repeat(1 << 20)), Err(NameRefusal::TooLong(64)));
        for text in ["a\nb", "a\u{202e}b", "a\u{200b}b", "a\u{7f}"] {
            assert_eq!(DisplayName::parse(text), Err(NameRefusal::Character), "{text:?}");
        }
    }

    #[test]
    fn plans_survive_their_names() {
        for plan in Plan::ALL {
            assert_eq!(Plan::from_name(plan.name()), Some(plan));
        }
        assert_eq!(Plan::from_name("gold"), None);
    }

    proptest! {
        #[test]
        fn parsing_is_idempotent_and_bounded(text in "\\PC{0,80}") {
            if let Ok(name) = UserName::parse(&text) {
                prop_assert!(name.as_str().len() <= UserName::CHARS_MAX);
                let again = UserName::parse(name.as_str());
                prop_assert_eq!(again, Ok(name));
            }
            if let Ok(name) = DisplayName::parse(&text) {
                let again = DisplayName::parse(name.as_str());
                prop_assert_eq!(again, Ok(name));
            }
        }
    }
}
