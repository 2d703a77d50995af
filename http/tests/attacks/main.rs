//! Strangers who mean harm, and what honest listeners notice of it.
//!
//! Each attack runs against doors in a process of their own, with the deadlines of the real limits made short enough
//! for a test, and every other limit as it is. Attackers come from 127.66.0.0/16, honest clients from 127.0.0.1. Judged
//! are: what the attack is about (the attacker is cut, or bounded), the memory of the doors' process (below 64 MiB more
//! than before), and the honest clients: all of their requests succeed, and their p99 stays within twice its idle value,
//! or 10 ms more where that is so short that the two cores which attackers, honest clients and doors share decide it.

#![expect(clippy::print_stdout, reason = "the numbers of a test, and the words between two processes")]

#[path = "../world/mod.rs"]
mod world;

mod doors;
mod h1;
mod h2;
mod honest;
mod quic;
mod tls;

use std::future::Future;
use std::time::Duration;

use doors::DoorsProcess;
use honest::Honest;

/// Growth of the doors' memory that an attack may cause. Unit: bytes.
const MEMORY_MAX: u64 = 64 << 20;
/// How long honest clients are watched, idle and under attack, and how often at most: other programs' work may fall
/// into one watch, an attack that hurts hurts in all.
const WATCH: Duration = Duration::from_millis(700);
const ATTEMPTS: usize = 6;
/// What a busy machine adds to a request for no reason.
const NOISE: Duration = Duration::from_millis(10);

/// Attacks run one after the other: each needs the machine for itself.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Runs `attack` until honest clients have been watched, and gives the doors for a look at their counters.
///
/// `attack` gets the doors and goes on attacking until it is dropped; what it returns earlier must be never.
async fn withstand<F: Future<Output = ()>>(name: &str, attack: impl Fn(DoorsProcess) -> F) -> DoorsProcess {
    let _turn = ONE_AT_A_TIME.lock().await;
    let doors = DoorsProcess::start();
    let mut honest = Honest::connect(&doors).await;
    honest.watch(Duration::from_millis(200)).await;
    let before = doors.memory_bytes();
    let mut worst_memory = 0;
    let mut told = Vec::new();
    for _ in 0..ATTEMPTS {
        let idle = honest.watch(WATCH).await;
        let attacked = async {
            // The attack is well under way.
            tokio::time::sleep(Duration::from_millis(100)).await;
            let seen = honest.watch(WATCH).await;
            worst_memory = worst_memory.max(doors.memory_bytes().saturating_sub(before));
            seen
        };
        let attacked = tokio::select! {
            attacked = attacked => attacked,
            () = attack(doors.clone()) => panic!("{name}: the attack ended by itself"),
        };
        let bound = (idle.p99 * 2).max(idle.p99 + NOISE);
        told.push(format!("idle {:?} ({}), attacked {:?} ({})", idle.p99, idle.count, attacked.p99, attacked.count));
        assert_eq!((idle.failed, attacked.failed), (0, 0), "{name}: honest requests failed; {told:?}");
        assert!(worst_memory < MEMORY_MAX, "{name}: {} KiB more memory", worst_memory >> 10);
        if attacked.p99 <= bound {
            println!("{name}: p99 {}; memory +{} KiB", told.join("; "), worst_memory >> 10);
            return doors;
        }
    }
    panic!("{name}: honest clients wait: {}", told.join("; "));
}

/// Not a test: the doors that the others attack, in a process of their own.
#[test]
#[ignore = "started by the others"]
fn doors_for_the_others() {
    doors::serve_if_asked();
}
