//! Cost Explorer: what the account is charged, by month and service, some hours late. The vendor takes a cent for each
//! request; that is on no invoice here.

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::AwsError;
use super::services::read;
use crate::invoice::{Charge, What, month};
use crate::wire::Request;
use crate::world::View;

/// How late the figures are: the vendor says hours to a day.
const LATE: SignedDuration = SignedDuration::from_hours(8);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetCostAndUsage {
    time_period: TimePeriod,
    granularity: String,
    metrics: Vec<String>,
    #[serde(default)]
    group_by: Vec<GroupBy>,
    filter: Option<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TimePeriod {
    start: String,
    end: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GroupBy {
    r#type: String,
    key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Filter {
    dimensions: Option<Dimensions>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Dimensions {
    key: String,
    values: Vec<String>,
}

/// The vendor's name for what a line is for.
fn service(what: What) -> &'static str {
    match what {
        What::Server => "Amazon Elastic Compute Cloud - Compute",
        What::RootDisk => "EC2 - Other",
        What::PublicIpv4 => "Amazon Virtual Private Cloud",
    }
}

pub(super) fn get_cost_and_usage(account: &str, view: &View<'_>, request: &Request) -> Result<Value, AwsError> {
    let asked: GetCostAndUsage = read(request)?;
    let bad = |message: &str| Err(AwsError::bad("ValidationException", message.to_owned()));
    let day = |text: &str| text.parse::<Date>().ok();
    let (Some(start), Some(end)) = (day(&asked.time_period.start), day(&asked.time_period.end)) else {
        return bad("Start date (and hour) and end date (and hour) must be valid dates.");
    };
    if start >= end {
        return bad("Start date (and hour) should be before end date (and hour)");
    }
    let today = jiff::tz::TimeZone::UTC.to_datetime(view.now()).date();
    if today.first_of_month().checked_add(1.month()).is_ok_and(|next| end > next) {
        return bad("end date past the beginning of next month");
    }
    if asked.granularity != "MONTHLY" || start.day() != 1 || end.day() != 1 {
        return bad("Only whole months are modelled here.");
    }
    if asked.metrics.is_empty() || asked.metrics.iter().any(|metric| metric != "UnblendedCost") {
        return bad("Only the metric UnblendedCost is modelled here.");
    }
    if asked.group_by.iter().any(|group| group.r#type != "DIMENSION") {
        return bad("Only groups by dimension are modelled here.");
    }
    let keys: Vec<&str> = asked.group_by.iter().map(|group| group.key.as_str()).collect();
    // All that is charged here is usage: there are no taxes and credits.
    let (by_service, by_record) = match keys.as_slice() {
        [] => (false, false),
        ["SERVICE"] => (true, false),
        ["SERVICE", "RECORD_TYPE"] => (true, true),
        _ => return bad("Only groups by SERVICE, and by that and RECORD_TYPE, are modelled here."),
    };
    let only = match asked.filter.and_then(|filter| filter.dimensions) {
        None => None,
        Some(dimensions) if dimensions.key == "SERVICE" => Some(dimensions.values),
        Some(_) => return bad("Only filters by the dimension SERVICE are modelled here."),
    };
    let known = view.now().saturating_sub(LATE).unwrap_or(Timestamp::MIN);
    let metric =
        |amount: Decimal| json!({ "UnblendedCost": { "Amount": amount.round_dp(10).to_string(), "Unit": "USD" } });
    let (mut results, mut at) = (Vec::new(), start);
    while at < end {
        let next =
            at.checked_add(1.month()).map_err(|error| AwsError::bad("ValidationException", error.to_string()))?;
        let mut charges = view.charges_in(account, (at.year(), at.month()), known);
        charges.retain(|charge| only.as_ref().is_none_or(|only| only.iter().any(|name| name == service(charge.what))));
        let sum = |what: Option<What>| {
            let of = charges.iter().filter(|charge| what.is_none_or(|what| charge.what == what));
            of.map(|charge: &Charge| charge.amount).sum::<Decimal>()
        };
        let groups = [What::Server, What::RootDisk, What::PublicIpv4].into_iter();
        let groups = groups.filter(|what| by_service && charges.iter().any(|charge| charge.what == *what));
        let keys = |what| if by_record { json!([service(what), "Usage"]) } else { json!([service(what)]) };
        let groups: Vec<_> =
            groups.map(|what| json!({ "Keys": keys(what), "Metrics": metric(sum(Some(what))) })).collect();
        results.push(json!({
            "TimePeriod": { "Start": at.to_string(), "End": next.to_string() },
            "Total": if by_service { json!({}) } else { metric(sum(None)) },
            "Groups": groups,
            "Estimated": (at.year(), at.month()) == month(view.now()),
        }));
        at = next;
    }
    let groups: Vec<_> = keys.iter().map(|key| json!({ "Type": "DIMENSION", "Key": key })).collect();
    Ok(json!({ "GroupDefinitions": groups, "ResultsByTime": results, "DimensionValueAttributes": [] }))
}
