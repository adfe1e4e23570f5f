//! JPEG to JPEG without loss: coefficients are turned and cut, and no pixel is made of them.

use turbojpeg_sys as tj;

use super::Settings;
use super::jpeg::with_exif;
use crate::engine::decode::jpeg as decoder;
use crate::engine::decode::jpeg_markers::Markers;
use crate::engine::decode::jpeg_turbo;
use crate::engine::decode::turbo::{Complaint, Turbo};
use crate::engine::image::{Layout, Sampling};
use crate::engine::view::View;
use crate::geometry::{Orientation, Rect, Size};

/// Edge of a block of coefficients.
const BLOCK: u32 = 8;

/// A smaller share of the picture is cheaper to decode and encode: to turn it, all coefficients are read and held.
const SMALLEST_SHARE: u64 = 4;

/// A part of a stored JPEG, turned upright, in whole units of its coefficients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    sampling: Sampling,
    part: Rect,
    orientation: Orientation,
}

impl Turn {
    /// What `view` comes to; `None` where it changes samples, splits units, or is a small part.
    ///
    /// A unit (a block of each plane, and of luma as many as chroma is coarser) that is not filled by the picture stands at its
    /// right or lower edge, and can be moved to no other. A part has to begin and end between units: else what was cut off
    /// would still be in the file.
    pub(in crate::engine) fn plan(sampling: Sampling, view: View) -> Option<Self> {
        let View { part, scaled, cut, orientation } = view;
        let is_small = part.size.area() * SMALLEST_SHARE < sampling.size.area();
        if is_small || scaled != part.size || cut != (Rect { x: 0, y: 0, size: scaled }) {
            return None;
        }
        let (across, down) = sampling.chroma;
        let along = |start: u32, length: u32, stored: u32, unit: u32, backwards: bool| {
            let end = start + length;
            start.is_multiple_of(unit)
                && (end.is_multiple_of(unit) || end == stored)
                && (!backwards || stored.is_multiple_of(unit))
        };
        let Size { width, height } = sampling.size;
        let columns = along(part.x, part.size.width, width, BLOCK * across, orientation.columns_backwards());
        let rows = along(part.y, part.size.height, height, BLOCK * down, orientation.rows_backwards());
        (columns && rows).then_some(Self { sampling, part, orientation })
    }

    /// Most bytes held at once by [`Turn::run`], the file's own aside.
    pub(in crate::engine) fn memory_bytes(&self, file: u64) -> u64 {
        let in_place = matches!(self.orientation, Orientation::TopLeft | Orientation::TopRight) && !self.is_cut();
        let turned = if in_place { 0 } else { self.coefficients(self.part.size) };
        // The encoder's buffer grows by doubling.
        self.coefficients(self.sampling.size) + turned + 2 * file
    }

    /// Turns `jpeg`, and gives it what the settings say of metadata; `None` where TurboJPEG finds anything odd about it: the
    /// general decoder then says what.
    pub(in crate::engine) fn run(&self, jpeg: &[u8], settings: &Settings) -> Option<Vec<u8>> {
        decoder::check_plausible(jpeg, self.sampling.size).ok()?;
        let turned = self.transform(jpeg, settings).ok()?;
        let frame = Markers::read(&turned).ok()?.frame?;
        let size = Size::new(frame.width.into(), frame.height.into());
        // TurboJPEG moves the edges of a part to where its own idea of units has them.
        let turned =
            if size == self.region().size { with_density(turned, settings.metadata.density_dpi) } else { None };
        turned.map(|turned| with_exif(turned, settings))
    }

    fn transform(&self, jpeg: &[u8], settings: &Settings) -> Result<Vec<u8>, Complaint> {
        let mut turbo = Turbo::transformer()?;
        jpeg_turbo::bound(&mut turbo, self.sampling.size, decoder::most_scans(self.sampling.size), true)?;
        let layout = if self.sampling.gray { Layout::Gray } else { Layout::Rgb };
        if let Some(icc) = settings.icc_for(layout) {
            turbo.set_icc(icc)?;
        }
        let progressive = if settings.interlace { tj::TJXOPT_PROGRESSIVE } else { 0 };
        let options = tj::TJXOPT_PERFECT | tj::TJXOPT_COPYNONE | tj::TJXOPT_OPTIMIZE | progressive;
        turbo.transform(jpeg, self.operation(), self.is_cut().then(|| self.region()), options)
    }

    fn is_cut(&self) -> bool {
        self.part.size != self.sampling.size
    }

    /// The part in the upright picture.
    fn region(&self) -> Rect {
        let Rect { x, y, size } = self.part;
        let Self { orientation, sampling, .. } = self;
        let x = if orientation.columns_backwards() { sampling.size.width - x - size.width } else { x };
        let y = if orientation.rows_backwards() { sampling.size.height - y - size.height } else { y };
        let (x, y) = if orientation.transposes() { (y, x) } else { (x, y) };
        Rect { x, y, size: orientation.display_size(size) }
    }

    fn operation(&self) -> tj::TJXOP {
        match self.orientation {
            Orientation::TopLeft => tj::TJXOP_TJXOP_NONE,
            Orientation::TopRight => tj::TJXOP_TJXOP_HFLIP,
            Orientation::BottomRight => tj::TJXOP_TJXOP_ROT180,
            Orientation::BottomLeft => tj::TJXOP_TJXOP_VFLIP,
            Orientation::LeftTop => tj::TJXOP_TJXOP_TRANSPOSE,
            Orientation::RightTop => tj::TJXOP_TJXOP_ROT90,
            Orientation::RightBottom => tj::TJXOP_TJXOP_TRANSVERSE,
            Orientation::LeftBottom => tj::TJXOP_TJXOP_ROT270,
        }
    }

    /// Bytes of the coefficients of so many pixels, two each.
    fn coefficients(&self, size: Size) -> u64 {
        let (across, down) = self.sampling.chroma;
        let luma = 2 * size.area();
        if self.sampling.gray { luma } else { luma + 2 * luma / u64::from(across * down).max(1) }
    }
}

/// Writes the JFIF segment, which libjpeg puts first, as the encoder would: it had copied version and density of the source.
fn with_density(mut jpeg: Vec<u8>, dpi: Option<u16>) -> Option<Vec<u8>> {
    let segment = jpeg.get_mut(2..20)?;
    if !segment.starts_with(b"\xFF\xE0\0\x10JFIF\0") {
        return None;
    }
    let (unit, density) = match dpi.filter(|dpi| *dpi > 0) {
        Some(dpi) => (1, dpi),
        None => (0, 1),
    };
    let [high, low] = density.to_be_bytes();
    segment[9..16].copy_from_slice(&[1, 1, unit, high, low, high, low]);
    Some(jpeg)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::decode::tests::{card, decode as decoded, exif_with_orientation, settings};
    use crate::engine::image::Frame;
    use crate::engine::metadata::Metadata;
    use crate::engine::op::{crop, rotate};
    use crate::engine::program::Step;
    use crate::engine::{decode, encode};
    use crate::plan::output::OutputFormat;

    /// A JPEG of this size and subsampling.
    fn jpeg(size: Size, subsampling: tj::TJSAMP) -> Vec<u8> {
        let gray = subsampling == tj::TJSAMP_TJSAMP_GRAY;
        let (layout, format) = if gray { (Layout::Gray, tj::TJPF_TJPF_GRAY) } else { (Layout::Rgb, tj::TJPF_TJPF_RGB) };
        let mut turbo = Turbo::compressor().expect("a compressor");
        turbo.set(tj::TJPARAM_TJPARAM_QUALITY, 80).expect("a quality");
        turbo.set(tj::TJPARAM_TJPARAM_SUBSAMP, subsampling).expect("a subsampling");
        turbo.compress(card(layout, size.width, size.height).pixels(), size.width, size.height, format).expect("a JPEG")
    }

    /// The file after these steps; `None` where they cannot be done without loss.
    fn turned(jpeg: &[u8], steps: &[Step]) -> Option<Vec<u8>> {
        let header = decode::probe(jpeg).expect("a JPEG");
        let (view, done) = View::of(header.size, steps);
        assert_eq!(done, steps.len());
        let turn = Turn::plan(header.sampling.expect("it is in planes"), view)?;
        assert_eq!(turn.orientation.to_stored(turn.region(), header.size), turn.part);
        Some(turn.run(jpeg, &settings(OutputFormat::Jpeg)).expect("a sound file"))
    }

    /// Largest difference of two frames.
    fn most(left: &Frame, right: &Frame) -> u8 {
        assert_eq!((left.size(), left.layout()), (right.size(), right.layout()));
        left.pixels().iter().zip(right.pixels()).map(|(left, right)| left.abs_diff(*right)).max().unwrap_or(0)
    }

    /// The orientation that undoes this one.
    fn back(orientation: Orientation) -> Orientation {
        let undoes = |other: &Orientation| orientation.then(*other) == Orientation::TopLeft;
        Orientation::ALL.into_iter().find(undoes).expect("turns are a group")
    }

    #[test]
    fn turned_files_show_the_turned_picture_and_turn_back_exactly() {
        for (subsampling, size) in [
            (tj::TJSAMP_TJSAMP_444, Size::new(48, 24)),
            (tj::TJSAMP_TJSAMP_420, Size::new(48, 32)),
            (tj::TJSAMP_TJSAMP_422, Size::new(48, 24)),
            (tj::TJSAMP_TJSAMP_440, Size::new(24, 32)),
            (tj::TJSAMP_TJSAMP_GRAY, Size::new(24, 40)),
        ] {
            let file = jpeg(size, subsampling);
            let stored = decoded(&file).expect("our own file");
            for orientation in Orientation::ALL {
                let turned_file = turned(&file, &[Step::Orient(orientation)]).expect("whole units");
                let shown = decoded(&turned_file).expect("a JPEG");
                let difference = most(&shown, &rotate::orient(stored.clone(), orientation));
                // Rows and columns are transformed one after the other, with a rounding between; chroma, where it is coarser,
                // is brought to full size with rounding that is not the same on both sides.
                let is_mirrored = !orientation.transposes();
                let is_fine = matches!(subsampling, tj::TJSAMP_TJSAMP_444 | tj::TJSAMP_TJSAMP_GRAY);
                let allowed = if is_mirrored && is_fine { 0 } else { 3 };
                assert!(difference <= allowed, "{subsampling} {orientation:?}: {difference}");
                let twice = turned(&turned_file, &[Step::Orient(back(orientation))]).expect("whole units");
                assert_eq!(decoded(&twice).expect("a JPEG"), stored, "{subsampling} {orientation:?} and back");
            }
        }
    }

    #[test]
    fn parts_on_the_grid_are_cut_out() {
        for (subsampling, unit) in [(tj::TJSAMP_TJSAMP_444, 8), (tj::TJSAMP_TJSAMP_420, 16)] {
            let file = jpeg(Size::new(6 * unit, 5 * unit), subsampling);
            let stored = decoded(&file).expect("our own file");
            for orientation in Orientation::ALL {
                let rect = Rect { x: unit, y: 2 * unit, size: Size::new(3 * unit, 3 * unit) };
                let cut = turned(&file, &[Step::Orient(orientation), Step::Crop(rect)]).expect("whole units");
                let expected = crop::crop(rotate::orient(stored.clone(), orientation), rect);
                let difference = most(&decoded(&cut).expect("a JPEG"), &expected);
                assert!(difference <= 4, "{subsampling} {orientation:?}: {difference}");
            }
        }
    }

    #[test]
    fn units_are_not_split() {
        let part = |x, y, width, height| Step::Crop(Rect { x, y, size: Size::new(width, height) });
        let turn = Step::Orient;
        for (size, chroma, steps, possible) in [
            // An edge that is filled in part stays where it is.
            ((50, 30), (2, 2), vec![], true),
            ((50, 30), (2, 2), vec![turn(Orientation::LeftTop)], true),
            ((50, 30), (2, 2), vec![turn(Orientation::TopRight)], false),
            ((48, 30), (2, 2), vec![turn(Orientation::TopRight)], true),
            ((48, 30), (2, 2), vec![turn(Orientation::RightTop)], false),
            ((50, 32), (2, 2), vec![turn(Orientation::RightTop)], true),
            ((48, 24), (2, 1), vec![turn(Orientation::BottomRight)], true),
            ((48, 24), (2, 2), vec![turn(Orientation::BottomRight)], false),
            ((40, 24), (1, 1), vec![turn(Orientation::RightBottom)], true),
            // Two turns that come to none.
            ((50, 30), (2, 2), vec![turn(Orientation::TopRight), turn(Orientation::TopRight)], true),
            ((50, 30), (2, 2), vec![part(16, 0, 32, 16)], true),
            ((50, 30), (2, 2), vec![part(16, 16, 34, 14)], true),
            ((50, 30), (2, 2), vec![part(8, 0, 32, 16)], false),
            ((50, 30), (2, 2), vec![part(16, 0, 31, 16)], false),
            ((50, 30), (2, 2), vec![part(16, 16, 32, 14), turn(Orientation::BottomLeft)], false),
            ((64, 64), (2, 2), vec![part(16, 16, 32, 32)], true),
            ((64, 64), (2, 2), vec![part(16, 16, 32, 16)], false),
            ((64, 64), (2, 2), vec![Step::Resize(Size::new(32, 32))], false),
            ((64, 64), (2, 2), vec![Step::Resize(Size::new(64, 64)), part(16, 16, 16, 16)], false),
        ] {
            let size = Size::new(size.0, size.1);
            let sampling = Sampling { size, progressive: false, gray: false, chroma };
            let planned = Turn::plan(sampling, View::of(size, &steps).0);
            assert_eq!(planned.is_some(), possible, "{size} {chroma:?} {steps:?}");
        }
    }

    /// The segments up to the tables: those that the encoder writes.
    #[test]
    fn metadata_is_written_as_the_encoder_writes_it() {
        let file = jpeg(Size::new(48, 24), tj::TJSAMP_TJSAMP_444);
        let header = decode::probe(&file).expect("a JPEG");
        let turn = Turn::plan(header.sampling.expect("it is in planes"), View::of(header.size, &[]).0).expect("a copy");
        let icc = moxcms::ColorProfile::new_display_p3().encode().expect("a built-in profile");
        let full = Metadata { icc: Some(icc), exif: Some(exif_with_orientation(1)), density_dpi: Some(300) };
        for (metadata, interlace) in [(Metadata::default(), false), (full, true)] {
            let settings = Settings { metadata, interlace, ..settings(OutputFormat::Jpeg) };
            let turned = turn.run(&file, &settings).expect("a sound file");
            let encoded = encode::still(&decoded(&file).expect("a JPEG"), &settings).expect("it fits");
            let segments = |file: &[u8]| {
                let tables = file.windows(4).position(|bytes| bytes == [0xFF, 0xDB, 0, 0x43]).expect("a table");
                file[..tables].to_vec()
            };
            assert_eq!(segments(&turned), segments(&encoded));
            let marker = |file: &[u8]| Markers::read(file).expect("a JPEG").frame.expect("a frame header").marker;
            assert_eq!(marker(&turned), marker(&encoded));
        }
    }

    #[test]
    fn odd_files_are_left_to_the_decoder() {
        let file = jpeg(Size::new(48, 32), tj::TJSAMP_TJSAMP_420);
        let header = decode::probe(&file).expect("a JPEG");
        let turn = Turn::plan(header.sampling.expect("it is in planes"), View::of(header.size, &[]).0).expect("a copy");
        let settings = settings(OutputFormat::Jpeg);
        assert_eq!(turn.run(&file[..file.len() / 2], &settings), None);
        assert_eq!(turn.run(b"", &settings), None);
        let huge = Turn { sampling: Sampling { size: Size::new(9000, 9000), ..turn.sampling }, ..turn };
        assert_eq!(huge.run(&file, &settings), None);
    }
}
