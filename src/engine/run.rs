//! Executes a program: decode, steps, encode. One frame is in memory at a time, also for animations.

use bytes::Bytes;

use super::deep::{self, DeepStep};
use super::encode::search::{self, Found, Goal};
use super::image::{Deep, Depth, Format, Frame, Layout};
use super::limits::{Cancel, Limits};
use super::metadata::{self, Metadata};
use super::op::canvas;
use super::paint::Painter;
use super::planes::Planes;
use super::program::{Answer, ImageOutput, Keep, Program, Slim};
use super::rungs::Ladder;
use super::{Error, color, decode, encode, told};
use crate::plan::image_mogr2::{SizeBound, SizeLimit};
use crate::plan::output::{OutputFormat, QualityTarget};

/// What a program made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The answer's bytes.
    pub body: Bytes,
    /// What they are.
    pub content: Content,
    /// The quality that was searched for, for [`Program::remember_quality`].
    pub found_quality: Option<u8>,
}

/// What an answer's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A picture in this format.
    Image(Format),
    /// A JSON document.
    Json,
}

impl Content {
    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Image(Format::Jpeg) => "image/jpeg",
            Self::Image(Format::Png) => "image/png",
            Self::Image(Format::Gif) => "image/gif",
            Self::Image(Format::Webp) => "image/webp",
            Self::Image(Format::Bmp) => "image/bmp",
            Self::Image(Format::Tiff) => "image/tiff",
            Self::Image(Format::Psd) => "image/vnd.adobe.photoshop",
            Self::Image(Format::Avif) => "image/avif",
            Self::Json => "application/json",
        }
    }
}

/// What the engine is busy with; told to the caller so that it can take times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading pixels.
    Decode,
    /// Working on pixels.
    Ops,
    /// Writing the result.
    Encode,
}

/// Executes `program` on `source`, with the plan's pictures in painting order.
///
/// `stage` is called at the start of each stage, for animations many times.
///
/// # Errors
/// [`Error::Broken`] and its kin where a file cannot be read, [`Error::Cancelled`] once `cancel` says so.
pub fn run(
    program: &Program,
    source: &Bytes,
    pictures: &[Bytes],
    limits: &Limits,
    cancel: &Cancel,
    stage: &mut dyn FnMut(Stage),
) -> Result<Output, Error> {
    run_on(program, source, pictures, limits, None, cancel, stage)
}

/// [`run`], with what `ladder` keeps of this source, and may keep of what is decoded: the result has the same bytes.
///
/// # Errors
/// As for [`run`].
pub fn run_on(
    program: &Program,
    source: &Bytes,
    pictures: &[Bytes],
    limits: &Limits,
    ladder: Option<&dyn Ladder>,
    cancel: &Cancel,
    stage: &mut dyn FnMut(Stage),
) -> Result<Output, Error> {
    let profile = profile(program, source);
    let mut job = Job { program, source, profile: profile.as_deref(), limits, ladder, cancel, stage };
    match &program.answer {
        Answer::Image(output) | Answer::Info(Some(output)) => job.picture(output, pictures),
        Answer::Info(None) => Ok(json(&told::info(&program.source))),
        Answer::Exif => {
            let exif = metadata::read(source, &program.source).exif.ok_or(Error::NoExif)?;
            Ok(json(&metadata::exif_json(&exif)?))
        }
        Answer::Facts(facts) => Ok(json(&told::facts(&program.source, source, *facts))),
        Answer::Seen(_) => {
            let frame = job.seen_frame(pictures)?;
            job.frame_output(frame)
        }
    }
}

/// The source's colour profile.
pub(super) fn profile(program: &Program, source: &[u8]) -> Option<Vec<u8>> {
    metadata::read(source, &program.source).icc
}

fn json(value: &serde_json::Value) -> Output {
    Output { body: value.to_string().into(), content: Content::Json, found_quality: None }
}

/// One program at work on its source.
pub(super) struct Job<'a> {
    pub(super) program: &'a Program,
    pub(super) source: &'a Bytes,
    /// The source's colour profile.
    pub(super) profile: Option<&'a [u8]>,
    pub(super) limits: &'a Limits,
    /// Where decoded planes are kept.
    pub(super) ladder: Option<&'a dyn Ladder>,
    pub(super) cancel: &'a Cancel,
    pub(super) stage: &'a mut dyn FnMut(Stage),
}

impl Job<'_> {
    fn picture(&mut self, output: &ImageOutput, pictures: &[Bytes]) -> Result<Output, Error> {
        let settings = self.settings(output);
        let painter = Painter::prepare(self.program, pictures, self.limits, self.cancel)?;
        if self.program.animated {
            let file = self.animation(&painter, &settings)?;
            self.output(output, Found { file, quality: None })
        } else if let Some(file) = self.turned(&settings)? {
            self.output(output, Found { file, quality: None })
        } else if let Some(planes) = self.finished_planes(&painter)? {
            self.planes_output(&planes)
        } else if let Some(steps) = self.deep_steps() {
            (self.stage)(Stage::Decode);
            let frame = decode::still_deep(self.source, &self.program.source, self.limits, self.cancel)?;
            self.deep_output(frame, &steps)
        } else {
            let frame = self.still(&painter, Some(&settings))?;
            self.frame_output(frame)
        }
    }

    pub(super) fn settings(&self, output: &ImageOutput) -> encode::Settings {
        settings(output, self.metadata(output), self.cancel)
    }

    /// The answer that finished planes come to.
    pub(super) fn planes_output(&mut self, planes: &Planes) -> Result<Output, Error> {
        let Some(output) = self.program.image_output() else { return self.frame_output(planes.clone().into_frame()) };
        let (output, settings) = (*output, self.settings(output));
        (self.stage)(Stage::Encode);
        let file = self.smaller(&output, &settings, |settings| encode::planes(planes, settings))?;
        self.output(&output, Found { file, quality: None })
    }

    /// The answer that a frame comes to after all steps.
    pub(super) fn frame_output(&mut self, frame: Frame) -> Result<Output, Error> {
        let Some(output) = self.program.image_output() else {
            let Answer::Seen(seen) = self.program.answer else { return Err(Error::Cancelled) };
            return Ok(json(&told::seen(frame, seen, self.cancel)?));
        };
        let (output, settings) = (*output, self.settings(output));
        (self.stage)(Stage::Encode);
        let found = self.encode(frame, &output, &settings)?;
        self.output(&output, found)
    }

    /// The answer that a decoded frame of 16 bits comes to by these steps.
    pub(super) fn deep_output(&mut self, mut frame: Frame<Deep>, steps: &[DeepStep]) -> Result<Output, Error> {
        let output = *self.program.image_output().expect("only pictures have 16 bits");
        let settings = self.settings(&output);
        (self.stage)(Stage::Ops);
        if let Some(profile) = self.used_up_profile(frame.layout(), Some(&settings)) {
            color::deep_to_srgb(&mut frame, profile, self.cancel)?;
        }
        for step in steps {
            frame = step.apply(frame, self.program.light, self.cancel)?;
        }
        (self.stage)(Stage::Encode);
        let file = self.smaller(&output, &settings, |settings| encode::still_deep(&frame, settings))?;
        self.output(&output, Found { file, quality: None })
    }

    /// The answer that a file comes to: itself, the source, or what there is to tell of it.
    pub(super) fn output(&self, output: &ImageOutput, found: Found) -> Result<Output, Error> {
        let picture = self.within_limit(output, found);
        match self.program.answer {
            Answer::Info(_) => {
                let found_quality = picture.found_quality;
                Ok(Output { found_quality, ..json(&told::info(&decode::probe(&picture.body)?)) })
            }
            _ => Ok(picture),
        }
    }

    /// What is encoded at the quality that was asked for, or, by `imageslim`, with fewer bytes.
    fn smaller(
        &self,
        output: &ImageOutput,
        settings: &encode::Settings,
        encode: impl Fn(&encode::Settings) -> Result<Vec<u8>, Error>,
    ) -> Result<Vec<u8>, Error> {
        let encode = &encode;
        Ok(self.slimmer(output, settings, encode, || Ok(Found { file: encode(settings)?, quality: None }))?.file)
    }

    /// What `asked` makes, or, by `imageslim`, what has fewer bytes: never more than there were.
    fn slimmer(
        &self,
        output: &ImageOutput,
        settings: &encode::Settings,
        encode: impl Fn(&encode::Settings) -> Result<Vec<u8>, Error>,
        asked: impl FnOnce() -> Result<Found, Error>,
    ) -> Result<Found, Error> {
        let Some(slim) = output.slim else { return asked() };
        let slimmed = encode(&slim_settings(settings, slim, self.program.source.jpeg_quality))?;
        let mut found = match slim.of_source {
            true => Found { file: self.source.to_vec(), quality: None },
            false => asked()?,
        };
        if slimmed.len() < found.file.len() {
            found.file = slimmed;
        }
        Ok(found)
    }

    /// The result without loss, where that is possible.
    fn turned(&mut self, settings: &encode::Settings) -> Result<Option<Vec<u8>>, Error> {
        let Some(turn) = &self.program.lossless else { return Ok(None) };
        (self.stage)(Stage::Encode);
        let turned = turn.run(self.source, settings);
        self.cancel.check()?;
        Ok(turned)
    }

    /// The result as planes, where decoding makes it but for marks.
    fn finished_planes(&mut self, painter: &Painter) -> Result<Option<Planes>, Error> {
        let Some(start) = self.program.planes.filter(|start| start.is_all) else { return Ok(None) };
        (self.stage)(Stage::Decode);
        let loaded = start.load.run_on(self.source, self.program.light, self.ladder, self.cancel)?;
        let Some(mut planes) = loaded else { return Ok(None) };
        (self.stage)(Stage::Ops);
        painter.paint_planes(&mut planes, start.steps, self.cancel)?;
        Ok(Some(planes))
    }

    /// The program's steps, where it is one of 16 bits.
    pub(super) fn deep_steps(&self) -> Option<Vec<DeepStep>> {
        if self.program.depth == Depth::Sixteen { deep::steps(&self.program.steps) } else { None }
    }

    /// The decoded first frame after all steps, for a result with these settings or, without, in sRGB.
    fn still(&mut self, painter: &Painter, settings: Option<&encode::Settings>) -> Result<Frame, Error> {
        (self.stage)(Stage::Decode);
        let (frame, done) = self.loaded(settings)?;
        (self.stage)(Stage::Ops);
        painter.paint(self.in_result_space(frame, settings)?, done, self.cancel)
    }

    /// The first frame, and how many steps were done while it was decoded.
    fn loaded(&self, settings: Option<&encode::Settings>) -> Result<(Frame, usize), Error> {
        let Program { source, planes, scaled_rows, light, eighths, frame, .. } = self.program;
        if *frame > 0 {
            return Ok((decode::frame_at(self.source, source, *frame, self.limits, self.cancel)?, 0));
        }
        if let Some(size) = *scaled_rows
            && self.used_up_profile(source.layout(), settings).is_none()
            && let Some(frame) = decode::still_scaled(self.source, source, size, *light, self.limits, self.cancel)?
        {
            return Ok((frame, self.program.steps_while_loading()));
        }
        if let Some(start) = planes.filter(|start| !start.is_all)
            && let Some(planes) = start.load.run_on(self.source, *light, self.ladder, self.cancel)?
        {
            return Ok((planes.into_frame(), start.steps));
        }
        Ok((decode::still(self.source, source, *eighths, self.limits, self.cancel)?, 0))
    }

    /// The frame in the colour space of the result: its own where the result carries the profile, else sRGB.
    fn in_result_space(&self, mut frame: Frame, settings: Option<&encode::Settings>) -> Result<Frame, Error> {
        if let Some(profile) = self.used_up_profile(frame.layout(), settings) {
            color::to_srgb(&mut frame, profile, self.cancel)?;
        }
        Ok(frame)
    }

    /// The source's profile, where the result does not carry it.
    pub(super) fn used_up_profile(&self, layout: Layout, settings: Option<&encode::Settings>) -> Option<&[u8]> {
        let is_carried = settings.is_some_and(|settings| settings.embeds_icc(layout));
        self.profile.filter(|_| !is_carried)
    }

    fn seen_frame(&mut self, pictures: &[Bytes]) -> Result<Frame, Error> {
        let painter = Painter::prepare(self.program, pictures, self.limits, self.cancel)?;
        self.still(&painter, None)
    }

    fn animation(&mut self, painter: &Painter, settings: &encode::Settings) -> Result<Vec<u8>, Error> {
        let mut frames = decode::animation(self.source, &self.program.source, self.limits, self.cancel)?;
        let mut writer = encode::animation(self.program.size, frames.loops(), settings)?;
        loop {
            (self.stage)(Stage::Decode);
            let Some((frame, delay)) = frames.next_frame()? else { break };
            (self.stage)(Stage::Ops);
            let frame = painter.paint(self.in_result_space(frame, Some(settings))?, 0, self.cancel)?;
            (self.stage)(Stage::Encode);
            writer.push(&frame, delay)?;
        }
        writer.finish()
    }

    fn encode(&self, frame: Frame, output: &ImageOutput, settings: &encode::Settings) -> Result<Found, Error> {
        let frame = match output.format {
            OutputFormat::Jpeg | OutputFormat::Bmp => canvas::flatten(frame, output.background),
            _ => frame,
        };
        let encode = |settings: &encode::Settings| encode::still(&frame, settings);
        let mut found = self.slimmer(output, settings, encode, || self.asked(&frame, output, settings))?;
        if let Some(SizeLimit { bound, or_source: false }) = output.size_limit
            && output.format == OutputFormat::Jpeg
            && found.file.len() as u64 > self.bytes(bound)
        {
            let settings = encode::Settings { quality: found.quality.unwrap_or(settings.quality), ..settings.clone() };
            found.file = search::smallest_within(&frame, &settings, self.bytes(bound), self.cancel)?;
        }
        Ok(found)
    }

    /// At the quality that was asked for, or at the lowest that has the score.
    fn asked(&self, frame: &Frame, output: &ImageOutput, settings: &encode::Settings) -> Result<Found, Error> {
        let QualityTarget::Ssim(score) = output.quality else {
            return Ok(Found { file: encode::still(frame, settings)?, quality: None });
        };
        let goal = Goal { score, background: output.background, known_quality: output.known_quality };
        search::smallest_at_score(frame, settings, &goal, self.cancel)
    }

    /// `size-limit/…!`: over the bound, the source is the answer.
    fn within_limit(&self, output: &ImageOutput, found: Found) -> Output {
        let over = match output.size_limit {
            Some(SizeLimit { bound, or_source: true }) => found.file.len() as u64 > self.bytes(bound),
            _ => false,
        };
        let (body, format) = match over {
            true => (self.source.clone(), self.program.source.format),
            false => (found.file.into(), format_of(output.format)),
        };
        Output { body, content: Content::Image(format), found_quality: found.quality }
    }

    fn bytes(&self, bound: SizeBound) -> u64 {
        match bound {
            SizeBound::Bytes(bytes) => bytes,
            SizeBound::SourceBytes => self.program.source.bytes,
        }
    }

    /// What the result carries of the source's metadata. A profile of grays is used up here: what is painted on the
    /// picture may give it colours that such a profile does not describe.
    fn metadata(&self, output: &ImageOutput) -> Metadata {
        let source = metadata::read(self.source, &self.program.source);
        let profile = source.icc.filter(|icc| output.keep.profile && metadata::describes(icc, Layout::Rgb));
        let exif = source.exif.and_then(|exif| match output.keep {
            Keep { exif: true, upright, .. } => metadata::exif_for_result(&exif, upright),
            Keep { copyright: true, .. } => metadata::copyright_for_result(&exif),
            _ => None,
        });
        Metadata { icc: profile, exif, density_dpi: output.density_dpi.or(source.density_dpi) }
    }
}

/// The format as a source's.
pub fn format_of(format: OutputFormat) -> Format {
    match format {
        OutputFormat::Jpeg => Format::Jpeg,
        OutputFormat::Png => Format::Png,
        OutputFormat::Gif => Format::Gif,
        OutputFormat::Webp => Format::Webp,
        OutputFormat::Bmp => Format::Bmp,
        OutputFormat::Tiff => Format::Tiff,
        OutputFormat::Avif => Format::Avif,
    }
}

/// A score is searched for in stills; an animation has the quality that usually comes with it.
fn settings(output: &ImageOutput, metadata: Metadata, cancel: &Cancel) -> encode::Settings {
    let quality = match output.quality {
        QualityTarget::Fixed(quality) => quality,
        QualityTarget::Ssim(score) => search::usual_quality(output.format, score),
    };
    encode::Settings {
        format: output.format,
        quality,
        interlace: output.interlace,
        colors: output.colors,
        lossless: false,
        effort: if output.patient { encode::Effort::Small } else { encode::Effort::Fast },
        metadata,
        cancel: cancel.clone(),
    }
}

/// `imageslim` levels as settings: for JPEG quality 92 at level 0 down to 52 at 10 and never above the source's own;
/// for PNG a palette of 256 from level 3 on.
fn slim_settings(settings: &encode::Settings, slim: Slim, source_quality: Option<u8>) -> encode::Settings {
    let quality = (92 - 4 * slim.level.min(10)).min(source_quality.unwrap_or(100));
    encode::Settings {
        quality,
        interlace: true,
        colors: settings.colors.or(slim.makes_palette(settings.format).then_some(256)),
        effort: encode::Effort::Small,
        ..settings.clone()
    }
}
