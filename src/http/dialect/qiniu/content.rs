//! What templates ask of a file's content: `imageInfo`, `exif`, `imageAve` of a picture, `avinfo` of sound and film (spec 6.2).

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::Qiniu;
use super::commit::Content;
use super::values::Values;
use super::variables::Template;
use crate::auth::upload::PutPolicy;
use crate::engine::limits::Cancel;
use crate::media::{self, Command, Operation, Outcome, Workspace};
use crate::plan::Plan;
use crate::store::{Bucket, spool};
use crate::workers::Lane;

/// How long an uploader waits for `avinfo`, and how many are worked out at once.
const PROBE_TIME: Duration = Duration::from_secs(10);
pub(super) const PROBES: usize = 2;

impl Qiniu {
    /// Puts what the templates ask of an object's content among the values. What cannot be read is missing.
    pub(super) async fn look_at_content(
        &self,
        (bucket, key): (&Arc<Bucket>, &str),
        content: &Content,
        policy: &PutPolicy,
        values: &mut Values,
    ) {
        let callback = policy.callback.iter().flat_map(|callback| callback.urls.iter().chain([&callback.body]));
        let templates: Vec<&String> = callback.chain(policy.return_body.as_ref()).collect();
        let asks = |name| templates.iter().any(|template| Template::parse(template).names().any(|it| it == name));
        for name in ["imageInfo", "exif", "imageAve"] {
            if asks(name) {
                values.set(name, self.fact_of_picture(bucket, key, name).await);
            }
        }
        if asks("avinfo") {
            values.set("avinfo", self.fact_of_film(content).await);
        }
    }

    async fn fact_of_picture(&self, bucket: &Arc<Bucket>, key: &str, fop: &str) -> Option<Value> {
        let transformer = &self.delivery.transformer;
        let plan = Plan::parse(fop).ok()?;
        let mut identity = transformer.identify(bucket, key, plan).await.ok()?;
        let (rendered, _) = transformer.render(&mut identity, transformer.asker(Lane::default())).await.ok()?;
        serde_json::from_slice(&rendered.body).ok()
    }

    async fn fact_of_film(&self, content: &Content) -> Option<Value> {
        let _turn = self.probes.acquire().await.ok()?;
        let workspace = Workspace::new(&self.settings.data_dir.join("spool")).ok()?;
        spool::gather(&content.files, &workspace.input()).await.ok()?;
        // Ended by its own limit of time also where nobody waits any more.
        let probe = tokio::task::spawn_blocking(move || {
            let limits = media::Limits { time: PROBE_TIME, ..media::Limits::default() };
            let info = Command { operation: Operation::Info, then: None };
            media::run(&info, &workspace, &limits, &Cancel::default(), &mut |_| {})
        });
        match probe.await.ok()? {
            Ok(Outcome::Json(text)) => Some(as_variable(&serde_json::from_str(&text).ok()?)),
            Ok(Outcome::File { .. }) => None,
            Err(problem) => {
                tracing::info!(%problem, "an upload's avinfo is missing");
                None
            }
        }
    }
}

/// The document of the operator as the variable has it: the first stream of each kind, and the container.
fn as_variable(info: &Value) -> Value {
    let stream = |kind: &str| {
        let mut streams = info["streams"].as_array().into_iter().flatten();
        streams.find(|stream| stream["codec_type"] == kind).cloned().unwrap_or_default()
    };
    json!({ "audio": stream("audio"), "video": stream("video"), "format": info["format"] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stream_of_each_kind_is_told() {
        let info = json!({
            "streams": [
                { "codec_type": "data" },
                { "codec_type": "video", "width": 640 },
                { "codec_type": "video", "width": 320 },
            ],
            "format": { "duration": "1.0" },
        });
        let expected = json!({
            "audio": null,
            "video": { "codec_type": "video", "width": 640 },
            "format": { "duration": "1.0" },
        });
        assert_eq!(as_variable(&info), expected);
        assert_eq!(as_variable(&json!({})), json!({ "audio": null, "video": null, "format": null }));
    }
}
