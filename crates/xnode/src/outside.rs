//! The one way to a node: HTTPS over [`Net`], with a trust of its own for each request.
//!
//! Redirects are not followed, answers are short, and everything ends in time.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use capsule_core::{Clock, Net};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_cert::der::{Decode, Encode};

use crate::sight::{Certificate, Pin, Port};

const DIAL_WITHIN: Duration = Duration::from_secs(5);
const SHAKE_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// No answer that is of use is longer.
const MOST_BYTES: usize = 256 << 10;

/// Where xNodes publish their manager.
const HTTPS: u16 = 443;

/// A node and the name that it is asked under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where it is.
    pub ip: IpAddr,
    /// The name in TLS and HTTP: [`crate::LOCAL_DOMAIN`], or the node's own domain.
    pub host: String,
}

/// Whose certificate is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Anybody's: to see who is there. Nothing secret may be sent.
    Anyone,
    /// Only the one with this key.
    Pinned(Pin),
    /// Only one that an authority vouches for under the name that is asked.
    Authorities,
}

/// Whose word counts about names.
#[derive(Debug, Clone)]
pub enum Authorities {
    /// Those that this machine trusts.
    System,
    /// These, such as a sandbox's own. DER.
    Given(Vec<Vec<u8>>),
}

/// Why there is no answer.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// The port is not open.
    Port(Port),
    /// It is, and there is no TLS: why.
    NoTls(String),
    /// There is TLS with another key than the known one.
    Changed(Certificate),
    /// There is TLS, and no authority vouches for it: why, and what it shows.
    Untrusted(String, Certificate),
    /// There is TLS, and no answer: why, and whose certificate.
    NoAnswer(String, Certificate),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Port(Port::Closed) => f.write_str("port 443 is closed"),
            Trouble::Port(Port::Silent) => f.write_str("port 443 does not answer"),
            Trouble::Port(Port::Unreachable) => f.write_str("there is no way to it from here"),
            Trouble::Port(Port::Open) => f.write_str("port 443 was closed at once"),
            Trouble::NoTls(why) => write!(f, "no TLS: {why}"),
            Trouble::Changed(_) => f.write_str("it shows another key than the one it was known by"),
            Trouble::Untrusted(why, _) => write!(f, "its certificate does not verify: {why}"),
            Trouble::NoAnswer(why, _) => f.write_str(why),
        }
    }
}

/// What a node answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its certificate.
    pub certificate: Certificate,
    /// The status line's number.
    pub status: u16,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// How this machine looks at nodes from outside.
#[derive(Clone)]
pub struct Outside {
    net: Arc<dyn Net>,
    clock: Arc<dyn Clock>,
    authorities: Authorities,
    dial_within: Duration,
    /// Read at the first use: few commands need them.
    roots: Arc<OnceLock<Arc<RootCertStore>>>,
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outside")
    }
}

impl Outside {
    /// Looks through `net`.
    pub fn new(net: Arc<dyn Net>, clock: Arc<dyn Clock>, authorities: Authorities) -> Self {
        Outside { net, clock, authorities, dial_within: DIAL_WITHIN, roots: Arc::default() }
    }

    /// Waits for a silent port only so long.
    #[must_use]
    pub fn dial_within(self, time: Duration) -> Self {
        Outside { dial_within: time, ..self }
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The clock that its time limits run by.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The network.
    pub fn net(&self) -> &Arc<dyn Net> {
        &self.net
    }

    /// What a port does when it is knocked at.
    pub async fn knock(&self, ip: IpAddr, port: u16) -> Port {
        match self.dial(ip, port).await {
            Ok(_) => Port::Open,
            Err(port) => port,
        }
    }

    /// Sends one request over a connection of its own.
    ///
    /// # Errors
    /// [`Trouble`]. Unless the certificate is trusted, not a byte of the request leaves this machine.
    pub async fn send(&self, to: &Endpoint, trust: &Trust, request: http::Request<Bytes>) -> Result<Reply, Trouble> {
        let stream = self.dial(to.ip, HTTPS).await.map_err(Trouble::Port)?;
        let (stream, certificate) = self.shake(stream, to, trust).await?;
        let mut request = request.map(Full::new);
        request.headers_mut().entry(http::header::HOST).or_insert(
            http::HeaderValue::from_str(&to.host).map_err(|_| Trouble::NoTls("the host name is not one".to_owned()))?,
        );
        request.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
        let answer = self.within(ANSWER_WITHIN, exchange(stream, request)).await;
        match answer {
            None => Err(Trouble::NoAnswer("it did not answer in time".to_owned(), certificate)),
            Some(Err(why)) => Err(Trouble::NoAnswer(why, certificate)),
            Some(Ok((status, headers, body))) => Ok(Reply { certificate, status, headers, body }),
        }
    }

    async fn dial(&self, ip: IpAddr, port: u16) -> Result<TcpStream, Port> {
        match self.within(self.dial_within, self.net.dial(SocketAddr::new(ip, port))).await {
            None => Err(Port::Silent),
            Some(Ok(stream)) => Ok(stream),
            Some(Err(error)) => Err(match error.kind() {
                io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => Port::Unreachable,
                io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable => Port::Silent,
                _ => Port::Closed,
            }),
        }
    }

    async fn shake(
        &self,
        stream: TcpStream,
        to: &Endpoint,
        trust: &Trust,
    ) -> Result<(TlsStream<TcpStream>, Certificate), Trouble> {
        let name = ServerName::try_from(to.host.clone())
            .map_err(|_| Trouble::NoTls(format!("`{}` is not a name that TLS knows", to.host)))?;
        let verifier = Arc::new(self.verifier(trust)?);
        let config = ClientConfig::builder_with_details(provider(), Arc::new(Time(Arc::clone(&self.clock))))
            .with_safe_default_protocol_versions()
            .map_err(|error| Trouble::NoTls(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        let shaken = self.within(SHAKE_WITHIN, TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
        let seen = verifier.seen.lock().expect("no panic happens under this lock").clone();
        match (shaken, seen) {
            (Some(Ok(stream)), Some(certificate)) => Ok((stream, certificate)),
            (Some(Err(_)), Some(seen)) if matches!(trust, Trust::Pinned(known) if *known != seen.pin) => {
                Err(Trouble::Changed(seen))
            }
            (Some(Err(error)), Some(seen)) if is_untrusted(&error) => Err(Trouble::Untrusted(why(&error), seen)),
            (Some(Err(error)), _) => Err(Trouble::NoTls(why(&error))),
            (Some(Ok(_)), None) => Err(Trouble::NoTls("it showed no certificate".to_owned())),
            (None, _) => Err(Trouble::NoTls("the handshake did not end in time".to_owned())),
        }
    }

    fn verifier(&self, trust: &Trust) -> Result<Verifier, Trouble> {
        let authorities = match trust {
            Trust::Authorities => {
                let built = WebPkiServerVerifier::builder_with_provider(self.roots(), provider()).build();
                Some(built.map_err(|error| Trouble::NoTls(format!("this machine trusts no authority: {error}")))?)
            }
            _ => None,
        };
        Ok(Verifier { trust: trust.clone(), authorities, seen: Mutex::default() })
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let read = || {
            let mut roots = RootCertStore::empty();
            let certificates = match &self.authorities {
                Authorities::System => rustls_native_certs::load_native_certs().certs,
                Authorities::Given(given) => given.iter().map(|der| CertificateDer::from(der.clone())).collect(),
            };
            roots.add_parsable_certificates(certificates);
            Arc::new(roots)
        };
        Arc::clone(self.roots.get_or_init(read))
    }

    async fn within<T>(&self, time: Duration, work: impl Future<Output = T>) -> Option<T> {
        let limit = jiff::SignedDuration::try_from(time).unwrap_or(jiff::SignedDuration::MAX);
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.clock.until(self.clock.now().saturating_add(limit).unwrap_or(Timestamp::MAX)) => None,
        }
    }
}

async fn exchange(
    stream: TlsStream<TcpStream>,
    request: http::Request<Full<Bytes>>,
) -> Result<(u16, http::HeaderMap, Bytes), String> {
    let broken = |error: hyper::Error| format!("it broke off its answer: {error}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let answer = async move {
        let (head, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
        let body = Limited::new(body, MOST_BYTES).collect().await;
        let body = body.map_err(|_| "its answer is too long or broke off".to_owned())?;
        Ok((head.status.as_u16(), head.headers, body.to_bytes()))
    };
    let (mut answer, mut connection) = (pin!(answer), pin!(connection));
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = &mut connection => answer.await,
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn is_untrusted(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

/// The reason without what stands around it.
fn why(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            "it hung up during the handshake".to_owned()
        }
        _ => error.to_string().trim_start_matches("invalid peer certificate: ").to_owned(),
    }
}

/// TLS asks for the time as well, and there is one clock.
#[derive(Debug)]
struct Time(Arc<dyn Clock>);

impl rustls::time_provider::TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

#[derive(Debug)]
struct Verifier {
    trust: Trust,
    authorities: Option<Arc<WebPkiServerVerifier>>,
    /// What the server showed, trusted or not.
    seen: Mutex<Option<Certificate>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate =
            read(end_entity).ok_or(rustls::Error::InvalidCertificate(rustls::CertificateError::BadEncoding))?;
        let pin = certificate.pin.clone();
        *self.seen.lock().expect("no panic happens under this lock") = Some(certificate);
        match (&self.trust, &self.authorities) {
            (Trust::Anyone, _) => Ok(ServerCertVerified::assertion()),
            (Trust::Pinned(known), _) if *known == pin => Ok(ServerCertVerified::assertion()),
            (Trust::Authorities, Some(authorities)) => {
                authorities.verify_server_cert(end_entity, intermediates, name, ocsp, now)
            }
            _ => Err(rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure)),
        }
    }

    // That it holds the key is checked whoever it is.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// What matters of a certificate; `None` if it is none.
fn read(der: &CertificateDer<'_>) -> Option<Certificate> {
    let certificate = x509_cert::Certificate::from_der(der).ok()?;
    let body = certificate.tbs_certificate();
    let key = body.subject_public_key_info().to_der().ok()?;
    let time = |time: x509_cert::time::Time| {
        Timestamp::from_second(i64::try_from(time.to_unix_duration().as_secs()).ok()?).ok()
    };
    Some(Certificate {
        pin: Pin::of_key(&key),
        not_before: time(body.validity().not_before)?,
        not_after: time(body.validity().not_after)?,
    })
}
