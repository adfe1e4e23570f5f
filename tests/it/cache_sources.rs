//! How often sources are asked for and fetched, and when a change of theirs is seen.

use std::time::Duration;

use reqwest::Method;

use crate::cache_origin::Origin;
use crate::cards;
use crate::server::{Answer, Server};

/// A server over this origin with these settings of `[cache]`.
async fn over(origin: &Origin, cache: &str) -> Server {
    let config = format!(
        "[cache]\n{cache}\n[buckets.default]\nurl = \"http://{}/\"\ndomains = [\"*\"]\n[fetch]\nallow = [\"127.0.0.0/8\"]\n\
         timeout = \"2s\"\n",
        origin.address
    );
    Server::configured(&config, "", &[]).await
}

fn card(width: u32, height: u32) -> Vec<u8> {
    cards::png(cards::quadrants(width, height))
}

/// Asks until the answer is as expected: what happens in the background ends some time.
async fn until(server: &Server, path: &str, is_expected: impl Fn(&Answer) -> bool) -> Answer {
    for _ in 0..2000 {
        let answer = server.get(path).await;
        if is_expected(&answer) {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{path} never became what it should");
}

#[tokio::test]
async fn many_sizes_asked_at_once_are_one_fetch() {
    let origin = Origin::start().await;
    origin.put("/cat.png", &card(64, 48), Some("1"));
    origin.put("/blind.png", &card(64, 48), None);
    let server = over(&origin, "fresh = \"1h\"").await;
    for path in ["/cat.png", "/blind.png"] {
        origin.set_open(false);
        let urls: Vec<String> = (10..20).map(|width| format!("{path}?imageView2/2/w/{width}")).collect();
        let answers = futures::future::join_all(urls.iter().map(|url| server.get(url)));
        let open = async {
            tokio::task::yield_now().await;
            origin.set_open(true);
        };
        let (answers, ()) = tokio::join!(answers, open);
        for (width, answer) in (10..20).zip(answers) {
            assert_eq!(answer.image().size.width, width);
        }
        assert_eq!(origin.asked(), [format!("HEAD {path} 200"), format!("GET {path} 200")]);
        // Nor is it asked for again, in whatever form.
        assert_eq!(server.get(&format!("{path}?imageView2/2/w/21")).await.image().size.width, 21);
        assert_eq!(server.get(path).await.body, card(64, 48));
        assert_eq!(server.send(Method::GET, path, &[("range", "bytes=1-3")]).await.body, b"PNG");
        assert_eq!(origin.asked(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn what_is_not_fresh_is_asked_for_again() {
    let origin = Origin::start().await;
    origin.put("/cat.png", &card(64, 48), Some("1"));
    let server = over(&origin, "fresh = \"0s\"\nstale_while_revalidate = \"0s\"").await;
    let url = "/cat.png?imageView2/2/w/32";
    let first = server.get(url).await;
    assert_eq!(first.summary(), "png 32x24");
    assert_eq!(origin.asked(), ["HEAD /cat.png 200", "GET /cat.png 200"]);
    // The bytes are here: one conditional request asks for the object and would fetch another one.
    assert_eq!(server.get(url).await.header("server-timing"), "cache;desc=hit");
    assert_eq!(origin.asked(), ["GET /cat.png 304"]);
    origin.put("/cat.png", &card(64, 64), Some("2"));
    let second = server.get(url).await;
    assert_eq!(second.summary(), "png 32x32");
    assert_ne!(first.header("etag"), second.header("etag"));
    assert_eq!(origin.asked(), ["GET /cat.png 200"]);
    origin.delete("/cat.png");
    assert_eq!(server.get(url).await.status, 404);
}

/// A store that answers like an origin is asked as seldom.
#[tokio::test]
async fn object_stores_are_asked_alike() {
    let store = Origin::start().await;
    let dated = "last-modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    store.put_with("/pictures/cat.png", &card(64, 48), Some("1"), dated);
    let config = format!(
        "[cache]\nfresh = \"0s\"\nstale_while_revalidate = \"0s\"\n[buckets.default]\nurl = \"s3://pictures\"\ndomains = [\"*\"]\n\
         [buckets.default.options]\nendpoint = \"http://{}\"\nallow_http = \"true\"\nskip_signature = \"true\"\nregion = \"x\"\n",
        store.address
    );
    let server = Server::configured(&config, "", &[]).await;
    let url = "/cat.png?imageView2/2/w/32";
    assert_eq!(server.get(url).await.summary(), "png 32x24");
    assert_eq!(store.asked(), ["HEAD /pictures/cat.png 200", "GET /pictures/cat.png 200"]);
    assert_eq!(server.get(url).await.header("server-timing"), "cache;desc=hit");
    assert_eq!(server.get("/cat.png").await.body, card(64, 48));
    assert_eq!(store.asked(), ["GET /pictures/cat.png 304"; 2]);
    store.put_with("/pictures/cat.png", &card(64, 64), Some("2"), dated);
    assert_eq!(server.get(url).await.summary(), "png 32x32");
    assert_eq!(store.asked(), ["GET /pictures/cat.png 200"]);
    store.delete("/pictures/cat.png");
    assert_eq!(server.get(url).await.status, 404);
}

#[tokio::test]
async fn what_is_stale_is_used_while_it_is_asked_for() {
    let origin = Origin::start().await;
    origin.put("/cat.png", &card(64, 48), Some("1"));
    let server = over(&origin, "fresh = \"0s\"\nstale_while_revalidate = \"1h\"").await;
    let url = "/cat.png?imageView2/2/w/32";
    assert_eq!(server.get(url).await.summary(), "png 32x24");
    origin.put("/cat.png", &card(64, 64), Some("2"));
    origin.set_open(false);
    assert_eq!(server.get(url).await.summary(), "png 32x24");
    assert_eq!(server.get(url).await.summary(), "png 32x24");
    origin.set_open(true);
    until(&server, url, |answer| answer.summary() == "png 32x32").await;
}

#[tokio::test]
async fn failures_are_answered_with_what_was_known() {
    let origin = Origin::start().await;
    origin.put("/cat.png", &card(64, 48), Some("1"));
    let url = "/cat.png?imageView2/2/w/32";
    for (if_error, status) in [("1h", 200), ("0s", 502)] {
        let settings = format!("fresh = \"0s\"\nstale_while_revalidate = \"0s\"\nstale_if_error = \"{if_error}\"");
        let server = over(&origin, &settings).await;
        assert_eq!(server.get(url).await.summary(), "png 32x24");
        origin.fail(true);
        assert_eq!(server.get(url).await.status, status);
        assert_eq!(server.get(url).await.status, status);
        // What was not made yet is made of the bytes that are here.
        assert_eq!(server.get("/cat.png?imageView2/2/w/33").await.status, status);
        assert_eq!(server.get("/dog.png?imageView2/2/w/33").await.status, 502);
        origin.fail(false);
        // A plain 404 is believed.
        origin.delete("/cat.png");
        until(&server, url, |answer| answer.status == 404).await;
        origin.put("/cat.png", &card(64, 48), Some("1"));
    }
}

#[tokio::test]
async fn what_is_missing_or_no_picture_is_asked_for_once() {
    let origin = Origin::start().await;
    origin.put("/text.png", b"no picture at all", Some("1"));
    origin.put("/huge.png", &card(300, 300), Some("1"));
    let cache = "fresh = \"1h\"\nmissing = \"1h\"\nsource_memory_bytes = 1";
    let server = over(&origin, &format!("{cache}\n[limits]\nsource_edge = 200")).await;
    for path in ["/text.png", "/huge.png"] {
        for _ in 0..3 {
            let answer = server.get(&format!("{path}?imageView2/2/w/33")).await;
            assert_eq!(answer.status, 400, "{}", answer.text());
        }
        assert_eq!(origin.asked(), [format!("HEAD {path} 200"), format!("GET {path} 200")]);
    }
    for url in ["/none.png", "/none.png?imageView2/2/w/33", "/none.png?imageInfo"] {
        assert_eq!(server.get(url).await.status, 404);
    }
    assert_eq!(origin.asked(), ["HEAD /none.png 404"]);
}

/// What a `HEAD` said may be old by the time that the bytes come: the result is the bytes', in name and content.
#[tokio::test]
async fn results_have_the_version_of_the_bytes_they_are_made_of() {
    let server = Server::configured(
        "[cache]\nfresh = \"1h\"\n[buckets.default]\nurl = \"{folder}\"\ndomains = [\"*\"]\n",
        "",
        &[("cat.png", &card(64, 48))],
    )
    .await;
    let first = server.get("/cat.png?imageView2/2/w/32").await;
    std::fs::write(server.objects().join("cat.png"), card(64, 64)).unwrap();
    // It is known for an hour, but another size has to read it.
    let second = server.get("/cat.png?imageView2/2/w/16").await;
    assert_eq!(second.summary(), "png 16x16");
    // Then it is known by all.
    let third = server.get("/cat.png?imageView2/2/w/32").await;
    assert_eq!(third.summary(), "png 32x32");
    assert_ne!(first.header("etag"), third.header("etag"));
    std::fs::write(server.objects().join("cat.png"), card(64, 16)).unwrap();
    let raw = server.get("/cat.png").await;
    assert_eq!(raw.body, card(64, 16));
    assert_eq!(server.get("/cat.png?imageView2/2/w/32").await.summary(), "png 32x8");
}
