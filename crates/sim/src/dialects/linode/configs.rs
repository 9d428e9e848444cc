//! Configuration profiles: what a linode boots, and how.
//!
//! Every linode made from an image has one, which boots the image's unpartitioned disk with a loader of the host's
//! (`linode/grub2`) and Network Helper on. What else lies on a disk starts only by `linode/direct-disk`; that Network
//! Helper must be off for it is inferred, not documented.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Complaints, found, ok, page_of, unreadable};
use super::instances::find;
use crate::guest::Loader;
use crate::machine::Machine;
use crate::wire::{Request, Response};
use crate::world::{Account, View};

const GRUB: &str = "linode/grub2";
const DIRECT_DISK: &str = "linode/direct-disk";
/// Those that the description names; there are more.
const KERNELS: &[&str] = &[GRUB, DIRECT_DISK, "linode/latest-64bit"];
const HELPERS: &[&str] = &["devtmpfs_automount", "distro", "modules_dep", "network", "updatedb_disabled"];

/// The profile that a linode is made with; without an image there is none.
pub(super) fn first(linode: &str, image: Option<&str>, swap: u64) -> Value {
    let (Some(image), Ok(number)) = (image, linode.parse::<u64>()) else { return Value::Null };
    let disk = |nth: u64| json!({ "disk_id": number * 2 + nth, "volume_id": null });
    let mut devices = json!({ "sda": disk(0) });
    if swap > 0 {
        devices["sdb"] = disk(1);
    }
    json!({
        "id": number + 10_000_000,
        "label": format!("My {image} Disk Profile"),
        "comments": "",
        "kernel": GRUB,
        "memory_limit": 0,
        "run_level": "default",
        "virt_mode": "paravirt",
        "root_device": "/dev/sda",
        "devices": devices,
        "interfaces": [{
            "id": number + 20_000_000,
            "purpose": "public",
            "primary": false,
            "active": true,
            "label": null,
            "ipam_address": null,
            "subnet_id": null,
            "vpc_id": null,
            "ipv4": { "vpc": null, "nat_1_1": null },
            "ip_ranges": null,
        }],
        "helpers": {
            "updatedb_disabled": true,
            "distro": true,
            "modules_dep": true,
            "network": true,
            "devtmpfs_automount": true,
        },
    })
}

/// What the profile means for the next boot. A profile that says the same as before changes nothing.
pub(super) fn load(linode: &mut Machine, now: Timestamp) {
    let config = &linode.extra["config"];
    let is_direct = config["kernel"] == DIRECT_DISK && config["helpers"]["network"] == false;
    linode.node.loader = match (is_direct, linode.node.loader) {
        (true, loader @ Loader::OwnDiskSince(_)) => loader,
        (true, _) => Loader::OwnDiskSince(now),
        (false, _) => Loader::Host,
    };
}

fn profiles(linode: &Machine) -> Vec<Value> {
    Some(&linode.extra["config"]).filter(|config| config.is_object()).cloned().into_iter().collect()
}

fn profile(linode: &Machine, id: &str) -> Result<Value, Response> {
    found(profiles(linode).into_iter().find(|profile| profile["id"].as_u64() == id.parse().ok()))
}

pub(super) fn list(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    page_of(request, &profiles(find(view, account, &request.path[3])?))
}

pub(super) fn get(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    ok(&profile(find(view, account, &request.path[3])?, &request.path[5])?)
}

/// What the request leaves out stays. Devices and interfaces are taken as they are.
pub(super) fn update(request: &Request, account: &Account, view: &mut View<'_>) -> Answer {
    #[derive(Deserialize)]
    struct Body {
        label: Option<String>,
        comments: Option<String>,
        kernel: Option<String>,
        helpers: Option<Map<String, Value>>,
    }
    let body: Body = request.json().map_err(unreadable)?;
    let linode = find(view, account, &request.path[3])?;
    let (id, mut config) = (linode.id.clone(), profile(linode, &request.path[5])?);
    let mut complaints = Complaints::default();
    if let Some(label) = body.label {
        complaints.expect((1..=48).contains(&label.chars().count()), "label", "Length must be 1-48 characters");
        config["label"] = label.into();
    }
    if let Some(comments) = body.comments {
        config["comments"] = comments.into();
    }
    if let Some(kernel) = body.kernel {
        complaints.expect(KERNELS.contains(&kernel.as_str()), "kernel", "kernel is not valid");
        config["kernel"] = kernel.into();
    }
    for (helper, on) in body.helpers.unwrap_or_default() {
        complaints.expect(HELPERS.contains(&helper.as_str()) && on.is_boolean(), "helpers", "helpers is not valid");
        config["helpers"][helper] = on;
    }
    complaints.refuse()?;
    let now = view.now();
    let linode = found(view.machine_mut(&account.name, &id))?;
    linode.extra["config"] = config.clone();
    load(linode, now);
    ok(&config)
}
