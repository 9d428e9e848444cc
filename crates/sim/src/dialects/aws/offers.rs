//! Regions, zones, instance types, and which type is offered where.

use super::call::{Call, page};
use super::data::{self, CATALOG};
use super::error::AwsError;
use super::filter::Filters;
use super::xml::Xml;
use crate::catalog::Plan;
use crate::machine::MachineKind;

/// DescribeRegions: those that are on; all with `AllRegions`.
pub(super) fn describe_regions(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let params = call.params;
    let filters = Filters::read(params, &["region-name", "endpoint", "opt-in-status"])?;
    let all = params.flag("AllRegions")?;
    let asked = params.texts("RegionName");
    if let Some(missing) = asked.iter().find(|name| CATALOG.region(name).is_none()) {
        return Err(AwsError::invalid(format!("Invalid region name: [{missing}]")));
    }
    let opt_in = |name: &str| match name {
        "af-south-1" => "not-opted-in",
        _ => "opt-in-not-required",
    };
    let endpoint = |name: &str| format!("ec2.{name}.amazonaws.com");
    let shown = CATALOG.regions.iter().filter(|region| {
        (all || region.available || asked.contains(&region.id))
            && (asked.is_empty() || asked.contains(&region.id))
            && filters.pass(|name| match name {
                "region-name" => vec![region.id.to_owned()],
                "endpoint" => vec![endpoint(region.id)],
                "opt-in-status" => vec![opt_in(region.id).to_owned()],
                _ => Vec::new(),
            })
    });
    let mut xml = Xml::default();
    xml.set("regionInfo", shown, |xml, region| {
        xml.text("regionName", region.id).text("regionEndpoint", endpoint(region.id));
        xml.text("optInStatus", opt_in(region.id));
    });
    Ok(xml)
}

/// DescribeAvailabilityZones of the call's region.
pub(super) fn describe_zones(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let filters =
        Filters::read(call.params, &["zone-name", "zone-id", "state", "region-name", "zone-type", "opt-in-status"])?;
    let zones = data::zones(&call.region);
    let (names, ids) = (call.params.texts("ZoneName"), call.params.texts("ZoneId"));
    if let Some(missing) = names.iter().find(|name| !zones.iter().any(|zone| zone.name == **name)) {
        return Err(AwsError::invalid(format!("Invalid availability zone: [{missing}]")));
    }
    let shown = zones.into_iter().filter(|zone| {
        (names.is_empty() || names.contains(&zone.name.as_str()))
            && (ids.is_empty() || ids.contains(&zone.id.as_str()))
            && filters.pass(|name| match name {
                "zone-name" => vec![zone.name.clone()],
                "zone-id" => vec![zone.id.clone()],
                "state" => vec!["available".to_owned()],
                "region-name" => vec![call.region.clone()],
                "zone-type" => vec!["availability-zone".to_owned()],
                "opt-in-status" => vec!["opt-in-not-required".to_owned()],
                _ => Vec::new(),
            })
    });
    let mut xml = Xml::default();
    xml.set("availabilityZoneInfo", shown, |xml, zone| {
        xml.text("zoneName", zone.name).text("zoneState", "available").text("regionName", &call.region);
        xml.text("zoneId", zone.id).text("zoneType", "availability-zone").text("optInStatus", "opt-in-not-required");
        xml.text("groupName", format!("{}-1", call.region)).text("networkBorderGroup", &call.region);
        xml.set("messageSet", [(); 0], |_, ()| {});
    });
    Ok(xml)
}

fn yes_no(yes: bool) -> String {
    yes.to_string()
}

/// DescribeInstanceTypes: those of the call's region.
pub(super) fn describe_types(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    const FILTERS: [&str; 8] = [
        "instance-type",
        "bare-metal",
        "current-generation",
        "processor-info.supported-architecture",
        "supported-usage-class",
        "supported-virtualization-type",
        "vcpu-info.default-vcpus",
        "memory-info.size-in-mib",
    ];
    let filters = Filters::read(call.params, &FILTERS)?;
    let asked = call.params.texts("InstanceType");
    let missing: Vec<&str> = asked.iter().copied().filter(|name| CATALOG.plan(name).is_none()).collect();
    if !missing.is_empty() {
        let message = format!("The following supplied instance types do not exist: [{}]", missing.join(", "));
        return Err(AwsError::bad("InvalidInstanceType", message));
    }
    if !asked.is_empty() && call.params.text("MaxResults").is_some() {
        return Err(AwsError::combination("The parameter InstanceTypes cannot be used with the parameter MaxResults"));
    }
    let page = page(call.params, 5..=100, CATALOG.plans, |plan| {
        plan.sold_in(&call.region)
            && (asked.is_empty() || asked.contains(&plan.id))
            && filters.pass(|name| match name {
                "instance-type" => vec![plan.id.to_owned()],
                "bare-metal" => vec![yes_no(plan.kind == MachineKind::BareMetal)],
                "current-generation" => vec![yes_no(true)],
                "processor-info.supported-architecture" => vec![data::architecture(plan.id).to_owned()],
                "supported-usage-class" => vec!["on-demand".to_owned()],
                "supported-virtualization-type" => vec!["hvm".to_owned()],
                "vcpu-info.default-vcpus" => vec![plan.vcpus.to_string()],
                "memory-info.size-in-mib" => vec![plan.memory_mib.to_string()],
                _ => Vec::new(),
            })
    })?;
    let mut xml = Xml::default();
    xml.set("instanceTypeSet", page.items, instance_type);
    xml.maybe("nextToken", page.next);
    Ok(xml)
}

fn instance_type(xml: &mut Xml, plan: &Plan) {
    let metal = plan.kind == MachineKind::BareMetal;
    let threads = if data::architecture(plan.id) == "arm64" { 1 } else { 2 };
    xml.text("instanceType", plan.id).text("currentGeneration", true);
    xml.text("freeTierEligible", plan.id == "t3.micro");
    xml.words("supportedUsageClasses", ["on-demand"]).words("supportedRootDeviceTypes", ["ebs"]);
    xml.words("supportedVirtualizationTypes", ["hvm"]).text("bareMetal", metal);
    xml.maybe("hypervisor", (!metal).then_some("nitro"));
    xml.within("processorInfo", |xml| {
        xml.words("supportedArchitectures", [data::architecture(plan.id)]);
    });
    xml.within("vCpuInfo", |xml| {
        xml.text("defaultVCpus", plan.vcpus).text("defaultCores", plan.vcpus / threads);
        xml.text("defaultThreadsPerCore", threads);
    });
    xml.within("memoryInfo", |xml| {
        xml.text("sizeInMiB", plan.memory_mib);
    });
    xml.text("instanceStorageSupported", plan.disk_gib > 0);
    if plan.disk_gib > 0 {
        let disks = if metal { 4 } else { 1 };
        xml.within("instanceStorageInfo", |xml| {
            xml.text("totalSizeInGB", plan.disk_gib).set("disks", [disks], |xml, count| {
                xml.text("sizeInGB", plan.disk_gib / count).text("count", count).text("type", "ssd");
            });
            xml.text("nvmeSupport", "required");
        });
    }
    xml.within("ebsInfo", |xml| {
        xml.text("ebsOptimizedSupport", "default")
            .text("encryptionSupport", "supported")
            .text("nvmeSupport", "required");
    });
    xml.within("networkInfo", |xml| {
        xml.text("networkPerformance", "Up to 5 Gigabit").text("ipv6Supported", true).text("enaSupport", "required");
    });
    if data::has_gpu(plan.id) {
        xml.within("gpuInfo", |xml| {
            xml.set("gpus", ["A10G"], |xml, name| {
                xml.text("name", name).text("manufacturer", "NVIDIA").text("count", 1);
                xml.within("memoryInfo", |xml| {
                    xml.text("sizeInMiB", 24_576);
                });
            });
            xml.text("totalGpuMemoryInMiB", 24_576);
        });
    }
    xml.text("hibernationSupported", false).text("burstablePerformanceSupported", plan.id.starts_with('t'));
    xml.text("dedicatedHostsSupported", !plan.id.starts_with('t')).text("autoRecoverySupported", !metal);
    xml.words("supportedBootModes", if threads == 1 { &["uefi"][..] } else { &["legacy-bios", "uefi"] });
}

/// DescribeInstanceTypeOfferings, by region or by zone.
pub(super) fn describe_offerings(call: &mut Call<'_, '_>) -> Result<Xml, AwsError> {
    let filters = Filters::read(call.params, &["instance-type", "location"])?;
    let by = call.params.text("LocationType").unwrap_or("region");
    let places = |plan: &Plan| -> Result<Vec<String>, AwsError> {
        let zones = data::offered_in(plan, &call.region).into_iter();
        match by {
            "region" if plan.sold_in(&call.region) => Ok(vec![call.region.clone()]),
            "region" => Ok(Vec::new()),
            "availability-zone" => Ok(zones.map(|zone| zone.name).collect()),
            "availability-zone-id" => Ok(zones.map(|zone| zone.id).collect()),
            other => Err(AwsError::invalid(format!("Invalid value '{other}' for LocationType."))),
        }
    };
    let mut offers = Vec::new();
    for plan in CATALOG.plans {
        offers.extend(places(plan)?.into_iter().map(|place| (plan.id, place)));
    }
    let page = page(call.params, 5..=1000, offers, |(plan, place)| {
        filters.pass(|name| match name {
            "instance-type" => vec![(*plan).to_owned()],
            "location" => vec![place.clone()],
            _ => Vec::new(),
        })
    })?;
    let mut xml = Xml::default();
    xml.set("instanceTypeOfferingSet", page.items, |xml, (plan, place)| {
        xml.text("instanceType", plan).text("locationType", by).text("location", place);
    });
    xml.maybe("nextToken", page.next);
    Ok(xml)
}
