//! Cost Explorer: what the account is charged. Each request costs money.

use capsule_core::http::Call;
use capsule_core::{Error, ErrorKind, Result};
use http::HeaderValue;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ssm::{JSON, TARGET};
use super::{Api, Service};

/// The costs of all regions are kept in one.
const HOME: &str = "us-east-1";

/// Each page costs money.
const MOST_PAGES: usize = 10;

/// What one service of the vendor costs.
#[derive(Debug)]
pub(in crate::aws) struct ServiceCost {
    pub service: String,
    pub amount: Decimal,
    /// The currency.
    pub unit: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::aws) struct Costs {
    #[serde(default)]
    results_by_time: Vec<Period>,
    #[serde(default)]
    next_page_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Period {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Group {
    #[serde(default)]
    keys: Vec<String>,
    metrics: Metrics,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metrics {
    unblended_cost: Metric,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    #[serde(with = "capsule_core::money::decimal_text")]
    amount: Decimal,
    unit: String,
}

/// What one service was charged for one reason.
#[derive(Debug)]
pub(in crate::aws) struct RecordCost {
    pub service: String,
    /// `Usage`, `Tax`, `Credit`, `Refund` ...
    pub record: String,
    pub amount: Decimal,
    /// The currency.
    pub unit: String,
}

impl Costs {
    /// By service, in the vendor's order.
    pub(in crate::aws) fn by_service(self) -> Vec<ServiceCost> {
        let cost = |group: Group| ServiceCost {
            service: group.keys.join(", "),
            amount: group.metrics.unblended_cost.amount,
            unit: group.metrics.unblended_cost.unit,
        };
        self.groups().map(cost).collect()
    }

    /// By service and reason, in the vendor's order.
    pub(in crate::aws) fn by_record(self) -> Vec<RecordCost> {
        let cost = |group: Group| {
            let mut keys = group.keys.into_iter();
            RecordCost {
                service: keys.next().unwrap_or_default(),
                record: keys.next().unwrap_or_default(),
                amount: group.metrics.unblended_cost.amount,
                unit: group.metrics.unblended_cost.unit,
            }
        };
        self.groups().map(cost).collect()
    }

    fn groups(self) -> impl Iterator<Item = Group> {
        self.results_by_time.into_iter().flat_map(|period| period.groups)
    }
}

impl Api {
    /// What these services were charged from one day to before another, by service:
    /// <https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_GetCostAndUsage.html>.
    ///
    /// One request, sent once: each is paid for. So few services come on one page.
    pub(in crate::aws) async fn cost_and_usage(&self, from: Date, until: Date, services: &[&str]) -> Result<Costs> {
        let wanted = json!({
            "TimePeriod": { "Start": from.to_string(), "End": until.to_string() },
            "Granularity": "MONTHLY",
            "Metrics": ["UnblendedCost"],
            "GroupBy": [{ "Type": "DIMENSION", "Key": "SERVICE" }],
            "Filter": { "Dimensions": { "Key": "SERVICE", "Values": services } },
        });
        self.ask_costs(&wanted).await
    }

    /// What the account was charged for everything, by service and reason. As many requests as there are pages, each
    /// paid for; one page holds hundreds of lines.
    pub(in crate::aws) async fn costs_by_record(&self, from: Date, until: Date) -> Result<Costs> {
        let dimension = |key: &str| json!({ "Type": "DIMENSION", "Key": key });
        self.ask_costs(&json!({
            "TimePeriod": { "Start": from.to_string(), "End": until.to_string() },
            "Granularity": "MONTHLY",
            "Metrics": ["UnblendedCost"],
            "GroupBy": [dimension("SERVICE"), dimension("RECORD_TYPE")],
        }))
        .await
    }

    async fn ask_costs(&self, wanted: &Value) -> Result<Costs> {
        let mut wanted = wanted.clone();
        let mut all: Option<Costs> = None;
        for _ in 0..MOST_PAGES {
            let call = Call::post("ce.GetCostAndUsage", "/")
                .read()
                .header(TARGET, HeaderValue::from_static("AWSInsightsIndexService.GetCostAndUsage"))
                .body(JSON, wanted.to_string());
            let reply = self.client(Service::Costs, HOME)?.send(call).await?;
            let mut costs: Costs = reply.json()?;
            let next = costs.next_page_token.take().filter(|token| !token.is_empty());
            match &mut all {
                Some(all) => all.results_by_time.append(&mut costs.results_by_time),
                None => all = Some(costs),
            }
            match next {
                Some(token) => wanted["NextPageToken"] = token.into(),
                None => return Ok(all.unwrap_or_default()),
            }
        }
        let message = format!("Cost Explorer tells of more than {MOST_PAGES} pages, so the costs are not read.");
        Err(Error::new(ErrorKind::Protocol, message)
            .with_provider(crate::aws::convert::PROVIDER)
            .with_operation("ce.GetCostAndUsage"))
    }
}
