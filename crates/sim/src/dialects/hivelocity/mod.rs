//! Hivelocity API v2.
//!
//! Modelled: virtual servers and bare metal, one or many in an order, which are shown only when the order is done;
//! orders, the status view, power, tags, cancellation, inventory, facilities, operating systems, SSH keys, profile, invoices of the months before (servers alone, without taxes), the
//! slash at the end of collections, and the limit of an hour. Not modelled: reinstallation, volumes, snapshots, VLANs,
//! addresses, ports, payments, webhooks, field masks, permissions. The hour is a sliding one here and a fixed one there.
//! Texts of errors are made up but for one about power; so is what an order's `info` holds.

mod account;
mod answer;
mod catalog;
mod devices;
mod invoices;
mod orders;

use std::time::Duration;

use capsule_core::ProviderId;

use self::answer::{Answer, described, error};
use crate::catalog::{Catalog, Plan};
use crate::dialect::{Dialect, Listing, Mishap, Rehearsal};
use crate::limit::{Limit, Shape, Usage};
use crate::machine::{MachineKind, Pace};
use crate::wire::{Request, Response};
use crate::world::{Account, View};

/// The dialect.
#[derive(Debug)]
pub(crate) struct Hivelocity;

type Handler = fn(&Request, &Account, &mut View<'_>) -> Answer;

/// The whole API on one page. A path that ends in a slash is another one than the same without.
fn route(request: &Request) -> Option<(&'static str, Handler)> {
    let (method, path) = request.route();
    let ["api", "v2", path @ ..] = path.as_slice() else { return None };
    let is_collection = request.raw_path.ends_with('/');
    Some(match (method, path, is_collection) {
        ("GET", ["compute"], true) => ("compute.list", devices::list),
        ("POST", ["compute"], true) => ("compute.create", devices::create),
        ("POST", ["compute", "batch"], false) => ("compute.batch", devices::create_batch),
        ("GET", ["compute", _], false) => ("compute.get", devices::get),
        ("DELETE", ["compute", _], false) => ("compute.delete", devices::cancel),
        ("GET", ["bare-metal-devices"], true) => ("bare_metal_devices.list", devices::list),
        ("POST", ["bare-metal-devices"], true) => ("bare_metal_devices.create", devices::create),
        ("POST", ["bare-metal-devices", "batch"], false) => ("bare_metal_devices.batch", devices::create_batch),
        ("GET", ["bare-metal-devices", _], false) => ("bare_metal_devices.get", devices::get),
        ("DELETE", ["bare-metal-devices", _], false) => ("bare_metal_devices.delete", devices::cancel),
        ("GET", ["device"], true) => ("devices.list", devices::list_dumps),
        ("GET", ["device", _], false) => ("devices.get", devices::get_dump),
        ("GET", ["device", _, "power"], false) => ("devices.power_status", devices::get_power),
        ("POST", ["device", _, "power"], false) => ("devices.power", devices::set_power),
        ("GET", ["device", _, "tags"], false) => ("devices.tags", devices::get_tags),
        ("PUT", ["device", _, "tags"], false) => ("devices.set_tags", devices::set_tags),
        ("GET", ["order"], true) => ("orders.list", orders::list),
        ("GET", ["order", "in-progress"], false) => ("orders.in_progress", orders::in_progress),
        ("GET", ["order", _], false) => ("orders.get", orders::get),
        ("GET", ["inventory", "product"], false) => ("inventory.products", catalog::products),
        ("GET", ["inventory", "product", _], false) => ("inventory.product", catalog::product),
        ("GET", ["inventory", "locations"], false) => ("inventory.locations", catalog::locations),
        ("GET", ["product", _, "operating-systems"], false) => ("products.operating_systems", catalog::systems),
        ("GET", ["profile", "basic"], false) => ("profile.get", account::profile),
        ("GET", ["invoice"], true) => ("invoices.list", invoices::list),
        ("GET", ["invoice", "unpaid"], false) => ("invoices.unpaid", account::unpaid),
        ("GET", ["invoice", _], false) => ("invoices.get", invoices::get),
        ("GET", ["invoice", _, "details"], false) => ("invoices.details", invoices::details),
        ("GET", ["credit", "total"], false) => ("credit.total", account::credit),
        ("GET", ["ssh_key"], true) => ("ssh_keys.list", account::keys),
        ("POST", ["ssh_key"], true) => ("ssh_keys.create", account::create_key),
        ("GET", ["ssh_key", _], false) => ("ssh_keys.get", account::key),
        ("DELETE", ["ssh_key", _], false) => ("ssh_keys.delete", account::delete_key),
        _ => return None,
    })
}

const LIMITS: &[Limit] = &[Limit {
    name: "hour",
    operations: &[],
    shape: Shape::Window { requests: 3600, per: Duration::from_secs(3600) },
    says_retry_after: false,
}];

fn unauthorized() -> Response {
    error(401, "Invalid API key.")
}

fn limited() -> Response {
    described(429, "Your IP is rate limited.")
}

impl Dialect for Hivelocity {
    fn provider(&self) -> ProviderId {
        ProviderId::new("hivelocity")
    }

    fn hosts(&self) -> &'static [&'static str] {
        &["core.hivelocity.net"]
    }

    fn catalog(&self) -> &'static Catalog {
        &catalog::CATALOG
    }

    fn price(&self, plan: &Plan, region: &str) -> (String, String) {
        catalog::price_in(plan, region)
    }

    fn rehearsal(&self) -> Rehearsal {
        Rehearsal {
            create: "compute.create",
            // There are no pages: one of the lists that make up the whole fails instead.
            lists: &[
                Listing { kind: MachineKind::Virtual, operation: "devices.list", page: 20, first_pages: 0 },
                Listing {
                    kind: MachineKind::BareMetal,
                    operation: "bare_metal_devices.list",
                    page: 20,
                    first_pages: 0,
                },
            ],
            regions: &[],
            is_slow: false,
        }
    }

    fn pace(&self, kind: MachineKind) -> Pace {
        let (queued_ms, building_ms, deleting_ms) = match kind {
            MachineKind::Virtual => (30_000, 240_000, 0),
            MachineKind::BareMetal => (120_000, 1_200_000, 300_000),
        };
        Pace {
            queued_ms,
            building_ms,
            booting_ms: 60_000,
            stopping_ms: 35_000,
            starting_ms: 45_000,
            rebooting_ms: 60_000,
            deleting_ms,
        }
    }

    fn limits(&self) -> &'static [Limit] {
        LIMITS
    }

    fn operation(&self, request: &Request) -> &'static str {
        route(request).map_or("unknown", |(operation, _)| operation)
    }

    fn caller(&self, _request: &Request) -> Option<String> {
        // Requests are counted by address, and all of ours come from one.
        Some("this machine".to_owned())
    }

    fn handle(&self, request: &Request, view: &mut View<'_>) -> Response {
        let Some(account) = request.header("x-api-key").and_then(|key| view.account(key)).cloned() else {
            return unauthorized();
        };
        match route(request) {
            Some((_, handler)) => handler(request, &account, view).unwrap_or_else(|refusal| refusal),
            None => error(404, "The requested URL was not found on the server."),
        }
    }

    fn error(&self, _request: &Request, mishap: Mishap) -> Response {
        match mishap {
            // (unsure) There is no code for it, and the sentence is not known.
            Mishap::NoCapacity => error(400, "Product is out of stock in this location."),
            Mishap::RateLimited(wait) => match wait {
                Some(wait) => limited()
                    .with_header("x-ratelimit-remaining", 0)
                    .with_header("x-ratelimit-reset", wait.as_secs().max(1)),
                None => limited(),
            },
            Mishap::Status(status) => match status {
                401 => unauthorized(),
                403 => error(
                    403,
                    "You have not been granted permission to complete this action. Please contact your account manager \
                     to grant the proper permission.",
                ),
                404 => error(404, "Device Not Found"),
                429 => limited(),
                // What stands in front of the API answers in HTML.
                502..=504 => Response::text(status, "text/html", "<html><body><h1>Gateway error</h1></body></html>"),
                _ => error(status, "The request could not be processed."),
            },
        }
    }

    fn tell_usage(&self, response: &mut Response, usage: &Usage) {
        let headers = [
            ("x-ratelimit-limit", u64::from(usage.allowed)),
            ("x-ratelimit-remaining", u64::from(usage.remaining)),
            ("x-ratelimit-reset", usage.wait.as_secs().max(1)),
        ];
        response.headers.extend(headers.map(|(name, value)| (name.to_owned(), value.to_string())));
    }
}
