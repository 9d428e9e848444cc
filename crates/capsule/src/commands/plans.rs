use std::cmp::Ordering;

use capsule_core::{Catalog, Offer, Plan, PlanKind, Stock};
use clap::Args;

use super::Outcome;
use crate::output::{self, Table};
use crate::session::Session;

/// List what can be rented, cheapest first
///
/// One row a plan, with the lowest price among its regions; `--region` or `--all` shows single offers.
#[derive(Debug, Args)]
pub struct Plans {
    /// Only this provider (may be repeated)
    #[arg(long, value_name = "NAME")]
    pub provider: Vec<String>,
    /// Only offers in this region
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// At least so many processors
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub min_cpu: u32,
    /// At least so much memory, in GB
    #[arg(long, value_name = "GB", default_value_t = 0)]
    pub min_memory: u64,
    /// At least so much disk, in GB
    #[arg(long, value_name = "GB", default_value_t = 0)]
    pub min_disk: u64,
    /// Only plans with graphics processors
    #[arg(long)]
    pub gpu: bool,
    /// Only whole machines
    #[arg(long)]
    pub bare_metal: bool,
    /// A row for every region
    #[arg(long)]
    pub all: bool,
    /// Ask the providers even if a fresh answer is kept
    #[arg(long)]
    pub refresh: bool,
}

struct Row<'a> {
    catalog: &'a Catalog,
    plan: &'a Plan,
    offer: &'a Offer,
    regions: usize,
}

pub(super) async fn run(session: &Session, args: &Plans) -> Outcome {
    let (catalogs, errors) = session.catalogs(&args.provider, args.refresh).await?;
    if let Some(region) = &args.region
        && !catalogs.is_empty()
        && !catalogs.iter().any(|catalog| catalog.region(region).is_some())
    {
        let known = catalogs.iter().flat_map(|catalog| catalog.regions.iter().map(|region| region.id.as_str()));
        let hint = capsule_core::nearest::hint(region, known);
        return Err(capsule_core::Error::new(
            capsule_core::ErrorKind::Invalid,
            format!("There is no region `{region}`."),
        )
        .with_hint(hint)
        .into());
    }
    let mut rows = Vec::new();
    for catalog in &catalogs {
        for plan in catalog.plans.iter().filter(|plan| fits(args, plan)) {
            let mut offers: Vec<&Offer> = catalog
                .offers
                .iter()
                .filter(|offer| {
                    offer.plan == plan.id && args.region.as_ref().is_none_or(|region| *region == offer.region)
                })
                .collect();
            offers.sort_by(|a, b| by_price(a, b));
            if args.all || args.region.is_some() {
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
    let mut table = Table::new(&[
        "PROVIDER",
        "PLAN",
        ">CPU",
        ">MEMORY",
        ">DISK",
        "KIND",
        ">PER HOUR",
        ">PER MONTH",
        "STOCK",
        "REGION",
    ]);
    for row in rows {
        let kind = match (row.plan.kind, &row.plan.gpu) {
            (_, Some(gpu)) => format!("{} x {}", gpu.count, gpu.model),
            (PlanKind::Virtual, None) => "virtual".to_owned(),
            (PlanKind::BareMetal, None) => "bare metal".to_owned(),
        };
        table.row([
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
        ]);
    }
    table.print()
}

fn fits(args: &Plans, plan: &Plan) -> bool {
    plan.vcpus >= args.min_cpu
        && plan.memory_mib >= args.min_memory * 1024
        && (plan.disk_elastic || plan.disk_gib >= args.min_disk)
        && (!args.gpu || plan.gpu.is_some())
        && (!args.bare_metal || plan.kind == PlanKind::BareMetal)
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
