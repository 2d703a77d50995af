//! Any number of channels folded to mono or stereo.
//!
//! Front channels keep their side, a centre goes to both sides 3 dB down, surrounds and heights go
//! to their side 3 dB down, low-frequency effects are left out (ITU-R BS.775). The sum is scaled so
//! that full scale on all channels stays full scale.

use std::f32::consts::FRAC_1_SQRT_2;

/// Where a channel is heard: gain to the left and to the right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pan {
    pub(crate) left: f32,
    pub(crate) right: f32,
}

impl Pan {
    pub(crate) const LEFT: Self = Self { left: 1.0, right: 0.0 };
    pub(crate) const RIGHT: Self = Self { left: 0.0, right: 1.0 };
    pub(crate) const CENTRE: Self = Self { left: FRAC_1_SQRT_2, right: FRAC_1_SQRT_2 };
    pub(crate) const SURROUND_LEFT: Self = Self { left: FRAC_1_SQRT_2, right: 0.0 };
    pub(crate) const SURROUND_RIGHT: Self = Self { left: 0.0, right: FRAC_1_SQRT_2 };
    /// Rear centre: both surrounds at once.
    pub(crate) const BEHIND: Self = Self { left: 0.5, right: 0.5 };
    pub(crate) const SILENT: Self = Self { left: 0.0, right: 0.0 };
}

/// Turns interleaved frames of any channel count into mono or stereo.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mixer {
    pans: Vec<Pan>,
}

impl Mixer {
    /// One entry per channel, in the order of the samples. One and two channels are passed through.
    pub(crate) fn new(mut pans: Vec<Pan>) -> Self {
        let sum = |side: fn(&Pan) -> f32| pans.iter().map(side).sum::<f32>();
        let loudest = sum(|pan| pan.left).max(sum(|pan| pan.right)).max(1.0);
        for pan in &mut pans {
            pan.left /= loudest;
            pan.right /= loudest;
        }
        Self { pans }
    }

    pub(crate) fn channels_in(&self) -> usize {
        self.pans.len()
    }

    /// 1 or 2.
    pub(crate) fn channels_out(&self) -> u16 {
        if self.pans.len() == 1 { 1 } else { 2 }
    }

    /// Appends `frames`, mixed down, to `out`.
    pub(crate) fn mix(&self, frames: &[f32], out: &mut Vec<f32>) {
        if self.pans.len() <= 2 {
            out.extend_from_slice(frames);
            return;
        }
        out.reserve(frames.len() / self.pans.len() * 2);
        for frame in frames.chunks_exact(self.pans.len()) {
            let (mut left, mut right) = (0.0, 0.0);
            for (sample, pan) in frame.iter().zip(&self.pans) {
                left += sample * pan.left;
                right += sample * pan.right;
            }
            out.extend([left, right]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_channels_at_full_scale_stay_at_full_scale() {
        let pans = [Pan::LEFT, Pan::RIGHT, Pan::CENTRE, Pan::SILENT, Pan::SURROUND_LEFT, Pan::SURROUND_RIGHT];
        let mixer = Mixer::new(pans.to_vec());
        let mut out = Vec::new();
        mixer.mix(&[1.0; 12], &mut out);
        assert_eq!(out.len(), 4);
        assert!(out.iter().all(|sample| (sample - 1.0).abs() < 1e-6), "{out:?}");
        assert_eq!(mixer.channels_out(), 2);
    }

    #[test]
    fn one_and_two_channels_pass_untouched() {
        for pans in [vec![Pan::CENTRE], vec![Pan::LEFT, Pan::RIGHT]] {
            let mut out = Vec::new();
            Mixer::new(pans).mix(&[0.5, -0.25], &mut out);
            assert_eq!(out, [0.5, -0.25]);
        }
    }
}
