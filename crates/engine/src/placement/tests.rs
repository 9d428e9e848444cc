mod fair;

use capsule_core::{BillingRule, BillingUnit, Gpu, Granularity, Image, Region};
use jiff::Timestamp;
use jiff::civil::Date;
use proptest::prelude::*;

use super::*;

fn money(cents: u32, currency: Currency) -> Money {
    Money::parse(&cents.to_string(), currency).unwrap().checked_div(100).unwrap()
}

fn price(cents: u32, currency: Currency) -> Price {
    let rule = BillingRule {
        granularity: Granularity::Hour,
        minimum: std::time::Duration::ZERO,
        minimum_each_start: false,
        minimum_charge: None,
        stopped_is_billed: true,
        from_running: false,
        until_asked: false,
        source: "test".into(),
        as_of: Date::constant(2026, 1, 1),
    };
    Price {
        amount: money(cents, currency),
        per: BillingUnit::Hour,
        monthly_cap: None,
        setup: None,
        extras: Vec::new(),
        rule,
    }
}

fn plan(id: &str, vcpus: u32, gib: u64) -> Plan {
    Plan {
        id: id.into(),
        name: id.into(),
        kind: PlanKind::Virtual,
        architecture: Architecture::X86_64,
        vcpus,
        memory_mib: gib * 1024,
        disk_gib: gib * 10,
        disk_elastic: false,
        transfer_gib: None,
        gpu: None,
    }
}

fn catalog(provider: &'static str, plans: Vec<Plan>, offers: Vec<Offer>) -> Catalog {
    let region = |id: &str| Region { id: id.into(), name: id.into(), country: None, available: id != "closed" };
    let image = Image {
        id: "img-1".into(),
        name: "Ubuntu 24.04".into(),
        os: Some("ubuntu-24.04".into()),
        architecture: Some(Architecture::X86_64),
        kind: None,
        regions: vec![],
        cloud_init: true,
    };
    let regions = ["ams", "nyc", "closed"].map(region).into();
    Catalog { provider: provider.into(), at: Timestamp::UNIX_EPOCH, regions, plans, images: vec![image], offers }
}

fn offer(plan: &str, region: &str, price: Option<Price>) -> Offer {
    Offer { plan: plan.into(), region: region.into(), price, stock: Stock::Available }
}

fn usd(cents: u32) -> Option<Price> {
    Some(price(cents, Currency::USD))
}

fn ubuntu() -> Request {
    Request { image: "ubuntu-24.04".into(), ..Request::default() }
}

/// Two clouds with an offer for each rule.
fn world() -> Vec<Catalog> {
    let gpu = Some(Gpu { model: "NVIDIA L4".into(), count: 1 });
    let plans = vec![
        plan("small", 1, 1),
        plan("large", 4, 8),
        Plan { architecture: Architecture::Arm64, ..plan("arm", 4, 8) },
        Plan { kind: PlanKind::BareMetal, ..plan("metal", 16, 64) },
        Plan { gpu, ..plan("gpu", 8, 32) },
        Plan { disk_elastic: true, disk_gib: 0, ..plan("elastic", 2, 4) },
    ];
    let offers = vec![
        offer("small", "ams", usd(1)),
        offer("small", "nyc", usd(1)),
        offer("large", "ams", usd(8)),
        offer("large", "closed", usd(2)),
        offer("arm", "ams", usd(3)),
        offer("metal", "ams", usd(50)),
        offer("gpu", "ams", None),
        offer("elastic", "ams", usd(4)),
    ];
    let other = vec![
        offer("small", "ams", usd(1)),
        Offer { stock: Stock::Out, ..offer("large", "ams", usd(5)) },
        offer("large", "nyc", Some(price(2, Currency::EUR))),
    ];
    vec![catalog("b-cloud", plans, offers), catalog("a-cloud", vec![plan("small", 1, 1), plan("large", 4, 8)], other)]
}

fn names(placements: &[Placement]) -> Vec<String> {
    placements.iter().map(|p| format!("{}/{}/{}", p.provider, p.plan, p.region)).collect()
}

#[test]
fn offers_are_ranked_by_price_then_provider_plan_and_region() {
    let ranking = choose(&ubuntu(), &world()).unwrap();
    let expected = [
        "b-cloud/small/ams",
        "b-cloud/small/nyc",
        "a-cloud/small/ams",
        "b-cloud/elastic/ams",
        "b-cloud/large/ams",
        "b-cloud/metal/ams",
        "b-cloud/gpu/ams",
    ];
    assert_eq!(names(&ranking.placements), expected);
    assert_eq!(names(&ranking.other_currencies[0]), ["a-cloud/large/nyc"]);
    let excluded: BTreeMap<&str, usize> = ranking.excluded.iter().map(|e| (e.reason.as_str(), e.count)).collect();
    assert_eq!(excluded, [(CLOSED_REGION, 1), (OUT_OF_STOCK, 1), ("where the image does not boot", 1)].into());
    assert_eq!(ranking.placements[0].image, "img-1");
}

/// What is charged once weighs little over a long time, and much over a short one.
#[test]
fn a_fee_with_the_order_counts_for_as_long_as_the_server_is_wanted() {
    let fee = price(1, Currency::USD);
    let fee = Price { setup: Some(money(500, Currency::USD)), ..fee };
    let plans = vec![plan("fee", 1, 1), plan("plain", 1, 1)];
    let catalogs = [catalog("a", plans, vec![offer("fee", "ams", Some(fee)), offer("plain", "ams", usd(2))])];
    let first = |hours: u64| {
        let duration = Some(std::time::Duration::from_secs(hours * 3600));
        let chosen = choose(&Request { duration, ..ubuntu() }, &catalogs).unwrap();
        chosen.placements[0].plan.clone()
    };
    // 0.01 USD an hour and 5 USD once are as much as 0.02 USD an hour after 500 hours.
    assert_eq!((first(499), first(501)), ("plain".to_owned(), "fee".to_owned()));
}

#[test]
fn each_wish_narrows_the_choice() {
    let usd = |cents| Some(money(cents, Currency::USD));
    for (request, best) in [
        (Request { min_vcpus: Some(3), ..ubuntu() }, "b-cloud/large/ams"),
        (Request { min_memory_mib: Some(1025), ..ubuntu() }, "b-cloud/elastic/ams"),
        (Request { min_disk_gib: Some(11), ..ubuntu() }, "b-cloud/elastic/ams"),
        (Request { kind: Some(PlanKind::BareMetal), ..ubuntu() }, "b-cloud/metal/ams"),
        (Request { gpu: Some(Some("l4".into())), ..ubuntu() }, "b-cloud/gpu/ams"),
        (Request { providers: vec!["a-cloud".into(), "b-cloud".into()], ..ubuntu() }, "a-cloud/small/ams"),
        (Request { region: Some("nyc".into()), ..ubuntu() }, "b-cloud/small/nyc"),
        (Request { plan: Some("metal".into()), ..ubuntu() }, "b-cloud/metal/ams"),
        (Request { max_hourly: usd(8), min_vcpus: Some(4), ..ubuntu() }, "b-cloud/large/ams"),
        (Request { max_monthly: usd(8 * 730), min_vcpus: Some(4), ..ubuntu() }, "b-cloud/large/ams"),
        (Request { max_hourly: Some(money(2, Currency::EUR)), ..ubuntu() }, "a-cloud/large/nyc"),
    ] {
        assert_eq!(names(&choose(&request, &world()).unwrap().placements)[0], best, "{request:?}");
    }
    let disk = choose(&Request { min_disk_gib: Some(30), plan: Some("elastic".into()), ..ubuntu() }, &world()).unwrap();
    assert_eq!(disk.placements[0].disk_gib, Some(30));
}

#[test]
fn wrong_names_are_told_from_wishes_that_nothing_fulfils() {
    for (request, kind, word) in [
        (Request { providers: vec!["a-clout".into()], ..ubuntu() }, ErrorKind::Invalid, "`a-cloud`"),
        (Request { plan: Some("smal".into()), ..ubuntu() }, ErrorKind::Invalid, "`small`"),
        (Request { region: Some("amss".into()), ..ubuntu() }, ErrorKind::Invalid, "`ams`"),
        (Request { image: "ubuntu-24.4".into(), ..Request::default() }, ErrorKind::Invalid, "`ubuntu-24.04`"),
        (Request { min_vcpus: Some(999), ..ubuntu() }, ErrorKind::Invalid, "Ask for less"),
        (
            Request {
                plan: Some("large".into()),
                region: Some("ams".into()),
                providers: vec!["a-cloud".into()],
                ..ubuntu()
            },
            ErrorKind::NoCapacity,
            "Ask for less",
        ),
    ] {
        let error = choose(&request, &world()).unwrap_err();
        assert_eq!(error.kind(), kind, "{request:?}");
        assert!(error.hint().unwrap().contains(word), "{error:?}");
    }
}

#[test]
fn a_region_that_no_catalogue_covers_is_not_said_to_sell_nothing() {
    let plans = vec![plan("small", 1, 1), plan("large", 8, 8)];
    let offers = [offer("small", "ams", usd(1)), offer("large", "ams", usd(9)), offer("large", "nyc", usd(9))];
    for (offers, message) in [
        (&offers[..], "`small` is not sold in `nyc` at a-cloud."),
        (&offers[..2], "Nothing is known to be sold in `nyc` at a-cloud."),
    ] {
        let catalog = catalog("a-cloud", plans.clone(), offers.to_vec());
        let request = Request { plan: Some("small".into()), region: Some("nyc".into()), ..ubuntu() };
        let error = choose(&request, &[catalog]).unwrap_err();
        assert_eq!(error.message(), message);
        assert!(error.hint().unwrap().contains("It is sold in ams."), "{error:?}");
    }
}

proptest! {
    #[test]
    fn nothing_cheaper_that_fits_is_missed(
        plans in prop::collection::vec((1u32..8, 1u64..16, prop::option::of(1u32..30), any::<bool>()), 1..20),
        vcpus in 1u32..8,
        gib in 1u64..16,
        limit in prop::option::of(1u32..30),
    ) {
        let all: Vec<Plan> = plans.iter().enumerate().map(|(n, (v, g, ..))| plan(&format!("p{n:02}"), *v, *g)).collect();
        let offers = plans.iter().zip(&all).map(|((_, _, cents, is_out), plan)| Offer {
            stock: if *is_out { Stock::Out } else { Stock::Untold },
            ..offer(&plan.id, "ams", cents.and_then(usd))
        });
        let catalog = catalog("a-cloud", all.clone(), offers.collect());
        let request = Request {
            min_vcpus: Some(vcpus),
            min_memory_mib: Some(gib * 1024),
            max_hourly: limit.map(|cents| money(cents, Currency::USD)),
            ..ubuntu()
        };
        let mut fitting: Vec<(u32, String)> = Vec::new();
        for (n, (v, g, cents, is_out)) in plans.iter().enumerate() {
            let affordable = limit.is_none_or(|limit| cents.is_some_and(|cents| cents <= limit));
            if *v >= vcpus && *g >= gib && !is_out && affordable {
                fitting.push((cents.unwrap_or(u32::MAX), format!("a-cloud/p{n:02}/ams")));
            }
        }
        fitting.sort();
        let expected: Vec<String> = fitting.into_iter().map(|(_, name)| name).collect();
        match choose(&request, &[catalog]) {
            Ok(ranking) => {
                prop_assert_eq!(names(&ranking.placements), expected);
                let left_out: usize = ranking.excluded.iter().map(|excluded| excluded.count).sum();
                prop_assert_eq!(ranking.placements.len() + left_out, plans.len());
            }
            Err(_) => prop_assert!(expected.is_empty()),
        }
    }
}
