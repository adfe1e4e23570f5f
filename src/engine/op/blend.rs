//! Two layers combined (W3C Compositing and Blending 1).

use crate::engine::Error;
use crate::engine::image::{Frame, Layout, Sample, luma};
use crate::engine::limits::Cancel;
use crate::geometry::Rect;
use crate::plan::composite::BlendOp;

/// Combines `upper` with `frame` where it lies, its top-left corner at `at`, at `dissolve_percent` of its own opacity; what lies
/// outside of either stays as it is.
///
/// The frame becomes RGB, or RGBA where the result may be transparent. Single precision, straight alpha in and out, rounded half
/// up once.
///
/// # Errors
/// [`Error::Cancelled`], looked for in each row.
pub fn blend(
    frame: Frame,
    upper: &Frame,
    at: (i64, i64),
    dissolve_percent: u8,
    op: BlendOp,
    cancel: &Cancel,
) -> Result<Frame, Error> {
    let layout = if frame.layout() == Layout::Rgba || clears(op) { Layout::Rgba } else { Layout::Rgb };
    let mut frame = frame.into_layout(layout);
    let Some(covered) = Rect::clipped(at.0, at.1, upper.size(), frame.size()) else { return Ok(frame) };
    let opacity = f32::from(dissolve_percent.min(100)) / 100.0;
    let (stride, channels) = (frame.stride(), layout.channels());
    let corner = ((i64::from(covered.x) - at.0) as u32, (i64::from(covered.y) - at.1) as u32);
    let rows = frame.pixels_mut().chunks_exact_mut(stride).skip(covered.y as usize);
    for (y, row) in rows.take(covered.size.height as usize).enumerate() {
        cancel.check()?;
        let pixels = row.chunks_exact_mut(channels).skip(covered.x as usize).take(covered.size.width as usize);
        for (x, pixel) in pixels.enumerate() {
            let upper = upper.rgba_at(corner.0 + x as u32, corner.1 + y as u32);
            combine(pixel, upper, opacity, op);
        }
    }
    Ok(frame)
}

/// Whether the operation may leave less than the lower layer has.
pub const fn clears(op: BlendOp) -> bool {
    use BlendOp::{Copy, CopyOpacity, DstAtop, DstIn, DstOut, In, Out, Xor};
    matches!(op, In | Out | DstIn | DstOut | DstAtop | Xor | Copy | CopyOpacity)
}

fn combine(pixel: &mut [u8], upper: [u8; 4], opacity: f32, op: BlendOp) {
    let unit = |value: u8| f32::from(value) / 255.0;
    let lower_alpha = if pixel.len() == 4 { unit(pixel[3]) } else { 1.0 };
    let (upper_alpha, shown) = match op {
        // Its own colour is not shown; its luma is what counts.
        BlendOp::CopyOpacity => (unit(luma(upper[0], upper[1], upper[2])) * unit(upper[3]), opacity),
        _ => (unit(upper[3]) * opacity, 1.0),
    };
    let (of_upper, of_lower) = shares(op, upper_alpha, lower_alpha);
    let alpha = (of_upper + of_lower).clamp(0.0, 1.0);
    for (channel, value) in pixel.iter_mut().take(3).enumerate() {
        let (cs, cb) = (unit(upper[channel]), unit(*value));
        let mixed = mixed(op, cb, cs);
        let color = match mixed {
            Some(mixed) => of_upper * ((1.0 - lower_alpha) * cs + lower_alpha * mixed) + of_lower * cb,
            None => of_upper * cs + of_lower * cb,
        };
        *value = if alpha > 0.0 { u8::nearest((color / alpha).clamp(0.0, 1.0) * 255.0) } else { 0 };
    }
    if let [_, _, _, kept] = pixel {
        *kept = u8::nearest(alpha.mul_add(shown, lower_alpha * (1.0 - shown)) * 255.0);
    }
}

/// The shares of both layers' colours in the result, by their alphas (Porter and Duff).
fn shares(op: BlendOp, a: f32, b: f32) -> (f32, f32) {
    match op {
        BlendOp::Atop => (a * b, b * (1.0 - a)),
        BlendOp::In => (a * b, 0.0),
        BlendOp::Out => (a * (1.0 - b), 0.0),
        BlendOp::DstOver => (a * (1.0 - b), b),
        BlendOp::DstIn => (0.0, b * a),
        BlendOp::CopyOpacity => (0.0, a),
        BlendOp::DstOut => (0.0, b * (1.0 - a)),
        BlendOp::DstAtop => (a * (1.0 - b), b * a),
        BlendOp::Xor => (a * (1.0 - b), b * (1.0 - a)),
        BlendOp::Copy => (a, 0.0),
        _ => (a, b * (1.0 - a)),
    }
}

/// The colour of both layers where both are, by the lower colour `b` and the upper one `s`; `None` for the operations of Porter
/// and Duff.
fn mixed(op: BlendOp, b: f32, s: f32) -> Option<f32> {
    Some(match op {
        BlendOp::Multiply => b * s,
        BlendOp::Screen => screen(b, s),
        BlendOp::Overlay => hard_light(s, b),
        BlendOp::HardLight => hard_light(b, s),
        BlendOp::Darken => b.min(s),
        BlendOp::Lighten => b.max(s),
        BlendOp::Difference => (b - s).abs(),
        BlendOp::Exclusion => b + s - 2.0 * b * s,
        BlendOp::SoftLight => soft_light(b, s),
        BlendOp::ColorDodge if b == 0.0 => 0.0,
        BlendOp::ColorDodge if s >= 1.0 => 1.0,
        BlendOp::ColorDodge => (b / (1.0 - s)).min(1.0),
        BlendOp::ColorBurn if b >= 1.0 => 1.0,
        BlendOp::ColorBurn if s <= 0.0 => 0.0,
        BlendOp::ColorBurn => 1.0 - ((1.0 - b) / s).min(1.0),
        BlendOp::Plus => (b + s).min(1.0),
        BlendOp::Minus => (b - s).max(0.0),
        _ => return None,
    })
}

fn screen(b: f32, s: f32) -> f32 {
    b + s - b * s
}

fn hard_light(b: f32, s: f32) -> f32 {
    if s <= 0.5 { b * 2.0 * s } else { screen(b, 2.0 * s - 1.0) }
}

fn soft_light(b: f32, s: f32) -> f32 {
    if s <= 0.5 {
        return b - (1.0 - 2.0 * s) * b * (1.0 - b);
    }
    let root = if b <= 0.25 { ((16.0 * b - 12.0) * b + 4.0) * b } else { b.sqrt() };
    b + (2.0 * s - 1.0) * (root - b)
}

#[cfg(test)]
mod tests {
    use super::super::{cards, composite};
    use super::*;
    use crate::geometry::Size;

    fn blended(lower: [u8; 4], upper: [u8; 4], dissolve: u8, op: BlendOp) -> [u8; 4] {
        let (lower, upper) = (cards::rgba(1, &[lower]), cards::rgba(1, &[upper]));
        blend(lower, &upper, (0, 0), dissolve, op, &Cancel::default()).expect("nothing stops it").rgba_at(0, 0)
    }

    #[test]
    fn opaque_layers() {
        let (lower, upper) = ([100, 200, 0, 255], [200, 51, 255, 255]);
        for (op, expected) in [
            (BlendOp::Over, [200, 51, 255]),
            (BlendOp::DstOver, [100, 200, 0]),
            (BlendOp::Multiply, [78, 40, 0]),
            (BlendOp::Screen, [222, 211, 255]),
            (BlendOp::Overlay, [157, 167, 0]),
            (BlendOp::HardLight, [188, 80, 255]),
            (BlendOp::Darken, [100, 51, 0]),
            (BlendOp::Lighten, [200, 200, 255]),
            (BlendOp::Difference, [100, 149, 255]),
            (BlendOp::Exclusion, [143, 171, 255]),
            (BlendOp::ColorDodge, [255, 250, 0]),
            (BlendOp::ColorBurn, [57, 0, 0]),
            (BlendOp::Plus, [255, 251, 255]),
            (BlendOp::Minus, [0, 149, 0]),
        ] {
            assert_eq!(blended(lower, upper, 100, op)[..3], expected, "{op:?}");
        }
    }

    #[test]
    fn alpha_follows_porter_and_duff() {
        let (lower, upper) = ([100, 100, 100, 128], [200, 200, 200, 51]);
        for (op, alpha) in [
            (BlendOp::Over, 153),
            (BlendOp::Atop, 128),
            (BlendOp::In, 26),
            (BlendOp::Out, 25),
            (BlendOp::DstOver, 153),
            (BlendOp::DstIn, 26),
            (BlendOp::DstOut, 102),
            (BlendOp::DstAtop, 51),
            (BlendOp::Xor, 128),
            (BlendOp::Copy, 51),
            // 0.784 × 0.2.
            (BlendOp::CopyOpacity, 40),
            (BlendOp::Multiply, 153),
        ] {
            assert_eq!(blended(lower, upper, 100, op)[3], alpha, "{op:?}");
        }
        assert_eq!(blended([9; 4], [1, 2, 3, 0], 100, BlendOp::In), [0; 4]);
    }

    #[test]
    fn over_is_what_marks_are_painted_with() {
        let (lower, upper) = (cards::numbered(9, 6, Layout::Rgba), cards::numbered(5, 4, Layout::Rgba));
        let mut painted = lower.clone();
        composite::over(&mut painted, &upper, (-2, 4), 60);
        let blended = blend(lower, &upper, (-2, 4), 60, BlendOp::Over, &Cancel::default()).expect("nothing stops it");
        for (one, other) in painted.pixels().iter().zip(blended.pixels()) {
            assert!(one.abs_diff(*other) <= 1, "{one} {other}");
        }
    }

    #[test]
    fn layouts_are_as_plain_as_they_may_be() {
        let card = |layout| Frame::filled(Size::new(4, 4), layout, [90; 4]);
        for (layout, op, expected) in [
            (Layout::Gray, BlendOp::Multiply, Layout::Rgb),
            (Layout::Rgb, BlendOp::Over, Layout::Rgb),
            (Layout::Rgb, BlendOp::DstOut, Layout::Rgba),
            (Layout::Rgba, BlendOp::Screen, Layout::Rgba),
        ] {
            let blended = blend(card(layout), &card(Layout::Rgb), (9, 9), 100, op, &Cancel::default()).expect("runs");
            assert_eq!(blended.layout(), expected, "{layout:?} {op:?}");
        }
    }
}
