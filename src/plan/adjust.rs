//! `adjust/<name>/<value>/…`: changes of colour, each pixel for itself, in the order in which they are written. A fop of this
//! server's own; what each change comes to in numbers is said at [`Change`].

use std::fmt;
use std::ops::RangeInclusive;

use super::ParseError;
use super::scan::{self, Cursor};

/// Most changes of one `adjust`.
pub const MAX_CHANGES: usize = 16;

/// A parsed `adjust`: the changes that change something, first to last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adjust {
    /// What is changed.
    pub changes: Vec<Change>,
}

/// One change of colour. `v` is a sample of red, green or blue from 0 to 255; results are rounded half up and clipped. Alpha
/// stays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// `brightness/<-100..100>`: `v + 255 × n/100`.
    Brightness(i8),
    /// `contrast/<-100..100>`: `127.5 + (v − 127.5) × (1 + n/100)²`.
    Contrast(i8),
    /// `saturation/<-100..100>`: `luma + (v − luma) × (1 + n/100)`, by BT.601 luma; −100 is grey.
    Saturation(i8),
    /// `hue/<degrees>`, -360 to 360, kept as 1 to 359: `hueRotate` of W3C Filter Effects 1, which keeps luma.
    Hue(u16),
    /// `gamma/<0.1..10>`: `255 × (v/255)^(1/n)`; above 1 the middle becomes lighter.
    Gamma(f32),
    /// `multiply/<percent>`, 0 to 1000: `v × n/100`.
    Multiply(u16),
    /// `grayscale/1`: BT.601 luma.
    Grayscale,
    /// `sepia/<0..100>`: by that much to the brown of `sepia` of W3C Filter Effects 1.
    Sepia(u8),
    /// `invert/1`: `255 − v`.
    Invert,
    /// `threshold/<0..100>`: 255 where `v ≥ 255 × n/100`, else 0.
    Threshold(u8),
    /// `levels/<black>x<white>x<gamma>`: `255 × ((v/255 − b)/(w − b))^(1/g)`, black and white in percent; what lies outside is clipped
    /// first.
    Levels(Levels),
    /// `levelize/<black>x<white>x<gamma>`: the way back, `255 × (b + (w − b) × (v/255)^g)`.
    Levelize(Levels),
}

/// Where black and white lie, and what becomes of the middle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    /// Percent of the range, 0 to 100.
    pub black: f32,
    /// The same, above black.
    pub white: f32,
    /// 0.1 to 10; 1 is none.
    pub gamma: f32,
}

impl Levels {
    fn read(cursor: &mut Cursor<'_>, name: &str) -> Result<Self, ParseError> {
        let expected =
            "<black>x<white>x<gamma>: percents from 0 to 100, white above black, and a number from 0.1 to 10";
        cursor.read(name, expected, |value| {
            let mut numbers = value.split('x').map(scan::decimal);
            let levels = Self { black: numbers.next()??, white: numbers.next()??, gamma: numbers.next()?? };
            let is_sound = levels.black < levels.white && levels.white <= 100.0 && (0.1..=10.0).contains(&levels.gamma);
            (is_sound && numbers.next().is_none()).then_some(levels)
        })
    }
}

impl fmt::Display for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.black, self.white, self.gamma)
    }
}

const NAMES: [&str; 12] = [
    "brightness",
    "contrast",
    "saturation",
    "hue",
    "gamma",
    "multiply",
    "grayscale",
    "sepia",
    "invert",
    "threshold",
    "levels",
    "levelize",
];

const PERCENT: RangeInclusive<i8> = -100..=100;

impl Adjust {
    /// Reads what follows `adjust/`: names with values. What changes nothing is left out.
    pub(super) fn parse(cursor: &mut Cursor<'_>) -> Result<Self, ParseError> {
        let mut changes = Vec::new();
        let mut written = 0;
        while let Some(name) = cursor.segment() {
            written += 1;
            if written > MAX_CHANGES {
                return Err(ParseError::Order { fop: "adjust", problem: "has at most 16 changes" });
            }
            changes.extend(Change::read(cursor, name)?);
        }
        Ok(Self { changes })
    }
}

impl Change {
    /// Reads the value of the change called `name`; `None` where it changes nothing.
    fn read(cursor: &mut Cursor<'_>, name: &str) -> Result<Option<Self>, ParseError> {
        Ok(match name {
            "brightness" => Some(cursor.integer(name, PERCENT)?).filter(|n| *n != 0).map(Self::Brightness),
            "contrast" => Some(cursor.integer(name, PERCENT)?).filter(|n| *n != 0).map(Self::Contrast),
            "saturation" => Some(cursor.integer(name, PERCENT)?).filter(|n| *n != 0).map(Self::Saturation),
            "hue" => Some(degrees(cursor, name)?).filter(|n| *n != 0).map(Self::Hue),
            "gamma" => Some(cursor.decimal(name, 0.1..=10.0)?).filter(|n| *n != 1.0).map(Self::Gamma),
            "multiply" => Some(cursor.integer(name, 0..=1000)?).filter(|n| *n != 100).map(Self::Multiply),
            "grayscale" => cursor.flag(name)?.then_some(Self::Grayscale),
            "sepia" => Some(cursor.integer(name, 0..=100)?).filter(|n| *n != 0).map(Self::Sepia),
            "invert" => cursor.flag(name)?.then_some(Self::Invert),
            "levels" => Some(Self::Levels(Levels::read(cursor, name)?)),
            "levelize" => Some(Self::Levelize(Levels::read(cursor, name)?)),
            "threshold" => Some(Self::Threshold(cursor.integer(name, 0..=100)?)),
            _ => return Err(cursor.unknown(name, &NAMES)),
        })
    }
}

/// Whole degrees, as 0 to 359.
fn degrees(cursor: &mut Cursor<'_>, name: &str) -> Result<u16, ParseError> {
    let read = |value: &str| scan::integer_in::<i32>(value, &(-360..=360));
    let degrees = cursor.read(name, "an integer from -360 to 360", read)?;
    Ok(degrees.rem_euclid(360) as u16)
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Brightness(percent) => write!(f, "brightness/{percent}"),
            Self::Contrast(percent) => write!(f, "contrast/{percent}"),
            Self::Saturation(percent) => write!(f, "saturation/{percent}"),
            Self::Hue(degrees) => write!(f, "hue/{degrees}"),
            Self::Gamma(gamma) => write!(f, "gamma/{gamma}"),
            Self::Multiply(percent) => write!(f, "multiply/{percent}"),
            Self::Grayscale => f.write_str("grayscale/1"),
            Self::Sepia(percent) => write!(f, "sepia/{percent}"),
            Self::Invert => f.write_str("invert/1"),
            Self::Levels(levels) => write!(f, "levels/{levels}"),
            Self::Levelize(levels) => write!(f, "levelize/{levels}"),
            Self::Threshold(percent) => write!(f, "threshold/{percent}"),
        }
    }
}

impl fmt::Display for Adjust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("adjust")?;
        self.changes.iter().try_for_each(|change| write!(f, "/{change}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Adjust, ParseError> {
        Adjust::parse(&mut Cursor::new("adjust", Some(text)))
    }

    #[test]
    fn changes_keep_their_order_and_those_of_nothing_go() {
        for (text, canonical) in [
            ("brightness/10", "adjust/brightness/10"),
            ("brightness/-100/contrast/100", "adjust/brightness/-100/contrast/100"),
            ("contrast/5/brightness/5/contrast/5", "adjust/contrast/5/brightness/5/contrast/5"),
            ("saturation/-100", "adjust/saturation/-100"),
            ("hue/-90", "adjust/hue/270"),
            ("hue/360", "adjust"),
            ("gamma/2.20", "adjust/gamma/2.2"),
            ("gamma/.1", "adjust/gamma/0.1"),
            ("multiply/120", "adjust/multiply/120"),
            ("grayscale/1/sepia/80/invert/1", "adjust/grayscale/1/sepia/80/invert/1"),
            ("threshold/50", "adjust/threshold/50"),
            ("levels/5x95x1.20/levelize/0x50x1", "adjust/levels/5x95x1.2/levelize/0x50x1"),
            ("grayscale/0/sepia/0/invert/0/brightness/0/contrast/-0/gamma/1.0/multiply/100", "adjust"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), canonical, "{text}");
        }
        assert_eq!(Adjust::parse(&mut Cursor::new("adjust", None)), Ok(Adjust::default()));
    }

    #[test]
    fn ranges_are_refused() {
        for (text, message) in [
            ("brightness/101", "adjust: brightness is \"101\"; expected an integer from -100 to 100"),
            ("contrast/-101", "adjust: contrast is \"-101\"; expected an integer from -100 to 100"),
            ("saturation/x", "adjust: saturation is \"x\"; expected an integer from -100 to 100"),
            ("hue/361", "adjust: hue is \"361\"; expected an integer from -360 to 360"),
            ("gamma/0.09", "adjust: gamma is \"0.09\"; expected a number from 0.1 to 10"),
            ("gamma/NaN", "adjust: gamma is \"NaN\"; expected a number from 0.1 to 10"),
            ("multiply/1001", "adjust: multiply is \"1001\"; expected an integer from 0 to 1000"),
            ("sepia/-1", "adjust: sepia is \"-1\"; expected an integer from 0 to 100"),
            ("grayscale/2", "adjust: grayscale is \"2\"; expected an integer from 0 to 1"),
            ("invert", "adjust: invert is missing; expected an integer from 0 to 1"),
            (
                "levels/90x10x1",
                "adjust: levels is \"90x10x1\"; expected <black>x<white>x<gamma>: percents from 0 to 100, white above black, \
                 and a number from 0.1 to 10",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), message, "{text}");
        }
        let near = parse("brightnes/5").unwrap_err().to_string();
        assert!(near.ends_with("(did you mean brightness?)"), "{near}");
        assert!(parse(&["hue/0"; 16].join("/")).is_ok());
        assert_eq!(parse(&["hue/0"; 17].join("/")).unwrap_err().to_string(), "adjust: has at most 16 changes");
    }
}
