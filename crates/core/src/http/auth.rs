//! How a request comes by its secret.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, ErrorKind, Result};

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

/// Names the header, never the key.
impl fmt::Debug for HeaderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeaderKey({})", self.header)
    }
}
