//! Hivelocity's own words: wire structs, and one function per call.
//!
//! The description is from 2024 and says `object` of fields that hold text: unknown fields are ignored, and a known one
//! that has another shape than expected counts as absent wherever a server can be shown without it.

use std::collections::BTreeMap;

use capsule_core::http::{Call, Client, Reply, redact};
use capsule_core::{Bodied, ErrorKind, RawBody, Result};
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// Where the vendor keeps a server: two collections of one shape. Ids are unique over both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Family {
    /// Virtual servers, `/compute/`.
    Compute,
    /// Whole machines, `/bare-metal-devices/`.
    Metal,
}

impl Family {
    fn path(self) -> &'static str {
        match self {
            Family::Compute => "/compute",
            Family::Metal => "/bare-metal-devices",
        }
    }

    /// Our names for the calls of this collection.
    fn operation(self, verb: Verb) -> &'static str {
        match (self, verb) {
            (Family::Compute, Verb::List) => "compute.list",
            (Family::Compute, Verb::Get) => "compute.get",
            (Family::Compute, Verb::Create) => "compute.create",
            (Family::Compute, Verb::Batch) => "compute.batch",
            (Family::Compute, Verb::Delete) => "compute.delete",
            (Family::Metal, Verb::List) => "bare_metal_devices.list",
            (Family::Metal, Verb::Get) => "bare_metal_devices.get",
            (Family::Metal, Verb::Create) => "bare_metal_devices.create",
            (Family::Metal, Verb::Batch) => "bare_metal_devices.batch",
            (Family::Metal, Verb::Delete) => "bare_metal_devices.delete",
        }
    }
}

#[derive(Clone, Copy)]
enum Verb {
    List,
    Get,
    Create,
    Batch,
    Delete,
}

/// The provisioning view of a server.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Device {
    pub(super) device_id: u64,
    pub(super) order_id: Option<u64>,
    /// What invoices name it by.
    pub(super) service_id: Option<u64>,
    #[serde(default, deserialize_with = "word")]
    pub(super) hostname: Option<String>,
    #[serde(default, deserialize_with = "word")]
    pub(super) primary_ip: Option<String>,
    #[serde(default, deserialize_with = "word")]
    pub(super) power_status: Option<String>,
    pub(super) os_name: Option<String>,
    pub(super) product_id: Option<u64>,
    pub(super) location_name: Option<String>,
    pub(super) tags: Option<Vec<String>>,
}

impl Device {
    /// A device that stands somewhere in an untyped answer.
    pub(super) fn from_value(value: &Value) -> Option<Self> {
        Device::deserialize(value).ok()
    }
}

/// The status view of a server.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    pub(super) device_id: u64,
    #[serde(default, deserialize_with = "word")]
    pub(super) hostname: Option<String>,
    /// `active` or `inactive`.
    #[serde(default, deserialize_with = "word")]
    pub(super) status: Option<String>,
    #[serde(default, deserialize_with = "word")]
    pub(super) sps_status: Option<String>,
    /// The description calls it an object; it is `ON`, `OFF` or, while switching, `PENDING`.
    #[serde(default, deserialize_with = "word")]
    pub(super) power_status: Option<String>,
    pub(super) is_reload: Option<bool>,
    pub(super) has_cancellation: Option<bool>,
    #[serde(default, deserialize_with = "word")]
    pub(super) primary_ip: Option<String>,
    pub(super) tags: Option<Vec<String>>,
    /// Untyped.
    #[serde(default)]
    pub(super) location: Value,
    /// Untyped; may hold `sps_status` in another spelling.
    #[serde(default)]
    pub(super) metadata: Value,
}

/// Text, or nothing where the vendor sends anything else.
fn word<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) if !text.is_empty() => Some(text),
        _ => None,
    })
}

/// An order. It is kept for ever, also after its servers are gone.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Order {
    pub(super) order_id: u64,
    #[serde(default)]
    pub(super) status: Option<String>,
    /// Untyped.
    #[serde(default)]
    pub(super) info: Value,
}

/// Whose key it is.
#[derive(Debug, Deserialize)]
pub(super) struct Profile {
    pub(super) id: Option<u64>,
    #[serde(default, deserialize_with = "word")]
    pub(super) email: Option<String>,
    #[serde(default, deserialize_with = "word")]
    pub(super) login: Option<String>,
    #[serde(default, deserialize_with = "word")]
    pub(super) company: Option<String>,
}

/// One product in one facility. Prices are JSON numbers, read as text.
#[derive(Debug, Deserialize)]
pub(super) struct Stock {
    pub(super) product_id: u64,
    #[serde(default, deserialize_with = "word")]
    pub(super) product_name: Option<String>,
    #[serde(default, deserialize_with = "word")]
    pub(super) data_center: Option<String>,
    pub(super) is_sps: Option<bool>,
    pub(super) is_vps: Option<bool>,
    #[serde(default, deserialize_with = "word")]
    pub(super) stock: Option<String>,
    #[serde(default, deserialize_with = "word")]
    pub(super) product_cpu: Option<String>,
    #[serde(default, deserialize_with = "word")]
    pub(super) product_memory: Option<String>,
    #[serde(default, deserialize_with = "word")]
    pub(super) product_drive: Option<String>,
    #[serde(default, deserialize_with = "word")]
    pub(super) product_gpu: Option<String>,
    #[serde(default, deserialize_with = "word")]
    pub(super) product_bandwidth: Option<String>,
    /// Untyped: cores, threads, sockets and vCPUs.
    #[serde(default)]
    pub(super) processor_info: Value,
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) product_hourly_price: Option<Decimal>,
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) hourly_location_premium: Option<Decimal>,
    pub(super) product_disabled_billing_periods: Option<Vec<String>>,
}

/// A facility.
#[derive(Debug, Deserialize)]
pub(super) struct Location {
    pub(super) code: String,
    #[serde(default, deserialize_with = "word")]
    pub(super) title: Option<String>,
    /// Untyped: city, state and country.
    #[serde(default)]
    pub(super) location: Value,
}

/// An operating system, as one product has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct System {
    pub(super) name: String,
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) monthly_price: Option<Decimal>,
    pub(super) operating_system_features: Option<Features>,
}

/// What can be handed to an operating system.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Features {
    pub(super) cloud_init: Option<bool>,
}

/// A public key that the account holds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Key {
    pub(super) ssh_key_id: u64,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) public_key: Option<String>,
}

/// The order of one server; both collections take the same.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NewDevice<'a> {
    pub(super) product_id: u64,
    pub(super) location_name: &'a str,
    pub(super) os_name: &'a str,
    pub(super) hostname: String,
    pub(super) period: &'static str,
    pub(super) tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) script: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) public_ssh_key_id: Option<u64>,
}

/// US dollars on invoices.
#[derive(Debug, Deserialize)]
pub(super) struct Unpaid {
    #[serde(rename = "amountUnpaid")]
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) amount: Option<Decimal>,
}

/// US dollars that the vendor owes.
#[derive(Debug, Deserialize)]
pub(super) struct Credit {
    #[serde(rename = "totalActive")]
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) total: Option<Decimal>,
}

/// The calls. The developer pages are <https://developers.hivelocity.net/reference/introduction>; below stands each
/// operation's id there.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) client: Client,
    /// Whether lists leave the vendor's bodies out.
    lean: bool,
}

impl Api {
    pub(super) fn new(client: Client, lean: bool) -> Self {
        Api { client, lean }
    }

    /// `get_basic_profile_resource`
    pub(super) async fn profile(&self) -> Result<Profile> {
        self.client.send(Call::get("profile.get", "/profile/basic")).await?.json()
    }

    /// What is on invoices and not paid. `get_unpaid_invoice_resource`
    pub(super) async fn unpaid(&self) -> Result<Unpaid> {
        self.client.send(Call::get("invoices.unpaid", "/invoice/unpaid")).await?.json()
    }

    /// `get_credit_resource`
    pub(super) async fn credit(&self) -> Result<Credit> {
        self.client.send(Call::get("credit.total", "/credit/total")).await?.json()
    }

    /// Every server of a collection: there are no pages. `get_compute_resource`, `get_bare_metal_device_resource`
    pub(super) async fn devices<T>(&self, family: Family, turn: impl Fn(Device, RawBody) -> T) -> Result<Vec<T>> {
        let call = Call::get(family.operation(Verb::List), format!("{}/", family.path()));
        self.each(&self.client.send(call).await?, turn)
    }

    /// One server, `None` where the collection has none of that id. `get_compute_id_resource`,
    /// `get_bare_metal_device_id_resource`
    pub(super) async fn device<T>(
        &self,
        family: Family,
        id: u64,
        turn: impl Fn(Device, RawBody) -> T,
    ) -> Result<Option<T>> {
        let call = Call::get(family.operation(Verb::Get), format!("{}/{id}", family.path()));
        found(self.client.send(call).await)?.map(|reply| read(&reply, reply.json()?, turn)).transpose()
    }

    /// The status of every server of the account, whatever its kind. `get_device_resource`
    pub(super) async fn statuses<T>(&self, turn: impl Fn(Status, RawBody) -> T) -> Result<Vec<T>> {
        let reply = self.client.send(Call::get("devices.list", "/device/")).await?;
        self.each(&reply, turn)
    }

    /// The status of one server. How a missing one is answered is not described. `get_device_id_resource`
    pub(super) async fn status<T>(&self, id: u64, turn: impl Fn(Status, RawBody) -> T) -> Result<Option<T>> {
        let call = Call::get("devices.get", format!("/device/{id}"));
        found(self.client.send(call).await)?.map(|reply| read(&reply, reply.json()?, turn)).transpose()
    }

    /// Orders servers: one by a plain call, several in one order by a batch. The one call that costs money, sent at most
    /// once from here. `post_compute_resource`, `post_compute_batch_resource` and their like for bare metal
    pub(super) async fn create<T>(
        &self,
        family: Family,
        devices: &[NewDevice<'_>],
        turn: impl Fn(Device, RawBody) -> T,
    ) -> Result<Vec<T>> {
        #[derive(Serialize)]
        struct Batch<'a> {
            devices: &'a [NewDevice<'a>],
        }
        #[derive(Deserialize)]
        struct Made<'a> {
            #[serde(borrow)]
            devices: Vec<&'a RawValue>,
        }
        let reply = match devices {
            [one] => {
                let call = Call::post(family.operation(Verb::Create), format!("{}/", family.path()));
                self.client.send(call.json(one)).await?
            }
            _ => {
                let call = Call::post(family.operation(Verb::Batch), format!("{}/batch", family.path()));
                self.client.send(call.json(&Batch { devices })).await?
            }
        };
        let made = match devices {
            [_] => vec![reply.json::<&RawValue>()?],
            _ => reply.json::<Made<'_>>()?.devices,
        };
        if made.len() != devices.len() {
            return Err(reply.protocol(format!("{} devices for the {} ordered", made.len(), devices.len())));
        }
        made.into_iter().map(|raw| read(&reply, raw, &turn)).collect()
    }

    /// Ends a server: 201 for an end that has begun, 204 for one that is over. `delete_compute_id_resource`,
    /// `delete_bare_metal_device_id_resource`
    pub(super) async fn cancel(&self, family: Family, id: u64) -> Result<()> {
        let call = Call::delete(family.operation(Verb::Delete), format!("{}/{id}", family.path()));
        self.client.send(call).await.map(drop)
    }

    /// Switches: `boot`, `reboot` or `shutdown`. Only a reboot does more when it is done twice. `post_power_resource`
    pub(super) async fn power(&self, id: u64, action: &'static str) -> Result<()> {
        let call = Call::post("devices.power", format!("/device/{id}/power")).query("action", action);
        let call = if action == "reboot" { call } else { call.idempotent() };
        self.client.send(call).await.map(drop)
    }

    /// The tags of a server of either collection. `get_device_tag_id_resource`
    pub(super) async fn tags(&self, id: u64) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Body {
            tags: Option<Vec<String>>,
        }
        let call = Call::get("devices.tags", format!("/device/{id}/tags"));
        Ok(self.client.send(call).await?.json::<Body>()?.tags.unwrap_or_default())
    }

    /// Replaces them. `put_device_tag_id_resource`
    pub(super) async fn retag(&self, id: u64, tags: &[String]) -> Result<()> {
        let call = Call::put("devices.set_tags", format!("/device/{id}/tags"));
        self.client.send(call.json(&serde_json::json!({ "tags": tags }))).await.map(drop)
    }

    /// One order, `None` where there is none of that id. `get_order_id_resource`
    pub(super) async fn order(&self, id: u64) -> Result<Option<Order>> {
        found(self.client.send(Call::get("orders.get", format!("/order/{id}"))).await)?
            .map(|reply| reply.json())
            .transpose()
    }

    /// The orders that are being worked on. `get_order_inprogress_resource`
    pub(super) async fn orders_in_progress(&self) -> Result<Vec<Order>> {
        self.client.send(Call::get("orders.in_progress", "/order/in-progress")).await?.json()
    }

    /// What one group of the shop sells: a product in a facility is a row. `get_stock_resource`
    pub(super) async fn stock(&self, group: &'static str) -> Result<Vec<Stock>> {
        let call = Call::get("inventory.products", "/inventory/product");
        let reply = self.client.send(call.query("location", group).query("group_by", "flat")).await?;
        // Rows stand under the names of whatever they are grouped by; without a group they could be a bare list. Prices
        // keep their text only when they are read straight from the body.
        if reply.body.trim_ascii_start().starts_with(b"[") {
            return reply.json();
        }
        Ok(reply.json::<BTreeMap<String, Vec<Stock>>>()?.into_values().flatten().collect())
    }

    /// One product. `get_stock_by_product_resource`
    pub(super) async fn product(&self, id: u64) -> Result<Option<Stock>> {
        found(self.client.send(Call::get("inventory.product", format!("/inventory/product/{id}"))).await)?
            .map(|reply| reply.json())
            .transpose()
    }

    /// `get_location_resource`
    pub(super) async fn locations(&self) -> Result<Vec<Location>> {
        self.client.send(Call::get("inventory.locations", "/inventory/locations")).await?.json()
    }

    /// `get_product_operating_systems_resource`
    pub(super) async fn systems(&self, product: u64) -> Result<Vec<System>> {
        let call = Call::get("products.operating_systems", format!("/product/{product}/operating-systems"));
        self.client.send(call).await?.json()
    }

    /// `get_ssh_key_resource`
    pub(super) async fn keys(&self) -> Result<Vec<Key>> {
        self.client.send(Call::get("ssh_keys.list", "/ssh_key/")).await?.json()
    }

    /// Adds a public key. A second one of the same text does no harm. `post_ssh_key_resource`
    pub(super) async fn create_key(&self, name: &str, public_key: &str) -> Result<Key> {
        let body = serde_json::json!({ "name": name, "publicKey": public_key });
        self.client.send(Call::post("ssh_keys.create", "/ssh_key/").idempotent().json(&body)).await?.json()
    }

    /// `delete_ssh_key_id_resource`
    pub(super) async fn delete_key(&self, id: u64) -> Result<()> {
        self.client.send(Call::delete("ssh_keys.delete", format!("/ssh_key/{id}"))).await.map(drop)
    }

    /// Every item of a list, typed and, where bodies are wanted, untouched.
    fn each<R: DeserializeOwned, T>(&self, reply: &Reply, turn: impl Fn(R, RawBody) -> T) -> Result<Vec<T>> {
        if self.lean {
            return Ok(reply.json::<Vec<R>>()?.into_iter().map(|item| turn(item, RawBody::empty())).collect());
        }
        let items = reply.json::<Vec<Bodied<'_, R>>>()?;
        Ok(items.into_iter().map(|Bodied(item, raw)| turn(item, RawBody::new(raw.to_owned()))).collect())
    }
}

/// A missing thing is no failure.
fn found(answered: Result<Reply>) -> Result<Option<Reply>> {
    match answered {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        answered => answered.map(Some),
    }
}

fn read<R: DeserializeOwned, T>(reply: &Reply, raw: &RawValue, turn: impl Fn(R, RawBody) -> T) -> Result<T> {
    Ok(turn(typed(reply, raw)?, RawBody::new(raw.to_owned())))
}

fn typed<R: DeserializeOwned>(reply: &Reply, raw: &RawValue) -> Result<R> {
    serde_json::from_str(raw.get())
        .map_err(|error| reply.protocol(format!("an item that Capsule cannot read ({})", redact::json_fault(&error))))
}
