//! Running until told to stop: the runtime, the signals, the drain.

use std::{process::ExitCode, sync::Arc, time::Duration};

use needledrop_http::{Drained, Running};
use tokio::signal::unix::{SignalKind, signal};

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

/// Waits for Ctrl-C or SIGTERM.
pub async fn until_stopped() -> Result<(), String> {
    let mut term = signal(SignalKind::terminate()).map_err(|error| format!("cannot watch for SIGTERM: {error}"))?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.map_err(|error| format!("cannot watch for Ctrl-C: {error}")),
        _ = term.recv() => Ok(()),
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
