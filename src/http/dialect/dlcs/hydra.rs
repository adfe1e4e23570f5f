//! Documents with Hydra's terms: errors, collections and their pages (spec 2).

use std::collections::BTreeMap;
use std::time::SystemTime;

use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::{Value, json};

use crate::error::ErrorKind;
use crate::http::respond;
use crate::jobs::queue;
use crate::jobs::records::assets::Window;
use crate::store;

/// What documents of collections are read by, and what those of everything else are.
pub(super) const HYDRA_CONTEXT: &str = "http://www.w3.org/ns/hydra/context.jsonld";
pub(super) const CONTEXT: &str = "https://dlcs.github.io/vocab/context/future.json";

/// Entries of a page whose size nobody names, and most of them.
const USUAL_PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 500;

/// A failure in this API's words.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    status: StatusCode,
    title: String,
    detail: String,
    instance: Option<String>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, title: &str, detail: &str) -> Self {
        Self { status, title: title.to_owned(), detail: detail.to_owned(), instance: None }
    }

    /// 400: the body is wrong.
    pub(super) fn bad(detail: impl AsRef<str>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Bad request", detail.as_ref())
    }

    /// 400: `operation` cannot be done with what the body names.
    pub(super) fn invalid(operation: &str, detail: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, &format!("{operation}: Validation failed"), detail)
    }

    /// 404.
    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found", what)
    }

    /// The same, with the URL that it happened at.
    pub(super) fn at(self, url: &str) -> Self {
        Self { instance: Some(url.to_owned()), ..self }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = self.status.as_u16();
        let mut document = json!({
            "@type": "Error",
            "statusCode": status,
            "title": self.title,
            "status": status,
            "description": self.detail,
            "detail": self.detail,
        });
        if let Some(instance) = &self.instance {
            document["instance"] = instance.as_str().into();
        }
        let mut response = super::answer(self.status, &document);
        // For whoever knows the URL that it happened at.
        response.extensions_mut().insert(self);
        response
    }
}

/// Failures of what lies below, whose kinds have their statuses in one place.
fn below(kind: ErrorKind, detail: &str) -> Failure {
    let status = respond::Failure::new(kind, &detail).status;
    // Codes of another vendor's mean nothing here.
    let status = if status.as_u16() > 511 { StatusCode::INTERNAL_SERVER_ERROR } else { status };
    let title = status.canonical_reason().unwrap_or("Failed");
    Failure::new(status, title, detail)
}

impl From<queue::Error> for Failure {
    fn from(error: queue::Error) -> Self {
        let failure = below(error.kind(), &error.to_string());
        match error.is_full() {
            true => Self { status: StatusCode::TOO_MANY_REQUESTS, ..failure },
            false if failure.status.is_server_error() => {
                tracing::error!(%error, "DLCS: the database failed");
                Self { detail: "the database failed".to_owned(), ..failure }
            }
            false => failure,
        }
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        below(error.kind(), &error.to_string())
    }
}

/// ISO 8601 with seven digits of a second, of which the last is always 0.
pub(super) fn date(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).format("%Y-%m-%dT%H:%M:%S%.6f0Z").to_string()
}

/// One page of a list, as it is asked for.
#[derive(Clone, Debug)]
pub(super) struct Page {
    number: u32,
    size: u32,
    /// Parameters that the links repeat.
    repeated: Vec<(String, String)>,
}

impl Page {
    pub(super) fn of(parameters: &BTreeMap<String, String>) -> Self {
        let number = |name: &str| parameters.get(name).and_then(|value| value.parse::<i64>().ok());
        let page = number("page").and_then(|page| u32::try_from(page).ok()).unwrap_or(1).max(1);
        let size = number("pageSize").and_then(|size| u32::try_from(size).ok()).unwrap_or(USUAL_PAGE);
        let size = if (1..=LARGEST_PAGE).contains(&size) { size } else { USUAL_PAGE };
        let repeated = ["orderBy", "orderByDescending", "q"];
        let repeated = repeated.into_iter().filter_map(|name| Some((name.to_owned(), parameters.get(name)?.clone())));
        Self { number: page, size, repeated: repeated.collect() }
    }

    pub(super) fn window(&self) -> Window {
        Window { skip: (self.number - 1).saturating_mul(self.size), take: self.size }
    }

    fn link(&self, id: &str, number: i64) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("page", &number.to_string()).append_pair("pageSize", &self.size.to_string());
        query.extend_pairs(&self.repeated);
        format!("{id}?{}", query.finish())
    }

    /// The collection at `id`, of which these are one page's entries.
    pub(super) fn collection(&self, id: &str, total: i64, members: Vec<Value>) -> Value {
        let mut document = json!({
            "@context": HYDRA_CONTEXT,
            "@id": id,
            "@type": "Collection",
            "totalItems": total,
            "pageSize": self.size,
        });
        let count = members.len() as i64;
        document["member"] = members.into();
        if total > count {
            document["view"] = self.view(id, total);
        }
        document
    }

    fn view(&self, id: &str, total: i64) -> Value {
        let pages = (total + i64::from(self.size) - 1) / i64::from(self.size);
        let number = i64::from(self.number);
        let mut view = json!({ "@id": self.link(id, number), "@type": "PartialCollectionView" });
        if number > 1 {
            view["first"] = self.link(id, 1).into();
            view["previous"] = self.link(id, number - 1).into();
        }
        if number < pages {
            view["next"] = self.link(id, number + 1).into();
            view["last"] = self.link(id, pages).into();
        }
        view["page"] = number.into();
        view["pageSize"] = self.size.into();
        view["totalPages"] = pages.into();
        view
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_have_seven_digits() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_693_650_769_940_491);
        assert_eq!(date(time), "2023-09-02T10:32:49.9404910Z");
    }

    #[test]
    fn the_second_page_of_three() {
        let parameters = BTreeMap::from([("page".to_owned(), "2".to_owned()), ("q".to_owned(), "{}".to_owned())]);
        let page = Page::of(&parameters);
        assert_eq!((page.window().skip, page.window().take), (100, 100));
        let document = page.collection("http://a/b", 250, vec![json!(1)]);
        let link = |number| json!(format!("http://a/b?page={number}&pageSize=100&q=%7B%7D"));
        let view = &document["view"];
        assert_eq!([&view["@id"], &view["first"], &view["previous"]], [&link(2), &link(1), &link(1)]);
        assert_eq!([&view["next"], &view["last"], &view["totalPages"]], [&link(3), &link(3), &json!(3)]);
        assert_eq!(document["totalItems"], 250);
    }

    #[test]
    fn pages_that_make_no_sense_are_the_usual_ones() {
        for (page, size) in [("0", "0"), ("-3", "501"), ("x", "-1")] {
            let asked = Page::of(&BTreeMap::from([
                ("page".to_owned(), page.to_owned()),
                ("pageSize".to_owned(), size.to_owned()),
            ]));
            assert_eq!((asked.number, asked.size), (1, 100), "{page} {size}");
        }
        assert!(Page::of(&BTreeMap::new()).collection("x", 0, Vec::new()).get("view").is_none());
    }
}
