//! What files carry beside pixels: EXIF, ICC profile, density.
