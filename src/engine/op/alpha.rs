//! Straight to premultiplied alpha and back, for filters that average neighbouring pixels.
//!
//! Averaging straight pixels lets the invisible colour of transparent ones bleed into their neighbours.

/// Straight 8-bit RGBA as premultiplied RGBA, each channel 0–255 and no colour above alpha.
pub(super) fn premultiply([r, g, b, a]: [u8; 4]) -> [f32; 4] {
    let alpha = f32::from(a);
    let share = alpha / 255.0;
    [f32::from(r) * share, f32::from(g) * share, f32::from(b) * share, alpha]
}

/// Premultiplied RGBA as straight 8-bit RGBA, rounded half up and clamped; what rounds to invisible becomes zeros.
pub(super) fn straighten([r, g, b, a]: [f32; 4]) -> [u8; 4] {
    let alpha = to_byte(a);
    if alpha == 0 {
        return [0; 4];
    }
    let share = 255.0 / a;
    [to_byte(r * share), to_byte(g * share), to_byte(b * share), alpha]
}

/// Rounded half up, clamped to 0–255.
pub(super) fn to_byte(value: f32) -> u8 {
    // A float-to-integer cast saturates, so that only the rounding is left to do.
    (value + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_survives_the_round_trip_at_every_visible_alpha() {
        for alpha in 1..=255 {
            for value in [0, 1, 63, 127, 128, 254, 255] {
                let pixel = [value, 255 - value, value / 2, alpha];
                assert_eq!(straighten(premultiply(pixel)), pixel);
            }
        }
    }

    #[test]
    fn invisible_pixels_have_no_colour() {
        assert_eq!(straighten(premultiply([200, 100, 50, 0])), [0; 4]);
        assert_eq!(straighten([0.3, 0.2, 0.1, 0.4]), [0; 4]);
    }

    #[test]
    fn bytes_round_half_up_and_clamp() {
        let rows = [(-3.0, 0), (0.49, 0), (0.5, 1), (254.5, 255), (300.0, 255), (f32::NAN, 0)];
        for (value, expected) in rows {
            assert_eq!(to_byte(value), expected, "{value}");
        }
    }
}
