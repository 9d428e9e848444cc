//! The disks of servers: the price of a plan has none of them in it.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use capsule_core::{Disk, Disks, Error, InstanceId, Result};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::api::{Attachment, MOST_VALUES, ROOT_DISK, Volume};
use super::{Aws, convert, offers};

/// What the price of a gp3 disk comes with: <https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html>.
const BASE_IOPS: u64 = 3000;
const BASE_THROUGHPUT: u64 = 125;

#[async_trait]
impl Disks for Aws {
    async fn of(&self, ids: &[InstanceId]) -> Result<BTreeMap<InstanceId, Vec<Disk>>> {
        let mut regions: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for id in ids {
            regions.entry(id.region.clone()).or_default().push(id.native.clone());
        }
        let mut questions: Vec<(String, Vec<String>)> = Vec::new();
        for (region, servers) in &regions {
            questions.extend(servers.chunks(MOST_VALUES).map(|servers| (region.clone(), servers.to_vec())));
        }
        let answers: Vec<Vec<(InstanceId, Disk)>> = stream::iter(questions)
            .map(|(region, servers)| async move {
                let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
                let volumes = self.api.volumes_of(&region, &servers).await;
                let volumes = volumes.map_err(|error| offers::in_region(&region, error))?;
                Ok::<_, Error>(volumes.iter().flat_map(|volume| hung(&region, volume)).collect())
            })
            .buffered(offers::AT_ONCE)
            .try_collect()
            .await?;
        // A disk may hang on others as well.
        let asked: BTreeSet<&InstanceId> = ids.iter().collect();
        let mut disks: BTreeMap<InstanceId, Vec<Disk>> = BTreeMap::new();
        for (id, disk) in answers.into_iter().flatten().filter(|(id, _)| asked.contains(id)) {
            disks.entry(id).or_default().push(disk);
        }
        Ok(disks)
    }
}

/// A disk beside each server that it hangs on. One whose size is not told is unlike any that has a price.
fn hung(region: &str, volume: &Volume) -> Vec<(InstanceId, Disk)> {
    let beyond = |told: Option<u64>, base: u64| told.is_some_and(|told| told > base);
    let is_faster = beyond(volume.iops, BASE_IOPS) || beyond(volume.throughput, BASE_THROUGHPUT);
    let is_usual = volume.volume_type == ROOT_DISK && !is_faster && volume.size.is_some();
    let words = if volume.volume_type == ROOT_DISK && is_faster { " beyond its baseline" } else { "" };
    let on = |attachment: &Attachment| {
        let disk = Disk {
            native: volume.volume_id.clone(),
            bytes: volume.size.unwrap_or(0) << 30,
            kind: format!("{}{words}", volume.volume_type),
            is_usual,
            ends_with_server: attachment.delete_on_termination == Some(true),
        };
        (InstanceId::new(convert::PROVIDER, region, attachment.instance_id.clone()), disk)
    };
    volume.attachment_set.iter().map(on).collect()
}
