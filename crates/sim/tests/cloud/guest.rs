//! What stands at servers' addresses, as somebody sees it who looks from outside.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use capsule_core::{Clock, ManualClock, Net};
use capsule_sim::{Options, Sim, Stage};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::{Client, order};

const OWNER: &str = "eth:fcad0b19bb29d4674531d6f115237e16afce377c";
/// Made by eth-account 0.14.0 for that owner, of the text for `manager.xnode.local` at 1764000000.
const SIGNATURE: &str = "0x593d483802dacf14c82fe1c08a9ab8a0c348ec35638f648b8722b0d7b34318f6\
                         5b29dbefde953e55484f0237133910b69bc3f81e912e03a16d7cf7ff551053fd1c";
/// The same for `node.example.org` at 1764000001.
const DOMAIN_SIGNATURE: &str = "0x8ae3a4eaf0384367e06dd6c4d7c1f2c9074ec35a25533cbfaff0f39b4e2b4744\
                                532927ead41e63ec9a9ee5cbc9d014eb2658ac4e569acec8107c37d8ed12a76c1c";
const LOCAL: &str = "manager.xnode.local";
const MINUTE: Duration = Duration::from_secs(60);

/// The user-data of a node, with more settings, or others.
fn user_data(settings: &str) -> String {
    let url = "https://raw.githubusercontent.com/Openmesh-Network/xnodeos/main/install.sh";
    format!(
        "#cloud-config\nruncmd:\n  - |\n    export VERSION=v1.0.0 XNODE_OWNER={OWNER}\n    {settings}\n    \
         curl -fsSL {url} | bash 2>&1 | tee /tmp/xnodeos.log\n"
    )
}

/// A world with one droplet in it.
struct Place {
    sim: Sim,
    clock: Arc<ManualClock>,
    net: Arc<dyn Net>,
    id: String,
    address: IpAddr,
}

async fn place(size: &str, user_data: Option<&str>, fault: Option<&str>) -> Place {
    let (sim, clock, client) = crate::world();
    if let Some(fault) = fault {
        sim.inject(format!("digitalocean:droplets.create:{fault}").parse().unwrap()).unwrap();
    }
    let mut body = order("web", &[]);
    body["size"] = size.into();
    if let Some(user_data) = user_data {
        body["user_data"] = user_data.into();
    }
    let made = client.post("/v2/droplets", body).await;
    assert_eq!(made.status, 202, "{:?}", made.body);
    let id = made.json()["droplet"]["id"].to_string();
    let address = sim.look(|world| IpAddr::V4(world.machine("digitalocean", &id).unwrap().ipv4)).unwrap();
    Place { net: sim.net(), sim, clock, id, address }
}

async fn node(settings: &str) -> Place {
    let place = place("s-1vcpu-2gb", Some(&user_data(settings)), None).await;
    place.clock.advance(20 * MINUTE);
    assert_eq!(place.stage(), Stage::Ready);
    place
}

/// What a port is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    Open,
    Closed,
    Silent,
    Unreachable,
}
use Port::{Closed, Open, Silent, Unreachable};

/// An answer of a node.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn header(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }
}

impl Place {
    fn stage(&self) -> Stage {
        let guest = self.sim.guest("digitalocean", &self.id).unwrap().unwrap();
        guest.stage_at(self.clock.now())
    }

    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address, port)
    }

    async fn port(&self, port: u16) -> Port {
        let limit = self.clock.now() + Duration::from_secs(5);
        tokio::select! {
            dialed = self.net.dial(self.at(port)) => match dialed.map_err(|error| error.kind()) {
                Ok(_) => Open,
                Err(std::io::ErrorKind::ConnectionRefused) => Closed,
                Err(std::io::ErrorKind::HostUnreachable) => Unreachable,
                Err(other) => panic!("{other:?}"),
            },
            () = self.clock.until(limit) => Silent,
        }
    }

    async fn ports(&self) -> [Port; 3] {
        [self.port(22).await, self.port(80).await, self.port(443).await]
    }

    /// TLS with whoever answers there, believing any certificate.
    async fn tls(&self, name: &str) -> TlsStream<TcpStream> {
        trusting::tls(self.net.dial(self.at(443)).await.unwrap(), name).await
    }

    async fn certificate(&self, name: &str) -> CertificateDer<'static> {
        let tls = self.tls(name).await;
        tls.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }

    /// Whether an ordinary client of the sandbox is content with what it is shown.
    async fn is_trusted(&self, name: &str) -> bool {
        let certificate = self.certificate(name).await;
        trusting::holds(&certificate, &self.sim.authority().unwrap(), name, self.clock.now())
    }

    async fn send(&self, name: &str, method: &str, path: &str, cookies: &str, body: Option<Value>) -> Reply {
        let mut tls = self.tls(name).await;
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {name}\r\nCookie: {cookies}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        tls.write_all(head.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        // A server that ends a connection without saying so is an error to some, and an end to us.
        let _ = tls.read_to_end(&mut all).await;
        let text = String::from_utf8_lossy(&all).into_owned();
        let (head, _) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, body: all[head.len() + 4..].to_vec(), head: head.to_owned() }
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(LOCAL, "GET", path, "", None).await
    }

    /// The cookies of a login.
    async fn login(&self, name: &str, signature: &str, timestamp: &str) -> String {
        let body = json!({ "user": OWNER, "signature": signature, "timestamp": timestamp });
        let reply = self.send(name, "POST", "/xnode-auth/api/login", "", Some(body)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let cookies = reply.header("set-cookie");
        cookies.iter().filter_map(|line| line.split(';').next()).collect::<Vec<_>>().join("; ")
    }
}

#[tokio::test]
async fn a_server_becomes_a_node_stage_by_stage() {
    let place = place("s-1vcpu-2gb", Some(&user_data("true")), None).await;
    assert_eq!((place.stage(), place.ports().await), (Stage::Dark, [Closed, Closed, Closed]));
    place.clock.advance(Duration::from_secs(30));
    assert_eq!((place.stage(), place.ports().await), (Stage::Ubuntu, [Open, Closed, Closed]));
    let mut greeting = [0; 8];
    place.net.dial(place.at(22)).await.unwrap().read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"SSH-2.0-");
    place.clock.advance(MINUTE);
    assert_eq!((place.stage(), place.ports().await), (Stage::Installing, [Closed, Closed, Closed]));
    place.clock.advance(8 * MINUTE);
    assert_eq!(place.stage(), Stage::Installing);
    place.clock.advance(Duration::from_secs(30));
    assert_eq!((place.stage(), place.ports().await), (Stage::Starting, [Closed, Open, Open]));
    assert_eq!(place.get("/os/get").await.status, 502);
    place.clock.advance(Duration::from_secs(15));
    assert_eq!((place.stage(), place.ports().await), (Stage::Ready, [Closed, Open, Open]));
    let reply = place.get("/os/get?a=b").await;
    assert_eq!(reply.status, 302);
    let login = "https://manager.xnode.local/xnode-auth?redirect=https://manager.xnode.local/os/get?a=b";
    assert_eq!(reply.header("location"), [login]);
    let mut plain = place.net.dial(place.at(80)).await.unwrap();
    plain.write_all(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    plain.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 301") && text.contains("location: https://a/x\r\n"), "{text}");
}

#[tokio::test]
async fn bare_metal_takes_half_an_hour() {
    let (sim, clock, mut client) = crate::world();
    client.base = "https://api.vultr.com".to_owned();
    let user_data = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, user_data("true"));
    let body = json!({ "region": "ewr", "plan": "vbm-4c-32gb", "os_id": 2284, "user_data": user_data });
    let made = client.post("/v2/bare-metals", body).await;
    assert_eq!(made.status, 202, "{:?}", made.body);
    let id = made.json()["bare_metal"]["id"].as_str().unwrap().to_owned();
    let stage = |minutes: u32| {
        clock.advance(minutes * MINUTE);
        sim.guest("vultr", &id).unwrap().unwrap().stage_at(clock.now())
    };
    assert_eq!(
        [stage(14), stage(2), stage(2), stage(25), stage(2)],
        [Stage::Dark, Stage::Ubuntu, Stage::Installing, Stage::Installing, Stage::Ready,]
    );
}

#[tokio::test]
async fn a_fast_world_has_nodes_sooner() {
    let clock = Arc::new(ManualClock::default());
    let sim = Sim::in_memory(clock.clone(), Options { speed: 20, ..Options::default() });
    let mut body = order("web", &[]);
    (body["size"], body["user_data"]) = ("s-1vcpu-2gb".into(), user_data("true").into());
    let made = Client::in_process(&sim).post("/v2/droplets", body).await;
    let id = made.json()["droplet"]["id"].to_string();
    clock.advance(Duration::from_secs(31));
    assert_eq!(sim.guest("digitalocean", &id).unwrap().unwrap().stage_at(clock.now()), Stage::Ready);
}

#[tokio::test]
async fn every_failure_is_seen_from_outside() {
    let wrong_name = user_data("true").replace("XNODE_OWNER", "XNODEOWNER");
    let elsewhere = user_data("true").replace("install.sh", "installer.sh");
    let good = user_data("true");
    let late = [Closed, Open, Open];
    // Size, user-data, fault; the stage after five minutes and after an hour, and the ports then.
    for (size, text, fault, soon, at_last, ports) in [
        ("s-1vcpu-2gb", None, None, Stage::Ubuntu, Stage::Ubuntu, [Open, Closed, Closed]),
        ("s-1vcpu-2gb", Some(&elsewhere), None, Stage::Ubuntu, Stage::Ubuntu, [Open, Closed, Closed]),
        ("s-1vcpu-2gb", Some(&good), Some("no-installer"), Stage::Ubuntu, Stage::Ubuntu, [Open, Closed, Closed]),
        ("s-1vcpu-1gb", Some(&good), None, Stage::Dead, Stage::Dead, [Closed; 3]),
        ("s-1vcpu-2gb", Some(&user_data("export ENCRYPTED=1")), None, Stage::Dead, Stage::Dead, [Closed; 3]),
        ("s-1vcpu-2gb", Some(&good), Some("dead-install"), Stage::Dead, Stage::Dead, [Closed; 3]),
        ("s-1vcpu-2gb", Some(&good), Some("slow-install=40m"), Stage::Installing, Stage::Ready, late),
        ("s-1vcpu-2gb", Some(&good), Some("closed-https"), Stage::Installing, Stage::Ready, [Closed, Silent, Silent]),
        ("s-1vcpu-2gb", Some(&good), Some("unclaimed"), Stage::Installing, Stage::Ready, late),
        ("s-1vcpu-2gb", Some(&wrong_name), None, Stage::Installing, Stage::Ready, late),
        ("s-1vcpu-2gb", Some(&good), Some("expired-certificate"), Stage::Installing, Stage::Ready, late),
    ] {
        let place = place(size, text.map(String::as_str), fault).await;
        place.clock.advance(5 * MINUTE);
        assert_eq!(place.stage(), soon, "{fault:?}");
        place.clock.advance(15 * MINUTE);
        if fault == Some("slow-install=40m") {
            assert_eq!(place.stage(), Stage::Installing, "{fault:?}");
        }
        place.clock.advance(40 * MINUTE);
        assert_eq!((place.stage(), place.ports().await), (at_last, ports), "{fault:?}");
        if ports == late {
            let is_open = fault == Some("unclaimed") || text == Some(&wrong_name);
            let reply = place.get("/os/get").await;
            assert_eq!(reply.status, if is_open { 200 } else { 302 }, "{fault:?}");
            if is_open {
                assert_eq!(reply.json()["xnode_owner"], Value::Null);
            }
        }
    }
}

#[tokio::test]
async fn what_is_switched_off_does_not_answer() {
    let place = node("true").await;
    let client = Client::in_process(&place.sim);
    let act = async |what: &str| {
        let path = format!("/v2/droplets/{}/actions", place.id);
        assert_eq!(client.post(&path, json!({ "type": what })).await.status, 201);
        place.clock.advance(MINUTE);
    };
    act("power_off").await;
    assert_eq!((place.stage(), place.ports().await), (Stage::Dark, [Closed; 3]));
    act("power_on").await;
    assert_eq!((place.stage(), place.port(443).await), (Stage::Ready, Open));
    client.delete(&format!("/v2/droplets/{}", place.id)).await;
    place.clock.advance(MINUTE);
    assert_eq!(place.ports().await, [Unreachable; 3]);
}

#[tokio::test]
async fn an_installation_that_is_switched_off_is_lost() {
    for (minutes, stage) in [(0, Stage::Ubuntu), (3, Stage::Dead)] {
        let place = place("s-1vcpu-2gb", Some(&user_data("true")), None).await;
        place.clock.advance(Duration::from_secs(35) + minutes * MINUTE);
        let path = format!("/v2/droplets/{}/actions", place.id);
        Client::in_process(&place.sim).post(&path, json!({ "type": "power_cycle" })).await;
        place.clock.advance(60 * MINUTE);
        assert_eq!(place.stage(), stage);
    }
}

#[tokio::test]
async fn a_login_is_believed_at_the_door_and_checked_inside() {
    let place = node("true").await;
    let good = place.login(LOCAL, SIGNATURE, "1764000000").await;
    let memory = place.send(LOCAL, "GET", "/usage/host/memory", &good, None).await.json();
    assert_eq!(memory["total"], 2048 * 1024 * 1024u64);
    assert!(memory["used"].as_u64() < memory["total"].as_u64());
    let cpu = place.send(LOCAL, "GET", "/usage/host/cpu", &good, None).await.json();
    assert!(cpu[0]["used"].is_f64() && cpu[0]["name"].is_string() && cpu[0]["frequency"].is_u64(), "{cpu}");
    let disk = place.send(LOCAL, "GET", "/usage/host/disk", &good, None).await.json();
    assert_eq!((&disk[0]["mount_point"], &disk[0]["total"]), (&json!("/"), &json!(50 * 1024 * 1024 * 1024u64)));
    let set = place.send(LOCAL, "GET", "/os/get", &good, None).await.json();
    assert_eq!((&set["xnode_owner"], &set["domain"]), (&json!(OWNER), &Value::Null));
    for (signature, timestamp) in [(SIGNATURE, "1764000001"), (DOMAIN_SIGNATURE, "1764000001"), ("0x00", "1")] {
        let bad = place.login(LOCAL, signature, timestamp).await;
        assert_eq!(place.send(LOCAL, "GET", "/usage/host/memory", &bad, None).await.status, 302, "{timestamp}");
    }
    for body in [json!({}), json!({ "user": OWNER, "signature": SIGNATURE, "timestamp": 1_764_000_000 })] {
        let reply = place.send(LOCAL, "POST", "/xnode-auth/api/login", "", Some(body)).await;
        assert_eq!(reply.status, 500, "a form that it does not take");
    }
    let ledger = place.sim.ledger().unwrap();
    assert_eq!((ledger.count("digitalocean", "node.login"), ledger.count("digitalocean", "node.usage")), (6, 6));
}

#[tokio::test]
async fn owners_are_compared_letter_by_letter() {
    let place = place("s-1vcpu-2gb", Some(&user_data("true").replace("eth:fcad", "eth:FCAD")), None).await;
    place.clock.advance(20 * MINUTE);
    let cookies = place.login(LOCAL, SIGNATURE, "1764000000").await;
    assert_eq!(place.send(LOCAL, "GET", "/os/get", &cookies, None).await.status, 302, "locked out for ever");
}

#[tokio::test]
async fn a_domain_is_certified_once_its_name_leads_there() {
    const DOMAIN: &str = "node.example.org";
    let place = node(&format!("export DOMAIN={DOMAIN}")).await;
    assert!(!place.is_trusted(DOMAIN).await);
    assert_eq!(place.net.resolve(DOMAIN).await.unwrap(), Vec::<IpAddr>::new());
    place.sim.set_name("Node.Example.org.", &[place.address, "192.0.2.1".parse().unwrap()]).unwrap();
    place.clock.advance(MINUTE);
    assert!(!place.is_trusted(DOMAIN).await, "one of two addresses is another's");
    place.sim.set_name(DOMAIN, &[place.address]).unwrap();
    assert_eq!(place.net.resolve(DOMAIN).await.unwrap(), [place.address]);
    assert!(!place.is_trusted(DOMAIN).await, "certificates take a moment");
    place.clock.advance(MINUTE);
    assert!(place.is_trusted(DOMAIN).await && !place.is_trusted(LOCAL).await);
    // A login is for one name.
    let cookies = place.login(DOMAIN, DOMAIN_SIGNATURE, "1764000001").await;
    assert_eq!(place.send(DOMAIN, "GET", "/os/get", &cookies, None).await.json()["domain"], DOMAIN);
    assert_eq!(place.send(LOCAL, "GET", "/os/get", &cookies, None).await.status, 302);
    // It is renewed in time, for ever.
    let first = place.certificate(DOMAIN).await;
    place.clock.advance(Duration::from_secs(80 * 24 * 3600));
    assert!(place.certificate(DOMAIN).await != first && place.is_trusted(DOMAIN).await);
}

#[tokio::test]
async fn a_domain_can_be_set_through_the_manager() {
    let place = node("true").await;
    let cookies = place.login(LOCAL, SIGNATURE, "1764000000").await;
    let set = json!({ "domain": "node.example.org", "acme_email": "ops@openmesh.network" });
    let asked = place.send(LOCAL, "POST", "/os/set", &cookies, Some(set.clone())).await;
    assert_eq!(asked.json(), json!({ "request_id": 1 }));
    let info = async || place.send(LOCAL, "GET", "/request/1/info", &cookies, None).await.json()["result"].clone();
    let domain = async || place.send(LOCAL, "GET", "/os/get", &cookies, None).await.json()["domain"].clone();
    assert_eq!((info().await, domain().await), (Value::Null, Value::Null));
    place.clock.advance(2 * MINUTE);
    assert_eq!((info().await, domain().await), (json!({ "Success": { "body": null } }), set["domain"].clone()));
    place.sim.set_name("node.example.org", &[place.address]).unwrap();
    place.clock.advance(MINUTE);
    assert!(place.is_trusted("node.example.org").await);
    assert_eq!(place.send(LOCAL, "POST", "/os/set", "", Some(set)).await.status, 302, "not for strangers");
}

#[tokio::test]
async fn certificates_can_be_pinned_over_processes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("world.json");
    let clock = Arc::new(ManualClock::default());
    let open = || Sim::open(&path, clock.clone(), Options::default()).unwrap();
    let mut body = order("web", &[]);
    (body["size"], body["user_data"]) = ("s-1vcpu-2gb".into(), user_data("true").into());
    let made = Client::in_process(&open()).post("/v2/droplets", body).await;
    let id = made.json()["droplet"]["id"].to_string();
    clock.advance(20 * MINUTE);
    let place = || {
        let sim = open();
        let address = sim.look(|world| IpAddr::V4(world.machine("digitalocean", &id).unwrap().ipv4)).unwrap();
        Place { net: sim.net(), sim, clock: clock.clone(), id: id.clone(), address }
    };
    let (first, second) = (place(), place());
    let pinned = first.certificate(LOCAL).await;
    clock.advance(30 * 24 * 60 * MINUTE);
    assert_eq!(second.certificate(LOCAL).await, pinned);
    assert_eq!(first.sim.authority().unwrap(), second.sim.authority().unwrap());
    first.sim.inject("*:node.dial:new-certificate".parse().unwrap()).unwrap();
    assert_ne!(second.certificate(LOCAL).await, pinned, "the fault is for whoever comes next");
    assert_eq!(first.certificate(LOCAL).await, pinned);
}

#[tokio::test]
async fn connections_and_requests_can_fail() {
    let place = node("true").await;
    let inject = |fault: &str| place.sim.inject(fault.parse().unwrap()).unwrap();
    // A fault without an operation is about the vendors' APIs.
    inject("*:*:refuse@1x*");
    assert_eq!(place.port(443).await, Open);
    inject("digitalocean:node.dial:refuse");
    inject("*:node.dial:hang@2");
    inject("*:node.dial:closed-https@3");
    inject("*:node.dial:unclaimed@4");
    assert_eq!([place.port(443).await, place.port(443).await, place.port(443).await], [Closed, Silent, Silent]);
    assert_eq!(place.get("/os/get").await.status, 200);
    inject("*:node.os_get:status=502");
    assert_eq!([place.get("/os/get").await.status, place.get("/os/get").await.status], [502, 302]);
    inject("*:net.resolve:refuse");
    place.net.resolve("node.example.org").await.unwrap_err();
    assert_eq!(place.net.resolve("node.example.org").await.unwrap(), Vec::<IpAddr>::new());
    assert_eq!(place.net.resolve("192.0.2.7").await.unwrap(), ["192.0.2.7".parse::<IpAddr>().unwrap()]);
}

#[tokio::test]
async fn other_programs_get_there_through_a_proxy() {
    let place = node("true").await;
    let serving = place.sim.serve(0).await.unwrap();
    let ask = async |request: &str| {
        let mut stream = TcpStream::connect(serving.network).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        (String::from_utf8(head).unwrap().split(' ').nth(1).unwrap().to_owned(), stream)
    };
    let connect = async |to: &str| ask(&format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n")).await;
    let put = "PUT /_sandbox/names/node.example.org HTTP/1.1\r\nHost: a\r\nContent-Length:";
    let (status, _) = ask(&format!("{put} {}\r\n\r\n{}", place.address.to_string().len(), place.address)).await;
    assert_eq!(status, "204");
    for to in [format!("{}:443", place.address), "node.example.org:443".to_owned()] {
        let (status, stream) = connect(&to).await;
        assert_eq!(status, "200");
        let shown = trusting::tls(stream, LOCAL).await.get_ref().1.peer_certificates().unwrap()[0].clone();
        assert_eq!(shown, place.certificate(LOCAL).await);
    }
    let closed = format!("{}:22", place.address);
    for (to, expected) in [(closed.as_str(), "502"), ("192.0.2.1:443", "503"), ("nowhere.example.org:443", "503")] {
        assert_eq!(connect(to).await.0, expected, "{to}");
    }
    serving.stop().await;
}

/// What clients believe.
mod trusting {
    use std::sync::Arc;
    use std::time::Duration;

    use jiff::Timestamp;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::ring::default_provider;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    /// Whether `certificate` is the authority's for `name`, and of that time.
    pub(super) fn holds(certificate: &CertificateDer<'_>, authority: &[u8], name: &str, now: Timestamp) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(authority)).unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), default_provider().into()).build();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now.as_second().try_into().unwrap()));
        verifier.unwrap().verify_server_cert(certificate, &[], &name, &[], now).is_ok()
    }

    /// TLS for a client that looks at no certificate, but wants a valid handshake.
    pub(super) async fn tls(stream: TcpStream, name: &str) -> TlsStream<TcpStream> {
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let config = builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone)).with_no_client_auth();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    #[derive(Debug)]
    struct Anyone;

    impl ServerCertVerifier for Anyone {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let algorithms = default_provider().signature_verification_algorithms;
            rustls::crypto::verify_tls12_signature(message, certificate, signed, &algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let algorithms = default_provider().signature_verification_algorithms;
            rustls::crypto::verify_tls13_signature(message, certificate, signed, &algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            default_provider().signature_verification_algorithms.supported_schemes()
        }
    }
}
