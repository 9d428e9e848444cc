//! Scaleway: Instances v1, and what it needs of Block Storage v1, Marketplace v2 and IAM v1alpha1.
//!
//! Modelled: servers in zones with their actions, tags, user-data and root volumes, block volumes as far as they come
//! from servers, server types with prices and stock, marketplace images, SSH keys of a project, API keys, the consumption of servers by month and the invoices of the months before (by the vendor's SDK, without taxes), paging in both
//! styles. A new server lies there stopped, and reads at its first start the user-data that it has then. Ending a server
//! leaves its block volumes. Not modelled: flexible IPs, security groups, private networks, snapshots, backups, images of
//! one's own, rescue mode, local volumes (they end with the server), rights of keys, and limits, which are not published.
//! Texts of refusals are invented; their types and fields are the vendor's.

mod answer;
mod billing;
mod block;
mod catalog;
mod iam;
mod power;
mod servers;

use std::time::Duration;

use capsule_core::ProviderId;
use serde_json::json;

use self::answer::{Answer, error, not_found, unknown_resource};
use crate::catalog::Catalog;
use crate::dialect::{Dialect, Listing, Mishap, Rehearsal};
use crate::machine::{MachineKind, Pace};
use crate::wire::{Request, Response};
use crate::world::{Account, View};
use crate::{OTHER_KEY, OTHER_PROJECT, SANDBOX_KEY, SANDBOX_PROJECT};

/// The dialect.
#[derive(Debug)]
pub(crate) struct Scaleway;

type Handler = fn(&Request, &Account, &mut View<'_>) -> Answer;

/// The whole API on one page. Zones stand at the fourth place of a path, ids at the sixth.
fn route(request: &Request) -> Option<(&'static str, Handler)> {
    let (method, path) = request.route();
    Some(match (method, path.as_slice()) {
        (_, ["instance", "v1", "zones", zone, rest @ ..]) if catalog::is_zone(zone) => match (method, rest) {
            ("POST", ["servers"]) => ("servers.create", servers::create),
            ("GET", ["servers"]) => ("servers.list", servers::list),
            ("GET", ["servers", _]) => ("servers.get", servers::get),
            ("PATCH", ["servers", _]) => ("servers.update", servers::update),
            ("DELETE", ["servers", _]) => ("servers.delete", servers::delete),
            ("POST", ["servers", _, "action"]) => ("servers.action", power::act),
            ("GET", ["servers", _, "action"]) => ("servers.actions", power::list),
            ("GET", ["servers", _, "user_data"]) => ("user_data.list", servers::list_user_data),
            ("GET", ["servers", _, "user_data", _]) => ("user_data.get", servers::get_user_data),
            ("PATCH", ["servers", _, "user_data", _]) => ("user_data.set", servers::set_user_data),
            ("DELETE", ["servers", _, "user_data", _]) => ("user_data.delete", servers::delete_user_data),
            ("GET", ["products", "servers"]) => ("products.list", catalog::list_types),
            ("GET", ["products", "servers", "availability"]) => ("products.availability", catalog::list_stock),
            _ => return None,
        },
        (_, ["block", "v1", "zones", zone, rest @ ..]) if catalog::is_zone(zone) => match (method, rest) {
            ("GET", ["volumes"]) => ("volumes.list", block::list),
            ("GET", ["volumes", _]) => ("volumes.get", block::get),
            ("PATCH", ["volumes", _]) => ("volumes.update", block::update),
            ("DELETE", ["volumes", _]) => ("volumes.delete", block::delete),
            _ => return None,
        },
        ("GET", ["billing", "v2beta1", "consumptions"]) => ("consumptions.list", billing::consumptions),
        ("GET", ["billing", "v2beta1", "invoices"]) => ("invoices.list", billing::invoices),
        ("GET", ["marketplace", "v2", "images"]) => ("images.list", catalog::list_images),
        ("GET", ["marketplace", "v2", "local-images"]) => ("local_images.list", catalog::list_builds),
        ("GET", ["marketplace", "v2", "local-images", _]) => ("local_images.get", catalog::get_build),
        ("GET", ["iam", "v1alpha1", "ssh-keys"]) => ("ssh_keys.list", iam::list_keys),
        ("POST", ["iam", "v1alpha1", "ssh-keys"]) => ("ssh_keys.create", iam::create_key),
        ("GET", ["iam", "v1alpha1", "ssh-keys", _]) => ("ssh_keys.get", iam::get_key),
        ("PATCH", ["iam", "v1alpha1", "ssh-keys", _]) => ("ssh_keys.update", iam::update_key),
        ("DELETE", ["iam", "v1alpha1", "ssh-keys", _]) => ("ssh_keys.delete", iam::delete_key),
        ("GET", ["iam", "v1alpha1", "api-keys", _]) => ("api_keys.get", iam::api_key),
        _ => return None,
    })
}

/// The project of an account, which is also its organization.
fn project(account: &Account) -> &'static str {
    if account.key == SANDBOX_KEY { SANDBOX_PROJECT } else { OTHER_PROJECT }
}

fn unauthenticated() -> Response {
    let more = json!({ "method": "api_key", "reason": "not_found" });
    error(401, "denied_authentication", "authentication is denied", more)
}

impl Dialect for Scaleway {
    fn provider(&self) -> ProviderId {
        ProviderId::new("scaleway")
    }

    fn hosts(&self) -> &'static [&'static str] {
        &["api.scaleway.com"]
    }

    fn catalog(&self) -> &'static Catalog {
        &catalog::CATALOG
    }

    fn credentials(&self) -> Vec<(&'static str, &'static str)> {
        vec![("api_key", SANDBOX_KEY), ("project_id", SANDBOX_PROJECT), ("access_key", iam::SANDBOX_ACCESS_KEY)]
    }

    fn other_credentials(&self) -> Vec<(&'static str, &'static str)> {
        vec![("api_key", OTHER_KEY), ("project_id", OTHER_PROJECT)]
    }

    fn rehearsal(&self) -> Rehearsal {
        Rehearsal {
            create: "servers.create",
            // A first page in each zone.
            lists: &[Listing { kind: MachineKind::Virtual, operation: "servers.list", page: 100, first_pages: 10 }],
            regions: &[],
            is_slow: false,
        }
    }

    /// The first three pass before a server is there: here it is at once, and starts when told to.
    fn pace(&self, _kind: MachineKind) -> Pace {
        Pace {
            queued_ms: 0,
            building_ms: 0,
            booting_ms: 0,
            stopping_ms: 20_000,
            starting_ms: 25_000,
            rebooting_ms: 20_000,
            deleting_ms: 30_000,
        }
    }

    fn operation(&self, request: &Request) -> &'static str {
        route(request).map_or("unknown", |(operation, _)| operation)
    }

    fn caller(&self, request: &Request) -> Option<String> {
        request.header("x-auth-token").map(str::to_owned)
    }

    fn handle(&self, request: &Request, view: &mut View<'_>) -> Response {
        let account = request.header("x-auth-token").and_then(|key| view.account(key)).cloned();
        let response = match (account, route(request)) {
            (None, _) => unauthenticated(),
            (Some(account), Some((_, handler))) => handler(request, &account, view).unwrap_or_else(|refusal| refusal),
            (Some(_), None) => not_found("path", &request.raw_path),
        };
        answer::signed(request, view.now(), response)
    }

    fn error(&self, _request: &Request, mishap: Mishap) -> Response {
        match mishap {
            // (unsure) Its status is in no recording; clients go by the type.
            Mishap::NoCapacity => {
                error(503, "out_of_stock", "resource is out of stock", json!({ "resource": "instance_server" }))
            }
            // (unsure) No body of a 429 is recorded, nor whether the vendor says when to come back.
            Mishap::RateLimited(wait) => {
                let response = Response::text(429, "text/plain", "Too Many Requests");
                match wait {
                    Some(wait) => response.with_header("retry-after", wait.max(Duration::from_secs(1)).as_secs()),
                    None => response,
                }
            }
            Mishap::Status(status) => match status {
                400 => error(400, "invalid_arguments", "invalid argument(s)", json!({ "details": [] })),
                401 => unauthenticated(),
                403 => {
                    let right = json!({ "resource": "compute_servers", "action": "write" });
                    error(403, "permissions_denied", "insufficient permissions", json!({ "details": [right] }))
                }
                404 => unknown_resource("instance_server", ""),
                409 => {
                    let more = json!({ "resource": "instance_server", "current_state": "stopping" });
                    error(409, "transient_state", "resource is in a transient state", more)
                }
                429 => Response::text(429, "text/plain", "Too Many Requests"),
                // What stands in front of the API answers in HTML.
                502..=504 => Response::text(status, "text/html", "<html><body><h1>Gateway error</h1></body></html>"),
                _ => error(status, "internal", "internal error", json!({})),
            },
        }
    }
}
