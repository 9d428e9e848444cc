use std::cmp::Ordering;

use capsule_core::{Catalog, Money, Offer, Plan, PlanKind, Stock};
use clap::Args;

use super::Outcome;
use super::wanted::{self, Meant, Wanted};
use crate::output::{self, Table};
use crate::session::Session;

/// List what can be rented, cheapest first
///
/// One row a plan, with the lowest price among its regions; `--region` or `--all` shows single offers.
#[derive(Debug, Args)]
pub struct Plans {
    #[command(flatten)]
    pub wanted: Wanted,
    /// A row for every region
    #[arg(long)]
    pub all: bool,
}

struct Row<'a> {
    catalog: &'a Catalog,
    plan: &'a Plan,
    offer: &'a Offer,
    regions: usize,
}

pub(super) async fn run(session: &Session, args: &Plans) -> Outcome {
    let wanted = &args.wanted;
    let Wanted { provider, plan, region, refresh, .. } = wanted;
    let Meant { catalogs, missing: errors, plan, region } =
        wanted::meant(session, provider, plan.as_deref(), region.as_deref(), *refresh).await?;
    let mut rows = Vec::new();
    for catalog in &catalogs {
        let meant = catalog.plans.iter().filter(|known| plan.as_ref().is_none_or(|plan| *plan == known.id));
        for plan in meant.filter(|plan| wanted.fits(plan)) {
            let mut offers: Vec<&Offer> = catalog
                .offers
                .iter()
                .filter(|offer| offer.plan == plan.id && region.as_ref().is_none_or(|region| *region == offer.region))
                .filter(|offer| within(wanted, offer))
                .collect();
            offers.sort_by(|a, b| by_price(a, b));
            if args.all || region.is_some() {
                rows.extend(offers.iter().map(|offer| Row { catalog, plan, offer, regions: 1 }));
            } else if let Some(first) = offers.first() {
                rows.push(Row { catalog, plan, offer: first, regions: offers.len() });
            }
        }
    }
    rows.sort_by(|a, b| by_price(a.offer, b.offer));
    if session.json() {
        let rows: Vec<_> = rows.iter().map(|row| serde_json::json!({ "provider": row.catalog.provider, "plan": row.plan, "region": row.offer.region, "price": row.offer.price, "stock": row.offer.stock, "regions": row.regions, "as_of": row.catalog.at })).collect();
        output::json(&serde_json::json!({ "plans": rows, "errors": errors }))?;
    } else {
        print(&rows)?;
        session.say_age(&catalogs);
    }
    session.finish(errors)
}

fn print(rows: &[Row<'_>]) -> Result<(), capsule_core::Error> {
    let mut header =
        vec!["PROVIDER", "PLAN", ">CPU", ">MEMORY", ">DISK", "KIND", ">PER HOUR", ">PER MONTH", "STOCK", "REGION"];
    let apart = rows.iter().any(|row| !output::beside(row.offer.price.as_ref()).is_empty());
    header.extend(apart.then_some("OF WHICH A MONTH"));
    let mut table = Table::new(&header);
    for row in rows {
        let kind = match (row.plan.kind, &row.plan.gpu) {
            (_, Some(gpu)) => format!("{} x {}", gpu.count, gpu.model),
            (PlanKind::Virtual, None) => "virtual".to_owned(),
            (PlanKind::BareMetal, None) => "bare metal".to_owned(),
        };
        let mut cells = vec![
            row.catalog.provider.to_string(),
            row.plan.id.clone(),
            row.plan.vcpus.to_string(),
            output::memory(row.plan.memory_mib),
            if row.plan.disk_elastic { "apart".to_owned() } else { format!("{} GB", row.plan.disk_gib) },
            kind,
            output::hourly(row.offer.price.as_ref()),
            output::monthly(row.offer.price.as_ref()),
            match row.offer.stock {
                Stock::Available => "yes",
                Stock::Scarce => "few",
                Stock::Out => "none",
                Stock::Untold => "-",
            }
            .to_owned(),
            if row.regions > 1 {
                format!("{} of {} regions", row.offer.region, row.regions)
            } else {
                row.offer.region.clone()
            },
        ];
        cells.extend(apart.then(|| output::beside(row.offer.price.as_ref())));
        table.row(cells);
    }
    table.print()
}

/// Whether an offer costs no more than is wanted; where there is a limit, a price that is unknown does.
fn within(wanted: &Wanted, offer: &Offer) -> bool {
    let below = |limit: Option<Money>, price: Option<Money>| match (limit, price) {
        (None, _) => true,
        (Some(limit), Some(price)) => price.checked_cmp(limit).is_ok_and(|order| order.is_le()),
        (Some(_), None) => false,
    };
    let price = offer.price.as_ref();
    below(wanted.max_hourly, price.and_then(|price| price.hourly().ok()))
        && below(wanted.max_monthly, price.and_then(|price| price.monthly().ok()))
}

/// Cheapest first; other currencies apart, in the order of their names; unknown prices last.
fn by_price(a: &Offer, b: &Offer) -> Ordering {
    let key = |offer: &Offer| {
        offer.price.as_ref().and_then(|price| price.hourly().ok()).map(|money| (money.currency(), money.amount()))
    };
    match (key(a), key(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}
