//! Posting pictures to a queue: all of them or none (spec 5).

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;

use super::asset::{self, Described};
use super::hydra::Failure;
use super::{Base, Customer, Dlcs, answer, document};
use crate::jobs::model::{Api, Source, Submission};
use crate::jobs::queue::Submitted;
use crate::jobs::records::assets::{self, AssetFilter, Members, Name, Registration, Window};

/// The queue that pictures are read from.
const QUEUE: &str = "dlcs";
/// Where those come that are posted to the priority queue.
const FIRST: i32 = 1;

/// What a title of a later failure begins with.
const OPERATION: &str = "Create batch";

#[derive(Debug, Deserialize)]
struct Collection {
    #[serde(default)]
    member: Option<Vec<Described>>,
}

pub(super) async fn post(
    State(dlcs): State<Dlcs>,
    Extension(customer): Extension<Customer>,
    Extension(base): Extension<Base>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    accept(&dlcs, &customer, &base, document(&headers, body).await?, false).await
}

pub(super) async fn post_priority(
    State(dlcs): State<Dlcs>,
    Extension(customer): Extension<Customer>,
    Extension(base): Extension<Base>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    accept(&dlcs, &customer, &base, document(&headers, body).await?, true).await
}

async fn accept(
    dlcs: &Dlcs,
    customer: &Customer,
    base: &Base,
    posted: Collection,
    is_priority: bool,
) -> Result<Response, Failure> {
    let mut described = posted.member.unwrap_or_default();
    if dlcs.config.legacy {
        described.iter_mut().for_each(Described::fill_in);
    }
    check(&described, dlcs.config.max_batch)?;
    let assets = registered(dlcs, customer, described, OPERATION).await?;
    let is_image = |members: &Members| members.media_type.starts_with("image/");
    if let Some((name, _)) = assets.iter().find(|(_, members)| is_priority && !is_image(members)) {
        return Err(Failure::invalid(
            OPERATION,
            &format!("asset {}: the priority queue only takes image assets", name.id),
        ));
    }
    let submitted = dlcs.submit(customer, assets, is_priority, true).await?;
    let batch = match submitted.batch {
        Some(id) => dlcs.queue.asset_batch(customer.number, id).await?,
        None => None,
    };
    let batch = batch.ok_or_else(|| Failure::not_found("the batch is gone"))?;
    let document = asset::batch_document(base, customer, &batch);
    let mut response = answer(StatusCode::CREATED, &document);
    if let Some(location) = document["@id"].as_str().and_then(|id| HeaderValue::from_str(id).ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response.into_response())
}

/// Refuses what is wrong by itself.
fn check(described: &[Described], most: usize) -> Result<(), Failure> {
    if described.is_empty() {
        return Err(Failure::bad("members cannot be empty"));
    }
    let mut mistakes = Vec::new();
    let mut seen = BTreeSet::new();
    let named = described.iter().filter_map(|one| Some((one.id.as_deref()?, one.space.unwrap_or_default())));
    let twice: BTreeSet<_> = named.filter(|name| !name.0.is_empty() && !seen.insert(*name)).collect();
    if !twice.is_empty() {
        let listed: Vec<_> = twice.iter().map(|(id, space)| format!("Id:{id},Space:{space}")).collect();
        mistakes.push(format!("members contain {} duplicate ids: {}", twice.len(), listed.join("; ")));
    }
    if described.len() > most {
        mistakes.push(format!("{} assets were posted, at most {most} make a batch", described.len()));
    }
    mistakes.extend(described.iter().flat_map(Described::mistakes));
    if mistakes.is_empty() { Ok(()) } else { Err(Failure::bad(mistakes.join(". "))) }
}

/// The pictures as they are to be registered: what is new, and what is known with what is said of it now.
pub(super) async fn registered(
    dlcs: &Dlcs,
    customer: &Customer,
    described: Vec<Described>,
    operation: &str,
) -> Result<Vec<(Name, Members)>, Failure> {
    let wanted: BTreeSet<i64> = described.iter().filter_map(|one| one.space).collect();
    let spaces = dlcs.queue.spaces_named(customer.number, &wanted.iter().copied().collect::<Vec<_>>()).await?;
    let missing: Vec<String> = wanted
        .iter()
        .filter(|wanted| !spaces.iter().any(|space| space.id == **wanted))
        .map(ToString::to_string)
        .collect();
    if !missing.is_empty() {
        let detail = format!("the following spaces could not be found: {}", missing.join(", "));
        return Err(Failure::invalid(operation, &detail));
    }
    let name = |one: &Described| Name {
        space: one.space.unwrap_or_default(),
        id: one.id.clone().filter(|id| !id.is_empty()).unwrap_or_else(new_id),
    };
    let named: Vec<(Name, Described)> = described.into_iter().map(|one| (name(&one), one)).collect();
    let names: Vec<Name> = named.iter().map(|(name, _)| name.clone()).collect();
    let known = dlcs.queue.assets_named(customer.number, &names).await?;
    check_room(dlcs, customer, names.len() - known.len(), operation).await?;
    let mut known: BTreeMap<Name, Members> = known.into_iter().map(|asset| (asset.name, asset.members)).collect();
    let mut assets = Vec::with_capacity(named.len());
    let mut mistakes = Vec::new();
    for (name, one) in named {
        let before = known.remove(&name).unwrap_or_else(|| {
            let space = spaces.iter().find(|space| space.id == name.space);
            let (tags, roles) =
                space.map(|space| (space.defaults.tags.clone(), space.defaults.roles.clone())).unwrap_or_default();
            Members { tags, roles, ..asset::unsaid() }
        });
        let members = one.applied_to(before);
        if let Err(problem) = dlcs.source(customer, &members.origin) {
            mistakes.push(format!("asset {}: {problem}", name.id));
        }
        assets.push((name, members));
    }
    if mistakes.is_empty() { Ok(assets) } else { Err(Failure::invalid(operation, &mistakes.join(". "))) }
}

/// Refuses pictures that a customer has no room for.
async fn check_room(dlcs: &Dlcs, customer: &Customer, new: usize, operation: &str) -> Result<(), Failure> {
    let Some(most) = customer.max_images.filter(|_| new > 0) else { return Ok(()) };
    let window = Window { skip: 0, take: 1 };
    let (there, _) = dlcs.queue.assets(customer.number, &AssetFilter::default(), window).await?;
    if there + new as i64 <= i64::from(most) {
        return Ok(());
    }
    let detail = format!("{there} images are registered and {new} more were posted; the customer may have {most}");
    Err(Failure::new(StatusCode::INSUFFICIENT_STORAGE, &format!("{operation}: Storage limit exceeded"), &detail))
}

/// A name for a picture that comes without: a UUID of version 4.
fn new_id() -> String {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

impl Dlcs {
    /// What an origin names.
    pub(super) fn source(&self, customer: &Customer, origin: &str) -> Result<Source, String> {
        if origin.is_empty() {
            return Err("asset origin must be supplied".to_owned());
        }
        let url = url::Url::parse(origin).ok().filter(url::Url::has_host);
        let expected = || format!("origin is {origin:?}; expected an http, https or s3 URL");
        let url = url.ok_or_else(expected)?;
        match url.scheme() {
            "http" | "https" => Ok(Source::Url(url.into())),
            "s3" => {
                let bucket = url.host_str().unwrap_or_default().to_owned();
                if self.buckets.named(&bucket).is_err() || !self.keys.allows(&customer.key, &bucket) {
                    return Err(format!("origin is {origin:?}, and there is no such bucket here"));
                }
                let key = percent_encoding::percent_decode_str(url.path().trim_start_matches('/'));
                Ok(Source::Object { bucket, key: key.decode_utf8_lossy().into_owned() })
            }
            _ => Err(expected()),
        }
    }

    /// Registers pictures and accepts the jobs that read them.
    pub(super) async fn submit(
        &self,
        customer: &Customer,
        assets: Vec<(Name, Members)>,
        is_priority: bool,
        is_batch: bool,
    ) -> Result<Submitted, Failure> {
        let mut jobs = Vec::with_capacity(assets.len());
        for (name, members) in &assets {
            let source =
                self.source(customer, &members.origin).map_err(|problem| Failure::invalid(OPERATION, &problem))?;
            let thumbs = asset::has_channel(members, "thumbs");
            let thumbs: &[u32] = if thumbs { &self.config.thumbs } else { &[] };
            let is_image = members.media_type.starts_with("image/");
            jobs.push(assets::job(name, source, is_image, thumbs, &customer.bucket));
        }
        let submission = Submission {
            api: Api::Dlcs,
            owner: customer.key.clone(),
            queue: QUEUE.to_owned(),
            priority: if is_priority { FIRST } else { 0 },
            jobs,
            is_batch,
        };
        let registration = Registration { customer: customer.number, is_priority, assets };
        Ok(self.queue.register(submission, registration, SystemTime::now()).await?)
    }
}
