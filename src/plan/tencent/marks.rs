//! `watermark/1` and `watermark/2` as Tencent writes them.

use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE_NO_PAD, URL_SAFE_PAD_INDIFFERENT};

use super::{ParseError, check_done, gravity_of, invalid, missing, undone};

/// Twentieths of a pixel in a point, as fonts are measured here.
const TWIPS: u32 = 20;

/// Reads what follows `watermark/`; one of ours, or two where a text throws a shadow.
pub(super) fn watermark(arguments: &[&str]) -> Result<String, ParseError> {
    let mode = *arguments.first().ok_or_else(|| missing("watermark", "mode"))?;
    check_done(&format!("watermark/{mode}"))?;
    let given = Given::read(&arguments[1..])?;
    match mode {
        "1" => given.picture(),
        "2" => given.text(),
        other => Err(invalid("watermark", "mode", other)),
    }
}

/// Names with their values; what was taken is gone, and what is left goes on as it is, to be refused by name.
struct Given<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Given<'a> {
    fn read(arguments: &[&'a str]) -> Result<Self, ParseError> {
        let pair = |pair: &[&'a str]| match pair {
            [name, value] => Ok((*name, *value)),
            _ => Err(missing("watermark", pair.first().copied().unwrap_or_default())),
        };
        arguments.chunks(2).map(pair).collect::<Result<_, _>>().map(Self)
    }

    /// The value of an argument; of several the last one.
    fn take(&mut self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().rev().find(|(given, _)| *given == name).map(|(_, value)| *value);
        self.0.retain(|(given, _)| *given != name);
        found
    }

    fn number(&mut self, name: &str, range: std::ops::RangeInclusive<u32>, default: u32) -> Result<u32, ParseError> {
        let Some(value) = self.take(name) else { return Ok(default) };
        let number = value.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| invalid("watermark", name, value))
    }

    /// What is left, in the order in which it was written.
    fn rest(&self) -> String {
        self.0.iter().map(|(name, value)| format!("/{name}/{value}")).collect()
    }

    fn picture(mut self) -> Result<String, ParseError> {
        let mut written = match (self.take("image_key"), self.take("image")) {
            (Some(key), _) => format!("watermark/1/image/{key}"),
            (None, Some(url)) => format!("watermark/1/image/{}", image(url)?),
            (None, None) => return Err(missing("watermark", "image")),
        };
        written += &self.scale()?;
        if self.number("batch", 0..=1, 0)? == 1 {
            written += "/tile/1";
        }
        if self.number("degree", 0..=360, 0)? % 360 != 0 {
            return Err(undone("degree", "pictures of marks are not turned"));
        }
        written += &format!("/dissolve/{}", self.number("dissolve", 1..=100, 90)?);
        Ok(written + &self.place(0)? + &self.rest())
    }

    /// `scatype` and `spcent`: thousandths of the picture's width, height or area.
    fn scale(&mut self) -> Result<String, ParseError> {
        let kind = self.number("scatype", 1..=3, 0)?;
        let most = if kind == 3 { 250 } else { 1000 };
        let share = self.number("spcent", 1..=most, 0)?;
        match (kind, share) {
            (0, 0) => Ok(String::new()),
            (0, _) => Err(missing("watermark", "scatype")),
            (_, 0) => Err(missing("watermark", "spcent")),
            (kind, share) => Ok(format!("/ws/{}/wst/{}", f64::from(share) / 1000.0, kind + 1)),
        }
    }

    /// Where it stands, `shift` pixels to the right and below.
    fn place(&mut self, shift: i32) -> Result<String, ParseError> {
        let gravity = gravity_of(self.take("gravity").unwrap_or("SouthEast"));
        // Distances count inwards from the edge that the gravity names.
        let right = if gravity.ends_with("East") { -shift } else { shift };
        let down = if gravity.starts_with("South") { -shift } else { shift };
        let mut offset = |name: &str| match self.take(name).unwrap_or("0") {
            value if value.parse::<i32>().is_ok() => Ok(value.parse::<i32>().unwrap_or_default()),
            value => Err(invalid("watermark", name, value)),
        };
        let (dx, dy) = (offset("dx")?, offset("dy")?);
        Ok(format!("/gravity/{gravity}/dx/{}/dy/{}", dx.saturating_add(right), dy.saturating_add(down)))
    }

    fn text(mut self) -> Result<String, ParseError> {
        let text = self.take("text").ok_or_else(|| missing("watermark", "text"))?;
        let points = self.number("fontsize", 1..=500, 13)?;
        let (shadow, dissolve) = (self.number("shadow", 0..=100, 0)?, self.number("dissolve", 1..=100, 90)?);
        let degree = self.number("degree", 0..=360, 0)?;
        let font = self.take("font").map(|font| format!("/font/{font}")).unwrap_or_default();
        let lettering = format!("/text/{text}{font}/fontsize/{}", TWIPS * points);
        let fill = format!("/fill/{}/dissolve/{dissolve}", self.take("fill").unwrap_or("IzNEM0QzRA"));
        if self.number("batch", 0..=1, 0)? == 1 {
            self.0.retain(|(name, _)| !matches!(*name, "gravity" | "dx" | "dy"));
            let spacing = self.take("spacing").map(|gap| format!("/uw/{gap}/uh/{gap}")).unwrap_or_default();
            let turn = if degree > 180 { degree as i32 - 360 } else { degree as i32 };
            return Ok(format!("watermark/4{lettering}{fill}/rotate/{turn}{spacing}{}", self.rest()));
        }
        if degree % 360 != 0 {
            return Err(undone("degree", "a text is turned where batch/1 repeats it"));
        }
        let of_shadow = Self(self.0.clone()).place((points / 13).max(1) as i32)?;
        let mark = format!("watermark/2{lettering}{fill}{}{}", self.place(0)?, self.rest());
        let black = (shadow * dissolve).div_ceil(100);
        Ok(match black {
            0 => mark,
            black => format!("watermark/2{lettering}/fill/IzAwMDAwMA/dissolve/{black}{of_shadow}|{mark}"),
        })
    }
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
    use crate::plan::Plan;

    fn ours(text: &str) -> Result<String, ParseError> {
        watermark(&text.split('/').collect::<Vec<_>>())
    }

    #[test]
    fn marks_are_ours() {
        for (text, expected) in [
            ("1/image_key/YQ", "watermark/1/image/YQ/dissolve/90/gravity/SouthEast/dx/0/dy/0"),
            (
                "1/image_key/YQ/scatype/1/spcent/200/gravity/north/dy/5",
                "watermark/1/image/YQ/ws/0.2/wst/2/dissolve/90/gravity/North/dx/0/dy/5",
            ),
            (
                "1/image_key/YQ/batch/1/scatype/3/spcent/250/dissolve/50",
                "watermark/1/image/YQ/ws/0.25/wst/4/tile/1/dissolve/50/gravity/SouthEast/dx/0/dy/0",
            ),
            (
                "2/text/YQ/shadow/50/fontsize/26",
                "watermark/2/text/YQ/fontsize/520/fill/IzAwMDAwMA/dissolve/45/gravity/SouthEast/dx/-2/dy/-2|\
                 watermark/2/text/YQ/fontsize/520/fill/IzNEM0QzRA/dissolve/90/gravity/SouthEast/dx/0/dy/0",
            ),
            (
                "2/text/YQ/batch/1/degree/315/dx/3/spacing/20",
                "watermark/4/text/YQ/fontsize/260/fill/IzNEM0QzRA/dissolve/90/rotate/-45/uw/20/uh/20",
            ),
            (
                "1/image_key/YQ/blogo/2/batch/1/spacing/7",
                "watermark/1/image/YQ/tile/1/dissolve/90/gravity/SouthEast/dx/0/dy/0/blogo/2/spacing/7",
            ),
        ] {
            assert_eq!(ours(text).as_deref(), Ok(expected), "{text}");
            assert!(Plan::parse(expected).is_ok(), "{expected}");
        }
    }

    #[test]
    fn what_no_mark_has_is_refused_by_name() {
        for (text, named) in [
            ("1", "image"),
            ("1/image_key", "image_key"),
            ("1/image_key/YQ/scatype/1", "spcent"),
            ("1/image_key/YQ/spcent/5", "scatype"),
            ("1/image_key/YQ/scatype/3/spcent/251", "spcent"),
            ("1/image_key/YQ/scatype/4/spcent/2", "scatype"),
            ("1/image_key/YQ/degree/45", "degree"),
            ("1/image_key/YQ/dx/a", "dx"),
            ("2/text/YQ/shadow/101", "shadow"),
            ("2/text/YQ/degree/45", "degree"),
            ("2/fill/YQ", "text"),
            ("3/type/1", "watermark/3"),
            ("4/text/YQ", "mode"),
        ] {
            let error = ours(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
        let left = ours("1/image_key/YQ/blogo/3").unwrap();
        assert!(Plan::parse(&left).unwrap_err().to_string().contains("blogo"));
    }
}
