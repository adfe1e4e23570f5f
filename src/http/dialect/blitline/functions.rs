//! Functions (spec 9) as our operators: each is a text of none, one or more, joined by `|`.

use super::values::Fields;
use super::{layers, shapes};
use crate::color::Color;
use crate::geometry::Gravity;
use crate::plan::scan::encode_base64;

/// Sharpening of `autosharpen`, as a filter.
const AUTOSHARPEN: &str = "filter/unsharp/0.75x0.5x0";

/// By how much one step of `contrast` changes it.
const CONTRAST_STEP: i32 = 15;

/// Functions that the vendor has and this server has not.
const NOT_DONE: [&str; 34] = [
    "deskew",
    "liquid_rescale",
    "resample",
    "despeckle",
    "enhance",
    "auto_enhance",
    "contrast_stretch_channel",
    "sketch",
    "photograph",
    "caption",
    "append",
    "image_grid",
    "stegano",
    "convert_command",
    "script",
    "imagga_smart_crop",
    "adaptive_blur",
    "adaptive_sharpen",
    "add_profile",
    "blue_shift",
    "convert_to_dpi",
    "crop_from_source",
    "resize_to_fit_with_wrap",
    "celsius",
    "lomo",
    "meadowlark",
    "savannah",
    "stackhouse",
    "vintage",
    "walden",
    "xpro",
    "gif_overlay",
    "resize_gif",
    "resize_gif_to_fit",
];

/// The operators that function `name` comes to; the text of its failure where it comes to none.
pub(super) fn operators(name: &str, params: Fields<'_>) -> Result<String, String> {
    match of_known(name, params) {
        Some(operators) => operators.map_err(|problem| format!("{name}: {problem}")),
        None if NOT_DONE.contains(&name) => Err(format!("Function named '{name}' is not supported by this server")),
        None => Err(format!("Unknown function named '{name}'")),
    }
}

/// The operators of a function that is done here; the text says what is wrong with its parameters.
fn of_known(name: &str, params: Fields<'_>) -> Option<Result<String, String>> {
    Some(match name {
        "no_op" => Ok(String::new()),
        "resize" | "scale" => resize(params),
        "resize_to_fit" | "thumbnail" => resize_to_fit(params),
        "resize_to_fill" => resize_to_fill(params),
        "pad_resize_to_fit" => pad_resize_to_fit(params),
        "crop" => crop(params),
        "crop_to_square" => Ok(format!("cut/square/1{}", gravity(params, Gravity::Center))),
        "pad" => pad(params),
        "rotate" => params.number_or("amount", 90.0).map(|degrees| format!("imageMogr2/rotate/{}", turn(degrees))),
        "density" => params.whole_or("dpi", 72).map(|dpi| format!("imageMogr2/density/{dpi}")),
        "interlace" => Ok("imageMogr2/interlace/1".to_owned()),
        "level" => levels("levels", params),
        "levelize" => levels("levelize", params),
        "trim" => params.number_or("fuzz", 0.0).map(|fuzz| format!("trim/{}", decimal(100.0 * fuzz))),
        "threshold" => params
            .number_or("threshold_value", 0.5)
            .map(|share| format!("adjust/threshold/{}", (100.0 * share).round())),
        "blur" => sigma(params).map(|sigma| format!("filter/blur/{sigma}")),
        "sharpen" => sigma(params).map(|sigma| format!("filter/sharpen/{sigma}")),
        "unsharp_mask" => unsharp_mask(params),
        "median_filter" => params.whole_or("radius", 1).map(|radius| format!("filter/median/{radius}")),
        "normalize" => Ok("filter/tone/normalize".to_owned()),
        "equalize" => Ok("filter/tone/equalize".to_owned()),
        "auto_level" => Ok("filter/tone/auto-level".to_owned()),
        "auto_gamma" => Ok("filter/tone/auto-gamma".to_owned()),
        "pixelate" => params.whole_or("amount", 10).map(|edge| format!("filter/pixelate/{edge}")),
        "vignette" => vignette(params),
        "quantize" => params.whole_or("number_colors", 8).map(|colors| format!("palette/{colors}")),
        "rectangle" => shapes::rectangle(params),
        "ellipse" => shapes::ellipse(params),
        "line" => shapes::line(params),
        "contrast" => {
            let step = if params.flag("sharpen") { CONTRAST_STEP } else { -CONTRAST_STEP };
            Ok(format!("adjust/contrast/{step}"))
        }
        "modulate" => modulate(params),
        "gamma_channel" => params.number_or("gamma", 1.0).map(|gamma| format!("adjust/gamma/{}", decimal(gamma))),
        "gray_colorspace" => Ok("adjust/grayscale/1".to_owned()),
        "sepia_tone" => sepia_tone(params),
        "background_color" => {
            params.color_or("color", Color::WHITE).map(|color| format!("flatten/{}", encode_base64(color)))
        }
        "delete_profile" => Ok("imageMogr2/strip".to_owned()),
        "annotate" => layers::annotate(params),
        "watermark" => layers::watermark(params),
        "composite" => layers::composite(params, 100),
        "dissolve" => layers::dissolve(params),
        "tile" => layers::tile(params),
        _ => return None,
    })
}

/// Degrees less than a whole turn, to hundredths.
fn turn(degrees: f64) -> String {
    decimal((100.0 * degrees).round() % 36_000.0 / 100.0)
}

/// A number as our operators write them: no exponent, few decimals.
pub(super) fn decimal(number: f64) -> String {
    let text = format!("{number:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `/w/…/h/…`, of what is there.
fn edges(params: Fields<'_>) -> Result<String, String> {
    let mut edges = String::new();
    for (name, argument) in [("width", "w"), ("height", "h")] {
        if let Some(edge) = params.whole(name)? {
            edges += &format!("/{argument}/{edge}");
        }
    }
    Ok(edges)
}

fn gravity(params: Fields<'_>, default: Gravity) -> String {
    format!("/gravity/{}", params.gravity("gravity").unwrap_or(default).name())
}

fn unless_smaller(params: Fields<'_>, name: &str) -> &'static str {
    if params.flag(name) { "/unless-smaller/1" } else { "" }
}

fn sigma(params: Fields<'_>) -> Result<String, String> {
    Ok(decimal(params.number_or("sigma", 1.0)?))
}

fn resize(params: Fields<'_>) -> Result<String, String> {
    if let Some(factor) = params.number("scale_factor")? {
        return Ok(format!("size/percent/{}", decimal(100.0 * factor)));
    }
    Ok(format!("size/exact{}", edges(params)?))
}

fn resize_to_fit(params: Fields<'_>) -> Result<String, String> {
    let fit = format!("size/fit{}{}", edges(params)?, unless_smaller(params, "only_shrink_larger"));
    Ok(sharpened(fit, params))
}

fn resize_to_fill(params: Fields<'_>) -> Result<String, String> {
    let (edges, anchor) = (edges(params)?, gravity(params, Gravity::Center));
    let fill = format!("size/fill{edges}{anchor}{}", unless_smaller(params, "only_shrink_larger"));
    Ok(sharpened(fill, params))
}

fn sharpened(operator: String, params: Fields<'_>) -> String {
    if params.flag("autosharpen") { format!("{operator}|{AUTOSHARPEN}") } else { operator }
}

fn pad_resize_to_fit(params: Fields<'_>) -> Result<String, String> {
    let (edges, anchor) = (edges(params)?, gravity(params, Gravity::Center));
    let color = encode_base64(params.color_or("color", Color::WHITE)?);
    Ok(format!("size/pad{edges}{anchor}/color/{color}{}", unless_smaller(params, "only_resize_larger")))
}

fn crop(params: Fields<'_>) -> Result<String, String> {
    params.required("width")?;
    let (x, y) = (params.whole_or("x", 0)?, params.whole_or("y", 0)?);
    let keeps = if params.flag("preserve_aspect_if_smaller") { "/keep-aspect/1" } else { "" };
    let (edges, anchor) = (edges(params)?, gravity(params, Gravity::NorthWest));
    Ok(format!("cut{edges}/x/{x}/y/{y}{anchor}{keeps}{}", unless_smaller(params, "only_shrink_larger")))
}

/// The middle pads all sides, a side itself alone, a corner its two sides.
fn pad(params: Fields<'_>) -> Result<String, String> {
    let size = params.whole_or("size", 0)?;
    let color = encode_base64(params.color_or("color", Color::WHITE)?);
    let anchor = params.gravity("gravity").unwrap_or(Gravity::Center);
    if anchor == Gravity::Center {
        return Ok(format!("imageMogr2/border/{size}x{size}/bordercolor/{color}"));
    }
    let side = |position: usize| match position {
        0 => format!("-{size}"),
        1 => "a0".to_owned(),
        _ => format!("a{size}"),
    };
    let (row, column) = (anchor as usize / 3, anchor as usize % 3);
    Ok(format!("imageMogr2/extent/!{}{}/background/{color}", side(column), side(row)))
}

fn unsharp_mask(params: Fields<'_>) -> Result<String, String> {
    let (amount, threshold) = (params.number_or("amount", 1.0)?, params.number_or("threshold", 0.05)?);
    Ok(format!("filter/unsharp/{}x{}x{}", sigma(params)?, decimal(amount), decimal(threshold)))
}

/// Shares of 1 as our percent and degrees; as the vendor's engine has it, hues go half round from 0 to 2.
fn modulate(params: Fields<'_>) -> Result<String, String> {
    let brightness = 100.0 * params.number_or("brightness", 1.0)?;
    let saturation = 100.0 * (params.number_or("saturation", 1.0)? - 1.0);
    let hue = 180.0 * (params.number_or("hue", 1.0)? - 1.0);
    Ok(format!(
        "adjust/multiply/{}/saturation/{}/hue/{}",
        brightness.round(),
        saturation.round().clamp(-100.0, 100.0) as i64,
        (hue.round() as i64) % 360
    ))
}

/// Points are numbers of 16 bits.
fn levels(name: &str, params: Fields<'_>) -> Result<String, String> {
    if let Some(channel) = params.text("channel").filter(|channel| channel != "AllChannels") {
        return Err(format!("channel is {channel:?}; expected AllChannels"));
    }
    let percent = |name, default| Ok::<_, String>(decimal(100.0 * params.number_or(name, default)? / 65_535.0));
    let (black, white) = (percent("black_point", 0.0)?, percent("white_point", 65_535.0)?);
    Ok(format!("adjust/{name}/{black}x{white}x{}", decimal(params.number_or("gamma", 1.0)?)))
}

fn sepia_tone(params: Fields<'_>) -> Result<String, String> {
    let percent = 100.0 * params.number_or("threshold", 0.8)?;
    Ok(format!("adjust/sepia/{}", percent.round().clamp(0.0, 100.0)))
}

fn vignette(params: Fields<'_>) -> Result<String, String> {
    let (x, y) = (params.whole_or("x", 10)?, params.whole_or("y", 10)?);
    Ok(format!("filter/vignette/{}x{x}x{y}", decimal(params.number_or("sigma", 10.0)?)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::Plan;

    fn said(name: &str, params: &Value) -> Result<String, String> {
        operators(name, Fields::of(Some(params)))
    }

    /// Spec 9, row by row: defaults, all parameters, numbers as texts.
    #[test]
    fn functions_are_operators() {
        for (name, params, expected) in [
            ("resize", json!({ "width": 10, "height": "20" }), "size/exact/w/10/h/20"),
            ("resize", json!({ "scale_factor": 0.333 }), "size/percent/33.3"),
            ("scale", json!({ "width": 10 }), "size/exact/w/10"),
            ("resize_to_fit", json!({ "width": "160" }), "size/fit/w/160"),
            (
                "resize_to_fit",
                json!({ "height": 9, "only_shrink_larger": "true", "autosharpen": true }),
                "size/fit/h/9/unless-smaller/1|filter/unsharp/0.75x0.5x0",
            ),
            (
                "resize_to_fill",
                json!({ "width": 5, "height": 6, "gravity": "NorthGravity" }),
                "size/fill/w/5/h/6/gravity/North",
            ),
            ("resize_to_fill", json!({ "width": 5, "height": 6, "gravity": "x" }), "size/fill/w/5/h/6/gravity/Center"),
            (
                "pad_resize_to_fit",
                json!({ "width": 5, "height": 6, "color": "#f00", "only_resize_larger": true }),
                "size/pad/w/5/h/6/gravity/Center/color/I0ZGMDAwMA==/unless-smaller/1",
            ),
            ("crop", json!({ "width": 5 }), "cut/w/5/x/0/y/0/gravity/NorthWest"),
            (
                "crop",
                json!({ "x": 1, "y": -2, "width": 5, "height": 6, "gravity": "CenterGravity", "preserve_aspect_if_smaller": true }),
                "cut/w/5/h/6/x/1/y/-2/gravity/Center/keep-aspect/1",
            ),
            ("crop_to_square", json!({}), "cut/square/1/gravity/Center"),
            ("pad", json!({ "size": 7 }), "imageMogr2/border/7x7/bordercolor/I0ZGRkZGRg=="),
            ("pad", json!({ "size": 7, "gravity": "WestGravity" }), "imageMogr2/extent/!-7a0/background/I0ZGRkZGRg=="),
            ("pad", json!({ "size": 7, "gravity": "SouthGravity" }), "imageMogr2/extent/!a0a7/background/I0ZGRkZGRg=="),
            ("rotate", json!({ "amount": -390.404 }), "imageMogr2/rotate/-30.4"),
            ("rotate", json!({}), "imageMogr2/rotate/90"),
            ("density", json!({ "dpi": 300 }), "imageMogr2/density/300"),
            ("interlace", json!({ "type": "PlaneInterlace" }), "imageMogr2/interlace/1"),
            ("level", json!({ "black_point": 6553.5, "gamma": 1.2 }), "adjust/levels/10x100x1.2"),
            ("levelize", json!({ "white_point": "58981.5" }), "adjust/levelize/0x90x1"),
            ("trim", json!({}), "trim/0"),
            ("trim", json!({ "fuzz": "0.125" }), "trim/12.5"),
            ("threshold", json!({}), "adjust/threshold/50"),
            ("blur", json!({}), "filter/blur/1"),
            ("sharpen", json!({ "sigma": 1.25, "radius": 3 }), "filter/sharpen/1.25"),
            ("unsharp_mask", json!({}), "filter/unsharp/1x1x0.05"),
            ("median_filter", json!({ "radius": 2.0 }), "filter/median/2"),
            ("contrast", json!({ "sharpen": true }), "adjust/contrast/15"),
            ("contrast", json!({}), "adjust/contrast/-15"),
            ("modulate", json!({ "Brightness": 1.5 }), "adjust/multiply/150/saturation/0/hue/0"),
            ("modulate", json!({ "saturation": 3, "hue": 0.5 }), "adjust/multiply/100/saturation/100/hue/-90"),
            ("gray_colorspace", json!({}), "adjust/grayscale/1"),
            ("sepia_tone", json!({}), "adjust/sepia/80"),
            ("background_color", json!({ "color": "red" }), "flatten/I0ZGMDAwMA=="),
            ("delete_profile", json!({ "name": "*" }), "imageMogr2/strip"),
            ("vignette", json!({}), "filter/vignette/10x10x10"),
            ("pixelate", json!({ "amount": 20 }), "filter/pixelate/20"),
            ("normalize", json!({}), "filter/tone/normalize"),
            ("auto_level", json!({}), "filter/tone/auto-level"),
            ("auto_gamma", json!({}), "filter/tone/auto-gamma"),
        ] {
            let operators = said(name, &params).unwrap();
            assert_eq!(operators, expected, "{name} {params}");
            assert!(Plan::parse(&operators).is_ok(), "{operators}: {:?}", Plan::parse(&operators));
        }
        assert_eq!(said("no_op", &json!({})), Ok(String::new()));
    }

    #[test]
    fn what_is_no_function_says_so() {
        for (name, params, message) in [
            ("blu3r", json!({}), "Unknown function named 'blu3r'"),
            ("flip", json!({}), "Unknown function named 'flip'"),
            ("deskew", json!({}), "Function named 'deskew' is not supported by this server"),
            ("crop", json!({ "height": 5 }), "crop: width is missing; expected a number"),
            ("blur", json!({ "sigma": "soft" }), "blur: sigma is \"soft\"; expected a number"),
            (
                "background_color",
                json!({ "color": "#12" }),
                "background_color: color is \"#12\"; expected #rgb, #rrggbb or the name of a colour",
            ),
        ] {
            assert_eq!(said(name, &params), Err(message.to_owned()), "{name}");
        }
    }
}
