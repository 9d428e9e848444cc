//! The services beside EC2: who am I (STS), which image (SSM), how many (Service Quotas), at what price (Price List).

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::owner;
use super::data::{self, CATALOG};
use super::error::AwsError;
use crate::catalog::{Plan, Region};
use crate::wire::Request;

/// STS GetCallerIdentity: every known key may ask.
pub(super) fn caller_identity(account: &str) -> [(&'static str, String); 3] {
    let number = owner(account);
    let arn = format!("arn:aws:iam::{number}:user/{account}");
    [("Arn", arn), ("UserId", format!("AIDA{:0>16}", account.to_ascii_uppercase())), ("Account", number.to_owned())]
}

/// The same for whoever accepts JSON alone, which is not documented.
pub(super) fn caller_identity_json(account: &str, request_id: &str) -> Value {
    let result: serde_json::Map<String, Value> =
        caller_identity(account).into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    json!({ "GetCallerIdentityResponse": {
        "GetCallerIdentityResult": result,
        "ResponseMetadata": { "RequestId": request_id },
    } })
}

/// The answer to a JSON call.
pub(super) fn json(operation: &str, region: &str, machine_limit: u32, request: &Request) -> Result<Value, AwsError> {
    match operation {
        "ssm.GetParameter" => get_parameter(region, read(request)?),
        "ssm.GetParameters" => get_parameters(region, read(request)?),
        "pricing.GetProducts" => get_products(read(request)?),
        "servicequotas.GetServiceQuota" => get_quota(machine_limit, read(request)?),
        _ => Err(AwsError::bad("UnknownOperationException", "")),
    }
}

/// A JSON call's body.
pub(super) fn read<T: serde::de::DeserializeOwned>(request: &Request) -> Result<T, AwsError> {
    request.json().map_err(|error| AwsError::bad("SerializationException", error.to_string()))
}

fn parameter(region: &str, name: &str) -> Option<Value> {
    let ami = data::ami_of_parameter(region, name)?;
    Some(json!({
        "ARN": format!("arn:aws:ssm:{region}::parameter{name}"),
        "DataType": "aws:ec2:image",
        "LastModifiedDate": 1_765_800_000,
        "Name": name,
        "Type": "String",
        "Value": ami.id,
        "Version": 1,
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetParameter {
    name: String,
}

fn get_parameter(region: &str, asked: GetParameter) -> Result<Value, AwsError> {
    let found = parameter(region, &asked.name);
    found.map(|parameter| json!({ "Parameter": parameter })).ok_or_else(|| AwsError::bad("ParameterNotFound", ""))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetParameters {
    names: Vec<String>,
}

fn get_parameters(region: &str, mut asked: GetParameters) -> Result<Value, AwsError> {
    if !(1..=10).contains(&asked.names.len()) {
        return Err(AwsError::bad("ValidationException", "names: Member must have length between 1 and 10"));
    }
    asked.names.sort();
    let (known, unknown): (Vec<_>, Vec<_>) =
        asked.names.into_iter().partition(|name| data::ami_of_parameter(region, name).is_some());
    let parameters: Vec<Value> = known.iter().filter_map(|name| parameter(region, name)).collect();
    Ok(json!({ "Parameters": parameters, "InvalidParameters": unknown }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetServiceQuota {
    service_code: String,
    quota_code: String,
}

/// The one quota that is modelled. The world limits servers, the vendor processors: of those, each server of the smallest
/// types has two.
fn get_quota(machine_limit: u32, asked: GetServiceQuota) -> Result<Value, AwsError> {
    if (asked.service_code.as_str(), asked.quota_code.as_str()) != ("ec2", "L-1216C47A") {
        return Err(AwsError::bad(
            "NoSuchResourceException",
            "The request failed because the specified quota does not exist.",
        ));
    }
    Ok(json!({ "Quota": {
        "ServiceCode": "ec2",
        "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
        "QuotaCode": "L-1216C47A",
        "QuotaName": "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances",
        // The vendor writes quotas with a decimal point.
        "Value": f64::from(machine_limit) * 2.0,
        "Unit": "None",
        "Adjustable": true,
        "GlobalQuota": false,
    } }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetProducts {
    service_code: String,
    #[serde(default)]
    filters: Vec<ProductFilter>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ProductFilter {
    r#type: String,
    field: String,
    value: String,
}

/// The servers on the list are Linux on demand on shared hosts, twice: used, and reserved without being used. Whoever does
/// not filter by `capacitystatus` finds two products for one type. Of disks there are two kinds, and what the faster one
/// does beyond its baseline.
fn get_products(asked: GetProducts) -> Result<Value, AwsError> {
    if asked.service_code != "AmazonEC2" {
        return Err(AwsError::bad("InvalidParameterException", "The service code is not valid."));
    }
    if asked.filters.iter().any(|filter| filter.r#type != "TERM_MATCH") {
        return Err(AwsError::bad("InvalidParameterException", "Only the filter type TERM_MATCH is modelled here."));
    }
    let max = asked.max_results.unwrap_or(100);
    if !(1..=100).contains(&max) {
        return Err(AwsError::bad("InvalidParameterException", "MaxResults must be between 1 and 100."));
    }
    let start = match asked.next_token {
        None => 0,
        Some(token) => token
            .strip_prefix("from-")
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| AwsError::bad("InvalidNextTokenException", "The pagination token is invalid."))?,
    };
    let mut products = Vec::new();
    for region in CATALOG.regions {
        for plan in CATALOG.plans.iter().filter(|plan| plan.sold_in(region.id)) {
            products.extend(["Used", "UnusedCapacityReservation"].map(|capacity| server(plan, region, capacity)));
        }
        products.extend(disks(region));
    }
    products.retain(|product| {
        let product = &product["product"];
        asked.filters.iter().all(|filter| match filter.field.as_str() {
            // It stands beside the attributes, and is a field like them.
            "productFamily" => product["productFamily"] == filter.value.as_str(),
            field => product["attributes"][field] == filter.value.as_str(),
        })
    });
    let total = products.len();
    let list: Vec<String> = products.into_iter().skip(start).take(max).map(|product| product.to_string()).collect();
    let mut answer = json!({ "FormatVersion": "aws_v1", "PriceList": list });
    if start + max < total {
        answer["NextToken"] = json!(format!("from-{}", start + max));
    }
    Ok(answer)
}

fn server(plan: &Plan, region: &Region, capacity: &str) -> Value {
    let price = data::hourly_in(plan, region.id);
    let usage = if capacity == "Used" { "BoxUsage" } else { "UnusedBox" };
    let family = if plan.id.ends_with(".metal") { "Compute Instance (bare metal)" } else { "Compute Instance" };
    let attributes = json!({
        "instanceType": plan.id,
        "vcpu": plan.vcpus.to_string(),
        "memory": format!("{} GiB", gib(plan.memory_mib)),
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": capacity,
        "licenseModel": "No License required",
        "marketoption": "OnDemand",
        "operation": "RunInstances",
        "usagetype": format!("{usage}:{}", plan.id),
        "currentGeneration": "Yes",
    });
    let description = format!("${price} per On Demand Linux {} Instance Hour", plan.id);
    product(region, family, attributes, "Hrs", &price, &description)
}

/// The storage of gp3 and gp2, and the operations and throughput of gp3 beyond its baseline.
fn disks(region: &Region) -> [Value; 4] {
    let disk = |family: &str, kind: &str, usage: &str, unit: &str, price: &str| {
        let attributes = json!({
            "storageMedia": "SSD-backed",
            "volumeType": "General Purpose",
            "volumeApiName": kind,
            "usagetype": format!("EBS:{usage}.{kind}"),
            "operation": "",
        });
        let description = format!("${price} per {unit} of General Purpose ({kind}) in {}", region.name);
        product(region, family, attributes, unit, price, &description)
    };
    [
        disk("Storage", "gp3", "VolumeUsage", "GB-Mo", data::gp3_in(region.id)),
        disk("Storage", "gp2", "VolumeUsage", "GB-Mo", "0.1"),
        disk("System Operation", "gp3", "VolumeP-IOPS", "IOPS-Mo", "0.005"),
        disk("Provisioned Throughput", "gp3", "VolumeP-Throughput", "GiBps-mo", "40.96"),
    ]
}

fn product(region: &Region, family: &str, own: Value, unit: &str, price: &str, description: &str) -> Value {
    let mut attributes = json!({
        "servicecode": "AmazonEC2",
        "regionCode": region.id,
        "location": region.name,
        "locationType": "AWS Region",
    });
    let sku = data::id("SKU", &[family, region.id, &own.to_string()])[5..].to_ascii_uppercase();
    if let (Value::Object(all), Value::Object(own)) = (&mut attributes, own) {
        all.extend(own);
    }
    let term = format!("{sku}.JRTCKXETXF");
    let rate = format!("{term}.6YS6EN2CT7");
    json!({
        "product": { "productFamily": family, "sku": sku, "attributes": attributes },
        "serviceCode": "AmazonEC2",
        "terms": { "OnDemand": { term.clone(): {
            "offerTermCode": "JRTCKXETXF",
            "sku": sku,
            "effectiveDate": "2025-12-01T00:00:00Z",
            "termAttributes": {},
            "priceDimensions": { rate.clone(): {
                "rateCode": rate,
                "unit": unit,
                "beginRange": "0",
                "endRange": "Inf",
                "description": description,
                "appliesTo": [],
                "pricePerUnit": { "USD": price },
            } },
        } } },
        "version": "20251201000000",
        "publicationDate": "2025-12-01T00:00:00Z",
    })
}

/// `0.5`, `16`: as the price list writes memory.
fn gib(mib: u64) -> String {
    if mib.is_multiple_of(1024) {
        (mib / 1024).to_string()
    } else {
        format!("{}.{}", mib / 1024, mib % 1024 * 10 / 1024)
    }
}
