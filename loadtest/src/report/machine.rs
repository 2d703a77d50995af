//! The machine on which the generator ran: without it, numbers are anecdotes.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

/// What can change a number and is not in the settings. Empty or zero where the system does not say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// Logical cores that this process may use.
    pub cores: u64,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Name and release of the kernel.
    pub kernel: String,
    /// Congestion control of new TCP connections.
    pub tcp_congestion_control: String,
    /// Operating system.
    pub system: String,
}

impl Machine {
    /// This one.
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(Path::new(path)).unwrap_or_default();
        let release = read("/proc/sys/kernel/osrelease");
        Self {
            cpu: cpu(&read("/proc/cpuinfo")).unwrap_or_else(|| std::env::consts::ARCH.into()),
            cores: std::thread::available_parallelism().map_or(0, |cores| cores.get() as u64),
            memory_bytes: kibibytes(&read("/proc/meminfo"), "MemTotal:").unwrap_or(0),
            kernel: format!("{} {}", std::env::consts::OS, release.trim()).trim().into(),
            tcp_congestion_control: read("/proc/sys/net/ipv4/tcp_congestion_control").trim().into(),
            system: system(&read("/etc/os-release")).unwrap_or_default(),
        }
    }

    /// Each fact with its name, for people.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let number = |value: u64, shown: String| if value == 0 { String::new() } else { shown };
        let facts = [
            ("processor", self.cpu.clone()),
            ("cores", number(self.cores, self.cores.to_string())),
            ("memory", number(self.memory_bytes, super::numbers::bytes(self.memory_bytes))),
            ("kernel", self.kernel.clone()),
            ("TCP congestion control", self.tcp_congestion_control.clone()),
            ("system", self.system.clone()),
        ];
        facts.into_iter().filter(|(_, fact)| !fact.is_empty()).collect()
    }
}

/// Highest memory use of this process so far, in bytes; 0 where the system does not say.
pub fn peak_memory_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    kibibytes(&status, "VmHWM:").unwrap_or(0)
}

/// Seconds of processor time that this process has used.
pub fn cpu_seconds() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

fn cpu(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    let (_, model) = line.split_once(':')?;
    Some(model.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn kibibytes(table: &str, name: &str) -> Option<u64> {
    let line = table.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

fn system(os_release: &str) -> Option<String> {
    let name = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_out_of_the_kernels_tables() {
        assert_eq!(cpu("processor\t: 0\nmodel name\t: Fast  CPU @ 3 GHz\n").as_deref(), Some("Fast CPU @ 3 GHz"));
        assert_eq!(kibibytes("MemFree: 1 kB\nMemTotal:       16 kB\n", "MemTotal:"), Some(16_384));
        assert_eq!(system("ID=x\nPRETTY_NAME=\"Some Linux 12\"\n").as_deref(), Some("Some Linux 12"));
        assert_eq!((cpu(""), kibibytes("MemTotal: 99999999999999999999", "MemTotal:")), (None, None));
    }

    #[test]
    fn this_machine_has_cores_and_this_process_uses_time() {
        assert!(Machine::here().cores > 0 && cpu_seconds() > 0.0);
    }
}
