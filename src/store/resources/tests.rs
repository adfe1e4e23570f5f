use std::collections::BTreeMap;

use url::Url;

use super::super::Timeouts;
use super::super::qetag::qetag;
use super::*;

fn folder() -> (tempfile::TempDir, Bucket) {
    let folder = tempfile::tempdir().unwrap();
    let url = Url::from_directory_path(folder.path()).unwrap();
    let objects = Objects::open_url(&url, &BTreeMap::new(), Timeouts::default()).unwrap();
    (folder, Bucket::over_objects("photos", objects, Timeouts::default()))
}

fn memory() -> Bucket {
    Bucket::over_objects("memory", Objects::in_memory(), Timeouts::default())
}

fn stream(pieces: &[&[u8]]) -> ByteStream {
    let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    Box::pin(futures::stream::iter(pieces))
}

fn facts(body: &[u8]) -> Facts {
    Facts { hash: qetag(body), media_type: "image/x-mine".to_owned(), put_time: 17, ..Facts::default() }
}

async fn put(bucket: &Bucket, key: &str, body: &[u8], may_replace: bool) -> Result<(), Error> {
    bucket.put_stream(key, stream(&[body]), body.len() as u64, facts(body), may_replace).await
}

#[tokio::test]
async fn what_is_put_is_described() {
    let (_folder, on_disk) = folder();
    for bucket in [on_disk, memory()] {
        put(&bucket, "a/猫.jpg", b"one", false).await.unwrap();
        let stat = bucket.stat("a/猫.jpg").await.unwrap();
        assert_eq!((stat.bytes, stat.facts.hash.as_str()), (3, qetag(b"one").as_str()));
        assert_eq!((stat.facts.media_type.as_str(), stat.facts.put_time), ("image/x-mine", 17));
        assert!(matches!(put(&bucket, "a/猫.jpg", b"two", false).await, Err(Error::Exists { .. })));
        put(&bucket, "a/猫.jpg", b"three", true).await.unwrap();
        assert_eq!(bucket.stat("a/猫.jpg").await.unwrap().facts.hash, qetag(b"three"));
        bucket.delete("a/猫.jpg").await.unwrap();
        assert!(matches!(bucket.stat("a/猫.jpg").await, Err(Error::NotFound { .. })));
        assert!(matches!(bucket.delete("a/猫.jpg").await, Err(Error::NotFound { .. })));
    }
}

/// The object appears at the end, whole.
#[tokio::test]
async fn large_streams_are_put_in_parts() {
    let (_folder, on_disk) = folder();
    let body: Vec<u8> = (0..20_000_000_u32).map(|i| (i % 251) as u8).collect();
    for bucket in [on_disk, memory()] {
        let pieces: Vec<&[u8]> = body.chunks(777_777).collect();
        let bytes = body.len() as u64;
        bucket.put_stream("large", stream(&pieces), bytes, facts(&body), false).await.unwrap();
        assert_eq!(bucket.read("large", 1 << 30).await.unwrap().1, body);
        assert_eq!(bucket.stat("large").await.unwrap().facts.media_type, "image/x-mine");
        let again = bucket.put_stream("large", stream(&pieces), bytes, facts(&body), false).await;
        assert!(matches!(again, Err(Error::Exists { .. })), "{again:?}");
    }
}

#[tokio::test]
async fn a_stream_that_fails_leaves_nothing() {
    let (folder, bucket) = folder();
    for bytes in [100, 20_000_000] {
        let failure = Error::ReadOnly { bucket: "spool".to_owned(), action: "be read" };
        let pieces = vec![Ok(Bytes::from(vec![0; bytes / 2 + 1])), Err(failure)];
        let body = Box::pin(futures::stream::iter(pieces));
        let stored = bucket.put_stream("torn", body, bytes as u64, Facts::default(), true).await;
        assert!(matches!(stored, Err(Error::ReadOnly { .. })), "{stored:?}");
        assert!(matches!(bucket.head("torn").await, Err(Error::NotFound { .. })));
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A source that was replaced after it was described is not cut off.
#[tokio::test]
async fn streams_have_the_bytes_that_they_are_said_to_have() {
    let (_folder, on_disk) = folder();
    let large = vec![7; 9_000_000];
    for bucket in [on_disk, memory()] {
        for (said, body) in [(3, &large[..]), (3, b"one more"), (5, b"one"), (9_000_001, &large), (1 << 30, &large)] {
            let stored = bucket.put_stream("a", stream(&[body]), said, facts(b"one"), true).await;
            assert!(matches!(&stored, Err(error) if error.kind().is_transient()), "{said}: {stored:?}");
            assert!(matches!(bucket.head("a").await, Err(Error::NotFound { .. })), "{said}");
        }
    }
}

#[tokio::test]
async fn bytes_of_another_hand_have_their_own_facts() {
    let (folder, bucket) = folder();
    put(&bucket, "a.png", b"one", false).await.unwrap();
    std::fs::write(folder.path().join("a.png"), "by another hand").unwrap();
    let stat = bucket.stat("a.png").await.unwrap();
    assert_eq!((stat.bytes, stat.facts.hash.as_str()), (15, qetag(b"by another hand").as_str()));
    assert_eq!(stat.facts.media_type, "image/png");
}

#[tokio::test]
async fn copies_keep_their_facts() {
    let ((_folder, on_disk), memory) = (folder(), memory());
    for from in [&on_disk, &memory] {
        put(from, "a", b"one", false).await.unwrap();
        for to in [&on_disk, &memory] {
            from.copy("a", to, "b", true, SystemTime::UNIX_EPOCH).await.unwrap();
            let stat = to.stat("b").await.unwrap();
            let facts = (stat.facts.hash, stat.facts.media_type, stat.facts.put_time);
            assert_eq!(facts, (qetag(b"one"), "image/x-mine".to_owned(), 0));
            let again = from.copy("a", to, "b", false, SystemTime::UNIX_EPOCH).await;
            assert!(matches!(again, Err(Error::Exists { .. })), "{again:?}");
        }
        let missing = from.copy("no", &on_disk, "c", true, SystemTime::UNIX_EPOCH).await;
        assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
    }
}

/// As a server leaves it that dies between the two.
#[tokio::test]
async fn an_object_without_facts_takes_those_of_its_bytes() {
    let (_folder, on_disk) = folder();
    for bucket in [on_disk, memory()] {
        bucket.put("a", Bytes::from_static(b"one"), "image/jpeg").await.unwrap();
        assert!(!bucket.adopt("a", facts(b"two")).await.unwrap());
        assert_ne!(bucket.stat("a").await.unwrap().facts.put_time, 17);
        assert!(bucket.adopt("a", facts(b"one")).await.unwrap());
        assert_eq!(bucket.stat("a").await.unwrap().facts.put_time, 17);
        assert!(bucket.adopt("a", Facts { put_time: 18, ..facts(b"one") }).await.unwrap());
        assert_eq!(bucket.stat("a").await.unwrap().facts.put_time, 17);
    }
}

#[tokio::test]
async fn types_can_be_changed() {
    let (_folder, on_disk) = folder();
    for bucket in [on_disk, memory()] {
        put(&bucket, "a", b"one", false).await.unwrap();
        let change = |stat: &Stat| Ok::<_, Error>(Facts { media_type: "text/x-new".to_owned(), ..stat.facts.clone() });
        bucket.change_facts("a", change).await.unwrap();
        assert_eq!(bucket.stat("a").await.unwrap().facts.media_type, "text/x-new");
        assert_eq!(bucket.read("a", 10).await.unwrap().1, "one");
    }
}

async fn names(bucket: &Bucket, prefix: &str, delimiter: &str, limit: usize) -> Vec<Vec<String>> {
    let (mut pages, mut after) = (Vec::new(), Some(String::new()));
    while let Some(from) = after {
        let page = bucket.list(Listing { prefix, delimiter, after: &from, limit }).await.unwrap();
        let names = page.objects.into_iter().map(|(key, _)| key);
        pages.push(names.chain(page.prefixes).collect());
        after = page.next;
    }
    pages
}

#[tokio::test]
async fn listings_have_pages() {
    let (_folder, on_disk) = folder();
    for bucket in [on_disk, memory()] {
        for key in ["b", "a/1", "a/2", "a b+c%20d", "a.1", "猫/1", "a/x/1", "é"] {
            put(&bucket, key, b"", false).await.unwrap();
        }
        assert_eq!(
            names(&bucket, "", "", 3).await,
            [vec!["a b+c%20d", "a.1", "a/1"], vec!["a/2", "a/x/1", "b"], vec!["é", "猫/1"]]
        );
        assert_eq!(names(&bucket, "a/", "/", 10).await, [["a/1", "a/2", "a/x/"]]);
        assert_eq!(names(&bucket, "", "/", 2).await, [vec!["a b+c%20d", "a.1"], vec!["b", "a/"], vec!["é", "猫/"]]);
        assert_eq!(names(&bucket, "a", "", 10).await, [["a b+c%20d", "a.1", "a/1", "a/2", "a/x/1"]]);
        assert_eq!(names(&bucket, "no/such", "", 10).await, [[""; 0]]);
    }
}

#[tokio::test]
async fn the_servers_own_notes_are_no_objects() {
    let (folder, bucket) = folder();
    put(&bucket, "a", b"one", false).await.unwrap();
    let note = Facts::note("a");
    assert!(folder.path().join(".mogr").join(&note).is_file());
    let key = format!(".mogr/{note}");
    assert!(matches!(bucket.read(&key, 1 << 20).await, Err(Error::NotFound { .. })));
    assert!(matches!(bucket.stat(&key).await, Err(Error::NotFound { .. })));
    assert!(matches!(bucket.delete(&key).await, Err(Error::NotFound { .. })));
    assert!(matches!(put(&bucket, &key, b"x", true).await, Err(Error::BadKey { .. })));
    assert!(matches!(bucket.put(".mogr/x", Bytes::new(), "a/b").await, Err(Error::BadKey { .. })));
    assert_eq!(names(&bucket, "", "", 10).await, [["a"]]);
}

#[tokio::test]
async fn keys_that_cannot_be_are_refused() {
    let (_folder, bucket) = folder();
    put(&bucket, "a", b"one", false).await.unwrap();
    for key in ["", "/a", "a/", "x//y", "../x", "a/b"] {
        let stored = put(&bucket, key, b"x", true).await;
        assert!(matches!(stored, Err(Error::BadKey { .. })), "{key}: {stored:?}");
    }
}
