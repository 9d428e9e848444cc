//! The HTTP core: every request of every driver goes through [`Client::send`].
//!
//! Outermost first: retry with a budget, rate limit, attempt time limit, signature, transport. Each attempt is limited
//! and signed anew. What makes it ours is one rule: a call that may have taken effect is never sent again from here.

pub mod limit;
pub mod page;
pub mod redact;
pub mod retry;
pub mod transport;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use http::{Method, StatusCode};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Instrument;
use url::Url;

pub use self::limit::{Bucket, Hint, Lane, Limiter, Rate};
pub use self::retry::{Diagnosis, RetryPolicy};
pub use self::transport::{ByteStream, HttpTransport, SendError, Sent, Transport};
use crate::clock::Clock;
use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::instance::ProviderId;

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

/// One request to a vendor, not yet sent.
#[derive(Clone)]
pub struct Call {
    operation: &'static str,
    class: Class,
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
    lane: Lane,
    bucket: Option<&'static str>,
    base: Option<Url>,
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

    /// Draws on a limit of its own beside the account's: the name of a [`Bucket`].
    pub fn bucket(mut self, name: &'static str) -> Self {
        self.bucket = Some(name);
        self
    }

    /// Adds a query parameter.
    pub fn query(mut self, key: impl Into<String>, value: impl fmt::Display) -> Self {
        self.query.push((key.into(), value.to_string()));
        self
    }

    /// Adds a header that is no secret; secrets come from the [`Authenticator`].
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

/// An answer with its whole body.
pub struct Reply {
    /// The call's name, for messages.
    pub operation: &'static str,
    /// The status line.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, at most [`ClientConfig::body_limit`].
    pub body: Bytes,
    /// When it came.
    pub at: Timestamp,
    provider: ProviderId,
    attempts: u32,
    class: Class,
    request_id: Option<String>,
}

impl Reply {
    /// The body as JSON. An empty body reads as `null`.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`], with effect unknown if the call was effectful: the vendor said yes.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let body: &[u8] = if self.body.is_empty() { b"null" } else { &self.body };
        serde_json::from_slice(body)
            .map_err(|error| self.protocol(format!("an answer that Capsule cannot read ({error})")))
    }

    /// The body as text.
    ///
    /// # Errors
    /// As [`json`](Reply::json).
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.body).map_err(|_| self.protocol("an answer that is not UTF-8".to_owned()))
    }

    /// An error about this answer: `what` completes "The provider gave ...".
    pub fn protocol(&self, what: String) -> Error {
        let effect = if self.class == Class::Read { Effect::None } else { Effect::Unknown };
        let mut error =
            Error::new(ErrorKind::Protocol, format!("{} gave {what} to {}.", self.provider, self.operation))
                .with_provider(&self.provider)
                .with_operation(self.operation)
                .with_http_status(self.status.as_u16())
                .with_attempts(self.attempts)
                .with_effect(effect);
        if let Some(id) = &self.request_id {
            error = error.with_request_id(id);
        }
        error
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

/// Puts the secret into a request, at the last moment, for each attempt anew.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Adds what proves who we are.
    ///
    /// # Errors
    /// Whatever keeps the credentials from being had.
    async fn sign(&self, request: &mut http::Request<Bytes>, now: Timestamp) -> Result<()>;
}

/// `Header: prefix secret`.
pub struct HeaderKey {
    header: HeaderName,
    value: HeaderValue,
}

impl HeaderKey {
    /// `Authorization: Bearer SECRET`.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] if the key cannot stand in a header.
    pub fn bearer(secret: &SecretString) -> Result<Self> {
        HeaderKey::new(http::header::AUTHORIZATION, "Bearer ", secret)
    }

    /// The secret under a header of the vendor's choosing.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] if the key cannot stand in a header.
    pub fn new(header: HeaderName, prefix: &str, secret: &SecretString) -> Result<Self> {
        let text = secret.expose_secret().trim();
        let visible = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
        let bad = || {
            Error::new(
                ErrorKind::Unauthenticated,
                "The API key is empty or has characters that no key has (spaces, line breaks, letters beyond ASCII).",
            )
            .with_hint("Copy it once more from the provider's console.")
        };
        if !visible {
            return Err(bad());
        }
        let mut value = HeaderValue::from_str(&format!("{prefix}{text}")).map_err(|_| bad())?;
        value.set_sensitive(true);
        Ok(HeaderKey { header, value })
    }
}

#[async_trait]
impl Authenticator for HeaderKey {
    async fn sign(&self, request: &mut http::Request<Bytes>, _now: Timestamp) -> Result<()> {
        request.headers_mut().insert(self.header.clone(), self.value.clone());
        Ok(())
    }
}

/// What sets one vendor's HTTP apart.
pub struct ClientConfig {
    /// For messages and traces.
    pub provider: ProviderId,
    /// Everything before a call's path. Checked: https, or a loopback host.
    pub base: Url,
    /// Puts the secret in.
    pub auth: Arc<dyn Authenticator>,
    /// The vendor's documented limits.
    pub buckets: Vec<Bucket>,
    /// How many requests may be under way at once.
    pub concurrency: usize,
    /// Reads the vendor's rate headers.
    pub hints: fn(&HeaderMap, Timestamp) -> Hint,
    /// Reads the vendor's error bodies.
    pub diagnose: fn(&Reply) -> Diagnosis,
    /// The header with the vendor's request id.
    pub request_id: &'static str,
    /// The most bytes of one answer.
    pub body_limit: usize,
    /// How long one attempt may take.
    pub attempt_timeout: Duration,
    /// When and how often to try again.
    pub retry: RetryPolicy,
}

impl ClientConfig {
    /// The usual: 16 at once, common rate headers, the common status table, `x-request-id`, 64 MiB, 30 s, 3 retries.
    pub fn new(provider: impl Into<ProviderId>, base: Url, auth: Arc<dyn Authenticator>) -> Self {
        ClientConfig {
            provider: provider.into(),
            base,
            auth,
            buckets: Vec::new(),
            concurrency: 16,
            hints: limit::common_hints,
            diagnose: |_| Diagnosis::default(),
            request_id: "x-request-id",
            body_limit: 64 << 20,
            attempt_timeout: Duration::from_secs(30),
            retry: RetryPolicy::default(),
        }
    }
}

/// Sends calls to one vendor under one account. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    config: ClientConfig,
    limiter: Limiter,
    budget: retry::Budget,
    transport: Arc<dyn Transport>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({} at {})", self.inner.config.provider, redact::url(&self.inner.config.base))
    }
}

/// What one attempt came to; the flag says whether the call is to be sent again.
type Outcome = std::result::Result<Reply, (Error, bool)>;

impl Client {
    /// A client for `config` that sends through `transport`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the base URL is neither https nor loopback.
    pub fn new(config: ClientConfig, transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Result<Self> {
        check_base(&config.base).map_err(|error| error.with_provider(&config.provider))?;
        let limiter = Limiter::new(&config.buckets, config.concurrency, clock.clone());
        let budget = retry::Budget::default();
        Ok(Client { inner: Arc::new(Inner { config, limiter, budget, transport, clock }) })
    }

    /// The base URL.
    pub fn base(&self) -> &Url {
        &self.inner.config.base
    }

    /// The clock that everything here goes by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Sends a call, again where that is safe and useful, and returns the successful answer.
    ///
    /// # Errors
    /// Says whether the call may have taken effect, and whether asking again can help.
    pub async fn send(&self, call: Call) -> Result<Reply> {
        let config = &self.inner.config;
        let mut waits = config.retry.waits();
        let mut attempt = 0;
        let mut doubt = Effect::None;
        loop {
            attempt += 1;
            let span = tracing::debug_span!("http", provider = %config.provider, operation = call.operation, attempt, status = tracing::field::Empty, request_id = tracing::field::Empty);
            let (error, again) = match self.attempt(&call, attempt).instrument(span).await {
                Ok(reply) => {
                    self.inner.budget.refund();
                    return Ok(reply);
                }
                Err(failure) => failure,
            };
            // What an earlier attempt may have done, a later refusal does not undo.
            if error.effect() == Effect::Unknown {
                doubt = Effect::Unknown;
            }
            let error = error.with_effect(doubt);
            let Some(wait) =
                again.then(|| waits.next(error.retry())).flatten().filter(|_| self.inner.budget.withdraw())
            else {
                return Err(error);
            };
            tracing::debug!(provider = %config.provider, operation = call.operation, attempt, wait_ms = wait.as_millis() as u64, error = %error, "trying again");
            self.inner.clock.sleep(wait).await;
        }
    }

    async fn attempt(&self, call: &Call, attempt: u32) -> Outcome {
        let Inner { config, limiter, transport, clock, .. } = &*self.inner;
        let fail = |error: Error, again: bool| {
            let error = error.with_provider(&config.provider).with_operation(call.operation).with_attempts(attempt);
            Err((error, again))
        };
        let _permit = match limiter.acquire(call.bucket, call.lane).await {
            Ok(permit) => permit,
            Err(error) => return fail(error, false),
        };
        let request = match self.request(call).await {
            Ok(request) => request,
            Err(error) => return fail(error.with_attempts(attempt - 1), false),
        };
        let sent_at = clock.now();
        let exchange = async {
            let response = transport.send(request).await?;
            let (head, body) = response.into_parts();
            let body = read_body(body, config.body_limit).await;
            Ok::<_, SendError>((head, body))
        };
        let exchanged = tokio::select! {
            biased;
            exchanged = exchange => exchanged,
            () = clock.until(sent_at + config.attempt_timeout) => {
                let message = format!("{} did not answer {} within {} s.", config.provider, call.operation, config.attempt_timeout.as_secs());
                return fail(Error::new(ErrorKind::Timeout, message).with_retry(Retry::Backoff).with_effect(doubt_of(call.class)), call.class != Class::Effectful);
            }
        };
        let (head, body) = match exchanged {
            Ok(parts) => parts,
            Err(SendError { sent: Sent::No, message }) => {
                let message = format!("{} cannot be reached: {message}.", config.provider);
                return fail(Error::new(ErrorKind::Unavailable, message).with_retry(Retry::Backoff), true);
            }
            Err(SendError { sent: Sent::Maybe, message }) => {
                let message =
                    format!("The connection to {} broke during {}: {message}.", config.provider, call.operation);
                return fail(
                    Error::new(ErrorKind::Unavailable, message)
                        .with_retry(Retry::Backoff)
                        .with_effect(doubt_of(call.class)),
                    call.class != Class::Effectful,
                );
            }
        };
        let now = clock.now();
        let hint = (config.hints)(&head.headers, now);
        limiter.observe(call.bucket, head.status, &hint, now);
        let request_id = head.headers.get(config.request_id).and_then(|id| id.to_str().ok()).map(str::to_owned);
        let span = tracing::Span::current();
        span.record("status", head.status.as_u16());
        if let Some(id) = &request_id {
            span.record("request_id", id.as_str());
        }
        tracing::debug!("answered");
        let (body, broken) = match body {
            Ok(body) => (body, None),
            Err(why) => (Bytes::new(), Some(why)),
        };
        let reply = Reply {
            operation: call.operation,
            status: head.status,
            headers: head.headers,
            body,
            at: now,
            provider: config.provider.clone(),
            attempts: attempt,
            class: call.class,
            request_id,
        };
        if reply.status.is_success() {
            return match broken {
                None => Ok(reply),
                Some(BodyFault::TooLarge) => {
                    fail(reply.protocol(format!("an answer of more than {} MiB", config.body_limit >> 20)), false)
                }
                Some(BodyFault::Broken(why)) => {
                    let error = reply.protocol(format!("an answer that broke off ({why})")).with_retry(Retry::Backoff);
                    fail(error, call.class != Class::Effectful)
                }
            };
        }
        if reply.status.is_redirection() {
            let to = reply
                .headers
                .get(LOCATION)
                .and_then(|to| to.to_str().ok())
                .map_or_else(|| "elsewhere".to_owned(), redact::url_text);
            let error = Error::new(
                ErrorKind::Protocol,
                format!(
                    "{} redirects {} to {to}; Capsule does not take its key there.",
                    config.provider, call.operation
                ),
            )
            .with_http_status(reply.status.as_u16())
            .with_hint("Check the endpoint: scheme, host, version path and trailing slash.");
            return fail(error, false);
        }
        let (error, again) = retry::judge(&reply, call.class, (config.diagnose)(&reply), hint.retry_after);
        fail(error, again)
    }

    async fn request(&self, call: &Call) -> Result<http::Request<Bytes>> {
        let config = &self.inner.config;
        if let Some(base) = &call.base {
            check_base(base)?;
        }
        let url = join(call.base.as_ref().unwrap_or(&config.base), &call.path, &call.query);
        let mut request = http::Request::new(call.body.clone());
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = url
            .as_str()
            .parse()
            .map_err(|_| Error::new(ErrorKind::Invalid, format!("`{}` cannot stand in a URL.", call.path)))?;
        *request.headers_mut() = call.headers.clone();
        request
            .headers_mut()
            .insert(USER_AGENT, HeaderValue::from_static(concat!("capsule/", env!("CARGO_PKG_VERSION"))));
        request.headers_mut().entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
        config.auth.sign(&mut request, self.inner.clock.now()).await?;
        Ok(request)
    }
}

/// What is unknown after a call of this class was sent and not answered.
fn doubt_of(class: Class) -> Effect {
    if class == Class::Read { Effect::None } else { Effect::Unknown }
}

enum BodyFault {
    TooLarge,
    Broken(String),
}

async fn read_body(mut body: ByteStream, limit: usize) -> Result<Bytes, BodyFault> {
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
                whole.reserve(before.len() + chunk.len());
                whole.extend_from_slice(&before);
                whole.extend_from_slice(&chunk);
            }
        }
    }
    Ok(first.unwrap_or_else(|| whole.into()))
}

/// Refuses base URLs that would send the key in clear across a network.
///
/// # Errors
/// [`ErrorKind::Config`].
pub fn check_base(base: &Url) -> Result<()> {
    let bad = |why: &str, hint: &str| {
        Err(Error::new(ErrorKind::Config, format!("The endpoint {} {why}.", redact::url(base))).with_hint(hint))
    };
    let loopback = match base.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => return bad("has no host", "Write it like https://api.example.com/v2."),
    };
    match base.scheme() {
        _ if !base.username().is_empty() || base.password().is_some() => {
            bad("holds a user name or password", "Leave them out; keys have their own setting.")
        }
        _ if base.query().is_some() || base.fragment().is_some() => {
            bad("holds a query or fragment", "Write scheme, host and version path only.")
        }
        "https" => Ok(()),
        "http" if loopback => Ok(()),
        "http" => bad(
            "is plain http, and your key would cross the network in clear",
            "Use https://, or an address of this machine such as http://127.0.0.1:8080.",
        ),
        _ => bad("is neither https nor http", "Write it like https://api.example.com/v2."),
    }
}

/// Reads and checks a base URL.
///
/// # Errors
/// [`ErrorKind::Config`] that names `field`.
pub fn parse_base(field: &str, text: &str) -> Result<Url> {
    let url = Url::parse(text).map_err(|error| {
        Error::new(ErrorKind::Config, format!("{field}: `{}` is not a URL ({error}).", redact::url_text(text)))
            .with_hint("Write it like https://api.example.com/v2.")
    })?;
    check_base(&url).map_err(|error| error.context(field))?;
    Ok(url)
}

fn join(base: &Url, path: &str, query: &[(String, String)]) -> Url {
    let mut url = base.clone();
    let joined = format!("{}/{}", base.path().trim_end_matches('/'), path.trim_start_matches('/'));
    url.set_path(&joined);
    if !query.is_empty() {
        let pairs: Vec<String> =
            query.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
        url.set_query(Some(&pairs.join("&")));
    }
    url
}

/// Percent-encodes one path segment or query part: everything but letters, digits and `-._~`.
pub fn encode(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEEP: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, KEEP).to_string()
}
