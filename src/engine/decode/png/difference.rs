//! Our rows beside those of the `png` crate, for tests and the fuzz targets.

use std::io::Cursor;

use super::rows::{Rows, Unclaimed};
use crate::engine::limits::{Cancel, Limits};

/// Holds what is read of `png` here against what the crate reads of it.
///
/// # Panics
/// Where all rows are read, and are not the crate's.
pub(in crate::engine) fn check(png: &[u8]) {
    if let Ok(samples) = all_rows(png) {
        assert!(by_the_crate(png).as_ref() == Some(&samples), "the crate reads other samples, or none");
    }
}

pub(super) fn all_rows(png: &[u8]) -> Result<Vec<u8>, Unclaimed> {
    let mut rows = Rows::new(png, &Limits::default(), &Cancel::default())?;
    let mut samples = Vec::new();
    while let Some(row) = rows.next()? {
        samples.extend_from_slice(row);
    }
    Ok(samples)
}

fn by_the_crate(png: &[u8]) -> Option<Vec<u8>> {
    let mut reader = png::Decoder::new(Cursor::new(png)).read_info().ok()?;
    let mut samples = vec![0; reader.output_buffer_size()?];
    reader.next_frame(&mut samples).ok()?;
    Some(samples)
}
