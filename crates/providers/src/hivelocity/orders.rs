//! Following an order until its servers are shown.
//!
//! A server has its id at once, but no view shows it before its order is done, which can take an hour. What this process
//! ordered it remembers; for the rest the orders in progress are searched. Nothing is ever concluded from an absence
//! while an order is under way that does not tell what it is for.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use capsule_core::{Instance, Result, Scope, Token};
use jiff::Timestamp;

use super::api::{self, Family};
use super::{Hivelocity, convert};

/// How long a server may be missing after its order is complete.
const GRACE: Duration = Duration::from_secs(600);

/// What this process knows about servers beside what it is shown.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Servers that were shown, and where; without a place for those that only the status view has. What was shown once
    /// and is missing is gone.
    shown: HashMap<u64, Option<Family>>,
    /// Servers that were ordered and not shown yet.
    young: HashMap<u64, Young>,
}

/// A server not shown yet.
#[derive(Debug, Clone)]
struct Young {
    order: u64,
    instance: Instance,
    /// When its order was first seen to be complete.
    complete: Option<Timestamp>,
}

impl Memory {
    /// Remembers a server just ordered.
    pub(super) fn ordered(&mut self, device: u64, order: Option<u64>, instance: &Instance) {
        if let Some(order) = order {
            self.young.insert(device, Young { order, instance: instance.clone(), complete: None });
        }
    }

    /// Remembers that a server was shown.
    pub(super) fn shown(&mut self, device: u64, family: Option<Family>) {
        self.young.remove(&device);
        self.shown.insert(device, family);
    }

    /// Whether a server was shown before.
    pub(super) fn was_shown(&self, device: u64) -> bool {
        self.shown.contains_key(&device)
    }

    /// Where a server was shown; `None` if it was not, or by the status view alone.
    pub(super) fn place(&self, device: u64) -> Option<Family> {
        self.shown.get(&device).copied().flatten()
    }

    /// Forgets an order whose server was ended before it was shown.
    pub(super) fn ended(&mut self, device: u64) {
        self.young.remove(&device);
    }
}

impl Hivelocity {
    /// A server that no view shows: still to come, refused, or gone.
    pub(super) async fn absent(&self, device: u64) -> Result<Option<Instance>> {
        if self.memory().was_shown(device) {
            return Ok(None);
        }
        let young = self.memory().young.get(&device).cloned();
        if let Some(young) = young {
            let order = self.api.order(young.order).await?;
            return Ok(self.follow(device, young, order.as_ref()));
        }
        let orders = self.api.orders_in_progress().await?;
        let native = device.to_string();
        let told = orders.iter().flat_map(convert::told).find(|instance| instance.id.native == native);
        match (told, self.unexplained(&orders)) {
            (Some(instance), _) => Ok(Some(instance)),
            (None, Some(order)) => Err(convert::undecided(&format!("Device {device}"), order)),
            (None, None) => Ok(None),
        }
    }

    /// Servers of a scope that were ordered and are not among those shown.
    pub(super) async fn to_come(
        &self,
        scope: &Scope,
        orders: &[api::Order],
        shown: &HashSet<u64>,
    ) -> Result<Vec<Instance>> {
        let young: Vec<(u64, Young)> = self.memory().young.iter().map(|(id, young)| (*id, young.clone())).collect();
        let known: HashSet<u64> = young.iter().map(|(id, _)| *id).collect();
        let mut found: Vec<Instance> = Vec::new();
        for (device, young) in young {
            if shown.contains(&device) || !scope.holds(&young.instance.tags) {
                continue;
            }
            let order = match orders.iter().find(|order| order.order_id == young.order) {
                Some(order) => Some(order.clone()),
                None => self.api.order(young.order).await?,
            };
            found.extend(self.follow(device, young, order.as_ref()));
        }
        let is_new = |id: u64| !shown.contains(&id) && !known.contains(&id);
        let told = orders.iter().flat_map(convert::told);
        found.extend(
            told.filter(|instance| instance.id.native.parse().is_ok_and(is_new) && scope.holds(&instance.tags)),
        );
        Ok(found)
    }

    /// That a listing by token found nothing is believed only when no order under way may be the one looked for.
    pub(super) fn must_not_be_ordered(&self, token: &Token, orders: &[api::Order]) -> Result<()> {
        let carries = |order: &&api::Order| order.info.to_string().contains(token.as_str());
        match orders.iter().find(carries).or_else(|| self.unexplained(orders)) {
            Some(order) => Err(convert::undecided(&format!("A server under the token {token}"), order)),
            None => Ok(()),
        }
    }

    /// The state of a young server by its order; `None` when the order has long been complete.
    fn follow(&self, device: u64, young: Young, order: Option<&api::Order>) -> Option<Instance> {
        let Some(order) = order else { return Some(young.instance) };
        let instance = convert::ordered(young.instance, order);
        if convert::order_status(order.status.as_deref().unwrap_or_default()).is_some() {
            return Some(instance);
        }
        let now = self.clock.now();
        let since = young.complete.unwrap_or(now);
        if let Some(young) = self.memory().young.get_mut(&device) {
            young.complete = Some(since);
        }
        let waited = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        (waited < GRACE).then_some(instance)
    }

    /// An order under way of which nobody knows what it is for.
    fn unexplained<'a>(&self, orders: &'a [api::Order]) -> Option<&'a api::Order> {
        let known: HashSet<u64> = self.memory().young.values().map(|young| young.order).collect();
        orders.iter().find(|order| !known.contains(&order.order_id) && convert::is_opaque(order))
    }
}
