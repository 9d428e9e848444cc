//! From order to end against a scripted vendor: what is sent in which order, and what is left when something fails.

use super::*;

/// A vendor with one order in its books. `left` is the server's state before the order, `has` its user-data; each line
/// that `fails` names is answered with that status and type.
fn vendor(
    left: Option<&'static str>,
    has: bool,
    fails: &'static [(&'static str, u16, &'static str)],
) -> (Arc<Script>, Order) {
    let order = order();
    let tags = tags_of(&order);
    let made = Lock::new(left.map(str::to_owned));
    let script = Script::new(move |line, body| {
        let mut made = made.lock().unwrap();
        let asked = short(line, body);
        let fault = fails.iter().find(|(word, ..)| *word == asked);
        // A 500 to an order is one that came through.
        if asked == "POST servers" && fault.is_none_or(|(_, status, _)| *status == 500) {
            *made = Some("stopped".to_owned());
        }
        if let Some((_, status, kind)) = fault {
            return (*status, refusal(kind));
        }
        let state = made.as_deref().unwrap_or_default();
        match asked.as_str() {
            "GET servers" if line.contains(SERVER) && made.is_none() => (404, refusal("unknown_resource")),
            "GET servers" if line.contains(SERVER) => (200, json!({"server": server(state, "", &tags)}).to_string()),
            "GET servers" if made.is_none() => (200, r#"{"servers": []}"#.to_owned()),
            "GET servers" => (200, json!({"servers": [server(state, "", &tags)]}).to_string()),
            "POST servers" => (201, json!({"server": server("stopped", "", &tags)}).to_string()),
            "GET user_data" => (200, json!({"user_data": if has { vec!["cloud-init"] } else { vec![] }}).to_string()),
            "GET volumes" => (200, include_str!("../samples/volumes.json").to_owned()),
            "poweron" | "poweroff" | "terminate" | "reboot" => (202, json!({"task": {"id": "t"}}).to_string()),
            _ => (204, String::new()),
        }
    });
    (script, order)
}

#[tokio::test]
async fn an_order_is_made_given_its_user_data_and_started() {
    let (script, mut order) = vendor(None, false, &[]);
    let made = driver_with(&script, &["fr-par-1"], &[]).create(&order).await.unwrap();
    assert_eq!(asked(&script), ["POST servers", "PATCH user_data", "poweron"]);
    assert_eq!((made[0].status, made[0].native_status.as_str()), (InstanceStatus::Provisioning, "stopped"));
    assert_eq!(made[0].tags, order.spec.tags.at_birth(&order.owner, &order.token));
    let body = script.body_of("POST /instance/v1/zones/fr-par-1/servers");
    let tags = [
        "capsule-awaits=user-data".to_owned(),
        format!("capsule-owner={}", order.owner),
        format!("capsule-token={}", order.token),
    ];
    let root = json!({"name": format!("capsule-{}-{}", order.owner, order.token), "size": 20_000_000_000_u64, "volume_type": "sbs_volume"});
    assert_eq!(
        body,
        json!({"name": "a", "commercial_type": "DEV1-S", "image": "ubuntu_noble", "project": PROJECT, "tags": tags,
            "dynamic_ip_required": true, "volumes": {"0": root}})
    );
    let path = format!("PATCH /instance/v1/zones/fr-par-1/servers/{SERVER}/user_data/cloud-init");
    assert_eq!(script.body_of(&path), json!("#cloud-config"), "the text goes as it is");

    let (script, _) = vendor(None, false, &[]);
    order.spec.user_data = None;
    order.spec.disk_gib = Some(40);
    driver(&script).create(&order).await.unwrap();
    assert_eq!(asked(&script), ["POST servers", "poweron"]);
    let body = script.body_of("POST /instance/v1/zones/fr-par-1/servers");
    assert_eq!(body["volumes"]["0"]["size"], 43_000_000_000_u64, "40 GiB are a little less than 43 GB");
    assert!(!body["tags"].to_string().contains("awaits"));
}

#[tokio::test]
async fn what_a_crash_left_half_made_is_gone_on_with() {
    let (script, mut order) = vendor(Some("stopped"), false, &[]);
    let driver = driver_with(&script, &["fr-par-1"], &[]);
    let token = Scope::Token(order.token.clone());
    assert!(driver.list(&token).await.unwrap().is_empty(), "what is half made was not made");
    assert_eq!(driver.list(&Scope::Owner(order.owner.clone())).await.unwrap().len(), 1, "but it is there and costs");
    let refused = driver.power(&id(), Power::On).await.unwrap_err();
    assert!(refused.kind() == ErrorKind::Conflict && refused.message().contains("user-data"), "{refused}");
    let before = asked(&script).len();
    order.again = true;
    driver.create(&order).await.unwrap();
    assert_eq!(asked(&script)[before..], ["GET servers", "GET user_data", "PATCH user_data", "poweron"]);

    // With its user-data it is whole: found by its token, and started as any other.
    let (script, order) = vendor(Some("stopped"), true, &[]);
    let driver = driver_with(&script, &["fr-par-1"], &[]);
    let found = driver.list(&Scope::Token(order.token.clone())).await.unwrap();
    assert_eq!(found[0].status, InstanceStatus::Stopped);
    driver.power(&id(), Power::On).await.unwrap();
    assert_eq!(asked(&script).last().unwrap(), "poweron");
}

#[tokio::test]
async fn half_made_beside_whole_is_a_double_and_shown() {
    let order = order();
    let tags = tags_of(&order);
    let script = Script::new(move |line, _| {
        if line.contains("user_data") {
            return (200, r#"{"user_data": []}"#.to_owned());
        }
        let (whole, mut half) = (server("running", "booted", &tags), server("stopped", "", &tags));
        half["id"] = json!("other");
        (200, json!({"servers": [half, whole]}).to_string())
    });
    let driver = driver_with(&script, &["fr-par-1"], &[]);
    let listed = driver.list(&Scope::Token(order.token)).await.unwrap();
    let failed: Vec<&str> =
        listed.iter().filter(|one| one.status == InstanceStatus::Failed).map(|one| one.id.native.as_str()).collect();
    assert_eq!((listed.len(), failed), (2, vec!["other"]));
}

#[tokio::test]
async fn what_goes_wrong_after_the_order_is_taken_back_or_left_to_be_found() {
    let back = ["PATCH volumes", "DELETE servers", "GET volumes", "DELETE volumes"];
    for (fails, kind, effect, tail) in [
        (&[("PATCH user_data", 403, "permissions_denied")][..], ErrorKind::Forbidden, Effect::None, &back[..]),
        (&[("poweron", 503, "out_of_stock")], ErrorKind::NoCapacity, Effect::None, &back),
        (&[("poweron", 403, "quotas_exceeded")], ErrorKind::Quota, Effect::None, &back),
        (&[("poweron", 400, "precondition_failed")], ErrorKind::Conflict, Effect::None, &back),
        (
            &[("poweron", 503, "out_of_stock"), ("DELETE servers", 400, "precondition_failed")],
            ErrorKind::NoCapacity,
            Effect::Unknown,
            &["PATCH volumes", "DELETE servers"],
        ),
        (&[("PATCH user_data", 500, "internal")], ErrorKind::Unavailable, Effect::Unknown, &["PATCH user_data"]),
        (&[("poweron", 502, "internal")], ErrorKind::Unavailable, Effect::Unknown, &["poweron"]),
        (&[("poweron", 404, "unknown_resource")], ErrorKind::Unavailable, Effect::Unknown, &["poweron"]),
    ] {
        let (script, order) = vendor(None, false, fails);
        let error = driver(&script).create(&order).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (kind, effect), "{fails:?}: {error}");
        let asked = asked(&script);
        assert_eq!(asked[asked.len() - tail.len()..], *tail, "{fails:?}");
        assert_eq!(asked.iter().filter(|line| *line == "POST servers").count(), 1);
    }
}

#[tokio::test]
async fn an_order_whose_answer_is_lost_is_found_and_gone_on_with() {
    let (script, order) = vendor(None, false, &[("POST servers", 500, "internal")]);
    driver_with(&script, &["fr-par-1"], &[]).create(&order).await.unwrap();
    assert_eq!(asked(&script), ["POST servers", "GET servers", "PATCH user_data", "poweron"]);
    let nothing = Script::new(|line, _| match line.starts_with("GET") {
        true => (200, r#"{"servers": []}"#.to_owned()),
        false => (502, "<html>".to_owned()),
    });
    let error = driver(&nothing).create(&order).await.unwrap_err();
    assert_eq!((error.effect(), error.operation()), (Effect::Unknown, Some("servers.create")));
}

#[tokio::test]
async fn power_is_asked_for_only_where_it_changes_something() {
    use ErrorKind::*;
    for (state, to, expected) in [
        ("running", Power::On, Ok(None)),
        ("starting", Power::On, Ok(None)),
        ("stopped", Power::On, Ok(Some("poweron"))),
        ("stopped in place", Power::On, Ok(Some("poweron"))),
        ("stopping", Power::On, Err(Conflict)),
        ("running", Power::Off, Ok(Some("poweroff"))),
        ("stopping", Power::Off, Ok(None)),
        ("stopped", Power::Off, Ok(None)),
        // It still pays for its slot.
        ("stopped in place", Power::Off, Ok(Some("poweroff"))),
        ("running", Power::Reboot, Ok(Some("reboot"))),
        ("stopped", Power::Reboot, Err(Conflict)),
        ("stopped in place", Power::Reboot, Err(Conflict)),
        ("running", Power::ForceOff, Err(Unsupported)),
    ] {
        let (script, _) = vendor(Some(state), true, &[]);
        let answer = driver(&script).power(&id(), to).await;
        assert_eq!(answer.map_err(|error| error.kind()), expected.map(drop), "{to} of {state}");
        let acted = asked(&script).into_iter().find(|line| !line.starts_with("GET"));
        assert_eq!(acted.as_deref(), expected.unwrap_or(None), "{to} of {state}");
    }
    let (script, _) = vendor(None, true, &[]);
    assert_eq!(driver(&script).power(&id(), Power::On).await.unwrap_err().kind(), NotFound);
    assert!(driver(&script).get(&id()).await.unwrap().is_none());
    let strange = InstanceId::new("scaleway", "fr-par-1", "../..");
    assert_eq!(driver(&script).get(&strange).await.unwrap_err().kind(), Invalid);
    let page = Script::new(|_, _| (404, "<html>".to_owned()));
    assert_eq!(driver(&page).get(&id()).await.unwrap_err().kind(), Protocol, "a stranger's 404 is no end");
}

#[tokio::test]
async fn an_end_takes_the_root_volume_along() {
    for (state, lines) in [
        (Some("running"), &["GET servers", "PATCH volumes", "terminate"][..]),
        (Some("stopped in place"), &["GET servers", "PATCH volumes", "terminate"]),
        (Some("stopped"), &["GET servers", "PATCH volumes", "DELETE servers", "GET volumes", "DELETE volumes"]),
        (None, &["GET servers", "GET volumes", "DELETE volumes"]),
    ] {
        let (script, _) = vendor(state, true, &[]);
        driver(&script).delete(&id()).await.unwrap();
        assert_eq!(asked(&script), lines, "{state:?}");
        // Of the two volumes that are listed, one carries the mark; the server's other volume is left alone.
        assert!(script.asked().iter().filter(|line| line.contains("/volumes/")).all(|line| line.ends_with(ROOT)));
        if state.is_some() {
            let body = script.body_of(&format!("PATCH /block/v1/zones/fr-par-1/volumes/{ROOT}"));
            assert_eq!(body, json!({"tags": [format!("capsule-server={SERVER}")]}));
        }
    }
    // A volume that never comes off is told, and the call can be made again.
    let (script, _) = vendor(None, true, &[("DELETE volumes", 400, "precondition_failed")]);
    let error = driver(&script).delete(&id()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Conflict, Retry::Backoff));
    assert!(error.message().contains("still costs money"), "{error}");
    let (script, _) = vendor(Some("starting"), true, &[("terminate", 400, "precondition_failed")]);
    assert_eq!(driver(&script).delete(&id()).await.unwrap_err().retry(), Retry::Backoff);
}
