//! An operation as the fold of its events.

use std::fmt;

use capsule_core::{Effect, Error, ErrorKind, InstanceId, InstanceStatus, Power, ProviderId, Token};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::{Deploy, Entry, Event, Intent, Server, Then};
use crate::ledger::Switched;
use crate::operation::{Finish, OnFailure, OperationId, Stage, Wait};
use crate::placement::Placement;
use crate::readiness::{ACTIVE, ADDRESS, Passed};

/// Where an operation stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    /// What is wanted.
    pub intent: Intent,
    /// When that was written down.
    pub started: Timestamp,
    /// What comes next.
    pub step: Step,
    /// The servers concerned, in the intent's order.
    pub members: Vec<Member>,
    /// Doubles that are being deleted.
    pub extras: Vec<Extra>,
    /// Create calls that may have made more than is known, and were not looked at a last time yet.
    #[serde(default)]
    pub unswept: Vec<Sent>,
    /// What went wrong last, and may have been mended since.
    pub last_error: Option<Error>,
    /// When the vendor accepted the change of power.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Timestamp>,
}

/// A create call that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// What finds its servers.
    pub token: Token,
    /// Which of the intent's placements.
    pub placement: usize,
    /// When the last word about it was written down.
    pub at: Timestamp,
    /// Whether its outcome was once not known.
    pub doubted: bool,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The create call is to be sent.
    Send {
        /// Which of the intent's placements.
        placement: usize,
        /// Under this token, when an earlier call of it is known to have made nothing; `None` for a fresh one.
        token: Option<Token>,
        /// How often this placement was tried.
        tries: u32,
        /// Not earlier than this.
        not_before: Option<Timestamp>,
    },
    /// The create call was sent, and its outcome is not known.
    Sent {
        /// Which of the intent's placements.
        placement: usize,
        /// What finds its servers.
        token: Token,
        /// How often this placement was tried, this one included.
        tries: u32,
        /// When it was sent.
        at: Timestamp,
    },
    /// The vendor is to be asked for another power state.
    AskPower,
    /// The vendor accepted, then.
    AwaitPower {
        /// When.
        since: Timestamp,
    },
    /// Each server is brought to its end: up, or gone.
    Converge,
    /// Over.
    Over,
}

/// One of the servers concerned.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// What is known of it, once it is there.
    pub server: Option<Server>,
    /// Which of the intent's placements it was made at.
    pub placement: Option<usize>,
    /// What it was made under.
    pub token: Option<Token>,
    /// When it was ordered or, if it was there before, made.
    pub ordered_at: Timestamp,
    /// Since when it is known to be there: what the provider does not show may only be younger than its lists.
    pub known_since: Timestamp,
    /// The stages that it passed, in order.
    #[serde(default)]
    pub passed: Vec<Passed>,
    /// Why it may never start what is put on its disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hindrance: Option<Error>,
    /// A moment at which it was not as wanted yet, the last one before it was that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_yet: Option<Timestamp>,
    /// When its end was asked for, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_asked: Option<Timestamp>,
    /// Where it stands.
    pub phase: Phase,
}

/// A double that is being deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extra {
    /// Which.
    pub id: InstanceId,
    /// Since when it is known to be there.
    pub known_since: Timestamp,
}

/// Where a server stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Not made yet.
    Unmade,
    /// Made, or asked for another power state, and on its way.
    Moving,
    /// Running, and watched until it does what it was made for.
    Up,
    /// As wanted.
    Ready,
    /// To be deleted, and for what.
    Deleting(Option<Error>),
    /// There, but not as wanted.
    Kept(Error),
    /// Never made.
    Unmakeable(Error),
    /// No more, and for what.
    Gone(Option<Error>),
}

/// An event that cannot follow on the ones before it: the journal is damaged or the code is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IllegalTransition(String);

impl fmt::Display for IllegalTransition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for IllegalTransition {}

impl From<IllegalTransition> for Error {
    fn from(illegal: IllegalTransition) -> Self {
        Error::new(ErrorKind::Store, format!("The journal makes no sense: {illegal}."))
            .with_hint("Keep the journal's file as it is and report this; nothing was sent.")
    }
}

impl State {
    /// The state after the first event.
    ///
    /// # Errors
    /// [`IllegalTransition`] unless it is an intent.
    pub fn begin(entry: &Entry) -> Result<State, IllegalTransition> {
        let Event::Intended { intent } = &entry.event else {
            return Err(IllegalTransition(format!("it begins with {}", entry.event.name())));
        };
        let (step, phase) = match intent {
            Intent::Deploy(_) => (Step::Send { placement: 0, token: None, tries: 0, not_before: None }, Phase::Unmade),
            Intent::Destroy { .. } => (Step::Converge, Phase::Deleting(None)),
            Intent::Power { .. } => (Step::AskPower, Phase::Moving),
            Intent::Adopt { .. } => (Step::Converge, Phase::Ready),
            Intent::Vanished { .. } => (Step::Converge, Phase::Gone(None)),
        };
        let server = intent.server();
        let token = if let Intent::Adopt { token, .. } = intent { token.clone() } else { None };
        let members = intent.names().into_iter().map(|name| Member {
            name,
            server: server.cloned(),
            placement: None,
            token: token.clone(),
            ordered_at: server.and_then(|server| server.created_at).unwrap_or(entry.at),
            known_since: match server {
                Some(server) if server.shown => Timestamp::UNIX_EPOCH,
                _ => server.and_then(|server| server.known_since.or(server.created_at)).unwrap_or(entry.at),
            },
            passed: Vec::new(),
            hindrance: None,
            not_yet: None,
            end_asked: None,
            phase: phase.clone(),
        });
        Ok(State {
            intent: intent.clone(),
            started: entry.at,
            step,
            members: members.collect(),
            extras: Vec::new(),
            unswept: Vec::new(),
            last_error: None,
            accepted: None,
        })
    }

    /// All events from the first one.
    ///
    /// # Errors
    /// [`IllegalTransition`].
    pub fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<State, IllegalTransition> {
        let mut entries = entries.into_iter();
        let first = entries.next().ok_or_else(|| IllegalTransition("it is empty".to_owned()))?;
        entries.try_fold(State::begin(first)?, State::apply)
    }

    /// The state after one more event.
    ///
    /// # Errors
    /// [`IllegalTransition`].
    pub fn apply(mut self, entry: &Entry) -> Result<State, IllegalTransition> {
        if let (Step::Sent { .. }, Some(sent)) = (&self.step, self.unswept.last_mut()) {
            sent.at = entry.at;
            sent.doubted |= !matches!(entry.event, Event::Created { .. } | Event::Rejected { .. });
        }
        match (&entry.event, self.step.clone()) {
            (Event::CreateSent { token, placement, names }, Step::Send { placement: planned, tries, .. })
                if *placement == planned && *names == self.unmade() =>
            {
                self.step = Step::Sent { placement: planned, token: token.clone(), tries: tries + 1, at: entry.at };
                self.last_error = None;
                let doubted = self.unswept.iter().any(|sent| sent.token == *token);
                self.unswept.retain(|sent| sent.token != *token);
                self.unswept.push(Sent { token: token.clone(), placement: planned, at: entry.at, doubted });
            }
            (Event::Created { servers }, Step::Sent { .. }) => {
                self.take_in(servers, entry.at)?;
                if !self.unmade().is_empty() {
                    return self.illegal(entry, "leaves a name without a server");
                }
            }
            (Event::Adopted { servers, extras }, Step::Sent { .. }) => {
                self.take_in(servers, entry.at)?;
                self.delete_doubles(extras, entry.at);
            }
            (Event::Unknown { error }, Step::Sent { .. }) => {
                self.last_error = Some(error.clone());
            }
            (Event::Rejected { error, then }, Step::Sent { placement, tries, token, .. }) => {
                self.last_error = Some(error.clone());
                // A refusal says nothing of an earlier call under the same token.
                if !may_be_a_second(error.kind()) {
                    self.unswept.retain(|sent| sent.token != token || sent.doubted);
                }
                self.follow(*then, placement, tries, None, error.clone());
            }
            (Event::NotThere { then }, Step::Sent { placement, tries, token, .. }) => {
                let error = never_made(&self.unmade(), self.last_error.as_ref());
                // Where the call made some of its servers, its token is used up: a vendor that knows tokens would
                // refuse it with fewer names.
                let used_up = self.members.iter().any(|member| member.token.as_ref() == Some(&token));
                self.follow(*then, placement, tries, (!used_up).then_some(token), error);
            }
            (Event::Swept { extras }, Step::Converge) => {
                self.unswept.clear();
                self.delete_doubles(extras, entry.at);
            }
            (Event::PowerAccepted {}, Step::AskPower) => {
                self.step = Step::AwaitPower { since: entry.at };
                self.accepted = Some(entry.at);
                if let Intent::Power { wait: Wait::None, .. } = self.intent {
                    self.settle(Phase::Ready);
                }
            }
            (Event::Up { server, hindrance }, Step::Converge) if self.is_watched() => {
                let Some(member) = self.members.iter_mut().find(|member| member.name == server.name) else {
                    return self.illegal(entry, "is about a server that it does not concern");
                };
                if !matches!(member.phase, Phase::Moving) {
                    return self.illegal(entry, "is about a server that is not on its way");
                }
                member.see(server);
                member.hindrance.clone_from(hindrance);
                member.phase = Phase::Up;
                for stage in [ACTIVE, ADDRESS] {
                    member.pass(stage, entry.at);
                }
            }
            (Event::Reached { name, stage }, Step::Converge) if self.is_watched() => {
                let Some(member) = self.members.iter_mut().find(|member| member.name == *name) else {
                    return self.illegal(entry, "is about a server that it does not concern");
                };
                if !matches!(member.phase, Phase::Moving | Phase::Up) || !member.pass(stage, entry.at) {
                    return self.illegal(entry, "is about a stage that it cannot pass");
                }
            }
            (Event::Ready { server }, Step::Converge | Step::AwaitPower { .. }) => {
                let way = if self.is_watched() { Phase::Up } else { Phase::Moving };
                let Some(member) = self.members.iter_mut().find(|member| member.name == server.name) else {
                    return self.illegal(entry, "is about a server that it does not concern");
                };
                if std::mem::discriminant(&member.phase) != std::mem::discriminant(&way) {
                    return self.illegal(entry, "is about a server that is not on its way");
                }
                member.see(server);
                member.phase = Phase::Ready;
                self.step = Step::Converge;
            }
            (Event::Lost { name, error, fate }, Step::Converge | Step::AskPower | Step::AwaitPower { .. }) => {
                let Some(member) = self.members.iter_mut().find(|member| member.name == *name) else {
                    return self.illegal(entry, "is about a server that it does not concern");
                };
                member.phase = match (fate, &member.phase) {
                    (OnFailure::Delete, Phase::Moving | Phase::Up) => Phase::Deleting(Some(error.clone())),
                    (OnFailure::Keep, Phase::Moving | Phase::Up | Phase::Deleting(_)) => Phase::Kept(error.clone()),
                    _ => return self.illegal(entry, "is about a server that is not on its way"),
                };
                self.step = Step::Converge;
            }
            (Event::Gone { id, asked }, Step::Converge | Step::AskPower | Step::AwaitPower { .. }) => {
                let member = self.members.iter_mut().find(|member| member.server.as_ref().is_some_and(|s| s.id == *id));
                match member {
                    Some(member) => {
                        let why = match &member.phase {
                            Phase::Deleting(why) => why.clone(),
                            Phase::Moving | Phase::Up => Some(vanished(&member.name)),
                            _ => return self.illegal(entry, "is about a server that is not on its way"),
                        };
                        member.phase = Phase::Gone(why);
                        member.end_asked = *asked;
                        self.step = Step::Converge;
                    }
                    None if self.extras.iter().any(|extra| extra.id == *id) => {
                        self.extras.retain(|extra| extra.id != *id)
                    }
                    None => return self.illegal(entry, "is about a server that it does not concern"),
                }
            }
            (Event::Finished {}, Step::Converge) if self.is_settled() && self.extras.is_empty() => {
                self.step = Step::Over;
            }
            _ => return self.illegal(entry, "cannot happen there"),
        }
        Ok(self)
    }

    fn illegal<T>(&self, entry: &Entry, why: &str) -> Result<T, IllegalTransition> {
        let step = match self.step {
            Step::Send { .. } => "send",
            Step::Sent { .. } => "sent",
            Step::AskPower => "ask_power",
            Step::AwaitPower { .. } => "await_power",
            Step::Converge => "converge",
            Step::Over => "over",
        };
        Err(IllegalTransition(format!("{} after {step} {why}", entry.event.name())))
    }

    fn take_in(&mut self, servers: &[Server], now: Timestamp) -> Result<(), IllegalTransition> {
        let Step::Sent { placement, token, at, .. } = self.step.clone() else {
            return Err(IllegalTransition("servers came without a create call".to_owned()));
        };
        let arrived = match &self.intent {
            Intent::Deploy(deploy) if deploy.wait == Wait::None => Phase::Ready,
            _ => Phase::Moving,
        };
        for server in servers {
            let free = |member: &&mut Member| member.name == server.name && matches!(member.phase, Phase::Unmade);
            let member = self.members.iter_mut().find(free).ok_or_else(|| {
                IllegalTransition(format!("{} came for `{}`, which waits for none", server.id, server.name))
            })?;
            member.server = Some(server.clone());
            member.placement = Some(placement);
            member.token = Some(token.clone());
            member.ordered_at = at;
            member.known_since = now;
            member.phase = arrived.clone();
        }
        if self.unmade().is_empty() {
            self.step = Step::Converge;
        }
        Ok(())
    }

    fn follow(&mut self, then: Then, placement: usize, tries: u32, token: Option<Token>, error: Error) {
        self.step = match then {
            Then::Again { not_before } => Step::Send { placement, token, tries, not_before: Some(not_before) },
            Then::Next => Step::Send { placement: placement + 1, token: None, tries: 0, not_before: None },
            Then::GiveUp => {
                for member in self.members.iter_mut().filter(|member| matches!(member.phase, Phase::Unmade)) {
                    member.phase = Phase::Unmakeable(error.clone());
                }
                Step::Converge
            }
        };
    }

    fn delete_doubles(&mut self, ids: &[InstanceId], now: Timestamp) {
        self.extras.extend(ids.iter().map(|id| Extra { id: id.clone(), known_since: now }));
    }

    fn settle(&mut self, phase: Phase) {
        for member in &mut self.members {
            member.phase = phase.clone();
        }
        self.step = Step::Converge;
    }

    /// Whether each server has come to its end.
    pub fn is_settled(&self) -> bool {
        let is_open =
            |member: &Member| matches!(member.phase, Phase::Unmade | Phase::Moving | Phase::Up | Phase::Deleting(_));
        !self.members.iter().any(is_open)
    }

    /// Whether its servers are watched until they do what they were made for.
    pub fn is_watched(&self) -> bool {
        self.deploy().is_some_and(|deploy| deploy.wait == Wait::Ready)
    }

    /// The change of power that it carried out, or the end that it brought, if it did.
    pub(crate) fn switched(&self, asked: Timestamp, done: Timestamp) -> Option<Switched> {
        let member = self.members.first()?;
        let id = member.id()?.clone();
        let (accepted, not_yet) = (self.accepted, member.not_yet);
        match (&self.intent, &member.phase) {
            (Intent::Power { to: Power::Off | Power::ForceOff, .. }, Phase::Ready) => {
                Some(Switched { id, off: true, asked, accepted, not_yet, done })
            }
            (Intent::Power { to: Power::On, .. }, Phase::Ready) => {
                Some(Switched { id, off: false, asked, accepted, not_yet, done })
            }
            (Intent::Destroy { .. }, Phase::Gone(_)) => {
                Some(Switched { id, off: true, asked, accepted: member.end_asked, not_yet: None, done })
            }
            _ => None,
        }
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.step == Step::Over
    }

    /// The names that have no server yet.
    pub fn unmade(&self) -> Vec<String> {
        let unmade = self.members.iter().filter(|member| matches!(member.phase, Phase::Unmade));
        unmade.map(|member| member.name.clone()).collect()
    }

    /// What is to be deployed, if that is what it is about.
    pub fn deploy(&self) -> Option<&Deploy> {
        if let Intent::Deploy(deploy) = &self.intent { Some(deploy) } else { None }
    }

    /// The placement under this index.
    pub fn placement(&self, index: usize) -> Option<&Placement> {
        self.deploy().and_then(|deploy| deploy.placements.get(index))
    }

    /// Where and at what price `member` was made.
    pub fn placement_of(&self, member: &Member) -> Option<&Placement> {
        member.placement.and_then(|index| self.placement(index))
    }

    /// The cloud that it is at.
    pub fn provider(&self) -> Option<&ProviderId> {
        let chosen = match self.step {
            Step::Send { placement, .. } | Step::Sent { placement, .. } => self.placement(placement),
            _ => None,
        };
        let server = || self.members.iter().find_map(|member| member.server.as_ref());
        chosen.map(|placement| &placement.provider).or_else(|| server().map(|server| &server.id.provider))
    }

    /// Since when the server under this id is known to be there, where it concerns this operation.
    pub fn known_since(&self, id: &InstanceId) -> Option<Timestamp> {
        let member = self.members.iter().find(|member| member.id() == Some(id));
        let extra = || self.extras.iter().find(|extra| extra.id == *id);
        member.map(|member| member.known_since).or_else(|| extra().map(|extra| extra.known_since))
    }

    /// When `member` was ordered and what it passed since, where it was watched.
    pub fn stages_of(&self, member: &Member) -> Vec<Passed> {
        if member.passed.is_empty() {
            return Vec::new();
        }
        let ordered = Passed { stage: "ordered".to_owned(), at: member.ordered_at };
        std::iter::once(ordered).chain(member.passed.iter().cloned()).collect()
    }

    /// Every token that it has used and may still find servers by.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        let step = match &self.step {
            Step::Send { token, .. } => token.as_ref(),
            Step::Sent { token, .. } => Some(token),
            _ => None,
        };
        step.into_iter()
            .chain(self.unswept.iter().map(|sent| &sent.token))
            .chain(self.members.iter().filter_map(|member| member.token.as_ref()))
    }

    /// Every server that it concerns, doubles included.
    pub fn ids(&self) -> impl Iterator<Item = &InstanceId> {
        self.members.iter().filter_map(Member::id).chain(self.extras.iter().map(|extra| &extra.id))
    }

    /// How far `member` is.
    pub fn stage_of(&self, member: &Member) -> Stage {
        match (&member.phase, &self.step) {
            (Phase::Unmade, Step::Sent { .. }) if self.last_error.is_some() => Stage::Looking,
            (Phase::Unmade, Step::Sent { .. }) => Stage::Creating,
            (Phase::Unmade, _) => Stage::Intended,
            (Phase::Moving, _) if matches!(self.intent, Intent::Power { .. }) => Stage::Powering,
            (Phase::Moving, _) => Stage::Starting,
            (Phase::Up, _) => Stage::Installing,
            (Phase::Deleting(_), _) => Stage::Deleting,
            (Phase::Ready | Phase::Gone(None), _) => Stage::Done,
            (Phase::Kept(_) | Phase::Unmakeable(_) | Phase::Gone(Some(_)), _) => Stage::Failed,
        }
    }

    /// How far it is as a whole: as far as the least far of its servers; failed if one of them is.
    pub fn stage(&self) -> Stage {
        let stages = || self.members.iter().map(|member| self.stage_of(member));
        let open = stages().find(|stage| !matches!(stage, Stage::Done | Stage::Failed));
        match open {
            Some(stage) => stage,
            None if !self.extras.is_empty() => Stage::Deleting,
            None if !self.is_over() => Stage::Looking,
            None if stages().any(|stage| stage == Stage::Failed) => Stage::Failed,
            None => Stage::Done,
        }
    }

    /// What is not known yet, a whole sentence.
    pub fn doubt_in_words(&self) -> Option<String> {
        let Step::Sent { at, .. } = self.step else { return None };
        let why = self.last_error.as_ref().map_or("its answer was never seen", Error::message);
        Some(format!("A create call was sent at {at}, and whether it took effect is not known: {why}"))
    }

    /// When it is worth going on, if it waits for a time.
    pub fn next_at(&self) -> Option<Timestamp> {
        if let Step::Send { not_before, .. } = self.step { not_before } else { None }
    }

    /// Why it, or one of its servers, failed.
    pub fn error(&self) -> Option<&Error> {
        self.members.iter().find_map(Member::error)
    }

    /// How it ended for `member`.
    pub fn finish(&self, operation: &OperationId, member: &Member, why: Option<&str>) -> Finish {
        match (&member.phase, member.error()) {
            (_, Some(error)) => Finish::Failed(error.clone()),
            (Phase::Ready | Phase::Gone(_), None) => Finish::Done,
            _ => Finish::StillRunning {
                why: why.map_or_else(
                    || format!("`{}` is {}; operation {operation} goes on.", member.name, self.stage_of(member)),
                    str::to_owned,
                ),
            },
        }
    }
}

impl Member {
    /// Takes in how it was seen.
    fn see(&mut self, server: &Server) {
        self.server = Some(server.clone());
        self.not_yet = self.not_yet.or(server.not_yet);
    }

    /// Notes a stage; whether it was not passed before.
    fn pass(&mut self, stage: &str, at: Timestamp) -> bool {
        let is_new = !self.passed.iter().any(|passed| passed.stage == stage);
        if is_new {
            self.passed.push(Passed { stage: stage.to_owned(), at });
        }
        is_new
    }

    /// Why it failed.
    pub fn error(&self) -> Option<&Error> {
        match &self.phase {
            Phase::Kept(error) | Phase::Unmakeable(error) | Phase::Gone(Some(error)) => Some(error),
            _ => None,
        }
    }

    /// Its id, once it has one.
    pub fn id(&self) -> Option<&InstanceId> {
        self.server.as_ref().map(|server| &server.id)
    }

    /// Whether its name is free again.
    pub fn is_gone(&self) -> bool {
        matches!(self.phase, Phase::Unmakeable(_) | Phase::Gone(_))
    }

    /// Its state when it was last seen.
    pub fn status(&self) -> InstanceStatus {
        match self.phase {
            Phase::Deleting(_) | Phase::Gone(_) => InstanceStatus::Deleting,
            _ => self.server.as_ref().map_or(InstanceStatus::Unknown, |server| server.status),
        }
    }
}

/// Whether a refusal can be the answer to a call that came a second time, after the first one had made its servers.
fn may_be_a_second(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Conflict | ErrorKind::Invalid | ErrorKind::Quota | ErrorKind::NoCapacity)
}

fn vanished(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("`{name}` is gone: the provider does not have it any more."))
        .with_hint("Somebody else may have deleted it; its name is free again.")
}

fn never_made(names: &[String], why: Option<&Error>) -> Error {
    let what = format!("The provider never made `{}`", names.join("`, `"));
    let error = match why {
        Some(error) => error.clone().context(what).with_effect(Effect::None),
        None => Error::new(ErrorKind::Unavailable, format!("{what}.")),
    };
    error.with_hint("Nothing was bought. Deploy again, or at another provider.")
}

#[cfg(test)]
mod tests;
