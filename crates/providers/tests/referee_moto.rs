//! The AWS driver against moto, an EC2 that we did not write.
//!
//! `CAPSULE_MOTO_URL=http://127.0.0.1:5000 cargo test -p capsule-providers --test referee_moto`; it is no part of a plain
//! `cargo test`, and without the variable it fails. `CAPSULE_MOTO_IMAGE` names another image than moto's usual one.
//! moto makes two servers for one client token, has no prices and starts terminated servers: that is not looked at here.
//! With `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` of an IAM user in it, and its checks of signatures switched on, it
//! judges those as well.

use std::sync::Arc;

use capsule_core::http::{HttpTransport, Ledgers};
use capsule_core::{
    Connect, Effect, ErrorKind, InstanceId, InstanceSpec, InstanceStatus, Order, OwnerId, Power, Provider, Scope,
    SettingValue, Settings, SshKey, SystemClock, Tags, Token,
};
use capsule_providers::find;

const REGION: &str = "eu-west-1";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUyyLjK8xLVs7m8xLpLbYmSoOgNv3dcCQ7Vq6yFLgwe somebody";

async fn provider(regions: &[&str]) -> Arc<dyn Provider> {
    let url = std::env::var("CAPSULE_MOTO_URL").expect("CAPSULE_MOTO_URL names a running moto server");
    let mut settings = Settings { endpoint: Some(url.parse().unwrap()), ..Settings::default() };
    settings.regions = regions.iter().map(|region| (*region).to_owned()).collect();
    for (key, env, default) in
        [("access_key", "AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("secret_key", "AWS_SECRET_ACCESS_KEY", "secret")]
    {
        let value = std::env::var(env).unwrap_or_else(|_| default.to_owned());
        settings.values.insert(key.to_owned(), SettingValue { value: value.into(), source: "test".to_owned() });
    }
    let (transport, ledgers) = (Arc::new(HttpTransport::new()), Ledgers::default());
    let connect = Connect { settings, transport, clock: Arc::new(SystemClock), ledgers };
    (find("aws").unwrap().connect)(connect).await.unwrap()
}

fn order(name: &str) -> Order {
    let mut tags = Tags::new();
    tags.insert("team", "a & b <ü>");
    let image = std::env::var("CAPSULE_MOTO_IMAGE").unwrap_or_else(|_| "ami-12c6146b".to_owned());
    Order {
        token: Token::random(),
        again: false,
        owner: OwnerId::random(),
        names: vec![name.to_owned()],
        spec: InstanceSpec {
            plan: "t3.micro".to_owned(),
            region: REGION.to_owned(),
            image,
            disk_gib: Some(30),
            ssh_keys: vec![SshKey::Public(KEY.to_owned())],
            user_data: Some("#cloud-config\n".to_owned()),
            tags,
        },
    }
}

#[tokio::test]
async fn a_server_lives_and_dies() {
    // All regions would do as well, but moto lists those of the government too, which take no other account's key.
    let aws = provider(&[REGION, "us-east-1"]).await;
    let order = order("first");
    let made = aws.create(&order).await.unwrap().remove(0);
    assert_eq!((made.name.as_str(), made.plan.as_str()), ("first", "t3.micro"));

    let found = aws.list(&Scope::Token(order.token.clone())).await.unwrap();
    assert_eq!(found.iter().map(|i| &i.id).collect::<Vec<_>>(), [&made.id]);
    assert_eq!(found[0].tags, order.spec.tags.at_birth(&order.owner, &order.token));
    assert_eq!(aws.list(&Scope::Owner(order.owner.clone())).await.unwrap().len(), 1);
    assert!(aws.list(&Scope::All).await.unwrap().iter().any(|i| i.id == made.id));

    let shown = aws.get(&made.id).await.unwrap().unwrap();
    assert_eq!(shown.status, InstanceStatus::Running);
    assert!(shown.addresses.primary().is_some() && shown.created_at.is_some());
    assert!(shown.metadata.get().contains("a & b <ü>"));
    let disks = aws.disks().unwrap().of(std::slice::from_ref(&made.id)).await.unwrap();
    let [disk] = &disks[&made.id][..] else { panic!("{disks:?}") };
    // Whether it ends with its server is the one thing that moto leaves out of a volume.
    assert_eq!((disk.bytes >> 30, disk.kind.as_str(), disk.is_usual), (30, "gp3", true));

    for (to, status) in [
        (Power::On, InstanceStatus::Running),
        (Power::Reboot, InstanceStatus::Running),
        (Power::Off, InstanceStatus::Stopped),
        (Power::ForceOff, InstanceStatus::Stopped),
        (Power::On, InstanceStatus::Running),
    ] {
        aws.power(&made.id, to).await.unwrap();
        assert_eq!(aws.get(&made.id).await.unwrap().unwrap().status, status, "{to}");
    }

    // It has the mark of its own installation, and is no other one's.
    let marking = aws.marking().unwrap();
    marking.mark(&made.id, &order.owner).await.unwrap();
    let refused = marking.mark(&made.id, &OwnerId::random()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_eq!(aws.get(&made.id).await.unwrap().unwrap().tags, shown.tags);

    aws.delete(&made.id).await.unwrap();
    assert!(aws.get(&made.id).await.unwrap().is_none());
    assert!(aws.list(&Scope::Token(order.token)).await.unwrap().is_empty());
    aws.delete(&made.id).await.unwrap();
}

#[tokio::test]
async fn missing_servers_are_missing() {
    let aws = provider(&[REGION]).await;
    let id = InstanceId::new("aws", REGION, "i-0123456789abcdef0");
    assert!(aws.get(&id).await.unwrap().is_none());
    aws.delete(&id).await.unwrap();
    for to in [Power::On, Power::Off, Power::ForceOff, Power::Reboot] {
        assert_eq!(aws.power(&id, to).await.unwrap_err().kind(), ErrorKind::NotFound, "{to}");
    }
}

#[tokio::test]
async fn refused_orders_leave_nothing() {
    let aws = provider(&[REGION]).await;
    let wrong = |change: fn(&mut InstanceSpec)| {
        let mut order = order("refused");
        change(&mut order.spec);
        order
    };
    for order in [
        wrong(|spec| spec.plan = "t99.huge".to_owned()),
        wrong(|spec| spec.image = "ami-00000000000000000".to_owned()),
        wrong(|spec| spec.ssh_keys = vec![SshKey::Existing("nobody-has-this".to_owned())]),
    ] {
        let error = aws.create(&order).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Invalid, Effect::None), "{error}");
        assert!(aws.list(&Scope::Token(order.token)).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn the_account_and_its_offers_are_shown() {
    let aws = provider(&[REGION]).await;
    assert!(aws.verify().await.unwrap().id.starts_with("arn:aws"));
    let catalog = aws.catalog().await.unwrap();
    let micro = catalog.plan("t3.micro").unwrap();
    assert_eq!((micro.vcpus, micro.memory_mib, micro.disk_elastic), (2, 1024, true));
    assert!(catalog.offer("t3.micro", REGION).is_some());
    assert!(catalog.image_for("ubuntu-24.04", micro, REGION).is_some());
}
