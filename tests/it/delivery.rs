//! Answers that browsers and CDNs can keep: headers, conditions, ranges, methods, keys, private buckets, errors.

use mogr::auth::{self, KeyRing};
use reqwest::Method;

use crate::cards;
use crate::server::{Answer, Server};

const KEYS: &str = r#"
[keys.MY_ACCESS_KEY]
secret = "MY_SECRET_KEY"
buckets = ["*"]
"#;

async fn server() -> Server {
    Server::over(&[
        ("cat.png", &cards::png(cards::quadrants(640, 427))),
        ("empty.jpg", b""),
        ("noext", &cards::jpeg(&cards::quadrants(8, 8), 80)),
    ])
    .await
}

/// Status and headers of an answer, without those that differ from run to run, for snapshots.
fn head(answer: &Answer) -> String {
    let mut lines: Vec<String> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .filter(|(name, _)| *name != "date")
        .map(|(name, value)| match name {
            "x-request-id" | "x-reqid" => format!("{name}: <{} characters>", value.len()),
            "last-modified" => {
                format!("{name}: <{}>", if httpdate::parse_http_date(value).is_ok() { "date" } else { "?" })
            }
            "etag" => format!("{name}: <{} characters>", value.len()),
            "content-length" => format!("{name}: <number>"),
            "server-timing" => format!("{name}: {}", stages(value)),
            _ => format!("{name}: {value}"),
        })
        .collect();
    lines.sort();
    format!("{}\n{}\n", answer.status.as_u16(), lines.join("\n"))
}

/// The names of the stages in a `Server-Timing`.
fn stages(timing: &str) -> String {
    timing.split(", ").map(|stage| stage.split(";dur").next().unwrap()).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn heads_of_answers() {
    let server = server().await;
    insta::assert_snapshot!("rendered", head(&server.get("/cat.png?imageView2/2/w/100").await));
    insta::assert_snapshot!("rendered_again", head(&server.get("/cat.png?imageView2/2/w/100").await));
    insta::assert_snapshot!("original", head(&server.get("/cat.png").await));
    insta::assert_snapshot!("missing", head(&server.get("/nosuch.png?imageView2/2/w/100").await));
    insta::assert_snapshot!("refused", head(&server.get("/cat.png?imageView2/7").await));
    let preflight = [("origin", "https://a.example"), ("access-control-request-headers", "x-a")];
    insta::assert_snapshot!("preflight", head(&server.send(Method::OPTIONS, "/cat.png", &preflight).await));
    insta::assert_snapshot!("method_not_allowed", head(&server.send(Method::POST, "/cat.png", &[]).await));
}

#[tokio::test]
async fn conditions_are_answered_without_pixels() {
    let server = server().await;
    for path in ["/cat.png?imageView2/2/w/100", "/cat.png"] {
        let first = server.get(path).await;
        let (etag, modified) = (first.header("etag").to_owned(), first.header("last-modified").to_owned());
        for condition in [("if-none-match", etag.as_str()), ("if-modified-since", modified.as_str())] {
            let again = server.send(Method::GET, path, &[condition]).await;
            assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{path} {condition:?}");
            assert_eq!(again.header("etag"), etag);
        }
        let changed = server.send(Method::GET, path, &[("if-none-match", "\"other\"")]).await;
        assert_eq!(changed.status, 200, "{path}");
        assert_eq!(server.send(Method::GET, path, &[("if-match", "\"other\"")]).await.status, 412, "{path}");
    }
    // The entity tag is known before the picture is: a server that never rendered this answers 304 too.
    let url = "/cat.png?imageView2/2/w/77";
    let etag = server.send(Method::HEAD, url, &[]).await.header("etag").to_owned();
    let fresh = Server::over(&[]).await;
    std::fs::hard_link(server.objects().join("cat.png"), fresh.objects().join("cat.png")).unwrap();
    let answer = fresh.send(Method::GET, url, &[("if-none-match", &etag)]).await;
    assert_eq!(answer.status, 304);
    assert_eq!(answer.header("server-timing"), "");
}

#[tokio::test]
async fn a_changed_source_has_a_new_answer() {
    let server = server().await;
    let before = server.get("/cat.png?imageView2/2/w/100").await;
    std::fs::write(server.objects().join("cat.png"), cards::png(cards::quadrants(300, 300))).unwrap();
    let after = server.get("/cat.png?imageView2/2/w/100").await;
    assert_ne!(before.header("etag"), after.header("etag"));
    assert_eq!(after.summary(), "png 100x100");
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = server().await;
    for path in ["/cat.png?imageView2/2/w/100", "/cat.png"] {
        let (get, head) = (server.get(path).await, server.send(Method::HEAD, path, &[]).await);
        assert_eq!(head.body.len(), 0);
        assert_eq!(head.status, get.status);
        for name in ["content-type", "content-length", "etag", "last-modified", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
    }
}

#[tokio::test]
async fn ranges() {
    let server = server().await;
    for path in ["/cat.png?imageView2/2/w/100", "/cat.png"] {
        let whole = server.get(path).await.body;
        let length = whole.len();
        for (range, expected) in [("bytes=0-9", 0..10), ("bytes=10-", 10..length), ("bytes=-7", length - 7..length)] {
            let part = server.send(Method::GET, path, &[("range", range)]).await;
            assert_eq!(part.status, 206, "{path} {range}");
            assert_eq!(part.body, whole[expected.clone()], "{path} {range}");
            let described = format!("bytes {}-{}/{length}", expected.start, expected.end - 1);
            assert_eq!(part.header("content-range"), described);
        }
        let beyond = server.send(Method::GET, path, &[("range", "bytes=99999999-")]).await;
        assert_eq!(
            (beyond.status.as_u16(), beyond.header("content-range")),
            (416, format!("bytes */{length}").as_str())
        );
        let stale = server.send(Method::GET, path, &[("range", "bytes=0-9"), ("if-range", "\"old\"")]).await;
        assert_eq!((stale.status.as_u16(), stale.body.len()), (200, length));
    }
    assert_eq!(server.get("/empty.jpg").await.body.len(), 0);
}

#[tokio::test]
async fn keys_are_decoded_exactly_once() {
    let card = cards::png(cards::quadrants(20, 10));
    let names = [
        "a b.png",
        "a+b.png",
        "100%.png",
        "a%20b.png",
        "春天/猫.png",
        "dots..and/…/x.y.png",
        "q?.png",
        "h#.png",
        "semi;colon,comma.png",
    ];
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, card.as_slice())).collect();
    let server = Server::over(&files).await;
    let path_of = |name: &str| {
        let segments = name.split('/').map(|segment| {
            percent_encoding::utf8_percent_encode(segment, percent_encoding::NON_ALPHANUMERIC).to_string()
        });
        segments.collect::<Vec<_>>().join("/")
    };
    for name in names {
        let path = format!("/{}", path_of(name));
        assert_eq!(server.get(&path).await.body, card, "{path}");
        assert_eq!(server.get(&format!("{path}?imageView2/2/w/10")).await.summary(), "png 10x5", "{path}");
        let slashes_encoded = path.replace('/', "%2F").replacen("%2F", "/", 1);
        assert_eq!(server.get(&slashes_encoded).await.body, card, "{slashes_encoded}");
    }
    assert_eq!(server.get("/a+b.png").await.body, card, "a plus is a plus");
    // Twice encoded is another key; so is a normalised one.
    for path in ["/a%252520b.png", "/a%2Bb.png/", "//a+b.png", "/%2e%2e/mogr.toml", "/x/..%2f..%2fmogr.toml"] {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
    for path in ["/../mogr.toml", "/objects/../../mogr.toml", "/./../styles.toml"] {
        let answer = server.raw(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    assert_eq!(server.get("/%ff%fe.png").await.status, 400);
}

#[tokio::test]
async fn attachments() {
    let server = server().await;
    for (url, expected) in [
        ("/cat.png?attname=my%20cat.png", "attachment; filename=\"my cat.png\""),
        ("/cat.png?attname=", "attachment; filename=\"cat.png\""),
        ("/cat.png?imageView2/2/w/50&attname=small.png", "attachment; filename=\"small.png\""),
        ("/cat.png?download/x.png", "attachment; filename=\"x.png\""),
        ("/cat.png?attname=%E7%8C%AB.png", "attachment; filename=\"_.png\"; filename*=UTF-8''%E7%8C%AB%2Epng"),
    ] {
        assert_eq!(server.get(url).await.header("content-disposition"), expected, "{url}");
    }
    assert_eq!(server.get("/cat.png").await.header("content-disposition"), "");
}

#[tokio::test]
async fn originals_have_their_type() {
    let server = server().await;
    assert_eq!(server.get("/cat.png").await.header("content-type"), "image/png");
    assert_eq!(server.get("/noext").await.header("content-type"), "image/jpeg");
}

#[tokio::test]
async fn request_ids_are_kept_or_made() {
    let server = server().await;
    let kept = server.send(Method::GET, "/cat.png", &[("x-request-id", "abc-123")]).await;
    assert_eq!((kept.header("x-request-id"), kept.header("x-reqid")), ("abc-123", "abc-123"));
    let made = [server.get("/cat.png").await, server.send(Method::GET, "/x", &[("x-request-id", "a b")]).await];
    assert_ne!(made[0].header("x-request-id"), made[1].header("x-request-id"));
    for answer in made {
        assert_eq!(answer.header("x-request-id").len(), 16);
    }
}

#[tokio::test]
async fn hosts_choose_buckets_and_paths_where_none_does() {
    let card = cards::png(cards::quadrants(20, 10));
    let config =
        "[buckets.photos]\nurl = \"{folder}\"\ndomains = [\"img.example.com\"]\n[buckets.other]\nurl = \"memory:\"\n";
    let server = Server::configured(config, "", &[("cat.png", &card)]).await;
    let by_host = server.send(Method::GET, "/cat.png", &[("host", "IMG.example.com:8080")]).await;
    assert_eq!(by_host.body, card);
    assert_eq!(server.get("/photos/cat.png?imageView2/2/w/10").await.summary(), "png 10x5");
    assert_eq!(server.get("/other/cat.png").await.status, 404);
    let nowhere = server.get("/nosuch/cat.png").await;
    assert_eq!((nowhere.status.as_u16(), nowhere.error().as_str()), (404, "no such bucket: \"nosuch\""));
}

#[tokio::test]
async fn private_buckets_ask_for_a_token_first() {
    let card = cards::png(cards::quadrants(20, 10));
    let config = format!("[buckets.default]\nurl = \"{{folder}}\"\ndomains = [\"*\"]\nprivate = true\n{KEYS}");
    let server = Server::configured(&config, "[styles]\nthumb = \"imageView2/2/w/10\"\n", &[("cat.png", &card)]).await;
    let keys: &KeyRing = &server.running.state.keys;
    let host = format!("http://{}", server.running.delivery);
    let sign = |path: &str, deadline: u64| {
        let url = auth::download::sign(&format!("{host}{path}"), "MY_ACCESS_KEY", keys, deadline).unwrap();
        url.strip_prefix(&host).unwrap().to_owned()
    };
    let later = mogr::http::target::unix_now() + 3600;
    for path in ["/cat.png", "/cat.png?imageView2/2/w/10", "/cat.png-thumb", "/cat.png?attname=x.png"] {
        assert_eq!(server.get(&sign(path, later)).await.status, 200, "{path}");
    }
    let answer = server.get(&sign("/cat.png", later)).await;
    assert!(answer.header("cache-control").starts_with("private, "), "{}", answer.header("cache-control"));
    assert_eq!(server.get(&sign("/nosuch.png", later)).await.status, 404);
    for (path, error) in [
        ("/cat.png".to_owned(), "download token not specified"),
        ("/nosuch.png".to_owned(), "download token not specified"),
        (sign("/cat.png", 1_451_491_200), "expired token"),
        (sign("/cat.png", later).replace("cat", "dog"), "bad token"),
        (sign("/cat.png", later).replace("e=", "x=1&e="), "bad token"),
        (sign("/cat.png?imageView2/2/w/10", later).replace("w/10", "w/11"), "bad token"),
        (format!("/cat.png?e={later}&token=NOBODY:AAAA"), "bad token"),
    ] {
        let answer = server.get(&path).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (401, error), "{path}");
    }
}

#[tokio::test]
async fn equal_requests_at_once_compute_once() {
    let server = Server::over(&[("cat.png", &cards::png(cards::quadrants(2000, 1500)))]).await;
    let answers = futures::future::join_all((0..16).map(|_| server.get("/cat.png?imageMogr2/blur/20x9"))).await;
    let misses = answers.iter().filter(|answer| answer.header("server-timing").contains("miss")).count();
    assert_eq!(misses, 1);
    assert!(answers.iter().all(|answer| answer.body == answers[0].body));
}

#[tokio::test]
async fn a_server_stops_after_its_open_requests() {
    let server = server().await;
    assert_eq!(server.get("/cat.png").await.status, 200);
    let address = server.running.delivery;
    server.running.stop().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
