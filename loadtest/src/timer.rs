//! Waiting until an instant, to a fraction of a millisecond.
//!
//! The runtime's own timers round up to whole milliseconds, which is too coarse for what measures starts. Here one
//! kernel timer (timerfd) of nanosecond precision wakes a task that wakes who is due. One per worker thread.
#![allow(unsafe_code)] // tokio wants a promise that the timer's file stays the same

use std::{
    cell::RefCell,
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
    wakers: std::collections::HashMap<u64, Waker>,
    next: u64,
    driver: Option<Waker>,
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
        let mut due = Vec::new();
        let mut waiting = self.0.borrow_mut();
        let now = Instant::now();
        let next = loop {
            match waiting.heap.peek() {
                Some(Reverse((at, number))) if *at <= now => {
                    due.extend(waiting.wakers.get(number).cloned());
                    waiting.heap.pop();
                }
                Some(Reverse((at, number))) if waiting.wakers.contains_key(number) => break Some(*at),
                // Who waited there has gone.
                Some(_) => drop(waiting.heap.pop()),
                None => break None,
            }
        };
        waiting.driver = Some(context.waker().clone());
        drop(waiting);
        due.into_iter().for_each(Waker::wake);
        next.map_or(Poll::Pending, Poll::Ready)
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
        waiting.wakers.insert(number, context.waker().clone());
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
            self.timer.0.borrow_mut().wakers.remove(&number);
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
            assert!(timer.0.borrow().wakers.is_empty(), "nothing is kept of who has gone");
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
            assert!(timer.0.borrow().heap.len() <= 1 && timer.0.borrow().wakers.is_empty());
        });
    }

    #[test]
    fn an_instant_that_is_past_does_not_wait() {
        on_a_worker(async { Timer::default().until(Instant::now()).await });
    }
}
