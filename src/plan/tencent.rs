//! Tencent's rules as plans: `imageMogr2/…`, `imageView2/…`, `watermark/…` in that vendor's grammar and with its defaults
//! (Tencent spec 7 and 8). The plan's own text is all that jobs and caches see. What has no counterpart is refused by name.

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE_NO_PAD, URL_SAFE_PAD_INDIFFERENT};

use super::{ParseError, Plan};

/// Most stages of a rule.
const MAX_STAGES: usize = 10;

/// What this server does not do, and why.
const UNDONE: [(&str, &str); 10] = [
    ("scrop", "faces are not looked for"),
    ("rcrop", "crops by aspect ratio are not done; use crop"),
    ("flip", "pictures are not mirrored"),
    ("rquality", "qualities relative to the original's are not done; use quality"),
    ("lquality", "lower bounds of qualities are not done; use quality"),
    ("rq", "qualities relative to the original's are not done; use q"),
    ("lq", "lower bounds of qualities are not done; use q"),
    ("cgif", "frames are not dropped"),
    ("minsize", "it is not documented"),
    ("watermark/3", "blind watermarks are not done"),
];

/// Reads a rule.
///
/// # Errors
/// [`ParseError`], as for [`Plan::parse`].
pub fn parse(rule: &str) -> Result<Plan, ParseError> {
    let stages: Vec<&str> = rule.split('|').collect();
    if stages.len() > MAX_STAGES {
        return Err(ParseError::Length { count: stages.len(), limit: MAX_STAGES });
    }
    let ours = stages.into_iter().map(stage).collect::<Result<Vec<_>, _>>()?;
    let plan = Plan::parse(&ours.join("|"))?;
    match plan.saveas() {
        Some(_) => Err(undone("saveas", "it is no operator of this dialect")),
        None => Ok(plan),
    }
}

fn undone(name: &str, reason: &'static str) -> ParseError {
    ParseError::OutOfScope { name: name.to_owned(), reason }
}

fn check_done(name: &str) -> Result<(), ParseError> {
    match UNDONE.iter().find(|(undone, _)| *undone == name) {
        Some((name, reason)) => Err(undone(name, reason)),
        None => Ok(()),
    }
}

fn stage(text: &str) -> Result<String, ParseError> {
    let (name, rest) = text.split_once('/').unwrap_or((text, ""));
    let arguments: Vec<&str> = rest.split('/').filter(|argument| !argument.is_empty()).collect();
    match name {
        "imageMogr2" => Mogr::read(&arguments),
        "imageView2" => view(&arguments),
        "watermark" => watermark(&arguments),
        "imageInfo" | "exif" | "imageAve" | "" => Ok(text.to_owned()),
        other => Err(undone(other, "it is no operator of this dialect")),
    }
}

/// `imageMogr2` as stages of ours: some of its operations are operators of their own here.
#[derive(Default)]
struct Mogr {
    stages: Vec<String>,
    operations: String,
    settings: String,
    thumbnail: Option<String>,
}

const INTEGER: &str = "an integer in the range of the documents";

impl Mogr {
    fn read(arguments: &[&str]) -> Result<String, ParseError> {
        let mut mogr = Self::default();
        // Documents write the gravity before and after the crop it is for.
        let at = arguments.iter().position(|name| *name == "gravity");
        let gravity = at.and_then(|at| arguments.get(at + 1)).map_or("northwest", |gravity| gravity);
        let mut left = arguments.iter().copied();
        while let Some(name) = left.next() {
            check_done(name)?;
            if matches!(name, "auto-orient" | "strip") {
                mogr.operations.push_str(&format!("/{name}"));
                continue;
            }
            let missing = || missing("imageMogr2", name);
            let value = left.next().ok_or_else(missing)?;
            mogr.add(name, value, gravity, arguments)?;
        }
        Ok(mogr.finish())
    }

    fn add(&mut self, name: &str, value: &str, gravity: &str, all: &[&str]) -> Result<(), ParseError> {
        let refused = || invalid("imageMogr2", name, value);
        let integer = |range: std::ops::RangeInclusive<i32>| {
            value.parse::<i32>().ok().filter(|number| range.contains(number)).ok_or_else(refused)
        };
        match name {
            "gravity" | "color" => {}
            "thumbnail" => {
                self.thumbnail = Some(value.to_owned());
                self.operations.push_str(&format!("/thumbnail/{value}"));
            }
            "pad" if value == "0" => {}
            "pad" if value == "1" => self.pad(all)?,
            "crop" => {
                let gravity = gravity_of(gravity);
                self.operations.push_str(&format!("/gravity/{gravity}/crop/{value}"));
            }
            "cut" => {
                let [w, h, x, y] = numbers(value).ok_or_else(refused)?;
                self.operations.push_str(&format!("/gravity/NorthWest/crop/!{w}x{h}a{x}a{y}"));
            }
            "rotate" => self.operations.push_str(&format!("/rotate/{}", integer(0..=360)?)),
            "blur" => self.operations.push_str(&format!("/blur/{value}")),
            "sharpen" => {
                integer(10..=300)?;
                self.operations.push_str("/sharpen/1");
            }
            "iradius" => {
                let radius = integer(1..=4999)?;
                self.operations.push_str(&format!("/gravity/Center/crop/{0}x{0}", 2 * radius));
                self.stage(format!("roundPic/radius/{radius}"));
            }
            "rradius" => self.stage(format!("roundPic/radius/{}", integer(1..=9999)?)),
            "bright" => self.stage(format!("adjust/brightness/{}", integer(-100..=100)?)),
            "contrast" => self.stage(format!("adjust/contrast/{}", integer(-100..=100)?)),
            "grayscale" if integer(0..=1)? == 1 => self.stage("adjust/grayscale/1".to_owned()),
            "grayscale" => {}
            _ => self.settings.push_str(&format!("/{name}/{value}")),
        }
        Ok(())
    }

    /// Fits the picture into the box of its thumbnail, enlarging it too, and fills the rest.
    fn pad(&mut self, all: &[&str]) -> Result<(), ParseError> {
        let size = all.iter().position(|name| *name == "thumbnail").and_then(|at| all.get(at + 1));
        let size = size.ok_or_else(|| missing("imageMogr2", "thumbnail"))?;
        if size.split_once('x').is_none_or(|(w, h)| w.parse::<u32>().is_err() || h.parse::<u32>().is_err()) {
            return Err(invalid("imageMogr2", "thumbnail", size));
        }
        let color = all.iter().position(|name| *name == "color").and_then(|at| all.get(at + 1));
        self.settings.push_str(&format!("/background/{}", color.map_or("I0ZGRkZGRg", |color| color)));
        self.operations.push_str(&format!("/extent/{size}"));
        Ok(())
    }

    /// An operator of its own, after what was read.
    fn stage(&mut self, stage: String) {
        self.flush();
        self.stages.push(stage);
    }

    fn flush(&mut self) {
        if !self.operations.is_empty() {
            self.stages.push(format!("imageMogr2{}", std::mem::take(&mut self.operations)));
        }
    }

    /// Settings are of the result.
    fn finish(mut self) -> String {
        if !self.settings.is_empty() || self.stages.is_empty() {
            self.operations.push_str(&self.settings);
            self.stages.push(format!("imageMogr2{}", self.operations));
        } else {
            self.flush();
        }
        self.stages.join("|")
    }
}

fn missing(fop: &'static str, argument: &str) -> ParseError {
    ParseError::Missing { fop, argument: argument.to_owned(), expected: "a value behind its name".to_owned() }
}

fn invalid(fop: &'static str, argument: &str, value: &str) -> ParseError {
    let expected = INTEGER.to_owned();
    ParseError::InvalidValue { fop, argument: argument.to_owned(), value: value.to_owned(), expected }
}

fn numbers(text: &str) -> Option<[u32; 4]> {
    let numbers: Vec<u32> = text.split('x').map(str::parse).collect::<Result<_, _>>().ok()?;
    numbers.try_into().ok()
}

/// A gravity in our spelling; what is none stays as it is, to be refused by name.
fn gravity_of(text: &str) -> &str {
    const NAMES: [&str; 9] =
        ["NorthWest", "North", "NorthEast", "West", "Center", "East", "SouthWest", "South", "SouthEast"];
    NAMES.into_iter().find(|name| name.eq_ignore_ascii_case(text)).unwrap_or(text)
}

fn view(arguments: &[&str]) -> Result<String, ParseError> {
    arguments.iter().try_for_each(|name| check_done(name))?;
    match arguments.first() {
        // Without a mode nothing but the file changes.
        Some(first) if first.parse::<u32>().is_err() => {
            let names = arguments.iter().map(|name| if *name == "q" { "quality" } else { name });
            Ok(format!("imageMogr2/{}", names.collect::<Vec<_>>().join("/")))
        }
        Some(&"0") => Err(invalid("imageView2", "mode", "0")),
        _ => Ok(format!("imageView2/{}", arguments.join("/"))),
    }
}

fn watermark(arguments: &[&str]) -> Result<String, ParseError> {
    let mode = *arguments.first().ok_or_else(|| missing("watermark", "mode"))?;
    check_done(&format!("watermark/{mode}"))?;
    let mut written = format!("watermark/{mode}");
    let mut defaults = vec![("dissolve", "90"), ("dx", "0"), ("dy", "0")];
    if mode == "2" {
        // 13 points, in twips, and #3D3D3D.
        defaults.extend([("fontsize", "260"), ("fill", "IzNEM0QzRA")]);
    }
    let mut left = arguments[1..].iter().copied();
    while let Some(name) = left.next() {
        let value = left.next().ok_or_else(|| missing("watermark", name))?;
        defaults.retain(|(default, _)| *default != name);
        match name {
            "image" => written.push_str(&format!("/image/{}", image(value)?)),
            "image_key" => written.push_str(&format!("/image/{value}")),
            "fontsize" => {
                let points = value.parse::<u32>().ok().filter(|points| (1..=1000).contains(points));
                let points = points.ok_or_else(|| invalid("watermark", name, value))?;
                written.push_str(&format!("/fontsize/{}", 20 * points));
            }
            "gravity" => written.push_str(&format!("/gravity/{}", gravity_of(value))),
            "batch" if value == "1" => written.push_str("/tile/1"),
            "batch" if value == "0" => {}
            _ => written.push_str(&format!("/{name}/{value}")),
        }
    }
    defaults.iter().for_each(|(name, value)| written.push_str(&format!("/{name}/{value}")));
    Ok(written)
}

/// A mark's picture: the vendor's takes a URL of an object of the same bucket, which is a key here.
fn image(value: &str) -> Result<String, ParseError> {
    let refused = || invalid("watermark", "image", value);
    let text = URL_SAFE_PAD_INDIFFERENT.decode(value).ok().and_then(|text| String::from_utf8(text).ok());
    let text = text.ok_or_else(refused)?;
    let url = url::Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https")).ok_or_else(refused)?;
    let is_object = url.host_str().is_some_and(|host| host.contains(".cos."));
    if !is_object {
        return Err(refused());
    }
    let key = percent_encoding::percent_decode_str(url.path().trim_start_matches('/')).decode_utf8();
    Ok(URL_SAFE_NO_PAD.encode(key.map_err(|_| refused())?.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_plans() {
        for (rule, ours) in [
            ("imageMogr2/thumbnail/!50p", "imageMogr2/thumbnail/!50p"),
            ("imageMogr2/crop/300x200/gravity/center", "imageMogr2/gravity/Center/crop/300x200"),
            ("imageMogr2/gravity/southeast/crop/300x200", "imageMogr2/gravity/SouthEast/crop/300x200"),
            ("imageMogr2/cut/30x20x5x6", "imageMogr2/crop/!30x20a5a6"),
            ("imageMogr2/iradius/50", "imageMogr2/gravity/Center/crop/100x100|roundPic/radius/50"),
            ("imageMogr2/rradius/5/format/png", "roundPic/radius/5|imageMogr2/format/png"),
            ("imageMogr2/bright/20/rotate/90", "adjust/brightness/20|imageMogr2/rotate/90"),
            ("imageMogr2/grayscale/1/strip", "adjust/grayscale/1|imageMogr2/strip"),
            ("imageMogr2/thumbnail/30x20/pad/1", "imageMogr2/thumbnail/30x20/extent/30x20/background/I0ZGRkZGRg"),
            ("imageView2/format/png", "imageMogr2/format/png"),
            ("imageView2/1/w/20/h/10/q/80", "imageView2/1/w/20/h/10/q/80"),
            (
                "imageMogr2/rotate/90|watermark/2/text/aGVsbG8/fontsize/30",
                "imageMogr2/rotate/90|watermark/2/text/aGVsbG8/fontsize/600/dissolve/90/dx/0/dy/0/fill/IzNEM0QzRA",
            ),
        ] {
            assert_eq!(parse(rule), Plan::parse(ours), "{rule}");
            let plan = parse(rule).unwrap_or_else(|error| panic!("{rule}: {error}"));
            assert_eq!(Plan::parse(&plan.to_string()), Ok(plan), "{rule}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        for (rule, named) in [
            ("imageMogr2/scrop/3x3", "scrop"),
            ("imageMogr2/rquality/3", "rquality"),
            ("imageView2/1/w/2/lq/3", "lq"),
            ("watermark/3/type/3/text/YQ", "watermark/3"),
            ("imageMogr2/format/heif", "heif"),
            ("imageMogr2/format/tpg", "tpg"),
            ("imageMogr2/rotate/361", "rotate"),
            ("imageMogr2/cut/1x2x3", "cut"),
            ("imageMogr2/rotate", "rotate"),
            ("watermark/1/image/a29kbzovL2EvYg", "image"),
            ("imageView2/0/w/3", "mode"),
            ("roundPic/radius/3", "roundPic"),
            ("imageMogr2/strip|saveas/YTpi", "saveas"),
        ] {
            let error = parse(rule).unwrap_err().to_string();
            assert!(error.contains(named), "{rule}: {error}");
        }
        for rule in ["", "|", "imageMogr2|", &["imageMogr2/strip"; 11].join("|")] {
            assert!(parse(rule).is_err(), "{rule}");
        }
    }
}
