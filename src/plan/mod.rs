//! A plan: the operators of a URL as typed values, in the order in which the user wrote them.
//!
//! Parsing is pure and total: any text is a plan or a [`ParseError`] that names the operator, the argument, the
//! value and what was expected. [`Plan`]'s `Display` is its canonical text: it parses to the same plan, and with the
//! source's version it is the cache key. Sizes are worked out here too, without pixels: each operator knows what it
//! makes of a size.

pub mod image_mogr2;
pub mod image_slim;
pub mod image_view;
pub mod image_view2;
pub mod output;
pub mod round_pic;
pub mod saveas;
pub mod scan;
pub mod style;
pub mod watermark;

use crate::error::ErrorKind;
pub use image_mogr2::ImageMogr2;
pub use image_slim::ImageSlim;
pub use image_view::ImageView;
pub use image_view2::ImageView2;
pub use round_pic::RoundPic;
pub use saveas::SaveAs;
pub use watermark::Watermark;

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
    /// `roundPic/…`: rounded transparent corners.
    RoundPic(RoundPic),
    /// `imageslim…`: fewer bytes, same size and format.
    ImageSlim(ImageSlim),
    /// `imageInfo`: size, format and colour model as JSON.
    ImageInfo,
    /// `exif`: the EXIF tags as JSON.
    Exif,
    /// `imageAve`: the average colour as JSON.
    ImageAve,
    /// `saveas/<entry>…`: store the result.
    SaveAs(SaveAs),
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
