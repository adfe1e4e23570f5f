//! Straight to premultiplied alpha and back, for filters that average neighbouring pixels.
//!
//! Averaging straight pixels lets the invisible colour of transparent ones bleed into their neighbours.

use crate::engine::image::Sample;

/// Straight RGBA as premultiplied RGBA, each channel from 0 to [`Sample::MOST_NUMBER`] and no colour above alpha.
pub(super) fn premultiply<S: Sample>([r, g, b, a]: [S; 4]) -> [f32; 4] {
    let alpha = a.number();
    let share = alpha / S::MOST_NUMBER;
    [r.number() * share, g.number() * share, b.number() * share, alpha]
}

/// Premultiplied RGBA as straight RGBA, rounded half up and clamped; what rounds to invisible becomes zeros.
pub(super) fn straighten<S: Sample>([r, g, b, a]: [f32; 4]) -> [S; 4] {
    let alpha = S::nearest(a);
    if alpha == S::default() {
        return [alpha; 4];
    }
    let share = S::MOST_NUMBER / a;
    [S::nearest(r * share), S::nearest(g * share), S::nearest(b * share), alpha]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::image::Deep;

    #[test]
    fn every_colour_survives_the_round_trip_at_every_visible_alpha() {
        for alpha in 1..=255 {
            for value in [0, 1, 63, 127, 128, 254, 255] {
                let pixel = [value, 255 - value, value / 2, alpha];
                assert_eq!(straighten::<u8>(premultiply(pixel)), pixel);
            }
        }
    }

    #[test]
    fn so_does_every_deep_colour() {
        for alpha in [1, 2, 3, 254, 255, 256, 257, 32767, 32768, 65534, 65535_u16] {
            for value in (0..=u16::MAX).step_by(13) {
                let pixel = [value, u16::MAX - value, value / 2, alpha].map(u16::to_be_bytes);
                assert_eq!(straighten::<Deep>(premultiply(pixel)), pixel);
            }
        }
    }

    #[test]
    fn invisible_pixels_have_no_colour() {
        assert_eq!(straighten::<u8>(premultiply([200_u8, 100, 50, 0])), [0; 4]);
        assert_eq!(straighten::<u8>([0.3, 0.2, 0.1, 0.4]), [0; 4]);
    }

    #[test]
    fn bytes_round_half_up_and_clamp() {
        let rows = [(-3.0, 0), (0.49, 0), (0.5, 1), (254.5, 255), (300.0, 255), (f32::NAN, 0)];
        for (value, expected) in rows {
            assert_eq!(u8::nearest(value), expected, "{value}");
        }
    }
}
