//! Every provider under its documented request limits, against a simulator that refuses what exceeds them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use capsule_core::http::Ledgers;
use capsule_core::{
    Clock, Connect, Instance, InstanceId, InstanceSpec, ManualClock, Order, OwnerId, Provider, ProviderId, Scope,
    SettingValue, Settings, Stock, Tags, Token,
};
use capsule_providers::{Entry, all};
use capsule_sim::limit::Traffic;
use capsule_sim::{Dialect, Machine, Options, Sim};
use jiff::Timestamp;
use tokio::task::JoinSet;

/// The runtime's paused time: it passes only when every task waits.
#[derive(Debug)]
struct PausedClock {
    start: Timestamp,
    origin: tokio::time::Instant,
}

#[async_trait]
#[allow(clippy::disallowed_methods, reason = "the runtime's time, which is paused")]
impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        self.start + self.origin.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    async fn until(&self, at: Timestamp) {
        tokio::time::sleep(Duration::try_from(at.duration_since(self.now())).unwrap_or_default()).await;
    }
}

/// A provider, and the simulator behind it.
struct Cloud {
    clock: Arc<dyn Clock>,
    sim: Sim,
    provider: Arc<dyn Provider>,
    owner: OwnerId,
    spec: InstanceSpec,
}

impl Cloud {
    #[allow(clippy::disallowed_methods, reason = "the runtime's time, which is paused")]
    fn paused() -> Arc<dyn Clock> {
        Arc::new(PausedClock { start: ManualClock::default().now(), origin: tokio::time::Instant::now() })
    }

    async fn connect(entry: &Entry, clock: Arc<dyn Clock>) -> Self {
        let sim = Sim::in_memory(clock.clone(), Options::default());
        let value = |value: &str| SettingValue { value: value.into(), source: "test".to_owned() };
        let keys = capsule_sim::credentials(entry.descriptor.id.as_str());
        let values = keys.into_iter().map(|(key, text)| (key.to_owned(), value(text))).collect();
        let settings = Settings { values, force_retired: true, lean: true, ..Settings::default() };
        let connect =
            Connect { settings, transport: sim.transport(), clock: clock.clone(), ledgers: Ledgers::default() };
        let provider = (entry.connect)(connect).await.unwrap();
        let catalog = provider.catalog().await.unwrap();
        let spec = catalog.offers.iter().filter(|offer| offer.stock != Stock::Out).find_map(|offer| {
            let plan = catalog.plan(&offer.plan).filter(|plan| plan.gpu.is_none())?;
            Some(InstanceSpec {
                plan: offer.plan.clone(),
                region: offer.region.clone(),
                image: catalog.image_for("ubuntu-24.04", plan, &offer.region)?.id.clone(),
                disk_gib: None,
                ssh_keys: Vec::new(),
                user_data: None,
                tags: Tags::new(),
            })
        });
        Cloud { clock, sim, provider, owner: OwnerId::random(), spec: spec.expect("something boots Ubuntu 24.04") }
    }

    async fn create(&self, name: &str) -> Vec<Instance> {
        let (owner, spec) = (self.owner.clone(), self.spec.clone());
        self.provider
            .create(&Order { token: Token::random(), again: false, owner, names: vec![name.to_owned()], spec })
            .await
            .unwrap()
    }

    /// Puts servers like this one into the world.
    fn multiply(&self, like: &InstanceId, times: usize) {
        let seeded = self.sim.edit(|world| {
            let machines = &mut world.clouds.entry(like.provider.to_string()).or_default().machines;
            let born = machines.get(&like.native).cloned().unwrap();
            for number in 0..times {
                // As long as the original and of the same alphabet.
                let id = format!("{}{:06}", &born.id[..born.id.len().saturating_sub(6)], 500_000 + number);
                machines.push(Machine { id, name: format!("node-{number:04}"), ..born.clone() });
            }
        });
        seeded.unwrap();
    }

    async fn poll(&self) -> usize {
        self.provider.list(&Scope::Owner(self.owner.clone())).await.unwrap().len()
    }

    fn requests(&self) -> BTreeMap<String, u64> {
        self.sim.ledger().unwrap().requests
    }

    fn refused(&self) -> Vec<String> {
        // EC2 answers 503 to what is too much.
        self.requests().into_keys().filter(|key| key.ends_with(" 429") || key.ends_with(" 503")).collect()
    }
}

/// Until all that may go now have gone, and none of the others can.
async fn yields() {
    for _ in 0..20_000 {
        tokio::task::yield_now().await;
    }
}

fn dialect(id: &ProviderId) -> Arc<dyn Dialect> {
    capsule_sim::dialects().into_iter().find(|dialect| dialect.provider() == *id).unwrap()
}

#[tokio::test]
#[allow(clippy::print_stdout, reason = "figures for whoever asks for them with --nocapture")]
async fn a_day_of_polling_a_thousand_new_servers_is_refused_nothing() {
    const SERVERS: usize = 1000;
    const DAY: u64 = 24 * 3600;
    for entry in all() {
        let id = &entry.descriptor.id;
        let cloud = Cloud::connect(entry, Arc::new(ManualClock::default())).await;
        let made = cloud.create("node.example.com").await;
        cloud.multiply(&made[0].id, SERVERS - 1);
        cloud.clock.sleep(cloud.provider.capabilities().list_lag).await;
        let before = cloud.requests();
        assert_eq!(cloud.poll().await, SERVERS, "{id}");
        assert_eq!(cloud.refused(), Vec::<String>::new(), "{id}");

        // What one look at all of them asks for, again and again at the engine's interval, through the vendor's meters.
        let round: Vec<(String, u64)> = cloud
            .requests()
            .into_iter()
            .map(|(key, count)| (key.split(' ').nth(1).unwrap().to_owned(), count - before.get(&key).unwrap_or(&0)))
            .filter(|(_, count)| *count > 0)
            .collect();
        let dialect = dialect(id);
        let (mut traffic, mut polled) = (Traffic::default(), 0);
        let interval = cloud.provider.capabilities().poll_interval.as_secs();
        for second in (0..DAY).step_by(usize::try_from(interval).unwrap()) {
            let now = cloud.clock.now() + Duration::from_secs(second);
            for (operation, count) in &round {
                for _ in 0..*count {
                    let admitted = traffic.admit(dialect.limits(), id, "me", operation, now);
                    assert!(admitted.is_ok(), "{id} refuses {operation} after {second} s: {admitted:?}");
                    polled += 1;
                }
            }
        }
        let looks: Vec<String> = round.iter().map(|(operation, count)| format!("{count} {operation}")).collect();
        println!(
            "{id}: a look at {SERVERS} servers takes {} every {interval} s, {polled} requests a day; refused: 0",
            looks.join(" + ")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_delete_goes_through_while_polling_uses_up_the_limit() {
    for entry in all() {
        let id = &entry.descriptor.id;
        let cloud = Arc::new(Cloud::connect(entry, Cloud::paused()).await);
        let made = cloud.create("web.example.com").await;
        // Old enough to be deleted, and every limit full again.
        cloud.clock.sleep(Duration::from_secs(3700)).await;
        let mut polls = JoinSet::new();
        for _ in 0..1200 {
            let cloud = cloud.clone();
            polls.spawn(async move { cloud.provider.list(&Scope::All).await.map(|listed| listed.len()) });
        }
        yields().await;
        let (before, limited) = (cloud.clock.now(), !dialect(id).limits().is_empty());
        let delete = tokio::spawn({
            let cloud = cloud.clone();
            async move { cloud.provider.delete(&made[0].id).await }
        });
        yields().await;
        let births = cloud.sim.ledger().unwrap().births;
        let gone = births.iter().filter(|birth| birth.kind == "machine").all(|birth| birth.gone_at.is_some());
        assert!(gone && cloud.clock.now() == before, "{id}: the delete waits behind the polls");
        // The vendor publishes none, or else polls wait.
        let polled = cloud.provider.list(&Scope::All).await;
        assert!(!limited || polled.is_err() || cloud.clock.now() > before, "{id}: the polls used up nothing");
        delete.await.unwrap().unwrap();
        assert_eq!(cloud.refused(), Vec::<String>::new(), "{id}");
        polls.shutdown().await;
    }
}

/// Linode counts lists apart: what its headers say about them is no limit of anything else.
#[tokio::test(start_paused = true)]
async fn bills_are_lists_and_hold_up_nothing_else() {
    let linode = capsule_providers::find("linode").unwrap();
    let cloud = Arc::new(Cloud::connect(linode, Cloud::paused()).await);
    let made = cloud.create("web.example.com").await;
    cloud.clock.sleep(Duration::from_secs(3700)).await;
    let mut looks = JoinSet::new();
    for _ in 0..250 {
        let cloud = cloud.clone();
        looks.spawn(async move {
            let statements = cloud.provider.statements().expect("it has invoices");
            statements.invoiced(jiff::civil::date(2025, 6, 1)).await.map(drop)
        });
    }
    yields().await;
    let before = cloud.clock.now();
    cloud.provider.get(&made[0].id).await.unwrap().expect("it is there");
    assert_eq!(cloud.clock.now(), before, "a look at one server waits behind the bills");
    while let Some(looked) = looks.join_next().await {
        looked.unwrap().unwrap();
    }
    assert!(cloud.clock.now() > before, "the bills used up nothing");
    assert_eq!(cloud.refused(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_throttled_provider_slows_only_itself() {
    let clock = Cloud::paused();
    let mut clouds = Vec::new();
    for entry in all() {
        clouds.push(Arc::new(Cloud::connect(entry, clock.clone()).await));
    }
    clock.sleep(Duration::from_secs(3700)).await;
    let throttled = ProviderId::new("linode");
    let (slow, others): (Vec<_>, Vec<_>) =
        clouds.into_iter().partition(|cloud| cloud.provider.descriptor().id == throttled);
    let mut polls = JoinSet::new();
    for _ in 0..250 {
        let cloud = slow[0].clone();
        polls.spawn(async move { cloud.poll().await });
    }
    yields().await;
    let before = clock.now();
    for cloud in &others {
        cloud.poll().await;
    }
    assert_eq!(clock.now(), before, "the others waited for {throttled}");
    assert!(!polls.is_empty());
    while let Some(polled) = polls.join_next().await {
        polled.unwrap();
    }
    assert!(clock.now().duration_since(before).as_secs() >= 60, "{throttled} was not throttled at all");
}
