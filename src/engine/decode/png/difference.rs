//! Our rows beside those of the `png` crate, for tests and the fuzz targets.

use std::io::Cursor;

use super::rows::Rows;
use crate::engine::limits::{Cancel, Limits};

/// Holds what is read of `png` here against what the crate reads of it.
///
/// # Panics
/// Where all rows are read, and are not the crate's.
pub(in crate::engine) fn check(png: &[u8]) {
    if let Some(samples) = all_rows(png) {
        assert!(by_the_crate(png).as_ref() == Some(&samples), "the crate reads other samples, or none");
    }
}

/// The samples of `png`; `None` of what is left to the crate.
pub(in crate::engine) fn all_rows(png: &[u8]) -> Option<Vec<u8>> {
    let mut rows = Rows::new(png, &Limits::default(), &Cancel::default()).ok()?;
    let mut samples = Vec::with_capacity(rows.size().area() as usize * rows.layout().channels());
    while let Some(row) = rows.next().ok()? {
        samples.extend_from_slice(row);
    }
    Some(samples)
}

fn by_the_crate(png: &[u8]) -> Option<Vec<u8>> {
    let mut reader = png::Decoder::new(Cursor::new(png)).read_info().ok()?;
    let mut samples = vec![0; reader.output_buffer_size()?];
    reader.next_frame(&mut samples).ok()?;
    Some(samples)
}
