//! Where a database is: a file, or a PostgreSQL server by URL.

use crate::Error;
use std::fmt;
use std::path::PathBuf;

/// A database that can be opened.
#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    /// A SQLite file, made when it is not there.
    File(PathBuf),
    /// `postgres://user:password@host/name`; `?host=/run/postgresql` names a socket's folder.
    Postgres(String),
}

impl Place {
    /// Reads `postgres://…`, `postgresql://…`, `sqlite:PATH` or a path.
    pub fn parse(text: &str) -> Result<Place, Error> {
        let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
        match scheme {
            "postgres" | "postgresql" => Ok(Place::Postgres(text.to_owned())),
            "sqlite" => Place::file(rest.strip_prefix("//").unwrap_or(rest), text),
            _ if rest.starts_with("//") => Err(Error::Place { place: text.to_owned() }),
            _ => Place::file(text, text),
        }
    }

    fn file(path: &str, text: &str) -> Result<Place, Error> {
        // SQLite's other names for databases that are no file: each connection would see one of its own.
        if path.is_empty() || path == ":memory:" {
            return Err(Error::Place { place: text.to_owned() });
        }
        Ok(Place::File(path.into()))
    }
}

/// Without the password, as it may stand in a log.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => path.display().fmt(f),
            Place::Postgres(url) => f.write_str(&without_password(url)),
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({self})")
    }
}

/// Drops the query too: libpq takes a `password` there.
fn without_password(url: &str) -> String {
    let url = url.split_once('?').map_or(url, |(before, _)| before);
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    match rest.rsplit_once('@') {
        Some((who, host)) => format!("{scheme}://{}@{host}", who.split(':').next().unwrap_or_default()),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_urls_are_told_apart() {
        assert_eq!(Place::parse("/var/lib/c.db").unwrap(), Place::File("/var/lib/c.db".into()));
        assert_eq!(Place::parse("c.db").unwrap(), Place::File("c.db".into()));
        assert_eq!(Place::parse("sqlite:///c.db").unwrap(), Place::File("/c.db".into()));
        assert_eq!(Place::parse("sqlite:c.db").unwrap(), Place::File("c.db".into()));
        assert!(matches!(Place::parse("postgresql://h/d").unwrap(), Place::Postgres(_)));
        for bad in ["", "sqlite:", "sqlite::memory:", ":memory:", "mysql://h/d"] {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let place = Place::parse("postgres://me:s3cr@t@host:5432/music?password=x").unwrap();
        assert_eq!(format!("{place:?}"), "Place(postgres://me@host:5432/music)");
    }
}
