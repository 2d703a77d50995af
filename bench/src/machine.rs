//! What the kernel says of processes: processor time and memory.

use std::{fs, io, process::Command};

/// Clock ticks of `/proc/*/stat` a second: 100 on every Linux that has a stable interface.
const TICKS: f64 = 100.0;

/// Processor seconds, user and system, of a process and its children that still live.
pub fn cpu_seconds(pid: u32) -> io::Result<f64> {
    let mut ticks = 0;
    for pid in family(pid)? {
        let Some(stat) = read_if_there(&format!("/proc/{pid}/stat"))? else { continue };
        // The name in brackets may hold spaces; fields 14 and 15 are counted behind it.
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        ticks += fields.get(11..13).into_iter().flatten().filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
    }
    Ok(ticks as f64 / TICKS)
}

/// Bytes that a process and its children hold besides pages of mapped files, shared memory counted once.
pub fn memory_bytes(pid: u32) -> io::Result<u64> {
    let mut total = 0;
    for pid in family(pid)? {
        let Some(rollup) = read_if_there(&format!("/proc/{pid}/smaps_rollup"))? else { continue };
        let kib = |name: &str| {
            let line = rollup.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0)
        };
        total += (kib("Pss_Anon:") + kib("Pss_Shmem:")) * 1_024;
    }
    Ok(total)
}

/// Bytes of all TCP sockets' buffers on this machine.
pub fn kernel_socket_bytes() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/net/sockstat")?;
    let tcp = text.lines().find(|line| line.starts_with("TCP:")).unwrap_or("");
    let pages = tcp.split_whitespace().skip_while(|word| *word != "mem").nth(1);
    Ok(pages.and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096)
}

/// This process runs on one core from now on, with all threads it will start.
pub fn stay_on_core(core: u32) -> io::Result<()> {
    let own = std::process::id().to_string();
    let status =
        Command::new("taskset").args(["-cp", &core.to_string(), &own]).stdout(std::process::Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("taskset refused; two cores are needed")) }
}

/// Two thousand listeners are two thousand files on each side.
pub fn raise_file_limit() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(())
}

/// A process and all below it.
fn family(pid: u32) -> io::Result<Vec<u32>> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        next += 1;
        let tasks = match fs::read_dir(format!("/proc/{parent}/task")) {
            Err(error) if is_gone(&error) && parent != pid => continue,
            tasks => tasks?,
        };
        for task in tasks {
            // A thread may end between the listing and this.
            let children = read_if_there(&task?.path().join("children").to_string_lossy())?.unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    Ok(found)
}

/// A process that ended between the listing and the look has nothing to tell.
fn read_if_there(path: &str) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// ENOENT, or ESRCH from a file of a process that ended while it was read.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_time() {
        let pid = std::process::id();
        assert!(memory_bytes(pid).unwrap() > 100_000);
        assert!(cpu_seconds(pid).unwrap() >= 0.0);
    }

    #[test]
    fn children_belong_to_the_family() {
        let mut child = Command::new("sleep").arg("5").spawn().unwrap();
        assert!(family(std::process::id()).unwrap().contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
