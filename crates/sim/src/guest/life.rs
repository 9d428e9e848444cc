//! What a server is at a moment.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;

use super::installer::{Hardware, Install, install};
use super::{Loader, Name, Setting, Told, Trouble};
use crate::machine::{Machine, MachineKind, State, later};

/// What answers at a server's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Nothing: it is not made yet, off, or on its way.
    Dark,
    /// The system that it was ordered with.
    Ubuntu,
    /// The installer, in memory; nothing listens.
    Installing,
    /// What a failed installation leaves; nothing will ever listen.
    Dead,
    /// XnodeOS, whose manager is not there yet.
    Starting,
    /// XnodeOS.
    Ready,
}

/// How long things take, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// From the first boot until the installer replaces the system.
    before_kexec: u64,
    /// Until the new system is up.
    installing: u64,
    /// Until its manager answers.
    starting: u64,
    /// Until a certificate comes for a name.
    pub(super) certifying: u64,
    /// Until a change through the manager holds.
    pub(super) changing: u64,
}

impl Pace {
    fn of(kind: MachineKind, speed: u32) -> Self {
        let speed = u64::from(speed.max(1));
        let (before_kexec, installing, starting) = match kind {
            MachineKind::Virtual => (60_000, 510_000, 15_000),
            MachineKind::BareMetal => (120_000, 1_620_000, 30_000),
        };
        Pace {
            before_kexec: before_kexec / speed,
            installing: installing / speed,
            starting: starting / speed,
            certifying: 30_000 / speed,
            changing: 120_000 / speed,
        }
    }
}

/// A server as it is from inside: everything that its answers follow from.
#[derive(Debug, Clone)]
pub struct Guest {
    machine: Machine,
    troubles: Vec<Trouble>,
    install: Install,
    names: BTreeMap<String, Name>,
    pace: Pace,
    pub(super) hardware: Hardware,
    pub(super) disk_gib: u64,
    pub(super) vcpus: u32,
    pub(super) seed: u64,
}

/// What a node is set to.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) told: Told,
    pub(super) flake: Option<String>,
    /// Since when the domain is what it is.
    pub(super) domain_since: Timestamp,
}

/// What a guest is made of, beside its machine.
pub(crate) struct Surroundings {
    pub(crate) speed: u32,
    pub(crate) seed: u64,
    pub(crate) names: BTreeMap<String, Name>,
    pub(crate) memory_mib: u64,
    pub(crate) disk_gib: u64,
    pub(crate) vcpus: u32,
    pub(crate) is_x86_64: bool,
    /// What is wrong for the moment.
    pub(crate) troubles: Vec<Trouble>,
}

impl Guest {
    pub(crate) fn new(machine: Machine, around: Surroundings) -> Self {
        let mut troubles = machine.node.troubles.clone();
        troubles.extend(around.troubles);
        let hardware = Hardware { memory_mib: around.memory_mib, is_x86_64: around.is_x86_64 };
        Guest {
            install: install(machine.user_data.as_deref(), hardware, &troubles),
            pace: Pace::of(machine.kind, around.speed),
            machine,
            troubles,
            names: around.names,
            hardware,
            disk_gib: around.disk_gib,
            vcpus: around.vcpus,
            seed: around.seed,
        }
    }

    /// The server.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What comes of it, by what its user-data says.
    pub fn install(&self) -> &Install {
        &self.install
    }

    /// Whether that is wrong with it.
    pub fn has(&self, trouble: Trouble) -> bool {
        self.troubles.contains(&trouble)
    }

    pub(super) fn pace(&self) -> Pace {
        self.pace
    }

    /// When the ordered system first boots: the first time that the server runs since it was last made.
    fn boots_at(&self) -> Option<Timestamp> {
        let moments = self.machine.timeline.moments();
        let made = |state: State| matches!(state, State::Queued | State::Building | State::Booting);
        let from = moments.iter().rposition(|(_, state)| made(*state)).unwrap_or(0);
        moments[from..].iter().find(|(_, state)| *state == State::Running).map(|(at, _)| *at)
    }

    fn kexec_at(&self) -> Option<Timestamp> {
        self.boots_at().map(|at| later(at, self.pace.before_kexec))
    }

    /// When the node is up, if there will be one and nothing comes between.
    pub(super) fn up_at(&self) -> Option<Timestamp> {
        let slow: u64 =
            self.troubles.iter().map(|trouble| if let Trouble::SlowInstall(ms) = trouble { *ms } else { 0 }).sum();
        self.kexec_at().map(|at| later(at, self.pace.installing.saturating_add(slow)))
    }

    /// What answers at `now`. Pure: the same answer however often it is asked.
    pub fn stage_at(&self, now: Timestamp) -> Stage {
        let (Some(boot), Some(kexec), Some(up)) = (self.boots_at(), self.kexec_at(), self.up_at()) else {
            return Stage::Dark;
        };
        if self.machine.status_at(now) != State::Running || now < boot {
            return Stage::Dark;
        }
        if matches!(self.machine.node.loader, Loader::OwnDiskSince(since) if since < boot) {
            return Stage::Dead;
        }
        // The first time that it was switched off: before the installer took over, cloud-init does not run a second
        // time; while it was at work, there is nothing left to boot.
        let off = self.machine.timeline.moments().iter().find(|(at, state)| *at > boot && *state != State::Running);
        let off = off.map(|(at, _)| *at).filter(|at| *at <= now);
        if matches!(self.install, Install::Never(_)) || off.is_some_and(|off| off < kexec) || now < kexec {
            return Stage::Ubuntu;
        }
        if matches!(self.install, Install::Dies(_)) || off.is_some_and(|off| off < up) {
            return Stage::Dead;
        }
        let started = self.machine.timeline.since(now).max(up);
        let finds_it = match self.machine.node.loader {
            Loader::OwnDisk => true,
            Loader::Host => false,
            Loader::OwnDiskSince(since) => since <= started,
        };
        if now < up {
            Stage::Installing
        } else if !finds_it {
            Stage::Dead
        } else if now < later(up.max(self.machine.timeline.since(now)), self.pace.starting) {
            Stage::Starting
        } else {
            Stage::Ready
        }
    }

    /// What the node is set to at `now`, if it is, or will be, one.
    pub(super) fn settings_at(&self, now: Timestamp) -> Option<Settings> {
        let Install::Node(told) = &self.install else { return None };
        let mut settings = Settings { told: told.clone(), flake: None, domain_since: self.up_at()? };
        let set = |field: &mut Option<String>, value: &Option<String>| {
            if let Some(value) = value {
                *field = Some(value.clone()).filter(|value| !value.is_empty());
            }
        };
        for change in self.machine.node.changes.iter().filter(|change| change.done_at <= now) {
            set(&mut settings.flake, &change.flake);
            set(&mut settings.told.owner, &change.xnode_owner);
            set(&mut settings.told.domain, &change.domain);
            set(&mut settings.told.acme_email, &change.acme_email);
            set(&mut settings.told.user_passwd, &change.user_passwd);
            if change.domain.is_some() {
                settings.domain_since = change.done_at;
            }
        }
        Some(settings)
    }

    /// When a certificate came for the name that the node has at `now`: once the name leads to it.
    pub(super) fn certified_at(&self, settings: &Settings) -> Option<Timestamp> {
        let domain = settings.told.domain.as_deref()?.to_ascii_lowercase();
        let name = self.names.get(&domain)?;
        // One address, and that its own: what else the name leads to would be asked as well.
        let own = [IpAddr::V4(self.machine.ipv4), IpAddr::V6(self.machine.ipv6)];
        let leads_here = !name.addresses.is_empty() && name.addresses.iter().all(|address| own.contains(address));
        let since = self.up_at()?.max(name.since).max(settings.domain_since);
        leads_here.then(|| later(since, self.pace.certifying))
    }

    /// The requests that its manager was asked to work on, in order.
    pub(super) fn changes(&self) -> &[Setting] {
        &self.machine.node.changes
    }
}
