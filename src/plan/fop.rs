//! The fops by name: which there are, which are read by whom, and which the vendor has and this server has not.

use std::fmt;

use super::output::FormatChoice;
use super::scan::{self, Cursor};
use super::{
    Adjust, Composite, Cut, Draw, Facts, Filters, Flatten, Flip, Fop, ImageMogr2, ImageSlim, ImageView, ImageView2,
    ParseError, RoundPic, SaveAs, Seen, Sizing, Trim, Watermark,
};

/// Reads the arguments of one fop.
type Reader = fn(&mut Cursor<'_>) -> Result<Fop, ParseError>;

/// The fops of this server by the names that pipelines have for them.
const READERS: [(&str, Reader); 25] = [
    ("imageView2", |cursor| ImageView2::parse(cursor).map(Fop::ImageView2)),
    ("imageView", |cursor| ImageView::parse(cursor).map(Fop::ImageView)),
    ("imageMogr2", |cursor| ImageMogr2::parse(cursor).map(Fop::ImageMogr2)),
    ("imageMogr", |cursor| ImageMogr2::parse_legacy(cursor).map(Fop::ImageMogr2)),
    ("watermark", |cursor| Watermark::parse(cursor).map(Fop::Watermark)),
    ("roundPic", |cursor| RoundPic::parse(cursor).map(Fop::RoundPic)),
    ("adjust", |cursor| Adjust::parse(cursor).map(Fop::Adjust)),
    ("size", |cursor| Sizing::parse(cursor).map(Fop::Size)),
    ("cut", |cursor| Cut::parse(cursor).map(Fop::Cut)),
    ("filter", |cursor| Filters::parse(cursor).map(Fop::Filter)),
    ("flatten", |cursor| Flatten::parse(cursor).map(Fop::Flatten)),
    ("flip", |cursor| Flip::parse(cursor).map(Fop::Flip)),
    ("composite", |cursor| Composite::parse(cursor).map(Fop::Composite)),
    ("draw", |cursor| Draw::parse(cursor).map(Fop::Draw)),
    ("palette", |cursor| {
        let colors = cursor.integer("colors", 2..=256)?;
        cursor.end().map(|()| Fop::Palette(colors))
    }),
    ("frame", |cursor| {
        let number = cursor.integer("number", 0..=9999)?;
        cursor.end().map(|()| Fop::Frame(number))
    }),
    ("imageslim", |cursor| ImageSlim::parse(cursor).map(Fop::ImageSlim)),
    ("imageInfo", |cursor| cursor.end().map(|()| Fop::ImageInfo)),
    ("exif", |cursor| cursor.end().map(|()| Fop::Exif)),
    ("facts", |cursor| Facts::parse(cursor).map(Fop::Facts)),
    ("imageAve", |cursor| Seen::average(cursor).map(Fop::Seen)),
    ("colors", |cursor| Seen::colors(cursor).map(Fop::Seen)),
    ("edges", |cursor| Seen::edges(cursor).map(Fop::Seen)),
    ("trim", |cursor| Trim::parse(cursor).map(Fop::Trim)),
    ("saveas", |cursor| SaveAs::parse(cursor).map(Fop::SaveAs)),
];

const MEDIA: &str = "audio and video are processed by jobs, not on delivery";
const FILES: &str = "only images are processed here; join and pack files where they are stored";
const EXTENSION: &str = "an extension of a third party, which only the vendor's own service can call";

/// The vendor's other fops (spec 4.11, 4.13), and why they are not done here.
const OUT_OF_SCOPE: [(&str, &str); 17] = [
    ("animate", "still images are not joined into an animation; store the animation as one object"),
    ("qhash", "hashes are not computed on delivery; the ETag of an object changes when its bytes do"),
    ("md2html", "documents are not converted; only images are processed here"),
    ("qrcode", "codes are not drawn; store the code as an image"),
    ("concat", FILES),
    ("mkzip", FILES),
    ("imagecomp", EXTENSION),
    ("facecrop", EXTENSION),
    ("nrop", EXTENSION),
    ("avinfo", MEDIA),
    ("vframe", MEDIA),
    ("avthumb", MEDIA),
    ("vsample", MEDIA),
    ("pm3u8", MEDIA),
    ("avconcat", MEDIA),
    ("adapt", MEDIA),
    ("p", "stored results are not looked up by their command; ask for the fops themselves, or for the stored key"),
];

/// Whether a pipeline may start with `name`: one of this server's fops, or one that is known to be out of its scope.
pub(super) fn is_known(name: &str) -> bool {
    READERS.iter().any(|(known, _)| *known == name) || OUT_OF_SCOPE.iter().any(|(known, _)| *known == name)
}

impl Fop {
    /// Reads one stage of a pipeline.
    pub(super) fn parse(stage: &str) -> Result<Self, ParseError> {
        let (name, arguments) = scan::split_stage(stage);
        if let Some((name, read)) = READERS.iter().find(|(known, _)| *known == name) {
            return read(&mut Cursor::new(name, arguments));
        }
        let name = name.to_owned();
        match OUT_OF_SCOPE.iter().find(|(known, _)| *known == name) {
            Some((_, reason)) => Err(ParseError::OutOfScope { name, reason }),
            None => Err(ParseError::UnknownFop { name }),
        }
    }

    /// The name that pipelines have for it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ImageView2(_) => "imageView2",
            Self::ImageView(_) => "imageView",
            Self::ImageMogr2(_) => "imageMogr2",
            Self::Watermark(_) => "watermark",
            Self::RoundPic(_) => "roundPic",
            Self::Adjust(_) => "adjust",
            Self::Size(_) => "size",
            Self::Cut(_) => "cut",
            Self::Filter(_) => "filter",
            Self::Flatten(_) => "flatten",
            Self::Frame(_) => "frame",
            Self::Flip(_) => "flip",
            Self::Composite(_) => "composite",
            Self::Draw(_) => "draw",
            Self::Palette(_) => "palette",
            Self::ImageSlim(_) => "imageslim",
            Self::ImageInfo => "imageInfo",
            Self::Exif => "exif",
            Self::Facts(_) => "facts",
            Self::Seen(seen) => seen.name(),
            Self::Trim(_) => "trim",
            Self::SaveAs(_) => "saveas",
        }
    }

    /// Whether its result is JSON about the picture instead of a picture.
    pub const fn is_metadata(&self) -> bool {
        matches!(self, Self::ImageInfo | Self::Exif | Self::Facts(_) | Self::Seen(_))
    }

    /// The format that it names; rounded corners need one with alpha, and `imageslim` keeps the picture's own.
    pub(super) const fn format(&self) -> Option<FormatChoice> {
        match self {
            Self::ImageView2(view) => view.output.format,
            Self::ImageView(view) => view.output.format,
            Self::ImageMogr2(mogr) => mogr.output.format,
            Self::Watermark(mark) => mark.format,
            Self::ImageSlim(_) => Some(FormatChoice::Source),
            _ => None,
        }
    }

    /// Whether it asks for the source in place of a failure.
    pub(super) const fn ignores_errors(&self) -> bool {
        match self {
            Self::ImageView2(view) => view.output.ignore_error,
            Self::ImageMogr2(mogr) => mogr.output.ignore_error,
            Self::Watermark(mark) => mark.ignore_error,
            _ => false,
        }
    }
}

impl fmt::Display for Fop {
    /// The canonical text of one stage.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ImageView2(view) => write!(f, "{view}"),
            Self::ImageView(view) => write!(f, "{view}"),
            Self::ImageMogr2(mogr) => write!(f, "{mogr}"),
            Self::Watermark(mark) => write!(f, "{mark}"),
            Self::RoundPic(round) => write!(f, "{round}"),
            Self::Adjust(adjust) => write!(f, "{adjust}"),
            Self::Size(sizing) => write!(f, "{sizing}"),
            Self::Cut(cut) => write!(f, "{cut}"),
            Self::Filter(filters) => write!(f, "{filters}"),
            Self::Flatten(flatten) => write!(f, "{flatten}"),
            Self::Flip(flip) => write!(f, "{flip}"),
            Self::Composite(composite) => write!(f, "{composite}"),
            Self::Draw(draw) => write!(f, "{draw}"),
            Self::Frame(number) => write!(f, "frame/{number}"),
            Self::Palette(colors) => write!(f, "palette/{colors}"),
            Self::ImageSlim(slim) => write!(f, "{slim}"),
            Self::Facts(facts) => write!(f, "{facts}"),
            Self::SaveAs(saveas) => write!(f, "{saveas}"),
            Self::ImageInfo | Self::Exif => f.write_str(self.name()),
            Self::Seen(seen) => write!(f, "{seen}"),
            Self::Trim(trim) => write!(f, "{trim}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use crate::plan::Plan;

    fn refusal(text: &str) -> String {
        Plan::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn metadata_fops_take_nothing() {
        for name in ["imageInfo", "exif", "imageAve"] {
            let message = format!("{name}: unknown argument \"1\"; expected nothing more");
            assert_eq!(refusal(&format!("{name}/1")), message);
        }
    }

    #[test]
    fn unknown_names_and_fops_out_of_scope() {
        for name in ["unknownop", "imageview2", "ImageInfo", "montage", "imagepersona", " imageInfo"] {
            assert_eq!(refusal(&format!("{name}/1/w/2")), format!("unsupported fop: {name}"));
        }
        for (name, _) in OUT_OF_SCOPE {
            let error = Plan::parse(&format!("imageslim|{name}/1")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(matches!(error, ParseError::OutOfScope { name: ref told, .. } if told == name), "{error}");
        }
        assert_eq!(
            refusal("vframe/jpg/offset/2/"),
            "unsupported fop: vframe: audio and video are processed by jobs, not on delivery"
        );
    }

    #[test]
    fn every_reader_has_a_name_of_its_own() {
        let names = READERS.iter().map(|(name, _)| *name).chain(OUT_OF_SCOPE.iter().map(|(name, _)| *name));
        assert_eq!(names.collect::<std::collections::HashSet<_>>().len(), READERS.len() + OUT_OF_SCOPE.len());
        assert!(is_known("imageInfo") && is_known("avthumb") && !is_known("imageinfo"));
    }
}
