use capsule_core::{Error, ErrorKind};
use capsule_engine::{Adopt as How, Engine, Record};
use capsule_xnode::Owner;
use clap::Args;

use super::adopt_host::{self, Host};
use super::{Outcome, priced, target};
use crate::nodes::Goal;
use crate::output::{self, Table};
use crate::session::Session;

/// Take a server that is there into the inventory
///
/// It is then ours to start, stop and delete. What it cost until now is not known; what it costs from now on is read
/// from the catalogue, with the disks that it has where they are charged apart. Nothing is changed at the provider, unless --tag asks for it.
///
/// With --tag the server gets our owner tag beside its own tags, so that `capsule rebuild` finds it should the journal be
/// lost. Most vendors take all tags of a server at once: what somebody else changes in that moment is lost. What is missing
/// afterwards is named.
///
/// By an address or a host name, an xNode of any vendor or at home is taken in, for `capsule verify` and `capsule health`
/// to look at; `capsule delete` then only forgets it.
#[derive(Debug, Args)]
pub struct Adopt {
    /// Its id, unique name at its provider, or a unique prefix of either; or an xNode's address or host name
    #[arg(value_name = "ID|HOST")]
    pub id: String,
    /// Its name in the inventory [default: the one at the provider]
    #[arg(long)]
    pub name: Option<String>,
    /// Also if this installation did not make it
    #[arg(long)]
    pub foreign: bool,
    /// Put our owner tag on it at its provider; also on one that is in the inventory already
    #[arg(long)]
    pub tag: bool,
    /// Whose xNode it is
    #[arg(long, value_name = "eth:ADDRESS")]
    pub owner: Option<String>,
    /// A host even if it does not look like a claimed xNode now
    #[arg(long)]
    pub force: bool,
}

pub(super) async fn run(session: &Session, args: &Adopt) -> Outcome {
    let engine = session.engine().await?;
    let owner: Option<Owner> = args.owner.as_deref().map(str::parse).transpose()?;
    let record = match adopt_host::is_host(&args.id) {
        true if args.tag => {
            let message = format!("`{}` is no server of a provider, so there is nothing to tag.", args.id);
            return Err(Error::new(ErrorKind::Invalid, message).with_hint("Leave --tag out.").into());
        }
        true => {
            let (host, name) = (args.id.as_str(), args.name.as_deref());
            adopt_host::adopt(session, &engine, Host { host, name, owner, force: args.force }).await?
        }
        false => {
            let record = at_provider(session, &engine, args).await?;
            if args.tag {
                output::note(match engine.mark(&record.id).await? {
                    true => format!("{} carries our tag now.", record.id),
                    false => format!("{} carries our tag already.", record.id),
                });
            }
            match owner {
                Some(owner) => {
                    engine.describe(&record.id, Goal::existing(Some(owner), None).to_value()).await?;
                    engine.find(&record.id.to_string()).await?
                }
                None => record,
            }
        }
    };
    report(session, &[record])
}

/// Adopts a server of a provider.
async fn at_provider(session: &Session, engine: &Engine, args: &Adopt) -> Result<Record, Error> {
    let target = target::find(session, engine, &args.id).await?;
    if let Some(record) = target.record {
        output::note(format!("{} is in the inventory already.", record.id));
        return Ok(record);
    }
    let provider = session.connect(capsule_providers::find(target.id.provider.as_str())?).await?;
    let instance = provider.get(&target.id).await?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("There is no server {}.", target.id))
            .with_hint("`capsule list` shows those that there are.")
    })?;
    let price = priced::prices(session, &[&instance]).await.remove(&instance.id);
    let how = How { name: args.name.clone(), foreign: args.foreign, price, ..How::default() };
    engine.adopt(instance, how).await.map_err(|error| match error.kind() {
        ErrorKind::Forbidden => {
            error.with_kind(ErrorKind::Invalid).with_hint("Add --foreign to adopt it all the same.")
        }
        // The name is free to choose here.
        ErrorKind::Conflict
            if args.name.is_none() && error.hint().is_some_and(|hint| hint.contains("another name")) =>
        {
            error.with_hint("Give it another name in the inventory: --name NAME.")
        }
        _ => error,
    })
}

/// Prints servers of the inventory.
pub(super) fn report(session: &Session, records: &[Record]) -> Outcome {
    if session.json() {
        output::json(&serde_json::json!({ "adopted": records }))?;
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "STATUS", "ADDRESS", "PLAN", ">PER HOUR", "ID"]);
    for record in records {
        table.row([
            record.name.clone(),
            record.status.to_string(),
            record.addresses.primary().map_or_else(|| "-".to_owned(), |ip| ip.to_string()),
            record.plan.clone(),
            output::hourly(record.price.as_ref()),
            record.id.to_string(),
        ]);
    }
    Ok(table.print()?)
}
