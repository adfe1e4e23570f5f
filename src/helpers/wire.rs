//! What server and helper say to each other: JSON documents, each behind its length, and files behind those that announce them.
//!
//! Both ends are the same program, so that nothing here has versions.

use std::io::{self, Read, Write};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::engine;
use crate::engine::image::Format;
use crate::engine::limits::Limits;
use crate::engine::program::Rendering;
use crate::engine::run::{Content, Output, Stage};
use crate::error::ErrorKind;

/// Most bytes of a document. A source's own facts (EXIF) may be in one that is told.
const MOST: usize = 16 << 20;

/// A request; the files follow, the source first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) tasks: Vec<Asked>,
    pub(super) limits: Limits,
    pub(super) shared_bytes: u64,
    pub(super) lengths: Vec<usize>,
}

/// One result that is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Asked {
    /// Canonical text.
    pub(super) plan: String,
    pub(super) rendering: Rendering,
    pub(super) known_quality: Option<u8>,
    /// Which of the request's files the plan paints.
    pub(super) pictures: Vec<usize>,
}

/// What a helper says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Told {
    Stage(Busy),
    Failed {
        index: usize,
        kind: ErrorKind,
        message: String,
    },
    /// The result follows.
    Made {
        index: usize,
        made: Made,
        length: usize,
    },
    Over,
}

/// [`Stage`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Busy {
    Decode,
    Ops,
    Encode,
}

impl From<Stage> for Busy {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Decode => Self::Decode,
            Stage::Ops => Self::Ops,
            Stage::Encode => Self::Encode,
        }
    }
}

impl From<Busy> for Stage {
    fn from(busy: Busy) -> Self {
        match busy {
            Busy::Decode => Self::Decode,
            Busy::Ops => Self::Ops,
            Busy::Encode => Self::Encode,
        }
    }
}

/// An [`Output`] without its bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Made {
    /// The name of the picture's format; none for a JSON document.
    format: Option<String>,
    found_quality: Option<u8>,
}

impl Made {
    pub(super) fn of(output: &Output) -> Self {
        let format = match output.content {
            Content::Image(format) => Some(format.name().to_owned()),
            Content::Json => None,
        };
        Self { format, found_quality: output.found_quality }
    }

    /// The output with these bytes.
    pub(super) fn output(self, body: Bytes) -> Result<Output, engine::Error> {
        let content = match self.format {
            None => Content::Json,
            Some(name) => {
                let format = Format::named(&name).ok_or_else(|| engine::Error::InHelper {
                    kind: ErrorKind::Internal,
                    message: format!("a helper made a picture of the format {name:?}, which there is not"),
                })?;
                Content::Image(format)
            }
        };
        Ok(Output { body, content, found_quality: self.found_quality })
    }
}

/// Writes a document.
pub(super) fn write(to: &mut impl Write, document: &impl Serialize) -> io::Result<()> {
    let mut text = vec![0; 4];
    serde_json::to_writer(&mut text, document)?;
    let length = u32::try_from(text.len() - 4).map_err(io::Error::other)?;
    text[..4].copy_from_slice(&length.to_le_bytes());
    to.write_all(&text)
}

/// Reads a document.
pub(super) fn read<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MOST {
        return Err(io::Error::other(format!("a document of {length} bytes")));
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}
