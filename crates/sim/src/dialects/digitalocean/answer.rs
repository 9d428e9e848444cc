//! Answers, errors and pages in DigitalOcean's shape.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::wire::{Request, Response};

/// An answer, or the vendor's error in place of one.
pub(super) type Answer = Result<Response, Response>;

/// A thing under its name: `{"droplet": {...}}`.
pub(super) struct Envelope<T>(pub(super) &'static str, pub(super) T);

impl<T: Serialize> Serialize for Envelope<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.0, &self.1)])
    }
}

pub(super) fn ok(status: u16, body: &impl Serialize) -> Answer {
    Ok(Response::json(status, body))
}

/// An error body. Its `request_id` is optional, and left out.
pub(super) fn error(status: u16, id: &str, message: &str) -> Response {
    Response::json(status, &json!({ "id": id, "message": message }))
}

pub(super) fn not_found() -> Response {
    error(404, "not_found", "The resource you were accessing could not be found.")
}

pub(super) fn invalid(message: impl AsRef<str>) -> Response {
    error(422, "unprocessable_entity", message.as_ref())
}

pub(super) fn bad_request(message: &str) -> Response {
    error(400, "bad_request", message)
}

pub(super) fn found<T>(thing: Option<T>) -> Result<T, Response> {
    thing.ok_or_else(not_found)
}

/// One page of a list: `page` from 1, `per_page` 20 and at most 200, links on the host that was asked.
pub(super) fn page<T, R: Serialize>(
    request: &Request,
    name: &'static str,
    items: impl Iterator<Item = T>,
    render: impl Fn(T) -> R,
) -> Answer {
    page_with(request, name, items, render, &[])
}

/// The same with what stands beside the list in every page of it.
pub(super) fn page_with<T, R: Serialize>(
    request: &Request,
    name: &'static str,
    items: impl Iterator<Item = T>,
    render: impl Fn(T) -> R,
    beside: &[(&'static str, Value)],
) -> Answer {
    let number = |key: &str, default: usize| match request.query(key) {
        None => Ok(default),
        Some(text) => match text.parse() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(bad_request(&format!("{key} must be a positive number"))),
        },
    };
    let (page, per_page) = (number("page", 1)?, number("per_page", 20)?.min(200));
    let items: Vec<T> = items.collect();
    let total = items.len();
    let last = total.div_ceil(per_page).max(1);
    let skip = (page - 1).saturating_mul(per_page);
    let items: Vec<R> = items.into_iter().skip(skip).take(per_page).map(render).collect();

    let link = |number: usize| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (key, value) in request.query.iter().filter(|(key, _)| key != "page") {
            query.append_pair(key, value);
        }
        query.append_pair("page", &number.to_string());
        format!("{}{}?{}", request.base, request.raw_path, query.finish())
    };
    let mut pages = Map::new();
    if page > 1 {
        pages.insert("first".into(), link(1).into());
        pages.insert("prev".into(), link((page - 1).min(last)).into());
    }
    if page < last {
        pages.insert("next".into(), link(page + 1).into());
        pages.insert("last".into(), link(last).into());
    }
    let links = if pages.is_empty() { json!({}) } else { json!({ "pages": pages }) };
    ok(200, &Page { name, items, beside, links, total })
}

/// `{"droplets": [...], "links": {...}, "meta": {"total": 1}}`
struct Page<'a, R> {
    name: &'static str,
    items: Vec<R>,
    beside: &'a [(&'static str, Value)],
    links: Value,
    total: usize,
}

impl<R: Serialize> Serialize for Page<'_, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3 + self.beside.len()))?;
        map.serialize_entry(self.name, &self.items)?;
        self.beside.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.serialize_entry("links", &self.links)?;
        map.serialize_entry("meta", &json!({ "total": self.total }))?;
        map.end()
    }
}
