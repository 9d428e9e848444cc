//! A look from outside, at real TLS on a loopback port.

mod node;

use std::sync::Arc;

use bytes::Bytes;
use capsule_core::{Clock, SystemClock};
use capsule_xnode::{
    Authorities, Claim, Domain, End, Endpoint, History, LOCAL_DOMAIN, Limits, Outside, Pin, Port, Sight, Stage,
    Trouble, Trust, Web, judge, look,
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
    let history = History { address_at: SystemClock.now(), passed: vec![] };
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
    let history = History { address_at: SystemClock.now(), passed: vec![] };
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
    let history = History { address_at: SystemClock.now(), passed: vec![] };
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
