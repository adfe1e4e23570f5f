//! Upload tokens: `AK:signature:policy`, where the policy is Base64 of JSON and the signature covers that text (spec 2.4), and
//! the policy itself (spec 6.1).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_PAD_INDIFFERENT;
use serde_json::{Map, Value};

use super::{Error, KeyRing};

/// Most bytes of a key (spec 6.1).
pub const MAX_KEY_BYTES: usize = 750;

/// Most keys of `keylimit` (spec 6.1).
const MAX_KEYLIMIT: usize = 20;

/// Most addresses of `callbackUrl`: while they are tried in turn, an uploader waits.
const MAX_CALLBACK_URLS: usize = 8;

/// Bits a second that `trafficLimit` may name.
const TRAFFIC_LIMITS: std::ops::RangeInclusive<u64> = 819_200..=838_860_800;

/// An upload that somebody signed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadGrant {
    /// The access key that signed.
    pub access_key: String,
    /// What may be uploaded, and what happens then.
    pub policy: PutPolicy,
}

/// What may be uploaded, and what happens then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PutPolicy {
    /// The bucket of `scope`.
    pub bucket: String,
    /// The key, or the prefix of keys, of `scope`; `None` for any key.
    pub key: Option<String>,
    /// `isPrefixalScope`: the scope's key is a prefix.
    pub is_prefixal: bool,
    /// Until when the file may be committed, in seconds since 1970.
    pub deadline: u64,
    /// `insertOnly`: nothing is replaced, whatever the scope.
    pub insert_only: bool,
    /// `endUser`.
    pub end_user: Option<String>,
    /// `returnUrl`: where a browser goes next.
    pub return_url: Option<String>,
    /// `returnBody`: the answer's template.
    pub return_body: Option<String>,
    /// `callbackUrl` and what belongs to it.
    pub callback: Option<Callback>,
    /// `persistentOps` and what belongs to it.
    pub persistent: Option<Persistent>,
    /// `saveKey`: the key's template where the client names none.
    pub save_key: Option<String>,
    /// `forceSaveKey`: the template wins over the client's key.
    pub force_save_key: bool,
    /// `fsizeMin`: fewest bytes.
    pub min_bytes: u64,
    /// `fsizeLimit`: most bytes.
    pub max_bytes: Option<u64>,
    /// `detectMime`.
    pub detect_mime: DetectMime,
    /// `mimeLimit`: patterns of media types.
    pub mime_limit: Option<String>,
    /// `fileType`: the storage class, which is kept and told.
    pub class: u8,
    /// `deleteAfterDays`.
    pub delete_after_days: Option<u64>,
    /// `trafficLimit`: how fast a file may come.
    pub bits_per_second: Option<u64>,
    /// `keylimit`: the keys that are allowed; empty for any.
    pub keys: Vec<String>,
}

/// Whom to tell of a file, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callback {
    /// Tried in turn.
    pub urls: Vec<String>,
    /// `callbackHost`: another `Host`.
    pub host: Option<String>,
    /// `callbackBody`: the template.
    pub body: String,
    /// Whether the body is JSON instead of a form.
    pub is_json: bool,
    /// `callbackFetchKey`: the receiver names the key.
    pub fetches_key: bool,
}

/// What is made of a file once it is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Persistent {
    /// `persistentOps`: pipelines joined by `;`.
    pub ops: String,
    /// `persistentNotifyUrl`.
    pub notify_url: Option<String>,
    /// `persistentPipeline`: the queue.
    pub pipeline: Option<String>,
    /// `persistentType`: whether it may wait for an idle hour.
    pub is_idle: bool,
}

/// Where a file's media type comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DetectMime {
    /// What the client says; else names, then content.
    #[default]
    Client,
    /// Content first, then names; the client is not asked.
    Detect,
    /// What the client says, and nothing else.
    Keep,
}

impl PutPolicy {
    /// Whether an object that is there may be replaced: only where the scope names it (spec 6.1).
    pub fn may_replace(&self) -> bool {
        self.key.is_some() && !self.is_prefixal && !self.insert_only
    }

    /// Whether the policy lets a file have this key.
    pub fn allows_key(&self, key: &str) -> bool {
        let in_scope = match &self.key {
            Some(prefix) if self.is_prefixal => key.starts_with(prefix.as_str()),
            Some(scope) => key == scope,
            None => true,
        };
        in_scope && (self.keys.is_empty() || self.keys.iter().any(|allowed| allowed == key))
    }

    /// Refuses a policy whose deadline has passed.
    ///
    /// # Errors
    /// [`Error::Expired`].
    pub fn check_deadline(&self, now_seconds: u64) -> Result<(), Error> {
        if now_seconds <= self.deadline { Ok(()) } else { Err(Error::Expired) }
    }
}

/// Checks an upload token and reads its policy. The deadline is not checked: it counts when a file is committed.
///
/// # Errors
/// [`Error::BadToken`] for anything but a good signature by a known key, [`Error::BadPolicy`] where the policy cannot be read,
/// [`Error::NotAllowed`] where the key does not open the bucket.
pub fn verify(token: &str, keys: &KeyRing) -> Result<UploadGrant, Error> {
    let (signed, encoded) = token.rsplit_once(':').ok_or(Error::BadToken)?;
    let access_key = keys.signer(signed, std::iter::once(encoded)).ok_or(Error::BadToken)?;
    let json = URL_SAFE_PAD_INDIFFERENT.decode(encoded).map_err(|_| whole("is not Base64"))?;
    let policy = read_policy(&json)?;
    keys.require(access_key, &policy.bucket)?;
    Ok(UploadGrant { access_key: access_key.to_owned(), policy })
}

/// A token for `policy`, which is JSON; `None` for an unknown access key.
pub fn sign(policy: &str, access_key: &str, keys: &KeyRing) -> Option<String> {
    let encoded = base64::engine::general_purpose::URL_SAFE.encode(policy);
    Some(format!("{}:{encoded}", keys.sign(access_key, &encoded)?))
}

fn whole(problem: &str) -> Error {
    Error::BadPolicy { field: "policy", problem: format!("{problem}; expected Base64 of a JSON object") }
}

fn read_policy(json: &[u8]) -> Result<PutPolicy, Error> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(json) else { return Err(whole("is not JSON")) };
    let fields = Fields(fields);
    let scope = fields.text("scope")?.ok_or_else(|| refused("scope", "is missing", "bucket or bucket:key"))?;
    let (bucket, key) = match scope.split_once(':') {
        Some((bucket, key)) => (bucket.to_owned(), Some(key.to_owned())),
        None => (scope, None),
    };
    if bucket.is_empty() || key.as_ref().is_some_and(|key| key.len() > MAX_KEY_BYTES) {
        return Err(refused("scope", "is out of range", "bucket or bucket:key, the key of at most 750 bytes"));
    }
    let policy = PutPolicy {
        bucket,
        key,
        is_prefixal: fields.flag("isPrefixalScope")?,
        deadline: fields.count("deadline")?.ok_or_else(|| refused("deadline", "is missing", "seconds since 1970"))?,
        insert_only: fields.flag("insertOnly")?,
        end_user: fields.text("endUser")?,
        return_url: fields.text("returnUrl")?,
        return_body: fields.text("returnBody")?,
        callback: read_callback(&fields)?,
        persistent: read_persistent(&fields)?,
        save_key: fields.text("saveKey")?,
        force_save_key: fields.flag("forceSaveKey")?,
        min_bytes: fields.count("fsizeMin")?.unwrap_or(0),
        max_bytes: fields.count("fsizeLimit")?.filter(|bytes| *bytes > 0),
        detect_mime: read_detect_mime(&fields)?,
        mime_limit: fields.text("mimeLimit")?,
        class: read_class(&fields)?,
        delete_after_days: fields.count("deleteAfterDays")?.filter(|days| *days > 0),
        bits_per_second: read_traffic_limit(&fields)?,
        keys: fields.texts("keylimit")?,
    };
    match policy.force_save_key && policy.save_key.is_none() {
        true => Err(refused("saveKey", "is missing", "a template, as forceSaveKey is set")),
        false => Ok(policy),
    }
}

fn read_callback(fields: &Fields) -> Result<Option<Callback>, Error> {
    let Some(urls) = fields.text("callbackUrl")? else { return Ok(None) };
    let body = fields
        .text("callbackBody")?
        .ok_or_else(|| refused("callbackBody", "is missing", "a template, with callbackUrl"))?;
    let is_json = match fields.text("callbackBodyType")?.as_deref() {
        None | Some("application/x-www-form-urlencoded") => false,
        Some("application/json") => true,
        Some(other) => {
            let expected = "application/x-www-form-urlencoded or application/json";
            return Err(refused("callbackBodyType", &format!("is {other:?}"), expected));
        }
    };
    let urls: Vec<String> = urls.split(';').map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned).collect();
    if urls.is_empty() || urls.len() > MAX_CALLBACK_URLS {
        return Err(refused("callbackUrl", &format!("names {} addresses", urls.len()), "1 to 8 of them, joined by ;"));
    }
    Ok(Some(Callback {
        urls,
        host: fields.text("callbackHost")?,
        body,
        is_json,
        fetches_key: fields.flag("callbackFetchKey")?,
    }))
}

fn read_persistent(fields: &Fields) -> Result<Option<Persistent>, Error> {
    if fields.text("persistentWorkflowTemplateID")?.is_some() {
        return Err(refused("persistentWorkflowTemplateID", "is not done by this server", "persistentOps instead"));
    }
    let Some(ops) = fields.text("persistentOps")? else { return Ok(None) };
    Ok(Some(Persistent {
        ops,
        notify_url: fields.text("persistentNotifyUrl")?,
        pipeline: fields.text("persistentPipeline")?,
        is_idle: fields.flag("persistentType")?,
    }))
}

fn read_detect_mime(fields: &Fields) -> Result<DetectMime, Error> {
    match fields.integer("detectMime")? {
        None | Some(0) => Ok(DetectMime::Client),
        Some(1) => Ok(DetectMime::Detect),
        Some(-1) => Ok(DetectMime::Keep),
        Some(other) => Err(refused("detectMime", &format!("is {other}"), "-1, 0 or 1")),
    }
}

fn read_class(fields: &Fields) -> Result<u8, Error> {
    let class = fields.integer("fileType")?.unwrap_or(0);
    u8::try_from(class)
        .ok()
        .filter(|class| *class <= 4)
        .ok_or_else(|| refused("fileType", &format!("is {class}"), "0 to 4"))
}

fn read_traffic_limit(fields: &Fields) -> Result<Option<u64>, Error> {
    match fields.count("trafficLimit")?.filter(|bits| *bits != 0) {
        Some(bits) if !TRAFFIC_LIMITS.contains(&bits) => {
            Err(refused("trafficLimit", &format!("is {bits}"), "819200 to 838860800"))
        }
        limit => Ok(limit),
    }
}

fn refused(field: &'static str, problem: &str, expected: &str) -> Error {
    Error::BadPolicy { field, problem: format!("{problem}; expected {expected}") }
}

/// The fields of a policy by name; unknown ones are ignored, empty texts and `null` are absent.
struct Fields(Map<String, Value>);

impl Fields {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &'static str) -> Result<Option<String>, Error> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
            Some(other) => Err(refused(name, &format!("is {other}"), "a string")),
        }
    }

    fn integer(&self, name: &'static str) -> Result<Option<i64>, Error> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let integer = match value {
            Value::Bool(flag) => Some(i64::from(*flag)),
            // Clients in languages without integers send 1.5e9.
            Value::Number(number) => number
                .as_i64()
                .or_else(|| number.as_f64().filter(|it| it.fract() == 0.0 && it.abs() < 9e15).map(|it| it as i64)),
            _ => None,
        };
        integer.map(Some).ok_or_else(|| refused(name, &format!("is {value}"), "a whole number"))
    }

    fn count(&self, name: &'static str) -> Result<Option<u64>, Error> {
        let Some(value) = self.integer(name)? else { return Ok(None) };
        u64::try_from(value).map(Some).map_err(|_| refused(name, &format!("is {value}"), "no negative number"))
    }

    fn flag(&self, name: &'static str) -> Result<bool, Error> {
        Ok(self.integer(name)?.unwrap_or(0) != 0)
    }

    fn texts(&self, name: &'static str) -> Result<Vec<String>, Error> {
        let refusal = || refused(name, "is no such list", "at most 20 strings");
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let list = value.as_array().filter(|list| list.len() <= MAX_KEYLIMIT).ok_or_else(refusal)?;
        list.iter().map(|text| text.as_str().map(str::to_owned).ok_or_else(refusal)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(json: &str) -> Result<PutPolicy, Error> {
        let keys = KeyRing::sample();
        verify(&sign(json, "MY_ACCESS_KEY", &keys).unwrap(), &keys).map(|grant| grant.policy)
    }

    fn with(field: &str) -> Result<PutPolicy, Error> {
        policy(&format!(r#"{{"scope":"photos","deadline":1,{field}}}"#))
    }

    /// Spec 2.4.
    #[test]
    fn vectors() {
        for (json, signature) in [
            (r#"{"scope":"photos","deadline":1893456000}"#, "GVBE10Zqk2_M4p4MEeYdffqlbL4="),
            (
                r#"{"scope":"photos:gogopher.jpg","deadline":1893456000,"persistentOps":"imageView2/2/w/200","persistentNotifyUrl":"http://cb.example.com/notify"}"#,
                "BJbkBluAmAi41qIZpIrtneLBw08=",
            ),
            (
                r#"{"scope":"my-bucket:sunflower.jpg","deadline":1451491200,"returnBody":"{\"name\":$(fname),\"size\":$(fsize),\"w\":$(imageInfo.width),\"h\":$(imageInfo.height),\"hash\":$(etag)}"}"#,
                "wQ4ofysef1R7IKnrziqtomqyDvI=",
            ),
        ] {
            let token = sign(json, "MY_ACCESS_KEY", &KeyRing::sample()).unwrap();
            assert!(token.starts_with(&format!("MY_ACCESS_KEY:{signature}:ey")), "{token}");
            assert_eq!(verify(&token, &KeyRing::sample()).unwrap().access_key, "MY_ACCESS_KEY");
        }
    }

    #[test]
    fn tokens_that_are_refused() {
        let good = sign(r#"{"scope":"photos","deadline":1}"#, "MY_ACCESS_KEY", &KeyRing::sample()).unwrap();
        let other = sign(r#"{"scope":"photos","deadline":1}"#, "OTHER_KEY", &KeyRing::sample()).unwrap();
        let not_base64 = format!("{}:$$", KeyRing::sample().sign("MY_ACCESS_KEY", "$$").unwrap());
        for (token, error) in [
            ("", Error::BadToken),
            ("a:b", Error::BadToken),
            ("::", Error::BadToken),
            (&good.replace("MY_ACCESS", "NO_ACCESS"), Error::BadToken),
            (&good.replace(":ey", ":fy"), Error::BadToken),
            (&good[..good.len() - 4], Error::BadToken),
            (&other, Error::NotAllowed),
            (&not_base64, whole("is not Base64")),
        ] {
            assert_eq!(verify(token, &KeyRing::sample()), Err(error), "{token}");
        }
    }

    #[test]
    fn scopes() {
        let scope = |scope: &str, more: &str| policy(&format!(r#"{{"scope":"{scope}","deadline":1{more}}}"#)).unwrap();
        for (policy, allowed, refused, may_replace) in [
            (scope("photos", ""), &["a", ""][..], &[][..], false),
            (scope("photos:a:b", ""), &["a:b"], &["a", ""], true),
            (scope("photos:a", r#","insertOnly":1"#), &["a"], &["b"], false),
            (scope("photos:a/", r#","isPrefixalScope":1"#), &["a/", "a/b"], &["a", "b"], false),
            (scope("photos", r#","keylimit":["a","b"]"#), &["a", "b"], &["c"], false),
        ] {
            assert!(allowed.iter().all(|key| policy.allows_key(key)), "{policy:?}");
            assert!(!refused.iter().any(|key| policy.allows_key(key)), "{policy:?}");
            assert_eq!(policy.may_replace(), may_replace, "{policy:?}");
        }
    }

    #[test]
    fn fields_are_read() {
        assert!(with(r#""insertOnly":true,"unknown":{"a":[]}"#).unwrap().insert_only);
        assert_eq!(with(r#""fsizeLimit":1.5e9,"fsizeMin":0"#).unwrap().max_bytes, Some(1_500_000_000));
        assert_eq!(with(r#""detectMime":-1"#).unwrap().detect_mime, DetectMime::Keep);
        assert_eq!(with(r#""returnUrl":"","endUser":null"#).unwrap().return_url, None);
        assert_eq!(with(r#""trafficLimit":819200"#).unwrap().bits_per_second, Some(819_200));
        assert_eq!(with(r#""trafficLimit":0"#).unwrap().bits_per_second, None);
        assert_eq!(with(r#""deleteAfterDays":7,"fileType":1"#).unwrap().delete_after_days, Some(7));
        let callback =
            with(r#""callbackUrl":"http://a/;http://b/","callbackBody":"k=$(key)""#).unwrap().callback.unwrap();
        assert_eq!((callback.urls.len(), callback.is_json), (2, false));
        let persistent = with(r#""persistentOps":"imageInfo","persistentPipeline":"img""#).unwrap().persistent.unwrap();
        assert_eq!((persistent.ops.as_str(), persistent.pipeline.as_deref()), ("imageInfo", Some("img")));
    }

    #[test]
    fn refusals_name_the_field() {
        for (fields, text) in [
            (r#""fsizeLimit":-1"#, "fsizeLimit is -1; expected no negative number"),
            (r#""fsizeLimit":"1""#, "fsizeLimit is \"1\"; expected a whole number"),
            (r#""saveKey":1"#, "saveKey is 1; expected a string"),
            (r#""detectMime":2"#, "detectMime is 2; expected -1, 0 or 1"),
            (r#""fileType":5"#, "fileType is 5; expected 0 to 4"),
            (r#""trafficLimit":1"#, "trafficLimit is 1; expected 819200 to 838860800"),
            (r#""callbackUrl":"http://a/""#, "callbackBody is missing; expected a template, with callbackUrl"),
            (
                r#""callbackUrl":"http://a;;http://b;c;d;e;f;g;h;i","callbackBody":"x""#,
                "callbackUrl names 9 addresses; expected 1 to 8 of them, joined by ;",
            ),
            (r#""forceSaveKey":true"#, "saveKey is missing; expected a template, as forceSaveKey is set"),
            (r#""keylimit":["a",1]"#, "keylimit is no such list; expected at most 20 strings"),
        ] {
            assert_eq!(with(fields).unwrap_err().to_string(), format!("invalid put policy: {text}"), "{fields}");
        }
        for json in ["", "[]", "{}", r#"{"scope":""}"#, r#"{"scope":":a","deadline":1}"#, r#"{"scope":"a"}"#] {
            assert!(matches!(policy(json), Err(Error::BadPolicy { .. })), "{json}");
        }
    }

    #[test]
    fn deadlines() {
        let policy = policy(r#"{"scope":"photos","deadline":100}"#).unwrap();
        assert_eq!(policy.check_deadline(100), Ok(()));
        assert_eq!(policy.check_deadline(101), Err(Error::Expired));
    }
}
