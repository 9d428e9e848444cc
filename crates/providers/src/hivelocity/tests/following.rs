//! From an order to its servers: what is said of them before any view shows them.

use capsule_sim::{Options, SANDBOX_KEY, Sim};

use super::*;

/// A vendor whose only order has this status and says this about itself, and shows no server.
fn waiting(status: &'static str, info: Value) -> Arc<Script> {
    vendor(move |line, _| match line {
        "GET /compute/" | "GET /bare-metal-devices/" | "GET /device/" => ok("[]"),
        "GET /order/in-progress" if matches!(status, "complete" | "cancelled") => ok("[]"),
        "GET /order/in-progress" => ok(json!([{"orderId": 90007, "status": status, "info": info}])),
        "GET /order/90007" => ok(json!({"orderId": 90007, "status": status, "info": info})),
        line if line.starts_with("POST") || line.contains("inventory") => sample(line),
        _ => missing(),
    })
}

#[tokio::test]
async fn a_server_not_shown_yet_is_what_its_order_says() {
    use InstanceStatus::*;
    for (word, expected) in [
        ("verification", Provisioning),
        ("assembling", Provisioning),
        ("complete", Provisioning),
        ("cancelled", Failed),
    ] {
        let script = waiting(word, json!({}));
        let driver = driver(&script);
        let made = driver.create(&order(&["web"])).await.unwrap().remove(0);
        let seen = driver.get(&made.id).await.unwrap().unwrap();
        assert_eq!((seen.status, seen.native_status), (expected, format!("order {word}")));
        assert_eq!(seen.fault.is_some(), expected == Failed);
        let listed = driver.list(&Scope::Token(order(&[]).token)).await.unwrap();
        assert_eq!((listed.len(), listed[0].status, &listed[0].id), (1, expected, &made.id), "{word}");
        assert!(driver.list(&Scope::Token(Token::random())).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_complete_order_without_a_server_is_believed_after_a_while() {
    let script = waiting("complete", json!({}));
    let clock = Arc::new(ManualClock::default());
    let connect = Connect { clock: clock.clone(), ..script.connect(&[("api_key", "hv-test")]) };
    let driver = Hivelocity::new(connect).unwrap();
    let made = driver.create(&order(&["web"])).await.unwrap().remove(0);
    assert!(driver.get(&made.id).await.unwrap().is_some());
    clock.advance(Duration::from_secs(601));
    assert!(driver.get(&made.id).await.unwrap().is_none());
}

#[tokio::test]
async fn nothing_is_concluded_while_an_unexplained_order_is_under_way() {
    let token = order(&[]).token;
    let hostname = convert::hostname("web", &token);
    // Another process ordered: memory does not help, and the order says nothing, a little, or everything.
    let opaque = driver(&waiting("provisioning", json!({})));
    let error = opaque.list(&Scope::Token(token.clone())).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Conflict, Retry::After(Duration::from_secs(30))));
    assert_eq!(opaque.get(&id("41007")).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert!(opaque.list(&Scope::All).await.unwrap().is_empty());
    opaque.delete(&id("41007")).await.unwrap();

    let named = driver(&waiting("provisioning", json!({"items": [{"hostname": hostname}]})));
    assert!(named.list(&Scope::Token(token.clone())).await.is_err(), "it is ours, but which device is not told");
    assert!(named.list(&Scope::Token(Token::random())).await.unwrap().is_empty());

    let info = json!([{"deviceId": 41007, "hostname": hostname, "locationName": "TPA1"}]);
    let told = driver(&waiting("provisioning", info));
    let found = told.list(&Scope::Token(token)).await.unwrap();
    assert_eq!((found[0].id.clone(), found[0].name.as_str()), (id("41007"), "web"));
    assert_eq!(told.get(&id("41007")).await.unwrap().unwrap().status, InstanceStatus::Provisioning);
    assert!(told.get(&id("41008")).await.unwrap().is_none());
    let error = told.delete(&id("41007")).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Conflict, Retry::After(Duration::from_secs(30))));
}

#[tokio::test]
async fn a_whole_machine_lives_from_order_to_end() {
    let clock = Arc::new(ManualClock::default());
    let sim = Sim::in_memory(clock.clone(), Options::default());
    let script = vendor(|_, _| missing());
    let connect =
        || Connect { clock: clock.clone(), transport: sim.transport(), ..script.connect(&[("api_key", SANDBOX_KEY)]) };
    let driver = Hivelocity::new(connect()).unwrap();
    let mut two = order(&["m-0", "m-1"]);
    (two.spec.plan, two.spec.image) = ("504".into(), "Ubuntu 24.04".into());
    let made = driver.create(&two).await.unwrap();
    let id = &made[0].id;
    let status = async |driver: &Hivelocity| driver.get(id).await.unwrap().map(|server| server.status);
    // Whoever comes later knows nothing of the order but what it tells.
    for driver in [&driver, &Hivelocity::new(connect()).unwrap()] {
        assert_eq!(status(driver).await, Some(InstanceStatus::Provisioning));
        assert_eq!(driver.list(&Scope::Token(two.token.clone())).await.unwrap().len(), 2);
    }
    clock.advance(Duration::from_secs(1800));
    assert_eq!(status(&driver).await, Some(InstanceStatus::Running));
    driver.power(id, Power::Off).await.unwrap();
    assert_eq!(status(&driver).await, Some(InstanceStatus::Running), "until it is off");
    clock.advance(Duration::from_secs(60));
    assert_eq!(status(&driver).await, Some(InstanceStatus::Stopped));
    for _ in 0..2 {
        driver.delete(id).await.unwrap();
        assert_eq!(status(&driver).await, Some(InstanceStatus::Deleting), "a cancellation takes its time");
    }
    clock.advance(Duration::from_secs(600));
    for driver in [&driver, &Hivelocity::new(connect()).unwrap()] {
        assert_eq!(status(driver).await, None);
        driver.delete(id).await.unwrap();
    }
    assert_eq!(driver.list(&Scope::All).await.unwrap().len(), 1, "the other one is left alone");
}

#[tokio::test]
async fn an_order_refused_later_says_so() {
    use capsule_sim::{Fault, What};
    let clock = Arc::new(ManualClock::default());
    let sim = Sim::in_memory(clock.clone(), Options::default());
    let script = vendor(|_, _| missing());
    let connect = script.connect(&[("api_key", SANDBOX_KEY)]);
    let driver = Hivelocity::new(Connect { clock: clock.clone(), transport: sim.transport(), ..connect }).unwrap();
    sim.inject(Fault::once(&DESCRIPTOR.id, "compute.create", What::LateFailure)).unwrap();
    let made = driver.create(&order(&["late"])).await.unwrap().remove(0);
    clock.advance(Duration::from_secs(600));
    let seen = driver.get(&made.id).await.unwrap().unwrap();
    assert_eq!(seen.status, InstanceStatus::Failed);
    assert!(seen.fault.unwrap().starts_with("Hivelocity cancelled order 9"));
    driver.delete(&made.id).await.unwrap();
    assert!(driver.get(&made.id).await.unwrap().is_none());
}
