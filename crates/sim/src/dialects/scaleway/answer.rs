//! Answers, errors and pages in Scaleway's shapes.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use jiff::{Timestamp, Unit};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::wire::{Request, Response};

/// An answer, or the vendor's error in place of one.
pub(super) type Answer = Result<Response, Response>;

pub(super) fn ok(status: u16, body: &impl Serialize) -> Answer {
    Ok(Response::json(status, body))
}

/// `{"type": ..., "message": ...}` and whatever this type has beside.
pub(super) fn error(status: u16, kind: &str, message: &str, more: Value) -> Response {
    let mut body = json!({ "type": kind, "message": message });
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    Response::json(status, &body)
}

/// An argument that is wrong: `required`, `format`, `constraint` or `unknown`.
pub(super) fn bad_argument(name: &str, reason: &str, help: &str) -> Response {
    let detail = json!({ "argument_name": name, "reason": reason, "help_message": help });
    error(400, "invalid_arguments", "invalid argument(s)", json!({ "details": [detail] }))
}

pub(super) fn precondition(name: &str, help: &str) -> Response {
    error(400, "precondition_failed", "precondition failed", json!({ "precondition": name, "help_message": help }))
}

/// What the older API says of a thing that is not there.
pub(super) fn unknown_resource(resource: &str, id: &str) -> Response {
    error(404, "unknown_resource", &format!("\"{id}\" not found"), json!({ "resource": resource, "resource_id": id }))
}

/// What the newer APIs say.
pub(super) fn not_found(resource: &str, id: &str) -> Response {
    error(404, "not_found", "resource is not found", json!({ "resource": resource, "resource_id": id }))
}

/// RFC 3339 in microseconds, as the older API writes it.
pub(super) fn time(at: Timestamp) -> String {
    at.round(Unit::Microsecond).unwrap_or(at).strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}

/// Adds what every answer has: an id of the request.
pub(super) fn signed(request: &Request, now: Timestamp, response: Response) -> Response {
    let mut hasher = DefaultHasher::new();
    (now.as_nanosecond(), &request.raw_path, &request.raw_query, &request.body[..]).hash(&mut hasher);
    let hash = hasher.finish();
    let id = format!("{:08x}-0000-4000-8000-{:012x}", hash >> 32, hash & 0xffff_ffff_ffff);
    response.with_header("x-request-id", id)
}

/// A UUID that is always the same for the same words.
pub(super) fn uuid_of(words: &[&str]) -> String {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, words).hash(&mut hasher);
        hasher.finish()
    };
    let hex = format!("{:016x}{:016x}", half(1), half(2));
    format!("{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

/// Where a page begins, and how long it is.
struct Window {
    page: usize,
    size: usize,
}

fn window(request: &Request, size_name: &str) -> Result<Window, Response> {
    let number = |key: &str, default: usize| match request.query(key).map(str::parse) {
        None => Ok(default),
        Some(Ok(number)) if number > 0 => Ok(number),
        Some(_) => Err(bad_argument(key, "constraint", "must be a positive number")),
    };
    let size = number(size_name, 50)?;
    if size > 100 {
        return Err(bad_argument(size_name, "constraint", "must be lower or equal to 100"));
    }
    Ok(Window { page: number("page", 1)?, size })
}

impl Window {
    fn cut<T>(&self, items: impl Iterator<Item = T>) -> (Vec<T>, usize) {
        let items: Vec<T> = items.collect();
        let total = items.len();
        (items.into_iter().skip((self.page - 1).saturating_mul(self.size)).take(self.size).collect(), total)
    }
}

/// One page in the older style: `per_page`, the total in a header, and links there.
pub(super) fn page<T, R: Serialize>(
    request: &Request,
    name: &'static str,
    items: impl Iterator<Item = T>,
    render: impl Fn(T) -> R,
) -> Answer {
    let window = window(request, "per_page")?;
    let (items, total) = window.cut(items);
    let items: Vec<R> = items.into_iter().map(render).collect();
    Ok(linked(request, &window, total, Response::json(200, &Named(name, &items))))
}

/// The same for things that stand under their names.
pub(super) fn map_page<T>(
    request: &Request,
    items: impl Iterator<Item = T>,
    render: impl Fn(T) -> (String, Value),
) -> Answer {
    let window = window(request, "per_page")?;
    let (items, total) = window.cut(items);
    let items: Map<String, Value> = items.into_iter().map(render).collect();
    Ok(linked(request, &window, total, Response::json(200, &json!({ "servers": items }))))
}

/// One page in the newer style: `page_size`, and the total in the body.
pub(super) fn counted_page<T>(
    request: &Request,
    name: &'static str,
    items: impl Iterator<Item = T>,
    render: impl Fn(T) -> Value,
) -> Answer {
    let (items, total) = window(request, "page_size")?.cut(items);
    let items: Vec<Value> = items.into_iter().map(render).collect();
    ok(200, &json!({ name: items, "total_count": total }))
}

fn linked(request: &Request, window: &Window, total: usize, response: Response) -> Response {
    let last = total.div_ceil(window.size).max(1);
    let link = |page: usize, rel: &str| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(request.query.iter().filter(|(key, _)| key != "page"));
        query.append_pair("page", &page.to_string());
        format!("<{}?{}>; rel=\"{rel}\"", request.raw_path, query.finish())
    };
    let mut links = vec![link(last, "last")];
    if window.page < last {
        links.push(link(window.page + 1, "next"));
    }
    response.with_header("x-total-count", total).with_header("link", links.join(", "))
}

/// `{"servers": [...]}`
struct Named<'a, R>(&'static str, &'a [R]);

impl<R: Serialize> Serialize for Named<'_, R> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([(self.0, self.1)])
    }
}
