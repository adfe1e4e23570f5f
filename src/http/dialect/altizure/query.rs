//! What can be asked (spec 4).

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::spell;
use super::{API_VERSION, Altizure, Caller, STORE};
use crate::http::graphql::{Asked, Error, Object, Resolved};
use crate::jobs::model::JobId;
use crate::jobs::records::projects::{Image, Project, State};

/// Clouds that images may be sent to: this server stands for each of them.
const CLOUDS: [&str; 3] = ["S3", "OSS", "MINIO"];

/// The least that an image counts (spec 5), and what a gigapixel is.
const LEAST_PIXELS: f64 = 2e6;
const GIGA: f64 = 1e9;

/// The root of queries.
pub(super) struct Query<'r> {
    altizure: &'r Arc<Altizure>,
    caller: &'r Caller,
}

impl<'r> Query<'r> {
    pub(super) const fn new(altizure: &'r Arc<Altizure>, caller: &'r Caller) -> Self {
        Self { altizure, caller }
    }

    async fn project(&self, id: &str) -> Result<Option<ProjectNode<'_>>, Error> {
        let user = self.caller.user()?;
        let Some(id) = JobId::parse(id) else { return Ok(None) };
        let project = self.altizure.projects.get(&id, user).await?;
        Ok(project.map(|project| ProjectNode { altizure: self.altizure, caller: self.caller, project }))
    }
}

impl Object for Query<'_> {
    fn resolve<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Resolved<'a>, Error>> {
        async move {
            Ok(match asked.name {
                "hello" => Resolved::json("Hello"),
                "getGeoIPInfo" => Resolved::Json(nearest()),
                "versions" => Resolved::Json(json!({ "api": API_VERSION })),
                "utility" => Resolved::object(Utility),
                "support" => Resolved::object(Support { altizure: self.altizure, caller: self.caller }),
                "search" => Resolved::object(Search(self)),
                "my" => {
                    Resolved::object(My { altizure: self.altizure, caller: self.caller, user: self.caller.user()? })
                }
                "project" => Resolved::maybe(self.project(asked.required("id")).await?),
                _ => Resolved::NULL,
            })
        }
        .boxed()
    }
}

/// Buckets, the best one first. There is one, which can be reached as any cloud.
fn nearest() -> Value {
    let buckets = CLOUDS.map(|cloud| json!({ "bucket": STORE, "display": STORE, "cloud": cloud }));
    json!({ "id": "local", "nearestBuckets": buckets, "nearestModelBuckets": [], "nearestMetaBuckets": [] })
}

struct Utility;

impl Object for Utility {
    fn resolve<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Resolved<'a>, Error>> {
        let number = |name, default| asked.number(name).unwrap_or(default).max(0) as f64;
        let pixels = (number("width", 0) * number("height", 0)).max(LEAST_PIXELS);
        let found = Resolved::json(pixels * number("numImg", 1) / GIGA);
        async { Ok(found) }.boxed()
    }
}

struct Search<'r>(&'r Query<'r>);

impl Object for Search<'_> {
    fn resolve<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Resolved<'a>, Error>> {
        async move {
            let found = self.0.project(asked.required("id")).await?;
            Ok(Resolved::List(found.map(Resolved::object).into_iter().collect()))
        }
        .boxed()
    }
}

struct Support<'r> {
    altizure: &'r Altizure,
    caller: &'r Caller,
}

impl Object for Support<'_> {
    fn resolve<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Resolved<'a>, Error>> {
        async move {
            Ok(match asked.name {
                "supportedCloud" if matches!(asked.text("kind"), None | Some("image")) => Resolved::Json(json!(CLOUDS)),
                "supportedCloud" => Resolved::List(Vec::new()),
                "systemMode" => Resolved::json("Normal"),
                "endpoints" => {
                    let origin = &self.caller.origin;
                    Resolved::Json(json!({ "api": format!("{origin}/graphql"), "web": origin }))
                }
                "networkTest" => match self.altizure.reach(asked.required("url")).await {
                    Ok(()) => Resolved::json("Success"),
                    Err(problem) => Resolved::json(problem),
                },
                "errorCodeInfo" => Resolved::Json(asked.text("code").map_or(Value::Null, |code| {
                    json!({ "code": code, "description": "a job of the task failed", "solution": "look at its images" })
                })),
                _ => Resolved::NULL,
            })
        }
        .boxed()
    }
}

struct My<'r> {
    altizure: &'r Arc<Altizure>,
    caller: &'r Caller,
    user: &'r str,
}

impl Object for My<'_> {
    fn resolve<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Resolved<'a>, Error>> {
        async move {
            if asked.name != "allProjects" {
                let user = json!({ "email": self.user, "name": self.user, "username": self.user, "balance": 0.0 });
                return Ok(Resolved::Json(user));
            }
            let search = asked.text("search").unwrap_or_default();
            let page = self.altizure.projects.list(self.user, search, &spell::slice(&asked)?).await?;
            let cursor = |project: &Project| spell::cursor(project.created, &project.id);
            let rest = spell::connection(&page, cursor);
            let edges = page.entries.into_iter().map(|project| {
                let cursor = cursor(&project);
                (cursor, ProjectNode { altizure: self.altizure, caller: self.caller, project })
            });
            Ok(Resolved::object(Projects { rest, edges: edges.collect() }))
        }
        .boxed()
    }
}

/// A connection of projects.
struct Projects<'r> {
    rest: Value,
    edges: Vec<(String, ProjectNode<'r>)>,
}

struct Edge<'r>(&'r (String, ProjectNode<'r>));

impl Object for Projects<'_> {
    fn resolve<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Resolved<'a>, Error>> {
        let found = match asked.name {
            "edges" => Resolved::List(self.edges.iter().map(|edge| Resolved::object(Edge(edge))).collect()),
            name => Resolved::Json(self.rest[name].clone()),
        };
        async { Ok(found) }.boxed()
    }
}

impl Object for Edge<'_> {
    fn resolve<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Resolved<'a>, Error>> {
        let (cursor, node) = self.0;
        let found = match asked.name {
            "node" => Resolved::object(node.clone()),
            _ => Resolved::json(cursor.as_str()),
        };
        async { Ok(found) }.boxed()
    }
}

/// A project of the caller's.
#[derive(Clone)]
pub(super) struct ProjectNode<'r> {
    pub(super) altizure: &'r Altizure,
    pub(super) caller: &'r Caller,
    pub(super) project: Project,
}

impl ProjectNode<'_> {
    /// What is known of it without asking.
    fn plain(&self, name: &str) -> Value {
        let traits: Value = serde_json::from_str(&self.project.traits).unwrap_or_default();
        let is_imported = traits["imported"] == true;
        match name {
            "id" => self.project.id.as_str().into(),
            "name" => self.project.name.as_str().into(),
            "date" => spell::time(self.project.created).into(),
            "isImported" => is_imported.into(),
            "importedState" => if is_imported { "Pending" } else { "Native" }.into(),
            "projectType" => traits["type"].clone(),
            "visibility" => traits["visibility"].clone(),
            "cloudPath" => json!([]),
            _ => Value::Null,
        }
    }

    async fn image(&self, asked: &Asked<'_>) -> Result<Value, Error> {
        let projects = &self.altizure.projects;
        let id = &self.project.id;
        let found = match asked.name {
            "image" => match JobId::parse(asked.required("id")) {
                Some(image) => projects.image(&image, &self.project.owner).await?.map(|found| found.1),
                None => None,
            },
            _ => {
                let name = asked.required("filename");
                match projects.image_stored_as(id, name).await? {
                    Some(image) => Some(image),
                    None => projects.image_called(id, name).await?,
                }
            }
        };
        let base = self.altizure.base_of(&self.project, self.caller);
        Ok(found
            .filter(|image| image.project == *id)
            .map_or(Value::Null, |image| spell::image(base.as_deref(), &image)))
    }

    async fn images(&self, asked: &Asked<'_>) -> Result<Value, Error> {
        let state = asked.text("filter").and_then(State::named);
        let page = self.altizure.projects.images(&self.project.id, state, &spell::slice(asked)?).await;
        let page = page?;
        let mut connection = spell::connection(&page, |image| spell::cursor(image.created, &image.id));
        let base = self.altizure.base_of(&self.project, self.caller);
        let edge = |image: &Image| json!({ "node": spell::image(base.as_deref(), image), "cursor": spell::cursor(image.created, &image.id) });
        connection["edges"] = page.entries.iter().map(edge).collect();
        Ok(connection)
    }

    async fn field(&self, asked: &Asked<'_>) -> Result<Value, Error> {
        let (projects, id) = (&self.altizure.projects, &self.project.id);
        Ok(match asked.name {
            "numImage" => projects.totals(id).await?.images.into(),
            "gigaPixel" => (projects.totals(id).await?.pixels as f64 / GIGA).into(),
            "taskState" => {
                let task = projects.last_task(id).await?;
                task.map_or(Value::Null, |task| task.state().name().into())
            }
            "task" => projects.last_task(id).await?.map_or(Value::Null, |task| spell::task(&task)),
            "image" | "imageByFilename" => self.image(asked).await?,
            "allImages" => self.images(asked).await?,
            name => self.plain(name),
        })
    }
}

impl Object for ProjectNode<'_> {
    fn resolve<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Resolved<'a>, Error>> {
        async move { self.field(&asked).await.map(Resolved::Json) }.boxed()
    }
}
