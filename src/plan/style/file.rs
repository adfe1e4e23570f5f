//! The styles file, followed while it changes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::StyleSheet;
use crate::settings::Mistake;
use crate::settings::mistake::Place;

/// What checks pipelines for as long as a file is followed.
pub type OwnedValidate = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// One styles file and the last good sheet that it held. A missing file is an empty sheet.
///
/// Nothing runs by itself: whoever owns it calls [`StyleFile::poll`] now and then, and after each edit of its own.
pub struct StyleFile {
    path: PathBuf,
    validate: OwnedValidate,
    state: Mutex<State>,
}

struct State {
    stamp: Stamp,
    sheet: Arc<StyleSheet>,
    revision: u64,
    problem: Option<Vec<Mistake>>,
}

/// How the last reading went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StyleStatus {
    /// Number of the sheet in force: 1 at first, one more with each that replaced it.
    pub revision: u64,
    /// What is wrong with the file as it is now; the sheet in force is then an older one.
    pub problem: Option<Vec<Mistake>>,
}

/// What tells one state of a file from another without reading it; `None` for a file that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp(Option<(SystemTime, u64, u64)>);

impl Stamp {
    fn of(path: &Path) -> Self {
        let stamp = |data: fs::Metadata| Some((data.modified().ok()?, data.len(), file_number(&data)));
        Self(fs::metadata(path).ok().and_then(stamp))
    }
}

/// An editor that replaces a file gives it another inode, even within one tick of the clock that times files.
#[cfg(unix)]
fn file_number(data: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(data)
}

#[cfg(not(unix))]
fn file_number(_: &fs::Metadata) -> u64 {
    0
}

impl StyleFile {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// Every mistake: at the start there is no older sheet to fall back on.
    pub fn open(path: impl Into<PathBuf>, validate: OwnedValidate) -> Result<Self, Vec<Mistake>> {
        let path = path.into();
        let stamp = Stamp::of(&path);
        let sheet = Arc::new(read(&path, &validate)?);
        Ok(Self { path, validate, state: Mutex::new(State { stamp, sheet, revision: 1, problem: None }) })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The sheet in force.
    pub fn current(&self) -> Arc<StyleSheet> {
        Arc::clone(&self.state().sheet)
    }

    /// Whether that is the sheet in force.
    pub fn is_current(&self, sheet: &Arc<StyleSheet>) -> bool {
        Arc::ptr_eq(&self.state().sheet, sheet)
    }

    /// How the last reading went.
    pub fn status(&self) -> StyleStatus {
        let state = self.state();
        StyleStatus { revision: state.revision, problem: state.problem.clone() }
    }

    /// Reads the file again if it has changed: a good sheet replaces the one in force, a broken one is remembered as a
    /// problem. Answers whether the file had changed. It reads a small file: call it where that may block.
    pub fn poll(&self) -> bool {
        // Taken before reading: a change during the reading is seen as one by the next poll.
        let stamp = Stamp::of(&self.path);
        if self.state().stamp == stamp {
            return false;
        }
        let read = read(&self.path, &self.validate);
        let mut state = self.state();
        state.stamp = stamp;
        match read {
            Ok(sheet) => {
                if *state.sheet != sheet {
                    state.sheet = Arc::new(sheet);
                    state.revision += 1;
                }
                state.problem = None;
            }
            Err(mistakes) => state.problem = Some(mistakes),
        }
        true
    }

    /// The state is replaced field by field without anything that can panic between: a poisoned lock holds a good one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for StyleFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StyleFile").field("path", &self.path).field("status", &self.status()).finish_non_exhaustive()
    }
}

fn read(path: &Path, validate: &OwnedValidate) -> Result<StyleSheet, Vec<Mistake>> {
    let name = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(text) => StyleSheet::parse(&name, &text, validate.as_ref()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(StyleSheet::default()),
        Err(error) => Err(vec![Place::whole(&name).mistake("", format!("cannot be read: {error}"))]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validate(text: &str) -> Result<(), String> {
        if text.starts_with("image") { Ok(()) } else { Err(format!("unsupported fop: {text}")) }
    }

    fn names(file: &StyleFile) -> Vec<String> {
        file.current().styles("b").into_keys().map(str::to_owned).collect()
    }

    #[test]
    fn a_broken_edit_keeps_the_last_good_sheet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("styles.toml");
        let file = StyleFile::open(&path, Box::new(validate)).unwrap();
        assert_eq!((names(&file), file.poll()), (vec![], false));

        fs::write(&path, "[styles]\nthumb = \"imageView2/1/w/200\"\n").unwrap();
        assert!(file.poll() && !file.poll());
        assert_eq!(
            (names(&file), file.status()),
            (vec!["thumb".to_owned()], StyleStatus { revision: 2, problem: None })
        );

        fs::write(&path, "[styles]\nthumb = \"nonsense\"\n").unwrap();
        assert!(file.poll() && !file.poll());
        let status = file.status();
        assert_eq!((names(&file), status.revision), (vec!["thumb".to_owned()], 2));
        let message = status.problem.unwrap()[0].to_string();
        assert!(message.ends_with("styles.toml:2:9: styles.thumb: unsupported fop: nonsense"), "{message}");

        fs::write(&path, "[styles]\nsmall = \"imageView2/1/w/20\"\n").unwrap();
        assert!(file.poll());
        assert_eq!(
            (names(&file), file.status()),
            (vec!["small".to_owned()], StyleStatus { revision: 3, problem: None })
        );

        fs::remove_file(&path).unwrap();
        assert!(file.poll());
        assert_eq!((names(&file), file.status().revision), (vec![], 4));
    }

    #[test]
    fn a_broken_file_does_not_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("styles.toml");
        fs::write(&path, "[style]\n").unwrap();
        let mistakes = StyleFile::open(&path, Box::new(validate)).unwrap_err();
        assert!(mistakes[0].to_string().ends_with("styles.toml:1:2: style: unknown key; did you mean styles?"));
    }
}
