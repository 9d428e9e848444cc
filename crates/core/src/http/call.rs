//! One request, as a driver writes it down.

use std::fmt;

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use url::Url;

use super::limit::Lane;
use crate::error::Effect;

/// What repeating a call would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Nothing: it only looks.
    Read,
    /// Nothing more than the first time.
    Idempotent,
    /// The thing again. Sent a second time only when the first provably was not, or was refused with 429.
    Effectful,
}

impl Class {
    /// What is unknown after such a call was sent and not answered.
    pub(super) fn doubt(self) -> Effect {
        if self == Class::Read { Effect::None } else { Effect::Unknown }
    }
}

/// One request to a vendor, not yet sent.
#[derive(Clone)]
pub struct Call {
    pub(super) operation: &'static str,
    pub(super) class: Class,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) lane: Lane,
    pub(super) bucket: Option<&'static str>,
    pub(super) base: Option<Url>,
}

impl Call {
    fn new(operation: &'static str, class: Class, method: Method, path: impl Into<String>) -> Self {
        Call {
            operation,
            class,
            method,
            path: path.into(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            lane: Lane::Normal,
            bucket: None,
            base: None,
        }
    }

    /// A look. `operation` is our name for it, such as `droplets.list`; `path` comes after the base URL, encoded.
    pub fn get(operation: &'static str, path: impl Into<String>) -> Self {
        Call::new(operation, Class::Read, Method::GET, path)
    }

    /// A POST, taken to be effectful until [`idempotent`](Call::idempotent) or [`read`](Call::read) says otherwise.
    pub fn post(operation: &'static str, path: impl Into<String>) -> Self {
        Call::new(operation, Class::Effectful, Method::POST, path)
    }

    /// A PUT, idempotent.
    pub fn put(operation: &'static str, path: impl Into<String>) -> Self {
        Call::new(operation, Class::Idempotent, Method::PUT, path)
    }

    /// A PATCH, idempotent as all our uses of it are.
    pub fn patch(operation: &'static str, path: impl Into<String>) -> Self {
        Call::new(operation, Class::Idempotent, Method::PATCH, path)
    }

    /// A DELETE: idempotent, and in the lane that polling cannot starve.
    pub fn delete(operation: &'static str, path: impl Into<String>) -> Self {
        let mut call = Call::new(operation, Class::Idempotent, Method::DELETE, path);
        call.lane = Lane::Delete;
        call
    }

    /// Repeating it does no more than the first time.
    pub fn idempotent(mut self) -> Self {
        self.class = Class::Idempotent;
        self
    }

    /// Repeating it may do the thing again, whatever its method.
    pub fn effectful(mut self) -> Self {
        self.class = Class::Effectful;
        self
    }

    /// It only looks, whatever its method.
    pub fn read(mut self) -> Self {
        self.class = Class::Read;
        self
    }

    /// Sends it in another lane of the limiter.
    pub fn lane(mut self, lane: Lane) -> Self {
        self.lane = lane;
        self
    }

    /// Draws on a limit of its own beside the account's: the name of a [`Bucket`](super::Bucket).
    pub fn bucket(mut self, name: &'static str) -> Self {
        self.bucket = Some(name);
        self
    }

    /// Adds a query parameter.
    pub fn query(mut self, key: impl Into<String>, value: impl fmt::Display) -> Self {
        self.query.push((key.into(), value.to_string()));
        self
    }

    /// Adds a header that is no secret; secrets come from the [`Authenticator`](super::Authenticator).
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sends `body` as JSON.
    pub fn json(self, body: &impl Serialize) -> Self {
        let bytes = serde_json::to_vec(body).expect("wire structs have string keys and can be written");
        self.body("application/json", bytes)
    }

    /// Sends `body` under that content type.
    pub fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = body.into();
        self
    }

    /// Sends it to another base URL than the client's: one host per region or service.
    pub fn base(mut self, base: Url) -> Self {
        self.base = Some(base);
        self
    }

    /// Our name for it.
    pub fn operation(&self) -> &'static str {
        self.operation
    }
}

/// Shows what is sent where, never headers or body.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({}, {:?}, {} byte body)", self.method, self.path, self.operation, self.class, self.body.len())
    }
}
