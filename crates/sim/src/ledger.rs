//! Everything ever born that costs money, so that tests can end with "nothing was left behind".

use std::collections::BTreeMap;

use capsule_core::ProviderId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::world::World;

/// The world's books at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The moment.
    pub at: Timestamp,
    /// Every machine and every billed resource ever born, oldest first at each provider.
    pub births: Vec<Birth>,
    /// Answers by `provider operation status`; `-` where none arrived.
    pub requests: BTreeMap<String, u64>,
}

/// One thing that costs money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Birth {
    /// Where.
    pub provider: ProviderId,
    /// `machine`, or the kind of resource.
    pub kind: String,
    /// Whose.
    pub account: String,
    /// The vendor's id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Region code.
    pub region: Option<String>,
    /// Labels in the vendor's words, as they are now.
    pub tags: BTreeMap<String, String>,
    /// When it was made.
    pub born_at: Timestamp,
    /// When it was, or will be, gone.
    pub gone_at: Option<Timestamp>,
}

impl Birth {
    /// Whether name or labels carry that word, such as an owner id or a token. Vendors spell labels differently, but the
    /// word itself stays whole in all of them.
    pub fn mentions(&self, word: &str) -> bool {
        self.name.contains(word) || self.tags.iter().any(|(key, value)| key.contains(word) || value.contains(word))
    }
}

impl Ledger {
    /// The books of `world` at `now`.
    pub fn of(world: &World, requests: &BTreeMap<String, u64>, now: Timestamp) -> Self {
        let mut births = Vec::new();
        for (provider, cloud) in &world.clouds {
            let provider = ProviderId::from(provider.clone());
            births.extend(cloud.machines.iter().map(|machine| Birth {
                provider: provider.clone(),
                kind: "machine".to_owned(),
                account: machine.account.clone(),
                id: machine.id.clone(),
                name: machine.name.clone(),
                region: Some(machine.region.clone()),
                tags: machine.tags.clone(),
                born_at: machine.born_at,
                gone_at: machine.gone_at(),
            }));
            for (kind, resources) in &cloud.resources {
                births.extend(resources.iter().filter(|resource| resource.billed).map(|resource| Birth {
                    provider: provider.clone(),
                    kind: kind.clone(),
                    account: resource.account.clone(),
                    id: resource.id.clone(),
                    name: resource.name.clone(),
                    region: resource.region.clone(),
                    tags: resource.tags.clone(),
                    born_at: resource.born_at,
                    gone_at: resource.gone_at,
                }));
            }
        }
        Ledger { at: now, births, requests: requests.clone() }
    }

    /// What still costs money. What is being removed counts until it is gone.
    pub fn living(&self) -> Vec<&Birth> {
        self.births.iter().filter(|birth| birth.gone_at.is_none_or(|gone| self.at < gone)).collect()
    }

    /// What still costs money and says that it belongs to `owner`: after everything was deleted, an orphan.
    pub fn orphans(&self, owner: &str) -> Vec<&Birth> {
        self.living().into_iter().filter(|birth| birth.mentions(owner)).collect()
    }

    /// Everything ever born under a token.
    pub fn born_of(&self, token: &str) -> Vec<&Birth> {
        self.births.iter().filter(|birth| birth.mentions(token)).collect()
    }

    /// How many requests of that operation were answered, or not, with whatever status.
    pub fn count(&self, provider: &str, operation: &str) -> u64 {
        let prefix = format!("{provider} {operation} ");
        self.requests.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(_, count)| count).sum()
    }

    /// How many were answered with that status.
    pub fn count_status(&self, provider: &str, operation: &str, status: u16) -> u64 {
        self.requests.get(&format!("{provider} {operation} {status}")).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use capsule_core::{Clock, ManualClock};
    use serde_json::json;

    use crate::machine::{Change, MachineKind};
    use crate::world::{Draft, Quirks, Resource, View, World};
    use crate::{Ledger, dialects};

    fn draft(view: &mut View<'_>, owner: &str) -> Draft {
        Draft {
            id: view.uuid(),
            name: "web".into(),
            plan: "p".into(),
            region: "r".into(),
            image: "i".into(),
            kind: MachineKind::Virtual,
            tags: [(format!("owner:{owner}"), String::new())].into(),
            user_data: None,
            ssh_keys: Vec::new(),
            extra: json!({}),
        }
    }

    #[test]
    fn whatever_costs_money_is_in_the_books_until_it_is_gone() {
        let (all, clock) = (dialects(), Arc::new(ManualClock::default()));
        let mut world = World::new(&all, 1, 7);
        let mut view = View::new(&mut world, all[0].as_ref(), clock.now(), Quirks::default());
        for owner in ["me", "me", "you"] {
            let draft = draft(&mut view, owner);
            view.create("sandbox", draft);
        }
        let mine = view.machines("sandbox").next().unwrap().id.clone();
        for (id, billed) in [("vol-1", true), ("key-1", false)] {
            let mut resource = Resource::new("sandbox", id, "of me", clock.now(), json!({}));
            resource.billed = billed;
            view.put_resource("volume", resource);
        }
        assert!(view.change("sandbox", &mine, Change::Delete));
        assert!(!view.change("other", &mine, Change::Delete), "not theirs");
        let at = |world: &World| Ledger::of(world, &Default::default(), clock.now());
        let now = at(&world);
        assert_eq!((now.births.len(), now.living().len()), (4, 4), "what is being removed still counts");
        assert_eq!(now.orphans("me").len(), 3);
        clock.advance(Duration::from_secs(600));
        let later = at(&world);
        assert_eq!((later.births.len(), later.living().len()), (4, 3));
        let left: Vec<_> = later.orphans("me").iter().map(|birth| birth.kind.as_str()).collect();
        assert_eq!(left, ["machine", "volume"]);
        let copy: World = serde_json::from_value(serde_json::to_value(&world).unwrap()).unwrap();
        assert_eq!(at(&copy), later, "a world survives being written and read");
    }

    #[test]
    fn the_same_seed_gives_the_same_world() {
        let all = dialects();
        let ids = |seed| {
            let mut world = World::new(&all, 1, seed);
            let now = ManualClock::default().now();
            let mut view = View::new(&mut world, all[0].as_ref(), now, Quirks::default());
            (0..50).map(|_| view.uuid()).collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(ids(1), ids(1));
        assert_eq!(ids(1).len(), 50);
        assert!(ids(1).is_disjoint(&ids(2)));
    }
}
