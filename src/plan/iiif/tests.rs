use super::*;

const BOUNDS: Bounds = Bounds { edge: 9_999, area: 24_999_999, strict: false };

/// What a request for a picture of 300x200 comes to: the canonical text, or what is wrong.
fn of_300x200(version: Version, path: &str) -> String {
    resolved(version, path, Size::new(300, 200), &BOUNDS).map_or_else(|refusal| refusal.to_string(), |it| it.canonical)
}

fn resolved(version: Version, path: &str, source: Size, bounds: &Bounds) -> Result<Resolved, Refusal> {
    let parts: Vec<&str> = path.split('/').collect();
    ImageRequest::parse(version, parts.try_into().expect("four parts"))?.of(version, source, bounds)
}

/// Spec iiif-image 3, examples; and its canonical forms (6).
#[test]
fn the_examples_of_version_3() {
    for (path, canonical) in [
        ("125,15,120,140/max/0/default.jpg", "125,15,120,140/max/0/default.jpg"),
        ("pct:41.6,7.5,40,70/max/0/default.jpg", "125,15,120,140/max/0/default.jpg"),
        ("125,15,200,200/max/0/default.jpg", "125,15,175,185/max/0/default.jpg"),
        ("pct:41.6,7.5,66.6,100/max/0/default.jpg", "125,15,175,185/max/0/default.jpg"),
        ("full/150,/0/default.jpg", "full/150,100/0/default.jpg"),
        ("full/,150/0/default.jpg", "full/225,150/0/default.jpg"),
        ("full/pct:50/0/default.jpg", "full/150,100/0/default.jpg"),
        ("full/225,100/0/default.jpg", "full/225,100/0/default.jpg"),
        ("full/!225,100/0/default.jpg", "full/150,100/0/default.jpg"),
        ("full/!600,600/0/default.jpg", "full/max/0/default.jpg"),
        ("full/300,200/360/color.png", "full/max/0/default.png"),
        ("full/^max/0/default.jpg", "full/max/0/default.jpg"),
        ("full/^150,/0/default.jpg", "full/150,100/0/default.jpg"),
        ("full/^!225,100/!0.50/default.jpg", "full/150,100/!0.5/default.jpg"),
        ("square/max/.5/default.jpg", "50,0,200,200/max/0.5/default.jpg"),
        ("0,0,999999999999,200/max/22.50/bitonal.webp", "full/max/22.5/bitonal.webp"),
        ("125,15,120,140/90,/!345/gray.jpg", "125,15,120,140/90,105/!345/gray.jpg"),
        ("full/pct:0.01/0/default.jpg", "full/1,1/0/default.jpg"),
    ] {
        assert_eq!(of_300x200(Version::Three, path), canonical, "{path}");
    }
}

#[test]
fn the_same_in_version_2() {
    for (path, canonical) in [
        ("full/full/0/default.jpg", "full/full/0/default.jpg"),
        ("full/max/0/default.jpg", "full/full/0/default.jpg"),
        ("full/150,100/0/default.jpg", "full/150,/0/default.jpg"),
        ("full/!225,100/0/color.jpg", "full/150,/0/default.jpg"),
        ("full/225,100/0/default.jpg", "full/225,100/0/default.jpg"),
        ("125,15,120,140/!900,900/0/default.jpg", "125,15,120,140/full/0/default.jpg"),
    ] {
        assert_eq!(of_300x200(Version::Two, path), canonical, "{path}");
    }
}

#[test]
fn refusals_name_the_part() {
    let size = "expected max, w, or ,h or pct:n or w,h or !w,h, with or without ^ before it, where numbers are above 0";
    for (path, message) in [
        ("fulll/max/0/default.jpg", "region is \"fulll\"; expected full, square, x,y,w,h or pct:x,y,w,h".to_owned()),
        ("1,2,3/max/0/default.jpg", "region is \"1,2,3\"; expected full, square, x,y,w,h or pct:x,y,w,h".to_owned()),
        ("300,0,5,5/max/0/default.jpg", "region is \"300,0,5,5\", which has no pixel of the picture of 300x200".into()),
        ("0,0,0,5/max/0/default.jpg", "region is \"0,0,0,5\", which has no pixel of the picture of 300x200".into()),
        (
            "pct:0,0,0.1,5/max/0/default.jpg",
            "region is \"pct:0,0,0.1,5\", which has no pixel of the picture of 300x200".into(),
        ),
        ("full/full/0/default.jpg", format!("size is \"full\"; {size}")),
        ("full/0,/0/default.jpg", format!("size is \"0,\"; {size}")),
        ("full/,/0/default.jpg", format!("size is \",\"; {size}")),
        ("full/pct:5./0/default.jpg", format!("size is \"pct:5.\"; {size}")),
        ("full/+5,/0/default.jpg", format!("size is \"+5,\"; {size}")),
        ("full/pct:120/0/default.jpg", "size is \"pct:120\", which enlarges the region of 300x200".into()),
        ("full/301,/0/default.jpg", "size is \"301,\", which enlarges the region of 300x200".into()),
        ("full/100,201/0/default.jpg", "size is \"100,201\", which enlarges the region of 300x200".into()),
        (
            "full/^360,/0/default.jpg",
            "size is \"^360,\", which enlarges the region of 300x200; pictures are not enlarged here".into(),
        ),
        (
            "full/^!360,360/0/default.jpg",
            "size is \"^!360,360\", which enlarges the region of 300x200; pictures are not enlarged here".into(),
        ),
        (
            "full/max/361/default.jpg",
            "rotation is \"361\"; expected degrees from 0 to 360, after ! where the picture is to be mirrored".into(),
        ),
        (
            "full/max/-1/default.jpg",
            "rotation is \"-1\"; expected degrees from 0 to 360, after ! where the picture is to be mirrored".into(),
        ),
        ("full/max/0/default", "quality and format is \"default\"; expected <quality>.<format>".into()),
        ("full/max/0/native.jpg", "quality is \"native\"; expected default, color, gray or bitonal".into()),
        ("full/max/0/default.jp2", "format is \"jp2\"; expected jpg, png, tif, gif or webp".into()),
        ("full/max/0/default.JPG", "format is \"JPG\"; expected jpg, png, tif, gif or webp".into()),
    ] {
        assert_eq!(of_300x200(Version::Three, path), message, "{path}");
    }
    assert!(of_300x200(Version::Two, "full/^max/0/default.jpg").starts_with("size is \"^max\"; expected full, max,"));
}

#[test]
fn plans_say_all_that_is_done() {
    for (path, plan) in [
        ("full/max/0/default.jpg", "imageView2/2/format/jpg"),
        (
            "125,15,120,140/90,/!345/gray.png",
            "imageView2/2/format/png|cut/w/120/h/140/x/125/y/15|size/exact/w/90/h/105|flip/horizontal\
             |imageMogr2/rotate/345/background/IzAwMDAwMDAw|adjust/grayscale/1",
        ),
        ("full/max/22.5/bitonal.jpg", "imageView2/2/format/jpg|imageMogr2/rotate/22.5|adjust/grayscale/1/threshold/50"),
    ] {
        let resolved = resolved(Version::Three, path, Size::new(300, 200), &BOUNDS).unwrap();
        assert_eq!(resolved.plan.to_string(), plan, "{path}");
    }
}

/// Spec iiif-image 3: the worked method for `max`, and what is over the limits.
#[test]
fn sizes_stay_within_bounds() {
    let bounds = Bounds { edge: 1000, area: 500_000, strict: true };
    let (source, max) = (Size::new(3000, 2000), "full/max/0/default.jpg");
    for (path, canonical) in
        [("full/max/0/default.jpg", max), ("full/!3000,2000/0/default.jpg", max), ("full/866,577/0/default.jpg", max)]
    {
        assert_eq!(resolved(Version::Three, path, source, &bounds).unwrap().canonical, canonical, "{path}");
    }
    let sizes = resolved(Version::Three, max, source, &bounds).unwrap().plan.to_string();
    assert_eq!(sizes, "imageView2/2/format/jpg|size/exact/w/866/h/577");
    for (path, message) in [
        (
            "full/1001,/0/default.jpg",
            "size is \"1001,\", which is 1001x667; at most 1000 pixels along an edge and 500000 in all are given",
        ),
        ("full/!3001,2001/0/default.jpg", "size is \"!3001,2001\", which enlarges the region of 3000x2000"),
    ] {
        let refusal = resolved(Version::Three, path, source, &bounds).unwrap_err();
        assert_eq!((refusal.to_string().as_str(), refusal.kind()), (message, ErrorKind::Invalid), "{path}");
    }
    assert_eq!(Bounds { edge: 100, ..bounds }.hold(source), Size::new(100, 67));
    assert_eq!(Bounds { edge: 100, ..bounds }.hold(source.transposed()), Size::new(67, 100));
}
