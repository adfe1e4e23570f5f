//! What can be changed (spec 4, 6).

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::query::ProjectNode;
use super::spell;
use super::{Altizure, CREDENTIALS_LIFE, Caller, TOKEN_LIFE, URL_LIFE};
use crate::auth::{oss, put_url, user_token};
use crate::error::ErrorKind;
use crate::http::graphql::{Asked, Error, Object, Resolved};
use crate::jobs::model::JobId;
use crate::jobs::queue;
use crate::jobs::records::projects::{
    Coming, Event, Image, Origin, Project, Refusal, Registration, TaskState, TooMany,
};
use crate::settings::Secret;
use crate::store::spool::random_name;

/// Most bytes of names, and of addresses.
const MAX_NAME_BYTES: usize = 512;
const MAX_URL_BYTES: usize = 8 << 10;

/// Most bytes of a file's name that is kept.
const MAX_FILE_BYTES: usize = 200;

/// Kinds of tasks; where none is named it is the first.
const DEFAULT_TASK: &str = "Native";

/// The root of mutations.
pub(super) struct Mutation<'r> {
    altizure: &'r Arc<Altizure>,
    caller: &'r Caller,
}

/// Why a task does not start, by the API's numbers (spec 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    NoImages = 2,
    NotReady = 3,
    Running = 4,
    NoProject = 5,
    NotAllowed = 6,
    Limit = 9,
    Internal = 10,
}

impl Object for Mutation<'_> {
    fn resolve<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Resolved<'a>, Error>> {
        async move {
            Ok(match asked.name {
                "getUserToken" => Resolved::Json(self.token(&asked)),
                "createProject" => Resolved::object(self.create(&asked).await?),
                "removeProject" => Resolved::Json(self.remove(&asked).await?),
                "hasImage" => Resolved::Json(self.has_image(&asked).await?),
                "uploadImageS3" => Resolved::Json(self.upload_to_url(&asked, false).await?),
                "uploadImageMinio" => Resolved::Json(self.upload_to_url(&asked, true).await?),
                "uploadImageOSS" => Resolved::Json(self.upload_with_credentials(&asked).await?),
                "uploadImageURL" => Resolved::Json(self.upload_from_url(&asked).await?),
                "startImageUpload" => Resolved::Json(self.advance(&asked, Event::Started).await?),
                "doneImageUpload" => Resolved::Json(self.advance(&asked, Event::Done).await?),
                "removeImages" => Resolved::Json(self.remove_images(&asked).await?),
                "startReconstructionWithError" => Resolved::Json(self.start(&asked).await?),
                "preStartReconstruction" => Resolved::Json(self.start_later(&asked).await?),
                "stopReconstruction" => Resolved::Json(self.stop(&asked).await?),
                _ => Resolved::NULL,
            })
        }
        .boxed()
    }
}

impl<'r> Mutation<'r> {
    pub(super) const fn new(altizure: &'r Arc<Altizure>, caller: &'r Caller) -> Self {
        Self { altizure, caller }
    }

    fn token(&self, asked: &Asked<'_>) -> Value {
        let expires = self.caller.seconds() + TOKEN_LIFE.as_secs();
        let (email, password) = (asked.required("email"), asked.required("password"));
        user_token::sign_in(email, password, expires, &self.altizure.keys).into()
    }

    async fn create(&self, asked: &Asked<'_>) -> Result<ProjectNode<'_>, Error> {
        let user = self.caller.user()?;
        let bucket = &self.altizure.settings.bucket;
        self.require(user, bucket)?;
        let name = text("name", asked.required("name"), MAX_NAME_BYTES)?;
        let traits = json!({
            "type": asked.text("type").unwrap_or("free"),
            "visibility": asked.text("visibility").unwrap_or("public"),
            "imported": asked.arguments.get("imported") == Some(&Value::Bool(true)),
            "modelType": asked.text("modelType"),
        });
        let created = self.altizure.projects.create(user, name, &traits.to_string(), bucket, self.caller.now).await;
        Ok(ProjectNode { altizure: self.altizure, caller: self.caller, project: created?? })
    }

    async fn remove(&self, asked: &Asked<'_>) -> Result<Value, Error> {
        let Some(project) = self.project(asked.required("id")).await? else { return Ok(Value::Null) };
        if let Some(task) = self.altizure.projects.last_task(&project.id).await? {
            self.altizure.projects.stop(&task, self.caller.now).await?;
        }
        self.altizure.projects.remove(&project.id, &project.owner, self.caller.now).await?;
        let told = json!({ "id": project.id.as_str(), "name": project.name, "date": spell::time(project.created) });
        self.altizure.intake.clear();
        Ok(told)
    }

    async fn has_image(&self, asked: &Asked<'_>) -> Result<Value, Error> {
        let Some(project) = self.project(asked.required("pid")).await? else { return Ok(Value::Null) };
        let Ok(checksum) = sha1(asked.required("checksum")) else { return Ok(Value::Null) };
        let found = self.altizure.projects.image_with(&project.id, &checksum).await?;
        Ok(found.map_or(Value::Null, |image| self.spelled(&project, &image)))
    }

    fn spelled(&self, project: &Project, image: &Image) -> Value {
        spell::image(self.altizure.base_of(project, self.caller).as_deref(), image)
    }

    /// A signed URL. Where the name is kept, it is so unless another image has it, or no object can.
    async fn upload_to_url(&self, asked: &Asked<'_>, keeps_name: bool) -> Result<Value, Error> {
        let Some(project) = self.project_to_write(asked).await? else { return Ok(Value::Null) };
        let name = asked.required("filename");
        let file = Some(name).filter(|name| keeps_name && is_file_name(name)).map(str::to_owned);
        let file = file.unwrap_or_else(|| stored_name(asked.text("type")));
        let image = self.register(&project, asked, (name, file), Coming::Url).await?;
        let secret = self.altizure.keys.get(&project.owner).map(|key| key.secret.expose()).unwrap_or_default();
        let path = spell::path(&[&project.bucket, project.id.as_str(), &image.file]);
        let url = put_url::sign(&path, self.caller.seconds() + URL_LIFE.as_secs(), secret);
        Ok(json!({ "url": format!("{}{url}", self.caller.origin), "image": self.spelled(&project, &image) }))
    }

    /// Each part only where it is asked for: credentials are asked for once and for no image.
    async fn upload_with_credentials(&self, asked: &Asked<'_>) -> Result<Value, Error> {
        let Some(project) = self.project_to_write(asked).await? else { return Ok(Value::Null) };
        let mut told = json!({});
        if asked.selects("image") {
            let file = stored_name(asked.text("type"));
            let image = self.register(&project, asked, (asked.required("filename"), file), Coming::Credentials).await?;
            told["image"] = self.spelled(&project, &image);
        }
        if asked.selects("sts") {
            told["sts"] = self.credentials(&project);
        }
        Ok(told)
    }

    fn credentials(&self, project: &Project) -> Value {
        let scope = oss::Scope {
            owner: project.owner.clone(),
            bucket: project.bucket.clone(),
            prefix: format!("{}/", project.id),
            expires: self.caller.seconds() + CREDENTIALS_LIFE.as_secs(),
        };
        let Some(oss::Credentials { id, secret, token }) = oss::issue(&scope, &self.altizure.keys) else {
            return Value::Null;
        };
        let expire = spell::time(self.caller.now + CREDENTIALS_LIFE);
        let (bucket, endpoint) = (&project.bucket, &self.caller.origin);
        json!({ "id": id, "secret": secret, "token": token, "bucket": bucket, "endpoint": endpoint, "expire": expire })
    }

    async fn upload_from_url(&self, asked: &Asked<'_>) -> Result<Value, Error> {
        let Some(project) = self.project_to_write(asked).await? else { return Ok(Value::Null) };
        let url = text("url", asked.required("url"), MAX_URL_BYTES)?;
        let parsed = url::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let parsed = parsed.ok_or_else(|| Error::new(format!("url is {url:?}; expected an http or https URL")))?;
        let last = parsed.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default();
        let name = asked.text("filename").filter(|name| !name.is_empty()).unwrap_or(last);
        let token = asked.text("token").filter(|token| !token.is_empty()).map(Secret::new);
        let coming = Coming::Fetch(Origin { url: url.to_owned(), token });
        let image = self.register(&project, asked, (name, stored_name(None)), coming).await?;
        self.altizure.fetcher.wake();
        Ok(self.spelled(&project, &image))
    }

    async fn register(
        &self,
        project: &Project,
        asked: &Asked<'_>,
        (name, file): (&str, String),
        coming: Coming,
    ) -> Result<Image, Error> {
        let checksum = asked.text("checksum").filter(|it| !it.is_empty()).map(sha1).transpose()?;
        let name = match name {
            "" => String::new(),
            name => text("filename", name, MAX_NAME_BYTES)?.to_owned(),
        };
        let registration = Registration { name, file, coming, checksum };
        Ok(self.altizure.projects.register(project, registration, self.caller.now).await??)
    }

    async fn advance(&self, asked: &Asked<'_>, event: Event) -> Result<Value, Error> {
        let Some((project, image)) = self.image(asked.required("id")).await? else { return Ok(Value::Null) };
        let image = self.altizure.projects.advance(&image.id, event, self.caller.now).await?;
        self.altizure.keeper.wake();
        Ok(image.map_or(Value::Null, |image| self.spelled(&project, &image)))
    }

    async fn remove_images(&self, asked: &Asked<'_>) -> Result<Value, Error> {
        self.caller.user()?;
        let mut removed = Vec::new();
        for id in asked.arguments.get("ids").and_then(Value::as_array).into_iter().flatten() {
            let Some((project, image)) = self.image(id.as_str().unwrap_or_default()).await? else {
                removed.push(Value::Null);
                continue;
            };
            self.altizure.projects.remove_image(&image.id).await?;
            self.altizure.intake.forget_image(&project, &image).await;
            removed.push(spell::image(None, &image));
        }
        self.altizure.keeper.wake();
        Ok(removed.into())
    }

    async fn start(&self, asked: &Asked<'_>) -> Result<Value, Error> {
        let Some(project) = self.project(asked.required("id")).await? else {
            return Ok(refused(Code::NoProject, "there is no such project"));
        };
        if !self.altizure.keys.allows(&project.owner, &project.bucket) {
            return Ok(refused(Code::NotAllowed, "the key does not open the bucket of the project"));
        }
        match self.altizure.keeper.start(&project, kind(asked), self.caller.now).await {
            Ok(Ok(task)) => Ok(json!({ "error": null, "task": spell::task(&task) })),
            Ok(Err(refusal)) => Ok(refused(code(refusal), &refusal.to_string())),
            Err(error) => Ok(not_accepted(error)),
        }
    }

    /// Starts once every image is final, which may be now.
    async fn start_later(&self, asked: &Asked<'_>) -> Result<Value, Error> {
        let told = self.start(asked).await?;
        if told["error"]["code"] != json!(Code::NotReady as i32) {
            return Ok(told);
        }
        if let Some(project) = self.project(asked.required("id")).await? {
            self.altizure.projects.set_pending(&project.id, kind(asked)).await?;
            // The last image may have become final meanwhile.
            self.altizure.keeper.wake();
        }
        Ok(json!({ "error": null, "task": null }))
    }

    async fn stop(&self, asked: &Asked<'_>) -> Result<Value, Error> {
        let Some(project) = self.project(asked.required("id")).await? else { return Ok(Value::Null) };
        let projects = &self.altizure.projects;
        projects.clear_pending(&project.id).await?;
        let Some(task) = projects.last_task(&project.id).await? else { return Ok(Value::Null) };
        if matches!(task.state(), TaskState::Pending | TaskState::Processing) {
            projects.stop(&task, self.caller.now).await?;
        }
        let task = projects.last_task(&project.id).await?;
        Ok(task.map_or(Value::Null, |task| spell::task(&task)))
    }

    /// The caller's project of that name.
    async fn project(&self, id: &str) -> Result<Option<Project>, Error> {
        let user = self.caller.user()?;
        let Some(id) = JobId::parse(id) else { return Ok(None) };
        self.altizure.projects.get(&id, user).await.map_err(Error::from)
    }

    /// The caller's project that an upload goes to.
    async fn project_to_write(&self, asked: &Asked<'_>) -> Result<Option<Project>, Error> {
        let Some(project) = self.project(asked.required("pid")).await? else { return Ok(None) };
        self.require(&project.owner, &project.bucket)?;
        Ok(Some(project))
    }

    async fn image(&self, id: &str) -> Result<Option<(Project, Image)>, Error> {
        let user = self.caller.user()?;
        let Some(id) = JobId::parse(id) else { return Ok(None) };
        self.altizure.projects.image(&id, user).await.map_err(Error::from)
    }

    fn require(&self, user: &str, bucket: &str) -> Result<(), Error> {
        match self.altizure.keys.allows(user, bucket) {
            true => Ok(()),
            false => Err(Error::new("the user's key does not open the bucket of this API")),
        }
    }
}

impl From<TooMany> for Error {
    fn from(refusal: TooMany) -> Self {
        Self::new(refusal.to_string()).with_code(Code::Limit as i32)
    }
}

const fn code(refusal: Refusal) -> Code {
    match refusal {
        Refusal::NoImages => Code::NoImages,
        Refusal::NotReady => Code::NotReady,
        Refusal::Running => Code::Running,
    }
}

fn refused(code: Code, message: &str) -> Value {
    json!({ "error": { "code": code as i32, "message": message }, "task": null })
}

fn not_accepted(error: queue::Error) -> Value {
    let code = if error.kind() == ErrorKind::Busy { Code::Limit } else { Code::Internal };
    refused(code, &Error::from(error).to_string())
}

fn kind<'a>(asked: &Asked<'a>) -> &'a str {
    let options = asked.arguments.get("options");
    options.and_then(|options| options.get("taskType")).and_then(Value::as_str).unwrap_or(DEFAULT_TASK)
}

/// A text that can be kept.
fn text<'a>(name: &str, value: &'a str, most: usize) -> Result<&'a str, Error> {
    let problem = match value {
        "" => "is empty".to_owned(),
        long if long.len() > most => format!("has {} bytes; expected at most {most}", long.len()),
        value if value.contains(char::is_control) => "has control characters; expected none".to_owned(),
        value => return Ok(value),
    };
    Err(Error::new(format!("{name} {problem}")))
}

/// A SHA-1 in lower hexadecimal digits.
fn sha1(text: &str) -> Result<String, Error> {
    let is_one = text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let wrong = || Error::new("checksum is no SHA-1; expected 40 hexadecimal digits");
    is_one.then(|| text.to_ascii_lowercase()).ok_or_else(wrong)
}

/// A name that nobody guesses, for an image of this type.
fn stored_name(kind: Option<&str>) -> String {
    let extension = match kind {
        Some("PNG") => "png",
        Some("TIFF") => "tif",
        _ => "jpg",
    };
    format!("{}.{extension}", random_name())
}

/// Whether an object may be called so, within its project.
fn is_file_name(name: &str) -> bool {
    let is_bad = |it: char| it.is_control() || matches!(it, '/' | '\\');
    (1..=MAX_FILE_BYTES).contains(&name.len()) && !name.starts_with('.') && !name.contains(is_bad) && name != "results"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        for (name, holds) in [
            ("a b.jpg", true),
            ("猫.png", true),
            ("", false),
            (".x", false),
            ("a/b", false),
            ("..", false),
            ("a\0", false),
            ("results", false),
        ] {
            assert_eq!(is_file_name(name), holds, "{name}");
        }
        assert_eq!(spell::path(&["photos", "猫 1.png"]), "/photos/%E7%8C%AB%201.png");
        assert!(stored_name(Some("TIFF")).ends_with(".tif") && stored_name(None).ends_with(".jpg"));
    }

    #[test]
    fn texts_and_checksums() {
        assert_eq!(
            sha1("DA39A3EE5E6B4B0D3255BFEF95601890AFD80709"),
            Ok("da39a3ee5e6b4b0d3255bfef95601890afd80709".to_owned())
        );
        assert!(sha1("da39").is_err() && sha1(&"g".repeat(40)).is_err());
        assert_eq!(text("name", "a\0", 9).unwrap_err().message, "name has control characters; expected none");
        assert!(text("name", "", 9).is_err() && text("name", "aaaa", 3).is_err() && text("name", "aaa", 3).is_ok());
    }
}
