//! Functions that draw shapes, as `draw`.

use super::values::Fields;
use crate::color::Color;
use crate::plan::scan::encode_base64;

/// Widest outline.
const MAX_WIDTH: i64 = 9999;

fn translucent(color: Color, opacity: f64) -> Color {
    let [r, g, b, a] = color.rgba;
    Color { rgba: [r, g, b, (f64::from(a) * opacity.clamp(0.0, 1.0)).round() as u8] }
}

/// Fill and outline of a shape with an inside.
fn paint(params: Fields<'_>) -> Result<String, String> {
    let color = params.color_or("color", Color::WHITE)?;
    let fill = translucent(params.color_or("fill_color", color)?, params.number_or("fill_opacity", 1.0)?);
    let mut paint = format!("/fill/{}", encode_base64(fill));
    let width = params.whole_or("stroke_width", 0)?.min(MAX_WIDTH);
    if width > 0 {
        let stroke = translucent(color, params.number_or("stroke_opacity", 1.0)?);
        paint += &format!("/stroke/{}/width/{width}", encode_base64(stroke));
    }
    Ok(paint)
}

fn corner(params: Fields<'_>, names: [&str; 2]) -> Result<String, String> {
    let [x, y] = names.map(|name| params.required(name).map(|number| number.round() as i64));
    Ok(format!("{}x{}", x?, y?))
}

pub(super) fn rectangle(params: Fields<'_>) -> Result<String, String> {
    let (from, to) = (corner(params, ["x", "y"])?, corner(params, ["x1", "y1"])?);
    let radius = match (params.whole("cw")?, params.whole("ch")?) {
        (Some(width), Some(height)) => format!("/radius/{}", width.min(height).max(0)),
        _ => String::new(),
    };
    Ok(format!("draw/rectangle/from/{from}/to/{to}{}{radius}", paint(params)?))
}

/// Width and height are the whole axes.
pub(super) fn ellipse(params: Fields<'_>) -> Result<String, String> {
    let (x, y) = (params.required("origin_x")?, params.required("origin_y")?);
    let (width, height) = (params.required("ellipse_width")? / 2.0, params.required("ellipse_height")? / 2.0);
    let point = |x: f64, y: f64| format!("{}x{}", x.round() as i64, y.round() as i64);
    let (from, to) = (point(x - width, y - height), point(x + width, y + height));
    Ok(format!("draw/ellipse/from/{from}/to/{to}{}", paint(params)?))
}

pub(super) fn line(params: Fields<'_>) -> Result<String, String> {
    let (from, to) = (corner(params, ["x", "y"])?, corner(params, ["x1", "y1"])?);
    let color = translucent(params.color_or("color", Color::WHITE)?, params.number_or("opacity", 1.0)?);
    let width = params.whole_or("width", 1)?.clamp(1, MAX_WIDTH);
    let round = if params.text("line_cap").as_deref() == Some("round") { "/radius/1" } else { "" };
    Ok(format!("draw/line/from/{from}/to/{to}/stroke/{}/width/{width}{round}", encode_base64(color)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::Plan;

    #[test]
    fn shapes_are_boxes_and_lines() {
        let params = json!({ "x": 1, "y": "2", "x1": 30, "y1": 40, "color": "red", "fill_opacity": 0.5, "stroke_width": 3,
                             "cw": 5, "ch": 4, "width": 2, "line_cap": "round",
                             "origin_x": 50, "origin_y": 60, "ellipse_width": 20, "ellipse_height": 11 });
        let params = Fields::of(Some(&params));
        for (said, expected) in [
            (
                rectangle(params),
                "draw/rectangle/from/1x2/to/30x40/fill/I0ZGMDAwMDgw/stroke/I0ZGMDAwMA==/width/3/radius/4",
            ),
            (ellipse(params), "draw/ellipse/from/40x55/to/60x66/fill/I0ZGMDAwMDgw/stroke/I0ZGMDAwMA==/width/3"),
            (line(params), "draw/line/from/1x2/to/30x40/stroke/I0ZGMDAwMA==/width/2/radius/1"),
        ] {
            let said = said.unwrap();
            assert_eq!(said, expected);
            assert!(Plan::parse(&said).is_ok(), "{said}");
        }
        assert!(line(Fields::of(None)).is_err());
    }
}
