//! Progressive JPEG data, by jpeg-encoder. Files are a few per cent larger than TurboJPEG's: they lack refinement scans.

use jpeg_encoder::{
    ChromaSubsamplingMethod, ColorType, Encoder, EncodingError, ImageBuffer, JpegColorType, PixelDensity,
    QuantizationTableType, SamplingFactor,
};

use super::baseline::{Heading, Picture, Plane};
use super::unencodable;
use crate::engine::Error;
use crate::engine::limits::Cancel;
use crate::plan::output::OutputFormat;

/// The file of a picture.
///
/// # Errors
/// [`Error::Cancelled`] before it begins.
pub(super) fn compress(picture: Picture<'_>, heading: &Heading<'_>, cancel: &Cancel) -> Result<Vec<u8>, Error> {
    cancel.check()?;
    let mut jpeg = Vec::new();
    write(&mut jpeg, picture, heading).map_err(|error| unencodable(OutputFormat::Jpeg, error))?;
    Ok(jpeg)
}

fn write(jpeg: &mut Vec<u8>, picture: Picture<'_>, heading: &Heading<'_>) -> Result<(), EncodingError> {
    // The number stands for tables that are replaced.
    let mut encoder = Encoder::new(jpeg, 100);
    let [luma, chroma] = heading.tables.map(|table| QuantizationTableType::Custom(Box::new(table.map(u16::from))));
    encoder.set_quantization_tables(luma, chroma);
    encoder.set_progressive(true);
    encoder.set_optimized_huffman_tables(true);
    if let Some(dpi) = heading.density_dpi.filter(|dpi| *dpi > 0) {
        encoder.set_density(PixelDensity::dpi(dpi));
    }
    if let Some(icc) = heading.icc {
        encoder.add_icc_profile(icc)?;
    }
    let sampling = |coarseness| if coarseness == 1 { SamplingFactor::F_1_1 } else { SamplingFactor::F_2_2 };
    match picture {
        Picture::Gray(Plane { samples, width, height }) => {
            encoder.encode(samples, width as u16, height as u16, ColorType::Luma)
        }
        Picture::Rgb { pixels: Plane { samples, width, height }, coarseness } => {
            encoder.set_sampling_factor(sampling(coarseness));
            encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
            encoder.encode(samples, width as u16, height as u16, ColorType::Rgb)
        }
        Picture::Planes { luma, chroma, coarseness } => {
            encoder.set_sampling_factor(sampling(coarseness));
            // Each coarse sample is repeated for its pixels, of which the encoder takes the first.
            encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Nearest);
            encoder.encode_image(Planes { luma, chroma, coarseness })
        }
    }
}

/// Planes with chroma as coarse as it will be stored.
struct Planes<'a> {
    luma: Plane<'a>,
    chroma: [Plane<'a>; 2],
    coarseness: usize,
}

impl ImageBuffer for Planes<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        self.luma.width as u16
    }

    fn height(&self) -> u16 {
        self.luma.height as u16
    }

    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let [luma, chroma @ .., _] = buffers;
        luma.extend_from_slice(row(self.luma, y.into()));
        for (buffer, plane) in chroma.iter_mut().zip(self.chroma) {
            let samples = row(plane, usize::from(y) / self.coarseness);
            let repeated = samples.iter().flat_map(|sample| std::iter::repeat_n(*sample, self.coarseness));
            buffer.extend(repeated.take(self.luma.width));
        }
    }
}

fn row(plane: Plane<'_>, y: usize) -> &[u8] {
    &plane.samples[y * plane.width..][..plane.width]
}
