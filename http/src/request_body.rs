//! The body of a request, for the few handlers that want one: read whole, within bounds, before the handler is asked.
//!
//! Nobody knows who asks until the handler has looked, so room is what has arrived and not what was announced, and one
//! client network has its share of it: whoever announces much and sends nothing holds nothing, and whoever fills a share
//! takes it from no one else.

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use needledrop_core::network::Cidr;
use needledrop_core::problem::Problem;
use tokio::time::timeout;

use crate::limits::Limits;

/// The part of all room that one client network may take: an eighth.
const SHARES: usize = 8;

/// What a door reads a body from.
pub(crate) trait Carried: Send {
    /// The next piece; None at the end.
    fn piece(&mut self) -> impl Future<Output = Option<Result<Bytes, Broken>>> + Send;
}

/// The body will not be whole: its client went away, or broke the protocol.
pub(crate) struct Broken;

/// Room for the bodies of all requests of one set of doors.
pub(crate) struct Bodies {
    limits: Limits,
    held: Mutex<Held>,
}

/// Bytes that bodies take. A network is in the table as long as it holds some, so the table is as bounded as they are.
#[derive(Default)]
struct Held {
    all: usize,
    by_network: HashMap<Cidr, usize>,
}

/// The room of one body. Dropping it gives the room back.
pub(crate) struct Room<'a> {
    bodies: &'a Bodies,
    network: Cidr,
    bytes: usize,
}

impl Bodies {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { limits: limits.clone(), held: Mutex::default() }
    }

    /// The whole body, and the room it takes until that is dropped.
    pub(crate) async fn read(
        &self,
        client: IpAddr,
        headers: &HeaderMap,
        carried: &mut impl Carried,
    ) -> Result<(Bytes, Room<'_>), Problem> {
        let most = self.limits.body_bytes;
        let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if declared.is_some_and(|declared| declared > most as u64) {
            return Err(too_large(most));
        }
        let mut room = Room { bodies: self, network: network(client), bytes: 0 };
        let reading = async {
            let mut body = BytesMut::new();
            while let Some(piece) = carried.piece().await {
                let piece = piece.map_err(|Broken| Problem::new("body", "The body of the request broke off", 400))?;
                let length = body.len() + piece.len();
                if declared.is_some_and(|declared| length as u64 > declared) {
                    return Err(other_length());
                }
                if length > most {
                    return Err(too_large(most));
                }
                room.take(piece.len())?;
                body.extend_from_slice(&piece);
            }
            Ok(body.freeze())
        };
        let late = || Problem::new("body-late", "The body of the request took too long", 408);
        let body = timeout(self.limits.body, reading).await.map_err(|_| late())??;
        // HTTP/1.1 and HTTP/2 have their libraries see to it; nothing does on HTTP/3 (RFC 9114 4.1.2).
        if declared.is_some_and(|declared| declared != body.len() as u64) {
            return Err(other_length());
        }
        Ok((body, room))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room<'_> {
    fn take(&mut self, bytes: usize) -> Result<(), Problem> {
        let most = self.bodies.limits.bodies_bytes;
        let mut held = self.bodies.held();
        let own = held.by_network.get(&self.network).copied().unwrap_or(0);
        // A share holds at least one body, however little room there is.
        let share = (most / SHARES).max(self.bodies.limits.body_bytes);
        if held.all + bytes > most || own + bytes > share {
            return Err(Problem::new("busy", "Too many requests bring bodies at the moment; ask again", 503));
        }
        if bytes > 0 {
            held.all += bytes;
            held.by_network.insert(self.network, own + bytes);
            self.bytes += bytes;
        }
        Ok(())
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut held = self.bodies.held();
        held.all -= self.bytes;
        let own = held.by_network.get_mut(&self.network).expect("whoever holds room is in the table");
        *own -= self.bytes;
        if *own == 0 {
            held.by_network.remove(&self.network);
        }
    }
}

/// What one subscriber has (`networks.rs`).
fn network(client: IpAddr) -> Cidr {
    Cidr::around(client, if client.to_canonical().is_ipv4() { 32 } else { 64 })
}

fn too_large(most: usize) -> Problem {
    let said = Problem::new("body-too-large", "The body of the request is too large", 413);
    said.with_detail(format!("At most {most} bytes; send it in several requests"))
}

fn other_length() -> Problem {
    Problem::new("body", "The body of the request is not as long as its Content-Length says", 400)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::time::Duration;

    /// Pieces, and then the end or nothing any more.
    struct Pieces(VecDeque<usize>, bool);

    impl Carried for Pieces {
        async fn piece(&mut self) -> Option<Result<Bytes, Broken>> {
            match self.0.pop_front() {
                Some(length) => Some(Ok(vec![0; length].into())),
                None if self.1 => None,
                None => std::future::pending().await,
            }
        }
    }

    fn bodies() -> Bodies {
        Bodies::new(&Limits { body_bytes: 100, bodies_bytes: 1_000, ..Limits::default() })
    }

    async fn read(bodies: &Bodies, client: u8, declared: Option<u64>, pieces: &[usize]) -> Result<usize, u16> {
        let headers = declared.map(|length| (CONTENT_LENGTH, length.into())).into_iter().collect();
        let client = IpAddr::from([192, 0, 2, client]);
        let read = bodies.read(client, &headers, &mut Pieces(pieces.to_vec().into(), true)).await;
        read.map(|(body, _)| body.len()).map_err(|refusal| refusal.status)
    }

    #[tokio::test]
    async fn a_body_is_as_long_as_it_was_declared() {
        let bodies = bodies();
        assert_eq!(read(&bodies, 1, Some(100), &[60, 40]).await, Ok(100));
        assert_eq!(read(&bodies, 1, None, &[60, 40]).await, Ok(100));
        assert_eq!(read(&bodies, 1, Some(1), &[60]).await, Err(400), "more");
        assert_eq!(read(&bodies, 1, Some(61), &[60]).await, Err(400), "less");
        assert_eq!(read(&bodies, 1, None, &[60, 41]).await, Err(413));
        assert_eq!(read(&bodies, 1, Some(101), &[]).await, Err(413));
        let held = bodies.held();
        assert!(held.all == 0 && held.by_network.is_empty(), "all room came back");
    }

    #[tokio::test]
    async fn who_announces_and_sends_nothing_holds_nothing_and_who_sends_holds_a_share() {
        let bodies = bodies();
        let announced: HeaderMap = [(CONTENT_LENGTH, 100.into())].into_iter().collect();
        let (honest, hostile) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let slow = |pieces: &[usize]| Pieces(pieces.to_vec().into(), false);
        let (mut silent, mut filling): (Vec<_>, Vec<_>) =
            ((0..50).map(|_| slow(&[])).collect(), (0..50).map(|_| slow(&[90])).collect());
        let waiting = silent.iter_mut().chain(&mut filling).map(|carried| bodies.read(hostile, &announced, carried));
        let waiting = futures_util::future::join_all(waiting);
        let honest = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(bodies.held().by_network[&network(hostile)], 90, "a share of 125 holds one of them");
            let mut carried = Pieces([50, 50].into(), true);
            bodies.read(honest, &announced, &mut carried).await.map(|(body, _)| body.len()).map_err(|said| said.status)
        };
        tokio::select! {
            _ = waiting => panic!("those who send nothing more are waited for"),
            read = honest => assert_eq!(read, Ok(100)),
        }
    }
}
