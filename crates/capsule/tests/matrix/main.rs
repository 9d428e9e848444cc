//! Never twice, never lost: every flow of every provider, stopped dead after each journal event and at each request, and
//! with everything that can go wrong at each request. The real drivers talk to the simulator; no time passes.
//!
//! A trial is called `PROVIDER/FLOW`; each runs all its cases and prints its line of the table at the end.

mod faults;
mod flows;
mod ground;
mod others;
mod property;

use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, OnceLock};

use capsule_core::{Capabilities, InstanceId, OwnerId, PlanKind};
use capsule_engine::{OperationFilter, Outcome, Placement, Silent};
use capsule_sim::{Fault, What};
use libtest_mimic::{Arguments, Failed, Trial};

use self::faults::Trouble;
use self::flows::{Flow, is_done};
use self::ground::{Death, Ground, Moment, Note, Process, Subject, is_dead};
use self::property::{Allowed, End, Side};

fn subjects() -> Vec<Subject> {
    let mut subjects = Vec::new();
    for entry in capsule_providers::all() {
        let provider = entry.descriptor.id.as_str();
        let kinds: &[PlanKind] = match provider {
            "hivelocity" | "vultr" => &[PlanKind::Virtual, PlanKind::BareMetal],
            "equinix" => &[PlanKind::BareMetal],
            _ => &[PlanKind::Virtual],
        };
        subjects.extend(kinds.iter().map(|kind| Subject { provider, kind: *kind }));
    }
    subjects
}

/// What the trials of one provider share.
struct Shared {
    placements: Vec<Placement>,
    side: Side,
}

#[derive(Debug, Default, Clone)]
struct Tally {
    cases: usize,
    done: usize,
    failed: usize,
    refused: usize,
}

type Tallies = Arc<Mutex<BTreeMap<(String, &'static str), Tally>>>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let tallies = Tallies::default();
    let mut trials = Vec::new();
    for subject in subjects() {
        let shared: Arc<OnceLock<Shared>> = Arc::default();
        for flow in Flow::ALL {
            let (shared, tallies) = (shared.clone(), tallies.clone());
            trials.push(Trial::test(format!("{subject}/{}", flow.name()), move || {
                let shared = shared.get_or_init(|| blocking(share(subject)));
                let tally = blocking(matrix(subject, flow, shared))?;
                tallies.lock().unwrap().insert((subject.to_string(), flow.name()), tally);
                Ok(())
            }));
        }
        for name in ["doubles", "half_made", "strangers"] {
            let (shared, tallies) = (shared.clone(), tallies.clone());
            trials.push(Trial::test(format!("{subject}/{name}"), move || {
                let shared = shared.get_or_init(|| blocking(share(subject)));
                let tally = match name {
                    "doubles" => blocking(others::doubles(subject, shared)),
                    "half_made" => blocking(others::half_made(subject, shared)),
                    _ => blocking(others::strangers(subject, shared)),
                }?;
                tallies.lock().unwrap().insert((subject.to_string(), name), tally);
                Ok(())
            }));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        table(&tallies.lock().unwrap());
    }
    conclusion.exit_code()
}

fn blocking<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[allow(clippy::print_stderr, reason = "a test binary speaks to its user")]
fn table(tallies: &BTreeMap<(String, &'static str), Tally>) {
    eprintln!("{:<18} {:<15} {:>6} {:>6} {:>6} {:>8}", "provider", "flow", "cases", "done", "failed", "refused");
    let mut sum = Tally::default();
    for ((subject, flow), tally) in tallies {
        eprintln!(
            "{subject:<18} {flow:<15} {:>6} {:>6} {:>6} {:>8}",
            tally.cases, tally.done, tally.failed, tally.refused
        );
        sum.cases += tally.cases;
        sum.done += tally.done;
        sum.failed += tally.failed;
        sum.refused += tally.refused;
    }
    eprintln!("{:<34} {:>6} {:>6} {:>6} {:>8}", "sum", sum.cases, sum.done, sum.failed, sum.refused);
}

async fn share(subject: Subject) -> Shared {
    let ground = Ground::new(subject, OwnerId::random(), None);
    let placements = ground.placements().await;
    let (_, id) = Flow::Stop.prepare(&ground, &placements).await;
    assert!(id.is_some());
    let one = ground.side();
    let ground = Ground::new(subject, OwnerId::random(), None);
    let process = ground.process(None, false).await;
    let several = Flow::DeploySeveral.run(&ground, &process, &placements, None).await.unwrap();
    assert!(several.iter().all(is_done), "{several:?}");
    Shared { placements, side: Side::of(&one, &ground.side()) }
}

/// One way in which a flow is disturbed.
#[derive(Debug, Clone, Default)]
struct Case {
    death: Option<Death>,
    trouble: Option<(u32, Trouble)>,
    /// The one operation that it befalls, and how many of its requests go well first.
    only: Option<(String, u32)>,
    allowed: Allowed,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(death) = self.death {
            write!(f, "{death:?} ")?;
        }
        if let Some((n, trouble)) = &self.trouble {
            write!(f, "{trouble} at request {n}")?;
        }
        Ok(())
    }
}

/// What a flow does when nothing disturbs it.
struct Calm {
    requests: Vec<Note>,
    events: u64,
}

impl Calm {
    /// The requests to disturb, by number: what changes something, and between two changes each look's first and last.
    fn chosen(&self) -> Vec<(u32, &Note)> {
        let mut chosen = Vec::new();
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (index, note) in self.requests.iter().enumerate() {
            if note.changes {
                seen.clear();
            }
            let times = seen.entry(&note.operation).or_default();
            *times += 1;
            let rest = self.requests[index + 1..].iter().take_while(|next| !next.changes);
            let is_last = !rest.into_iter().any(|next| next.operation == note.operation);
            if note.changes || *times == 1 || is_last {
                chosen.push((u32::try_from(index).unwrap() + 1, note));
            }
        }
        chosen
    }
}

/// Where the cases of a flow begin.
struct Start<'a> {
    subject: Subject,
    flow: Flow,
    shared: &'a Shared,
    owner: OwnerId,
    moment: Moment,
    id: Option<InstanceId>,
}

async fn matrix(subject: Subject, flow: Flow, shared: &Shared) -> Result<Tally, Failed> {
    let owner = OwnerId::random();
    let ground = Ground::new(subject, owner.clone(), None);
    let (moment, id) = flow.prepare(&ground, &shared.placements).await;
    let start = Start { subject, flow, shared, owner, moment, id };
    let (calm, end) = run(&start, &Case::default(), true).await?;
    if end != End::Done {
        return Err(format!("undisturbed it ends {end:?}").into());
    }
    let capabilities = ground.driver().await.capabilities();
    let mut tally = Tally::default();
    let mut wrong = Vec::new();
    for case in cases(flow, &calm, capabilities) {
        tally.cases += 1;
        match run(&start, &case, false).await {
            Ok((_, End::Done)) => tally.done += 1,
            Ok((_, end)) => match &end {
                End::Failed(_) => tally.failed += 1,
                _ => tally.refused += 1,
            },
            Err(why) => wrong.push(format!("{case}: {why}")),
        }
    }
    if wrong.is_empty() {
        Ok(tally)
    } else {
        Err(format!("{} of {}:\n{}", wrong.len(), tally.cases, wrong.join("\n")).into())
    }
}

fn cases(flow: Flow, calm: &Calm, capabilities: &Capabilities) -> Vec<Case> {
    let dead = |death| Case { death: Some(death), ..Case::default() };
    let mut cases: Vec<Case> = (1..=calm.events).map(|k| dead(Death::AfterEvent(k))).collect();
    for (n, note) in calm.chosen() {
        cases.extend([Death::BeforeRequest(n), Death::AfterRequest(n)].map(dead));
        let makes = note.births > 0;
        // Several are made by the requests that make one, and what is kept differs only by what befalls its birth.
        let mut troubles = match flow {
            Flow::DeploySeveral | Flow::DeployKeep if !makes => Vec::new(),
            _ => faults::anywhere(note.changes),
        };
        if makes {
            troubles.extend(faults::at_birth(capabilities));
        }
        cases.extend(troubles.into_iter().map(|trouble| Case::of(n, trouble)));
        if makes {
            // Without stock that operation is refused, and no other.
            let before = calm.requests[..n as usize - 1].iter().filter(|one| one.operation == note.operation).count();
            for trouble in faults::out_of_stock() {
                let only = Some((note.operation.clone(), u32::try_from(before).unwrap()));
                cases.push(Case { only, ..Case::of(n, trouble) });
            }
            let allowed = Allowed { doubles: true, orphans: true };
            cases.extend(faults::beyond(capabilities).into_iter().map(|t| Case { allowed, ..Case::of(n, t) }));
        }
        let combined = match flow {
            Flow::DeployKeep => Vec::new(),
            Flow::DeploySeveral if makes => faults::with_death().into_iter().take(1).collect(),
            Flow::DeploySeveral => Vec::new(),
            _ if note.changes => faults::with_death(),
            _ => Vec::new(),
        };
        for k in 1..=calm.events {
            let death = Some(Death::AfterEvent(k));
            cases.extend(combined.iter().map(|trouble| Case { death, ..Case::of(n, trouble.clone()) }));
        }
    }
    cases
}

impl Case {
    fn of(n: u32, trouble: Trouble) -> Self {
        let doubles = trouble.whats.contains(&What::Duplicate);
        Case { trouble: Some((n, trouble)), allowed: Allowed { doubles, orphans: false }, ..Case::default() }
    }
}

/// One case from its beginning to the check at its end.
async fn run(start: &Start<'_>, case: &Case, watches: bool) -> Result<(Calm, End), String> {
    let Start { subject, flow, shared, owner, moment, id } = start;
    let ground = Arc::new(Ground::new(*subject, owner.clone(), Some(moment)));
    if let Some((n, trouble)) = &case.trouble {
        let fault = |what: &What| Fault {
            provider: Some(subject.provider.into()),
            operation: case.only.as_ref().map(|(operation, _)| operation.clone()),
            skip: case.only.as_ref().map_or(n - 1, |(_, before)| *before),
            times: Some(trouble.times),
            what: what.clone(),
            seen: 0,
        };
        ground.sim.inject_all(trouble.whats.iter().map(fault).collect()).unwrap();
    }
    let process = Arc::new(ground.process(case.death, watches).await);
    let (task, flow, id) = ((process.clone(), ground.clone(), shared.placements.clone()), *flow, id.clone());
    let about = id.clone();
    let first = tokio::spawn(async move { flow.run(&task.1, &task.0, &task.2, about).await });
    let mut refused = None;
    let mut outcomes: Vec<Outcome> = match first.await {
        Ok(Ok(outcomes)) => outcomes,
        Ok(Err(error)) => {
            refused = Some(error.to_string());
            Vec::new()
        }
        Err(ended) => match ended.try_into_panic() {
            Ok(payload) if is_dead(payload.as_ref()) => Vec::new(),
            Ok(payload) => std::panic::resume_unwind(payload),
            Err(_) => return Err("it was cancelled".to_owned()),
        },
    };
    let calm =
        Calm { requests: process.wire.notes(), events: process.events.load(std::sync::atomic::Ordering::SeqCst) };
    drop(process);
    // What was left open goes on, at first still disturbed, as the next command would.
    let mut process = ground.process(None, false).await;
    for round in 0..5 {
        let open = OperationFilter { open: true, ..Default::default() };
        if process.engine.operations(&open).await.unwrap().is_empty() {
            break;
        }
        if round > 0 {
            ground.sim.clear_faults().unwrap();
        }
        for outcome in process.engine.resume(None, &Silent).await.map_err(|error| error.to_string())? {
            outcomes.retain(|known| known.operation != outcome.operation || known.name != outcome.name);
            outcomes.push(outcome);
        }
    }
    ground.sim.clear_faults().unwrap();
    let check = async |process: &Process, outcomes: &[Outcome], allowed| {
        property::check(flow, &ground, &process.engine, &shared.placements, outcomes, allowed, &shared.side).await
    };
    let failed = outcomes.iter().find(|outcome| !is_done(outcome));
    let end = match (failed, refused) {
        (Some(outcome), _) => End::Failed(format!("{:?}", outcome.finish).chars().take(300).collect()),
        (None, Some(error)) => End::Refused(error),
        (None, None) => End::Done,
    };
    // A server to be adopted is not in the journal before that was done.
    let unfinished = end != End::Done || case.death.is_some();
    let allowed = Allowed { orphans: case.allowed.orphans || (flow == Flow::Adopt && unfinished), ..case.allowed };
    check(&process, &outcomes, allowed).await?;
    // What a first try left undone a second one does.
    if unfinished && !flow.is_deploy() && !(flow == Flow::Destroy && end == End::Done && ground.is_empty()) {
        process = ground.process(None, false).await;
        let again = flow.run(&ground, &process, &shared.placements, id).await;
        let again = again.map_err(|error| format!("again: {error}"))?;
        if let Some(outcome) = again.iter().find(|outcome| !is_done(outcome)) {
            return Err(format!("again: {:?}", outcome.finish));
        }
        check(&process, &again, case.allowed).await?;
    }
    Ok((calm, end))
}
