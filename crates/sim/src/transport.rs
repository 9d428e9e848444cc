//! The way in without a network.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use capsule_core::http::transport::whole;
use capsule_core::http::{ByteStream, SendError, Sent, Transport};

use crate::dialect::host_matches;
use crate::sim::{Delivery, Outcome, Sim};
use crate::wire::{Request, Response};

/// Carries requests to the dialect that answers for their host.
pub(crate) struct InProcess {
    sim: Sim,
}

impl InProcess {
    pub(crate) fn new(sim: Sim) -> Self {
        InProcess { sim }
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

#[async_trait]
impl Transport for InProcess {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<ByteStream>, SendError> {
        let (parts, body) = request.into_parts();
        let host = parts.uri.host().unwrap_or_default().to_owned();
        let Some(dialect) = self.sim.shared.dialects.iter().find(|dialect| host_matches(dialect.hosts(), &host)) else {
            let message = format!("no simulated cloud answers for the host `{host}`");
            return Err(SendError { sent: Sent::No, message });
        };
        let base = match parts.uri.authority() {
            Some(authority) => format!("{}://{authority}", parts.uri.scheme_str().unwrap_or("https")),
            None => String::new(),
        };
        let mut headers = parts.headers;
        // Over HTTP/1.1 the server sees it, and some signatures cover it.
        if let (None, Ok(value)) = (headers.get(http::header::HOST), http::HeaderValue::from_str(&host)) {
            headers.insert(http::header::HOST, value);
        }
        let request = Request::new(base, parts.method, &parts.uri, headers, body);
        match self.sim.exchange(dialect.as_ref(), &request).await {
            Outcome::Refused => Err(SendError { sent: Sent::No, message: "connection refused".to_owned() }),
            Outcome::Lost => Err(ended("connection closed before the answer")),
            Outcome::Answer(response, delivery) => Ok(deliver(response, delivery)),
        }
    }
}

fn deliver(response: Response, delivery: Delivery) -> http::Response<ByteStream> {
    let body = match delivery {
        Delivery::Whole => whole(response.body.clone()),
        Delivery::Reset => broken_off(&response.body, "connection reset in the middle of the answer"),
        Delivery::Truncated => broken_off(&response.body, "the answer ended before its announced length"),
    };
    head(&response).map(|()| body)
}

/// Status and headers of an answer.
pub(crate) fn head(response: &Response) -> http::Response<()> {
    let mut out = http::Response::new(());
    *out.status_mut() = http::StatusCode::from_u16(response.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &response.headers {
        let name = http::HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_str(value)) {
            out.headers_mut().append(name, value);
        }
    }
    out
}

/// The first half of a body, and then an end.
fn broken_off(body: &Bytes, why: &str) -> ByteStream {
    let half = body.slice(..body.len() / 2);
    Box::pin(futures_util::stream::iter([Ok(half), Err(ended(why))]))
}

fn ended(why: &str) -> SendError {
    SendError { sent: Sent::Maybe, message: why.to_owned() }
}
