//! Rounded corners (spec 4.9).

use crate::engine::image::{Frame, Layout, Sample};

/// Sample rows that one row of pixels is measured at.
const SAMPLE_ROWS: u32 = 16;

/// Cuts the corners of `frame` to quarters of ellipses with these radii in pixels; the result is always RGBA.
///
/// Radii above half their edge count as half of it (rounded down). Edges are antialiased and multiply the alpha that is
/// there; all four corners are cut alike, to the pixel.
pub fn round_corners<S: Sample>(frame: Frame<S>, radius_x: u32, radius_y: u32) -> Frame<S> {
    let mut frame = frame.into_layout(Layout::Rgba);
    let size = frame.size();
    let radius_x = radius_x.min(size.width / 2);
    let radius_y = radius_y.min(size.height / 2);
    if radius_x == 0 || radius_y == 0 {
        return frame;
    }
    let stride = frame.stride();
    for y in 0..radius_y {
        let cover = corner_row(radius_x, radius_y, y);
        for row in [y, size.height - 1 - y] {
            cut_ends(&mut frame.pixels_mut()[row as usize * stride..][..stride], &cover);
        }
    }
    frame
}

/// Multiplies the alpha of a row's first pixels by `cover`, and of its last ones in reverse.
fn cut_ends<S: Sample>(row: &mut [S], cover: &[u8]) {
    let (pixels, _) = row.as_chunks_mut::<4>();
    let width = pixels.len();
    for (x, cover) in cover.iter().enumerate() {
        for at in [x, width - 1 - x] {
            pixels[at][3] = pixels[at][3].part(*cover);
        }
    }
}

/// How much of each pixel of row `y` of a top-left corner lies inside the ellipse, 0–255, from the left edge to the
/// first pixel that is wholly inside.
///
/// Along a sample row the cover of a pixel is exact; between rows it is the mean of the sample rows.
fn corner_row(radius_x: u32, radius_y: u32, y: u32) -> Vec<u8> {
    let starts: Vec<f64> = (0..SAMPLE_ROWS)
        .map(|nth| {
            let sample = f64::from(y) + (f64::from(nth) + 0.5) / f64::from(SAMPLE_ROWS);
            let from_centre = 1.0 - sample / f64::from(radius_y);
            f64::from(radius_x) * (1.0 - (1.0 - from_centre * from_centre).sqrt())
        })
        .collect();
    // The lowest sample row starts furthest left, the highest furthest right; before and behind nothing is mixed.
    let outside = starts[SAMPLE_ROWS as usize - 1].floor() as u32;
    let inside = (starts[0].ceil() as u32).min(radius_x);
    let mixed = (outside..inside).map(|x| {
        let cover: f64 = starts.iter().map(|start| (f64::from(x + 1) - start).clamp(0.0, 1.0)).sum();
        (cover * 255.0 / f64::from(SAMPLE_ROWS) + 0.5) as u8
    });
    std::iter::repeat_n(0, outside as usize).chain(mixed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    fn card(width: u32, height: u32) -> Frame {
        Frame::filled(Size::new(width, height), Layout::Rgb, [10, 20, 30, 255])
    }

    fn alpha(frame: &Frame, x: u32, y: u32) -> u8 {
        frame.rgba_at(x, y)[3]
    }

    #[test]
    fn corners_are_transparent_and_the_rest_is_opaque() {
        let cut = round_corners(card(40, 30), 10, 10);
        assert_eq!((cut.size(), cut.layout()), (Size::new(40, 30), Layout::Rgba));
        for (x, y) in [(0, 0), (39, 0), (0, 29), (39, 29)] {
            assert_eq!(alpha(&cut, x, y), 0, "{x},{y}");
        }
        for (x, y) in [(20, 15), (10, 0), (0, 10), (29, 29), (39, 19), (4, 4)] {
            assert_eq!(cut.rgba_at(x, y), [10, 20, 30, 255], "{x},{y}");
        }
        // The circle crosses the diagonal 10 × (1 − √½) = 2.93 from the corner.
        assert_eq!(alpha(&cut, 1, 1), 0);
        assert!((1..=254).contains(&alpha(&cut, 2, 2)), "{}", alpha(&cut, 2, 2));
    }

    #[test]
    fn the_four_corners_are_alike() {
        for (width, height, rx, ry) in [(40, 30, 10, 10), (41, 31, 20, 15), (7, 9, 99, 99), (40, 30, 3, 12)] {
            let cut = round_corners(card(width, height), rx, ry);
            for y in 0..height {
                for x in 0..width {
                    let here = alpha(&cut, x, y);
                    assert_eq!(here, alpha(&cut, width - 1 - x, y), "{x},{y} of {width}x{height}");
                    assert_eq!(here, alpha(&cut, x, height - 1 - y), "{x},{y} of {width}x{height}");
                }
            }
        }
    }

    #[test]
    fn half_the_edge_makes_a_circle_of_the_right_area() {
        let cut = round_corners(card(100, 100), 50, 50);
        let sum: f64 = cut.pixels().chunks_exact(4).map(|pixel| f64::from(pixel[3]) / 255.0).sum();
        let circle = std::f64::consts::PI * 2500.0;
        assert!((sum / circle - 1.0).abs() < 0.001, "{sum} of {circle}");
    }

    #[test]
    fn radii_above_half_the_edge_count_as_half() {
        assert_eq!(round_corners(card(40, 30), 4000, u32::MAX), round_corners(card(40, 30), 20, 15));
    }

    #[test]
    fn a_radius_of_zero_only_adds_alpha() {
        for (rx, ry) in [(0, 0), (0, 9), (9, 0)] {
            assert_eq!(round_corners(card(8, 8), rx, ry), card(8, 8).into_layout(Layout::Rgba));
        }
    }

    #[test]
    fn alpha_that_is_there_is_multiplied() {
        let glass = Frame::filled(Size::new(20, 20), Layout::Rgba, [1, 2, 3, 128]);
        let (cut, full) = (round_corners(glass, 10, 10), round_corners(card(20, 20), 10, 10));
        for (cut, full) in cut.pixels().chunks_exact(4).zip(full.pixels().chunks_exact(4)) {
            let expected = (f64::from(full[3]) * 128.0 / 255.0).round();
            assert_eq!(f64::from(cut[3]), expected);
        }
    }
}
