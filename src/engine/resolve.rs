//! Plan and headers in, a program of exact steps out; no pixels are touched.
//!
//! Everything that a request costs is known here: the size after each step, how far the decoder can shrink while it
//! loads, how many frames are worked on, and a bound on memory. Limits refuse here; [`run`](super::run) only executes.

mod output;

use super::Error;
use super::image::{Depth, Format, Header};
use super::limits::Limits;
use super::program::{Answer, Cost, Keep, Program, Rendering, Slim, Speed, Step};
use super::{cost, decode};
use crate::color::Color;
use crate::geometry::{Angle, Fit, Orientation, Rect, Size};
use crate::plan::composite::Composite;
use crate::plan::facts::Facts;
use crate::plan::filter::{Filter, Filters};
use crate::plan::image_mogr2::{MogrOp, SizeLimit, rotated_canvas};
use crate::plan::output::{FormatChoice, OutputFormat, OutputSettings, Quality};
use crate::plan::size::Sized;
use crate::plan::watermark::{ImageMark, Mark, Oversize, Paint, Watermark};
use crate::plan::{Cut, Fop, ImageMogr2, Plan, Seen, Sizing};

/// Works out the program for `plan` on the source with `header`, with the plan's pictures' headers in painting order.
///
/// # Errors
/// [`Error::Limit`] where a size would pass `limits`, [`Error::Argument`] where an operator does not fit the picture.
pub fn resolve(
    plan: &Plan,
    header: &Header,
    pictures: &[Header],
    limits: &Limits,
    rendering: Rendering,
) -> Result<Program, Error> {
    let mut resolver = Resolver::new(header, pictures, limits, rendering);
    for (index, fop) in plan.fops.iter().enumerate() {
        resolver.fop(fop, index == 0)?;
    }
    resolver.finish()
}

/// Refuses an animation that is to be worked on frame by frame and is longer than that may take.
fn check_frames(header: &Header, limits: &Limits) -> Result<(), Error> {
    let (what, limit) = match header.format {
        Format::Gif => ("source frames (gif)", limits.gif_frames),
        Format::Webp => ("source frames (webp)", limits.webp_frames),
        _ => return Ok(()),
    };
    if header.frames > limit {
        return Err(Error::Limit { what, value: u64::from(header.frames), limit: u64::from(limit) });
    }
    let pixels = header.size.area().saturating_mul(u64::from(header.frames));
    if pixels > limits.animation_pixels {
        let what = "source pixels over all frames";
        return Err(Error::Limit { what, value: pixels, limit: limits.animation_pixels });
    }
    Ok(())
}

/// The state that fops hand on: what the picture is by now, and what was said of the output so far.
struct Resolver<'a> {
    header: &'a Header,
    pictures: &'a [Header],
    limits: &'a Limits,
    rendering: Rendering,
    next_picture: usize,
    size: Size,
    /// Orientation that no operator has applied yet.
    pending: Option<Orientation>,
    steps: Vec<Step>,
    format: OutputFormat,
    /// Whether what the client takes decides on the format.
    auto_format: bool,
    quality: Quality,
    interlace: bool,
    colors: Option<u16>,
    density_dpi: Option<u16>,
    background: Option<Color>,
    keep: Keep,
    size_limit: Option<SizeLimit>,
    /// The one frame that is worked on.
    frame: Option<u32>,
    slim: Option<Slim>,
    answer: Kind,
    first: bool,
}

enum Kind {
    Image,
    Info { of_source: bool },
    Exif,
    Facts(Facts),
    Seen(Seen),
}

impl<'a> Resolver<'a> {
    fn new(header: &'a Header, pictures: &'a [Header], limits: &'a Limits, rendering: Rendering) -> Self {
        Self {
            rendering,
            header,
            pictures,
            limits,
            next_picture: 0,
            size: header.size,
            pending: header.orientation.filter(|orientation| *orientation != Orientation::TopLeft),
            steps: Vec::new(),
            format: header.format.default_output(),
            auto_format: rendering.auto_format,
            quality: Quality::DEFAULT,
            interlace: false,
            colors: None,
            density_dpi: None,
            background: None,
            keep: Keep { profile: true, exif: true, copyright: rendering.keep_copyright, upright: false },
            size_limit: None,
            frame: None,
            slim: None,
            answer: Kind::Image,
            first: true,
        }
    }

    fn fop(&mut self, fop: &Fop, first: bool) -> Result<(), Error> {
        self.first = first;
        match fop {
            Fop::ImageView2(view) => self.view(view.fit(self.upright_size()), &view.output),
            Fop::ImageView(view) => self.view(view.fit(self.upright_size()), &view.output),
            Fop::ImageMogr2(mogr) => self.mogr(mogr),
            Fop::Watermark(watermark) => self.watermark(watermark),
            Fop::RoundPic(round) => {
                self.orient();
                let (radius_x, radius_y) = round.radii(self.size);
                self.steps.push(Step::RoundCorners { radius_x, radius_y });
                self.format = OutputFormat::Png;
                Ok(())
            }
            Fop::Adjust(adjust) => {
                if !adjust.changes.is_empty() {
                    self.steps.push(Step::Adjust(adjust.changes.clone()));
                }
                Ok(())
            }
            Fop::Size(sizing) => self.sizing(*sizing),
            Fop::Cut(cut) => self.cut(*cut),
            Fop::Filter(filters) => {
                self.filters(filters);
                Ok(())
            }
            Fop::Draw(draw) => {
                self.steps.push(Step::Draw(*draw));
                Ok(())
            }
            Fop::Palette(colors) => {
                self.steps.push(Step::Palette(*colors));
                Ok(())
            }
            Fop::Flatten(flatten) => {
                self.steps.push(Step::Flatten(flatten.0));
                Ok(())
            }
            Fop::Frame(number) => self.frame(*number),
            Fop::Flip(flip) => {
                // What is left and right is what the viewer sees.
                self.orient();
                self.steps.push(Step::Orient(flip.orientation()));
                Ok(())
            }
            Fop::Composite(composite) => self.composite(composite),
            Fop::ImageSlim(slim) => self.slim(slim.level),
            Fop::ImageInfo => {
                self.answer = Kind::Info { of_source: first };
                Ok(())
            }
            Fop::Exif => {
                self.answer = Kind::Exif;
                Ok(())
            }
            Fop::Facts(facts) => {
                self.answer = Kind::Facts(*facts);
                Ok(())
            }
            Fop::Seen(seen) => {
                self.answer = Kind::Seen(*seen);
                Ok(())
            }
            // What it comes to is put in its place before.
            Fop::Trim(trim) => Err(Error::Argument {
                fop: "trim",
                argument: "box",
                value: trim.to_string(),
                expected: "one that was found in the pixels".to_owned(),
            }),
            // Where the result goes is the caller's business; the pixels are the same.
            Fop::SaveAs(_) => Ok(()),
        }
    }

    /// `imageView` and `imageView2`: upright first, EXIF dropped (spec 12).
    fn view(&mut self, fit: Fit, output: &OutputSettings) -> Result<(), Error> {
        self.orient();
        self.keep.exif = false;
        self.resize(fit.scaled)?;
        if let Some(rect) = fit.crop {
            self.crop(rect);
        }
        self.output(output);
        Ok(())
    }

    fn mogr(&mut self, mogr: &ImageMogr2) -> Result<(), Error> {
        let background = mogr.background.unwrap_or(Color::WHITE);
        for op in &mogr.ops {
            self.mogr_op(op, background)?;
        }
        if mogr.strip {
            self.keep.profile = false;
            self.keep.exif = false;
        }
        self.background = mogr.background.or(self.background);
        self.density_dpi = mogr.density.or(self.density_dpi);
        self.size_limit = mogr.size_limit.or(self.size_limit);
        self.output(&mogr.output);
        Ok(())
    }

    fn mogr_op(&mut self, op: &MogrOp, background: Color) -> Result<(), Error> {
        match *op {
            MogrOp::AutoOrient => self.orient(),
            MogrOp::Thumbnail(thumbnail) => self.resize(thumbnail.size(self.size))?,
            MogrOp::Crop(crop) => {
                let rect = crop.rect(self.size).ok_or_else(|| Error::Argument {
                    fop: "imageMogr2",
                    argument: "crop",
                    value: format!("a box wholly outside the image of {}", self.size),
                    expected: "a box that meets the image".to_owned(),
                })?;
                self.crop(rect);
            }
            MogrOp::Rotate(angle) if angle == Angle::default() => {}
            MogrOp::Rotate(angle) => {
                let canvas = rotated_canvas(self.size, angle);
                self.grow(canvas)?;
                self.steps.push(Step::Rotate { angle, canvas, background });
            }
            // The vendor's page: blur is not for gif.
            MogrOp::Blur { .. } if self.header.format == Format::Gif => {}
            MogrOp::Blur { radius_px, sigma_px } => self.steps.push(Step::Blur { radius_px, sigma_px }),
            MogrOp::Sharpen => self.steps.push(Step::Sharpen),
            MogrOp::Extent(extent) => {
                let placed = extent.place(self.size);
                self.grow(placed.canvas)?;
                self.steps.push(Step::Place { canvas: placed.canvas, offset: placed.offset, background });
            }
            MogrOp::Border { width, height, color } => {
                let edge = |edge: u32, border: u32| edge.saturating_add(border.saturating_mul(2));
                let canvas = Size::new(edge(self.size.width, width), edge(self.size.height, height));
                self.grow(canvas)?;
                let offset = (i64::from(width), i64::from(height));
                self.steps.push(Step::Place { canvas, offset, background: color });
            }
        }
        Ok(())
    }

    fn watermark(&mut self, watermark: &Watermark) -> Result<(), Error> {
        // A mark has to stand upright and in the corner that the viewer sees.
        self.orient();
        match &watermark.paint {
            Paint::Marks(marks) => {
                for mark in marks {
                    match mark {
                        Mark::Image(mark) => self.image_mark(mark)?,
                        Mark::Text(mark) => self.steps.push(Step::Text(mark.clone())),
                    }
                }
            }
            Paint::Tiled(tiled) => self.steps.push(Step::TiledText(tiled.clone())),
        }
        self.output(&OutputSettings { format: watermark.format, ..OutputSettings::default() });
        Ok(())
    }

    fn image_mark(&mut self, mark: &ImageMark) -> Result<(), Error> {
        let picture = self.next_picture;
        self.next_picture += 1;
        let header = self.pictures.get(picture).ok_or(Error::NotAnImage)?;
        self.limits.check_source(header.size)?;
        let natural = header.display_size();
        let size = mark.scale.map_or(natural, |scale| scale.size(natural, self.size));
        let size = match mark.oversize {
            _ if !size.exceeds(self.size) => size,
            Oversize::Omit => return Ok(()),
            Oversize::Shrink => size.fit_inside(Some(self.size.width), Some(self.size.height)),
            Oversize::Cut => size,
        };
        let dissolve_percent = mark.dissolve;
        self.steps.push(match mark.tile {
            Some(gaps) => {
                let gap = |ratio: f32, edge: u32| (ratio * edge as f32).round() as u32 + gaps.pixels;
                let gap = (gap(gaps.horizontal, self.size.width), gap(gaps.vertical, self.size.height));
                Step::TileMark { picture, size, gap, dissolve_percent }
            }
            None => {
                let placement = mark.placement;
                let at = placement.gravity.place(size, self.size, placement.dx.into(), placement.dy.into());
                Step::Mark { picture, size, at, dissolve_percent }
            }
        });
        Ok(())
    }

    fn sizing(&mut self, sizing: Sizing) -> Result<(), Error> {
        let Sized { fit, placed } = sizing.of(self.size);
        self.resize(fit.scaled)?;
        if let Some(rect) = fit.crop {
            self.crop(rect);
        }
        if let Some(placed) = placed {
            self.grow(placed.canvas)?;
            self.steps.push(Step::Place { canvas: placed.canvas, offset: placed.offset, background: sizing.color });
        }
        Ok(())
    }

    fn cut(&mut self, cut: Cut) -> Result<(), Error> {
        let rect = cut.rect(self.size).ok_or_else(|| Error::Argument {
            fop: "cut",
            argument: "box",
            value: format!("wholly outside the image of {}", self.size),
            expected: "a box that meets the image".to_owned(),
        })?;
        self.crop(rect);
        Ok(())
    }

    fn filters(&mut self, filters: &Filters) {
        self.steps.extend(filters.0.iter().map(|filter| match *filter {
            Filter::Blur(sigma_px) => Step::Blur { radius_px: blur_radius(sigma_px), sigma_px },
            filter => Step::Filter(filter),
        }));
    }

    fn composite(&mut self, composite: &Composite) -> Result<(), Error> {
        let picture = self.next_picture;
        self.next_picture += 1;
        let header = self.pictures.get(picture).ok_or(Error::NotAnImage)?;
        self.limits.check_source(header.size)?;
        let fit = composite.fit(header.display_size(), self.size);
        // It is scaled to a frame of its own, which nothing else bounds.
        if fit.scaled.exceeds(header.display_size()) {
            self.check_output(fit.scaled)?;
        }
        let dissolve_percent = composite.dissolve;
        if composite.tiles {
            let (size, gap) = (fit.scaled, (0, 0));
            self.steps.push(Step::TileMark { picture, size, gap, dissolve_percent });
            return Ok(());
        }
        let part = fit.crop.unwrap_or(Rect { x: 0, y: 0, size: fit.scaled });
        let at = composite.gravity.place(part.size, self.size, composite.x.into(), composite.y.into());
        self.steps.push(Step::Blend { picture, size: fit.scaled, part, at, dissolve_percent, op: composite.op });
        Ok(())
    }

    fn frame(&mut self, number: u32) -> Result<(), Error> {
        let frames = self.header.frames.max(1);
        if number >= frames {
            return Err(Error::Argument {
                fop: "frame",
                argument: "number",
                value: number.to_string(),
                expected: format!("0 to {}, as the picture has {frames}", frames - 1),
            });
        }
        self.frame = Some(number);
        Ok(())
    }

    fn slim(&mut self, level: u8) -> Result<(), Error> {
        if !matches!(self.format, OutputFormat::Jpeg | OutputFormat::Png) {
            return Err(Error::Argument {
                fop: "imageslim",
                argument: "the picture's format",
                value: format!("{:?}", self.format).to_lowercase(),
                expected: "jpeg or png".to_owned(),
            });
        }
        self.auto_format = false;
        self.slim = Some(Slim { level, of_source: self.first });
        Ok(())
    }

    fn output(&mut self, output: &OutputSettings) {
        if let Some(choice) = output.format {
            self.auto_format = choice == FormatChoice::Auto;
        }
        if let Some(FormatChoice::Named(format)) = output.format {
            self.format = format;
        }
        self.quality = output.quality.unwrap_or(self.quality);
        self.interlace = output.interlace.unwrap_or(self.interlace);
        self.colors = output.colors.or(self.colors);
    }

    fn upright_size(&self) -> Size {
        self.pending.map_or(self.size, |orientation| orientation.display_size(self.size))
    }

    fn orient(&mut self) {
        self.keep.upright = true;
        if let Some(orientation) = self.pending.take() {
            self.size = orientation.display_size(self.size);
            self.steps.push(Step::Orient(orientation));
        }
    }

    fn resize(&mut self, size: Size) -> Result<(), Error> {
        if size == self.size {
            return Ok(());
        }
        self.grow(size)?;
        // Turning is cheaper after shrinking, and comes to the same picture.
        match self.steps.last() {
            Some(&Step::Orient(orientation)) => {
                let stored = if orientation.transposes() { size.transposed() } else { size };
                let turn = self.steps.len() - 1;
                self.steps.insert(turn, Step::Resize(stored));
            }
            _ => self.steps.push(Step::Resize(size)),
        }
        Ok(())
    }

    fn crop(&mut self, rect: Rect) {
        if rect.size != self.size {
            self.size = rect.size;
            self.steps.push(Step::Crop(rect));
        }
    }

    /// Makes `size` the current one, refusing what is larger than a result may be unless it was so before.
    fn grow(&mut self, size: Size) -> Result<(), Error> {
        if size.exceeds(self.size) {
            self.check_output(size)?;
        }
        self.size = size;
        Ok(())
    }

    fn check_output(&self, size: Size) -> Result<(), Error> {
        if size.long() > self.limits.output_edge {
            return Err(Error::Limit {
                what: "result edge in pixels",
                value: u64::from(size.long()),
                limit: u64::from(self.limits.output_edge),
            });
        }
        if size.area() > self.limits.output_pixels {
            return Err(Error::Limit { what: "result pixels", value: size.area(), limit: self.limits.output_pixels });
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Program, Error> {
        if self.auto_format {
            self.format = self.accepted_format();
        }
        let answer = match self.answer {
            Kind::Image => Answer::Image(self.image_output()),
            Kind::Info { of_source: true } => Answer::Info(None),
            Kind::Info { of_source: false } => Answer::Info(Some(self.image_output())),
            Kind::Exif => Answer::Exif,
            Kind::Facts(facts) => Answer::Facts(facts),
            Kind::Seen(seen) => Answer::Seen(seen),
        };
        let encoded = matches!(answer, Answer::Image(_) | Answer::Info(Some(_)));
        if encoded {
            self.check_output(self.size)?;
        }
        let animates = matches!(self.format, OutputFormat::Gif | OutputFormat::Webp);
        let animated = encoded && animates && self.moves();
        let eighths = decode_scale(self.header, &self.steps, self.rendering.speed);
        let planes = match &answer {
            _ if animated => None,
            Answer::Image(output) | Answer::Info(Some(output)) => self.planes(Some(output)),
            Answer::Seen(_) => self.planes(None),
            Answer::Info(None) | Answer::Exif | Answer::Facts(_) => None,
        };
        let depth = match &answer {
            Answer::Image(output) | Answer::Info(Some(output)) if !animated => self.depth(output),
            _ => Depth::Eight,
        };
        let lossless = match &answer {
            Answer::Image(output) | Answer::Info(Some(output)) => self.lossless(output),
            _ => None,
        };
        let scaled_rows = match &answer {
            _ if depth == Depth::Sixteen => None,
            Answer::Image(output) | Answer::Info(Some(output)) => self.scaled_rows(Some(output)),
            Answer::Seen(_) => self.scaled_rows(None),
            Answer::Info(None) | Answer::Exif | Answer::Facts(_) => None,
        };
        let size = self.size;
        let mut program = Program {
            source: self.header.clone(),
            planes,
            scaled_rows,
            lossless,
            eighths,
            light: self.rendering.light,
            depth,
            animated,
            frame: self.frame.unwrap_or(0),
            steps: self.steps,
            answer,
            size,
            cost: Cost::default(),
        };
        if !program.is_header_only() {
            self.limits.check_source(self.header.size)?;
        }
        if program.animated || program.frame > 0 {
            check_frames(self.header, self.limits)?;
        }
        program.cost = cost::cost(&program, self.pictures);
        Ok(program)
    }
}

/// Where the kernel of a blur ends: three standard deviations hold all but a few thousandths of it.
pub(super) fn blur_radius(sigma_px: f32) -> u32 {
    ((3.0 * sigma_px).ceil() as u32).clamp(1, MAX_BLUR_RADIUS)
}

/// Longest radius of a blur, in pixels, whose work grows with it.
const MAX_BLUR_RADIUS: u32 = 50;

/// How far a JPEG may shrink while it is decoded: to no less than twice the first resize's target.
///
/// libjpeg's reduced transforms average pixels, which is soft; the resampler needs twice its target to hide that.
fn decode_scale(header: &Header, steps: &[Step], speed: Speed) -> u8 {
    let Some(Step::Resize(target)) = steps.first() else { return 8 };
    if header.format != Format::Jpeg || speed == Speed::Best {
        return 8;
    }
    let enough = |eighths: &u8| {
        let scaled = decode::scaled_size(header.format, header.size, *eighths);
        scaled.width >= target.width.saturating_mul(2) && scaled.height >= target.height.saturating_mul(2)
    };
    [1, 2, 4].into_iter().find(enough).unwrap_or(8)
}

#[cfg(test)]
mod tests;
