//! A server and its life.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use capsule_core::ProviderId;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::guest::Node;
use crate::shelf::Keyed;

/// What a server is doing, in words that no vendor uses; each dialect has its own for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Ordered; nothing is there yet.
    Queued,
    /// Being made.
    Building,
    /// Made, starting for the first time.
    Booting,
    /// On.
    Running,
    /// Going off.
    Stopping,
    /// Off.
    Stopped,
    /// Going on again.
    Starting,
    /// Going off and on again.
    Rebooting,
    /// Being removed.
    Deleting,
    /// No longer there.
    Gone,
    /// Could not be made.
    Failed,
}

impl State {
    /// Nothing follows it.
    pub fn is_over(self) -> bool {
        matches!(self, State::Gone | State::Failed)
    }
}

/// What a server does when: each state holds from its moment until the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timeline(Vec<(Timestamp, State)>);

impl Timeline {
    /// A life that starts in `state`.
    pub fn new(from: Timestamp, state: State) -> Self {
        Timeline(vec![(from, state)])
    }

    /// The state at `now`; before the first moment, the first state.
    pub fn at(&self, now: Timestamp) -> State {
        let passed = self.0.partition_point(|(from, _)| *from <= now);
        self.0[passed.saturating_sub(1)].1
    }

    /// Since when the state of `now` holds.
    pub fn since(&self, now: Timestamp) -> Timestamp {
        let passed = self.0.partition_point(|(from, _)| *from <= now);
        self.0[passed.saturating_sub(1)].0
    }

    /// From `at` on it will be in `state`; what was planned for then and later is off. Nothing follows an end that
    /// has been reached.
    pub fn then(&mut self, at: Timestamp, state: State) {
        if self.at(at).is_over() && self.0[0].0 <= at {
            return;
        }
        self.0.retain(|(from, _)| *from < at);
        self.0.push((at, state));
    }

    /// When it is, or will be, over.
    pub fn over_at(&self) -> Option<Timestamp> {
        self.0.last().filter(|(_, state)| state.is_over()).map(|(from, _)| *from)
    }

    /// When it first is in `state`.
    pub fn first(&self, state: State) -> Option<Timestamp> {
        self.0.iter().find(|(_, s)| *s == state).map(|(from, _)| *from)
    }

    /// Every moment, in order.
    pub fn moments(&self) -> &[(Timestamp, State)] {
        &self.0
    }
}

/// Virtual or bare metal: they differ in how long things take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineKind {
    /// A share of a machine.
    Virtual,
    /// A whole one.
    BareMetal,
}

/// How long things take, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From the order until the work starts.
    pub queued_ms: u64,
    /// Making it.
    pub building_ms: u64,
    /// The first start.
    pub booting_ms: u64,
    /// Going off.
    pub stopping_ms: u64,
    /// Going on.
    pub starting_ms: u64,
    /// Off and on.
    pub rebooting_ms: u64,
    /// Removal.
    pub deleting_ms: u64,
}

impl Pace {
    /// The same, `speed` times as fast.
    pub fn faster(self, speed: u32) -> Pace {
        let speed = u64::from(speed.max(1));
        Pace {
            queued_ms: self.queued_ms / speed,
            building_ms: self.building_ms / speed,
            booting_ms: self.booting_ms / speed,
            stopping_ms: self.stopping_ms / speed,
            starting_ms: self.starting_ms / speed,
            rebooting_ms: self.rebooting_ms / speed,
            deleting_ms: self.deleting_ms / speed,
        }
    }

    /// The life of a server ordered at `now`; one that fails does so when it should have been made.
    pub fn birth(&self, now: Timestamp, fails: bool) -> Timeline {
        let mut timeline = Timeline::new(now, State::Queued);
        let building = later(now, self.queued_ms);
        timeline.then(building, State::Building);
        let made = later(building, self.building_ms);
        if fails {
            timeline.then(made, State::Failed);
        } else {
            timeline.then(made, State::Booting);
            timeline.then(later(made, self.booting_ms), State::Running);
        }
        timeline
    }
}

/// `ms` milliseconds after `at`.
pub fn later(at: Timestamp, ms: u64) -> Timestamp {
    at.saturating_add(SignedDuration::from_millis(i64::try_from(ms).unwrap_or(i64::MAX))).unwrap_or(Timestamp::MAX)
}

/// Something done to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Switch on.
    Start,
    /// Switch off.
    Stop,
    /// Off and on.
    Reboot,
    /// Remove.
    Delete,
}

/// A server. It stays in the world when it is gone, so that the ledger can count it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Its cloud.
    pub provider: ProviderId,
    /// The [`Account`](crate::Account) that ordered it, by name.
    pub account: String,
    /// The vendor's id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Plan code.
    pub plan: String,
    /// Region code.
    pub region: String,
    /// Image, as it was named in the order.
    pub image: String,
    /// Virtual or bare metal.
    pub kind: MachineKind,
    /// Labels in the vendor's words; where those are single words, the value is empty.
    pub tags: BTreeMap<String, String>,
    /// What was sent for the first start, decoded.
    pub user_data: Option<String>,
    /// SSH keys, by the vendor's id.
    pub ssh_keys: Vec<String>,
    /// When it was ordered.
    pub born_at: Timestamp,
    /// Lists do not show it before.
    pub listed_from: Timestamp,
    /// Looking it up by id does not show it before.
    pub shown_from: Timestamp,
    /// Public address.
    pub ipv4: Ipv4Addr,
    /// Private address.
    pub private_ipv4: Ipv4Addr,
    /// IPv6 address.
    pub ipv6: Ipv6Addr,
    /// Its life.
    pub timeline: Timeline,
    /// What happened to the node that it became, or is to become.
    #[serde(default)]
    pub node: Node,
    /// What only this vendor knows of it, in a shape of its dialect's choice.
    pub extra: Value,
}

impl Machine {
    /// What it is doing at `now`. Pure: the same answer however often, and in whatever order, it is asked.
    pub fn status_at(&self, now: Timestamp) -> State {
        self.timeline.at(now)
    }

    /// Whether it exists, and costs, at `now`.
    pub fn lives_at(&self, now: Timestamp) -> bool {
        self.gone_at().is_none_or(|gone| now < gone)
    }

    /// When it is, or will be, gone.
    pub fn gone_at(&self) -> Option<Timestamp> {
        self.timeline.over_at()
    }

    /// Starts `change` at `now`. What makes no sense, such as deleting it twice, changes nothing; refusing it is the
    /// dialect's part.
    pub fn change(&mut self, change: Change, now: Timestamp, pace: &Pace) {
        let state = self.status_at(now);
        let (during, ms, end) = match change {
            _ if state.is_over() || state == State::Deleting => return,
            Change::Start => (State::Starting, pace.starting_ms, State::Running),
            Change::Stop => (State::Stopping, pace.stopping_ms, State::Stopped),
            Change::Reboot => (State::Rebooting, pace.rebooting_ms, State::Running),
            Change::Delete => (State::Deleting, pace.deleting_ms, State::Gone),
        };
        self.timeline.then(now, during);
        self.timeline.then(later(now, ms), end);
    }
}

impl Keyed for Machine {
    fn key(&self) -> &str {
        &self.id
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PACE: Pace = Pace {
        queued_ms: 1_000,
        building_ms: 2_000,
        booting_ms: 3_000,
        stopping_ms: 500,
        starting_ms: 700,
        rebooting_ms: 900,
        deleting_ms: 400,
    };

    fn at(ms: u64) -> Timestamp {
        later(Timestamp::UNIX_EPOCH, ms)
    }

    fn machine() -> Machine {
        let start = at(0);
        Machine {
            provider: ProviderId::new("test"),
            account: "a".into(),
            id: "1".into(),
            name: "n".into(),
            plan: "p".into(),
            region: "r".into(),
            image: "i".into(),
            kind: MachineKind::Virtual,
            tags: BTreeMap::new(),
            user_data: None,
            ssh_keys: Vec::new(),
            born_at: start,
            listed_from: start,
            shown_from: start,
            ipv4: Ipv4Addr::LOCALHOST,
            private_ipv4: Ipv4Addr::LOCALHOST,
            ipv6: Ipv6Addr::LOCALHOST,
            timeline: PACE.birth(start, false),
            node: Node::default(),
            extra: Value::Null,
        }
    }

    #[test]
    fn a_life_in_order() {
        let mut machine = machine();
        machine.change(Change::Stop, at(10_000), &PACE);
        machine.change(Change::Start, at(20_000), &PACE);
        machine.change(Change::Reboot, at(30_000), &PACE);
        machine.change(Change::Delete, at(40_000), &PACE);
        let expected = [
            (0, State::Queued),
            (999, State::Queued),
            (1_000, State::Building),
            (3_000, State::Booting),
            (6_000, State::Running),
            (10_000, State::Stopping),
            (10_500, State::Stopped),
            (20_000, State::Starting),
            (20_700, State::Running),
            (30_000, State::Rebooting),
            (30_900, State::Running),
            (40_000, State::Deleting),
            (40_400, State::Gone),
        ];
        for (ms, state) in expected {
            assert_eq!(machine.status_at(at(ms)), state, "at {ms} ms");
        }
    }

    #[test]
    fn what_was_planned_for_later_is_off() {
        let mut machine = machine();
        machine.change(Change::Delete, at(500), &PACE);
        assert_eq!(machine.status_at(at(1_500)), State::Gone, "it must not be built any more");
        machine.change(Change::Start, at(2_000), &PACE);
        machine.change(Change::Delete, at(3_000), &PACE);
        assert_eq!(machine.gone_at(), Some(at(900)), "the end is the end");
    }

    #[test]
    fn a_late_failure_ends_it_when_it_should_have_been_made() {
        let timeline = PACE.birth(at(0), true);
        assert_eq!(timeline.at(at(2_999)), State::Building);
        assert_eq!(timeline.at(at(3_000)), State::Failed);
        assert_eq!(timeline.over_at(), Some(at(3_000)));
    }

    #[test]
    fn a_fast_world_takes_less_time() {
        assert_eq!(PACE.faster(10).birth(at(0), false).first(State::Running), Some(at(600)));
        assert_eq!(PACE.faster(0), PACE);
    }

    fn changes() -> impl Strategy<Value = Vec<(u64, Change)>> {
        let change = prop_oneof![Just(Change::Start), Just(Change::Stop), Just(Change::Reboot), Just(Change::Delete)];
        proptest::collection::vec((0..5_000u64, change), 0..12)
    }

    proptest! {
        /// Asking changes nothing, and later moments of the timeline are never shown before earlier ones.
        #[test]
        fn status_is_pure_and_monotone(changes in changes(), mut asked in proptest::collection::vec(0..80_000u64, 2..20)) {
            let mut machine = machine();
            let mut now = 0;
            for (wait, change) in changes {
                now += wait;
                let before: Vec<_> = (0..now).step_by(97).map(|ms| machine.status_at(at(ms))).collect();
                machine.change(change, at(now), &PACE);
                let after: Vec<_> = (0..now).step_by(97).map(|ms| machine.status_at(at(ms))).collect();
                prop_assert_eq!(before, after, "a change must leave the past alone");
            }
            prop_assert!(machine.timeline.moments().windows(2).all(|pair| pair[0].0 <= pair[1].0));
            let once: Vec<_> = asked.iter().map(|ms| machine.status_at(at(*ms))).collect();
            let again: Vec<_> = asked.iter().map(|ms| machine.status_at(at(*ms))).collect();
            prop_assert_eq!(once, again);
            asked.sort_unstable();
            let since: Vec<_> = asked.iter().map(|ms| machine.timeline.since(at(*ms))).collect();
            prop_assert!(since.is_sorted());
            let over = asked.iter().position(|ms| machine.status_at(at(*ms)).is_over());
            if let Some(first) = over {
                prop_assert!(asked[first..].iter().all(|ms| machine.status_at(at(*ms)).is_over()));
            }
        }
    }
}
