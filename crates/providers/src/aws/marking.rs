//! The owner's tag put on an instance. Tags are added one by one: no other is touched.

use async_trait::async_trait;
use capsule_core::http::Lane;
use capsule_core::{InstanceId, Marking, OwnerId, Result, tags};

use super::{Aws, convert};

#[async_trait]
impl Marking for Aws {
    async fn mark(&self, id: &InstanceId, owner: &OwnerId) -> Result<()> {
        let (region, native) = (id.region.as_str(), id.native.as_str());
        let item = self.api.describe_instance(region, native, Lane::Normal).await?;
        let living = item.filter(|item| !convert::is_terminated(&item.instance));
        let item = living.ok_or_else(|| id.not_there("ec2.DescribeInstances"))?;
        if convert::tags(&item.instance).are_of(owner)? {
            return Ok(());
        }
        self.api.create_tag(region, native, tags::OWNER, owner.as_str()).await
    }
}
