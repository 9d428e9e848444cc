//! Catalogue: what the account can rent, region by region.

use std::collections::{BTreeMap, HashMap};

use capsule_core::{Catalog, Error, Offer, Plan, Price, Result, Stock};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::api::Api;
use super::convert;

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
            let prices = prices(api, &region).await;
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
                price: prices.get(&plan.id).cloned().flatten(),
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

/// Prices by plan; `None` for those that the list states twice and differently.
///
/// Many keys may rent servers but not read the price list. Then there are no prices: an unknown price is shown as
/// one, and never guessed.
async fn prices(api: &Api, region: &str) -> HashMap<String, Option<Price>> {
    let products = match api.get_products(region).await {
        Ok(products) => products,
        Err(error) if error.kind().is_credentials() || api.is_elsewhere() => {
            tracing::debug!(%region, %error, "no price list");
            return HashMap::new();
        }
        Err(error) => {
            tracing::warn!(%region, %error, "the AWS price list cannot be read, so prices are missing");
            return HashMap::new();
        }
    };
    let mut prices: HashMap<String, Option<Price>> = HashMap::new();
    for (plan, price) in products.iter().filter_map(convert::price) {
        match prices.get_mut(plan) {
            None => drop(prices.insert(plan.to_owned(), Some(price))),
            Some(known) if known.as_ref() != Some(&price) => *known = None,
            Some(_) => {}
        }
    }
    prices
}
