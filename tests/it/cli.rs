//! The `mogr` command itself.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::cards;

fn mogr(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mogr")).current_dir(folder).args(arguments).output().unwrap()
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn fails(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn run_renders_a_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("photo.jpg"), cards::jpeg(&cards::quadrants(640, 427), 90)).unwrap();
    std::fs::write(folder.path().join("logo.png"), cards::png(cards::disc(32, cards::RED))).unwrap();
    succeeds(&mogr(folder.path(), &["run", "photo.jpg", "imageView2/2/w/320/format/png", "-o", "out.png"]));
    assert_eq!(image::image_dimensions(folder.path().join("out.png")).unwrap(), (320, 214));
    let info = succeeds(&mogr(folder.path(), &["run", "photo.jpg", "imageMogr2/thumbnail/!50p|imageInfo"]));
    assert!(info.contains("\"width\":320"), "{info}");
    // A bare key names a file beside the input.
    succeeds(&mogr(folder.path(), &["run", "photo.jpg", "watermark/1/image/bG9nby5wbmc=", "-o", "marked.jpg"]));
    let missing = fails(&mogr(folder.path(), &["run", "nosuch.jpg", "imageInfo"]));
    assert!(missing.contains("nosuch.jpg"), "{missing}");
    let wrong = fails(&mogr(folder.path(), &["run", "photo.jpg", "imageView2/9"]));
    assert!(wrong.contains("imageView2: mode is \"9\""), "{wrong}");
}

#[test]
fn run_reads_and_writes_pipes() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mogr"))
        .args(["run", "-", "imageView2/2/w/32/format/png"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&cards::png(cards::quadrants(64, 48))).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let picture = image::load_from_memory(&output.stdout).unwrap();
    assert_eq!((picture.width(), picture.height()), (32, 24));
}

#[test]
fn styles_are_edited_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("styles.toml");
    std::fs::write(
        &file,
        "# ours\nseparators = [\"-\"] # dash\n\n[styles]\n# small ones\nthumb = \"imageView2/1/w/50\"\n",
    )
    .unwrap();
    succeeds(&mogr(folder.path(), &["style", "set", "wide", "imageView2/2/w/800"]));
    succeeds(&mogr(folder.path(), &["style", "set", "--bucket", "photos", "thumb", "imageView2/1/w/60"]));
    succeeds(&mogr(folder.path(), &["separator", "-!"]));
    succeeds(&mogr(folder.path(), &["protect", "photos", "1"]));
    let listed = succeeds(&mogr(folder.path(), &["style", "list"]));
    for part in ["thumb", "wide", "imageView2/2/w/800", "photos"] {
        assert!(listed.contains(part), "{listed}");
    }
    succeeds(&mogr(folder.path(), &["style", "rm", "wide"]));
    insta::assert_snapshot!(std::fs::read_to_string(&file).unwrap());
    let before = std::fs::read_to_string(&file).unwrap();
    let wrong = fails(&mogr(folder.path(), &["style", "set", "bad", "imageView2/9"]));
    assert!(wrong.contains("imageView2: mode is \"9\""), "{wrong}");
    let name = fails(&mogr(folder.path(), &["style", "set", "a-b", "imageView2/2/w/1"]));
    assert!(name.contains("separator"), "{name}");
    fails(&mogr(folder.path(), &["style", "rm", "nosuch"]));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
}

#[test]
fn check_reports_every_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let config = "listen = \"here\"\n[limits]\nsource_byte = \"1MiB\"\n[buckets.a]\nurl = \"ftp://x\"\n";
    std::fs::write(folder.path().join("mogr.toml"), config).unwrap();
    std::fs::write(folder.path().join("styles.toml"), "[styles]\nthumb = \"imageView2/9\"\n").unwrap();
    let output = mogr(folder.path(), &["check"]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(String::from_utf8_lossy(&output.stdout));
    std::fs::write(folder.path().join("mogr.toml"), "[buckets.a]\nurl = \"memory:\"\n").unwrap();
    std::fs::write(folder.path().join("styles.toml"), "[styles]\nthumb = \"imageView2/2/w/9\"\n").unwrap();
    succeeds(&mogr(folder.path(), &["check"]));
}

#[test]
fn sign_prints_a_url_that_the_server_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[keys.AK]\nsecret = \"SK\"\nbuckets = [\"*\"]\n[buckets.a]\nurl = \"memory:\"\n";
    std::fs::write(folder.path().join("mogr.toml"), config).unwrap();
    let url = "http://img.example.com/cat.jpg?imageView2/2/w/200";
    let signed = succeeds(&mogr(folder.path(), &["sign", url, "--expires", "30m"]));
    let signed = signed.trim();
    assert!(signed.starts_with(&format!("{url}&e=")), "{signed}");
    let config = mogr::config::Config::load(Some(&folder.path().join("mogr.toml")), []).unwrap();
    let path = signed.strip_prefix("http://img.example.com").unwrap();
    let now = mogr::http::target::unix_now();
    mogr::auth::download::verify("img.example.com", path, "a", now, &config.key_ring()).unwrap();
    assert!(mogr::auth::download::verify("img.example.com", path, "a", now + 1801, &config.key_ring()).is_err());
}
