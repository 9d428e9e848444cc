//! Catalogue: what the account can rent, region by region.

use std::collections::{BTreeMap, HashMap};

use capsule_core::{Catalog, Error, Money, Offer, Plan, Price, Result, Stock};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::api::{Api, PricedProduct};
use super::{convert, launch, prices};

/// How many regions are asked at once.
pub(super) const AT_ONCE: usize = 16;

/// All enabled regions, and the plans and offers of `covered`.
pub(super) async fn catalog(api: &Api, home: &str, covered: &[String]) -> Result<Catalog> {
    let at = api.clock().now();
    let mut regions: Vec<_> =
        api.describe_regions(home).await?.into_iter().map(|region| convert::region(&region.region_name)).collect();
    // A region that the user named is one, even where the key may not see the list.
    regions.extend(
        covered
            .iter()
            .filter(|id| !regions.iter().any(|r| r.id == **id))
            .map(|id| convert::region(id))
            .collect::<Vec<_>>(),
    );
    let sold: Vec<_> = stream::iter(covered.to_vec())
        .map(|region| async move {
            let types = api.describe_instance_types(&region, None).await.map_err(|error| in_region(&region, error))?;
            let plans: Vec<Plan> = types.iter().filter_map(convert::plan).collect();
            let prices = of_region(api, &region).await.unwrap_or_default();
            Ok::<_, Error>((region, plans, prices))
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await?;
    let mut plans = BTreeMap::new();
    let mut offers = Vec::new();
    for (region, sold_here, prices) in sold {
        for plan in sold_here {
            offers.push(Offer {
                plan: plan.id.clone(),
                region: region.clone(),
                price: prices.get(&plan.id).cloned(),
                // No call tells how many are left: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html>.
                stock: Stock::Untold,
            });
            plans.entry(plan.id.clone()).or_insert(plan);
        }
    }
    let (plans, images) = (plans.into_values().collect(), convert::images());
    Ok(Catalog { provider: convert::PROVIDER, at, regions, plans, images, offers })
}

/// Names the region in an error.
pub(super) fn in_region(region: &str, error: Error) -> Error {
    error.context(format!("AWS region {region}"))
}

/// Prices by plan, each with the disk that a server boots from; `None` where a part of them cannot be had.
///
/// Many keys may rent servers but not read the price list. Then there are no prices: an unknown price is shown as
/// one, and never guessed.
async fn of_region(api: &Api, region: &str) -> Option<HashMap<String, Price>> {
    let servers = listed(api, region, api.server_prices(region).await)?;
    if servers.is_empty() {
        return None;
    }
    let disk = disk_price(api, region).await;
    let root_gib = launch::root_gib(api, region).await;
    let (Some(disk), Some(root_gib)) = (disk, root_gib) else {
        tracing::warn!(%region, ?disk, ?root_gib, "what a root disk costs cannot be learned, so prices are missing");
        return None;
    };
    let mut hourly: HashMap<String, Option<Money>> = HashMap::new();
    for (plan, amount) in servers.iter().filter_map(prices::server_price) {
        match hourly.get_mut(plan) {
            None => drop(hourly.insert(plan.to_owned(), Some(amount))),
            // Stated twice, and differently.
            Some(known) if *known != Some(amount) => *known = None,
            Some(_) => {}
        }
    }
    let known = hourly.into_iter().filter_map(|(plan, amount)| Some((plan, prices::price(amount?, disk, root_gib))));
    Some(known.collect())
}

/// What a GiB of a disk of the kind that servers get costs a month; `None` where the price list cannot be had.
pub(super) async fn disk_price(api: &Api, region: &str) -> Option<Money> {
    prices::disk_price(&listed(api, region, api.disk_prices(region).await)?)
}

/// What the price list says; `None`, with a line in the log, where it says nothing.
fn listed(api: &Api, region: &str, answer: Result<Vec<PricedProduct>>) -> Option<Vec<PricedProduct>> {
    match answer {
        Ok(products) => Some(products),
        Err(error) if error.kind().is_credentials() || api.is_elsewhere() => {
            tracing::debug!(%region, %error, "no price list");
            None
        }
        Err(error) => {
            tracing::warn!(%region, %error, "the AWS price list cannot be read, so prices are missing");
            None
        }
    }
}
