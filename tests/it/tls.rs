//! TLS on the delivery listener, and certificates that change while the server runs.

use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client, Version};

use crate::cards;
use crate::server::Server;

const LONG: Duration = Duration::from_secs(60);

/// A file of `tests/it/files/tls`: two certificates, good for a century, and their keys, which are good for nothing else. Made by
/// `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj /CN=first.example
/// -addext subjectAltName=DNS:images.example,IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE`.
fn file(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/files/tls").join(name);
    std::fs::read(path).unwrap()
}

fn install(folder: &Path, name: &str) {
    std::fs::write(folder.join("cert.pem"), file(&format!("{name}.pem"))).unwrap();
    std::fs::write(folder.join("key.pem"), file(&format!("{name}.key"))).unwrap();
}

fn client(trusted: &str) -> reqwest::ClientBuilder {
    let certificate = Certificate::from_pem(&file(&format!("{trusted}.pem"))).unwrap();
    Client::builder().no_proxy().tls_certs_only([certificate]).pool_max_idle_per_host(0)
}

async fn server(certificates: &Path) -> Server {
    install(certificates, "first");
    let config = format!(
        "[buckets.default]\nurl = \"{{folder}}\"\ndomains = [\"*\"]\n[tls]\ncertificate = {:?}\nkey = {:?}\n\
         [server]\nhead_timeout = \"300ms\"\n",
        certificates.join("cert.pem"),
        certificates.join("key.pem")
    );
    Server::configured(&config, "", &[("card.png", &cards::png(cards::quadrants(64, 48)))]).await
}

#[tokio::test]
async fn both_versions_of_http_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let url = format!("https://{}/card.png?imageView2/2/w/32", server.running.delivery);
    for (client, version) in
        [(client("first").http1_only(), Version::HTTP_11), (client("first").http2_prior_knowledge(), Version::HTTP_2)]
    {
        let answer = client.build().unwrap().get(&url).send().await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
        assert_eq!(answer.headers()["content-type"], "image/png");
    }
    assert!(client("second").build().unwrap().get(&url).send().await.is_err(), "it has the first certificate");
    // Plain HTTP, and silence, are sent away; the API has no TLS.
    assert!(!server.raw("GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.contains("HTTP/1.1 "));
    assert_eq!(tokio::time::timeout(LONG, server.raw("")).await.unwrap(), "");
    assert_eq!(server.api("/healthz").await.status, 200);
}

#[tokio::test]
async fn a_new_certificate_is_taken_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path()).await;
    let url = format!("https://{}/card.png", server.running.delivery);
    let (first, second) = (client("first").build().unwrap(), client("second").build().unwrap());
    std::fs::write(folder.path().join("cert.pem"), "broken").unwrap();
    assert!(first.get(&url).send().await.is_ok());
    install(folder.path(), "second");
    let taken = async {
        while second.get(&url).send().await.is_err() {
            assert!(first.get(&url).send().await.is_ok() || second.get(&url).send().await.is_ok());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LONG, taken).await.expect("it is taken");
}

#[tokio::test]
async fn a_server_does_not_start_without_a_good_pair() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let files = || mogr::http::tls::Files { certificate: certificate.clone(), key: key.clone() };
    mogr::app::install_tls();
    let open = || mogr::http::tls::Certificate::open(files()).unwrap_err().to_string();
    assert!(open().contains("cert.pem cannot be read"), "{}", open());
    install(folder.path(), "first");
    assert!(mogr::http::tls::Certificate::open(files()).is_ok());
    std::fs::write(&key, file("second.key")).unwrap();
    assert!(open().contains("cannot be used together"), "{}", open());
    std::fs::write(&key, file("first.pem")).unwrap();
    assert!(open().contains("is no PEM private key"), "{}", open());
    std::fs::write(&certificate, "").unwrap();
    assert!(open().contains("is no PEM certificate"), "{}", open());
}
