//! What is going to happen in a world: drawn from its seed, and small enough to be read.

use std::time::Duration;

use capsule_core::Power;
use capsule_sim::{Fault, What};

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
}

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
    },
    /// Of the servers in the inventory then, this one.
    Delete(u64),
    Power(u64, Power),
    Resume,
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

impl Plan {
    /// Each deploy asks for up to `crowd` names more than one; what goes wrong grows with that.
    pub(crate) fn draw(seed: u64, clouds: &[Cloud], crowd: u64) -> Plan {
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
        Plan { seed, clouds: chosen.iter().map(|cloud| cloud.id).collect(), commands, crashes, faults }
    }

    /// How many servers are asked for.
    pub(crate) fn intents(&self) -> usize {
        let names = |command: &Command| match &command.order {
            Order::Deploy { names, .. } => names.len(),
            _ => 1,
        };
        self.commands.iter().map(names).sum()
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
