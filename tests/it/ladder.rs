//! Decoded planes that are kept for the next size of a source.

use crate::cards;
use crate::server::Server;

const BUCKET: &str = "[buckets.default]\nurl = \"{folder}\"\ndomains = [\"*\"]\n";
const SIZES: [u32; 6] = [60, 200, 120, 240, 180, 90];

fn level(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
}

/// Whatever was asked for before, an answer's bytes are the same; and what is kept stays within its budget.
#[tokio::test(flavor = "multi_thread")]
async fn sizes_share_what_is_decoded() {
    let files = ["a.jpg", "b.jpg", "c.jpg"].map(|name| (name, cards::jpeg(&cards::quadrants(2000, 1100), 85)));
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, body)| (*name, &body[..])).collect();
    let without = Server::configured(&format!("{BUCKET}[cache]\nladder_bytes = \"1k\"\n"), "", &files).await;
    let with = Server::configured(&format!("{BUCKET}[cache]\nladder_bytes = \"600KiB\"\n"), "", &files).await;
    for (name, _) in &files {
        for width in SIZES {
            let path = format!("/{name}?imageView2/2/w/{width}");
            let (one, other) = (with.get(&path).await, without.get(&path).await);
            assert_eq!(one.status, 200);
            assert!(one.body == other.body, "{path}");
        }
    }
    let metrics = with.api("/metrics").await;
    let (bytes, rungs) = (level(metrics.text(), "mogr_ladder_bytes"), level(metrics.text(), "mogr_ladder_rungs"));
    assert!(rungs >= 2 && (40_000..=600 << 10).contains(&bytes), "{rungs} rungs of {bytes} bytes");
    let metrics = without.api("/metrics").await;
    assert_eq!(level(metrics.text(), "mogr_ladder_rungs"), 0);
}

/// Another version of a source has rungs of its own.
#[tokio::test(flavor = "multi_thread")]
async fn another_version_is_decoded_again() {
    let (old, new) = (cards::quadrants(2000, 1100), image::RgbImage::from_pixel(2000, 1100, image::Rgb([9, 90, 200])));
    let server = Server::over(&[("a.jpg", &cards::jpeg(&old, 85))]).await;
    assert_eq!(server.get("/a.jpg?imageView2/2/w/100").await.status, 200);
    let again = tempfile::NamedTempFile::new_in(server.folder.path()).unwrap();
    std::fs::write(again.path(), cards::jpeg(&new, 90)).unwrap();
    again.persist(server.objects().join("a.jpg")).unwrap();
    let changed = server.get("/a.jpg?imageView2/2/w/120").await;
    crate::server::assert_near(&changed.pixels(), (10, 10), [9, 90, 200], 4);
}
