//! `imageView/<mode>/…` (spec 4.2), the older form: quality 85, and mode 1 enlarges.

use super::output::OutputSettings;

/// A parsed `imageView`. Rotates by EXIF orientation first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageView {
    /// 1 or 2.
    pub mode: u8,
    /// `w`, 1–9999; present in mode 1.
    pub width: Option<u32>,
    /// `h`, 1–9999; present in mode 1.
    pub height: Option<u32>,
    /// Format and quality; a missing `q` is stored as 85.
    pub output: OutputSettings,
}
