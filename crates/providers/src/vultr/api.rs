//! Vultr's own words: wire structs, and one function per call.
//!
//! The description marks almost nothing as required and contradicts its own examples in places: what may be absent is an
//! `Option`, what has two spellings has an alias. Ids that are not set are `0` or `""`, never null.

use std::borrow::Cow;
use std::collections::HashMap;

use capsule_core::http::{Call, Client, Reply, encode, page, redact};
use capsule_core::{Bodied, Error, ErrorKind, RawBody, Result, Retry};
use rust_decimal::Decimal;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// The most that a page can hold.
const PER_PAGE: u64 = 500;

/// The two kinds of server. Their resources differ in name only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A virtual machine.
    Virtual,
    /// A machine of one's own.
    Metal,
}

impl Kind {
    const fn path(self) -> &'static str {
        match self {
            Kind::Virtual => "/instances",
            Kind::Metal => "/bare-metals",
        }
    }

    /// The first name for virtual machines, the second for bare metal: operations have names known at compile time.
    const fn pick(self, instances: &'static str, metals: &'static str) -> &'static str {
        match self {
            Kind::Virtual => instances,
            Kind::Metal => metals,
        }
    }

    fn server(self, id: &str) -> String {
        format!("{}/{}", self.path(), encode(id))
    }
}

/// A server of either kind. `power_status` and `server_status` are absent in bare metal.
#[derive(Debug, Deserialize)]
pub(super) struct Server<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) label: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) status: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) power_status: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) server_status: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) region: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) plan: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) main_ip: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) v6_main_ip: Option<Cow<'a, str>>,
    /// In the schema; examples and the vendor's clients have the flat field above.
    pub(super) v6_networks: Option<Vec<V6Network>>,
    #[serde(borrow, default)]
    pub(super) internal_ip: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) date_created: Option<Cow<'a, str>>,
    pub(super) os_id: Option<u64>,
    pub(super) app_id: Option<u64>,
    #[serde(borrow, default)]
    pub(super) image_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) snapshot_id: Option<Cow<'a, str>>,
    pub(super) tags: Option<Vec<Cow<'a, str>>>,
}

/// One IPv6 network.
#[derive(Debug, Deserialize)]
pub(super) struct V6Network {
    pub(super) main_ip: Option<String>,
}

/// Whose key it is.
#[derive(Debug, Deserialize)]
pub(super) struct Account {
    pub(super) name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) acls: Option<Vec<String>>,
    /// US dollars; below zero is credit.
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) balance: Option<Decimal>,
    /// US dollars, unbilled, of this month.
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) pending_charges: Option<Decimal>,
}

/// What is charged and not billed yet. The description's fields and its example's are not the same.
#[derive(Debug, Deserialize)]
pub(super) struct Pending {
    pub(super) description: Option<String>,
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) total: Option<Decimal>,
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) amount: Option<Decimal>,
}

/// A plan of either kind. Prices are JSON numbers and are read as text.
#[derive(Debug, Deserialize)]
pub(super) struct Plan {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) vcpu_count: Option<u32>,
    /// Of bare metal.
    pub(super) cpu_count: Option<u32>,
    /// Of bare metal.
    pub(super) cpu_threads: Option<u32>,
    /// Of bare metal.
    pub(super) cpu_model: Option<String>,
    /// MiB, although the vendor says MB.
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) ram: Option<Decimal>,
    /// Of one disk. Text in the schema of bare metal, a number in its example.
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) disk: Option<Decimal>,
    pub(super) disk_count: Option<u64>,
    /// GB a month.
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) bandwidth: Option<Decimal>,
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) hourly_cost: Option<Decimal>,
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) monthly_cost: Option<Decimal>,
    pub(super) locations: Option<Vec<String>>,
    /// By region; goes before the plan's own price.
    #[serde(deserialize_with = "by_region", default)]
    pub(super) location_cost: HashMap<String, Cost>,
    /// `none` without one.
    pub(super) gpu_brand: Option<String>,
    /// (unsure) Not in the description, which says `gpu_brand` alone.
    pub(super) gpu_type: Option<String>,
}

/// What a plan costs in one region, in USD.
#[derive(Debug, Deserialize)]
pub(super) struct Cost {
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) hourly_cost: Option<Decimal>,
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) monthly_cost: Option<Decimal>,
}

/// A place.
#[derive(Debug, Deserialize)]
pub(super) struct Region {
    pub(super) id: String,
    pub(super) city: Option<String>,
    pub(super) country: Option<String>,
}

/// An operating system.
#[derive(Debug, Deserialize)]
pub(super) struct Os {
    pub(super) id: u64,
    pub(super) name: Option<String>,
    pub(super) arch: Option<String>,
    pub(super) family: Option<String>,
}

/// A public key that the account holds. The vendor tells no fingerprint.
#[derive(Debug, Deserialize)]
pub(super) struct Key {
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) ssh_key: String,
}

/// The body of a create. Exactly one of the image's ids is set.
#[derive(Debug, Serialize)]
pub(super) struct NewServer<'a> {
    pub(super) region: &'a str,
    pub(super) plan: &'a str,
    #[serde(flatten)]
    pub(super) image: ImageRef<'a>,
    pub(super) label: &'a str,
    pub(super) hostname: &'a str,
    pub(super) tags: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) sshkey_id: Vec<String>,
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_data: Option<String>,
    pub(super) enable_ipv6: bool,
    pub(super) activation_email: bool,
}

/// What to boot: each kind of image has a field of its own.
#[derive(Debug, Serialize)]
pub(super) enum ImageRef<'a> {
    /// An operating system.
    #[serde(rename = "os_id")]
    System(u64),
    /// A marketplace application.
    #[serde(rename = "image_id")]
    Application(&'a str),
    /// A snapshot of the account's own.
    #[serde(rename = "snapshot_id")]
    Snapshot(&'a str),
}

/// The calls.
#[derive(Debug)]
pub(super) struct Api {
    client: Client,
    /// Whether lists leave the bodies out.
    lean: bool,
}

impl Api {
    pub(super) fn new(client: Client, lean: bool) -> Self {
        Api { client, lean }
    }

    /// <https://www.vultr.com/api/#operation/get-account>
    pub(super) async fn account(&self) -> Result<Account> {
        #[derive(Deserialize)]
        struct Body {
            account: Account,
        }
        Ok(self.client.send(Call::get("account.get", "/account")).await?.json::<Body>()?.account)
    }

    /// <https://www.vultr.com/api/#operation/list-pending-charges>
    pub(super) async fn pending_charges(&self) -> Result<Vec<Pending>> {
        #[derive(Deserialize)]
        struct Body {
            pending_charges: Vec<Pending>,
        }
        let call = Call::get("charges.pending", "/billing/pending-charges");
        Ok(self.client.send(call).await?.json::<Body>()?.pending_charges)
    }

    /// Every server of a kind, turned into `T` page by page, so that no page outlives its turn. The filter by tag is
    /// deprecated and there is none by `tags`: who wants some takes all.
    ///
    /// <https://www.vultr.com/api/#operation/list-instances>,
    /// <https://www.vultr.com/api/#operation/list-baremetals>
    pub(super) async fn servers<T: Send>(
        &self,
        kind: Kind,
        turn: impl Fn(Server<'_>, RawBody) -> T + Sync,
    ) -> Result<Vec<T>> {
        let call = Call::get(kind.pick("instances.list", "metals.list"), kind.path());
        self.list(kind.pick("instances", "bare metals"), call, |body| match self.lean {
            true => read(body, |server| turn(server, RawBody::empty())),
            false => read(body, |Bodied(server, raw)| turn(server, RawBody::new(raw.to_owned()))),
        })
        .await
    }

    /// One server, `None` where the vendor answers 404.
    ///
    /// <https://www.vultr.com/api/#operation/get-instance>,
    /// <https://www.vultr.com/api/#operation/get-baremetal>
    pub(super) async fn server<T>(
        &self,
        kind: Kind,
        id: &str,
        turn: impl Fn(Server<'_>, RawBody) -> T,
    ) -> Result<Option<T>> {
        match self.client.send(Call::get(kind.pick("instances.get", "metals.get"), kind.server(id))).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            answered => one_server(&answered?, turn).map(Some),
        }
    }

    /// Orders a server. The one call that costs money, sent at most once from here.
    ///
    /// <https://www.vultr.com/api/#operation/create-instance>,
    /// <https://www.vultr.com/api/#operation/create-baremetal>
    pub(super) async fn create_server<T>(
        &self,
        kind: Kind,
        body: &NewServer<'_>,
        turn: impl Fn(Server<'_>, RawBody) -> T,
    ) -> Result<T> {
        let call = Call::post(kind.pick("instances.create", "metals.create"), kind.path()).json(body);
        one_server(&self.client.send(call).await?, turn)
    }

    /// Replaces a server's tags.
    ///
    /// <https://www.vultr.com/api/#operation/update-instance>,
    /// <https://www.vultr.com/api/#operation/update-baremetal>
    pub(super) async fn retag(&self, kind: Kind, id: &str, tags: &[String]) -> Result<()> {
        let call = Call::patch(kind.pick("instances.update", "metals.update"), kind.server(id));
        self.client.send(call.json(&serde_json::json!({ "tags": tags }))).await.map(drop)
    }

    /// <https://www.vultr.com/api/#operation/delete-instance>,
    /// <https://www.vultr.com/api/#operation/delete-baremetal>
    pub(super) async fn delete_server(&self, kind: Kind, id: &str) -> Result<()> {
        let call = Call::delete(kind.pick("instances.delete", "metals.delete"), kind.server(id));
        self.client.send(call).await.map(drop)
    }

    /// Switches a machine on. One that runs was restarted by this in the vendor's first API, and may still be (unsure).
    ///
    /// <https://www.vultr.com/api/#operation/start-instance>,
    /// <https://www.vultr.com/api/#operation/start-baremetal>
    pub(super) async fn start(&self, kind: Kind, id: &str) -> Result<()> {
        let operation = kind.pick("instances.start", "metals.start");
        self.client.send(Call::post(operation, format!("{}/start", kind.server(id)))).await.map(drop)
    }

    /// Switches it off, hard or not: see the README.
    ///
    /// <https://www.vultr.com/api/#operation/halt-instance>,
    /// <https://www.vultr.com/api/#operation/halt-baremetal>
    pub(super) async fn halt(&self, kind: Kind, id: &str) -> Result<()> {
        let operation = kind.pick("instances.halt", "metals.halt");
        self.client.send(Call::post(operation, format!("{}/halt", kind.server(id))).idempotent()).await.map(drop)
    }

    /// Switches it off and on.
    ///
    /// <https://www.vultr.com/api/#operation/reboot-instance>,
    /// <https://www.vultr.com/api/#operation/reboot-bare-metal>
    pub(super) async fn reboot(&self, kind: Kind, id: &str) -> Result<()> {
        let operation = kind.pick("instances.reboot", "metals.reboot");
        self.client.send(Call::post(operation, format!("{}/reboot", kind.server(id)))).await.map(drop)
    }

    /// <https://www.vultr.com/api/#operation/list-plans>
    pub(super) async fn plans(&self) -> Result<Vec<Plan>> {
        self.list("plans", Call::get("plans.list", "/plans"), every).await
    }

    /// <https://www.vultr.com/api/#operation/list-metal-plans>
    pub(super) async fn metal_plans(&self) -> Result<Vec<Plan>> {
        self.list("bare metal plans", Call::get("plans_metal.list", "/plans-metal"), every).await
    }

    /// <https://www.vultr.com/api/#operation/list-regions>
    pub(super) async fn regions(&self) -> Result<Vec<Region>> {
        self.list("regions", Call::get("regions.list", "/regions"), every).await
    }

    /// The plans in stock in a region, of both kinds. Those that need a VPC of their own are not among them.
    ///
    /// <https://www.vultr.com/api/#operation/list-available-plans-region>
    pub(super) async fn available(&self, region: &str) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Body {
            available_plans: Vec<String>,
        }
        let call = Call::get("regions.availability", format!("/regions/{}/availability", encode(region)));
        let call = call.query("type", "all");
        Ok(self.client.send(call).await?.json::<Body>()?.available_plans)
    }

    /// <https://www.vultr.com/api/#operation/list-os>
    pub(super) async fn systems(&self) -> Result<Vec<Os>> {
        self.list("operating systems", Call::get("os.list", "/os"), every).await
    }

    /// <https://www.vultr.com/api/#operation/list-ssh-keys>
    pub(super) async fn keys(&self) -> Result<Vec<Key>> {
        self.list("ssh keys", Call::get("keys.list", "/ssh-keys"), every).await
    }

    /// Adds a public key. A second try would make a second one.
    ///
    /// <https://www.vultr.com/api/#operation/create-ssh-key>
    pub(super) async fn create_key(&self, name: &str, line: &str) -> Result<Key> {
        #[derive(Deserialize)]
        struct Body {
            ssh_key: Key,
        }
        let call = Call::post("keys.create", "/ssh-keys").json(&serde_json::json!({ "name": name, "ssh_key": line }));
        Ok(self.client.send(call).await?.json::<Body>()?.ssh_key)
    }

    /// <https://www.vultr.com/api/#operation/delete-ssh-key>
    pub(super) async fn delete_key(&self, id: &str) -> Result<()> {
        self.client.send(Call::delete("keys.delete", format!("/ssh-keys/{id}"))).await.map(drop)
    }

    /// All pages of a list. A page's cursor stands in the page before it, so they come one after the other.
    pub(super) async fn list<T: Send>(
        &self,
        what: &str,
        call: Call,
        read: impl Fn(&[u8]) -> serde_json::Result<Page<T>> + Sync,
    ) -> Result<Vec<T>> {
        let (operation, call, read) = (call.operation(), call.query("per_page", PER_PAGE), &read);
        let pages = page::chained(what, |cursor| {
            let call = match cursor {
                Some(cursor) => call.clone().query("cursor", cursor),
                None => call.clone(),
            };
            async move {
                let reply = self.client.send(call).await?;
                let mut page = read(&reply.body).map_err(|error| unreadable(&reply, &error))?;
                let next = page.next.take();
                Ok((vec![page], next))
            }
        })
        .await?;
        // What is deleted meanwhile shortens the list: the smallest total told is what must have arrived.
        let told = pages.iter().filter_map(|page| page.total).min().unwrap_or(0);
        let arrived: usize = pages.iter().map(|page| page.items.len()).sum();
        if (arrived as u64) < told {
            let message = format!("Only {arrived} of {told} {what} arrived, so the list is not shown.");
            return Err(Error::new(ErrorKind::Protocol, message)
                .with_provider(&super::DESCRIPTOR.id)
                .with_operation(operation)
                .with_retry(Retry::Backoff));
        }
        Ok(page::joined(pages.into_iter().map(|page| page.items), arrived))
    }
}

/// Reads a page item by item.
fn read<'a, I: Deserialize<'a>, T>(body: &'a [u8], turn: impl Fn(I) -> T) -> serde_json::Result<Page<T>> {
    let List { items, meta } = serde_json::from_slice::<List<I>>(body)?;
    let (total, links) = meta.map_or((None, None), |meta| (meta.total, meta.links));
    let next = links.and_then(|links| links.next).filter(|next| !next.is_empty());
    Ok(Page { items: items.into_iter().map(turn).collect(), total, next })
}

/// Reads a page of which all is wanted.
pub(super) fn every<T: for<'a> Deserialize<'a>>(body: &[u8]) -> serde_json::Result<Page<T>> {
    read(body, |item| item)
}

/// One page of a list, read.
pub(super) struct Page<T> {
    items: Vec<T>,
    total: Option<u64>,
    next: Option<String>,
}

/// One page of any list as it comes: the items stand under the resource's own name.
#[derive(Deserialize)]
struct List<I> {
    #[serde(
        alias = "instances",
        alias = "bare_metals",
        alias = "plans",
        alias = "plans_metal",
        alias = "regions",
        alias = "os",
        alias = "ssh_keys",
        alias = "billing_invoices",
        alias = "invoice_items"
    )]
    items: Vec<I>,
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    total: Option<u64>,
    links: Option<Links>,
}

#[derive(Deserialize)]
struct Links {
    next: Option<String>,
}

/// A server alone. The schema calls a new bare metal `baremetal`, the example and the vendor's client `bare_metal`.
fn one_server<T>(reply: &Reply, turn: impl Fn(Server<'_>, RawBody) -> T) -> Result<T> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow, alias = "bare_metal", alias = "baremetal")]
        instance: &'a RawValue,
    }
    let raw = reply.json::<Body<'_>>()?.instance;
    let server = serde_json::from_str(raw.get()).map_err(|error| unreadable(reply, &error))?;
    Ok(turn(server, RawBody::new(raw.to_owned())))
}

/// A map from region to cost. Where there is none, it may come as an empty list (unsure).
fn by_region<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<HashMap<String, Cost>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    match raw.get() {
        "null" | "[]" => Ok(HashMap::new()),
        text => serde_json::from_str(text).map_err(D::Error::custom),
    }
}

fn unreadable(reply: &Reply, error: &serde_json::Error) -> Error {
    reply.protocol(format!("an item that Capsule cannot read ({})", redact::json_fault(error)))
}
