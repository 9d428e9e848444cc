//! Which providers there are. A new one is one line in [`PROVIDERS`].

use std::pin::Pin;
use std::sync::Arc;

use capsule_core::{Connect, Descriptor, Error, ErrorKind, Provider, Result};

/// A provider that can be connected to.
#[derive(Debug)]
pub struct Entry {
    /// Who it is.
    pub descriptor: &'static Descriptor,
    /// Brings its driver to life. Checks the settings; sends nothing.
    pub connect: fn(Connect) -> Connecting,
}

/// A driver on its way.
pub type Connecting = Pin<Box<dyn Future<Output = Result<Arc<dyn Provider>>> + Send>>;

static PROVIDERS: [Entry; 0] = [];

/// Every provider, in the order that tables show them.
pub fn all() -> &'static [Entry] {
    &PROVIDERS
}

/// The provider with this id.
///
/// # Errors
/// [`ErrorKind::Invalid`], with the nearest id as a hint.
pub fn find(id: &str) -> Result<&'static Entry> {
    PROVIDERS.iter().find(|entry| entry.descriptor.id.as_str() == id).ok_or_else(|| {
        let known: Vec<&str> = PROVIDERS.iter().map(|entry| entry.descriptor.id.as_str()).collect();
        Error::new(ErrorKind::Invalid, format!("There is no provider `{id}`.")).with_hint(capsule_core::nearest::hint(id, known))
    })
}
