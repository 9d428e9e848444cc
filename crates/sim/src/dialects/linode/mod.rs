//! Linode API v4.
//!
//! Modelled: linodes (create, list, get, update, delete, boot, shutdown, reboot), labels unique in an account, one job at a
//! time, the one configuration profile that each is made with (its kernel decides what the next boot starts), types with prices by region, regions, stock, public images, profile, account, invoices of the months before (servers alone, without taxes), SSH keys, paging, `X-Filter`, the
//! documented request limits. Not modelled: disks, further profiles, backups, volumes, VPCs, firewalls, interfaces,
//! placement groups, the account's own images, stackscripts, events, tags as things of their own, grants and scopes. Texts
//! of refusals are the vendor's as far as they are known.

mod answer;
mod catalog;
mod configs;
mod filter;
mod instances;
mod invoices;
mod profile;

use std::time::Duration;

use capsule_core::ProviderId;

use self::answer::{Answer, error, invalid, not_found};
use crate::catalog::{Catalog, Plan};
use crate::dialect::{Dialect, Listing, Mishap, Rehearsal};
use crate::limit::{Limit, Shape, Usage};
use crate::machine::{MachineKind, Pace};
use crate::wire::{Request, Response};
use crate::world::{Account, View};

/// The dialect.
#[derive(Debug)]
pub(crate) struct Linode;

type Handler = fn(&Request, &Account, &mut View<'_>) -> Answer;

/// The whole API on one page.
fn route(request: &Request) -> Option<(&'static str, Handler)> {
    let (method, path) = request.route();
    let ["v4" | "v4beta", path @ ..] = path.as_slice() else { return None };
    Some(match (method, path) {
        ("POST", ["linode", "instances"]) => ("instances.create", instances::create),
        ("GET", ["linode", "instances"]) => ("instances.list", instances::list),
        ("GET", ["linode", "instances", _]) => ("instances.get", instances::get),
        ("PUT", ["linode", "instances", _]) => ("instances.update", instances::update),
        ("DELETE", ["linode", "instances", _]) => ("instances.delete", instances::delete),
        ("POST", ["linode", "instances", _, "boot"]) => ("instances.boot", instances::boot),
        ("POST", ["linode", "instances", _, "shutdown"]) => ("instances.shutdown", instances::shutdown),
        ("POST", ["linode", "instances", _, "reboot"]) => ("instances.reboot", instances::reboot),
        ("GET", ["linode", "instances", _, "configs"]) => ("configs.list", configs::list),
        ("GET", ["linode", "instances", _, "configs", _]) => ("configs.get", configs::get),
        ("PUT", ["linode", "instances", _, "configs", _]) => ("configs.update", configs::update),
        ("GET", ["profile"]) => ("profile.get", profile::get),
        ("GET", ["profile", "grants"]) => ("profile.grants", profile::grants),
        ("GET", ["account"]) => ("account.get", profile::account),
        ("GET", ["account", "transfer"]) => ("account.transfer", invoices::transfer),
        ("GET", ["account", "invoices"]) => ("invoices.list", invoices::list),
        ("GET", ["account", "invoices", _]) => ("invoices.get", invoices::get),
        ("GET", ["account", "invoices", _, "items"]) => ("invoices.items", invoices::items),
        ("GET", ["profile", "sshkeys"]) => ("keys.list", profile::list_keys),
        ("POST", ["profile", "sshkeys"]) => ("keys.create", profile::create_key),
        ("GET", ["profile", "sshkeys", _]) => ("keys.get", profile::get_key),
        ("DELETE", ["profile", "sshkeys", _]) => ("keys.delete", profile::delete_key),
        _ => return route_to_catalog(method, path),
    })
}

/// What anybody may read, without a token.
fn route_to_catalog(method: &str, path: &[&str]) -> Option<(&'static str, Handler)> {
    Some(match (method, path) {
        ("GET", ["linode", "types"]) => ("types.list", catalog::list_types),
        ("GET", ["linode", "types", _]) => ("types.get", catalog::get_type),
        ("GET", ["regions"]) => ("regions.list", catalog::list_regions),
        ("GET", ["regions", "availability"]) => ("regions.availability", catalog::list_availability),
        ("GET", ["regions", _]) => ("regions.get", catalog::get_region),
        ("GET", ["regions", _, "availability"]) => ("regions.availability", catalog::region_availability),
        ("GET", ["images"]) => ("images.list", catalog::list_images),
        ("GET", ["images", _] | ["images", _, _]) => ("images.get", catalog::get_image),
        _ => return None,
    })
}

const fn limit(name: &'static str, operations: &'static [&'static str], requests: u32, seconds: u64) -> Limit {
    let shape = Shape::Window { requests, per: Duration::from_secs(seconds) };
    Limit { name, operations, shape, says_retry_after: true }
}

/// Those of 2026-09: each route counts for one of them alone.
const LIMITS: &[Limit] = &[
    limit("create", &["instances.create"], 20, 15),
    limit("images", &["images.list"], 20, 60),
    limit(
        "lists",
        &[
            "instances.list",
            "types.list",
            "regions.list",
            "regions.availability",
            "configs.list",
            "keys.list",
            "invoices.list",
            "invoices.items",
        ],
        200,
        60,
    ),
    limit("other", OTHER, 1600, 60),
];

const OTHER: &[&str] = &[
    "instances.get",
    "instances.update",
    "instances.delete",
    "instances.boot",
    "instances.shutdown",
    "instances.reboot",
    "configs.get",
    "configs.update",
    "profile.get",
    "profile.grants",
    "account.get",
    "account.transfer",
    "invoices.get",
    "keys.create",
    "keys.get",
    "keys.delete",
    "types.get",
    "regions.get",
    "images.get",
    "unknown",
];

impl Dialect for Linode {
    fn provider(&self) -> ProviderId {
        ProviderId::new("linode")
    }

    fn hosts(&self) -> &'static [&'static str] {
        &["api.linode.com"]
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
            lists: &[Listing { kind: MachineKind::Virtual, operation: "instances.list", page: 500, first_pages: 1 }],
            regions: &[],
            is_slow: false,
        }
    }

    fn pace(&self, _kind: MachineKind) -> Pace {
        Pace {
            queued_ms: 1_000,
            building_ms: 20_000,
            booting_ms: 15_000,
            stopping_ms: 10_000,
            starting_ms: 15_000,
            rebooting_ms: 20_000,
            deleting_ms: 4_000,
        }
    }

    fn limits(&self) -> &'static [Limit] {
        LIMITS
    }

    fn operation(&self, request: &Request) -> &'static str {
        route(request).map_or("unknown", |(operation, _)| operation)
    }

    fn caller(&self, request: &Request) -> Option<String> {
        request.bearer().map(str::to_owned)
    }

    fn handle(&self, request: &Request, view: &mut View<'_>) -> Response {
        let (method, path) = request.route();
        let public = route_to_catalog(method, path.get(1..).unwrap_or_default()).is_some();
        let nobody = || Account::new(self.provider(), "", "", None);
        let account = match request.bearer() {
            Some(token) => view.account(token).cloned(),
            None => public.then(nobody),
        };
        let Some(account) = account else { return error(401, "Invalid Token") };
        let response = match route(request) {
            Some((_, handler)) => handler(request, &account, view).unwrap_or_else(|refusal| refusal),
            None => not_found(),
        };
        response.with_header("x-oauth-scopes", "*")
    }

    fn error(&self, _request: &Request, mishap: Mishap) -> Response {
        match mishap {
            Mishap::NoCapacity => invalid("type", instances::UNAVAILABLE),
            Mishap::RateLimited(wait) => {
                let response = error(429, "Too many requests");
                match wait {
                    Some(wait) => response.with_header("retry-after", wait.as_secs().max(1)),
                    None => response,
                }
            }
            Mishap::Status(status) => match status {
                400 => error(400, "Bad request"),
                401 => error(401, "Invalid Token"),
                403 => error(403, "Unauthorized"),
                404 => not_found(),
                408 => error(408, "Please try again"),
                429 => error(429, "Too many requests"),
                // What stands in front of the API answers in HTML.
                502 | 504 => Response::text(status, "text/html", "<html><body><h1>Gateway error</h1></body></html>"),
                503 => error(503, "Service unavailable, please try again"),
                _ => error(status, "Internal Server Error"),
            },
        }
    }

    fn tell_usage(&self, response: &mut Response, usage: &Usage) {
        let headers = [
            ("x-ratelimit-limit", usage.allowed.to_string()),
            ("x-ratelimit-remaining", usage.remaining.to_string()),
            ("x-ratelimit-reset", usage.reset.as_second().to_string()),
        ];
        response.headers.extend(headers.map(|(name, value)| (name.to_owned(), value)));
    }
}
