//! A look from outside, at real TLS on a loopback port.

mod node;

use std::sync::Arc;

use bytes::Bytes;
use capsule_core::{Clock, ErrorKind, SystemClock};
use capsule_xnode::{
    Authorities, Claim, Domain, End, Endpoint, History, LOCAL_DOMAIN, Limits, Manager, Outside, Pin, Port, Session,
    Sight, Stage, Trouble, Trust, Web, judge, look,
};
use node::{Authority, HERE, Identity, Node, Script, TestNet, claimed, respond};

fn outside(net: TestNet, authority: Option<&Authority>) -> Outside {
    let given = authority.map(|authority| authority.der.clone()).into_iter().collect();
    Outside::new(Arc::new(net), Arc::new(SystemClock), Authorities::Given(given))
}

async fn node(identity: Identity, script: impl Fn(&str) -> String + Send + Sync + 'static) -> (Node, TestNet) {
    let node = Node::start(identity, Arc::new(script) as Script).await;
    let net = TestNet::default();
    net.lead(443, node.address);
    (node, net)
}

fn local() -> Identity {
    Identity::self_signed(LOCAL_DOMAIN, 2020..2090)
}

async fn see(net: TestNet, trust: &Trust) -> Sight {
    look(&outside(net, None), &Endpoint::local(HERE), trust).await.unwrap()
}

fn claim(sight: &Sight) -> (Option<Claim>, bool) {
    match &sight.web {
        Web::Tls { answer, .. } => (answer.claim, answer.login),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_claimed_node_sends_strangers_to_its_login() {
    let (node, net) = node(local(), claimed).await;
    let sight = see(net, &Trust::Anyone).await;
    assert_eq!((claim(&sight), sight.ssh), ((Some(Claim::Claimed), true), Port::Closed));
    let asked = node.asked.lock().unwrap().clone();
    assert!(asked[0].starts_with("GET /os/get HTTP/1.1\r\n"), "{asked:?}");
    assert_eq!(asked.len(), 2, "the redirect is not followed: {asked:?}");
    for request in &asked {
        let request = request.to_lowercase();
        assert!(request.contains("host: manager.xnode.local\r\n") && !request.contains("cookie"), "{request}");
    }
}

#[tokio::test]
async fn an_unclaimed_node_is_asked_twice_before_the_alarm() {
    let (node, net) = node(local(), |_| respond("200 OK", &[], "{}")).await;
    let sight = see(net, &Trust::Anyone).await;
    assert_eq!(claim(&sight).0, Some(Claim::Unclaimed));
    assert_eq!(node.asked.lock().unwrap().len(), 2);
    let history = History { address_at: SystemClock.now(), passed: vec![], hindrance: None };
    let found = judge("web", &history, &sight, &Limits::default(), 1, SystemClock.now());
    assert!(matches!(found.end, End::Unclaimed(_)), "{found:?}");
    assert_eq!(found.reached, [Stage::TlsUp]);
}

#[tokio::test]
async fn a_node_that_is_still_starting_is_unclear() {
    let (_node, net) = node(local(), |_| respond("502 Bad Gateway", &[], "")).await;
    assert_eq!(claim(&see(net, &Trust::Anyone).await).0, Some(Claim::Unclear));
    let (_node, net) = self::node(local(), |_| String::new()).await;
    assert_eq!(claim(&see(net, &Trust::Anyone).await).0, None);
    let (_node, net) = self::node(local(), |_| respond("200 OK", &[], &"x".repeat(1 << 20))).await;
    assert_eq!(claim(&see(net, &Trust::Anyone).await).0, None, "what is endless is no answer");
}

#[tokio::test]
async fn ports_say_what_they_do() {
    let sight = see(TestNet::default(), &Trust::Anyone).await;
    assert_eq!(sight.ssh, Port::Closed);
    assert!(matches!(sight.web, Web::Shut(Port::Closed)), "{sight:?}");
    let down = TestNet { is_down: true, ..TestNet::default() };
    let sight = see(down, &Trust::Anyone).await;
    assert_eq!(sight.ssh, Port::Unreachable);
    // Something listens on both ports, and it speaks no TLS.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let net = TestNet::default();
    net.lead(443, listener.local_addr().unwrap());
    net.lead(22, listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"SSH-2.0-OpenSSH_9.6\r\n").await;
        }
    });
    let sight = see(net, &Trust::Anyone).await;
    assert_eq!(sight.ssh, Port::Open);
    assert!(matches!(sight.web, Web::NoTls(_)), "{sight:?}");
}

#[tokio::test]
async fn a_pinned_key_is_known_again_and_another_one_is_told_nothing() {
    let (node, net) = node(local(), claimed).await;
    let outside = outside(net, None);
    let at = Endpoint::local(HERE);
    let Web::Tls { certificate, .. } = look(&outside, &at, &Trust::Anyone).await.unwrap().web else { panic!() };
    let asked = node.asked.lock().unwrap().len();
    let again = look(&outside, &at, &Trust::Pinned(certificate.pin.clone())).await.unwrap();
    assert_eq!(claim(&again).0, Some(Claim::Claimed));
    assert!(node.asked.lock().unwrap().len() > asked);

    let asked = node.asked.lock().unwrap().len();
    let other = Pin::of_key(b"another key");
    let found = look(&outside, &at, &Trust::Pinned(other.clone())).await.unwrap();
    assert!(matches!(&found.web, Web::Changed { known, seen } if *known == other && *seen == certificate), "{found:?}");
    assert_eq!(node.asked.lock().unwrap().len(), asked, "not a byte of a request may reach it");
    let history = History { address_at: SystemClock.now(), passed: vec![], hindrance: None };
    let End::Stuck(error) = judge("web", &history, &found, &Limits::default(), 1, SystemClock.now()).end else {
        panic!()
    };
    assert!(error.message().contains("ALARM: `web` shows another key"), "{error}");
}

#[tokio::test]
async fn a_domain_needs_an_authority_that_vouches_for_it() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let domain: Domain = "node.example.org".parse().unwrap();
    let at = Endpoint::domain(HERE, &domain);
    // Issued by whom, for what name, asked with which trusted -> trusted.
    let table = [
        (Identity::issued("node.example.org", &ours), true),
        (Identity::issued("other.example.org", &ours), false),
        (Identity::issued("node.example.org", &theirs), false),
        (Identity::self_signed("node.example.org", 2020..2090), false),
    ];
    for (identity, trusted) in table {
        let (node, net) = node(identity, claimed).await;
        let found = look(&outside(net, Some(&ours)), &at, &Trust::Authorities).await;
        assert_eq!(found.is_ok(), trusted, "{found:?}");
        assert_eq!(!node.asked.lock().unwrap().is_empty(), trusted, "what is not trusted is asked nothing");
    }
}

#[tokio::test]
async fn an_expired_certificate_is_seen() {
    let (_node, net) = node(Identity::self_signed(LOCAL_DOMAIN, 2020..2021), claimed).await;
    let sight = see(net, &Trust::Anyone).await;
    let history = History { address_at: SystemClock.now(), passed: vec![], hindrance: None };
    let End::Stuck(error) = judge("web", &history, &sight, &Limits::default(), 1, SystemClock.now()).end else {
        panic!("{sight:?}")
    };
    assert!(error.message().contains("expired at 2021-01-01"), "{error}");
}

#[tokio::test]
async fn requests_go_nowhere_without_trust() {
    let (node, net) = node(local(), claimed).await;
    let mut request = http::Request::new(Bytes::from_static(b"secret"));
    *request.method_mut() = http::Method::POST;
    let found = outside(net, None).send(&Endpoint::local(HERE), &Trust::Pinned(Pin::of_key(b"x")), request).await;
    assert!(matches!(found, Err(Trouble::Changed(_))), "{found:?}");
    assert!(node.asked.lock().unwrap().is_empty());
}

/// A wallet's signature for every node without a domain: made by eth-account 0.14.0.
fn login() -> Session {
    let signature = "593d483802dacf14c82fe1c08a9ab8a0c348ec35638f648b8722b0d7b34318f6\
                     5b29dbefde953e55484f0237133910b69bc3f81e912e03a16d7cf7ff551053fd1c";
    let owner = "0xFCAd0B19bB29D4674531d6f115237E16AfCE377c".parse().unwrap();
    Session::new(owner, LOCAL_DOMAIN, "2025-11-24T16:00:00Z".parse().unwrap(), signature.to_owned().into()).unwrap()
}

/// A node that lets in whoever shows the cookie that it gave.
fn guarded(request: &str) -> String {
    let is_in = request.contains("cookie: xnode_auth_signature=0x593d4838");
    match request.split(' ').nth(1).unwrap() {
        "/xnode-auth/api/login" if request.contains(r#""timestamp":"1764000000""#) => {
            let cookie = "set-cookie: xnode_auth_signature=0x593d4838; Path=/; HttpOnly";
            respond("200 OK", &[cookie], "")
        }
        "/usage/host/memory" if is_in => respond("200 OK", &[], r#"{"used":1,"total":4}"#),
        "/usage/host/cpu" if is_in => respond("200 OK", &[], r#"[{"name":"cpu0","used":12.5,"frequency":2400}]"#),
        "/usage/host/disk" if is_in => respond("200 OK", &[], r#"[{"mount_point":"/","used":1,"total":2}]"#),
        "/os/set" if is_in => respond("200 OK", &[], r#"{"request_id":7}"#),
        "/request/7/info" => respond("200 OK", &[], r#"{"commands":[],"result":{"Success":{"body":null}}}"#),
        "/request/8/info" => {
            respond("200 OK", &[], r#"{"commands":[],"result":{"Error":{"error":"no \u001b space"}}}"#)
        }
        "/request/9/info" => respond("200 OK", &[], r#"{"commands":[],"result":null}"#),
        _ => claimed(request),
    }
}

#[tokio::test]
async fn an_owner_is_let_in_at_a_node_that_is_known_and_nowhere_else() {
    let (node, net) = node(local(), guarded).await;
    let outside = outside(net, None);
    let at = Endpoint::local(HERE);
    let unknown = Manager::login(&outside, &at, &Trust::Anyone, &login()).await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Forbidden);
    let changed = Manager::login(&outside, &at, &Trust::Pinned(Pin::of_key(b"x")), &login()).await.unwrap_err();
    assert_eq!(changed.kind(), ErrorKind::Unavailable);
    let other = Endpoint { host: "node.example.org".into(), ..at.clone() };
    assert!(Manager::login(&outside, &other, &Trust::Authorities, &login()).await.is_err());
    assert!(node.asked.lock().unwrap().is_empty(), "the signature went to a node that is not known");

    let Web::Tls { certificate, .. } = look(&outside, &at, &Trust::Anyone).await.unwrap().web else { panic!() };
    let manager = Manager::login(&outside, &at, &Trust::Pinned(certificate.pin), &login()).await.unwrap();
    let usage = manager.usage().await.unwrap();
    assert_eq!((usage.memory.total, usage.cpu[0].used, usage.disk[0].used), (4, 12.5, 1));
    assert_eq!(manager.set_domain(&"node.example.org".parse().unwrap(), None).await.unwrap(), 7);
    assert!(manager.is_done(7).await.unwrap() && !manager.is_done(9).await.unwrap());
    let failed = manager.is_done(8).await.unwrap_err();
    assert_eq!(failed.message(), "The node could not do it: no  space.");
    assert!(!format!("{manager:?} {:?}", login()).contains("593d4838"), "nothing secret in Debug");
}

#[tokio::test]
async fn a_login_that_a_node_does_not_take_is_told() {
    let (_node, net) = node(local(), |request| match request.contains("/api/login") {
        true => respond("200 OK", &["set-cookie: xnode_auth_signature=0xbad; Path=/"], ""),
        false => claimed(request),
    })
    .await;
    let outside = outside(net, None);
    let at = Endpoint::local(HERE);
    let Web::Tls { certificate, .. } = look(&outside, &at, &Trust::Anyone).await.unwrap().web else { panic!() };
    let manager = Manager::login(&outside, &at, &Trust::Pinned(certificate.pin), &login()).await.unwrap();
    assert_eq!(manager.usage().await.unwrap_err().kind(), ErrorKind::Unauthenticated);
}
