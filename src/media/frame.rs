//! `vframe/<jpg|png>/offset/<s>[/w/<n>][/h/<n>][/rotate/<90|180|270|auto>]`: one frame of a film.

use super::values::Milliseconds;
use crate::plan::ParseError;
use crate::plan::scan::Cursor;

/// Pixels of the longer edge, and of the shorter.
const LONGER: std::ops::RangeInclusive<u32> = 20..=3840;
const SHORTER_MAX: u32 = 2160;

/// A parsed `vframe`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoFrame {
    /// What it is written as.
    pub format: FrameFormat,
    offset: Milliseconds,
    width: Option<u32>,
    height: Option<u32>,
    turn: Option<Turn>,
}

/// What a frame is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameFormat {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
}

/// How a picture is turned, clockwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Quarter,
    Half,
    ThreeQuarters,
    /// As the film says itself.
    Auto,
}

impl Turn {
    pub(super) fn read(cursor: &mut Cursor<'_>, argument: &str) -> Result<Self, ParseError> {
        cursor.read(argument, "one of 90, 180, 270, auto", |value| match value {
            "90" => Some(Self::Quarter),
            "180" => Some(Self::Half),
            "270" => Some(Self::ThreeQuarters),
            "auto" => Some(Self::Auto),
            _ => None,
        })
    }

    /// The filter that does it.
    pub(super) const fn filter(self) -> Option<&'static str> {
        match self {
            Self::Quarter => Some("transpose=clock"),
            Self::Half => Some("hflip,vflip"),
            Self::ThreeQuarters => Some("transpose=cclock"),
            Self::Auto => None,
        }
    }
}

impl FrameFormat {
    /// The media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }

    const fn codec(self) -> &'static str {
        match self {
            Self::Jpeg => "mjpeg",
            Self::Png => "png",
        }
    }
}

impl VideoFrame {
    /// Reads what follows `vframe`.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let format = cursor.read("the format", "jpg or png", |value| match value {
            "jpg" => Some(FrameFormat::Jpeg),
            "png" => Some(FrameFormat::Png),
            _ => None,
        })?;
        let (mut offset, mut width, mut height, mut turn) = (None, None, None, None);
        while let Some(name) = cursor.segment() {
            match name {
                "offset" => offset = Some(Milliseconds::read(cursor, name)?),
                "w" => width = Some(cursor.integer(name, LONGER)?),
                "h" => height = Some(cursor.integer(name, LONGER)?),
                "rotate" => turn = Some(Turn::read(cursor, name)?),
                _ => return Err(cursor.unknown(name, &["offset", "w", "h", "rotate"])),
            }
        }
        let offset = offset.ok_or_else(|| cursor.missing("offset", "seconds from 0 to 360000"))?;
        if let (Some(width), Some(height)) = (width, height)
            && width.min(height) > SHORTER_MAX
        {
            let expected = format!("a shorter edge of at most {SHORTER_MAX}");
            return Err(cursor.invalid("h", &height.to_string(), expected));
        }
        Ok(Self { format, offset, width, height, turn })
    }

    /// Arguments before the input.
    pub(super) fn input_arguments(&self) -> Vec<String> {
        let mut arguments = vec!["-ss".to_owned(), self.offset.to_string()];
        if self.turn != Some(Turn::Auto) {
            arguments.push("-noautorotate".to_owned());
        }
        arguments
    }

    /// Arguments behind the input, without the output.
    pub(super) fn output_arguments(&self) -> Vec<String> {
        let edge = |edge: Option<u32>| edge.map_or("-1".to_owned(), |edge| edge.to_string());
        let scale =
            (self.width.or(self.height).is_some()).then(|| format!("scale={}:{}", edge(self.width), edge(self.height)));
        let turn = self.turn.and_then(Turn::filter).map(str::to_owned);
        let filters: Vec<String> = turn.into_iter().chain(scale).collect();
        let mut arguments: Vec<String> = [
            "-map",
            "0:v:0",
            "-frames:v",
            "1",
            "-update",
            "1",
            "-flags:v",
            "+bitexact",
            "-q:v",
            "2",
            "-f",
            "image2",
            "-c:v",
        ]
        .map(str::to_owned)
        .into();
        arguments.push(self.format.codec().to_owned());
        if !filters.is_empty() {
            arguments.extend(["-vf".to_owned(), filters.join(",")]);
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<VideoFrame, String> {
        VideoFrame::parse(&mut Cursor::new("vframe", Some(text))).map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_become_those_of_the_program() {
        let frame = parse("png/offset/7.5/w/480/rotate/90").expect("a frame");
        assert_eq!(frame.input_arguments(), ["-ss", "7.500", "-noautorotate"]);
        assert!(frame.output_arguments().join(" ").ends_with("-c:v png -vf transpose=clock,scale=480:-1"));
        let frame = parse("jpg/offset/0/rotate/auto").expect("a frame");
        assert_eq!(frame.input_arguments(), ["-ss", "0.000"]);
        assert!(frame.output_arguments().join(" ").ends_with("-c:v mjpeg"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, message) in [
            ("gif/offset/1", "vframe: the format is \"gif\"; expected jpg or png"),
            ("jpg", "vframe: offset is missing; expected seconds from 0 to 360000"),
            ("jpg/offset/-1", "vframe: offset is \"-1\"; expected seconds from 0 to 360000"),
            ("jpg/offset/1/w/19", "vframe: w is \"19\"; expected an integer from 20 to 3840"),
            ("jpg/offset/1/w/3000/h/2161", "vframe: h is \"2161\"; expected a shorter edge of at most 2160"),
            ("jpg/offset/1/rotate/45", "vframe: rotate is \"45\"; expected one of 90, 180, 270, auto"),
            ("jpg/offset/1/width/40", "vframe: unknown argument \"width\"; expected one of offset, w, h, rotate"),
        ] {
            assert_eq!(parse(text).expect_err(text), message);
        }
    }
}
