//! The way in over TCP: one port for each provider, on loopback alone.
//!
//! Faults become what they are on a real line: connections that end without an answer, bodies that end too early. Only a
//! refused connection is not possible once the port is open; it is closed before anything is read instead, so that the
//! client cannot know whether it was heard. Every port also has a control path, `/_sandbox/`:
//!
//! | request | does |
//! |---|---|
//! | `GET /_sandbox/faults` | shows the faults, one a line |
//! | `POST /_sandbox/faults` | adds the faults in the body, one a line |
//! | `DELETE /_sandbox/faults` | takes all back |
//! | `GET /_sandbox/ledger` | the [`Ledger`](crate::Ledger) as JSON |
//! | `POST /_sandbox/reset` | an empty world again |
//! | `GET /_sandbox/names` | where names lead to, one a line: `node.example.org 198.18.0.1` |
//! | `PUT /_sandbox/names/NAME` | lets a name lead to the addresses in the body; none, and it is gone |
//! | `GET /_sandbox/authority.pem` | the certificate of the authority that signs for names |
//!
//! The port after the last provider's is a proxy to the servers' own ports, see [`guest`](crate::guest).

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use capsule_core::{Error, ErrorKind, ProviderId, Result};
use futures_util::{Stream, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::guest::proxy;
use crate::sim::{Delivery, Outcome, Sim};
use crate::transport::head;
use crate::wire::{Request, Response};

pub(crate) type Body = StreamBody<Pin<Box<dyn Stream<Item = io::Result<Frame<Bytes>>> + Send>>>;

/// A simulator that listens. Dropping it ends it.
#[derive(Debug)]
pub struct Serving {
    /// Where each provider's API is, in the order of the dialects.
    pub addresses: Vec<(ProviderId, SocketAddr)>,
    /// Where the servers are: an HTTP proxy that leads to their own ports, the port after the last provider's.
    pub network: SocketAddr,
    listeners: JoinSet<()>,
}

impl Serving {
    /// The base URL of a provider's host, such as `http://127.0.0.1:4700`, without the version path.
    pub fn base(&self, provider: &str) -> Option<String> {
        let (_, address) = self.addresses.iter().find(|(own, _)| own.as_str() == provider)?;
        Some(format!("http://{address}"))
    }

    /// Stops listening and ends every connection.
    pub async fn stop(mut self) {
        self.listeners.shutdown().await;
    }

    /// Returns when nothing listens any more, which without [`stop`](Serving::stop) is never.
    pub async fn join(mut self) {
        while self.listeners.join_next().await.is_some() {}
    }
}

impl Sim {
    /// Listens on loopback: the first provider on `port`, the next on the port after it, and the servers' network behind
    /// the last. With 0 each takes any free port.
    ///
    /// # Errors
    /// When a port is taken.
    pub async fn serve(&self, port: u16) -> Result<Serving> {
        let mut listeners = JoinSet::new();
        let mut addresses = Vec::new();
        let providers = self.shared.dialects.len();
        for (index, dialect) in self.shared.dialects.iter().enumerate() {
            let (listener, address) = bind(port, index).await?;
            addresses.push((dialect.provider(), address));
            listeners.spawn(listen(self.clone(), dialect.clone(), listener));
        }
        let (listener, network) = bind(port, providers).await?;
        listeners.spawn(proxy::listen(self.clone(), listener));
        Ok(Serving { addresses, network, listeners })
    }
}

/// The `index`th port from `port` on, or any free one.
async fn bind(port: u16, index: usize) -> Result<(TcpListener, SocketAddr)> {
    let own = match port {
        0 => Some(0),
        base => u16::try_from(index).ok().and_then(|index| base.checked_add(index)),
    };
    let own = own.ok_or_else(|| no_port(port, "there are not enough ports above it"))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, own)).await.map_err(|error| no_port(own, &error))?;
    let address = listener.local_addr().map_err(|error| no_port(own, &error))?;
    Ok((listener, address))
}

fn no_port(port: u16, why: &(impl std::fmt::Display + ?Sized)) -> Error {
    Error::new(ErrorKind::Config, format!("The simulator cannot listen on port {port}: {why}."))
        .with_hint("Choose another port.")
}

/// Accepts for ever. The connections end with it, since their tasks are its own.
async fn listen(sim: Sim, dialect: Arc<dyn Dialect>, listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(connection(sim.clone(), dialect.clone(), stream));
            }
            // A client that is gone again, or too many open files: neither ends the simulator.
            Err(error) => {
                tracing::warn!(%error, "a connection was not accepted");
                sim.clock().sleep(Duration::from_millis(50)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(sim: Sim, dialect: Arc<dyn Dialect>, stream: TcpStream) {
    let service = service_fn(|request| answer(&sim, dialect.as_ref(), request));
    // An error is a client that went away, or a fault that ended the connection.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    sim: &Sim,
    dialect: &dyn Dialect,
    request: http::Request<Incoming>,
) -> io::Result<http::Response<Body>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let host = parts.headers.get(http::header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("127.0.0.1");
    let request = Request::new(format!("http://{host}"), parts.method, &parts.uri, parts.headers.clone(), body);
    if request.path.first().is_some_and(|first| first == "_sandbox") {
        return Ok(whole(control(sim, &request)));
    }
    deliver(sim.exchange(dialect, &request).await)
}

/// An outcome as hyper sends it; it closes the connection, without an answer, when this is an error.
pub(crate) fn deliver(outcome: Outcome) -> io::Result<http::Response<Body>> {
    match outcome {
        Outcome::Refused | Outcome::Lost => Err(io::ErrorKind::ConnectionAborted.into()),
        Outcome::Answer(response, Delivery::Whole) => Ok(whole(response)),
        Outcome::Answer(response, Delivery::Truncated) => {
            let length = response.body.len().max(2);
            Ok(announce(cut(response), length))
        }
        Outcome::Answer(response, Delivery::Reset) => Ok(cut(response)),
    }
}

pub(crate) fn whole(response: Response) -> http::Response<Body> {
    let length = response.body.len();
    let out = head(&response).map(|()| body(vec![Ok(Frame::data(response.body))]));
    // A 204 must not have a length.
    if response.status == 204 { out } else { announce(out, length) }
}

/// The answer after which a connection is a tunnel: it has no body, and so no length.
pub(crate) fn tunnel() -> http::Response<Body> {
    http::Response::new(body(Vec::new()))
}

/// Half of the body, and then an error, upon which hyper ends the connection.
fn cut(response: Response) -> http::Response<Body> {
    let half = response.body.slice(..response.body.len() / 2);
    head(&response).map(|()| body(vec![Ok(Frame::data(half)), Err(io::ErrorKind::ConnectionAborted.into())]))
}

fn announce(mut response: http::Response<Body>, length: usize) -> http::Response<Body> {
    response.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
    response
}

fn body(frames: Vec<io::Result<Frame<Bytes>>>) -> Body {
    StreamBody::new(Box::pin(stream::iter(frames)))
}

/// The control path.
pub(crate) fn control(sim: &Sim, request: &Request) -> Response {
    let (method, path) = request.route();
    let done = match (method, &path[1..]) {
        ("GET", ["faults"]) => {
            sim.look(|world| world.faults.iter().map(|fault| format!("{fault}\n")).collect::<String>()).map(plain)
        }
        ("POST", ["faults"]) => add_faults(sim, &request.body).map(|count| plain(format!("{count} added\n"))),
        ("DELETE", ["faults"]) => sim.clear_faults().map(|()| Response::empty(204)),
        ("GET", ["ledger"]) => sim.ledger().map(|ledger| Response::json(200, &ledger)),
        ("POST", ["reset"]) => sim.reset().map(|()| Response::empty(204)),
        ("GET", ["names"]) => {
            sim.look(|world| world.names.iter().map(|(name, at)| format!("{name}{at}\n")).collect()).map(plain)
        }
        ("PUT", ["names", name]) => set_name(sim, name, &request.body).map(|()| Response::empty(204)),
        ("GET", ["authority.pem"]) => sim.authority().map(|der| plain(pem(&der))),
        _ => return Response::text(404, "text/plain; charset=utf-8", "There is no such control path.\n"),
    };
    done.unwrap_or_else(|error| {
        let status = if error.kind() == ErrorKind::Invalid { 400 } else { 500 };
        Response::text(status, "text/plain; charset=utf-8", format!("{error}\n"))
    })
}

fn set_name(sim: &Sim, name: &str, text: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(text);
    let addresses = text
        .split_whitespace()
        .map(|word| word.parse().map_err(|_| Error::new(ErrorKind::Invalid, format!("`{word}` is not an address."))));
    sim.set_name(name, &addresses.collect::<Result<Vec<_>>>()?)
}

/// A certificate as programs take it.
fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line) + "\n");
    format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", lines.collect::<String>())
}

fn plain(text: String) -> Response {
    Response::text(200, "text/plain; charset=utf-8", text)
}

/// All of them, or none if one is wrong.
fn add_faults(sim: &Sim, text: &[u8]) -> Result<usize> {
    let text = String::from_utf8_lossy(text);
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let faults: Vec<Fault> = lines.map(str::parse).collect::<Result<_>>()?;
    let count = faults.len();
    sim.inject_all(faults)?;
    Ok(count)
}
