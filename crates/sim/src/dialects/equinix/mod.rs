//! Equinix Metal API v1, as it was before the service was switched off: here it still sells.
//!
//! Modelled: devices of a project with their power actions, tags, locks, addresses and events of their provisioning, plans
//! with prices by metro, metros, operating systems, capacity and checks of it, SSH keys of projects and users, the project
//! itself, `include` for what a device refers to, its usages of the month, its organization's invoices of the months before, and paging. A device that fails stays, as `failed`, until it is deleted.
//! Not modelled: batches, facilities as places to order in, spot instances, reservations, `rescue` and `reinstall`,
//! addresses and VLANs of a project's own, and limits, which are not published. Whether an error
//! comes as `error` or in `errors`, and all texts, are invented; the shapes and statuses are the vendor's.

mod answer;
mod catalog;
mod devices;
mod invoices;
mod keys;

use std::time::Duration;

use capsule_core::ProviderId;
use serde_json::json;

use self::answer::{Answer, error, not_found, ok, refused};
use crate::catalog::{Catalog, Plan};
use crate::dialect::{Dialect, Listing, Mishap, Rehearsal};
use crate::invoice::Charge;
use crate::machine::{MachineKind, Pace};
use crate::wire::{Request, Response};
use crate::world::{Account, View};
use crate::{OTHER_KEY, OTHER_PROJECT, SANDBOX_KEY, SANDBOX_PROJECT};

/// The dialect.
#[derive(Debug)]
pub(crate) struct Equinix;

type Handler = fn(&Request, &Account, &mut View<'_>) -> Answer;

/// The whole API on one page. Ids of projects stand at the fourth place of a path, as do those of all else.
fn route(request: &Request) -> Option<(&'static str, Handler)> {
    let (method, path) = request.route();
    let ["metal", "v1", path @ ..] = path.as_slice() else { return None };
    Some(match (method, path) {
        ("GET", ["projects", _, "devices"]) => ("devices.list", devices::list),
        ("POST", ["projects", _, "devices"]) => ("devices.create", devices::create),
        ("GET", ["devices", _]) => ("devices.get", devices::get),
        ("PUT", ["devices", _]) => ("devices.update", devices::update),
        ("DELETE", ["devices", _]) => ("devices.delete", devices::delete),
        ("POST", ["devices", _, "actions"]) => ("devices.act", devices::act),
        ("GET", ["devices", _, "userdata"]) => ("devices.userdata", devices::userdata),
        ("GET", ["devices", _, "events"]) => ("devices.events", devices::events),
        ("GET", ["projects"]) => ("projects.list", list_projects),
        ("GET", ["projects", _]) => ("projects.get", get_project),
        ("GET", ["organizations", _, "invoices"]) => ("invoices.list", invoices::list),
        ("GET", ["projects", _, "usages"]) => ("usages.list", list_usages),
        ("GET", ["projects", _, "ssh-keys"]) => ("keys.list", keys::list_of_project),
        ("POST", ["projects", _, "ssh-keys"]) => ("keys.create", keys::create_in_project),
        ("GET", ["ssh-keys"]) => ("user_keys.list", keys::list),
        ("POST", ["ssh-keys"]) => ("user_keys.create", keys::create),
        ("GET", ["ssh-keys", _]) => ("keys.get", keys::get),
        ("DELETE", ["ssh-keys", _]) => ("keys.delete", keys::delete),
        ("GET", ["plans"]) => ("plans.list_all", catalog::list_plans),
        ("GET", ["projects", _, "plans"]) => ("plans.list", catalog::list_plans_of_project),
        ("GET", ["locations", "metros"]) => ("metros.list", catalog::list_metros),
        ("GET", ["locations", "metros", _]) => ("metros.get", catalog::get_metro),
        ("GET", ["operating-systems"]) => ("systems.list", catalog::list_systems),
        ("GET", ["capacity", "metros"]) => ("capacity.list", catalog::list_capacity),
        ("POST", ["capacity", "metros"]) => ("capacity.check", catalog::check_capacity),
        _ => return None,
    })
}

/// The one project of an account.
fn project(account: &Account) -> &'static str {
    if account.key == SANDBOX_KEY { SANDBOX_PROJECT } else { OTHER_PROJECT }
}

/// Refuses paths of a project that the account does not have.
fn in_project(request: &Request, account: &Account) -> Result<(), Response> {
    if request.path[3] == project(account) { Ok(()) } else { Err(not_found()) }
}

fn project_body(account: &Account) -> serde_json::Value {
    let id = project(account);
    json!({
        "id": id,
        "name": account.name,
        "created_at": "2021-03-01T12:00:00Z",
        "updated_at": "2021-03-01T12:00:00Z",
        "customdata": {},
        "max_devices": {},
        "network_status": {},
        "backend_transfer_enabled": false,
        "type": "default",
        "tags": [],
        "url": format!("https://console.equinix.com/projects/{id}"),
        "href": format!("/metal/v1/projects/{id}"),
        "organization": answer::href(&format!("/organizations/{}", invoices::organization(account))),
    })
}

fn get_project(request: &Request, account: &Account, _: &mut View<'_>) -> Answer {
    in_project(request, account)?;
    ok(200, &project_body(account))
}

/// Of this month, whatever is asked for.
fn list_usages(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    in_project(request, account)?;
    let usage = |charge: Charge| {
        json!({
            "name": charge.name, "plan": charge.plan, "plan_version": charge.plan, "facility": charge.region,
            "type": "Instance", "unit": "hour", "price": charge.hourly.to_string(),
            "quantity": charge.hours().to_string(), "total": charge.cents().to_string(),
        })
    };
    let usages: Vec<_> = view.charges(&account.name).into_iter().map(usage).collect();
    ok(200, &json!({ "usages": usages }))
}

fn list_projects(request: &Request, account: &Account, _: &mut View<'_>) -> Answer {
    let named = request.query("name").is_none_or(|name| name == account.name);
    answer::page(request, "projects", named.then_some(account).into_iter(), project_body)
}

impl Dialect for Equinix {
    fn provider(&self) -> ProviderId {
        ProviderId::new("equinix")
    }

    fn hosts(&self) -> &'static [&'static str] {
        &["api.equinix.com"]
    }

    fn catalog(&self) -> &'static Catalog {
        &catalog::CATALOG
    }

    fn credentials(&self) -> Vec<(&'static str, &'static str)> {
        vec![("api_key", SANDBOX_KEY), ("project_id", SANDBOX_PROJECT)]
    }

    fn price(&self, plan: &Plan, region: &str) -> (String, String) {
        catalog::price_in(plan, region)
    }

    fn other_credentials(&self) -> Vec<(&'static str, &'static str)> {
        vec![("api_key", OTHER_KEY), ("project_id", OTHER_PROJECT)]
    }

    fn rehearsal(&self) -> Rehearsal {
        Rehearsal {
            create: "devices.create",
            lists: &[Listing { kind: MachineKind::BareMetal, operation: "devices.list", page: 1000, first_pages: 1 }],
            regions: &[],
            is_slow: true,
        }
    }

    fn pace(&self, _kind: MachineKind) -> Pace {
        Pace {
            queued_ms: 10_000,
            building_ms: 200_000,
            booting_ms: 60_000,
            stopping_ms: 20_000,
            starting_ms: 120_000,
            rebooting_ms: 140_000,
            deleting_ms: 40_000,
        }
    }

    fn operation(&self, request: &Request) -> &'static str {
        route(request).map_or("unknown", |(operation, _)| operation)
    }

    fn caller(&self, request: &Request) -> Option<String> {
        request.header("x-auth-token").map(str::to_owned)
    }

    fn handle(&self, request: &Request, view: &mut View<'_>) -> Response {
        let Some(account) = request.header("x-auth-token").and_then(|key| view.account(key)).cloned() else {
            return error(401, "Invalid authentication token");
        };
        match route(request) {
            Some((_, handler)) => handler(request, &account, view).unwrap_or_else(|refusal| refusal),
            None => not_found(),
        }
    }

    fn error(&self, _request: &Request, mishap: Mishap) -> Response {
        match mishap {
            Mishap::NoCapacity => refused(&["The metro has no capacity for this plan"]),
            // (unsure) Whether the vendor says when to come back is not documented.
            Mishap::RateLimited(wait) => {
                let response = error(429, "Rate limit exceeded");
                match wait {
                    Some(wait) => response.with_header("retry-after", wait.max(Duration::from_secs(1)).as_secs()),
                    None => response,
                }
            }
            Mishap::Status(status) => match status {
                401 => error(401, "Invalid authentication token"),
                403 => error(403, "You are not authorized to view this resource"),
                404 => not_found(),
                422 => refused(&["The request cannot be processed"]),
                429 => error(429, "Rate limit exceeded"),
                // What stands in front of the API answers in HTML.
                502..=504 => Response::text(status, "text/html", "<html><body><h1>Gateway error</h1></body></html>"),
                _ => error(status, "Something went wrong"),
            },
        }
    }
}
