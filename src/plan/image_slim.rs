//! `imageslim[/zlevel/<0-10>]` (spec 4.10).

/// A parsed `imageslim`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSlim {
    /// 0–10, lower is better quality; 3 by default.
    pub level: u8,
}
