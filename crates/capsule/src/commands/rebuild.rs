use std::collections::BTreeMap;
use std::io::IsTerminal;

use capsule_core::{Error, ErrorKind, Instance, OwnerId, ProviderId, Scope};
use capsule_engine::{Engine, Rebuilt, Record};
use capsule_providers::Entry;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use futures_util::future::join_all;
use jiff::Timestamp;
use serde::Serialize;

use super::{Outcome, confirm, finish};
use crate::complete;
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::session::Session;

/// What tags do not tell about a server that was read back.
const UNKNOWN: [&str; 5] = ["price", "operation", "on_failure", "ssh_keys", "user_data"];

/// Read the inventory back from the providers' tags, after the journal was lost
///
/// Every server with our owner tag enters the inventory again, at all providers at once; what is in it already stays as
/// it is, so that this can be run twice. What tags do not tell is marked as unknown: the quoted price, the operation that
/// made it, its keys and user-data. The owner tag is in the file `installation` below the home; if that is lost as well,
/// this lists the owners that the providers show, and --owner-id says which one is yours.
#[derive(Debug, Args)]
pub struct Rebuild {
    /// Only at this provider (may be repeated)
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::providers))]
    pub provider: Vec<String>,
    /// Whose servers these are: 16 letters and digits, the value of the tag `capsule-owner`
    #[arg(long, value_name = "ID")]
    pub owner_id: Option<String>,
}

/// An owner that the providers show.
#[derive(Debug, Serialize)]
struct Owner {
    owner_id: String,
    servers: usize,
    providers: Vec<ProviderId>,
    /// Some of their names.
    names: Vec<String>,
    newest: Option<Timestamp>,
}

pub(super) async fn run(session: &Session, args: &Rebuild) -> Outcome {
    let entries = session.chosen(&args.provider)?;
    let wanted: Option<OwnerId> = args.owner_id.as_deref().map(str::parse).transpose()?;
    let owner = match (wanted, session.home.known_owner()?) {
        (Some(wanted), Some(known)) if wanted != known => {
            // A home that was used by mistake before its owner was restored holds nothing yet.
            if !session.engine().await?.is_untouched().await? {
                let message = format!("This home belongs to installation {known} and has a journal of its own.");
                return Err(Error::new(ErrorKind::Config, message)
                    .with_hint(format!("Rebuild {wanted} in another one: --home DIR."))
                    .into());
            }
            wanted
        }
        (Some(owner), _) | (None, Some(owner)) => owner,
        (None, None) => choose(session, &entries).await?,
    };
    session.home.become_owner(&owner)?;
    let engine = session.engine().await?;

    let progress = Counter { last: std::sync::Mutex::default() };
    let looks = entries.iter().map(|entry| rebuild(&engine, entry, &progress));
    let (mut rebuilt, mut errors) = (Vec::new(), Vec::new());
    for look in finish::interruptible(join_all(looks)).await? {
        match look {
            Ok(provider) => rebuilt.push(provider),
            Err(error) => errors.push(error),
        }
    }
    report(session, &owner, &rebuilt, &errors)?;
    session.finish(errors)
}

async fn rebuild(engine: &Engine, entry: &Entry, counter: &Counter) -> Result<(ProviderId, Rebuilt), Error> {
    let id = &entry.descriptor.id;
    Ok((id.clone(), engine.rebuild(id, &|count| counter.tell(id, count)).await?))
}

/// Tells now and then how far it is.
struct Counter {
    last: std::sync::Mutex<BTreeMap<ProviderId, usize>>,
}

impl Counter {
    const STEP: usize = 2000;

    fn tell(&self, provider: &ProviderId, count: usize) {
        let mut last = self.last.lock().expect("no panic happens under this lock");
        let told = last.entry(provider.clone()).or_default();
        if count >= *told + Self::STEP {
            *told = count;
            output::note(format!("{provider}: {count} servers written down"));
        }
    }
}

/// Lets the user say which of the owners that the providers show is the one that was lost.
async fn choose(session: &Session, entries: &[&'static Entry]) -> Result<OwnerId, Failure> {
    let lists =
        entries.iter().map(|entry| async { session.connect_for_list(entry, &[], true).await?.list(&Scope::All).await });
    let (mut instances, mut errors) = (Vec::new(), Vec::new());
    for list in finish::interruptible(join_all(lists)).await? {
        match list {
            Ok(found) => instances.extend(found),
            Err(error) => errors.push(error),
        }
    }
    let owners = owners(&instances);
    if owners.is_empty() {
        if !errors.is_empty() {
            return Err(Failure::several(errors));
        }
        return Err(Error::new(ErrorKind::NotFound, "No provider shows a server that Capsule made.")
            .with_hint("Check with `capsule providers` that the right accounts are set up.")
            .into());
    }
    let what = "This home does not know which installation it is: its file `installation` is missing.";
    if session.json() || !std::io::stdin().is_terminal() {
        let found: Vec<String> = owners
            .iter()
            .map(|owner| format!("{} ({} servers, such as {})", owner.owner_id, owner.servers, owner.names.join(", ")))
            .collect();
        errors.insert(
            0,
            Error::new(ErrorKind::Config, format!("{what} The providers show: {}.", found.join("; ")))
                .with_hint("Say which one is yours: --owner-id ID."),
        );
        return Err(Failure { errors, code: 2 });
    }
    output::note(format!("{what} The providers show servers of:"));
    for error in &errors {
        output::note(format!("warning: {error}"));
    }
    print_owners(session, &owners)?;
    let answer = confirm::answer("Which one is yours? Owner id, or nothing to leave it: ").await?;
    if !owners.iter().any(|owner| owner.owner_id == answer) {
        return Err(Failure::with_code(Error::new(ErrorKind::Config, "Nothing was rebuilt."), 1));
    }
    Ok(answer.parse()?)
}

/// Every owner with what is known of its servers, the one with most servers first.
fn owners(instances: &[Instance]) -> Vec<Owner> {
    let mut owners: BTreeMap<&str, Owner> = BTreeMap::new();
    for instance in instances {
        let Some(id) = instance.tags.owner().filter(|id| id.parse::<OwnerId>().is_ok()) else { continue };
        let owner = owners.entry(id).or_insert_with(|| Owner {
            owner_id: id.to_owned(),
            servers: 0,
            providers: Vec::new(),
            names: Vec::new(),
            newest: None,
        });
        owner.servers += 1;
        owner.newest = owner.newest.max(instance.created_at);
        if !owner.providers.contains(&instance.id.provider) {
            owner.providers.push(instance.id.provider.clone());
        }
        if owner.names.len() < 3 {
            owner.names.push(instance.name.clone());
        }
    }
    let mut owners: Vec<Owner> = owners.into_values().collect();
    owners.sort_by_key(|owner| std::cmp::Reverse(owner.servers));
    owners
}

fn print_owners(session: &Session, owners: &[Owner]) -> Result<(), Error> {
    let mut table = Table::new(&["OWNER ID", ">SERVERS", ">NEWEST", "SUCH AS", "PROVIDERS"]);
    for owner in owners {
        let providers: Vec<&str> = owner.providers.iter().map(ProviderId::as_str).collect();
        table.row([
            owner.owner_id.clone(),
            owner.servers.to_string(),
            output::age(owner.newest, session.clock.now()),
            owner.names.join(", "),
            providers.join(", "),
        ]);
    }
    table.print()
}

fn report(
    session: &Session,
    owner: &OwnerId,
    rebuilt: &[(ProviderId, Rebuilt)],
    errors: &[Error],
) -> Result<(), Error> {
    let all = || rebuilt.iter().map(|(_, rebuilt)| rebuilt);
    if session.json() {
        let rows: Vec<&Record> = all().flat_map(|rebuilt| &rebuilt.taken).collect();
        let known: usize = all().map(|rebuilt| rebuilt.known).sum();
        let pending: Vec<_> = all().flat_map(|rebuilt| &rebuilt.pending).collect();
        let doubles: Vec<_> = all().flat_map(|rebuilt| &rebuilt.doubles).collect();
        return output::json(&serde_json::json!({
            "owner_id": owner, "rebuilt": rows, "unknown": UNKNOWN, "known": known, "pending": pending,
            "doubles": doubles, "errors": errors,
        }));
    }
    let mut table = Table::new(&["PROVIDER", ">READ BACK", ">KNOWN BEFORE", ">LEFT OUT"]);
    for (provider, rebuilt) in rebuilt {
        table.row([
            provider.to_string(),
            rebuilt.taken.len().to_string(),
            rebuilt.known.to_string(),
            rebuilt.pending.len().to_string(),
        ]);
    }
    table.print()?;
    for pending in all().flat_map(|rebuilt| &rebuilt.pending) {
        output::note(format!("{} ({}) is left out: {}.", pending.name, pending.id, pending.why));
    }
    for twins in all().flat_map(|rebuilt| &rebuilt.doubles) {
        let ids: Vec<String> = twins.iter().map(ToString::to_string).collect();
        output::note(format!(
            "One order was carried out {} times: {}. The first is the oldest; `capsule delete ID` ends the others.",
            ids.len(),
            ids.join(", ")
        ));
    }
    if all().any(|rebuilt| !rebuilt.taken.is_empty()) {
        output::note(
            "Not known of what was read back: the quoted price, the operation, what to do on failure, keys and user-data.",
        );
    }
    Ok(())
}
