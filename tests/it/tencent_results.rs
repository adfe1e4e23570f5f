//! Finished and failed jobs of Tencent's, field by field: asked for, and told to their owners.

use mogr::store::qetag::qetag;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cards;
use crate::server::{Answer, Server};
use crate::tencent_jobs::{job, send, send_as, text};
use crate::upload_callbacks::owner;

const PIC: &str = "photos-1250000000.pic.ap-chongqing.myqcloud.com";
const CONFIG: &str = r#"
[keys.AK]
secret = "SK"
[buckets.photos]
url = "{folder}"
dialect = "tencent"
[buckets.far]
url = "http://127.0.0.1:9/"
[tencent]
bucket = "photos"
[fetch]
allow = ["127.0.0.0/8"]
"#;

/// A server whose bucket is enabled, with a card at quality 80 that is to be turned, and what is no picture.
async fn server() -> Server {
    let turned = cards::oriented(&cards::jpeg(&cards::quadrants(120, 80), 80), 6);
    let files: [(&str, &[u8]); 2] = [("card.jpg", &turned), ("text.jpg", b"no picture")];
    let server = Server::configured(CONFIG, "", &files).await;
    let enabled = send(&server, Method::POST, "/picbucket", "").await;
    assert_eq!(enabled.status, 200, "{}", enabled.text());
    server
}

/// A job when it has ended.
async fn ended(server: &Server, body: &str) -> Answer {
    let submitted = send(server, Method::POST, "/pic_jobs", body).await;
    assert_eq!(submitted.status, 200, "{}", submitted.text());
    let path = format!("/pic_jobs/{}", text(&submitted, "JobId"));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let found = send(server, Method::GET, &path, "").await;
        if !matches!(text(&found, "State").as_str(), "Submitted" | "Running") {
            return found;
        }
        assert!(std::time::Instant::now() < deadline, "{}", found.text());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// A document without what differs from run to run, which is not empty.
fn steady(document: &str) -> String {
    let mut body = document[document.find("<JobsDetail>").unwrap()..].to_owned();
    for name in ["JobId", "QueueId", "CreationTime", "StartTime", "EndTime"] {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let (before, rest) = body.split_once(&open).unwrap();
        let (value, behind) = rest.split_once(&close).unwrap();
        assert!(value.len() > 1, "{name} is {value:?}");
        body = format!("{before}{behind}");
    }
    body
}

/// What the results of the test below are.
struct Facts {
    etag: String,
    average: String,
    hash: String,
    bytes: usize,
    size: (u32, u32),
}

impl Facts {
    fn xml(&self) -> String {
        let Self { etag, average, hash, bytes, size: (width, height) } = self;
        let etag = etag.replace('"', "&quot;");
        let host = "photos-1250000000.cos.ap-chongqing.myqcloud.com";
        let info = format!(
            "<ImageInfo><Ave>{average}</Ave><Format>JPEG</Format><Height>80</Height><Orientation>6</Orientation><Quality>80\
             </Quality><Width>120</Width></ImageInfo>"
        );
        format!(
            "<JobsDetail><Code>Success</Code><Message/><State>Success</State><Tag>PicProcess</Tag><Input><BucketId>\
             photos-1250000000</BucketId><Object>card.jpg</Object><Region>ap-chongqing</Region></Input><Operation>\
             <PicProcess><IsPicInfo>true</IsPicInfo><ProcessRule>style/small</ProcessRule></PicProcess><Output><Bucket>\
             photos-1250000000</Bucket><Object>out/a.png</Object><Region>ap-chongqing</Region></Output><UserData>a &lt; b\
             </UserData><JobLevel>1</JobLevel><PicProcessResult><ObjectName>out/a.png</ObjectName><OriginalInfo><Etag>\
             {etag}</Etag>{info}</OriginalInfo><ProcessResult><Etag>&quot;{hash}&quot;</Etag><Format>PNG</Format><Height>\
             {height}</Height><Quality>100</Quality><Size>{bytes}</Size><Width>{width}</Width></ProcessResult>\
             <UploadResult><OriginalInfo><Key>card.jpg</Key><Location>{host}/card.jpg</Location><ETag>{etag}</ETag>{info}\
             </OriginalInfo><ProcessResults><Object><Key>out/a.png</Key><Location>{host}/out/a.png</Location><Format>png\
             </Format><Width>{width}</Width><Height>{height}</Height><Size>{bytes}</Size><Quality>100</Quality><ETag>\
             &quot;{hash}&quot;</ETag></Object></ProcessResults></UploadResult></PicProcessResult></Operation></JobsDetail>"
        )
    }

    fn json(&self) -> Value {
        let Self { etag, average, hash, bytes, size: (width, height) } = self;
        json!({
            "ObjectName": "out/a.png",
            "OriginalInfo": { "Etag": etag, "ImageInfo": {
                "Ave": average, "Format": "JPEG", "Height": "80", "Orientation": "6", "Quality": "80", "Width": "120",
            } },
            "ProcessResult": {
                "Etag": format!("\"{hash}\""), "Format": "PNG", "Height": height.to_string(), "Quality": "100",
                "Size": bytes.to_string(), "Width": width.to_string(),
            },
        })
    }
}

#[tokio::test]
async fn results_and_callbacks_are_spelled_as_the_samples() {
    let server = server().await;
    let style = "<AddStyle><StyleName>small</StyleName><StyleBody>imageView2/2/w/30/format/png</StyleBody></AddStyle>";
    assert_eq!(send_as(&server, ("AK", "SK"), PIC, (Method::PUT, "/?style"), style).await.status, 200);
    let (url, mut told) = owner(&[("200 OK", ""), ("200 OK", "")]).await;
    let of_format = |format: &str| {
        let more = "<UserData>a &lt; b</UserData><JobLevel>1</JobLevel></Operation>";
        let to = format!("<CallBack>{url}/cb</CallBack><CallBackFormat>{format}</CallBackFormat></Request>");
        let body = job("style/small", "out/a.png").replace("<ProcessRule>", "<IsPicInfo>true</IsPicInfo><ProcessRule>");
        body.replace("</Operation>", more).replace("</Request>", &to)
    };

    let finished = ended(&server, &of_format("XML")).await;
    let message = told.recv().await.unwrap();
    let stored = std::fs::read(server.objects().join("out/a.png")).unwrap();
    let served = server.get("/photos/card.jpg?style/small").await;
    assert!(served.body == stored, "a job's bytes are delivery's");
    let size = served.image().size;
    let facts = Facts {
        etag: text(&finished, "Etag").replace("&quot;", "\""),
        average: server.get("/photos/card.jpg?imageAve").await.json()["RGB"].as_str().unwrap().to_owned(),
        hash: qetag(&stored),
        bytes: stored.len(),
        size: (size.width, size.height),
    };
    assert!(facts.etag.len() > 2 && facts.average.starts_with("0x"), "{}", finished.text());
    assert_eq!(steady(finished.text()), facts.xml() + "</Response>");
    assert!(message.starts_with("POST /cb HTTP/1.1\r\n"), "{message}");
    assert!(message.to_ascii_lowercase().contains("\r\ncontent-type: application/xml\r\n"), "{message}");
    assert!(message.contains("<Response><EventName>TaskFinish</EventName><JobsDetail>"), "{message}");
    assert_eq!(steady(&message), facts.xml() + "</Response>");

    let finished = ended(&server, &of_format("JSON")).await;
    let message = told.recv().await.unwrap();
    assert!(message.to_ascii_lowercase().contains("\r\ncontent-type: application/json\r\n"), "{message}");
    let body: Value = serde_json::from_str(message.split_once("\r\n\r\n").unwrap().1).unwrap();
    let detail = &body["JobsDetail"][0];
    for name in ["JobId", "QueueId", "CreationTime", "StartTime", "EndTime", "Tag", "State", "Code", "Message"] {
        assert_eq!(detail[name], text(&finished, name), "{name}");
    }
    assert_eq!((&body["EventName"], body["JobsDetail"].as_array().unwrap().len()), (&json!("TaskFinish"), 1));
    let bucket = "photos-1250000000";
    assert_eq!(detail["Input"], json!({ "BucketId": bucket, "Object": "card.jpg", "Region": "ap-chongqing" }));
    let operation = &detail["Operation"];
    assert_eq!(operation["Output"], json!({ "Bucket": bucket, "Object": "out/a.png", "Region": "ap-chongqing" }));
    assert_eq!((&operation["UserData"], &operation["JobLevel"]), (&json!("a < b"), &json!(1)));
    for (name, expected) in facts.json().as_object().unwrap() {
        assert_eq!(&operation["PicProcessResult"][name], expected, "{name}");
    }
}

#[tokio::test]
async fn failed_jobs_have_the_code_of_what_failed() {
    let server = server().await;
    let (strip, mark) = ("imageMogr2/strip", "watermark/1/image_key/bm90aGluZy5wbmc");
    let own = "photos-1250000000";
    for (source, rule, bucket, code) in [
        ("nothing.jpg", strip, own, "ResourceNotFound"),
        ("card.jpg", mark, own, "ResourceNotFound"),
        ("text.jpg", strip, own, "ResourceNotSupported"),
        ("card.jpg", strip, "far-1250000000", "WriteTargetBucketDenied"),
    ] {
        let body = job(rule, "a.jpg")
            .replace("card.jpg", source)
            .replace(&format!("<Bucket>{own}"), &format!("<Bucket>{bucket}"));
        let failed = ended(&server, &body).await;
        let found = (text(&failed, "State"), text(&failed, "Code"));
        assert_eq!(found, ("Failed".to_owned(), code.to_owned()), "{source} {rule}: {}", failed.text());
        assert!(
            !text(&failed, "Message").is_empty() && !failed.text().contains("PicProcessResult"),
            "{}",
            failed.text()
        );
    }
}

#[tokio::test]
async fn hosts_without_a_service_are_of_who_signs_so() {
    let server = server().await;
    let style = "<AddStyle><StyleName>half</StyleName><StyleBody>imageMogr2/thumbnail/!50p</StyleBody></AddStyle>";
    let strip = job("imageMogr2/strip", "a.jpg");
    let expected = server.get("/photos/card.jpg?imageMogr2/thumbnail/!50p").await.body;
    for host in ["127.0.0.1", "localhost", "images.example.com", "photos-1250000000.localhost"] {
        let send = |method, target, body| send_as(&server, ("AK", "SK"), host, (method, target), body);
        let queue = send(Method::GET, "/queue", "").await;
        assert!(text(&queue, "QueueId").starts_with('p'), "{host}: {}", queue.text());
        assert_eq!(queue.header("server"), "tencent-ci");
        let submitted = send(Method::POST, "/jobs", &strip).await;
        assert!(text(&submitted, "JobId").starts_with('c'), "{host}: {}", submitted.text());
        assert_eq!(send(Method::GET, "/picbucket", "").await.status, 200, "{host}");
        assert_eq!(send(Method::PUT, "/?style", style).await.status, 200, "{host}");
        assert!(send(Method::GET, "/card.jpg?style/half", "").await.body == expected, "{host}");
        assert_eq!(send(Method::PUT, "/b.txt", "hello").await.status, 200, "{host}");
        assert_eq!(send(Method::GET, "/b.txt", "").await.text(), "hello");
        let unsigned = server.api_send(Method::GET, "/queue", &[("host", host)], "").await;
        assert_ne!(unsigned.header("server"), "tencent-ci", "{host}");
    }
}
