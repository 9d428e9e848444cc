//! Price List: what a kind of server costs in a region, and what its disk does.

use std::collections::BTreeMap;

use capsule_core::Result;
use capsule_core::http::{Call, page};
use http::HeaderValue;
use serde::Deserialize;
use serde_json::json;

use super::ssm::{JSON, TARGET};
use super::{Api, ROOT_DISK, Service};

/// The price list of every region is kept in a few places; this is the first of them.
const HOME: &str = "us-east-1";

/// One product with its prices.
#[derive(Debug, Deserialize)]
pub(in crate::aws) struct PricedProduct {
    pub product: Product,
    pub terms: Terms,
}

#[derive(Debug, Deserialize)]
pub(in crate::aws) struct Product {
    pub attributes: Attributes,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct Attributes {
    #[serde(default)]
    pub instance_type: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::aws) struct Terms {
    #[serde(default)]
    pub on_demand: BTreeMap<String, Term>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct Term {
    #[serde(default)]
    pub price_dimensions: BTreeMap<String, PriceDimension>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::aws) struct PriceDimension {
    #[serde(default)]
    pub unit: String,
    /// By currency; amounts are text.
    #[serde(default)]
    pub price_per_unit: BTreeMap<String, String>,
}

impl Api {
    /// Linux prices of all kinds of server in `of`.
    pub(in crate::aws) async fn server_prices(&self, of: &str) -> Result<Vec<PricedProduct>> {
        let linux = [
            ("regionCode", of),
            ("operatingSystem", "Linux"),
            ("tenancy", "Shared"),
            ("preInstalledSw", "NA"),
            ("capacitystatus", "Used"),
        ];
        self.get_products(&linux).await
    }

    /// What storage on disks of the kind that servers get costs in `of`. What such a disk does beyond its baseline is
    /// of other families.
    pub(in crate::aws) async fn disk_prices(&self, of: &str) -> Result<Vec<PricedProduct>> {
        let storage = [("regionCode", of), ("productFamily", "Storage"), ("volumeApiName", ROOT_DISK)];
        self.get_products(&storage).await
    }

    /// Products for which all of that holds: <https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html>.
    async fn get_products(&self, filters: &[(&str, &str)]) -> Result<Vec<PricedProduct>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Page {
            /// Each is JSON in a string.
            #[serde(default)]
            price_list: Vec<String>,
            #[serde(default)]
            next_token: Option<String>,
        }
        let filters: Vec<_> = filters
            .iter()
            .map(|(field, value)| json!({ "Type": "TERM_MATCH", "Field": field, "Value": value }))
            .collect();
        let filters = &filters;
        page::chained("prices", |token| async move {
            let mut wanted = json!({ "ServiceCode": "AmazonEC2", "Filters": filters, "MaxResults": 100 });
            if let Some(token) = token {
                wanted["NextToken"] = token.into();
            }
            let call = Call::post("pricing.GetProducts", "/")
                .read()
                .header(TARGET, HeaderValue::from_static("AWSPriceListService.GetProducts"))
                .body(JSON, wanted.to_string());
            let reply = self.client(Service::Pricing, HOME)?.send(call).await?;
            let page: Page = reply.json()?;
            let products = page.price_list.iter().map(|text| {
                serde_json::from_str(text)
                    .map_err(|error| reply.protocol(format!("a product that Capsule cannot read ({error})")))
            });
            Ok((products.collect::<Result<_>>()?, page.next_token.filter(|token| !token.is_empty())))
        })
        .await
    }
}
