//! `imageView2/<mode>/w/<w>/h/<h>/…` (spec 4.1).

use super::output::OutputSettings;

/// A parsed `imageView2`. Rotates by EXIF orientation first; never enlarges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageView2 {
    /// 0–5.
    pub mode: u8,
    /// `w`, 1–9999.
    pub width: Option<u32>,
    /// `h`, 1–9999.
    pub height: Option<u32>,
    /// Format, quality and so on.
    pub output: OutputSettings,
}
