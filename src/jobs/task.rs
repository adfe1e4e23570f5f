//! What is done for an output, read from its pipeline's text.

use crate::media::Command;
use crate::plan::{ParseError, Plan};

/// The work that a pipeline names.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// None: the result is the source.
    Copy,
    /// A picture of the source, or facts about it.
    Picture(Box<Plan>),
    /// Sound, film, a frame of it, or facts about it.
    Media(Box<Command>),
}

impl Task {
    /// Reads a pipeline without its `saveas`; an empty one copies.
    ///
    /// # Errors
    /// [`ParseError`] that names operator, argument, value and what was expected.
    pub fn parse(pipeline: &str) -> Result<Self, ParseError> {
        if pipeline.is_empty() {
            return Ok(Self::Copy);
        }
        match Command::parse(pipeline)? {
            Some(command) => Ok(Self::Media(Box::new(command))),
            None => Ok(Self::Picture(Box::new(Plan::parse(pipeline)?))),
        }
    }

    /// The operators on a picture.
    pub fn plan(&self) -> Option<&Plan> {
        match self {
            Self::Copy => None,
            Self::Picture(plan) => Some(plan),
            Self::Media(command) => command.then.as_ref(),
        }
    }
}

/// A command as its pipeline and its `saveas`, where it has one: the last operator, or all there is.
pub fn split_saveas(command: &str) -> (&str, Option<&str>) {
    let (pipeline, last) = command.rsplit_once('|').unwrap_or(("", command));
    if last.starts_with("saveas/") { (pipeline, Some(last)) } else { (command, None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_end_with_a_place() {
        for (command, pipeline, saveas) in [
            ("imageInfo", "imageInfo", None),
            ("a|b|saveas/x", "a|b", Some("saveas/x")),
            ("saveas/x", "", Some("saveas/x")),
            ("saveas/x|a", "saveas/x|a", None),
            ("", "", None),
        ] {
            assert_eq!(split_saveas(command), (pipeline, saveas), "{command}");
        }
    }

    #[test]
    fn pipelines_are_tasks() {
        assert_eq!(Task::parse(""), Ok(Task::Copy));
        assert!(matches!(Task::parse("imageView2/2/w/9"), Ok(Task::Picture(_))));
        assert!(matches!(Task::parse("avthumb/mp3/ab/32k"), Ok(Task::Media(_))));
        assert!(Task::parse("avthumb/nosuch").is_err() && Task::parse("nosuch").is_err());
    }
}
