//! DigitalOcean's own words: wire structs, and one function per call.
//!
//! Unknown fields are ignored and most known ones may be absent or null: a key without some read right gets replies in
//! which the nested parts are simply empty.

use std::borrow::Cow;

use capsule_core::http::{Call, Client, page};
use capsule_core::{Bodied, Error, ErrorKind, RawBody, Result, Retry};
use rust_decimal::Decimal;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The most that a page can hold.
const PER_PAGE: u64 = 200;

/// More pages than this no account has: the answer that tells of them is wrong.
const MOST_PAGES: u64 = 10_000;

/// The bucket of the list of ssh keys, which has a limit of its own.
pub(super) const KEYS: &str = "keys";

/// A server.
#[derive(Debug, Deserialize)]
pub(super) struct Droplet<'a> {
    pub(super) id: u64,
    #[serde(borrow, default)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) status: Cow<'a, str>,
    pub(super) locked: Option<bool>,
    #[serde(borrow)]
    pub(super) created_at: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) size_slug: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) region: Option<Named<'a>>,
    #[serde(borrow)]
    pub(super) image: Option<Named<'a>>,
    #[serde(borrow)]
    pub(super) networks: Option<Networks<'a>>,
    #[serde(borrow)]
    pub(super) tags: Option<Vec<Cow<'a, str>>>,
    pub(super) gpu_info: Option<IgnoredAny>,
}

impl Droplet<'_> {
    /// Whether it has graphics processors.
    fn has_gpu(&self) -> bool {
        self.gpu_info.is_some() || self.size_slug.as_deref().is_some_and(|slug| slug.starts_with("gpu-"))
    }
}

/// Something of which only the slug matters, or the number where it has none.
#[derive(Debug, Deserialize)]
pub(super) struct Named<'a> {
    pub(super) id: Option<u64>,
    #[serde(borrow)]
    pub(super) slug: Option<Cow<'a, str>>,
}

/// The addresses of a droplet: both lists are empty at first.
#[derive(Debug, Deserialize)]
pub(super) struct Networks<'a> {
    #[serde(borrow)]
    pub(super) v4: Option<Vec<Address<'a>>>,
    #[serde(borrow)]
    pub(super) v6: Option<Vec<Address<'a>>>,
}

/// One address.
#[derive(Debug, Deserialize)]
pub(super) struct Address<'a> {
    #[serde(borrow)]
    pub(super) ip_address: Cow<'a, str>,
    /// `public` or `private`.
    #[serde(borrow, rename = "type")]
    pub(super) scope: Cow<'a, str>,
}

/// A change under way, or done.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Action {
    pub(super) id: u64,
    /// `in-progress`, `completed` or `errored`.
    pub(super) status: String,
    /// `create`, `power_on`, `resize` ...
    #[serde(rename = "type")]
    pub(super) what: String,
}

/// Whose key it is.
#[derive(Debug, Deserialize)]
pub(super) struct Account {
    pub(super) uuid: String,
    pub(super) email: Option<String>,
    pub(super) status: Option<String>,
    pub(super) status_message: Option<String>,
    pub(super) droplet_limit: Option<u64>,
    pub(super) team: Option<Team>,
}

/// What the account owes. US dollars as text.
#[derive(Debug, Deserialize)]
pub(super) struct Balance {
    /// Above zero is owed, by the description's example.
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) account_balance: Option<Decimal>,
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) month_to_date_usage: Option<Decimal>,
    /// When it was reckoned: not at every request.
    pub(super) generated_at: Option<String>,
}

/// The invoice of the running month, as far as it is.
#[derive(Debug, Deserialize)]
pub(super) struct InvoicePreview {
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) amount: Option<Decimal>,
    /// `2020-01`.
    pub(super) invoice_period: Option<String>,
}

/// The team that a key works for.
#[derive(Debug, Deserialize)]
pub(super) struct Team {
    pub(super) uuid: Option<String>,
    pub(super) name: Option<String>,
}

/// A plan. Prices are JSON numbers with float noise and are read as text.
#[derive(Debug, Deserialize)]
pub(super) struct Size {
    pub(super) slug: String,
    /// MiB.
    pub(super) memory: u64,
    pub(super) vcpus: u32,
    /// GiB.
    pub(super) disk: u64,
    /// TB a month; may have a fraction.
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) transfer: Option<Decimal>,
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) price_hourly: Option<Decimal>,
    #[serde(with = "capsule_core::money::decimal_text::option", default)]
    pub(super) price_monthly: Option<Decimal>,
    pub(super) regions: Option<Vec<String>>,
    pub(super) available: Option<bool>,
    pub(super) description: Option<String>,
    pub(super) gpu_info: Option<GpuInfo>,
}

/// The graphics processors of a plan.
#[derive(Debug, Deserialize)]
pub(super) struct GpuInfo {
    pub(super) count: Option<u32>,
    pub(super) model: Option<String>,
}

/// A place.
#[derive(Debug, Deserialize)]
pub(super) struct Region {
    pub(super) slug: String,
    pub(super) name: Option<String>,
    pub(super) available: Option<bool>,
}

/// An operating system image, as listed.
#[derive(Debug, Deserialize)]
pub(super) struct Image {
    pub(super) id: Option<u64>,
    /// Null for what users made themselves.
    pub(super) slug: Option<String>,
    pub(super) name: Option<String>,
    pub(super) distribution: Option<String>,
    pub(super) regions: Option<Vec<String>>,
    pub(super) status: Option<String>,
}

/// A public key that the account holds.
#[derive(Debug, Deserialize)]
pub(super) struct Key {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) name: String,
    pub(super) public_key: String,
}

/// A word that droplets and other things carry. It stays when the last of them is gone.
#[derive(Debug, Deserialize)]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) resources: Option<Carriers>,
}

/// How many things carry a tag.
#[derive(Debug, Deserialize)]
pub(super) struct Carriers {
    pub(super) count: Option<u64>,
}

/// What the vendor takes as a number or as a word: an image, an ssh key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Ident {
    Number(u64),
    Word(String),
}

/// The body of a create: `name` for one droplet, `names` for several.
#[derive(Debug, Serialize)]
pub(super) struct NewDroplets<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) names: Option<&'a [String]>,
    pub(super) region: &'a str,
    pub(super) size: &'a str,
    pub(super) image: Ident,
    pub(super) ssh_keys: Vec<Ident>,
    pub(super) tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_data: Option<&'a str>,
    pub(super) ipv6: bool,
}

/// Which droplets to list. The vendor combines none of these.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which<'a> {
    /// All without graphics processors.
    Plain,
    /// Those with graphics processors alone.
    Gpus,
    /// Those that carry this tag.
    Tagged(&'a str),
}

/// The calls.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) client: Client,
    /// Whether lists leave the bodies out.
    lean: bool,
}

impl Api {
    pub(super) fn new(client: Client, lean: bool) -> Self {
        Api { client, lean }
    }

    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/account_get>
    pub(super) async fn account(&self) -> Result<Account> {
        #[derive(Deserialize)]
        struct Body {
            account: Account,
        }
        Ok(self.client.send(Call::get("account.get", "/account")).await?.json::<Body>()?.account)
    }

    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/balance_get>
    pub(super) async fn balance(&self) -> Result<Balance> {
        self.client.send(Call::get("balance.get", "/customers/my/balance")).await?.json()
    }

    /// The invoice of the running month, which comes with any page of the written ones.
    ///
    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/invoices_list>
    pub(super) async fn invoice_preview(&self) -> Result<Option<InvoicePreview>> {
        #[derive(Deserialize)]
        struct Body {
            invoice_preview: Option<InvoicePreview>,
        }
        let call = Call::get("invoices.list", "/customers/my/invoices").query("page", 1).query("per_page", 1);
        Ok(self.client.send(call).await?.json::<Body>()?.invoice_preview)
    }

    /// How many droplets there are, without reading them.
    pub(super) async fn droplet_count(&self) -> Result<Option<u64>> {
        let call = Call::get("droplets.list", "/droplets").query("page", 1).query("per_page", 1);
        Ok(self.client.send(call).await?.json::<List<IgnoredAny>>()?.meta.and_then(|meta| meta.total))
    }

    /// Every droplet of a listing, turned into `T` page by page, so that no page outlives its turn.
    ///
    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/droplets_list>
    pub(super) async fn droplets<T: Send>(
        &self,
        which: Which<'_>,
        turn: impl Fn(Droplet<'_>, RawBody) -> T + Sync,
    ) -> Result<Vec<T>> {
        let call = Call::get("droplets.list", "/droplets");
        let (what, call, gpus_only) = match which {
            Which::Plain => ("droplets", call, false),
            Which::Gpus => ("GPU droplets", call.query("type", "gpus"), true),
            Which::Tagged(tag) => ("tagged droplets", call.query("tag_name", tag), false),
        };
        let wanted = |droplet: &Droplet<'_>| !gpus_only || droplet.has_gpu();
        self.list(what, call, |body| match self.lean {
            true => read(body, |droplet| wanted(&droplet).then(|| turn(droplet, RawBody::empty()))),
            false => {
                read(body, |Bodied(droplet, raw)| wanted(&droplet).then(|| turn(droplet, RawBody::new(raw.to_owned()))))
            }
        })
        .await
    }

    /// One droplet, `None` where the vendor answers 404.
    ///
    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/droplets_get>
    pub(super) async fn droplet<T>(&self, id: u64, turn: impl Fn(Droplet<'_>, RawBody) -> T) -> Result<Option<T>> {
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(borrow)]
            droplet: &'a RawValue,
        }
        let reply = match self.client.send(Call::get("droplets.get", format!("/droplets/{id}"))).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            answered => answered?,
        };
        let raw = reply.json::<Body<'_>>()?.droplet;
        let droplet = serde_json::from_str(raw.get()).map_err(|error| unreadable(&reply, &error))?;
        Ok(Some(turn(droplet, RawBody::new(raw.to_owned()))))
    }

    /// Orders droplets. The one call that costs money, sent at most once from here.
    ///
    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/droplets_create>
    pub(super) async fn create_droplets<T>(
        &self,
        body: &NewDroplets<'_>,
        turn: impl Fn(Droplet<'_>, RawBody) -> T,
    ) -> Result<Vec<T>> {
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(borrow)]
            droplet: Option<&'a RawValue>,
            #[serde(borrow)]
            droplets: Option<Vec<&'a RawValue>>,
        }
        let reply = self.client.send(Call::post("droplets.create", "/droplets").json(body)).await?;
        let made: Body<'_> = reply.json()?;
        let made: Vec<_> = made.droplet.into_iter().chain(made.droplets.into_iter().flatten()).collect();
        let ordered = body.names.map_or(1, <[String]>::len);
        if made.len() != ordered {
            return Err(reply.protocol(format!("{} droplets for the {ordered} ordered", made.len())));
        }
        made.into_iter()
            .map(|raw| {
                let droplet = serde_json::from_str(raw.get()).map_err(|error| unreadable(&reply, &error))?;
                Ok(turn(droplet, RawBody::new(raw.to_owned())))
            })
            .collect()
    }

    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/droplets_destroy>
    pub(super) async fn delete_droplet(&self, id: u64) -> Result<()> {
        self.client.send(Call::delete("droplets.delete", format!("/droplets/{id}"))).await.map(drop)
    }

    /// Starts a bare action such as `power_on`. Only a reboot does more when it is done twice.
    ///
    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/dropletActions_post>
    pub(super) async fn act(&self, id: u64, what: &str) -> Result<Action> {
        let call =
            Call::post("droplets.action", format!("/droplets/{id}/actions")).json(&serde_json::json!({ "type": what }));
        let call = if what == "reboot" { call } else { call.idempotent() };
        Ok(self.client.send(call).await?.json::<ActionBody>()?.action)
    }

    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/actions_get>
    pub(super) async fn action(&self, id: u64) -> Result<Action> {
        let reply = self.client.send(Call::get("actions.get", format!("/actions/{id}"))).await?;
        Ok(reply.json::<ActionBody>()?.action)
    }

    /// The newest action of a droplet. The vendor states no order, so the highest id of the first page it is.
    ///
    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/dropletActions_list>
    pub(super) async fn newest_action(&self, id: u64) -> Result<Option<Action>> {
        #[derive(Deserialize)]
        struct Body {
            actions: Vec<Action>,
        }
        let call = Call::get("droplets.actions", format!("/droplets/{id}/actions")).query("per_page", PER_PAGE);
        let actions = self.client.send(call).await?.json::<Body>()?.actions;
        Ok(actions.into_iter().max_by_key(|action| action.id))
    }

    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/sshKeys_list>
    pub(super) async fn keys(&self) -> Result<Vec<Key>> {
        self.list("ssh keys", Call::get("keys.list", "/account/keys").bucket(KEYS), every).await
    }

    /// Adds a public key. The vendor holds each key once, so a second try makes no second one.
    ///
    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/sshKeys_create>
    pub(super) async fn create_key(&self, name: &str, public_key: &str) -> Result<Key> {
        #[derive(Deserialize)]
        struct Body {
            ssh_key: Key,
        }
        let body = serde_json::json!({ "name": name, "public_key": public_key });
        let call = Call::post("keys.create", "/account/keys").idempotent().json(&body);
        Ok(self.client.send(call).await?.json::<Body>()?.ssh_key)
    }

    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/sshKeys_delete>
    pub(super) async fn delete_key(&self, id: u64) -> Result<()> {
        self.client.send(Call::delete("keys.delete", format!("/account/keys/{id}"))).await.map(drop)
    }

    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/tags_list>
    pub(super) async fn tags(&self) -> Result<Vec<Tag>> {
        self.list("tags", Call::get("tags.list", "/tags"), every).await
    }

    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/tags_get>
    pub(super) async fn tag(&self, name: &str) -> Result<Tag> {
        #[derive(Deserialize)]
        struct Body {
            tag: Tag,
        }
        Ok(self.client.send(Call::get("tags.get", format!("/tags/{name}"))).await?.json::<Body>()?.tag)
    }

    /// A tag that nothing carries yet. Whether one that is there already is refused is not documented.
    ///
    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/tags_create>
    pub(super) async fn create_tag(&self, name: &str) -> Result<()> {
        let call = Call::post("tags.create", "/tags").idempotent().json(&serde_json::json!({ "name": name }));
        self.client.send(call).await.map(drop)
    }

    /// Puts a tag that is there on a droplet, beside those that it has.
    ///
    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/tags_assign_resources>
    pub(super) async fn tag_droplet(&self, name: &str, id: u64) -> Result<()> {
        let resources = serde_json::json!([{ "resource_id": id.to_string(), "resource_type": "droplet" }]);
        let call = Call::post("tags.attach", format!("/tags/{name}/resources")).idempotent();
        self.client.send(call.json(&serde_json::json!({ "resources": resources }))).await.map(drop)
    }

    /// Takes the tag from all that carries it, and away.
    ///
    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/tags_delete>
    pub(super) async fn delete_tag(&self, name: &str) -> Result<()> {
        self.client.send(Call::delete("tags.delete", format!("/tags/{name}"))).await.map(drop)
    }

    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/sizes_list>
    pub(super) async fn sizes(&self) -> Result<Vec<Size>> {
        self.list("sizes", Call::get("sizes.list", "/sizes"), every).await
    }

    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/regions_list>
    pub(super) async fn regions(&self) -> Result<Vec<Region>> {
        self.list("regions", Call::get("regions.list", "/regions"), every).await
    }

    /// Plain operating systems, without applications and what users made themselves.
    ///
    /// <https://docs.digitalocean.com/reference/api/digitalocean/#operation/images_list>
    pub(super) async fn images(&self) -> Result<Vec<Image>> {
        self.list("images", Call::get("images.list", "/images").query("type", "distribution"), every).await
    }

    /// All pages of a list, the first one first and the others at once.
    pub(super) async fn list<T: Send>(
        &self,
        what: &str,
        call: Call,
        read: impl Fn(&[u8]) -> serde_json::Result<Page<T>> + Sync,
    ) -> Result<Vec<T>> {
        let (operation, fetch) = (call.operation(), |number| self.page(call.clone(), number, &read));
        let first = fetch(1).await?;
        if first.items.is_empty() && first.skipped > 0 {
            // Nothing of what was asked for: this server does not know the filter, and its other pages hold no more.
            return Ok(Vec::new());
        }
        let last = first.last.unwrap_or_else(|| first.total.unwrap_or(0).div_ceil(PER_PAGE));
        let wrong = |message: String| {
            Error::new(ErrorKind::Protocol, message)
                .with_provider(&super::DESCRIPTOR.id)
                .with_operation(operation)
                .with_retry(Retry::Backoff)
        };
        if last > MOST_PAGES {
            return Err(wrong(format!("DigitalOcean tells of {last} pages of {what}, so the list is not read.")));
        }
        let one = |number| async move { Ok(vec![fetch(number).await?]) };
        let mut pages = page::numbered(what, vec![first], last, one).await?;
        // A list that grew meanwhile has pages that the first one did not know of.
        while let Some(number) = pages.last().filter(|page| !page.items.is_empty()).and_then(|page| page.next) {
            if number != pages.len() as u64 + 1 || number > MOST_PAGES {
                break;
            }
            pages.push(fetch(number).await.map_err(|error| page::page_failed(what, number, None, error))?);
        }
        let arrived: usize = pages.iter().map(|page| page.items.len() + page.skipped).sum();
        let told = pages.iter().filter_map(|page| page.total).min().unwrap_or(0);
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
        let reply = self.client.send(call.query("page", number).query("per_page", PER_PAGE)).await?;
        read(&reply.body).map_err(|error| unreadable(&reply, &error))
    }
}

/// Reads a page item by item; `turn` leaves out what is not wanted.
fn read<'a, I: Deserialize<'a>, T>(body: &'a [u8], turn: impl Fn(I) -> Option<T>) -> serde_json::Result<Page<T>> {
    let List { items: listed, links, meta } = serde_json::from_slice::<List<I>>(body)?;
    let arrived = listed.len();
    let items: Vec<T> = listed.into_iter().filter_map(turn).collect();
    let pages = links.and_then(|links| links.pages).unwrap_or_default();
    Ok(Page {
        skipped: arrived - items.len(),
        items,
        total: meta.and_then(|meta| meta.total),
        next: pages.next.as_deref().and_then(page_number),
        last: pages.last.as_deref().and_then(page_number),
    })
}

/// Reads a page of which all is wanted.
pub(super) fn every<T: for<'a> Deserialize<'a>>(body: &[u8]) -> serde_json::Result<Page<T>> {
    read(body, Some)
}

/// One page of a list, read.
pub(super) struct Page<T> {
    items: Vec<T>,
    skipped: usize,
    total: Option<u64>,
    next: Option<u64>,
    last: Option<u64>,
}

/// One page of any list as it comes: the items stand under the resource's own name.
#[derive(Deserialize)]
struct List<I> {
    #[serde(
        alias = "droplets",
        alias = "ssh_keys",
        alias = "sizes",
        alias = "regions",
        alias = "images",
        alias = "tags",
        alias = "invoices",
        alias = "invoice_items"
    )]
    items: Vec<I>,
    links: Option<Links>,
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Links {
    pages: Option<Pages>,
}

#[derive(Default, Deserialize)]
struct Pages {
    next: Option<String>,
    last: Option<String>,
}

#[derive(Deserialize)]
struct Meta {
    total: Option<u64>,
}

#[derive(Deserialize)]
struct ActionBody {
    action: Action,
}

fn unreadable(reply: &capsule_core::http::Reply, error: &serde_json::Error) -> Error {
    reply.protocol(format!("an item that Capsule cannot read ({error})"))
}

/// The number in a page's link. Links name the vendor's public host; a proxy or another endpoint must not be bypassed.
fn page_number(link: &str) -> Option<u64> {
    let (_, query) = link.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix("page="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_numbers_are_read_from_links() {
        for (link, number) in [
            ("https://api.digitalocean.com/v2/droplets?page=2&per_page=200", Some(2)),
            ("https://api.digitalocean.com/v2/droplets?per_page=200&page=50", Some(50)),
            ("https://api.digitalocean.com/v2/droplets?per_page=200", None),
            ("nonsense", None),
        ] {
            assert_eq!(page_number(link), number, "{link}");
        }
    }

    #[test]
    fn one_create_names_one_or_many() {
        let body = |name, names| NewDroplets {
            name,
            names,
            region: "nyc3",
            size: "s-1vcpu-1gb",
            image: Ident::Word("ubuntu-24-04-x64".into()),
            ssh_keys: vec![Ident::Number(7)],
            tags: vec!["env:prod".into()],
            user_data: None,
            ipv6: true,
        };
        let names = ["a".to_owned(), "b".to_owned()];
        assert_eq!(
            serde_json::to_value(body(Some("a"), None)).unwrap(),
            serde_json::json!({"name": "a", "region": "nyc3", "size": "s-1vcpu-1gb", "image": "ubuntu-24-04-x64",
                "ssh_keys": [7], "tags": ["env:prod"], "ipv6": true})
        );
        let many = serde_json::to_value(body(None, Some(&names))).unwrap();
        assert_eq!((many.get("name"), &many["names"]), (None, &serde_json::json!(["a", "b"])));
    }
}
