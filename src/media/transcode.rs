//! `avthumb/<format>/…`: sound and film in another format.

mod formats;
#[cfg(test)]
mod tests;

use formats::{AudioCodec, FORMATS, Format, VideoCodec};

use super::frame::Turn;
use super::values::{Milliseconds, bit_rate};
use crate::plan::ParseError;
use crate::plan::scan::Cursor;

/// A parsed `avthumb`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcode {
    format: &'static Format,
    start: Option<Milliseconds>,
    length: Option<Milliseconds>,
    drops_metadata: bool,
    audio: Audio,
    video: Video,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Audio {
    is_off: bool,
    codec: Option<AudioCodec>,
    bit_rate: Option<u32>,
    quality: Option<u8>,
    sample_rate: Option<u32>,
    channels: Option<u8>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Video {
    is_off: bool,
    codec: Option<VideoCodec>,
    bit_rate: Option<u32>,
    frame_rate: Option<u8>,
    size: Option<(Option<u32>, Option<u32>)>,
    keeps_ratio: bool,
    aspect: Option<(u16, u16)>,
    turn: Option<Turn>,
}

/// Names of arguments, for who misspells one.
const ARGUMENTS: [&str; 17] = [
    "ab",
    "aq",
    "ar",
    "ac",
    "r",
    "vb",
    "vcodec",
    "acodec",
    "ss",
    "t",
    "s",
    "autoscale",
    "aspect",
    "stripmeta",
    "rotate",
    "an",
    "vn",
];

impl Transcode {
    /// Reads what follows `avthumb`.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let format = read_format(cursor)?;
        let (audio, video) = (Audio::default(), Video::default());
        let mut transcode = Self { format, start: None, length: None, drops_metadata: false, audio, video };
        while let Some(name) = cursor.segment() {
            let is_read = transcode.argument(name, cursor)?
                || transcode.audio.argument(name, cursor, format)?
                || transcode.video.argument(name, cursor, format)?;
            if !is_read {
                return Err(cursor.unknown(name, &ARGUMENTS));
            }
        }
        transcode.check(cursor)?;
        Ok(transcode)
    }

    fn argument(&mut self, name: &str, cursor: &mut Cursor<'_>) -> Result<bool, ParseError> {
        match name {
            "ss" => self.start = Some(Milliseconds::read(cursor, name)?),
            "t" => self.length = Some(Milliseconds::read(cursor, name)?),
            "stripmeta" => self.drops_metadata = cursor.flag(name)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What only the whole shows to be wrong.
    fn check(&self, cursor: &Cursor<'_>) -> Result<(), ParseError> {
        let name = self.format.name;
        if !self.has_audio() && !self.has_video() {
            let expected = format!("{name} to keep its sound or its film");
            return Err(cursor.invalid("an and vn", "1", expected));
        }
        let Some(codec) = self.audio_codec() else { return Ok(()) };
        if let Some(quality) = self.audio.quality.filter(|_| !codec.has_quality()) {
            return Err(cursor.invalid("aq", &quality.to_string(), format!("ab: {} has no aq", codec.name())));
        }
        if let Some(channels) = self.audio.channels.filter(|channels| *channels > codec.most_channels()) {
            let expected = format!("at most {} with {}", codec.most_channels(), codec.name());
            return Err(cursor.invalid("ac", &channels.to_string(), expected));
        }
        Ok(())
    }

    fn has_audio(&self) -> bool {
        !self.audio.is_off && !self.format.audio.is_empty()
    }

    fn has_video(&self) -> bool {
        !self.video.is_off && !self.format.video.is_empty()
    }

    fn audio_codec(&self) -> Option<AudioCodec> {
        if self.has_audio() { self.audio.codec.or(self.format.audio.first().copied()) } else { None }
    }

    fn video_codec(&self) -> Option<VideoCodec> {
        if self.has_video() { self.video.codec.or(self.format.video.first().copied()) } else { None }
    }

    /// The result's media type.
    pub(super) fn media_type(&self) -> &'static str {
        match self.format.name {
            "mp4" if self.video.is_off => "audio/mp4",
            "webm" if self.video.is_off => "audio/webm",
            _ => self.format.media_type,
        }
    }

    /// How much of a source of this length is left.
    pub(super) fn length_of(&self, source: Milliseconds) -> Milliseconds {
        let left = source.0.saturating_sub(self.start.map_or(0, |start| start.0));
        Milliseconds(self.length.map_or(left, |length| left.min(length.0)))
    }

    /// Arguments before the input.
    pub(super) fn input_arguments(&self) -> Vec<String> {
        self.start.map(|start| vec!["-ss".to_owned(), start.to_string()]).unwrap_or_default()
    }

    /// Arguments behind the input, without the output. Whatever the load, the same source gives the same bytes.
    pub(super) fn output_arguments(&self) -> Vec<String> {
        let mut arguments = Arguments(Vec::new());
        arguments.option("-t", self.length);
        arguments.flags(&["-sn", "-dn", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"]);
        if self.drops_metadata {
            arguments.flags(&["-map_metadata", "-1", "-map_chapters", "-1"]);
        }
        match self.audio_codec() {
            Some(codec) => self.audio.arguments(codec, &mut arguments),
            None => arguments.flags(&["-an"]),
        }
        match self.video_codec() {
            Some(codec) => self.video.arguments(codec, &mut arguments),
            None => arguments.flags(&["-vn"]),
        }
        if matches!(self.format.muxer, "mp4" | "ipod") {
            arguments.flags(&["-movflags", "+faststart"]);
        }
        arguments.flags(&["-f", self.format.muxer]);
        arguments.0
    }
}

fn read_format(cursor: &mut Cursor<'_>) -> Result<&'static Format, ParseError> {
    let names: Vec<&str> = FORMATS.iter().map(|format| format.name).collect();
    let expected = format!("one of {}", names.join(", "));
    let value = cursor.value("the format", &expected)?;
    if value == "m3u8" {
        let reason = "playlists of segments are not made here; ask for mp4";
        return Err(ParseError::OutOfScope { name: "avthumb/m3u8".to_owned(), reason });
    }
    let format = FORMATS.iter().find(|format| format.name == value);
    format.ok_or_else(|| cursor.invalid("the format", value, expected))
}

/// A list of a program's arguments.
struct Arguments(Vec<String>);

impl Arguments {
    fn flags(&mut self, flags: &[&str]) {
        self.0.extend(flags.iter().map(|flag| (*flag).to_owned()));
    }

    fn option(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.0.extend([name.to_owned(), value.to_string()]);
        }
    }
}

/// How a codec is read, and what it is called.
type Names<C> = (fn(&str) -> Option<C>, fn(C) -> &'static str);

/// A codec of those that a format holds.
fn read_codec<C: Copy + PartialEq>(
    cursor: &mut Cursor<'_>,
    argument: &str,
    held: &[C],
    (named, name): Names<C>,
) -> Result<C, ParseError> {
    let names: Vec<&str> = held.iter().copied().map(name).collect();
    let expected =
        if names.is_empty() { "none in this format".to_owned() } else { format!("one of {}", names.join(", ")) };
    cursor.read(argument, expected, |value| named(value).filter(|codec| held.contains(codec)))
}

impl Audio {
    fn argument(&mut self, name: &str, cursor: &mut Cursor<'_>, format: &Format) -> Result<bool, ParseError> {
        match name {
            "an" => self.is_off = cursor.flag(name)?,
            "ab" => self.bit_rate = Some(bit_rate(cursor, name, (8_000, 512_000))?),
            "aq" => self.quality = Some(cursor.integer(name, 0..=9)?),
            "ar" => self.sample_rate = Some(cursor.integer(name, 8_000..=96_000)?),
            "ac" => self.channels = Some(cursor.integer(name, 1..=6)?),
            "acodec" => {
                self.codec = Some(read_codec(cursor, name, format.audio, (AudioCodec::named, AudioCodec::name))?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn arguments(&self, codec: AudioCodec, arguments: &mut Arguments) {
        arguments.flags(&["-c:a", codec.name()]);
        match self.quality {
            // The best is 0 for one and 10 for the other.
            Some(quality) if codec == AudioCodec::Vorbis => arguments.option("-q:a", Some(10 - quality)),
            Some(quality) => arguments.option("-q:a", Some(quality)),
            None => arguments.option("-b:a", self.bit_rate.filter(|_| codec.has_bit_rate())),
        }
        arguments.option("-ar", self.sample_rate.map(|rate| codec.sample_rate(rate)));
        arguments.option("-ac", self.channels);
    }
}

impl Video {
    fn argument(&mut self, name: &str, cursor: &mut Cursor<'_>, format: &Format) -> Result<bool, ParseError> {
        match name {
            "vn" => self.is_off = cursor.flag(name)?,
            "vb" => self.bit_rate = Some(bit_rate(cursor, name, (16_000, 50_000_000))?),
            "r" => self.frame_rate = Some(cursor.integer(name, 1..=60)?),
            "s" => self.size = Some(cursor.read(name, "<W>x<H>, <W>x or x<H>, each from 20 to 3840", size)?),
            "autoscale" => self.keeps_ratio = cursor.flag(name)?,
            "aspect" => self.aspect = Some(cursor.read(name, "<width>:<height>, each from 1 to 1000", aspect)?),
            "rotate" => self.turn = Some(Turn::read(cursor, name)?),
            "vcodec" => {
                self.codec = Some(read_codec(cursor, name, format.video, (VideoCodec::named, VideoCodec::name))?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn arguments(&self, codec: VideoCodec, arguments: &mut Arguments) {
        arguments.flags(&["-c:v", codec.name()]);
        // What all players show: no transparency, and as many samples of colour as they expect.
        if codec != VideoCodec::Gif {
            arguments.flags(&["-pix_fmt", "yuv420p"]);
        }
        if codec == VideoCodec::H264 {
            arguments.flags(&["-preset", "veryfast"]);
        }
        arguments.option("-threads", Some(2));
        arguments.option("-b:v", self.bit_rate);
        arguments.option("-r", self.frame_rate);
        arguments.option("-aspect", self.aspect.map(|(width, height)| format!("{width}:{height}")));
        let filters = self.filters();
        if !filters.is_empty() {
            arguments.option("-vf", Some(filters.join(",")));
        }
    }

    /// Turned first, so that the size is that of the upright film. Edges are even, as most codecs need them.
    fn filters(&self) -> Vec<String> {
        let turn = self.turn.and_then(Turn::filter).map(str::to_owned);
        let even = |edge: u32| edge - edge % 2;
        let scale = match self.size {
            Some((Some(width), Some(height))) if self.keeps_ratio => Some(format!(
                "scale={}:{}:force_original_aspect_ratio=decrease:force_divisible_by=2",
                even(width),
                even(height)
            )),
            Some((Some(width), Some(height))) => Some(format!("scale={}:{}", even(width), even(height))),
            Some((Some(width), None)) => Some(format!("scale={}:-2", even(width))),
            Some((None, Some(height))) => Some(format!("scale=-2:{}", even(height))),
            _ => Some("scale=trunc(iw/2)*2:trunc(ih/2)*2".to_owned()),
        };
        turn.into_iter().chain(scale).collect()
    }
}

/// `WxH`, `Wx` or `xH`.
fn size(text: &str) -> Option<(Option<u32>, Option<u32>)> {
    let (width, height) = text.split_once('x')?;
    let edge = |text: &str| match text {
        "" => Some(None),
        text => crate::plan::scan::integer_in(text, &(20..=3840)).map(Some),
    };
    match (edge(width)?, edge(height)?) {
        (None, None) => None,
        size => Some(size),
    }
}

fn aspect(text: &str) -> Option<(u16, u16)> {
    let (width, height) = text.split_once(':')?;
    let part = |text: &str| crate::plan::scan::integer_in(text, &(1..=1000));
    Some((part(width)?, part(height)?))
}
