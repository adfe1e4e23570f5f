//! Colours as users write them: names, `#RRGGBB` and `#RRGGBBAA`.

use std::fmt;

/// An sRGB colour with straight alpha, 8 bits a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Color {
    /// Red, green, blue, alpha; alpha 255 is opaque.
    pub rgba: [u8; 4],
}

impl Color {
    /// Opaque white.
    pub const WHITE: Self = Self { rgba: [255; 4] };
    /// Opaque black.
    pub const BLACK: Self = Self { rgba: [0, 0, 0, 255] };
    /// Fully transparent.
    pub const TRANSPARENT: Self = Self { rgba: [0; 4] };

    /// Whether nothing shows through.
    pub const fn is_opaque(self) -> bool {
        self.rgba[3] == 255
    }
}

impl fmt::Display for Color {
    /// `#RRGGBB`, or `#RRGGBBAA` where it is not opaque; reads back as the same colour.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [r, g, b, a] = self.rgba;
        write!(f, "#{r:02X}{g:02X}{b:02X}")?;
        if a == 255 { Ok(()) } else { write!(f, "{a:02X}") }
    }
}
