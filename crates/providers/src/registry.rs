//! Which providers there are. A new one is one line in [`PROVIDERS`].

use std::pin::Pin;
use std::sync::Arc;

use capsule_core::{Connect, Descriptor, Error, ErrorKind, Provider, Result, Settings};

use crate::{Elsewhere, aws, digitalocean, equinix, hivelocity, linode, scaleway, vultr};

/// A provider that can be connected to.
#[derive(Debug)]
pub struct Entry {
    /// Who it is.
    pub descriptor: &'static Descriptor,
    /// How other programs know its servers.
    pub elsewhere: &'static Elsewhere,
    /// Whether the settings name, or the machine holds, credentials that no setting requires.
    ambient: fn(&Settings) -> bool,
    /// The regions that a word may stand for here; none where it can only be another vendor's. Asked where each region is
    /// asked for by itself; the others' servers are told apart when they are there.
    pub regions: fn(&str) -> Vec<String>,
    /// Brings its driver to life. Checks the settings; sends nothing.
    pub connect: fn(Connect) -> Connecting,
}

impl Entry {
    /// A provider whose required settings are all that it needs.
    const fn new(
        descriptor: &'static Descriptor,
        elsewhere: &'static Elsewhere,
        connect: fn(Connect) -> Connecting,
    ) -> Self {
        Entry { descriptor, elsewhere, ambient: |_| true, regions: |word| vec![word.to_owned()], connect }
    }

    /// Whether there is enough to try a call with.
    pub fn is_configured(&self, settings: &Settings) -> bool {
        let mut required = self.descriptor.settings.iter().filter(|setting| setting.required);
        required.all(|setting| settings.get(setting.key).is_some()) && (self.ambient)(settings)
    }
}

/// A driver on its way.
pub type Connecting = Pin<Box<dyn Future<Output = Result<Arc<dyn Provider>>> + Send>>;

static PROVIDERS: &[Entry] = &[
    Entry::new(&hivelocity::DESCRIPTOR, &hivelocity::ELSEWHERE, hivelocity::connect),
    Entry::new(&digitalocean::DESCRIPTOR, &digitalocean::ELSEWHERE, digitalocean::connect),
    Entry::new(&vultr::DESCRIPTOR, &vultr::ELSEWHERE, vultr::connect),
    Entry {
        ambient: aws::has_credentials,
        regions: aws::regions,
        ..Entry::new(&aws::DESCRIPTOR, &aws::ELSEWHERE, aws::connect)
    },
    Entry::new(&equinix::DESCRIPTOR, &equinix::ELSEWHERE, equinix::connect),
    Entry::new(&linode::DESCRIPTOR, &linode::ELSEWHERE, linode::connect),
    Entry { regions: scaleway::regions, ..Entry::new(&scaleway::DESCRIPTOR, &scaleway::ELSEWHERE, scaleway::connect) },
];

/// Every provider, in the order that tables show them.
pub fn all() -> &'static [Entry] {
    PROVIDERS
}

/// The provider with this id.
///
/// # Errors
/// [`ErrorKind::Invalid`], with the nearest id as a hint.
pub fn find(id: &str) -> Result<&'static Entry> {
    PROVIDERS.iter().find(|entry| entry.descriptor.id.as_str() == id).ok_or_else(|| {
        let known: Vec<&str> = PROVIDERS.iter().map(|entry| entry.descriptor.id.as_str()).collect();
        Error::new(ErrorKind::Invalid, format!("There is no provider `{id}`."))
            .with_hint(capsule_core::nearest::hint(id, known))
    })
}
