//! When bytes come: planted waits are measured as long as they are.

use std::time::{Duration, Instant};

use needledrop_loadtest::client::Connection;
use needledrop_loadtest::measured::{Protocol, Trouble};

use crate::world::{ALL, World, ask, fetch};

/// Half of the tries may meet a busy machine.
const TRIES: usize = 7;
/// And if it is busier than that, it is asked again, and in the end the fastest tries count: others' work only ever
/// adds to a wait, and what the client adds of its own is there in every try.
const ROUNDS: usize = 6;
const EXACT: Duration = Duration::from_millis(2);

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Times to the head that waits, and to the body that waits.
async fn measure(connection: &mut Connection, wait: Duration) -> [Vec<Duration>; 2] {
    let (mut heads, mut bodies) = (Vec::new(), Vec::new());
    let millis = wait.as_millis();
    for _ in 0..TRIES {
        let begun = Instant::now();
        let (_, answer) = fetch(connection, &ask(&format!("/delay={millis}ms/size=10/song"))).await;
        heads.push(answer.unwrap().head.at - begun);
        let begun = Instant::now();
        let (notes, answer) = fetch(connection, &ask(&format!("/after={millis}ms/size=10/song"))).await;
        answer.unwrap();
        bodies.push(notes.pieces[0].0 - begun);
    }
    [heads, bodies]
}

#[tokio::test]
async fn a_planted_delay_is_measured_within_two_milliseconds() {
    let world = World::open();
    for protocol in ALL {
        let mut connection = world.connect(protocol).await;
        for wanted in [10, 50, 100].map(Duration::from_millis) {
            let mut all = [Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                let times = measure(&mut connection, wanted).await;
                let is_exact = times.iter().all(|times| median(times.clone()) < wanted + EXACT);
                for (all, mut times) in all.iter_mut().zip(times) {
                    all.append(&mut times);
                }
                if is_exact {
                    break;
                }
            }
            for times in all {
                let fastest = times.iter().min().copied().unwrap_or_default();
                let is_exact = fastest >= wanted && fastest < wanted + EXACT;
                assert!(is_exact, "{protocol}: {wanted:?} measured as {times:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_planted_stall_is_seen_where_it_is() {
    let world = World::open();
    for protocol in ALL {
        let mut connection = world.connect(protocol).await;
        let (notes, answer) = fetch(&mut connection, &ask("/stall=100k:300ms/size=300k/song")).await;
        answer.unwrap();
        let (gap, before) = notes.longest_gap();
        assert_eq!(before, 100 << 10, "{protocol}");
        // On a busy machine we may have read what came before it late.
        assert!(gap > Duration::from_millis(200), "{protocol}: {gap:?}");
    }
}

#[tokio::test]
async fn a_slow_body_comes_at_its_rate() {
    let world = World::open();
    let mut connection = world.connect(Protocol::H2).await;
    let (notes, answer) = fetch(&mut connection, &ask("/rate=100k/size=50k/song")).await;
    answer.unwrap();
    let took = notes.pieces.last().unwrap().0 - notes.pieces[0].0;
    assert!(took > Duration::from_millis(400) && took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn silence_has_an_end() {
    let world = World::open_with(|config| {
        config.head_timeout = Duration::from_millis(400);
        config.body_timeout = Duration::from_millis(400);
    });
    for protocol in ALL {
        let mut connection = world.connect(protocol).await;
        let begun = Instant::now();
        let (notes, answer) = fetch(&mut connection, &ask("/delay=30s/song")).await;
        assert_eq!(answer.unwrap_err().trouble, Trouble::Timeout, "{protocol}");
        assert_eq!(notes.heads, 0);
        let mut connection = world.connect(protocol).await;
        let (notes, answer) = fetch(&mut connection, &ask("/stall=10k:30s/size=20k/song")).await;
        assert_eq!(answer.unwrap_err().trouble, Trouble::Timeout, "{protocol}");
        assert_eq!(notes.bytes.len(), 10 << 10);
        assert!(begun.elapsed() < Duration::from_secs(20));
        // A body that never pauses for as long may take longer than that in all.
        let mut connection = world.connect(protocol).await;
        fetch(&mut connection, &ask("/rate=100k/size=70k/song")).await.1.unwrap();
    }
}
