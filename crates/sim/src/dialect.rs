//! One vendor's API over the world.
//!
//! A dialect is one folder under `dialects/` and one line in `dialects/mod.rs`. Its `mod.rs` is the whole API on one page:
//! a table from method and path to an operation name and a handler. A handler reads and changes the [`View`], which
//! knows the account's machines and resources and nothing of other providers; what a machine is doing it takes from
//! [`Machine::status_at`](crate::Machine::status_at), in the vendor's word for it. Faults, limits, counting and saving
//! happen around the dialect, which only lends them its words ([`Dialect::error`], [`Dialect::tell_usage`]).

use std::fmt;
use std::time::Duration;

use capsule_core::ProviderId;
use jiff::Timestamp;

use crate::catalog::{Catalog, Plan};
use crate::limit::{Limit, Usage};
use crate::machine::{Machine, MachineKind, Pace};
use crate::wire::{Request, Response};
use crate::world::{Account, Cloud, View};
use crate::{OTHER_KEY, SANDBOX_KEY};

/// Something that goes wrong on a fault's order, to be said in the vendor's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// This HTTP status.
    Status(u16),
    /// Too many requests; to come back after so long, where the vendor says so.
    RateLimited(Option<Duration>),
    /// Nothing of the kind left in that place.
    NoCapacity,
}

/// What tests have to know of an API to try any client on it.
#[derive(Debug, Clone, Copy)]
pub struct Rehearsal {
    /// The operation that makes a server.
    pub create: &'static str,
    /// How servers are listed: a line for each kind that is sold.
    pub lists: &'static [Listing],
    /// The regions that a client is to name, where it would go through very many otherwise; empty for all.
    pub regions: &'static [&'static str],
    /// Whether making as many servers as a page holds by calls takes a test too long.
    pub is_slow: bool,
}

/// How servers of one kind are listed.
#[derive(Debug, Clone, Copy)]
pub struct Listing {
    /// Which.
    pub kind: MachineKind,
    /// The operation.
    pub operation: &'static str,
    /// How many servers a page holds.
    pub page: usize,
    /// How many of the operation's requests come before the one for a second page: as many as there are first pages. 0
    /// where there are no pages.
    pub first_pages: u32,
}

/// One vendor's API: routes, authenticates, validates, pages and renders. It keeps nothing itself; all is in the world.
pub trait Dialect: fmt::Debug + Send + Sync + 'static {
    /// Whose API.
    fn provider(&self) -> ProviderId;

    /// The real API's host names, which the in-process transport answers for; `*` stands for any text.
    fn hosts(&self) -> &'static [&'static str];

    /// What it sells.
    fn catalog(&self) -> &'static Catalog;

    /// What a plan costs in a region by the hour and by the month, as the vendor writes it; empty where it does not.
    fn price(&self, plan: &Plan, _region: &str) -> (String, String) {
        (plan.hourly.to_owned(), plan.monthly.to_owned())
    }

    /// What a GB of a server's own disk costs in a region for a month, as the vendor writes it; empty where it is in the
    /// plan's price or has another unit.
    fn disk_price(&self, _region: &str) -> &'static str {
        ""
    }

    /// How long things take there, at natural speed.
    fn pace(&self, kind: MachineKind) -> Pace;

    /// The accounts of a new world. The first is the one that tests and the sandbox use.
    fn accounts(&self) -> Vec<Account> {
        vec![
            Account::new(self.provider(), "sandbox", SANDBOX_KEY, None),
            Account::new(self.provider(), "other", OTHER_KEY, None),
        ]
    }

    /// What a client is to set to get in as the first account: setting to value.
    fn credentials(&self) -> Vec<(&'static str, &'static str)> {
        vec![("api_key", SANDBOX_KEY)]
    }

    /// The same for the second account.
    fn other_credentials(&self) -> Vec<(&'static str, &'static str)> {
        vec![("api_key", OTHER_KEY)]
    }

    /// What tests have to know of it.
    fn rehearsal(&self) -> Rehearsal;

    /// The documented request limits.
    fn limits(&self) -> &'static [Limit] {
        &[]
    }

    /// Our name for what is asked, such as `droplets.create`: the same that the driver uses. Faults and the ledger go
    /// by it.
    fn operation(&self, request: &Request) -> &'static str;

    /// Whom the request says it comes from, true or not: limits are counted by it.
    fn caller(&self, request: &Request) -> Option<String>;

    /// The answer.
    fn handle(&self, request: &Request, view: &mut View<'_>) -> Response;

    /// Whether what comes to that port of a server is let in from everywhere, by the firewalls that its account set.
    fn lets_in(&self, _cloud: &Cloud, _machine: &Machine, _port: u16, _now: Timestamp) -> bool {
        true
    }

    /// A failure in the vendor's words: its body shape, and its headers.
    fn error(&self, request: &Request, mishap: Mishap) -> Response;

    /// Adds the headers that tell how much of the limits is left.
    fn tell_usage(&self, _response: &mut Response, _usage: &Usage) {}
}

/// Whether `host` is one of `patterns`, in which `*` stands for any text.
pub fn host_matches(patterns: &[&str], host: &str) -> bool {
    patterns.iter().any(|pattern| match pattern.split_once('*') {
        None => pattern.eq_ignore_ascii_case(host),
        Some((head, tail)) => host.len() > head.len() + tail.len() && host.starts_with(head) && host.ends_with(tail),
    })
}

#[cfg(test)]
mod tests {
    use super::host_matches;

    #[test]
    fn a_star_stands_for_any_text() {
        let patterns = ["api.example.com", "ec2.*.example.com"];
        for (host, expected) in [
            ("api.example.com", true),
            ("API.example.com", true),
            ("ec2.eu-1.example.com", true),
            ("ec2..example.com", false),
            ("ec2.example.com", false),
            ("xapi.example.com", false),
        ] {
            assert_eq!(host_matches(&patterns, host), expected, "{host}");
        }
    }
}
