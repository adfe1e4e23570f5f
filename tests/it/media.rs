//! Sound and film by the programs that are installed. Without them, these tests only run in CI, where they fail.

use std::process::{Command as Program, Stdio};
use std::time::Duration;

use bytes::Bytes;
use mogr::engine::decode;
use mogr::engine::limits::{Cancel, Limits as PictureLimits};
use mogr::engine::program::Rendering;
use mogr::engine::{resolve, run};
use mogr::error::ErrorKind;
use mogr::geometry::Size;
use mogr::media::{self, Command, Limits, Outcome, Workspace};
use mogr::plan::output::OutputFormat;
use serde_json::Value;

use crate::cards;

/// Whether there is something to test.
pub(crate) fn is_installed() -> bool {
    let quiet = |name: &str| Program::new(name).arg("-version").stdout(Stdio::null()).status();
    let found = ["ffmpeg", "ffprobe"].iter().all(|name| quiet(name).is_ok_and(|status| status.success()));
    assert!(found || std::env::var("CI").as_deref() != Ok("true"), "ffmpeg is not installed");
    if !found {
        eprintln!("skipped: ffmpeg is not installed");
    }
    found
}

/// A second of a tone in 16 bits, 22 050 samples a second, mono.
pub(crate) fn wav() -> Vec<u8> {
    const RATE: u32 = 22_050;
    let samples: Vec<u8> = (0..RATE)
        .flat_map(|at| {
            let phase = f64::from(at) / f64::from(RATE) * 440.0 * std::f64::consts::TAU;
            ((phase.sin() * 9000.0) as i16).to_le_bytes()
        })
        .collect();
    let length = samples.len() as u32;
    let format =
        [&1_u16.to_le_bytes()[..], &1_u16.to_le_bytes(), &RATE.to_le_bytes(), &(2 * RATE).to_le_bytes()].concat();
    let depth = [2_u16.to_le_bytes(), 16_u16.to_le_bytes()].concat();
    let head = [&b"RIFF"[..], &(36 + length).to_le_bytes(), b"WAVEfmt ", &16_u32.to_le_bytes()].concat();
    [head, format, depth, [&b"data"[..], &length.to_le_bytes()].concat(), samples].concat()
}

pub(crate) fn film() -> Vec<u8> {
    cards::animation(60, 40, 8, OutputFormat::Gif)
}

/// What a command makes of a source, and its media type.
fn made(text: &str, source: &[u8]) -> Result<(Vec<u8>, &'static str), media::Error> {
    made_within(text, source, &Limits::default(), &mut |_| {})
}

fn made_within(
    text: &str,
    source: &[u8],
    limits: &Limits,
    progress: &mut dyn FnMut(u16),
) -> Result<(Vec<u8>, &'static str), media::Error> {
    let command = Command::parse(text).unwrap().unwrap();
    let spool = tempfile::tempdir().unwrap();
    let workspace = Workspace::new(spool.path()).unwrap();
    std::fs::write(workspace.input(), source).unwrap();
    let outcome = media::run(&command, &workspace, limits, &Cancel::default(), progress)?;
    let made = match outcome {
        Outcome::File { path, media_type, bytes } => {
            let file = std::fs::read(path).unwrap();
            assert_eq!(file.len() as u64, bytes);
            (file, media_type)
        }
        Outcome::Json(text) => (text.into_bytes(), "application/json"),
    };
    drop(workspace);
    assert_eq!(std::fs::read_dir(spool.path()).unwrap().count(), 0, "nothing is left behind");
    Ok(made)
}

fn info(source: &[u8]) -> Value {
    serde_json::from_slice(&made("avinfo", source).unwrap().0).unwrap()
}

/// The vendor's own example of two outputs.
#[test]
fn sound_becomes_mp3() {
    if !is_installed() {
        return;
    }
    for (text, rate) in [("avthumb/mp3/aq/6/ar/16000", "16000"), ("avthumb/mp3/ar/44100/ab/32k", "44100")] {
        let mut heard = Vec::new();
        let (file, media_type) = made_within(text, &wav(), &Limits::default(), &mut |far| heard.push(far)).unwrap();
        assert_eq!(media_type, "audio/mpeg");
        let info = info(&file);
        assert_eq!(info["format"]["format_name"], "mp3", "{info}");
        assert_eq!(info["streams"][0]["sample_rate"], rate);
        assert!(heard.is_sorted() && heard.last().is_some_and(|last| (900..=1000).contains(last)), "{heard:?}");
        assert_eq!(made(text, &wav()).unwrap().0, file, "the same bytes again");
    }
}

#[test]
fn every_format_is_written() {
    if !is_installed() {
        return;
    }
    for (format, name, source) in [
        ("m4a", "mov,mp4,m4a,3gp,3g2,mj2", wav()),
        ("aac", "aac", wav()),
        ("wav/ac/2", "wav", wav()),
        ("flac", "flac", wav()),
        ("ogg/aq/3", "ogg", wav()),
        ("opus", "ogg", wav()),
        ("mp4/s/31x/rotate/90", "mov,mp4,m4a,3gp,3g2,mj2", film()),
        ("webm", "matroska,webm", film()),
        ("flv/vb/300k", "flv", film()),
        ("gif/s/40x40/autoscale/1", "gif", film()),
    ] {
        let (file, _) = made(&format!("avthumb/{format}"), &source).unwrap_or_else(|error| panic!("{format}: {error}"));
        assert_eq!(info(&file)["format"]["format_name"], name, "{format}");
    }
    let turned = info(&made("avthumb/mp4/s/20x/rotate/90", &film()).unwrap().0);
    assert_eq!((&turned["streams"][0]["width"], &turned["streams"][0]["height"]), (&20.into(), &30.into()));
}

#[test]
fn avinfo_tells_of_the_source() {
    if !is_installed() {
        return;
    }
    let info = info(&wav());
    assert_eq!(info["streams"][0]["codec_type"], "audio");
    assert_eq!(info["format"]["duration"], "1.000000", "numbers are texts");
    assert_eq!(info["format"]["filename"], Value::Null, "paths are nobody's business");
}

#[test]
fn frames_go_on_as_pictures() {
    if !is_installed() {
        return;
    }
    let (frame, media_type) = made("vframe/jpg/offset/0.3/w/30", &film()).unwrap();
    assert_eq!((media_type, decode::probe(&frame).unwrap().size), ("image/jpeg", Size::new(30, 20)));
    let (frame, media_type) = made("vframe/png/offset/0/rotate/90", &film()).unwrap();
    assert_eq!((media_type, decode::probe(&frame).unwrap().size), ("image/png", Size::new(40, 60)));

    let text = "vframe/png/offset/0.3|imageView2/2/w/24";
    let plan = Command::parse(text).unwrap().unwrap().then.unwrap();
    let frame = Bytes::from(made(text, &film()).unwrap().0);
    let limits = PictureLimits::default();
    let program = resolve::resolve(&plan, &decode::probe(&frame).unwrap(), &[], &limits, Rendering::default()).unwrap();
    let output = run::run(&program, &frame, &[], &limits, &Cancel::default(), &mut |_| {}).unwrap();
    assert_eq!(decode::probe(&output.body).unwrap().size, Size::new(24, 16));
}

#[test]
fn failures_say_why() {
    if !is_installed() {
        return;
    }
    let playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile:/etc/hostname\n#EXT-X-ENDLIST\n";
    let script = b"ffconcat version 1.0\nfile input\n";
    for (text, source, start) in [
        ("avthumb/mp3", &b"no sound"[..], "avthumb failed: "),
        ("avthumb/mp3", playlist, "avthumb failed: Format not on whitelist"),
        ("avthumb/mp3", script, "avthumb failed: Format not on whitelist"),
        ("avinfo", b"", "avinfo failed: "),
        ("vframe/jpg/offset/1", &wav(), "vframe failed: "),
        ("vframe/jpg/offset/100", &film(), "vframe failed: the source has no frame at that offset"),
    ] {
        let error = made(text, source).expect_err(text);
        assert_eq!(error.kind(), ErrorKind::BadImage);
        let message = error.to_string();
        assert!(message.starts_with(start) && !message.contains("0x") && !message.contains("/tmp"), "{message}");
    }
}

#[test]
fn limits_are_kept() {
    if !is_installed() {
        return;
    }
    let defaults = Limits::default;
    for (limits, message) in [
        (Limits { output_bytes: 20_000, ..defaults() }, "avthumb: the result is over the limit of 20000 bytes"),
        (Limits { time: Duration::ZERO, ..defaults() }, "avthumb took longer than 0 s"),
    ] {
        let error = made_within("avthumb/wav", &wav(), &limits, &mut |_| {}).expect_err(message);
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::TooLarge, message));
    }
    // Too little for the program to begin.
    let little = Limits { memory_bytes: 8 << 20, ..defaults() };
    assert!(made_within("avthumb/wav", &wav(), &little, &mut |_| {}).is_err() || !cfg!(target_os = "linux"));
}
