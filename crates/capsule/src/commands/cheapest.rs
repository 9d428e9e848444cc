use capsule_engine::{Placement, choose};
use clap::Args;

use super::wanted::{self, Compared, Wanted};
use super::{Outcome, deploy, suited};
use crate::failure::Failure;
use crate::output;
use crate::session::Session;

/// Show the cheapest offers that fit
///
/// The same choice as `deploy` makes, best first. Prices in other currencies cannot be compared and stand apart.
#[derive(Debug, Args)]
pub struct Cheapest {
    #[command(flatten)]
    pub wanted: Wanted,
    #[command(flatten)]
    pub compared: Compared,
    /// Only offers that can become an xNode
    #[arg(long)]
    pub xnode: bool,
    /// This system has to be on offer
    #[arg(long, value_name = "IMAGE", default_value = "ubuntu-24.04")]
    pub image: String,
    /// So many offers of each currency
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub limit: usize,
}

pub(super) async fn run(session: &Session, args: &Cheapest) -> Outcome {
    let Wanted { provider, plan, region, refresh, .. } = &args.wanted;
    let meant = wanted::meant(session, provider, plan.as_deref(), region.as_deref(), *refresh).await?;
    if meant.catalogs.is_empty() {
        return Err(Failure::all(meant.missing));
    }
    let wanted = args.compared.apply(args.wanted.request(&args.image))?;
    let wanted = if args.xnode { suited::wish(wanted) } else { wanted };
    let request = capsule_engine::Request { plan: meant.plan, region: meant.region, ..wanted };
    let mut ranking = choose(&request, &meant.catalogs)?;
    if args.xnode {
        suited::keep(&mut ranking, &meant.catalogs, false);
    }
    let all = [&ranking.placements].into_iter().chain(&ranking.other_currencies);
    let best: Vec<&[Placement]> = all.map(|offers| &offers[..offers.len().min(args.limit)]).collect();
    if session.json() {
        output::json(&serde_json::json!({
            "placements": best[0], "other_currencies": best[1..], "excluded": ranking.excluded, "errors": meant.missing,
        }))?;
    } else {
        let best: Vec<Placement> = best.concat();
        deploy::table(&best, args.compared.time)?;
        for left in &ranking.excluded {
            output::note(format!("left out: {left}"));
        }
        session.say_age(&meant.catalogs);
    }
    session.finish(meant.missing)
}
