//! `avthumb/<format>/…`: sound and film in another format.

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

/// A container, and the codecs that it holds, the usual one first.
#[derive(Debug, PartialEq, Eq)]
struct Format {
    name: &'static str,
    muxer: &'static str,
    media_type: &'static str,
    audio: &'static [AudioCodec],
    video: &'static [VideoCodec],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AudioCodec {
    Mp3,
    Aac,
    Vorbis,
    Opus,
    Flac,
    Pcm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum VideoCodec {
    H264,
    Vp8,
    Vp9,
    Flv,
    Gif,
}

const fn sound(
    name: &'static str,
    muxer: &'static str,
    media_type: &'static str,
    codec: &'static [AudioCodec],
) -> Format {
    Format { name, muxer, media_type, audio: codec, video: &[] }
}

/// All formats that are written.
static FORMATS: [Format; 11] = [
    sound("mp3", "mp3", "audio/mpeg", &[AudioCodec::Mp3]),
    sound("m4a", "ipod", "audio/mp4", &[AudioCodec::Aac]),
    sound("aac", "adts", "audio/aac", &[AudioCodec::Aac]),
    sound("wav", "wav", "audio/wav", &[AudioCodec::Pcm]),
    sound("flac", "flac", "audio/flac", &[AudioCodec::Flac]),
    sound("ogg", "ogg", "audio/ogg", &[AudioCodec::Vorbis, AudioCodec::Opus]),
    sound("opus", "opus", "audio/ogg", &[AudioCodec::Opus]),
    Format {
        name: "mp4",
        muxer: "mp4",
        media_type: "video/mp4",
        audio: &[AudioCodec::Aac, AudioCodec::Mp3],
        video: &[VideoCodec::H264],
    },
    Format {
        name: "webm",
        muxer: "webm",
        media_type: "video/webm",
        audio: &[AudioCodec::Vorbis, AudioCodec::Opus],
        video: &[VideoCodec::Vp8, VideoCodec::Vp9],
    },
    Format {
        name: "flv",
        muxer: "flv",
        media_type: "video/x-flv",
        audio: &[AudioCodec::Aac],
        video: &[VideoCodec::H264, VideoCodec::Flv],
    },
    Format { name: "gif", muxer: "gif", media_type: "image/gif", audio: &[], video: &[VideoCodec::Gif] },
];

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

impl AudioCodec {
    /// Under the names that the vendor and the program have for it.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "libmp3lame" | "mp3" => Self::Mp3,
            "aac" | "libfaac" | "libfdk_aac" => Self::Aac,
            "libvorbis" | "vorbis" => Self::Vorbis,
            "libopus" | "opus" => Self::Opus,
            "flac" => Self::Flac,
            "pcm_s16le" => Self::Pcm,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Mp3 => "libmp3lame",
            Self::Aac => "aac",
            Self::Vorbis => "libvorbis",
            Self::Opus => "libopus",
            Self::Flac => "flac",
            Self::Pcm => "pcm_s16le",
        }
    }

    /// The rates that it has, rising; none where it has all.
    const fn sample_rates(self) -> &'static [u32] {
        match self {
            Self::Mp3 => &[8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000],
            Self::Aac => {
                &[8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000]
            }
            Self::Opus => &[8000, 12_000, 16_000, 24_000, 48_000],
            Self::Vorbis | Self::Flac | Self::Pcm => &[],
        }
    }

    /// The rate that it has next to `wanted`: requests with 22061 are in the vendor's own examples.
    fn sample_rate(self, wanted: u32) -> u32 {
        let rates = self.sample_rates().iter().copied();
        rates.min_by_key(|rate| rate.abs_diff(wanted)).unwrap_or(wanted)
    }

    const fn most_channels(self) -> u8 {
        if matches!(self, Self::Mp3) { 2 } else { 6 }
    }

    /// Whether its quality is a number from 0 to 9 instead of a bit rate.
    const fn has_quality(self) -> bool {
        matches!(self, Self::Mp3 | Self::Vorbis)
    }

    /// Whether it is coded at a bit rate.
    const fn has_bit_rate(self) -> bool {
        !matches!(self, Self::Flac | Self::Pcm)
    }
}

impl VideoCodec {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "libx264" | "h264" => Self::H264,
            "libvpx" | "vp8" => Self::Vp8,
            "libvpx-vp9" | "vp9" => Self::Vp9,
            "flv" | "flv1" => Self::Flv,
            "gif" => Self::Gif,
            _ => return None,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::H264 => "libx264",
            Self::Vp8 => "libvpx",
            Self::Vp9 => "libvpx-vp9",
            Self::Flv => "flv",
            Self::Gif => "gif",
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Transcode, String> {
        Transcode::parse(&mut Cursor::new("avthumb", Some(text))).map_err(|error| error.to_string())
    }

    /// Spec 7.4, and what else occurs.
    #[test]
    fn arguments_become_those_of_the_program() {
        for (text, expected) in [
            ("mp3/aq/6/ar/16000", "-c:a libmp3lame -q:a 6 -ar 16000 -vn -f mp3"),
            ("mp3/ar/44100/ab/32k", "-c:a libmp3lame -b:a 32000 -ar 44100 -vn -f mp3"),
            ("ogg/aq/3", "-c:a libvorbis -q:a 7 -vn -f ogg"),
            ("wav/ab/64k/ac/1", "-c:a pcm_s16le -ac 1 -vn -f wav"),
            ("opus/ar/44100", "-c:a libopus -ar 48000 -vn -f opus"),
            (
                "mp4/r/30/vb/256k/vcodec/libx264/ar/22061/ab/64k/acodec/libmp3lame",
                "-c:a libmp3lame -b:a 64000 -ar 22050 -c:v libx264 -pix_fmt yuv420p -preset veryfast -threads 2 -b:v 256000 \
                 -r 30 -vf scale=trunc(iw/2)*2:trunc(ih/2)*2 -movflags +faststart -f mp4",
            ),
            (
                "webm/an/1/s/641x/rotate/90/aspect/16:9",
                "-an -c:v libvpx -pix_fmt yuv420p -threads 2 -aspect 16:9 -vf transpose=clock,scale=640:-2 -f webm",
            ),
            (
                "gif/s/100x80/autoscale/1",
                "-an -c:v gif -threads 2 -vf scale=100:80:force_original_aspect_ratio=decrease:force_divisible_by=2 -f gif",
            ),
        ] {
            let arguments = parse(text).unwrap_or_else(|error| panic!("{error}")).output_arguments().join(" ");
            let (_, codecs) = arguments.split_once("-flags:a +bitexact ").expect("always the same flags");
            assert_eq!(codecs, expected, "{text}");
        }
        let part = parse("mp3/ss/1.5/t/2/stripmeta/1").expect("a part");
        assert_eq!(part.input_arguments(), ["-ss", "1.500"]);
        assert!(part.output_arguments().join(" ").starts_with("-t 2.000 -sn"));
        assert_eq!(part.length_of(Milliseconds(3000)), Milliseconds(1500));
        assert_eq!(part.length_of(Milliseconds(10_000)), Milliseconds(2000));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let formats = "mp3, m4a, aac, wav, flac, ogg, opus, mp4, webm, flv, gif";
        for (text, message) in [
            ("", format!("avthumb: the format is missing; expected one of {formats}")),
            ("iphone_low", format!("avthumb: the format is \"iphone_low\"; expected one of {formats}")),
            (
                "m3u8/vb/440k",
                "unsupported fop: avthumb/m3u8: playlists of segments are not made here; ask for mp4".to_owned(),
            ),
            ("mp3/ab/9m", "avthumb: ab is \"9m\"; expected a bit rate from 8k to 512k, such as 128k".to_owned()),
            ("mp3/ab/32", "avthumb: ab is \"32\"; expected a bit rate from 8k to 512k, such as 128k".to_owned()),
            ("mp3/aq/10", "avthumb: aq is \"10\"; expected an integer from 0 to 9".to_owned()),
            ("m4a/aq/5", "avthumb: aq is \"5\"; expected ab: aac has no aq".to_owned()),
            ("mp3/ar/7999", "avthumb: ar is \"7999\"; expected an integer from 8000 to 96000".to_owned()),
            ("mp3/ac/3", "avthumb: ac is \"3\"; expected at most 2 with libmp3lame".to_owned()),
            ("mp4/s/x", "avthumb: s is \"x\"; expected <W>x<H>, <W>x or x<H>, each from 20 to 3840".to_owned()),
            ("mp4/vcodec/libvpx", "avthumb: vcodec is \"libvpx\"; expected one of libx264".to_owned()),
            ("mp3/vcodec/libx264", "avthumb: vcodec is \"libx264\"; expected none in this format".to_owned()),
            (
                "mp4/aspect/16x9",
                "avthumb: aspect is \"16x9\"; expected <width>:<height>, each from 1 to 1000".to_owned(),
            ),
            ("mp3/an/1", "avthumb: an and vn is \"1\"; expected mp3 to keep its sound or its film".to_owned()),
            ("mp4/r/61", "avthumb: r is \"61\"; expected an integer from 1 to 60".to_owned()),
        ] {
            assert_eq!(parse(text).expect_err(text), message, "{text}");
        }
        let unknown = parse("mp3/filter/movie").expect_err("no such argument");
        assert!(unknown.starts_with("avthumb: unknown argument \"filter\"; expected one of ab, aq"), "{unknown}");
    }
}
