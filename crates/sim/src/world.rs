//! The one world behind all dialects.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use capsule_core::ProviderId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::guest::{Name, Node, Trouble};
use crate::late::Late;
use crate::machine::{Change, Machine, MachineKind, Pace, later};
use crate::shelf::{Keyed, Shelf};

/// Everything there is: accounts, machines, side resources and faults. Catalogs are data of the dialects.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct World {
    /// How many times as fast as in nature machines live.
    pub speed: u32,
    /// What ids are derived from.
    pub seed: u64,
    /// The last number given out.
    pub counter: u64,
    /// Who may ask.
    pub accounts: Vec<Account>,
    /// What will go wrong.
    pub faults: Vec<Fault>,
    /// What was answered already and is still to be done.
    #[serde(default)]
    pub late: Vec<Late>,
    /// Where names lead to, by name.
    #[serde(default)]
    pub names: BTreeMap<String, Name>,
    /// What there is at each provider.
    pub clouds: BTreeMap<String, Cloud>,
}

/// What there is at one provider.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Cloud {
    /// Servers, also those that are gone, oldest first.
    pub machines: Shelf<Machine>,
    /// Everything else by kind: SSH keys, volumes, security groups, actions, ...
    pub resources: BTreeMap<String, Shelf<Resource>>,
}

/// A customer of one provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Where.
    pub provider: ProviderId,
    /// Name, unique there.
    pub name: String,
    /// Key, or access key id. Nothing here is worth keeping secret.
    pub key: String,
    /// The second half of the key, where there is one.
    pub secret: Option<String>,
    /// How many servers it may have.
    pub machine_limit: u32,
}

impl Account {
    /// An account that may have 20,000 servers.
    pub fn new(provider: ProviderId, name: &str, key: &str, secret: Option<&str>) -> Self {
        Account {
            provider,
            name: name.to_owned(),
            key: key.to_owned(),
            secret: secret.map(str::to_owned),
            machine_limit: 20_000,
        }
    }
}

/// Anything at a provider that is no server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// The [`Account`] it belongs to, by name.
    pub account: String,
    /// The vendor's id, unique in its kind.
    pub id: String,
    /// Name.
    pub name: String,
    /// Region code, where it has one.
    pub region: Option<String>,
    /// Whether it costs for itself, so that leaving it behind leaves a bill behind.
    pub billed: bool,
    /// Labels, as on [`Machine::tags`].
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    pub born_at: Timestamp,
    /// When it was, or will be, removed.
    pub gone_at: Option<Timestamp>,
    /// The rest, in a shape of its dialect's choice.
    pub data: Value,
}

impl Resource {
    /// A resource that costs nothing.
    pub fn new(account: &str, id: impl Into<String>, name: impl Into<String>, born_at: Timestamp, data: Value) -> Self {
        Resource {
            account: account.to_owned(),
            id: id.into(),
            name: name.into(),
            region: None,
            billed: false,
            tags: BTreeMap::new(),
            born_at,
            gone_at: None,
            data,
        }
    }

    /// Whether it exists at `now`.
    pub fn lives_at(&self, now: Timestamp) -> bool {
        self.gone_at.is_none_or(|gone| now < gone)
    }
}

impl Keyed for Resource {
    fn key(&self) -> &str {
        &self.id
    }
}

/// A server to be made.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The vendor's id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Plan code.
    pub plan: String,
    /// Region code.
    pub region: String,
    /// Image, as it was named.
    pub image: String,
    /// Virtual or bare metal.
    pub kind: MachineKind,
    /// Labels, as on [`Machine::tags`].
    pub tags: BTreeMap<String, String>,
    /// For the first start, decoded.
    pub user_data: Option<String>,
    /// SSH keys, by the vendor's id.
    pub ssh_keys: Vec<String>,
    /// As on [`Machine::extra`].
    pub extra: Value,
}

impl World {
    /// An empty world with every dialect's accounts.
    pub fn new(dialects: &[Arc<dyn Dialect>], speed: u32, seed: u64) -> Self {
        let mut world = World { speed: speed.max(1), seed, ..World::default() };
        world.welcome(dialects);
        world
    }

    /// Whether there are accounts at every one of them: a file can be older than a dialect.
    pub fn knows(&self, dialects: &[Arc<dyn Dialect>]) -> bool {
        dialects.iter().all(|dialect| self.has_accounts_at(&dialect.provider()))
    }

    /// Opens the accounts of those that are new here.
    pub fn welcome(&mut self, dialects: &[Arc<dyn Dialect>]) {
        for dialect in dialects {
            if !self.has_accounts_at(&dialect.provider()) {
                self.accounts.extend(dialect.accounts());
            }
        }
    }

    /// A server, also one that is gone.
    pub fn machine(&self, provider: &str, id: &str) -> Option<&Machine> {
        self.clouds.get(provider)?.machines.get(id)
    }

    /// The server that has a public address at `now`.
    pub fn machine_at(&self, address: IpAddr, now: Timestamp) -> Option<&Machine> {
        let all = self.clouds.values().flat_map(|cloud| cloud.machines.iter());
        let has = |machine: &Machine| match address {
            IpAddr::V4(address) => machine.ipv4 == address,
            IpAddr::V6(address) => machine.ipv6 == address,
        };
        all.filter(|machine| has(machine)).find(|machine| machine.lives_at(now))
    }

    fn has_accounts_at(&self, provider: &ProviderId) -> bool {
        self.accounts.iter().any(|account| account.provider == *provider)
    }

    /// The next number, counting from 1.
    pub fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// The next server's place among 131,070 addresses: no two of as many servers have the same.
    fn next_host(&self) -> u32 {
        const HOSTS: u64 = 0x0001_fffe;
        let born: usize = self.clouds.values().map(|cloud| cloud.machines.len()).sum();
        // A prime that does not divide their number: every place comes once.
        let place = (self.seed % HOSTS + (born as u64 % HOSTS) * 48_271) % HOSTS;
        u32::try_from(place).expect("it is below 2^17") + 1
    }

    /// 64 bits that look random and are the same in every world of this seed.
    pub fn next_bits(&mut self) -> u64 {
        // SplitMix64: every bit of the result depends on every bit of the count.
        let mut z = self.seed.wrapping_add(self.next_number().wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// What faults ask of the world, beside failing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quirks {
    /// Servers made now will fail when they should have been made.
    pub late_failure: bool,
    /// Lists will not show servers made now for so long.
    pub list_lag_ms: u64,
    /// Looking them up by id will not either.
    pub read_lag_ms: u64,
    /// What keeps servers made now from becoming good nodes.
    pub troubles: Vec<Trouble>,
}

/// One provider's part of the world, for the time of one request.
///
/// Reads go through `&self`; whatever takes `&mut self` marks the world as changed, so that it is written to its file
/// before the answer goes out.
#[derive(Debug)]
pub struct View<'a> {
    world: &'a mut World,
    dialect: &'a dyn Dialect,
    provider: ProviderId,
    now: Timestamp,
    quirks: Quirks,
    changed: bool,
}

impl<'a> View<'a> {
    /// The part of the dialect's provider.
    pub fn new(world: &'a mut World, dialect: &'a dyn Dialect, now: Timestamp, quirks: Quirks) -> Self {
        View { world, dialect, provider: dialect.provider(), now, quirks, changed: false }
    }

    /// Whether anything was changed.
    pub fn changed(&self) -> bool {
        self.changed
    }

    /// The time of the request.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The account with that key or access key id.
    pub fn account(&self, key: &str) -> Option<&Account> {
        self.world.accounts.iter().find(|account| account.provider == self.provider && account.key == key)
    }

    /// How long things take for that kind, at the speed of this world.
    pub fn pace(&self, kind: MachineKind) -> Pace {
        self.dialect.pace(kind).faster(self.world.speed)
    }

    /// Whose part it is.
    pub(crate) fn dialect(&self) -> &dyn Dialect {
        self.dialect
    }

    /// What there is at the provider.
    pub(crate) fn cloud(&self) -> Option<&Cloud> {
        self.world.clouds.get(self.provider.as_str())
    }

    fn cloud_mut(&mut self) -> &mut Cloud {
        self.changed = true;
        self.world.clouds.entry(self.provider.as_str().to_owned()).or_default()
    }

    /// The account's servers that lists show, oldest first; also those that are gone, which only some vendors show.
    pub fn machines(&self, account: &str) -> impl Iterator<Item = &Machine> {
        let now = self.now;
        let all = self.cloud().into_iter().flat_map(|cloud| cloud.machines.iter());
        all.filter(move |machine| machine.account == account && machine.listed_from <= now)
    }

    /// One server of the account, also if it is gone.
    pub fn machine(&self, account: &str, id: &str) -> Option<&Machine> {
        let machine = self.cloud()?.machines.get(id)?;
        (machine.account == account && machine.shown_from <= self.now).then_some(machine)
    }

    /// One server of this provider, whoever's it is and whether or not it can be seen yet: for what its maker keeps
    /// about it.
    pub fn machine_born(&self, id: &str) -> Option<&Machine> {
        self.cloud()?.machines.get(id)
    }

    /// The same, to change it.
    pub fn machine_mut(&mut self, account: &str, id: &str) -> Option<&mut Machine> {
        self.machine(account, id)?;
        self.cloud_mut().machines.get_mut(id)
    }

    /// Every server that the account ever made, also those that cannot be seen yet: for what must be unique among them.
    pub fn machines_born_of(&self, account: &str) -> impl Iterator<Item = &Machine> {
        let all = self.cloud().into_iter().flat_map(|cloud| cloud.machines.iter());
        all.filter(move |machine| machine.account == account)
    }

    /// How many servers this provider ever made: no account can have more.
    pub fn machines_born(&self) -> usize {
        self.cloud().map_or(0, |cloud| cloud.machines.len())
    }

    /// Makes a server. What faults ask for, such as a late failure, is built into its life.
    ///
    /// It comes back to be changed: not every vendor's servers start by themselves.
    pub fn create(&mut self, account: &str, draft: Draft) -> &mut Machine {
        let (now, quirks) = (self.now, self.quirks.clone());
        let (host, bits) = (self.world.next_host(), self.bits());
        let machine = Machine {
            provider: self.provider.clone(),
            account: account.to_owned(),
            name: draft.name,
            plan: draft.plan,
            region: draft.region,
            image: draft.image,
            kind: draft.kind,
            tags: draft.tags,
            user_data: draft.user_data,
            ssh_keys: draft.ssh_keys,
            born_at: now,
            listed_from: later(now, quirks.list_lag_ms),
            shown_from: later(now, quirks.read_lag_ms),
            // 198.18.0.0/15 and 2001:db8::/32 are set aside for tests: no simulated server has a real one's address.
            ipv4: Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + host),
            private_ipv4: Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(10, 132, 0, 0)) + host),
            ipv6: Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) | u128::from(bits)),
            timeline: self.pace(draft.kind).birth(now, quirks.late_failure),
            node: Node { troubles: quirks.troubles, ..Node::default() },
            extra: draft.extra,
            id: draft.id.clone(),
        };
        let machines = &mut self.cloud_mut().machines;
        machines.push(machine);
        machines.get_mut(&draft.id).expect("it was put there in the line before")
    }

    /// Starts a change of a server; `false` if the account has none of that id.
    pub fn change(&mut self, account: &str, id: &str, change: Change) -> bool {
        let now = self.now;
        let Some(pace) = self.machine(account, id).map(|machine| self.pace(machine.kind)) else { return false };
        self.machine_mut(account, id).map(|machine| machine.change(change, now, &pace)).is_some()
    }

    /// The account's resources of a kind that exist now, oldest first.
    pub fn resources(&self, account: &str, kind: &str) -> impl Iterator<Item = &Resource> {
        let now = self.now;
        let all = self.cloud().and_then(|cloud| cloud.resources.get(kind)).into_iter().flat_map(Shelf::iter);
        all.filter(move |resource| resource.account == account && resource.lives_at(now))
    }

    /// One resource of the account that exists now.
    pub fn resource(&self, account: &str, kind: &str, id: &str) -> Option<&Resource> {
        let resource = self.cloud()?.resources.get(kind)?.get(id)?;
        (resource.account == account && resource.lives_at(self.now)).then_some(resource)
    }

    /// The same, to change it; set [`Resource::gone_at`] to remove it.
    pub fn resource_mut(&mut self, account: &str, kind: &str, id: &str) -> Option<&mut Resource> {
        self.resource(account, kind, id)?;
        self.cloud_mut().resources.get_mut(kind)?.get_mut(id)
    }

    /// Puts a resource there, or another one of the same id in its place.
    pub fn put_resource(&mut self, kind: &str, resource: Resource) {
        self.cloud_mut().resources.entry(kind.to_owned()).or_default().push(resource);
    }

    /// The next number, counting from 1, never given out twice.
    pub fn number(&mut self) -> u64 {
        self.changed = true;
        self.world.next_number()
    }

    /// 64 bits that look random.
    pub fn bits(&mut self) -> u64 {
        self.changed = true;
        self.world.next_bits()
    }

    /// So many random hexadecimal digits, at most 32.
    pub fn hex(&mut self, digits: usize) -> String {
        let mut text = format!("{:016x}{:016x}", self.bits(), self.bits());
        text.truncate(digits);
        text
    }

    /// A random UUID.
    pub fn uuid(&mut self) -> String {
        let hex = self.hex(32);
        format!("{}-{}-4{}-a{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }
}
