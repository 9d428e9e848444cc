//! What servers cost as files for other programs: groups and days as CSV, and days in the columns of FOCUS 1.2.

use capsule_core::{Granularity, Life, Money, PlanKind};
use capsule_engine::ledger::{Account, Group};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::{Day, provider_name};
use crate::output::Csv;

/// The columns of FOCUS 1.2 that are mandatory, recommended or known here, in the order of their names:
/// <https://focus.finops.org/focus-specification/v1-2/>. Left out is what the standard asks for only where a unit price, a
/// discount, a reservation or a second currency is in play; a discount's status stays, since rules of quantities go by it.
pub(super) const FOCUS: [&str; 34] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "CommitmentDiscountStatus",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceId",
    "InvoiceIssuerName",
    "ListCost",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "Tags",
];

/// What stands under each column of [`FOCUS`]; nothing where that is not known or does not apply.
pub(super) type Row = [String; FOCUS.len()];

/// Rows of FOCUS as CSV.
pub(super) fn focus(rows: &[Row]) -> String {
    let mut csv = Csv::new(FOCUS);
    rows.iter().for_each(|row| csv.row(row.clone()));
    csv.text()
}

/// A row of FOCUS for each day of each server.
///
/// What a day cost is a sum of a plan with its minimum and cap, a disk and an address, so there is no unit price of it;
/// the vendor's number of the account is not known here, so the provider stands for it; and no invoice is.
pub(super) fn focus_rows(days: &[Day<'_>], now: Timestamp) -> Vec<Row> {
    let row = |Day { account, day, amount }: &Day<'_>| {
        let record = &account.record;
        let (provider, region, plan) = (&record.id.provider, &record.id.region, &record.plan);
        let vendor = provider_name(provider);
        let month = day.first_of_month();
        let next_month = month.checked_add(1.month()).unwrap_or(month);
        let in_advance = record.price.as_ref().is_some_and(|price| price.rule.granularity == Granularity::Month);
        let used = if in_advance { None } else { Some(hours(account, *day, now)) };
        let cost = amount.amount().round_dp(10);
        // Always with a point: what reads columns by guessing takes a column of whole numbers for another kind.
        let cost = format!("{cost:.10}");
        let cell = |column: &str| match column {
            "BilledCost" | "ContractedCost" | "EffectiveCost" | "ListCost" => cost.clone(),
            "BillingAccountId" => provider.to_string(),
            "BillingAccountName" => vendor.clone(),
            "BillingCurrency" => amount.currency().to_string(),
            "BillingPeriodStart" => midnight(month),
            "BillingPeriodEnd" => midnight(next_month),
            "ChargeCategory" => if in_advance { "Purchase" } else { "Usage" }.to_owned(),
            "ChargeDescription" => format!("Server of the plan {plan} in {region}, as reckoned by Capsule"),
            "ChargeFrequency" => if in_advance { "Recurring" } else { "Usage-Based" }.to_owned(),
            "ChargePeriodStart" => midnight(*day),
            "ChargePeriodEnd" => midnight(day.tomorrow().unwrap_or(*day)),
            "ConsumedQuantity" => used.clone().unwrap_or_default(),
            "ConsumedUnit" if used.is_some() => "Hours".to_owned(),
            "InvoiceIssuerName" | "ProviderName" | "PublisherName" => vendor.clone(),
            "PricingCategory" => "Standard".to_owned(),
            // A month that is paid in advance stands on the day on which it is charged.
            "PricingQuantity" => used.clone().unwrap_or_else(|| "1.000".to_owned()),
            "PricingUnit" => if in_advance { "Months" } else { "Hours" }.to_owned(),
            "RegionId" | "RegionName" => region.clone(),
            "ResourceId" => record.id.to_string(),
            "ResourceName" => record.name.clone(),
            "ResourceType" => "Server".to_owned(),
            "ServiceCategory" => "Compute".to_owned(),
            "ServiceName" => format!("{vendor} servers"),
            "ServiceSubcategory" => match record.kind {
                Some(PlanKind::Virtual) => "Virtual Machines",
                Some(PlanKind::BareMetal) | None => "Other (Compute)",
            }
            .to_owned(),
            "Tags" => serde_json::to_string(&record.tags).unwrap_or_default(),
            _ => String::new(),
        };
        FOCUS.map(cell)
    };
    days.iter().map(row).collect()
}

/// How many hours of a day a server was there, or on where only that costs.
fn hours(account: &Account, day: Date, now: Timestamp) -> String {
    let at = |day: Date| TimeZone::UTC.to_timestamp(day.into()).unwrap_or(now);
    let (start, end) = (at(day), at(day.tomorrow().unwrap_or(day)));
    let overlap = |from: Timestamp, to: Timestamp| to.min(end).duration_since(from.max(start)).as_millis().max(0);
    let Life { from, to, off } = account.life(now);
    let billed_off = account.record.price.as_ref().is_some_and(|price| price.rule.stopped_is_billed);
    let idle: i128 = if billed_off { 0 } else { off.iter().map(|(off, on)| overlap(*off, *on)).sum() };
    let ms = overlap(from, to) - idle;
    // Thousandths, of which a day has few.
    format!("{}.{:03}", ms / 3_600_000, ms % 3_600_000 / 3600)
}

fn midnight(day: Date) -> String {
    format!("{day}T00:00:00Z")
}

/// The groups of the table, a row for each currency.
pub(super) fn groups(title: &str, groups: &[Group]) -> String {
    let mut csv = Csv::new([title, "servers", "living", "unpriced", "currency", "actual", "forecast"]);
    for group in groups {
        let head = [&group.key, &group.servers.to_string(), &group.living.to_string(), &group.unpriced.to_string()];
        let head = head.map(ToOwned::to_owned);
        let amounts: Vec<Money> = group.forecast.amounts().collect();
        for forecast in &amounts {
            let currency = forecast.currency();
            let actual = group.actual.of(currency).amount().normalize().to_string();
            let cells = [currency.to_string(), actual, forecast.amount().normalize().to_string()];
            csv.row(head.iter().cloned().chain(cells));
        }
        if amounts.is_empty() {
            csv.row(head.into_iter().chain([String::new(), String::new(), String::new()]));
        }
    }
    csv.text()
}

/// What each server cost on each day.
pub(super) fn days(days: &[Day<'_>]) -> String {
    let mut csv = Csv::new(["day", "provider", "region", "id", "name", "plan", "currency", "amount"]);
    for Day { account, day, amount } in days {
        let record = &account.record;
        csv.row([
            day.to_string(),
            record.id.provider.to_string(),
            record.id.region.clone(),
            record.id.native.clone(),
            record.name.clone(),
            record.plan.clone(),
            amount.currency().to_string(),
            amount.amount().normalize().to_string(),
        ]);
    }
    csv.text()
}
