//! Operators as calls of `ffmpeg` and `ffprobe`.

use std::path::{Path, PathBuf};
use std::process;
use std::time::Instant;

use serde_json::Value;

use super::process::Watch;
use super::values::Milliseconds;
use super::{Command, Error, Limits, Operation, Transcode, VideoFrame};
use crate::engine::limits::Cancel;

/// The formats that are read: none that names other files, as playlists do.
const READ_FORMATS: &str = "mov,mp4,matroska,webm,mp3,wav,w64,aac,flac,ogg,flv,avi,mpeg,mpegts,asf,amr,aiff,caf,ape,gif,\
                            h264,hevc,m4v,3gp,rm,ac3,eac3,dts,mpegvideo,au,tta,wv";

/// Most samples of a frame, as for pictures.
const MAX_PIXELS: &str = "150000000";

/// Most bytes of what `avinfo` tells.
const MAX_INFO_BYTES: usize = 1 << 20;

const INPUT: &str = "input";
const OUTPUT: &str = "output";

/// A private folder with the source and the result of one operation; it goes away with this value.
#[derive(Debug)]
pub struct Workspace {
    folder: tempfile::TempDir,
}

impl Workspace {
    /// An empty one inside `spool`.
    ///
    /// # Errors
    /// Where no folder can be made there.
    pub fn new(spool: &Path) -> std::io::Result<Self> {
        Ok(Self { folder: tempfile::Builder::new().prefix("media-").tempdir_in(spool)? })
    }

    /// Where the source is to be written before [`run()`].
    pub fn input(&self) -> PathBuf {
        self.folder.path().join(INPUT)
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join(OUTPUT)
    }
}

/// What an operation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A file in the workspace.
    File {
        /// Where it is.
        path: PathBuf,
        /// What it is.
        media_type: &'static str,
        /// Its length.
        bytes: u64,
    },
    /// A JSON document.
    Json(String),
}

/// Does `command` on the workspace's input. `progress` hears of thousandths, rising; [`Command::then`] is left to the caller.
///
/// # Errors
/// Any [`Error`]; where it fails nothing is left at work.
pub fn run(
    command: &Command,
    workspace: &Workspace,
    limits: &Limits,
    cancel: &Cancel,
    progress: &mut dyn FnMut(u16),
) -> Result<Outcome, Error> {
    let fop = command.operation.name();
    let watch = Watch { fop, limits, since: Instant::now(), cancel };
    let work = Work { watch, workspace };
    match &command.operation {
        Operation::Transcode(transcode) => work.transcode(transcode, progress),
        Operation::Frame(frame) => work.frame(frame),
        Operation::Info => work.info().map(|info| Outcome::Json(info.to_string())),
    }
}

struct Work<'a> {
    watch: Watch<'a>,
    workspace: &'a Workspace,
}

impl Work<'_> {
    fn transcode(&self, transcode: &Transcode, progress: &mut dyn FnMut(u16)) -> Result<Outcome, Error> {
        let total = duration(&self.info()?).map(|length| transcode.length_of(length));
        let mut meter = Meter { total, last: 0, progress };
        let arguments = (transcode.input_arguments(), transcode.output_arguments());
        self.convert(arguments, &mut |line| meter.line(line))?;
        self.file(transcode.media_type())?.ok_or_else(|| self.failed("nothing is left of the source"))
    }

    fn frame(&self, frame: &VideoFrame) -> Result<Outcome, Error> {
        self.convert((frame.input_arguments(), frame.output_arguments()), &mut |_| {})?;
        self.file(frame.format.media_type())?.ok_or_else(|| self.failed("the source has no frame at that offset"))
    }

    /// The source's streams and container, as `ffprobe` tells of them.
    fn info(&self) -> Result<Value, Error> {
        let mut command = self.program("ffprobe");
        command.args(["-v", "error", "-print_format", "json", "-show_streams", "-show_format"]);
        self.input(&mut command);
        let mut text = String::new();
        self.watch.run("ffprobe", command, &mut |line| {
            if text.len() + line.len() <= MAX_INFO_BYTES {
                text.push_str(line);
                text.push('\n');
            }
        })?;
        let mut info: Value = serde_json::from_str(&text).map_err(|_| self.failed("there is too much to tell"))?;
        if let Some(format) = info.get_mut("format").and_then(Value::as_object_mut) {
            format.remove("filename");
        }
        Ok(info)
    }

    fn convert(
        &self,
        (before_input, behind_input): (Vec<String>, Vec<String>),
        on_line: &mut dyn FnMut(&str),
    ) -> Result<(), Error> {
        let mut command = self.program("ffmpeg");
        command.args(["-nostdin", "-hide_banner", "-loglevel", "error", "-nostats", "-progress", "pipe:1", "-y"]);
        command.args(["-max_pixels", MAX_PIXELS, "-threads", "2"]).args(before_input);
        self.input(&mut command);
        // One byte more than is allowed shows that there would be more.
        let enough = self.watch.limits.output_bytes.saturating_add(1);
        command.args(behind_input).arg("-fs").arg(enough.to_string()).arg(format!("file:{OUTPUT}"));
        self.watch.run("ffmpeg", command, on_line)
    }

    fn program(&self, name: &str) -> process::Command {
        let mut command = process::Command::new(name);
        command.current_dir(self.workspace.folder.path());
        command
    }

    /// The input, by a name that is always the same, read from a file and from nowhere else.
    fn input(&self, command: &mut process::Command) {
        command.args(["-protocol_whitelist", "file", "-format_whitelist", READ_FORMATS, "-i"]);
        command.arg(format!("file:{INPUT}"));
    }

    /// The output; `None` where it is empty or not there.
    fn file(&self, media_type: &'static str) -> Result<Option<Outcome>, Error> {
        let path = self.workspace.output();
        let bytes = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error.into()),
        };
        let limit = self.watch.limits.output_bytes;
        if bytes > limit {
            return Err(Error::TooLarge { fop: self.watch.fop, limit });
        }
        Ok((bytes > 0).then_some(Outcome::File { path, media_type, bytes }))
    }

    fn failed(&self, problem: &str) -> Error {
        Error::Failed { fop: self.watch.fop, problem: problem.to_owned() }
    }
}

/// How long the source is, where its format tells.
fn duration(info: &Value) -> Option<Milliseconds> {
    let seconds: f64 = info.pointer("/format/duration")?.as_str()?.parse().ok()?;
    (seconds.is_finite() && seconds > 0.0).then_some(Milliseconds((seconds * 1000.0) as u64))
}

/// Reads how far the program has come.
struct Meter<'a> {
    total: Option<Milliseconds>,
    last: u16,
    progress: &'a mut dyn FnMut(u16),
}

impl Meter<'_> {
    fn line(&mut self, line: &str) {
        let Some(microseconds) = line.strip_prefix("out_time_us=").and_then(|text| text.parse::<u64>().ok()) else {
            return;
        };
        let Some(Milliseconds(total)) = self.total.filter(|total| total.0 > 0) else { return };
        let thousandths = (microseconds / total).min(1000) as u16;
        if thousandths > self.last {
            self.last = thousandths;
            (self.progress)(thousandths);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_rises_in_thousandths() {
        let mut heard = Vec::new();
        let mut progress = |thousandths| heard.push(thousandths);
        let mut meter = Meter { total: Some(Milliseconds(2000)), last: 0, progress: &mut progress };
        let lines = [
            "frame=1",
            "out_time_us=N/A",
            "out_time_us=500000",
            "out_time_us=400000",
            "out_time_us=9000000",
            "progress=end",
        ];
        lines.iter().for_each(|line| meter.line(line));
        assert_eq!(heard, [250, 1000]);
    }

    #[test]
    fn durations_are_read_where_there_are_any() {
        for (info, expected) in [
            (serde_json::json!({"format": {"duration": "1.250000"}}), Some(Milliseconds(1250))),
            (serde_json::json!({"format": {"duration": "N/A"}}), None),
            (serde_json::json!({"format": {}}), None),
        ] {
            assert_eq!(duration(&info), expected);
        }
    }
}
