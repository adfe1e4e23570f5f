//! What Blitline's jobs work on besides URLs and objects, what pixels alone tell, and what is cut off by them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{DynamicImage, Rgb, RgbImage};
use mogr::geometry::Size;
use mogr::plan::output::OutputFormat;
use serde_json::{Value, json};

use crate::blitline_jobs::{done, job, path, saved, server, submit};
use crate::cards;
use crate::server::{Server, assert_near};

/// A white card of 100x60 with a red box of 30x20 at 40,10, a pixel of noise in the white.
fn boxed() -> Vec<u8> {
    let mut card = RgbImage::from_pixel(100, 60, Rgb([255, 255, 255]));
    for (x, y) in (10..30).flat_map(|y| (40..70).map(move |x| (x, y))) {
        card.put_pixel(x, y, Rgb([220, 40, 40]));
    }
    card.put_pixel(5, 50, Rgb([250, 250, 250]));
    cards::png(DynamicImage::from(card))
}

async fn size_of(server: &Server, image: &Value) -> Size {
    server.get(&path(&image["s3_url"])).await.image().size
}

#[tokio::test]
async fn edges_of_one_colour_are_cut_off_before_what_follows() {
    let server = server().await;
    std::fs::write(server.objects().join("boxed.png"), boxed()).unwrap();
    let mut within = saved("trim", json!({ "fuzz": 0.05 }), "b.png");
    within["functions"] = json!([saved("resize_to_fit", json!({ "width": 60 }), "c.png")]);
    let results = done(&server, &job("boxed.png", json!([saved("trim", json!({}), "a.png"), within]))).await;
    assert!(results.get("errors").is_none(), "{results}");
    let images = &results["images"];
    for (nth, size) in [(0, Size::new(65, 41)), (1, Size::new(30, 20)), (2, Size::new(60, 40))] {
        assert_eq!(size_of(&server, &images[nth]).await, size, "{}", images[nth]);
        assert_eq!(images[nth]["meta"]["width"], size.width);
    }
    assert_near(&server.get(&path(&images[2]["s3_url"])).await.pixels(), (30, 20), cards::RED, 2);
}

/// The same operators in a URL: told, cut, and explained with the box that was found.
#[tokio::test]
async fn what_is_seen_is_told_on_delivery_too() {
    let server = Server::over(&[("boxed.png", &boxed())]).await;
    let told = server.get("/boxed.png?edges/5").await.json();
    assert_eq!(told, json!({ "x": 40, "y": 10, "width": 30, "height": 20, "blank": false }));
    let cut = server.get("/boxed.png?trim/5|size/exact/w/15").await;
    assert_eq!(cut.image().size, Size::new(15, 10));
    let again = server.get("/boxed.png?trim/5|size/exact/w/15").await;
    assert!(again.header("server-timing").contains("hit"));
    assert_eq!(server.get("/boxed.png?cut/w/30/h/20/x/40/y/10|edges").await.json()["blank"], true);
    // A picture of one colour stays whole.
    let whole = server.get("/boxed.png?cut/w/30/h/20/x/40/y/10|trim").await;
    assert_eq!(whole.image().size, Size::new(30, 20));
    let colors = server.get("/boxed.png?colors/4").await.json();
    assert_eq!((&colors["colors"][0]["color"], &colors["background"]), (&json!("ffffff"), &json!("ffffff")));
    assert_eq!((&colors["pixels"], &colors["colors"][1]), (&json!(6000), &json!({ "color": "dc2828", "pixels": 600 })));
    assert_eq!(server.get("/boxed.png?trim/101").await.status, 400);
}

#[tokio::test]
async fn colours_and_blanks_are_told() {
    let server = server().await;
    std::fs::write(server.objects().join("boxed.png"), boxed()).unwrap();
    let mut inside = saved("crop", json!({ "x": 42, "y": 12, "width": 5, "height": 5 }), "inside.png");
    inside["save"]["check_blank"] = true.into();
    let mut whole = saved("no_op", json!({}), "whole.png");
    whole["save"]["check_blank"] = true.into();
    let plain = saved("blur", json!({}), "plain.png");
    let mut job = job("boxed.png", json!([whole, plain, inside]));
    job["extract_colors"] = json!({ "max_colors": 4 });
    let results = done(&server, &job).await;
    let blank: Vec<&Value> = results["images"].as_array().unwrap().iter().map(|image| &image["is_blank"]).collect();
    assert_eq!(blank, [&Value::Null, &Value::Null, &json!(true)], "{results}");
    let extracted = &results["original_meta"]["extracted_colors"];
    assert_eq!(extracted["best_guess_background"]["hex_color"], "#ffffff");
    let red = json!({ "percentage": 10.0, "pixel_count": 600,
        "color": { "r": 220, "g": 40, "b": 40, "hex_color": "#dc2828" } });
    assert_eq!(extracted["data"][1], red, "{extracted}");
}

#[tokio::test]
async fn pictures_come_with_their_jobs() {
    let server = server().await;
    for prefix in ["", "data:image/png;base64,"] {
        let mut inline = job("", json!([saved("resize_to_fit", json!({ "width": 50 }), "inline.png")]));
        (inline["src_type"], inline["src"]) = (json!("inline"), json!(format!("{prefix}{}", STANDARD.encode(boxed()))));
        let results = done(&server, &inline).await;
        assert_eq!(results["original_meta"], json!({ "width": 100, "height": 60 }), "{results}");
        assert_eq!(size_of(&server, &results["images"][0]).await, Size::new(50, 30));
    }
    let mut broken = job("", json!([saved("no_op", json!({}), "broken.png")]));
    (broken["src_type"], broken["src"]) = (json!("inline"), json!(STANDARD.encode("not a picture")));
    let results = done(&server, &broken).await;
    assert_eq!(results["failed_image_identifiers"], json!(["broken.png"]), "{results}");
}

#[tokio::test]
async fn canvases_are_of_one_colour() {
    let server = server().await;
    let mut canvas = job("", json!([saved("pad", json!({ "size": 2 }), "canvas.png")]));
    canvas["src"] = json!({ "name": "canvas", "width": 30, "height": "20", "color": "#dc2828" });
    let results = done(&server, &canvas).await;
    assert_eq!(results["original_meta"], json!({ "width": 30, "height": 20 }), "{results}");
    let picture = server.get(&path(&results["images"][0]["s3_url"])).await;
    assert_eq!(picture.image().size, Size::new(34, 24));
    assert_near(&picture.pixels(), (17, 12), cards::RED, 0);
    canvas["src"] = json!({ "name": "canvas" });
    let submitted = submit(&server, &canvas).await;
    assert!(submitted.get("error").is_none(), "{submitted}");
}

/// Each page by itself, with its number in its names; a page that is not there harms no other.
#[tokio::test]
async fn pages_are_worked_on_one_by_one() {
    let server = server().await;
    let moving = cards::animation(60, 40, 4, OutputFormat::Gif);
    std::fs::write(server.objects().join("pages.gif"), &moving).unwrap();
    let mut paged = job("pages.gif", json!([saved("resize_to_fit", json!({ "width": 30 }), "page.png")]));
    paged["src_type"] = json!({ "name": "multi_page", "pages": [0, 2, 9] });
    let results = done(&server, &paged).await;
    let images = results["images"].as_array().unwrap();
    let names: Vec<&Value> = images.iter().map(|image| &image["image_identifier"]).collect();
    assert_eq!(
        (names, &results["failed_image_identifiers"]),
        (vec![&json!("page_0.png"), &json!("page_2.png")], &json!(["page_9.png"]))
    );
    assert!(results["errors"][0].as_str().unwrap().contains("frame: number is"), "{results}");
    let (first, third) = (server.get(&path(&images[0]["s3_url"])).await, server.get(&path(&images[1]["s3_url"])).await);
    assert!(path(&images[1]["s3_url"]).ends_with("/page_2.png") && first.pixels() != third.pixels());
    let delivered = server.get("/photos/pages.gif?frame/2|size/fit/w/30|imageView2/2/format/png").await;
    assert_eq!(delivered.pixels(), third.pixels());
    let still = server.get("/photos/pages.gif?frame/0").await.image();
    assert_eq!((still.frames, still.size), (1, Size::new(60, 40)));
    assert_eq!(server.get("/photos/pages.gif?frame/4").await.status, 400);
}
