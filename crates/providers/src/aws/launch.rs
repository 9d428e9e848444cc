//! Create: look first, make the key and the firewall, and then the one call that costs money.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use capsule_core::{Architecture, Effect, Error, ErrorKind, Instance, Order, Result, SshKey, Tags};
use sha2::{Digest, Sha256};

use super::api::{Api, MachineImage, RunInstances};
use super::convert::{self, SYSTEMS, System};
use super::teardown;

/// The most bytes of user-data before encoding.
pub(super) const USER_DATA_MAX: usize = 16 << 10;

/// What names must look like.
pub(super) const NAME_RULE: &str = "1 to 255 characters, none of them a control character";

const ARCHITECTURES: [Architecture; 2] = [Architecture::X86_64, Architecture::Arm64];

const NO_GROUP: &str = "InvalidGroup.NotFound";
const NO_KEY: &str = "InvalidKeyPair.NotFound";

/// Images that were looked up, by region, wanted name and architecture. They change every few weeks.
pub(super) type Images = Mutex<HashMap<(String, String, &'static str), MachineImage>>;

/// Makes the order's server.
pub(super) async fn launch(api: &Api, images: &Images, order: &Order) -> Result<Instance> {
    let wish = Wish::check(order)?;
    let region = &order.spec.region;
    // Until RunInstances is sent no server can have been made, whatever became of the calls before it.
    let unmade = |error: Error| error.with_effect(Effect::None);
    let image = find_image(api, images, order).await.map_err(unmade)?;
    fits_disk(&image, order.spec.disk_gib)?;
    let key_name = ensure_key(api, region, wish.key).await.map_err(unmade)?;
    let group = ensure_group(api, region, &wish.group, &wish.tags).await?;
    let run = RunInstances {
        client_token: order.token.as_str(),
        image: &image,
        instance_type: &order.spec.plan,
        key_name: key_name.as_deref(),
        group_id: &group,
        disk_gib: order.spec.disk_gib,
        user_data: order.spec.user_data.as_deref().map(|text| BASE64.encode(text)),
        tags: &wish.tags,
    };
    let opened = open(api, region, &group).await.map_err(unmade);
    let made = match opened {
        Ok(()) => {
            // A key that the user only named is missing for good; waiting for it would help nobody.
            let uploaded = matches!(wish.key, Some(SshKey::Public(_)));
            let young: &[&str] = if uploaded { &[NO_GROUP, NO_KEY] } else { &[NO_GROUP] };
            settled(api, young, || api.run_instances(region, &run)).await
        }
        Err(error) => Err(error),
    };
    match made {
        Ok(item) => Ok(convert::instance(region, item)),
        Err(error) if error.effect() == Effect::Unknown => Err(error),
        Err(error) => match teardown::gone(api.delete_security_group(region, &group).await) {
            Ok(true) => Err(error),
            left => {
                tracing::debug!(%region, %group, ?left, "a security group without a server is left");
                Err(left_behind(error))
            }
        },
    }
}

/// No server was made, but perhaps a group: whoever looks finds no server and orders again under the same token, and that
/// order takes the group.
fn left_behind(error: Error) -> Error {
    error.with_effect(Effect::Unknown)
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
    group: String,
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
        Ok(Wish { tags, group: format!("capsule-{}", order.token), key: spec.ssh_keys.first() })
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

/// The image to boot: `ami-...` as it is, or the newest build of a system for the plan's architecture.
async fn find_image(api: &Api, images: &Images, order: &Order) -> Result<MachineImage> {
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
    let words = convert::architecture_words(architecture);
    let slot = (region.clone(), wanted.clone(), words.0);
    let known = images.lock().expect("no panic happens under this lock").get(&slot).cloned();
    if let Some(image) = known {
        return Ok(image);
    }
    let image = newest(api, region, system, words).await?;
    images.lock().expect("no panic happens under this lock").insert(slot, image.clone());
    Ok(image)
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

/// The name of a key that the region has, uploaded if need be.
async fn ensure_key(api: &Api, region: &str, key: Option<&SshKey>) -> Result<Option<String>> {
    let line = match key {
        None => return Ok(None),
        Some(SshKey::Existing(name)) => return Ok(Some(name.clone())),
        Some(SshKey::Public(line)) => line.trim(),
    };
    let mut words = line.split_ascii_whitespace();
    let (Some(kind @ ("ssh-rsa" | "ssh-ed25519")), Some(blob)) = (words.next(), words.next()) else {
        return Err(Error::new(ErrorKind::Invalid, "AWS takes SSH keys of the kinds RSA and Ed25519 only.")
            .with_provider(convert::PROVIDER)
            .with_hint("Make one with `ssh-keygen -t ed25519`."));
    };
    // Named after the key alone, not its comment: whoever was first, the name holds this key.
    let name = format!("capsule-{}", hex(&Sha256::digest(format!("{kind} {blob}"))[..8]));
    match api.import_key_pair(region, &name, &BASE64.encode(line)).await {
        Err(error) if error.native_code() == Some("InvalidKeyPair.Duplicate") => Ok(Some(name)),
        Err(error) => Err(error),
        Ok(()) => Ok(Some(name)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The server's own firewall: the account's default one lets nobody in.
async fn ensure_group(api: &Api, region: &str, name: &str, tags: &Tags) -> Result<String> {
    let vpc = api.default_vpc(region).await?.ok_or_else(|| {
        Error::new(ErrorKind::Config, format!("The AWS account has no default network (VPC) in {region}."))
            .with_provider(convert::PROVIDER)
            .with_hint(format!(
                "Make one with `aws ec2 create-default-vpc --region {region}`, or choose another region."
            ))
    })?;
    let error = match api.create_security_group(region, &vpc, name, tags).await {
        Ok(made) => return Ok(made.group_id),
        Err(error) => error,
    };
    // An earlier order under this token made it, or this one did and its answer was lost.
    if error.native_code() != Some("InvalidGroup.Duplicate") && error.effect() == Effect::None {
        return Err(error);
    }
    match api.describe_security_groups(region, &[("group-name", name), ("vpc-id", &vpc)]).await {
        Ok(mut found) => found.pop().map(|group| group.group_id).ok_or_else(|| left_behind(error)),
        Err(_) => Err(left_behind(error)),
    }
}

async fn open(api: &Api, region: &str, group: &str) -> Result<()> {
    match settled(api, &[NO_GROUP], || api.open_security_group(region, group)).await {
        Err(error) if error.native_code() == Some("InvalidPermission.Duplicate") => Ok(()),
        opened => opened,
    }
}

/// What was made a moment ago may not be known everywhere yet: a refusal for that, which did nothing, is waited out.
async fn settled<T, F: Future<Output = Result<T>>>(api: &Api, young: &[&str], call: impl Fn() -> F) -> Result<T> {
    for _ in 0..4 {
        match call().await {
            Err(error) if error.effect() == Effect::None && error.native_code().is_some_and(|c| young.contains(&c)) => {
                api.clock().sleep(Duration::from_secs(2)).await;
            }
            done => return done,
        }
    }
    call().await
}
