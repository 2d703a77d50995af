//! Waiting until an instant, to a fraction of a millisecond, and going first when it has come.
//!
//! The runtime's own timers round up to whole milliseconds, which is too coarse for what measures starts. Here one
//! kernel timer (timerfd) of nanosecond precision wakes a task that wakes who is due. One per worker thread.
//!
//! The runtime's queue knows no hurry: who is due would stand behind everybody who has something to read. So the tasks
//! of a worker run as [`Turn`]s, and a turn that is not due is put off while somebody is.
#![allow(unsafe_code)] // tokio wants a promise that the timer's file stays the same

use std::{
    cell::{Cell, RefCell},
    cmp::Reverse,
    collections::BinaryHeap,
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

/// Who waits, by instant and then by the order in which they began to wait.
#[derive(Default)]
struct Waiting {
    heap: BinaryHeap<Reverse<(Instant, u64)>>,
    sleepers: std::collections::HashMap<u64, Sleeper>,
    next: u64,
    driver: Option<Waker>,
    /// Whose turn it is.
    running: Option<Rc<Cell<bool>>>,
    /// How many turns are due and have not been taken.
    due: usize,
}

struct Sleeper {
    waker: Waker,
    /// Whether the turn that waits is due; none outside of turns.
    is_due: Option<Rc<Cell<bool>>>,
}

/// A handle; clones wait on the same kernel timer. Not for other threads.
#[derive(Clone, Default)]
pub struct Timer(Rc<RefCell<Waiting>>);

impl Timer {
    /// Becomes ready at that instant, or at once if it is past.
    pub fn until(&self, at: Instant) -> Until {
        Until { timer: self.clone(), at, number: None }
    }

    /// Becomes ready after that time.
    pub fn after(&self, time: Duration) -> Until {
        self.until(Instant::now() + time)
    }

    /// A task that goes first when an instant comes that it waits for, and lets others go first when theirs does. Its
    /// first turn is due at once.
    pub fn turn<F: Future>(&self, task: F) -> Turn<F> {
        self.0.borrow_mut().due += 1;
        Turn { timer: self.clone(), is_due: Rc::new(Cell::new(true)), task: Box::pin(task) }
    }

    /// Wakes those who are due, for ever: the worker runs it beside its listeners.
    ///
    /// # Errors
    /// The kernel gives no timer, or reading it fails.
    #[cfg(target_os = "linux")]
    pub async fn drive(self) -> io::Result<()> {
        use std::os::fd::OwnedFd;

        use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
        use tokio::io::{Interest, unix::AsyncFd};

        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd: OwnedFd = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: an OwnedFd is open until it is dropped, and always names the same file.
        let fd = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }?;
        loop {
            let due = std::future::poll_fn(|context| self.wake_due(context)).await;
            let wait = due.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
            let value = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
            let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
            rustix::time::timerfd_settime(&fd, TimerfdTimerFlags::empty(), &once)?;
            // Either the kernel's timer fires, or somebody with an earlier instant comes.
            std::future::poll_fn(|context| {
                if self.earlier_than(due, context) {
                    return Poll::Ready(Ok(()));
                }
                match fd.poll_read_ready(context) {
                    Poll::Ready(Ok(mut ready)) => {
                        let mut count = [0; 8];
                        match rustix::io::read(&fd, &mut count) {
                            Ok(_) => Poll::Ready(Ok(())),
                            Err(rustix::io::Errno::AGAIN) => {
                                ready.clear_ready();
                                context.waker().wake_by_ref();
                                Poll::Pending
                            }
                            Err(error) => Poll::Ready(Err(io::Error::from(error))),
                        }
                    }
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await?;
        }
    }

    /// Wakes those who are due, for ever, to the runtime's millisecond: there is no timerfd here.
    ///
    /// # Errors
    /// None on these systems.
    #[cfg(not(target_os = "linux"))]
    pub async fn drive(self) -> io::Result<()> {
        loop {
            let due = std::future::poll_fn(|context| self.wake_due(context)).await;
            let mut sleep = std::pin::pin!(tokio::time::sleep_until(due.into()));
            std::future::poll_fn(|context| {
                if self.earlier_than(due, context) { Poll::Ready(()) } else { sleep.as_mut().poll(context) }
            })
            .await;
        }
    }

    /// Wakes who is due; the next instant if anybody is left, else waits for somebody.
    fn wake_due(&self, context: &Context<'_>) -> Poll<Instant> {
        let next = self.wake_due_at(Instant::now());
        self.0.borrow_mut().driver = Some(context.waker().clone());
        next.map_or(Poll::Pending, Poll::Ready)
    }

    /// Wakes who is due; the next instant if anybody is left.
    fn wake_due_at(&self, now: Instant) -> Option<Instant> {
        let mut due = Vec::new();
        let mut waiting = self.0.borrow_mut();
        let next = loop {
            let Some(Reverse((at, number))) = waiting.heap.peek().copied() else { break None };
            if at > now && waiting.sleepers.contains_key(&number) {
                break Some(at);
            }
            // Either due, or who waited there has gone.
            waiting.heap.pop();
            let Some(sleeper) = waiting.sleepers.get(&number) else { continue };
            let is_due_newly = sleeper.is_due.as_ref().is_some_and(|is_due| !is_due.replace(true));
            due.push(sleeper.waker.clone());
            waiting.due += usize::from(is_due_newly);
        };
        drop(waiting);
        due.into_iter().for_each(Waker::wake);
        next
    }

    fn earlier_than(&self, due: Instant, context: &Context<'_>) -> bool {
        let mut waiting = self.0.borrow_mut();
        waiting.driver = Some(context.waker().clone());
        waiting.heap.peek().is_some_and(|Reverse((at, _))| *at < due)
    }
}

/// See [`Timer::until`].
pub struct Until {
    timer: Timer,
    at: Instant,
    number: Option<u64>,
}

impl Future for Until {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.at {
            return Poll::Ready(());
        }
        let this = &mut *self;
        let mut waiting = this.timer.0.borrow_mut();
        let number = *this.number.get_or_insert_with(|| {
            waiting.next += 1;
            let number = waiting.next;
            waiting.heap.push(Reverse((this.at, number)));
            number
        });
        let sleeper = Sleeper { waker: context.waker().clone(), is_due: waiting.running.clone() };
        waiting.sleepers.insert(number, sleeper);
        let is_first = waiting.heap.peek().is_some_and(|Reverse((_, first))| *first == number);
        if let Some(driver) = waiting.driver.as_ref().filter(|_| is_first) {
            driver.wake_by_ref();
        }
        Poll::Pending
    }
}

impl Drop for Until {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.timer.0.borrow_mut().sleepers.remove(&number);
        }
    }
}

/// See [`Timer::turn`].
pub struct Turn<F> {
    timer: Timer,
    is_due: Rc<Cell<bool>>,
    task: Pin<Box<F>>,
}

impl<F: Future> Future for Turn<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // The driver stands in the same queue: it would see late who has become due.
        self.timer.wake_due_at(Instant::now());
        let mut waiting = self.timer.0.borrow_mut();
        if self.is_due.take() {
            waiting.due -= 1;
        } else if waiting.due > 0 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        waiting.running = Some(self.is_due.clone());
        drop(waiting);
        let ended = self.task.as_mut().poll(context);
        self.timer.0.borrow_mut().running = None;
        ended
    }
}

impl<F> Drop for Turn<F> {
    fn drop(&mut self) {
        if self.is_due.take() {
            self.timer.0.borrow_mut().due -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_a_worker<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, future)
    }

    #[test]
    fn many_wait_and_all_wake_in_order() {
        on_a_worker(async {
            let timer = Timer::default();
            tokio::task::spawn_local(timer.clone().drive());
            let woken = Rc::new(RefCell::new(Vec::new()));
            let start = Instant::now();
            let tasks: Vec<_> = (0..200u64)
                .map(|number| {
                    let (timer, woken) = (timer.clone(), woken.clone());
                    // Later ones begin to wait first.
                    let at = start + Duration::from_micros(60_000 - number * 250);
                    tokio::task::spawn_local(async move {
                        timer.until(at).await;
                        assert!(Instant::now() >= at);
                        woken.borrow_mut().push(at);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            assert!(woken.borrow().is_sorted());
            assert!(timer.0.borrow().sleepers.is_empty(), "nothing is kept of who has gone");
        });
    }

    #[test]
    fn who_stops_waiting_is_forgotten_and_the_rest_still_wake() {
        on_a_worker(async {
            let timer = Timer::default();
            tokio::task::spawn_local(timer.clone().drive());
            for _ in 0..10 {
                let early = timer.after(Duration::from_millis(2));
                let _ = tokio::time::timeout(Duration::from_millis(1), early).await;
            }
            timer.after(Duration::from_millis(5)).await;
            // Its own instant may still stand there: the driver sweeps when it runs next.
            assert!(timer.0.borrow().heap.len() <= 1 && timer.0.borrow().sleepers.is_empty());
        });
    }

    #[test]
    fn who_is_due_goes_before_those_who_only_have_much_to_do() {
        on_a_worker(async {
            let timer = Timer::default();
            tokio::task::spawn_local(timer.clone().drive());
            let over = Rc::new(Cell::new(false));
            // Fifty that work for 100 µs whenever they may: a round of them takes 5 ms.
            for _ in 0..50 {
                let over = over.clone();
                tokio::task::spawn_local(timer.turn(async move {
                    while !over.get() {
                        let began = Instant::now();
                        while began.elapsed() < Duration::from_micros(100) {}
                        tokio::task::yield_now().await;
                    }
                }));
            }
            let waiter = timer.clone();
            let late = timer.turn(async move {
                let mut late = Vec::new();
                for _ in 0..20 {
                    let at = Instant::now() + Duration::from_millis(7);
                    waiter.until(at).await;
                    late.push(at.elapsed());
                }
                late.sort();
                late[late.len() / 2]
            });
            let late = tokio::task::spawn_local(late).await.unwrap();
            over.set(true);
            assert!(late < Duration::from_millis(1), "{late:?}");
        });
    }

    #[test]
    fn a_turn_that_ends_or_goes_while_due_holds_up_nobody() {
        on_a_worker(async {
            let timer = Timer::default();
            let (gone, waits) = (timer.turn(std::future::pending::<()>()), timer.clone());
            drop(gone);
            assert_eq!(timer.0.borrow().due, 0);
            tokio::task::spawn_local(timer.clone().drive());
            let mut waiting = Box::pin(timer.turn(async move { waits.after(Duration::from_millis(1)).await }));
            std::future::poll_fn(|context| {
                assert!(waiting.as_mut().poll(context).is_pending());
                Poll::Ready(())
            })
            .await;
            std::thread::sleep(Duration::from_millis(2));
            timer.wake_due_at(Instant::now());
            assert_eq!(timer.0.borrow().due, 1, "its instant came");
            drop(waiting);
            timer.turn(async {}).await;
            assert_eq!(timer.0.borrow().due, 0);
        });
    }

    #[test]
    fn an_instant_that_is_past_does_not_wait() {
        on_a_worker(async { Timer::default().until(Instant::now()).await });
    }
}
