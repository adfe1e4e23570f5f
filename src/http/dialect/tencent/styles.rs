//! Styles and the protection of originals, on hosts for pictures (Tencent spec 7.6). `GET` and `DELETE` have bodies too.

use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};

use super::failure::Failure;
use super::xml::{Element, leaf, tree};
use super::{Call, Tencent, reply};
use crate::jobs::records::styles::{self, MAX_STYLES, Style};
use crate::plan::{Plan, tencent};

const MAX_NAME_CHARS: usize = 64;
const MAX_RULE_BYTES: usize = 8 << 10;

impl Tencent {
    pub(super) async fn pic(&self, call: &Call, method: &Method, body: &[u8]) -> Result<Response, Failure> {
        let has = |name: &str| call.query.iter().any(|(found, _)| found == name);
        let bucket = call.bucket.name();
        match (method.as_str(), has("style"), has("origin-protect")) {
            ("PUT", true, false) => self.put_style(call, &document(body, "AddStyle")?).await,
            ("GET", true, false) => self.styles(call, body).await,
            ("DELETE", true, false) => {
                let request = document(body, "DeleteStyle")?;
                let name = text(&request, "StyleName")?;
                match styles::delete(&self.queue, bucket, name).await? {
                    true => Ok(StatusCode::OK.into_response()),
                    false => Err(Failure::no_style(name)),
                }
            }
            ("PUT" | "DELETE", false, true) => {
                styles::protect(&self.queue, bucket, method == Method::PUT, call.now).await?;
                Ok(StatusCode::OK.into_response())
            }
            ("GET", false, true) => {
                let state = if styles::is_protected(&self.queue, bucket).await? { "on" } else { "off" };
                Ok(reply(&leaf("OriginProtectStatus", state)))
            }
            (method, ..) => {
                let expected = "PUT, GET or DELETE of /?style or /?origin-protect";
                Err(Failure::invalid(format!("there is no {method} /{}; expected {expected}", call.path)))
            }
        }
    }

    async fn put_style(&self, call: &Call, request: &Element) -> Result<Response, Failure> {
        let (name, rule) = (text(request, "StyleName")?, text(request, "StyleBody")?);
        if name.chars().count() > MAX_NAME_CHARS || name.contains(['/', '!', '|', '&', '?', '=']) {
            let expected = format!("at most {MAX_NAME_CHARS} characters without / ! | & ? =");
            return Err(Failure::invalid(format!("AddStyle/StyleName is {name:?}; expected {expected}")));
        }
        let rule = rule.strip_prefix('?').unwrap_or(rule);
        if rule.len() > MAX_RULE_BYTES {
            return Err(Failure::invalid(format!("AddStyle/StyleBody has more than {MAX_RULE_BYTES} bytes")));
        }
        self.plan(rule, call)?;
        let style = Style { name: name.to_owned(), pipeline: rule.to_owned() };
        match styles::put(&self.queue, call.bucket.name(), &style, call.now).await? {
            true => Ok(StatusCode::OK.into_response()),
            false => Err(Failure::invalid(format!("the bucket has {MAX_STYLES} styles, the limit"))),
        }
    }

    /// The style that a document names, or all of them.
    async fn styles(&self, call: &Call, body: &[u8]) -> Result<Response, Failure> {
        let request = if body.is_empty() { None } else { Some(document(body, "GetStyle")?) };
        let name = request.as_ref().and_then(|request| request.text_at("StyleName"));
        let all = styles::list(&self.queue, call.bucket.name()).await?;
        let shown: Vec<Element> =
            all.iter().filter(|style| name.is_none_or(|name| name == style.name)).map(spelled).collect();
        match name {
            Some(name) if shown.is_empty() => Err(Failure::no_style(name)),
            _ => Ok(reply(&tree("StyleList", shown))),
        }
    }

    /// What a rule comes to, which may name a style of the call's bucket.
    pub(super) async fn plan_or_style(&self, rule: &str, call: &Call) -> Result<Plan, Failure> {
        let Some(name) = tencent::style_of(rule) else { return self.plan(rule, call) };
        let style = styles::get(&self.queue, call.bucket.name(), name).await?;
        self.plan(&style.ok_or_else(|| Failure::no_style(name))?, call)
    }
}

fn spelled(style: &Style) -> Element {
    tree("StyleRule", vec![leaf("StyleName", &*style.name), leaf("StyleBody", &*style.pipeline)])
}

fn document(body: &[u8], root: &str) -> Result<Element, Failure> {
    if body.is_empty() {
        let problem = format!("the request has no body; expected XML with the root {root}");
        return Err(Failure::new(400, "MissingRequestBodyError", problem));
    }
    Element::read(body, root).map_err(|problem| Failure::new(400, "MalformedXML", problem))
}

fn text<'a>(request: &'a Element, name: &str) -> Result<&'a str, Failure> {
    request.text_at(name).ok_or_else(|| Failure::invalid(format!("{}/{name} is missing", request.name)))
}
