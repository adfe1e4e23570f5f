//! `mogr check`: every mistake of both files at once.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use crate::config::{self, Config};
use crate::plan::style::{StyleSheet, Validate};
use crate::settings::Mistake;
use crate::settings::mistake::Place;

/// What was checked, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The files that were read.
    pub files: Vec<String>,
    /// Every mistake: those of the configuration first, each by file and line.
    pub mistakes: Vec<Mistake>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_ok(&self) -> bool {
        self.mistakes.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.mistakes {
            writeln!(f, "{mistake}")?;
        }
        let files = if self.files.is_empty() { "the environment".to_owned() } else { self.files.join(", ") };
        match self.mistakes.len() {
            0 => write!(f, "{files}: no mistakes"),
            1 => write!(f, "{files}: 1 mistake"),
            count => write!(f, "{files}: {count} mistakes"),
        }
    }
}

/// Checks the configuration, with the `MOGR_…` variables of `env`, and the styles file; either may be absent.
///
/// A styles file that is named and missing is no mistake: it is an empty one.
pub fn check(
    config: Option<&Path>,
    styles: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
    validate: Validate<'_>,
) -> Report {
    let mut files: Vec<String> = config.iter().map(|path| path.display().to_string()).collect();
    let document = config::file_node(config);
    // Which buckets there are is not known from a file that is not TOML.
    let has_buckets = document.is_ok();
    let (settings, mut mistakes) = config::read(document, env, validate);
    if let Some((name, text)) = styles.and_then(|path| read_styles(path, &mut mistakes)) {
        match StyleSheet::parse(&name, &text, validate) {
            Ok(sheet) if has_buckets => mistakes.extend(unknown_buckets(&sheet, &settings)),
            Ok(_) => {}
            Err(found) => mistakes.extend(found),
        }
        files.push(name);
    }
    Report { files, mistakes }
}

fn read_styles(path: &Path, mistakes: &mut Vec<Mistake>) -> Option<(String, String)> {
    let name = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(text) => Some((name, text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            mistakes.push(Place::whole(name).mistake("", format!("cannot be read: {error}")));
            None
        }
    }
}

/// Styles for a bucket that is not there are styles that nobody can ask for.
fn unknown_buckets(sheet: &StyleSheet, settings: &Config) -> Vec<Mistake> {
    // Without a configuration, `mogr serve DIR` makes the one bucket.
    let is_served = |name: &str| settings.buckets.is_empty() && name == config::DEFAULT_BUCKET;
    let is_known = |name: &str| settings.buckets.contains_key(name) || is_served(name);
    let unknown = sheet.buckets().filter(|(name, _)| !is_known(name));
    let mistake = |(name, place): (&str, &Place)| {
        let mistake = place.mistake(&format!("buckets.{name}"), format!("there is no bucket {name:?}"));
        mistake.with_nearest(name, settings.buckets.keys().map(String::as_str))
    };
    unknown.map(mistake).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validate(text: &str) -> Result<(), String> {
        if text.starts_with("image") { Ok(()) } else { Err(format!("unsupported fop: {text}")) }
    }

    /// The report on two files, without their folder's name.
    fn report(config: &str, styles: &str, env: &[(&str, &str)]) -> (bool, String) {
        let folder = tempfile::tempdir().unwrap();
        let (config_path, styles_path) = (folder.path().join("mogr.toml"), folder.path().join("styles.toml"));
        fs::write(&config_path, config).unwrap();
        fs::write(&styles_path, styles).unwrap();
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let report = check(Some(&config_path), Some(&styles_path), env, &validate);
        (report.is_ok(), report.to_string().replace(&format!("{}/", folder.path().display()), ""))
    }

    #[test]
    fn good_files() {
        let config = "[buckets.photos]\nurl = \"memory:///\"\n";
        let styles = "[buckets.photos.styles]\nthumb = \"imageView2/1/w/200\"\n";
        assert_eq!(report(config, styles, &[]), (true, "mogr.toml, styles.toml: no mistakes".to_owned()));
    }

    #[test]
    fn every_mistake_of_both_files() {
        let config = "listen = \"x\"\n[limits]\nsource_byte = 1\n\
            [buckets.b]\nurl = \"memory:///\"\n[altizure]\nbucket = \"b\"\npipeline = \"resize\"\n";
        let styles = "[styles]\na = \"resize/2\"\nb-c = \"imageInfo\"\n";
        let expected = "\
MOGR_LIMITS__TIME: limits.time: \"3\" is not a duration; write a number with its unit, like \"30s\", \"10m\", \"24h\" or \"30d\"
mogr.toml:1:10: listen: \"x\" is not an address; write \"IP:PORT\", like \"127.0.0.1:8080\" or \"[::]:8080\"
mogr.toml:3:1: limits.source_byte: unknown key; did you mean source_bytes?
mogr.toml:8:12: altizure.pipeline: unsupported fop: resize
styles.toml:2:5: styles.a: unsupported fop: resize/2
styles.toml:3:1: styles.b-c: the name has \"-\" in it, a separator; rename it, or remove the separator
mogr.toml, styles.toml: 6 mistakes";
        assert_eq!(report(config, styles, &[("MOGR_LIMITS__TIME", "3")]), (false, expected.to_owned()));
    }

    #[test]
    fn styles_for_a_bucket_that_is_not_there() {
        let config = "[buckets.photos]\nurl = \"memory:///\"\n";
        let styles = "[buckets.photo]\nprotected = true\n";
        let expected = "styles.toml:1:10: buckets.photo: there is no bucket \"photo\"; did you mean photos?\nmogr.toml, styles.toml: 1 mistake";
        assert_eq!(report(config, styles, &[]), (false, expected.to_owned()));
        // What is broken itself is there all the same, and is reported once.
        assert_eq!(report("[buckets.photo]\nurl = \"x://\"\n", styles, &[]).1.lines().count(), 2);
        assert_eq!(report("[", styles, &[]).1.lines().count(), 2);
        assert!(report("", "[buckets.default]\nprotected = true\n", &[]).0);
    }

    #[test]
    fn nothing_to_check() {
        let report = check(None, Some(Path::new("/no/such/styles.toml")), [], &validate);
        assert_eq!((report.is_ok(), report.to_string().as_str()), (true, "the environment: no mistakes"));
        let report = check(Some(Path::new("/no/such/mogr.toml")), None, [], &validate);
        assert!(!report.is_ok() && report.to_string().starts_with("/no/such/mogr.toml: cannot be read: "));
    }
}
