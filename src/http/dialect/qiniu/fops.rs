//! The commands of a pfop: `imageView2/2/w/200|saveas/…;avthumb/mp3/…` as outputs of a job (spec 7.1).

use crate::jobs::model::{Destination, OutputSpec, TemplateOf};
use crate::jobs::task::{Task, split_saveas};
use crate::plan::saveas::{KeyTemplate, SaveAs};
use crate::plan::{ParseError, Plan};

/// Most commands of one pfop.
const MAX_COMMANDS: usize = 100;

/// Why `fops` cannot be done. Names the command, the operator, the argument, the value and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// More commands than a job may have.
    #[error("fops: {count} commands; expected 1 to {MAX_COMMANDS} of them, joined by ;")]
    Count {
        /// How many there are.
        count: usize,
    },
    /// A command that is none.
    #[error("fops: command {number}: {problem}")]
    Command {
        /// Counted from 1.
        number: usize,
        /// What is wrong with it.
        problem: ParseError,
    },
}

/// The outputs that `fops` asks for, in its order. Semicolons cannot stand inside arguments, whose texts are Base64.
///
/// # Errors
/// [`Refusal`].
pub(super) fn outputs(fops: &str) -> Result<Vec<OutputSpec>, Refusal> {
    let count = fops.split(';').count();
    if count > MAX_COMMANDS {
        return Err(Refusal::Count { count });
    }
    let outputs = (1..).zip(fops.split(';'));
    outputs.map(|(number, command)| output(command).map_err(|problem| Refusal::Command { number, problem })).collect()
}

fn output(command: &str) -> Result<OutputSpec, ParseError> {
    let (pipeline, saveas) = split_saveas(command);
    let destination = match saveas {
        Some(saveas) => Plan::parse(saveas)?.saveas().map_or(Destination::Derived, destination),
        None => Destination::Derived,
    };
    // Without a place to go to, an empty pipeline is no command.
    match (pipeline, saveas) {
        ("", None) => Plan::parse(pipeline).map(|_| ())?,
        _ => Task::parse(pipeline).map(|_| ())?,
    }
    Ok(OutputSpec { command: command.to_owned(), pipeline: pipeline.to_owned(), destination, name: None })
}

fn destination(saveas: &SaveAs) -> Destination {
    let bucket = saveas.bucket.clone();
    let place = match (&saveas.template, &saveas.key) {
        (Some(KeyTemplate::SaveKey(template)), _) => {
            Destination::Template { bucket, template: template.clone(), of: TemplateOf::Result }
        }
        (Some(KeyTemplate::SavePattern(template)), _) => {
            Destination::Template { bucket, template: template.clone(), of: TemplateOf::Source }
        }
        (None, key) => Destination::Object { bucket, key: key.clone().unwrap_or_default() },
    };
    match saveas.delete_after_days {
        Some(days) => Destination::ForDays { days, place: Box::new(place) },
        None => place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOPS: &str = "imageView2/2/w/200|saveas/cGhvdG9zOmEuanBn;imageInfo;saveas/cGhvdG9zOmI/deleteAfterDays/3";

    #[test]
    fn commands_are_outputs() {
        let outputs = outputs(FOPS).unwrap();
        let object = |key: &str| Destination::Object { bucket: "photos".to_owned(), key: key.to_owned() };
        let expected = [
            ("imageView2/2/w/200|saveas/cGhvdG9zOmEuanBn", "imageView2/2/w/200", object("a.jpg")),
            ("imageInfo", "imageInfo", Destination::Derived),
            (
                "saveas/cGhvdG9zOmI/deleteAfterDays/3",
                "",
                Destination::ForDays { days: 3, place: Box::new(object("b")) },
            ),
        ];
        assert_eq!(outputs.len(), expected.len());
        for (output, (command, pipeline, destination)) in outputs.iter().zip(expected) {
            assert_eq!((output.command.as_str(), output.pipeline.as_str()), (command, pipeline));
            assert_eq!(output.destination, destination);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let many = ["imageInfo"; 101].join(";");
        for (fops, message) in [
            ("", "fops: command 1: a pipeline has 1 to 32 operators; this one has 0"),
            ("imageInfo;", "fops: command 2: a pipeline has 1 to 32 operators; this one has 0"),
            ("avthumb/mp3/ar/x", "fops: command 1: avthumb: ar is \"x\"; expected an integer from 8000 to 96000"),
            ("imageInfo;nosuchfop/1", "fops: command 2: unsupported fop: nosuchfop"),
            ("imageView2/2/w/x", "fops: command 1: imageView2: w is \"x\"; expected an integer from 1 to 9999"),
            (&many, "fops: 101 commands; expected 1 to 100 of them, joined by ;"),
        ] {
            assert_eq!(outputs(fops).unwrap_err().to_string(), message, "{fops}");
        }
    }
}
