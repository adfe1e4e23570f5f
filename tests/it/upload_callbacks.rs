//! What an upload's owner is told, and answers (spec 2.5, 6.1).

use mogr::store::qetag::qetag;
use serde_json::json;

use crate::media;
use crate::upload::{Part, put, send, server, spooled, stored, token};

/// An owner's server that answers each request with the next of these, and hands over what it was sent.
pub(crate) async fn owner(
    answers: &'static [(&'static str, &'static str)],
) -> (String, tokio::sync::mpsc::Receiver<String>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = tokio::sync::mpsc::channel(10);
    tokio::spawn(async move {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = String::new();
            while !is_whole(&request) {
                let mut piece = [0; 4096];
                let read = stream.read(&mut piece).await.unwrap();
                request.push_str(std::str::from_utf8(&piece[..read]).unwrap());
            }
            sender.send(request).await.unwrap();
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, receiver)
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// Spec 2.5 and 6.1: signed, tried in turn, relayed.
#[tokio::test]
async fn owners_are_called_back() {
    let server = server(&[]).await;
    let (url, mut requests) = owner(&[("500 No", "{}"), ("200 OK", r#"{"ok":"猫"}"#)]).await;
    let fields = json!({
        "callbackUrl": format!("{url}/first;{url}/cb?a=b"),
        "callbackBody": "key=$(key)&hash=$(etag)&at=$(x:at)",
        "callbackHost": "app.example.com",
    });
    let token = token(&server, "photos", fields);
    let parts = [
        Part::Text("token", &token),
        Part::Text("key", "a b"),
        Part::Text("x:at", "猫&"),
        Part::File("a", None, b"hello"),
    ];
    let answer = send(&server, &parts).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, r#"{"ok":"猫"}"#));
    assert!(requests.recv().await.unwrap().starts_with("POST /first HTTP/1.1\r\n"));
    let request = requests.recv().await.unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, format!("key=a%20b&hash={}&at=%E7%8C%AB%26", qetag(b"hello")));
    let form = mogr::auth::management::FORM_TYPE;
    let keys = &server.running.state.keys;
    let signature = mogr::auth::management::sign("/cb?a=b", form, body.as_bytes(), "MY_ACCESS_KEY", keys).unwrap();
    assert!(head.contains(&format!("authorization: {signature}\r\n")), "{head}");
    assert!(head.contains("host: app.example.com\r\n"), "{head}");
}

/// Spec 6.2: streams by their kind, unlike what the operator answers.
#[tokio::test]
async fn sound_is_told_of() {
    if !media::is_installed() {
        return;
    }
    let server = server(&[]).await;
    let template = r#"{"rate":$(avinfo.audio.sample_rate),"film":$(avinfo.video),"of":$(avinfo.format.format_name)}"#;
    let token = token(&server, "photos", json!({ "returnBody": template }));
    let answer = put(&server, &token, Some("a.wav"), &media::wav()).await;
    assert_eq!(answer.json(), json!({ "rate": "22050", "film": null, "of": "wav" }));
    let answer = put(&server, &token, Some("a.txt"), b"hello").await;
    assert_eq!(answer.json(), json!({ "rate": null, "film": null, "of": null }));
    assert_eq!(spooled(&server), 0);
}

#[tokio::test]
async fn callbacks_that_fail_keep_the_file() {
    let server = server(&[]).await;
    let (url, _requests) = owner(&[("404 Not Found", "{}"), ("200 OK", "no json")]).await;
    for (key, target, error) in [
        ("a", url.clone(), "callback failed: it answered 404".to_owned()),
        ("b", url.clone(), format!("callback failed: {url} did not answer with JSON")),
        ("c", "http://10.0.0.1/".to_owned(), "callback failed: http://10.0.0.1/ may not be fetched: its address is in a closed range; [fetch] allow opens one".to_owned()),
    ] {
        let fields = json!({ "callbackUrl": target, "callbackBody": "k=$(key)" });
        let answer = put(&server, &token(&server, "photos", fields), Some(key), b"hello").await;
        assert_eq!((answer.status.as_u16(), answer.json()), (579, json!({ "error": error, "key": key, "hash": qetag(b"hello") })));
        assert_eq!(server.get(&format!("/{key}")).await.body, b"hello");
    }
}

#[tokio::test]
async fn callbacks_name_the_key() {
    let server = server(&[]).await;
    let (url, mut requests) = owner(&[("200 OK", r#"{"key":"named","payload":{"ok":1}}"#), ("200 OK", "{}")]).await;
    let fields = json!({
        "callbackUrl": url, "callbackBody": r#"{"size":$(fsize),"w":$(imageInfo.width)}"#,
        "callbackBodyType": "application/json", "callbackFetchKey": 1,
    });
    let token = token(&server, "photos", fields);
    let answer = put(&server, &token, None, b"hello").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "ok": 1 })));
    assert!(requests.recv().await.unwrap().ends_with(r#"{"size":5,"w":null}"#));
    assert_eq!(server.get("/named").await.body, b"hello");
    let answer = put(&server, &token, None, b"hello again").await;
    assert_eq!(answer.status.as_u16(), 579);
    assert_eq!(stored(&server), ["named"]);
}
