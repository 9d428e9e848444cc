//! How long it takes to place 1,000 servers over 50,000 offers, beside reading the same catalogues from their file.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "it measures and prints")]

use std::time::{Duration, Instant};

use capsule_core::{
    Architecture, BillingRule, BillingUnit, Catalog, Currency, Granularity, Image, Money, Offer, Plan, PlanKind, Price,
    Region, Stock,
};
use capsule_engine::{Request, Spread, choose, spread};
use jiff::Timestamp;
use jiff::civil::Date;

const CLOUDS: usize = 7;
const REGIONS: usize = 40;
const PLANS: usize = 179;
const SERVERS: usize = 1_000;
const RUNS: usize = 21;

fn main() {
    let catalogs: Vec<Catalog> = (0..CLOUDS).map(catalog).collect();
    let offers: usize = catalogs.iter().map(|catalog| catalog.offers.len()).sum();
    let text = serde_json::to_string(&catalogs).expect("catalogues are JSON");
    let request =
        Request { min_vcpus: Some(2), min_memory_mib: Some(4096), image: "ubuntu-24.04".into(), ..Request::default() };
    let narrow = Request { max_hourly: Money::parse("0.05", Currency::USD).ok(), ..request.clone() };
    let place = |request: &Request| {
        let ranking = choose(request, &catalogs).expect("much fits");
        let shares = spread(&ranking.placements, SERVERS, Spread::Region, 8);
        let placed: usize = shares.iter().map(|share| share.servers.len()).sum();
        assert_eq!(placed, SERVERS);
        ranking.placements.len()
    };
    println!("{offers} offers, {SERVERS} servers; {} fit, {} under the limit", place(&request), place(&narrow));
    let read = median(|| drop(serde_json::from_str::<Vec<Catalog>>(&text).expect("written above")));
    println!("read the catalogues: {read:?}");
    for (what, request) in [("all that fit", &request), ("under the limit", &narrow)] {
        let took = median(|| assert!(place(request) > 0));
        println!("choose and spread, {what}: {took:?}, {:.2} of reading", took.as_secs_f64() / read.as_secs_f64());
    }
}

fn median(mut run: impl FnMut()) -> Duration {
    let mut took: Vec<Duration> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    took.sort_unstable();
    took[RUNS / 2]
}

fn catalog(cloud: usize) -> Catalog {
    let region = |n: usize| Region { id: format!("r{n}"), name: format!("R {n}"), country: None, available: true };
    let plan = |n: usize| Plan {
        id: format!("plan-{n}"),
        name: format!("Plan {n}"),
        kind: PlanKind::Virtual,
        architecture: Architecture::X86_64,
        vcpus: 1 + (n % 16) as u32,
        memory_mib: 1024 * (1 + (n % 33) as u64),
        disk_gib: 20 + n as u64,
        disk_elastic: false,
        transfer_gib: None,
        gpu: None,
    };
    let rule = BillingRule {
        granularity: Granularity::Hour,
        minimum: Duration::ZERO,
        minimum_each_start: false,
        minimum_charge: None,
        stopped_is_billed: true,
        from_running: false,
        until_asked: false,
        source: "bench".into(),
        as_of: Date::constant(2026, 1, 1),
    };
    let price = |n: usize| Price {
        amount: Money::constant(1 + (n * 7919 % 1000) as u32, 3, Currency::USD),
        per: BillingUnit::Hour,
        monthly_cap: None,
        setup: None,
        extras: Vec::new(),
        rule: rule.clone(),
    };
    let offer = |n: usize| Offer {
        plan: format!("plan-{}", n % PLANS),
        region: format!("r{}", n / PLANS),
        price: Some(price(n * CLOUDS + cloud)),
        stock: Stock::Available,
    };
    let image = Image {
        id: "img-1".into(),
        name: "Ubuntu 24.04".into(),
        os: Some("ubuntu-24.04".into()),
        architecture: Some(Architecture::X86_64),
        kind: None,
        regions: vec![],
        cloud_init: true,
    };
    Catalog {
        provider: format!("cloud-{cloud}").into(),
        at: Timestamp::UNIX_EPOCH,
        regions: (0..REGIONS).map(region).collect(),
        plans: (0..PLANS).map(plan).collect(),
        images: vec![image],
        offers: (0..REGIONS * PLANS).map(offer).collect(),
    }
}
