//! Runs one program with a time limit, and ends everything it started when the limit is reached.
//!
//! Children stay in our process group, so that Ctrl-C in a terminal reaches them too.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// A program to run.
pub struct Job {
    command: Command,
    shown: String,
    limit: Duration,
}

impl Job {
    pub fn new(program: impl AsRef<Path>, args: &[&str]) -> Self {
        let program = program.as_ref();
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null());
        let shown = format!("{} {}", program.display(), args.join(" "));
        Self { command, shown, limit: Duration::from_secs(600) }
    }

    pub fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.shown = format!("{} {}", self.shown, arg.as_ref().to_string_lossy());
        self.command.arg(arg);
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    pub fn minutes(mut self, minutes: u64) -> Self {
        self.limit = Duration::from_secs(60 * minutes);
        self
    }

    /// Runs with output to the terminal.
    pub fn run(mut self) -> Result<(), String> {
        println!("$ {}", self.shown);
        let child = self.command.spawn().map_err(|e| self.unstarted(&e))?;
        self.wait(child)
    }

    /// Runs and shows every line of standard output to `each` after printing it.
    pub fn run_lines(mut self, mut each: impl FnMut(&str)) -> Result<(), String> {
        println!("$ {}", self.shown);
        self.command.stdout(Stdio::piped());
        let mut child = self.command.spawn().map_err(|e| self.unstarted(&e))?;
        let stdout = child.stdout.take().expect("standard output was asked for as a pipe");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                println!("{line}");
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let outcome = self.wait(child);
        // A grandchild that outlives its parent could hold the pipe: do not wait for it for ever.
        while let Ok(line) = lines.recv_timeout(Duration::from_secs(5)) {
            each(&line);
        }
        outcome
    }

    /// Runs with all output into a file, whose end is part of the error if there is one.
    pub fn run_logged(mut self, log: &Path) -> Result<(), String> {
        println!("$ {} > {}", self.shown, log.display());
        let told = |e: std::io::Error| format!("{}: {e}", log.display());
        let file = std::fs::File::create(log).map_err(told)?;
        self.command.stdout(file.try_clone().map_err(told)?).stderr(file);
        let child = self.command.spawn().map_err(|e| self.unstarted(&e))?;
        self.wait(child).map_err(|why| {
            let text = std::fs::read(log).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            format!("{why}\n{}", lines[lines.len().saturating_sub(25)..].join("\n"))
        })
    }

    /// Runs silently and gives standard output.
    pub fn output(mut self) -> Result<String, String> {
        let out = self.command.output().map_err(|e| self.unstarted(&e))?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        if out.status.success() {
            return Ok(text);
        }
        Err(format!("{} ended with {}: {}", self.shown, out.status, String::from_utf8_lossy(&out.stderr).trim()))
    }

    /// The error of a start names what is missing: the system says only "no such file", of the program or of the folder.
    fn unstarted(&self, why: &std::io::Error) -> String {
        match self.command.get_current_dir() {
            Some(dir) if !dir.is_dir() => format!("{}: the folder {} does not exist", self.shown, dir.display()),
            _ => format!("{}: {why}", self.shown),
        }
    }

    fn wait(&self, mut child: Child) -> Result<(), String> {
        let id = child.id();
        let done = Arc::new(AtomicBool::new(false));
        let (limit, watched) = (self.limit, Arc::clone(&done));
        let watch = thread::spawn(move || {
            let end = Instant::now() + limit;
            while Instant::now() < end {
                if watched.load(Ordering::Relaxed) {
                    return false;
                }
                thread::sleep(Duration::from_millis(50));
            }
            end_tree(id);
            true
        });
        let status = child.wait().map_err(|e| format!("{}: {e}", self.shown))?;
        done.store(true, Ordering::Relaxed);
        if watch.join().unwrap_or(false) {
            return Err(format!("`{}` ran into its limit of {} min", self.shown, limit.as_secs() / 60));
        }
        if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", self.shown)) }
    }
}

/// Kills a process and all that descend from it.
fn end_tree(root: u32) {
    let mut ids = vec![root];
    let parents = parents();
    let mut at = 0;
    while at < ids.len() {
        let above = ids[at];
        ids.extend(parents.iter().filter(|(_, parent)| *parent == above).map(|(id, _)| *id));
        at += 1;
    }
    let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
    let _ = Command::new("kill").arg("-KILL").args(ids).status();
}

/// Every process and its parent, from `ps`, which Linux and macOS both have.
fn parents() -> Vec<(u32, u32)> {
    let Ok(out) = Command::new("ps").args(["-A", "-o", "pid=,ppid="]).output() else {
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let pair = |line: &str| {
        let mut words = line.split_whitespace().map(|w| w.parse().ok());
        Some((words.next()??, words.next()??))
    };
    text.lines().filter_map(pair).collect()
}
