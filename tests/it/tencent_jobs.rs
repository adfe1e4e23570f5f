//! Tencent CI over the real server: what is malformed, other people's, or not there, and the bytes of results.

use hmac::{Hmac, KeyInit, Mac};
use mogr::http::target::unix_now;
use reqwest::Method;
use sha1::{Digest, Sha1};

use crate::cards;
use crate::server::{Answer, Server};

pub(crate) const CI: &str = "photos-1250000000.ci.ap-chongqing.myqcloud.com";
pub(crate) const COS: &str = "photos-1250000000.cos.ap-chongqing.myqcloud.com";
const CONFIG: &str = r#"
[keys.AK]
secret = "SK"
[keys.STRANGER]
secret = "ST"
[keys.ELSEWHERE]
secret = "EL"
buckets = ["out"]
[buckets.photos]
url = "{folder}"
[buckets.out]
url = "memory:"
"#;

pub(crate) async fn server() -> Server {
    let card = cards::jpeg(&cards::quadrants(120, 80), 90);
    Server::configured(CONFIG, "", &[("card.jpg", &card)]).await
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn keyed(secret: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes())
}

/// The header `Authorization` of a call that signs its host.
pub(crate) fn authorization(who: (&str, &str), host: &str, call: (&Method, &str)) -> String {
    let (method, target) = call;
    let (key, secret) = who;
    let path = target.split('?').next().unwrap();
    let times = format!("{};{}", unix_now() - 60, unix_now() + 600);
    let digest = hex(&Sha1::digest(format!("{}\n{path}\n\nhost={host}\n", method.as_str().to_lowercase())));
    let signature = keyed(&keyed(secret, &times), &format!("sha1\n{times}\n{digest}\n"));
    format!(
        "q-sign-algorithm=sha1&q-ak={key}&q-sign-time={times}&q-key-time={times}&q-header-list=host&q-url-param-list=\
         &q-signature={signature}"
    )
}

pub(crate) async fn send_as(
    server: &Server,
    who: (&str, &str),
    host: &str,
    call: (Method, &str),
    body: &str,
) -> Answer {
    let (method, target) = call;
    let authorization = authorization(who, host, (&method, target));
    let headers = [("host", host), ("authorization", authorization.as_str())];
    server.api_send(method, target, &headers, body.to_owned()).await
}

pub(crate) async fn send(server: &Server, method: Method, target: &str, body: &str) -> Answer {
    send_as(server, ("AK", "SK"), CI, (method, target), body).await
}

/// The text of the first element of that name.
pub(crate) fn text(answer: &Answer, name: &str) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let body = answer.text();
    let start = body.find(&open).map(|at| at + open.len());
    start.map_or_else(String::new, |start| body[start..].split(&close).next().unwrap_or_default().to_owned())
}

pub(crate) fn job(rule: &str, output: &str) -> String {
    format!(
        "<Request><Tag>PicProcess</Tag><Input><Object>card.jpg</Object></Input><Operation><PicProcess><ProcessRule>{rule}\
         </ProcessRule></PicProcess><Output><Region>ap-chongqing</Region><Bucket>photos-1250000000</Bucket><Object>{output}\
         </Object></Output></Operation></Request>"
    )
}

async fn assert_no_jobs(server: &Server) {
    let listed = send(server, Method::GET, "/pic_jobs?tag=PicProcess", "").await;
    assert!(listed.status == 200 && !listed.text().contains("JobsDetail"), "{}", listed.text());
}

#[tokio::test]
async fn what_is_wrong_is_told_and_queues_nothing() {
    let server = server().await;
    let unbound = send(&server, Method::POST, "/pic_jobs", &job("imageMogr2/strip", "a.jpg")).await;
    assert_eq!((unbound.status.as_u16(), text(&unbound, "Code").as_str()), (403, "MediaBucketUnBinded"));
    assert_eq!(send(&server, Method::POST, "/picbucket", "").await.status, 200);
    let good = job("imageMogr2/strip", "a.jpg");
    for (body, status, code, words) in [
        (String::new(), 400, "MissingContent", "no body"),
        (good.replace("</Input>", ""), 400, "InvalidContent", "expected &lt;/Input&gt;, found &lt;/Request&gt;"),
        (good.replace("<Request>", "<!DOCTYPE a><Request>"), 400, "InvalidContent", "document type"),
        (good.replace("Request>", "Other>"), 400, "InvalidContent", "expected &lt;Request&gt;"),
        (good.replace("PicProcess</Tag>", "Other</Tag>"), 400, "InvalidArgument", "Request/Tag"),
        (good.replace("<Object>a.jpg", "<Object>"), 400, "InvalidArgument", "Operation/Output/Object"),
        (good.replace("imageMogr2/strip", "imageMogr2/cgif/3"), 400, "InvalidArgument", "cgif"),
        (good.replace("<Bucket>photos", "<Bucket>nothing"), 404, "NoSuchBucket", "nothing-1250000000"),
        (good.replace("</Request>", "<QueueId>p0</QueueId></Request>"), 404, "QueueNotFound", "p0"),
        (good.replace("</Request>", "<CallBack>ftp://a</CallBack></Request>"), 400, "InvalidArgument", "CallBack"),
        (good.replace("</Request>", "<CallBackType>TDMQ</CallBackType></Request>"), 501, "NotImplemented", "TDMQ"),
        ("x".repeat(2 << 20), 413, "InvalidContent", "1048576"),
    ] {
        let answer = send(&server, Method::POST, "/pic_jobs", &body).await;
        assert_eq!((answer.status.as_u16(), text(&answer, "Code").as_str()), (status, code), "{}", answer.text());
        assert!(text(&answer, "Message").contains(words), "{}", answer.text());
        assert_eq!(text(&answer, "Resource"), "/pic_jobs");
        assert!(!text(&answer, "RequestId").is_empty() && !text(&answer, "TraceId").is_empty());
        assert_eq!(answer.header("content-type"), "application/xml");
    }
    assert_no_jobs(&server).await;
}

#[tokio::test]
async fn jobs_are_their_owners_alone() {
    let server = server().await;
    send(&server, Method::POST, "/picbucket", "").await;
    let submitted = send(&server, Method::POST, "/jobs", &job("imageMogr2/thumbnail/!50p", "out/a.jpg")).await;
    let id = text(&submitted, "JobId");
    assert!(id.starts_with('c') && id.len() == 33, "{}", submitted.text());
    let path = format!("/pic_jobs/{id}");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while text(&send(&server, Method::GET, &path, "").await, "State") != "Success" {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let stored = std::fs::read(server.objects().join("out/a.jpg")).unwrap();
    let same = server.get("/photos/card.jpg?imageMogr2/thumbnail/!50p/quality/own:100").await;
    assert!(stored == same.body, "a job's bytes are delivery's");
    let got = send_as(&server, ("AK", "SK"), COS, (Method::GET, "/card.jpg?imageMogr2/thumbnail/!50p"), "").await;
    assert!(got.body == same.body, "and those of a rule on a COS host");

    let stranger = ("STRANGER", "ST");
    let seen = send_as(&server, stranger, CI, (Method::GET, &path), "").await;
    assert_eq!((text(&seen, "NonExistJobIds"), text(&seen, "JobId")), (id.clone(), String::new()));
    let cancelled = send_as(&server, stranger, CI, (Method::PUT, &format!("/jobs/{id}?cancel")), "").await;
    assert_eq!((cancelled.status.as_u16(), text(&cancelled, "Code").as_str()), (404, "ResourceNotFound"));
    let late = send(&server, Method::PUT, &format!("/jobs/{id}?cancel"), "").await;
    assert_eq!((late.status.as_u16(), text(&late, "Code").as_str()), (400, "InvalidArgument"));
    let elsewhere = send_as(&server, ("ELSEWHERE", "EL"), COS, (Method::GET, "/card.jpg"), "").await;
    assert_eq!((elsewhere.status.as_u16(), text(&elsewhere, "Code").as_str()), (404, "NoSuchBucket"));
    let wrong = send_as(&server, ("AK", "ST"), COS, (Method::GET, "/card.jpg"), "").await;
    assert_eq!((wrong.status.as_u16(), wrong.header("x-errno")), (403, "-46618"));
}
