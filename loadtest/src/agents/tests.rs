//! Agents and coordinators on loopback, with a load that only counts.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{agent, handshake::Greeting, wire, *};

/// Counts one start each 10 ms, `ticks` times, and remembers when it was told to begin.
#[derive(Default)]
struct Counting {
    begun: Mutex<Vec<(Share, Instant)>>,
    was_stopped: AtomicBool,
}

impl Load for Counting {
    fn run(
        &self,
        plan: Value,
        share: Share,
        begin: Instant,
        progress: Progress,
        stop: CancellationToken,
    ) -> Result<(Tally, Own), String> {
        let ticks = plan["ticks"].as_u64().ok_or("the plan has no ticks")?;
        self.begun.lock().unwrap().push((share, begin));
        std::thread::sleep(begin.saturating_duration_since(Instant::now()));
        let mut tally = Tally::default();
        for _ in 0..ticks {
            if stop.is_cancelled() {
                self.was_stopped.store(true, Ordering::SeqCst);
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
            tally.starts += 1;
            progress.tell(tally.clone());
        }
        Ok((tally, Own { cpu_seconds: 1.0, peak_memory_bytes: 10, workers: 1 }))
    }
}

struct Waiting {
    address: String,
    load: Arc<Counting>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn waiting(token: &str) -> Waiting {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (load, stop) = (Arc::new(Counting::default()), CancellationToken::new());
    let task = tokio::spawn(agent::serve(listener, secret(token), load.clone(), stop.clone()));
    Waiting { address, load, stop, task }
}

fn secret(text: &str) -> Token {
    Token::new(text.as_bytes()).unwrap()
}

const TOKEN: &str = "a token for tests";
const OTHER: &str = "another one, for tests";

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..1_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not come");
}

#[tokio::test]
async fn two_agents_begin_together_and_their_counts_add_up() {
    let (one, two) = (waiting(TOKEN).await, waiting(TOKEN).await);
    let addresses = [one.address.clone(), two.address.clone()];
    let coordinator = Coordinator::connect(&addresses, &secret(TOKEN)).await.unwrap();
    let mut seen = Vec::new();
    let live = |tally: &Tally, _: Duration, missing: &[String]| {
        assert!(missing.is_empty(), "{missing:?}");
        seen.push(tally.starts);
    };
    let outcome = coordinator.start(json!({"ticks": 150}), CancellationToken::new(), live).await.unwrap();
    assert_eq!((outcome.tally.starts, outcome.missing.len(), outcome.own.workers), (300, 0, 2));
    let names: Vec<&String> = outcome.generators.iter().map(|generator| &generator.name).collect();
    assert_eq!(names, [&addresses[0], &addresses[1]]);
    assert!(seen.iter().any(|starts| (1..300).contains(starts)) && seen.is_sorted(), "{seen:?}");
    assert!((1.5..6.0).contains(&outcome.seconds), "{}", outcome.seconds);
    // Both clocks are this machine's: the difference is what the estimate was off by.
    let [(first, one), (second, two)] = [&one, &two].map(|agent| agent.load.begun.lock().unwrap()[0]);
    assert_eq!((first, second), (Share { index: 0, of: 2 }, Share { index: 1, of: 2 }));
    let apart = one.max(two) - one.min(two);
    assert!(apart < Duration::from_millis(20), "{apart:?}");
}

#[tokio::test]
async fn an_agent_killed_in_the_middle_is_named_and_the_other_goes_on() {
    let (one, two) = (waiting(TOKEN).await, waiting(TOKEN).await);
    let addresses = [one.address.clone(), two.address.clone()];
    let coordinator = Coordinator::connect(&addresses, &secret(TOKEN)).await.unwrap();
    let Waiting { stop, load, .. } = two;
    let mut missed = Vec::new();
    let live = |tally: &Tally, _: Duration, missing: &[String]| {
        if tally.starts > 100 {
            stop.cancel();
        }
        missed = missing.to_vec();
    };
    let outcome = coordinator.start(json!({"ticks": 400}), CancellationToken::new(), live).await.unwrap();
    assert!(load.was_stopped.load(Ordering::SeqCst));
    assert!((401..800).contains(&outcome.tally.starts), "what it had told stays: {}", outcome.tally.starts);
    assert_eq!((outcome.generators.len(), outcome.missing.len()), (1, 1));
    assert!(outcome.missing[0].starts_with(&addresses[1]) && outcome.missing[0].contains("closed"), "{missed:?}");
    assert_eq!(missed, outcome.missing);
    let text = outcome.report(json!({})).text();
    assert!(text.starts_with("DO NOT TRUST THESE NUMBERS: not whole: 127.0.0.1:"), "{text}");
}

#[tokio::test]
async fn a_coordinator_that_vanishes_ends_what_its_agents_run_and_the_next_is_served() {
    let agent = waiting(TOKEN).await;
    let addresses = [agent.address.clone()];
    let coordinator = Coordinator::connect(&addresses, &secret(TOKEN)).await.unwrap();
    let busy = Coordinator::connect(&addresses, &secret(TOKEN)).await;
    assert!(matches!(busy, Err(AgentError::Busy { .. })), "one at a time");
    let run = tokio::spawn(coordinator.start(json!({"ticks": 100_000}), CancellationToken::new(), |_, _, _| ()));
    until("a begin", || !agent.load.begun.lock().unwrap().is_empty()).await;
    run.abort();
    until("a stop", || agent.load.was_stopped.load(Ordering::SeqCst)).await;
    for attempt in 0.. {
        match Coordinator::connect(&addresses, &secret(TOKEN)).await {
            Ok(_) => break,
            Err(error) => assert!(attempt < 100, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_stop_ends_all_and_what_was_counted_is_told() {
    let (one, two) = (waiting(TOKEN).await, waiting(TOKEN).await);
    let coordinator = Coordinator::connect(&[one.address, two.address], &secret(TOKEN)).await.unwrap();
    let stop = CancellationToken::new();
    let pressed = stop.clone();
    let live = move |tally: &Tally, _: Duration, _: &[String]| {
        if tally.starts > 0 {
            pressed.cancel();
        }
    };
    let outcome = coordinator.start(json!({"ticks": 100_000}), stop, live).await.unwrap();
    assert!(outcome.missing.is_empty() && (1..2_000).contains(&outcome.tally.starts), "{outcome:?}");
}

#[tokio::test]
async fn a_plan_that_no_agent_can_run_is_an_error_with_its_reason() {
    let agent = waiting(TOKEN).await;
    let coordinator = Coordinator::connect(&[agent.address], &secret(TOKEN)).await.unwrap();
    let error = coordinator.start(json!({}), CancellationToken::new(), |_, _, _| ()).await.unwrap_err();
    assert!(error.to_string().contains("the plan has no ticks"), "{error}");
}

#[tokio::test]
async fn a_wrong_token_is_refused_by_the_agent() {
    let agent = waiting(TOKEN).await;
    let error = Coordinator::connect(std::slice::from_ref(&agent.address), &secret(OTHER)).await.err().unwrap();
    assert!(error.to_string().contains("refused: the tokens differ"), "{error}");
    assert!(Coordinator::connect(&[agent.address], &secret(TOKEN)).await.is_ok(), "and it still serves");
    agent.stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), agent.task).await.expect("a stop ends the agent").unwrap();
}

/// An agent that knows no token, greets, and answers the coordinator's proof with `answer` made of it.
async fn impostor(answer: impl FnOnce(Greeting) -> Greeting + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let nonce = handshake::Bytes([7; 32]);
        let version = env!("CARGO_PKG_VERSION").into();
        wire::greet(&mut stream, &Greeting::Hello { kind: KIND.into(), version, nonce }).await.unwrap();
        let proof: Greeting = wire::greeted(&mut stream).await.unwrap();
        wire::greet(&mut stream, &answer(proof)).await.unwrap();
        let _ = stream.read(&mut [0]).await;
    });
    address
}

#[tokio::test]
async fn an_agent_without_the_token_is_refused_even_if_it_sends_the_proof_back() {
    let address = impostor(|proof| proof).await;
    let error = Coordinator::connect(&[address], &secret(TOKEN)).await.err().unwrap();
    assert!(matches!(error, AgentError::Connect { error: WireError::Token, .. }), "{error}");
    let address = impostor(|_| Greeting::Refused { reason: "\x1b[2J no".into() }).await;
    let error = Coordinator::connect(&[address], &secret(TOKEN)).await.err().unwrap();
    assert!(error.to_string().ends_with("refused: ·[2J no"), "{error}");
}

#[tokio::test]
async fn another_version_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let nonce = handshake::Bytes([7; 32]);
        let hello = Greeting::Hello { kind: KIND.into(), version: "99.0.0".into(), nonce };
        wire::greet(&mut stream, &hello).await.unwrap();
        let _ = stream.read(&mut [0]).await;
    });
    let error = Coordinator::connect(&[address], &secret(TOKEN)).await.err().unwrap().to_string();
    assert!(error.contains("99.0.0") && error.contains("use the same version"), "{error}");
}

#[tokio::test]
async fn what_strangers_send_ends_their_connection_only() {
    let agent = waiting(TOKEN).await;
    for bytes in [&b"\xff\xff\xff\xff"[..], b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x05{}", b"\0\0\0\x02[]", b""] {
        let mut stream = TcpStream::connect(&agent.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // It may be a reset, since not all was read.
        let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await.expect("it closes");
    }
    assert!(Coordinator::connect(&[agent.address], &secret(TOKEN)).await.is_ok());
}

#[tokio::test]
async fn frames_are_bounded_whole_unchanged_and_in_order() {
    let frame = async |messages: &[u32]| {
        let mut out = Vec::new();
        let mut sender = wire::Sender::new(&mut out, [1; 32]);
        for message in messages {
            sender.send(message).await.unwrap();
        }
        out
    };
    let receive = async |bytes: &[u8]| wire::Receiver::new(bytes, [1; 32]).receive::<u32>().await;
    let good = frame(&[7]).await;
    assert_eq!(receive(&good).await.unwrap(), 7);
    for cut in 1..good.len() {
        assert!(matches!(receive(&good[..cut]).await, Err(WireError::Truncated)), "{cut}");
    }
    assert!(matches!(receive(&[]).await, Err(WireError::Closed)));
    assert!(matches!(receive(&(FRAME_TOO_LARGE).to_be_bytes()).await, Err(WireError::TooLarge(_))));
    for at in 4..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        assert!(matches!(receive(&changed).await, Err(WireError::Forged)), "{at}");
    }
    let two = frame(&[7, 8]).await;
    assert!(matches!(receive(&two[good.len()..]).await, Err(WireError::Forged)), "a frame that was left out is missed");
    let other = wire::Receiver::new(&good[..], [2; 32]).receive::<u32>().await;
    assert!(matches!(other, Err(WireError::Forged)), "a frame of the other direction");
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_a_receiver_panic_or_believe_them(bytes in proptest::collection::vec(0..=255u8, 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut receiver = wire::Receiver::new(&bytes[..], [1; 32]);
        assert!(runtime.block_on(receiver.receive::<FromAgent>()).is_err());
        let _ = runtime.block_on(wire::greeted::<Greeting>(&mut &bytes[..]));
    }
}

const FRAME_TOO_LARGE: u32 = wire::FRAME_BYTES_MAX as u32 + 1;

#[test]
fn a_token_is_long_enough_to_be_one_and_is_not_printed() {
    assert!(Token::new(b"short").is_err());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, format!("{TOKEN}\n")).unwrap();
    let token = Token::read(&path).unwrap();
    assert_eq!(token.code("x", [b"", b""]), secret(TOKEN).code("x", [b"", b""]), "without the line's end");
    assert_ne!(token.code("x", [b"", b""]), token.code("y", [b"", b""]));
    assert!(!format!("{token:?}").contains("tests"));
}
