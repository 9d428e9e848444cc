//! STS: whose keys these are.

use capsule_core::Result;
use capsule_core::http::Call;
use serde::Deserialize;

use super::{Api, Service};
use crate::aws::query::{Form, or_default};

/// Who signs.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::aws) struct CallerIdentity {
    #[serde(default, deserialize_with = "or_default")]
    pub account: String,
    #[serde(default, deserialize_with = "or_default")]
    pub arn: String,
}

impl Api {
    /// Needs no right at all: <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>.
    pub(in crate::aws) async fn get_caller_identity(&self, region: &str) -> Result<CallerIdentity> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Said {
            get_caller_identity_result: CallerIdentity,
        }
        let call = Call::post("sts.GetCallerIdentity", "/").read();
        let form = Form::new("GetCallerIdentity", "2011-06-15");
        let answer = self.query(Service::Sts, region, call, form).await?;
        Ok(answer.read::<Said>()?.get_caller_identity_result)
    }
}
