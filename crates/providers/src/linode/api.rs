//! Linode's own words: wire structs, and one function per call.
//!
//! Unknown fields are ignored, since real answers hold more than the description allows, and most known ones may be
//! absent or null.

use std::borrow::Cow;

use capsule_core::http::{Call, Client, Reply, page, redact};
use capsule_core::{Bodied, Error, ErrorKind, RawBody, Result, Retry};
use http::header::{HeaderName, HeaderValue};
use rust_decimal::Decimal;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

/// The most that a page can hold.
const PAGE_SIZE: u64 = 500;

/// More pages than this no account has: the answer that tells of them is wrong.
const MOST_PAGES: u64 = 10_000;

/// The buckets of the routes that have limits of their own.
pub(super) const LISTS: &str = "lists";
/// See [`LISTS`].
pub(super) const IMAGES: &str = "images";
/// See [`LISTS`].
pub(super) const CREATES: &str = "creates";

/// What a list is filtered by, as JSON.
static FILTER: HeaderName = HeaderName::from_static("x-filter");

/// A server.
#[derive(Debug, Deserialize)]
pub(super) struct Linode<'a> {
    pub(super) id: u64,
    #[serde(borrow, default)]
    pub(super) label: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) status: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) region: Cow<'a, str>,
    /// The plan; null for a few old or special ones.
    #[serde(rename = "type")]
    pub(super) plan: Option<String>,
    /// Null where it was made without one.
    pub(super) image: Option<String>,
    /// Public and private ones, told apart by their range alone.
    pub(super) ipv4: Option<Vec<String>>,
    /// One address with its prefix: `2600:3c00::1/128`.
    pub(super) ipv6: Option<String>,
    pub(super) tags: Option<Vec<String>>,
    /// UTC without saying so: `2018-01-01T00:01:01`.
    pub(super) created: Option<String>,
}

/// Whose key it is.
#[derive(Debug, Deserialize)]
pub(super) struct Profile {
    pub(super) username: String,
    pub(super) email: Option<String>,
    /// Whether the user has only the rights that were granted.
    pub(super) restricted: Option<bool>,
}

/// What the account owes, in US dollars.
#[derive(Debug, Deserialize)]
pub(super) struct Account {
    /// Above zero is owed.
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) balance: Option<Decimal>,
    /// The vendor's own estimate of the running month's invoice, without transfer.
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) balance_uninvoiced: Option<Decimal>,
}

/// The traffic of the running month, in GB: the pool of all regions that have none of their own.
#[derive(Debug, Deserialize)]
pub(super) struct Transfer {
    pub(super) used: Option<u64>,
    pub(super) quota: Option<u64>,
    /// Of `used`, beyond `quota`.
    pub(super) billable: Option<u64>,
    pub(super) region_transfers: Option<Vec<RegionTransfer>>,
}

/// The same of a region with a pool of its own.
#[derive(Debug, Deserialize)]
pub(super) struct RegionTransfer {
    pub(super) id: Option<String>,
    pub(super) billable: Option<u64>,
}

/// What a restricted user may do.
#[derive(Debug, Deserialize)]
pub(super) struct Grants {
    pub(super) global: Option<GlobalGrants>,
}

/// What a restricted user may do to the account as a whole.
#[derive(Debug, Deserialize)]
pub(super) struct GlobalGrants {
    pub(super) add_linodes: Option<bool>,
}

/// A plan.
#[derive(Debug, Deserialize)]
pub(super) struct Type {
    pub(super) id: String,
    pub(super) label: Option<String>,
    pub(super) vcpus: u32,
    /// MiB.
    pub(super) memory: u64,
    /// MiB.
    pub(super) disk: u64,
    /// GB a month; the description says MB.
    pub(super) transfer: Option<u64>,
    pub(super) gpus: Option<u32>,
    pub(super) price: Option<Price>,
    pub(super) region_prices: Option<Vec<RegionPrice>>,
}

/// US dollars, read as text.
#[derive(Debug, Deserialize)]
pub(super) struct Price {
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) hourly: Option<Decimal>,
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) monthly: Option<Decimal>,
}

/// The price in a region where it differs from [`Type::price`].
#[derive(Debug, Deserialize)]
pub(super) struct RegionPrice {
    pub(super) id: String,
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) hourly: Option<Decimal>,
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) monthly: Option<Decimal>,
}

/// A place.
#[derive(Debug, Deserialize)]
pub(super) struct Region {
    pub(super) id: String,
    pub(super) label: Option<String>,
    pub(super) country: Option<String>,
    pub(super) capabilities: Option<Vec<String>>,
    /// `ok` or `outage`.
    pub(super) status: Option<String>,
    /// `core` or `distributed`.
    pub(super) site_type: Option<String>,
}

/// Whether there are servers of a plan in a region. Only some plans are listed.
#[derive(Debug, Deserialize)]
pub(super) struct Availability {
    pub(super) region: String,
    pub(super) plan: String,
    pub(super) available: bool,
}

/// An operating system image.
#[derive(Debug, Deserialize)]
pub(super) struct Image {
    pub(super) id: String,
    pub(super) label: Option<String>,
    /// Holds `cloud-init` where it reads user-data.
    pub(super) capabilities: Option<Vec<String>>,
    pub(super) deprecated: Option<bool>,
    /// `creating`, `pending_upload` or `available`.
    pub(super) status: Option<String>,
}

/// The body of a create. It has no Debug: it holds a password, and user-data may hold more.
#[derive(Serialize)]
pub(super) struct NewLinode<'a> {
    pub(super) label: &'a str,
    pub(super) region: &'a str,
    #[serde(rename = "type")]
    pub(super) plan: &'a str,
    pub(super) image: &'a str,
    /// The vendor wants one with every image.
    #[serde(serialize_with = "exposed")]
    pub(super) root_pass: &'a SecretString,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) authorized_keys: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) authorized_users: Vec<&'a str>,
    pub(super) tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<Metadata>,
    pub(super) booted: bool,
    /// MiB; 0 for no second disk.
    pub(super) swap_size: u32,
}

/// What the new server can ask its host for.
#[derive(Serialize)]
pub(super) struct Metadata {
    /// In base64.
    pub(super) user_data: String,
}

fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

/// A configuration profile: what a server boots, and how.
#[derive(Debug, Deserialize)]
pub(super) struct Config {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) kernel: Option<String>,
    #[serde(default)]
    pub(super) helpers: Option<Helpers>,
}

/// What the host does to a server's disk before it boots.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(super) struct Helpers {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) devtmpfs_automount: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) distro: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) modules_dep: Option<bool>,
    /// Network Helper. Null where the server has interfaces of the newer kind, which have a setting of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) network: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) updatedb_disabled: Option<bool>,
}

/// The body that changes a profile; what it leaves out stays.
#[derive(Debug, Serialize)]
pub(super) struct ConfigChange {
    pub(super) kernel: &'static str,
    pub(super) helpers: Helpers,
}

/// What a server's power can be told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Job {
    Boot,
    Shutdown,
    Reboot,
}

/// A filter of servers: one field and what it must be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Filter<'a> {
    Label(&'a str),
    Tag(&'a str),
}

impl Filter<'_> {
    /// The header's JSON. All of it is ASCII: labels and tags are checked, and our own.
    fn header(self) -> Option<HeaderValue> {
        let filter = match self {
            Filter::Label(label) => serde_json::json!({ "label": label }),
            Filter::Tag(tag) => serde_json::json!({ "tags": tag }),
        };
        HeaderValue::from_str(&filter.to_string()).ok()
    }
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

    /// The user, and the scopes of the token where the answer names them.
    ///
    /// <https://techdocs.akamai.com/linode-api/reference/get-profile>
    pub(super) async fn profile(&self) -> Result<(Profile, Option<String>)> {
        let reply = self.client.send(Call::get("profile.get", "/profile")).await?;
        let scopes = reply.headers.get("x-oauth-scopes").and_then(|value| value.to_str().ok()).map(str::to_owned);
        Ok((reply.json()?, scopes))
    }

    /// The rights of a restricted user; `None` for one who may do everything.
    ///
    /// <https://techdocs.akamai.com/linode-api/reference/get-profile-grants>
    pub(super) async fn grants(&self) -> Result<Option<Grants>> {
        self.client.send(Call::get("profile.grants", "/profile/grants")).await?.json()
    }

    /// <https://techdocs.akamai.com/linode-api/reference/get-account>
    pub(super) async fn account(&self) -> Result<Account> {
        self.client.send(Call::get("account.get", "/account")).await?.json()
    }

    /// What went over the network in the running month.
    ///
    /// <https://techdocs.akamai.com/linode-api/reference/get-transfer>
    pub(super) async fn transfer(&self) -> Result<Transfer> {
        self.client.send(Call::get("account.transfer", "/account/transfer")).await?.json()
    }

    /// <https://techdocs.akamai.com/linode-api/reference/get-regions>
    pub(super) async fn regions(&self) -> Result<Vec<Region>> {
        self.list("regions", Call::get("regions.list", "/regions").bucket(LISTS), every).await
    }

    /// <https://techdocs.akamai.com/linode-api/reference/get-regions-availability>
    pub(super) async fn availability(&self) -> Result<Vec<Availability>> {
        let call = Call::get("regions.availability", "/regions/availability").bucket(LISTS);
        self.list("plans in stock", call, every).await
    }

    /// <https://techdocs.akamai.com/linode-api/reference/get-linode-types>
    pub(super) async fn types(&self) -> Result<Vec<Type>> {
        self.list("types", Call::get("types.list", "/linode/types").bucket(LISTS), every).await
    }

    /// The vendor's images and the account's own.
    ///
    /// <https://techdocs.akamai.com/linode-api/reference/get-images>
    pub(super) async fn images(&self) -> Result<Vec<Image>> {
        self.list("images", Call::get("images.list", "/images").bucket(IMAGES), every).await
    }

    /// Every server that the filter lets through, turned into `T` page by page, so that no page outlives its turn.
    ///
    /// <https://techdocs.akamai.com/linode-api/reference/get-linode-instances>
    pub(super) async fn linodes<T: Send>(
        &self,
        filter: Option<Filter<'_>>,
        turn: impl Fn(Linode<'_>, RawBody) -> T + Sync,
    ) -> Result<Vec<T>> {
        let call = Call::get("instances.list", "/linode/instances").bucket(LISTS);
        let call = match filter.and_then(Filter::header) {
            Some(filter) => call.header(FILTER.clone(), filter),
            None => call,
        };
        self.list("servers", call, |body| match self.lean {
            true => read(body, |linode| turn(linode, RawBody::empty())),
            false => read(body, |Bodied(linode, raw)| turn(linode, RawBody::new(raw.to_owned()))),
        })
        .await
    }

    /// One server, `None` where the vendor answers 404.
    ///
    /// <https://techdocs.akamai.com/linode-api/reference/get-linode-instance>
    pub(super) async fn linode<T>(&self, id: u64, turn: impl Fn(Linode<'_>, RawBody) -> T) -> Result<Option<T>> {
        match self.client.send(Call::get("instances.get", format!("/linode/instances/{id}"))).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            answered => one(&answered?, turn).map(Some),
        }
    }

    /// Orders a server. The one call that costs money, sent at most once from here.
    ///
    /// <https://techdocs.akamai.com/linode-api/reference/post-linode-instance>
    pub(super) async fn create<T>(&self, body: &NewLinode<'_>, turn: impl Fn(Linode<'_>, RawBody) -> T) -> Result<T> {
        let call = Call::post("instances.create", "/linode/instances").bucket(CREATES).json(body);
        one(&self.client.send(call).await?, turn)
    }

    /// Replaces a server's tags.
    ///
    /// <https://techdocs.akamai.com/linode-api/reference/put-linode-instance>
    pub(super) async fn retag(&self, id: u64, tags: &[String]) -> Result<()> {
        let call = Call::put("instances.update", format!("/linode/instances/{id}"));
        self.client.send(call.json(&serde_json::json!({ "tags": tags }))).await.map(drop)
    }

    /// <https://techdocs.akamai.com/linode-api/reference/delete-linode-instance>
    pub(super) async fn delete(&self, id: u64) -> Result<()> {
        self.client.send(Call::delete("instances.delete", format!("/linode/instances/{id}"))).await.map(drop)
    }

    /// Queues a job, without a body: `shutdown` takes none. Only a reboot does more when it is done twice.
    ///
    /// <https://techdocs.akamai.com/linode-api/reference/post-boot-linode-instance>,
    /// <https://techdocs.akamai.com/linode-api/reference/post-shutdown-linode-instance>,
    /// <https://techdocs.akamai.com/linode-api/reference/post-reboot-linode-instance>
    pub(super) async fn run(&self, id: u64, job: Job) -> Result<()> {
        let call = match job {
            Job::Boot => Call::post("instances.boot", format!("/linode/instances/{id}/boot")).idempotent(),
            Job::Shutdown => Call::post("instances.shutdown", format!("/linode/instances/{id}/shutdown")).idempotent(),
            Job::Reboot => Call::post("instances.reboot", format!("/linode/instances/{id}/reboot")),
        };
        self.client.send(call).await.map(drop)
    }

    /// The configuration profiles of a server.
    ///
    /// <https://techdocs.akamai.com/linode-api/reference/get-linode-configs>
    pub(super) async fn configs(&self, id: u64) -> Result<Vec<Config>> {
        let call = Call::get("configs.list", format!("/linode/instances/{id}/configs")).bucket(LISTS);
        self.list("configuration profiles", call, every).await
    }

    /// It takes effect at the next boot.
    ///
    /// <https://techdocs.akamai.com/linode-api/reference/put-linode-config>
    pub(super) async fn update_config(&self, id: u64, config: u64, change: &ConfigChange) -> Result<()> {
        let call = Call::put("configs.update", format!("/linode/instances/{id}/configs/{config}")).json(change);
        self.client.send(call).await.map(drop)
    }

    /// All pages of a list, the first one first and the others at once.
    pub(super) async fn list<T: Send>(
        &self,
        what: &str,
        call: Call,
        read: impl Fn(&[u8]) -> serde_json::Result<Page<T>> + Sync,
    ) -> Result<Vec<T>> {
        let (operation, fetch) = (call.operation(), |number| self.page(call.clone(), number, &read));
        let wrong = |message: String| {
            Error::new(ErrorKind::Protocol, message)
                .with_provider(&super::DESCRIPTOR.id)
                .with_operation(operation)
                .with_retry(Retry::Backoff)
        };
        let first = fetch(1).await?;
        let last = first.last;
        if last > MOST_PAGES {
            return Err(wrong(format!("Linode tells of {last} pages of {what}, so the list is not read.")));
        }
        let one = |number| async move { Ok(vec![fetch(number).await?]) };
        let mut pages = page::numbered(what, vec![first], last, one).await?;
        // A list that grew meanwhile has pages that the first one did not know of.
        while pages.last().is_some_and(|page| page.last > pages.len() as u64 && !page.items.is_empty()) {
            let number = pages.len() as u64 + 1;
            pages.push(fetch(number).await.map_err(|error| page::page_failed(what, number, None, error))?);
        }
        let arrived: usize = pages.iter().map(|page| page.items.len()).sum();
        let told = pages.iter().map(|page| page.total).min().unwrap_or(0);
        if (arrived as u64) < told {
            return Err(wrong(format!("Only {arrived} of {told} {what} arrived, so the list is not shown.")));
        }
        Ok(page::joined(pages.into_iter().map(|page| page.items), arrived))
    }

    async fn page<T>(
        &self,
        call: Call,
        number: u64,
        read: &(impl Fn(&[u8]) -> serde_json::Result<Page<T>> + Sync),
    ) -> Result<Page<T>> {
        let reply = self.client.send(call.query("page", number).query("page_size", PAGE_SIZE)).await?;
        read(&reply.body).map_err(|error| unreadable(&reply, &error))
    }
}

/// Reads a page item by item.
fn read<'a, I: Deserialize<'a>, T>(body: &'a [u8], turn: impl Fn(I) -> T) -> serde_json::Result<Page<T>> {
    let List { data, pages, results } = serde_json::from_slice::<List<I>>(body)?;
    let items = data.into_iter().map(turn).collect();
    Ok(Page { items, last: pages.unwrap_or(1), total: results.unwrap_or(0) })
}

/// Reads a page of which all is wanted.
pub(super) fn every<T: for<'a> Deserialize<'a>>(body: &[u8]) -> serde_json::Result<Page<T>> {
    read(body, |item| item)
}

/// One page of a list, read.
pub(super) struct Page<T> {
    items: Vec<T>,
    last: u64,
    total: u64,
}

/// One page of any list as it comes.
#[derive(Deserialize)]
struct List<I> {
    data: Vec<I>,
    pages: Option<u64>,
    results: Option<u64>,
}

/// A server that stands alone in an answer.
fn one<T>(reply: &Reply, turn: impl Fn(Linode<'_>, RawBody) -> T) -> Result<T> {
    let raw: &RawValue = reply.json()?;
    let linode = serde_json::from_str(raw.get()).map_err(|error| unreadable(reply, &error))?;
    Ok(turn(linode, RawBody::new(raw.to_owned())))
}

fn unreadable(reply: &Reply, error: &serde_json::Error) -> Error {
    reply.protocol(format!("an item that Capsule cannot read ({})", redact::json_fault(error)))
}
