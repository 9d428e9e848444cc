//! Answers, errors and pages in Vultr's shape.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::wire::{Request, Response};

/// An answer, or the vendor's error in place of one.
pub(super) type Answer = Result<Response, Response>;

/// JSON under the bare content type: the vendor's Python client takes no other.
pub(super) fn json(status: u16, body: &impl Serialize) -> Response {
    let body = serde_json::to_vec(body).expect("wire values have string keys and can be written");
    Response::text(status, "application/json", body)
}

/// A thing under its name: `{"instance": {...}}`.
pub(super) fn one(status: u16, name: &'static str, thing: impl Serialize) -> Answer {
    struct Envelope<T>(&'static str, T);
    impl<T: Serialize> Serialize for Envelope<T> {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map([(self.0, &self.1)])
        }
    }
    Ok(json(status, &Envelope(name, thing)))
}

/// An error body: one sentence, and the status once more.
pub(super) fn error(status: u16, text: &str) -> Response {
    json(status, &json!({ "error": text, "status": status }))
}

pub(super) fn not_found(text: &str) -> Response {
    error(404, text)
}

pub(super) fn bad_request(text: &str) -> Response {
    error(400, text)
}

/// One page of a list: `per_page` 100 and at most 500, and opaque cursors to the pages beside it, empty where there is
/// none.
///
/// Each item comes with its place in the whole list, filtered or not, in rising order: a cursor names a place, so what
/// is removed meanwhile moves nothing.
pub(super) fn page<T, R: Serialize>(
    request: &Request,
    name: &'static str,
    items: impl Iterator<Item = (usize, T)>,
    render: impl Fn(T) -> R,
) -> Answer {
    let per_page = match request.query("per_page").map(str::parse::<usize>) {
        None => 100,
        Some(Ok(number)) if number > 0 => number.min(500),
        Some(_) => return Err(bad_request("Invalid per_page.")),
    };
    let from = match request.query("cursor").filter(|cursor| !cursor.is_empty()) {
        None => 0,
        Some(cursor) => place(cursor).ok_or_else(|| bad_request("Invalid cursor."))?,
    };
    let items: Vec<(usize, T)> = items.collect();
    let total = items.len();
    let start = items.partition_point(|(at, _)| *at < from);
    let end = (start + per_page).min(total);
    let cursor = |way: &str, at: usize| STANDARD.encode(format!("{way}__{at}"));
    let next = items.get(end).map_or(String::new(), |(at, _)| cursor("next", *at));
    let prev = match start {
        0 => String::new(),
        _ => cursor("prev", items[start.saturating_sub(per_page)].0),
    };
    let items: Vec<R> = items.into_iter().skip(start).take(end - start).map(|(_, item)| render(item)).collect();
    let meta = json!({ "total": total, "links": { "next": next, "prev": prev } });
    Ok(json(200, &Page { name, items, meta }))
}

/// The place that a cursor names.
fn place(cursor: &str) -> Option<usize> {
    let text = String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?;
    text.strip_prefix("next__").or_else(|| text.strip_prefix("prev__"))?.parse().ok()
}

/// `{"instances": [...], "meta": {...}}`
struct Page<R> {
    name: &'static str,
    items: Vec<R>,
    meta: Value,
}

impl<R: Serialize> Serialize for Page<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry(self.name, &self.items)?;
        map.serialize_entry("meta", &self.meta)?;
        map.end()
    }
}
