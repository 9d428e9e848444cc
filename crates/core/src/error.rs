//! One error type. The engine asks it two questions only: *again?* ([`Error::retry`]) and *did it happen?*
//! ([`Error::effect`]).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::instance::ProviderId;

/// What every fallible call of Capsule returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in words that hold for every vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The thing asked about does not exist.
    NotFound,
    /// The thing is in a state that does not allow this now: busy, locked, already so, or the name is taken.
    Conflict,
    /// The key is missing, wrong or expired.
    Unauthenticated,
    /// The key is good but may not do this.
    Forbidden,
    /// The request is wrong as it stands; sending it again cannot help.
    Invalid,
    /// This provider cannot do that.
    Unsupported,
    /// An account limit is reached.
    Quota,
    /// The vendor has no such server left, there and now.
    NoCapacity,
    /// Too many requests.
    RateLimited,
    /// The vendor, or the way there, is out of order.
    Unavailable,
    /// No answer in time.
    Timeout,
    /// The answer makes no sense.
    Protocol,
    /// Something on the user's side is missing or malformed: a flag, a file, a variable.
    Config,
    /// The journal cannot be read or written.
    Store,
}

impl ErrorKind {
    /// Whether the key alone is at fault: missing, wrong, expired or without the right.
    pub fn is_credentials(self) -> bool {
        matches!(self, ErrorKind::Unauthenticated | ErrorKind::Forbidden)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            ErrorKind::NotFound => "not found",
            ErrorKind::Conflict => "conflict",
            ErrorKind::Unauthenticated => "unauthenticated",
            ErrorKind::Forbidden => "forbidden",
            ErrorKind::Invalid => "invalid",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Quota => "quota",
            ErrorKind::NoCapacity => "no capacity",
            ErrorKind::RateLimited => "rate limited",
            ErrorKind::Unavailable => "unavailable",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Protocol => "protocol",
            ErrorKind::Config => "config",
            ErrorKind::Store => "store",
        };
        f.write_str(word)
    }
}

/// Whether asking again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// It cannot.
    Never,
    /// It can, after a while of the caller's choosing.
    Backoff,
    /// It can, but not before this much time has passed: the server said so.
    After(Duration),
}

/// Whether the request may have taken effect at the vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It provably did not.
    None,
    /// It may have. Look before you send it again.
    Unknown,
}

/// What failed, for which thing, and what to do next.
///
/// The message is fit for users and never holds a token, a header or a body.
pub struct Error(Box<Parts>);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Parts {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    provider: Option<ProviderId>,
    operation: Option<String>,
    http_status: Option<u16>,
    native_code: Option<String>,
    request_id: Option<String>,
    attempts: u32,
    retry: Retry,
    effect: Effect,
}

impl Error {
    /// An error that took no effect and that sending again cannot mend; the other builders refine it.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Parts {
            kind,
            message: message.into(),
            hint: None,
            provider: None,
            operation: None,
            http_status: None,
            native_code: None,
            request_id: None,
            attempts: 0,
            retry: Retry::Never,
            effect: Effect::None,
        }))
    }

    /// What the user can do about it: a whole sentence.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The cloud it concerns.
    pub fn with_provider(mut self, provider: impl Into<ProviderId>) -> Self {
        self.0.provider = Some(provider.into());
        self
    }

    /// The vendor call it concerns, such as `droplets.create`.
    pub fn with_operation(mut self, operation: impl Into<String>) -> Self {
        self.0.operation = Some(operation.into());
        self
    }

    /// The status line's number.
    pub fn with_http_status(mut self, status: u16) -> Self {
        self.0.http_status = Some(status);
        self
    }

    /// The vendor's own word for the error.
    pub fn with_native_code(mut self, code: impl Into<String>) -> Self {
        self.0.native_code = Some(code.into());
        self
    }

    /// The vendor's id of the failed request, for its support.
    pub fn with_request_id(mut self, id: impl Into<String>) -> Self {
        self.0.request_id = Some(id.into());
        self
    }

    /// How often the request was sent.
    pub fn with_attempts(mut self, attempts: u32) -> Self {
        self.0.attempts = attempts;
        self
    }

    /// Whether asking again can help.
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Whether it may have happened all the same.
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.0.effect = effect;
        self
    }

    /// The same error under another kind.
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The message in a wider frame: `context: message`.
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }
    /// One sentence for the user.
    pub fn message(&self) -> &str {
        &self.0.message
    }
    /// What the user can do about it, if we know.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
    /// The cloud it concerns.
    pub fn provider(&self) -> Option<&ProviderId> {
        self.0.provider.as_ref()
    }
    /// The vendor call it concerns.
    pub fn operation(&self) -> Option<&str> {
        self.0.operation.as_deref()
    }
    /// The HTTP status, when there was an answer.
    pub fn http_status(&self) -> Option<u16> {
        self.0.http_status
    }
    /// The vendor's own word for the error.
    pub fn native_code(&self) -> Option<&str> {
        self.0.native_code.as_deref()
    }
    /// The vendor's id of the failed request.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }
    /// How often the request was sent.
    pub fn attempts(&self) -> u32 {
        self.0.attempts
    }
    /// Whether asking again can help.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }
    /// Whether it may have happened all the same.
    pub fn effect(&self) -> Effect {
        self.0.effect
    }
}

/// What asked for the end of a thing: where it is missing, that has come.
///
/// # Errors
/// Every other one.
pub fn missing_is_ok(answered: Result<()>) -> Result<()> {
    match answered {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        answered => answered,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for Error {}

impl Clone for Error {
    fn clone(&self) -> Self {
        Error(self.0.clone())
    }
}

/// The stable JSON of an error: what `-o json` prints and what the journal keeps.
impl Serialize for Error {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Parts::deserialize(deserializer).map(|parts| Error(Box::new(parts)))
    }
}
