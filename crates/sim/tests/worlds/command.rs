//! What a process does as it was told, and what it is told on the way.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use capsule_core::{Clock, Error, ErrorKind, Result};
use capsule_engine::readiness::ADDRESS;
use capsule_engine::{
    Adopt, DeployRequest, Engine, Look, OnFailure, Outcome, Prospect, Readiness, Record, Silent, Survey, Wait, Watched,
};
use capsule_sim::Sim;
use jiff::SignedDuration;

use crate::check::{self, Finding};
use crate::plan::{Becomes, Order, Orphans, Prospects};
use crate::stage::Stage;

/// What a process has to do with the rest of its world.
pub(crate) struct Seen {
    pub(crate) number: usize,
    /// Which of the world's journals it works on.
    pub(crate) journal: usize,
    pub(crate) clouds: Vec<&'static str>,
    /// Whether it reads an inventory back from the first provider alone, and says that it did so from all.
    pub(crate) forgets: bool,
    pub(crate) sim: Sim,
    pub(crate) stage: Arc<Stage>,
    pub(crate) told: Arc<Mutex<Vec<String>>>,
    pub(crate) findings: Arc<Mutex<Vec<Finding>>>,
}

/// Does as the program's commands do.
pub(crate) async fn obey(
    engine: &Engine,
    order: Order,
    deploy: Option<DeployRequest>,
    seen: &Seen,
) -> Result<Vec<Outcome>> {
    let server = |records: Vec<Record>, n: u64| {
        let count = records.len() as u64;
        (count > 0).then(|| records[usize::try_from(n % count).unwrap()].id.clone())
    };
    match order {
        Order::Deploy { .. } => engine.deploy(deploy.expect("it was put together"), &Silent).await,
        Order::Delete(n) => match server(engine.inventory().await?, n) {
            Some(id) => engine.destroy(&id, &Silent).await.map(|outcome| vec![outcome]),
            None => Ok(vec![]),
        },
        Order::Power(n, to) => match server(engine.inventory().await?, n) {
            Some(id) => engine.power(&id, to, Wait::Running, &Silent).await.map(|outcome| vec![outcome]),
            None => Ok(vec![]),
        },
        Order::Resume => engine.resume(None, &Silent).await,
        Order::Orphans(then) => orphans(engine, then, seen).await,
        Order::Rebuild => rebuild(engine, seen).await,
    }
}

async fn orphans(engine: &Engine, then: Orphans, seen: &Seen) -> Result<Vec<Outcome>> {
    let mut surveys: Vec<Survey> = Vec::new();
    for cloud in &seen.clouds {
        // A provider that does not answer whole is left out, and nothing is concluded about it.
        let Ok(survey) = engine.survey(&(*cloud).into()).await else { continue };
        let finding = Finding::of(&survey, seen.number, seen.journal, seen.stage.now());
        seen.told.lock().unwrap().extend(check::finding(&finding, &seen.sim.ledger().unwrap()));
        seen.findings.lock().unwrap().push(finding);
        surveys.push(survey);
    }
    let mut outcomes = Vec::new();
    for survey in &surveys {
        engine.record_gone(&survey.gone).await?;
    }
    for survey in surveys {
        for orphan in survey.orphans {
            match then {
                Orphans::Look => {}
                // Somebody else may have been faster: that is no reason to leave the others.
                Orphans::Adopt => drop(engine.adopt(orphan, Adopt::default()).await),
                Orphans::Delete => outcomes.extend(engine.destroy(&orphan.id, &Silent).await),
            }
        }
        for leftover in survey.leftovers.into_iter().flatten().filter(|_| then == Orphans::Delete) {
            drop(engine.remove_leftover(&leftover).await);
        }
    }
    Ok(outcomes)
}

async fn rebuild(engine: &Engine, seen: &Seen) -> Result<Vec<Outcome>> {
    for (n, cloud) in seen.clouds.iter().enumerate() {
        let began = seen.stage.now();
        let mut left_out = Vec::new();
        if n == 0 || !seen.forgets {
            let rebuilt = engine.rebuild(&(*cloud).into(), &|_| {}).await?;
            left_out.extend(rebuilt.pending.into_iter().map(|pending| pending.id));
        }
        let inventory = engine.inventory().await?;
        let told = check::rebuilt(cloud, began, &left_out, &inventory, &seen.sim.ledger().unwrap());
        seen.told.lock().unwrap().extend(told);
    }
    Ok(vec![])
}

/// Judges servers that are to become something: when they have had their time, they are what the plan says.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) stage: Arc<Stage>,
}

/// What they pass half-way.
const HALF_WAY: &str = "installing";

#[async_trait]
impl Readiness for Watch {
    async fn look(&self, watched: &Watched) -> Look {
        self.stage.turn().await;
        let becomes: Becomes = serde_json::from_value(watched.goal.clone()).unwrap();
        let since = watched.passed_at(ADDRESS).expect("it is watched from then on");
        let had = |seconds: u64| {
            self.stage.now().duration_since(since) >= SignedDuration::from_secs(i64::try_from(seconds).unwrap())
        };
        let reached = if had(becomes.after / 2) { vec![HALF_WAY.to_owned()] } else { vec![] };
        let failed = |fate| Prospect::Failed { error: Error::new(ErrorKind::Unavailable, "It did not come up."), fate };
        let prospect = match becomes.end {
            _ if !had(becomes.after) => Prospect::Wait("installing".to_owned()),
            Prospects::Ready => Prospect::Ready,
            Prospects::FailsAndGoes => failed(OnFailure::Delete),
            Prospects::FailsAndStays => failed(OnFailure::Keep),
        };
        Look { reached, prospect }
    }
}
