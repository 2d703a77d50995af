//! Fetching a feed from wherever a stranger says it is.
//!
//! Where a connection may go is `needledrop_http::Outside`'s to say, for the first URL and for each redirect. Here is the
//! rest of the bounds: redirects, time for all of it, bytes as they come and as they are decompressed, fetches at once in
//! all and per host. Nothing of ours goes along: no cookie, no credential, no referrer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flate2::write::GzDecoder;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
    LOCATION, RETRY_AFTER, USER_AGENT,
};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use needledrop_core::UnixSeconds;
use needledrop_http::{Client, ClientConfig, ClientError, IncomingBody, Outside, Place, Roots, Unreachable};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::feed::FEED_BYTES_MAX;

/// Redirects that are followed.
const REDIRECTS_MAX: usize = 5;
/// Time for a feed, with everything: names, connections, redirects, all of the body.
const TOTAL: Duration = Duration::from_secs(30);
/// Time for a connection, for the head of an answer, and between two pieces of a body.
const CONNECT: Duration = Duration::from_secs(8);
const HEAD: Duration = Duration::from_secs(15);
const PIECE: Duration = Duration::from_secs(10);
/// Fetches at once: each holds at most twice the largest feed, 64 MiB in all.
const FETCHES_MAX: usize = 4;
/// Fetches of one host at once: many shows live at one, and none minds two.
const FETCHES_PER_HOST: usize = 2;
/// Bytes of an entity tag that is kept.
const TAG_BYTES_MAX: usize = 512;

/// What was known when the feed was fetched last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Entity tag.
    pub etag: Option<String>,
    /// `Last-Modified`, as it came.
    pub last_modified: Option<String>,
}

/// What came.
#[derive(Debug)]
pub struct Fetched {
    /// Where the feed is from now on, if all that led there was permanent.
    pub moved: Option<String>,
    /// `max-age` of the answer.
    pub max_age: Option<u64>,
    /// The feed, unless it is the one that was known.
    pub fresh: Option<Fresh>,
}

/// A feed that is new.
#[derive(Debug)]
pub struct Fresh {
    /// Its bytes, decompressed.
    pub bytes: Vec<u8>,
    /// What to say the next time.
    pub known: Known,
}

/// Why nothing came.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL, a redirect or an address is not for us.
    #[error(transparent)]
    Refused(#[from] Unreachable),
    /// The publisher has taken the feed down for good.
    #[error("the publisher has taken the feed down (410)")]
    Gone,
    /// Another answer than a feed.
    #[error("the publisher's server answered {status}")]
    Status {
        /// Its status.
        status: u16,
        /// When to come again, in seconds.
        retry_after: Option<u64>,
    },
    /// Redirects without end, or to nowhere.
    #[error("more than {REDIRECTS_MAX} redirects, or one that leads nowhere")]
    Redirects,
    /// It took too long.
    #[error("the feed did not come within {} s", TOTAL.as_secs())]
    Slow,
    /// It is too large, as it came or decompressed.
    #[error("the feed is larger than {} MiB", FEED_BYTES_MAX >> 20)]
    Large,
    /// It is compressed in a way that was not asked for, or not rightly.
    #[error("the feed is not compressed rightly")]
    Compression,
    /// No connection, or it broke.
    #[error(transparent)]
    Broken(#[from] ClientError),
}

impl FetchError {
    /// When the publisher's server wants to be asked again, in seconds.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            FetchError::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// Fetches feeds. Shared by all who need one.
#[derive(Debug)]
pub struct Fetcher {
    client: Client,
    outside: Arc<Outside>,
    places: Arc<Semaphore>,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
    total: Duration,
}

/// What a fetch holds: a place among all, and one at its host.
struct Turn<'a> {
    fetcher: &'a Fetcher,
    host: String,
    at_host: Option<OwnedSemaphorePermit>,
}

impl Fetcher {
    /// Goes where `outside` allows, and trusts `roots`. Blocks on the files of the roots.
    ///
    /// # Errors
    /// The roots cannot be read.
    pub fn new(outside: Outside, roots: Roots) -> Result<Self, ClientError> {
        Self::within(outside, roots, TOTAL)
    }

    /// The same with another total time.
    ///
    /// # Errors
    /// The roots cannot be read.
    pub fn within(outside: Outside, roots: Roots, total: Duration) -> Result<Self, ClientError> {
        let outside = Arc::new(outside);
        let client = Client::new(&ClientConfig {
            roots,
            connect_timeout: CONNECT,
            head_timeout: HEAD,
            body_timeout: PIECE,
            outside: Some(Arc::clone(&outside)),
            ..ClientConfig::default()
        })?;
        let places = Arc::new(Semaphore::new(FETCHES_MAX));
        Ok(Self { client, outside, places, hosts: Mutex::default(), total })
    }

    /// A URL in the form that it is kept and fetched in.
    ///
    /// # Errors
    /// It may not be fetched.
    pub fn canonical(&self, url: &str) -> Result<String, Unreachable> {
        self.outside.place(url).map(|place| place.as_str().to_owned())
    }

    /// Where a feed at one URL says that another is, as a redirect from there would.
    ///
    /// # Errors
    /// It may not be fetched, or would leave TLS.
    pub fn beside(&self, from: &str, url: &str) -> Result<String, Unreachable> {
        let from = self.outside.place(from)?;
        self.outside.next(&from, url).map(|place| place.as_str().to_owned())
    }

    /// Fetches a feed, unless it is the one that is known. Waits for its turn, which is not part of the time it has.
    ///
    /// # Errors
    /// Nothing came, or what came is not to be had.
    pub async fn fetch(&self, url: &str, known: &Known) -> Result<Fetched, FetchError> {
        let place = self.outside.place(url)?;
        // The host's turn first: who waits for a slow host takes no place from the others.
        let turn = self.turn(&place).await;
        let _place = self.places.acquire().await.expect("is never closed");
        tokio::time::timeout(self.total, self.follow(place, turn, known)).await.map_err(|_| FetchError::Slow)?
    }

    async fn follow(&self, mut place: Place, turn: Turn<'_>, known: &Known) -> Result<Fetched, FetchError> {
        let mut turn = Some(turn);
        let first = place.clone();
        let mut permanent = first.clone();
        let mut is_permanent = true;
        for _ in 0..=REDIRECTS_MAX {
            let _turn = match turn.take() {
                Some(turn) => turn,
                None => self.turn(&place).await,
            };
            let response = self.client.send(request(&place, known)).await?;
            let status = response.status();
            match status.as_u16() {
                301 | 302 | 303 | 307 | 308 => {
                    let location = text(response.headers(), &LOCATION).ok_or(FetchError::Redirects)?;
                    place = self.outside.next(&place, &location)?;
                    is_permanent &= matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::PERMANENT_REDIRECT);
                    if is_permanent {
                        permanent = place.clone();
                    }
                }
                200 | 304 => {
                    let moved = (permanent != first).then(|| permanent.as_str().to_owned());
                    let max_age = max_age(response.headers());
                    let fresh = if status == StatusCode::OK { Some(read(response).await?) } else { None };
                    return Ok(Fetched { moved, max_age, fresh });
                }
                410 => return Err(FetchError::Gone),
                other => {
                    let retry_after = text(response.headers(), &RETRY_AFTER).and_then(|text| seconds(&text));
                    return Err(FetchError::Status { status: other, retry_after });
                }
            }
        }
        Err(FetchError::Redirects)
    }

    async fn turn(&self, place: &Place) -> Turn<'_> {
        let host = place.authority();
        let mut turn = Turn { fetcher: self, host: host.clone(), at_host: None };
        let queue = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(hosts.entry(host).or_insert_with(|| Arc::new(Semaphore::new(FETCHES_PER_HOST))))
        };
        turn.at_host = Some(queue.acquire_owned().await.expect("is never closed"));
        turn
    }
}

impl Drop for Turn<'_> {
    /// A host is in the table as long as somebody fetches from it.
    fn drop(&mut self) {
        drop(self.at_host.take());
        let mut hosts = self.fetcher.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(entry) = hosts.entry(std::mem::take(&mut self.host))
            && Arc::strong_count(entry.get()) == 1
        {
            entry.remove();
        }
    }
}

fn request(place: &Place, known: &Known) -> Request<()> {
    let agent = concat!("needledrop/", env!("CARGO_PKG_VERSION"), " (podcasts)");
    let mut request = Request::get(place.as_str())
        .header(USER_AGENT, agent)
        .header(ACCEPT, "application/rss+xml, application/atom+xml, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5")
        .header(ACCEPT_ENCODING, "gzip");
    for (name, value) in [(IF_NONE_MATCH, &known.etag), (IF_MODIFIED_SINCE, &known.last_modified)] {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    request.body(()).expect("a judged URL and visible ASCII")
}

async fn read(response: Response<IncomingBody>) -> Result<Fresh, FetchError> {
    let headers = response.headers();
    let kept = |name| text(headers, name).filter(|value| value.len() <= TAG_BYTES_MAX);
    let known = Known { etag: kept(&ETAG), last_modified: kept(&LAST_MODIFIED) };
    let coding = text(headers, &CONTENT_ENCODING).map(|coding| coding.to_ascii_lowercase());
    let is_gzip = match coding.as_deref() {
        None | Some("" | "identity") => false,
        Some("gzip" | "x-gzip") => true,
        Some(_) => return Err(FetchError::Compression),
    };
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(piece) = body.chunk().await {
        let piece = piece?;
        if bytes.len() + piece.len() > FEED_BYTES_MAX {
            return Err(FetchError::Large);
        }
        bytes.extend_from_slice(&piece);
    }
    if is_gzip {
        let whole = tokio::task::spawn_blocking(move || decompressed(&bytes)).await;
        bytes = whole.unwrap_or(Err(FetchError::Compression))?;
    }
    Ok(Fresh { bytes, known })
}

/// What is behind gzip, as long as it is not too much.
fn decompressed(bytes: &[u8]) -> Result<Vec<u8>, FetchError> {
    let mut decoder = GzDecoder::new(Bounded(Vec::new()));
    let is_full = |decoder: &GzDecoder<Bounded>| decoder.get_ref().0.len() >= FEED_BYTES_MAX;
    for piece in bytes.chunks(16 * 1024) {
        if decoder.write_all(piece).is_err() {
            return Err(if is_full(&decoder) { FetchError::Large } else { FetchError::Compression });
        }
    }
    if decoder.try_finish().is_err() {
        return Err(if is_full(&decoder) { FetchError::Large } else { FetchError::Compression });
    }
    decoder.finish().map(|bounded| bounded.0).map_err(|_| FetchError::Compression)
}

/// Takes bytes until they are too many.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let room = FEED_BYTES_MAX - self.0.len();
        if room == 0 && !bytes.is_empty() {
            return Err(std::io::Error::other("the feed is too large"));
        }
        let taken = bytes.len().min(room);
        self.0.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(|text| text.trim().to_owned())
}

fn max_age(headers: &HeaderMap) -> Option<u64> {
    let control = text(headers, &CACHE_CONTROL)?;
    control.split(',').find_map(|part| part.trim().strip_prefix("max-age=")?.trim_matches('"').parse().ok())
}

/// `Retry-After`, as seconds from now: a number, or a date.
fn seconds(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| {
        let at = UnixSeconds::parse_http(text)?;
        let now = UnixSeconds::from_system(std::time::SystemTime::now());
        Some(at.since(now))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_compressed_is_bounded_too() {
        assert_eq!(decompressed(&gzip(b"a feed")).unwrap(), b"a feed");
        assert_eq!(decompressed(&gzip(&vec![0; FEED_BYTES_MAX])).unwrap().len(), FEED_BYTES_MAX);
        let bomb = gzip(&vec![0; 64 * FEED_BYTES_MAX]);
        assert!(bomb.len() < FEED_BYTES_MAX / 8, "{} bytes", bomb.len());
        assert!(matches!(decompressed(&bomb), Err(FetchError::Large)));
        assert!(matches!(decompressed(b"no gzip at all"), Err(FetchError::Compression)));
        let cut = gzip(b"a feed");
        assert!(matches!(decompressed(&cut[..cut.len() - 9]), Err(FetchError::Compression)));
    }

    #[test]
    fn the_age_of_an_answer_is_read() {
        let mut headers = HeaderMap::new();
        assert_eq!(max_age(&headers), None);
        headers.insert(CACHE_CONTROL, "public, max-age=600, must-revalidate".parse().unwrap());
        assert_eq!(max_age(&headers), Some(600));
        headers.insert(CACHE_CONTROL, "max-age=soon".parse().unwrap());
        assert_eq!(max_age(&headers), None);
        assert_eq!((seconds("120"), seconds("soon")), (Some(120), None));
    }
}
