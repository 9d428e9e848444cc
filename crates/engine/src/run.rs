//! The loop that carries operations out: ask what is next, do it, write down what came of it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use capsule_core::{
    Effect, Error, ErrorKind, Instance, InstanceId, InstanceStatus, Order, Place, PlanKind, Power, ProviderId, Result,
    Retry, Token,
};
use futures_util::future::join_all;
use jiff::Timestamp;

use crate::engine::Inner;
use crate::event::{Event, Server};
use crate::flow::{self, Action, Matched, Verdict, later};
use crate::journal::Held;
use crate::operation::{Observer, OnFailure, Outcome, Update};
use crate::order;
use crate::poll::{Busy, Cloud, Sight};
use crate::readiness::{Look, Readiness, Watched};
use crate::state::{Member, Phase, Sent};

/// So often in a row a provider may fail to answer before the operation is left for later.
const PATIENCE: u32 = 20;
/// So often a change of power is asked for.
const POWER_TRIES: u32 = 5;

/// One operation on its way, in this process.
pub(crate) struct Run<'a> {
    inner: &'a Inner,
    observer: &'a dyn Observer,
    held: Held,
    /// When this process stops waiting; the operation stays open then.
    give_up_at: Option<Timestamp>,
    seen: HashMap<InstanceId, Instance>,
    rounds: HashMap<InstanceId, u64>,
    /// What this process asked to be deleted, and when it did so last.
    asked: HashMap<InstanceId, Timestamp>,
    /// When this process last looked at a server on its way that did not run.
    not_yet: HashMap<InstanceId, Timestamp>,
    /// How often this process asked in vain that a server may start from its own disk.
    loads: HashMap<InstanceId, u32>,
    failures: u32,
    /// Says that it is at work at the cloud where it makes servers.
    busy: Option<Busy>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(inner: &'a Inner, held: Held, observer: &'a dyn Observer, give_up_at: Option<Timestamp>) -> Self {
        let (seen, rounds, loads) = (HashMap::new(), HashMap::new(), HashMap::new());
        let (asked, not_yet) = (HashMap::new(), HashMap::new());
        Run { inner, observer, held, give_up_at, seen, rounds, asked, not_yet, loads, failures: 0, busy: None }
    }

    /// Goes on until the operation is over or cannot go on now, and lets it go.
    pub(crate) async fn finish(mut self) -> Vec<Outcome> {
        // Whoever is interrupted from here on knows what to resume.
        for member in &self.held.state.members {
            self.tell(member, "written down");
        }
        let why = match self.drive().await {
            Ok(()) => None,
            Err(error) => {
                tracing::debug!(operation = %self.held.id, %error, "left for later");
                Some(error)
            }
        };
        // If the lease cannot be given back, it runs out by itself.
        if let Err(error) = self.inner.journal.release(&mut self.held).await {
            tracing::debug!(operation = %self.held.id, %error, "the lease stays until it runs out");
        }
        self.inner.outcomes(&self.held.id, &self.held.state, why.as_ref(), &self.seen).await
    }

    async fn drive(&mut self) -> Result<()> {
        loop {
            let now = self.inner.clock.now();
            let action = flow::next(&self.held.state, now);
            if !matches!(action, Action::Nothing | Action::Finish) && self.give_up_at.is_some_and(|at| now >= at) {
                return Err(self.out_of_time());
            }
            match action {
                Action::Nothing => return Ok(()),
                Action::Finish => self.append(Event::Finished {}).await?,
                Action::Wait(at) => self.pause_until(at).await,
                Action::Create { placement, token, names } => self.create(placement, token, names).await?,
                Action::Look { placement, token, sent, answered, tries } => {
                    self.look(placement, &token, (sent, answered), tries).await?
                }
                Action::AskPower(to) => self.ask_power(to).await?,
                Action::Converge(ids) => self.converge(ids).await?,
                Action::Sweep(sent) => self.sweep(sent).await?,
            }
        }
    }

    /// Sends the create call, after a line that says so is committed.
    async fn create(&mut self, index: usize, token: Option<Token>, names: Vec<String>) -> Result<()> {
        let (Some(deploy), Some(placement)) = (self.held.state.deploy(), self.held.state.placement(index)) else {
            return Err(Error::new(ErrorKind::Store, format!("Operation {} has no placement {index}.", self.held.id)));
        };
        let cloud = self.inner.cloud(&placement.provider).await?;
        self.busy.get_or_insert_with(|| cloud.enter());
        let order = Order {
            again: token.is_some(),
            token: token.unwrap_or_else(|| self.inner.dice.token()),
            owner: deploy.owner.clone(),
            names: names.clone(),
            spec: order::spec(placement, &deploy.ssh_keys, deploy.user_data.as_deref(), &deploy.tags),
        };
        // Behind many others its turn may come when nobody waits for it any more.
        let _turn = tokio::select! {
            biased;
            turn = cloud.creates.acquire() => turn.map_err(|_| closed())?,
            () = self.inner.clock.until(self.give_up_at.unwrap_or(Timestamp::MAX)) => return Err(self.out_of_time()),
        };
        let sent = self.inner.clock.now();
        self.append(Event::CreateSent { token: order.token.clone(), placement: index, names }).await?;
        // Counted from the journal's line, as whoever looks for the outcome counts: a process that slept in between
        // sends nothing any more.
        let deadline = later(sent, cloud.timing.call_deadline);
        let answer = tokio::select! {
            biased;
            () = self.inner.clock.until(deadline) => Err(no_answer()),
            answer = cloud.provider.create(&order) => answer,
        };
        let event = match answer {
            Ok(instances) => {
                let Matched { servers, extras } = self.take_in(&instances);
                match servers.len() == order.names.len() {
                    true if extras.is_empty() => Event::Created { servers },
                    true => Event::Adopted { servers, extras },
                    false => Event::Unknown { error: incomplete(servers.len(), order.names.len()) },
                }
            }
            Err(error) => {
                let tries = self.tries();
                flow::after_failure(&self.held.state, index, tries, error, self.inner.clock.now(), self.inner.pace)
            }
        };
        self.append(event).await
    }

    /// Looks for what a create call of unknown outcome has made.
    async fn look(
        &mut self,
        placement: usize,
        token: &Token,
        (sent, answered): (Timestamp, Option<Timestamp>),
        tries: u32,
    ) -> Result<()> {
        let Some((provider, place)) = self.held.state.placement(placement).map(|at| (at.provider.clone(), at.place()))
        else {
            return Err(Error::new(
                ErrorKind::Store,
                format!("Operation {} has no placement {placement}.", self.held.id),
            ));
        };
        let cloud = self.inner.cloud(&provider).await?;
        self.busy.get_or_insert_with(|| cloud.enter());
        let began = self.inner.clock.now();
        let found = match self.under(&cloud, &[(token.clone(), place)], began, false).await {
            Ok(found) => found,
            Err(error) => return self.bear(error, &cloud).await,
        };
        self.failures = 0;
        let Matched { servers, extras } = self.take_in(&found);
        if !servers.is_empty() || !extras.is_empty() {
            return self.append(Event::Adopted { servers, extras }).await;
        }
        let visible_by = cloud.timing.visible_by(sent, answered);
        if began >= visible_by {
            let then = flow::after_not_there(&self.held.state, placement, tries, self.inner.clock.now());
            return self.append(Event::NotThere { then }).await;
        }
        self.tell_all("looking whether the create call took effect");
        self.pause_until(visible_by.min(later(began, cloud.timing.poll_interval))).await;
        Ok(())
    }

    /// What carries one of these tokens by a list begun after `after`, unless the time given is over first.
    async fn under(
        &self,
        cloud: &Cloud,
        sent: &[(Token, Place)],
        after: Timestamp,
        even_half: bool,
    ) -> Result<Vec<Instance>> {
        tokio::select! {
            biased;
            found = cloud.under(sent, after, even_half) => found,
            () = self.inner.clock.until(self.give_up_at.unwrap_or(Timestamp::MAX)) => Err(self.out_of_time()),
        }
    }

    async fn ask_power(&mut self, to: Power) -> Result<()> {
        let Some(member) = self.held.state.members.first().cloned() else { return Err(closed()) };
        let Some(id) = member.id().cloned() else { return Err(closed()) };
        let cloud = self.inner.cloud(&id.provider).await?;
        let mut tries = 0;
        loop {
            let error = match cloud.provider.power(&id, to).await {
                Ok(()) => return self.append(Event::PowerAccepted {}).await,
                Err(error) => error,
            };
            tries += 1;
            let is_old = self.inner.clock.now() >= later(member.known_since, cloud.timing.list_lag);
            if error.kind() == ErrorKind::NotFound && is_old && cloud.provider.get(&id).await?.is_none() {
                return self.append(Event::Gone { id, asked: None }).await;
            }
            // Asking twice does no harm here: the vendor's state decides, not the number of calls.
            let again = error.retry() != Retry::Never
                || error.effect() == Effect::Unknown
                // On its way from one state to another a server takes no new order, ours perhaps among them.
                || error.kind() == ErrorKind::Conflict
                || (error.kind() == ErrorKind::NotFound && !is_old);
            if !again || tries >= POWER_TRIES {
                return self.append(Event::Lost { name: member.name, error, fate: OnFailure::Keep }).await;
            }
            self.tell(&member, &format!("asking again: {}", error.message().trim_end_matches('.')));
            let wait = flow::backoff(error.retry(), tries, self.inner.pace);
            self.pause_until(later(self.inner.clock.now(), wait)).await;
        }
    }

    /// One round of looks at all servers on their way, and what follows from each.
    async fn converge(&mut self, ids: Vec<InstanceId>) -> Result<()> {
        if self.take_ready().await? {
            return Ok(());
        }
        for id in &ids {
            if self.is_deleting(id) && !self.asked.contains_key(id) {
                self.delete(id).await?;
            }
        }
        let mut looks = Vec::with_capacity(ids.len());
        for id in ids {
            let round = self.rounds.get(&id).copied().unwrap_or_default();
            let since = self.held.state.known_since(&id).unwrap_or(self.held.state.started);
            let cloud = self.inner.cloud(&id.provider).await?;
            self.busy.get_or_insert_with(|| cloud.enter());
            let watched = self.watched(&id)?;
            let kind = self.kind_of(&id);
            looks.push(async move {
                let sight = cloud.look(&id, kind, since, round).await;
                let look = match watched {
                    Some((readiness, watched)) => Some(readiness.look(&watched).await),
                    None => None,
                };
                (id, cloud, sight, look)
            });
        }
        let give_up_at = self.give_up_at.unwrap_or(Timestamp::MAX);
        let sights: Vec<(InstanceId, Arc<Cloud>, Sight, Option<Look>)> = tokio::select! {
            biased;
            sights = join_all(looks) => sights,
            () = self.inner.clock.until(give_up_at) => return Err(self.out_of_time()),
        };
        let mut failed = None;
        for (id, cloud, sight, look) in sights {
            self.rounds.insert(id.clone(), sight.round);
            match sight.seen {
                Ok(seen) => {
                    if let Some(instance) = &seen {
                        self.seen.insert(id.clone(), instance.clone());
                    }
                    self.settle(&id, &cloud, seen.as_ref(), look, sight.at).await?;
                }
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            None => self.failures = 0,
            Some(error) => {
                self.failures += 1;
                if error.kind().is_credentials() || self.failures > PATIENCE {
                    return Err(error);
                }
                self.tell_all(&format!("looking again: {}", error.message().trim_end_matches('.')));
            }
        }
        Ok(())
    }

    /// Whoever judges a server that runs and is watched, and what it has to know.
    fn watched(&self, id: &InstanceId) -> Result<Option<(Arc<dyn Readiness>, Watched)>> {
        let state = &self.held.state;
        let Some(member) = state.members.iter().find(|member| member.id() == Some(id)) else { return Ok(None) };
        let (Phase::Up, Some(server)) = (&member.phase, &member.server) else { return Ok(None) };
        let goal = state.deploy().and_then(|deploy| deploy.goal.clone());
        let (Some(readiness), Some(goal)) = (self.inner.readiness.clone(), goal) else {
            let message = format!("`{}` runs, and nothing here can tell whether it is what it should be.", member.name);
            return Err(Error::new(ErrorKind::Unsupported, message));
        };
        // A server that was started anew may have got another address.
        let addresses = self.seen.get(id).map(|seen| &seen.addresses).filter(|seen| seen.primary().is_some());
        let watched = Watched {
            name: member.name.clone(),
            id: id.clone(),
            addresses: addresses.unwrap_or(&server.addresses).clone(),
            kind: state.placement_of(member).map(|placement| placement.kind),
            goal,
            passed: member.passed.clone(),
            hindrance: member.hindrance.clone(),
        };
        Ok(Some((readiness, watched)))
    }

    /// Writes down those that were up already when the create call answered.
    async fn take_ready(&mut self) -> Result<bool> {
        let mut took = false;
        for member in self.held.state.members.clone() {
            let (Phase::Moving, Some(instance)) = (&member.phase, member.id().and_then(|id| self.seen.get(id))) else {
                continue;
            };
            // What a change of power has done is not known from looks before it.
            if self.held.state.deploy().is_none() {
                continue;
            }
            let cloud = self.inner.cloud(&instance.id.provider).await?;
            let now = self.inner.clock.now();
            let verdict = flow::judge_moving(&self.held.state, &member, Some(instance), now, &cloud.timing);
            // What the provider is asked for first, and maybe again, goes with the looks.
            let has_way = cloud.provider.own_loader().is_none();
            if let Verdict::Append(event) = verdict
                && (matches!(*event, Event::Ready { .. }) || has_way && matches!(*event, Event::Up { .. }))
            {
                self.append(*event).await?;
                took = true;
            }
        }
        Ok(took)
    }

    async fn settle(
        &mut self,
        id: &InstanceId,
        cloud: &Cloud,
        seen: Option<&Instance>,
        look: Option<Look>,
        at: Timestamp,
    ) -> Result<()> {
        let timing = &cloud.timing;
        let member = self.held.state.members.iter().find(|member| member.id() == Some(id)).cloned();
        let asked = self.asked.contains_key(id);
        let verdict = match &member {
            Some(member) if let (Phase::Up, Some(look)) = (&member.phase, look) => {
                let known = |stage: &String| member.passed.iter().any(|passed| passed.stage == *stage);
                for stage in look.reached.into_iter().filter(|stage| !known(stage)) {
                    self.append(Event::Reached { name: member.name.clone(), stage }).await?;
                }
                flow::judge_up(&self.held.state, member, seen, look.prospect, at, timing)
            }
            Some(member) if matches!(member.phase, Phase::Moving) => {
                flow::judge_moving(&self.held.state, member, seen, at, timing)
            }
            _ => {
                let since = self.held.state.known_since(id).unwrap_or(at);
                flow::judge_deleting(since, seen, asked, at, timing)
            }
        };
        match verdict {
            Verdict::Wait(message) => {
                if let Some(member) = &member {
                    self.tell(member, &message);
                }
                let moves = member.as_ref().is_some_and(|member| matches!(member.phase, Phase::Moving));
                if moves && seen.is_some_and(|seen| seen.status != InstanceStatus::Running) {
                    self.not_yet.insert(id.clone(), at);
                }
                Ok(())
            }
            // Whether it worked shows at the next look.
            Verdict::Start => match cloud.provider.power(id, Power::On).await {
                Err(error) if error.kind().is_credentials() => Err(error),
                _ => Ok(()),
            },
            // A look from before it was asked for says nothing of what came of that.
            Verdict::Delete if self.asked.get(id).is_some_and(|asked| at < *asked) => Ok(()),
            Verdict::Delete => self.delete(id).await.map(drop),
            // What is asked for now ends nothing more.
            Verdict::ConfirmGone => {
                let asked = self.asked.get(id).copied();
                match self.delete(id).await? {
                    true => self.append(Event::Gone { id: id.clone(), asked }).await,
                    false => Ok(()),
                }
            }
            Verdict::Append(event) => match *event {
                Event::Up { server, .. } => self.up(cloud, self.since(server)).await,
                Event::Ready { server } => self.append(Event::Ready { server: self.since(server) }).await,
                event => self.append(event).await,
            },
        }
    }

    /// The server as it is seen now, with when it was last seen otherwise.
    fn since(&self, server: Server) -> Server {
        Server { not_yet: self.not_yet.get(&server.id).copied(), ..server }
    }

    /// Writes down that a watched server is up, once it may start what is put on its disk. Whoever is interrupted in
    /// between asks for that again, which does no harm. A refusal for good ends nothing: the server costs money already
    /// and may get there all the same; it is written down for the one that judges.
    async fn up(&mut self, cloud: &Cloud, server: Server) -> Result<()> {
        let asked = match cloud.provider.own_loader() {
            Some(loader) => loader.start_from_own_disk(&server.id).await,
            None => Ok(()),
        };
        let hindrance = asked.err();
        if let Some(error) = &hindrance {
            let tries = self.loads.entry(server.id.clone()).or_default();
            *tries += 1;
            let may_pass = error.retry() != Retry::Never || error.kind() == ErrorKind::NotFound;
            if may_pass && *tries <= PATIENCE {
                if let Some(member) = self.held.state.members.iter().find(|member| member.name == server.name) {
                    self.tell(member, &format!("asking again: {}", error.message().trim_end_matches('.')));
                }
                return Ok(());
            }
        }
        self.append(Event::Up { server, hindrance }).await
    }

    /// Asks for the end of a server; whether that was accepted. A refusal for good is written down.
    async fn delete(&mut self, id: &InstanceId) -> Result<bool> {
        let cloud = self.inner.cloud(&id.provider).await?;
        let asked = self.inner.clock.now();
        let error = match cloud.provider.delete(id).await {
            Ok(()) => {
                self.asked.insert(id.clone(), asked);
                return Ok(true);
            }
            Err(error) => error,
        };
        if error.retry() != Retry::Never || error.effect() == Effect::Unknown || error.kind() == ErrorKind::Conflict {
            // Asked for all the same: the next look decides whether to ask again.
            self.asked.insert(id.clone(), asked);
            return Ok(false);
        }
        let member = self.held.state.members.iter().find(|member| member.id() == Some(id));
        match member.map(|member| member.name.clone()) {
            Some(name) => {
                let error = error.context(format!("`{name}` could not be deleted and still costs money"));
                self.append(Event::Lost { name, error, fate: OnFailure::Keep }).await?;
                Ok(false)
            }
            None => Err(error.context(format!("The double {id} could not be deleted and still costs money"))),
        }
    }

    /// A last look for doubles: of a call that was thought to be lost and came late, or that came twice on its way.
    async fn sweep(&mut self, sent: Vec<Sent>) -> Result<()> {
        let mut tokens: BTreeMap<(ProviderId, bool), Vec<(Token, Place)>> = BTreeMap::new();
        // What was made is known since then, so whatever came with it is there as well.
        // After a doubt it may have come at any time until now.
        let since = match sent.iter().any(|sent| sent.doubted) {
            true => self.inner.clock.now(),
            false => sent.iter().map(|sent| sent.at).max().unwrap_or(self.held.state.started),
        };
        for Sent { token, placement, .. } in sent {
            let Some(placement) = self.held.state.placement(placement) else { continue };
            let cloud = self.inner.cloud(&placement.provider).await?;
            // What answered under a token that the vendor itself knows is all that there is under it.
            let answered = self.held.state.members.iter().any(|member| member.token.as_ref() == Some(&token));
            if !(answered && cloud.provider.capabilities().idempotent_create) {
                // What never answered may have stopped half-way, and nobody goes on with it now.
                tokens.entry((placement.provider.clone(), !answered)).or_default().push((token, placement.place()));
            }
        }
        let mut extras = Vec::new();
        for ((provider, even_half), tokens) in tokens {
            let cloud = self.inner.cloud(&provider).await?;
            match self.under(&cloud, &tokens, since, even_half).await {
                Ok(found) => extras.extend(flow::match_names(&self.held.state, &found).extras),
                Err(error) => return self.bear(error, &cloud).await,
            }
        }
        let event = if extras.is_empty() { Event::Finished {} } else { Event::Swept { extras } };
        self.append(event).await
    }

    /// Waits before a look is tried again; gives up for now when the provider fails for too long.
    async fn bear(&mut self, error: Error, cloud: &Cloud) -> Result<()> {
        self.failures += 1;
        if error.kind().is_credentials() || self.failures > PATIENCE {
            return Err(error);
        }
        self.tell_all(&format!("looking again: {}", error.message().trim_end_matches('.')));
        let wait = flow::backoff(error.retry(), 1, self.inner.pace).max(cloud.timing.poll_interval);
        self.pause_until(later(self.inner.clock.now(), wait)).await;
        Ok(())
    }

    fn take_in(&mut self, instances: &[Instance]) -> Matched {
        self.seen.extend(instances.iter().map(|instance| (instance.id.clone(), instance.clone())));
        flow::match_names(&self.held.state, instances)
    }

    /// What kind of server that is, where this operation ordered it.
    fn kind_of(&self, id: &InstanceId) -> Option<PlanKind> {
        let member = self.held.state.members.iter().find(|member| member.id() == Some(id));
        member.and_then(|member| self.held.state.placement_of(member)).map(|placement| placement.kind)
    }

    fn is_deleting(&self, id: &InstanceId) -> bool {
        let member = self.held.state.members.iter().find(|member| member.id() == Some(id));
        member.is_none_or(|member| matches!(member.phase, Phase::Deleting(_)))
    }

    fn tries(&self) -> u32 {
        if let crate::state::Step::Sent { tries, .. } = self.held.state.step { tries } else { 0 }
    }

    async fn append(&mut self, event: Event) -> Result<()> {
        let message = words(&event);
        let before = self.held.state.clone();
        self.inner.journal.append(&mut self.held, event, self.inner.clock.now()).await?;
        for (was, member) in before.members.iter().zip(&self.held.state.members) {
            let stages = (before.stage_of(was), self.held.state.stage_of(member));
            let went_on = was.passed.len() != member.passed.len() || was.server != member.server;
            if stages.0 != stages.1 || went_on || matches!(was.phase, Phase::Unmade) {
                self.tell(member, &message);
            }
        }
        Ok(())
    }

    async fn pause_until(&self, at: Timestamp) {
        let now = self.inner.clock.now();
        let at = self.give_up_at.map_or(at, |give_up_at| at.min(give_up_at));
        let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
        self.inner.clock.sleep(wait).await;
    }

    fn tell_all(&self, message: &str) {
        for member in self
            .held
            .state
            .members
            .iter()
            .filter(|member| matches!(member.phase, Phase::Unmade | Phase::Moving | Phase::Up))
        {
            self.tell(member, message);
        }
    }

    fn tell(&self, member: &Member, message: &str) {
        self.observer.on(&Update {
            operation: self.held.id.clone(),
            name: member.name.clone(),
            stage: self.held.state.stage_of(member),
            instance: member.id().cloned(),
            message: message.to_owned(),
            at: self.inner.clock.now(),
        });
    }

    fn out_of_time(&self) -> Error {
        let message = format!("Not over in the time given: operation {} is {}.", self.held.id, self.held.state.stage());
        Error::new(ErrorKind::Timeout, message)
    }
}

/// An event for people.
fn words(event: &Event) -> String {
    let first = |servers: &[Server]| servers.iter().map(|server| server.id.to_string()).collect::<Vec<_>>().join(", ");
    match event {
        Event::Intended { .. } => "written down".to_owned(),
        Event::CreateSent { .. } => "sending the create call".to_owned(),
        Event::Created { servers } => format!("created {}", first(servers)),
        Event::Rejected { error, .. } => format!("refused: {}", error.message().trim_end_matches('.')),
        Event::Unknown { error } => {
            format!("in doubt, looking at the provider's list: {}", error.message().trim_end_matches('.'))
        }
        Event::Adopted { servers, .. } => format!("found {}", first(servers)),
        Event::NotThere { .. } => "not at the provider: nothing was made".to_owned(),
        Event::Swept { extras } => format!("{} doubles found, to be deleted", extras.len()),
        Event::Reached { stage, .. } => stage.replace('_', " "),
        Event::Up { hindrance: Some(error), .. } => {
            format!("running, and may not come back from its install: {}", error.message().trim_end_matches('.'))
        }
        Event::Ready { server } | Event::Up { server, .. } => match server.addresses.primary() {
            Some(address) => format!("{} at {address}", server.status),
            None => server.status.to_string(),
        },
        Event::Lost { error, .. } => error.message().trim_end_matches('.').to_owned(),
        Event::PowerAccepted {} => "accepted by the provider".to_owned(),
        Event::Gone { .. } => "gone".to_owned(),
        Event::Finished {} => "over".to_owned(),
    }
}

fn no_answer() -> Error {
    Error::new(ErrorKind::Timeout, "The create call got no answer in time.")
        .with_effect(Effect::Unknown)
        .with_retry(Retry::Backoff)
}

fn incomplete(answered: usize, ordered: usize) -> Error {
    let message = format!("The provider answered with {answered} of the {ordered} servers that were ordered.");
    Error::new(ErrorKind::Protocol, message).with_effect(Effect::Unknown)
}

fn closed() -> Error {
    Error::new(ErrorKind::Store, "The operation concerns no server.")
}
