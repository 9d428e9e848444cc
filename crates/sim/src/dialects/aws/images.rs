//! DescribeImages.

use super::call::{Call, page};
use super::data::{self, Ami};
use super::error::AwsError;
use super::filter::Filters;
use super::xml::Xml;

const FILTERS: [&str; 11] = [
    "image-id",
    "name",
    "architecture",
    "state",
    "owner-id",
    "owner-alias",
    "root-device-type",
    "virtualization-type",
    "image-type",
    "is-public",
    "description",
];

/// The public images of the region. Deprecated ones show only when they are asked for by id, or with the others.
pub(super) fn describe(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let params = call.params;
    let filters = Filters::read(params, &FILTERS)?;
    let (ids, owners) = (params.texts("ImageId"), params.texts("Owner"));
    let deprecated = params.flag("IncludeDeprecated")?;
    if !ids.is_empty() && params.text("MaxResults").is_some() {
        return Err(AwsError::combination("The parameter imageIdsSet cannot be used with the parameter maxResults"));
    }
    let amis = data::amis(&call.region);
    if let Some(bad) = ids.iter().find(|id| !id.starts_with("ami-")) {
        return Err(AwsError::bad("InvalidAMIID.Malformed", format!("Invalid id: \"{bad}\" (expecting \"ami-...\")")));
    }
    if let Some(missing) = ids.iter().find(|id| !amis.iter().any(|ami| ami.id == **id)) {
        return Err(AwsError::bad("InvalidAMIID.NotFound", format!("The image id '[{missing}]' does not exist")));
    }
    // `self` and `amazon` have none of these images.
    let page = page(params, 1..=1000, amis, |ami| {
        (owners.is_empty() || owners.contains(&ami.owner))
            && (if ids.is_empty() { deprecated || !ami.deprecated } else { ids.contains(&ami.id.as_str()) })
            && filters.pass(|name| match name {
                "image-id" => vec![ami.id.clone()],
                "name" => vec![ami.name.clone()],
                "architecture" => vec![ami.of.arch.to_owned()],
                "state" => vec!["available".to_owned()],
                "owner-id" => vec![ami.owner.to_owned()],
                "root-device-type" => vec!["ebs".to_owned()],
                "virtualization-type" => vec!["hvm".to_owned()],
                "image-type" => vec!["machine".to_owned()],
                "is-public" => vec!["true".to_owned()],
                "description" => vec![ami.of.name.to_owned()],
                _ => Vec::new(),
            })
    })?;
    let mut xml = Xml::default();
    xml.set("imagesSet", page.items, image);
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn image(xml: &mut Xml, ami: Ami) {
    xml.text("imageId", &ami.id).text("imageLocation", format!("{}/{}", ami.owner, ami.name));
    xml.text("imageState", "available").text("imageOwnerId", ami.owner).text("isPublic", true);
    xml.text("architecture", ami.of.arch).text("imageType", "machine").text("name", &ami.name);
    xml.text("description", ami.of.name).text("rootDeviceType", "ebs").text("rootDeviceName", ami.root_device());
    xml.set("blockDeviceMapping", [&ami], |xml, ami| {
        xml.text("deviceName", ami.root_device()).within("ebs", |xml| {
            xml.text("deleteOnTermination", true).text("snapshotId", data::id("snap", &[&ami.id]));
            xml.text("volumeSize", ami.of.min_disk_gib).text("volumeType", "gp3").text("encrypted", false);
        });
    });
    xml.text("virtualizationType", "hvm").text("hypervisor", "xen").text("enaSupport", true);
    xml.text("sriovNetSupport", "simple").text("bootMode", "uefi-preferred");
    xml.text("creationDate", ami.created())
        .text("platformDetails", "Linux/UNIX")
        .text("usageOperation", "RunInstances");
    xml.maybe("deprecationTime", ami.deprecated.then_some("2025-06-01T00:00:00.000Z"));
}
