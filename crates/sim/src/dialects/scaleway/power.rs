//! Actions. There is nothing to follow them by: the server itself tells.

use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, bad_argument, error, ok, precondition, time};
use super::servers::{Kept, find, keep};
use crate::machine::{Change, Machine, State, later};
use crate::wire::Request;
use crate::world::{Account, View};

/// What may be done with a server in that state. (unsure) What is allowed to one in motion is in no source.
pub(super) fn allowed(state: State, in_place: bool) -> &'static [&'static str] {
    match state {
        State::Running => &["poweroff", "terminate", "reboot", "stop_in_place", "backup"],
        State::Stopped if in_place => &["poweron", "poweroff", "terminate", "backup"],
        State::Stopped => &["poweron", "backup"],
        _ => &[],
    }
}

pub(super) fn list(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    let (server, kept) = find(request, account, view)?;
    ok(200, &json!({ "actions": allowed(server.status_at(view.now()), kept.in_place) }))
}

pub(super) fn act(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Body {
        action: Option<String>,
    }
    let asked: Body = request.json().map_err(|_| bad_argument("body", "format", "not the JSON that is wanted"))?;
    let action = asked.action.ok_or_else(|| bad_argument("action", "required", ""))?;
    let (server, mut kept) = find(request, account, view)?;
    let (id, state) = (server.id.clone(), server.status_at(view.now()));
    let known = ["poweron", "poweroff", "reboot", "stop_in_place", "terminate", "backup", "enable_routed_ip"];
    if !known.contains(&action.as_str()) {
        return Err(bad_argument("action", "constraint", "no such action"));
    }
    if matches!(action.as_str(), "backup" | "enable_routed_ip") {
        return Err(precondition("not_simulated", "the simulator does not do this"));
    }
    if kept.protected && action != "poweron" {
        return Err(precondition("protected_resource", "the server is protected"));
    }
    if !allowed(state, kept.in_place).contains(&action.as_str()) {
        return Err(refusal(server, state, &action));
    }
    let description = match action.as_str() {
        "poweron" => start(view, account, &id, &mut kept),
        "reboot" => {
            view.change(&account.name, &id, Change::Reboot);
            "server_reboot"
        }
        "terminate" => {
            view.change(&account.name, &id, Change::Delete);
            "server_terminate"
        }
        _ => {
            kept.in_place = action == "stop_in_place";
            view.change(&account.name, &id, Change::Stop);
            if kept.in_place { "server_stop_in_place" } else { "server_poweroff" }
        }
    };
    keep(view, account, &id, &kept);
    ok(202, &json!({ "task": task(request, view, description) }))
}

/// The first start is the one that reads user-data; what comes later is not read.
fn start(view: &mut View<'_>, account: &Account, id: &str, kept: &mut Kept) -> &'static str {
    view.change(&account.name, id, Change::Start);
    let (now, pace) = (view.now(), view.machine(&account.name, id).map(|server| view.pace(server.kind)));
    kept.in_place = false;
    let first = !std::mem::replace(&mut kept.booted, true);
    if let (Some(server), Some(pace)) = (view.machine_mut(&account.name, id), pace) {
        if first {
            server.user_data = kept.user_data.get("cloud-init").cloned();
        }
        if kept.stillborn {
            // There is no state for a start that fails: the server falls back.
            server.timeline.then(later(now, pace.starting_ms), State::Stopped);
        }
    }
    "server_batch_poweron"
}

fn task(request: &Request, view: &mut View<'_>, description: &str) -> Value {
    let (zone, server) = (&request.path[3], &request.path[5]);
    json!({
        "id": view.uuid(),
        "description": description,
        "status": "pending",
        "progress": 0,
        "href_from": format!("/zones/{zone}/servers/{server}/action"),
        "href_result": format!("/zones/{zone}/servers/{server}"),
        "started_at": time(view.now()),
        "terminated_at": null,
        "zone": zone,
    })
}

/// One in motion will come to rest; one at rest is in the wrong state for this.
fn refusal(server: &Machine, state: State, action: &str) -> crate::wire::Response {
    if matches!(state, State::Running | State::Stopped) {
        let message = format!("the action {action} is not allowed in this state of the server");
        return error(400, "invalid_request_error", &message, json!({}));
    }
    let (word, _) = super::servers::words(state);
    let more = json!({ "resource": "instance_server", "resource_id": server.id, "current_state": word });
    error(409, "transient_state", "resource is in a transient state", more)
}
