//! `info.json`: what there is of a picture (spec iiif-image 4 and 7).

use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;

use crate::geometry::Size;
use crate::plan::iiif::{Bounds, Format, Version};

const PROTOCOL: &str = "http://iiif.io/api/image";

/// Edge of the tiles that viewers are told to ask for, in pixels.
const TILE: u32 = 512;

/// Sizes are listed down to this longer edge, in pixels.
const SMALLEST: u32 = 100;

/// What is told of a picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Information<'a> {
    /// Its base URI.
    pub(super) id: &'a str,
    /// As it is shown.
    pub(super) size: Size,
    pub(super) level: Level<'a>,
}

/// What is served of a picture.
#[derive(Clone, Copy, Debug)]
pub(super) enum Level<'a> {
    /// These sizes, the smallest first, and nothing else.
    Zero(&'a [Size]),
    /// Anything within bounds.
    Two(Bounds),
}

#[derive(Serialize)]
struct Edges {
    width: u32,
    height: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tiles {
    width: u32,
    scale_factors: Vec<u32>,
}

/// Absent where the whole picture is given.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Most {
    max_width: u32,
    max_area: u64,
}

/// The members in the order of the standard's examples.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Third<'a> {
    #[serde(rename = "@context")]
    context: &'static str,
    id: &'a str,
    r#type: &'static str,
    protocol: &'static str,
    profile: &'static str,
    width: u32,
    height: u32,
    #[serde(flatten)]
    most: Option<Most>,
    sizes: Vec<Edges>,
    #[serde(flatten)]
    extras: Option<ThirdExtras>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ThirdExtras {
    tiles: [Tiles; 1],
    extra_formats: Vec<&'static str>,
    extra_qualities: [&'static str; 3],
    extra_features: [&'static str; 4],
}

#[derive(Serialize)]
struct Second<'a> {
    #[serde(rename = "@context")]
    context: &'static str,
    #[serde(rename = "@id")]
    id: &'a str,
    #[serde(rename = "@type")]
    r#type: &'static str,
    protocol: &'static str,
    width: u32,
    height: u32,
    profile: Vec<SecondProfile>,
    sizes: Vec<Edges>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tiles: Option<[Tiles; 1]>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum SecondProfile {
    Level(&'static str),
    Extras(SecondExtras),
}

#[derive(Serialize)]
struct SecondExtras {
    formats: Vec<&'static str>,
    #[serde(flatten)]
    most: Option<Most>,
    supports: [&'static str; 5],
}

impl Information<'_> {
    /// The document.
    pub(super) fn document(&self, version: Version) -> String {
        let document = match version {
            Version::Two => serde_json::to_string(&self.second()),
            Version::Three => serde_json::to_string(&self.third()),
        };
        document.expect("numbers and texts")
    }

    fn third(&self) -> Third<'_> {
        let extras = |bounds| ThirdExtras {
            tiles: [self.tiles(bounds)],
            extra_formats: Format::extra().collect(),
            extra_qualities: ["color", "gray", "bitonal"],
            extra_features: ["mirroring", "rotationArbitrary", "canonicalLinkHeader", "profileLinkHeader"],
        };
        Third {
            context: "http://iiif.io/api/image/3/context.json",
            id: self.id,
            r#type: "ImageService3",
            protocol: PROTOCOL,
            profile: if self.bounds().is_some() { "level2" } else { "level0" },
            width: self.size.width,
            height: self.size.height,
            most: self.most(),
            sizes: self.sizes(),
            extras: self.bounds().map(extras),
        }
    }

    fn second(&self) -> Second<'_> {
        let extras = |_| SecondExtras {
            formats: Format::extra().collect(),
            most: self.most(),
            supports: ["regionSquare", "mirroring", "rotationArbitrary", "canonicalLinkHeader", "profileLinkHeader"],
        };
        let level = match self.level {
            Level::Zero(_) => "http://iiif.io/api/image/2/level0.json",
            Level::Two(_) => "http://iiif.io/api/image/2/level2.json",
        };
        let extras = self.bounds().map(extras).map(SecondProfile::Extras);
        Second {
            context: "http://iiif.io/api/image/2/context.json",
            id: self.id,
            r#type: "iiif:Image",
            protocol: PROTOCOL,
            width: self.size.width,
            height: self.size.height,
            profile: [SecondProfile::Level(level)].into_iter().chain(extras).collect(),
            sizes: self.sizes(),
            tiles: self.bounds().map(|bounds| [self.tiles(bounds)]),
        }
    }

    const fn bounds(&self) -> Option<Bounds> {
        match self.level {
            Level::Zero(_) => None,
            Level::Two(bounds) => Some(bounds),
        }
    }

    fn most(&self) -> Option<Most> {
        let bounds = self.bounds().filter(|bounds| !bounds.holds(self.size))?;
        Some(Most { max_width: bounds.edge, max_area: bounds.area })
    }

    /// Those that are served, or the picture's halves, quarters and so on, rounded up; the smallest first.
    fn sizes(&self) -> Vec<Edges> {
        let edges = |Size { width, height }| Edges { width, height };
        let bounds = match self.level {
            Level::Zero(sizes) => return sizes.iter().copied().map(edges).collect(),
            Level::Two(bounds) => bounds,
        };
        let scaled = |factor| Size::new(self.size.width.div_ceil(factor), self.size.height.div_ceil(factor));
        let is_listed = |size: &Size| size.long() >= SMALLEST.min(self.size.long());
        let sizes = factors().map(scaled).take_while(is_listed).filter(|size| bounds.holds(*size));
        let mut sizes: Vec<Edges> = sizes.map(edges).collect();
        sizes.reverse();
        sizes
    }

    /// Tiles at each power of two, up to the first at which one tile holds the picture.
    fn tiles(&self, bounds: Bounds) -> Tiles {
        let width = TILE.min(bounds.edge);
        let before = factors().take_while(|factor| self.size.long().div_ceil(*factor) > width).count();
        Tiles { width, scale_factors: factors().take(before + 1).collect() }
    }
}

/// Powers of two.
fn factors() -> impl Iterator<Item = u32> {
    (0..u32::BITS).map(|power| 1 << power)
}

/// The document's media type for who asks (spec iiif-image 4).
pub(super) fn media_type(version: Version, request: &HeaderMap) -> HeaderValue {
    let accepts = |name: &str| {
        let lines = request.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
        let mut ranges = lines.flat_map(|line| line.split(','));
        ranges.any(|range| range.split(';').next().is_some_and(|range| range.trim().eq_ignore_ascii_case(name)))
    };
    HeaderValue::from_static(match version {
        Version::Three if accepts("application/json") && !accepts("application/ld+json") => "application/json",
        Version::Three => "application/ld+json;profile=\"http://iiif.io/api/image/3/context.json\"",
        Version::Two if accepts("application/ld+json") => "application/ld+json",
        Version::Two => "application/json",
    })
}
