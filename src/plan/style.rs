//! Styles: names for pipelines, written after a separator in the path (spec 5).
//!
//! A [`StyleSheet`] is what `styles.toml` says; [`StyleFile`] follows the file while it changes, and [`edit`] changes
//! its text. Pipelines are text here: whoever reads a sheet hands in what checks them.

pub mod edit;
mod file;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::settings::mistake::Place;
pub use file::{OwnedValidate, StyleFile, StyleStatus};

/// The separators that the vendor permits, each one character of ASCII.
pub const SEPARATORS: &str = "~@$^&*()-_/!+={}[]|:;\"'<>,";

/// What checks the text of a pipeline; its error says what is wrong with it.
pub type Validate<'a> = &'a dyn Fn(&str) -> Result<(), String>;

/// The styles of every bucket.
///
/// Always true: separators are of [`SEPARATORS`], no style has an empty name or a name with a separator that is
/// enabled where the style is, and every pipeline passed the check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StyleSheet {
    separators: Vec<char>,
    styles: BTreeMap<String, String>,
    buckets: BTreeMap<String, BucketStyles>,
}

/// What the sheet says of one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
struct BucketStyles {
    /// Where its table was written.
    place: Place,
    /// Instead of the sheet's.
    separators: Option<Vec<char>>,
    /// Besides the sheet's; one of the same name wins.
    styles: BTreeMap<String, String>,
    protected: Option<bool>,
    prefer_style_as_key: Option<bool>,
}

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolution<'a> {
    /// The object.
    pub key: &'a str,
    /// The style that is applied to it, if any: its name and its pipeline.
    pub style: Option<(&'a str, &'a str)>,
    /// The text after `@` behind the style's name. Accepted and without effect (spec 5.2).
    pub style_param: Option<&'a str>,
}

impl Default for StyleSheet {
    /// No styles, and the separator `-`.
    fn default() -> Self {
        Self { separators: vec!['-'], styles: BTreeMap::new(), buckets: BTreeMap::new() }
    }
}

impl StyleSheet {
    /// What the path `path`, percent-decoded and without its leading `/`, asks of `bucket`.
    ///
    /// The name after the last separator is looked for first, then the longer ones; a defined style wins over an
    /// object of that name. Where no style is found, all of `path` is the key.
    pub fn resolve<'a>(&'a self, bucket: &str, path: &'a str) -> Resolution<'a> {
        let separators = self.separators(bucket);
        let mut end = path.len();
        for (at, char) in path.char_indices().rev().filter(|(_, char)| separators.contains(char)) {
            let name = at + char.len_utf8()..end;
            // A style needs a key to be applied to.
            if let Some(found) = self.named(bucket, path, name).filter(|_| at > 0) {
                return Resolution { key: &path[..at], ..found };
            }
            end = at;
        }
        Resolution { key: path, style: None, style_param: None }
    }

    /// `path` from the start of `segment` as a style's name, or as a name, `@` and a parameter. The longest name that
    /// is defined wins, so that a name with `@` in it can be used.
    ///
    /// `segment` ends at the next separator, and names have none: looking no further keeps the work for a path linear.
    fn named<'a>(&'a self, bucket: &str, path: &'a str, segment: Range<usize>) -> Option<Resolution<'a>> {
        let Range { start, end } = segment;
        let is_whole = path[end..].is_empty() || path[end..].starts_with('@');
        let shorter = path[segment].rmatch_indices('@').map(|(at, _)| start + at);
        is_whole.then_some(end).into_iter().chain(shorter).find_map(|end| {
            let style = self.style(bucket, &path[start..end])?;
            Some(Resolution { key: path, style: Some(style), style_param: path.get(end + 1..) })
        })
    }

    /// The style `name` of `bucket`: its name and its pipeline.
    pub fn style(&self, bucket: &str, name: &str) -> Option<(&str, &str)> {
        let own = self.buckets.get(bucket).and_then(|it| it.styles.get_key_value(name));
        own.or_else(|| self.styles.get_key_value(name)).map(|(name, pipeline)| (name.as_str(), pipeline.as_str()))
    }

    /// Whether `bucket` defines a style of that name itself.
    pub fn overrides(&self, bucket: &str, name: &str) -> bool {
        self.buckets.get(bucket).is_some_and(|it| it.styles.contains_key(name))
    }

    /// All styles of `bucket`, by name, those of the whole sheet among them.
    pub fn styles(&self, bucket: &str) -> BTreeMap<&str, &str> {
        let own = self.buckets.get(bucket).into_iter().flat_map(|it| &it.styles);
        self.styles.iter().chain(own).map(|(name, pipeline)| (name.as_str(), pipeline.as_str())).collect()
    }

    /// Every style as it was written: its bucket, `None` for every bucket, its name and its pipeline.
    pub fn entries(&self) -> impl Iterator<Item = (Option<&str>, &str, &str)> {
        let tables = self.buckets.iter().map(|(name, bucket)| (Some(name.as_str()), &bucket.styles));
        std::iter::once((None, &self.styles))
            .chain(tables)
            .flat_map(|(bucket, styles)| styles.iter().map(move |(name, text)| (bucket, name.as_str(), text.as_str())))
    }

    /// The separators of `bucket`.
    pub fn separators(&self, bucket: &str) -> &[char] {
        self.buckets.get(bucket).and_then(|it| it.separators.as_deref()).unwrap_or(&self.separators)
    }

    /// Whether the sheet protects the originals of `bucket`; `None` where it does not say, so that `mogr.toml` does.
    pub fn is_protected(&self, bucket: &str) -> Option<bool> {
        self.buckets.get(bucket)?.protected
    }

    /// Whether the sheet has `bucket` serve an object whose key is the whole path before it looks for a style; `None`
    /// where it does not say, so that `mogr.toml` does.
    pub fn prefers_key(&self, bucket: &str) -> Option<bool> {
        self.buckets.get(bucket)?.prefer_style_as_key
    }

    /// The buckets that the sheet names, and where.
    pub fn buckets(&self) -> impl Iterator<Item = (&str, &Place)> {
        self.buckets.iter().map(|(name, bucket)| (name.as_str(), &bucket.place))
    }
}
