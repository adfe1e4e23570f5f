//! Dark corners.

use crate::engine::Error;
use crate::engine::image::{Frame, Layout};
use crate::engine::limits::Cancel;
use crate::plan::filter::Vignette;

/// Darkens what lies outside the ellipse that keeps `x` and `y` pixels from the edges; alpha stays.
///
/// The edge is soft: over four sigmas about the ellipse, by `t² (3 − 2t)`. The distance of a pixel from the ellipse is told by
/// first order, `(r − 1) × |p| / r` with `r` its distance from the centre in radii.
///
/// # Errors
/// [`Error::Cancelled`], looked for in each row.
pub fn vignette(mut frame: Frame, vignette: Vignette, cancel: &Cancel) -> Result<Frame, Error> {
    let (size, layout, stride) = (frame.size(), frame.layout(), frame.stride());
    let half = [size.width as f32 / 2.0, size.height as f32 / 2.0];
    let radius = [(half[0] - vignette.x as f32).max(1.0), (half[1] - vignette.y as f32).max(1.0)];
    let colors = if layout == Layout::Rgba { 3 } else { layout.channels() };
    for (y, row) in frame.pixels_mut().chunks_exact_mut(stride).enumerate() {
        cancel.check()?;
        let dy = y as f32 + 0.5 - half[1];
        for (x, pixel) in row.chunks_exact_mut(layout.channels()).enumerate() {
            let dx = x as f32 + 0.5 - half[0];
            let light = light([dx, dy], radius, vignette.sigma_px);
            pixel[..colors].iter_mut().for_each(|value| *value = (f32::from(*value) * light + 0.5) as u8);
        }
    }
    Ok(frame)
}

/// How much light is left at `point`: 1 well inside, 0 well outside.
fn light(point: [f32; 2], radius: [f32; 2], sigma: f32) -> f32 {
    let from_centre = (point[0] * point[0] + point[1] * point[1]).sqrt();
    let in_radii = ((point[0] / radius[0]).powi(2) + (point[1] / radius[1]).powi(2)).sqrt();
    if in_radii == 0.0 {
        return 1.0;
    }
    let outside = (in_radii - 1.0) * from_centre / in_radii;
    let t = ((2.0 * sigma - outside) / (4.0 * sigma)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    #[test]
    fn the_middle_stays_and_corners_are_dark() {
        for layout in [Layout::Gray, Layout::Rgb, Layout::Rgba] {
            let card = Frame::filled(Size::new(101, 61), layout, [200, 200, 200, 90]);
            let dark =
                vignette(card.clone(), Vignette { sigma_px: 5.0, x: 10, y: 10 }, &Cancel::default()).expect("runs");
            assert_eq!(dark.rgba_at(50, 30), card.rgba_at(50, 30));
            for (x, y) in [(0, 0), (100, 0), (0, 60), (100, 60)] {
                assert_eq!(dark.rgba_at(x, y)[..3], [0; 3], "{layout:?}");
                assert_eq!(dark.rgba_at(x, y)[3], card.rgba_at(x, y)[3]);
            }
            // On the ellipse half of the light is left.
            let edge = dark.rgba_at(10, 30)[0];
            assert!((90..=120).contains(&edge), "{edge}");
            assert_eq!(dark.rgba_at(10, 30), dark.rgba_at(90, 30));
        }
    }
}
