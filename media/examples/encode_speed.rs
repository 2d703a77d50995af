//! How fast one core makes the six renditions of a file, beside `ffmpeg` doing the same six encodes.
//!
//! `cargo run --release -p needledrop-media --example encode_speed -- FILE...`
//!
//! Prints CPU seconds and how many times faster than real time one core is, and the true bit rates.
//! ffmpeg decodes once and encodes six files in one process: libvorbis at the same qualities, and
//! libfdk_aac where it has it, else its own AAC encoder. CPU time is read from `/proc` (Linux).
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use needledrop_media::{PcmSource, Transcoded, open, transcode};

/// Clock ticks per second in `/proc/self/stat`: fixed by the Linux ABI.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() -> Result<(), Box<dyn Error>> {
    let files: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if files.is_empty() {
        return Err("usage: encode_speed FILE...".into());
    }
    let aac = if ffmpeg_has("libfdk_aac") { "libfdk_aac" } else { "aac" };
    let scratch = std::env::temp_dir().join(format!("encode_speed-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    println!("per core: CPU seconds, and seconds of sound per CPU second; ffmpeg encodes with libvorbis and {aac}");
    let mut totals = Totals::default();
    for file in &files {
        totals.measure(file, &scratch, aac)?;
    }
    totals.print(files.len());
    std::fs::remove_dir_all(&scratch)?;
    Ok(())
}

#[derive(Default)]
struct Totals {
    sound_s: f64,
    decode_s: f64,
    ours_s: f64,
    theirs_s: f64,
    bits: [f64; 6],
}

impl Totals {
    fn measure(&mut self, file: &Path, scratch: &Path, aac: &str) -> Result<(), Box<dyn Error>> {
        let (start, wall) = (cpu_seconds()?, Instant::now());
        let done = ours(file, scratch)?;
        let wall_s = wall.elapsed().as_secs_f64();
        let after = cpu_seconds()?;
        let mut decoder = open(file)?.decoder;
        let mut block = Vec::new();
        while decoder.next_block(&mut block)? {}
        let decoded = cpu_seconds()?;
        ffmpeg(file, scratch, aac)?;
        let end = cpu_seconds()?;

        let sound_s = done.duration_ms as f64 / 1000.0;
        let (ours_s, theirs_s) = (after.own - start.own, end.children - decoded.children);
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        println!(
            "{name}: {sound_s:.1} s of sound; ours {ours_s:.2} s ({:.1}x, wall {wall_s:.2} s), ffmpeg {theirs_s:.2} s ({:.1}x)",
            sound_s / ours_s,
            sound_s / theirs_s
        );
        self.sound_s += sound_s;
        self.ours_s += ours_s;
        self.decode_s += decoded.own - after.own;
        self.theirs_s += theirs_s;
        for (bits, rendition) in self.bits.iter_mut().zip(&done.renditions) {
            *bits += rendition.bytes as f64 * 8.0;
            println!(
                "    {}: {} bit/s, head {} bytes",
                rendition.rendition, rendition.average_bps, rendition.head_bytes
            );
        }
        Ok(())
    }

    fn print(&self, files: usize) {
        let Self { sound_s, ours_s, theirs_s, decode_s, bits } = self;
        println!("{files} files, {sound_s:.0} s of sound");
        println!("    ours   {ours_s:8.2} CPU s {:6.1}x real time per core", sound_s / ours_s);
        println!("    ffmpeg {theirs_s:8.2} CPU s {:6.1}x real time per core", sound_s / theirs_s);
        println!("    of ours, decoding takes {decode_s:.2} CPU s");
        let rates: Vec<String> = bits.iter().map(|bits| format!("{:.0}", bits / sound_s / 1000.0)).collect();
        println!("    average kbit/s: {}", rates.join(" "));
    }
}

fn ours(file: &Path, scratch: &Path) -> Result<Transcoded, Box<dyn Error>> {
    let mut source = open(file)?;
    Ok(transcode(&mut source.decoder, &source.tags, scratch, &|_| {}, &AtomicBool::new(false))?)
}

/// One process, one decode, six encodes, no more threads than ours.
fn ffmpeg(file: &Path, scratch: &Path, aac: &str) -> Result<(), Box<dyn Error>> {
    let mut command = Command::new("ffmpeg");
    command.args(["-loglevel", "error", "-nostdin", "-y", "-i"]).arg(file);
    for (quality, kbps) in [("2.7", "96"), ("6", "160"), ("9.5", "320")] {
        let vorbis = ["-map", "0:a:0", "-ac", "2", "-threads", "1", "-c:a", "libvorbis", "-q:a", quality];
        command.args(vorbis).arg(scratch.join(format!("ffmpeg-{kbps}.ogg")));
        let bit_rate = format!("{kbps}k");
        let m4a =
            ["-map", "0:a:0", "-ac", "2", "-threads", "1", "-c:a", aac, "-b:a", &bit_rate, "-movflags", "+faststart"];
        command.args(m4a).arg(scratch.join(format!("ffmpeg-{kbps}.m4a")));
    }
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("ffmpeg: {status}").into()) }
}

fn ffmpeg_has(encoder: &str) -> bool {
    let output = Command::new("ffmpeg").args(["-hide_banner", "-encoders"]).stderr(Stdio::null()).output();
    output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(encoder))
}

struct CpuSeconds {
    own: f64,
    children: f64,
}

/// User and system time of this process and of the children it waited for.
fn cpu_seconds() -> Result<CpuSeconds, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name in parentheses may hold blanks; utime is the 12th field after it.
    let fields = stat.rsplit_once(')').ok_or("unreadable /proc/self/stat")?.1.split_ascii_whitespace();
    let ticks: Vec<f64> = fields.skip(11).take(4).map(str::parse).collect::<Result<_, _>>()?;
    let [user, system, child_user, child_system] = ticks[..] else { return Err("short /proc/self/stat".into()) };
    Ok(CpuSeconds { own: (user + system) / TICKS_PER_SECOND, children: (child_user + child_system) / TICKS_PER_SECOND })
}
