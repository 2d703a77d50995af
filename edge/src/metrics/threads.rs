//! Major page faults of the threads that answer requests: each is a reactor that waited for a disk.
//!
//! A runtime does not say which of its threads are reactors, so a thread is known as one from the
//! first request it answers on. Where there is no `/proc`, nothing is counted.

use std::{cell::Cell, collections::HashMap, path::PathBuf, sync::Mutex};

thread_local! {
    static KNOWN: Cell<bool> = const { Cell::new(false) };
}

/// Reactors seen so far, with the faults each had before its first request (starting up may fault).
static REACTORS: Mutex<Option<HashMap<PathBuf, u64>>> = Mutex::new(None);

/// Marks the calling thread as a reactor. After the first time this costs a look at a thread-local.
pub fn mark_reactor() {
    if KNOWN.replace(true) {
        return;
    }
    // Resolving this link reads kernel memory, no disk.
    let Ok(thread) = std::fs::read_link("/proc/thread-self") else { return };
    let thread = PathBuf::from("/proc").join(thread);
    let before = faults_of(&thread).unwrap_or(0);
    lock().get_or_insert_default().insert(thread, before);
}

/// Major faults of all reactors since their first request. Reads `/proc`.
pub fn reactor_major_faults() -> u64 {
    let reactors = lock().clone().unwrap_or_default();
    reactors.iter().map(|(thread, before)| faults_of(thread).map_or(0, |now| now.saturating_sub(*before))).sum()
}

fn lock() -> std::sync::MutexGuard<'static, Option<HashMap<PathBuf, u64>>> {
    REACTORS.lock().expect("no code panics while holding the list of reactors")
}

/// The field `majflt` of a thread's `stat` (proc(5)): the tenth after the name in parentheses.
fn faults_of(thread: &std::path::Path) -> Option<u64> {
    let stat = std::fs::read_to_string(thread.join("stat")).ok()?;
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(9)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_marked_thread_is_counted_from_its_mark_on() {
        mark_reactor();
        let thread = PathBuf::from("/proc").join(std::fs::read_link("/proc/thread-self").unwrap());
        assert!(lock().as_ref().unwrap().contains_key(&thread));
        assert!(faults_of(&thread).is_some());
    }
}
