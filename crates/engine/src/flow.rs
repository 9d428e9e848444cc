//! What is to be done next: pure functions of an operation's state, the time, and what the provider shows.

use std::collections::BTreeSet;
use std::time::Duration;

use capsule_core::{
    Capabilities, Effect, Error, ErrorKind, Instance, InstanceId, InstanceStatus, PlanKind, Power, Retry, Token,
};
use jiff::{SignedDuration, Timestamp};

use crate::event::{Event, Intent, Server, Then};
use crate::operation::OnFailure;
use crate::readiness::{ACTIVE, Prospect};
use crate::state::{Member, Phase, Sent, State, Step};

/// A create call is given up after this; nobody is sending it any more then.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(120);
/// No pace makes it shorter: on a slow disk the journal's line alone may take a good part of it.
const SHORTEST_CALL_DEADLINE: Duration = Duration::from_secs(1);
/// A vendor carries a call out within this time of its arrival, or not at all.
const CARRIED_OUT_WITHIN: Duration = Duration::from_secs(120);
/// So often one placement is tried, then the next one.
const TRIES: u32 = 5;
const DELETED: &str = "It was deleted, and its name is free again. Deploy again, or elsewhere.";
const KEPT: &str = "It is still there and costs money: look at it, then delete it with `capsule delete`.";
const FIRST_BACKOFF: Duration = Duration::from_secs(5);
const LONGEST_BACKOFF: Duration = Duration::from_secs(120);

/// A provider's times, at the pace of its clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// Nothing is concluded from an absence younger than this.
    pub(crate) list_lag: Duration,
    /// Between two looks.
    pub(crate) poll_interval: Duration,
    /// When a virtual machine that is not running counts as stuck.
    pub(crate) ready_within: Duration,
    /// The same for a whole machine.
    pub(crate) ready_within_metal: Duration,
    /// When a create call is given up.
    pub(crate) call_deadline: Duration,
    /// How long after its arrival a call may still be carried out.
    pub(crate) carried_out_within: Duration,
}

impl Timing {
    /// The times of a provider whose clock runs `pace` times as fast.
    pub(crate) fn new(capabilities: &Capabilities, pace: u32) -> Self {
        let pace = pace.max(1);
        Timing {
            list_lag: capabilities.list_lag / pace,
            poll_interval: capabilities.poll_interval / pace,
            ready_within: capabilities.ready_within,
            ready_within_metal: capabilities.ready_within_metal,
            call_deadline: call_deadline(pace),
            carried_out_within: CARRIED_OUT_WITHIN / pace,
        }
    }

    fn ready_within(&self, kind: Option<PlanKind>) -> Duration {
        if kind == Some(PlanKind::BareMetal) { self.ready_within_metal } else { self.ready_within }
    }

    /// When the outcome of a create call must be visible, if it has one: it was written down at `sent`, and who sent it
    /// was told at `answered` that it is not known, if that was ever told. It arrived before that, or else while it could be
    /// sent at all: behind others, or after the vendor had put it off, a call leaves later than it was written down.
    pub(crate) fn visible_by(&self, sent: Timestamp, answered: Option<Timestamp>) -> Timestamp {
        let deadline = later(sent, self.call_deadline);
        let arrived = answered.map_or(deadline, |answered| answered.min(deadline));
        later(arrived, self.carried_out_within + self.list_lag)
    }
}

/// When a create call is given up, at this pace.
fn call_deadline(pace: u32) -> Duration {
    (CALL_DEADLINE / pace).max(SHORTEST_CALL_DEADLINE)
}

/// `at`, so much later.
pub(crate) fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.saturating_add(SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX)).unwrap_or(Timestamp::MAX)
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Wait until a time.
    Wait(Timestamp),
    /// Send the create call for these names; a fresh token if there is none.
    Create {
        /// Which of the intent's placements.
        placement: usize,
        /// The token of an earlier call that made nothing.
        token: Option<Token>,
        /// For whom.
        names: Vec<String>,
    },
    /// Look for what a create call of unknown outcome has made.
    Look {
        /// Which of the intent's placements.
        placement: usize,
        /// What finds it.
        token: Token,
        /// When it was sent.
        sent: Timestamp,
        /// When it was told that its outcome is not known.
        answered: Option<Timestamp>,
        /// How often the placement was tried.
        tries: u32,
    },
    /// Ask for another power state.
    AskPower(Power),
    /// Look at these servers, and bring them up or down.
    Converge(Vec<InstanceId>),
    /// Look a last time for doubles of these create calls.
    Sweep(Vec<Sent>),
    /// Write down that it is over.
    Finish,
    /// It is over.
    Nothing,
}

/// What is to be done next.
pub(crate) fn next(state: &State, now: Timestamp) -> Action {
    match &state.step {
        Step::Over => Action::Nothing,
        Step::Send { not_before: Some(at), .. } if *at > now => Action::Wait(*at),
        Step::Send { placement, token, .. } => {
            Action::Create { placement: *placement, token: token.clone(), names: state.unmade() }
        }
        Step::Sent { placement, token, tries, at } => {
            let answered = state.last_error.as_ref().and(state.unswept.last()).map(|last| last.at);
            Action::Look { placement: *placement, token: token.clone(), sent: *at, answered, tries: *tries }
        }
        Step::AskPower => match &state.intent {
            Intent::Power { to, .. } => Action::AskPower(*to),
            _ => Action::Nothing,
        },
        Step::AwaitPower { .. } | Step::Converge => {
            let moving = |member: &&Member| matches!(member.phase, Phase::Moving | Phase::Up | Phase::Deleting(_));
            let members = state.members.iter().filter(moving).filter_map(Member::id);
            let pending: Vec<InstanceId> = members.chain(state.extras.iter().map(|extra| &extra.id)).cloned().collect();
            match pending.is_empty() {
                false => Action::Converge(pending),
                true if !state.unswept.is_empty() => Action::Sweep(state.unswept.clone()),
                true => Action::Finish,
            }
        }
    }
}

/// What a failed create call means: rejected, with what follows, or of unknown outcome.
pub(crate) fn after_failure(
    state: &State,
    placement: usize,
    tries: u32,
    error: Error,
    now: Timestamp,
    pace: u32,
) -> Event {
    if error.effect() == Effect::Unknown {
        return Event::Unknown { error };
    }
    let has_next = state.placement(placement + 1).is_some();
    let elsewhere = if has_next { Then::Next } else { Then::GiveUp };
    let may_pass = error.retry() != Retry::Never
        || matches!(error.kind(), ErrorKind::RateLimited | ErrorKind::Conflict | ErrorKind::Unavailable);
    let then = match error.kind() {
        ErrorKind::NoCapacity | ErrorKind::Quota => elsewhere,
        _ if may_pass && tries < TRIES => Then::Again { not_before: later(now, backoff(error.retry(), tries, pace)) },
        _ if may_pass => elsewhere,
        _ => Then::GiveUp,
    };
    Event::Rejected { error, then }
}

/// What follows when a create call has provably made nothing.
pub(crate) fn after_not_there(state: &State, placement: usize, tries: u32, now: Timestamp) -> Then {
    match tries < TRIES {
        true => Then::Again { not_before: now },
        false if state.placement(placement + 1).is_some() => Then::Next,
        false => Then::GiveUp,
    }
}

/// How long to wait before the next try. What the server said wins and is not divided: it knows its own clock.
pub(crate) fn backoff(retry: Retry, tries: u32, pace: u32) -> Duration {
    match retry {
        Retry::After(said) => said,
        _ => FIRST_BACKOFF.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(LONGEST_BACKOFF) / pace.max(1),
    }
}

/// Servers sorted onto names: one for each name, the rest doubles.
#[derive(Debug, Default)]
pub(crate) struct Matched {
    /// One for each name found.
    pub(crate) servers: Vec<Server>,
    /// Doubles: for each name all but the oldest that still lives.
    pub(crate) extras: Vec<InstanceId>,
}

/// Sorts servers that carry one of our tokens onto the names that have none yet.
pub(crate) fn match_names(state: &State, found: &[Instance]) -> Matched {
    let known: Vec<&InstanceId> =
        state.members.iter().filter_map(Member::id).chain(state.extras.iter().map(|extra| &extra.id)).collect();
    let broken = |instance: &Instance| matches!(instance.status, InstanceStatus::Failed | InstanceStatus::Deleting);
    let mut fresh: Vec<&Instance> = found.iter().filter(|instance| !known.contains(&&instance.id)).collect();
    fresh.sort_by_key(|i| (broken(i), i.created_at.unwrap_or(Timestamp::MAX), i.id.clone()));
    let mut seen = BTreeSet::new();
    fresh.retain(|instance| seen.insert(&instance.id));

    let mut open = state.unmade();
    let (mut matched, mut unnamed) = (Matched::default(), Vec::new());
    for instance in fresh {
        let same = |name: &str| name.eq_ignore_ascii_case(&instance.name);
        match open.iter().position(|name| same(name)) {
            Some(index) => matched.servers.push(Server::seen(&open.remove(index), instance)),
            // A name of the order that has its server already: a double.
            None if state.members.iter().any(|member| same(&member.name)) => matched.extras.push(instance.id.clone()),
            None => unnamed.push(instance),
        }
    }
    // Vendors may shorten or change a name: what carries our token and bears another name takes a place still open.
    for instance in unnamed {
        match open.is_empty() {
            false => matched.servers.push(Server::seen(&open.remove(0), instance)),
            true => matched.extras.push(instance.id.clone()),
        }
    }
    matched
}

/// What is to be done about one server after a look at it.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Look again later; what to tell the user.
    Wait(String),
    /// Start it.
    Start,
    /// Ask for its deletion, (again), then look again.
    Delete,
    /// It is not there any more: ask for the deletion of what may be left beside it; then it is gone.
    ConfirmGone,
    /// Write this down.
    Append(Box<Event>),
}

/// What is to be done about a server on its way up, or to another power state, that looks like `sight`.
pub(crate) fn judge_moving(
    state: &State,
    member: &Member,
    sight: Option<&Instance>,
    now: Timestamp,
    t: &Timing,
) -> Verdict {
    let target = match &state.intent {
        Intent::Power { to: Power::Off | Power::ForceOff, .. } => InstanceStatus::Stopped,
        _ => InstanceStatus::Running,
    };
    let is_power = matches!(state.intent, Intent::Power { .. });
    let since = match state.step {
        Step::AwaitPower { since } => since,
        _ => member.known_since,
    };
    let late = now >= later(since, t.ready_within(state.placement_of(member).map(|placement| placement.kind)));
    let name = &member.name;
    let Some(instance) = sight else {
        let Some(id) = member.id().filter(|_| now >= later(member.known_since, t.list_lag)) else {
            return Verdict::Wait("not shown by the provider yet".to_owned());
        };
        if is_power {
            return Verdict::Append(Box::new(Event::Gone { id: id.clone(), asked: None }));
        }
        let message = format!("`{name}` vanished at the provider before it was up.");
        return lost(state, member, ErrorKind::Unavailable, message, OnFailure::Delete);
    };
    let fate = state.deploy().map_or(OnFailure::Keep, |deploy| deploy.on_failure);
    let word = &instance.native_status;
    match instance.status {
        status if status == target && (is_power || instance.addresses.primary().is_some()) => {
            let server = Server::seen(name, instance);
            Verdict::Append(Box::new(match state.is_watched() {
                true => Event::Up { server, hindrance: None },
                false => Event::Ready { server },
            }))
        }
        InstanceStatus::Running if state.is_watched() && member.passed.is_empty() => {
            Verdict::Append(Box::new(Event::Reached { name: name.clone(), stage: ACTIVE.to_owned() }))
        }
        InstanceStatus::Failed => {
            let why = instance.fault.clone().unwrap_or_else(|| format!("it is `{word}`"));
            lost(state, member, ErrorKind::Unavailable, format!("`{name}` failed at the provider: {why}."), fate)
        }
        InstanceStatus::Deleting => {
            let message = format!("`{name}` is being deleted, and not by this operation.");
            lost(state, member, ErrorKind::Conflict, message, fate)
        }
        _ if late => {
            let wanted = if is_power { target.as_str() } else { "up" };
            let message = format!("`{name}` is not {wanted} in time: the provider still says `{word}`.");
            lost(state, member, ErrorKind::Timeout, message, fate)
        }
        InstanceStatus::Stopped if !is_power => Verdict::Start,
        InstanceStatus::Running if !is_power => Verdict::Wait("running, waiting for an address".to_owned()),
        _ => Verdict::Wait(format!("the provider says `{word}`")),
    }
}

/// What is to be done about a server that runs and is watched: `sight` is what the provider shows, `prospect` what a look
/// at the server itself told.
pub(crate) fn judge_up(
    state: &State,
    member: &Member,
    sight: Option<&Instance>,
    prospect: Prospect,
    now: Timestamp,
    t: &Timing,
) -> Verdict {
    let standing = sight.is_some_and(|instance| {
        !matches!(instance.status, InstanceStatus::Failed | InstanceStatus::Deleting | InstanceStatus::Stopped)
    });
    match prospect {
        // What the server itself shows says more than a provider's list that lags behind.
        Prospect::Ready => match sight.map(|instance| Server::seen(&member.name, instance)).or(member.server.clone()) {
            Some(server) => Verdict::Append(Box::new(Event::Ready { server })),
            None => Verdict::Wait("not shown by the provider yet".to_owned()),
        },
        Prospect::Failed { error, fate } if standing => {
            let id = member.id().map(|id| id.provider.clone());
            let error = match (error.hint(), fate) {
                (Some(hint), OnFailure::Keep) => error.clone().with_hint(format!("{hint} {KEPT}")),
                (Some(hint), OnFailure::Delete) => error.clone().with_hint(format!("{hint} {DELETED}")),
                (None, OnFailure::Keep) => error.with_hint(KEPT),
                (None, OnFailure::Delete) => error.with_hint(DELETED),
            };
            let error = match id {
                Some(provider) => error.with_provider(provider),
                None => error,
            };
            Verdict::Append(Box::new(Event::Lost { name: member.name.clone(), error, fate }))
        }
        Prospect::Wait(message) if standing => Verdict::Wait(message),
        // While it is stopped, failed, on its way out or not shown, the provider's word decides.
        Prospect::Wait(_) | Prospect::Failed { .. } => judge_moving(state, member, sight, now, t),
    }
}

fn lost(state: &State, member: &Member, kind: ErrorKind, message: String, fate: OnFailure) -> Verdict {
    let hint = match fate {
        _ if matches!(state.intent, Intent::Power { .. }) => "Look at it with `capsule show`, then try again.",
        OnFailure::Delete => DELETED,
        OnFailure::Keep => KEPT,
    };
    let mut error = Error::new(kind, message).with_hint(hint);
    if let Some(id) = member.id() {
        error = error.with_provider(&id.provider);
    }
    Verdict::Append(Box::new(Event::Lost { name: member.name.clone(), error, fate }))
}

/// What is to be done about a server on its way out that is known since `since`. `asked`: whether this process asked for its end already.
pub(crate) fn judge_deleting(
    since: Timestamp,
    sight: Option<&Instance>,
    asked: bool,
    now: Timestamp,
    t: &Timing,
) -> Verdict {
    match sight {
        // What is too young may only not be shown yet: then an accepted deletion may have deleted nothing.
        None if now < later(since, t.list_lag) => Verdict::Wait("waiting until it must be visible".to_owned()),
        None => Verdict::ConfirmGone,
        Some(instance) if !asked || instance.status != InstanceStatus::Deleting => Verdict::Delete,
        Some(instance) => Verdict::Wait(format!("the provider says `{}`", instance.native_status)),
    }
}

#[cfg(test)]
mod tests;
