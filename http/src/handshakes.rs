//! The TLS handshakes under way: who is cut when there are too many.
//!
//! A peer can begin a handshake and say no more. If such ones merely filled the places until their deadline, a few
//! hundred sockets would close the door to everybody. So nobody waits for a place: when there are too many, the oldest
//! of the network that has the most under way goes. Who floods from one network only cuts himself; who floods from many
//! must be faster than an honest handshake takes.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use needledrop_core::Cidr;
use tokio_util::sync::CancellationToken;

use crate::counters::Counters;

/// Handshakes under way, in the order in which they began.
pub(crate) struct Handshakes {
    places: usize,
    line: Mutex<VecDeque<Waiting>>,
    counters: Arc<Counters>,
}

struct Waiting {
    network: Cidr,
    ended: CancellationToken,
}

impl Handshakes {
    pub(crate) fn new(places: usize, counters: Arc<Counters>) -> Arc<Self> {
        Arc::new(Self { places: places.max(1), line: Mutex::default(), counters })
    }

    /// A handshake with this address begins, perhaps at the cost of another one.
    pub(crate) fn begin(self: &Arc<Self>, client: IpAddr) -> Turn {
        let ended = CancellationToken::new();
        let network = Cidr::around(client, if client.to_canonical().is_ipv4() { 32 } else { 64 });
        let mut line = self.line();
        if line.len() >= self.places
            && let Some(victim) = victim(&line).and_then(|index| line.remove(index))
        {
            victim.ended.cancel();
            self.counters.handshake_crowded.bump();
        }
        line.push_back(Waiting { network, ended: ended.clone() });
        drop(line);
        Turn { ended, table: Arc::clone(self) }
    }

    fn line(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.line.lock().expect("no code panics while holding the line")
    }
}

/// The oldest of the network with the most. Walks over a few hundred, and only when there are too many.
fn victim(line: &VecDeque<Waiting>) -> Option<usize> {
    let mut counts: HashMap<Cidr, usize> = HashMap::new();
    for waiting in line {
        *counts.entry(waiting.network).or_default() += 1;
    }
    let most = counts.values().max()?;
    line.iter().position(|waiting| counts.get(&waiting.network) == Some(most))
}

/// A handshake under way. Dropped, it is over.
pub(crate) struct Turn {
    ended: CancellationToken,
    table: Arc<Handshakes>,
}

impl Turn {
    /// Ready when this handshake must go for others.
    pub(crate) async fn crowded_out(&self) {
        self.ended.cancelled().await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.ended.is_cancelled() {
            return;
        }
        // Its token is told from others by being cancelled.
        self.ended.cancel();
        self.table.line().retain(|waiting| !waiting.ended.is_cancelled());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_the_greediest_network_goes() {
        let counters = Arc::new(Counters::default());
        let handshakes = Handshakes::new(4, Arc::clone(&counters));
        let begin = |client: &str| handshakes.begin(client.parse().unwrap());
        let honest = begin("198.51.100.1");
        let greedy = [begin("203.0.113.7"), begin("203.0.113.7")];
        let other = begin("198.51.100.2");
        let _more: Vec<Turn> = (0..10).map(|_| begin("203.0.113.7")).collect();
        assert!(greedy.iter().all(|turn| turn.ended.is_cancelled()));
        assert!(!honest.ended.is_cancelled() && !other.ended.is_cancelled());
        assert_eq!(counters.handshake_crowded.get(), 10);
        assert_eq!(handshakes.line().len(), 4);
        drop(honest);
        assert_eq!(handshakes.line().len(), 3);
    }

    #[test]
    fn from_many_networks_the_oldest_goes() {
        let handshakes = Handshakes::new(3, Arc::default());
        let turns: Vec<Turn> = (0..5).map(|n| handshakes.begin(IpAddr::from([198, 51, 100, n]))).collect();
        let cut: Vec<bool> = turns.iter().map(|turn| turn.ended.is_cancelled()).collect();
        assert_eq!(cut, [true, true, false, false, false]);
        drop(turns);
        assert!(handshakes.line().is_empty());
    }
}
