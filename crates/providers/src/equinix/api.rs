//! Equinix Metal's own words: wire structs, and one function per call.
//!
//! The description requires no field of anything, so what we can do without is an `Option`. Nested objects come as a bare
//! `href` unless `include` asks for them. Power and delete are answered without a body.

use std::borrow::Cow;
use std::collections::HashMap;

use capsule_core::http::{Call, Client, Reply, page, redact};
use capsule_core::{Bodied, Error, ErrorKind, RawBody, Result, Retry};
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::convert;

/// The most that a page can hold. The vendor's prose says 100, its description 1000; the answer tells what it made of it.
const PER_PAGE: u64 = 1000;

/// More pages than this no project has: the answer that tells of them is wrong.
const MOST_PAGES: u64 = 10_000;

/// The nested objects of a device that are read.
const INCLUDE: &str = "plan,metro,operating_system";

/// A server.
#[derive(Debug, Deserialize)]
pub(super) struct Device<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) hostname: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) state: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) created_at: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) plan: Option<Named<'a>>,
    #[serde(borrow, default)]
    pub(super) operating_system: Option<Named<'a>>,
    #[serde(borrow, default)]
    pub(super) metro: Option<Named<'a>>,
    #[serde(borrow, default)]
    pub(super) ip_addresses: Option<Vec<Address<'a>>>,
    pub(super) tags: Option<Vec<Cow<'a, str>>>,
}

/// Something of which only the word matters that orders name it by.
#[derive(Debug, Deserialize)]
pub(super) struct Named<'a> {
    /// Of plans and operating systems.
    #[serde(borrow, default)]
    pub(super) slug: Option<Cow<'a, str>>,
    /// Of metros.
    #[serde(borrow, default)]
    pub(super) code: Option<Cow<'a, str>>,
}

/// One address of a device.
#[derive(Debug, Deserialize)]
pub(super) struct Address<'a> {
    #[serde(borrow, default)]
    pub(super) address: Option<Cow<'a, str>>,
    pub(super) public: Option<bool>,
}

/// What everything hangs on: devices, keys and bills belong to a project.
#[derive(Debug, Deserialize)]
pub(super) struct Project {
    pub(super) id: String,
    pub(super) name: Option<String>,
    /// Whose it is: a reference, or more if that is asked for.
    pub(super) organization: Option<Organization>,
}

/// Who pays for a project.
#[derive(Debug, Deserialize)]
pub(super) struct Organization {
    pub(super) id: Option<String>,
    /// `/metal/v1/organizations/{id}`
    pub(super) href: Option<String>,
}

/// A plan.
#[derive(Debug, Deserialize)]
pub(super) struct Plan {
    pub(super) slug: Option<String>,
    pub(super) name: Option<String>,
    /// `baremetal`; storage that could once be rented has another word.
    pub(super) line: Option<String>,
    pub(super) specs: Option<Specs>,
    #[serde(deserialize_with = "rates", default)]
    pub(super) pricing: Option<Rates>,
    /// `on_demand`, `spot_market`.
    pub(super) deployment_types: Option<Vec<String>>,
    pub(super) available_in_metros: Option<Vec<Place>>,
}

/// What a machine is made of.
#[derive(Debug, Deserialize)]
pub(super) struct Specs {
    pub(super) cpus: Option<Vec<Part>>,
    pub(super) memory: Option<Memory>,
    pub(super) drives: Option<Vec<Part>>,
}

/// So many processors or drives of a kind.
#[derive(Debug, Deserialize)]
pub(super) struct Part {
    pub(super) count: Option<u32>,
    /// Of a processor, such as `AMD EPYC 7402P 24-Core Processor @ 2.8GHz`.
    #[serde(rename = "type")]
    pub(super) what: Option<String>,
    /// Of a drive, such as `3.84TB`.
    pub(super) size: Option<String>,
}

/// Such as `64GB`.
#[derive(Debug, Deserialize)]
pub(super) struct Memory {
    pub(super) total: Option<String>,
}

/// What a plan costs, in USD. The description leaves open what else there is.
#[derive(Debug, Deserialize)]
pub(super) struct Rates {
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) hour: Option<Decimal>,
}

/// A metro that a plan is sold in; the price is there where it differs.
#[derive(Debug, Deserialize)]
pub(super) struct Place {
    /// Where it was included.
    pub(super) code: Option<String>,
    /// Ends in the metro's id.
    pub(super) href: Option<String>,
    #[serde(deserialize_with = "rates", default)]
    pub(super) price: Option<Rates>,
}

/// A place.
#[derive(Debug, Deserialize)]
pub(super) struct Metro {
    pub(super) id: Option<String>,
    pub(super) code: Option<String>,
    pub(super) name: Option<String>,
    pub(super) country: Option<String>,
}

/// An operating system.
#[derive(Debug, Deserialize)]
pub(super) struct System {
    pub(super) slug: Option<String>,
    pub(super) name: Option<String>,
    /// Slugs of plans.
    pub(super) provisionable_on: Option<Vec<String>>,
    /// Whether it costs beside the plan.
    pub(super) licensed: Option<bool>,
}

/// How much of a plan a metro has left: `normal`, `limited` or `unavailable`.
#[derive(Debug, Deserialize)]
pub(super) struct Capacity {
    pub(super) level: Option<String>,
}

/// A public key of the project.
#[derive(Debug, Deserialize)]
pub(super) struct Key {
    pub(super) id: String,
    #[serde(default)]
    pub(super) label: String,
    #[serde(default)]
    pub(super) key: String,
}

/// The body of a create.
#[derive(Debug, Serialize)]
pub(super) struct NewDevice<'a> {
    pub(super) metro: &'a str,
    pub(super) plan: &'a str,
    pub(super) operating_system: &'a str,
    pub(super) hostname: &'a str,
    pub(super) billing_cycle: &'static str,
    pub(super) tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) userdata: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) project_ssh_keys: Vec<String>,
    /// Without keys and without this the keys of all members of the project are put on the machine.
    pub(super) no_ssh_keys: bool,
}

/// What was used of one thing. Numbers come as text.
#[derive(Debug, Deserialize)]
pub(super) struct Usage {
    /// The device's name.
    pub(super) name: Option<String>,
    pub(super) plan: Option<String>,
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) total: Option<Decimal>,
}

/// The calls. The vendor's pages about them are gone; its description is in `tests/referees/contracts`.
#[derive(Debug)]
pub(super) struct Api {
    client: Client,
    pub(super) project: String,
    /// Whether lists leave the bodies out.
    lean: bool,
    /// Whether it is the vendor's own host that is asked, which was switched off.
    switched_off: bool,
}

impl Api {
    pub(super) fn new(client: Client, project: String, lean: bool, switched_off: bool) -> Self {
        Api { client, project, lean, switched_off }
    }

    pub(super) fn is_switched_off(&self) -> bool {
        self.switched_off
    }

    /// Every call goes through here: what a host says that was switched off says nothing about a key or a server.
    pub(super) async fn send(&self, call: Call) -> Result<Reply> {
        let answered = self.client.send(call).await;
        if self.switched_off { answered.map_err(convert::of_a_dead_host) } else { answered }
    }

    /// The project that the settings name. A project's key can read it, while `/user` is closed to that.
    pub(super) async fn project(&self) -> Result<Project> {
        let project = &self.project;
        self.send(Call::get("projects.get", format!("/projects/{project}"))).await?.json()
    }

    /// What the project used since a moment.
    pub(super) async fn usages(&self, since: Timestamp) -> Result<Vec<Usage>> {
        #[derive(Deserialize)]
        struct Body {
            usages: Vec<Usage>,
        }
        let project = &self.project;
        let call = Call::get("usages.list", format!("/projects/{project}/usages"));
        Ok(self.send(call.query("created[after]", since)).await?.json::<Body>()?.usages)
    }

    /// Every device of the project, turned into `T` page by page, so that no page outlives its turn.
    pub(super) async fn devices<T: Send>(
        &self,
        tag: Option<&str>,
        turn: impl Fn(Device<'_>, RawBody) -> T + Sync,
    ) -> Result<Vec<T>> {
        const WHAT: &str = "devices";
        let project = &self.project;
        let call = Call::get("devices.list", format!("/projects/{project}/devices")).query("include", INCLUDE);
        let call = match tag {
            Some(tag) => call.query("tag", tag),
            None => call,
        };
        let (operation, turn) = (call.operation(), &turn);
        let fetch = |number| {
            let call = call.clone().query("page", number).query("per_page", PER_PAGE);
            async move {
                let reply = self.send(call).await?;
                let page = match self.lean {
                    true => read(&reply.body, |device| turn(device, RawBody::empty())),
                    false => read(&reply.body, |Bodied(device, raw)| turn(device, RawBody::new(raw.to_owned()))),
                };
                page.map_err(|error| unreadable(&reply, &error))
            }
        };
        let wrong = |message: String| {
            Error::new(ErrorKind::Protocol, message)
                .with_provider(&super::DESCRIPTOR.id)
                .with_operation(operation)
                .with_retry(Retry::Backoff)
        };
        let first = fetch(1).await?;
        let last = first.meta.last_page.unwrap_or(1);
        if last > MOST_PAGES {
            return Err(wrong(format!("Equinix Metal tells of {last} pages of devices, so the list is not read.")));
        }
        let one = |number| async move { Ok(vec![fetch(number).await?]) };
        let mut pages = page::numbered(WHAT, vec![first], last, one).await?;
        // A list that grew meanwhile has pages that the first one did not know of.
        while let Some(last) = pages.last().filter(|page| !page.items.is_empty()).and_then(|page| page.meta.last_page) {
            let number = pages.len() as u64 + 1;
            if number > last || number > MOST_PAGES {
                break;
            }
            pages.push(fetch(number).await.map_err(|error| page::page_failed(WHAT, number, None, error))?);
        }
        let arrived: usize = pages.iter().map(|page| page.items.len()).sum();
        let told = pages.iter().filter_map(|page| page.meta.total).min().unwrap_or(0);
        if (arrived as u64) < told {
            return Err(wrong(format!("Only {arrived} of {told} devices arrived, so the list is not shown.")));
        }
        Ok(page::joined(pages.into_iter().map(|page| page.items), arrived))
    }

    /// One device, `None` where the vendor answers 404.
    pub(super) async fn device<T>(&self, id: &str, turn: impl Fn(Device<'_>, RawBody) -> T) -> Result<Option<T>> {
        match self.send(Call::get("devices.get", format!("/devices/{id}")).query("include", INCLUDE)).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            answered => one_device(&answered?, turn).map(Some),
        }
    }

    /// Orders a device. The one call that costs money, sent at most once from here.
    pub(super) async fn create_device<T>(
        &self,
        body: &NewDevice<'_>,
        turn: impl Fn(Device<'_>, RawBody) -> T,
    ) -> Result<T> {
        let project = &self.project;
        let call = Call::post("devices.create", format!("/projects/{project}/devices"));
        one_device(&self.send(call.query("include", INCLUDE).json(body)).await?, turn)
    }

    /// Replaces a device's tags.
    pub(super) async fn retag(&self, id: &str, tags: &[String]) -> Result<()> {
        let call = Call::put("devices.update", format!("/devices/{id}"));
        self.send(call.json(&serde_json::json!({ "tags": tags }))).await.map(drop)
    }

    pub(super) async fn delete_device(&self, id: &str) -> Result<()> {
        self.send(Call::delete("devices.delete", format!("/devices/{id}"))).await.map(drop)
    }

    /// Starts a power action: `power_on`, `power_off` or `reboot`. Only the last does more when it is done twice.
    pub(super) async fn act(&self, id: &str, what: &str) -> Result<()> {
        let call = Call::post("devices.act", format!("/devices/{id}/actions"));
        let call = call.json(&serde_json::json!({ "type": what }));
        self.send(if what == "reboot" { call } else { call.idempotent() }).await.map(drop)
    }

    /// What the project may order.
    pub(super) async fn plans(&self) -> Result<Vec<Plan>> {
        #[derive(Deserialize)]
        struct Body {
            plans: Vec<Plan>,
        }
        let project = &self.project;
        let call = Call::get("plans.list", format!("/projects/{project}/plans"));
        Ok(self.send(call.query("include", "available_in_metros")).await?.json::<Body>()?.plans)
    }

    pub(super) async fn metros(&self) -> Result<Vec<Metro>> {
        #[derive(Deserialize)]
        struct Body {
            metros: Vec<Metro>,
        }
        Ok(self.send(Call::get("metros.list", "/locations/metros")).await?.json::<Body>()?.metros)
    }

    pub(super) async fn systems(&self) -> Result<Vec<System>> {
        #[derive(Deserialize)]
        struct Body {
            operating_systems: Vec<System>,
        }
        Ok(self.send(Call::get("systems.list", "/operating-systems")).await?.json::<Body>()?.operating_systems)
    }

    /// By metro and plan.
    pub(super) async fn capacity(&self) -> Result<HashMap<String, HashMap<String, Capacity>>> {
        #[derive(Deserialize)]
        struct Body {
            capacity: HashMap<String, HashMap<String, Capacity>>,
        }
        Ok(self.send(Call::get("capacity.list", "/capacity/metros")).await?.json::<Body>()?.capacity)
    }

    pub(super) async fn keys(&self) -> Result<Vec<Key>> {
        #[derive(Deserialize)]
        struct Body {
            ssh_keys: Vec<Key>,
        }
        let project = &self.project;
        let call = Call::get("keys.list", format!("/projects/{project}/ssh-keys"));
        Ok(self.send(call).await?.json::<Body>()?.ssh_keys)
    }

    /// Adds a public key to the project. A second try may make a second one.
    pub(super) async fn create_key(&self, label: &str, line: &str) -> Result<Key> {
        let project = &self.project;
        let call = Call::post("keys.create", format!("/projects/{project}/ssh-keys"));
        self.send(call.json(&serde_json::json!({ "label": label, "key": line }))).await?.json()
    }

    pub(super) async fn delete_key(&self, id: &str) -> Result<()> {
        self.send(Call::delete("keys.delete", format!("/ssh-keys/{id}"))).await.map(drop)
    }
}

/// Reads a page item by item.
fn read<'a, I: Deserialize<'a>, T>(body: &'a [u8], turn: impl Fn(I) -> T) -> serde_json::Result<Page<T>> {
    let List { devices, meta } = serde_json::from_slice::<List<I>>(body)?;
    Ok(Page { items: devices.into_iter().map(turn).collect(), meta: meta.unwrap_or_default() })
}

/// One page of devices as it comes.
#[derive(Deserialize)]
struct List<I> {
    devices: Vec<I>,
    meta: Option<Meta>,
}

#[derive(Default, Deserialize)]
struct Meta {
    total: Option<u64>,
    last_page: Option<u64>,
}

/// One page, read.
struct Page<T> {
    items: Vec<T>,
    meta: Meta,
}

/// A device alone is the whole body.
fn one_device<T>(reply: &Reply, turn: impl Fn(Device<'_>, RawBody) -> T) -> Result<T> {
    let raw = reply.json::<&RawValue>()?;
    let device = serde_json::from_str(raw.get()).map_err(|error| unreadable(reply, &error))?;
    Ok(turn(device, RawBody::new(raw.to_owned())))
}

/// Prices have no described shape: one that we cannot read is unknown, and no reason to show no plans at all.
fn rates<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Rates>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

fn unreadable(reply: &Reply, error: &serde_json::Error) -> Error {
    reply.protocol(format!("an item that Capsule cannot read ({})", redact::json_fault(error)))
}
