mod files;
mod page;
#[cfg(feature = "parquet")]
mod parquet;

use std::path::{Path, PathBuf};

use capsule_core::{Error, ErrorKind, Money, MoneyError, ProviderId};
use capsule_engine::ledger::{Account, By, Group, Purse, month_end, summary};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Outcome, reconcile};
use crate::output::{self, Table};
use crate::session::Session;
use crate::settings::keep;

/// Show what your servers have cost so far, and what they will have cost at the end of this month
///
/// Reckoned from the journal: the life of each server, at the price it was ordered at, by the vendor's billing rule.
/// Servers that are gone stay in it. Amounts are without tax, traffic and what was added by hand.
#[derive(Debug, Args)]
pub struct Cost {
    /// What to sum up by
    #[arg(long, value_enum, default_value_t = Key::Provider)]
    by: Key,
    /// Sum up by the values of this tag
    #[arg(long, value_name = "KEY", conflicts_with = "by")]
    by_tag: Option<String>,
    /// Only what was charged from this day on, such as 2026-11-01 (UTC)
    #[arg(long, value_name = "DATE", value_parser = day)]
    since: Option<Date>,
    /// Ask the providers what they say that they charge, and set it beside our figure
    ///
    /// Asks all that are set up at once. Those whose API does not tell, or whose key may not ask, are named.
    #[arg(long, conflicts_with_all = ["by", "by_tag", "since", "until", "focus", "csv", "csv_days", "html"])]
    reconcile: bool,
    /// With --reconcile: set a month that has ended beside its invoices, line by line, such as 2026-10
    #[arg(long, requires = "reconcile", value_name = "MONTH", value_parser = month)]
    month: Option<Date>,
    /// With --reconcile: ask those too that take money for an answer, such as AWS (0.01 USD)
    #[arg(long, requires = "reconcile")]
    paid_queries: bool,
    /// In --focus and --csv-days: only what was charged until this day, itself included (UTC)
    #[arg(long, value_name = "DATE", value_parser = day)]
    until: Option<Date>,
    /// Write each server's days in the columns of FOCUS 1.2, for programs that read bills: as CSV, or as Parquet where the
    /// file's name ends in .parquet and Capsule was built with the feature `parquet`
    #[arg(long, value_name = "FILE")]
    focus: Option<PathBuf>,
    /// Write the sums as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write each server's days as CSV
    #[arg(long, value_name = "FILE")]
    csv_days: Option<PathBuf>,
    /// Write one page with charts, for a browser
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What one server costs on one day.
struct Day<'a> {
    account: &'a Account,
    day: Date,
    amount: Money,
}

impl Day<'_> {
    fn provider(&self) -> &str {
        self.account.record.id.provider.as_str()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Key {
    Provider,
    Region,
    Owner,
    Month,
    Server,
    /// What is charged for: plan, root disk, public IPv4, set-up
    Part,
}

pub(super) async fn run(session: &Session, args: &Cost) -> Outcome {
    if args.reconcile {
        return reconcile::run(session, args.month, args.paid_queries).await;
    }
    let by = match (&args.by_tag, args.by) {
        (Some(tag), _) => By::Tag(tag.clone()),
        (None, Key::Provider) => By::Provider,
        (None, Key::Region) => By::Region,
        (None, Key::Owner) => By::Owner,
        (None, Key::Month) => By::Month,
        (None, Key::Server) => By::Server,
        (None, Key::Part) => By::Part,
    };
    if args.until.is_some() && args.focus.is_none() && args.csv_days.is_none() {
        return Err(Error::new(ErrorKind::Invalid, "--until is about the days in a file.")
            .with_hint("Add --focus FILE or --csv-days FILE.")
            .into());
    }
    if let (Some(since), Some(until)) = (args.since, args.until)
        && until < since
    {
        return Err(Error::new(ErrorKind::Invalid, format!("There is no day from {since} until {until}.")).into());
    }
    let engine = session.engine().await?;
    let accounts = engine.accounts().await?;
    let now = session.clock.now();
    let groups = summary(&accounts, &by, args.since, now).map_err(unsummable)?;
    let total = total(&groups).map_err(unsummable)?;
    let title = match &by {
        By::Provider => "PROVIDER",
        By::Region => "REGION",
        By::Tag(_) => "TAG",
        By::Owner => "OWNER",
        By::Month => "MONTH",
        By::Server => "SERVER",
        By::Part => "PART",
    };
    let rows = days(&accounts, now, args.since, args.until).map_err(unsummable)?;
    if let Some(path) = &args.focus {
        write(path, &bill(path, &files::focus_rows(&rows, now))?)?;
    }
    if let Some(path) = &args.csv {
        write(path, files::groups(&title.to_lowercase(), &groups).as_bytes())?;
    }
    if let Some(path) = &args.csv_days {
        write(path, files::days(&rows).as_bytes())?;
    }
    if let Some(path) = &args.html {
        let end = month_end(now);
        let due = days(&accounts, end, args.since, None).map_err(unsummable)?;
        let (rows, budgets) = (days(&accounts, now, args.since, None).map_err(unsummable)?, engine.budgets().await?);
        let (accounts, groups, total, budgets) = (&accounts[..], &groups[..], &total, &budgets[..]);
        let (charged, days) = (&rows[..], &due[..]);
        let title = &format!("By {}", title.to_lowercase());
        let (today, last) = (date(now), date(end).yesterday().unwrap_or(date(end)));
        let page =
            page::Page { accounts, groups, total, charged, days, budgets, title, since: args.since, now, today, last };
        write(path, page::page(&page).map_err(unsummable)?.as_bytes())?;
    }
    for path in [&args.focus, &args.csv, &args.csv_days, &args.html].into_iter().flatten() {
        output::note(format!("Wrote {}.", path.display()));
    }
    if session.json() {
        output::json(&serde_json::json!({
            "at": now, "since": args.since, "forecast_until": month_end(now), "groups": groups,
            "total": { "actual": total.0, "forecast": total.1 },
        }))?;
        return Ok(());
    }
    let mut table = Table::new(&[title, ">SERVERS", ">LIVING", ">SO FAR", ">BY MONTH'S END", "SHARE"]);
    for group in &groups {
        table.row([
            group.key.clone(),
            group.servers.to_string(),
            group.living.to_string(),
            purse(&group.actual),
            purse(&group.forecast),
            bar(&group.forecast, &total.1),
        ]);
    }
    table.row(["total".to_owned(), String::new(), String::new(), purse(&total.0), purse(&total.1), String::new()]);
    table.print()?;
    let unpriced: usize = groups.iter().map(|group| group.unpriced).sum();
    if unpriced > 0 {
        output::note(format!("{unpriced} servers have no known price and are not in the sums."));
    }
    Ok(())
}

/// Rows of FOCUS in the format that a file's name asks for.
fn bill(path: &Path, rows: &[files::Row]) -> Result<Vec<u8>, Error> {
    match path.extension() {
        Some(ending) if ending.eq_ignore_ascii_case("parquet") => as_parquet(rows),
        _ => Ok(files::focus(rows).into_bytes()),
    }
}

#[cfg(feature = "parquet")]
fn as_parquet(rows: &[files::Row]) -> Result<Vec<u8>, Error> {
    parquet::file(rows)
}

#[cfg(not(feature = "parquet"))]
fn as_parquet(_: &[files::Row]) -> Result<Vec<u8>, Error> {
    Err(Error::new(ErrorKind::Unsupported, "This Capsule was built without Parquet.")
        .with_hint("Name a file that ends in .csv, or install it with `cargo install --features parquet`."))
}

/// Writes a file that the user named.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    keep(path, bytes)
        .map_err(|error| error.with_hint("Name a file in a directory that is there and may be written to."))
}

/// What each server cost on each day from `since` to `until`, as far as it is charged at `now`: by day, then by server.
fn days(
    accounts: &[Account],
    now: Timestamp,
    since: Option<Date>,
    until: Option<Date>,
) -> Result<Vec<Day<'_>>, MoneyError> {
    let mut rows = Vec::new();
    for account in accounts {
        let days = account.days(now)?.unwrap_or_default().into_iter();
        let days = days.filter(|cost| since.is_none_or(|since| cost.day >= since));
        let days = days.filter(|cost| until.is_none_or(|until| cost.day <= until));
        rows.extend(days.map(|cost| Day { account, day: cost.day, amount: cost.amount }));
    }
    rows.sort_by(|a, b| (a.day, &a.account.record.id).cmp(&(b.day, &b.account.record.id)));
    Ok(rows)
}

fn date(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}

/// The vendor's own name; that of its id where it is none of ours.
fn provider_name(id: &ProviderId) -> String {
    capsule_providers::find(id.as_str()).map_or_else(|_| id.to_string(), |entry| entry.descriptor.name.to_owned())
}

fn total(groups: &[Group]) -> Result<(Purse, Purse), capsule_core::MoneyError> {
    let (mut actual, mut forecast) = (Purse::default(), Purse::default());
    for group in groups {
        group.actual.amounts().try_for_each(|amount| actual.add(amount))?;
        group.forecast.amounts().try_for_each(|amount| forecast.add(amount))?;
    }
    Ok((actual, forecast))
}

/// `12.40 USD + 3.00 EUR`; a dash for nothing.
fn purse(purse: &Purse) -> String {
    let amounts: Vec<String> = purse.amounts().map(|amount| format!("{amount:.2}")).collect();
    if amounts.is_empty() { "-".to_owned() } else { amounts.join(" + ") }
}

/// How much of the whole it is, in the currency that it has most of.
fn bar(part: &Purse, whole: &Purse) -> String {
    const WIDTH: u32 = 20;
    let Some(amount) = part.amounts().max_by_key(|amount| amount.amount()) else { return String::new() };
    let whole = whole.of(amount.currency());
    let share = amount.checked_mul(WIDTH).and_then(|share| share.checked_div(whole.amount()));
    let blocks = share.ok().and_then(|share| u32::try_from(share.round(0).amount()).ok()).unwrap_or(0);
    "█".repeat(blocks.min(WIDTH) as usize)
}

fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| format!("`{text}` is not a day such as 2026-11-01"))
}

/// A month as its first day.
fn month(text: &str) -> Result<Date, String> {
    let first = (text.len() == 7).then(|| format!("{text}-01").parse().ok()).flatten();
    first.ok_or_else(|| format!("`{text}` is not a month such as 2026-10"))
}

pub(super) fn unsummable(error: capsule_core::MoneyError) -> Error {
    Error::new(ErrorKind::Store, format!("The costs cannot be summed up: {error}."))
}

#[cfg(test)]
mod tests {
    use capsule_core::{Currency, Money};

    use super::*;

    fn of(amounts: &[(&str, Currency)]) -> Purse {
        let mut purse = Purse::default();
        for (amount, currency) in amounts {
            purse.add(Money::parse(amount, *currency).unwrap()).unwrap();
        }
        purse
    }

    #[test]
    fn a_bar_is_as_long_as_the_share() {
        let whole = of(&[("10", Currency::USD), ("3", Currency::EUR)]);
        for (part, blocks) in [("10", 20), ("5", 10), ("0.2", 0), ("0.3", 1)] {
            assert_eq!(bar(&of(&[(part, Currency::USD)]), &whole).chars().count(), blocks, "{part}");
        }
        assert_eq!(bar(&Purse::default(), &whole), "");
    }

    #[test]
    fn currencies_stand_beside_each_other() {
        assert_eq!(purse(&of(&[("1.005", Currency::USD), ("2", Currency::EUR)])), "2.00 EUR + 1.01 USD");
        assert_eq!(purse(&Purse::default()), "-");
    }
}
