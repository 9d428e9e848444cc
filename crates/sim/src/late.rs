//! Calls that are answered before they are carried out, as when a gateway gives up and what stands behind it goes on.
//!
//! Nothing runs in the background: what is due is done when the world is next touched, as of the moment at which it was due.

use std::time::Duration;

use capsule_core::{ProviderId, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::dialect::{Dialect, Mishap};
use crate::fault::What;
use crate::machine::later;
use crate::sim::{Sim, ms, quirks, refusal};
use crate::store::{Store, Wrote};
use crate::wire::{Request, Response};
use crate::world::{Quirks, View};

/// A call that will be carried out.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Late {
    provider: ProviderId,
    due: Timestamp,
    method: String,
    base: String,
    /// Path and query.
    target: String,
    headers: Vec<(String, String)>,
    body: String,
    quirks: Quirks,
}

impl Late {
    fn of(provider: ProviderId, request: &Request, due: Timestamp, quirks: Quirks) -> Self {
        let query = if request.raw_query.is_empty() { String::new() } else { format!("?{}", request.raw_query) };
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        Late {
            provider,
            due,
            method: request.method.to_string(),
            base: request.base.clone(),
            target: format!("{}{query}", request.raw_path),
            headers: request.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            // What vendors are sent is JSON or a form.
            body: String::from_utf8_lossy(&request.body).into_owned(),
            quirks,
        }
    }

    /// The request again; `None` if the world's file was spoilt meanwhile.
    fn request(&self) -> Option<Request> {
        let mut headers = http::HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(http::HeaderName::from_bytes(name.as_bytes()).ok()?, value.parse().ok()?);
        }
        let (method, target) = (self.method.parse().ok()?, self.target.parse().ok()?);
        Some(Request::new(self.base.clone(), method, &target, headers, self.body.clone().into()))
    }
}

/// How long a call waits, if it is to be carried out late.
pub(crate) fn lateness(due: &[What]) -> Option<Duration> {
    due.iter().find_map(|what| if let What::Late(wait) = what { Some(*wait) } else { None })
}

impl Sim {
    /// Keeps a call for later, and answers as if it had failed.
    pub(crate) fn postpone(
        &self,
        dialect: &dyn Dialect,
        request: &Request,
        operation: &str,
        wait: Duration,
        due: &[What],
    ) -> Result<Response> {
        let (provider, at) = (dialect.provider(), later(self.shared.clock.now(), ms(&wait)));
        self.access(|store| {
            let mut wrote = Wrote::Traffic;
            let response = match refusal(dialect, request, due) {
                Some(response) => response,
                None => {
                    store.world.late.push(Late::of(provider.clone(), request, at, quirks(due)));
                    wrote = Wrote::World;
                    let after_effect = |what: &What| match what {
                        What::Status { code, after_effect: true } => Some(*code),
                        _ => None,
                    };
                    dialect.error(request, Mishap::Status(due.iter().find_map(after_effect).unwrap_or(503)))
                }
            };
            store.traffic.count(&provider, operation, Some(response.status));
            Ok((response, wrote))
        })
    }

    /// Does what is due, in its order; whether there was anything.
    pub(crate) fn catch_up(&self, store: &mut Store) -> bool {
        if store.world.late.is_empty() {
            return false;
        }
        let now = self.shared.clock.now();
        let (mut due, still) =
            std::mem::take(&mut store.world.late).into_iter().partition::<Vec<_>, _>(|late| late.due <= now);
        store.world.late = still;
        due.sort_by_key(|late| late.due);
        for late in &due {
            let dialect = self.shared.dialects.iter().find(|dialect| dialect.provider() == late.provider);
            let (Some(dialect), Some(request)) = (dialect, late.request()) else { continue };
            // Nobody hears what came of it.
            let mut view = View::new(&mut store.world, dialect.as_ref(), late.due, late.quirks.clone());
            dialect.handle(&request, &mut view);
        }
        !due.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use capsule_core::ManualClock;

    use crate::fault::{Fault, What};
    use crate::{Options, Sim};

    #[tokio::test]
    async fn a_late_call_is_carried_out_when_it_is_due_and_not_before() {
        let home = tempfile::tempdir().unwrap();
        let (clock, path) = (Arc::new(ManualClock::default()), home.path().join("world.json"));
        let sim = Sim::open(&path, clock.clone(), Options::default()).unwrap();
        sim.inject(Fault::once("digitalocean", "droplets.create", What::Late(Duration::from_secs(90)))).unwrap();
        let order = r#"{"name":"web","region":"nyc3","size":"s-1vcpu-1gb","image":"ubuntu-24-04-x64"}"#;
        let request = http::Request::post("https://api.digitalocean.com/v2/droplets")
            .header("authorization", format!("Bearer {}", crate::SANDBOX_KEY))
            .header("content-type", "application/json")
            .body(Bytes::from(order))
            .unwrap();
        let born = || sim.ledger().unwrap().births.iter().map(|birth| birth.born_at).collect::<Vec<_>>();
        let sent = sim.clock().now();
        assert_eq!(sim.transport().send(request).await.unwrap().status(), 503);
        clock.advance(Duration::from_secs(89));
        assert!(born().is_empty());
        clock.advance(Duration::from_secs(600));
        // Another process carries it out: the world's file says what is due.
        let other = Sim::open(&path, clock.clone(), Options::default()).unwrap();
        assert_eq!(other.ledger().unwrap().births.len(), 1);
        assert_eq!(born(), [sent + Duration::from_secs(90)], "as of then, and once");
    }
}
