//! The instruments, as numbers for the voices in [`super::voice`].

use super::shape::Adsr;
use super::voice::{Fm, Pluck, Timbre, Tone};
use super::wave::Wave;

const TONE: Tone = Tone {
    wave: Wave::Saw,
    detune_cents: 8.0,
    sub: 0.0,
    cutoff_hz: 1800.0,
    sweep: 1.0,
    sweep_s: 0.5,
    damping: 1.3,
    amp: Adsr(0.005, 0.4, 0.6, 0.25),
    vibrato_cents: 0.0,
};

pub(super) const SUPERSAW: Timbre =
    Timbre::Tone(Tone { detune_cents: 22.0, cutoff_hz: 3200.0, amp: Adsr(0.008, 0.8, 0.6, 0.35), ..TONE });
pub(super) const WARM_PAD: Timbre = Timbre::Tone(Tone {
    detune_cents: 14.0,
    cutoff_hz: 700.0,
    sweep: 0.8,
    sweep_s: 3.0,
    amp: Adsr(0.5, 2.0, 0.8, 1.6),
    ..TONE
});
pub(super) const GLASS_PAD: Timbre = Timbre::Tone(Tone {
    wave: Wave::Triangle,
    detune_cents: 10.0,
    cutoff_hz: 2600.0,
    sweep: 0.3,
    sweep_s: 2.0,
    amp: Adsr(0.8, 2.0, 0.85, 2.4),
    vibrato_cents: 5.0,
    ..TONE
});
pub(super) const STRINGS: Timbre = Timbre::Tone(Tone {
    detune_cents: 12.0,
    cutoff_hz: 1500.0,
    sweep: 0.4,
    sweep_s: 1.0,
    amp: Adsr(0.18, 1.0, 0.8, 0.7),
    vibrato_cents: 9.0,
    ..TONE
});
pub(super) const BRASS: Timbre = Timbre::Tone(Tone {
    detune_cents: 6.0,
    cutoff_hz: 900.0,
    sweep: 1.9,
    sweep_s: 0.35,
    amp: Adsr(0.025, 0.5, 0.7, 0.18),
    vibrato_cents: 6.0,
    ..TONE
});
pub(super) const FLUTE: Timbre = Timbre::Tone(Tone {
    wave: Wave::Triangle,
    detune_cents: 2.0,
    cutoff_hz: 2400.0,
    sweep: 0.5,
    sweep_s: 0.15,
    amp: Adsr(0.05, 0.4, 0.85, 0.2),
    vibrato_cents: 16.0,
    ..TONE
});
pub(super) const REED: Timbre = Timbre::Tone(Tone {
    wave: Wave::Reed,
    detune_cents: 5.0,
    cutoff_hz: 2200.0,
    sweep: 0.6,
    sweep_s: 0.2,
    amp: Adsr(0.035, 0.5, 0.8, 0.15),
    vibrato_cents: 12.0,
    ..TONE
});
pub(super) const ORGAN: Timbre = Timbre::Tone(Tone {
    wave: Wave::Organ,
    detune_cents: 4.0,
    cutoff_hz: 2600.0,
    sweep: 0.6,
    sweep_s: 0.06,
    amp: Adsr(0.006, 0.3, 0.9, 0.08),
    ..TONE
});
pub(super) const CHIP: Timbre = Timbre::Tone(Tone {
    wave: Wave::Square,
    detune_cents: 0.0,
    cutoff_hz: 7000.0,
    sweep: 0.2,
    sweep_s: 0.1,
    amp: Adsr(0.002, 0.25, 0.55, 0.06),
    vibrato_cents: 10.0,
    ..TONE
});
pub(super) const CHIP_SHORT: Timbre = Timbre::Tone(Tone {
    wave: Wave::Square,
    detune_cents: 3.0,
    cutoff_hz: 4500.0,
    sweep: 0.5,
    sweep_s: 0.08,
    amp: Adsr(0.002, 0.18, 0.15, 0.05),
    ..TONE
});
pub(super) const LEAD: Timbre = Timbre::Tone(Tone {
    wave: Wave::Saw,
    detune_cents: 9.0,
    sub: 0.25,
    cutoff_hz: 2100.0,
    sweep: 1.2,
    sweep_s: 0.4,
    damping: 0.8,
    amp: Adsr(0.012, 0.6, 0.7, 0.2),
    vibrato_cents: 12.0,
});
pub(super) const SEQUENCE: Timbre = Timbre::Tone(Tone {
    wave: Wave::Saw,
    detune_cents: 10.0,
    sub: 0.2,
    cutoff_hz: 600.0,
    sweep: 2.4,
    sweep_s: 0.18,
    damping: 0.6,
    amp: Adsr(0.003, 0.3, 0.3, 0.08),
    vibrato_cents: 0.0,
});
pub(super) const SUB_BASS: Timbre = Timbre::Tone(Tone {
    wave: Wave::Triangle,
    detune_cents: 0.0,
    sub: 0.5,
    cutoff_hz: 500.0,
    sweep: 0.6,
    sweep_s: 0.1,
    amp: Adsr(0.008, 0.5, 0.8, 0.12),
    ..TONE
});
pub(super) const ROUND_BASS: Timbre = Timbre::Tone(Tone {
    wave: Wave::Saw,
    detune_cents: 0.0,
    sub: 0.45,
    cutoff_hz: 260.0,
    sweep: 2.0,
    sweep_s: 0.16,
    amp: Adsr(0.005, 0.6, 0.6, 0.09),
    ..TONE
});
pub(super) const SAW_BASS: Timbre = Timbre::Tone(Tone {
    wave: Wave::Saw,
    detune_cents: 7.0,
    sub: 0.35,
    cutoff_hz: 420.0,
    sweep: 2.2,
    sweep_s: 0.22,
    damping: 0.7,
    amp: Adsr(0.004, 0.4, 0.55, 0.08),
    vibrato_cents: 0.0,
});
pub(super) const REESE: Timbre = Timbre::Tone(Tone {
    wave: Wave::Saw,
    detune_cents: 26.0,
    sub: 0.6,
    cutoff_hz: 520.0,
    sweep: 0.7,
    sweep_s: 0.8,
    damping: 0.9,
    amp: Adsr(0.01, 0.6, 0.9, 0.12),
    vibrato_cents: 0.0,
});
pub(super) const CHIP_BASS: Timbre = Timbre::Tone(Tone {
    wave: Wave::Triangle,
    detune_cents: 0.0,
    sub: 0.2,
    cutoff_hz: 3000.0,
    sweep: 0.0,
    sweep_s: 0.1,
    amp: Adsr(0.002, 0.4, 0.7, 0.04),
    ..TONE
});

pub(super) const EPIANO: Timbre = Timbre::Fm(Fm {
    ratio: 1.0,
    index: 0.2,
    index_s: 1.2,
    index_floor: 0.15,
    amp: Adsr(0.004, 3.2, 0.0, 0.3),
    tremolo: 0.25,
});
pub(super) const MARIMBA: Timbre = Timbre::Fm(Fm {
    ratio: 4.0,
    index: 0.14,
    index_s: 0.09,
    index_floor: 0.02,
    amp: Adsr(0.001, 0.8, 0.0, 0.4),
    tremolo: 0.0,
});
pub(super) const BELL: Timbre = Timbre::Fm(Fm {
    ratio: 3.5,
    index: 0.22,
    index_s: 1.6,
    index_floor: 0.05,
    amp: Adsr(0.002, 3.5, 0.0, 1.8),
    tremolo: 0.0,
});
pub(super) const MUSIC_BOX: Timbre = Timbre::Fm(Fm {
    ratio: 7.0,
    index: 0.07,
    index_s: 0.25,
    index_floor: 0.05,
    amp: Adsr(0.001, 1.8, 0.0, 1.0),
    tremolo: 0.0,
});
pub(super) const CHOIR: Timbre = Timbre::Fm(Fm {
    ratio: 2.0,
    index: 0.07,
    index_s: 4.0,
    index_floor: 0.6,
    amp: Adsr(0.5, 2.5, 0.8, 1.8),
    tremolo: 0.18,
});
pub(super) const FM_BASS: Timbre = Timbre::Fm(Fm {
    ratio: 1.0,
    index: 0.28,
    index_s: 0.35,
    index_floor: 0.2,
    amp: Adsr(0.004, 1.4, 0.35, 0.08),
    tremolo: 0.0,
});

pub(super) const NYLON: Timbre = Timbre::Pluck(Pluck { bright: 0.35, ring_s: 2.4, release_s: 0.25, drive: 0.0 });
pub(super) const STEEL: Timbre = Timbre::Pluck(Pluck { bright: 0.75, ring_s: 3.6, release_s: 0.4, drive: 0.0 });
pub(super) const HARP: Timbre = Timbre::Pluck(Pluck { bright: 0.5, ring_s: 3.2, release_s: 1.2, drive: 0.0 });
pub(super) const CLAV: Timbre = Timbre::Pluck(Pluck { bright: 0.95, ring_s: 1.1, release_s: 0.05, drive: 1.2 });
pub(super) const LUTE: Timbre = Timbre::Pluck(Pluck { bright: 0.9, ring_s: 3.0, release_s: 0.5, drive: 0.8 });
pub(super) const UPRIGHT: Timbre = Timbre::Pluck(Pluck { bright: 0.2, ring_s: 2.2, release_s: 0.12, drive: 0.3 });
