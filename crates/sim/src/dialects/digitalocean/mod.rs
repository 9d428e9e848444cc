//! DigitalOcean API v2.
//!
//! Modelled: droplets with their actions (power and rename), tags, account, SSH keys, sizes, regions, distribution
//! images, the balance, the running month's invoice and those of the months before (servers alone, without taxes and credits; nothing is ever paid), paging, the three documented limits. Not modelled: volumes, VPCs, firewalls, snapshots, backups, projects,
//! and token scopes. Texts of 422 answers are the vendor's as far as they are known.

mod account;
mod actions;
mod answer;
mod catalog;
mod droplets;
mod invoices;
mod tags;

use std::time::Duration;

use capsule_core::ProviderId;

use self::answer::{Answer, bad_request, error, invalid, not_found};
use crate::catalog::Catalog;
use crate::dialect::{Dialect, Listing, Mishap, Rehearsal};
use crate::limit::{Limit, Shape, Usage};
use crate::machine::{MachineKind, Pace};
use crate::wire::{Request, Response};
use crate::world::{Account, View};

/// The dialect.
#[derive(Debug)]
pub(crate) struct DigitalOcean;

type Handler = fn(&Request, &Account, &mut View<'_>) -> Answer;

/// The whole API on one page.
fn route(request: &Request) -> Option<(&'static str, Handler)> {
    let (method, path) = request.route();
    let ["v2", path @ ..] = path.as_slice() else { return None };
    Some(match (method, path) {
        ("POST", ["droplets"]) => ("droplets.create", droplets::create),
        ("GET", ["droplets"]) => ("droplets.list", droplets::list),
        ("DELETE", ["droplets"]) => ("droplets.delete_by_tag", droplets::delete_by_tag),
        ("GET", ["droplets", _]) => ("droplets.get", droplets::get),
        ("DELETE", ["droplets", _]) => ("droplets.delete", droplets::delete),
        ("POST", ["droplets", _, "actions"]) => ("droplets.action", actions::start),
        ("GET", ["droplets", _, "actions"]) => ("droplets.actions", actions::list_of_droplet),
        ("GET", ["droplets", _, "actions", _]) => ("actions.get", actions::get_of_droplet),
        ("GET", ["actions"]) => ("actions.list", actions::list),
        ("GET", ["actions", _]) => ("actions.get", actions::get),
        ("GET", ["account"]) => ("account.get", account::get),
        ("GET", ["account", "keys"]) => ("keys.list", account::list_keys),
        ("POST", ["account", "keys"]) => ("keys.create", account::create_key),
        ("GET", ["account", "keys", _]) => ("keys.get", account::get_key),
        ("DELETE", ["account", "keys", _]) => ("keys.delete", account::delete_key),
        ("GET", ["customers", "my", "balance"]) => ("balance.get", account::balance),
        ("GET", ["customers", "my", "invoices"]) => ("invoices.list", invoices::list),
        ("GET", ["customers", "my", "invoices", _]) => ("invoices.items", invoices::items),
        ("GET", ["customers", "my", "invoices", _, "summary"]) => ("invoices.summary", invoices::summary),
        ("GET", ["sizes"]) => ("sizes.list", catalog::list_sizes),
        ("GET", ["regions"]) => ("regions.list", catalog::list_regions),
        ("GET", ["images"]) => ("images.list", catalog::list_images),
        ("GET", ["images", _]) => ("images.get", catalog::get_image),
        ("GET", ["tags"]) => ("tags.list", tags::list),
        ("POST", ["tags"]) => ("tags.create", tags::create),
        ("GET", ["tags", _]) => ("tags.get", tags::get),
        ("DELETE", ["tags", _]) => ("tags.delete", tags::delete),
        ("POST", ["tags", _, "resources"]) => ("tags.attach", tags::attach),
        ("DELETE", ["tags", _, "resources"]) => ("tags.detach", tags::detach),
        _ => return None,
    })
}

const LIMITS: &[Limit] = &[
    Limit {
        name: "hour",
        operations: &[],
        shape: Shape::Window { requests: 5000, per: Duration::from_secs(3600) },
        says_retry_after: false,
    },
    Limit {
        name: "burst",
        operations: &[],
        shape: Shape::Window { requests: 250, per: Duration::from_secs(60) },
        says_retry_after: true,
    },
    Limit {
        name: "keys",
        operations: &["keys.list"],
        shape: Shape::Window { requests: 10, per: Duration::from_secs(60) },
        says_retry_after: true,
    },
];

impl Dialect for DigitalOcean {
    fn provider(&self) -> ProviderId {
        ProviderId::new("digitalocean")
    }

    fn hosts(&self) -> &'static [&'static str] {
        &["api.digitalocean.com"]
    }

    fn catalog(&self) -> &'static Catalog {
        &catalog::CATALOG
    }

    fn rehearsal(&self) -> Rehearsal {
        Rehearsal {
            create: "droplets.create",
            lists: &[Listing { kind: MachineKind::Virtual, operation: "droplets.list", page: 200, first_pages: 1 }],
            regions: &[],
            is_slow: false,
        }
    }

    fn pace(&self, _kind: MachineKind) -> Pace {
        Pace {
            queued_ms: 2_000,
            building_ms: 18_000,
            booting_ms: 10_000,
            stopping_ms: 8_000,
            starting_ms: 8_000,
            rebooting_ms: 12_000,
            deleting_ms: 5_000,
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
        let Some(account) = request.bearer().and_then(|key| view.account(key)).cloned() else {
            return error(401, "unauthorized", "Unable to authenticate you.");
        };
        match route(request) {
            Some((_, handler)) => handler(request, &account, view).unwrap_or_else(|refusal| refusal),
            None => not_found(),
        }
    }

    fn error(&self, _request: &Request, mishap: Mishap) -> Response {
        match mishap {
            // (unsure) Placement trouble is a 422 that asks to try again; its exact words are not documented.
            Mishap::NoCapacity => {
                invalid("Droplet creation is currently unavailable for this size in this region, please try again.")
            }
            Mishap::RateLimited(wait) => {
                let response = error(429, "too_many_requests", "API rate limit exceeded.");
                match wait {
                    Some(wait) => response.with_header("retry-after", wait.as_secs().max(1)),
                    None => response,
                }
            }
            Mishap::Status(status) => match status {
                400 => bad_request("The request could not be understood."),
                401 => error(401, "unauthorized", "Unable to authenticate you."),
                403 => error(403, "forbidden", "You are not authorized to perform this operation."),
                404 => not_found(),
                409 => error(409, "conflict", "The request could not be completed due to a conflict."),
                422 => invalid("The request cannot be processed."),
                429 => error(429, "too_many_requests", "API rate limit exceeded."),
                // What stands in front of the API answers in HTML.
                502..=504 => Response::text(status, "text/html", "<html><body><h1>Gateway error</h1></body></html>"),
                _ => error(status, "server_error", "Unexpected server-side error"),
            },
        }
    }

    fn tell_usage(&self, response: &mut Response, usage: &Usage) {
        let headers = [
            ("ratelimit-limit", usage.allowed.to_string()),
            ("ratelimit-remaining", usage.remaining.to_string()),
            ("ratelimit-reset", usage.reset.as_second().to_string()),
        ];
        response.headers.extend(headers.map(|(name, value)| (name.to_owned(), value)));
    }
}
