//! `roundPic/radius/<r>` and `roundPic/radiusx/<rx>/radiusy/<ry>` (spec 4.9).

/// A parsed `roundPic`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundPic {
    /// Horizontal radius.
    pub x: Radius,
    /// Vertical radius.
    pub y: Radius,
}

/// A corner radius.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Radius {
    /// Pixels; clamped to half the edge.
    Pixels(u32),
    /// Percent of the edge (width for x, height for y); clamped to 50.
    Percent(u32),
}
