//! The vendors' APIs, one folder each.

mod aws;
mod digitalocean;
mod equinix;
mod hivelocity;
mod linode;
mod scaleway;
mod vultr;

use std::sync::Arc;

use crate::dialect::Dialect;

/// Every dialect, in the order of their ports. An eighth provider is one more line.
pub fn dialects() -> Vec<Arc<dyn Dialect>> {
    vec![
        Arc::new(digitalocean::DigitalOcean),
        Arc::new(vultr::Vultr),
        Arc::new(aws::Aws),
        Arc::new(linode::Linode),
        Arc::new(hivelocity::Hivelocity),
        Arc::new(scaleway::Scaleway),
        Arc::new(equinix::Equinix),
    ]
}

/// The dialect of a provider.
pub fn dialect(provider: &str) -> Option<Arc<dyn Dialect>> {
    dialects().into_iter().find(|dialect| dialect.provider().as_str() == provider)
}

/// What a client of this provider is to set to get into the sandbox: setting to value. Empty for an unknown provider.
pub fn credentials(provider: &str) -> Vec<(&'static str, &'static str)> {
    dialect(provider).map(|dialect| dialect.credentials()).unwrap_or_default()
}
