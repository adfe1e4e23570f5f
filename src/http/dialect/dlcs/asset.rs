//! A picture on the wire, in both directions (spec 4, 5).

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::hydra::{CONTEXT, date};
use super::{Base, Customer};
use crate::jobs::records::assets::{Asset, Batch, Members, Name};

/// The channels that a picture may have (spec 5).
const CHANNELS: [&str; 6] = ["file", "iiif-av", "iiif-img", "thumbs", "none", "default"];

/// Members that only the server writes.
const READ_ONLY: [&str; 6] = ["width", "height", "duration", "batch", "finished", "created"];

/// Members that there were once.
const RETIRED: [&str; 2] = ["imageOptimisationPolicy", "thumbnailPolicy"];

/// A picture as somebody describes it: what is not given is left as it is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Described {
    pub(super) id: Option<String>,
    pub(super) space: Option<i64>,
    pub(super) origin: Option<String>,
    pub(super) media_type: Option<String>,
    delivery_channels: Option<Vec<Channel>>,
    tags: Option<Vec<String>>,
    roles: Option<Vec<String>>,
    string1: Option<String>,
    string2: Option<String>,
    string3: Option<String>,
    number1: Option<i64>,
    number2: Option<i64>,
    number3: Option<i64>,
    manifests: Option<Vec<String>>,
    max_unauthorised: Option<i64>,
    /// Everything else, to be refused or passed over.
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Channel {
    Name(String),
    Full { channel: String, policy: Option<String> },
}

impl Channel {
    fn name(&self) -> &str {
        match self {
            Self::Name(name) => name,
            Self::Full { channel, .. } => channel,
        }
    }

    fn policy(&self) -> Option<&str> {
        match self {
            Self::Name(_) => None,
            Self::Full { policy, .. } => policy.as_deref(),
        }
    }
}

impl Described {
    /// What is wrong with it as it stands, in the words of each rule that it breaks (spec 5).
    pub(super) fn mistakes(&self) -> Vec<String> {
        let mut found = Vec::new();
        let name = self.id.as_deref().unwrap_or("(no id)");
        let mut refuse = |text: String| found.push(format!("asset {name}: {text}"));
        let media_type = self.media_type.as_deref().unwrap_or_default();
        if media_type.is_empty() {
            refuse("media type must be specified".to_owned());
        }
        if self.space.unwrap_or_default() <= 0 {
            refuse("space cannot be empty; expected the number of a space".to_owned());
        }
        if self.id.as_deref().is_some_and(|id| !id.is_empty() && id.trim().is_empty()) {
            refuse("asset id cannot be empty".to_owned());
        }
        if self
            .id
            .as_deref()
            .is_some_and(|id| id.contains(['/', '\\', '\0']) || matches!(id, "." | "..") || id.len() > 200)
        {
            refuse("asset id has / or \\, or more than 200 bytes".to_owned());
        }
        self.check_channels(media_type, &mut refuse);
        for member in RETIRED.iter().filter(|member| self.others.contains_key(**member)) {
            refuse(format!("{member} is no longer allowed; expected deliveryChannels"));
        }
        for member in READ_ONLY.iter().filter(|member| self.others.get(**member).is_some_and(|value| !value.is_null()))
        {
            refuse(format!("{member} must not be supplied"));
        }
        found
    }

    /// The same for a change of the picture `name`, which needs to say nothing of what is known.
    pub(super) fn mistakes_beside(&self, name: &Name, media_type: &str) -> Vec<String> {
        let mut complete = self.clone();
        (complete.space, complete.id) = (Some(name.space), Some(name.id.clone()));
        complete.media_type.get_or_insert_with(|| media_type.to_owned());
        complete.mistakes()
    }

    fn check_channels(&self, media_type: &str, refuse: &mut impl FnMut(String)) {
        let Some(channels) = &self.delivery_channels else { return };
        if channels.is_empty() {
            return refuse("deliveryChannels cannot be an empty array".to_owned());
        }
        for (at, channel) in channels.iter().map(Channel::name).enumerate() {
            if !CHANNELS.contains(&channel) {
                refuse(format!("unknown channel {channel:?}; expected one of {}", CHANNELS.join(", ")));
            }
            if matches!(channel, "none" | "default") && channels.len() > 1 {
                refuse(format!("channel {channel} stands alone only"));
            }
            if channels[..at].iter().any(|before| before.name() == channel) {
                refuse(format!("channel {channel} is given twice"));
            }
            let is_image = media_type.starts_with("image/");
            if matches!(channel, "iiif-img" | "thumbs") && !is_image {
                refuse(format!("channel {channel} needs image/*, and the media type is {media_type:?}"));
            }
            if channel == "iiif-av" && !media_type.starts_with("video/") && !media_type.starts_with("audio/") {
                refuse(format!("channel iiif-av needs video/* or audio/*, and the media type is {media_type:?}"));
            }
        }
    }

    /// Fills in what clients of the first version leave out (spec 5, legacy mode).
    pub(super) fn fill_in(&mut self) {
        if self.media_type.as_deref().unwrap_or_default().is_empty() {
            let path = self.origin.as_deref().unwrap_or_default().split(['?', '#']).next().unwrap_or_default();
            let guessed =
                mime_guess::from_path(path).first().filter(|guessed| guessed.type_() == mime_guess::mime::IMAGE);
            self.media_type = Some(guessed.map_or_else(|| "image/unknown".to_owned(), |guessed| guessed.to_string()));
        }
        if self.max_unauthorised.unwrap_or_default() == 0 && self.roles.as_ref().is_none_or(Vec::is_empty) {
            self.max_unauthorised = Some(-1);
        }
        for retired in RETIRED {
            self.others.remove(retired);
        }
    }

    /// Whether anything is said that the picture has to be read again for.
    pub(super) fn needs_reading(&self, known: &Members) -> bool {
        let is_other = |given: &Option<String>, known: &String| given.as_ref().is_some_and(|given| given != known);
        is_other(&self.origin, &known.origin)
            || self.delivery_channels.is_some()
            || ["maxWidth", "openFullMax"].iter().any(|member| self.others.contains_key(*member))
    }

    /// Whether it has a member that a change of many may not have (spec 7).
    pub(super) fn forbidden_for_many(&self) -> Option<&'static str> {
        if self.origin.is_some() {
            return Some("origin");
        }
        if self.max_unauthorised.is_some() {
            return Some("maxUnauthorised");
        }
        if self.delivery_channels.is_some() {
            return Some("deliveryChannels");
        }
        RETIRED.into_iter().find(|retired| self.others.contains_key(*retired))
    }

    /// What is known of the picture, changed as it says.
    pub(super) fn applied_to(self, known: Members) -> Members {
        let [s1, s2, s3] = known.strings;
        let [n1, n2, n3] = known.numbers;
        let media_type = self.media_type.filter(|given| !given.is_empty()).unwrap_or(known.media_type);
        let channels = match &self.delivery_channels {
            Some(given) => named_channels(given, &media_type),
            None if known.channels.is_empty() => default_channels(&media_type),
            None => known.channels,
        };
        Members {
            origin: self.origin.unwrap_or(known.origin),
            channels,
            media_type,
            tags: self.tags.unwrap_or(known.tags),
            roles: self.roles.unwrap_or(known.roles),
            strings: [self.string1.unwrap_or(s1), self.string2.unwrap_or(s2), self.string3.unwrap_or(s3)],
            numbers: [self.number1.unwrap_or(n1), self.number2.unwrap_or(n2), self.number3.unwrap_or(n3)],
            manifests: self.manifests.unwrap_or(known.manifests),
            max_unauthorised: self.max_unauthorised.unwrap_or(known.max_unauthorised),
        }
    }
}

/// What is said of a picture of which nothing is.
pub(super) fn unsaid() -> Members {
    Members { max_unauthorised: -1, ..Members::default() }
}

fn named_channels(given: &[Channel], media_type: &str) -> Vec<(String, String)> {
    if given.iter().any(|channel| channel.name() == "default") {
        return default_channels(media_type);
    }
    let policy = |channel: &Channel| channel.policy().unwrap_or(default_policy(channel.name())).to_owned();
    given.iter().map(|channel| (channel.name().to_owned(), policy(channel))).collect()
}

fn default_policy(channel: &str) -> &'static str {
    if matches!(channel, "file" | "none") { "none" } else { "default" }
}

fn default_channels(media_type: &str) -> Vec<(String, String)> {
    let names: &[&str] = match media_type.split('/').next() {
        Some("image") => &["iiif-img", "thumbs"],
        Some("video" | "audio") => &["iiif-av"],
        _ => &["file"],
    };
    names.iter().map(|name| ((*name).to_owned(), default_policy(name).to_owned())).collect()
}

/// Whether a picture has a channel.
pub(super) fn has_channel(members: &Members, name: &str) -> bool {
    members.channels.iter().any(|(channel, _)| channel == name)
}

fn family(media_type: &str) -> &'static str {
    match media_type.split('/').next() {
        Some("image") => "I",
        Some("video" | "audio") => "T",
        _ => "F",
    }
}

/// A picture's document.
pub(super) fn document(base: &Base, customer: &Customer, asset: &Asset) -> Value {
    let Asset { name, members, batch, created, job } = asset;
    let (of, number) = (base.customer(customer), customer.number);
    let id = format!("{of}/spaces/{}/images/{}", name.space, name.id);
    let service = format!("{number}/{}/{}", name.space, name.id);
    let (width, height) = asset.size().unwrap_or_default();
    let channel = |(channel, policy): &(String, String)| json!({ "@type": "vocab:DeliveryChannel", "channel": channel, "policy": policy });
    let mut document = json!({
        "@context": CONTEXT,
        "@id": id,
        "@type": "vocab:Image",
        "id": name.id,
        "space": name.space,
        "imageService": format!("{}/iiif-img/{service}", base.images),
        "created": date(*created),
        "origin": members.origin,
        "tags": members.tags,
        "roles": members.roles,
        "maxUnauthorised": members.max_unauthorised,
        "queued": date(job.created),
        "ingesting": !job.state.is_final(),
        "error": asset.problem().unwrap_or_default(),
        "width": width,
        "height": height,
        "duration": 0,
        "mediaType": members.media_type,
        "family": family(&members.media_type),
        "manifests": members.manifests,
        "deliveryChannels": members.channels.iter().map(channel).collect::<Vec<_>>(),
        "metadata": format!("{id}/metadata"),
        "storage": format!("{id}/storage"),
    });
    for (index, key) in (1..).zip(&members.strings) {
        document[format!("string{index}")] = key.as_str().into();
    }
    for (index, key) in (1..).zip(members.numbers) {
        document[format!("number{index}")] = key.into();
    }
    if has_channel(members, "thumbs") {
        document["thumbnailImageService"] = format!("{}/thumbs/{service}", base.images).into();
    }
    if let Some(batch) = batch {
        document["batch"] = format!("{of}/queue/batches/{batch}").into();
    }
    for (name, time) in [("dequeued", job.started), ("finished", job.finished)] {
        if let Some(time) = time {
            document[name] = date(time).into();
        }
    }
    document
}

/// The document of how much of a picture is stored, in bytes.
pub(super) fn storage_document(base: &Base, customer: &Customer, asset: &Asset) -> Value {
    let Asset { name, job, .. } = asset;
    let (original, thumbs) = asset.stored_bytes();
    json!({
        "@context": CONTEXT,
        "@id": format!("{}/spaces/{}/images/{}/storage", base.customer(customer), name.space, name.id),
        "@type": "vocab:ImageStorage",
        "size": original,
        "thumbnailSize": thumbs,
        "lastChecked": date(job.finished.unwrap_or(job.created)),
        "checkingInProgress": !job.state.is_final(),
    })
}

/// A batch's document.
pub(super) fn batch_document(base: &Base, customer: &Customer, batch: &Batch) -> Value {
    let id = format!("{}/queue/batches/{}", base.customer(customer), batch.id);
    let mut document = json!({
        "@context": CONTEXT,
        "@id": id,
        "@type": "vocab:Batch",
        "submitted": date(batch.created),
        "count": batch.count,
        "completed": batch.completed,
        "errors": batch.errors,
        "superseded": batch.superseded,
        "images": format!("{id}/images"),
        "assets": format!("{id}/assets"),
        "test": format!("{id}/test"),
    });
    if let Some(finished) = batch.finished {
        document["finished"] = date(finished).into();
    }
    document
}
