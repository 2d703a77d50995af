//! Parameters of a call: from the query and, by the extension `formPost`, from a form in the body.

use std::borrow::Cow;

use http::header::CONTENT_TYPE;
use needledrop_core::{ArtistId, EpisodeId, PlaylistId, ReleaseId, ShowId, TrackId};
use needledrop_http::Request;
use needledrop_playlist::Thing;

use super::failure::Failure;

/// Parameters of one call: a playlist of the largest size, and a few beside it.
const PARAMS_MAX: usize = 10_100;

/// Parameters, decoded, in their order; those of the query come first.
pub struct Params<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Params<'a> {
    /// Reads what a request brings.
    ///
    /// # Errors
    /// More than anybody needs.
    pub fn of(request: &'a Request) -> Result<Self, Failure> {
        let body = if is_form(request) { &request.body[..] } else { &[] };
        Self::read(request.uri.query().unwrap_or_default().as_bytes(), body)
    }

    fn read(query: &'a [u8], body: &'a [u8]) -> Result<Self, Failure> {
        let both = form_urlencoded::parse(query).chain(form_urlencoded::parse(body));
        let read: Vec<_> = both.take(PARAMS_MAX + 1).collect();
        if read.len() > PARAMS_MAX { Err(Failure::other("Too many parameters")) } else { Ok(Self(read)) }
    }

    /// The first of this name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// The first of this name, which must be there.
    ///
    /// # Errors
    /// It is not.
    pub fn required(&self, name: &str) -> Result<&str, Failure> {
        self.text(name).ok_or_else(|| Failure::missing(name))
    }

    /// All of this name.
    pub fn all<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// A number, at most so large: more is less, since clients ask for "all" with numbers of their own.
    ///
    /// # Errors
    /// It is no number.
    pub fn number(&self, name: &str, most: u64, usual: u64) -> Result<u64, Failure> {
        match self.text(name) {
            None | Some("") => Ok(usual),
            Some(text) => Ok(text.parse::<u64>().map_err(|_| Failure::wrong(name, "it is a whole number"))?.min(most)),
        }
    }

    /// Yes or no.
    ///
    /// # Errors
    /// It is neither.
    pub fn is_set(&self, name: &str) -> Result<Option<bool>, Failure> {
        match self.text(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(Failure::wrong(name, "it is true or false")),
        }
    }
}

fn is_form(request: &Request) -> bool {
    let kind = request.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// What an id of the protocol stands for. The protocol has one room for all ids, so ours bear a prefix there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// `ar-`.
    Artist(ArtistId),
    /// `al-`.
    Release(ReleaseId),
    /// `tr-`, or nothing before it.
    Track(TrackId),
    /// `pl-`.
    Playlist(PlaylistId),
    /// `sh-`: a podcast, which the protocol calls a channel.
    Show(ShowId),
    /// `ep-`.
    Episode(EpisodeId),
}

impl Named {
    /// Reads an id. What cannot be one of ours names nothing.
    ///
    /// # Errors
    /// It is none of ours.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let named = match text.split_once('-') {
            Some(("ar", id)) => id.parse().map(Named::Artist),
            Some(("al", id)) => id.parse().map(Named::Release),
            Some(("tr", id)) => id.parse().map(Named::Track),
            Some(("pl", id)) => id.parse().map(Named::Playlist),
            Some(("sh", id)) => id.parse().map(Named::Show),
            Some(("ep", id)) => id.parse().map(Named::Episode),
            _ => text.parse().map(Named::Track),
        };
        named.map_err(|_| Failure::not_found())
    }

    /// As something that bears stars.
    pub fn thing(self) -> Option<Thing> {
        match self {
            Named::Artist(id) => Some(Thing::Artist(id)),
            Named::Release(id) => Some(Thing::Release(id)),
            Named::Track(id) => Some(Thing::Track(id)),
            Named::Playlist(_) | Named::Show(_) | Named::Episode(_) => None,
        }
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Named::Artist(id) => write!(f, "ar-{id}"),
            Named::Release(id) => write!(f, "al-{id}"),
            Named::Track(id) => write!(f, "tr-{id}"),
            Named::Playlist(id) => write!(f, "pl-{id}"),
            Named::Show(id) => write!(f, "sh-{id}"),
            Named::Episode(id) => write!(f, "ep-{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_goes_on_where_the_query_ends_and_names_may_repeat() {
        let params = Params::read(b"id=1&f=json&empty=", b"id=2&id=%E6%84%9B+%26&size=9999999").unwrap();
        assert_eq!(params.all("id").collect::<Vec<_>>(), ["1", "2", "愛 &"]);
        assert_eq!(params.number("size", 500, 10), Ok(500));
        assert_eq!(params.number("empty", 500, 10), Ok(10));
        assert_eq!(params.required("v").unwrap_err().message, "Required parameter is missing: v");
        assert_eq!(params.number("f", 5, 1).unwrap_err().code, 0);
    }

    #[test]
    fn more_than_anybody_needs_is_refused() {
        let many = "a&".repeat(PARAMS_MAX + 1);
        assert!(Params::read(b"", many.as_bytes()).is_err());
        assert!(Params::read(b"", &many.as_bytes()[2..]).is_ok());
    }

    #[test]
    fn ids_survive_their_text_and_others_name_nothing() {
        let id = TrackId::from_random([7; 16]);
        for prefix in ["ar", "al", "tr", "pl", "sh", "ep"] {
            let text = format!("{prefix}-{id}");
            assert_eq!(Named::parse(&text).unwrap().to_string(), text);
        }
        assert_eq!(Named::parse(id.as_str()), Ok(Named::Track(id)));
        for text in ["", "0", "ar-", "xx-0000000000000000000000", "tr-../../etc/passwd"] {
            assert_eq!(Named::parse(text), Err(Failure::not_found()), "{text}");
        }
    }
}
