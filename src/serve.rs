//! Running until told to stop: the runtime, the signals, the drain.

use std::{process::ExitCode, sync::Arc, time::Duration};

use needledrop_http::{Drained, Running};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Runs a role on a runtime of all cores.
pub fn block_on<F>(role: F) -> Result<ExitCode, String>
where
    F: Future<Output = Result<ExitCode, String>>,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start the runtime: {error}"))?;
    let code = runtime.block_on(role);
    // What still runs on the blocking pool (a write into the cache) is not worth waiting for.
    runtime.shutdown_timeout(Duration::from_millis(200));
    code
}

/// Ctrl-C and SIGTERM. Watched from before the doors open: whoever could connect can also stop us in order.
pub struct Stops {
    interrupt: Signal,
    terminate: Signal,
}

impl Stops {
    /// From now on neither ends the process by itself. Must run inside a runtime.
    pub fn watch() -> Result<Self, String> {
        let watch = |kind, name| signal(kind).map_err(|error| format!("cannot watch for {name}: {error}"));
        Ok(Self {
            interrupt: watch(SignalKind::interrupt(), "Ctrl-C")?,
            terminate: watch(SignalKind::terminate(), "SIGTERM")?,
        })
    }

    /// Waits for one of them, or finds that it has come.
    pub async fn come(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Stops accepting, lets running answers finish for `deadline`, resets the rest. A second
/// Ctrl-C does not wait.
pub async fn drain(doors: Vec<Running>, deadline: Duration) {
    let draining = async {
        let mut broken_off = 0;
        for running in doors {
            if let Drained::BrokenOff(count) = running.drain(deadline).await {
                broken_off += count;
            }
        }
        broken_off
    };
    tokio::select! {
        broken_off = draining => {
            if broken_off > 0 {
                tracing::info!(broken_off, "connections that were still busy were reset");
            }
        }
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// Does `reload` on every SIGHUP until dropped.
pub async fn on_hangup(reload: Arc<dyn Fn() + Send + Sync>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        let reload = reload.clone();
        let _ = tokio::task::spawn_blocking(move || reload()).await;
    }
}
