//! Who made this and what it is called: tags and the front cover, read from hostile files.
//!
//! Everything is optional and everything is cleaned: control characters go, lengths are capped.
//! Damaged tags are no reason to refuse sound, so reading never fails, it only finds less.

use std::path::Path;
use std::sync::Once;

use lofty::config::{GlobalOptions, ParseOptions, ParsingMode};
use lofty::file::TaggedFileExt;
use lofty::picture::PictureType;
use lofty::probe::Probe;
use lofty::tag::{ItemKey, Tag};
use serde::{Deserialize, Serialize};

/// Longest text kept of any tag, in characters. Real titles stay under 250.
const TEXT_CHARS_MAX: usize = 512;

/// Largest embedded picture looked at, in bytes. Covers of print quality stay under 20 MB.
const PICTURE_BYTES_MAX: usize = 32 << 20;

/// Largest single allocation the tag parser may make, in bytes: room for the picture and its text.
const TAG_ALLOCATION_MAX: usize = 48 << 20;

/// What a file says about itself. All texts are trimmed, without control characters, not empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tags {
    /// Name of the track. [`open`](crate::open) falls back to the file's name.
    pub title: Option<String>,
    /// Who performs it.
    pub artist: Option<String>,
    /// Name of the album.
    pub album: Option<String>,
    /// Who the album is filed under.
    pub album_artist: Option<String>,
    /// Position on the disc, from 1.
    pub track_no: Option<u32>,
    /// Disc of a set, from 1.
    pub disc_no: Option<u32>,
    /// Year of release or recording.
    pub year: Option<u32>,
    /// Genre, as the file words it.
    pub genre: Option<String>,
    /// International Standard Recording Code, 12 characters without hyphens.
    pub isrc: Option<String>,
}

/// An embedded picture, still encoded and not yet trusted: see [`artwork`](crate::artwork()).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The bytes as embedded (JPEG, PNG, ...).
    pub bytes: Vec<u8>,
}

impl Tags {
    /// Reads what can be read of the tags and the cover of the file at `path`.
    pub(crate) fn read(path: &Path) -> (Self, Option<Picture>) {
        let (mut tags, picture) = read_file(path).unwrap_or_default();
        if tags.title.is_none() {
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().replace('_', " "));
            tags.title = stem.as_deref().and_then(clean);
        }
        (tags, picture)
    }

    /// The tags as Vorbis comments (field names of the xiph.org recommendation), in fixed order.
    pub(crate) fn vorbis_comments(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("TITLE", self.title.clone()),
            ("ARTIST", self.artist.clone()),
            ("ALBUM", self.album.clone()),
            ("ALBUMARTIST", self.album_artist.clone()),
            ("TRACKNUMBER", self.track_no.map(|n| n.to_string())),
            ("DISCNUMBER", self.disc_no.map(|n| n.to_string())),
            ("DATE", self.year.map(|n| n.to_string())),
            ("GENRE", self.genre.clone()),
            ("ISRC", self.isrc.clone()),
        ];
        // Tags may be built by anyone: clean again, so that no NUL reaches the C encoder.
        texts.into_iter().filter_map(|(name, text)| Some((name, clean(&text?)?))).collect()
    }
}

fn read_file(path: &Path) -> Option<(Tags, Option<Picture>)> {
    static LIMITS: Once = Once::new();
    LIMITS.call_once(|| {
        let mut options = GlobalOptions::new();
        lofty::config::apply_global_options(options.allocation_limit(TAG_ALLOCATION_MAX));
    });
    let mut options = ParseOptions::new();
    let options = options.read_properties(false).parsing_mode(ParsingMode::Relaxed);
    let probe = Probe::open(path).ok()?.options(options).guess_file_type().ok()?;
    let file = probe.read().ok()?;
    let mut tags = Tags::default();
    // The preferred kind of tag of the format first; others only fill gaps.
    for tag in file.primary_tag().into_iter().chain(file.tags()) {
        fill(&mut tags, tag);
    }
    let picture = file.primary_tag().into_iter().chain(file.tags()).find_map(cover);
    Some((tags, picture))
}

fn fill(tags: &mut Tags, tag: &Tag) {
    let text = |key: ItemKey| tag.get_string(key).and_then(clean);
    let number = |key: ItemKey| text(key).as_deref().and_then(leading_number);
    fill_gap(&mut tags.title, || text(ItemKey::TrackTitle));
    fill_gap(&mut tags.artist, || text(ItemKey::TrackArtist));
    fill_gap(&mut tags.album, || text(ItemKey::AlbumTitle));
    fill_gap(&mut tags.album_artist, || text(ItemKey::AlbumArtist));
    fill_gap(&mut tags.track_no, || number(ItemKey::TrackNumber));
    fill_gap(&mut tags.disc_no, || number(ItemKey::DiscNumber));
    fill_gap(&mut tags.year, || {
        let year = number(ItemKey::RecordingDate).or_else(|| number(ItemKey::Year));
        year.or_else(|| number(ItemKey::ReleaseDate)).filter(|year| *year <= 9999)
    });
    fill_gap(&mut tags.genre, || text(ItemKey::Genre));
    fill_gap(&mut tags.isrc, || text(ItemKey::Isrc).as_deref().and_then(isrc));
}

fn fill_gap<T>(gap: &mut Option<T>, value: impl FnOnce() -> Option<T>) {
    if gap.is_none() {
        *gap = value();
    }
}

/// The front cover, or else the first picture that is not too large.
fn cover(tag: &Tag) -> Option<Picture> {
    let fits = |picture: &&lofty::picture::Picture| (1..=PICTURE_BYTES_MAX).contains(&picture.data().len());
    let front = tag.pictures().iter().find(|p| p.pic_type() == PictureType::CoverFront && fits(p));
    let any = front.or_else(|| tag.pictures().iter().find(fits))?;
    Some(Picture { bytes: any.data().to_vec() })
}

/// Text without control characters and surplus blanks, capped; `None` when nothing is left.
pub(crate) fn clean(text: &str) -> Option<String> {
    let visible = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let kept: String = visible.filter(|c| !is_unwanted(*c)).take(TEXT_CHARS_MAX).collect();
    let words: Vec<&str> = kept.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// Controls, and the marks that reorder or hide text around them.
fn is_unwanted(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffd}')
}

/// "3", "3/12" and "2003-05-01" all begin with the number that is meant; zero means unknown.
fn leading_number(text: &str) -> Option<u32> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).map_or(text, |end| &text[..end]);
    digits.parse().ok().filter(|n| *n > 0)
}

fn isrc(text: &str) -> Option<String> {
    let code: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
    (code.len() == 12).then(|| code.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_trimmed_and_stripped_of_controls_and_capped() {
        assert_eq!(clean("  So\0ng\u{202e}\n two \u{7}").as_deref(), Some("Song two"));
        assert_eq!(clean("\u{1}\r\n \t"), None);
        assert_eq!(clean(&"é".repeat(9000)).unwrap().chars().count(), TEXT_CHARS_MAX);
    }

    #[test]
    fn numbers_are_read_from_their_common_spellings() {
        assert_eq!(leading_number("3/12"), Some(3));
        assert_eq!(leading_number("2003-05-01"), Some(2003));
        assert_eq!(leading_number("0"), None);
        assert_eq!(leading_number("A1"), None);
        assert_eq!(leading_number("99999999999"), None);
    }

    #[test]
    fn an_isrc_loses_its_hyphens_or_is_dropped() {
        assert_eq!(isrc("us-rc1-76-07839").as_deref(), Some("USRC17607839"));
        assert_eq!(isrc("nonsense"), None);
    }
}
