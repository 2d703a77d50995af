//! Real files for the tests: excerpts of the music of The Battle for Wesnoth, made by ffmpeg.
//!
//! Both must be installed: `apt-get install ffmpeg wesnoth-1.16-music`, as `cargo xtask test` does.
#![allow(dead_code)] // Every test file uses its own part.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::AtomicBool;

use needledrop_media::{PcmSource, Tags, Transcoded, open, transcode};

const MUSIC: &str = "/usr/share/games/wesnoth/1.16/data/core/music";

/// A track of the wesnoth package.
pub fn music(name: &str) -> PathBuf {
    let path = Path::new(MUSIC).join(name);
    assert!(path.exists(), "{} is missing: run `apt-get install wesnoth-1.16-music`", path.display());
    path
}

/// Runs ffmpeg quietly with blank-separated `arguments`; `{}` stands for the next of `paths`.
pub fn ffmpeg(arguments: &str, paths: &[&Path]) -> Output {
    let mut paths = paths.iter();
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]);
    for argument in arguments.split_ascii_whitespace() {
        match argument {
            "{}" => command.arg(paths.next().expect("a path for every {}")),
            argument => command.arg(argument),
        };
    }
    let output = command.output().expect("ffmpeg is missing: run `apt-get install ffmpeg`");
    assert!(output.status.success(), "ffmpeg {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A file in `dir`, encoded by ffmpeg from real music: from 20 s until `until` seconds.
pub fn excerpt(dir: &Path, name: &str, until: &str, options: &str) -> PathBuf {
    let path = dir.join(name);
    let tags = "-metadata title=Needle -metadata artist=Drop -metadata album=Tests -metadata track=3/9";
    // A sample-exact cut: seeking in Ogg by -ss alone is only as exact as its pages.
    ffmpeg(
        &format!("-t 60 -i {{}} -af atrim=20:{until},asetpts=N/SR/TB -map_metadata -1 {tags} {options} {{}}"),
        &[&music("knolls.ogg"), &path],
    );
    path
}

/// Frames that ffmpeg decodes from the file, and its interleaved stereo or mono samples.
pub fn ffmpeg_frames(path: &Path, channels: usize) -> u64 {
    let output = ffmpeg("-i {} -map 0:a:0 -f s16le -", &[path]);
    (output.stdout.len() / 2 / channels) as u64
}

/// Left channel as ffmpeg decodes the file, at the file's own rate.
pub fn ffmpeg_left(path: &Path) -> Vec<f32> {
    let output = ffmpeg("-i {} -map 0:a:0 -ac 2 -f f32le -", &[path]);
    output.stdout.chunks_exact(8).map(|frame| f32::from_le_bytes(frame[..4].try_into().unwrap())).collect()
}

/// A stream or format entry as ffprobe prints it.
pub fn ffprobe(path: &Path, entry: &str) -> String {
    let output = Command::new("ffprobe")
        .args(["-hide_banner", "-loglevel", "error", "-of", "default=nw=1:nk=1", "-show_entries", entry])
        .arg(path)
        .output()
        .expect("ffprobe is missing: run `apt-get install ffmpeg`");
    assert!(output.status.success(), "ffprobe: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Everything a source has: left channel and frame count.
pub fn drain(source: &mut dyn PcmSource) -> Result<Vec<f32>, needledrop_media::MediaError> {
    let channels = usize::from(source.format().channels);
    let (mut all, mut block) = (Vec::new(), Vec::new());
    while source.next_block(&mut block)? {
        assert!(block.len() <= source.format().rate as usize * channels, "a block is at most a second");
        all.extend(block.chunks_exact(channels).map(|frame| frame[0]));
    }
    Ok(all)
}

/// Opens and transcodes into `dir`.
pub fn transcode_file(path: &Path, dir: &Path) -> (Tags, Transcoded) {
    std::fs::create_dir_all(dir).unwrap();
    let mut source = open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let done = transcode(&mut source.decoder, &source.tags, dir, &|_| {}, &AtomicBool::new(false));
    (source.tags, done.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}
