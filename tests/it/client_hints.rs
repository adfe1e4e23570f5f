//! `client_hints`: sizes and qualities by what clients tell of themselves.

use http::Method;

use crate::cards;
use crate::server::{Answer, Server};

const ACCEPT_CH: &str = "Sec-CH-DPR, Sec-CH-Width, DPR, Width, Save-Data";

async fn server() -> Server {
    let config = "[buckets.default]\nurl = \"{folder}\"\ndomains = [\"*\"]\n\
                  [buckets.hints]\nurl = \"{folder}\"\ndomains = [\"hints.example.com\"]\nclient_hints = true\n";
    let styles = "[styles]\nfits = \"imageView2/2/w/auto\"\nsmall = \"imageView2/2/w/100\"\n";
    let card = cards::jpeg(&cards::quadrants(1000, 600), 95);
    Server::configured(config, styles, &[("card.jpg", &card)]).await
}

/// Headers of a request.
type Told<'a> = &'a [(&'a str, &'a str)];

async fn get(server: &Server, path: &str, hints: Told<'_>) -> Answer {
    let mut headers = vec![("host", "hints.example.com")];
    headers.extend(hints);
    server.send(Method::GET, path, &headers).await
}

#[tokio::test]
async fn sizes_follow_the_screen() {
    let server = server().await;
    let (dpr, width) = ("Sec-CH-DPR, DPR, Save-Data", "Sec-CH-Width, Width, Save-Data");
    let rows: [(&str, Told<'_>, &str, &str); 12] = [
        ("/card.jpg?imageView2/2/w/100", &[], "100x60", dpr),
        ("/card.jpg?imageView2/2/w/100", &[("DPR", "2")], "200x120", dpr),
        ("/card.jpg?imageView2/2/w/100", &[("Sec-CH-DPR", "1.3"), ("DPR", "3")], "150x90", dpr),
        ("/card.jpg?imageView2/1/w/400/h/100", &[("DPR", "2.625")], "1000x300", dpr),
        ("/card.jpg?imageView2/2/w/800", &[("DPR", "4")], "1000x600", dpr),
        ("/card.jpg?imageMogr2/thumbnail/800x", &[("DPR", "4")], "1000x600", dpr),
        ("/card.jpg?imageView2/2/w/100", &[("DPR", "much")], "100x60", dpr),
        ("/card.jpg-small", &[("DPR", "1.5")], "150x90", dpr),
        ("/card.jpg-fits", &[("Sec-CH-Width", "200"), ("DPR", "2")], "320x192", width),
        ("/card.jpg?imageView2/2/w/auto", &[("Width", "481")], "640x384", width),
        ("/card.jpg?imageView2/2/w/auto", &[], "1000x600", width),
        ("/card.jpg?imageMogr2/thumbnail/100x/crop/50x50", &[("DPR", "2")], "50x50", "Save-Data"),
    ];
    for (path, hints, size, vary) in rows {
        let answer = get(&server, path, hints).await;
        assert_eq!(answer.image().size.to_string(), size, "{path} {hints:?}");
        assert_eq!((answer.header("vary"), answer.header("accept-ch")), (vary, ACCEPT_CH), "{path} {hints:?}");
    }
}

/// What screens of one kind get is one result, and the same as for the URL that says so.
#[tokio::test]
async fn results_are_shared() {
    let server = server().await;
    let path = "/card.jpg?imageView2/2/w/100";
    let first = get(&server, path, &[("DPR", "1.8")]).await;
    let second = get(&server, path, &[("Sec-CH-DPR", "2")]).await;
    let plain = get(&server, "/card.jpg?imageView2/2/w/200", &[]).await;
    for same in [&second, &plain] {
        assert_eq!((same.header("etag"), same.header("server-timing")), (first.header("etag"), "cache;desc=hit"));
    }
    let other = get(&server, path, &[("DPR", "1")]).await;
    assert_ne!(other.header("etag"), first.header("etag"));
    let unchanged = get(&server, path, &[("DPR", "2"), ("if-none-match", first.header("etag"))]).await;
    assert_eq!((unchanged.status.as_u16(), unchanged.header("vary")), (304, "Sec-CH-DPR, DPR, Save-Data"));
    let explained = server
        .api_send(Method::GET, &format!("{path}|explain"), &[("host", "hints.example.com"), ("DPR", "2")], "")
        .await
        .json();
    assert_eq!((&explained["plan"], &explained["cache"]), (&"imageView2/2/w/200".into(), &"memory".into()));
}

#[tokio::test]
async fn data_is_saved() {
    let server = server().await;
    let quality = async |query: &str, hints: &[(&str, &str)]| {
        let mut headers = vec![("host", "hints.example.com")];
        headers.extend(hints);
        let told = server.api_send(Method::GET, &format!("/card.jpg?{query}|explain"), &headers, "").await.json();
        told["result"]["quality"].as_u64().unwrap()
    };
    let on = [("Save-Data", "on")];
    for (query, plain, saved) in [
        ("imageView2/2/w/100", 75, 55),
        ("imageView2/2/w/100/q/90", 90, 70),
        ("imageView2/2/w/100/q/40", 40, 30),
        ("imageView2/2/w/100/q/20", 20, 20),
    ] {
        assert_eq!((quality(query, &[]).await, quality(query, &on).await), (plain, saved), "{query}");
        assert_eq!(quality(query, &[("Save-Data", "off")]).await, plain, "{query}");
    }
    let path = "/card.jpg?imageView2/2/w/400";
    let (plain, saved) = (get(&server, path, &[]).await, get(&server, path, &on).await);
    assert!(saved.body.len() < plain.body.len());
    assert_ne!(saved.header("etag"), plain.header("etag"));
}

#[tokio::test]
async fn other_buckets_know_nothing_of_it() {
    let server = server().await;
    let told = [("DPR", "2"), ("Width", "300"), ("Save-Data", "on")];
    let path = "/card.jpg?imageView2/2/w/100";
    let (plain, hinted) = (server.get(path).await, server.send(Method::GET, path, &told).await);
    assert_eq!(hinted.header("etag"), plain.header("etag"));
    assert_eq!((hinted.header("vary"), hinted.header("accept-ch")), ("", ""));
    for path in ["/card.jpg?imageView2/2/w/auto", "/card.jpg-fits"] {
        let refused = server.send(Method::GET, path, &told).await;
        assert_eq!(refused.status, 400, "{path}");
        assert!(refused.error().contains("client_hints"), "{}", refused.error());
    }
}
