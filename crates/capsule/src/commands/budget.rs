use capsule_core::{Error, ErrorKind, Rates};
use capsule_engine::budget::{Budget as Limit, Scope, Standing};
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
    scope: Scope,
    /// Warn at these percentages
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', default_value = "80")]
    warn: Vec<u8>,
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
    let engine = session.engine().await?;
    match &args.command {
        Some(BudgetCommand::Set(set)) => {
            engine.set_budget(&limit(set)?).await?;
            output::note(format!("Budget `{}` is set.", set.name));
        }
        Some(BudgetCommand::Remove { name }) => {
            engine.remove_budget(name).await?;
            output::note(format!("Budget `{name}` is removed."));
        }
        None => {}
    }
    let standings = engine.budgets().await?;
    if session.json() {
        output::json(&serde_json::json!({ "budgets": standings }))?;
        return Ok(());
    }
    if standings.is_empty() {
        output::note("There is no budget: `capsule budget set NAME --monthly AMOUNT --block` makes one.");
        return Ok(());
    }
    let mut table =
        Table::new(&["NAME", "SCOPE", ">LIMIT", ">THIS MONTH", ">A FULL MONTH", ">REMAINS", "IF EXCEEDED", "WARNING"]);
    for standing in &standings {
        table.row([
            standing.budget.name.clone(),
            standing.budget.scope.to_string(),
            format!("{:.2}", standing.budget.monthly),
            format!("{:.2}", standing.this_month),
            format!("{:.2}", standing.full_month),
            format!("{:.2}", standing.remaining),
            if standing.budget.block { "refuse" } else { "warn" }.to_owned(),
            standing.warning.map_or_else(|| "-".to_owned(), |percent| format!("over {percent} %")),
        ]);
    }
    table.print()?;
    let unpriced = standings.iter().map(|standing| standing.unpriced).max().unwrap_or(0);
    if unpriced > 0 {
        output::note(format!("{unpriced} servers have no known price and are not counted."));
    }
    Ok(())
}

fn limit(set: &Set) -> Result<Limit, Error> {
    let amount = set.monthly.join(" ");
    let monthly = super::deploy::money(&amount).map_err(|why| {
        Error::new(ErrorKind::Invalid, format!("`--monthly {amount}` is no amount: {why}."))
            .with_hint("Give a number and, for another currency than USD, its code: `--monthly 200 EUR`.")
    })?;
    let mut rates = Rates::of(set.rates_of);
    for rate in &set.rate {
        rates.add(rate)?;
        if !rate.contains(monthly.currency().code()) {
            return Err(Error::new(ErrorKind::Invalid, format!("`{rate}` is not about {}.", monthly.currency()))
                .with_hint("Give rates between the budget's currency and others."));
        }
    }
    let mut warn = set.warn.clone();
    warn.sort_unstable();
    warn.dedup();
    Ok(Limit { name: set.name.clone(), monthly, scope: set.scope.clone(), warn, block: set.block, rates })
}

/// Tells on stderr which budgets are nearly used up, after something was ordered.
pub(super) fn warn(standings: &[Standing]) {
    for standing in standings {
        let Some(percent) = standing.warning else { continue };
        output::note(format!(
            "warning: budget `{}` is over {percent} %: {:.2} this month and {:.2} a full month, of {:.2}.",
            standing.budget.name, standing.this_month, standing.full_month, standing.budget.monthly
        ));
    }
}
