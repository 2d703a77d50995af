//! A parameter of the query: its name, what may stand there, and what that means.

use needledrop_core::Problem;
use needledrop_core::TrackId;

use crate::query::{Params, wrong};

/// A parameter of the query.
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// What it means, in a sentence.
    pub about: &'static str,
    /// Whether the call cannot do without.
    pub is_required: bool,
}

/// What may stand in a parameter. One of a name at most, unless said otherwise.
pub enum Kind {
    /// A whole number.
    Whole {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
        /// What counts where none is said.
        usual: u64,
    },
    /// One of these numbers.
    Numbers(&'static [u64]),
    /// One of these words. The first is usual.
    Word(&'static [&'static str]),
    /// Some of these words, with commas between them.
    Words(&'static [&'static str]),
    /// Text that is more than white space, of at most so many characters.
    Text {
        /// The most.
        chars_max: usize,
    },
    /// Text of a form of its own.
    Shaped {
        /// The form, as the document says it.
        pattern: &'static str,
        /// The form, as it is looked for.
        fits: fn(&str) -> bool,
        /// The form in words.
        said: &'static str,
    },
    /// A track's id, or nothing at all to say that there is none.
    TrackOrNone,
    /// A track's address.
    TrackUri,
    /// Up to 50 ids, with commas between them.
    Ids,
    /// Up to 50 addresses of things that can be saved, with commas between them.
    Uris,
}

/// Items on a page where nobody says how many, and at most (the limits of the Spotify Web API).
pub const LIMIT: u64 = 20;
/// See [`LIMIT`].
pub const LIMIT_MAX: u64 = 50;
/// Things that one call may ask for by their ids (the limit of the Spotify Web API for tracks).
pub const IDS_MAX: usize = 50;
/// How deep a list may be asked into: the catalog's whole size.
pub const OFFSET_MAX: u64 = 100_000_000;

/// A page of a list.
pub const PAGE: &[Param] = &page_until(OFFSET_MAX);

/// A page of a list that may be asked into only so deep.
pub const fn page_until(offset_max: u64) -> [Param; 2] {
    let limit = Kind::Whole { least: 1, most: LIMIT_MAX, usual: LIMIT };
    let offset = Kind::Whole { least: 0, most: offset_max, usual: 0 };
    [
        Param::optional("limit", limit, "How many items a page has."),
        Param::optional("offset", offset, "How many items come before the page."),
    ]
}

impl Param {
    /// One that may be left out.
    pub const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, about, is_required: false }
    }

    /// One that must be there.
    pub const fn required(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, kind, about, is_required: true }
    }

    /// Refuses what may not stand there.
    ///
    /// # Errors
    /// It is missing, there twice, or not what it must be; the problem names it.
    pub fn check(&self, params: &Params<'_>) -> Result<(), Problem> {
        let mut values = params.all(self.name);
        let Some(value) = values.next() else {
            return if self.is_required { Err(wrong(self.name, "it is missing")) } else { Ok(()) };
        };
        if values.next().is_some() {
            return Err(wrong(self.name, "it is there more than once"));
        }
        self.kind.check(value).map_err(|why| wrong(self.name, &why))
    }
}

impl Kind {
    /// Why this value may not stand there.
    fn check(&self, value: &str) -> Result<(), String> {
        let fits = match self {
            Kind::Whole { least, most, .. } => whole(value).is_some_and(|number| (*least..=*most).contains(&number)),
            Kind::Numbers(numbers) => whole(value).is_some_and(|number| numbers.contains(&number)),
            Kind::Word(words) => words.contains(&value),
            Kind::Words(words) => value.split(',').all(|word| words.contains(&word)),
            Kind::Text { chars_max } => !value.trim().is_empty() && value.chars().count() <= *chars_max,
            Kind::Shaped { fits, .. } => fits(value),
            Kind::TrackOrNone => value.is_empty() || TrackId::parse(value).is_ok(),
            Kind::TrackUri => super::playlists::track(value).is_ok(),
            Kind::Uris => {
                value.split(',').count() <= IDS_MAX && value.split(',').all(|uri| super::library::thing(uri).is_some())
            }
            // Ids of all kinds have one form.
            Kind::Ids => value.split(',').count() <= IDS_MAX && value.split(',').all(|id| TrackId::parse(id).is_ok()),
        };
        if fits { Ok(()) } else { Err(self.said()) }
    }

    /// What may stand there, in words.
    fn said(&self) -> String {
        let list = |words: &[&str]| words.join(", ");
        match self {
            Kind::Whole { least, most, .. } => format!("it is a whole number from {least} to {most}"),
            Kind::Numbers(numbers) => {
                let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
                format!("it is one of {}", numbers.join(", "))
            }
            Kind::Word(words) => format!("it is one of {}", list(words)),
            Kind::Words(words) => format!("it is made of {}, with commas between them", list(words)),
            Kind::Text { chars_max } => format!("it is text of 1 to {chars_max} characters"),
            Kind::Shaped { said, .. } => (*said).to_owned(),
            Kind::TrackOrNone => "it is a track's id, or empty".to_owned(),
            Kind::TrackUri => "it is a track's address, as needledrop:track:ID".to_owned(),
            Kind::Uris => {
                format!("it is made of 1 to {IDS_MAX} addresses, as needledrop:track:ID, with commas between them")
            }
            Kind::Ids => format!("it is made of 1 to {IDS_MAX} ids, with commas between them"),
        }
    }
}

/// Digits and nothing else: Rust's own reader takes a plus sign too, which a form writes as a blank.
fn whole(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_stand_there_is_refused_by_name() {
        let param = |kind| Param::optional("p", kind, "");
        let refused = |kind: Kind, query: &str| {
            let problem = param(kind).check(&Params::read(query.as_bytes())).err()?;
            assert_eq!(problem.status, 400);
            let detail = problem.detail.unwrap();
            assert!(detail.starts_with("p: "), "{detail}");
            Some(detail)
        };
        let whole = || Kind::Whole { least: 1, most: 50, usual: 20 };
        for good in ["", "p=1", "p=50", "other=x", "p=007"] {
            assert_eq!(refused(whole(), good), None, "{good}");
        }
        for bad in ["p=0", "p=51", "p=", "p=1.0", "p=%2B1", "p=-1", "p=1&p=2", "p=99999999999999999999999"] {
            assert!(refused(whole(), bad).is_some(), "{bad}");
        }
        let words = || Kind::Words(&["a", "b"]);
        assert_eq!(refused(words(), "p=a,b,a"), None);
        for bad in ["p=", "p=a,", "p=c", "p=A", "p=a%20b"] {
            assert!(refused(words(), bad).is_some(), "{bad}");
        }
        assert_eq!(refused(Kind::Numbers(&[96, 160]), "p=160"), None);
        assert!(refused(Kind::Numbers(&[96, 160]), "p=161").is_some());
        let text = || Kind::Text { chars_max: 3 };
        assert_eq!(refused(text(), "p=%E6%84%9B%E6%84%9B%E6%84%9B"), None, "characters, not bytes");
        assert!(refused(text(), "p=abcd").is_some() && refused(text(), "p=%20%09").is_some());
        assert_eq!(refused(Kind::TrackOrNone, "p="), None);
        assert!(refused(Kind::TrackOrNone, "p=x").is_some());
    }

    #[test]
    fn what_a_call_needs_must_be_there() {
        let needed = Param::required("q", Kind::Text { chars_max: 9 }, "");
        assert!(needed.check(&Params::read(b"p=1")).is_err());
        assert!(needed.check(&Params::read(b"q=1")).is_ok());
    }
}
