use capsule_core::{Currency, Error, ErrorKind, Money, ProviderId, Rates};
use capsule_engine::budget::{Budget as Limit, Scope, Standing};
use capsule_providers::Entry;
use clap::{Args, Subcommand};
use jiff::civil::Date;

use super::Outcome;
use crate::output::{self, Table};
use crate::session::Session;

/// Limit what a month may cost, and see how the limits stand
///
/// An order that could exceed a limit is refused before anything is sent, however many are ordered at once. What counts:
/// what the month has cost, what all that is there costs until its end, and orders under way at their dearest. A whole
/// month of all that is there must be within the limit as well.
#[derive(Debug, Args)]
pub struct Budget {
    #[command(subcommand)]
    command: Option<BudgetCommand>,
}

#[derive(Debug, Subcommand)]
enum BudgetCommand {
    /// Set a budget, or change the one of that name
    Set(Set),
    /// Remove a budget
    Remove {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Args)]
struct Set {
    /// Its name
    name: String,
    /// The most that a month may cost, such as 200 or 200 EUR [currency: USD]
    #[arg(long, value_name = "AMOUNT", num_args = 1..=2, required = true, allow_negative_numbers = true)]
    monthly: Vec<String>,
    /// Which servers count: all, provider:NAME or tag:KEY=VALUE
    #[arg(long, value_name = "SCOPE", default_value = "all")]
    scope: String,
    /// Warn at these percentages
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', default_value = "80", allow_negative_numbers = true)]
    warn: Vec<String>,
    /// Refuse what would exceed it; without this it only warns
    #[arg(long)]
    block: bool,
    /// What one unit of another currency is worth, such as "EUR=1.08 USD" (may be repeated)
    #[arg(long, value_name = "RATE")]
    rate: Vec<String>,
    /// The day that the rates are of
    #[arg(long, value_name = "DATE", requires = "rate")]
    rates_of: Option<Date>,
}

pub(super) async fn run(session: &Session, args: &Budget) -> Outcome {
    // What is wrong as it was typed is told before anything is opened.
    let wanted = match &args.command {
        Some(BudgetCommand::Set(set)) => Some(limit(session, set)?),
        _ => None,
    };
    let engine = session.engine().await?;
    if let Some(limit) = &wanted {
        engine.set_budget(limit).await?;
        output::note(format!("Budget `{}` is set.", limit.name));
    }
    if let Some(BudgetCommand::Remove { name }) = &args.command {
        engine.remove_budget(name).await?;
        output::note(format!("Budget `{name}` is removed."));
    }
    let standings = engine.budgets().await?;
    if session.json() {
        output::json(&serde_json::json!({ "budgets": standings }))?;
    } else {
        print(&standings)?;
    }
    let unreckoned = standings.into_iter().filter_map(|standing| standing.figures.err());
    if args.command.is_some() {
        // What was asked for is done.
        unreckoned.for_each(|error| tell(&error));
        return Ok(());
    }
    session.finish(unreckoned.collect())
}

/// A budget that cannot be reckoned, where that is no reason to fail.
fn tell(error: &Error) {
    output::note(format!("warning: {error} {}", error.hint().unwrap_or_default()));
}

fn print(standings: &[Standing]) -> Result<(), Error> {
    if standings.is_empty() {
        output::note("There is no budget: `capsule budget set NAME --monthly AMOUNT --block` makes one.");
        return Ok(());
    }
    let mut table =
        Table::new(&["NAME", "SCOPE", ">LIMIT", ">THIS MONTH", ">A FULL MONTH", ">REMAINS", "IF EXCEEDED", "WARNING"]);
    for Standing { budget, figures } in standings {
        let known = figures.as_ref().ok();
        let money = |money: Option<Money>| money.map_or_else(|| "not known".to_owned(), |money| format!("{money:.2}"));
        table.row([
            budget.name.clone(),
            budget.scope.to_string(),
            format!("{:.2}", budget.monthly),
            money(known.map(|figures| figures.this_month)),
            money(known.map(|figures| figures.full_month)),
            money(known.map(|figures| figures.remaining)),
            if budget.block { "refuse" } else { "warn" }.to_owned(),
            match figures {
                Ok(figures) => figures.warning.map_or_else(|| "-".to_owned(), |percent| format!("over {percent} %")),
                Err(_) => "a rate is missing".to_owned(),
            },
        ]);
    }
    table.print()?;
    let unpriced = standings.iter().filter_map(|standing| Some(standing.figures.as_ref().ok()?.unpriced)).max();
    if let Some(unpriced) = unpriced.filter(|unpriced| *unpriced > 0) {
        output::note(format!("{unpriced} servers have no known price and are not counted."));
    }
    Ok(())
}

fn limit(session: &Session, set: &Set) -> Result<Limit, Error> {
    let amount = set.monthly.join(" ");
    let monthly = super::deploy::money(&amount).map_err(|why| {
        Error::new(ErrorKind::Invalid, format!("`--monthly {amount}` is no amount: {why}."))
            .with_hint("Give a number and, for another currency than USD, its code: `--monthly 200 EUR`.")
    })?;
    let scope: Scope = set.scope.parse()?;
    let mut rates = Rates::of(set.rates_of);
    for rate in &set.rate {
        rates.add(rate)?;
        if !rate.contains(monthly.currency().code()) {
            return Err(Error::new(ErrorKind::Invalid, format!("`{rate}` is not about {}.", monthly.currency()))
                .with_hint("Give rates between the budget's currency and others."));
        }
    }
    let limit =
        Limit { name: set.name.clone(), monthly, scope, warn: percentages(&set.warn)?, block: set.block, rates };
    check_currencies(session, &limit)?;
    Ok(limit)
}

fn percentages(words: &[String]) -> Result<Vec<u8>, Error> {
    let percent = |word: &String| {
        word.trim().parse().ok().filter(|percent| (1..=100).contains(percent)).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, format!("A warning at {word} % makes no sense."))
                .with_hint("Give whole percentages from 1 to 100, such as `--warn 50,80`.")
        })
    };
    let mut percentages = words.iter().map(percent).collect::<Result<Vec<u8>, Error>>()?;
    percentages.sort_unstable();
    percentages.dedup();
    Ok(percentages)
}

/// Refuses a budget for a provider that never charges in what it can reckon with, and tells of those beside others.
fn check_currencies(session: &Session, limit: &Limit) -> Result<(), Error> {
    let currency = limit.monthly.currency();
    let foreign = |entry: &'static Entry| {
        let charged = entry.descriptor.tariffs.iter().map(|tariff| tariff.currency);
        let foreign: Vec<Currency> =
            charged.filter(|other| limit.rates.convert(Money::zero(*other), currency).is_none()).collect();
        (!foreign.is_empty() && foreign.len() == entry.descriptor.tariffs.len()).then(|| (entry, foreign[0]))
    };
    let rate = |other: Currency| format!("`--rate \"{other}=... {currency}\"`");
    if let Scope::Provider(provider) = &limit.scope {
        let Some((_, other)) = foreign(capsule_providers::find(provider.as_str())?) else { return Ok(()) };
        let message = format!("Budget `{}` is in {currency}, and {provider} charges in {other}.", limit.name);
        let hint = format!("Set it in {other}, or with what one {other} is worth: {}.", rate(other));
        return Err(Error::new(ErrorKind::Invalid, message).with_hint(hint));
    }
    for (entry, other) in session.chosen(&[]).unwrap_or_default().into_iter().filter_map(foreign) {
        let id: &ProviderId = &entry.descriptor.id;
        let then =
            if limit.block { "orders there are refused" } else { "nothing can be said of it once a server is there" };
        output::note(format!("note: {id} charges in {other}; without {}, {then}.", rate(other)));
    }
    Ok(())
}

/// Tells on stderr which budgets are nearly used up, after something was ordered.
pub(super) fn warn(standings: &[Standing]) {
    for Standing { budget, figures } in standings {
        match figures {
            Err(error) => tell(error),
            Ok(figures) => {
                let Some(percent) = figures.warning else { continue };
                output::note(format!(
                    "warning: budget `{}` is over {percent} %: {:.2} this month and {:.2} a full month, of {:.2}.",
                    budget.name, figures.this_month, figures.full_month, budget.monthly
                ));
            }
        }
    }
}
