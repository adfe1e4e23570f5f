//! `…|explain` and health on the API listener.

use crate::cards;
use crate::server::Server;

#[tokio::test]
async fn the_api_explains_a_url() {
    let photo = cards::jpeg(&cards::quadrants(4000, 3000), 85);
    let server = Server::over(&[("photo.jpg", &cards::oriented(&photo, 6))]).await;
    let url = "/photo.jpg?imageView2/1/w/200/h/200/format/webp|explain";
    let mut explained = server.api(url).await.json();
    explained["source"]["size"] = 0.into();
    explained["cost"]["memory_bytes"] = 0.into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&explained).unwrap());
    let refused = server.api("/photo.jpg?imageView2/9|explain").await;
    assert_eq!(refused.status, 400);
    assert!(refused.error().contains("mode"), "{}", refused.error());
}

#[tokio::test]
async fn depth_and_loss_are_told() {
    let deep = image::DynamicImage::ImageRgb16(image::ImageBuffer::from_pixel(64, 48, image::Rgb([4_660_u16; 3])));
    let photo = cards::jpeg(&cards::quadrants(64, 48), 85);
    let server = Server::over(&[("deep.png", &cards::png(deep)), ("photo.jpg", &photo)]).await;
    for (url, depth, lossless) in [
        ("/deep.png?imageView2/2/w/20", 16, false),
        ("/deep.png?imageView2/2/w/20/format/jpg", 8, false),
        ("/photo.jpg?imageMogr2/rotate/90/quality/100", 8, true),
        ("/photo.jpg?imageMogr2/rotate/90/thumbnail/20x/quality/100", 8, false),
    ] {
        let explained = server.api(&format!("{url}|explain")).await.json();
        assert_eq!(explained["result"]["depth"], depth, "{url}");
        assert_eq!(explained["result"]["lossless"], lossless, "{url}");
    }
}

/// What the client takes decides on the format, and where the result is kept is told without making it.
#[tokio::test(flavor = "multi_thread")]
async fn what_would_answer_now_is_told() {
    let store = tempfile::tempdir().unwrap();
    let folder = url::Url::from_directory_path(store.path()).unwrap();
    let config = format!(
        "[buckets.default]\nurl = \"{{folder}}\"\ndomains = [\"*\"]\n[cache]\nstore = \"{folder}\"\n\
         [limits]\ninteractive_milliseconds = 20\noutput_edge = 1000\n"
    );
    let card = cards::jpeg(&cards::quadrants(800, 600), 90);
    let server = Server::configured(&config, "", &[("card.jpg", &card)]).await;
    let explain = async |path: &str, accept: &str| {
        let headers = [("accept", accept)];
        server.api_send(http::Method::GET, &format!("{path}|explain"), &headers, "").await.json()
    };
    let path = "/card.jpg?imageView2/2/w/60/format/auto";
    for (accept, format) in [("image/avif,image/webp,*/*", "avif"), ("image/webp", "webp"), ("*/*", "jpeg")] {
        let told = explain(path, accept).await;
        assert_eq!((&told["result"]["format"], &told["vary"]), (&format.into(), &"Accept".into()), "{accept}");
        assert_eq!((&told["cache"], &told["interim"]), (&"none".into(), &false.into()), "{accept}");
    }
    let large = "/card.jpg?imageView2/2/w/700/format/auto";
    let told = explain(large, "image/avif,image/webp").await;
    assert_eq!((&told["result"]["format"], &told["interim"]), (&"webp".into(), &true.into()));
    assert_eq!(explain(large, "image/avif,image/webp").await["interim"], true, "nothing was begun by asking");
    assert_eq!(told["over_budget"], serde_json::Value::Null);
    let near = serde_json::json!({ "what": "result edge in pixels", "value": 700, "limit": 1000 });
    assert!(told["limits_near"].as_array().unwrap().contains(&near), "{told}");
    let slow = explain("/card.jpg?imageView2/2/w/700/format/avif", "*/*").await;
    assert_eq!((&slow["over_budget"], &slow["vary"]), (&"refuse".into(), &serde_json::Value::Null));
    assert!(slow["cost"]["predicted_milliseconds"].as_f64() > Some(20.0));

    let path = "/card.jpg?imageView2/2/w/60";
    assert_eq!(server.get(path).await.status, 200);
    assert_eq!(explain(path, "*/*").await["cache"], "memory");
    let begun = std::time::Instant::now();
    let server = server.restarted().await;
    while server.api(&format!("{path}|explain")).await.json()["cache"] != "store" {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "the store does not get it");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn health() {
    let server = Server::over(&[]).await;
    assert_eq!(server.api("/healthz").await.text(), "ok\n");
    assert_eq!(server.api("/readyz").await.json()["ready"], true);
    assert_eq!(server.api("/nosuch").await.status, 404);
}
