//! Create: look first, see to the key and the firewall, and then the one call that costs money.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use capsule_core::{Architecture, Effect, Error, ErrorKind, Instance, Order, OwnerId, Result, SshKey, Tags, tags};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

use super::api::{Api, MachineImage, RunInstances};
use super::convert::{self, SYSTEMS, System};
use super::groups::{self, Groups};

/// The most bytes of user-data before encoding.
pub(super) const USER_DATA_MAX: usize = 16 << 10;

/// What names must look like.
pub(super) const NAME_RULE: &str = "1 to 255 characters, none of them a control character";

const ARCHITECTURES: [Architecture; 2] = [Architecture::X86_64, Architecture::Arm64];

const NO_KEY: &str = "InvalidKeyPair.NotFound";

/// What was looked up or made for one launch and serves the others. Each lock is held while that is done, so that many
/// launches at once do it once.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// By region, wanted image and plan. They change every few weeks.
    images: Mutex<HashMap<[String; 3], MachineImage>>,
    /// Uploaded keys, by region and name.
    keys: Mutex<HashSet<[String; 2]>>,
    pub(super) groups: Groups,
}

/// Makes the order's server.
pub(super) async fn launch(api: &Api, prepared: &Prepared, order: &Order) -> Result<Instance> {
    let wish = Wish::check(order)?;
    let region = &order.spec.region;
    // Until RunInstances is sent no server can have been made, whatever became of the calls before it.
    let unmade = |error: Error| error.with_effect(Effect::None);
    let image = prepared.image(api, order).await.map_err(unmade)?;
    fits_disk(&image, order.spec.disk_gib)?;
    let user_data = order.spec.user_data.as_deref().map(|text| BASE64.encode(text));
    let mut tries = 1;
    loop {
        let key_name = prepared.key(api, region, wish.key, &order.owner).await.map_err(unmade)?;
        let group = prepared.groups.ensure(api, region, &order.owner, &order.token).await?;
        let run = RunInstances {
            client_token: order.token.as_str(),
            image: &image,
            instance_type: &order.spec.plan,
            key_name: key_name.as_deref(),
            group_id: &group,
            disk_gib: order.spec.disk_gib,
            user_data: user_data.as_deref(),
            tags: &wish.tags,
        };
        let refused = match api.run_instances(region, &run).await {
            Ok(item) => return Ok(convert::instance(region, item)),
            Err(error) if error.effect() == Effect::Unknown => return Err(error),
            Err(error) => error,
        };
        // What was made a moment ago may not be known everywhere yet, or somebody may have deleted it since.
        let is_missing = match (refused.native_code(), wish.key) {
            (Some(groups::NO_GROUP), _) => {
                prepared.groups.forget(region, order.owner.as_str(), &group).await;
                true
            }
            (Some(NO_KEY), Some(SshKey::Public(_))) => {
                prepared.forget_key(region, key_name.as_deref()).await;
                true
            }
            // A key that the user only named is missing for good; waiting for it would help nobody.
            _ => false,
        };
        if !is_missing || tries == groups::TRIES {
            return Err(prepared.groups.give_back(api, region, &order.owner, group, refused).await);
        }
        tries += 1;
        drop(group);
        api.clock().sleep(groups::YOUNG).await;
    }
}

/// Whether the image boots from a disk of that size. One that is too small is refused here, where it has cost nothing yet.
fn fits_disk(image: &MachineImage, disk_gib: Option<u64>) -> Result<()> {
    let Some(disk) = disk_gib else { return Ok(()) };
    let invalid = |message: String| Error::new(ErrorKind::Invalid, message).with_provider(convert::PROVIDER);
    if image.root_device_name.is_none() {
        return Err(invalid(format!("The image {} does not name its root disk.", image.image_id))
            .with_hint("Leave the disk size out, or choose another image."));
    }
    match image.root_gib() {
        Some(least) if disk < least => {
            let message =
                format!("The image {} needs a root disk of {least} GB, and {disk} are ordered.", image.image_id);
            Err(invalid(message).with_hint(format!("Order at least that: --min-disk {least}.")))
        }
        _ => Ok(()),
    }
}

/// The root disk that every system which can be ordered by name boots from, in GiB: what servers get unless the order says
/// otherwise. `None` where the images cannot be read.
pub(super) async fn root_gib(api: &Api, region: &str) -> Option<u64> {
    let by_parameter = async || {
        let names = SYSTEMS.iter().flat_map(|system| {
            ARCHITECTURES.map(|kind| system.parameter.replace("{arch}", convert::architecture_words(kind).0))
        });
        let ids = api.get_parameters(region, &names.collect::<Vec<_>>()).await?;
        if ids.is_empty() { Ok(Vec::new()) } else { api.describe_images(region, &ids).await }
    };
    let mut images = by_parameter().await.unwrap_or_else(|error| {
        tracing::debug!(%region, %error, "no public parameters; searching by name");
        Vec::new()
    });
    if images.is_empty() {
        let native = ARCHITECTURES.map(|kind| convert::architecture_words(kind).1);
        for system in &SYSTEMS {
            let found = api.search_images(region, system.owner, &system.pattern.replace("{arch}", "*"), &native).await;
            images
                .extend(found.inspect_err(|error| tracing::debug!(%region, %error, os = system.os, "no images")).ok()?);
        }
    }
    images.iter().filter_map(MachineImage::root_gib).max()
}

/// Everything about an order that can be wrong before it is sent.
pub(super) fn check(order: &Order) -> Result<()> {
    Wish::check(order).map(drop)
}

/// An order that has passed all checks which need no request.
struct Wish<'a> {
    tags: Tags,
    key: Option<&'a SshKey>,
}

impl<'a> Wish<'a> {
    fn check(order: &'a Order) -> Result<Wish<'a>> {
        let spec = &order.spec;
        let invalid = |message: String| Error::new(ErrorKind::Invalid, message).with_provider(convert::PROVIDER);
        let [name] = order.names.as_slice() else {
            return Err(invalid(format!("AWS makes one server per order, not {}.", order.names.len())));
        };
        if name.is_empty() || name.chars().count() > 255 || name.chars().any(char::is_control) {
            return Err(invalid(format!("The name `{name}` does not do for AWS."))
                .with_hint(format!("Names have {NAME_RULE}.")));
        }
        for (what, text) in [("plan", &spec.plan), ("region", &spec.region), ("image", &spec.image)] {
            if text.trim().is_empty() {
                return Err(invalid(format!("The order for `{name}` names no {what}.")));
            }
        }
        let size = spec.user_data.as_ref().map_or(0, String::len);
        if size > USER_DATA_MAX {
            return Err(invalid(format!("The user-data has {size} bytes; AWS takes at most {USER_DATA_MAX}."))
                .with_hint("Let the server fetch the bulk of it after its start."));
        }
        if spec.ssh_keys.len() > 1 {
            return Err(invalid(format!("AWS puts one SSH key on a server, not {}.", spec.ssh_keys.len()))
                .with_hint("Choose one key, and let it add the others after the first login."));
        }
        check_tags(&spec.tags).map_err(|why| invalid(format!("The tags do not do for AWS: {why}.")))?;
        let mut tags = spec.tags.at_birth(&order.owner, &order.token);
        tags.insert(convert::NAME, name.as_str());
        Ok(Wish { tags, key: spec.ssh_keys.first() })
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions>.
fn check_tags(tags: &Tags) -> Result<(), String> {
    // Our two and the name come on top.
    if tags.len() > 47 {
        return Err(format!("there are {}, and AWS has room for 47 beside Capsule's own", tags.len()));
    }
    for (key, value) in tags.iter() {
        let why = if key == convert::NAME {
            "is the server's name"
        } else if key.to_ascii_lowercase().starts_with("aws:") {
            "begins with `aws:`, which is the vendor's own"
        } else if key.chars().count() > 128 {
            "has a key of more than 128 characters"
        } else if value.chars().count() > 256 {
            "has a value of more than 256 characters"
        } else {
            continue;
        };
        return Err(format!("`{key}` {why}"));
    }
    Ok(())
}

impl Prepared {
    /// The image to boot.
    async fn image(&self, api: &Api, order: &Order) -> Result<MachineImage> {
        let spec = &order.spec;
        let mut known = self.images.lock().await;
        let slot = [spec.region.clone(), spec.image.clone(), spec.plan.clone()];
        if let Some(image) = known.get(&slot) {
            return Ok(image.clone());
        }
        let image = find_image(api, order).await?;
        known.insert(slot, image.clone());
        Ok(image)
    }

    /// The name of a key that the region has, uploaded if need be.
    async fn key(&self, api: &Api, region: &str, key: Option<&SshKey>, owner: &OwnerId) -> Result<Option<String>> {
        let line = match key {
            None => return Ok(None),
            Some(SshKey::Existing(name)) => return Ok(Some(name.clone())),
            Some(SshKey::Public(line)) => line.trim(),
        };
        let name = key_name(line)?;
        let mut known = self.keys.lock().await;
        let slot = [region.to_owned(), name.clone()];
        if !known.contains(&slot) {
            // Tagged from birth: one that is there already, whoever's it is, stays that one's.
            let tags: Tags = [(tags::OWNER.to_owned(), owner.as_str().to_owned())].into_iter().collect();
            match api.import_key_pair(region, &name, &BASE64.encode(line), &tags).await {
                Err(error) if error.native_code() != Some("InvalidKeyPair.Duplicate") => return Err(error),
                _ => known.insert(slot),
            };
        }
        Ok(Some(name))
    }

    pub(super) async fn forget_key(&self, region: &str, name: Option<&str>) {
        self.keys.lock().await.remove(&[region.to_owned(), name.unwrap_or_default().to_owned()]);
    }
}

/// What a key is called there: after the key alone, not its comment. Whoever was first, the name holds this key.
fn key_name(line: &str) -> Result<String> {
    let mut words = line.split_ascii_whitespace();
    let (Some(kind @ ("ssh-rsa" | "ssh-ed25519")), Some(blob)) = (words.next(), words.next()) else {
        return Err(Error::new(ErrorKind::Invalid, "AWS takes SSH keys of the kinds RSA and Ed25519 only.")
            .with_provider(convert::PROVIDER)
            .with_hint("Make one with `ssh-keygen -t ed25519`."));
    };
    Ok(format!("capsule-{}", hex(&Sha256::digest(format!("{kind} {blob}"))[..8])))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `ami-...` as it is, or the newest build of a system for the plan's architecture.
async fn find_image(api: &Api, order: &Order) -> Result<MachineImage> {
    let (region, wanted) = (&order.spec.region, &order.spec.image);
    if wanted.starts_with("ami-") {
        let image = api.describe_image(region, wanted).await?;
        return image.ok_or_else(|| no_image(wanted, region));
    }
    let system = SYSTEMS.iter().find(|system| system.os == wanted).ok_or_else(|| {
        let known = SYSTEMS.iter().map(|system| system.os);
        let hint =
            format!("{} An id such as ami-0123456789abcdef0 does as well.", capsule_core::nearest::hint(wanted, known));
        Error::new(ErrorKind::Invalid, format!("AWS has no image `{wanted}`."))
            .with_provider(convert::PROVIDER)
            .with_hint(hint)
    })?;
    let plan = &order.spec.plan;
    let types = api.describe_instance_types(region, Some(plan)).await?;
    let architecture = types.first().and_then(convert::architecture).ok_or_else(|| {
        Error::new(ErrorKind::Invalid, format!("AWS has no plan `{plan}` in {region} that boots {}.", system.name))
            .with_provider(convert::PROVIDER)
    })?;
    newest(api, region, system, convert::architecture_words(architecture)).await
}

async fn newest(
    api: &Api,
    region: &str,
    system: &System,
    (arch, native): (&'static str, &'static str),
) -> Result<MachineImage> {
    match api.get_parameter(region, &system.parameter.replace("{arch}", arch)).await {
        Ok(id) => {
            if let Some(image) = api.describe_image(region, &id).await? {
                return Ok(image);
            }
        }
        // The parameter is the short way; without it, or the right to it, the search finds the same image.
        Err(error) => tracing::debug!(%region, os = system.os, %error, "no public parameter; searching by name"),
    }
    let found = api.search_images(region, system.owner, &system.pattern.replace("{arch}", arch), &[native]).await?;
    found.into_iter().max_by(|a, b| a.creation_date.cmp(&b.creation_date)).ok_or_else(|| no_image(system.os, region))
}

fn no_image(wanted: &str, region: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("AWS has no image `{wanted}` in {region}."))
        .with_provider(convert::PROVIDER)
        .with_hint("Image ids hold for one region only; give the id of an image of that region, or a name such as ubuntu-24.04.")
}
