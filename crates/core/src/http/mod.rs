//! The HTTP core: every request of every driver goes through [`Client::send`].
//!
//! Outermost first: retry with a budget, rate limit, attempt time limit, signature, transport. Each attempt is limited
//! and signed anew. What makes it ours is one rule: a call that may have taken effect is never sent again from here.

mod auth;
mod call;
mod endpoint;
mod ledger;
pub mod limit;
pub mod page;
pub mod redact;
mod reply;
pub mod retry;
pub mod transport;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use jiff::Timestamp;
use tracing::Instrument;
use url::Url;

pub use self::auth::{Authenticator, HeaderKey};
pub use self::call::{Call, Class};
pub use self::endpoint::{check_base, encode, parse_base};
pub use self::ledger::{Ledger, Ledgers};
pub use self::limit::{Bucket, Hint, Lane, Limiter, Rate};
pub use self::reply::Reply;
pub use self::retry::{Diagnosis, RetryPolicy};
pub use self::transport::{ByteStream, HttpTransport, SendError, Sent, Transport};
use crate::clock::{Clock, later};
use crate::error::{Effect, Error, ErrorKind, Result, Retry};
use crate::instance::ProviderId;
use reply::BodyFault;

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
    /// A limit that the user set beside those.
    pub own_limit: Option<Rate>,
    /// What is sent by other processes that the vendor counts together with this one, from [`Connect::ledgers`].
    ///
    /// [`Connect::ledgers`]: crate::Connect::ledgers
    pub ledger: Option<Ledger>,
    /// How many requests may be under way at once.
    pub concurrency: usize,
    /// Reads the vendor's rate headers.
    pub hints: fn(&HeaderMap, Timestamp) -> Hint,
    /// Reads the vendor's error bodies.
    pub diagnose: fn(&Reply) -> Diagnosis,
    /// What kind of answer is asked for.
    pub accept: &'static str,
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
    /// The usual: 16 at once, common rate headers, the common status table, JSON, `x-request-id`, 64 MiB, 30 s, 3
    /// retries.
    pub fn new(provider: impl Into<ProviderId>, base: Url, auth: Arc<dyn Authenticator>) -> Self {
        ClientConfig {
            provider: provider.into(),
            base,
            auth,
            buckets: Vec::new(),
            own_limit: None,
            ledger: None,
            concurrency: 16,
            hints: limit::common_hints,
            diagnose: |_| Diagnosis::default(),
            accept: "application/json",
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
    pub fn new(mut config: ClientConfig, transport: Arc<dyn Transport>, clock: Arc<dyn Clock>) -> Result<Self> {
        check_base(&config.base).map_err(|error| error.with_provider(&config.provider))?;
        config.buckets.extend(config.own_limit.map(|rate| Bucket { name: None, rate }));
        let limiter = Limiter::new(&config.buckets, config.concurrency, config.ledger.take(), clock.clone());
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
            let Some(wait) = again
                .then(|| waits.next(error.retry(), &*self.inner.clock))
                .flatten()
                .filter(|_| self.inner.budget.withdraw())
            else {
                return Err(error);
            };
            tracing::debug!(provider = %config.provider, operation = call.operation, attempt, wait_ms = wait.as_millis() as u64, error = %error, "trying again");
            self.inner.clock.sleep(wait).await;
        }
    }

    /// Sends once. Everything that can go wrong ends here in an error and in whether to send again.
    async fn attempt(&self, call: &Call, attempt: u32) -> Outcome {
        let Inner { config, limiter, clock, .. } = &*self.inner;
        let about = |error: Error| error.with_provider(&config.provider).with_operation(call.operation);
        let unsent = |error: Error| Err((about(error).with_attempts(attempt - 1), false));
        let _permit = match limiter.acquire(call.bucket, call.lane).await {
            Ok(permit) => permit,
            Err(error) => return unsent(error),
        };
        let request = match self.request(call).await {
            Ok(request) => request,
            Err(error) => return unsent(error),
        };
        let (head, body) = match self.exchange(request).await {
            Ok(answer) => answer,
            Err(silence) => {
                let kind =
                    if matches!(silence, Silence::TimedOut) { ErrorKind::Timeout } else { ErrorKind::Unavailable };
                let error = Error::new(kind, silence.message(&config.provider, call.operation))
                    .with_attempts(attempt)
                    .with_retry(Retry::Backoff);
                return match silence {
                    Silence::NotSent(_) => Err((about(error), true)),
                    _ => Err((about(error).with_effect(call.class.doubt()), call.class != Class::Effectful)),
                };
            }
        };
        let now = clock.now();
        let hint = (config.hints)(&head.headers, now);
        limiter.observe(call.bucket, head.status, &hint, now);
        let (body, fault) = match body {
            Ok(body) => (body, None),
            Err(fault) => (Bytes::new(), Some(fault)),
        };
        let reply = Reply {
            operation: call.operation,
            status: head.status,
            request_id: head.headers.get(config.request_id).and_then(|id| id.to_str().ok()).map(str::to_owned),
            headers: head.headers,
            body,
            at: now,
            provider: config.provider.clone(),
            attempts: attempt,
            class: call.class,
        };
        let span = tracing::Span::current();
        span.record("status", reply.status.as_u16());
        span.record("request_id", reply.request_id());
        tracing::debug!("answered");
        match fault {
            _ if reply.status.is_redirection() => Err((redirected(&reply), false)),
            Some(BodyFault::Broken(_)) if !reply.status.is_success() && call.class != Class::Effectful => {
                // A refusal of which only the status arrived may mean something else than the vendor said.
                let (error, _) = retry::judge(&reply, Diagnosis::default(), hint.wait(reply.status, now));
                Err(if error.retry() == Retry::Never {
                    (error.with_retry(Retry::Backoff), true)
                } else {
                    (error, true)
                })
            }
            _ if !reply.status.is_success() => {
                Err(retry::judge(&reply, (config.diagnose)(&reply), hint.wait(reply.status, now)))
            }
            None => Ok(reply),
            Some(BodyFault::TooLarge) => {
                let error = reply.protocol(format!("an answer of more than {} bytes", config.body_limit));
                Err((error.with_retry(Retry::Never), false))
            }
            Some(BodyFault::Broken(why)) => {
                let error = reply.protocol(format!("an answer that broke off ({why})"));
                Err((error, call.class != Class::Effectful))
            }
        }
    }

    /// One request and its whole answer within the time limit.
    async fn exchange(&self, request: http::Request<Bytes>) -> Result<Exchange, Silence> {
        let Inner { config, transport, clock, .. } = &*self.inner;
        let limit = later(clock.now(), config.attempt_timeout);
        let exchange = async {
            let (head, body) = transport.send(request).await?.into_parts();
            let announced = head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
            let body = reply::read_body(body, announced, config.body_limit).await;
            Ok((head, body))
        };
        tokio::select! {
            biased;
            exchanged = exchange => exchanged.map_err(|SendError { sent, message }| match sent {
                Sent::No => Silence::NotSent(message),
                Sent::Maybe => Silence::Broken(message),
            }),
            () = clock.until(limit) => Err(Silence::TimedOut),
        }
    }

    async fn request(&self, call: &Call) -> Result<http::Request<Bytes>> {
        let config = &self.inner.config;
        if let Some(base) = &call.base {
            check_base(base)?;
        }
        let url = endpoint::join(call.base.as_ref().unwrap_or(&config.base), &call.path, &call.query)?;
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
        request.headers_mut().entry(ACCEPT).or_insert(HeaderValue::from_static(config.accept));
        config.auth.sign(&mut request, self.inner.clock.now()).await?;
        Ok(request)
    }
}

/// The head of an answer, and its body or why that is not whole.
type Exchange = (http::response::Parts, Result<Bytes, BodyFault>);

/// Why there is no answer.
enum Silence {
    /// The request provably did not leave.
    NotSent(String),
    /// The connection broke after it may have left.
    Broken(String),
    /// Nothing came in time.
    TimedOut,
}

impl Silence {
    fn message(&self, provider: &ProviderId, operation: &str) -> String {
        match self {
            Silence::NotSent(why) => format!("{provider} cannot be reached for {operation}: {why}."),
            Silence::Broken(why) => format!("The connection to {provider} broke during {operation}: {why}."),
            Silence::TimedOut => format!("{provider} did not answer {operation} in time."),
        }
    }
}

/// A redirect is not followed: the key would go where nobody meant it to go.
fn redirected(reply: &Reply) -> Error {
    let to = reply.headers.get(LOCATION).and_then(|to| to.to_str().ok());
    let to = to.map_or_else(|| "elsewhere".to_owned(), redact::url_text);
    let message =
        format!("{} redirects {} to {to}; Capsule does not take its key there.", reply.provider, reply.operation);
    // "Moved" comes instead of the work; "found" and "see other" may also come after it.
    let effect = if matches!(reply.status.as_u16(), 301 | 307 | 308) { Effect::None } else { reply.class.doubt() };
    reply
        .error(ErrorKind::Protocol, message)
        .with_effect(effect)
        .with_hint("Check the endpoint: scheme, host, version path and trailing slash.")
}
