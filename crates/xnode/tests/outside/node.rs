//! A node of our own on a loopback port: TLS, and a script that answers.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use capsule_core::Net;
use rcgen::{CertificateParams, Issuer, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Where all nodes of these tests are. Documentation addresses lead nowhere by themselves.
pub(crate) const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

/// Ports of [`HERE`] and where they lead; what is not in it is refused.
#[derive(Debug, Default)]
pub(crate) struct TestNet {
    pub(crate) ports: Mutex<HashMap<u16, SocketAddr>>,
    pub(crate) is_down: bool,
}

impl TestNet {
    pub(crate) fn lead(&self, port: u16, to: SocketAddr) {
        self.ports.lock().unwrap().insert(port, to);
    }
}

#[async_trait]
impl Net for TestNet {
    async fn dial(&self, to: SocketAddr) -> io::Result<TcpStream> {
        assert_eq!(to.ip(), HERE);
        if self.is_down {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        let found = self.ports.lock().unwrap().get(&to.port()).copied();
        TcpStream::connect(found.ok_or(io::ErrorKind::ConnectionRefused)?).await
    }

    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![HERE])
    }
}

/// An authority that these tests trust, or not.
pub(crate) struct Authority {
    pub(crate) der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Authority { der, issuer: Issuer::new(params, key) }
    }
}

/// What a node shows of itself.
pub(crate) struct Identity {
    chain: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    fn params(name: &str, years: std::ops::Range<i32>) -> CertificateParams {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
        params
    }

    pub(crate) fn self_signed(name: &str, years: std::ops::Range<i32>) -> Self {
        let key = KeyPair::generate().unwrap();
        let chain = Self::params(name, years).self_signed(&key).unwrap().der().clone();
        Identity { chain, key: PrivatePkcs8KeyDer::from(key.serialize_der()).into() }
    }

    pub(crate) fn issued(name: &str, authority: &Authority) -> Self {
        let key = KeyPair::generate().unwrap();
        let chain = Self::params(name, 2020..2090).signed_by(&key, &authority.issuer).unwrap().der().clone();
        Identity { chain, key: PrivatePkcs8KeyDer::from(key.serialize_der()).into() }
    }
}

/// Answers a request's head and body with a whole response.
pub(crate) type Script = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// A node that runs until the test ends, and what it was asked.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
}

impl Node {
    pub(crate) async fn start(identity: Identity, script: Script) -> Node {
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![identity.chain], identity.key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&asked);
        // It ends with the test's runtime.
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let Some(request) = read(&mut stream).await else { continue };
                heard.lock().unwrap().push(request.clone());
                let _ = stream.write_all(script(&request).as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        Node { address, asked }
    }
}

/// The whole request as text.
async fn read(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text);
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// A response.
pub(crate) fn respond(status: &str, headers: &[&str], body: &str) -> String {
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

/// A claimed node's answers to strangers.
pub(crate) fn claimed(request: &str) -> String {
    if request.starts_with("GET /xnode-auth") {
        return respond("200 OK", &[], "log in");
    }
    respond("302 Found", &["location: /xnode-auth?redirect=%2Fos%2Fget"], "")
}
