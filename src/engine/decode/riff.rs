//! The container of WebP: its chunks, read and written (RFC 9649, section 2).

use crate::engine::metadata::Metadata;
use crate::geometry::Size;

const FLAG_ANIMATION: u8 = 0x02;
const FLAG_EXIF: u8 = 0x08;
const FLAG_ALPHA: u8 = 0x10;
const FLAG_ICC: u8 = 0x20;

/// A chunk: its name and its data.
pub(in crate::engine) type Chunk<'a> = ([u8; 4], &'a [u8]);

/// The chunks of a WebP file; it ends with the file or at the first chunk that is cut short.
pub(in crate::engine) fn chunks(webp: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut rest = webp.get(12..).unwrap_or_default();
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
    let [w0, w1, w2, _] = (size.width - 1).to_le_bytes();
    let [h0, h1, h2, _] = (size.height - 1).to_le_bytes();
    let header = [flags, 0, 0, 0, w0, w1, w2, h0, h1, h2];

    let mut body = b"WEBP".to_vec();
    push(&mut body, *b"VP8X", &header);
    if let Some(icc) = &metadata.icc {
        push(&mut body, *b"ICCP", icc);
    }
    for (name, data) in chunks(&webp).filter(|(name, _)| !matches!(name, b"VP8X" | b"ICCP" | b"EXIF")) {
        push(&mut body, name, data);
    }
    if let Some(exif) = &metadata.exif {
        push(&mut body, *b"EXIF", exif);
    }
    let mut file = b"RIFF".to_vec();
    file.extend_from_slice(&(body.len() as u32).to_le_bytes());
    file.append(&mut body);
    file
}

fn push(body: &mut Vec<u8>, name: [u8; 4], data: &[u8]) {
    body.extend_from_slice(&name);
    body.extend_from_slice(&(data.len() as u32).to_le_bytes());
    body.extend_from_slice(data);
    body.resize(body.len().next_multiple_of(2), 0);
}
