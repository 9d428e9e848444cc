//! A limit holds when many order at once and some of them die.

use std::time::Duration;

use capsule_core::{BillingRule, BillingUnit, Currency, ErrorKind, Granularity, Money, Price};
use capsule_engine::budget::{Budget, Figures, Scope};
use capsule_engine::ledger::{By, summary};
use capsule_engine::{DeployRequest, Engine, Silent, Wait};
use futures_util::future::join_all;
use jiff::civil::Date;

use super::cloud::{Bench, request};

const ORDERS: usize = 500;
const FIT: u32 = 100;
const MONTH: u32 = 700;

fn usd(amount: u32) -> Money {
    Money::constant(amount, 0, Currency::USD)
}

/// A dollar an hour, and less for a month than its hours.
fn price(currency: Currency) -> Price {
    Price {
        amount: Money::constant(1, 0, currency),
        per: BillingUnit::Hour,
        monthly_cap: Some(Money::constant(MONTH, 0, currency)),
        setup: None,
        extras: Vec::new(),
        rule: BillingRule {
            granularity: Granularity::Hour,
            minimum: Duration::from_secs(3600),
            minimum_each_start: false,
            minimum_charge: None,
            stopped_is_billed: true,
            from_running: false,
            until_asked: false,
            source: "test".into(),
            as_of: Date::constant(2026, 1, 1),
        },
    }
}

fn order(name: &str, price: Option<&Price>) -> DeployRequest {
    let mut request = DeployRequest { wait: Wait::None, ..request(&[name]) };
    request.placements.iter_mut().for_each(|placement| placement.price = price.cloned());
    request
}

fn budget(name: &str, monthly: Money, scope: Scope) -> Budget {
    Budget { name: name.to_owned(), monthly, scope, warn: vec![50, 80], block: true, rates: Default::default() }
}

async fn figures(engine: &Engine) -> Vec<Figures> {
    engine.budgets().await.unwrap().into_iter().map(|standing| standing.figures.unwrap()).collect()
}

/// Ends after so many turns of everybody else.
async fn turns(n: usize) {
    for _ in 0..n {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn many_orders_at_once_never_pass_a_limit_together() {
    let bench = Bench::new();
    let first = bench.open().await;
    first.set_budget(&budget("all", usd(MONTH * FIT + MONTH - 1), Scope::All)).await.unwrap();
    let mut engines = Vec::new();
    for _ in 0..2 {
        engines.push(bench.open().await);
    }
    // Every seventh process ends in the middle of its order: what it wrote down counts all the same.
    let price = price(Currency::USD);
    let orders = (0..ORDERS).map(|n| {
        let (engine, order) = (&engines[n % engines.len()], order(&format!("web-{n}"), Some(&price)));
        async move {
            tokio::select! {
                biased;
                answer = engine.deploy(order, &Silent) => Some(answer),
                () = turns(n), if n % 7 == 0 => None,
            }
        }
    });
    let answers = join_all(orders).await;
    for refused in answers.iter().flatten().filter_map(|answer| answer.as_ref().err()) {
        assert_eq!(refused.kind(), ErrorKind::Quota, "{refused}");
        assert!(refused.message().contains("remain"), "{refused}");
    }
    drop(engines);
    first.resume(None, &Silent).await.unwrap();
    let standing = figures(&first).await.remove(0);
    assert!(!standing.remaining.amount().is_sign_negative(), "{standing:?}");
    let inventory = first.inventory().await.unwrap().len();
    assert!(inventory <= FIT as usize && bench.cloud.living().len() == inventory, "{inventory} servers");
    let finished = answers.iter().flatten().filter(|answer| answer.is_ok()).count();
    assert!(finished > 0 && finished <= inventory, "{finished} of {inventory}");
    // What was refused for orders that died before they were written down can be ordered now, to the last dollar.
    for n in inventory..FIT as usize {
        first.deploy(order(&format!("late-{n}"), Some(&price)), &Silent).await.unwrap();
    }
    assert!(first.deploy(order("one-more", Some(&price)), &Silent).await.is_err());
    let sum = summary(&first.accounts().await.unwrap(), &By::Provider, None, jiff::Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(sum[0].living, FIT as usize);
}

#[tokio::test]
async fn what_a_budget_does_not_concern_is_not_refused() {
    let bench = Bench::new();
    let engine = bench.open().await;
    let price = price(Currency::USD);
    engine.set_budget(&budget("other", usd(1), "tag:env=prod".parse().unwrap())).await.unwrap();
    engine.set_budget(&Budget { block: false, ..budget("warns", usd(1), Scope::All) }).await.unwrap();
    engine.deploy(order("web", Some(&price)), &Silent).await.unwrap();
    let standings = figures(&engine).await;
    let [other, warns] = &standings[..] else { panic!("{standings:?}") };
    assert_eq!((other.this_month, other.warning), (usd(0), None));
    assert_eq!((warns.full_month, warns.warning), (usd(MONTH), Some(80)));
    engine.set_budget(&budget("here", usd(100), "provider:testcloud".parse().unwrap())).await.unwrap();
    assert_eq!(engine.deploy(order("more", Some(&price)), &Silent).await.unwrap_err().kind(), ErrorKind::Quota);
    engine.remove_budget("here").await.unwrap();
    engine.deploy(order("more", Some(&price)), &Silent).await.unwrap();
    assert_eq!(engine.remove_budget("here").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn what_cannot_be_reckoned_is_refused() {
    let bench = Bench::new();
    let engine = bench.open().await;
    let mut all = budget("all", usd(2000), Scope::All);
    engine.set_budget(&all).await.unwrap();
    let error = engine.deploy(order("web", None), &Silent).await.unwrap_err();
    assert!(error.message().contains("not known"), "{error}");
    let euro = price(Currency::EUR);
    let error = engine.deploy(order("web", Some(&euro)), &Silent).await.unwrap_err();
    assert!(error.message().contains("EUR"), "{error}");
    all.rates.add("EUR=2 USD").unwrap();
    engine.set_budget(&all).await.unwrap();
    engine.deploy(order("web", Some(&euro)), &Silent).await.unwrap();
    assert_eq!(figures(&engine).await[0].full_month, usd(2 * MONTH));

    // Without a rate to what is there a budget is not set, and the one of its name stays as it was.
    let without = Budget { monthly: usd(3000), rates: Default::default(), ..all.clone() };
    let error = engine.set_budget(&without).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.hint().is_some_and(|hint| hint.contains("EUR=")), "{error}");
    let yen = Budget {
        block: false,
        ..budget("yen", Money::constant(5, 0, "JPY".parse().unwrap()), "tag:a=b".parse().unwrap())
    };
    engine.set_budget(&yen).await.unwrap();
    let error =
        engine.set_budget(&Budget { scope: "provider:testcloud".parse().unwrap(), ..yen.clone() }).await.unwrap_err();
    assert!(error.message().contains("JPY"), "{error}");
    let kept: Vec<Budget> = engine.budgets().await.unwrap().into_iter().map(|standing| standing.budget).collect();
    assert_eq!(kept, [all, yen]);

    for (bad, why) in [
        (budget("x", usd(0), Scope::Provider("a".into())), "allows nothing"),
        (budget("x", Money::constant(u32::MAX, 0, Currency::USD), Scope::Provider("a".into())), "no limit"),
        (budget("two words", usd(1), Scope::Provider("a".into())), "name"),
        (Budget { warn: vec![0], ..budget("x", usd(1), Scope::Provider("a".into())) }, "0 %"),
        (budget("again", usd(1), Scope::All), "already"),
    ] {
        let error = engine.set_budget(&bad).await.unwrap_err();
        assert!(error.message().contains(why), "{error}");
    }
}

#[tokio::test]
async fn one_budget_that_cannot_be_reckoned_hides_no_other() {
    let bench = Bench::new();
    let engine = bench.open().await;
    engine
        .set_budget(&Budget { block: false, ..budget("euro", Money::constant(9, 0, Currency::EUR), Scope::All) })
        .await
        .unwrap();
    engine.set_budget(&budget("here", usd(1000), "provider:testcloud".parse().unwrap())).await.unwrap();
    let price = price(Currency::USD);
    engine.deploy(order("web", Some(&price)), &Silent).await.unwrap();
    let standings = engine.budgets().await.unwrap();
    let error = standings[0].figures.as_ref().unwrap_err();
    assert!(error.message().contains("`euro`"), "{error}");
    assert_eq!(standings[1].figures.as_ref().unwrap().full_month, usd(MONTH));
    let shown = serde_json::to_value(&standings).unwrap();
    assert_eq!((&shown[0]["full_month"], &shown[0]["error"]["kind"]), (&serde_json::Value::Null, &"invalid".into()));
    let keys = |n: usize| shown[n].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(0), keys(1));
}

#[tokio::test]
async fn what_would_be_refused_is_known_before() {
    let bench = Bench::new();
    let engine = bench.open().await;
    let price = price(Currency::USD);
    engine.set_budget(&budget("all", usd(MONTH * 2), Scope::All)).await.unwrap();
    let two = [order("a", Some(&price)), order("b", Some(&price))];
    for _ in 0..2 {
        engine.admits(&two).await.unwrap();
    }
    let three = [&two[..], &[order("c", Some(&price))]].concat();
    assert_eq!(engine.admits(&three).await.unwrap_err().kind(), ErrorKind::Quota);
    assert!(engine.operations(&Default::default()).await.unwrap().is_empty(), "something was written down");

    // Two servers may be made, but a third one only where it is tried first.
    for order in two {
        engine.deploy(order, &Silent).await.unwrap();
    }
    engine.set_budget(&budget("all", usd(MONTH * 3), Scope::All)).await.unwrap();
    let mut dearer = order("c", Some(&price));
    let mut second = dearer.placements[0].clone();
    second.price.as_mut().unwrap().monthly_cap = Some(usd(MONTH + 1));
    dearer.placements.push(second);
    let error = engine.deploy(dearer, &Silent).await.unwrap_err();
    assert!(error.hint().is_some_and(|hint| hint.contains("--max-monthly \"700 USD\"")), "{error:?}");
}
