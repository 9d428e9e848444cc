//! Vultr API v2.
//!
//! Modelled: instances and bare metal with label, tags and power, account, SSH keys, plans of both kinds, regions and
//! their stock, operating systems, paging by cursor, the request limit of an address, and the lock of a server that is
//! being installed, pending charges and invoices of the months before (servers alone, without taxes). Not modelled: applications, ISO images, snapshots, backups, VPCs, firewalls, blocks, reserved
//! addresses, and the address list of a key. The vendor documents no texts of errors: those of locked servers
//! and of ends already under way are known from reports, the others are made up.

mod account;
mod answer;
mod catalog;
mod invoices;
mod servers;

use std::time::Duration;

use capsule_core::ProviderId;

use self::answer::{Answer, bad_request, error, not_found};
use crate::catalog::{Catalog, Plan};
use crate::dialect::{Dialect, Listing, Mishap, Rehearsal};
use crate::limit::{Limit, Shape};
use crate::machine::{MachineKind, Pace};
use crate::wire::{Request, Response};
use crate::world::{Account, View};

/// The dialect.
#[derive(Debug)]
pub(crate) struct Vultr;

type Handler = fn(&Request, &Account, &mut View<'_>) -> Answer;

/// The whole API on one page.
fn route(request: &Request) -> Option<(&'static str, Handler)> {
    let (method, path) = request.route();
    let ["v2", path @ ..] = path.as_slice() else { return None };
    Some(match (method, path) {
        ("GET", ["account"]) => ("account.get", account::get),
        ("GET", ["billing", "pending-charges"]) => ("charges.pending", account::pending),
        ("GET", ["billing", "invoices"]) => ("invoices.list", invoices::list),
        ("GET", ["billing", "invoices", _]) => ("invoices.get", invoices::get),
        ("GET", ["billing", "invoices", _, "items"]) => ("invoices.items", invoices::items),
        ("GET", ["instances"]) => ("instances.list", servers::list),
        ("POST", ["instances"]) => ("instances.create", servers::create),
        ("POST", ["instances", "start"]) => ("instances.start_many", servers::start),
        ("POST", ["instances", "halt"]) => ("instances.halt_many", servers::halt),
        ("POST", ["instances", "reboot"]) => ("instances.reboot_many", servers::reboot),
        ("GET", ["instances", _]) => ("instances.get", servers::get),
        ("PATCH", ["instances", _]) => ("instances.update", servers::update),
        ("DELETE", ["instances", _]) => ("instances.delete", servers::delete),
        ("POST", ["instances", _, "start"]) => ("instances.start", servers::start),
        ("POST", ["instances", _, "halt"]) => ("instances.halt", servers::halt),
        ("POST", ["instances", _, "reboot"]) => ("instances.reboot", servers::reboot),
        ("GET", ["instances", _, "user-data"]) => ("instances.user_data", servers::user_data),
        ("GET", ["bare-metals"]) => ("metals.list", servers::list),
        ("POST", ["bare-metals"]) => ("metals.create", servers::create),
        ("POST", ["bare-metals", "start"]) => ("metals.start_many", servers::start),
        ("POST", ["bare-metals", "halt"]) => ("metals.halt_many", servers::halt),
        ("POST", ["bare-metals", "reboot"]) => ("metals.reboot_many", servers::reboot),
        ("GET", ["bare-metals", _]) => ("metals.get", servers::get),
        ("PATCH", ["bare-metals", _]) => ("metals.update", servers::update),
        ("DELETE", ["bare-metals", _]) => ("metals.delete", servers::delete),
        ("POST", ["bare-metals", _, "start"]) => ("metals.start", servers::start),
        ("POST", ["bare-metals", _, "halt"]) => ("metals.halt", servers::halt),
        ("POST", ["bare-metals", _, "reboot"]) => ("metals.reboot", servers::reboot),
        ("GET", ["bare-metals", _, "user-data"]) => ("metals.user_data", servers::user_data),
        ("GET", ["plans"]) => ("plans.list", catalog::list_plans),
        ("GET", ["plans-metal"]) => ("plans_metal.list", catalog::list_metal_plans),
        ("GET", ["regions"]) => ("regions.list", catalog::list_regions),
        ("GET", ["regions", _, "availability"]) => ("regions.availability", catalog::availability),
        ("GET", ["os"]) => ("os.list", catalog::list_systems),
        ("GET", ["ssh-keys"]) => ("keys.list", account::list_keys),
        ("POST", ["ssh-keys"]) => ("keys.create", account::create_key),
        ("GET", ["ssh-keys", _]) => ("keys.get", account::get_key),
        ("DELETE", ["ssh-keys", _]) => ("keys.delete", account::delete_key),
        _ => return None,
    })
}

/// What is told to everybody, with or without a key.
const PUBLIC: &[&str] = &["plans.list", "plans_metal.list", "regions.list", "regions.availability", "os.list"];

const LIMITS: &[Limit] = &[Limit {
    name: "address",
    operations: &[],
    shape: Shape::Window { requests: 30, per: Duration::from_secs(1) },
    says_retry_after: true,
}];

impl Dialect for Vultr {
    fn provider(&self) -> ProviderId {
        ProviderId::new("vultr")
    }

    fn hosts(&self) -> &'static [&'static str] {
        &["api.vultr.com"]
    }

    fn catalog(&self) -> &'static Catalog {
        &catalog::CATALOG
    }

    fn price(&self, plan: &Plan, region: &str) -> (String, String) {
        catalog::price_in(plan, region)
    }

    fn rehearsal(&self) -> Rehearsal {
        Rehearsal {
            create: "instances.create",
            lists: &[
                Listing { kind: MachineKind::Virtual, operation: "instances.list", page: 500, first_pages: 1 },
                Listing { kind: MachineKind::BareMetal, operation: "metals.list", page: 500, first_pages: 1 },
            ],
            regions: &[],
            is_slow: false,
        }
    }

    fn pace(&self, kind: MachineKind) -> Pace {
        match kind {
            MachineKind::Virtual => Pace {
                queued_ms: 5_000,
                building_ms: 30_000,
                booting_ms: 25_000,
                stopping_ms: 5_000,
                starting_ms: 8_000,
                rebooting_ms: 12_000,
                deleting_ms: 10_000,
            },
            MachineKind::BareMetal => Pace {
                queued_ms: 60_000,
                building_ms: 600_000,
                booting_ms: 240_000,
                stopping_ms: 20_000,
                starting_ms: 180_000,
                rebooting_ms: 200_000,
                deleting_ms: 60_000,
            },
        }
    }

    fn limits(&self) -> &'static [Limit] {
        LIMITS
    }

    fn operation(&self, request: &Request) -> &'static str {
        route(request).map_or("unknown", |(operation, _)| operation)
    }

    /// The limit is one of the address, whatever the keys; here everybody comes from the same one.
    fn caller(&self, _request: &Request) -> Option<String> {
        Some("address".to_owned())
    }

    fn handle(&self, request: &Request, view: &mut View<'_>) -> Response {
        let Some((operation, handler)) = route(request) else { return not_found("Invalid path.") };
        let account = request.bearer().and_then(|key| view.account(key)).cloned();
        let nobody = || PUBLIC.contains(&operation).then(|| Account::new(self.provider(), "nobody", "", None));
        match account.or_else(nobody) {
            Some(account) => handler(request, &account, view).unwrap_or_else(|refusal| refusal),
            None => error(401, "Invalid API token."),
        }
    }

    fn error(&self, _request: &Request, mishap: Mishap) -> Response {
        match mishap {
            Mishap::NoCapacity => bad_request("The selected plan is out of stock in this region."),
            Mishap::RateLimited(wait) => {
                let response = error(429, "Rate limit exceeded.");
                match wait {
                    Some(wait) => response.with_header("retry-after", wait.as_secs().max(1)),
                    None => response,
                }
            }
            Mishap::Status(status) => match status {
                400 => bad_request("Invalid request."),
                401 => error(401, "Invalid API token."),
                403 => error(403, "You are not allowed to perform that action."),
                404 => not_found("Not found."),
                422 => error(422, "Validation error."),
                429 => error(429, "Rate limit exceeded."),
                // What stands in front of the API answers in HTML.
                502..=504 => Response::text(status, "text/html", "<html><body><h1>Gateway error</h1></body></html>"),
                _ => error(status, "Unable to perform the request."),
            },
        }
    }
}
