//! What has to be known before an order, and after a refused one.

use std::collections::HashMap;

use capsule_core::ssh::PublicKey;
use capsule_core::{Error, ErrorKind, Order, OwnerId, Result, SshKey, Stock};
use futures_util::future::try_join_all;

use super::api::{self, Family};
use super::{DESCRIPTOR, Hivelocity, convert, offers};

impl Hivelocity {
    /// Which collection a plan's servers are ordered in.
    pub(super) async fn family(&self, product: u64) -> Result<Family> {
        let mut known = self.families.lock().await;
        if let Some(family) = known.get(&product) {
            return Ok(*family);
        }
        let stock = self.api.product(product).await?.ok_or_else(|| {
            convert::invalid(format!("There is no Hivelocity plan `{product}`."))
                .with_hint("`capsule plans --provider hivelocity` lists them.")
        })?;
        let family = offers::family(&stock);
        known.insert(product, family);
        Ok(family)
    }

    /// The vendor's number for a key, which it is given first if it does not have it.
    pub(super) async fn ssh_key(&self, key: &SshKey, owner: &OwnerId) -> Result<u64> {
        let line = match key {
            SshKey::Existing(number) if number.parse::<u64>().is_ok() => return Ok(number.parse().unwrap_or_default()),
            SshKey::Existing(name) => {
                let keys = self.api.keys().await?;
                let named = keys.iter().find(|key| key.name.as_deref() == Some(name));
                return named.map(|key| key.ssh_key_id).ok_or_else(|| {
                    let names = keys.iter().filter_map(|key| key.name.as_deref());
                    convert::invalid(format!("Hivelocity holds no ssh key `{name}`."))
                        .with_hint(capsule_core::nearest::hint(name, names))
                });
            }
            SshKey::Public(line) => line,
        };
        let public: PublicKey = line.parse().map_err(|error: Error| error.with_provider(&DESCRIPTOR.id))?;
        let mut known = self.keys.lock().await;
        if !known.contains_key(public.material()) {
            self.learn_keys(&mut known).await?;
        }
        if let Some(id) = known.get(public.material()) {
            return Ok(*id);
        }
        let id = match self.api.create_key(&public.name_for(owner), line.trim()).await {
            Ok(made) => made.ssh_key_id,
            // Somebody else was quicker, or our own first try came through after all: then it is listed now.
            Err(refused) if matches!(refused.kind(), ErrorKind::Invalid | ErrorKind::Conflict) => {
                self.learn_keys(&mut known).await?;
                *known.get(public.material()).ok_or(refused)?
            }
            Err(error) => return Err(error),
        };
        known.insert(public.material().to_owned(), id);
        Ok(id)
    }

    async fn learn_keys(&self, known: &mut HashMap<String, u64>) -> Result<()> {
        let material =
            |key: &api::Key| Some(key.public_key.as_deref()?.parse::<PublicKey>().ok()?.material().to_owned());
        *known = self.api.keys().await?.iter().filter_map(|key| Some((material(key)?, key.ssh_key_id))).collect();
        Ok(())
    }

    /// Out of stock has no code of its own: only the inventory tells it from a mistake.
    pub(super) async fn why_refused(&self, order: &Order, product: u64, refused: Error) -> Error {
        let Ok(stock) = try_join_all(offers::GROUPS.map(|group| self.api.stock(group))).await else { return refused };
        let here =
            |row: &&api::Stock| row.product_id == product && row.data_center.as_ref() == Some(&order.spec.region);
        match stock.iter().flatten().find(here) {
            Some(row) if offers::state(row) == Stock::Out => {
                refused.with_kind(ErrorKind::NoCapacity).with_hint(convert::NO_STOCK)
            }
            _ => refused,
        }
    }
}
