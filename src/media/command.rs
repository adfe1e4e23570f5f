//! A pipeline that begins with an operator on sound or film.

use super::frame::VideoFrame;
use super::transcode::Transcode;
use crate::plan::scan::{Cursor, split_stage};
use crate::plan::{ParseError, Plan};

/// An operator on sound or film, and what is made of its picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The operator.
    pub operation: Operation,
    /// What becomes of a frame: only behind `vframe`.
    pub then: Option<Plan>,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// `avthumb/<format>/…`.
    Transcode(Transcode),
    /// `vframe/<jpg|png>/…`.
    Frame(VideoFrame),
    /// `avinfo`.
    Info,
}

impl Operation {
    /// The operator's name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Transcode(_) => "avthumb",
            Self::Frame(_) => "vframe",
            Self::Info => "avinfo",
        }
    }
}

impl Command {
    /// Reads a pipeline; `Ok(None)` where its first operator is none of sound or film.
    ///
    /// # Errors
    /// [`ParseError`] that names operator, argument, value and what was expected.
    pub fn parse(text: &str) -> Result<Option<Self>, ParseError> {
        let (first, rest) = match text.split_once('|') {
            Some((first, rest)) => (first, Some(rest)),
            None => (text, None),
        };
        let (name, arguments) = split_stage(first);
        let operation = match name {
            "avthumb" => Operation::Transcode(Transcode::parse(&mut Cursor::new("avthumb", arguments))?),
            "vframe" => Operation::Frame(VideoFrame::parse(&mut Cursor::new("vframe", arguments))?),
            "avinfo" => {
                Cursor::new("avinfo", arguments).end()?;
                Operation::Info
            }
            _ => return Ok(None),
        };
        let then = match (&operation, rest) {
            (_, None) => None,
            (Operation::Frame(_), Some(rest)) => Some(Plan::parse(rest)?),
            (_, Some(_)) => {
                let problem = "its result is not a picture, so that no operator may follow";
                return Err(ParseError::Order { fop: operation.name(), problem });
            }
        };
        Ok(Some(Self { operation, then }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipelines_of_pictures_are_left_alone() {
        for text in ["imageView2/2/w/100", "", "|", "avthumbs", "qhash/md5", "imageInfo|avinfo"] {
            assert_eq!(Command::parse(text), Ok(None), "{text}");
        }
    }

    #[test]
    fn frames_go_on_as_pictures() {
        let command = Command::parse("vframe/jpg/offset/7/w/480|imageView2/2/w/100|imageInfo").unwrap().unwrap();
        assert_eq!(command.then.map(|plan| plan.to_string()).as_deref(), Some("imageView2/2/w/100|imageInfo"));
        assert_eq!(command.operation.name(), "vframe");
        for (text, message) in [
            ("avinfo|imageInfo", "avinfo: its result is not a picture, so that no operator may follow"),
            ("avthumb/mp3|avthumb/wav", "avthumb: its result is not a picture, so that no operator may follow"),
            ("avinfo/x", "avinfo: unknown argument \"x\"; expected nothing more"),
            ("vframe/jpg/offset/1|", "a pipeline has 1 to 32 operators; this one has 0"),
        ] {
            assert_eq!(Command::parse(text).unwrap_err().to_string(), message, "{text}");
        }
    }
}
