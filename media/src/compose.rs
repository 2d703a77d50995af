//! The demo record: twelve pieces that the program composes and plays itself, so that a first start has music.
//!
//! A [`Composition`] is pure: the same number gives the same samples on every machine. It streams, block by block,
//! through [`PcmSource`], like a decoded file. Nobody else's work is in here; the pieces are in the public domain.
//!
//! To read on: [`book`] says what the pieces are, [`score`] arranges them, [`desk`] makes them sound.

mod book;
mod cover;
mod desk;
mod dice;
mod drum;
mod harmony;
mod maths;
mod room;
mod score;
mod shape;
mod timbre;
mod voice;
mod wave;

use crate::{MediaError, PcmFormat, PcmSource, Tags};
use book::{BOOK, Recipe};
use desk::Desk;

/// How many pieces there are.
pub const TRACKS: usize = 12;
/// The record they are on.
pub const ALBUM: &str = "First Drop";
/// Year printed on it.
const YEAR: u32 = 2026;
/// Frames per second of everything in here.
const RATE: f64 = 44_100.0;

/// One piece, ready to be played once from its beginning.
#[derive(Debug)]
pub struct Composition {
    number: usize,
    recipe: &'static Recipe,
    desk: Desk,
}

impl Composition {
    /// Piece `n`, from 0; numbers from [`TRACKS`] on start over.
    pub fn new(n: usize) -> Self {
        let number = n % TRACKS;
        let recipe = &BOOK[number];
        Self { number, recipe, desk: Desk::new(recipe, score::write(recipe)) }
    }

    /// What the piece is called.
    pub fn title(&self) -> &'static str {
        self.recipe.title
    }

    /// The ensemble that plays it.
    pub fn artist(&self) -> &'static str {
        self.recipe.artist
    }

    /// Everything a tagged file would say.
    pub fn tags(&self) -> Tags {
        Tags {
            title: Some(self.recipe.title.into()),
            artist: Some(self.recipe.artist.into()),
            album: Some(ALBUM.into()),
            album_artist: Some("needledrop".into()),
            track_no: Some(self.number as u32 + 1),
            disc_no: Some(1),
            year: Some(YEAR),
            genre: Some(self.recipe.genre.into()),
            ..Tags::default()
        }
    }

    /// The cover as a PNG file, square, large enough for every size of artwork. Drawn on each call.
    pub fn cover_png(&self) -> Vec<u8> {
        self.recipe.cover.png()
    }

    /// Length in frames of 1/44100 s; exactly as many come out of [`PcmSource::next_block`].
    pub fn frames(&self) -> u64 {
        self.desk.frames()
    }
}

impl PcmSource for Composition {
    fn format(&self) -> PcmFormat {
        PcmFormat { rate: RATE as u32, channels: 2 }
    }

    fn next_block(&mut self, out: &mut Vec<f32>) -> Result<bool, MediaError> {
        out.clear();
        Ok(self.desk.render(out))
    }

    fn total_frames_hint(&self) -> Option<u64> {
        Some(self.frames())
    }
}

#[cfg(test)]
mod tests;
