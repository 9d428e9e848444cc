//! The original's servers set against what the providers show: a function of values.

use std::collections::HashMap;

use capsule_core::{Instance, InstanceId, Money};
use capsule_providers::Entry as Provider;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::original::{Entry, File, Past, Row};

/// What became of a row of the file. Each row has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// Its provider shows it.
    Matched,
    /// Its provider shows all its servers, and it is not among them.
    Gone,
    /// A row before it is about the same server.
    Duplicate,
    /// There is no such provider here, so nobody was asked.
    UnknownProvider,
    /// Nothing can be concluded: its provider is not set up, did not answer, or was not asked about all regions.
    Unreachable,
    /// Nothing can be concluded yet.
    Unsure,
    /// It cannot be read.
    Broken,
}

impl Outcome {
    /// All of them, in the order in which they are told.
    pub(super) const ALL: [Outcome; 7] = [
        Outcome::Matched,
        Outcome::Gone,
        Outcome::Duplicate,
        Outcome::UnknownProvider,
        Outcome::Unreachable,
        Outcome::Unsure,
        Outcome::Broken,
    ];

    /// The word, as it stands in JSON.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Outcome::Matched => "matched",
            Outcome::Gone => "gone",
            Outcome::Duplicate => "duplicate",
            Outcome::UnknownProvider => "unknown_provider",
            Outcome::Unreachable => "unreachable",
            Outcome::Unsure => "unsure",
            Outcome::Broken => "broken",
        }
    }
}

/// What a provider showed.
pub(super) struct Shown {
    pub(super) provider: &'static Provider,
    pub(super) instances: Vec<Instance>,
    /// The only regions that were asked about; all if empty.
    pub(super) regions: Vec<String>,
    /// How long a new server may be missing.
    pub(super) list_lag: SignedDuration,
}

/// What a row of the file came to.
pub(super) struct Verdict<'a> {
    pub(super) line: usize,
    pub(super) outcome: Outcome,
    /// The row; `None` if it is broken.
    pub(super) entry: Option<&'a Entry>,
    /// The server, if it was matched.
    pub(super) instance: Option<&'a Instance>,
    /// Why, where the outcome alone does not say; without a period.
    pub(super) why: Option<String>,
    /// Servers with the same address or name. They may be it under another id, or another one: nothing is concluded.
    pub(super) maybe: Vec<InstanceId>,
    /// What it cost by the original's own figures.
    pub(super) recorded: Option<Recorded>,
}

/// What a server cost by the original's own figures: hours times its static price. Not what was billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Recorded {
    pub(super) hourly: Money,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    /// How its end is known.
    pub(super) until_is: Until,
    pub(super) cost: Money,
}

/// How a server's end is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Until {
    /// It is there now.
    Now,
    /// The original's history has it.
    TerminatedAt,
    /// It is not: the file knew it when it was last written.
    LastUpdated,
}

/// Judges every row. `shown` has what each provider answered, or why it did not.
pub(super) fn judge<'a>(
    file: &'a File,
    shown: &'a HashMap<String, Result<Shown, String>>,
    now: Timestamp,
) -> Vec<Verdict<'a>> {
    let mut first: HashMap<(&str, &str), usize> = HashMap::new();
    file.rows
        .iter()
        .map(|row| {
            let entry = match row {
                Row::Entry(entry) => &**entry,
                Row::Broken(broken) => {
                    let why = Some(broken.why.clone());
                    return verdict(broken.line, Outcome::Broken, None, why);
                }
            };
            let of = |outcome, why| verdict(entry.line, outcome, Some(entry), why);
            let key = (entry.provider.as_deref().unwrap_or_default(), entry.id.as_str());
            if let Some(line) = first.get(&key) {
                return of(Outcome::Duplicate, Some(format!("line {line} is about the same server")));
            }
            first.insert(key, entry.line);
            let mut verdict = match entry.provider.as_deref() {
                None => of(Outcome::UnknownProvider, Some("it names no provider".to_owned())),
                Some(name) => match shown.get(name) {
                    None => of(Outcome::UnknownProvider, Some(format!("there is no provider `{name}`"))),
                    Some(Err(why)) => of(Outcome::Unreachable, Some(why.clone())),
                    Some(Ok(shown)) => look(entry, shown, now),
                },
            };
            verdict.recorded = recorded(entry, verdict.outcome, &file.history, file.last_updated, now);
            verdict
        })
        .collect()
}

fn verdict<'a>(line: usize, outcome: Outcome, entry: Option<&'a Entry>, why: Option<String>) -> Verdict<'a> {
    Verdict { line, outcome, entry, instance: None, why, maybe: Vec::new(), recorded: None }
}

/// Looks for a server in the list of its provider, by its id alone.
fn look<'a>(entry: &'a Entry, shown: &'a Shown, now: Timestamp) -> Verdict<'a> {
    let of = |outcome, why| verdict(entry.line, outcome, Some(entry), why);
    let native = |instance: &&Instance| shown.provider.elsewhere.native(&instance.id) == entry.id;
    let mut found: Vec<&Instance> = shown.instances.iter().filter(native).collect();
    if found.len() > 1 {
        found.retain(|instance| entry.region.as_deref() == Some(instance.id.region.as_str()));
    }
    if let [instance] = found[..] {
        return Verdict { instance: Some(instance), ..of(Outcome::Matched, None) };
    }
    if shown.instances.iter().any(|instance| native(&instance)) {
        return of(Outcome::Unsure, Some("several servers have this id".to_owned()));
    }
    if !shown.regions.is_empty() && entry.region.as_ref().is_none_or(|region| !shown.regions.contains(region)) {
        let why = format!("only these regions are set to be looked at: {}", shown.regions.join(", "));
        return of(Outcome::Unreachable, Some(why));
    }
    if entry.deployed_at.is_some_and(|at| now.duration_since(at) < shown.list_lag) {
        return of(Outcome::Unsure, Some("it is so young that its provider may not show it yet".to_owned()));
    }
    let is_alike = |instance: &&Instance| {
        let primary = instance.addresses.primary().map(|ip| ip.to_string());
        let same_ip = entry.ip_address.is_some() && entry.ip_address == primary;
        same_ip || entry.name.as_deref() == Some(instance.name.as_str())
    };
    let maybe: Vec<InstanceId> = shown.instances.iter().filter(is_alike).map(|instance| instance.id.clone()).collect();
    Verdict { maybe, ..of(Outcome::Gone, None) }
}

fn recorded(
    entry: &Entry,
    outcome: Outcome,
    history: &[Past],
    last_updated: Option<Timestamp>,
    now: Timestamp,
) -> Option<Recorded> {
    let (hourly, from) = (entry.cost_hourly?, entry.deployed_at?);
    let ended = history.iter().find(|past| {
        past.id.as_deref() == Some(&entry.id) && (past.provider.is_none() || past.provider == entry.provider)
    });
    let (until, until_is) = match (outcome, ended.and_then(|past| past.terminated_at), last_updated) {
        (Outcome::Matched, ..) => (now, Until::Now),
        (_, Some(at), _) => (at, Until::TerminatedAt),
        (_, None, Some(at)) => (at, Until::LastUpdated),
        _ => return None,
    };
    let seconds = until.duration_since(from).as_secs();
    let cost = hourly.checked_mul(seconds.max(0)).and_then(|cost| cost.checked_div(3600u32)).ok()?.round(6);
    Some(Recorded { hourly, from, until, until_is, cost })
}
