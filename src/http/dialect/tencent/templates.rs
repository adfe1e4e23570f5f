//! Templates: named rules (Tencent spec 4).

use axum::response::Response;

use super::failure::Failure;
use super::queues::{pages, wrong};
use super::spelling::{self, time_text};
use super::xml::{Element, leaf, tree};
use super::{Call, Tencent, reply};
use crate::jobs::records::templates::{self, Refusal, Template};

const MAX_NAME_CHARS: usize = 64;

impl Tencent {
    pub(super) async fn put_template(
        &self,
        call: &Call,
        id: Option<&str>,
        request: &Element,
    ) -> Result<Response, Failure> {
        spelling::check_tag(request)?;
        let name = request.text_at("Name");
        let name = name
            .filter(|name| is_name(name))
            .ok_or_else(|| wrong("Request/Name", name, "at most 64 Chinese characters, letters, digits, _, - or *"))?;
        let (rule, is_described) = spelling::rule_of(request, "Request")?;
        self.plan_or_style(&rule, call).await?;
        let given = (name, rule.as_str(), is_described);
        let put = templates::put(&self.queue, call.place(), id, given, call.now).await?;
        let template = put.map_err(|refusal| match refusal {
            Refusal::Missing => no_template(id.unwrap_or_default()),
            Refusal::Duplicate => {
                Failure::new(400, "TemplateNameDuplicate", format!("another template has the name {name:?}"))
            }
            Refusal::TooMany => {
                let most = format!("the bucket has {} templates, the limit", templates::MAX_TEMPLATES);
                Failure::new(400, "CreatedTemplateNumLimit", most)
            }
        })?;
        let children = vec![leaf("RequestId", &*call.request_id), spelled("Template", call, &template)];
        Ok(reply(&tree("Response", children)))
    }

    pub(super) async fn templates(&self, call: &Call) -> Result<Response, Failure> {
        let (page, size) = call.page()?;
        let is_ours = matches!(call.parameter("tag"), None | Some("All" | "PicProcess"))
            && !matches!(call.parameter("category"), Some("Official"));
        let all = templates::list(&self.queue, call.place()).await?;
        let matching: Vec<&Template> = all
            .iter()
            .filter(|_| is_ours)
            .filter(|it| call.parameter("ids").is_none_or(|ids| ids.split(',').any(|id| id == it.id)))
            .filter(|it| call.parameter("name").is_none_or(|prefix| it.name.starts_with(prefix)))
            .collect();
        let mut children = pages(&call.request_id, matching.len(), (page, size));
        let shown = matching.into_iter().skip((page - 1) * size).take(size);
        children.extend(shown.map(|template| spelled("TemplateList", call, template)));
        Ok(reply(&tree("Response", children)))
    }

    pub(super) async fn delete_template(&self, call: &Call, id: &str) -> Result<Response, Failure> {
        if !templates::delete(&self.queue, call.place(), id).await? {
            return Err(no_template(id));
        }
        let children = vec![leaf("RequestId", &*call.request_id), leaf("TemplateId", id)];
        Ok(reply(&tree("Response", children)))
    }
}

pub(super) fn no_template(id: &str) -> Failure {
    Failure::new(404, "TemplateNotFound", format!("the bucket has no template {id:?}"))
}

fn is_name(name: &str) -> bool {
    let is_chinese = |c: char| ('\u{3400}'..='\u{9fff}').contains(&c);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-*".contains(c) || is_chinese(c);
    name.chars().count() <= MAX_NAME_CHARS && name.chars().all(is_plain)
}

fn spelled(name: &str, call: &Call, template: &Template) -> Element {
    let children = vec![
        leaf("Tag", "PicProcess"),
        leaf("Name", &*template.name),
        leaf("TemplateId", &*template.id),
        leaf("BucketId", call.label()),
        leaf("Category", "Custom"),
        leaf("CreateTime", time_text(template.created)),
        leaf("UpdateTime", time_text(template.updated)),
        spelling::process(&template.pipeline, template.is_described),
    ];
    tree(name, children)
}
