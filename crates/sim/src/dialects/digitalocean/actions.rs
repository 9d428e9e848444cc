//! Actions: every change of a droplet, to be watched until it is completed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::answer::{Answer, Envelope, bad_request, error, found, invalid, ok, page};
use super::{catalog, droplets};
use crate::machine::{Change, State};
use crate::wire::Request;
use crate::world::{Account, Resource, View};

const ACTION: &str = "action";

/// What the world keeps of an action beside its id, type and start.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    droplet: String,
    ends_at: Timestamp,
    errored: bool,
}

/// Writes an action down; its id.
pub(super) fn record(view: &mut View<'_>, account: &Account, kind: &str, droplet: &str, region: &str) -> String {
    let id = (2_000_000_000 + view.number()).to_string();
    let timeline = view.machine_born(droplet).map(|machine| machine.timeline.clone());
    let last = timeline.as_ref().and_then(|timeline| timeline.moments().last().copied());
    let (ends_at, end) = last.unwrap_or((view.now(), State::Running));
    let kept = Kept { droplet: droplet.to_owned(), ends_at: ends_at.max(view.now()), errored: end == State::Failed };
    let data = serde_json::to_value(kept).expect("it has string keys");
    let mut action = Resource::new(&account.name, id.clone(), kind, view.now(), data);
    action.region = Some(region.to_owned());
    view.put_resource(ACTION, action);
    id
}

fn kept(action: &Resource) -> Kept {
    Kept::deserialize(&action.data).expect("only `record` makes actions")
}

#[derive(Serialize)]
struct Action {
    id: u64,
    status: &'static str,
    #[serde(rename = "type")]
    kind: String,
    started_at: String,
    completed_at: Option<String>,
    resource_id: u64,
    resource_type: &'static str,
    region: Option<&'static RawValue>,
    region_slug: Option<String>,
}

fn body(action: &Resource, now: Timestamp) -> Action {
    let kept = kept(action);
    let over = kept.ends_at <= now;
    Action {
        id: action.id.parse().unwrap_or_default(),
        status: match (over, kept.errored) {
            (false, _) => "in-progress",
            (true, false) => "completed",
            (true, true) => "errored",
        },
        kind: action.name.clone(),
        started_at: droplets::time(action.born_at),
        completed_at: over.then(|| droplets::time(kept.ends_at)),
        resource_id: kept.droplet.parse().unwrap_or_default(),
        resource_type: "droplet",
        region: action.region.as_deref().and_then(catalog::region_body),
        region_slug: action.region.clone(),
    }
}

pub(super) fn list(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let now = view.now();
    let newest_first: Vec<_> = view.resources(&account.name, ACTION).collect();
    page(request, "actions", newest_first.into_iter().rev(), |action| body(action, now))
}

pub(super) fn get(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let action = found(view.resource(&account.name, ACTION, &request.path[2]))?;
    ok(200, &Envelope("action", body(action, view.now())))
}

pub(super) fn list_of_droplet(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let droplet = found(droplets::find(view, account, &request.path[2]))?;
    let now = view.now();
    let mine = view.resources(&account.name, ACTION).filter(|action| kept(action).droplet == droplet.id);
    let newest_first: Vec<_> = mine.collect();
    page(request, "actions", newest_first.into_iter().rev(), |action| body(action, now))
}

pub(super) fn get_of_droplet(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let action = view.resource(&account.name, ACTION, &request.path[4]);
    let action = found(action.filter(|action| kept(action).droplet == request.path[2]))?;
    ok(200, &Envelope("action", body(action, view.now())))
}

/// Starts an action. Those that neither switch nor rename are refused: they are not modelled.
pub(super) fn start(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Body {
        #[serde(rename = "type")]
        kind: Option<String>,
        name: Option<String>,
    }
    let asked: Body = request.json().map_err(|_| bad_request("The request body could not be parsed."))?;
    let kind = asked.kind.ok_or_else(|| invalid("No action type specified."))?;
    let (id, region, state) = {
        let droplet = found(droplets::find(view, account, &request.path[2]))?;
        (droplet.id.clone(), droplet.region.clone(), droplet.status_at(view.now()))
    };
    if !matches!(state, State::Running | State::Stopped) {
        return Err(invalid("Droplet already has a pending event."));
    }
    let change = match (kind.as_str(), state) {
        ("power_off", State::Stopped) => return Err(invalid("Droplet is already powered off.")),
        ("power_on", State::Running) => return Err(invalid("Droplet is already powered on.")),
        ("shutdown", State::Stopped) | ("rename", _) => None,
        ("power_off" | "shutdown", _) => Some(Change::Stop),
        ("power_on", _) => Some(Change::Start),
        ("power_cycle", _) | ("reboot", State::Running) => Some(Change::Reboot),
        ("reboot", _) => return Err(invalid("Droplet is currently powered off.")),
        _ => return Err(error(422, "unprocessable_entity", "This action type is not available.")),
    };
    if kind == "rename" {
        let name = asked.name.filter(|name| droplets::is_hostname(name));
        let name = name.ok_or_else(|| invalid(droplets::BAD_NAME))?;
        if let Some(droplet) = view.machine_mut(&account.name, &id) {
            droplet.name = name;
        }
    }
    if let Some(change) = change {
        view.change(&account.name, &id, change);
    }
    let action = record(view, account, &kind, &id, &region);
    let action = found(view.resource(&account.name, ACTION, &action))?;
    ok(201, &Envelope("action", body(action, view.now())))
}
