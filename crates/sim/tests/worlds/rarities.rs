//! What happens in some worlds only, so that it does not drown the rest: servers that nobody knows, a lost journal, whole
//! machines, servers that are to become something, and calls that are carried out after they were answered.

use std::collections::BTreeMap;
use std::time::Duration;

use capsule_core::Power;
use capsule_sim::{Fault, What};

use crate::plan::{AFTER_LOSS, Becomes, Cloud, Command, Crash, Loss, Order, Orphans, Plan, Prospects};
use crate::stage::Dice;

/// A vendor carries a call out within so many seconds of its arrival, or not at all.
const CARRIED_OUT_WITHIN: u64 = 120;

impl Plan {
    /// Draws what happens rarely into a plan. It has dice of its own: what was drawn before stays as it was.
    pub(crate) fn rarely(&mut self, clouds: &[Cloud]) {
        let mut dice = Dice::new(self.seed ^ 0x0072_6172_656c_7900);
        let mut keyed: BTreeMap<String, Order> = BTreeMap::new();
        for command in &mut self.commands {
            let Order::Deploy { key, metal, becomes, .. } = &mut command.order else { continue };
            // The same request comes a second time as the same.
            if let Some(first) = key.as_ref().and_then(|key| keyed.get(key)) {
                command.order = first.clone();
                continue;
            }
            *metal = dice.percent(8);
            *becomes = dice.percent(12).then(|| drawn(&mut dice));
            if let Some(key) = key.clone() {
                keyed.insert(key, command.order.clone());
            }
        }
        self.stray = dice.percent(10);
        if dice.percent(if self.stray { 80 } else { 20 }) {
            self.commands.push(Command { at: dice.below(400), order: Order::Orphans(orphans(&mut dice)) });
        }
        if dice.percent(3) {
            self.commands.push(Command { at: dice.below(300), order: Order::Rebuild });
        }
        if dice.percent(15) {
            let id = *dice.pick(&self.clouds);
            let cloud = clouds.iter().find(|cloud| cloud.id == id).expect("it was chosen from these");
            self.faults.extend(late(&mut dice, cloud));
        }
        if dice.percent(10) {
            self.loss = Some(loss(&mut dice, &mut self.crashes));
        }
    }

    /// Plans with one rarity less each.
    pub(crate) fn without_rarities(&self) -> Vec<Plan> {
        let mut plans = Vec::new();
        let mut without = |change: &dyn Fn(&mut Plan)| {
            let mut plan = self.clone();
            change(&mut plan);
            plans.push(plan);
        };
        if self.stray {
            without(&|plan| plan.stray = false);
        }
        for n in 0..self.commands.len() {
            if let Order::Deploy { becomes: Some(_), .. } = &self.commands[n].order {
                without(&|plan| {
                    if let Order::Deploy { becomes, .. } = &mut plan.commands[n].order {
                        *becomes = None;
                    }
                });
            }
        }
        if let Some(loss) = &self.loss {
            without(&|plan| plan.loss = None);
            if !loss.commands.is_empty() {
                without(&|plan| drop(plan.loss.as_mut().and_then(|loss| loss.commands.pop())));
            }
        }
        plans
    }
}

fn drawn(dice: &mut Dice) -> Becomes {
    let end = *dice.pick(&[Prospects::Ready, Prospects::Ready, Prospects::FailsAndGoes, Prospects::FailsAndStays]);
    Becomes { after: dice.below(900), end }
}

fn orphans(dice: &mut Dice) -> Orphans {
    *dice.pick(&[Orphans::Look, Orphans::Adopt, Orphans::Delete, Orphans::Delete])
}

/// A create call that is carried out after it was answered, and what the answer is.
fn late(dice: &mut Dice, cloud: &Cloud) -> Vec<Fault> {
    let (skip, times) = (u32::try_from(dice.below(3)).unwrap(), 1 + u32::try_from(dice.below(2)).unwrap());
    let fault = |what| Fault {
        provider: Some(cloud.id.into()),
        operation: Some(cloud.create.to_owned()),
        skip,
        times: Some(times),
        what,
        seen: 0,
    };
    let answer = match dice.below(5) {
        0 => Some(What::LoseReplyAfterEffect),
        1 => Some(What::Hang { after_effect: true }),
        2 => Some(What::Status { code: *dice.pick(&[500, 502, 504]), after_effect: true }),
        // 503.
        _ => None,
    };
    let late = What::Late(Duration::from_secs(1 + dice.below(CARRIED_OUT_WITHIN)));
    // Now and then it arrives late as well.
    let first = dice.percent(25).then(|| fault(What::RateLimit(Some(Duration::from_secs(20 + dice.below(60))))));
    let skip = skip + u32::from(first.is_some());
    let once = first.into_iter().map(|fault| Fault { times: Some(1), ..fault });
    once.chain(answer.into_iter().chain([late]).map(|what| Fault { skip, ..fault(what) })).collect()
}

fn loss(dice: &mut Dice, crashes: &mut Vec<Crash>) -> Loss {
    let mut commands = Vec::new();
    if dice.percent(85) {
        commands.push(Command { at: dice.below(150), order: Order::Rebuild });
    }
    for n in 0..dice.below(4) {
        let order = match dice.below(6) {
            0 | 1 => Order::Orphans(orphans(dice)),
            2 => Order::Delete(dice.bits()),
            3 => Order::Power(dice.bits(), *dice.pick(&[Power::Off, Power::Reboot])),
            4 => Order::Resume,
            _ => Order::Deploy {
                // Now and then a name that the lost journal may have given away.
                names: vec![if dice.percent(50) { "w0-0".to_owned() } else { format!("after-{n}") }],
                cloud: 0,
                keep: dice.percent(20),
                hasty: dice.percent(15),
                timeout: None,
                key: None,
                metal: false,
                becomes: None,
            },
        };
        commands.push(Command { at: dice.below(400), order });
    }
    if dice.percent(40) && !commands.is_empty() {
        let process = AFTER_LOSS + usize::try_from(dice.below(commands.len() as u64)).unwrap();
        crashes.push(Crash::AtWait { process, nth: 1 + dice.below(20) });
    }
    Loss { after: 1 + dice.below(120), commands, again: dice.percent(50) }
}
