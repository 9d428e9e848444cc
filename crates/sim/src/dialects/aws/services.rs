//! The services beside EC2: who am I (STS), which image (SSM), how many (Service Quotas), at what price (Price List).

use serde::Deserialize;
use serde_json::{Value, json};

use super::call::owner;
use super::data::{self, CATALOG};
use super::error::AwsError;
use super::xml::Xml;
use crate::catalog::Plan;
use crate::wire::Request;

/// STS GetCallerIdentity: every known key may ask.
pub(super) fn caller_identity(account: &str) -> Xml {
    let number = owner(account);
    let mut xml = Xml::default();
    xml.text("Arn", format!("arn:aws:iam::{number}:user/{account}"));
    xml.text("UserId", format!("AIDA{:0>16}", account.to_ascii_uppercase())).text("Account", number);
    xml
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

fn read<T: serde::de::DeserializeOwned>(request: &Request) -> Result<T, AwsError> {
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

/// All that is on the list is Linux on demand on shared hosts, twice: used, and reserved without being used. Whoever does
/// not filter by `capacitystatus` finds two products for one type.
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
            products.extend(
                ["Used", "UnusedCapacityReservation"].map(|capacity| product(plan, region.id, region.name, capacity)),
            );
        }
    }
    products.retain(|product| {
        asked.filters.iter().all(|filter| product["product"]["attributes"][&filter.field] == filter.value.as_str())
    });
    let total = products.len();
    let list: Vec<String> = products.into_iter().skip(start).take(max).map(|product| product.to_string()).collect();
    let mut answer = json!({ "FormatVersion": "aws_v1", "PriceList": list });
    if start + max < total {
        answer["NextToken"] = json!(format!("from-{}", start + max));
    }
    Ok(answer)
}

fn product(plan: &Plan, region: &str, location: &str, capacity: &str) -> Value {
    let sku = data::id("SKU", &[plan.id, region, capacity])[5..].to_ascii_uppercase();
    let term = format!("{sku}.JRTCKXETXF");
    let rate = format!("{term}.6YS6EN2CT7");
    let price = data::hourly_in(plan, region);
    let usage = if capacity == "Used" { "BoxUsage" } else { "UnusedBox" };
    json!({
        "product": {
            "productFamily": if plan.id.ends_with(".metal") { "Compute Instance (bare metal)" } else { "Compute Instance" },
            "sku": sku,
            "attributes": {
                "servicecode": "AmazonEC2",
                "regionCode": region,
                "location": location,
                "locationType": "AWS Region",
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
            },
        },
        "serviceCode": "AmazonEC2",
        "terms": { "OnDemand": { term.clone(): {
            "offerTermCode": "JRTCKXETXF",
            "sku": sku,
            "effectiveDate": "2025-12-01T00:00:00Z",
            "termAttributes": {},
            "priceDimensions": { rate.clone(): {
                "rateCode": rate,
                "unit": "Hrs",
                "beginRange": "0",
                "endRange": "Inf",
                "description": format!("${price} per On Demand Linux {} Instance Hour", plan.id),
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
