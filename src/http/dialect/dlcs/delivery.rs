//! Registered pictures on the delivery listener (spec dlcs 8): `/iiif-img/…` by the IIIF Image API, `/thumbs/…` in the sizes of
//! their derivatives. Who may see how much of a picture is what its record says.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{Request, Response, header};

use super::asset::has_channel;
use crate::error::ErrorKind;
use crate::geometry::Size;
use crate::http::iiif::{Asked, Picture, decoded, moved, no_such_path, redirect, told};
use crate::http::respond::{Body, Failure};
use crate::http::target::{Delivery, Target, lane};
use crate::jobs::records::assets::{Asset, Name};
use crate::plan::iiif::{ImageRequest, Version};

/// Where each channel's pictures are.
const SERVICES: [(Channel, &str); 2] = [(Channel::Images, "/iiif-img/"), (Channel::Thumbs, "/thumbs/")];

/// Pins of versions. What is not pinned is of the first.
const PINS: [(Version, &str); 2] = [(Version::Three, "v3/"), (Version::Two, "v2/")];

/// What is served of customers' pictures.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// Buckets by customer.
    pub buckets: BTreeMap<u32, String>,
    /// Longest sides of derivatives, in pixels.
    pub thumbs: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    Images,
    Thumbs,
}

impl Channel {
    const fn name(self) -> &'static str {
        match self {
            Self::Images => "iiif-img",
            Self::Thumbs => "thumbs",
        }
    }
}

/// What a request asks of a customer's picture.
#[derive(Debug)]
pub(in crate::http) struct Call<'a> {
    channel: Channel,
    /// What the path is pinned to.
    pinned: Option<Version>,
    /// `{customer}/{space}/{id}`, as it came.
    path: &'a str,
    customer: u32,
    bucket: &'a str,
    name: Name,
    /// The segments behind it, as they came.
    segments: Vec<&'a str>,
}

impl<'a> Call<'a> {
    /// The call, where the path is one of a customer's.
    pub(in crate::http) fn of<B>(delivery: &'a Delivery, request: &'a Request<B>) -> Option<Self> {
        let whole = request.uri().path();
        let (channel, path) =
            SERVICES.into_iter().find_map(|(name, prefix)| Some((name, whole.strip_prefix(prefix)?)))?;
        let pin = PINS.into_iter().find_map(|(version, pin)| Some((version, path.strip_prefix(pin)?)));
        let (pinned, path) = pin.map_or((None, path), |(version, path)| (Some(version), path));
        let mut segments = path.split('/');
        let customer = segments.next()?.parse().ok()?;
        let bucket = delivery.published.buckets.get(&customer)?;
        let (space, id) = (segments.next()?, segments.next()?);
        let name = Name { space: space.parse().ok()?, id: decoded(id).ok()? };
        let segments: Vec<&str> = segments.collect();
        let behind: usize = segments.iter().map(|segment| segment.len() + 1).sum();
        Some(Self { channel, pinned, path: &path[..path.len() - behind], customer, bucket, name, segments })
    }

    /// The bucket and the keys of the picture and its derivatives.
    pub(in crate::http) fn objects(&self, delivery: &Delivery) -> Vec<(String, String)> {
        let thumbs = delivery.published.thumbs.iter().map(|edge| self.name.thumb_key(*edge));
        let keys = thumbs.chain([self.name.original_key()]);
        keys.map(|key| (self.bucket.to_owned(), key)).collect()
    }

    /// The path of the service, pinned where that is not the first version.
    fn base(&self, version: Version) -> String {
        let pin = if version == Version::Two { "v2/" } else { "" };
        format!("/{}/{pin}{}", self.channel.name(), self.path)
    }

    /// The version that is spoken: what is pinned, else, for documents, what `Accept` names.
    fn version<B>(&self, request: &Request<B>) -> Version {
        let accepts = request.headers().get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
        let names_second = accepts.into_iter().any(|line| line.contains("http://iiif.io/api/image/2/context.json"));
        let is_document = self.segments == ["info.json"];
        let asked = if names_second && is_document { Version::Two } else { Version::Three };
        self.pinned.unwrap_or(asked)
    }
}

impl Delivery {
    /// Answers a `GET` or `HEAD`. Never fails: failures are answers too.
    pub(in crate::http) async fn answer_as_dlcs<B>(&self, request: &Request<B>, call: &Call<'_>) -> Response<Body> {
        self.registered(request, call).await.unwrap_or_else(told)
    }

    async fn registered<B>(&self, request: &Request<B>, call: &Call<'_>) -> Result<Response<Body>, Failure> {
        let version = call.version(request);
        let asked = Asked::parse(version, &call.segments)?.ok_or_else(no_such_path)?;
        let base = self.address_of(request, &call.base(version));
        if call.pinned == Some(Version::Three) {
            let behind: String = call.segments.iter().flat_map(|segment| ["/", segment]).collect();
            return Ok(moved(&format!("{base}{behind}")));
        }
        if matches!(asked, Asked::Base) {
            return Ok(redirect(&base));
        }
        let picture = self.registered_picture(request, call, base).await?;
        match (call.channel, asked) {
            (Channel::Images, Asked::Image(asked)) => self.iiif_image(request, version, &asked, picture).await,
            (Channel::Images, _) => self.iiif_information(request, version, &picture),
            (Channel::Thumbs, Asked::Image(asked)) => self.thumb(request, version, &asked, call, picture).await,
            (Channel::Thumbs, _) => {
                let sizes: Vec<Size> = self.thumbs_of(&picture).into_iter().map(|(_, size)| size).collect();
                if sizes.is_empty() {
                    return self.iiif_information(request, version, &picture);
                }
                Ok(self.iiif_sizes(request, version, &picture, &sizes))
            }
        }
    }

    /// The picture, once it is read. One that is not, and one without the channel, is not there.
    async fn registered_picture<B>(
        &self,
        request: &Request<B>,
        call: &Call<'_>,
        base: String,
    ) -> Result<Picture, Failure> {
        let missing = || Failure::new(ErrorKind::NotFound, &format!("there is no picture {:?}", call.path));
        let records = self.records.get().ok_or_else(missing)?;
        let asset = records.asset(call.customer, &call.name).await;
        let asset = asset.map_err(|error| Failure::new(error.kind(), &error))?.filter(Asset::is_ready);
        let asset = asset.filter(|asset| has_channel(&asset.members, call.channel.name())).ok_or_else(missing)?;
        let bucket = Arc::clone(self.transformer.buckets().named(call.bucket)?);
        let key = call.name.original_key();
        let asker = self.transformer.asker(lane(request));
        let shown = self.transformer.shown(&bucket, &key, asker).await;
        let shown = shown.map_err(|error| Failure::from(error.as_ref()))?;
        // Roles come and go.
        let target = Target { bucket, key, plan: None, attname: None, expires: None, read_by: None, link: None };
        Ok(Picture { target, shown, base, open_edge: asset.members.open_edge() })
    }

    /// The derivatives that everybody may have, the smallest first: the longest side that each was asked for, and its size.
    fn thumbs_of(&self, picture: &Picture) -> Vec<(u32, Size)> {
        let open = picture.open_edge.unwrap_or(u32::MAX);
        let mut edges = self.published.thumbs.clone();
        edges.sort_unstable();
        let size = |edge| (edge, picture.shown.size.shrink_inside(Some(edge), Some(edge)));
        let mut thumbs: Vec<(u32, Size)> = edges.into_iter().map(size).collect();
        thumbs.retain(|(_, size)| size.long() <= open);
        thumbs.dedup_by_key(|(_, size)| *size);
        thumbs
    }

    /// The derivative that a request comes to.
    async fn thumb<B>(
        &self,
        request: &Request<B>,
        version: Version,
        asked: &ImageRequest,
        call: &Call<'_>,
        picture: Picture,
    ) -> Result<Response<Body>, Failure> {
        let thumbs = self.thumbs_of(&picture);
        let none = || {
            let sizes: Vec<String> =
                thumbs.iter().map(|(_, Size { width, height })| format!("{width},{height}")).collect();
            let message = format!("expected full/<size>/0/default.jpg with one of the sizes {}", sizes.join(" "));
            Failure::new(ErrorKind::NotFound, &message)
        };
        let largest = thumbs.last().map(|(_, size)| *size).ok_or_else(none)?;
        let resolved = asked.of(version, largest, &self.iiif_bounds)?;
        // What is derived from the largest may be a pixel beside what was derived from the picture.
        let is_near = |size: Size| {
            size.width.abs_diff(resolved.size.width) <= 1 && size.height.abs_diff(resolved.size.height) <= 1
        };
        let found = thumbs.iter().find(|(_, size)| asked.is_plain() && resolved.is_whole && is_near(*size));
        let (edge, _) = found.ok_or_else(none)?;
        self.deliver(request, Target { key: call.name.thumb_key(*edge), ..picture.target }).await
    }
}
