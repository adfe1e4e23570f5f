//! EXIF values as text, in the words of libexif's `exif_entry_get_value` (spec 4.6).

use exif::{Rational, SRational, Tag, Value};

/// EXIF type code of a value (TIFF 6.0, page 15); `None` for types that TIFF does not know.
pub(super) fn type_code(value: &Value) -> Option<u16> {
    Some(match value {
        Value::Byte(_) => 1,
        Value::Ascii(_) => 2,
        Value::Short(_) => 3,
        Value::Long(_) => 4,
        Value::Rational(_) => 5,
        Value::SByte(_) => 6,
        Value::Undefined(..) => 7,
        Value::SShort(_) => 8,
        Value::SLong(_) => 9,
        Value::SRational(_) => 10,
        Value::Float(_) => 11,
        Value::Double(_) => 12,
        Value::Unknown(..) => return None,
    })
}

/// libexif's name of a tag; `None` for tags without a name.
pub(super) fn name(tag: Tag) -> Option<String> {
    match tag {
        Tag::PhotographicSensitivity => return Some("ISOSpeedRatings".into()),
        Tag::FlashpixVersion => return Some("FlashPixVersion".into()),
        _ => {}
    }
    tag.description()?;
    Some(tag.to_string())
}

/// The text of a value.
pub(super) fn text(tag: Tag, value: &Value) -> String {
    in_words(tag, value)
        .or_else(|| measured(tag, value))
        .or_else(|| undefined(tag, value))
        .unwrap_or_else(|| plain(value))
}

/// Values that are codes.
fn in_words(tag: Tag, value: &Value) -> Option<String> {
    let code = value.get_uint(0)?;
    let (_, words) = CODES.iter().find(|(known, _)| *known == tag)?;
    words.iter().find(|(known, _)| *known == code).map(|(_, text)| (*text).to_owned())
}

/// Values with a unit.
fn measured(tag: Tag, value: &Value) -> Option<String> {
    let number = ratio(value)?;
    Some(match tag {
        Tag::ExposureTime if number > 0.0 && number < 1.0 => format!("1/{} sec.", (1.0 / number).round()),
        Tag::ExposureTime => format!("{} sec.", number.trunc()),
        Tag::FNumber => format!("f/{number:.1}"),
        Tag::ApertureValue | Tag::MaxApertureValue => format!("{number:.2} EV (f/{:.1})", (number / 2.0).exp2()),
        Tag::FocalLength => format!("{number:.1} mm"),
        Tag::SubjectDistance => format!("{number:.1} m"),
        Tag::ExposureBiasValue => format!("{number:.2} EV"),
        Tag::ShutterSpeedValue => {
            let seconds = (-number).exp2();
            let fraction =
                if seconds < 1.0 { format!("1/{:.0}", 1.0 / seconds) } else { format!("{:.0}", seconds.trunc()) };
            format!("{number:.2} EV ({fraction} sec.)")
        }
        Tag::BrightnessValue => {
            // Candela a square metre, by the APEX definition in feet.
            let luminance = number.exp2() / (std::f64::consts::PI * 0.3048 * 0.3048);
            format!("{number:.2} EV ({luminance:.2} cd/m^2)")
        }
        _ => return None,
    })
}

/// Values of type UNDEFINED, by tag.
fn undefined(tag: Tag, value: &Value) -> Option<String> {
    let Value::Undefined(bytes, _) = value else { return None };
    Some(match tag {
        Tag::ExifVersion => exif_version(bytes),
        Tag::FlashpixVersion if bytes == b"0100" => "FlashPix Version 1.0".into(),
        Tag::FlashpixVersion if bytes == b"0101" => "FlashPix Version 1.01".into(),
        Tag::FlashpixVersion => "Unknown FlashPix Version".into(),
        Tag::FileSource if bytes.first() == Some(&3) => "DSC".into(),
        Tag::SceneType if bytes.first() == Some(&1) => "Directly photographed".into(),
        Tag::ComponentsConfiguration => components(bytes),
        Tag::UserComment => comment(bytes),
        Tag::InteroperabilityVersion => String::from_utf8_lossy(bytes).into_owned(),
        _ => format!("{} bytes undefined data", bytes.len()),
    })
}

fn exif_version(bytes: &[u8]) -> String {
    let version = match bytes {
        b"0110" => "1.1",
        b"0120" => "1.2",
        b"0200" => "2.0",
        b"0210" => "2.1",
        b"0220" => "2.2",
        b"0221" => "2.21",
        b"0230" => "2.3",
        b"0231" => "2.31",
        b"0232" => "2.32",
        _ => return "Unknown Exif Version".into(),
    };
    format!("Exif Version {version}")
}

fn components(bytes: &[u8]) -> String {
    let names = ["-", "Y", "Cb", "Cr", "R", "G", "B"];
    let known: Vec<&str> =
        bytes.iter().map(|code| names.get(usize::from(*code)).copied().unwrap_or("reserved")).collect();
    known.join(" ")
}

/// The text behind the eight bytes that name its character set.
fn comment(bytes: &[u8]) -> String {
    let text = bytes.get(8..).unwrap_or_default();
    String::from_utf8_lossy(text).trim_end_matches(['\0', ' ']).to_owned()
}

/// Values without a rule of their own: numbers, joined by a comma and a space.
fn plain(value: &Value) -> String {
    match value {
        Value::Ascii(lines) => {
            let lines: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(line)).collect();
            lines.join(" ").trim_end().to_owned()
        }
        Value::Byte(bytes) => joined(bytes, |byte| format!("0x{byte:02x}")),
        Value::SByte(bytes) => joined(bytes, |byte| format!("0x{byte:02x}")),
        Value::Short(numbers) => joined(numbers, ToString::to_string),
        Value::Long(numbers) => joined(numbers, ToString::to_string),
        Value::SShort(numbers) => joined(numbers, ToString::to_string),
        Value::SLong(numbers) => joined(numbers, ToString::to_string),
        Value::Float(numbers) => joined(numbers, ToString::to_string),
        Value::Double(numbers) => joined(numbers, ToString::to_string),
        Value::Rational(ratios) => joined(ratios, rational),
        Value::SRational(ratios) => joined(ratios, srational),
        Value::Undefined(bytes, _) => format!("{} bytes undefined data", bytes.len()),
        Value::Unknown(..) => String::new(),
    }
}

fn joined<T>(values: &[T], text: impl Fn(&T) -> String) -> String {
    let texts: Vec<String> = values.iter().map(text).collect();
    texts.join(", ")
}

fn rational(ratio: &Rational) -> String {
    if ratio.denom == 0 {
        return format!("{}/{}", ratio.num, ratio.denom);
    }
    decimal(ratio.to_f64(), f64::from(ratio.denom))
}

fn srational(ratio: &SRational) -> String {
    if ratio.denom == 0 {
        return format!("{}/{}", ratio.num, ratio.denom);
    }
    decimal(ratio.to_f64(), f64::from(ratio.denom).abs())
}

/// libexif prints as many decimals as the denominator has digits (`log10(d) - 0.08 + 1`, truncated), two wide.
fn decimal(number: f64, denominator: f64) -> String {
    let decimals = (denominator.log10() - 0.08 + 1.0) as usize;
    format!("{number:2.decimals$}")
}

fn ratio(value: &Value) -> Option<f64> {
    match value {
        Value::Rational(ratios) => ratios.first().filter(|ratio| ratio.denom != 0).map(Rational::to_f64),
        Value::SRational(ratios) => ratios.first().filter(|ratio| ratio.denom != 0).map(SRational::to_f64),
        _ => None,
    }
}

/// Codes and their words, from libexif's `exif-entry.c`.
#[rustfmt::skip]
const CODES: &[(Tag, &[(u32, &str)])] = &[
    (Tag::Orientation, &[(1, "Top-left"), (2, "Top-right"), (3, "Bottom-right"), (4, "Bottom-left"), (5, "Left-top"),
        (6, "Right-top"), (7, "Right-bottom"), (8, "Left-bottom")]),
    (Tag::ResolutionUnit, &[(2, "Inch"), (3, "Centimeter")]),
    (Tag::FocalPlaneResolutionUnit, &[(2, "Inch"), (3, "Centimeter")]),
    (Tag::YCbCrPositioning, &[(1, "Centered"), (2, "Co-sited")]),
    (Tag::PlanarConfiguration, &[(1, "Chunky format"), (2, "Planar format")]),
    (Tag::Compression, &[(1, "Uncompressed"), (5, "LZW compression"), (6, "JPEG compression"),
        (7, "JPEG compression"), (8, "Deflate/ZIP compression"), (32773, "PackBits compression")]),
    (Tag::PhotometricInterpretation, &[(0, "Reversed mono"), (1, "Normal mono"), (2, "RGB"), (3, "Palette"),
        (5, "CMYK"), (6, "YCbCr"), (8, "CieLAB")]),
    (Tag::ExposureProgram, &[(0, "Not defined"), (1, "Manual"), (2, "Normal program"), (3, "Aperture priority"),
        (4, "Shutter priority"), (5, "Creative program (biased toward depth of field)"),
        (6, "Creative program (biased toward fast shutter speed)"),
        (7, "Portrait mode (for closeup photos with the background out of focus)"),
        (8, "Landscape mode (for landscape photos with the background in focus)")]),
    (Tag::MeteringMode, &[(0, "Unknown"), (1, "Average"), (2, "Center-weighted average"), (3, "Spot"),
        (4, "Multi spot"), (5, "Pattern"), (6, "Partial"), (255, "Other")]),
    (Tag::LightSource, &[(0, "Unknown"), (1, "Daylight"), (2, "Fluorescent"), (3, "Tungsten incandescent light"),
        (4, "Flash"), (9, "Fine weather"), (10, "Cloudy weather"), (11, "Shade"), (12, "Daylight fluorescent"),
        (13, "Day white fluorescent"), (14, "Cool white fluorescent"), (15, "White fluorescent"),
        (17, "Standard light A"), (18, "Standard light B"), (19, "Standard light C"), (20, "D55"), (21, "D65"),
        (22, "D75"), (24, "ISO studio tungsten"), (255, "Other")]),
    (Tag::Flash, &[(0x00, "Flash did not fire"), (0x01, "Flash fired"), (0x05, "Strobe return light not detected"),
        (0x07, "Strobe return light detected"), (0x08, "Flash did not fire"),
        (0x09, "Flash fired, compulsory flash mode"),
        (0x0d, "Flash fired, compulsory flash mode, return light not detected"),
        (0x0f, "Flash fired, compulsory flash mode, return light detected"),
        (0x10, "Flash did not fire, compulsory flash mode"), (0x18, "Flash did not fire, auto mode"),
        (0x19, "Flash fired, auto mode"), (0x1d, "Flash fired, auto mode, return light not detected"),
        (0x1f, "Flash fired, auto mode, return light detected"), (0x20, "No flash function"),
        (0x41, "Flash fired, red-eye reduction mode"),
        (0x45, "Flash fired, red-eye reduction mode, return light not detected"),
        (0x47, "Flash fired, red-eye reduction mode, return light detected"),
        (0x49, "Flash fired, compulsory flash mode, red-eye reduction mode"),
        (0x4d, "Flash fired, compulsory flash mode, red-eye reduction mode, return light not detected"),
        (0x4f, "Flash fired, compulsory flash mode, red-eye reduction mode, return light detected"),
        (0x58, "Flash did not fire, auto mode, red-eye reduction mode"),
        (0x59, "Flash fired, auto mode, red-eye reduction mode"),
        (0x5d, "Flash fired, auto mode, return light not detected, red-eye reduction mode"),
        (0x5f, "Flash fired, auto mode, return light detected, red-eye reduction mode")]),
    (Tag::ColorSpace, &[(1, "sRGB"), (2, "Adobe RGB"), (0xffff, "Uncalibrated")]),
    (Tag::SensingMethod, &[(1, "Not defined"), (2, "One-chip color area sensor"), (3, "Two-chip color area sensor"),
        (4, "Three-chip color area sensor"), (5, "Color sequential area sensor"), (7, "Trilinear sensor"),
        (8, "Color sequential linear sensor")]),
    (Tag::CustomRendered, &[(0, "Normal process"), (1, "Custom process")]),
    (Tag::ExposureMode, &[(0, "Auto exposure"), (1, "Manual exposure"), (2, "Auto bracket")]),
    (Tag::WhiteBalance, &[(0, "Auto white balance"), (1, "Manual white balance")]),
    (Tag::SceneCaptureType, &[(0, "Standard"), (1, "Landscape"), (2, "Portrait"), (3, "Night scene")]),
    (Tag::GainControl, &[(0, "Normal"), (1, "Low gain up"), (2, "High gain up"), (3, "Low gain down"),
        (4, "High gain down")]),
    (Tag::Contrast, &[(0, "Normal"), (1, "Soft"), (2, "Hard")]),
    (Tag::Saturation, &[(0, "Normal"), (1, "Low saturation"), (2, "High saturation")]),
    (Tag::Sharpness, &[(0, "Normal"), (1, "Soft"), (2, "Hard")]),
    (Tag::SubjectDistanceRange, &[(0, "Unknown"), (1, "Macro"), (2, "Close view"), (3, "Distant view")]),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(num: u32, denom: u32) -> Value {
        Value::Rational(vec![Rational { num, denom }])
    }

    fn sratio(num: i32, denom: i32) -> Value {
        Value::SRational(vec![SRational { num, denom }])
    }

    fn undefined(bytes: &[u8]) -> Value {
        Value::Undefined(bytes.to_vec(), 0)
    }

    #[test]
    fn texts_are_libexifs() {
        let rows = [
            // The five of the vendor's page.
            (Tag::DateTime, Value::Ascii(vec![b"2011:11:19 17:09:23".to_vec()]), 2, "2011:11:19 17:09:23"),
            (Tag::ExposureBiasValue, sratio(1, 3), 10, "0.33 EV"),
            (Tag::ExposureTime, ratio(1, 50), 5, "1/50 sec."),
            (Tag::PhotographicSensitivity, Value::Short(vec![3200]), 3, "3200"),
            (Tag::Model, Value::Ascii(vec![b"Canon EOS 600D".to_vec()]), 2, "Canon EOS 600D"),
            (Tag::ExposureTime, ratio(2, 1), 5, "2 sec."),
            (Tag::FNumber, ratio(56, 10), 5, "f/5.6"),
            (Tag::ApertureValue, ratio(5, 1), 5, "5.00 EV (f/5.7)"),
            (Tag::FocalLength, ratio(50, 1), 5, "50.0 mm"),
            (Tag::ShutterSpeedValue, sratio(6, 1), 10, "6.00 EV (1/64 sec.)"),
            (Tag::XResolution, ratio(72, 1), 5, "72"),
            (Tag::XResolution, ratio(72, 0), 5, "72/0"),
            (Tag::ResolutionUnit, Value::Short(vec![2]), 3, "Inch"),
            (Tag::Orientation, Value::Short(vec![6]), 3, "Right-top"),
            (Tag::Flash, Value::Short(vec![16]), 3, "Flash did not fire, compulsory flash mode"),
            (Tag::Flash, Value::Short(vec![200]), 3, "200"),
            (Tag::ColorSpace, Value::Short(vec![1]), 3, "sRGB"),
            (Tag::ExifVersion, undefined(b"0221"), 7, "Exif Version 2.21"),
            (Tag::ComponentsConfiguration, undefined(&[1, 2, 3, 0]), 7, "Y Cb Cr -"),
            (Tag::UserComment, undefined(b"ASCII\0\0\0hello\0"), 7, "hello"),
            (Tag::MakerNote, undefined(&[0; 412]), 7, "412 bytes undefined data"),
            (Tag::GPSVersionID, Value::Byte(vec![2, 3]), 1, "0x02, 0x03"),
            (Tag::PixelXDimension, Value::Long(vec![4000]), 4, "4000"),
        ];
        for (tag, value, code, expected) in rows {
            assert_eq!(text(tag, &value), expected, "{tag}");
            assert_eq!(type_code(&value), Some(code), "{tag}");
        }
    }

    #[test]
    fn names_are_libexifs() {
        assert_eq!(name(Tag::PhotographicSensitivity).as_deref(), Some("ISOSpeedRatings"));
        assert_eq!(name(Tag::Model).as_deref(), Some("Model"));
        assert_eq!(name(Tag(exif::Context::Tiff, 0xFEED)), None);
    }
}
