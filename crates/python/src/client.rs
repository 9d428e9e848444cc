//! Plain requests through the HTTP core: what the original's `APIClient` was for.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use capsule_core::http::{Authenticator, Call, ClientConfig, Diagnosis, HttpTransport, Reply, RetryPolicy, parse_base};
use capsule_core::{Clock, Error, ErrorKind, SystemClock};
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use pyo3::prelude::*;
use secrecy::{ExposeSecret, SecretString};

use crate::core::Core;
use crate::failure::raised;
use crate::runtime::block;

/// Sends requests below one base URL. Any number of threads may use it at once.
#[pyclass(frozen)]
pub(crate) struct Client {
    inner: capsule_core::http::Client,
}

/// Headers of the user's choosing, each taken for a secret.
struct Headers(Vec<(HeaderName, HeaderValue)>);

#[async_trait]
impl Authenticator for Headers {
    async fn sign(&self, request: &mut http::Request<Bytes>, _now: Timestamp) -> Result<(), Error> {
        for (name, value) in &self.0 {
            request.headers_mut().insert(name.clone(), value.clone());
        }
        Ok(())
    }
}

#[pymethods]
impl Client {
    /// `core`, where one is given, says which way out is taken: the sandbox's or the network's.
    #[new]
    #[pyo3(signature = (base_url, headers, timeout, max_retries, rate_limit_delay, core=None))]
    fn new(
        py: Python<'_>,
        base_url: &str,
        headers: Vec<(String, String)>,
        timeout: f64,
        max_retries: u32,
        rate_limit_delay: f64,
        core: Option<&Core>,
    ) -> PyResult<Self> {
        let made = || {
            let base = parse_base("base_url", base_url)?;
            let name = base.host_str().unwrap_or_default().to_owned();
            let mut config = ClientConfig::new(name, base, Arc::new(Headers(secrets(headers)?)));
            config.attempt_timeout = seconds("timeout", timeout)?;
            config.diagnose = diagnose;
            let base = seconds("rate_limit_delay", rate_limit_delay)?;
            config.retry = RetryPolicy { retries: max_retries, base, ..RetryPolicy::default() };
            let transport = core.map_or_else(|| Arc::new(HttpTransport::new()) as _, |core| core.facade.transport());
            let clock = core.map_or_else(|| Arc::new(SystemClock) as Arc<dyn Clock>, |core| core.facade.clock());
            capsule_core::http::Client::new(config, transport, clock)
        };
        made().map(|inner| Client { inner }).map_err(|error| raised(py, &error))
    }

    /// Sends one request, a read or an idempotent one again where that helps, and gives the body of the good answer.
    #[pyo3(signature = (method, path, query, headers, body=None))]
    fn request(
        &self,
        py: Python<'_>,
        method: &str,
        path: &str,
        query: Vec<(String, String)>,
        headers: Vec<(String, String)>,
        body: Option<String>,
    ) -> PyResult<String> {
        let made = || {
            let mut call = match method {
                "GET" => Call::get("GET", path),
                "POST" => Call::post("POST", path),
                "PUT" => Call::put("PUT", path),
                // Nobody knows what a stranger's patch does when it comes twice.
                "PATCH" => Call::patch("PATCH", path).effectful(),
                "DELETE" => Call::delete("DELETE", path),
                _ => {
                    return Err(Error::new(ErrorKind::Invalid, format!("`{method}` is no method."))
                        .with_hint("Use GET, POST, PUT, PATCH or DELETE."));
                }
            };
            for (key, value) in query {
                call = call.query(key, value);
            }
            if let Some(body) = body {
                call = call.body("application/json", body);
            }
            for (name, value) in secrets(headers)? {
                call = call.header(name, value);
            }
            Ok(call)
        };
        let call = made().map_err(|error| raised(py, &error))?;
        let answered = block(py, async {
            let reply = self.inner.send(call).await?;
            reply.text().map(str::to_owned)
        });
        answered?.map_err(|error| raised(py, &of_this_client(error)))
    }
}

/// The key is the client's own, so that storing another one would change nothing.
fn of_this_client(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Unauthenticated => error.with_hint("The key that this client was given is wrong or expired."),
        _ => error,
    }
}

fn secrets(pairs: Vec<(String, String)>) -> Result<Vec<(HeaderName, HeaderValue)>, Error> {
    let header = |(name, value): (String, String)| {
        let value = SecretString::from(value);
        let bad = || Error::new(ErrorKind::Invalid, format!("The header `{name}` cannot be sent as it stands."));
        let header: HeaderName = name.parse().map_err(|_| bad())?;
        let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| bad())?;
        value.set_sensitive(true);
        Ok((header, value))
    };
    pairs.into_iter().map(header).collect()
}

fn seconds(field: &str, number: f64) -> Result<Duration, Error> {
    Duration::try_from_secs_f64(number)
        .map_err(|_| Error::new(ErrorKind::Invalid, format!("{field} is no length of time in seconds: {number}.")))
}

/// The vendor's sentence, under the names that vendors have for it.
fn diagnose(reply: &Reply) -> Diagnosis {
    let Ok(body) = reply.json::<serde_json::Value>() else { return Diagnosis::default() };
    let first = body.pointer("/errors/0");
    let places = [body.get("message"), body.get("error"), body.get("detail"), first];
    let reasons = first.and_then(|first| first.get("reason").or(first.get("message")));
    let sentence = places.into_iter().chain([reasons]).flatten().find_map(|value| value.as_str());
    Diagnosis { message: sentence.map(str::to_owned), ..Diagnosis::default() }
}
