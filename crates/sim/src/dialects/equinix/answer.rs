//! Answers, errors and pages in Equinix Metal's shape.

use jiff::{Timestamp, Unit};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::wire::{Request, Response};

/// An answer, or the vendor's error in place of one.
pub(super) type Answer = Result<Response, Response>;

pub(super) fn ok(status: u16, body: &impl Serialize) -> Answer {
    Ok(Response::json(status, body))
}

/// An error with one sentence.
pub(super) fn error(status: u16, text: &str) -> Response {
    Response::json(status, &json!({ "error": text }))
}

/// What a request was refused for.
pub(super) fn refused(texts: &[&str]) -> Response {
    Response::json(422, &json!({ "errors": texts }))
}

pub(super) fn not_found() -> Response {
    Response::json(404, &json!({ "errors": ["Not found"] }))
}

/// RFC 3339 with whole seconds.
pub(super) fn time(at: Timestamp) -> String {
    at.round(Unit::Second).unwrap_or(at).to_string()
}

pub(super) fn href(path: &str) -> Value {
    json!({ "href": format!("/metal/v1{path}") })
}

/// Whether what `name` refers to is to be shown whole: `include` holds names, joined by commas.
pub(super) fn includes(request: &Request, name: &str) -> bool {
    let lists = request.query.iter().filter(|(key, _)| key == "include");
    lists.flat_map(|(_, names)| names.split(',')).any(|word| word.trim().split('.').next() == Some(name))
}

/// One page of a list: `page` from 1, `per_page` 10 and at most 1000, links without a host.
pub(super) fn page<T, R: Serialize>(
    request: &Request,
    name: &'static str,
    items: impl Iterator<Item = T>,
    render: impl Fn(T) -> R,
) -> Answer {
    let number = |key: &str, default: usize, most: usize| match request.query(key).map(str::parse::<usize>) {
        None => Ok(default),
        Some(Ok(number)) if (1..=most).contains(&number) => Ok(number),
        Some(_) => Err(refused(&[&format!("{key} must be a number from 1 to {most}")])),
    };
    let (page, per_page) = (number("page", 1, 100_000)?, number("per_page", 10, 1000)?);
    let items: Vec<T> = items.collect();
    let total = items.len();
    let last = total.div_ceil(per_page).max(1);
    let items: Vec<R> = items.into_iter().skip((page - 1) * per_page).take(per_page).map(render).collect();

    let link = |number: usize| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(request.query.iter().filter(|(key, _)| key != "page"));
        query.append_pair("page", &number.to_string());
        json!({ "href": format!("{}?{}", request.raw_path, query.finish()) })
    };
    let mut meta = Map::new();
    for (key, number) in [("first", Some(1)), ("self", Some(page)), ("last", Some(last))]
        .into_iter()
        .chain([("previous", (page > 1).then(|| page - 1)), ("next", (page < last).then_some(page + 1))])
    {
        if let Some(number) = number {
            meta.insert(key.to_owned(), link(number));
        }
    }
    for (key, number) in [("total", total), ("current_page", page), ("last_page", last)] {
        meta.insert(key.to_owned(), number.into());
    }
    ok(200, &json!({ name: items, "meta": meta }))
}
