//! Functions that put something over a picture: text and other pictures.

use serde_json::Value;

use super::functions::decimal;
use super::source::s3_object;
use super::values::Fields;
use crate::color::Color;
use crate::geometry::Gravity;
use crate::plan::scan::encode_base64;

/// Twentieths of a point, which texts are measured in.
const TWIPS: f64 = 20.0;

/// Fonts that are the server's own where they are asked for: every machine then sets the same letters.
const USUAL_FONTS: [&str; 2] = ["arial", "helvetica"];

/// A mark of `watermark/3`.
struct Letters<'a> {
    text: &'a str,
    color: Color,
    point_size: f64,
    font: Option<String>,
    gravity: Gravity,
    x: i64,
    y: i64,
    dissolve: i64,
}

impl Letters<'_> {
    fn mark(&self) -> String {
        let twips = (self.point_size * TWIPS).round().clamp(1.0, 10_000.0);
        let font = self.font.as_ref().map(|font| format!("/font/{}", encode_base64(font))).unwrap_or_default();
        format!(
            "/text/{}/fontsize/{twips}/fill/{}{font}/dissolve/{}/gravity/{}/dx/{}/dy/{}",
            encode_base64(self.text),
            encode_base64(self.color),
            self.dissolve,
            self.gravity.name(),
            self.x,
            self.y
        )
    }
}

fn text(params: Fields<'_>) -> Result<String, String> {
    let text = params.text("text").filter(|text| !text.trim().is_empty());
    text.ok_or_else(|| "text is missing; expected what is to be written".to_owned())
}

fn font(params: Fields<'_>) -> Option<String> {
    let font = params.text("font_family").or_else(|| params.text("font"))?;
    (!font.is_empty() && !USUAL_FONTS.contains(&font.to_ascii_lowercase().as_str())).then_some(font)
}

pub(super) fn annotate(params: Fields<'_>) -> Result<String, String> {
    let text = text(params)?;
    let letters = Letters {
        text: &text,
        color: params.color_or("color", Color::WHITE)?,
        point_size: params.number_or("point_size", 32.0)?,
        font: font(params),
        gravity: params.gravity("gravity").unwrap_or(Gravity::Center),
        x: params.whole_or("x", 0)?,
        y: params.whole_or("y", 0)?,
        dissolve: 100,
    };
    let shadow = match params.text("dropshadow_color").filter(|color| !color.is_empty()) {
        Some(_) => shadow(&letters, params)?.mark(),
        None => String::new(),
    };
    Ok(format!("watermark/3{shadow}{}", letters.mark()))
}

/// The same letters to the right and below; at the right and lower edges offsets count the other way.
fn shadow<'a>(letters: &Letters<'a>, params: Fields<'_>) -> Result<Letters<'a>, String> {
    let offset = params.whole_or("dropshadow_offset", 3)?;
    let (row, column) = (letters.gravity as usize / 3, letters.gravity as usize % 3);
    let away = |position: usize| if position == 2 { -offset } else { offset };
    let color = params.color_or("dropshadow_color", Color::BLACK)?;
    let (x, y) = (letters.x.saturating_add(away(column)), letters.y.saturating_add(away(row)));
    Ok(Letters { color, x, y, font: letters.font.clone(), ..*letters })
}

pub(super) fn watermark(params: Fields<'_>) -> Result<String, String> {
    let text = text(params)?;
    let letters = Letters {
        text: &text,
        color: Color::WHITE,
        point_size: params.number_or("point_size", 94.0)?,
        font: font(params),
        gravity: params.gravity("gravity").unwrap_or(Gravity::Center),
        x: 0,
        y: 0,
        dissolve: percent(params.number_or("opacity", 0.45)?),
    };
    Ok(format!("watermark/3{}", letters.mark()))
}

/// A share of 1 as a percentage that is more than nothing.
fn percent(share: f64) -> i64 {
    (100.0 * share).round().clamp(1.0, 100.0) as i64
}

/// The picture that `src` names.
fn picture(params: Fields<'_>) -> Result<String, String> {
    match params.get("src") {
        Some(Value::String(url)) if url.starts_with('&') => {
            Err(format!("src is {url:?}; results of pre_process are not supported by this server"))
        }
        Some(Value::String(url)) if url.starts_with("http://") || url.starts_with("https://") => Ok(url.clone()),
        Some(value @ Value::Object(_)) => {
            let (bucket, key) = s3_object(value)?;
            Ok(format!("kodo://{bucket}/{key}"))
        }
        _ => Err("src is missing; expected a URL or an S3 object".to_owned()),
    }
}

/// `composite`, at `opacity` percent.
pub(super) fn composite(params: Fields<'_>, opacity: i64) -> Result<String, String> {
    if params.flag("as_mask") {
        return Err("as_mask is not supported by this server".to_owned());
    }
    let mut operator = format!("composite/{}", encode_base64(picture(params)?));
    if let Some(gravity) = params.gravity("gravity") {
        operator += &format!("/gravity/{}", gravity.name());
    }
    for name in ["x", "y"] {
        operator += &format!("/{name}/{}", params.whole_or(name, 0)?);
    }
    for (name, argument) in [("scale_to_fit", "fit"), ("scale_to_fill", "fill")] {
        if let Some(size) = params.get(name) {
            let size = Fields::of(Some(size));
            operator += &format!("/{argument}/{}x{}", length(size, "width")?, length(size, "height")?);
        }
    }
    if params.flag("scale_to_match") {
        operator += "/match/1";
    }
    if opacity != 100 {
        operator += &format!("/dissolve/{opacity}");
    }
    Ok(operator + "/op/" + op(params)?)
}

/// Pixels, or percent of the picture beneath.
fn length(size: Fields<'_>, name: &str) -> Result<String, String> {
    let text = size.text(name).unwrap_or_default();
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite()).map(f64::round);
    let length = match text.trim().strip_suffix('%') {
        Some(percent) => number(percent).map(|percent| format!("{percent}p")),
        None => number(&text).map(|pixels| format!("{pixels}")),
    };
    length.ok_or_else(|| format!("{name} is {text:?}; expected pixels, or a percentage with its sign"))
}

pub(super) fn dissolve(params: Fields<'_>) -> Result<String, String> {
    composite(params, percent(params.number_or("src_percentage", 0.25)?))
}

pub(super) fn tile(params: Fields<'_>) -> Result<String, String> {
    let picture = encode_base64(picture(params)?);
    let size = match (params.whole("width")?, params.whole("height")?) {
        (Some(width), Some(height)) => format!("/fit/{width}x{height}"),
        _ => format!("/percent/{}", decimal(100.0 * params.number_or("scale", 1.0)?)),
    };
    Ok(format!("composite/{picture}{size}/tile/1"))
}

/// Our names of the vendor's operations on layers; those that mean the same under several names have one.
#[rustfmt::skip]
const OPS: [(&str, &str); 33] = [
    ("Over", "over"), ("SrcOver", "over"), ("Undefined", "over"), ("Dissolve", "over"),
    ("Atop", "atop"), ("SrcAtop", "atop"), ("In", "in"), ("SrcIn", "in"), ("Out", "out"), ("SrcOut", "out"),
    ("DstOver", "dst-over"), ("DstIn", "dst-in"), ("DstOut", "dst-out"), ("DstAtop", "dst-atop"), ("Xor", "xor"),
    ("Copy", "copy"), ("Src", "copy"), ("Replace", "copy"), ("CopyOpacity", "copy-opacity"),
    ("Multiply", "multiply"), ("Screen", "screen"), ("Overlay", "overlay"), ("Darken", "darken"),
    ("Lighten", "lighten"), ("Difference", "difference"), ("Exclusion", "exclusion"), ("HardLight", "hard-light"),
    ("SoftLight", "soft-light"), ("ColorDodge", "color-dodge"), ("ColorBurn", "color-burn"), ("Plus", "plus"),
    ("Add", "plus"), ("Minus", "minus"),
];

fn op(params: Fields<'_>) -> Result<&'static str, String> {
    let Some(name) = params.text("composite_op") else { return Ok("over") };
    let short = name.strip_suffix("CompositeOp").unwrap_or(&name);
    let known = OPS.iter().find(|(known, _)| *known == short).map(|(_, ours)| *ours);
    known.ok_or_else(|| format!("composite_op is {name:?}, which is not supported by this server"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::Plan;

    #[test]
    fn text_is_set() {
        let params = json!({ "text": "Hé\n", "x": 5, "y": "-6", "gravity": "SouthEastGravity", "dropshadow_color": "#000",
                             "font": "Arial", "point_size": 500, "color": "red" });
        let operator = annotate(Fields::of(Some(&params))).unwrap();
        let at = |fill: &str, x: i32, y: i32| {
            format!("/text/SMOpCg==/fontsize/10000/fill/{fill}/dissolve/100/gravity/SouthEast/dx/{x}/dy/{y}")
        };
        assert_eq!(operator, format!("watermark/3{}{}", at("IzAwMDAwMA==", 2, -9), at("I0ZGMDAwMA==", 5, -6)));
        assert!(Plan::parse(&operator).is_ok());
        let mark = watermark(Fields::of(Some(&json!({ "text": "a", "font_family": "宋体" })))).unwrap();
        assert!(
            mark.contains("/fontsize/1880/") && mark.contains("/dissolve/45/") && mark.contains("/font/"),
            "{mark}"
        );
        assert!(annotate(Fields::of(Some(&json!({ "x": 1 })))).is_err());
    }

    #[test]
    fn pictures_are_combined() {
        for (params, expected) in [
            (json!({ "src": "http://a/b" }), "composite/aHR0cDovL2EvYg==/x/0/y/0/op/over"),
            (
                json!({ "src": { "name": "s3", "bucket": "c", "key": "d/e" }, "gravity": "EastGravity", "x": "7",
                        "scale_to_fit": { "width": "50%", "height": 20 }, "composite_op": "MultiplyCompositeOp" }),
                "composite/a29kbzovL2MvZC9l/gravity/East/x/7/y/0/fit/50px20/op/multiply",
            ),
            (
                json!({ "src": "http://a/b", "scale_to_match": "true" }),
                "composite/aHR0cDovL2EvYg==/x/0/y/0/match/1/op/over",
            ),
        ] {
            let operator = composite(Fields::of(Some(&params)), 100).unwrap();
            assert_eq!(operator, expected);
            assert!(Plan::parse(&operator).is_ok(), "{operator}");
        }
        let faint = dissolve(Fields::of(Some(&json!({ "src": "http://a/b" })))).unwrap();
        assert!(faint.contains("/dissolve/25/"), "{faint}");
        let tiles = tile(Fields::of(Some(&json!({ "src": "http://a/b", "scale": 0.5 })))).unwrap();
        assert_eq!(tiles, "composite/aHR0cDovL2EvYg==/percent/50/tile/1");
        for params in [
            json!({}),
            json!({ "src": "&x" }),
            json!({ "src": "file:///etc" }),
            json!({ "src": "http://a", "composite_op": "Bumpmap" }),
        ] {
            assert!(composite(Fields::of(Some(&params)), 100).is_err(), "{params}");
        }
    }

    #[test]
    fn every_operation_is_one_of_ours() {
        for (_, ours) in OPS {
            assert!(crate::plan::composite::BlendOp::ALL.iter().any(|op| op.name() == ours), "{ours}");
        }
    }
}
