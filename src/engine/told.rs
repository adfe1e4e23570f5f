//! What is told of pictures, as JSON: of their headers, of what they carry, of what there is to see.

use md5::{Digest as _, Md5};
use sha2::Sha256;

use super::image::{Format, Frame, Header};
use super::limits::Cancel;
use super::op::{average, seen as look};
use super::{Error, metadata};
use crate::geometry::{Rect, Size};
use crate::plan::Seen;
use crate::plan::facts::{Digest, Facts};

/// `facts`: what `imageInfo` says, and what is asked for beside it. No EXIF is an empty object.
pub(super) fn facts(header: &Header, source: &[u8], facts: Facts) -> serde_json::Value {
    if facts.flat {
        return flat(header, source);
    }
    let mut told = info(header);
    if facts.quality {
        told["quality"] = header.jpeg_quality.unwrap_or(100).into();
    }
    if facts.exif {
        let exif = metadata::read(source, header).exif.and_then(|exif| metadata::exif_json(&exif).ok());
        told["exif"] = exif.unwrap_or_else(|| serde_json::json!({}));
    }
    if let Some(digest) = facts.digest {
        told["digest"] = hexadecimal(digest, source).into();
    }
    told
}

/// What is seen of a finished picture.
pub(super) fn seen(frame: Frame, seen: Seen, cancel: &Cancel) -> Result<serde_json::Value, Error> {
    let hex = |[r, g, b]: [u8; 3]| format!("{r:02x}{g:02x}{b:02x}");
    Ok(match seen {
        Seen::Average => serde_json::json!({ "RGB": format!("0x{}", hex(average::average(&frame))) }),
        Seen::Colors(count) => {
            let pixels = frame.size().area();
            let look::Colors { counted, background } = look::colors(frame, count, cancel)?;
            let color = |(color, count): ([u8; 3], u64)| serde_json::json!({ "color": hex(color), "pixels": count });
            let colors: Vec<_> = counted.into_iter().map(color).collect();
            serde_json::json!({ "colors": colors, "background": background.map(hex), "pixels": pixels })
        }
        Seen::Edges(fuzz) => {
            let size = frame.size();
            let found = look::edges(&frame, fuzz, cancel)?;
            let Rect { x, y, size } = found.unwrap_or(Rect { x: 0, y: 0, size });
            let Size { width, height } = size;
            serde_json::json!({ "x": x, "y": y, "width": width, "height": height, "blank": found.is_none() })
        }
    })
}

/// Facts as texts; a density that is not told is 0.
fn flat(header: &Header, source: &[u8]) -> serde_json::Value {
    let density = metadata::read(source, header).density_dpi.unwrap_or_default().to_string();
    serde_json::json!({
        "format": header.format.name(),
        "width": header.size.width.to_string(),
        "height": header.size.height.to_string(),
        "size": header.bytes.to_string(),
        "md5": hexadecimal(Digest::Md5, source),
        "frame_count": header.frames.to_string(),
        "bit_depth": (8 * header.depth.bytes()).to_string(),
        "vertical_dpi": density,
        "horizontal_dpi": density,
    })
}

fn hexadecimal(digest: Digest, bytes: &[u8]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match digest {
        Digest::Md5 => hex(&Md5::digest(bytes)),
        Digest::Crc32 => format!("{:08x}", crc32fast::hash(bytes)),
        Digest::Sha256 => hex(&Sha256::digest(bytes)),
    }
}

/// `imageInfo` (spec 4.5): stored size, before orientation.
pub fn info(header: &Header) -> serde_json::Value {
    let mut info = serde_json::json!({
        "size": header.bytes,
        "format": header.format.name(),
        "width": header.size.width,
        "height": header.size.height,
        "colorModel": header.color_model.name(),
    });
    if let Some(orientation) = header.orientation {
        info["orientation"] = orientation.name().into();
    }
    if header.format == Format::Gif || header.is_animated() {
        info["frameNumber"] = header.frames.into();
    }
    info
}
