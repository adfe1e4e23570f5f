//! Helper processes: the same bytes as the server itself makes, and what becomes of requests whose helper ends or hangs.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use bytes::Bytes;
use http::StatusCode;
use mogr::engine::limits::{Cancel, Limits};
use mogr::engine::program::Rendering;
use mogr::engine::{decode, resolve, run};
use mogr::plan::Plan;

use crate::cards;
use crate::server::Server;

const CONFIG: &str = r#"
[buckets.default]
url = "{folder}"
domains = ["*"]
[limits]
time = "20s"
helper_formats = ["png", "webp"]
"#;

/// How the vendor says that a server failed.
const CRASHED: u16 = 599;

/// base64url of `logo.png`.
const WITH_LOGO: &str = "watermark/1/image/bG9nby5wbmc=";

async fn server() -> Server {
    let card = cards::quadrants(120, 80);
    let (webp, jpeg) = (cards::webp(&card), cards::jpeg(&card, 90));
    let moving = cards::moving_webp(60, 40);
    let logo = cards::png(cards::disc(20, [0, 0, 255]));
    let files: [(&str, &[u8]); 5] = [
        ("card.webp", &webp),
        ("broken.webp", &webp[..webp.len() / 2]),
        ("moving.webp", &moving),
        ("card.jpg", &jpeg),
        ("logo.png", &logo),
    ];
    Server::configured(CONFIG, "", &files).await
}

/// What the engine makes in this process.
fn made_here(source: &[u8], pictures: &[Bytes], plan: &str) -> Bytes {
    let (source, plan, limits) = (Bytes::copy_from_slice(source), Plan::parse(plan).unwrap(), Limits::default());
    let headers: Vec<_> = pictures.iter().map(|picture| decode::probe(picture).unwrap()).collect();
    let header = decode::probe(&source).unwrap();
    let program = resolve::resolve(&plan, &header, &headers, &limits, Rendering::default()).unwrap();
    run::run(&program, &source, pictures, &limits, &Cancel::default(), &mut |_| {}).unwrap().body
}

#[tokio::test]
async fn helpers_make_the_same_bytes() {
    let server = server().await;
    let object = |key: &str| std::fs::read(server.objects().join(key)).unwrap();
    let logo = Bytes::from(object("logo.png"));
    for (key, plan) in [
        ("card.webp", "imageView2/2/w/50"),
        ("card.webp", "imageView2/2/w/50/format/jpg|imageMogr2/rotate/45"),
        ("card.webp", "imageInfo"),
        ("card.webp", "imageAve"),
        ("moving.webp", "imageView2/2/w/30"),
        ("logo.png", "imageslim"),
        // A picture that is painted is decoded, too.
        ("card.jpg", WITH_LOGO),
    ] {
        let pictures = if plan == WITH_LOGO { vec![logo.clone()] } else { Vec::new() };
        let answer = server.get(&format!("/{key}?{plan}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{key} {plan}: {}", String::from_utf8_lossy(&answer.body));
        assert!(made_here(&object(key), &pictures, plan) == answer.body, "{key} {plan}");
        assert!(answer.header("server-timing").contains("decode") || plan == "imageInfo", "{plan}");
    }
    let broken = server.get("/broken.webp?imageView2/2/w/50").await;
    assert_eq!(broken.status.as_u16(), 400, "{}", broken.text());
    assert!(broken.error().contains("webp"), "{}", broken.text());
}

/// A program in the server's folder that does this.
fn script(server: &Server, text: &str) -> PathBuf {
    let path = server.folder.path().join("helper.sh");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn a_helper_that_crashes_takes_one_request_with_it() {
    let server = server().await;
    let program = script(&server, "kill -SEGV $$");
    let server = server.with_program(program.clone()).await;
    let crashed = server.get("/card.webp?imageView2/2/w/50").await;
    assert_eq!(crashed.status.as_u16(), CRASHED, "{}", crashed.text());
    assert_eq!(server.get("/card.jpg?imageView2/2/w/50").await.summary(), "jpeg 50x33");
    // It is not tried again, even where it would work now.
    std::fs::remove_file(&program).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_mogr"), &program).unwrap();
    assert_eq!(server.get("/card.webp?imageView2/2/w/50").await.status.as_u16(), CRASHED);
    assert_eq!(server.get("/card.webp?imageView2/2/w/51").await.summary(), "webp 51x34");
}

/// Whether a process with this command line runs.
fn runs(command_line: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .into_iter()
        .any(|process| std::fs::read(process.path().join("cmdline")).is_ok_and(|line| line == command_line.as_bytes()))
}

#[tokio::test]
async fn helpers_end_with_what_waits_for_them() {
    let server = server().await;
    // No other test sleeps for so long.
    let program = script(&server, "exec sleep 611.25");
    let config = server.folder.path().join("mogr.toml");
    let text = std::fs::read_to_string(&config).unwrap().replace("20s", "500ms");
    std::fs::write(config, text).unwrap();
    let server = server.with_program(program).await;
    assert_eq!(server.get("/card.webp?imageView2/2/w/50").await.status, StatusCode::GATEWAY_TIMEOUT);
    let gone = async {
        while runs("sleep\x00611.25\x00") {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), gone).await.expect("the helper is ended");
}

#[tokio::test]
async fn without_a_program_a_client_is_told_to_come_back() {
    let server = server().await;
    let server = server.with_program("/nonexistent/mogr".into()).await;
    assert_eq!(server.get("/card.webp?imageView2/2/w/50").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(server.get("/card.jpg?imageView2/2/w/50").await.summary(), "jpeg 50x33");
}
