//! `images.keep = "copyright"`: who made a picture stays with its results.

use exif::experimental::Writer;
use exif::{Field, In, Tag, Value};
use mogr::engine::metadata;

use crate::cards;
use crate::server::{Answer, Server};

/// A JPEG whose EXIF says who made it, with what, and where.
fn photo() -> Vec<u8> {
    let ascii = |text: &str| Value::Ascii(vec![text.as_bytes().to_vec()]);
    let place = Value::Rational(vec![(31, 1).into(), (13, 1).into(), (22, 1).into()]);
    let fields = [
        (Tag::Artist, ascii("Lin")),
        (Tag::Copyright, ascii("2024 Lin")),
        (Tag::Model, ascii("Canon")),
        (Tag::GPSLatitude, place),
    ]
    .map(|(tag, value)| Field { tag, ifd_num: In::PRIMARY, value });
    let mut writer = Writer::new();
    fields.iter().for_each(|field| writer.push_field(field));
    let mut tiff = std::io::Cursor::new(Vec::new());
    writer.write(&mut tiff, false).unwrap();
    let exif = [b"Exif\0\0".as_slice(), tiff.get_ref()].concat();
    let jpeg = cards::jpeg(&cards::quadrants(300, 200), 90);
    [&jpeg[..2], &[0xff, 0xe1], &(exif.len() as u16 + 2).to_be_bytes(), &exif, &jpeg[2..]].concat()
}

/// Names of the EXIF fields of a result, without that of the version, which every writer adds.
fn told(answer: &Answer) -> Vec<String> {
    let Some(exif) = metadata::read(&answer.body, &answer.image()).exif else { return Vec::new() };
    let json = metadata::exif_json(&exif).unwrap();
    json.as_object().unwrap().keys().filter(|name| *name != "ExifVersion").cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn credits_stay_where_that_is_configured() {
    let bucket = "[buckets.default]\nurl = \"{folder}\"\ndomains = [\"*\"]\n";
    let photo = photo();
    let files: [(&str, &[u8]); 2] = [("photo.jpg", &photo), ("plain.jpg", &cards::jpeg(&cards::quadrants(30, 20), 90))];
    let keeps = Server::configured(&format!("{bucket}[images]\nkeep = \"copyright\"\n"), "", &files).await;
    let drops = Server::configured(bucket, "", &files).await;
    let (credits, all) = (["Artist", "Copyright"], ["Artist", "Copyright", "Model"]);
    for (query, with, without) in [
        ("imageView2/2/w/100", &credits[..], &[][..]),
        ("imageView2/2/w/100/format/webp", &credits, &[]),
        ("imageView2/2/w/100/format/png", &credits, &[]),
        ("imageView2/2/w/100/format/avif", &credits, &[]),
        ("imageMogr2/thumbnail/100x/strip", &credits, &[]),
        ("imageMogr2/thumbnail/100x", &all, &all),
    ] {
        let path = format!("/photo.jpg?{query}");
        let (kept, dropped) = (keeps.get(&path).await, drops.get(&path).await);
        assert_eq!(told(&kept), with, "{query}");
        assert_eq!(told(&dropped), without, "{query}");
    }
    assert_eq!(told(&keeps.get("/plain.jpg?imageView2/2/w/10").await), Vec::<String>::new());
}
