use super::*;

fn validate(text: &str) -> Result<(), String> {
    if text.starts_with("image") { Ok(()) } else { Err(format!("unsupported fop: {text}")) }
}

fn mistakes(text: &str) -> Vec<String> {
    let mistakes = StyleSheet::parse("styles.toml", text, &validate).err().unwrap_or_default();
    mistakes.iter().map(ToString::to_string).collect()
}

const SHEET: &str = r#"
separators = ["-"]
[styles]
thumb = "imageView2/1/w/200/h/200"
"v2.s" = "imageView2/2/w/2"
"odd@name" = "imageInfo"
"小" = "imageView2/2/w/20"
[buckets.photos]
separators = ["-", "!", "/"]
protected = true
[buckets.photos.styles]
iphone = "imageView/2/h/200|watermark/1/image/aHR0cHM6Ly8="
thumb = "imageView2/1/w/99"
[buckets.at]
separators = ["@", "-"]
prefer_style_as_key = true
[buckets.none]
separators = []
"#;

fn sheet() -> StyleSheet {
    // `odd@name` cannot be beside the separator `@`, which only bucket `at` needs.
    let text = SHEET.replace("\"odd@name\" = \"imageInfo\"\n", "");
    StyleSheet::parse("styles.toml", &text, &validate).unwrap()
}

/// Bucket, path, key, style, parameter.
type Row = (&'static str, &'static str, &'static str, Option<&'static str>, Option<&'static str>);

/// Spec 5.2.
const RESOLUTIONS: [Row; 29] = [
    ("b", "gogopher.jpg-thumb", "gogopher.jpg", Some("thumb"), None),
    ("b", "gogopher.jpg", "gogopher.jpg", None, None),
    ("b", "a-b-c.jpg-thumb", "a-b-c.jpg", Some("thumb"), None),
    // The last separator wins, also when the key ends as a style's name does.
    ("b", "x-thumb-thumb", "x-thumb", Some("thumb"), None),
    ("b", "x--thumb", "x-", Some("thumb"), None),
    // What follows the last separator is no style: all of it is the key.
    ("b", "a-thumb-b", "a-thumb-b", None, None),
    ("b", "a.jpg-undefined", "a.jpg-undefined", None, None),
    ("b", "a.jpg-", "a.jpg-", None, None),
    ("b", "a.jpg-thum", "a.jpg-thum", None, None),
    ("b", "a.jpg-Thumb", "a.jpg-Thumb", None, None),
    // Dots and slashes are text like any other.
    ("b", "dir-1/a.b-c/pic.tar.jpg-thumb", "dir-1/a.b-c/pic.tar.jpg", Some("thumb"), None),
    ("b", "a.jpg-v2.s", "a.jpg", Some("v2.s"), None),
    ("b", "a.jpg-thumb.png", "a.jpg-thumb.png", None, None),
    // Only the bucket's own separators count.
    ("b", "a.jpg!thumb", "a.jpg!thumb", None, None),
    ("photos", "a.jpg!thumb", "a.jpg", Some("thumb"), None),
    ("photos", "a.jpg-iphone", "a.jpg", Some("iphone"), None),
    ("photos", "dir/a.jpg/thumb", "dir/a.jpg", Some("thumb"), None),
    ("photos", "a-thumb!b.jpg-iphone", "a-thumb!b.jpg", Some("iphone"), None),
    ("b", "a.jpg-iphone", "a.jpg-iphone", None, None),
    ("none", "a.jpg-thumb", "a.jpg-thumb", None, None),
    // `@param` is taken off and has no effect.
    ("b", "a.jpg-thumb@3x", "a.jpg", Some("thumb"), Some("3x")),
    ("b", "a.jpg-thumb@", "a.jpg", Some("thumb"), Some("")),
    ("b", "a.jpg-thumb@3@x", "a.jpg", Some("thumb"), Some("3@x")),
    ("b", "a.jpg-thumb@x-y", "a.jpg", Some("thumb"), Some("x-y")),
    ("b", "a.jpg-none@3x", "a.jpg-none@3x", None, None),
    ("at", "a.jpg-thumb@3x", "a.jpg", Some("thumb"), Some("3x")),
    ("at", "a-b@thumb", "a-b", Some("thumb"), None),
    // Several bytes for a character, on every side of the separator.
    ("b", "中文/图.jpg-小", "中文/图.jpg", Some("小"), None),
    // A style needs a key.
    ("b", "-thumb", "-thumb", None, None),
];

#[test]
fn paths_resolve() {
    let sheet = sheet();
    for (bucket, path, key, style, style_param) in RESOLUTIONS {
        let found = sheet.resolve(bucket, path);
        let (name, pipeline) = found.style.unzip();
        assert_eq!((found.key, name, found.style_param), (key, style, style_param), "{bucket} {path}");
        assert_eq!(pipeline, style.and_then(|name| sheet.style(bucket, name)).map(|it| it.1), "{bucket} {path}");
    }
    assert!(sheet.resolve("b", "").style.is_none());
}

#[test]
fn a_name_with_an_at_sign_is_found_before_a_parameter() {
    let text = "[styles]\nodd = \"imageInfo\"\n\"odd@name\" = \"imageAve\"\n";
    let sheet = StyleSheet::parse("styles.toml", text, &validate).unwrap();
    for (path, name, parameter) in [
        ("a-odd@name", "odd@name", None),
        ("a-odd@name@x", "odd@name", Some("x")),
        ("a-odd@other", "odd", Some("other")),
    ] {
        let found = sheet.resolve("b", path);
        assert_eq!((found.style.map(|it| it.0), found.style_param), (Some(name), parameter), "{path}");
    }
}

#[test]
fn a_bucket_adds_to_the_sheet_and_wins() {
    let sheet = sheet();
    assert_eq!(sheet.style("photos", "thumb"), Some(("thumb", "imageView2/1/w/99")));
    assert_eq!(sheet.style("b", "thumb"), Some(("thumb", "imageView2/1/w/200/h/200")));
    assert_eq!(sheet.styles("photos").into_keys().collect::<Vec<_>>(), ["iphone", "thumb", "v2.s", "小"]);
    assert_eq!((sheet.separators("photos"), sheet.separators("b")), (&['-', '!', '/'][..], &['-'][..]));
    assert_eq!((sheet.is_protected("photos"), sheet.is_protected("b")), (Some(true), None));
    assert_eq!((sheet.prefers_key("at"), sheet.prefers_key("photos")), (Some(true), None));
    assert_eq!(sheet.buckets().map(|it| it.0).collect::<Vec<_>>(), ["at", "none", "photos"]);
}

#[test]
fn an_empty_sheet_has_the_default_separator() {
    let sheet = StyleSheet::parse("styles.toml", "", &validate).unwrap();
    assert_eq!((&sheet, sheet.separators("b")), (&StyleSheet::default(), &['-'][..]));
}

#[test]
fn every_permitted_separator_works() {
    for char in SEPARATORS.chars() {
        let text = format!("separators = [{:?}]\n[styles]\nsmall = \"imageInfo\"\n", char.to_string());
        let sheet = StyleSheet::parse("styles.toml", &text, &validate).unwrap();
        assert_eq!(sheet.resolve("b", &format!("a.jpg{char}small")).key, "a.jpg", "{char}");
    }
}

/// One row for each mistake: the sheet, and the exact message.
const MISTAKES: [(&str, &str); 18] = [
    ("separator = [\"-\"]", "styles.toml:1:1: separator: unknown key; did you mean separators?"),
    ("separators = \"-!\"", r#"styles.toml:1:14: separators: "-!" is not a list; write ["-", "!"]"#),
    ("separators = 1", "styles.toml:1:14: separators: 1 is not a list; write […]"),
    (
        "separators = [\"-\", \"--\"]",
        r#"styles.toml:1:20: separators: "--" is not a separator; each is one of ~@$^&*()-_/!+={}[]|:;"'<>,"#,
    ),
    (
        "separators = [\".\"]",
        r#"styles.toml:1:15: separators: "." is not a separator; each is one of ~@$^&*()-_/!+={}[]|:;"'<>,"#,
    ),
    (
        "separators = [\"—\"]",
        r#"styles.toml:1:15: separators: "—" is not a separator; each is one of ~@$^&*()-_/!+={}[]|:;"'<>,"#,
    ),
    (
        "separators = [\"\"]",
        r#"styles.toml:1:15: separators: "" is not a separator; each is one of ~@$^&*()-_/!+={}[]|:;"'<>,"#,
    ),
    ("separators = [1]", "styles.toml:1:15: separators: 1 is not text; write it in quotes"),
    ("[styles]\na = 1", "styles.toml:2:5: styles.a: 1 is not text; write it in quotes"),
    ("[styles]\na = \"\"", "styles.toml:2:5: styles.a: is empty"),
    ("[styles]\na = \"resize/1\"", "styles.toml:2:5: styles.a: unsupported fop: resize/1"),
    (
        "[styles]\na-b = \"imageInfo\"",
        r#"styles.toml:2:1: styles.a-b: the name has "-" in it, a separator; rename it, or remove the separator"#,
    ),
    ("[styles]\n\"\" = \"imageInfo\"", "styles.toml:2:1: styles.: the name of a style is empty"),
    ("[buckets.b]\nprotect = true", "styles.toml:2:1: buckets.b.protect: unknown key; did you mean protected?"),
    (
        "[buckets.b]\nprotected = 1",
        "styles.toml:2:13: buckets.b.protected: 1 is not true or false; write true or false, without quotes",
    ),
    (
        "[buckets.b]\nseparators = [\"!\"]\n[buckets.b.styles]\n\"a!b\" = \"imageInfo\"",
        r#"styles.toml:4:1: buckets.b.styles.a!b: the name has "!" in it, a separator of bucket "b"; rename it, or remove the separator"#,
    ),
    (
        "[styles]\n\"a!b\" = \"imageInfo\"\n[buckets.b]\nseparators = [\"!\"]",
        r#"styles.toml:2:1: styles.a!b: the name has "!" in it, a separator of bucket "b"; rename it, or remove the separator"#,
    ),
    ("[styles\n", "styles.toml:1:8: unclosed table, expected `]`"),
];

#[test]
fn mistakes_are_reported() {
    for (text, message) in MISTAKES {
        assert_eq!(mistakes(text), [message], "{text}");
    }
}

#[test]
fn a_sheet_with_several_mistakes_reports_them_all() {
    let found = mistakes(SHEET);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("styles.odd@name: the name has \"@\" in it, a separator of bucket \"at\""), "{found:?}");
    assert_eq!(mistakes("a = 1\nb = 2\n[styles]\na = \"x\"\n").len(), 3);
}

proptest::proptest! {
    /// Any path resolves: to all of it, or to a key, a separator, a defined style and what follows `@`.
    #[test]
    fn any_path_resolves(path in "(\\PC|[-!/@]|thumb|小){0,12}", bucket in "(b|photos|at|none)") {
        let sheet = sheet();
        let found = sheet.resolve(&bucket, &path);
        match found.style {
            None => assert_eq!((found.key, found.style_param), (path.as_str(), None)),
            Some((name, _)) => {
                let parameter = found.style_param.map_or_else(String::new, |it| format!("@{it}"));
                let tail = format!("{name}{parameter}");
                let separator = path.strip_prefix(found.key).and_then(|it| it.strip_suffix(&tail)).unwrap();
                let char = separator.parse::<char>().unwrap();
                assert!(sheet.separators(&bucket).contains(&char) && !found.key.is_empty());
            }
        }
    }

    #[test]
    fn any_text_is_a_sheet_or_a_list_of_mistakes(text in "(\\PC|\n|[\\[\\]=\"]|styles|separators|buckets\\.b){0,20}") {
        if let Err(mistakes) = StyleSheet::parse("styles.toml", &text, &validate) {
            assert!(!mistakes.is_empty());
        }
    }
}
