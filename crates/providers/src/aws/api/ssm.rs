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
        let call = Call::post("ssm.GetParameter", "/")
            .read()
            .header(TARGET, HeaderValue::from_static("AmazonSSM.GetParameter"))
            .body(JSON, serde_json::json!({ "Name": name }).to_string());
        let said: Said = self.client(Service::Ssm, region)?.send(call).await?.json()?;
        Ok(said.parameter.value)
    }

    /// The values of those public parameters that there are, ten names at most:
    /// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html>.
    pub(in crate::aws) async fn get_parameters(&self, region: &str, names: &[String]) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Said {
            #[serde(default)]
            parameters: Vec<Parameter>,
        }
        let call = Call::post("ssm.GetParameters", "/")
            .read()
            .header(TARGET, HeaderValue::from_static("AmazonSSM.GetParameters"))
            .body(JSON, serde_json::json!({ "Names": names }).to_string());
        let said: Said = self.client(Service::Ssm, region)?.send(call).await?.json()?;
        Ok(said.parameters.into_iter().map(|parameter| parameter.value).collect())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    value: String,
}
