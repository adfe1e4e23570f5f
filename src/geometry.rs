//! Sizes, rectangles, anchors and orientations: exact integer rules, no pixels, no I/O.
//!
//! Width comes before height and x before y throughout; the origin is the top-left corner.

mod angle;

use std::fmt;
use std::str::FromStr;

pub use angle::Angle;

/// Width and height in pixels, each at least 1 for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
}

impl Size {
    /// A size of `width` by `height` pixels.
    pub const fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Number of pixels.
    pub const fn area(self) -> u64 {
        self.width as u64 * self.height as u64
    }

    /// Whether it is wider or higher than `other`.
    pub const fn exceeds(self, other: Self) -> bool {
        self.width > other.width || self.height > other.height
    }

    /// The longer edge.
    pub fn long(self) -> u32 {
        self.width.max(self.height)
    }

    /// The shorter edge.
    pub fn short(self) -> u32 {
        self.width.min(self.height)
    }

    /// Width and height exchanged.
    pub const fn transposed(self) -> Self {
        Self { width: self.height, height: self.width }
    }

    /// Both edges times `ratio`, each rounded by [`round_edge`].
    pub fn scaled(self, ratio: f64) -> Self {
        Self::new(round_edge(f64::from(self.width) * ratio), round_edge(f64::from(self.height) * ratio))
    }

    /// Both edges times the exact ratio `numerator / denominator`, rounded half up, at least 1.
    ///
    /// Integer arithmetic, so that 427 × 200/640 is exactly 133.4375 on every machine.
    pub fn scaled_by(self, numerator: u32, denominator: u32) -> Self {
        Self::new(scale_edge(self.width, numerator, denominator), scale_edge(self.height, numerator, denominator))
    }
}

impl Size {
    /// The largest size of this shape inside `width` x `height`; an edge that is not given does not bind.
    /// Enlarges where there is room.
    pub fn fit_inside(self, width: Option<u32>, height: Option<u32>) -> Self {
        match (width, height) {
            (Some(w), Some(h)) if self.is_wider_than(w, h) => self.scaled_by(w, self.width),
            (_, Some(h)) => self.scaled_by(h, self.height),
            (Some(w), None) => self.scaled_by(w, self.width),
            (None, None) => self,
        }
    }

    /// [`Size::fit_inside`], but never larger than it is.
    pub fn shrink_inside(self, width: Option<u32>, height: Option<u32>) -> Self {
        let fits = width.is_none_or(|w| self.width <= w) && height.is_none_or(|h| self.height <= h);
        if fits { self } else { self.fit_inside(width, height) }
    }

    /// The smallest size of this shape that covers `width` x `height`. Enlarges where it has to.
    pub fn cover(self, width: u32, height: u32) -> Self {
        if self.is_wider_than(width, height) {
            self.scaled_by(height, self.height)
        } else {
            self.scaled_by(width, self.width)
        }
    }

    /// Whether `width / self.width <= height / self.height`: the width is what binds.
    fn is_wider_than(self, width: u32, height: u32) -> bool {
        u64::from(width) * u64::from(self.height) <= u64::from(height) * u64::from(self.width)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// `floor(x + 0.5)`, at least 1 (also of a NaN), at most `u32::MAX`: the vendor's rounding of an edge.
pub fn round_edge(x: f64) -> u32 {
    (x + 0.5).floor().max(1.0).min(f64::from(u32::MAX)) as u32
}

/// `edge × numerator / denominator`, rounded half up, at least 1.
pub fn scale_edge(edge: u32, numerator: u32, denominator: u32) -> u32 {
    // Twice a product of two 32-bit numbers may need 65 bits.
    let denominator = u128::from(denominator.max(1));
    let doubled = 2 * u128::from(edge) * u128::from(numerator) + denominator;
    u32::try_from((doubled / (2 * denominator)).max(1)).unwrap_or(u32::MAX)
}

/// A rectangle of whole pixels inside an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rect {
    /// Distance of the left edge from the image's left edge.
    pub x: u32,
    /// Distance of the top edge from the image's top edge.
    pub y: u32,
    /// Width and height of the rectangle.
    pub size: Size,
}

impl Rect {
    /// The part of the rectangle at (`x`, `y`) with `size` that lies inside an image of size `bounds`;
    /// `None` where they do not meet.
    pub fn clipped(x: i64, y: i64, size: Size, bounds: Size) -> Option<Self> {
        let left = x.max(0);
        let top = y.max(0);
        let right = (x + i64::from(size.width)).min(i64::from(bounds.width));
        let bottom = (y + i64::from(size.height)).min(i64::from(bounds.height));
        if right <= left || bottom <= top {
            return None;
        }
        Some(Self { x: left as u32, y: top as u32, size: Size::new((right - left) as u32, (bottom - top) as u32) })
    }
}

/// A resize and the crop after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fit {
    /// Size to scale the whole image to.
    pub scaled: Size,
    /// Part of the scaled image that is kept; `None` keeps all of it.
    pub crop: Option<Rect>,
}

impl Fit {
    /// Scaling to `scaled`, keeping all of it.
    pub const fn whole(scaled: Size) -> Self {
        Self { scaled, crop: None }
    }

    /// Scaling to `scaled`, then keeping the centre of size `kept`.
    pub fn centered(scaled: Size, kept: Size) -> Self {
        if scaled == kept {
            return Self::whole(scaled);
        }
        let (x, y) = Gravity::Center.place(kept, scaled, 0, 0);
        Self { scaled, crop: Rect::clipped(x, y, kept, scaled) }
    }

    /// Size of the result.
    pub fn size(self) -> Size {
        self.crop.map_or(self.scaled, |rect| rect.size)
    }
}

/// An image on a canvas. What lies outside the canvas is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Placed {
    /// Size of the result.
    pub canvas: Size,
    /// Column and row of the canvas at which the image's top-left pixel stands; negative is outside.
    pub offset: (i64, i64),
}

/// One of nine anchors: a row (top, middle, bottom) and a column (left, centre, right).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the compass points explain themselves")]
pub enum Gravity {
    NorthWest,
    North,
    NorthEast,
    West,
    Center,
    East,
    SouthWest,
    South,
    SouthEast,
}

impl Gravity {
    /// All anchors, row by row.
    pub const ALL: [Self; 9] = [
        Self::NorthWest,
        Self::North,
        Self::NorthEast,
        Self::West,
        Self::Center,
        Self::East,
        Self::SouthWest,
        Self::South,
        Self::SouthEast,
    ];

    /// The vendor's spelling.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NorthWest => "NorthWest",
            Self::North => "North",
            Self::NorthEast => "NorthEast",
            Self::West => "West",
            Self::Center => "Center",
            Self::East => "East",
            Self::SouthWest => "SouthWest",
            Self::South => "South",
            Self::SouthEast => "SouthEast",
        }
    }

    /// Top-left corner of a box of size `inner` anchored in `outer`, moved by `dx` and `dy`.
    ///
    /// In the left and right columns (top and bottom rows) the offset points inwards from the anchored edge; in the
    /// middle it points right (down). The corner may lie outside `outer`. Centring rounds down.
    pub fn place(self, inner: Size, outer: Size, dx: i64, dy: i64) -> (i64, i64) {
        let row = self as usize / 3;
        let column = self as usize % 3;
        let anchored = |position: usize, inner: u32, outer: u32, offset: i64| {
            let (inner, outer) = (i64::from(inner), i64::from(outer));
            match position {
                0 => offset,
                1 => (outer - inner).div_euclid(2) + offset,
                _ => outer - inner - offset,
            }
        };
        (anchored(column, inner.width, outer.width, dx), anchored(row, inner.height, outer.height, dy))
    }
}

impl FromStr for Gravity {
    type Err = ();

    /// Reads the vendor's spelling, in any case.
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|gravity| gravity.name().eq_ignore_ascii_case(text)).ok_or(())
    }
}

/// How stored pixels are to be turned for display: the eight values of EXIF tag 0x0112.
///
/// The name says which corner of the picture the stored row 0 and column 0 stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are those of the EXIF standard")]
pub enum Orientation {
    TopLeft = 1,
    TopRight = 2,
    BottomRight = 3,
    BottomLeft = 4,
    LeftTop = 5,
    RightTop = 6,
    RightBottom = 7,
    LeftBottom = 8,
}

impl Orientation {
    /// The orientation whose upright picture has its columns where the stored one has rows (`transposes`), of which the stored
    /// columns or rows run backwards.
    pub const fn from_parts(transposes: bool, columns_backwards: bool, rows_backwards: bool) -> Self {
        match (transposes, columns_backwards, rows_backwards) {
            (false, false, false) => Self::TopLeft,
            (false, true, false) => Self::TopRight,
            (false, true, true) => Self::BottomRight,
            (false, false, true) => Self::BottomLeft,
            (true, false, false) => Self::LeftTop,
            (true, false, true) => Self::RightTop,
            (true, true, true) => Self::RightBottom,
            (true, true, false) => Self::LeftBottom,
        }
    }

    /// Whether stored columns run against their upright counterparts (columns, or rows where it transposes).
    pub const fn columns_backwards(self) -> bool {
        matches!(self, Self::TopRight | Self::BottomRight | Self::RightBottom | Self::LeftBottom)
    }

    /// Whether stored rows run against their upright counterparts.
    pub const fn rows_backwards(self) -> bool {
        matches!(self, Self::BottomRight | Self::BottomLeft | Self::RightTop | Self::RightBottom)
    }

    /// A clockwise turn by `turns` times 90 degrees, as an orientation that undoing comes to it.
    pub const fn quarter_turns(turns: u16) -> Self {
        match turns % 4 {
            0 => Self::TopLeft,
            1 => Self::RightTop,
            2 => Self::BottomRight,
            _ => Self::LeftBottom,
        }
    }

    /// Turning upright by `self` and the result by `next`, in one.
    #[must_use]
    pub const fn then(self, next: Self) -> Self {
        let (columns, rows) = if self.transposes() {
            (next.rows_backwards(), next.columns_backwards())
        } else {
            (next.columns_backwards(), next.rows_backwards())
        };
        Self::from_parts(
            self.transposes() != next.transposes(),
            self.columns_backwards() != columns,
            self.rows_backwards() != rows,
        )
    }

    /// Where a rectangle of the upright picture lies in the stored one of size `stored`. It must lie inside.
    pub const fn to_stored(self, rect: Rect, stored: Size) -> Rect {
        let (x, y, size) = if self.transposes() {
            (rect.y, rect.x, Size::new(rect.size.height, rect.size.width))
        } else {
            (rect.x, rect.y, rect.size)
        };
        let x = if self.columns_backwards() { stored.width - x - size.width } else { x };
        let y = if self.rows_backwards() { stored.height - y - size.height } else { y };
        Rect { x, y, size }
    }

    /// All orientations in the order of their EXIF values.
    pub const ALL: [Self; 8] = [
        Self::TopLeft,
        Self::TopRight,
        Self::BottomRight,
        Self::BottomLeft,
        Self::LeftTop,
        Self::RightTop,
        Self::RightBottom,
        Self::LeftBottom,
    ];

    /// The orientation with this EXIF value (1–8).
    pub fn from_exif(value: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|orientation| *orientation as u32 == value)
    }

    /// Whether applying it exchanges width and height.
    pub const fn transposes(self) -> bool {
        self as u32 >= Self::LeftTop as u32
    }

    /// Size after the orientation was applied to stored pixels of size `stored`.
    pub fn display_size(self, stored: Size) -> Size {
        if self.transposes() { stored.transposed() } else { stored }
    }

    /// The orientation that `imageInfo` calls so.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|orientation| orientation.name() == name)
    }

    /// The vendor's spelling, as `imageInfo` prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TopLeft => "Top-left",
            Self::TopRight => "Top-right",
            Self::BottomRight => "Bottom-right",
            Self::BottomLeft => "Bottom-left",
            Self::LeftTop => "Left-top",
            Self::RightTop => "Right-top",
            Self::RightBottom => "Right-bottom",
            Self::LeftBottom => "Left-bottom",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_round_half_up_and_stay_positive() {
        for (edge, numerator, denominator, expected) in
            [(427, 200, 640, 133), (5, 1, 2, 3), (3, 1, 2, 2), (1, 1, 1000, 1), (0, 1, 1, 1), (7, 3, 0, 21)]
        {
            assert_eq!(scale_edge(edge, numerator, denominator), expected, "{edge} * {numerator}/{denominator}");
        }
        assert_eq!(scale_edge(u32::MAX, u32::MAX, 1), u32::MAX, "saturates");
        for (x, expected) in [(0.4, 1), (1.49, 1), (1.5, 2), (-3.0, 1), (f64::NAN, 1), (1e30, u32::MAX)] {
            assert_eq!(round_edge(x), expected, "{x}");
        }
    }

    #[test]
    fn fitting_shrinking_and_covering() {
        let size = Size::new(640, 427);
        for (fitted, expected) in [
            (size.fit_inside(Some(300), Some(300)), (300, 200)),
            (size.fit_inside(Some(1280), Some(1280)), (1280, 854)),
            (size.fit_inside(None, Some(467)), (700, 467)),
            (size.fit_inside(None, None), (640, 427)),
            (size.shrink_inside(Some(1000), Some(300)), (450, 300)),
            (size.shrink_inside(Some(1000), Some(1000)), (640, 427)),
            (size.shrink_inside(Some(1000), None), (640, 427)),
            (size.cover(200, 200), (300, 200)),
            (size.cover(1280, 10), (1280, 854)),
        ] {
            assert_eq!((fitted.width, fitted.height), expected);
        }
    }

    #[test]
    fn anchored_boxes_move_inwards() {
        let (inner, outer) = (Size::new(10, 20), Size::new(101, 201));
        for (gravity, expected) in [
            (Gravity::NorthWest, (3, 5)),
            (Gravity::North, (48, 5)),
            (Gravity::NorthEast, (88, 5)),
            (Gravity::West, (3, 95)),
            (Gravity::Center, (48, 95)),
            (Gravity::East, (88, 95)),
            (Gravity::SouthWest, (3, 176)),
            (Gravity::South, (48, 176)),
            (Gravity::SouthEast, (88, 176)),
        ] {
            assert_eq!(gravity.place(inner, outer, 3, 5), expected, "{gravity:?}");
            assert_eq!(gravity.name().to_uppercase().parse(), Ok(gravity));
        }
        assert_eq!("middle".parse::<Gravity>(), Err(()));
        assert_eq!(Gravity::Center.place(outer, inner, 0, 0), (-46, -91), "centring rounds down, also below zero");
    }

    #[test]
    fn clipping_keeps_what_both_have() {
        let bounds = Size::new(100, 50);
        let clipped = |x, y, w, h| Rect::clipped(x, y, Size::new(w, h), bounds);
        assert_eq!(clipped(-10, 20, 30, 100), Some(Rect { x: 0, y: 20, size: Size::new(20, 30) }));
        assert_eq!(clipped(0, 0, 100, 50), Some(Rect { x: 0, y: 0, size: bounds }));
        assert_eq!(clipped(100, 0, 10, 10), None);
        assert_eq!(clipped(0, -10, 10, 10), None);
    }

    #[test]
    fn orientations_are_the_exif_values() {
        for (value, orientation) in (1..).zip(Orientation::ALL) {
            assert_eq!(Orientation::from_exif(value), Some(orientation));
            let turned = orientation.display_size(Size::new(3, 2));
            assert_eq!(turned, if value >= 5 { Size::new(2, 3) } else { Size::new(3, 2) });
        }
        assert_eq!(Orientation::from_exif(0), None);
        assert_eq!(Orientation::from_exif(9), None);
        assert_eq!(Orientation::RightTop.name(), "Right-top");
    }
}
