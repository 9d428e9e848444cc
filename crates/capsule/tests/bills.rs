//! A year of servers at every provider: what the ledger says they cost is what the vendors' invoices come to.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use capsule_core::http::Ledgers;
use capsule_core::{
    BillingUnit, Catalog, Clock, Connect, InstanceId, LineKind, ManualClock, Money, OwnerId, Power, Provider,
    ProviderId, Result, SettingValue, Settings, Stock,
};
use capsule_engine::ledger::{Account, month_start};
use capsule_engine::reconcile::{GapCause, compare_month};
use capsule_engine::{
    Database, DeployRequest, Engine, Finish, OnFailure, Options, Outcome, Placement, Providers, Silent, Wait,
};
use capsule_sim::{Bill, Sim};
use jiff::{SignedDuration, Timestamp, ToSpan};

const YEAR_MS: u64 = 365 * 24 * 3600 * 1000;
const MINUTE_MS: u64 = 60_000;

/// So much faster than in nature do servers change, so that a vendor's moment and the look that finds it are close.
const SPEED: u32 = 1000;

/// Servers at each provider.
const SERVERS: usize = 12;

struct Clouds(HashMap<ProviderId, Arc<dyn Provider>>);

#[async_trait]
impl Providers for Clouds {
    async fn provider(&self, id: &ProviderId) -> Result<Arc<dyn Provider>> {
        Ok(Arc::clone(&self.0[id]))
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// What is done to a server.
#[derive(Debug, Clone)]
enum Deed {
    Deploy(Box<Placement>),
    Stop(Power),
    Start,
    Delete,
}

/// Lives of minutes, hours, days and months; some with stops, some that the year's end finds alive.
fn life(dice: &mut Dice, off_by: Power, placement: Placement) -> Vec<(u64, Deed)> {
    let longest = [90 * MINUTE_MS, 72 * 60 * MINUTE_MS, YEAR_MS / 6, YEAR_MS][usize::try_from(dice.below(4)).unwrap()];
    let born = dice.below(YEAR_MS * 9 / 10);
    let dies = born + MINUTE_MS / 2 + dice.below(longest);
    let mut deeds = vec![(born, Deed::Deploy(Box::new(placement)))];
    let mut at = born;
    for _ in 0..dice.below(4) {
        let off = at + 5 * MINUTE_MS + dice.below(longest / 4);
        let on = off + 5 * MINUTE_MS + dice.below(longest / 4);
        // A vendor is not asked while it is still at the last change.
        if on + 5 * MINUTE_MS > dies {
            break;
        }
        deeds.extend([(off, Deed::Stop(off_by)), (on, Deed::Start)]);
        at = on;
    }
    deeds.push((dies, Deed::Delete));
    deeds.retain(|(at, _)| *at < YEAR_MS);
    deeds
}

/// Something that is sold, at a price, and boots Ubuntu.
fn placements(catalog: &Catalog) -> Vec<Placement> {
    let offers = catalog.offers.iter().filter(|offer| offer.stock != Stock::Out && offer.price.is_some());
    let placed = offers.filter_map(|offer| {
        let plan = catalog.plan(&offer.plan)?;
        let image = catalog.image_for("ubuntu-24.04", plan, &offer.region)?;
        Some(Placement {
            provider: catalog.provider.clone(),
            region: offer.region.clone(),
            plan: plan.id.clone(),
            image: image.id.clone(),
            kind: plan.kind,
            disk_gib: None,
            price: offer.price.clone(),
        })
    });
    placed.collect()
}

fn request(name: &str, placement: Placement) -> DeployRequest {
    DeployRequest {
        names: vec![name.to_owned()],
        placements: vec![placement],
        ssh_keys: vec![],
        user_data: None,
        tags: Default::default(),
        idempotency_key: None,
        asked: None,
        wait: Wait::Running,
        timeout: None,
        on_failure: OnFailure::Keep,
        goal: None,
    }
}

fn settings(provider: &str) -> Settings {
    let values: BTreeMap<_, _> = capsule_sim::credentials(provider)
        .into_iter()
        .map(|(key, value)| (key.to_owned(), SettingValue { value: value.into(), source: "test".to_owned() }))
        .collect();
    Settings { values, force_retired: true, ..Settings::default() }
}

fn done(what: &str, outcome: &Outcome) {
    assert!(matches!(outcome.finish, Finish::Done), "{what}: {:?}", outcome.finish);
}

/// A driver may write a kind before the vendor's own id.
fn is_it(id: &InstanceId, bill: &Bill) -> bool {
    id.provider == bill.provider
        && id.native.strip_suffix(bill.id.as_str()).is_some_and(|kind| kind.is_empty() || kind.ends_with('-'))
}

#[tokio::test]
async fn a_year_costs_what_the_vendors_invoice() {
    let clock = Arc::new(ManualClock::default());
    let start = clock.now();
    let options = capsule_sim::Options { speed: SPEED, limits: false, ..capsule_sim::Options::default() };
    let sim = Sim::in_memory(Arc::clone(&clock) as Arc<dyn Clock>, options);
    let (mut clouds, mut deeds, mut dice) = (HashMap::new(), Vec::new(), Dice(2026));
    for entry in capsule_providers::all() {
        let id = entry.descriptor.id.clone();
        let (clock, transport) = (Arc::clone(&clock) as Arc<dyn Clock>, sim.transport());
        let connect = Connect { settings: settings(id.as_str()), transport, clock, ledgers: Ledgers::default() };
        let provider = (entry.connect)(connect).await.unwrap();
        let sold = placements(&provider.catalog().await.unwrap());
        assert!(!sold.is_empty(), "{id} sells nothing");
        // What is sold by the month alone is rare, and counts in its own way.
        let monthly =
            sold.iter().find(|placement| placement.price.as_ref().is_some_and(|price| price.per == BillingUnit::Month));
        let off_by = if provider.capabilities().force_off { Power::ForceOff } else { Power::Off };
        for number in 0..SERVERS {
            let some = &sold[usize::try_from(dice.below(sold.len() as u64)).unwrap()];
            let chosen = monthly.filter(|_| number < 2).unwrap_or(some);
            let name = format!("{id}-{number}.test");
            deeds
                .extend(life(&mut dice, off_by, chosen.clone()).into_iter().map(|(at, deed)| (at, name.clone(), deed)));
        }
        clouds.insert(id, provider);
    }
    assert_eq!(clouds.len(), 7);
    deeds.sort_by(|(a, one, _), (b, other, _)| (a, one).cmp(&(b, other)));

    let home = tempfile::tempdir().unwrap();
    let engine = Engine::open(Options {
        database: Database::Sqlite(home.path().join("journal.db")),
        owner: OwnerId::random(),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        providers: Arc::new(Clouds(clouds.clone())),
        pace: SPEED,
        worker: "test".into(),
        readiness: None,
        notice: None,
        after_event: None,
    })
    .await
    .unwrap();
    let reach = |at: Timestamp| clock.advance(Duration::try_from(at.duration_since(clock.now())).unwrap_or_default());
    let at = |ms: u64| start + SignedDuration::from_millis(i64::try_from(ms).unwrap());
    let mut made: HashMap<String, InstanceId> = HashMap::new();
    for (ms, name, deed) in deeds {
        reach(at(ms));
        let what = format!("{deed:?} {name}");
        let outcome = match deed {
            Deed::Deploy(placement) => engine.deploy(request(&name, *placement), &Silent).await.unwrap().remove(0),
            Deed::Stop(how) => engine.power(&made[&name], how, Wait::Running, &Silent).await.unwrap(),
            Deed::Start => engine.power(&made[&name], Power::On, Wait::Running, &Silent).await.unwrap(),
            Deed::Delete => engine.destroy(&made[&name], &Silent).await.unwrap(),
        };
        done(&what, &outcome);
        made.insert(name, outcome.id.unwrap());
    }
    reach(at(YEAR_MS));

    let (accounts, bills) = (engine.accounts().await.unwrap(), sim.invoice().unwrap());
    assert_eq!((accounts.len(), bills.len()), (7 * SERVERS, 7 * SERVERS));
    let mut wrong = Vec::new();
    for account in &accounts {
        let price = account.record.price.as_ref().expect("it was quoted");
        let life = account.life(clock.now());
        let ours = price.total(&life).unwrap().round(2);
        let bill = bills.iter().find(|bill| is_it(&account.record.id, bill)).expect("the vendor has billed it");
        let theirs = Money::new(bill.total, bill.currency.parse().unwrap()).round(2);
        if ours != theirs {
            wrong.push(format!("{} ({}): {ours} here, {theirs} there, for {life:?}", bill.name, account.record.plan));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), accounts.len(), wrong.join("\n"));
    // A vendor may be as late as it says.
    clock.advance(Duration::from_secs(24 * 3600));
    every_month_is_as_invoiced(&clouds, &accounts, start, clock.now()).await;
}

/// The year's months one by one, as each vendor's own API writes them and its driver reads them: what is left between
/// the two is rounding.
async fn every_month_is_as_invoiced(
    clouds: &HashMap<ProviderId, Arc<dyn Provider>>,
    accounts: &[Account],
    start: Timestamp,
    now: Timestamp,
) {
    let (mut compared, mut at_cap) = (0, BTreeMap::<&str, usize>::new());
    for (id, provider) in clouds {
        let statements = provider.statements().expect("each tells what it charges");
        for month in (0..).map(|months| month_start(start).saturating_add(months.months())) {
            if month >= month_start(now) {
                break;
            }
            let invoiced = statements.invoiced(month).await.unwrap();
            let found = compare_month(id, accounts, invoiced).unwrap();
            let Some(total) = found.invoiced.total else {
                assert!(found.ours.is_none_or(|ours| ours.amount().is_zero()), "{id} {month}: {found:#?}");
                continue;
            };
            compared += 1;
            let cents = Money::constant(1, 2, total.currency()).checked_mul(found.invoiced.lines.len()).unwrap();
            for gap in &found.gaps {
                let rounds = matches!(gap.cause, GapCause::Rounding | GapCause::Pooled);
                assert!(rounds && gap.amount.amount().abs() <= cents.amount(), "{id} {month}: {found:#?}");
            }
            // A line for each server, but where the vendor has one for all of them.
            let pooled = found.invoiced.lines.iter().any(|line| line.kind == LineKind::Servers);
            for server in found.servers.iter().filter(|_| !pooled) {
                let (ours, theirs) = (server.ours.unwrap().round(2), server.invoiced.map(|theirs| theirs.round(2)));
                let nothing = ours.amount().is_zero();
                assert!(theirs == Some(ours) || nothing && theirs.is_none(), "{id} {month}: {server:?}");
                let account = accounts.iter().find(|account| account.record.name == server.name).unwrap();
                let cap = account.record.price.as_ref().and_then(|price| price.monthly_cap);
                *at_cap.entry(id.as_str()).or_default() += usize::from(cap.is_some_and(|cap| cap.round(2) == ours));
            }
        }
    }
    assert!(compared >= 7 * 10, "only {compared} months had an invoice");
    for provider in ["digitalocean", "linode", "vultr"] {
        assert!(at_cap[provider] > 0, "no month of {provider} reached its cap: {at_cap:?}");
    }
}
