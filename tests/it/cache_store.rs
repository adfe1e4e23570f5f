//! Results in a store behind the cache: shared by servers, kept for the next one, and never in the way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cards;
use crate::server::Server;

const URL: &str = "/cat.png?imageView2/2/w/32";

/// A server over a folder with a picture, with results in `store`.
async fn over(store: &Path, settings: &str) -> Server {
    let store = url::Url::from_directory_path(store).unwrap();
    let config = format!(
        "[cache]\nfresh = \"0s\"\nstore = \"{store}\"\n{settings}\n[buckets.default]\nurl = \"{{folder}}\"\ndomains = [\"*\"]\n"
    );
    Server::configured(&config, "", &[("cat.png", &cards::png(cards::quadrants(64, 48)))]).await
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let inside = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    entries.flat_map(|entry| inside(entry.unwrap().path())).collect()
}

/// Waits until the store has so many entries: they are written after the answer.
async fn entries(store: &Path, count: usize) -> Vec<PathBuf> {
    for _ in 0..2000 {
        let files = files(store);
        if files.len() == count && files.iter().all(|file| file.extension().is_none()) {
            return files;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{store:?} has {:?} and not {count} entries", files(store));
}

fn timing(answer: &crate::server::Answer) -> &str {
    answer.header("server-timing").split(',').next().unwrap()
}

#[tokio::test]
async fn results_outlive_the_server_that_made_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("results");
    let server = over(&store, "").await;
    let made = server.get(URL).await;
    assert_eq!((made.summary().as_str(), timing(&made)), ("png 32x24", "cache;desc=miss"));
    entries(&store, 1).await;
    let next = server.restarted().await;
    let found = next.get(URL).await;
    assert_eq!((found.body.as_slice(), timing(&found)), (made.body.as_slice(), "cache;desc=store"));
    assert_eq!((found.header("content-type"), found.header("etag")), ("image/png", made.header("etag")));
    assert_eq!(timing(&next.get(URL).await), "cache;desc=hit");
    let info = next.get("/cat.png?imageInfo").await;
    entries(&store, 2).await;
    let last = next.restarted().await;
    let again = last.get("/cat.png?imageInfo").await;
    assert_eq!((again.header("content-type"), &again.body), (info.header("content-type"), &info.body));
}

#[tokio::test]
async fn torn_entries_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = over(folder.path(), "").await;
    let made = server.get(URL).await;
    let tears: [fn(&mut Vec<u8>); 3] =
        [|entry| entry.truncate(100), Vec::clear, |entry| *entry.last_mut().unwrap() ^= 1];
    for tear in tears {
        let file = entries(folder.path(), 1).await.remove(0);
        let whole = std::fs::read(&file).unwrap();
        let mut torn = whole.clone();
        tear(&mut torn);
        std::fs::write(&file, torn).unwrap();
        server = server.restarted().await;
        let again = server.get(URL).await;
        assert_eq!((&again.body, timing(&again)), (&made.body, "cache;desc=miss"));
        for _ in 0..2000 {
            if std::fs::read(&file).ok().as_ref() == Some(&whole) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(std::fs::read(&file).ok().as_ref(), Some(&whole));
    }
}

#[tokio::test]
async fn a_folder_keeps_to_its_budget() {
    let folder = tempfile::tempdir().unwrap();
    // Each entry takes a page besides its bytes.
    let server = over(folder.path(), "store_bytes = 20_000").await;
    for width in 10..30 {
        assert_eq!(server.get(&format!("/cat.png?imageView2/2/w/{width}")).await.status, 200);
    }
    let size =
        || files(folder.path()).iter().map(|file| file.metadata().map_or(0, |about| about.len()) + 4096).sum::<u64>();
    for _ in 0..2000 {
        if (8000..=20_000).contains(&size()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{} bytes are kept", size());
}

#[tokio::test]
async fn serving_goes_on_without_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "text").unwrap();
    // One that cannot be made, and one that turns into a file under the server's hands.
    let gone = folder.path().join("gone");
    let server = over(&gone, "").await;
    std::fs::remove_dir_all(&gone).unwrap();
    std::fs::write(&gone, "text").unwrap();
    for server in [over(&file, "").await, server] {
        for width in 10..15 {
            let url = format!("/cat.png?imageView2/2/w/{width}");
            assert_eq!(timing(&server.get(&url).await), "cache;desc=miss");
            assert_eq!(timing(&server.get(&url).await), "cache;desc=hit");
        }
    }
}

/// A store that hangs delays a request by half a second once, and is then left alone.
#[tokio::test]
async fn a_store_that_hangs_delays_nobody_for_long() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = format!(
        "[cache]\nfresh = \"0s\"\nstore = \"s3://results\"\n[cache.options]\nendpoint = \"http://{address}\"\nallow_http = \"true\"\n\
         region = \"x\"\naccess_key_id = \"x\"\nsecret_access_key = \"x\"\n\
         [buckets.default]\nurl = \"{{folder}}\"\ndomains = [\"*\"]\n"
    );
    let server = Server::configured(&config, "", &[("cat.png", &cards::png(cards::quadrants(64, 48)))]).await;
    for width in 10..20 {
        let url = format!("/cat.png?imageView2/2/w/{width}");
        let answer = tokio::time::timeout(Duration::from_secs(8), server.get(&url)).await;
        assert_eq!(timing(&answer.unwrap()), "cache;desc=miss");
    }
}
