//! An xNode that is there already, at whatever vendor or at home.

use std::net::IpAddr;

use capsule_core::{Error, ErrorKind, InstanceId, Result};
use capsule_engine::{Adopt as How, Engine, Record};
use capsule_xnode::{Domain, Endpoint, Owner, Probe, Sight, Trust, probe};

use crate::nodes::Goal;
use crate::output;
use crate::own;
use crate::session::Session;

/// What is told about a host.
pub(super) struct Host<'a> {
    /// Its address or name.
    pub(super) host: &'a str,
    /// Its name in the inventory.
    pub(super) name: Option<&'a str>,
    /// Whose it is.
    pub(super) owner: Option<Owner>,
    /// Whether it is taken in even if it does not look like a claimed xNode now.
    pub(super) force: bool,
}

/// Whether `text` is an address or a host name, and no id of a server.
pub(super) fn is_host(text: &str) -> bool {
    text.parse::<InstanceId>().is_err() && (text.parse::<IpAddr>().is_ok() || text.parse::<Domain>().is_ok())
}

/// Takes the xNode at a host into the inventory, after a look that it is one.
///
/// # Errors
/// [`ErrorKind::NotFound`] where the name leads nowhere, [`ErrorKind::Conflict`] for one that obeys anyone,
/// [`ErrorKind::Unavailable`] for what is no xNode now.
pub(super) async fn adopt(session: &Session, engine: &Engine, what: Host<'_>) -> Result<Record> {
    let outside = session.outside()?;
    let host = what.host.to_ascii_lowercase();
    let (ip, mut domain) = match host.parse::<IpAddr>() {
        Ok(ip) => (ip, None),
        Err(_) => {
            let found = outside.net().resolve(&host).await.unwrap_or_default();
            let first = found.first().copied().ok_or_else(|| {
                Error::new(ErrorKind::NotFound, format!("{host} leads to no address."))
                    .with_hint("Check the name, or give the address.")
            })?;
            (first, Some(host.parse::<Domain>()?))
        }
    };
    let now = session.clock.now();
    let name = what.name.unwrap_or(&host);
    let sight = match &domain {
        Some(known) => match capsule_xnode::look(&outside, &Endpoint::domain(ip, known), &Trust::Authorities).await {
            Ok(sight) => sight,
            Err(untrusted) => {
                output::note(format!(
                    "warning: no authority vouches for {known} ({}); it is known by its key instead.",
                    untrusted.0
                ));
                domain = None;
                look_local(&outside, ip).await?
            }
        },
        None => look_local(&outside, ip).await?,
    };
    let seen = own::instance(&host, name, ip, now);
    match probe(name, &sight, now) {
        Probe::Good(certificate) if domain.is_none() => {
            session.pins().first(&seen.id, &certificate.pin, now)?;
        }
        Probe::Good(_) => {}
        Probe::Alarm(error) | Probe::Unclaimed(error) if !what.force => return Err(error),
        Probe::Bad(why) if !what.force => {
            return Err(Error::new(ErrorKind::Unavailable, format!("{host} does not look like an xNode: {why}."))
                .with_hint("--force takes it in all the same, for `capsule health` to look at."));
        }
        Probe::Offline if !what.force => return Err(capsule_xnode::own_outage()),
        Probe::Alarm(error) | Probe::Unclaimed(error) => output::note(format!("warning: {error}")),
        Probe::Bad(why) => output::note(format!("warning: {host} does not look like an xNode: {why}.")),
        Probe::Offline => output::note("warning: there is no way to it from here."),
    }
    let goal = Goal::existing(what.owner, domain).to_value();
    let how = How { name: Some(name.to_owned()), foreign: true, goal: Some(goal), ..How::default() };
    engine.adopt(seen, how).await
}

async fn look_local(outside: &capsule_xnode::Outside, ip: IpAddr) -> Result<Sight> {
    let seen = capsule_xnode::look(outside, &Endpoint::local(ip), &Trust::Anyone).await;
    seen.map_err(|untrusted| Error::new(ErrorKind::Unavailable, format!("{}.", untrusted.0)))
}
