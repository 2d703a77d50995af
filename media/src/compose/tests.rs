//! What a listener may rely on: twelve different pieces, never clipped, about equally loud, the same every time.

use super::score::{Part, write};
use super::*;
use std::collections::HashSet;
use std::sync::OnceLock;

struct Played {
    samples: Vec<f32>,
    lufs: f64,
}

/// All pieces, rendered once for all tests of this file.
fn played() -> &'static [Played] {
    static ALL: OnceLock<Vec<Played>> = OnceLock::new();
    ALL.get_or_init(|| {
        std::thread::scope(|scope| {
            let handles: Vec<_> = (0..TRACKS).map(|n| scope.spawn(move || play(Composition::new(n)))).collect();
            handles.into_iter().map(|h| h.join().expect("a piece renders")).collect()
        })
    })
}

fn play(mut piece: Composition) -> Played {
    let mut meter = ebur128::EbuR128::new(2, 44_100, ebur128::Mode::I).expect("a stereo meter");
    let (mut samples, mut block) = (Vec::new(), Vec::new());
    while piece.next_block(&mut block).expect("composing cannot fail") {
        assert!(block.len() <= 2 * 44_100, "a block is at most one second");
        meter.add_frames_f32(&block).expect("whole frames");
        samples.extend_from_slice(&block);
    }
    assert!(block.is_empty(), "the end leaves nothing in the block");
    Played { samples, lufs: meter.loudness_global().expect("mode I measures") }
}

#[test]
fn a_piece_lasts_exactly_as_long_as_it_says_and_under_75_seconds() {
    for (n, piece) in played().iter().enumerate() {
        let frames = Composition::new(n).frames();
        assert_eq!(piece.samples.len() as u64, 2 * frames, "piece {n}");
        let seconds = frames as f64 / RATE;
        assert!((45.0..=75.0).contains(&seconds), "piece {n} lasts {seconds} s");
    }
}

#[test]
fn nothing_clips_and_nothing_is_silent() {
    for (n, piece) in played().iter().enumerate() {
        let peak = piece.samples.iter().fold(0.0f32, |m, s| m.max(s.abs()));
        assert!(piece.samples.iter().all(|s| s.is_finite()), "piece {n}");
        assert!((0.3..=1.0).contains(&peak), "piece {n} peaks at {peak}");
        // From the first second to the last but five there is always something to hear.
        let seconds: Vec<f32> =
            piece.samples.chunks(88_200).map(|s| s.iter().map(|x| x * x).sum::<f32>() / 88_200.0).collect();
        let quiet = seconds[..seconds.len() - 5].iter().position(|power| *power < 1e-6);
        assert_eq!(quiet, None, "piece {n} falls silent");
    }
}

#[test]
fn all_are_about_as_loud_as_streaming_services_play() {
    for (n, piece) in played().iter().enumerate() {
        assert!((piece.lufs + 16.0).abs() <= 3.0, "piece {n}: {} LUFS", piece.lufs);
    }
}

#[test]
fn the_same_number_gives_the_same_samples() {
    for n in [1, 8] {
        let again = play(Composition::new(n));
        assert!(again.samples == played()[n].samples, "piece {n} differs from itself");
    }
}

#[test]
fn no_two_pieces_sound_or_read_alike() {
    let titles: HashSet<_> = (0..TRACKS).map(|n| Composition::new(n).title()).collect();
    assert_eq!(titles.len(), TRACKS);
    let covers: HashSet<_> = BOOK.iter().map(|r| r.cover.pixels()).collect();
    assert_eq!(covers.len(), TRACKS);
    for a in 0..TRACKS {
        for b in a + 1..TRACKS {
            let (x, y) = (&played()[a].samples[88_200..], &played()[b].samples[88_200..]);
            assert!(likeness(x, y).abs() < 0.5, "pieces {a} and {b} correlate");
        }
    }
}

fn likeness(x: &[f32], y: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(p, q)| p * q).sum::<f32>();
    dot(x, y) / (dot(x, x) * dot(y, y)).sqrt().max(1e-9)
}

#[test]
fn every_piece_has_melody_chords_bass_and_drums() {
    for recipe in &BOOK {
        let score = write(recipe);
        for part in [Part::Melody, Part::Comp, Part::Pad, Part::Bass, Part::Drums] {
            let mut alone = score.clone();
            alone.events.retain(|e| e.part == part);
            assert!(alone.events.len() >= 5, "{}: {part:?} has hardly anything to play", recipe.title);
            let mut desk = Desk::new(recipe, alone);
            let (mut block, mut power, mut blocks) = (Vec::new(), 0.0f64, 0);
            // 23 s: by then every part has come in.
            while blocks < 1000 && desk.render(&mut block) {
                power += block.iter().map(|s| f64::from(s * s)).sum::<f64>();
                block.clear();
                blocks += 1;
            }
            assert!(power > 1.0, "{}: {part:?} is not heard", recipe.title);
        }
    }
}

#[test]
fn tags_name_the_record_and_the_place_on_it() {
    let tags = Composition::new(3).tags();
    assert_eq!(tags.album.as_deref(), Some("First Drop"));
    assert_eq!(tags.track_no, Some(4));
    assert_eq!(Composition::new(TRACKS + 3).title(), Composition::new(3).title());
}
