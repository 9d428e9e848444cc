use std::time::Duration;

use capsule_core::{Error, ErrorKind};
use capsule_engine::Record;
use clap::Args;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};

use super::{Outcome, confirm, finish};
use crate::output::{self, Progress, Table};
use crate::session::Session;

/// The tag that says until when a server is to live. It stands at the provider too, and outlives the journal.
pub(super) const TAG: &str = "expires";

/// Delete the servers whose time is up, and show which come next
///
/// What `deploy --ttl` noted, or a tag `expires` with a time such as 2026-11-25T20:00:00Z. Asks on a terminal; elsewhere
/// it needs --yes. Run it from a timer to keep test servers from costing for ever.
#[derive(Debug, Args)]
pub struct Expire {
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Only show
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

/// The value of the tag for a server that is ordered now.
pub(super) fn moment(now: Timestamp, ttl: Duration) -> Result<String, Error> {
    let at = SignedDuration::try_from(ttl).ok().and_then(|ttl| now.checked_add(ttl).ok());
    let at = at.and_then(|at| at.round(jiff::Unit::Second).ok());
    at.map(|at| at.to_string())
        .ok_or_else(|| Error::new(ErrorKind::Invalid, "The time to live goes beyond all calendars."))
}

pub(super) async fn run(session: &Session, args: &Expire) -> Outcome {
    let engine = session.engine().await?;
    let now = session.clock.now();
    let mut dated: Vec<(Option<Timestamp>, Record)> = Vec::new();
    for record in engine.inventory().await? {
        let Some(value) = record.tags.get(TAG) else { continue };
        let at = value.parse::<Timestamp>().ok();
        if at.is_none() {
            output::note(format!(
                "warning: the tag `{TAG}` of {} is `{value}`, which is no time such as 2026-11-25T20:00:00Z; it is left alone.",
                record.name
            ));
        }
        dated.push((at, record));
    }
    dated.sort_by(|(a, one), (b, other)| (a.is_none(), a, &one.name).cmp(&(b.is_none(), b, &other.name)));
    let due: Vec<&Record> =
        dated.iter().filter(|(at, _)| at.is_some_and(|at| at <= now)).map(|(_, record)| record).collect();
    if args.dry_run || due.is_empty() {
        show(session, &dated, now)?;
        return Ok(());
    }
    if !args.yes {
        let names: Vec<String> = due.iter().map(|record| format!("{} ({})", record.name, record.id)).collect();
        confirm::delete(&format!("{} and all data on it", names.join(", "))).await?;
    }
    let progress = Progress::new(session.clock.clone());
    let all = join_all(due.iter().map(|record| engine.destroy(&record.id, &progress)));
    let (mut outcomes, mut errors) = (Vec::new(), Vec::new());
    for ended in finish::resumable(&engine, all).await? {
        match ended {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => errors.push(error),
        }
    }
    progress.finish();
    finish::report(session, &outcomes)?;
    session.finish(errors)
}

fn show(session: &Session, dated: &[(Option<Timestamp>, Record)], now: Timestamp) -> Result<(), Error> {
    if session.json() {
        let row = |(at, record): &(Option<Timestamp>, Record)| serde_json::json!({ "name": record.name, "id": record.id, "expires_at": at, "is_due": at.is_some_and(|at| at <= now) });
        return output::json(&serde_json::json!({ "servers": dated.iter().map(row).collect::<Vec<_>>() }));
    }
    if dated.is_empty() {
        output::note("No server has a time to live; `capsule deploy --ttl 8h` gives one.");
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "EXPIRES", ">IN", ">PER HOUR", "ID"]);
    for (at, record) in dated {
        table.row([
            record.name.clone(),
            at.map_or_else(|| "-".to_owned(), |at| at.strftime("%F %T").to_string()),
            match at {
                None => "-".to_owned(),
                Some(at) if *at <= now => "due".to_owned(),
                Some(at) => output::duration(at.duration_since(now)),
            },
            output::hourly(record.price.as_ref()),
            record.id.to_string(),
        ]);
    }
    table.print()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_is_noted_as_a_moment() {
        let now: Timestamp = "2026-11-25T12:00:00.4Z".parse().unwrap();
        assert_eq!(moment(now, Duration::from_secs(8 * 3600)).unwrap(), "2026-11-25T20:00:00Z");
        assert!(moment(now, Duration::MAX).is_err());
    }
}
