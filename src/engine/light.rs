//! Light: what the numbers of a picture stand for while they are averaged.
//!
//! Stored samples are gamma-coded: equal steps look equal, but half of a number is not half of the light. A resampler that
//! averages the numbers makes fine bright detail too dark; one that averages light keeps it, as a camera with fewer pixels
//! would, and loses fine dark detail instead. Judged by one the other looks wrong, hence the setting, and a curve between
//! that comes close to both (`docs/performance.md` has the scores).

use std::sync::LazyLock;

use crate::geometry::Size;

/// In which numbers samples are averaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Light {
    /// The stored numbers.
    Gamma,
    /// Between the two: stored numbers to a power between 1 and that of light.
    Mixed,
    /// Light, by the curve of sRGB.
    Linear,
}

/// The highest power that costs next to nothing where stored numbers are the measure.
const MIXED_POWER: f64 = 1.3;

/// Steps of the way back; five a code where the curve is steepest.
const STEPS: usize = 1 << 14;

/// From 0–1 to 0–1.
pub(in crate::engine) type Function = fn(f64) -> f64;

/// A curve from samples to the numbers that are averaged, 0 to 1, and back.
#[derive(Debug)]
pub(in crate::engine) enum Curve {
    /// The samples as they are.
    Straight,
    /// By tables.
    Bent(Box<Tables>),
}

#[derive(Debug)]
pub(in crate::engine) struct Tables {
    decoded: [f32; 256],
    encoded: [u8; STEPS],
}

static GAMMA: Curve = Curve::Straight;
static MIXED: LazyLock<Curve> = LazyLock::new(|| Curve::bent(Light::Mixed));
static LINEAR: LazyLock<Curve> = LazyLock::new(|| Curve::bent(Light::Linear));

/// IEC 61966-2-1, both from and to 0–1.
fn srgb_to_linear(value: f64) -> f64 {
    if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

/// The inverse of [`srgb_to_linear`].
fn linear_to_srgb(value: f64) -> f64 {
    if value <= 0.003_130_8 { value * 12.92 } else { 1.055 * value.powf(1.0 / 2.4) - 0.055 }
}

impl Light {
    /// In which numbers a picture is scaled from one size to another. What becomes wider or higher averages nothing, and
    /// stays in its stored numbers. So do, unless light was asked for, pictures with alpha: they are drawings, whose edges
    /// were smoothed in those.
    pub(in crate::engine) const fn for_resize(self, from: Size, to: Size, has_alpha: bool) -> Self {
        match self {
            _ if to.exceeds(from) => Self::Gamma,
            Self::Mixed if has_alpha => Self::Gamma,
            light => light,
        }
    }

    /// From stored values to the numbers that are averaged, and back.
    pub(in crate::engine) fn functions(self) -> (Function, Function) {
        match self {
            Self::Gamma => (|value| value, |value| value),
            Self::Mixed => (|value| value.powf(MIXED_POWER), |value| value.powf(1.0 / MIXED_POWER)),
            Self::Linear => (srgb_to_linear, linear_to_srgb),
        }
    }

    pub(in crate::engine) fn curve(self) -> &'static Curve {
        match self {
            Self::Gamma => &GAMMA,
            Self::Mixed => &MIXED,
            Self::Linear => &LINEAR,
        }
    }
}

impl Curve {
    fn bent(light: Light) -> Self {
        let (decode, encode) = light.functions();
        let mut tables = Box::new(Tables { decoded: [0.0; 256], encoded: [0; STEPS] });
        for (code, number) in tables.decoded.iter_mut().enumerate() {
            *number = decode(code as f64 / 255.0) as f32;
        }
        for (step, code) in tables.encoded.iter_mut().enumerate() {
            *code = (encode(step as f64 / (STEPS - 1) as f64) * 255.0).round() as u8;
        }
        Self::Bent(tables)
    }

    /// Samples as numbers from 0 to 1, as many as there are of both.
    #[inline(always)]
    pub(in crate::engine) fn decode_all(&self, samples: &[u8], numbers: &mut [f32]) {
        match self {
            Self::Straight => {
                for (number, sample) in numbers.iter_mut().zip(samples) {
                    *number = f32::from(*sample) * (1.0 / 255.0);
                }
            }
            Self::Bent(tables) => tables.decode_all(samples, numbers),
        }
    }

    /// The samples nearest to numbers; what lies outside 0–1 is clipped.
    #[inline(always)]
    pub(in crate::engine) fn encode_all<const N: usize>(&self, values: [f32; N]) -> [u8; N] {
        match self {
            Self::Straight => std::array::from_fn(|at| rounded(values[at], 255.0) as u8),
            Self::Bent(tables) => {
                let steps: [u32; N] = std::array::from_fn(|at| rounded(values[at], (STEPS - 1) as f32));
                std::array::from_fn(|at| tables.encoded[steps[at] as usize & (STEPS - 1)])
            }
        }
    }
}

impl Tables {
    /// Out of line, so that it is not compiled for processors with gather instructions: these are slower than loads.
    #[inline(never)]
    fn decode_all(&self, samples: &[u8], numbers: &mut [f32]) {
        for (number, sample) in numbers.iter_mut().zip(samples) {
            *number = self.decoded[usize::from(*sample)];
        }
    }
}

/// The whole number nearest to `value` times `scale`, of values from 0 to 1, in the low bits.
#[inline(always)]
fn rounded(value: f32, scale: f32) -> u32 {
    /// Adding it leaves the rounded integer in the low bits of the mantissa.
    const SHIFT: f32 = 8_388_608.0;
    (value.clamp(0.0, 1.0) * scale + SHIFT).to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_survives_the_way_there_and_back() {
        for light in [Light::Gamma, Light::Mixed, Light::Linear] {
            let curve = light.curve();
            for sample in 0..=255 {
                let mut number = [0.0];
                curve.decode_all(&[sample], &mut number);
                assert_eq!(curve.encode_all(number), [sample], "{light:?}");
            }
            assert_eq!(curve.encode_all([-0.5, 1.5]), [0, 255]);
        }
    }

    #[test]
    fn half_the_light_is_188() {
        assert_eq!(Light::Linear.curve().encode_all([0.5]), [188]);
        assert_eq!(Light::Gamma.curve().encode_all([0.5]), [128]);
    }
}
