//! A request and its answer, as a dialect sees them.

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// Scheme, host and port as the client addressed it, such as `https://api.digitalocean.com`.
    pub base: String,
    /// The path as it was sent, still encoded.
    pub raw_path: String,
    /// The query as it was sent, without the question mark.
    pub raw_query: String,
    /// Path segments, decoded, without empty ones.
    pub path: Vec<String>,
    /// Query pairs, decoded, in order.
    pub query: Vec<(String, String)>,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Request {
    /// The request that arrived at `base`.
    pub fn new(base: impl Into<String>, method: Method, uri: &http::Uri, headers: HeaderMap, body: Bytes) -> Self {
        let raw_query = uri.query().unwrap_or_default().to_owned();
        let decode = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
        Request {
            method,
            base: base.into(),
            raw_path: uri.path().to_owned(),
            path: uri.path().split('/').filter(|part| !part.is_empty()).map(decode).collect(),
            query: form(raw_query.as_bytes()),
            raw_query,
            headers,
            body,
        }
    }

    /// Method and path, to match on: `("GET", ["v2", "droplets", id])`.
    pub fn route(&self) -> (&str, Vec<&str>) {
        (self.method.as_str(), self.path.iter().map(String::as_str).collect())
    }

    /// The first value of a query parameter.
    pub fn query(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// What stands behind `Bearer`.
    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization").and_then(|value| value.strip_prefix("Bearer ")).map(str::trim)
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// The parser's complaint.
    pub fn json<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.body)
    }

    /// The body as form pairs, decoded, in order.
    pub fn form(&self) -> Vec<(String, String)> {
        form(&self.body)
    }
}

fn form(bytes: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(bytes).into_owned().collect()
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Status.
    pub status: u16,
    /// Headers; the length is added on the way out.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Bytes,
}

impl Response {
    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Response { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// A JSON answer.
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("wire values have string keys and can be written");
        Response::text(status, "application/json; charset=utf-8", body)
    }

    /// An XML answer.
    pub fn xml(status: u16, body: impl Into<Bytes>) -> Self {
        Response::text(status, "text/xml;charset=UTF-8", body)
    }

    /// An answer of any type.
    pub fn text(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Response { status, headers: Vec::new(), body: body.into() }.with_header("content-type", content_type)
    }

    /// Adds a header.
    pub fn with_header(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.headers.push((name.into(), value.to_string()));
        self
    }
}
