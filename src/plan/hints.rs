//! What clients tell of themselves (client hints), and what becomes of a plan by it: another plan, whose text says all.
//!
//! Values are rounded up to few steps, so that clients share results.

use super::image_mogr2::{MogrOp, Thumbnail};
use super::image_view2::MAX_EDGE;
use super::{Fop, Plan};

/// Widths that `w/auto` becomes, in pixels of the screen.
const WIDTHS: [u32; 12] = [80, 160, 320, 480, 640, 800, 960, 1280, 1600, 1920, 2560, 3840];

/// Pixels of the screen for each of the page, in halves: 1 to 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Density {
    halves: u8,
}

impl Density {
    /// One to one.
    pub const ONE: Self = Self { halves: 2 };

    /// Reads `DPR`: a decimal number, rounded up to halves, 1 to 4.
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = text.len() <= 8 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let number = text.parse::<f32>().ok().filter(|number| is_plain && *number > 0.0)?;
        Some(Self { halves: (number * 2.0).ceil().clamp(2.0, 8.0) as u8 })
    }

    fn pixels(self, edge: u32) -> u32 {
        (edge * u32::from(self.halves)).div_ceil(2).min(MAX_EDGE)
    }
}

impl Default for Density {
    fn default() -> Self {
        Self::ONE
    }
}

/// What a client tells of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// `DPR`.
    pub density: Density,
    /// `Width`: of the picture on the page, in pixels of the screen; rounded up to few widths.
    pub width: Option<u32>,
    /// `Save-Data: on`.
    pub save_data: bool,
}

impl Hints {
    /// A `Width`, rounded up; the widest there is for what is wider.
    pub fn width_of(text: &str) -> Option<u32> {
        let width: u32 = text.parse().ok().filter(|width| *width > 0 && !text.starts_with('+'))?;
        WIDTHS.into_iter().find(|step| *step >= width).or(WIDTHS.last().copied())
    }
}

impl Plan {
    /// Whether any width is left to the client.
    pub fn leaves_width(&self) -> bool {
        self.fops.iter().any(|fop| matches!(fop, Fop::ImageView2(view) if view.auto_width))
    }

    /// Whether `DPR` makes it larger: where nothing but sizes is counted in pixels, and any is.
    pub fn scales(&self) -> bool {
        self.fops.iter().all(is_scalable) && self.fops.iter().any(has_size)
    }

    /// The plan for a client that tells this of itself.
    ///
    /// `w/auto` becomes the width, or is left out. Boxes of `imageView2`, which never enlarges, are multiplied by the density, and
    /// so are `thumbnail/<W>x<H>` and `…>`, which then only shrink.
    #[must_use]
    pub fn for_hints(&self, hints: Hints) -> Self {
        let density = if self.scales() { hints.density } else { Density::ONE };
        let fops = self.fops.iter().map(|fop| match fop {
            Fop::ImageView2(view) => {
                let mut view = *view;
                view.width = if view.auto_width { hints.width } else { view.width.map(|edge| density.pixels(edge)) };
                view.height = view.height.map(|edge| density.pixels(edge));
                view.auto_width = false;
                Fop::ImageView2(view)
            }
            Fop::ImageMogr2(mogr) if density != Density::ONE => {
                let mut mogr = mogr.clone();
                for op in &mut mogr.ops {
                    if let MogrOp::Thumbnail(thumbnail) = op {
                        *thumbnail = scaled(*thumbnail, density);
                    }
                }
                Fop::ImageMogr2(mogr)
            }
            fop => fop.clone(),
        });
        Self { fops: fops.collect() }
    }
}

fn scaled(thumbnail: Thumbnail, density: Density) -> Thumbnail {
    let pixels = |edge: Option<u32>| edge.map(|edge| density.pixels(edge));
    match thumbnail {
        Thumbnail::Fit(width, height) | Thumbnail::Shrink(width, height) => {
            Thumbnail::Shrink(pixels(width), pixels(height))
        }
        other => other,
    }
}

/// Whether nothing in it but sizes is counted in pixels.
fn is_scalable(fop: &Fop) -> bool {
    match fop {
        Fop::ImageView2(_) | Fop::ImageSlim(_) | Fop::SaveAs(_) => true,
        Fop::ImageMogr2(mogr) => mogr
            .ops
            .iter()
            .all(|op| matches!(op, MogrOp::AutoOrient | MogrOp::Thumbnail(_) | MogrOp::Rotate(_) | MogrOp::Sharpen)),
        _ => false,
    }
}

fn has_size(fop: &Fop) -> bool {
    match fop {
        Fop::ImageView2(view) => view.width.is_some() || view.height.is_some(),
        Fop::ImageMogr2(mogr) => {
            mogr.ops.iter().any(|op| matches!(op, MogrOp::Thumbnail(Thumbnail::Fit(..) | Thumbnail::Shrink(..))))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn densities_are_few() {
        for (text, halves) in
            [("1", 2), ("1.0", 2), ("1.1", 3), ("1.5", 3), ("2.625", 6), ("3", 6), ("0.8", 2), ("9", 8)]
        {
            assert_eq!(Density::parse(text), Some(Density { halves }), "{text}");
        }
        for text in ["", "0", "-2", "2x", "NaN", "inf", "1e9", "+2", "2.00000000000001"] {
            assert_eq!(Density::parse(text), None, "{text}");
        }
    }

    #[test]
    fn widths_are_few() {
        for (text, width) in [("1", 80), ("320", 320), ("321", 480), ("9000", 3840)] {
            assert_eq!(Hints::width_of(text), Some(width), "{text}");
        }
        for text in ["", "0", "-1", "+5", "3.5", "99999999999"] {
            assert_eq!(Hints::width_of(text), None, "{text}");
        }
    }

    #[test]
    fn plans_for_clients() {
        let two = Hints { density: Density { halves: 4 }, ..Hints::default() };
        let half = Hints { density: Density { halves: 3 }, width: Some(480), save_data: true };
        for (text, hints, expected) in [
            ("imageView2/2/w/300", two, "imageView2/2/w/600"),
            ("imageView2/1/w/99/h/9/format/webp", half, "imageView2/1/w/149/h/14/format/webp"),
            ("imageView2/2/w/6000", two, "imageView2/2/w/9999"),
            ("imageView2/2/w/auto", half, "imageView2/2/w/480"),
            ("imageView2/1/w/auto/h/100", half, "imageView2/1/w/480/h/150"),
            ("imageView2/2/w/auto", two, "imageView2/2"),
            ("imageMogr2/thumbnail/300x", two, "imageMogr2/thumbnail/600x>"),
            ("imageMogr2/thumbnail/300x", Hints::default(), "imageMogr2/thumbnail/300x"),
            ("imageMogr2/auto-orient/thumbnail/30x20>/strip", two, "imageMogr2/auto-orient/thumbnail/60x40>/strip"),
            ("imageMogr2/thumbnail/!50p", two, "imageMogr2/thumbnail/!50p"),
            ("imageMogr2/thumbnail/300x/crop/100x100", two, "imageMogr2/thumbnail/300x/crop/100x100"),
            ("imageView2/2/w/300|roundPic/radius/9", two, "imageView2/2/w/300|roundPic/radius/9"),
            ("imageView2/2/w/300|imageInfo", two, "imageView2/2/w/300|imageInfo"),
        ] {
            let plan = Plan::parse(text).expect(text);
            let hinted = plan.for_hints(hints);
            assert_eq!(hinted, Plan::parse(expected).expect(expected), "{text}");
            assert!(hinted == plan || plan.scales() || plan.leaves_width(), "{text}");
        }
    }
}
