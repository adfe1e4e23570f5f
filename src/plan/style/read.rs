//! `styles.toml` as a [`StyleSheet`].

use std::collections::BTreeMap;

use super::{BucketStyles, SEPARATORS, StyleSheet, Validate};
use crate::settings::Mistake;
use crate::settings::document::Node;
use crate::settings::mistake::{Place, Report};
use crate::settings::section::{Placed, Section};

/// A style as it was written.
struct Written {
    name: String,
    place: Place,
    key: String,
    pipeline: Placed<String>,
}

impl StyleSheet {
    /// Reads a sheet. `file` is the name that mistakes are reported under, `validate` checks pipelines.
    ///
    /// # Errors
    /// Every mistake, by line. Text that is not TOML is one.
    pub fn parse(file: &str, text: &str, validate: Validate<'_>) -> Result<Self, Vec<Mistake>> {
        let (sheet, mistakes) = Self::read(file, text, validate);
        if mistakes.is_empty() { Ok(sheet) } else { Err(mistakes) }
    }

    /// What can be read of a sheet, and every mistake.
    fn read(file: &str, text: &str, validate: Validate<'_>) -> (Self, Vec<Mistake>) {
        let report = Report::default();
        let root = Node::from_toml(file, text).unwrap_or_else(|mistake| {
            report.add(mistake);
            Node::empty(Place::whole(file))
        });
        let mut root = Section::root(root, &report);
        let separators = read_separators(&mut root).unwrap_or_else(|| Self::default().separators);
        let global = read_styles(root.section("styles"), validate);
        check_names(&global, &separators, "", &report);
        let mut buckets = BTreeMap::new();
        for (name, section) in root.sections("buckets") {
            let bucket = read_bucket(&name, section, &separators, &global, validate);
            buckets.insert(name, bucket);
        }
        root.finish();
        (Self { separators, styles: by_name(global), buckets }, report.into_sorted())
    }
}

fn read_bucket(
    name: &str,
    mut section: Section<'_>,
    sheet_separators: &[char],
    global: &[Written],
    validate: Validate<'_>,
) -> BucketStyles {
    let report = section.report();
    let place = section.place().clone();
    let separators = read_separators(&mut section);
    let styles = read_styles(section.section("styles"), validate);
    let of_bucket = format!(" of bucket {name:?}");
    check_names(&styles, separators.as_deref().unwrap_or(sheet_separators), &of_bucket, report);
    if let Some(separators) = &separators {
        let new: Vec<char> = separators.iter().copied().filter(|it| !sheet_separators.contains(it)).collect();
        check_names(global, &new, &of_bucket, report);
    }
    let protected = section.get("protected");
    let prefer_style_as_key = section.get("prefer_style_as_key");
    section.finish();
    BucketStyles { place, separators, styles: by_name(styles), protected, prefer_style_as_key }
}

fn read_separators(section: &mut Section<'_>) -> Option<Vec<char>> {
    let report = section.report();
    let written = section.list::<String>("separators")?;
    let mut separators = Vec::new();
    for placed in written {
        match separator(&placed.value) {
            Some(char) => separators.push(char),
            None => report.add(
                placed
                    .mistake(format!("{:?} is not a separator", placed.value))
                    .with_hint(format!("each is one of {SEPARATORS}")),
            ),
        }
    }
    Some(separators)
}

/// The one character of `text`, if it may be a separator.
fn separator(text: &str) -> Option<char> {
    let mut chars = text.chars();
    let char = chars.next()?;
    (chars.next().is_none() && SEPARATORS.contains(char)).then_some(char)
}

fn read_styles(section: Section<'_>, validate: Validate<'_>) -> Vec<Written> {
    let report = section.report();
    let written = section.texts::<String>().into_iter();
    let styles = written.map(|(name, place, pipeline)| {
        let problem = match &pipeline.value {
            text if text.is_empty() => Err("is empty".to_owned()),
            text => validate(text),
        };
        if let Err(problem) = problem {
            report.add(pipeline.mistake(problem));
        }
        Written { name, place, key: pipeline.key.clone(), pipeline }
    });
    styles.collect()
}

/// A name with a separator in it could not be told from a shorter one (spec 5.1).
fn check_names(styles: &[Written], separators: &[char], of_bucket: &str, report: &Report) {
    for style in styles {
        if style.name.is_empty() {
            report.add(style.place.mistake(&style.key, "the name of a style is empty"));
        }
        if let Some(char) = style.name.chars().find(|char| separators.contains(char)) {
            let problem = format!("the name has {:?} in it, a separator{of_bucket}", char.to_string());
            report.add(style.place.mistake(&style.key, problem).with_hint("rename it, or remove the separator"));
        }
    }
}

fn by_name(styles: Vec<Written>) -> BTreeMap<String, String> {
    styles.into_iter().map(|style| (style.name, style.pipeline.value)).collect()
}
