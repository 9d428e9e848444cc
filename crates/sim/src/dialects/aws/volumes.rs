//! Volumes, which are only ever made together with an instance here.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::call::{Call, moment, page};
use super::error::AwsError;
use super::filter::Filters;
use super::tags;
use super::xml::Xml;
use crate::world::Resource;

/// The kind of resource.
pub(super) const VOLUME: &str = "volume";

/// What only EC2 knows of a volume.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Volume {
    pub(super) size_gib: i64,
    pub(super) kind: String,
    pub(super) zone: String,
    /// The instance it was made with.
    pub(super) instance: Option<String>,
    pub(super) device: String,
    pub(super) dies_with_instance: bool,
    pub(super) encrypted: bool,
    pub(super) attached_at: Timestamp,
}

fn volume_of(resource: &Resource) -> Result<Volume, AwsError> {
    serde_json::from_value(resource.data.clone()).map_err(|error| {
        AwsError::new(500, "InternalError", format!("The volume {} is not one of EC2's: {error}", resource.id))
    })
}

/// The instance that holds a volume now: a terminated one holds nothing.
fn holder<'v>(call: &Call<'_, '_>, volume: &'v Volume) -> Option<&'v str> {
    let id = volume.instance.as_deref()?;
    call.view.machine_born(id).filter(|machine| machine.lives_at(call.now())).map(|_| id)
}

fn all<'c>(call: &'c Call<'_, '_>) -> impl Iterator<Item = &'c Resource> {
    call.view.resources(&call.account, VOLUME).filter(|volume| volume.region.as_deref() == Some(&call.region))
}

fn not_found(id: &str) -> AwsError {
    AwsError::bad("InvalidVolume.NotFound", format!("The volume '{id}' does not exist."))
}

/// `ebs`, as it stands on an instance.
pub(super) fn attachment(xml: &mut Xml, call: &Call<'_, '_>, id: &str) {
    let volume = call.view.resource(&call.account, VOLUME, id).and_then(|resource| volume_of(resource).ok());
    xml.within("ebs", |xml| {
        xml.text("volumeId", id);
        if let Some(volume) = volume {
            let status = if call.now() < volume.attached_at { "attaching" } else { "attached" };
            xml.text("status", status).text("attachTime", moment(volume.attached_at));
            xml.text("deleteOnTermination", volume.dies_with_instance);
        }
    });
}

/// Ends what ends with an instance, at the moment when it does.
pub(super) fn die_with(call: &mut Call<'_, '_>, instance: &str) {
    let Some(machine) = call.view.machine_born(instance) else { return };
    let (account, gone_at) = (machine.account.clone(), machine.gone_at());
    let volumes: Vec<(String, String)> = serde_json::from_value(machine.extra["volumes"].clone()).unwrap_or_default();
    for (_, id) in volumes {
        if let Some(resource) = call.view.resource_mut(&account, VOLUME, &id)
            && resource.data["dies_with_instance"] == true
            && resource.gone_at.is_none()
        {
            resource.gone_at = gone_at;
        }
    }
}

/// DescribeVolumes.
pub(super) fn describe(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    const FILTERS: [&str; 8] = [
        "volume-id",
        "status",
        "attachment.instance-id",
        "attachment.status",
        "availability-zone",
        "size",
        "volume-type",
        "tag-key",
    ];
    let call = &*call;
    let filters = Filters::read(call.params, &FILTERS)?;
    let asked = call.params.texts("VolumeId");
    if let Some(missing) = asked.iter().find(|id| !all(call).any(|volume| volume.id == **id)) {
        return Err(not_found(missing));
    }
    let volumes: Vec<(&Resource, Volume)> =
        all(call).map(|resource| Ok((resource, volume_of(resource)?))).collect::<Result<_, AwsError>>()?;
    let page = page(call.params, 5..=1000, volumes, |(resource, volume)| {
        let held = holder(call, volume);
        (asked.is_empty() || asked.contains(&resource.id.as_str()))
            && filters.pass(|name| match name {
                "volume-id" => vec![resource.id.clone()],
                "status" => vec![if held.is_some() { "in-use" } else { "available" }.to_owned()],
                "attachment.instance-id" => held.map(str::to_owned).into_iter().collect(),
                "attachment.status" => held.map(|_| "attached".to_owned()).into_iter().collect(),
                "availability-zone" => vec![volume.zone.clone()],
                "size" => vec![volume.size_gib.to_string()],
                "volume-type" => vec![volume.kind.clone()],
                tag => tags::values(&resource.tags, tag),
            })
    })?;
    let mut xml = Xml::default();
    xml.set("volumeSet", page.items, |xml, (resource, volume)| {
        let held = holder(call, &volume);
        xml.text("volumeId", &resource.id).text("size", volume.size_gib).text("snapshotId", "");
        xml.text("availabilityZone", &volume.zone).text("status", if held.is_some() { "in-use" } else { "available" });
        xml.text("createTime", moment(resource.born_at));
        xml.set("attachmentSet", held, |xml, instance| {
            xml.text("volumeId", &resource.id).text("instanceId", instance).text("device", &volume.device);
            xml.text("status", "attached").text("attachTime", moment(volume.attached_at));
            xml.text("deleteOnTermination", volume.dies_with_instance);
        });
        tags::set(xml, &resource.tags);
        xml.text("volumeType", &volume.kind).text("encrypted", volume.encrypted).text("multiAttachEnabled", false);
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

/// DeleteVolume: refused while an instance holds it.
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let id = call.params.required("VolumeId")?;
    let resource = all(call).find(|volume| volume.id == id).ok_or_else(|| not_found(id))?;
    if let Some(instance) = holder(call, &volume_of(resource)?) {
        return Err(AwsError::bad("VolumeInUse", format!("Volume {id} is currently attached to {instance}")));
    }
    let (account, now) = (call.account.clone(), call.now());
    if let Some(resource) = call.view.resource_mut(&account, VOLUME, id) {
        resource.gone_at = Some(now);
    }
    let mut xml = Xml::default();
    xml.text("return", true);
    Ok(xml)
}
