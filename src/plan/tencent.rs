//! Tencent's rules as plans: `imageMogr2/…`, `imageView2/…`, `watermark/…` in that vendor's grammar and with its defaults
//! (Tencent spec 7 and 8). The plan's own text is all that jobs and caches see. What has no counterpart is refused by name.

mod marks;

use self::marks::watermark;
use super::output::{Quality, SourceQuality};
use super::{Fop, ParseError, Plan};

/// Most stages of a rule.
const MAX_STAGES: usize = 10;

/// What this server does not do, and why.
const UNDONE: [(&str, &str); 5] = [
    ("scrop", "faces are not looked for"),
    ("rcrop", "crops by aspect ratio are not done; use crop"),
    ("cgif", "frames are not dropped"),
    ("minsize", "it is not documented"),
    ("watermark/3", "blind watermarks are not done"),
];

/// What a query's member begins with that is a rule.
const RULES: [&str; 4] = ["imageMogr2", "imageView2", "watermark/", "style/"];

/// Members of a query that are rules with nothing behind their names.
const FACTS: [&str; 3] = ["imageInfo", "exif", "imageAve"];

/// The rule among the members of a query, decoded: a name, with the `=` of a Base64's padding where the query was split at it.
pub fn rule_of<'a>(mut members: impl Iterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let is_rule = |name: &str| RULES.iter().any(|rule| name.starts_with(rule)) || FACTS.contains(&name);
    members.find(|(name, _)| is_rule(name)).map(|(name, value)| match value.is_empty() {
        true => name.to_owned(),
        false => format!("{name}={value}"),
    })
}

/// The style that a rule is, where it is one.
pub fn style_of(rule: &str) -> Option<&str> {
    rule.strip_prefix("style/").map(|name| name.trim_end_matches('/'))
}

/// Reads a rule.
///
/// # Errors
/// [`ParseError`], as for [`Plan::parse`].
pub fn parse(rule: &str) -> Result<Plan, ParseError> {
    let stages: Vec<&str> = rule.split('|').collect();
    if stages.len() > MAX_STAGES {
        return Err(ParseError::Length { count: stages.len(), limit: MAX_STAGES });
    }
    let ours = stages.into_iter().enumerate().map(|(index, text)| stage(text, index == 0));
    let ours = ours.collect::<Result<Vec<_>, _>>()?;
    let mut plan = Plan::parse(&ours.join("|"))?;
    if plan.saveas().is_some() {
        return Err(undone("saveas", "it is no operator of this dialect"));
    }
    keep_quality(&mut plan)?;
    Ok(plan)
}

/// The quality of rules that name none: the original's.
const KEPT: Quality = Quality::Source(SourceQuality::Percent(100));

fn keep_quality(plan: &mut Plan) -> Result<(), ParseError> {
    let is_named = |fop: &Fop| match fop {
        Fop::ImageMogr2(mogr) => mogr.output.quality.is_some(),
        Fop::ImageView2(view) => view.output.quality.is_some(),
        _ => false,
    };
    if plan.fops.iter().any(|fop| is_named(fop) || fop.is_metadata()) {
        return Ok(());
    }
    match plan.fops.last_mut() {
        Some(Fop::ImageMogr2(mogr)) => mogr.output.quality = Some(KEPT),
        Some(Fop::ImageView2(view)) => view.output.quality = Some(KEPT),
        _ => plan.fops.extend(Plan::parse(&format!("imageMogr2/quality/{KEPT}"))?.fops),
    }
    Ok(())
}

/// A quality in our words: absolute ones are never above the original's, unless `!` says so.
fn quality(fop: &'static str, name: &str, value: &str) -> Result<String, ParseError> {
    let refused = || invalid(fop, name, value);
    let (number, is_exact) = value.strip_suffix('!').map_or((value, false), |number| (number, true));
    let number = number.parse::<u8>().ok().filter(|number| *number <= 100).ok_or_else(refused)?.max(1);
    match (name, is_exact) {
        ("quality" | "q", true) => Ok(format!("{number}!")),
        ("quality" | "q", false) => Ok(SourceQuality::AtMost(number).to_string()),
        ("rquality" | "rq", false) => Ok(SourceQuality::Percent(number).to_string()),
        ("lquality" | "lq", false) => Ok(SourceQuality::AtLeast(number).to_string()),
        _ => Err(refused()),
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

fn stage(text: &str, is_first: bool) -> Result<String, ParseError> {
    let (name, rest) = text.split_once('/').unwrap_or((text, ""));
    let arguments: Vec<&str> = rest.split('/').filter(|argument| !argument.is_empty()).collect();
    match name {
        "imageMogr2" => Mogr::read(&arguments),
        "imageView2" => view(&arguments),
        "watermark" => watermark(&arguments),
        // Every value a text, as this vendor writes them.
        "imageInfo" if is_first && rest.is_empty() => Ok("facts/flat/1".to_owned()),
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
            "flip" if matches!(value, "horizontal" | "vertical") => self.stage(format!("flip/{value}")),
            "flip" => return Err(refused()),
            "quality" | "rquality" | "lquality" => {
                self.settings.push_str(&format!("/quality/{}", quality("imageMogr2", name, value)?));
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
    let mut left = arguments.iter().copied();
    // Without a mode nothing but the file changes.
    let mode = left.next().filter(|mode| mode.parse::<u32>().is_ok());
    let (mut written, named) = match mode {
        Some("0") => return Err(invalid("imageView2", "mode", "0")),
        Some(mode) => (format!("imageView2/{mode}"), "q"),
        None => {
            left = arguments.iter().copied();
            ("imageMogr2".to_owned(), "quality")
        }
    };
    while let Some(name) = left.next() {
        check_done(name)?;
        let value = left.next().ok_or_else(|| missing("imageView2", name))?;
        match name {
            "q" | "rq" | "lq" => written.push_str(&format!("/{named}/{}", quality("imageView2", name, value)?)),
            _ => written.push_str(&format!("/{name}/{value}")),
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_plans() {
        for (rule, ours) in [
            ("imageMogr2/thumbnail/!50p", "imageMogr2/thumbnail/!50p/"),
            ("imageMogr2/crop/300x200/gravity/center", "imageMogr2/gravity/Center/crop/300x200/"),
            ("imageMogr2/gravity/southeast/crop/300x200", "imageMogr2/gravity/SouthEast/crop/300x200/"),
            ("imageMogr2/cut/30x20x5x6", "imageMogr2/crop/!30x20a5a6/"),
            ("imageMogr2/iradius/50", "imageMogr2/gravity/Center/crop/100x100|roundPic/radius/50|imageMogr2/"),
            ("imageMogr2/rradius/5/format/png", "roundPic/radius/5|imageMogr2/format/png/"),
            ("imageMogr2/bright/20/rotate/90", "adjust/brightness/20|imageMogr2/rotate/90/"),
            ("imageMogr2/grayscale/1/strip", "adjust/grayscale/1|imageMogr2/strip/"),
            ("imageMogr2/thumbnail/30x20/pad/1", "imageMogr2/thumbnail/30x20/extent/30x20/background/I0ZGRkZGRg/"),
            ("imageView2/format/png", "imageMogr2/format/png/"),
            ("imageMogr2/flip/vertical", "flip/vertical|imageMogr2/"),
            ("imageMogr2/rotate/90/flip/horizontal/strip", "imageMogr2/rotate/90|flip/horizontal|imageMogr2/strip/"),
            (
                "imageMogr2/rotate/90|watermark/2/text/aGVsbG8/fontsize/30",
                "imageMogr2/rotate/90|watermark/2/text/aGVsbG8/fontsize/600/dissolve/90/dx/0/dy/0/fill/IzNEM0QzRA|imageMogr2/",
            ),
        ] {
            assert_eq!(parse(rule), Plan::parse(&format!("{ours}quality/own:100")), "{rule}");
            let plan = parse(rule).unwrap_or_else(|error| panic!("{rule}: {error}"));
            assert_eq!(Plan::parse(&plan.to_string()), Ok(plan), "{rule}");
        }
    }

    #[test]
    fn qualities_are_relative_to_the_original() {
        for (rule, ours) in [
            ("imageView2/1/w/20/h/10/q/80", "imageView2/1/w/20/h/10/q/most:80"),
            ("imageView2/1/w/20/h/10/q/80!", "imageView2/1/w/20/h/10/q/80!"),
            ("imageView2/2/w/20", "imageView2/2/w/20/q/own:100"),
            ("imageView2/1/w/20/rq/80", "imageView2/1/w/20/q/own:80"),
            ("imageView2/lq/80/format/jpg", "imageMogr2/quality/least:80/format/jpg"),
            ("imageMogr2/quality/0", "imageMogr2/quality/most:1"),
            ("imageMogr2/rquality/80", "imageMogr2/quality/own:80"),
            ("imageMogr2/lquality/80|imageView2/2/w/3", "imageMogr2/quality/least:80|imageView2/2/w/3"),
            ("imageInfo", "facts/flat/1"),
            ("imageMogr2/strip|imageInfo", "imageMogr2/strip|imageInfo"),
            ("exif", "exif"),
            ("imageAve", "imageAve"),
        ] {
            assert_eq!(parse(rule), Plan::parse(ours), "{rule}");
        }
    }

    #[test]
    fn the_rule_stands_among_other_members() {
        let of = |members: &[(&'static str, &'static str)]| rule_of(members.iter().copied());
        let mogr = "imageMogr2/thumbnail/!50p|watermark/2/text/YQ";
        assert_eq!(of(&[("versionId", "3"), (mogr, "")]).as_deref(), Some(mogr));
        assert_eq!(of(&[("watermark/2/text/YQ", "=")]).as_deref(), Some("watermark/2/text/YQ=="));
        assert_eq!(of(&[("exif", "")]).as_deref(), Some("exif"));
        assert_eq!(of(&[("style", ""), ("response-content-type", "a/b"), ("imageInfos", "")]), None);
        assert_eq!((style_of("style/a/"), style_of("imageMogr2/style/a")), (Some("a"), None));
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        for (rule, named) in [
            ("imageMogr2/scrop/3x3", "scrop"),
            ("imageMogr2/rquality/103", "rquality"),
            ("imageView2/1/w/2/lq/3!", "lq"),
            ("imageMogr2/flip/up", "flip"),
            ("imageMogr2/cgif/3", "cgif"),
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
