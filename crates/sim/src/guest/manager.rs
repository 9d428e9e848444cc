//! What a node's nginx, `xnode-auth` and manager answer together.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::installer::Line;
use super::life::{Guest, Settings, Stage};
use super::login::{COOKIES, is_owner};
use super::{LOCAL_DOMAIN, Setting};
use crate::machine::later;
use crate::wire::{Request, Response};

/// Our name for what is asked of a node. Faults and the ledger go by it.
pub(super) fn operation(request: &Request) -> &'static str {
    match request.route() {
        ("POST", path) if path[..] == ["xnode-auth", "api", "login"] => "node.login",
        ("GET", path) if path[..] == ["os", "get"] => "node.os_get",
        ("POST", path) if path[..] == ["os", "set"] => "node.os_set",
        ("GET", path) if matches!(path[..], ["usage", _, _]) => "node.usage",
        ("GET", path) if matches!(path[..], ["request", _, "info"]) => "node.request",
        _ => "node.other",
    }
}

/// The answer over TLS at `now`, and what it changes.
pub(super) fn answer(guest: &Guest, request: &Request, now: Timestamp) -> (Response, Option<Setting>) {
    let settings = match (guest.stage_at(now), guest.settings_at(now)) {
        (Stage::Ready, Some(settings)) => settings,
        _ => return (page(502, "Bad Gateway"), None),
    };
    // Requests for a name that the node does not know go to its first one.
    let host = request.header("host").unwrap_or_default().to_owned();
    let name = host.split(':').next().unwrap_or_default();
    let domain = settings.told.domain.as_deref().filter(|domain| domain.eq_ignore_ascii_case(name));
    let domain = domain.unwrap_or(LOCAL_DOMAIN);
    if let Some(owner) = &settings.told.owner {
        match request.route() {
            ("POST", path) if path[..] == ["xnode-auth", "api", "login"] => return (login(request), None),
            (_, path) if path.first() == Some(&"xnode-auth") => {
                return (auth(request, &path, is_owner(request, domain, owner)), None);
            }
            _ if !is_owner(request, domain, owner) => {
                let query =
                    if request.raw_query.is_empty() { String::new() } else { format!("?{}", request.raw_query) };
                let asked = format!("https://{host}{}{query}", request.raw_path);
                let response = page(302, "Found");
                return (response.with_header("location", format!("https://{host}/xnode-auth?redirect={asked}")), None);
            }
            _ => {}
        }
    }
    match settings.told.line {
        Line::V1 => first_line(guest, request, &settings, now),
        Line::V2 => (Response::empty(404), None),
    }
}

/// What port 80 answers.
pub(super) fn redirect(request: &Request) -> Response {
    let host = request.header("host").unwrap_or(LOCAL_DOMAIN);
    page(301, "Moved Permanently").with_header("location", format!("https://{host}{}", request.raw_path))
}

fn page(status: u16, text: &str) -> Response {
    let body = format!("<html>\r\n<head><title>{status} {text}</title></head>\r\n</html>\r\n");
    Response::text(status, "text/html", body).with_header("server", "nginx")
}

/// It checks the form alone: whose the signature is, is asked at each request.
fn login(request: &Request) -> Response {
    let refuse = |what: &str, value: &Value| {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Response::json(500, &json!({ "error": format!("{what} {shown} is not valid.") }))
    };
    let Ok(body) = request.json::<Value>() else {
        return Response::json(500, &json!({ "error": "Unexpected token in JSON" }));
    };
    let Some(user) = body["user"].as_str().filter(|user| !user.is_empty()) else {
        return refuse("User", &body["user"]);
    };
    let mut values = vec![user.to_owned()];
    if user.starts_with("eth:") {
        let is_hex =
            |text: &str| text.strip_prefix("0x").is_some_and(|text| text.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(signature) = body["signature"].as_str().filter(|text| is_hex(text)) else {
            return refuse("Signature", &body["signature"]);
        };
        let Some(timestamp) = body["timestamp"].as_str().filter(|text| text.parse::<f64>().is_ok()) else {
            return refuse("Timestamp", &body["timestamp"]);
        };
        values.extend([signature.to_owned(), timestamp.to_owned()]);
    }
    COOKIES.iter().zip(values).fold(Response::empty(200), |response, (name, value)| {
        let value = percent_encoding::utf8_percent_encode(&value, percent_encoding::NON_ALPHANUMERIC);
        response.with_header("set-cookie", format!("{name}={value}; Path=/; HttpOnly; Secure; SameSite=None"))
    })
}

fn auth(request: &Request, path: &[&str], is_owner: bool) -> Response {
    match (request.method.as_str(), &path[1..]) {
        ("GET", []) => Response::text(200, "text/html", "<!DOCTYPE html><title>Xnode Auth</title>"),
        ("GET", ["api", "validate"]) => Response::empty(if is_owner { 200 } else { 401 }),
        (_, ["api", "internal", ..]) => Response::empty(403),
        _ => Response::empty(404),
    }
}

/// The manager of the first line.
fn first_line(guest: &Guest, request: &Request, settings: &Settings, now: Timestamp) -> (Response, Option<Setting>) {
    let route = request.route();
    let response = match (route.0, &route.1[..]) {
        ("GET", ["os", "get"]) => {
            let told = &settings.told;
            let flake = settings.flake.clone().unwrap_or_else(|| flake(told.initial_config.as_deref()));
            Response::json(
                200,
                &json!({
                    "flake": flake,
                    "flake_lock": "{}",
                    "xnode_owner": told.owner,
                    "domain": told.domain,
                    "acme_email": told.acme_email,
                    "user_passwd": told.user_passwd,
                }),
            )
        }
        ("POST", ["os", "set"]) => {
            return match request.json::<Change>() {
                Err(error) => {
                    (Response::text(400, "text/plain; charset=utf-8", format!("Json deserialize error: {error}")), None)
                }
                Ok(change) => {
                    let id = guest.changes().len() + 1;
                    (Response::json(200, &json!({ "request_id": id })), Some(change.asked(guest, now)))
                }
            };
        }
        ("GET", ["request", id, "info"]) => match id.parse::<usize>() {
            Err(_) => Response::text(404, "text/plain; charset=utf-8", "can not parse the request id"),
            Ok(id) => {
                let change = id.checked_sub(1).and_then(|index| guest.changes().get(index));
                let result =
                    change.filter(|change| change.done_at <= now).map(|_| json!({ "Success": { "body": null } }));
                let commands: Vec<&str> = change.iter().map(|_| "nixos-rebuild").collect();
                Response::json(200, &json!({ "commands": commands, "result": result }))
            }
        },
        ("GET", ["usage", "host", what @ ("cpu" | "memory" | "disk")]) => Response::json(200, &usage(guest, what, now)),
        ("GET", ["config", "containers"]) => Response::json(200, &json!([])),
        _ => Response::empty(404),
    };
    (response, None)
}

/// The body of `POST /os/set`.
#[derive(Debug, Deserialize)]
struct Change {
    flake: Option<String>,
    #[serde(rename = "update_inputs")]
    _update_inputs: Option<Vec<String>>,
    xnode_owner: Option<String>,
    domain: Option<String>,
    acme_email: Option<String>,
    user_passwd: Option<String>,
}

impl Change {
    fn asked(self, guest: &Guest, now: Timestamp) -> Setting {
        Setting {
            at: now,
            done_at: later(now, guest.pace().changing),
            flake: self.flake,
            xnode_owner: self.xnode_owner,
            domain: self.domain,
            acme_email: self.acme_email,
            user_passwd: self.user_passwd,
        }
    }
}

fn flake(initial_config: Option<&str>) -> String {
    let inner = initial_config.unwrap_or_default();
    format!("{{\n  # START USER CONFIG\n{inner}\n  # END USER CONFIG\n}}\n")
}

/// How busy it is: numbers that follow from the server and the time, and stay the same for half a minute.
fn usage(guest: &Guest, what: &str, now: Timestamp) -> Value {
    let turn = now.as_second() / 30;
    let noise = |salt: u64, below: u64| {
        let name = guest
            .machine()
            .id
            .bytes()
            .fold(guest.seed ^ salt, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let mixed = name.wrapping_add(turn.unsigned_abs()).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 33) % below.max(1)
    };
    match what {
        "cpu" => (0..guest.vcpus.max(1))
            .map(|core| {
                // Percent, with a tenth.
                let used = (20 + noise(u64::from(core), 130)) as f64 / 10.0;
                json!({ "name": format!("cpu{core}"), "used": used, "frequency": 2400 })
            })
            .collect(),
        "memory" => {
            let total = guest.hardware.memory_mib * 1024 * 1024;
            json!({ "used": total / 100 * (18 + noise(97, 8)), "total": total })
        }
        _ => {
            let total = guest.disk_gib * 1024 * 1024 * 1024;
            let used = total / 100 * (12 + noise(98, 3));
            json!([{ "mount_point": "/", "used": used, "total": total }])
        }
    }
}
