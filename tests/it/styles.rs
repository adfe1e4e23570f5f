//! Styles: separators, overrides, protection, live reload (spec 5).

use crate::cards;
use crate::server::Server;

const STYLES: &str = r#"
separators = ["-"]
[styles]
thumb = "imageView2/1/w/50/h/50"
wide = "imageView2/2/w/100"
[buckets.default]
separators = ["-", "!", "/"]
[buckets.default.styles]
wide = "imageView2/2/w/120"
"#;

async fn server(config: &str, styles: &str) -> Server {
    let card = cards::png(cards::quadrants(640, 427));
    let small = cards::png(cards::quadrants(30, 20));
    let config = format!("[buckets.default]\nurl = \"{{folder}}\"\ndomains = [\"*\"]\n{config}");
    Server::configured(
        &config,
        styles,
        &[("cat.png", &card), ("a-b.v2/cat.png", &card), ("cat.png-thumb", &small), ("with-thumb-name.png", &card)],
    )
    .await
}

#[tokio::test]
async fn the_last_separator_finds_the_style() {
    let server = server("", STYLES).await;
    for (path, expected) in [
        ("/cat.png-thumb", "png 50x50"),
        ("/cat.png!thumb", "png 50x50"),
        ("/cat.png/thumb", "png 50x50"),
        // The bucket's own style wins over the global one of the same name.
        ("/cat.png-wide", "png 120x80"),
        ("/a-b.v2/cat.png-thumb", "png 50x50"),
        ("/with-thumb-name.png", "png 640x427"),
        ("/with-thumb-name.png-thumb", "png 50x50"),
        ("/cat.png-thumb@2x", "png 50x50"),
        // A style, then the URL's own operators on its result.
        ("/cat.png-thumb?imageView2/2/w/20", "png 20x20"),
    ] {
        assert_eq!(server.get(path).await.summary(), expected, "{path}");
    }
    assert_eq!(server.get("/cat.png-nosuch").await.status, 404);
    assert_eq!(server.get("/nosuch.png-thumb").await.status, 404);
}

#[tokio::test]
async fn an_object_of_that_name_may_come_first() {
    assert_eq!(server("", STYLES).await.get("/cat.png-thumb").await.summary(), "png 50x50");
    let server = server("prefer_style_as_key = true\n", STYLES).await;
    assert_eq!(server.get("/cat.png-thumb").await.image().size.width, 30);
    assert_eq!(server.get("/cat.png!thumb").await.summary(), "png 50x50");
}

#[tokio::test]
async fn a_style_and_its_expansion_share_one_result() {
    let server = server("", STYLES).await;
    let style = server.get("/cat.png-thumb").await;
    let fops = server.get("/cat.png?imageView2/1/h/50/w/50/").await;
    assert_eq!(style.header("etag"), fops.header("etag"));
    assert_eq!(style.body, fops.body);
    assert!(fops.header("server-timing").contains("hit"), "{}", fops.header("server-timing"));
}

#[tokio::test]
async fn protected_buckets_serve_only_styles() {
    for (config, styles) in [
        ("protected = true\n", STYLES.to_owned()),
        ("", STYLES.replace("[buckets.default]\n", "[buckets.default]\nprotected = true\n")),
    ] {
        let server = server(config, &styles).await;
        assert_eq!(server.get("/cat.png-thumb").await.summary(), "png 50x50");
        for path in
            ["/cat.png", "/cat.png?imageView2/2/w/20", "/cat.png-thumb?imageView2/2/w/20", "/cat.png?imageInfo", "/x"]
        {
            let answer = server.get(path).await;
            assert_eq!(answer.status, 401, "{path}");
            assert!(answer.error().starts_with("unauthorized"), "{path}: {}", answer.error());
        }
    }
}

#[tokio::test]
async fn edits_take_effect_and_broken_ones_keep_the_last_good_set() {
    let server = server("", STYLES).await;
    assert_eq!(server.get("/cat.png-thumb").await.summary(), "png 50x50");
    let reload = |text: &str| {
        std::fs::write(server.styles(), text).unwrap();
        server.running.state.styles.poll();
    };
    reload(&STYLES.replace("w/50/h/50", "w/60/h/40"));
    assert_eq!(server.get("/cat.png-thumb").await.summary(), "png 60x40");

    reload(&STYLES.replace("imageView2/1/w/50/h/50", "imageView2/9/w/50"));
    assert_eq!(server.get("/cat.png-thumb").await.summary(), "png 60x40");
    let state = server.api("/styles").await.json();
    assert_eq!(state["ok"], false);
    let problem = state["problems"][0].as_str().unwrap();
    assert!(problem.contains("thumb") && problem.contains("mode"), "{problem}");

    reload("[styles\n");
    assert_eq!(server.get("/cat.png-thumb").await.summary(), "png 60x40");
    reload(STYLES);
    assert_eq!(server.get("/cat.png-thumb").await.summary(), "png 50x50");
    assert_eq!(server.api("/styles").await.json()["ok"], true);
}
