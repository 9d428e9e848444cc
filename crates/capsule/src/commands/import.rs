mod matching;
mod original;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;

use capsule_core::{Currency, Error, ErrorKind, Instance, InstanceId, Money, Scope, Tags};
use capsule_engine::{Adopt, Engine};
use clap::{Args, Subcommand};
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Zoned};
use serde_json::json;

use self::matching::{Outcome as Became, Shown, Verdict, judge};
use self::original::{File, Past, Row};
use super::{Outcome, finish, priced};
use crate::failure::Failure;
use crate::output::{self, Table};
use crate::session::Session;

/// Read what another program knew of your servers
#[derive(Debug, Args)]
pub struct Import {
    #[command(subcommand)]
    command: ImportCommand,
}

#[derive(Debug, Subcommand)]
enum ImportCommand {
    Inventory(Inventory),
}

/// Read the inventory of the original Capsule, and look for its servers at their providers
///
/// The file is its inventory.json or the CSV that it exported; it is only read. Servers are matched by provider and id; a
/// server with the same address or name under another id is named and nothing more. Each row of the file is told of once:
/// matched, gone, duplicate, unknown_provider, unreachable (nothing is concluded), unsure, or broken (with its line). What a
/// server cost is reckoned by the original's own figures and marked so: they were neither live nor billed. Running it again
/// changes nothing.
#[derive(Debug, Args)]
pub struct Inventory {
    /// inventory.json, or the CSV
    pub file: PathBuf,
    /// Take what was matched into the inventory, with the tags that it had there; nothing is changed at the providers
    #[arg(long)]
    pub adopt: bool,
    /// The same, and put our owner tag on what was matched at its provider, beside its own tags: `capsule rebuild` finds it
    /// then should the journal be lost. Most vendors take all tags of a server at once, so what somebody else changes in that
    /// moment is lost; what is missing afterwards is named
    #[arg(long)]
    pub tag: bool,
    /// The zone of times that name none, such as Europe/Berlin, UTC or +02:00: the original wrote those of the machine that
    /// it ran on [default: this machine's]
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    pub timezone: Option<TimeZone>,
}

/// A zone by its name in the machine's database, or an offset.
fn zone(text: &str) -> Result<TimeZone, String> {
    let offset = format!("1970-01-01T00:00:00{text}[{text}]").parse::<Zoned>().map(|zoned| zoned.time_zone().clone());
    let known = || TimeZone::get(text).ok();
    offset
        .ok()
        .or_else(known)
        .ok_or_else(|| format!("this machine knows no time zone `{text}`; one is `Europe/Berlin`"))
}

/// What the report adds to a verdict.
#[derive(Default)]
struct Taken {
    /// Whether the server is in the inventory now.
    managed: bool,
    /// Its name there, if this run took it in.
    adopted_as: Option<String>,
    /// Whether it carries our tag at its provider.
    tagged: bool,
}

/// So many servers are tagged at once.
const TAGS_AT_ONCE: usize = 8;

pub(super) async fn run(session: &Session, args: &Import) -> Outcome {
    let ImportCommand::Inventory(args) = &args.command;
    let file = read(args)?;
    let engine = session.engine().await?;
    let (shown, mut errors) = finish::interruptible(ask(session, &file)).await?;
    let verdicts = judge(&file, &shown, session.clock.now());
    let adopt = args.adopt || args.tag;
    let mut taken = finish::interruptible(take(session, &engine, &verdicts, adopt, &mut errors)).await??;
    if args.tag {
        finish::interruptible(tag(&engine, &verdicts, &mut taken, &mut errors)).await?;
    }
    report(session, args, &file, &verdicts, &taken, &errors)?;
    let broken = verdicts.iter().filter(|verdict| verdict.outcome == Became::Broken).count();
    match (errors.is_empty(), broken) {
        (true, 0) => Ok(()),
        (true, _) => {
            let (all, file) = (verdicts.len(), args.file.display());
            let message = format!("{broken} of {all} rows of {file} cannot be read; the others hold.");
            Err(Failure::with_code(Error::new(ErrorKind::Invalid, message), 1))
        }
        (false, _) => Err(Failure::several(errors)),
    }
}

fn read(args: &Inventory) -> Result<File, Error> {
    let name = args.file.display();
    let bytes = std::fs::read(&args.file)
        .map_err(|error| Error::new(ErrorKind::Config, format!("{name} cannot be read: {error}.")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        Error::new(ErrorKind::Invalid, format!("{name} is not UTF-8 at line {line}."))
            .with_hint("Save it as UTF-8 and run this again.")
    })?;
    // A machine that does not say where it is keeps universal time.
    let here = || TimeZone::try_system().unwrap_or(TimeZone::UTC);
    File::read(&text, args.timezone.clone().unwrap_or_else(here))
        .map_err(|error| error.context(format!("{name} cannot be used")))
}

/// Lists the servers of every provider that the file names, by the name in the file.
async fn ask(session: &Session, file: &File) -> (HashMap<String, Result<Shown, String>>, Vec<Error>) {
    let named: HashSet<&str> = file
        .rows
        .iter()
        .filter_map(|row| match row {
            Row::Entry(entry) => entry.provider.as_deref(),
            Row::Broken(_) => None,
        })
        .collect();
    let known = named.into_iter().filter_map(|name| Some((name, capsule_providers::find(name).ok()?)));
    let answers = join_all(known.map(|(name, entry)| async move {
        let answer = async {
            let settings = session.settings(entry)?;
            if !entry.is_configured(&settings) {
                return Ok(None);
            }
            let provider = session.connect_for_list(entry, &[], true).await?;
            let lag = SignedDuration::try_from(provider.capabilities().list_lag).unwrap_or(SignedDuration::MAX);
            let instances = provider.list(&Scope::All).await?;
            Ok(Some(Shown { provider: entry, instances, regions: settings.regions, list_lag: lag }))
        };
        (name.to_owned(), answer.await)
    }))
    .await;
    let (mut shown, mut errors) = (HashMap::new(), Vec::new());
    for (name, answer) in answers {
        let said = match answer {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(format!("{name} is not set up: `capsule provider login {name}`")),
            Err(error) => {
                let error: Error = error;
                errors.push(error);
                Err(format!("{name} did not answer"))
            }
        };
        shown.insert(name, said);
    }
    (shown, errors)
}

/// Takes into the inventory what was matched, if that was asked for. One that fails leaves the others.
async fn take(
    session: &Session,
    engine: &Engine,
    verdicts: &[Verdict<'_>],
    adopt: bool,
    errors: &mut Vec<Error>,
) -> Result<Vec<Taken>, Error> {
    let (known, owner) = (engine.inventory().await?, session.owner().await?);
    let living: HashSet<InstanceId> = known.iter().map(|record| record.id.clone()).collect();
    let mut names: HashSet<String> = known.into_iter().map(|record| record.name).collect();
    let is_new = |instance: &&Instance| adopt && !living.contains(&instance.id);
    let new: Vec<&Instance> = verdicts.iter().filter_map(|verdict| verdict.instance).filter(is_new).collect();
    let prices = priced::prices(session, &new).await;
    let mut all = Vec::with_capacity(verdicts.len());
    for verdict in verdicts {
        let mut taken = Taken::default();
        if let (Some(instance), Some(entry)) = (verdict.instance, verdict.entry) {
            taken.managed = living.contains(&instance.id);
            taken.tagged = instance.is_owned_by(&owner);
            if adopt && !taken.managed {
                let name = free(&names, entry.name.as_deref().unwrap_or(&instance.name), &instance.id);
                let how = Adopt {
                    name: Some(name.clone()),
                    foreign: true,
                    price: prices.get(&instance.id).cloned(),
                    tags: tags(&entry.tags),
                    ..Adopt::default()
                };
                match engine.adopt(Instance::clone(instance), how).await {
                    Ok(record) => {
                        names.insert(record.name.clone());
                        (taken.managed, taken.adopted_as) = (true, Some(record.name));
                    }
                    Err(error) => errors.push(error.context(format!("{} was not taken in", instance.id))),
                }
            }
        }
        all.push(taken);
    }
    Ok(all)
}

/// Puts our tag on what was matched and is in the inventory. One that fails leaves the others.
async fn tag(engine: &Engine, verdicts: &[Verdict<'_>], taken: &mut [Taken], errors: &mut Vec<Error>) {
    let lacking = taken.iter_mut().zip(verdicts).filter(|(taken, _)| taken.managed && !taken.tagged);
    let asked = lacking.filter_map(|(taken, verdict)| Some((taken, &verdict.instance?.id)));
    let answers = stream::iter(asked).map(async |(taken, id)| (taken, engine.mark(id).await));
    let answers: Vec<_> = answers.buffered(TAGS_AT_ONCE).collect().await;
    for (taken, answer) in answers {
        match answer {
            Ok(_) => taken.tagged = true,
            Err(error) => errors.push(error),
        }
    }
}

/// The name, or one with the id in it where another server has it: the original had no names of its own.
fn free(taken: &HashSet<String>, name: &str, id: &InstanceId) -> String {
    if taken.contains(name) { format!("{name}-{}", id.native) } else { name.to_owned() }
}

/// Tags that the inventory can hold; the original's had no values.
fn tags(words: &[String]) -> Tags {
    words.iter().filter_map(|word| Tags::parse_pair(word).ok()).collect()
}

fn counts(verdicts: &[Verdict<'_>]) -> BTreeMap<&'static str, usize> {
    let count = |became: Became| verdicts.iter().filter(|verdict| verdict.outcome == became).count();
    Became::ALL.into_iter().map(|became| (became.as_str(), count(became))).collect()
}

fn sum(amounts: impl Iterator<Item = Money>) -> Result<Money, Error> {
    let mut amounts = amounts;
    amounts.try_fold(Money::zero(Currency::USD), |sum, amount| sum.checked_add(amount)).map_err(super::cost::unsummable)
}

fn report(
    session: &Session,
    args: &Inventory,
    file: &File,
    verdicts: &[Verdict<'_>],
    taken: &[Taken],
    errors: &[Error],
) -> Result<(), Error> {
    let recorded = sum(verdicts.iter().filter_map(|verdict| Some(verdict.recorded?.cost)))?;
    let ended = sum(file.history.iter().filter_map(|past| past.total_cost))?;
    if session.json() {
        let rows = verdicts.iter().zip(taken).map(|(verdict, taken)| row(verdict, taken)).collect::<Vec<_>>();
        return output::json(&json!({
            "file": args.file, "format": file.format, "last_updated": file.last_updated, "timezone": file.timezone,
            "zoneless_times": file.zoneless,
            "total": verdicts.len(), "counts": counts(verdicts), "recorded_cost": recorded, "entries": rows,
            "history": { "total": file.history.len(), "recorded_cost": ended, "records": file.history },
            "errors": errors,
        }));
    }
    let mut table = Table::new(&["LINE", "OUTCOME", "NAME", "PROVIDER", "ID", ">COST THEN", "NOTE"]);
    for (verdict, taken) in verdicts.iter().zip(taken) {
        let field = |text: Option<&str>| text.unwrap_or("-").to_owned();
        table.row([
            verdict.line.to_string(),
            verdict.outcome.as_str().to_owned(),
            field(verdict.entry.and_then(|entry| entry.name.as_deref())),
            field(verdict.entry.and_then(|entry| entry.provider.as_deref())),
            field(verdict.entry.map(|entry| entry.id.as_str())),
            verdict.recorded.map_or_else(|| "-".to_owned(), |recorded| format!("{:.2}", recorded.cost)),
            note(verdict, taken),
        ]);
    }
    table.print()?;
    let parts: Vec<String> = Became::ALL
        .iter()
        .filter_map(|became| {
            let count = verdicts.iter().filter(|verdict| verdict.outcome == *became).count();
            (count > 0).then(|| format!("{count} {}", became.as_str().replace('_', " ")))
        })
        .collect();
    output::note(format!("{} rows: {}.", verdicts.len(), parts.join(", ")));
    if file.zoneless > 0 {
        let (count, zone) = (file.zoneless, &file.timezone);
        output::note(format!("Times without a zone ({count}) are read as those of {zone}; --timezone says otherwise."));
    }
    output::note(format!("By the original's own figures they cost {recorded:.2}; that is neither live nor billed."));
    if !file.history.is_empty() {
        let broken = file.history.iter().filter(|past| !past.problems.is_empty());
        let lines: Vec<String> = broken.map(|past: &Past| past.line.to_string()).collect();
        let unread =
            if lines.is_empty() { String::new() } else { format!(" Not all read: line {}.", lines.join(", ")) };
        output::note(format!("Its history has {} that were ended, for {ended:.2}.{unread}", file.history.len()));
    }
    let unmanaged = taken.iter().zip(verdicts).any(|(taken, verdict)| verdict.instance.is_some() && !taken.managed);
    if args.tag {
        let count = taken.iter().filter(|taken| taken.tagged).count();
        output::note(format!("{count} carry our tag at their providers."));
    }
    if unmanaged && !(args.adopt || args.tag) {
        output::note(
            "Add --adopt to take what was matched into the inventory, --tag to mark it at its provider as well.",
        );
    }
    Ok(())
}

fn row(verdict: &Verdict<'_>, taken: &Taken) -> serde_json::Value {
    let entry = verdict.entry;
    json!({
        "line": verdict.line, "outcome": verdict.outcome, "why": verdict.why,
        "id": entry.map(|entry| &entry.id), "provider": entry.and_then(|entry| entry.provider.as_ref()),
        "name": entry.and_then(|entry| entry.name.as_ref()),
        "instance": verdict.instance.map(|instance| &instance.id),
        "status": verdict.instance.map(|instance| instance.status),
        "managed": taken.managed, "adopted_as": taken.adopted_as, "tagged": taken.tagged, "maybe": verdict.maybe,
        "recorded": verdict.recorded, "problems": entry.map(|entry| &entry.problems),
        "original": entry.map(|entry| &entry.original),
    })
}

/// What is to be said of a row beside its outcome.
fn note(verdict: &Verdict<'_>, taken: &Taken) -> String {
    let mut words: Vec<String> = verdict.why.iter().cloned().collect();
    if let Some(instance) = verdict.instance {
        words.push(match &taken.adopted_as {
            Some(name) => format!("{}, taken in as `{name}`", instance.status),
            None if taken.managed => format!("{}, in the inventory", instance.status),
            None => instance.status.to_string(),
        });
    }
    if !verdict.maybe.is_empty() {
        let ids: Vec<String> = verdict.maybe.iter().map(ToString::to_string).collect();
        words.push(format!("same address or name: {}; `capsule adopt ID` if it is the one", ids.join(", ")));
    }
    words.extend(verdict.entry.iter().flat_map(|entry| entry.problems.iter().cloned()));
    words.join("; ")
}
