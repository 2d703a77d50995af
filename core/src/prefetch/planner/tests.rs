use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const NOW: UnixSeconds = UnixSeconds(1_000);

fn listener(number: u8) -> Listener {
    Listener::Play(PlaybackId::from_random([number; 16]))
}

fn wish(who: u8, what: u8, due: u64) -> Wish {
    let path = ObjectPath::parse(&format!("/t/{what}")).expect("a plain path");
    Wish { listener: listener(who), target: Target::head(path, None), due: UnixSeconds(due) }
}

fn planner(running: usize, waiting: usize) -> Planner {
    Planner::new(Limits { running, waiting, remembered: 4 })
}

impl Planner {
    fn started(&mut self, wish: Wish) -> Job {
        match self.wish(wish, NOW, Pressure::None) {
            Verdict::Start(job) => job,
            other => panic!("should have been started: {other:?}"),
        }
    }

    fn told(&mut self, wish: Wish) -> Verdict {
        self.wish(wish, NOW, Pressure::None)
    }
}

#[test]
fn a_play_has_one_head_in_flight_and_the_latest_word_counts() {
    let mut planner = planner(8, 8);
    let job = planner.started(wish(1, 1, 1_200));
    assert_eq!(planner.told(wish(1, 1, 1_200)), Verdict::Known);
    assert_eq!(planner.told(wish(1, 2, 1_200)), Verdict::Waiting);
    assert_eq!(planner.told(wish(1, 3, 1_200)), Verdict::Waiting);
    assert_eq!(planner.running(), 1);
    let then = planner.finish(job, End::Settled, NOW, Pressure::None).expect("the later wish");
    assert_eq!(then.wish, wish(1, 3, 1_200));
    assert_eq!(planner.finish(then, End::Settled, NOW, Pressure::None), None);
    assert_eq!(planner.running(), 0);
}

#[test]
fn a_mind_changed_back_starts_nothing_more() {
    let mut planner = planner(8, 8);
    let job = planner.started(wish(1, 1, 1_200));
    planner.told(wish(1, 2, 1_200));
    planner.told(wish(1, 1, 1_200));
    assert_eq!(planner.finish(job, End::Settled, NOW, Pressure::None), None);
    assert_eq!(planner.told(wish(1, 1, 1_200)), Verdict::Known);
}

#[test]
fn what_was_fetched_is_not_fetched_again_until_it_was_due() {
    let mut planner = planner(8, 8);
    let job = planner.started(wish(1, 1, 1_200));
    planner.finish(job, End::Settled, NOW, Pressure::None);
    assert_eq!(planner.wish(wish(1, 1, 1_300), UnixSeconds(1_199), Pressure::None), Verdict::Known);
    let later = planner.wish(wish(1, 1, 1_300), UnixSeconds(1_200), Pressure::None);
    assert!(matches!(later, Verdict::Start(_)), "{later:?}");
}

#[test]
fn what_was_given_up_may_be_wished_for_again() {
    let mut planner = planner(8, 8);
    let job = planner.started(wish(1, 1, 1_200));
    planner.finish(job, End::NotNow, NOW, Pressure::High);
    planner.started(wish(1, 1, 1_200));
}

#[test]
fn whoever_is_due_first_goes_first_and_whoever_is_due_last_gives_way() {
    let mut planner = planner(1, 2);
    let job = planner.started(wish(1, 1, 1_200));
    assert_eq!(planner.told(wish(2, 2, 1_900)), Verdict::Waiting);
    assert_eq!(planner.told(wish(3, 3, 1_300)), Verdict::Waiting);
    assert_eq!(planner.told(wish(4, 4, 1_950)), Verdict::Dropped(Dropped::Full));
    assert_eq!(planner.told(wish(5, 5, 1_250)), Verdict::Waiting);
    let job = planner.finish(job, End::Settled, NOW, Pressure::None).unwrap();
    assert_eq!(job.wish, wish(5, 5, 1_250));
    let job = planner.finish(job, End::Settled, NOW, Pressure::None).unwrap();
    assert_eq!(job.wish, wish(3, 3, 1_300));
    assert_eq!(planner.finish(job, End::Settled, NOW, Pressure::None), None);
    assert_eq!(planner.drops(), Drops { full: 2, ..Drops::default() });
}

#[test]
fn under_pressure_nothing_starts_and_the_queue_is_let_go() {
    let mut planner = planner(1, 8);
    let job = planner.started(wish(1, 1, 1_200));
    planner.told(wish(2, 2, 1_200));
    planner.told(wish(3, 3, 1_200));
    assert_eq!(planner.wish(wish(4, 4, 1_200), NOW, Pressure::High), Verdict::Dropped(Dropped::Pressure));
    assert_eq!(planner.finish(job, End::NotNow, NOW, Pressure::High), None);
    assert_eq!((planner.running(), planner.waiting()), (0, 0));
    assert_eq!(planner.drops().pressure, 3);
}

#[test]
fn what_is_due_already_is_too_late() {
    let mut planner = planner(1, 8);
    assert_eq!(planner.told(wish(1, 1, NOW.0)), Verdict::Dropped(Dropped::Late));
    let job = planner.started(wish(1, 1, 1_200));
    planner.told(wish(2, 2, 1_100));
    assert_eq!(planner.finish(job, End::Settled, UnixSeconds(1_100), Pressure::None), None);
    assert_eq!(planner.drops().late, 2);
}

#[derive(Debug, Clone)]
enum Op {
    Wish(u8, u8, u64),
    Finish(usize, bool),
    Later(u64),
    Pressure(bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0u8..12, 0u8..6, 0u64..40).prop_map(|(who, what, left)| Op::Wish(who, what, left)),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(which, settled)| Op::Finish(which, settled)),
        1 => (0u64..20).prop_map(Op::Later),
        1 => any::<bool>().prop_map(Op::Pressure),
    ]
}

proptest! {
    /// Whatever listeners wish and whenever jobs end: one head at a time for each, all bounds
    /// kept, nothing started late or under pressure, nothing left over when all is done.
    #[test]
    fn the_bounds_hold(ops in proptest::collection::vec(op(), 0..200)) {
        let limits = Limits { running: 3, waiting: 4, remembered: 4 };
        let mut planner = Planner::new(limits);
        let mut jobs: Vec<Job> = Vec::new();
        let (mut now, mut pressure) = (NOW, Pressure::None);
        for op in ops {
            let started = match op {
                Op::Wish(who, what, left) => match planner.wish(wish(who, what, now.0 + left), now, pressure) {
                    Verdict::Start(job) => Some(job),
                    _ => None,
                },
                Op::Finish(..) if jobs.is_empty() => None,
                Op::Finish(which, settled) => {
                    let job = jobs.swap_remove(which % jobs.len());
                    let end = if settled { End::Settled } else { End::NotNow };
                    planner.finish(job, end, now, pressure)
                }
                Op::Later(seconds) => {
                    now = now.plus(seconds);
                    None
                }
                Op::Pressure(high) => {
                    pressure = if high { Pressure::High } else { Pressure::None };
                    None
                }
            };
            if let Some(job) = started {
                prop_assert_eq!(pressure, Pressure::None);
                prop_assert!(job.wish.due > now);
                jobs.push(job);
            }
            let listeners: HashSet<_> = jobs.iter().map(|job| job.wish.listener.clone()).collect();
            prop_assert_eq!(listeners.len(), jobs.len());
            prop_assert_eq!(planner.running(), jobs.len());
            prop_assert!(jobs.len() <= limits.running);
            prop_assert!(planner.waiting() <= limits.waiting);
            prop_assert!(planner.fetched.len() <= limits.remembered);
            prop_assert_eq!(planner.known.len(), jobs.len() + planner.waiting() + planner.fetched.len());
        }
        while let Some(job) = jobs.pop() {
            jobs.extend(planner.finish(job, End::Settled, now, Pressure::None));
        }
        prop_assert_eq!((planner.running(), planner.waiting()), (0, 0));
    }
}
