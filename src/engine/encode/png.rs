//! PNG, by the `png` crate: full colour, or a palette where one was asked for.

use std::borrow::Cow;
use std::io::Write;

use ::png::{BitDepth, ColorType, Compression, Encoder, Filter, Info, PixelDimensions, Unit};

use super::palette::{Alpha, Indexed, quantize};
use super::{Effort, Settings, unencodable};
use crate::engine::Error;
use crate::engine::image::{Deep, Frame, Layout};
use crate::geometry::Size;
use crate::plan::output::OutputFormat;

/// Packed data in a chunk of the file.
const CHUNK_BYTES: usize = 64 << 10;

pub(super) fn encode(frame: &Frame, settings: &Settings) -> Result<Vec<u8>, Error> {
    if let Some(colors) = settings.colors {
        let indexed = quantize(frame, colors, Alpha::Levels, settings.effort, &settings.cancel)?;
        return write_indexed(frame, &indexed, settings);
    }
    let mut info = info(frame.size(), frame.layout(), settings);
    info.color_type = color(frame.layout());
    write(info, frame.pixels(), Filter::Adaptive, settings)
}

/// Full colour with all 16 bits; a palette is not made.
pub(super) fn encode_deep(frame: &Frame<Deep>, settings: &Settings) -> Result<Vec<u8>, Error> {
    let mut info = info(frame.size(), frame.layout(), settings);
    info.color_type = color(frame.layout());
    info.bit_depth = BitDepth::Sixteen;
    write(info, frame.pixels().as_flattened(), Filter::Adaptive, settings)
}

const fn color(layout: Layout) -> ColorType {
    match layout {
        Layout::Gray => ColorType::Grayscale,
        Layout::Rgb => ColorType::Rgb,
        Layout::Rgba => ColorType::Rgba,
    }
}

fn write_indexed(frame: &Frame, indexed: &Indexed, settings: &Settings) -> Result<Vec<u8>, Error> {
    let depth = match indexed.palette.len() {
        0..=2 => BitDepth::One,
        3..=4 => BitDepth::Two,
        5..=16 => BitDepth::Four,
        _ => BitDepth::Eight,
    };
    let mut info = info(frame.size(), frame.layout(), settings);
    info.color_type = ColorType::Indexed;
    info.bit_depth = depth;
    info.palette = Some(indexed.palette.iter().flat_map(|entry| [entry[0], entry[1], entry[2]]).collect());
    if indexed.palette.iter().any(|entry| entry[3] != 255) {
        info.trns = Some(indexed.palette.iter().map(|entry| entry[3]).collect());
    }
    let packed = pack(&indexed.indices, frame.size().width as usize, depth as usize);
    // Filters predict from neighbours, which means nothing for indices.
    write(info, &packed, Filter::NoFilter, settings)
}

fn info<'a>(size: Size, layout: Layout, settings: &'a Settings) -> Info<'a> {
    let mut info = Info::with_size(size.width, size.height);
    let kept = &settings.metadata;
    info.icc_profile = settings.icc_for(layout).map(Cow::Borrowed);
    info.exif_metadata = kept.exif.as_deref().map(Cow::Borrowed);
    info.pixel_dims = kept.density_dpi.map(|dpi| {
        let per_meter = (f64::from(dpi) / 0.0254).round() as u32;
        PixelDimensions { xppu: per_meter, yppu: per_meter, unit: Unit::Meter }
    });
    info
}

fn write(info: Info<'_>, data: &[u8], filter: Filter, settings: &Settings) -> Result<Vec<u8>, Error> {
    let compression = match (settings.effort, info.color_type) {
        (Effort::Small, _) => Compression::High,
        // The fast compressor knows literals and runs of zeros only: far too little for indices.
        (Effort::Fast, ColorType::Indexed) => Compression::Balanced,
        (Effort::Fast, _) => Compression::Fast,
    };
    let file = write_rows(info.clone(), data, filter, compression, settings)?;
    if !matches!(compression, Compression::Fast) || file.len() <= data.len() {
        return Ok(file);
    }
    // Nor does it know when to give up: noise becomes larger than it is.
    let plain = write_rows(info, data, Filter::NoFilter, Compression::NoCompression, settings)?;
    Ok(if plain.len() < file.len() { plain } else { file })
}

/// Row by row, with a look at the flag before each.
fn write_rows(
    info: Info<'_>,
    data: &[u8],
    filter: Filter,
    compression: Compression,
    settings: &Settings,
) -> Result<Vec<u8>, Error> {
    let failed = |error: ::png::EncodingError| unencodable(OutputFormat::Png, error);
    let row_bytes = info.raw_row_length() - 1;
    let mut file = Vec::new();
    let mut encoder = Encoder::with_info(&mut file, info).map_err(failed)?;
    encoder.set_compression(compression);
    encoder.set_filter(filter);
    let mut writer = encoder.write_header().map_err(failed)?;
    let mut rows = writer.stream_writer_with_size(CHUNK_BYTES).map_err(failed)?;
    for row in data.chunks_exact(row_bytes) {
        settings.cancel.check()?;
        rows.write_all(row).map_err(|error| unencodable(OutputFormat::Png, error))?;
    }
    rows.finish().map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(file)
}

/// Packs indices into `bits` each, rows starting at whole bytes, the first index in the high bits.
fn pack(indices: &[u8], width: usize, bits: usize) -> Vec<u8> {
    let per_byte = 8 / bits;
    let rows = indices.chunks_exact(width);
    rows.flat_map(|row| row.chunks(per_byte))
        .map(|group| {
            let packed = group.iter().fold(0, |byte: u16, index| byte << bits | u16::from(*index));
            (packed << (bits * (per_byte - group.len()))) as u8
        })
        .collect()
}
