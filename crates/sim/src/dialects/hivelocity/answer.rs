//! Answers and errors in Hivelocity's shapes, of which there are four.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use crate::wire::Response;

/// An answer, or the vendor's error in place of one.
pub(super) type Answer = Result<Response, Response>;

pub(super) fn ok(status: u16, body: &impl Serialize) -> Answer {
    Ok(Response::json(status, body))
}

/// The common shape.
pub(super) fn error(status: u16, message: &str) -> Response {
    Response::json(status, &json!({ "code": status, "message": message }))
}

/// What the layer in front says.
pub(super) fn described(status: u16, description: &str) -> Response {
    Response::json(status, &json!({ "code": status, "description": description }))
}

/// A body that has not the described form: complaints by field.
pub(super) fn malformed(complaints: BTreeMap<&str, Vec<&str>>) -> Response {
    Response::json(400, &json!({ "schema_errors": complaints }))
}

/// A field that has the form but no good value.
pub(super) fn bad_field(field: &str, why: &str) -> Response {
    Response::json(400, &json!({ "errors": { field: why } }))
}

pub(super) fn found<T>(thing: Option<T>, what: &str) -> Result<T, Response> {
    thing.ok_or_else(|| error(404, &format!("{what} Not Found")))
}
