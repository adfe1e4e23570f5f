//! Painting marks on pictures.

use crate::engine::Error;
use crate::engine::image::{Frame, Layout};
use crate::engine::limits::Cancel;
use crate::geometry::{Rect, Size};

/// Alpha times percent of full opacity: the unit that a dissolved mark's alpha is counted in.
pub(in crate::engine) const FULL: u32 = 255 * 100;

/// Paints `mark` on `frame`, its top-left corner at `at`, at `dissolve_percent` (0–100) of its own opacity; what lies
/// outside is cut.
///
/// Porter and Duff's *over* in straight alpha, in integers, each channel rounded half up once. The layout stays, save
/// that a grey frame becomes RGB under a mark with colour.
pub fn over(frame: &mut Frame, mark: &Frame, at: (i64, i64), dissolve_percent: u8) {
    admit_color(frame, mark);
    paint(frame, mark, at, opacity(dissolve_percent));
}

/// Paints `mark` again and again from the top-left corner on, `gap` pixels (to the right, downwards) between copies.
///
/// Rules as for [`over`].
///
/// # Errors
/// [`Error::Cancelled`], looked for before each copy.
pub fn tile(
    frame: &mut Frame,
    mark: &Frame,
    gap: (u32, u32),
    dissolve_percent: u8,
    cancel: &Cancel,
) -> Result<(), Error> {
    admit_color(frame, mark);
    let Size { width, height } = frame.size();
    let step = (mark.size().width.saturating_add(gap.0), mark.size().height.saturating_add(gap.1));
    for y in (0..height).step_by(step.1 as usize) {
        for x in (0..width).step_by(step.0 as usize) {
            cancel.check()?;
            paint(frame, mark, (i64::from(x), i64::from(y)), opacity(dissolve_percent));
        }
    }
    Ok(())
}

pub(in crate::engine) fn opacity(dissolve_percent: u8) -> u32 {
    u32::from(dissolve_percent.min(100))
}

/// Makes room for the mark's colour in a grey frame.
fn admit_color(frame: &mut Frame, mark: &Frame) {
    if frame.layout() == Layout::Gray && has_color(mark) {
        let gray = std::mem::replace(frame, Frame::filled(Size::new(1, 1), Layout::Gray, [0; 4]));
        *frame = gray.into_layout(Layout::Rgb);
    }
}

/// Whether any visible pixel is not grey.
pub(in crate::engine) fn has_color(frame: &Frame) -> bool {
    let colored = |pixel: &[u8]| pixel[0] != pixel[1] || pixel[1] != pixel[2];
    match frame.layout() {
        Layout::Gray => false,
        Layout::Rgb => frame.pixels().chunks_exact(3).any(colored),
        Layout::Rgba => frame.pixels().chunks_exact(4).any(|pixel| pixel[3] > 0 && colored(pixel)),
    }
}

fn paint(frame: &mut Frame, mark: &Frame, at: (i64, i64), opacity: u32) {
    let Some(covered) = Rect::clipped(at.0, at.1, mark.size(), frame.size()) else {
        return;
    };
    let skipped_x = (i64::from(covered.x) - at.0) as usize;
    let skipped_y = (i64::from(covered.y) - at.1) as usize;
    let (channels, stride, left) = (frame.layout().channels(), frame.stride(), covered.x as usize);
    let mark_channels = mark.layout().channels();
    let rows = frame.pixels_mut().chunks_exact_mut(stride).skip(covered.y as usize);
    let mark_rows = mark.pixels().chunks_exact(mark.stride()).skip(skipped_y);
    for (row, mark_row) in rows.zip(mark_rows).take(covered.size.height as usize) {
        let pixels = row.chunks_exact_mut(channels).skip(left);
        let mark_pixels = mark_row.chunks_exact(mark_channels).skip(skipped_x);
        for (pixel, mark_pixel) in pixels.zip(mark_pixels).take(covered.size.width as usize) {
            paint_pixel(pixel, mark_pixel, opacity);
        }
    }
}

/// A mark's pixel: its colour, and how much of what is below it covers, of [`FULL`].
#[inline(always)]
pub(in crate::engine) fn color_and_cover(mark: &[u8], opacity: u32) -> ([u8; 3], u32) {
    match *mark {
        [v] => ([v; 3], 255 * opacity),
        [r, g, b] => ([r, g, b], 255 * opacity),
        [r, g, b, a] => ([r, g, b], u32::from(a) * opacity),
        _ => unreachable!("a layout has 1, 3 or 4 channels"),
    }
}

pub(super) fn paint_pixel(pixel: &mut [u8], mark: &[u8], opacity: u32) {
    let (color, cover) = color_and_cover(mark, opacity);
    if cover == 0 {
        return;
    }
    match pixel {
        [r, g, b, a] => blend_alpha([r, g, b], a, color, cover),
        _ => {
            for (value, color) in pixel.iter_mut().zip(color) {
                *value = mix(u32::from(color), cover, u32::from(*value), FULL - cover);
            }
        }
    }
}

/// *Over* on a pixel that may be transparent itself.
fn blend_alpha(values: [&mut u8; 3], alpha: &mut u8, color: [u8; 3], cover: u32) {
    // Both parts in units of 1/(FULL × 255); together at most 255 × FULL, which times 255 still fits 32 bits.
    let mark_part = cover * 255;
    let own_part = u32::from(*alpha) * (FULL - cover);
    for (value, color) in values.into_iter().zip(color) {
        *value = mix(u32::from(color), mark_part, u32::from(*value), own_part);
    }
    *alpha = ((mark_part + own_part + FULL / 2) / FULL) as u8;
}

/// The mean of two values with these weights, not both 0, rounded half up.
pub(in crate::engine) fn mix(a: u32, a_weight: u32, b: u32, b_weight: u32) -> u8 {
    let total = a_weight + b_weight;
    ((a * a_weight + b * b_weight + total / 2) / total) as u8
}

#[cfg(test)]
mod tests {
    use super::super::cards;
    use super::*;
    use crate::engine::limits::tests::looks_of;

    fn tile(frame: &mut Frame, mark: &Frame, gap: (u32, u32), dissolve_percent: u8) {
        super::tile(frame, mark, gap, dissolve_percent, &Cancel::default()).expect("nothing stops it");
    }

    #[test]
    fn tiling_stops_between_copies() {
        let (card, mark) = (cards::gray(9, &[0; 81]), cards::gray(2, &[7, 8]));
        assert_eq!(looks_of(|cancel| super::tile(&mut card.clone(), &mark, (1, 1), 100, cancel)), 3 * 5);
    }

    fn painted(own: [u8; 4], mark: [u8; 4], dissolve: u8) -> [u8; 4] {
        let mut frame = cards::rgba(1, &[own]);
        over(&mut frame, &cards::rgba(1, &[mark]), (0, 0), dissolve);
        frame.rgba_at(0, 0)
    }

    #[test]
    fn over_follows_porter_and_duff() {
        let rows = [
            // Opaque on anything is itself; invisible changes nothing.
            ([1, 2, 3, 255], [200, 100, 50, 255], 100, [200, 100, 50, 255]),
            ([1, 2, 3, 255], [200, 100, 50, 0], 100, [1, 2, 3, 255]),
            ([1, 2, 3, 77], [200, 100, 50, 255], 0, [1, 2, 3, 77]),
            // Half on opaque: 0.5 × 200 + 0.5 × 100 = 150; 0.5 × 101 + 0.5 × 100 = 100.5, rounded up.
            ([100, 100, 0, 255], [200, 101, 255, 255], 50, [150, 101, 128, 255]),
            // 128/255 on opaque: 255 × 0.50196 = 128.
            ([0, 0, 0, 255], [255, 255, 255, 128], 100, [128, 128, 128, 255]),
            // Alpha times dissolve: 128/255 × 25 % of 255 is 32.
            ([0, 0, 0, 255], [255, 255, 255, 128], 25, [32, 32, 32, 255]),
            // On nothing the mark keeps its colour and gets its alpha.
            ([9, 9, 9, 0], [200, 100, 50, 128], 100, [200, 100, 50, 128]),
            // Half on half: alpha 0.50196 + 0.50196 × 0.49804 = 0.75196, colour 0.50196/0.75196 of the way to white.
            ([0, 0, 0, 128], [255, 255, 255, 128], 100, [170, 170, 170, 192]),
        ];
        for (own, mark, dissolve, expected) in rows {
            assert_eq!(painted(own, mark, dissolve), expected, "{mark:?} on {own:?} at {dissolve}");
        }
    }

    #[test]
    fn no_combination_leaves_the_range() {
        for alpha in [0, 1, 127, 254, 255] {
            for mark_alpha in [0, 1, 127, 254, 255] {
                for dissolve in [1, 50, 99, 100, 255] {
                    let white = painted([255, 255, 255, alpha], [255, 255, 255, mark_alpha], dissolve);
                    assert_eq!(white[..3], [255; 3]);
                    assert!(white[3] >= alpha);
                }
            }
        }
    }

    #[test]
    fn marks_are_placed_and_clipped() {
        let rows: [((i64, i64), [u8; 6]); 6] = [
            ((0, 0), [7, 8, 0, 9, 5, 0]),
            ((1, 0), [0, 7, 8, 0, 9, 5]),
            ((2, 1), [0, 0, 0, 0, 0, 7]),
            ((-1, -1), [5, 0, 0, 0, 0, 0]),
            ((3, 0), [0; 6]),
            ((i64::MAX / 2, -9), [0; 6]),
        ];
        for (at, expected) in rows {
            let mut frame = cards::gray(3, &[0; 6]);
            over(&mut frame, &cards::gray(2, &[7, 8, 9, 5]), at, 100);
            assert_eq!(frame, cards::gray(3, &expected), "{at:?}");
        }
    }

    #[test]
    fn a_grey_frame_takes_on_colour_only_where_the_mark_has_it() {
        let red = cards::rgba(1, &[[255, 0, 0, 255]]);
        let hidden_red = cards::rgba(1, &[[255, 0, 0, 0]]);
        let white = Frame::filled(Size::new(1, 1), Layout::Rgb, [255; 4]);
        for (mark, layout) in [(red, Layout::Rgb), (hidden_red, Layout::Gray), (white, Layout::Gray)] {
            let mut frame = cards::gray(2, &[10, 20]);
            over(&mut frame, &mark, (0, 0), 100);
            assert_eq!(frame.layout(), layout, "{mark:?}");
            assert_eq!(frame.rgba_at(1, 0), [20, 20, 20, 255]);
        }
    }

    #[test]
    fn other_layouts_stay() {
        for layout in [Layout::Rgb, Layout::Rgba] {
            let mut frame = Frame::filled(Size::new(2, 1), layout, [9, 9, 9, 255]);
            over(&mut frame, &cards::gray(1, &[50]), (0, 0), 100);
            assert_eq!((frame.layout(), frame.rgba_at(0, 0)), (layout, [50, 50, 50, 255]));
        }
    }

    #[test]
    fn tiles_start_top_left_and_leave_gaps() {
        let mut frame = cards::gray(5, &[0; 15]);
        tile(&mut frame, &cards::gray(2, &[7, 8]), (1, 1), 100);
        let expected = [7, 8, 0, 7, 8, 0, 0, 0, 0, 0, 7, 8, 0, 7, 8];
        assert_eq!(frame, cards::gray(5, &expected));
        let mut frame = cards::gray(3, &[0; 3]);
        tile(&mut frame, &cards::gray(2, &[7, 8]), (u32::MAX, u32::MAX), 100);
        assert_eq!(frame, cards::gray(3, &[7, 8, 0]));
    }
}
