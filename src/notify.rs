//! Telling the service manager how we are (sd_notify(3)): ready, reloading, stopping, alive.
//!
//! Text in datagrams to the socket that `NOTIFY_SOCKET` names; without it nothing is said. What cannot be said is not
//! worth failing for.

use std::{
    env,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    process,
    sync::Arc,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// The line to the service manager. Clones are of the same.
#[derive(Clone, Default)]
pub struct Notify(Option<Arc<(UnixDatagram, SocketAddr)>>);

impl Notify {
    /// The one that started us, if it wants to hear of us.
    pub fn from_env() -> Self {
        let open = |path: String| {
            let address = match path.strip_prefix('@') {
                Some(name) => SocketAddr::from_abstract_name(name),
                None => SocketAddr::from_pathname(path),
            };
            Some(Arc::new((UnixDatagram::unbound().ok()?, address.ok()?)))
        };
        Self(env::var("NOTIFY_SOCKET").ok().and_then(open))
    }

    /// Requests are answered from here on, by this process (after a take-over it is another one than before).
    pub fn ready(&self) {
        self.say(&format!("READY=1\nMAINPID={}", process::id()));
    }

    /// Certificates, keys and secrets are read again; [`Notify::ready`] follows.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// No new connections from here on.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// Says that we are alive, twice in the time after which the manager would doubt it, until dropped. Runs on the
    /// reactor, so that one that hangs is noticed.
    pub async fn keep_alive(self) {
        let Some(every) = watchdog() else { return };
        loop {
            self.say("WATCHDOG=1");
            tokio::time::sleep(every / 2).await;
        }
    }

    fn say(&self, text: &str) {
        let Some((socket, address)) = self.0.as_deref() else { return };
        if let Err(error) = socket.send_to_addr(text.as_bytes(), address) {
            tracing::debug!(%error, text, "the service manager does not listen");
        }
    }
}

/// The watchdog's time, if it watches this process.
fn watchdog() -> Option<Duration> {
    let number = |name| env::var(name).ok()?.parse::<u64>().ok();
    let is_for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(process::id()));
    number("WATCHDOG_USEC").filter(|micros| is_for_us && *micros > 0).map(Duration::from_micros)
}
