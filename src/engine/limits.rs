//! What the engine refuses before it allocates, and the flag that stops it while it works.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::geometry::Size;

/// Bounds on sources and results (spec 4.0). Checked against the header and the resolved program, before pixels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// A flag that says "stop": set by whoever waits, looked at between steps and rows by whoever works.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Flag>);

#[derive(Debug, Default)]
struct Flag {
    raised: AtomicBool,
    #[cfg(test)]
    looks: tests::Looks,
}

impl Cancel {
    /// Asks the work to stop.
    pub fn cancel(&self) {
        self.0.raised.store(true, Ordering::Relaxed);
    }

    /// Goes on, or stops the work.
    ///
    /// # Errors
    /// [`Error::Cancelled`] once [`Cancel::cancel`] was called.
    pub fn check(&self) -> Result<(), Error> {
        #[cfg(test)]
        self.0.looks.take(&self.0.raised);
        if self.0.raised.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) }
    }
}

#[cfg(test)]
pub(in crate::engine) mod tests {
    use std::fmt::Debug;
    use std::sync::atomic::AtomicU32;

    use super::*;

    /// Counts how often a flag was looked at, and raises it when that was often enough: tests of cancelling need no clock.
    #[derive(Debug, Default)]
    pub(super) struct Looks {
        taken: AtomicU32,
        allowed: Option<u32>,
    }

    impl Looks {
        pub(super) fn take(&self, raised: &AtomicBool) {
            let before = self.taken.fetch_add(1, Ordering::Relaxed);
            if self.allowed.is_some_and(|allowed| before >= allowed) {
                raised.store(true, Ordering::Relaxed);
            }
        }
    }

    impl Cancel {
        /// A flag that is raised once it was looked at `looks` times.
        fn after(looks: u32) -> Self {
            let looks = Looks { taken: AtomicU32::default(), allowed: Some(looks) };
            Self(Arc::new(Flag { raised: AtomicBool::default(), looks }))
        }

        fn looks(&self) -> u32 {
            self.0.looks.taken.load(Ordering::Relaxed)
        }
    }

    /// How often `work` looks at the flag. Makes sure that it stops at the first look that finds it raised, tried at some
    /// twenty of them; whoever passes the stop on may look once or twice again.
    pub(in crate::engine) fn looks_of<T: Debug>(work: impl Fn(&Cancel) -> Result<T, Error>) -> u32 {
        let patient = Cancel::default();
        work(&patient).expect("nothing stops it");
        let looks = patient.looks();
        for allowed in (0..looks).step_by((looks as usize / 20).max(1)) {
            let cancel = Cancel::after(allowed);
            match work(&cancel) {
                Err(Error::Cancelled) => {}
                outcome => panic!("not stopped at look {allowed} of {looks}: {outcome:?}"),
            }
            let more = cancel.looks() - allowed;
            assert!(more <= 3, "{more} looks after it was stopped at look {allowed} of {looks}");
        }
        looks
    }

    #[test]
    fn a_raised_flag_stays_raised() {
        let cancel = Cancel::default();
        assert_eq!(cancel.check(), Ok(()));
        cancel.clone().cancel();
        assert_eq!((cancel.check(), cancel.check()), (Err(Error::Cancelled), Err(Error::Cancelled)));
    }
}
