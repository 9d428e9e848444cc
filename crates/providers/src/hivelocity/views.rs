//! What the vendor shows: two collections of servers, joined with the status view of all of them.

use std::collections::{HashMap, HashSet};

use capsule_core::{Error, ErrorKind, Instance, Result};
use futures_util::future::{join, try_join_all, try_join3};

use super::api::{self, Family};
use super::{Hivelocity, convert};

impl Hivelocity {
    /// Where a server may be: one collection if it was shown there before, else both.
    pub(super) fn places(&self, device: u64) -> &'static [Family] {
        match self.memory().place(device) {
            Some(Family::Compute) => &[Family::Compute],
            Some(Family::Metal) => &[Family::Metal],
            None => &[Family::Compute, Family::Metal],
        }
    }

    /// "Not allowed" also stands for a server that is not ours: it is, when the key works otherwise.
    async fn ours<T>(&self, answered: Result<Option<T>>) -> Result<Option<T>> {
        match answered {
            Err(error) if error.kind() == ErrorKind::Unauthenticated => match self.api.profile().await {
                Ok(_) => Ok(None),
                Err(_) => Err(error),
            },
            answered => answered,
        }
    }

    /// A server as its two views show it.
    pub(super) async fn look(&self, id: u64) -> Result<Option<Instance>> {
        let places = self.places(id).iter().map(|family| async move {
            let found = self.api.device(*family, id, |device, raw| (*family, device, raw)).await;
            self.ours(found).await
        });
        let status = async { self.ours(self.api.status(id, |status, raw| (status, raw)).await).await };
        let (devices, status) = join(try_join_all(places), status).await;
        let Some((family, device, raw)) = devices?.into_iter().flatten().next() else {
            return match status {
                // How the status view answers for what is missing is not described.
                Err(error) if error.kind() == ErrorKind::Forbidden => Ok(None),
                status => {
                    let found = status?.and_then(|(status, raw)| convert::elsewhere_ordered(status, raw));
                    found.iter().for_each(|_| self.memory().shown(id, None));
                    Ok(found)
                }
            };
        };
        let instance = convert::instance(device, raw, status?.map(|(status, _)| status));
        self.memory().shown(id, Some(family));
        Ok(Some(instance))
    }

    /// Every server that is shown.
    pub(super) async fn shown(&self) -> Result<Vec<Instance>> {
        let missing = |what: &'static str| {
            move |error: Error| error.context(format!("The {what} are missing, so the list is not shown"))
        };
        let devices = |family, what| async move {
            self.api.devices(family, move |device, raw| (family, device, raw)).await.map_err(missing(what))
        };
        let statuses = async {
            self.api
                .statuses(|status, raw| (status.device_id, (status, raw)))
                .await
                .map_err(missing("states of servers"))
        };
        let (compute, metal, statuses) = try_join3(
            devices(Family::Compute, "virtual servers"),
            devices(Family::Metal, "bare-metal servers"),
            statuses,
        )
        .await?;
        let mut statuses: HashMap<u64, (api::Status, _)> = statuses.into_iter().collect();
        let (mut seen, mut all) = (HashSet::new(), Vec::new());
        for (family, device, raw) in compute.into_iter().chain(metal) {
            if seen.insert(device.device_id) {
                let id = device.device_id;
                all.push((
                    id,
                    Some(family),
                    convert::instance(device, raw, statuses.remove(&id).map(|(status, _)| status)),
                ));
            }
        }
        let elsewhere = statuses.into_iter().filter(|(id, _)| !seen.contains(id));
        all.extend(
            elsewhere.filter_map(|(id, (status, raw))| Some((id, None, convert::elsewhere_ordered(status, raw)?))),
        );
        let mut memory = self.memory();
        all.iter().for_each(|(id, family, _)| memory.shown(*id, *family));
        Ok(all.into_iter().map(|(.., instance)| instance).collect())
    }
}
