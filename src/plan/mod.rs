//! A plan: the operators of a URL as typed values, in the order in which the user wrote them.
//!
//! Parsing is pure and total: any text is a plan or a [`ParseError`] that names the operator, the argument, the
//! value and what was expected. [`Plan`]'s `Display` is its canonical text: it parses to the same plan, and with the
//! source's version it is the cache key. Sizes are worked out here too, without pixels: each operator knows what it
//! makes of a size.

pub mod adjust;
pub mod composite;
mod crop;
pub mod cut;
pub mod draw;
mod extent;
pub mod facts;
pub mod filter;
pub mod flatten;
pub mod flip;
mod fop;
pub mod hints;
pub mod iiif;
pub mod image_mogr2;
pub mod image_slim;
pub mod image_view;
pub mod image_view2;
pub mod output;
#[cfg(test)]
mod properties;
pub mod query;
pub mod round_pic;
pub mod saveas;
pub mod scan;
pub mod seen;
pub mod size;
mod size_limit;
pub mod style;
pub mod tencent;
mod thumbnail;
pub mod watermark;
mod watermark_text;

use std::fmt;
use std::str::FromStr;

use crate::error::ErrorKind;
pub use adjust::Adjust;
pub use composite::Composite;
pub use cut::Cut;
pub use draw::Draw;
pub use facts::Facts;
pub use filter::Filters;
pub use flatten::Flatten;
pub use flip::Flip;
pub use image_mogr2::ImageMogr2;
pub use image_slim::ImageSlim;
pub use image_view::ImageView;
pub use image_view2::ImageView2;
use output::FormatChoice;
pub use query::Query;
pub use round_pic::RoundPic;
pub use saveas::SaveAs;
pub use seen::{Seen, Trim};
pub use size::Sizing;
pub use watermark::{ImageRef, Watermark};

/// Most fops that a pipeline may have.
pub const MAX_FOPS: usize = 32;

/// Most pictures that the watermarks of a pipeline may name: each may be a fetch.
pub const MAX_PICTURES: usize = 32;

/// A parsed pipeline: fops joined by `|`. Never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The fops, first to last.
    pub fops: Vec<Fop>,
}

/// One operation of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Fop {
    /// `imageView2/<mode>/…`: resize and crop without enlarging.
    ImageView2(ImageView2),
    /// `imageView/<mode>/…`: the older form of it.
    ImageView(ImageView),
    /// `imageMogr2/…`: a list of operations in their own order.
    ImageMogr2(ImageMogr2),
    /// `watermark/<1-4>/…`.
    Watermark(Watermark),
    /// `adjust/…`: changes of colour.
    Adjust(Adjust),
    /// `size/<how>/…`: a resize, and a cut or a canvas after it.
    Size(Sizing),
    /// `cut/…`: a box of the picture.
    Cut(Cut),
    /// `filter/…`: changes that look at neighbours.
    Filter(Filters),
    /// `draw/<shape>/…`: rectangles, ellipses, lines.
    Draw(Draw),
    /// `palette/<n>`: at most so many colours, 2 to 256, dithered.
    Palette(u16),
    /// `frame/<n>`: the frame of an animation that stands at `n`, counted from 0, as a still picture.
    Frame(u32),
    /// `flip/<direction>`: the picture in a mirror.
    Flip(Flip),
    /// `flatten/<colour>`: transparency onto a colour.
    Flatten(Flatten),
    /// `composite/<picture>/…`: another picture over this one.
    Composite(Composite),
    /// `roundPic/…`: rounded transparent corners.
    RoundPic(RoundPic),
    /// `imageslim…`: fewer bytes, same size and format.
    ImageSlim(ImageSlim),
    /// `imageInfo`: size, format and colour model as JSON.
    ImageInfo,
    /// `exif`: the EXIF tags as JSON.
    Exif,
    /// `facts/…`: all that there is to tell of the source, as JSON.
    Facts(Facts),
    /// `imageAve`, `colors/…`, `edges/…`: what there is to see, as JSON.
    Seen(Seen),
    /// `trim/…`: edges of one colour are cut off.
    Trim(Trim),
    /// `saveas/<entry>…`: store the result.
    SaveAs(SaveAs),
}

impl Plan {
    /// Reads a pipeline; `text` is percent-decoded.
    ///
    /// # Errors
    /// [`ParseError`] for anything but 1 to [`MAX_FOPS`] fops joined by `|`, in an order that makes sense: `saveas`
    /// last, a metadata fop last but for a `saveas`, and `exif` first.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let count = if text.is_empty() { 0 } else { text.split('|').count() };
        if !(1..=MAX_FOPS).contains(&count) {
            return Err(ParseError::Length { count, limit: MAX_FOPS });
        }
        let fops = (1..).zip(text.split('|')).map(parse_stage).collect::<Result<_, _>>()?;
        let plan = Self { fops };
        plan.check_order()?;
        let count = plan.images().count();
        if count > MAX_PICTURES {
            return Err(ParseError::Pictures { count, limit: MAX_PICTURES });
        }
        Ok(plan)
    }

    fn check_order(&self) -> Result<(), ParseError> {
        let refuse = |fop: &Fop, problem| Err(ParseError::Order { fop: fop.name(), problem });
        for (index, fop) in self.fops.iter().enumerate() {
            let next = self.fops.get(index + 1);
            match fop {
                Fop::SaveAs(_) if next.is_some() => return refuse(fop, "must be the last operator"),
                Fop::Exif | Fop::Facts(_) | Fop::Frame(_) if index > 0 => {
                    return refuse(fop, "reads the original, so no operator may stand before it");
                }
                _ if fop.is_metadata() && next.is_some_and(|next| !matches!(next, Fop::SaveAs(_))) => {
                    return refuse(fop, "its result is not an image, so only saveas may follow");
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The pictures that its watermarks and composites paint, in painting order, with repetitions.
    pub fn images(&self) -> impl Iterator<Item = &ImageRef> {
        self.fops.iter().flat_map(|fop| {
            let (mark, composite) = match fop {
                Fop::Watermark(mark) => (Some(mark), None),
                Fop::Composite(composite) => (None, Some(&composite.image)),
                _ => (None, None),
            };
            mark.into_iter().flat_map(Watermark::images).chain(composite)
        })
    }

    /// The format that the last fop that names one asks for.
    pub fn format(&self) -> Option<FormatChoice> {
        self.fops.iter().rev().find_map(Fop::format)
    }

    /// Whether any fop asks for the source in place of a failure (`ignore-error/1`).
    pub fn ignores_errors(&self) -> bool {
        self.fops.iter().any(Fop::ignores_errors)
    }

    /// The first fop that pixels decide on, and where it stands.
    pub fn first_trim(&self) -> Option<(usize, Trim)> {
        self.fops.iter().enumerate().find_map(|(at, fop)| match fop {
            Fop::Trim(trim) => Some((at, *trim)),
            _ => None,
        })
    }

    /// Where the result is to be stored.
    pub fn saveas(&self) -> Option<&SaveAs> {
        match self.fops.last() {
            Some(Fop::SaveAs(saveas)) => Some(saveas),
            _ => None,
        }
    }

    /// The plan for the pixels alone; `None` if storing is all there is to do.
    pub fn without_saveas(&self) -> Option<Self> {
        let fops: Vec<_> = self.fops.iter().filter(|fop| !matches!(fop, Fop::SaveAs(_))).cloned().collect();
        (!fops.is_empty()).then_some(Self { fops })
    }
}

/// Reads the stage that stands at `number`, counted from 1.
fn parse_stage((number, stage): (usize, &str)) -> Result<Fop, ParseError> {
    if scan::split_stage(stage).0.is_empty() {
        return Err(ParseError::Missing {
            fop: "pipeline",
            argument: format!("operator {number}"),
            expected: "an operator before, after and between |".to_owned(),
        });
    }
    Fop::parse(stage)
}

impl FromStr for Plan {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl fmt::Display for Plan {
    /// The canonical text: equal plans have equal texts, and it parses to the same plan.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fop) in self.fops.iter().enumerate() {
            let separator = if index > 0 { "|" } else { "" };
            write!(f, "{separator}{fop}")?;
        }
        Ok(())
    }
}

/// Why a text is not a plan. The message names the operator, the argument, the value and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The operator is not one that anybody knows.
    #[error("unsupported fop: {name}")]
    UnknownFop {
        /// As written.
        name: String,
    },
    /// The operator is a vendor's, and this server does not do it.
    #[error("unsupported fop: {name}: {reason}")]
    OutOfScope {
        /// As written.
        name: String,
        /// Why, and what to use instead where there is something.
        reason: &'static str,
    },
    /// An argument that the operator does not have.
    #[error("{fop}: unknown argument {argument:?}; expected {expected}")]
    UnknownArgument {
        /// The operator.
        fop: &'static str,
        /// As written.
        argument: String,
        /// What may stand there.
        expected: String,
    },
    /// An argument that must be there is not, or has no value.
    #[error("{fop}: {argument} is missing; expected {expected}")]
    Missing {
        /// The operator.
        fop: &'static str,
        /// The argument's name.
        argument: String,
        /// What should stand there.
        expected: String,
    },
    /// An argument's value is malformed or out of range.
    #[error("{fop}: {argument} is {value:?}; expected {expected}")]
    InvalidValue {
        /// The operator.
        fop: &'static str,
        /// The argument's name.
        argument: String,
        /// As written.
        value: String,
        /// Range or form that is accepted.
        expected: String,
    },
    /// Operators that cannot follow one another.
    #[error("{fop}: {problem}")]
    Order {
        /// The operator that is out of place.
        fop: &'static str,
        /// What is wrong with its place.
        problem: &'static str,
    },
    /// The text names more operators than a pipeline may have, or none.
    #[error("a pipeline has 1 to {limit} operators; this one has {count}")]
    Length {
        /// Operators written.
        count: usize,
        /// Operators allowed.
        limit: usize,
    },
    /// Watermarks name more pictures than they may.
    #[error("the watermarks of a pipeline name at most {limit} pictures; these name {count}")]
    Pictures {
        /// Pictures named.
        count: usize,
        /// Pictures allowed.
        limit: usize,
    },
}

impl ParseError {
    /// What kind of failure it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownFop { .. } | Self::OutOfScope { .. } => ErrorKind::Unsupported,
            _ => ErrorKind::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAVEAS: &str = "saveas/cGhvdG9zOmEuanBn";

    fn refusal(text: &str) -> String {
        Plan::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn pipelines_are_fops_joined_by_bars() {
        for (text, names) in [
            ("imageInfo", vec!["imageInfo"]),
            ("exif/", vec!["exif"]),
            ("imageView2/2/w/1290/|imageslim", vec!["imageView2", "imageslim"]),
            ("imageView/2/h/200|watermark/2/text/YQ", vec!["imageView", "watermark"]),
            ("imageMogr/v2/strip|roundPic/radius/5|imageAve", vec!["imageMogr2", "roundPic", "imageAve"]),
            ("imageMogr2/auto-orient|imageInfo|saveas/cGhvdG9zOmE", vec!["imageMogr2", "imageInfo", "saveas"]),
            ("saveas/cGhvdG9zOmE", vec!["saveas"]),
        ] {
            let plan: Plan = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(plan.fops.iter().map(Fop::name).collect::<Vec<_>>(), names);
            assert_eq!(plan.to_string().parse(), Ok(plan), "{text}");
        }
    }

    /// Spec 3.3.
    #[test]
    fn the_worked_example() {
        let text = "imageView2/1/w/200/h/200/q/75|watermark/2/text/SGVsbG8KV29ybGQ=/fontsize/500";
        let plan = Plan::parse(text).unwrap();
        assert_eq!(plan.to_string(), text);
        let Fop::Watermark(Watermark { paint: watermark::Paint::Marks(marks), .. }) = &plan.fops[1] else {
            panic!("not a watermark: {plan}");
        };
        let [watermark::Mark::Text(mark)] = marks.as_slice() else { panic!("not one text: {marks:?}") };
        assert_eq!(mark.lettering.text, "Hello\nWorld");
        assert_eq!(mark.lettering.size_twips, 500);
    }

    #[test]
    fn equal_plans_have_one_text() {
        for (left, right) in [
            ("imageView2/2/w/20/h/10", "imageView2/2/h/10/w/20/"),
            ("imageMogr2/format/jpeg/thumbnail/!50x50", "imageMogr2/thumbnail/50x50/format/jpg"),
            ("imageMogr/thumbnail/50x", "imageMogr2/thumbnail/50x/quality/85"),
            ("imageslim/zlevel/3", "imageslim"),
            ("imageView/2/q/85", "imageView/2"),
            ("imageMogr2/gravity/Center/sharpen/0/", "imageMogr2"),
        ] {
            let (left, right) = (Plan::parse(left).unwrap(), Plan::parse(right).unwrap());
            assert_eq!(left, right);
            assert_eq!(left.to_string(), right.to_string());
        }
    }

    #[test]
    fn empty_stages_are_refused() {
        assert_eq!(refusal(""), "a pipeline has 1 to 32 operators; this one has 0");
        for (text, number) in
            [("|", 1), ("/", 1), ("|exif", 1), ("exif|", 2), ("imageslim||exif", 2), ("imageslim|/", 2), ("/exif", 1)]
        {
            let expected = "expected an operator before, after and between |";
            assert_eq!(refusal(text), format!("pipeline: operator {number} is missing; {expected}"), "{text}");
        }
    }

    #[test]
    fn a_pipeline_has_at_most_32_fops() {
        let slims = |count| vec!["imageslim"; count].join("|");
        assert_eq!(Plan::parse(&slims(32)).map(|plan| plan.fops.len()), Ok(32));
        assert_eq!(refusal(&slims(33)), "a pipeline has 1 to 32 operators; this one has 33");
    }

    #[test]
    fn the_order_of_fops_makes_sense() {
        let not_an_image = "its result is not an image, so only saveas may follow";
        for (text, message) in [
            ("imageInfo|imageslim", format!("imageInfo: {not_an_image}")),
            ("imageInfo|imageInfo", format!("imageInfo: {not_an_image}")),
            ("imageAve|imageInfo", format!("imageAve: {not_an_image}")),
            ("exif|imageslim", format!("exif: {not_an_image}")),
            ("imageslim|exif", "exif: reads the original, so no operator may stand before it".to_owned()),
            (&format!("{SAVEAS}|imageslim"), "saveas: must be the last operator".to_owned()),
            (&format!("imageslim|{SAVEAS}|{SAVEAS}"), "saveas: must be the last operator".to_owned()),
        ] {
            assert_eq!(refusal(text), message, "{text}");
        }
        for text in ["exif", "imageslim|imageInfo", "imageslim|imageAve", "exif|saveas/cGhvdG9zOmE"] {
            assert!(Plan::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn plans_know_their_images_errors_and_destination() {
        let plan =
            Plan::parse(&format!("watermark/1/image/YQ|watermark/3/text/YQ/image/Yg/image/Yw|{SAVEAS}")).unwrap();
        assert_eq!(plan.images().map(ToString::to_string).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(plan.saveas().and_then(|saveas| saveas.key.as_deref()), Some("a.jpg"));
        let pixels = plan.without_saveas().unwrap();
        assert_eq!((pixels.fops.len(), pixels.saveas()), (2, None));
        assert_eq!(Plan::parse(SAVEAS).unwrap().without_saveas(), None);
        for (text, ignores) in [
            ("imageslim|imageView2/2/ignore-error/1", true),
            ("imageMogr2/ignore-error/1|imageslim", true),
            ("watermark/2/text/YQ/ignore-error/1", true),
            ("imageView2/2/ignore-error/0|imageInfo", false),
        ] {
            assert_eq!(Plan::parse(text).unwrap().ignores_errors(), ignores, "{text}");
        }
    }
}
