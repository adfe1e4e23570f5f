//! Objects managed in Qiniu's protocol (spec 8).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use mogr::auth::management::{FORM_TYPE, sign};
use mogr::store::qetag::qetag;
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Server};
use crate::upload::server;

fn b64(text: &str) -> String {
    URL_SAFE.encode(text)
}

/// A POST with a form, signed by this key.
async fn signed_by(server: &Server, access_key: &str, target: &str, body: &str) -> Answer {
    let authorization = sign(target, FORM_TYPE, body.as_bytes(), access_key, &server.running.state.keys).unwrap();
    let headers = [("authorization", authorization.as_str()), ("content-type", FORM_TYPE)];
    server.api_send(Method::POST, target, &headers, body.as_bytes().to_vec()).await
}

async fn call(server: &Server, target: &str) -> Answer {
    signed_by(server, "MY_ACCESS_KEY", target, "").await
}

async fn outcome(server: &Server, target: &str) -> (u16, Value) {
    let answer = call(server, target).await;
    assert_eq!(answer.header("x-reqid").len(), 16, "{target}");
    (answer.status.as_u16(), answer.json())
}

fn failure(status: u16, error: &str) -> (u16, Value) {
    (status, json!({ "error": error }))
}

#[tokio::test]
async fn objects_are_described() {
    let server = server(&[("a/猫.png", b"hello")]).await;
    let (status, stat) = outcome(&server, &format!("/stat/{}", b64("photos:a/猫.png"))).await;
    assert_eq!((status, &stat["fsize"], &stat["hash"]), (200, &json!(5), &json!(qetag(b"hello"))));
    assert_eq!((&stat["mimeType"], &stat["type"]), (&json!("image/png"), &json!(0)));
    assert!(stat["putTime"].as_u64().unwrap() > 16_000_000_000_000_000, "{stat}");
    let get = format!("/stat/{}", b64("photos:a/猫.png"));
    let authorization = sign(&get, FORM_TYPE, b"", "MY_ACCESS_KEY", &server.running.state.keys).unwrap();
    let answer = server.api_send(Method::GET, &get, &[("authorization", &authorization)], Vec::new()).await;
    assert_eq!(answer.json(), stat);
}

#[tokio::test]
async fn who_may_not_is_refused() {
    let server = server(&[("a", b"hello")]).await;
    let stat = format!("/stat/{}", b64("photos:a"));
    for (headers, status, error) in [
        (vec![], 401, "token not specified"),
        (vec![("authorization", "QBox MY_ACCESS_KEY:AAAA")], 401, "bad token"),
        (vec![("authorization", "UpToken x")], 401, "bad token"),
    ] {
        for target in [stat.as_str(), "/list?bucket=photos", "/batch", "/buckets"] {
            let answer = server.api_send(Method::POST, target, &headers, Vec::new()).await;
            assert_eq!((answer.status.as_u16(), answer.json()), failure(status, error), "{target}");
        }
    }
    let other = signed_by(&server, "OTHER_KEY", &stat, "").await;
    assert_eq!((other.status.as_u16(), other.json()), failure(403, "not allowed"));
    let list = signed_by(&server, "OTHER_KEY", "/list?bucket=photos", "").await;
    assert_eq!((list.status.as_u16(), list.json()), failure(403, "not allowed"));
    assert_eq!(signed_by(&server, "OTHER_KEY", "/buckets", "").await.json(), json!(["other"]));
    assert_eq!(call(&server, "/buckets").await.json(), json!(["other", "photos"]));
}

#[tokio::test]
async fn objects_are_copied_moved_and_deleted() {
    let server = server(&[("a", b"one"), ("b", b"two")]).await;
    let (a, b, c, far) = (b64("photos:a"), b64("photos:b"), b64("photos:c"), b64("other:x/y"));
    let done = (200, json!({}));
    let missing = failure(612, "no such file or directory");
    let exists = failure(614, "file exists");
    for (target, expected) in [
        (format!("/copy/{a}/{b}"), &exists),
        (format!("/copy/{a}/{c}"), &done),
        (format!("/copy/{a}/{c}"), &exists),
        (format!("/copy/{b}/{c}/force/true"), &done),
        (format!("/copy/{a}/{far}"), &done),
        (format!("/move/{a}/{a}/force/true"), &done),
        (format!("/move/{a}/{a}"), &exists),
        (format!("/move/{a}/{}", b64("photos:moved")), &done),
        (format!("/stat/{a}"), &missing),
        (format!("/move/{a}/{b}"), &missing),
        (format!("/copy/{a}/{b}/force/true"), &missing),
        (format!("/delete/{b}"), &done),
        (format!("/delete/{b}"), &missing),
        (format!("/delete/{}", b64("nowhere:b")), &failure(631, "no such bucket")),
    ] {
        assert_eq!(&outcome(&server, &target).await, expected, "{target}");
    }
    let hash = async |entry: &str| outcome(&server, &format!("/stat/{entry}")).await.1["hash"].clone();
    assert_eq!(hash(&c).await, qetag(b"two"));
    assert_eq!(hash(&far).await, qetag(b"one"));
    assert_eq!(server.get("/moved").await.body, b"one");
    assert_eq!(server.get("/b").await.status, 404);
}

#[tokio::test]
async fn facts_are_changed() {
    let server = server(&[("a", b"one")]).await;
    let entry = b64("photos:a");
    let change = format!("/chgm/{entry}/mime/{}/x-qn-meta-By/{}", b64("text/x-own"), b64("me"));
    assert_eq!(outcome(&server, &change).await, (200, json!({})));
    assert_eq!(outcome(&server, &format!("/chtype/{entry}/type/1")).await, (200, json!({})));
    assert_eq!(outcome(&server, &format!("/deleteAfterDays/{entry}/7")).await, (200, json!({})));
    let (_, stat) = outcome(&server, &format!("/stat/{entry}")).await;
    assert_eq!((&stat["mimeType"], &stat["type"]), (&json!("text/x-own"), &json!(1)));
    assert_eq!((&stat["x-qn-meta"], &stat["hash"]), (&json!({ "by": "me" }), &json!(qetag(b"one"))));
    assert!(stat["expiration"].as_u64().unwrap() > crate::upload::now() + 6 * 86_400, "{stat}");
    assert_eq!(server.get("/a").await.header("content-type"), "text/x-own");
    let held = format!("/chgm/{entry}/mime/{}/cond/{}", b64("a/b"), b64("fsize=4"));
    assert_eq!(outcome(&server, &held).await, failure(412, "cond: fsize is 3, not 4"));
    let held = format!("/chgm/{entry}/mime/{}/cond/{}", b64("a/b"), b64("fsize=3"));
    assert_eq!(outcome(&server, &held).await, (200, json!({})));
}

#[tokio::test]
async fn listings_have_pages_and_markers() {
    let server = server(&[("a/1", b"1"), ("a/2", b"2"), ("b", b"b"), ("c/1", b"")]).await;
    let keys = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|item| item["key"].as_str().unwrap().to_owned()).collect()
    };
    let (_, first) = outcome(&server, "/list?bucket=photos&limit=3").await;
    assert_eq!(
        (keys(&first), &first["marker"]),
        (vec!["a/1".to_owned(), "a/2".to_owned(), "b".to_owned()], &json!(b64(r#"{"c":0,"k":"b"}"#)))
    );
    let (_, rest) =
        outcome(&server, &format!("/list?bucket=photos&marker={}", first["marker"].as_str().unwrap())).await;
    assert_eq!((keys(&rest), rest.get("marker")), (vec!["c/1".to_owned()], None));
    let (_, folded) = outcome(&server, "/list?bucket=photos&delimiter=%2F").await;
    assert_eq!((keys(&folded), &folded["commonPrefixes"]), (vec!["b".to_owned()], &json!(["a/", "c/"])));
    let (_, below) = outcome(&server, "/list?bucket=photos&prefix=a%2F&limit=1").await;
    assert_eq!(keys(&below), ["a/1"]);
    assert_eq!(outcome(&server, "/list?bucket=photos&marker=x").await, failure(640, "invalid list marker \"x\""));
    assert_eq!(outcome(&server, "/list?bucket=nowhere").await, failure(631, "no such bucket"));
    assert_eq!(outcome(&server, "/list").await, failure(400, "invalid argument: bucket is missing"));
}

#[tokio::test]
async fn batches_answer_line_by_line() {
    let server = server(&[("a", b"one")]).await;
    let (a, b) = (b64("photos:a"), b64("photos:b"));
    let all = signed_by(&server, "MY_ACCESS_KEY", "/batch", &format!("op=/copy/{a}/{b}&op=stat/{b}")).await;
    assert_eq!((all.status.as_u16(), &all.json()[0]), (200, &json!({ "code": 200 })));
    assert_eq!(all.json()[1]["data"]["hash"], qetag(b"one"));
    let body = format!("op=/delete/{b}&op=/delete/{b}&op=/nonsense&op=/stat/{}", b64("nowhere:a"));
    let partly = signed_by(&server, "MY_ACCESS_KEY", "/batch", &body).await;
    assert_eq!(
        (partly.status.as_u16(), partly.json()),
        (
            298,
            json!([
                { "code": 200 },
                { "code": 612, "data": { "error": "no such file or directory" } },
                { "code": 400, "data": { "error": "invalid argument: \"/nonsense\" is no operation of this server" } },
                { "code": 631, "data": { "error": "no such bucket" } },
            ])
        )
    );
    for (body, status) in [(String::new(), 400), ("op=/stat/x&".repeat(1001), 400)] {
        assert_eq!(signed_by(&server, "MY_ACCESS_KEY", "/batch", &body).await.status.as_u16(), status);
    }
}

#[tokio::test]
async fn clients_are_told_their_hosts() {
    let server = server(&[]).await;
    let hosts = server.api("/v4/query?ak=MY_ACCESS_KEY&bucket=photos").await.json();
    let (api, delivery) = (server.running.api.to_string(), server.running.delivery.to_string());
    let host = &hosts["hosts"][0];
    assert_eq!(host["up"]["domains"], json!([api]));
    assert_eq!((&host["rs"]["domains"], &host["io"]["domains"]), (&json!([api]), &json!([delivery])));
    for query in ["ak=MY_ACCESS_KEY&bucket=nowhere", "ak=nobody&bucket=photos", "ak=OTHER_KEY&bucket=photos"] {
        let answer = server.api(&format!("/v4/query?{query}")).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (631, "no such bucket"), "{query}");
    }
    assert_eq!(server.api("/v4/query").await.status, 400);
}

/// The listener's other paths are what they were.
#[tokio::test]
async fn other_paths_stay() {
    let server = server(&[]).await;
    assert_eq!(server.api("/healthz").await.text(), "ok\n");
    assert_eq!(server.api("/").await.status, 404);
    assert_eq!(server.api("/nowhere").await.status, 404);
}
