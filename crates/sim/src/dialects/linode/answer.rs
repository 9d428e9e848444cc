//! Answers, errors and pages in Linode's shape.

use serde::Serialize;
use serde_json::{Value, json};

use super::filter::Filter;
use crate::wire::{Request, Response};

/// An answer, or the vendor's error in place of one.
pub(super) type Answer = Result<Response, Response>;

pub(super) fn ok(body: &impl Serialize) -> Answer {
    Ok(Response::json(200, body))
}

/// What actions and deletions answer.
pub(super) fn done() -> Answer {
    ok(&json!({}))
}

/// An error about nothing in particular.
pub(super) fn error(status: u16, reason: &str) -> Response {
    Response::json(status, &json!({ "errors": [{ "reason": reason }] }))
}

pub(super) fn not_found() -> Response {
    error(404, "Not found")
}

pub(super) fn found<T>(thing: Option<T>) -> Result<T, Response> {
    thing.ok_or_else(not_found)
}

pub(super) fn unreadable<E>(_: E) -> Response {
    error(400, "Invalid JSON")
}

/// What is wrong with a request, field by field: the vendor names everything at once.
#[derive(Debug, Default)]
pub(super) struct Complaints(Vec<Value>);

impl Complaints {
    pub(super) fn add(&mut self, field: &str, reason: impl AsRef<str>) {
        self.0.push(json!({ "field": field, "reason": reason.as_ref() }));
    }

    /// Adds the complaint unless all is well.
    pub(super) fn expect(&mut self, well: bool, field: &str, reason: &str) {
        if !well {
            self.add(field, reason);
        }
    }

    /// Refuses if there is any.
    pub(super) fn refuse(self) -> Result<(), Response> {
        if self.0.is_empty() { Ok(()) } else { Err(Response::json(400, &json!({ "errors": self.0 }))) }
    }
}

/// A refusal because of one field.
pub(super) fn invalid(field: &str, reason: &str) -> Response {
    Response::json(400, &json!({ "errors": [{ "field": field, "reason": reason }] }))
}

#[derive(Serialize)]
struct Page<R> {
    data: Vec<R>,
    page: usize,
    pages: usize,
    results: usize,
}

/// One page of a list: `page` from 1, `page_size` 25 to 500 and 100 by default, filtered and sorted by `X-Filter`.
///
/// `fields` can be filtered by; `look` reads one of them.
pub(super) fn page<T, R: Serialize>(
    request: &Request,
    items: impl Iterator<Item = T>,
    fields: &[&str],
    look: impl Fn(&T, &str) -> Vec<Value>,
    render: impl Fn(T) -> R,
) -> Answer {
    let number = |key: &str, default: usize| match request.query(key) {
        None => Ok(default),
        Some(text) => text.parse::<usize>().map_err(|_| invalid(key, "Must be a number")),
    };
    let (page, size) = (number("page", 1)?, number("page_size", 100)?);
    if page == 0 {
        return Err(invalid("page", "Must be a positive number"));
    }
    if !(25..=500).contains(&size) {
        return Err(invalid("page_size", "Must be 25-500"));
    }
    let mut items: Vec<T> = items.collect();
    if let Some(text) = request.header("x-filter") {
        let filter = Filter::parse(text, fields)?;
        items.retain(|item| filter.holds(&|field| look(item, field)));
        filter.sort(&mut items, |item, field| look(item, field));
    }
    let results = items.len();
    let pages = results.div_ceil(size).max(1);
    // (unsure) A page beyond the last one.
    if page > pages {
        return Err(not_found());
    }
    let data = items.into_iter().skip((page - 1) * size).take(size).map(render).collect();
    ok(&Page { data, page, pages, results })
}

/// The same for things that are JSON already: they are filtered by any field that they have.
pub(super) fn page_of(request: &Request, items: &[Value]) -> Answer {
    let fields: Vec<&str> =
        items.iter().filter_map(Value::as_object).flat_map(|item| item.keys().map(String::as_str)).collect();
    let look = |item: &&Value, field: &str| match &item[field] {
        Value::Array(values) => values.clone(),
        value => vec![value.clone()],
    };
    page(request, items.iter(), &fields, look, |item| item)
}
