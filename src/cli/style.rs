//! `mogr style`, `mogr separator`, `mogr protect`: edits of the styles file, as qrsctl made them (spec 10).
//!
//! Each edit is checked before it is written, and written by replacing the file, so that a server that follows it
//! never reads half of one. Two edits at the same moment are not merged: the later one wins.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::plan::style::edit::{self, Change};
use crate::plan::style::{StyleSheet, Validate};
use crate::settings::Mistake;

/// Why an edit was not made. The file is then as it was.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file has mistakes, which are to be corrected first.
    #[error("{} was not changed, because it has mistakes:{}", .file.display(), lines(.mistakes))]
    Broken {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        mistakes: Vec<Mistake>,
    },
    /// The edit would put mistakes into the file.
    #[error("{} was not changed:{}", .file.display(), lines(.mistakes))]
    Refused {
        /// The file.
        file: PathBuf,
        /// What would be wrong with it.
        mistakes: Vec<Mistake>,
    },
    /// The edit makes no sense for this file.
    #[error("{} was not changed: {source}", .file.display())]
    Edit {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: edit::Error,
    },
    /// The file cannot be read or written.
    #[error("{} cannot be {verb}: {source}", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// `read` or `written`.
        verb: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

fn lines(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| format!("\n  {mistake}")).collect()
}

/// One style as `mogr style list` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The bucket that defines it; `None` for every bucket.
    pub bucket: Option<String>,
    /// Its name.
    pub name: String,
    /// Its pipeline.
    pub pipeline: String,
}

/// `mogr style list [--bucket NAME]`: the styles as they are written; or those that apply to `bucket`, by name.
///
/// # Errors
/// [`Error::Broken`] and [`Error::File`].
pub fn list(file: &Path, bucket: Option<&str>, validate: Validate<'_>) -> Result<Vec<Listed>, Error> {
    let sheet = parse(file, &read(file)?, validate)?;
    let entries = sheet.entries().filter(|(owner, name, _)| match bucket {
        None => true,
        Some(wanted) => *owner == Some(wanted) || (owner.is_none() && !sheet.overrides(wanted, name)),
    });
    let listed = |(bucket, name, pipeline): (Option<&str>, &str, &str)| Listed {
        bucket: bucket.map(str::to_owned),
        name: name.to_owned(),
        pipeline: pipeline.to_owned(),
    };
    Ok(entries.map(listed).collect())
}

/// `mogr style set [--bucket NAME] STYLE PIPELINE`. Answers with a line that says what was done.
///
/// # Errors
/// Any [`Error`]; the file is then as it was.
pub fn set(
    file: &Path,
    bucket: Option<&str>,
    name: &str,
    pipeline: &str,
    validate: Validate<'_>,
) -> Result<String, Error> {
    change(file, &Change::SetStyle { bucket, name, pipeline }, validate)?;
    Ok(format!("style {name} of {} is {pipeline}", scope(bucket)))
}

/// `mogr style rm [--bucket NAME] STYLE`. Answers with a line that says what was done.
///
/// # Errors
/// Any [`Error`]; the file is then as it was.
pub fn remove(file: &Path, bucket: Option<&str>, name: &str, validate: Validate<'_>) -> Result<String, Error> {
    change(file, &Change::RemoveStyle { bucket, name }, validate)?;
    Ok(format!("style {name} of {} is removed", scope(bucket)))
}

/// `mogr separator [--bucket NAME] CHARS`: `-!` are two separators. Answers with a line that says what was done.
///
/// # Errors
/// Any [`Error`]; the file is then as it was.
pub fn set_separators(
    file: &Path,
    bucket: Option<&str>,
    separators: &str,
    validate: Validate<'_>,
) -> Result<String, Error> {
    change(file, &Change::Separators { bucket, separators }, validate)?;
    Ok(format!("separators of {} are {separators}", scope(bucket)))
}

/// `mogr protect BUCKET 0|1`. Answers with a line that says what was done.
///
/// # Errors
/// Any [`Error`]; the file is then as it was.
pub fn set_protected(file: &Path, bucket: &str, on: bool, validate: Validate<'_>) -> Result<String, Error> {
    change(file, &Change::Protected { bucket, on }, validate)?;
    Ok(format!("originals of bucket {bucket} are {}", if on { "protected" } else { "open" }))
}

/// Sets `prefer_style_as_key` of a bucket, as qrsctl's `preferStyleAsKey` did. Answers with a line that says what was
/// done.
///
/// # Errors
/// Any [`Error`]; the file is then as it was.
pub fn set_prefer_style_as_key(file: &Path, bucket: &str, on: bool, validate: Validate<'_>) -> Result<String, Error> {
    change(file, &Change::PreferStyleAsKey { bucket, on }, validate)?;
    Ok(format!("bucket {bucket} serves {} first", if on { "objects" } else { "styles" }))
}

fn scope(bucket: Option<&str>) -> String {
    bucket.map_or_else(|| "every bucket".to_owned(), |bucket| format!("bucket {bucket}"))
}

/// Reads, changes, checks and replaces the file. A missing one is made.
fn change(file: &Path, change: &Change<'_>, validate: Validate<'_>) -> Result<(), Error> {
    let before = read(file)?;
    parse(file, &before, validate)?;
    let after = edit::apply(&before, change).map_err(|source| Error::Edit { file: file.to_owned(), source })?;
    StyleSheet::parse(&name_of(file), &after, validate).map_err(|mistakes| Error::Refused {
        file: file.to_owned(),
        mistakes: mistakes.into_iter().map(without_position).collect(),
    })?;
    if after == before {
        return Ok(());
    }
    replace(file, &after).map_err(|source| Error::File { file: file.to_owned(), verb: "written", source })
}

/// The lines of a text that is not written say nothing to its author.
fn without_position(mistake: Mistake) -> Mistake {
    Mistake { position: None, ..mistake }
}

fn name_of(file: &Path) -> String {
    file.display().to_string()
}

fn parse(file: &Path, text: &str, validate: Validate<'_>) -> Result<StyleSheet, Error> {
    let broken = |mistakes| Error::Broken { file: file.to_owned(), mistakes };
    StyleSheet::parse(&name_of(file), text, validate).map_err(broken)
}

fn read(file: &Path) -> Result<String, Error> {
    match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|source| Error::File { file: file.to_owned(), verb: "read", source }),
    }
}

/// Writes `text` beside the file and renames it into place. A link stays a link: what it leads to is replaced.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let beside = file.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    let written = write_synced(&beside, text, &file).and_then(|()| fs::rename(&beside, &file));
    if written.is_err() {
        // The first error is the one to report; a file that was never made cannot be removed.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_synced(beside: &Path, text: &str, like: &Path) -> io::Result<()> {
    let mut new = fs::File::create(beside)?;
    if let Ok(data) = fs::metadata(like) {
        new.set_permissions(data.permissions())?;
    }
    new.write_all(text.as_bytes())?;
    new.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validate(text: &str) -> Result<(), String> {
        if text.starts_with("image") { Ok(()) } else { Err(format!("unsupported fop: {text}")) }
    }

    struct Sheet(tempfile::TempDir);

    impl Sheet {
        fn new(text: &str) -> Self {
            let sheet = Self(tempfile::tempdir().unwrap());
            fs::write(sheet.path(), text).unwrap();
            sheet
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("styles.toml")
        }

        fn text(&self) -> String {
            fs::read_to_string(self.path()).unwrap()
        }

        /// An error without the folder's name.
        fn shown<T: std::fmt::Debug>(&self, result: Result<T, Error>) -> String {
            result.unwrap_err().to_string().replace(&format!("{}/", self.0.path().display()), "")
        }
    }

    #[test]
    fn a_missing_file_is_made() {
        let sheet = Sheet(tempfile::tempdir().unwrap());
        let path = sheet.path();
        assert!(list(&path, None, &validate).unwrap().is_empty());
        let said = set(&path, Some("photos"), "thumb", "imageInfo", &validate).unwrap();
        assert_eq!(said, "style thumb of bucket photos is imageInfo");
        assert_eq!(set_separators(&path, None, "-!", &validate).unwrap(), "separators of every bucket are -!");
        assert_eq!(
            set_protected(&path, "photos", true, &validate).unwrap(),
            "originals of bucket photos are protected"
        );
        set_prefer_style_as_key(&path, "photos", false, &validate).unwrap();
        assert_eq!(
            sheet.text(),
            "separators = [\"-\", \"!\"]\n\n[buckets.photos]\nprotected = true\nprefer_style_as_key = false\n\n\
             [buckets.photos.styles]\nthumb = \"imageInfo\"\n"
        );
        assert_eq!(
            remove(&path, Some("photos"), "thumb", &validate).unwrap(),
            "style thumb of bucket photos is removed"
        );
        assert_eq!(fs::read_dir(sheet.0.path()).unwrap().count(), 1, "nothing is left beside the file");
    }

    #[test]
    fn what_would_break_the_file_is_not_written() {
        let before = "# Keep.\n[styles]\na = \"imageInfo\"\n";
        let sheet = Sheet::new(before);
        let path = sheet.path();
        for (result, message) in [
            (
                set(&path, None, "b", "resize/2", &validate),
                "styles.toml was not changed:\n  styles.toml: styles.b: unsupported fop: resize/2",
            ),
            (
                set(&path, None, "b-c", "imageInfo", &validate),
                "styles.toml was not changed:\n  styles.toml: styles.b-c: the name has \"-\" in it, a separator; rename it, or remove the separator",
            ),
            (
                set_separators(&path, None, "a", &validate),
                "styles.toml was not changed:\n  styles.toml: separators: \"a\" is not a separator; each is one of ~@$^&*()-_/!+={}[]|:;\"'<>,",
            ),
            (remove(&path, None, "b", &validate), "styles.toml was not changed: there is no style \"b\""),
        ] {
            assert_eq!(sheet.shown(result), message);
        }
        assert_eq!(sheet.text(), before);
    }

    #[test]
    fn a_broken_file_is_left_alone() {
        let sheet = Sheet::new("[styles]\na = 1\n");
        let message = "styles.toml was not changed, because it has mistakes:\n  styles.toml:2:5: styles.a: 1 is not text; write it in quotes";
        assert_eq!(sheet.shown(set(&sheet.path(), None, "b", "imageInfo", &validate)), message);
        assert_eq!(sheet.text(), "[styles]\na = 1\n");
    }

    #[test]
    fn listed() {
        let sheet = Sheet::new(
            "[styles]\na = \"image1\"\nb = \"image2\"\n[buckets.x.styles]\na = \"image3\"\nc = \"image4\"\n",
        );
        let names = |bucket| -> Vec<(Option<String>, String)> {
            let listed = list(&sheet.path(), bucket, &validate).unwrap();
            listed.into_iter().map(|it| (it.bucket, it.pipeline)).collect()
        };
        let (x, all) = (Some("x".to_owned()), None);
        let row = |bucket: &Option<String>, text: &str| (bucket.clone(), text.to_owned());
        assert_eq!(names(None), [row(&all, "image1"), row(&all, "image2"), row(&x, "image3"), row(&x, "image4")]);
        assert_eq!(names(Some("x")), [row(&all, "image2"), row(&x, "image3"), row(&x, "image4")]);
        assert_eq!(names(Some("y")), [row(&all, "image1"), row(&all, "image2")]);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_permissions_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let sheet = Sheet::new("");
        fs::set_permissions(sheet.path(), fs::Permissions::from_mode(0o640)).unwrap();
        let link = sheet.0.path().join("link.toml");
        symlink(sheet.path(), &link).unwrap();
        set_protected(&link, "b", true, &validate).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(sheet.path()).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(sheet.text(), "[buckets.b]\nprotected = true\n");
    }
}
