//! `mogr pfop` and `mogr prefop`: submit a job to a running server, follow it, and say where its results are.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::auth::KeyRing;
use crate::config::Config;

/// Between two questions whether a job has ended.
const POLL: Duration = Duration::from_millis(250);
/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A job as its arguments describe it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The source's bucket.
    pub bucket: String,
    /// The source's key.
    pub key: String,
    /// Commands joined by `;`.
    pub fops: String,
    /// Whom to tell.
    pub notify: Option<String>,
    /// The queue.
    pub pipeline: Option<String>,
    /// Whether results that exist are made again.
    pub force: bool,
    /// Whether it runs only when nothing else waits.
    pub idle: bool,
}

/// A server's API, and who speaks to it.
#[derive(Debug)]
pub struct Api {
    base: Url,
    keys: KeyRing,
    access_key: String,
    client: reqwest::Client,
}

impl Api {
    /// The API at `base`, spoken to as `access_key`, or as the only one of the configuration.
    ///
    /// # Errors
    /// No access key, or one that is not configured.
    pub fn new(base: Url, config: &Config, access_key: Option<&str>) -> anyhow::Result<Self> {
        crate::app::install_tls();
        let keys = config.key_ring();
        let access_key = super::sign::choose(&keys, access_key)?.to_owned();
        let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        Ok(Self { base, keys, access_key, client })
    }

    /// Submits a job; its persistent id.
    ///
    /// # Errors
    /// What the server answers, and a server that does not.
    pub async fn submit(&self, request: &Request) -> anyhow::Result<String> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("bucket", &request.bucket).append_pair("key", &request.key).append_pair("fops", &request.fops);
        for (name, value) in [("notifyURL", &request.notify), ("pipeline", &request.pipeline)] {
            if let Some(value) = value {
                form.append_pair(name, value);
            }
        }
        for (name, is_set) in [("force", request.force), ("type", request.idle)] {
            if is_set {
                form.append_pair(name, "1");
            }
        }
        let body = form.finish();
        let signature = self.keys.sign(&self.access_key, &format!("/pfop/\n{body}"));
        let signature = signature.ok_or_else(|| anyhow::anyhow!("there is no access key {:?}", self.access_key))?;
        let post = self
            .client
            .post(self.base.join("/pfop/")?)
            .header("authorization", format!("QBox {signature}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        let answer = self.answered(post).await?;
        let id = answer["persistentId"].as_str();
        id.map(str::to_owned).ok_or_else(|| anyhow::anyhow!("the server answered without a persistentId: {answer}"))
    }

    /// A job as it stands: the document of prefop.
    ///
    /// # Errors
    /// As for [`Api::submit`].
    pub async fn status(&self, id: &str) -> anyhow::Result<Value> {
        let mut url = self.base.join("/status/get/prefop")?;
        url.query_pairs_mut().append_pair("id", id);
        self.answered(self.client.get(url)).await
    }

    /// Asks until the job has ended; `seen` is given each answer.
    ///
    /// # Errors
    /// As for [`Api::submit`].
    pub async fn follow(&self, id: &str, mut seen: impl FnMut(&Value)) -> anyhow::Result<Value> {
        loop {
            let document = self.status(id).await?;
            seen(&document);
            if !is_open(&document) {
                return Ok(document);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn answered(&self, request: reqwest::RequestBuilder) -> anyhow::Result<Value> {
        let response =
            request.send().await.map_err(|error| anyhow::anyhow!("{} does not answer: {error}", self.base))?;
        let status = response.status();
        let text = response.text().await?;
        let answer: Value = serde_json::from_str(&text).unwrap_or(Value::from(text));
        if status.is_success() {
            return Ok(answer);
        }
        let problem = answer["error"].as_str().map_or_else(|| answer.to_string(), str::to_owned);
        anyhow::bail!("the server answered {}: {problem}", status.as_u16())
    }
}

/// Whether a job has not ended.
fn is_open(document: &Value) -> bool {
    matches!(document["code"].as_i64(), Some(1 | 2))
}

/// Whether a job ended well.
pub fn succeeded(document: &Value) -> bool {
    matches!(document["code"].as_i64(), Some(0 | 4))
}

/// How many of a job's commands have ended, and how many there are.
pub fn progress(document: &Value) -> (u64, u64) {
    let items = document["items"].as_array().map_or(&[][..], Vec::as_slice);
    let ended = items.iter().filter(|item| !is_open(item)).count();
    (ended as u64, items.len() as u64)
}

/// A job for people: a line a command, with the URL of its result or what went wrong.
pub fn report(document: &Value, config: &Config) -> String {
    let items = document["items"].as_array().map_or(&[][..], Vec::as_slice);
    let bucket = document["inputBucket"].as_str().unwrap_or_default();
    let lines = items.iter().map(|item| line(item, bucket, config));
    lines.collect::<Vec<_>>().join("\n")
}

fn line(item: &Value, source_bucket: &str, config: &Config) -> String {
    let command = item["cmd"].as_str().unwrap_or_default();
    if let Some(key) = item["key"].as_str() {
        let note = if item["returnOld"] == 1 { " (was there)" } else { "" };
        let bucket = destination_bucket(command).unwrap_or_else(|| source_bucket.to_owned());
        return format!("ok      {}{note}", url_of(&bucket, key, config));
    }
    match (item.get("result"), item["error"].as_str()) {
        (Some(result), _) => format!("ok      {result}"),
        (None, Some(error)) => format!("failed  {command}: {error}"),
        (None, None) => format!("{}  {command}", item["desc"].as_str().unwrap_or_default()),
    }
}

/// The bucket that a command's `saveas` names.
fn destination_bucket(command: &str) -> Option<String> {
    let plan = crate::plan::Plan::parse(command.rsplit('|').next()?).ok()?;
    plan.saveas().map(|saveas| saveas.bucket.clone())
}

/// Where a result can be looked at: by the first domain of its bucket, else by path on the delivery listener.
fn url_of(bucket: &str, key: &str, config: &Config) -> String {
    const KEPT: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    let key = percent_encoding::utf8_percent_encode(key, &KEPT);
    let domains = config.buckets.get(bucket).map_or(&[][..], |bucket| bucket.domains.as_slice());
    match domains.iter().find(|domain| *domain != "*") {
        Some(domain) => format!("http://{domain}/{key}"),
        None if domains.is_empty() => format!("http://{}/{bucket}/{key}", config.listen),
        None => format!("http://{}/{key}", config.listen),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn results_have_addresses() {
        let text =
            "[buckets.photos]\nurl = \"memory:\"\ndomains = [\"img.example.com\"]\n[buckets.rest]\nurl = \"memory:\"\n";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mogr.toml");
        std::fs::write(&path, text).unwrap();
        let config = Config::load(Some(&path), []).unwrap();
        // rest:b c.jpg
        let saved = "imageView2/2/w/9|saveas/cmVzdDpiIGMuanBn";
        let document = json!({ "code": 3, "inputBucket": "photos", "items": [
            { "cmd": "imageView2/2/w/9", "code": 0, "key": "x=/猫", "returnOld": 1 },
            { "cmd": saved, "code": 0, "key": "b c.jpg", "returnOld": 0 },
            { "cmd": "imageInfo", "code": 0, "result": { "width": 3 } },
            { "cmd": "exif", "code": 3, "error": "no exif data" },
        ]});
        assert_eq!(
            report(&document, &config),
            "ok      http://img.example.com/x%3D/%E7%8C%AB (was there)\n\
             ok      http://127.0.0.1:8080/rest/b%20c.jpg\n\
             ok      {\"width\":3}\n\
             failed  exif: no exif data"
        );
        assert_eq!((progress(&document), succeeded(&document), is_open(&document)), ((4, 4), false, false));
    }
}
