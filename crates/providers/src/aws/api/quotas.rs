//! Service Quotas: how much the account may rent at once.

use capsule_core::Result;
use capsule_core::http::Call;
use http::HeaderValue;
use rust_decimal::Decimal;
use serde::Deserialize;

use super::ssm::{JSON, TARGET};
use super::{Api, Service};

/// Running on-demand servers of the standard families (A, C, D, H, I, M, R, T, Z), counted in virtual processors.
const STANDARD_VCPUS: &str = "L-1216C47A";

impl Api {
    /// The account's limit on virtual processors in a region:
    /// <https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html>.
    pub(in crate::aws) async fn vcpu_quota(&self, region: &str) -> Result<Decimal> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Said {
            quota: Quota,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Quota {
            #[serde(with = "capsule_core::money::decimal_text")]
            value: Decimal,
        }
        let wanted = serde_json::json!({ "ServiceCode": "ec2", "QuotaCode": STANDARD_VCPUS });
        let call = Call::post("servicequotas.GetServiceQuota", "/")
            .read()
            .header(TARGET, HeaderValue::from_static("ServiceQuotasV20190624.GetServiceQuota"))
            .body(JSON, wanted.to_string());
        let said: Said = self.client(Service::Quotas, region)?.send(call).await?.json()?;
        Ok(said.quota.value)
    }
}
