//! The cursor that fops are read with: the `/`-separated segments of one fop, front to back, with typed readers.
//!
//! Every reader takes the next segment as the value of `argument` and answers with the value or with a [`ParseError`]
//! that names fop, argument, value and what was expected. Also here: Base64 as the vendor writes it (spec 1.1).

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::ParseError;
use crate::color::Color;
use crate::geometry::Gravity;

/// URL-safe alphabet; padding is written, and optional when read.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// URL-safe Base64 with padding of the text of `value`.
pub(crate) fn encode_base64(value: impl fmt::Display) -> String {
    BASE64.encode(value.to_string())
}

/// The text that `encoded` stands for; `None` unless it is Base64 of UTF-8.
///
/// Padding is optional. `+` of the standard alphabet is read as `-`; its `/` cannot occur inside a segment.
pub(crate) fn decode_base64(encoded: &str) -> Option<String> {
    let bytes = BASE64.decode(encoded.replace('+', "-")).ok()?;
    String::from_utf8(bytes).ok()
}

/// Splits a stage into its name and what follows the first `/`. One trailing `/` is ignored, as in
/// `imageView2/2/w/1290/|…`, which occurs in real URLs.
pub(crate) fn split_stage(stage: &str) -> (&str, Option<&str>) {
    let stage = stage.strip_suffix('/').unwrap_or(stage);
    match stage.split_once('/') {
        Some((name, arguments)) => (name, Some(arguments)),
        None => (stage, None),
    }
}

/// The integer that `text` is: digits, with a `-` where `T` has negative values; no `+`, no blanks.
pub(crate) fn integer<T: FromStr>(text: &str) -> Option<T> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// The integer that `text` is, if it lies in `range`.
pub(crate) fn integer_in<T: FromStr + PartialOrd>(text: &str, range: &RangeInclusive<T>) -> Option<T> {
    integer(text).filter(|value| range.contains(value))
}

/// The decimal number that `text` is: digits with at most one `.`; no sign, no exponent.
pub(crate) fn decimal(text: &str) -> Option<f32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    plain.then(|| text.parse().ok()).flatten()
}

/// Reads the segments of one fop.
pub(crate) struct Cursor<'a> {
    fop: &'static str,
    rest: Option<&'a str>,
}

impl<'a> Cursor<'a> {
    /// A cursor over `arguments`, the text after the name `fop` and its `/`.
    pub(crate) fn new(fop: &'static str, arguments: Option<&'a str>) -> Self {
        Self { fop, rest: arguments }
    }

    /// The next segment, usually an argument's name; `None` at the end.
    pub(crate) fn segment(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        match rest.split_once('/') {
            Some((segment, rest)) => {
                self.rest = Some(rest);
                Some(segment)
            }
            None => self.rest.take(),
        }
    }

    /// Takes the next segment if it is `text`, as imageMogr's optional `v2`.
    pub(crate) fn skip(&mut self, text: &str) {
        let mut ahead = Self { fop: self.fop, rest: self.rest };
        if ahead.segment() == Some(text) {
            *self = ahead;
        }
    }

    /// Refuses leftovers: the fop takes no further arguments.
    pub(crate) fn end(&mut self) -> Result<(), ParseError> {
        self.segment().map_or(Ok(()), |argument| Err(self.unknown(argument, &[])))
    }

    /// Whether no segment is left.
    pub(crate) const fn is_at_end(&self) -> bool {
        self.rest.is_none()
    }

    /// The value of `argument` as written, which may not be empty.
    pub(crate) fn value(&mut self, argument: &str, expected: impl fmt::Display) -> Result<&'a str, ParseError> {
        match self.segment() {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(self.missing(argument, expected)),
        }
    }

    /// The value of `argument` as `parse` reads it; `None` from `parse` refuses it.
    pub(crate) fn read<T>(
        &mut self,
        argument: &str,
        expected: impl fmt::Display,
        parse: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, ParseError> {
        let value = self.value(argument, &expected)?;
        parse(value).ok_or_else(|| self.invalid(argument, value, expected))
    }

    /// An integer in `range`.
    pub(crate) fn integer<T>(&mut self, argument: &str, range: RangeInclusive<T>) -> Result<T, ParseError>
    where
        T: FromStr + PartialOrd + fmt::Display,
    {
        let expected = format_args!("an integer from {} to {}", range.start(), range.end());
        self.read(argument, expected, |value| integer_in(value, &range))
    }

    /// A decimal number in `range`.
    pub(crate) fn decimal(&mut self, argument: &str, range: RangeInclusive<f32>) -> Result<f32, ParseError> {
        let expected = format_args!("a number from {} to {}", range.start(), range.end());
        self.read(argument, expected, |value| decimal(value).filter(|number| range.contains(number)))
    }

    /// `0` or `1`.
    pub(crate) fn flag(&mut self, argument: &str) -> Result<bool, ParseError> {
        self.integer(argument, 0..=1_u8).map(|value| value == 1)
    }

    /// Base64 of UTF-8 text that is not empty; `what` says what the text is.
    pub(crate) fn text(&mut self, argument: &str, what: &str) -> Result<String, ParseError> {
        let expected = format_args!("URL-safe Base64 of {what}");
        self.read(argument, expected, |value| decode_base64(value).filter(|text| !text.is_empty()))
    }

    /// Base64 of a colour.
    pub(crate) fn color(&mut self, argument: &str) -> Result<Color, ParseError> {
        let expected = "URL-safe Base64 of a colour: a name, #RRGGBB or #RRGGBBAA";
        self.read(argument, expected, |value| decode_base64(value)?.parse().ok())
    }

    /// An anchor.
    pub(crate) fn gravity(&mut self, argument: &str) -> Result<Gravity, ParseError> {
        let names = Gravity::ALL.map(Gravity::name).join(", ");
        self.read(argument, format_args!("one of {names}"), |value| value.parse().ok())
    }

    /// The error for an argument that the fop needs.
    pub(crate) fn missing(&self, argument: &str, expected: impl fmt::Display) -> ParseError {
        ParseError::Missing { fop: self.fop, argument: argument.to_owned(), expected: expected.to_string() }
    }

    /// The error for a value that is malformed or out of range.
    pub(crate) fn invalid(&self, argument: &str, value: &str, expected: impl fmt::Display) -> ParseError {
        ParseError::InvalidValue {
            fop: self.fop,
            argument: argument.to_owned(),
            value: value.to_owned(),
            expected: expected.to_string(),
        }
    }

    /// The error for a name that is none of `known`; it lists them, and the one that was probably meant.
    pub(crate) fn unknown(&self, argument: &str, known: &[&str]) -> ParseError {
        let expected = match (known, nearest(argument, known)) {
            ([], _) => "nothing more".to_owned(),
            (_, Some(near)) => format!("one of {} (did you mean {near}?)", known.join(", ")),
            (_, None) => format!("one of {}", known.join(", ")),
        };
        ParseError::UnknownArgument { fop: self.fop, argument: argument.to_owned(), expected }
    }
}

/// The known name that `name` is probably a slip of: at most two edits away, and fewer than half its letters.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |candidate: &&str| strsim::damerau_levenshtein(&name.to_ascii_lowercase(), candidate);
    let near = known.iter().copied().min_by_key(distance)?;
    let edits = distance(&near);
    (edits <= 2 && 2 * edits < near.len()).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spec 1.1, row by row.
    const VECTORS: [(&str, &str); 13] = [
        ("photos:gogopher.jpg", "cGhvdG9zOmdvZ29waGVyLmpwZw=="),
        ("qiniuphotos:gogopher.jpg", "cWluaXVwaG90b3M6Z29nb3BoZXIuanBn"),
        ("photos", "cGhvdG9z"),
        ("photos:a?b>c~d.jpg", "cGhvdG9zOmE_Yj5jfmQuanBn"),
        ("photos:中文.jpg", "cGhvdG9zOuS4reaWhy5qcGc="),
        ("http://img.example.com/logo.png", "aHR0cDovL2ltZy5leGFtcGxlLmNvbS9sb2dvLnBuZw=="),
        ("red", "cmVk"),
        ("white", "d2hpdGU="),
        ("#FF0000", "I0ZGMDAwMA=="),
        ("宋体", "5a6L5L2T"),
        ("~~~", "fn5-"),
        ("-_>>>???", "LV8-Pj4_Pz8="),
        ("", ""),
    ];

    #[test]
    fn base64_is_url_safe_with_padding_and_reads_without() {
        for (plain, encoded) in VECTORS {
            assert_eq!(encode_base64(plain), encoded);
            assert_eq!(decode_base64(encoded).as_deref(), Some(plain));
            assert_eq!(decode_base64(encoded.trim_end_matches('=')).as_deref(), Some(plain), "unpadded {encoded}");
        }
        assert_eq!(decode_base64("fn5+").as_deref(), Some("~~~"), "standard alphabet, where it has no slash");
    }

    #[test]
    fn base64_refuses_other_alphabets_and_other_encodings() {
        for encoded in ["c", "cm Vk", "cmVk!", "c=mVk", "_w==", "=", "红"] {
            assert_eq!(decode_base64(encoded).filter(|text| !text.is_empty()), None, "{encoded}");
        }
    }

    #[test]
    fn one_trailing_slash_of_a_stage_is_ignored() {
        assert_eq!(split_stage("imageInfo"), ("imageInfo", None));
        assert_eq!(split_stage("imageInfo/"), ("imageInfo", None));
        assert_eq!(split_stage("imageInfo//"), ("imageInfo", Some("")));
        assert_eq!(split_stage("a/b/c/"), ("a", Some("b/c")));
    }

    #[test]
    fn integers_are_digits_in_range() {
        let read = |text| Cursor::new("fop", Some(text)).integer("w", 1..=9999_u32).ok();
        assert_eq!(read("1"), Some(1));
        assert_eq!(read("9999"), Some(9999));
        assert_eq!(read("0200"), Some(200));
        for text in ["0", "10000", "-1", "+1", "1.5", "1e3", " 1", "x", "", "99999999999999999999", "１"] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(integer::<i32>("-10"), Some(-10));
        assert_eq!(integer::<i32>("--10"), None);
    }

    #[test]
    fn decimals_are_digits_with_a_point() {
        let read = |text| Cursor::new("fop", Some(text)).decimal("ws", 0.0..=1.0).ok();
        for (text, value) in [("0", 0.0), ("1", 1.0), ("0.25", 0.25), (".5", 0.5), ("1.", 1.0)] {
            assert_eq!(read(text), Some(value), "{text}");
        }
        for text in ["1.01", "-0.5", "1e-1", "NaN", "inf", ".", "0.1.2", "0,5"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn errors_name_fop_argument_value_and_range() {
        let mut cursor = Cursor::new("imageView2", Some("0/"));
        assert_eq!(
            cursor.integer("w", 1..=9999_u32).unwrap_err().to_string(),
            r#"imageView2: w is "0"; expected an integer from 1 to 9999"#
        );
        assert_eq!(
            cursor.integer("h", 1..=9999_u32).unwrap_err().to_string(),
            "imageView2: h is missing; expected an integer from 1 to 9999"
        );
        assert_eq!(
            cursor.unknown("qualty", &["w", "quality"]).to_string(),
            r#"imageView2: unknown argument "qualty"; expected one of w, quality (did you mean quality?)"#
        );
        assert_eq!(
            cursor.unknown("zoom", &["w", "quality"]).to_string(),
            r#"imageView2: unknown argument "zoom"; expected one of w, quality"#
        );
    }
}
