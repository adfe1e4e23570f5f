//! Progressive JPEG data, by jpeg-encoder. Files are a few per cent larger than TurboJPEG's: they lack refinement scans.

use jpeg_encoder::{
    ChromaSubsamplingMethod, ColorType, Encoder, ImageBuffer, JpegColorType, PixelDensity, SamplingFactor,
};

use super::Settings;
use crate::engine::image::{Frame, Layout};
use crate::geometry::Size;

/// A file of the frame, gray or RGB; the text says why there is none.
pub(super) fn compress(frame: &Frame, coarseness: u32, settings: &Settings) -> Result<Vec<u8>, String> {
    let color = if frame.layout() == Layout::Gray { ColorType::Luma } else { ColorType::Rgb };
    let (width, height) = edges(frame.size())?;
    let mut jpeg = Vec::new();
    let mut encoder = encoder(&mut jpeg, frame.layout(), coarseness, settings)?;
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    encoder.encode(frame.pixels(), width, height, color).map_err(|error| error.to_string())?;
    Ok(jpeg)
}

/// The same of planes of Y, Cb and Cr.
pub(super) fn compress_planes(
    luma: &Frame,
    [cb, cr]: [&Frame; 2],
    coarseness: u32,
    settings: &Settings,
) -> Result<Vec<u8>, String> {
    let planes = Planes { edges: edges(luma.size())?, luma, chroma: [cb, cr], coarseness: coarseness as usize };
    let mut jpeg = Vec::new();
    let mut encoder = encoder(&mut jpeg, Layout::Rgb, coarseness, settings)?;
    // Each coarse sample is repeated for its pixels, of which the encoder takes the first.
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Nearest);
    encoder.encode_image(planes).map_err(|error| error.to_string())?;
    Ok(jpeg)
}

fn edges(size: Size) -> Result<(u16, u16), String> {
    let edge = |edge: u32| u16::try_from(edge).map_err(|_| format!("{size} is too large"));
    Ok((edge(size.width)?, edge(size.height)?))
}

fn encoder<'a>(
    jpeg: &'a mut Vec<u8>,
    layout: Layout,
    coarseness: u32,
    settings: &Settings,
) -> Result<Encoder<&'a mut Vec<u8>>, String> {
    let mut encoder = Encoder::new(jpeg, settings.quality.clamp(1, 100));
    encoder.set_sampling_factor(if coarseness == 1 { SamplingFactor::F_1_1 } else { SamplingFactor::F_2_2 });
    encoder.set_progressive(true);
    encoder.set_optimized_huffman_tables(true);
    if let Some(dpi) = settings.metadata.density_dpi.filter(|dpi| *dpi > 0) {
        encoder.set_density(PixelDensity::dpi(dpi));
    }
    if let Some(icc) = settings.icc_for(layout) {
        encoder.add_icc_profile(icc).map_err(|error| error.to_string())?;
    }
    Ok(encoder)
}

/// Planes with chroma as coarse as it will be stored.
struct Planes<'a> {
    edges: (u16, u16),
    luma: &'a Frame,
    chroma: [&'a Frame; 2],
    coarseness: usize,
}

impl ImageBuffer for Planes<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        self.edges.0
    }

    fn height(&self) -> u16 {
        self.edges.1
    }

    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let [luma, chroma @ .., _] = buffers;
        luma.extend_from_slice(row(self.luma, y.into()));
        for (buffer, plane) in chroma.iter_mut().zip(self.chroma) {
            let samples = row(plane, usize::from(y) / self.coarseness);
            let repeated = samples.iter().flat_map(|sample| std::iter::repeat_n(*sample, self.coarseness));
            buffer.extend(repeated.take(self.edges.0.into()));
        }
    }
}

fn row(plane: &Frame, y: usize) -> &[u8] {
    &plane.pixels()[y * plane.stride()..][..plane.stride()]
}
