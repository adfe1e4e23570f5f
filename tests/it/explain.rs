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

#[tokio::test]
async fn health() {
    let server = Server::over(&[]).await;
    assert_eq!(server.api("/healthz").await.text(), "ok\n");
    assert_eq!(server.api("/readyz").await.json()["ready"], true);
    assert_eq!(server.api("/nosuch").await.status, 404);
}
