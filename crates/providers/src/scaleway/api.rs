//! Scaleway's words: wire structs as its APIs write them, and one function per call. Nothing here knows our vocabulary.
//!
//! References: <https://www.scaleway.com/en/developers/api/instances/>, `.../block/`, `.../marketplace/`, `.../iam/`.
//! A zone or id that comes from outside is encoded into its path.

use std::borrow::Cow;
use std::collections::BTreeMap;

use capsule_core::http::{Call, Client, Reply, encode, page, redact};
use capsule_core::{Bodied, Error, ErrorKind, InstanceId, RawBody, Result, Retry};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The largest page that any of these APIs gives.
const PAGE: u64 = 100;
/// More than a million things are not a list but a broken answer.
const MOST_PAGES: u64 = 10_000;

/// A server, called Instance by the vendor. Borrows from the page that it stands on.
#[derive(Debug, Deserialize)]
pub(super) struct Server<'a> {
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) state: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) state_detail: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) commercial_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) creation_date: Option<Cow<'a, str>>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) image: Option<ServerImage>,
    pub(super) public_ips: Option<Vec<Ip>>,
    /// The older field for one address; null under routed IPs.
    pub(super) public_ip: Option<Ip>,
    pub(super) private_ip: Option<String>,
    /// By slot: `"0"` is the one that it boots from.
    pub(super) volumes: Option<BTreeMap<String, Volume>>,
    pub(super) allowed_actions: Option<Vec<String>>,
    pub(super) protected: Option<bool>,
}

/// The image inside a server.
#[derive(Debug, Deserialize)]
pub(super) struct ServerImage {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
}

/// An address of a server.
#[derive(Debug, Deserialize)]
pub(super) struct Ip {
    pub(super) address: Option<String>,
}

/// A volume inside a server. Of an `sbs_volume` only these are there; the rest is in the block API.
#[derive(Debug, Deserialize)]
pub(super) struct Volume {
    pub(super) id: Option<String>,
    pub(super) volume_type: Option<String>,
}

/// A volume of the block API.
#[derive(Debug, Deserialize)]
pub(super) struct BlockVolume {
    pub(super) id: String,
    pub(super) name: Option<String>,
    /// In bytes.
    pub(super) size: Option<u64>,
    pub(super) status: Option<String>,
    pub(super) tags: Option<Vec<String>>,
    /// Its class and speed, such as `sbs_5k`.
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    /// What it hangs on.
    pub(super) references: Option<Vec<Reference>>,
}

/// What a volume of the block API hangs on.
#[derive(Debug, Deserialize)]
pub(super) struct Reference {
    /// A server's id, where it is one.
    pub(super) product_resource_id: Option<String>,
}

/// A kind of server; its name is the key that it stands under.
#[derive(Debug, Deserialize)]
pub(super) struct ServerType {
    pub(super) ncpus: u32,
    /// In bytes.
    pub(super) ram: u64,
    pub(super) arch: Option<String>,
    /// As it is written: a price that cannot be read is unknown, and the others still count.
    pub(super) hourly_price: Option<Box<RawValue>>,
    pub(super) gpu: Option<u32>,
    pub(super) gpu_info: Option<GpuInfo>,
    pub(super) capabilities: Option<TypeCapabilities>,
    pub(super) end_of_service: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(super) struct GpuInfo {
    pub(super) gpu_name: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TypeCapabilities {
    pub(super) block_storage: Option<bool>,
}

/// Whether a kind of server is left.
#[derive(Debug, Deserialize)]
pub(super) struct Availability {
    pub(super) availability: Option<String>,
}

/// A system of the marketplace: the same label in every zone.
#[derive(Debug, Deserialize)]
pub(super) struct Image {
    pub(super) label: String,
    pub(super) name: Option<String>,
    pub(super) categories: Option<Vec<String>>,
}

/// One build of a marketplace image: for a zone, an architecture and a kind of volume.
#[derive(Debug, Deserialize)]
pub(super) struct LocalImage {
    pub(super) zone: String,
    pub(super) arch: Option<String>,
}

/// A public key of a project.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct SshKey {
    pub(super) id: String,
    pub(super) name: Option<String>,
    pub(super) public_key: String,
    pub(super) fingerprint: Option<String>,
    pub(super) disabled: Option<bool>,
}

/// What an API key says about itself.
#[derive(Debug, Deserialize)]
pub(super) struct ApiKey {
    pub(super) application_id: Option<String>,
    pub(super) user_id: Option<String>,
    pub(super) expires_at: Option<String>,
}

/// The body of a create.
#[derive(Debug, Serialize)]
pub(super) struct NewServer<'a> {
    pub(super) name: &'a str,
    pub(super) commercial_type: &'a str,
    /// A marketplace label, which the vendor turns into the newest build for zone and type, or an image's id.
    pub(super) image: &'a str,
    pub(super) project: &'a str,
    pub(super) tags: &'a [String],
    pub(super) dynamic_ip_required: bool,
    pub(super) volumes: BTreeMap<&'static str, NewVolume>,
}

/// A volume that is made with a server.
#[derive(Debug, Serialize)]
pub(super) struct NewVolume {
    pub(super) name: String,
    /// In bytes.
    pub(super) size: u64,
    pub(super) volume_type: &'static str,
}

/// What was consumed of one thing.
#[derive(Debug, Deserialize)]
pub(super) struct Consumption {
    pub(super) product_name: Option<String>,
    pub(super) resource_name: Option<String>,
    pub(super) value: Option<Value>,
}

/// An amount: whole units, and billionths of one of the same sign.
#[derive(Debug, Deserialize)]
pub(super) struct Value {
    pub(super) currency_code: Option<String>,
    pub(super) units: Option<i64>,
    pub(super) nanos: Option<i32>,
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

    /// Every server of a zone, oldest first so that new ones change no page, turned into `T` page by page.
    ///
    /// <https://www.scaleway.com/en/developers/api/instances/#path-instances-list-all-instances>
    pub(super) async fn servers<T: Send>(
        &self,
        zone: &str,
        tag: Option<&str>,
        turn: impl Fn(Server<'_>, RawBody) -> T + Sync,
    ) -> Result<Vec<T>> {
        #[derive(Deserialize)]
        struct Body<I> {
            servers: Vec<I>,
        }
        let call = Call::get("servers.list", format!("/instance/v1/zones/{}/servers", encode(zone)));
        let call = call.query("order", "creation_date_asc");
        let call = if let Some(tag) = tag { call.query("tags", tag) } else { call };
        self.list(&format!("servers in {zone}"), call, "per_page", |reply| {
            if self.lean {
                let Body { servers } = reply.json()?;
                return Ok(servers.into_iter().map(|server| turn(server, RawBody::empty())).collect());
            }
            let Body { servers } = reply.json()?;
            Ok(servers.into_iter().map(|Bodied(server, raw)| turn(server, RawBody::new(raw.to_owned()))).collect())
        })
        .await
    }

    /// Whether the project's servers in a zone can be listed.
    pub(super) async fn probe(&self, zone: &str, project: &str) -> Result<()> {
        let call = Call::get("servers.list", format!("/instance/v1/zones/{}/servers", encode(zone)));
        self.client.send(call.query("project", project).query("page", 1).query("per_page", 1)).await.map(drop)
    }

    /// What the project consumed in a month such as `2026-11`. The vendor's own SDK is what describes it.
    ///
    /// <https://www.scaleway.com/en/developers/api/billing/#path-consumption-get-monthly-consumption>
    pub(super) async fn consumptions(&self, project: &str, month: &str) -> Result<Vec<Consumption>> {
        #[derive(Deserialize)]
        struct Body {
            consumptions: Vec<Consumption>,
        }
        let call = Call::get("consumptions.list", "/billing/v2beta1/consumptions");
        let call = call.query("project_id", project).query("billing_period", month);
        self.list("consumptions", call, "page_size", |reply| Ok(reply.json::<Body>()?.consumptions)).await
    }

    /// One server, `None` where the vendor answers 404 in its own words.
    ///
    /// <https://www.scaleway.com/en/developers/api/instances/#path-instances-get-an-instance>
    pub(super) async fn server<T>(
        &self,
        id: &InstanceId,
        turn: impl Fn(Server<'_>, RawBody) -> T,
    ) -> Result<Option<T>> {
        match self.client.send(Call::get("servers.get", server_path(id, ""))).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            answered => one_server(&answered?, turn).map(Some),
        }
    }

    /// Orders a server, which then lies there stopped. The one call that costs money, sent at most once from here.
    ///
    /// <https://www.scaleway.com/en/developers/api/instances/#path-instances-create-an-instance>
    pub(super) async fn create_server<T>(
        &self,
        zone: &str,
        body: &NewServer<'_>,
        turn: impl Fn(Server<'_>, RawBody) -> T,
    ) -> Result<T> {
        let call = Call::post("servers.create", format!("/instance/v1/zones/{}/servers", encode(zone)));
        one_server(&self.client.send(call.json(body)).await?, turn)
    }

    /// Replaces the tags of a server.
    ///
    /// <https://www.scaleway.com/en/developers/api/instances/#path-instances-update-an-instance>
    pub(super) async fn retag(&self, id: &InstanceId, tags: &[String]) -> Result<()> {
        let call = Call::patch("servers.update", server_path(id, ""));
        self.client.send(call.json(&serde_json::json!({ "tags": tags }))).await.map(drop)
    }

    /// Only takes stopped servers, and leaves their volumes behind.
    ///
    /// <https://www.scaleway.com/en/developers/api/instances/#path-instances-delete-an-instance>
    pub(super) async fn delete_server(&self, id: &InstanceId) -> Result<()> {
        self.client.send(Call::delete("servers.delete", server_path(id, ""))).await.map(drop)
    }

    /// Starts an action; there is nothing to follow it by but the server. Only a reboot does more when done twice.
    ///
    /// <https://www.scaleway.com/en/developers/api/instances/#path-instances-perform-action>
    pub(super) async fn act(&self, id: &InstanceId, action: &str) -> Result<()> {
        let call = Call::post("servers.action", server_path(id, "/action"));
        let call = call.json(&serde_json::json!({ "action": action }));
        let call = if action == "reboot" { call } else { call.idempotent() };
        self.client.send(call).await.map(drop)
    }

    /// The names of the user-data that a server has.
    ///
    /// <https://www.scaleway.com/en/developers/api/instances/#path-user-data-list-user-data>
    pub(super) async fn user_data_keys(&self, id: &InstanceId) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Body {
            user_data: Vec<String>,
        }
        let call = Call::get("user_data.list", server_path(id, "/user_data"));
        Ok(self.client.send(call).await?.json::<Body>()?.user_data)
    }

    /// Sets what cloud-init reads at the first start: the text as it is.
    ///
    /// <https://www.scaleway.com/en/developers/api/instances/#path-user-data-add-set-user-data>
    pub(super) async fn set_user_data(&self, id: &InstanceId, key: &str, text: &str) -> Result<()> {
        let call = Call::patch("user_data.set", server_path(id, &format!("/user_data/{}", encode(key))));
        self.client.send(call.body("text/plain", text.as_bytes().to_vec())).await.map(drop)
    }

    /// The volumes of a zone that carry a tag.
    ///
    /// <https://www.scaleway.com/en/developers/api/block/#path-volume-list-volumes>
    pub(super) async fn volumes(&self, zone: &str, tag: &str) -> Result<Vec<BlockVolume>> {
        let call = Call::get("volumes.list", format!("/block/v1/zones/{}/volumes", encode(zone)));
        self.list_volumes(zone, call.query("tags", tag)).await
    }

    async fn list_volumes(&self, zone: &str, call: Call) -> Result<Vec<BlockVolume>> {
        #[derive(Deserialize)]
        struct Body {
            volumes: Vec<BlockVolume>,
        }
        self.list(&format!("volumes in {zone}"), call, "page_size", |reply| Ok(reply.json::<Body>()?.volumes)).await
    }

    /// The volumes of a project in a zone whose name holds a word.
    ///
    /// <https://www.scaleway.com/en/developers/api/block/#path-volume-list-volumes>
    pub(super) async fn volumes_named(&self, zone: &str, project: &str, name: &str) -> Result<Vec<BlockVolume>> {
        let call = Call::get("volumes.list", format!("/block/v1/zones/{}/volumes", encode(zone)));
        self.list_volumes(zone, call.query("project_id", project).query("name", name)).await
    }

    /// All volumes of a project in a zone.
    ///
    /// <https://www.scaleway.com/en/developers/api/block/#path-volume-list-volumes>
    pub(super) async fn volumes_of(&self, zone: &str, project: &str) -> Result<Vec<BlockVolume>> {
        let call = Call::get("volumes.list", format!("/block/v1/zones/{}/volumes", encode(zone)));
        self.list_volumes(zone, call.query("project_id", project)).await
    }

    /// Replaces the tags of a volume.
    ///
    /// <https://www.scaleway.com/en/developers/api/block/#path-volume-update-a-volume>
    pub(super) async fn tag_volume(&self, zone: &str, id: &str, tags: &[String]) -> Result<()> {
        let path = format!("/block/v1/zones/{}/volumes/{}", encode(zone), encode(id));
        let call = Call::patch("volumes.update", path).json(&serde_json::json!({ "tags": tags }));
        self.client.send(call).await.map(drop)
    }

    /// <https://www.scaleway.com/en/developers/api/iam/#path-ssh-keys-delete-an-ssh-key>
    pub(super) async fn delete_ssh_key(&self, id: &str) -> Result<()> {
        self.client
            .send(Call::delete("ssh_keys.delete", format!("/iam/v1alpha1/ssh-keys/{}", encode(id))))
            .await
            .map(drop)
    }

    /// Only takes volumes that hang on no server.
    ///
    /// <https://www.scaleway.com/en/developers/api/block/#path-volume-delete-a-detached-volume>
    pub(super) async fn delete_volume(&self, zone: &str, id: &str) -> Result<()> {
        let path = format!("/block/v1/zones/{}/volumes/{}", encode(zone), encode(id));
        self.client.send(Call::delete("volumes.delete", path)).await.map(drop)
    }

    /// What a zone sells, by name.
    ///
    /// <https://www.scaleway.com/en/developers/api/instances/#path-instance-types-list-instance-types>
    pub(super) async fn server_types(&self, zone: &str) -> Result<Vec<(String, ServerType)>> {
        #[derive(Deserialize)]
        struct Body {
            servers: BTreeMap<String, ServerType>,
        }
        let call = Call::get("products.list", format!("/instance/v1/zones/{}/products/servers", encode(zone)));
        let read = |reply: &Reply| Ok(reply.json::<Body>()?.servers.into_iter().collect());
        self.list(&format!("server types in {zone}"), call, "per_page", read).await
    }

    /// How much of it is left, by name.
    ///
    /// <https://www.scaleway.com/en/developers/api/instances/#path-instance-types-get-availability>
    pub(super) async fn availability(&self, zone: &str) -> Result<Vec<(String, Availability)>> {
        #[derive(Deserialize)]
        struct Body {
            servers: BTreeMap<String, Availability>,
        }
        let path = format!("/instance/v1/zones/{}/products/servers/availability", encode(zone));
        let call = Call::get("products.availability", path);
        let read = |reply: &Reply| Ok(reply.json::<Body>()?.servers.into_iter().collect());
        self.list(&format!("stock in {zone}"), call, "per_page", read).await
    }

    /// <https://www.scaleway.com/en/developers/api/marketplace/#path-marketplace-images-list-marketplace-images>
    pub(super) async fn images(&self) -> Result<Vec<Image>> {
        #[derive(Deserialize)]
        struct Body {
            images: Vec<Image>,
        }
        let call = Call::get("images.list", "/marketplace/v2/images");
        self.list("images", call, "page_size", |reply| Ok(reply.json::<Body>()?.images)).await
    }

    /// Where a label has a build that boots from block storage. The vendor gives builds of one label at a time only.
    ///
    /// <https://www.scaleway.com/en/developers/api/marketplace/#path-local-images-list-local-images>
    pub(super) async fn local_images(&self, label: &str) -> Result<Vec<LocalImage>> {
        #[derive(Deserialize)]
        struct Body {
            local_images: Vec<LocalImage>,
        }
        let call = Call::get("local_images.list", "/marketplace/v2/local-images");
        let call = call.query("image_label", label).query("type", "instance_sbs");
        let read = |reply: &Reply| Ok(reply.json::<Body>()?.local_images);
        self.list(&format!("builds of {label}"), call, "page_size", read).await
    }

    /// <https://www.scaleway.com/en/developers/api/iam/#path-ssh-keys-list-ssh-keys>
    pub(super) async fn ssh_keys(&self, project: &str) -> Result<Vec<SshKey>> {
        #[derive(Deserialize)]
        struct Body {
            ssh_keys: Vec<SshKey>,
        }
        let call = Call::get("ssh_keys.list", "/iam/v1alpha1/ssh-keys").query("project_id", project);
        self.list("ssh keys", call, "page_size", |reply| Ok(reply.json::<Body>()?.ssh_keys)).await
    }

    /// Gives the project a key. A second one of the same text would cost nothing and change nothing.
    ///
    /// <https://www.scaleway.com/en/developers/api/iam/#path-ssh-keys-create-an-ssh-key>
    pub(super) async fn create_ssh_key(&self, project: &str, name: &str, public_key: &str) -> Result<SshKey> {
        let body = serde_json::json!({ "name": name, "public_key": public_key, "project_id": project });
        let call = Call::post("ssh_keys.create", "/iam/v1alpha1/ssh-keys").idempotent().json(&body);
        self.client.send(call).await?.json()
    }

    /// <https://www.scaleway.com/en/developers/api/iam/#path-api-keys-get-an-api-key>
    pub(super) async fn api_key(&self, access_key: &str) -> Result<ApiKey> {
        let call = Call::get("api_keys.get", format!("/iam/v1alpha1/api-keys/{}", encode(access_key)));
        self.client.send(call).await?.json()
    }

    /// All pages of a list, the first one first and the others at once. The instance API tells the total in a header, the
    /// others in the body; where neither is told, a page that is not full is the last one.
    pub(super) async fn list<T: Send>(
        &self,
        what: &str,
        call: Call,
        size: &'static str,
        read: impl Fn(&Reply) -> Result<Vec<T>> + Sync,
    ) -> Result<Vec<T>> {
        let operation = call.operation();
        let fetch = |number: u64| {
            let call = call.clone().query("page", number).query(size, PAGE);
            let read = &read;
            async move {
                let reply = self.client.send(call).await?;
                let items = read(&reply)?;
                Ok::<_, Error>(Page { items, total: total(&reply) })
            }
        };
        let wrong = |message: String| {
            Error::new(ErrorKind::Protocol, message)
                .with_provider(&super::DESCRIPTOR.id)
                .with_operation(operation)
                .with_retry(Retry::Backoff)
        };
        let first = fetch(1).await?;
        let last = first.total.map_or(1, |total| total.div_ceil(PAGE));
        if last > MOST_PAGES {
            return Err(wrong(format!("Scaleway tells of {last} pages of {what}, so the list is not read.")));
        }
        let fetch = &fetch;
        let mut pages =
            page::numbered(what, vec![first], last, |number| async move { Ok(vec![fetch(number).await?]) }).await?;
        // A list that grew meanwhile has pages that the first one did not know of.
        while let Some(page) = pages.last() {
            let arrived: u64 = pages.iter().map(|page| page.items.len() as u64).sum();
            let more = page.total.map_or(page.items.len() as u64 >= PAGE, |total| arrived < total);
            let number = pages.len() as u64 + 1;
            if page.items.is_empty() || !more || number > MOST_PAGES {
                break;
            }
            pages.push(fetch(number).await.map_err(|error| page::page_failed(what, number, None, error))?);
        }
        let arrived: u64 = pages.iter().map(|page| page.items.len() as u64).sum();
        let told = pages.iter().filter_map(|page| page.total).min().unwrap_or(0);
        if arrived < told {
            return Err(wrong(format!("Only {arrived} of {told} {what} arrived, so the list is not shown.")));
        }
        Ok(page::joined(pages.into_iter().map(|page| page.items), arrived as usize))
    }
}

/// One page of a list, read.
struct Page<T> {
    items: Vec<T>,
    total: Option<u64>,
}

/// How many things there are in all pages, where the answer tells.
fn total(reply: &Reply) -> Option<u64> {
    #[derive(Deserialize)]
    struct Body {
        total_count: Option<u64>,
    }
    let header = reply.headers.get("x-total-count").and_then(|total| total.to_str().ok()?.parse().ok());
    header.or_else(|| reply.json::<Body>().ok()?.total_count)
}

fn server_path(id: &InstanceId, rest: &str) -> String {
    format!("/instance/v1/zones/{}/servers/{}{rest}", encode(&id.region), encode(&id.native))
}

fn one_server<T>(reply: &Reply, turn: impl Fn(Server<'_>, RawBody) -> T) -> Result<T> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        server: &'a RawValue,
    }
    let raw = reply.json::<Body<'_>>()?.server;
    let server = serde_json::from_str(raw.get()).map_err(|error| unreadable(reply, &error))?;
    Ok(turn(server, RawBody::new(raw.to_owned())))
}

fn unreadable(reply: &Reply, error: &serde_json::Error) -> Error {
    reply.protocol(format!("an item that Capsule cannot read ({})", redact::json_fault(error)))
}
