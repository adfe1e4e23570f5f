//! The size that is asked for.

use super::{Bounds, Refusal, Version, decimal, pixels};
use crate::geometry::{Size, scale_edge};

/// A size, and how it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SizeRequest {
    text: String,
    form: Form,
    /// `^`: it may be larger than the region.
    upscales: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// The region, or as much as is given.
    Max,
    /// The region.
    Full,
    Width(u32),
    Height(u32),
    Percent(f64),
    /// Both, whatever the region's shape.
    Exact(u32, u32),
    /// The region's shape in a box.
    Within(u32, u32),
}

const EXPECTED_2: &str = "full, max, w, or ,h or pct:n or w,h or !w,h, where numbers are above 0";
const EXPECTED_3: &str =
    "max, w, or ,h or pct:n or w,h or !w,h, with or without ^ before it, where numbers are above 0";

impl SizeRequest {
    pub(super) fn parse(version: Version, text: &str) -> Result<Self, Refusal> {
        let (upscales, form) = match text.strip_prefix('^') {
            Some(form) if version == Version::Three => (true, form),
            _ => (false, text),
        };
        let expected = if version == Version::Two { EXPECTED_2 } else { EXPECTED_3 };
        let invalid = || Refusal::Invalid { part: "size", value: text.to_owned(), expected };
        let form = Form::parse(version, form).ok_or_else(invalid)?;
        Ok(Self { text: text.to_owned(), form, upscales })
    }

    /// The size for a region of size `region`.
    pub(super) fn of(&self, region: Size, bounds: &Bounds) -> Result<Size, Refusal> {
        let value = || self.text.clone();
        let size = match self.form {
            Form::Max => return Ok(bounds.hold(region)),
            Form::Full => region,
            Form::Width(width) => Size::new(width, scale_edge(region.height, width, region.width)),
            Form::Height(height) => Size::new(scale_edge(region.width, height, region.height), height),
            Form::Percent(percent) => region.scaled(percent / 100.0),
            Form::Exact(width, height) => Size::new(width, height),
            Form::Within(width, height) if self.upscales => region.fit_inside(Some(width), Some(height)),
            Form::Within(width, height) if bounds.strict && !region.shrinks_into(width, height) => {
                return Err(Refusal::Enlarges { value: value(), region });
            }
            Form::Within(width, height) => return Ok(bounds.hold(region.shrink_inside(Some(width), Some(height)))),
        };
        if size.exceeds(region) {
            return Err(match self.upscales {
                true => Refusal::NotOffered { value: value(), region },
                false => Refusal::Enlarges { value: value(), region },
            });
        }
        match bounds.holds(size) {
            true => Ok(size),
            false => Err(Refusal::OverBounds { value: value(), size, edge: bounds.edge, area: bounds.area }),
        }
    }
}

impl Form {
    fn parse(version: Version, text: &str) -> Option<Self> {
        let edge = |text: &str| pixels(text).filter(|edge| *edge > 0);
        match text {
            "max" => return Some(Self::Max),
            "full" if version == Version::Two => return Some(Self::Full),
            _ => {}
        }
        if let Some(percent) = text.strip_prefix("pct:") {
            return decimal(percent).filter(|percent| *percent > 0.0).map(Self::Percent);
        }
        if let Some(within) = text.strip_prefix('!') {
            let (width, height) = within.split_once(',')?;
            return Some(Self::Within(edge(width)?, edge(height)?));
        }
        match text.split_once(',')? {
            (width, "") => edge(width).map(Self::Width),
            ("", height) => edge(height).map(Self::Height),
            (width, height) => Some(Self::Exact(edge(width)?, edge(height)?)),
        }
    }
}

impl Size {
    /// Whether a box bounds it at all.
    const fn shrinks_into(self, width: u32, height: u32) -> bool {
        width <= self.width || height <= self.height
    }
}

impl Bounds {
    /// Whether so much is given.
    pub fn holds(&self, size: Size) -> bool {
        size.long() <= self.edge && size.area() <= self.area
    }

    /// The size itself, or the largest of its shape that is given: the standard's own method.
    pub fn hold(&self, size: Size) -> Size {
        let mut held = size;
        if size.area() > self.area {
            let factor = (self.area as f64 / size.area() as f64).sqrt();
            let edge = |edge: u32| ((f64::from(edge) * factor).floor() as u32).max(1);
            held = Size::new(edge(size.width), edge(size.height));
        }
        if held.width > self.edge {
            held = Size::new(self.edge, scale_edge(size.height, self.edge, size.width));
        }
        if held.height > self.edge {
            held = Size::new(scale_edge(size.width, self.edge, size.height), self.edge);
        }
        held
    }
}

/// How the standard spells a size best.
pub(super) fn canonical(version: Version, region: Size, size: Size, bounds: &Bounds) -> String {
    let Size { width, height } = size;
    match version {
        Version::Three if size == bounds.hold(region) => "max".to_owned(),
        Version::Two if size == region => "full".to_owned(),
        Version::Two if height == scale_edge(region.height, width, region.width) => format!("{width},"),
        _ => format!("{width},{height}"),
    }
}
