//! Honest clients, and how long they wait: one over each protocol, asking all the time, and new connections between.

use std::time::{Duration, Instant};

use http::Method;

use crate::doors::DoorsProcess;
use crate::world::{Session, Via};

const PROTOCOLS: [Via; 3] = [Via::H1Tls, Via::H2, Via::H3];
/// Requests of a client that listens come once in a while; so do these.
const PAUSE: Duration = Duration::from_millis(2);

pub struct Honest {
    doors: DoorsProcess,
    sessions: Vec<Session>,
}

/// What they saw.
#[derive(Debug)]
pub struct Seen {
    pub p99: Duration,
    pub count: usize,
    pub failed: usize,
}

impl Honest {
    pub async fn connect(doors: &DoorsProcess) -> Self {
        let mut sessions = Vec::new();
        for via in PROTOCOLS {
            sessions.push(session(doors, via).await.unwrap());
        }
        Self { doors: doors.clone(), sessions }
    }

    /// Asks over all protocols for so long.
    pub async fn watch(&mut self, time: Duration) -> Seen {
        let until = Instant::now() + time;
        let (mut took, mut failed) = (Vec::new(), 0);
        // Newcomers must get in as well.
        for via in PROTOCOLS {
            failed += usize::from(!newcomer(&self.doors, via).await);
        }
        while Instant::now() < until {
            for session in &mut self.sessions {
                let asked = Instant::now();
                let answer = session.ask(Method::GET, "/hello", &[]).await;
                failed += usize::from(!answer.is_ok_and(|answer| answer.status == 200 && answer.body.is_ok()));
                took.push(asked.elapsed());
                tokio::time::sleep(PAUSE).await;
            }
        }
        took.sort_unstable();
        let p99 = took[(took.len() * 99).div_ceil(100) - 1];
        Seen { p99, count: took.len(), failed }
    }
}

async fn session(doors: &DoorsProcess, via: Via) -> Result<Session, crate::world::Failure> {
    let addr = if via == Via::H3 { doors.quic } else { doors.tls };
    Session::connect(via, addr, &doors.ca, None).await
}

async fn newcomer(doors: &DoorsProcess, via: Via) -> bool {
    let asking = async {
        let mut session = session(doors, via).await?;
        session.ask(Method::GET, "/hello", &[]).await
    };
    let answered = tokio::time::timeout(Duration::from_secs(3), asking).await;
    matches!(answered, Ok(Ok(answer)) if answer.status == 200)
}
