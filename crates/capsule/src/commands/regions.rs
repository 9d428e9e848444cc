use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::Outcome;
use crate::complete;
use crate::output::{self, Table};
use crate::session::Session;

/// List the regions of the providers
#[derive(Debug, Args)]
pub struct Regions {
    /// Only this provider (may be repeated)
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::providers))]
    pub provider: Vec<String>,
    /// Ask the providers even if a fresh answer is kept
    #[arg(long)]
    pub refresh: bool,
}

pub(super) async fn run(session: &Session, args: &Regions) -> Outcome {
    let (catalogs, errors) = session.catalogs(&args.provider, args.refresh).await?;
    if session.json() {
        let rows: Vec<_> = catalogs.iter().flat_map(|catalog| catalog.regions.iter().map(|region| serde_json::json!({ "provider": catalog.provider, "id": region.id, "name": region.name, "country": region.country, "available": region.available, "as_of": catalog.at }))).collect();
        output::json(&serde_json::json!({ "regions": rows, "errors": errors }))?;
    } else {
        let mut table = Table::new(&["PROVIDER", "REGION", "COUNTRY", "OPEN", "NAME"]);
        for catalog in &catalogs {
            for region in &catalog.regions {
                table.row([
                    catalog.provider.to_string(),
                    region.id.clone(),
                    region.country.clone().unwrap_or_default(),
                    if region.available { "yes" } else { "no" }.to_owned(),
                    region.name.clone(),
                ]);
            }
        }
        table.print()?;
        session.say_age(&catalogs);
    }
    session.finish(errors)
}
