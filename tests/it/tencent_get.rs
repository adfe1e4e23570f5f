//! Tencent's rules at `GET`, its styles, the protection of originals, and persistent processing.

use mogr::http::target::unix_now;
use reqwest::Method;
use sha1::{Digest, Sha1};

use crate::cards;
use crate::server::{Answer, Server, assert_near};
use crate::tencent_jobs::{hex, keyed, text};

const COS: &str = "photos-1250000000.cos.ap-chongqing.myqcloud.com";
const PIC: &str = "photos-1250000000.pic.ap-chongqing.myqcloud.com";
const CONFIG: &str = r#"
[keys.AK]
secret = "SK"
[buckets.photos]
url = "{folder}"
dialect = "tencent"
[buckets.ours]
url = "{folder}"
[buckets.sealed]
url = "{folder}"
dialect = "tencent"
protected = true
"#;

/// A card of 120x80 at quality 80 with a corner of each colour, one that is to be turned, and what is no picture.
async fn server() -> Server {
    let card = cards::jpeg(&cards::quadrants(120, 80), 80);
    let turned = cards::oriented(&card, 6);
    let png = cards::png(cards::quadrants(120, 80));
    let files: [(&str, &[u8]); 5] = [
        ("card.jpg", &card),
        ("turned.jpg", &turned),
        ("card.png", &png),
        ("a!half", &card),
        ("text.jpg", b"no picture"),
    ];
    Server::configured(CONFIG, "", &files).await
}

async fn send(server: &Server, host: &str, call: (Method, &str), headers: &[(&str, &str)], body: &str) -> Answer {
    let (method, target) = call;
    let path = target.split('?').next().unwrap();
    let times = format!("{};{}", unix_now() - 60, unix_now() + 600);
    let digest = hex(&Sha1::digest(format!("{}\n{path}\n\nhost={host}\n", method.as_str().to_lowercase())));
    let signature = keyed(&keyed("SK", &times), &format!("sha1\n{times}\n{digest}\n"));
    let authorization = format!(
        "q-sign-algorithm=sha1&q-ak=AK&q-sign-time={times}&q-key-time={times}&q-header-list=host&q-url-param-list=\
         &q-signature={signature}"
    );
    let all: Vec<_> =
        [("host", host), ("authorization", authorization.as_str())].iter().chain(headers).copied().collect();
    server.api_send(method, target, &all, body.to_owned()).await
}

async fn add_style(server: &Server, name: &str, rule: &str) -> Answer {
    let body = format!("<AddStyle><StyleName>{name}</StyleName><StyleBody>{rule}</StyleBody></AddStyle>");
    send(server, PIC, (Method::PUT, "/?style"), &[], &body).await
}

#[tokio::test]
async fn rules_make_what_our_operators_make() {
    let server = server().await;
    for (rule, ours) in [
        ("imageMogr2/thumbnail/!50p", "imageMogr2/thumbnail/!50p/quality/own:100"),
        (
            "imageMogr2%2Fthumbnail%2F%2150p%7CimageMogr2%2Fstrip=",
            "imageMogr2/thumbnail/!50p|imageMogr2/strip/quality/own:100",
        ),
        ("versionId=3&imageView2/1/w/20/h/10/q/60&q-ak=x", "imageView2/1/w/20/h/10/q/most:60"),
        ("imageMogr2/crop/60x40/gravity/center/rquality/50", "imageMogr2/gravity/Center/crop/60x40/quality/own:50"),
        ("imageMogr2/flip/horizontal", "flip/horizontal|imageMogr2/quality/own:100"),
        ("imageAve", "imageAve"),
        (
            "watermark/2/text/aGVsbG8/shadow/50",
            "watermark/2/text/aGVsbG8/fontsize/260/fill/IzAwMDAwMA/dissolve/45/dx/-1/dy/-1|watermark/2/text/aGVsbG8/fontsize/\
             260/fill/IzNEM0QzRA/dissolve/90/dx/0/dy/0|imageMogr2/quality/own:100",
        ),
        (
            "watermark/1/image_key/Y2FyZC5wbmc/scatype/3/spcent/250",
            "watermark/1/image/Y2FyZC5wbmc/ws/0.25/wst/4/dissolve/90/dx/0/dy/0|imageMogr2/quality/own:100",
        ),
    ] {
        let theirs = server.get(&format!("/photos/card.jpg?{rule}")).await;
        let ours = server.get(&format!("/ours/card.jpg?{ours}")).await;
        assert_eq!(
            (theirs.status.as_u16(), ours.status.as_u16()),
            (200, 200),
            "{rule}: {}",
            String::from_utf8_lossy(&theirs.body)
        );
        assert!(theirs.body == ours.body, "{rule}");
    }
    for (rule, quality) in
        [("thumbnail/!50p", 80), ("quality/90", 80), ("quality/90!", 90), ("rquality/80", 64), ("lquality/95", 95)]
    {
        let made = server.get(&format!("/photos/card.jpg?imageMogr2/{rule}")).await.image().jpeg_quality.unwrap();
        assert!(made.abs_diff(quality) <= 1, "{rule}: {made}");
    }
    let facts = server.get("/photos/card.jpg?imageInfo").await.json();
    assert!(facts.as_object().unwrap().values().all(serde_json::Value::is_string), "{facts}");
    assert_eq!(
        (&facts["width"], &facts["format"], &facts["frame_count"]),
        (&"120".into(), &"jpeg".into(), &"1".into())
    );
    assert_eq!(facts["md5"].as_str().unwrap().len(), 32);
}

/// The mirror is for what the viewer sees, however the file is stored.
#[tokio::test]
async fn pictures_are_mirrored() {
    let server = server().await;
    let corners = [(5, 5), (114, 5), (5, 74), (114, 74)];
    let card = server.get("/ours/card.png").await.pixels();
    let color = |at: usize| {
        let [r, g, b, _] = card.rgba_at(corners[at].0, corners[at].1);
        [r, g, b]
    };
    for (rule, order) in [("horizontal", [1, 0, 3, 2]), ("vertical", [2, 3, 0, 1])] {
        let made = server.get(&format!("/ours/card.png?flip/{rule}")).await.pixels();
        let lossless = server.get(&format!("/photos/card.jpg?imageMogr2/flip/{rule}")).await.pixels();
        for (at, from) in order.into_iter().enumerate() {
            assert_near(&made, corners[at], color(from), 0);
            assert_near(&lossless, corners[at], color(from), 12);
        }
    }
    let turned = server.get("/ours/turned.jpg?imageMogr2/auto-orient|flip/vertical/").await;
    let at_once = server.get("/ours/turned.jpg?flip/vertical").await;
    assert_eq!(at_once.pixels().size(), turned.pixels().size());
}

#[tokio::test]
async fn failures_are_the_vendors() {
    let server = server().await;
    for (target, status, code, number) in [
        ("/photos/card.jpg?imageMogr2/cgif/3", 400, "InvalidArgument", "-103"),
        ("/photos/card.jpg?imageMogr2/rotate/400", 400, "InvalidArgument", "-103"),
        ("/photos/none.jpg?imageMogr2/strip", 404, "NoSuchKey", "-6101"),
        ("/photos/none.jpg", 404, "NoSuchKey", "-6101"),
        ("/photos/", 404, "NoSuchKey", "-6101"),
        ("/photos/card.jpg?style/none", 404, "NoSuchStyle", "-105"),
        ("/photos/card.jpg?style/%00", 404, "NoSuchStyle", "-105"),
        ("/photos/card.jpg!none", 404, "NoSuchKey", "-6101"),
        ("/photos/text.jpg?imageMogr2/strip", 400, "InvalidImageFormat", "-441"),
        ("/photos/card.jpg?imageMogr2/thumbnail/9999x9999!", 400, "ImageTooLarge", "-167"),
        ("/sealed/card.jpg", 403, "AccessDenied", "-154"),
    ] {
        let answer = server.get(target).await;
        let found = (answer.status.as_u16(), text(&answer, "Code"), answer.header("x-errno").to_owned());
        assert_eq!(found, (status, code.to_owned(), number.to_owned()), "{target}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/xml");
        assert_eq!(text(&answer, "Resource"), target.split('?').next().unwrap());
        assert!(["Message", "RequestId", "TraceId"].iter().all(|name| !text(&answer, name).is_empty()), "{target}");
    }
    assert_eq!(server.get("/sealed/card.jpg?imageMogr2/strip").await.status, 200);
    let given = server.get("/photos/text.jpg?imageMogr2/strip/ignore-error/1").await;
    assert_eq!((given.status.as_u16(), given.text()), (200, "no picture"));
    let signed = send(&server, COS, (Method::GET, "/text.jpg?imageMogr2/strip"), &[], "").await;
    assert_eq!((text(&signed, "Code").as_str(), signed.header("x-errno")), ("InvalidImageFormat", "-441"));
}

#[tokio::test]
async fn styles_are_made_used_and_forgotten() {
    let server = server().await;
    assert_eq!(add_style(&server, "half", "?imageMogr2/thumbnail/!50p").await.status, 200);
    assert_eq!(add_style(&server, "Half", "imageView2/2/w/30").await.status, 200);
    assert_eq!(add_style(&server, "half", "imageMogr2/thumbnail/!50px").await.status, 200);
    let listed = send(&server, PIC, (Method::GET, "/?style"), &[], "").await;
    let rule = |name: &str, body: &str| {
        format!("<StyleRule><StyleName>{name}</StyleName><StyleBody>{body}</StyleBody></StyleRule>")
    };
    let both = rule("Half", "imageView2/2/w/30") + &rule("half", "imageMogr2/thumbnail/!50px");
    assert!(listed.text().ends_with(&format!("<StyleList>{both}</StyleList>")), "{}", listed.text());
    let one =
        send(&server, PIC, (Method::GET, "/?style="), &[], "<GetStyle><StyleName>Half</StyleName></GetStyle>").await;
    assert!(one.text().contains(&rule("Half", "imageView2/2/w/30")) && !one.text().contains("!50px"), "{}", one.text());

    let expected = server.get("/photos/card.jpg?imageMogr2/thumbnail/!50px").await;
    for target in ["/photos/card.jpg?style/half", "/photos/card.jpg!half", "/photos/card.jpg?style%2Fhalf="] {
        assert!(server.get(target).await.body == expected.body, "{target}");
    }
    let signed = send(&server, COS, (Method::GET, "/card.jpg?style/half"), &[], "").await;
    assert!(signed.body == expected.body);
    assert_eq!(server.get("/photos/a!half").await.image().size.width, 120, "an object of that name comes first");

    for (method, body, status, code) in [
        (Method::PUT, "", 400, "MissingRequestBodyError"),
        (Method::PUT, "<AddStyle>", 400, "MalformedXML"),
        (Method::PUT, "<GetStyle/>", 400, "MalformedXML"),
        (Method::PUT, "<AddStyle><StyleName>a</StyleName></AddStyle>", 400, "InvalidArgument"),
        (
            Method::PUT,
            "<AddStyle><StyleName>a!b</StyleName><StyleBody>exif</StyleBody></AddStyle>",
            400,
            "InvalidArgument",
        ),
        (
            Method::PUT,
            "<AddStyle><StyleName>a</StyleName><StyleBody>nothing/1</StyleBody></AddStyle>",
            400,
            "InvalidArgument",
        ),
        (Method::GET, "<GetStyle><StyleName>none</StyleName></GetStyle>", 404, "NoSuchStyle"),
        (Method::DELETE, "<DeleteStyle><StyleName>none</StyleName></DeleteStyle>", 404, "NoSuchStyle"),
        (Method::POST, "", 400, "InvalidArgument"),
    ] {
        let answer = send(&server, PIC, (method.clone(), "/?style"), &[], body).await;
        assert_eq!((answer.status.as_u16(), text(&answer, "Code").as_str()), (status, code), "{method} {body}");
    }
    let gone = "<DeleteStyle><StyleName>half</StyleName></DeleteStyle>";
    assert_eq!(send(&server, PIC, (Method::DELETE, "/?style"), &[], gone).await.status, 200);
    assert_eq!(server.get("/photos/card.jpg?style/half").await.header("x-errno"), "-105");
}

#[tokio::test]
async fn a_bucket_has_at_most_100_styles() {
    let server = server().await;
    for count in 0..100 {
        assert_eq!(add_style(&server, &format!("s{count}"), "exif").await.status, 200);
    }
    let refused = add_style(&server, "another", "exif").await;
    assert_eq!((refused.status.as_u16(), text(&refused, "Code").as_str()), (400, "InvalidArgument"));
    assert_eq!(add_style(&server, "s5", "imageInfo").await.status, 200, "one of them may be replaced");
}

#[tokio::test]
async fn originals_are_protected_until_they_are_not() {
    let server = server().await;
    add_style(&server, "half", "imageMogr2/thumbnail/!50p").await;
    for (method, state, status) in [(Method::PUT, "on", 403), (Method::DELETE, "off", 200)] {
        assert_eq!(send(&server, PIC, (method, "/?origin-protect"), &[], "").await.status, 200);
        let told = send(&server, PIC, (Method::GET, "/?origin-protect"), &[], "").await;
        assert_eq!(text(&told, "OriginProtectStatus"), state);
        assert_eq!(server.get("/photos/card.jpg").await.status, status);
        for target in ["/photos/card.jpg?imageMogr2/strip", "/photos/card.jpg!half"] {
            assert_eq!(server.get(target).await.status, 200, "{target}");
        }
        assert_eq!(send(&server, COS, (Method::GET, "/card.jpg"), &[], "").await.status, 200, "signed requests pass");
    }
}

#[tokio::test]
async fn upload_results_tell_every_field() {
    let server = server().await;
    add_style(&server, "small", "imageView2/2/w/30/format/png").await;
    let operations = r#"{"is_pic_info":1,"rules":[{"fileid":"/out/a.jpg","rule":"imageMogr2/rquality/50"},
        {"fileid":"/out/b.png","rule":"style/small"}]}"#
        .replace('\n', "");
    let headers = [("pic-operations", operations.as_str())];
    let answer = send(&server, COS, (Method::POST, "/turned.jpg?image_process"), &headers, "").await;
    let body = answer.text();
    assert_eq!(answer.status, 200, "{body}");
    let original = body.split("<ProcessResults>").next().unwrap();
    for field in [
        "<Format>JPEG<",
        "<Width>120<",
        "<Height>80<",
        "<Quality>80<",
        "<Orientation>6<",
        "<Ave>0x",
        "<Key>turned.jpg<",
    ] {
        assert!(original.contains(field), "{field}: {body}");
    }
    for field in
        ["<Key>out/a.jpg<", "<Format>jpeg<", "<Quality>40<", "<Key>out/b.png<", "<Format>png<", "<Quality>100<"]
    {
        assert!(body.contains(field), "{field}: {body}");
    }
    let stored = std::fs::read(server.objects().join("out/b.png")).unwrap();
    assert!(server.get("/photos/turned.jpg?style/small").await.body == stored);
    let wrong = operations.replace("style/small", "style/none");
    let refused =
        send(&server, COS, (Method::POST, "/card.jpg?image_process"), &[("pic-operations", &wrong)], "").await;
    assert_eq!((refused.status.as_u16(), text(&refused, "Code").as_str()), (404, "NoSuchStyle"));
}
