//! The container of WebP: its chunks, read and written (RFC 9649, section 2).

use crate::engine::metadata::Metadata;
use crate::geometry::Size;

const FLAG_ANIMATION: u8 = 0x02;
const FLAG_EXIF: u8 = 0x08;
const FLAG_ALPHA: u8 = 0x10;
const FLAG_ICC: u8 = 0x20;

/// What stands before the chunks: `RIFF`, a length, `WEBP`.
pub(in crate::engine) const HEADER_BYTES: usize = 12;

/// A chunk: its name and its data.
pub(in crate::engine) type Chunk<'a> = ([u8; 4], &'a [u8]);

/// The chunks of a WebP file; it ends with the file or at the first chunk that is cut short.
pub(in crate::engine) fn chunks(webp: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut rest = webp.get(HEADER_BYTES..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (name, body) = rest.split_first_chunk::<4>()?;
        let (length, body) = body.split_first_chunk::<4>()?;
        let (data, after) = body.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        // Chunks start at even offsets.
        rest = after.get(data.len() % 2..).unwrap_or_default();
        Some((*name, data))
    })
}

/// Data of the first chunk of that name.
pub(in crate::engine) fn chunk<'a>(webp: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    chunks(webp).find(|(found, _)| found == name).map(|(_, data)| data)
}

/// ICC profile and EXIF data.
pub(in crate::engine) fn metadata(webp: &[u8]) -> Metadata {
    let exif = chunk(webp, b"EXIF").map(|exif| exif.strip_prefix(b"Exif\0\0").unwrap_or(exif).to_vec());
    Metadata { icc: chunk(webp, b"ICCP").map(<[u8]>::to_vec), exif, density_dpi: None }
}

/// `webp`, a complete file of size `size`, with a profile and EXIF data put in.
///
/// The order is that of the specification: VP8X, ICCP, pictures, EXIF.
pub(in crate::engine) fn with_metadata(webp: Vec<u8>, size: Size, alpha: bool, metadata: &Metadata) -> Vec<u8> {
    if metadata.icc.is_none() && metadata.exif.is_none() {
        return webp;
    }
    let mut flags = if alpha { FLAG_ALPHA } else { 0 };
    flags |= if chunk(&webp, b"ANIM").is_some() { FLAG_ANIMATION } else { 0 };
    flags |= if metadata.icc.is_some() { FLAG_ICC } else { 0 };
    flags |= if metadata.exif.is_some() { FLAG_EXIF } else { 0 };
    let header = extended_header(flags, size);
    let mut parts: Vec<Chunk<'_>> = vec![(*b"VP8X", &header)];
    parts.extend(metadata.icc.as_deref().map(|icc| (*b"ICCP", icc)));
    parts.extend(chunks(&webp).filter(|(name, _)| !matches!(name, b"VP8X" | b"ICCP" | b"EXIF")));
    parts.extend(metadata.exif.as_deref().map(|exif| (*b"EXIF", exif)));
    file(&parts)
}

/// The data of VP8X.
pub(in crate::engine) fn extended_header(flags: u8, size: Size) -> [u8; 10] {
    let [w0, w1, w2, _] = (size.width - 1).to_le_bytes();
    let [h0, h1, h2, _] = (size.height - 1).to_le_bytes();
    [flags, 0, 0, 0, w0, w1, w2, h0, h1, h2]
}

/// A file of these chunks.
pub(in crate::engine) fn file(chunks: &[Chunk<'_>]) -> Vec<u8> {
    let length: usize = chunks.iter().map(|(_, data)| 8 + data.len().next_multiple_of(2)).sum();
    let mut file = Vec::with_capacity(HEADER_BYTES + length);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&((length + 4) as u32).to_le_bytes());
    file.extend_from_slice(b"WEBP");
    for (name, data) in chunks {
        file.extend_from_slice(name);
        file.extend_from_slice(&(data.len() as u32).to_le_bytes());
        file.extend_from_slice(data);
        file.resize(file.len().next_multiple_of(2), 0);
    }
    file
}
