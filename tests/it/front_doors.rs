//! One picture, five front doors: the same resize stores the same bytes, whichever API asks for it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use hmac::{Hmac, KeyInit, Mac};
use mogr::http::target::unix_now;
use reqwest::Method;
use serde_json::json;
use sha1::{Digest, Sha1};

use crate::cards;
use crate::server::Server;

const CONFIG: &str = r#"
[keys.AK]
secret = "SK"
[buckets.photos]
url = "{folder}"
domains = ["*"]
[dlcs]
thumbs = [60]
[dlcs.customers.2]
key = "AK"
bucket = "photos"
"#;

/// How long a result may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What every door is asked for, in the words of delivery. Blitline names the quality that a photograph made so small has.
const PIPELINE: &str = "imageView2/2/w/60/h/60/format/jpg";
const QUALITY: u32 = 75;

fn hmac_sha1(secret: &str, text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn pfop(server: &Server, key: &str) {
    let saveas = URL_SAFE.encode(format!("photos:{key}"));
    let fops = format!("{PIPELINE}|saveas/{saveas}");
    let fields = [("bucket", "photos"), ("key", "in/card.jpg"), ("fops", &*fops)];
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let signature = URL_SAFE.encode(hmac_sha1("SK", &format!("/pfop\n{body}")));
    let authorization = format!("QBox AK:{signature}");
    let form = "application/x-www-form-urlencoded";
    let headers = [("authorization", authorization.as_str()), ("content-type", form)];
    let answer = server.api_send(Method::POST, "/pfop", &headers, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// It keeps the quality of its source where a rule names none; the others have 75.
async fn tencent(server: &Server, key: &str) {
    let host = "photos-1250000000.ci.ap-chongqing.myqcloud.com";
    let send = async |path: &str, body: String| {
        let times = format!("{};{}", unix_now() - 60, unix_now() + 600);
        let digest = hex(&Sha1::digest(format!("post\n{path}\n\nhost={host}\n")));
        let sign_key = hex(&hmac_sha1("SK", &times));
        let signature = hex(&hmac_sha1(&sign_key, &format!("sha1\n{times}\n{digest}\n")));
        let authorization = format!(
            "q-sign-algorithm=sha1&q-ak=AK&q-sign-time={times}&q-key-time={times}&q-header-list=host\
             &q-url-param-list=&q-signature={signature}"
        );
        let headers = [("host", host), ("authorization", authorization.as_str())];
        let answer = server.api_send(Method::POST, path, &headers, body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    send("/picbucket", String::new()).await;
    let job = format!(
        "<Request><Tag>PicProcess</Tag><Input><Object>in/card.jpg</Object></Input><Operation><PicProcess><ProcessRule>\
         {PIPELINE}/q/75</ProcessRule></PicProcess><Output><Region>ap-chongqing</Region><Bucket>photos-1250000000</Bucket>\
         <Object>{key}</Object></Output></Operation></Request>"
    );
    send("/pic_jobs", job).await;
}

async fn blitline(server: &Server, key: &str) {
    let save = json!({
        "image_identifier": "one", "quality": QUALITY, "s3_destination": { "bucket": "photos", "key": key }
    });
    let job = json!({
        "application_id": "AK", "v": 1.22, "src": { "name": "s3", "bucket": "photos", "key": "in/card.jpg" },
        "functions": [{ "name": "resize_to_fit", "params": { "width": 60, "height": 60 }, "save": save }]
    });
    let headers = [("content-type", "application/json")];
    let answer = server.api_send(Method::POST, "/job", &headers, job.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

async fn dlcs(server: &Server) {
    let authorization = format!("Basic {}", STANDARD.encode("AK:SK"));
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let post = async |path: &str, body: serde_json::Value| {
        let answer = server.api_send(Method::POST, path, &headers, body.to_string()).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
    };
    post("/customers/2/spaces", json!({ "name": "one" })).await;
    let member = json!({ "id": "a", "space": 1, "origin": "s3://photos/in/card.jpg", "mediaType": "image/jpeg" });
    post("/customers/2/queue", json!({ "@type": "Collection", "member": [member] })).await;
}

/// The object once it is there, whole.
async fn stored(server: &Server, key: &str) -> Vec<u8> {
    let path = server.objects().join(key);
    let there = async {
        loop {
            match std::fs::read(&path) {
                Ok(body) => return body,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, there).await.unwrap_or_else(|_| panic!("{key} is stored"))
}

#[tokio::test]
async fn one_picture_five_doors() {
    let card = cards::jpeg(&cards::quadrants(120, 80), 95);
    let server = Server::configured(CONFIG, "", &[("in/card.jpg", &card)]).await;
    let delivered = server.get(&format!("/in/card.jpg?{PIPELINE}")).await;
    assert_eq!(delivered.summary(), "jpeg 60x40");
    pfop(&server, "pfop.jpg").await;
    tencent(&server, "tencent.jpg").await;
    blitline(&server, "blitline.jpg").await;
    dlcs(&server).await;
    for key in ["pfop.jpg", "tencent.jpg", "blitline.jpg", "1/a/60.jpg"] {
        assert!(stored(&server, key).await == delivered.body, "{key}");
    }
}
