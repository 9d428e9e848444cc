use clap::Args;
use clap_complete::engine::ArgValueCandidates;

use super::Outcome;
use crate::complete;
use crate::output::{self, Table};
use crate::session::Session;

/// List the operating systems that providers offer
///
/// Names under OS mean the same system at every provider; `deploy --image` takes them and native ids.
#[derive(Debug, Args)]
pub struct Images {
    /// Only this provider (may be repeated)
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::providers))]
    pub provider: Vec<String>,
    /// Ask the providers even if a fresh answer is kept
    #[arg(long)]
    pub refresh: bool,
}

pub(super) async fn run(session: &Session, args: &Images) -> Outcome {
    let (catalogs, errors) = session.catalogs(&args.provider, args.refresh).await?;
    if session.json() {
        let rows: Vec<_> = catalogs
            .iter()
            .flat_map(|catalog| catalog.images.iter().map(move |image| (catalog, image)))
            .map(|(catalog, image)| serde_json::json!({ "provider": catalog.provider, "image": image, "as_of": catalog.at }))
            .collect();
        output::json(&serde_json::json!({ "images": rows, "errors": errors }))?;
    } else {
        let mut table = Table::new(&["PROVIDER", "OS", "CLOUD-INIT", "IMAGE", "NAME"]);
        for catalog in &catalogs {
            for image in &catalog.images {
                table.row([
                    catalog.provider.to_string(),
                    image.os.clone().unwrap_or_default(),
                    if image.cloud_init { "yes" } else { "no" }.to_owned(),
                    image.id.clone(),
                    image.name.clone(),
                ]);
            }
        }
        table.print()?;
        session.say_age(&catalogs);
    }
    session.finish(errors)
}
