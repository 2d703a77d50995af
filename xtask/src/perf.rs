//! Does ingest keep its pace? CPU time of six renditions per track, ours beside ffmpeg's, printed and held to a floor.
//! The check asks beside it whether a request keeps its price, see [`instructions`].

pub mod instructions;

use crate::job::Job;
use crate::tally::Tally;
use crate::tools;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// Seconds of music per second of one core, for the six renditions together, in a release build.
const FLOOR: f64 = 15.0;
/// The share of ffmpeg's CPU time that ours may be. A third was measured in both profiles; twice
/// that means that something was lost. A ratio in one run, so that a slow machine does not matter.
const FFMPEG_SHARE_MAX: f64 = 0.66;
/// Tracks that the check takes; the bench takes all.
const CHECK_TRACKS: usize = 3;
const MUSIC: &str = "/usr/share/games/wesnoth/1.16/data/core/music";

/// Which build is measured.
#[derive(Clone, Copy, PartialEq)]
enum Profile {
    /// The one the tests use anyway: its codecs are fully optimised.
    Dev,
    Release,
}

pub fn check(tally: &mut Tally, args: &[String]) {
    if args.iter().any(|arg| arg == instructions::RENEW) {
        if build(tally, Profile::Dev) {
            instructions::check(tally, true);
        }
        return;
    }
    let tracks = args.first().and_then(|n| n.parse().ok()).unwrap_or(CHECK_TRACKS);
    if measure(tally, tracks, Profile::Dev) {
        instructions::check(tally, false);
    }
}

pub fn bench(tally: &mut Tally, _: &[String]) {
    measure(tally, usize::MAX, Profile::Release);
}

/// Gives whether there is a build.
fn measure(tally: &mut Tally, tracks: usize, profile: Profile) -> bool {
    let built = build(tally, profile);
    if built {
        tally.step("perf: ingest", || ingest(tracks, profile));
    }
    built
}

fn build(tally: &mut Tally, profile: Profile) -> bool {
    tally.step("perf: tools", tools::ensure);
    tally.step("perf: build", || {
        let args: &[&str] = match profile {
            // What the tests have built already.
            Profile::Dev => &["build", "--quiet", "--workspace", "--all-targets"],
            Profile::Release => &["build", "--quiet", "--release", "--package", "needledrop", "--bin", "needledrop"],
        };
        Job::new("cargo", args).dir(&tools::root()).minutes(40).run()
    })
}

/// Wall and CPU seconds of one run.
struct Cost {
    wall_s: f64,
    cpu_s: f64,
}

fn ingest(tracks: usize, profile: Profile) -> Result<(), String> {
    let folder = if profile == Profile::Release { "release" } else { "debug" };
    let files = music(tracks)?;
    let music_s = files.iter().map(|f| seconds_of(f)).sum::<Result<f64, String>>()?;
    let work = tools::scratch().join("perf");
    let _ = std::fs::remove_dir_all(&work);
    std::fs::create_dir_all(work.join("ffmpeg")).map_err(|e| format!("{}: {e}", work.display()))?;

    let ours = cost(|| {
        let mut job =
            Job::new(tools::target().join(folder).join("needledrop"), &["ingest", "--data"]).arg(work.join("data"));
        for file in &files {
            job = job.arg(file);
        }
        job.minutes(60).run()
    })?;
    let theirs = cost(|| on_all_cores(&files, &work.join("ffmpeg")))?;
    let _ = std::fs::remove_dir_all(&work);

    println!("\n{} tracks, {music_s:.0} s of music, six renditions each", files.len());
    println!("{:12} {:>10} {:>10} {:>22}", "", "wall s", "CPU s", "x real time per core");
    for (name, c) in [("needledrop", &ours), ("ffmpeg", &theirs)] {
        println!("{name:12} {:10.1} {:10.1} {:22.1}", c.wall_s, c.cpu_s, music_s / c.cpu_s);
    }
    if profile == Profile::Release && music_s / ours.cpu_s < FLOOR {
        return Err(format!("ingest runs at {:.1}x real time per core, below {FLOOR}", music_s / ours.cpu_s));
    }
    let share = ours.cpu_s / theirs.cpu_s;
    if share > FFMPEG_SHARE_MAX {
        return Err(format!("ingest needs {share:.2} of ffmpeg's CPU time, more than {FFMPEG_SHARE_MAX}"));
    }
    println!("ingest needs {share:.2} of ffmpeg's CPU time");
    Ok(())
}

fn music(tracks: usize) -> Result<Vec<PathBuf>, String> {
    let entries = std::fs::read_dir(MUSIC).map_err(|e| format!("{MUSIC}: {e}"))?;
    let mut files: Vec<PathBuf> =
        entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.extension().is_some_and(|e| e == "ogg")).collect();
    files.sort();
    files.truncate(tracks);
    if files.is_empty() { Err(format!("no music in {MUSIC}")) } else { Ok(files) }
}

fn seconds_of(file: &Path) -> Result<f64, String> {
    let args = ["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"];
    let text = Job::new("ffprobe", &args).arg(file).output()?;
    text.trim().parse().map_err(|_| format!("{}: ffprobe says {text:?}", file.display()))
}

/// One ffmpeg at a time on each core, as ingest has one track at a time on each.
fn on_all_cores(files: &[PathBuf], dir: &Path) -> Result<(), String> {
    let next = AtomicUsize::new(0);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let work = || loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(file) = files.get(index) else { return Ok(()) };
        six_encodes(file, dir, index)?;
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker broke".to_owned())?)
    })
}

/// One ffmpeg that decodes once and feeds six encoders, as ingest does.
fn six_encodes(file: &Path, dir: &Path, index: usize) -> Result<(), String> {
    let mut job = Job::new("ffmpeg", &["-v", "error", "-nostdin", "-y", "-i"]).arg(file);
    for kbps in [96, 160, 320] {
        for (codec, extension) in [("libvorbis", "ogg"), ("aac", "m4a")] {
            for arg in ["-map", "0:a", "-c:a", codec, "-b:a", &format!("{kbps}k")] {
                job = job.arg(arg);
            }
            job = job.arg(dir.join(format!("{index}-{kbps}.{extension}")));
        }
    }
    job.minutes(10).output().map(drop)
}

fn cost(act: impl FnOnce() -> Result<(), String>) -> Result<Cost, String> {
    let (before, began) = (children_cpu_s()?, Instant::now());
    act()?;
    Ok(Cost { wall_s: began.elapsed().as_secs_f64(), cpu_s: children_cpu_s()? - before })
}

/// CPU seconds of all children that have ended, from the shell's view of the kernel's account of this process.
fn children_cpu_s() -> Result<f64, String> {
    // Fields 16 and 17 of proc_pid_stat(5), in ticks of 1/100 s; the name before them may hold spaces.
    let stat = std::fs::read_to_string("/proc/self/stat").map_err(|e| format!("/proc/self/stat: {e}"))?;
    let after_name = stat.rsplit(") ").next().unwrap_or("");
    let ticks: f64 = after_name.split_whitespace().skip(13).take(2).filter_map(|n| n.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}
