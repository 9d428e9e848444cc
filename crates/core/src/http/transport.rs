//! The way out: one request, one answer, and the truth about whether it was sent.

use std::fmt;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::Method;
use http::header::{CONTENT_LENGTH, HeaderValue};

/// A body as it arrives.
pub type ByteStream = Pin<Box<dyn Stream<Item = std::result::Result<Bytes, SendError>> + Send>>;

/// Whether a request left this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It provably did not.
    No,
    /// It may have.
    Maybe,
}

/// Why there is no answer, or only a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendError {
    /// Whether the request left this machine.
    pub sent: Sent,
    /// Why, for people; no URL in it.
    pub message: String,
}

/// Something that carries requests: the network, a simulator, a script in a test.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends once, without retrying or following redirects.
    ///
    /// # Errors
    /// [`SendError`], which says whether the request may have been sent.
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<ByteStream>, SendError>;
}

/// A whole body as a [`ByteStream`]: for transports that are not the network.
pub fn whole(body: impl Into<Bytes>) -> ByteStream {
    let body = body.into();
    Box::pin(futures_util::stream::once(async move { Ok(body) }))
}

/// HTTP over TCP and TLS, with pooled connections.
#[derive(Default)]
pub struct HttpTransport {
    /// Built on first use: loading the machine's certificates takes longer than many commands.
    secure: OnceLock<reqwest::Client>,
    loopback: OnceLock<reqwest::Client>,
}

impl HttpTransport {
    /// A transport; nothing is opened yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn client(&self, plain: bool) -> &reqwest::Client {
        let builder = || {
            // A second installation is refused, and then the first one serves as well.
            let _ = rustls::crypto::ring::default_provider().install_default();
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .connect_timeout(Duration::from_secs(10))
                .pool_idle_timeout(Duration::from_secs(60))
                .retry(reqwest::retry::never())
        };
        let built = "no part of this configuration depends on the machine";
        if plain {
            // Plain http is for this machine alone and goes through no proxy; without roots no file is read.
            self.loopback.get_or_init(|| builder().no_proxy().tls_certs_only([]).build().expect(built))
        } else {
            self.secure.get_or_init(|| builder().https_only(true).build().expect(built))
        }
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpTransport")
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<ByteStream>, SendError> {
        let plain = request.uri().scheme_str() == Some("http");
        // Some servers refuse a POST that does not say how long its body is, and of an empty one nothing else would:
        // <https://www.rfc-editor.org/rfc/rfc9110#section-8.6>.
        let lacks_body =
            request.body().is_empty() && [Method::POST, Method::PUT, Method::PATCH].contains(request.method());
        let mut request =
            reqwest::Request::try_from(request).map_err(|error| SendError { sent: Sent::No, message: why(error) })?;
        if lacks_body {
            request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        let response = self.client(plain).execute(request).await.map_err(|error| {
            let sent = if error.is_connect() || error.is_builder() { Sent::No } else { Sent::Maybe };
            SendError { sent, message: why(error) }
        })?;
        let mut reply = http::Response::new(());
        *reply.status_mut() = response.status();
        *reply.headers_mut() = response.headers().clone();
        let body = response
            .bytes_stream()
            .map(|chunk| chunk.map_err(|error| SendError { sent: Sent::Maybe, message: why(error) }));
        Ok(reply.map(|()| Box::pin(body) as ByteStream))
    }
}

/// The innermost reason, without the URL: its query can hold what nobody should read.
fn why(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
