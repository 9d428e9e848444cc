use std::collections::BTreeMap;

use capsule_core::{Currency, Error, Instance, InstanceStatus, Leftover, Life, Money, Price, RawBody};
use capsule_engine::{Adopt, Engine, Outcome as Operated, Record, Survey};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use futures_util::future::join_all;
use jiff::Timestamp;
use serde::Serialize;

use super::{Outcome, confirm, finish, priced};
use crate::complete;
use crate::output::{self, Progress, Table};
use crate::session::Session;

/// Find servers of ours that cost money and that nothing here explains
///
/// All providers are asked at once for servers with our owner tag. Orphans are those that neither the inventory nor an
/// operation explains; what is too young, or of an operation that is not over, is left alone. Servers of the inventory
/// that their provider says are gone are recorded as gone. Disks, security groups, SSH keys and tags that create made and
/// that no server needs any more are shown beside the orphans, and deleted with them. A provider that fails is named, nothing is concluded about it,
/// and the exit code is 1, or 4 if credentials alone are at fault.
#[derive(Debug, Args)]
pub struct Orphans {
    /// Only this provider (may be repeated)
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(complete::providers))]
    pub provider: Vec<String>,
    /// Take the orphans into the inventory
    #[arg(long, conflicts_with = "delete")]
    pub adopt: bool,
    /// Delete the orphans, and what others left behind. Asks on a terminal; elsewhere it needs --yes
    #[arg(long)]
    pub delete: bool,
    /// Do not ask
    #[arg(short, long, requires = "delete")]
    pub yes: bool,
}

/// An orphan and what it costs.
#[derive(Serialize)]
struct Orphan {
    #[serde(flatten)]
    instance: Instance,
    /// What the catalogue says.
    price: Option<Price>,
    /// From its birth until now by that price; `None` where that cannot be known.
    so_far: Option<Money>,
    /// What it goes on costing.
    per_hour: Option<Money>,
}

/// What all orphans of one currency come to.
#[derive(Serialize)]
struct Total {
    currency: Currency,
    so_far: Money,
    per_hour: Money,
}

pub(super) async fn run(session: &Session, args: &Orphans) -> Outcome {
    let engine = session.engine().await?;
    finish::resumable(&engine, find(session, &engine, args)).await?
}

/// Looks for them, and does about them what was asked for.
async fn find(session: &Session, engine: &Engine, args: &Orphans) -> Outcome {
    let entries = session.chosen(&args.provider)?;
    let looks = entries.iter().map(|entry| async {
        let id = &entry.descriptor.id;
        let survey = engine.survey(id).await;
        survey.map_err(|error| error.context(format!("Nothing is concluded about {id}")))
    });
    let (mut surveys, mut errors) = (Vec::new(), Vec::new());
    for look in join_all(looks).await {
        match look {
            Ok(survey) => surveys.push(survey),
            Err(error) => errors.push(error),
        }
    }
    let gone = record_gone(engine, &surveys).await?;
    let mut leftovers = Vec::new();
    for survey in &mut surveys {
        match std::mem::replace(&mut survey.leftovers, Ok(Vec::new())) {
            Ok(found) => leftovers.extend(found),
            Err(error) => {
                errors.push(error.context(format!("What is left over at {} is not known", survey.provider)));
            }
        }
    }
    let orphans = price(session, &mut surveys).await;
    let totals = totals(&orphans);
    if !session.json() {
        print(session, &orphans, &totals)?;
        print_leftovers(&leftovers)?;
        tell(&surveys, &gone);
    }

    let (mut adopted, mut outcomes, mut removed) = (Vec::new(), Vec::new(), Vec::new());
    if args.adopt {
        for orphan in &orphans {
            let how = Adopt { price: orphan.price.clone(), ..Adopt::default() };
            match engine.adopt(orphan.instance.clone(), how).await {
                Ok(record) => adopted.push(record),
                Err(error) => errors.push(error.context(format!("{} was not adopted", orphan.instance.id))),
            }
        }
    } else if args.delete && !(orphans.is_empty() && leftovers.is_empty()) {
        if !args.yes {
            confirm::delete(&format!("{} and all data on it", named(&orphans, &leftovers))).await?;
        }
        let progress = Progress::new(session.clock.clone());
        let ends = join_all(orphans.iter().map(|orphan| engine.destroy(&orphan.instance.id, &progress)));
        for ended in ends.await {
            match ended {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => errors.push(error),
            }
        }
        for leftover in &leftovers {
            match engine.remove_leftover(leftover).await {
                Ok(()) => removed.push(leftover),
                Err(error) => errors.push(error.context(format!("The {} {} stays", leftover.kind, leftover.id))),
            }
        }
    }

    if session.json() {
        let pending: Vec<_> = surveys.iter().flat_map(|survey| &survey.pending).collect();
        output::json(&serde_json::json!({
            "orphans": orphans, "totals": totals, "pending": pending, "gone": gone, "leftovers": leftovers,
            "adopted": adopted, "outcomes": outcomes, "removed": removed, "errors": errors,
        }))?;
    } else {
        acted(session, args, &orphans, &adopted, &outcomes)?;
        for leftover in removed {
            output::note(format!("The {} {} is deleted.", leftover.kind, leftover.id));
        }
    }
    finish::judge(&outcomes, errors)
}

/// Writes down what the providers say is gone.
async fn record_gone(engine: &Engine, surveys: &[Survey]) -> Result<Vec<Record>, Error> {
    let mut gone: Vec<Record> = surveys.iter().flat_map(|survey| survey.gone.iter().cloned()).collect();
    let recorded = engine.record_gone(&gone).await?;
    gone.retain(|record| recorded.contains(&record.id));
    Ok(gone)
}

/// The orphans of all providers with their costs, without the vendors' bodies.
async fn price(session: &Session, surveys: &mut [Survey]) -> Vec<Orphan> {
    let found: Vec<&Instance> = surveys.iter().flat_map(|survey| &survey.orphans).collect();
    let mut prices = priced::prices(session, &found).await;
    let mut orphans = Vec::new();
    for survey in surveys {
        for mut instance in std::mem::take(&mut survey.orphans) {
            instance.metadata = RawBody::empty();
            let price = prices.remove(&instance.id);
            orphans.push(Orphan::of(instance, price, survey.at));
        }
    }
    orphans
}

impl Orphan {
    fn of(instance: Instance, price: Option<Price>, now: Timestamp) -> Self {
        // How long a server that is off was off already is not known: what it cost cannot be.
        let rests = |price: &Price| instance.status == InstanceStatus::Stopped && !price.rule.stopped_is_billed;
        let so_far = price.as_ref().filter(|price| !rests(price)).zip(instance.created_at);
        let so_far = so_far.and_then(|(price, made)| price.total(&Life::new(made, now)).ok());
        let per_hour = price.as_ref().and_then(|price| match rests(price) {
            true => at_rest(price).hourly().ok(),
            false => price.hourly().ok(),
        });
        Orphan { instance, price, so_far, per_hour }
    }
}

/// What is left of a price while its server is off.
fn at_rest(price: &Price) -> Price {
    let extras = price.extras.iter().filter(|extra| extra.while_stopped).cloned().collect();
    Price { amount: Money::zero(price.amount.currency()), extras, ..price.clone() }
}

/// One sum for each currency; costs that are not known are in none.
fn totals(orphans: &[Orphan]) -> Vec<Total> {
    let mut totals: BTreeMap<Currency, Total> = BTreeMap::new();
    for orphan in orphans {
        for (money, is_rate) in [(orphan.so_far, false), (orphan.per_hour, true)] {
            let Some(money) = money else { continue };
            let currency = money.currency();
            let nothing = Money::zero(currency);
            let total = totals.entry(currency).or_insert(Total { currency, so_far: nothing, per_hour: nothing });
            let sum = if is_rate { &mut total.per_hour } else { &mut total.so_far };
            // A sum too large for the type is no sum that anybody owes.
            *sum = sum.checked_add(money).unwrap_or(*sum);
        }
    }
    totals.into_values().collect()
}

fn print(session: &Session, orphans: &[Orphan], totals: &[Total]) -> Result<(), Error> {
    if orphans.is_empty() {
        return Ok(());
    }
    let now = session.clock.now();
    let mut table = Table::new(&["NAME", "STATUS", "PLAN", ">AGE", ">COST SO FAR", ">PER HOUR", "ID"]);
    let money = |money: Option<Money>| money.map_or_else(|| "price unknown".to_owned(), |money| format!("{money:.4}"));
    for Orphan { instance, so_far, per_hour, .. } in orphans {
        table.row([
            instance.name.clone(),
            super::list::status(instance),
            instance.plan.clone(),
            output::age(instance.created_at, now),
            money(*so_far),
            money(*per_hour),
            instance.id.to_string(),
        ]);
    }
    table.print()?;
    for total in totals {
        output::note(format!(
            "Together {:.4} so far, and {:.4} every hour, at the list price without tax.",
            total.so_far, total.per_hour
        ));
    }
    Ok(())
}

/// What create made beside servers that are no more.
fn print_leftovers(leftovers: &[Leftover]) -> Result<(), Error> {
    if leftovers.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["LEFT OVER", "NAME", ">SIZE", "COSTS", "ID"]);
    for leftover in leftovers {
        table.row([
            leftover.kind.to_string(),
            leftover.name.clone(),
            leftover.size_gib.map_or_else(|| "-".to_owned(), |gib| format!("{gib} GB")),
            match (leftover.kind.is_billed(), &leftover.price) {
                (false, _) => "nothing".to_owned(),
                (true, price) => price.as_ref().map_or_else(|| "price unknown".to_owned(), monthly),
            },
            leftover.id.to_string(),
        ]);
    }
    table.print()?;
    output::note("What is left over has no server any more; `orphans --delete` ends it.");
    Ok(())
}

/// What something costs that stays.
fn monthly(price: &Price) -> String {
    format!("{} a month", output::monthly(Some(price)))
}

/// What is beside the orphans worth knowing.
fn tell(surveys: &[Survey], gone: &[Record]) {
    for pending in surveys.iter().flat_map(|survey| &survey.pending) {
        output::note(format!("{} ({}) is left alone: {}.", pending.name, pending.id, pending.why));
    }
    for record in gone {
        output::note(format!(
            "{} ({}) was in the inventory and is gone at its provider; it is recorded as gone.",
            record.name, record.id
        ));
    }
}

/// What was done about the orphans, or could be.
fn acted(
    session: &Session,
    args: &Orphans,
    orphans: &[Orphan],
    adopted: &[Record],
    outcomes: &[Operated],
) -> Result<(), Error> {
    if orphans.is_empty() {
        output::note("No orphans.");
    } else if args.adopt {
        output::note(format!("{} of {} adopted.", adopted.len(), orphans.len()));
    } else if args.delete {
        finish::print(outcomes)?;
    } else {
        let sandbox = if session.is_sandbox() { " --sandbox" } else { "" };
        output::note(format!(
            "`capsule{sandbox} orphans --adopt` takes them into the inventory, `--delete` ends them; `capsule{sandbox} adopt ID` takes one."
        ));
    }
    Ok(())
}

fn named(orphans: &[Orphan], leftovers: &[Leftover]) -> String {
    let servers = orphans.iter().map(|Orphan { instance, .. }| format!("{} ({})", instance.name, instance.id));
    let things = leftovers.iter().map(|leftover| format!("the {} {}", leftover.kind, leftover.id));
    servers.chain(things).collect::<Vec<_>>().join(", ")
}
