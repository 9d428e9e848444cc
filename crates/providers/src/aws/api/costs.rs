//! Cost Explorer: what the account is charged. Each request costs money.

use capsule_core::Result;
use capsule_core::http::Call;
use http::HeaderValue;
use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::json;

use super::ssm::{JSON, TARGET};
use super::{Api, Service};

/// The costs of all regions are kept in one.
const HOME: &str = "us-east-1";

/// What one service of the vendor costs.
#[derive(Debug)]
pub(in crate::aws) struct ServiceCost {
    pub service: String,
    pub amount: Decimal,
    /// The currency.
    pub unit: String,
}

#[derive(Debug, Deserialize)]
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

impl Costs {
    /// By service, in the vendor's order.
    pub(in crate::aws) fn by_service(self) -> Vec<ServiceCost> {
        let groups = self.results_by_time.into_iter().flat_map(|period| period.groups);
        let cost = |group: Group| ServiceCost {
            service: group.keys.join(", "),
            amount: group.metrics.unblended_cost.amount,
            unit: group.metrics.unblended_cost.unit,
        };
        groups.map(cost).collect()
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
        let call = Call::post("ce.GetCostAndUsage", "/")
            .read()
            .header(TARGET, HeaderValue::from_static("AWSInsightsIndexService.GetCostAndUsage"))
            .body(JSON, wanted.to_string());
        let reply = self.client(Service::Costs, HOME)?.send(call).await?;
        let costs: Costs = reply.json()?;
        match costs.next_page_token.as_deref() {
            None | Some("") => Ok(costs),
            Some(_) => Err(reply.protocol("costs of a few services on more than one page".to_owned())),
        }
    }
}
