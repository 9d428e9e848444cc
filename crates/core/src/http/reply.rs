//! One answer, whole.

use std::fmt;

use bytes::Bytes;
use futures_util::StreamExt;
use http::StatusCode;
use http::header::HeaderMap;
use jiff::Timestamp;
use serde::Deserialize;

use super::call::Class;
use super::redact;
use super::transport::ByteStream;
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::instance::ProviderId;

/// An answer with its whole body.
pub struct Reply {
    /// The call's name, for messages.
    pub operation: &'static str,
    /// The status line.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, at most [`ClientConfig::body_limit`](super::ClientConfig::body_limit).
    pub body: Bytes,
    /// When it came.
    pub at: Timestamp,
    pub(super) provider: ProviderId,
    pub(super) attempts: u32,
    pub(super) class: Class,
    pub(super) request_id: Option<String>,
}

impl Reply {
    /// The body as JSON, borrowed from it where the type borrows. An empty body reads as `null`.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`], with effect unknown if the call was effectful: the vendor said yes.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T> {
        let body: &'a [u8] = if self.body.is_empty() { b"null" } else { &self.body };
        serde_json::from_slice(body).map_err(|error| {
            self.protocol(format!("an answer that Capsule cannot read ({})", redact::json_fault(&error)))
        })
    }

    /// The body as text.
    ///
    /// # Errors
    /// As [`json`](Reply::json).
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.body).map_err(|_| self.protocol("an answer that is not UTF-8".to_owned()))
    }

    /// An error about this answer: `what` completes "The provider gave ...". The next answer may well make sense.
    pub fn protocol(&self, what: String) -> Error {
        self.error(ErrorKind::Protocol, format!("{} gave {what} to {}.", self.provider, self.operation))
            .with_retry(Retry::Backoff)
            .with_effect(self.class.doubt())
    }

    /// An error that knows which answer it is about.
    pub(super) fn error(&self, kind: ErrorKind, message: String) -> Error {
        let error = Error::new(kind, message)
            .with_provider(&self.provider)
            .with_operation(self.operation)
            .with_http_status(self.status.as_u16())
            .with_attempts(self.attempts);
        match &self.request_id {
            Some(id) => error.with_request_id(id),
            None => error,
        }
    }

    /// The vendor's id of the request.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({} byte body)", self.operation, self.status, self.body.len())
    }
}

/// Why a body is not whole.
pub(super) enum BodyFault {
    /// It is larger than allowed.
    TooLarge,
    /// It broke off.
    Broken(String),
}

/// Reads to the end, but never more than `limit` bytes. `announced` is how many are said to come.
pub(super) async fn read_body(
    mut body: ByteStream,
    announced: Option<usize>,
    limit: usize,
) -> Result<Bytes, BodyFault> {
    let mut first = None;
    let mut whole: Vec<u8> = Vec::new();
    let mut size = 0usize;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| BodyFault::Broken(error.message))?;
        size += chunk.len();
        if size > limit {
            return Err(BodyFault::TooLarge);
        }
        match first.take() {
            None if whole.is_empty() => first = Some(chunk),
            None => whole.extend_from_slice(&chunk),
            Some(before) => {
                whole.reserve_exact(announced.unwrap_or(0).clamp(size, limit));
                whole.extend_from_slice(&before);
                whole.extend_from_slice(&chunk);
            }
        }
    }
    Ok(first.unwrap_or_else(|| whole.into()))
}
