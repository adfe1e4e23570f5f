//! What the engine refuses before it allocates, and the flag that stops it while it works.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Error;
use crate::geometry::Size;

/// Bounds on sources and results (spec 4.0). Checked against the header and the resolved program, before pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest source edge, in pixels.
    pub source_edge: u32,
    /// Most source pixels, of one frame.
    pub source_pixels: u64,
    /// Most frames of an animated GIF source.
    pub gif_frames: u32,
    /// Most frames of an animated WebP source.
    pub webp_frames: u32,
    /// Most source pixels over all frames that are decoded.
    pub animation_pixels: u64,
    /// Longest result edge, in pixels.
    pub output_edge: u32,
    /// Most result pixels, of one frame.
    pub output_pixels: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            source_edge: 30_000,
            source_pixels: 150_000_000,
            gif_frames: 200,
            webp_frames: 200,
            animation_pixels: 500_000_000,
            output_edge: 9_999,
            output_pixels: 24_999_999,
        }
    }
}

impl Limits {
    /// Refuses a declared size that is over the source limits. Decoders call it before they allocate.
    ///
    /// # Errors
    /// [`Error::Limit`] that names the size and the limit.
    pub fn check_source(&self, size: Size) -> Result<(), Error> {
        if size.long() > self.source_edge {
            return Err(Error::Limit {
                what: "source edge in pixels",
                value: u64::from(size.long()),
                limit: u64::from(self.source_edge),
            });
        }
        if size.area() > self.source_pixels {
            return Err(Error::Limit { what: "source pixels", value: size.area(), limit: self.source_pixels });
        }
        Ok(())
    }
}

/// A flag that says "stop": set by whoever waits, looked at between steps by whoever works.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the work to stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Goes on, or stops the work.
    ///
    /// # Errors
    /// [`Error::Cancelled`] once [`Cancel::cancel`] was called.
    pub fn check(&self) -> Result<(), Error> {
        if self.0.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
}
