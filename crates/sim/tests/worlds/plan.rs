//! What is going to happen in a world: drawn from its seed, and small enough to be read.

use std::time::Duration;

use capsule_core::Power;
use capsule_sim::{Fault, What};
use serde::{Deserialize, Serialize};

use crate::stage::Dice;

/// All of it. The order of events beside it is drawn from the seed as well, but apart, so that a plan can be made smaller.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Where servers are made.
    pub(crate) clouds: Vec<&'static str>,
    /// Each is a process of its own.
    pub(crate) commands: Vec<Command>,
    pub(crate) crashes: Vec<Crash>,
    pub(crate) faults: Vec<Fault>,
    /// Whether there is a server with our owner tag that no journal knows, at the first cloud.
    pub(crate) stray: bool,
    pub(crate) loss: Option<Loss>,
}

/// Every process is killed, the journal is gone, and an empty one lies in its place.
#[derive(Debug, Clone)]
pub(crate) struct Loss {
    /// When the processes have waited so often, all together, or are over.
    pub(crate) after: u64,
    /// What is commanded from then on; seconds count from there. Their processes are numbered from [`AFTER_LOSS`].
    pub(crate) commands: Vec<Command>,
    /// Whether, in the end, the inventory is read back once more while nothing goes wrong.
    pub(crate) again: bool,
}

/// The number of the first process after the journal was lost.
pub(crate) const AFTER_LOSS: usize = 40;

#[derive(Debug, Clone)]
pub(crate) struct Command {
    /// Seconds after the beginning.
    pub(crate) at: u64,
    pub(crate) order: Order,
}

#[derive(Debug, Clone)]
pub(crate) enum Order {
    Deploy {
        names: Vec<String>,
        cloud: usize,
        keep: bool,
        hasty: bool,
        timeout: Option<u64>,
        key: Option<String>,
        /// A whole machine, where the cloud has both.
        metal: bool,
        /// What is waited for beyond running.
        becomes: Option<Becomes>,
    },
    /// Of the servers in the inventory then, this one.
    Delete(u64),
    Power(u64, Power),
    Resume,
    /// `orphans`, and what is done about them.
    Orphans(Orphans),
    Rebuild,
}

/// What is done about orphans, and in the same breath about leftovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Orphans {
    Look,
    Adopt,
    Delete,
}

/// What shows at a server that was ordered to become something, once it has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Becomes {
    /// After so many seconds.
    pub(crate) after: u64,
    pub(crate) end: Prospects,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Prospects {
    Ready,
    FailsAndGoes,
    FailsAndStays,
}

/// The end of a process without warning.
#[derive(Debug, Clone)]
pub(crate) enum Crash {
    /// Right after it has committed its n-th event.
    AfterEvent { process: usize, nth: u64 },
    /// Where it waits for the n-th time: before a request is sent, before its answer is read, in a pause.
    AtWait { process: usize, nth: u64 },
}

/// What a cloud's create is called by the simulator, and how long its lists may lag, in seconds.
pub(crate) struct Cloud {
    pub(crate) id: &'static str,
    pub(crate) create: &'static str,
    pub(crate) list_lag: u64,
}

impl Order {
    /// One server at the first cloud, as simply as can be.
    pub(crate) fn deploy(name: &str) -> Order {
        Order::Deploy {
            names: vec![name.to_owned()],
            cloud: 0,
            keep: false,
            hasty: false,
            timeout: None,
            key: None,
            metal: false,
            becomes: None,
        }
    }
}

impl Plan {
    /// A world in which this is commanded, after so many seconds each, at one cloud where this goes wrong.
    pub(crate) fn of(cloud: &'static str, commands: Vec<(u64, Order)>, faults: Vec<Fault>) -> Plan {
        let commands = commands.into_iter().map(|(at, order)| Command { at, order }).collect();
        Plan { seed: 1, clouds: vec![cloud], commands, crashes: vec![], faults, stray: false, loss: None }
    }

    /// All that can happen: what [`plain`](Plan::plain) draws, and what [`rarely`](Plan::rarely) comes to it.
    pub(crate) fn draw(seed: u64, clouds: &[Cloud], crowd: u64) -> Plan {
        let mut plan = Plan::plain(seed, clouds, crowd);
        plan.rarely(clouds);
        plan
    }

    /// Deploys, deletions, changes of power, resumes, crashes and faults. Each deploy asks for up to `crowd` names more
    /// than one; what goes wrong grows with that.
    pub(crate) fn plain(seed: u64, clouds: &[Cloud], crowd: u64) -> Plan {
        let more = crowd.max(1) - 1;
        let mut dice = Dice::new(seed ^ 0x7a6f_726c_6473);
        let chosen: Vec<&Cloud> = (0..1 + dice.below(2)).map(|_| dice.pick(clouds)).collect();
        let mut commands = Vec::new();
        for n in 0..1 + dice.below(3) {
            let names = (0..1 + dice.below(2 + more)).map(|m| format!("w{n}-{m}")).collect();
            let order = Order::Deploy {
                // Now and then a name that another deploy wants too.
                names: if dice.percent(15) { vec!["w0-0".to_owned()] } else { names },
                cloud: usize::try_from(dice.below(chosen.len() as u64)).unwrap(),
                keep: dice.percent(20),
                hasty: dice.percent(15),
                timeout: dice.percent(15).then(|| 5 + dice.below(120)),
                key: dice.percent(20).then(|| format!("key-{n}")),
                metal: false,
                becomes: None,
            };
            let at = dice.below(60);
            if let Order::Deploy { key: Some(_), .. } = &order {
                commands.push(Command { at: at + dice.below(30), order: order.clone() });
            }
            commands.push(Command { at, order });
        }
        for _ in 0..dice.below(4) {
            let order = match dice.below(4) {
                0 => Order::Delete(dice.bits()),
                1 => Order::Power(dice.bits(), *dice.pick(&[Power::Off, Power::On, Power::Reboot, Power::ForceOff])),
                _ => Order::Resume,
            };
            commands.push(Command { at: dice.below(400), order });
        }
        let processes = commands.len() as u64;
        let crashes = (0..dice.below(4 + more / 4)).map(|_| {
            let process = usize::try_from(dice.below(processes)).unwrap();
            match dice.percent(50) {
                true => Crash::AfterEvent { process, nth: 1 + dice.below(6 + 2 * more) },
                false => Crash::AtWait { process, nth: 1 + dice.below(30 + 8 * more) },
            }
        });
        let crashes = crashes.collect();
        let faults = (0..dice.below(5 + more / 2)).map(|_| fault(&mut dice, &chosen, more)).collect();
        let clouds = chosen.iter().map(|cloud| cloud.id).collect();
        Plan { seed, clouds, commands, crashes, faults, stray: false, loss: None }
    }

    /// How many servers are asked for.
    pub(crate) fn intents(&self) -> usize {
        let names = |command: &Command| match &command.order {
            Order::Deploy { names, .. } => names.len(),
            _ => 1,
        };
        self.commands.iter().chain(self.loss.iter().flat_map(|loss| &loss.commands)).map(names).sum()
    }

    /// Plans with one thing less each.
    pub(crate) fn smaller(&self) -> Vec<Plan> {
        let mut plans = Vec::new();
        for n in 0..self.faults.len() {
            let mut plan = self.clone();
            plan.faults.remove(n);
            plans.push(plan);
        }
        for n in 0..self.crashes.len() {
            let mut plan = self.clone();
            plan.crashes.remove(n);
            plans.push(plan);
        }
        // What the crashes number stays as it is: only the last process can be left out.
        if self.commands.len() > 1 {
            let mut plan = self.clone();
            plan.commands.pop();
            plans.push(plan);
        }
        plans.extend(self.without_rarities());
        plans
    }
}

fn fault(dice: &mut Dice, clouds: &[&Cloud], more: u64) -> Fault {
    let cloud = *dice.pick(clouds);
    let status = *dice.pick(&[500, 502, 503, 504]);
    let seconds = Duration::from_secs;
    let of_create = dice.percent(60);
    let what = match dice.below(if of_create { 15 } else { 11 }) {
        0 => What::RefuseConnect,
        1 => What::LoseRequest,
        2 => What::LoseReplyAfterEffect,
        3 => What::ResetMidBody,
        4 => What::Truncate,
        5 => What::Garbage,
        6 => What::Status { code: status, after_effect: false },
        7 => What::Status { code: status, after_effect: true },
        8 => What::RateLimit(Some(seconds(1 + dice.below(60)))),
        9 => What::Slow(seconds(1 + dice.below(25))),
        10 => What::Hang { after_effect: dice.percent(50) },
        11 => What::ListLag(seconds(dice.below(cloud.list_lag + 1))),
        12 => What::ReadLag(seconds(dice.below(cloud.list_lag + 1))),
        13 => What::NoCapacity,
        _ => What::LateFailure,
    };
    Fault {
        provider: Some(cloud.id.into()),
        operation: of_create.then(|| cloud.create.to_owned()),
        skip: u32::try_from(dice.below(if of_create { 3 + more } else { 30 + 4 * more })).unwrap(),
        times: Some(1 + u32::try_from(dice.below(4)).unwrap()),
        what,
        seen: 0,
    }
}
