//! Values as clients write them: numbers and booleans may be texts, names may have any case.

use serde_json::{Map, Value};

use crate::color::Color;
use crate::geometry::Gravity;

/// The parameters of a function, or another object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) Option<&'a Map<String, Value>>);

impl<'a> Fields<'a> {
    /// The fields of `value`, if it has any.
    pub(super) fn of(value: Option<&'a Value>) -> Self {
        Self(value.and_then(Value::as_object))
    }

    /// A field that is there; null is not.
    pub(super) fn get(self, name: &str) -> Option<&'a Value> {
        let fields = self.0?;
        let found =
            fields.get(name).or_else(|| fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|it| it.1));
        found.filter(|value| !value.is_null())
    }

    /// A text; numbers are told as texts.
    pub(super) fn text(self, name: &str) -> Option<String> {
        match self.get(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A number, or what is wrong with it.
    pub(super) fn number(self, name: &str) -> Result<Option<f64>, String> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) if text.trim().is_empty() => return Ok(None),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        let expected = || format!("{name} is {value}; expected a number");
        number.filter(|number| number.is_finite()).map(Some).ok_or_else(expected)
    }

    /// A number, or what stands for it.
    pub(super) fn number_or(self, name: &str, default: f64) -> Result<f64, String> {
        Ok(self.number(name)?.unwrap_or(default))
    }

    /// A whole number.
    pub(super) fn whole(self, name: &str) -> Result<Option<i64>, String> {
        Ok(self.number(name)?.map(|number| number.round() as i64))
    }

    /// A whole number, or what stands for it.
    pub(super) fn whole_or(self, name: &str, default: i64) -> Result<i64, String> {
        Ok(self.whole(name)?.unwrap_or(default))
    }

    /// A number that has to be there.
    pub(super) fn required(self, name: &str) -> Result<f64, String> {
        self.number(name)?.ok_or_else(|| format!("{name} is missing; expected a number"))
    }

    /// Whether something is said to be so: `true`, `"true"`, `1`, `"1"`.
    pub(super) fn flag(self, name: &str) -> bool {
        match self.get(name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text == "1" || text.eq_ignore_ascii_case("true"),
            Some(Value::Number(number)) => number.as_f64() == Some(1.0),
            _ => false,
        }
    }

    /// An anchor; what is none is the middle.
    pub(super) fn gravity(self, name: &str) -> Option<Gravity> {
        let text = self.text(name)?;
        let anchor = text.strip_suffix("Gravity").unwrap_or(&text);
        Some(anchor.parse().unwrap_or(Gravity::Center))
    }

    /// A colour, or what stands for it.
    pub(super) fn color_or(self, name: &str, default: Color) -> Result<Color, String> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let expected = || format!("{name} is {text:?}; expected #rgb, #rrggbb or the name of a colour");
        color(&text).ok_or_else(expected)
    }
}

/// The colour that a text is; `#rgb` is short for `#rrggbb`.
pub(super) fn color(text: &str) -> Option<Color> {
    let text = text.trim();
    let short = text.strip_prefix('#').filter(|digits| digits.len() == 3 && digits.is_ascii());
    match short {
        Some(digits) => {
            format!("#{}", digits.chars().flat_map(|digit| [digit, digit]).collect::<String>()).parse().ok()
        }
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_as_they_are_meant() {
        let object = json!({
            "width": "160", "height": 90.4, "empty": "", "bad": "x", "yes": "True", "no": "false", "one": 1, "Brightness": 1.5,
            "gravity": "NorthEastGravity", "odd": "UpGravity", "short": "#f0A", "name": "red", "none": null,
        });
        let fields = Fields::of(Some(&object));
        assert_eq!(fields.whole("width"), Ok(Some(160)));
        assert_eq!(fields.whole("height"), Ok(Some(90)));
        assert_eq!(
            (fields.number("empty"), fields.number("none"), fields.number("gone")),
            (Ok(None), Ok(None), Ok(None))
        );
        assert_eq!(fields.number("bad"), Err("bad is \"x\"; expected a number".to_owned()));
        assert_eq!(fields.number("brightness"), Ok(Some(1.5)));
        assert!(fields.flag("yes") && fields.flag("one") && !fields.flag("no") && !fields.flag("width"));
        assert_eq!(
            (fields.gravity("gravity"), fields.gravity("odd")),
            (Some(Gravity::NorthEast), Some(Gravity::Center))
        );
        assert_eq!(fields.color_or("short", Color::WHITE).unwrap().rgba, [255, 0, 170, 255]);
        assert_eq!(fields.color_or("name", Color::WHITE).unwrap().rgba, [255, 0, 0, 255]);
        assert!(fields.color_or("bad", Color::WHITE).is_err());
        assert!(Fields::of(None).get("width").is_none());
    }
}
