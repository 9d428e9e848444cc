//! SSM: the public parameters that name each region's current images.

use capsule_core::Result;
use capsule_core::http::Call;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::{Api, Service};

pub(super) const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
pub(super) const JSON: &str = "application/x-amz-json-1.1";

impl Api {
    /// A public parameter's value: <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html>.
    pub(in crate::aws) async fn get_parameter(&self, region: &str, name: &str) -> Result<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Said {
            parameter: Parameter,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Parameter {
            value: String,
        }
        let call = Call::post("ssm.GetParameter", "/")
            .read()
            .header(TARGET, HeaderValue::from_static("AmazonSSM.GetParameter"))
            .body(JSON, serde_json::json!({ "Name": name }).to_string());
        let said: Said = self.client(Service::Ssm, region)?.send(call).await?.json()?;
        Ok(said.parameter.value)
    }
}
