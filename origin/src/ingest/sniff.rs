//! Which files of a folder are worth opening as audio: by extension, failing that by first bytes.
//!
//! Only decides what a scan picks up. Whether a file really is audio is the decoder's word, and a
//! file that was named explicitly is always tried.

use std::fs::File;
use std::io::Read;
use std::path::Path;

const AUDIO: &[&str] =
    &["flac", "wav", "wave", "aif", "aiff", "aifc", "mp3", "m4a", "m4b", "aac", "alac", "ogg", "oga", "opus"];

/// Found beside music all the time and never audio: not even opened.
const NOT_AUDIO: &[&str] = &[
    "jpg",
    "jpeg",
    "png",
    "gif",
    "webp",
    "bmp",
    "tif",
    "tiff",
    "pdf",
    "txt",
    "md",
    "nfo",
    "log",
    "cue",
    "m3u",
    "m3u8",
    "pls",
    "xspf",
    "html",
    "htm",
    "url",
    "json",
    "xml",
    "ini",
    "db",
    "sfv",
    "md5",
    "sha256",
    "ffp",
    "zip",
    "rar",
    "7z",
    "gz",
    "lrc",
    "srt",
    "mkv",
    "avi",
    "mov",
    "webm",
    "ogv",
    "mpg",
    "wmv",
    "exe",
    "dll",
    "so",
    "tmp",
    "part",
    "crdownload",
];

/// Enough for every signature below.
const SNIFF_BYTES: u64 = 16;

/// Whether a scan should take up the file at `path`.
pub(crate) fn is_audio(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
    if AUDIO.contains(&extension.as_str()) {
        return true;
    }
    if NOT_AUDIO.contains(&extension.as_str()) {
        return false;
    }
    let mut first = Vec::new();
    let read = File::open(path).and_then(|file| file.take(SNIFF_BYTES).read_to_end(&mut first));
    read.is_ok() && begins_like_audio(&first)
}

/// Only signatures that nothing else has. Bare MPEG frames are left out: two bytes that begin
/// with eleven ones are also a UTF-16 byte order mark.
fn begins_like_audio(first: &[u8]) -> bool {
    let at = |offset: usize, magic: &[u8]| first.get(offset..offset + magic.len()) == Some(magic);
    at(0, b"fLaC")
        || at(0, b"OggS")
        || at(0, b"ID3")
        || (at(0, b"RIFF") && at(8, b"WAVE"))
        || (at(0, b"FORM") && (at(8, b"AIFF") || at(8, b"AIFC")))
        || (at(4, b"ftyp") && (at(8, b"M4A ") || at(8, b"M4B ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_recognised_and_lookalikes_are_not() {
        for audio in [
            &b"fLaC\0\0\0\x22"[..],
            b"OggS\0\x02",
            b"ID3\x04",
            b"RIFF\x10\0\0\0WAVEfmt ",
            b"FORM\0\0\0\x10AIFFCOMM",
            b"\0\0\0\x20ftypM4A \0\0",
        ] {
            assert!(begins_like_audio(audio), "{audio:?}");
        }
        for other in [&b""[..], b"RIFF\x10\0\0\0AVI LIST", b"\xff\xfeh\0i\0", b"\0\0\0\x20ftypisom", b"%PDF-1.7", b"Og"]
        {
            assert!(!begins_like_audio(other), "{other:?}");
        }
    }

    #[test]
    fn the_extension_decides_first() {
        assert!(is_audio(Path::new("/nowhere/A.FLAC")));
        assert!(!is_audio(Path::new("/nowhere/cover.JPG")));
        assert!(!is_audio(Path::new("/nowhere/noext")));
    }
}
