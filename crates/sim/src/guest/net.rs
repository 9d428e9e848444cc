//! The way to the guests: the sandbox's own network.
//!
//! A connection is asked for by address and port, as on any network. If something listens there at that moment, a
//! loopback socket is made for it, and behind it a task answers as the server would until the connection ends. Nothing
//! listens in between, and nothing leaves this machine.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use capsule_core::{Error, Net, ProviderId, Result};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::LazyConfigAcceptor;

use super::life::Stage;
use super::{Trouble, manager, tls};
use crate::fault::What;
use crate::serve::deliver;
use crate::sim::{Delivery, GARBAGE, Outcome, Sim, is_silent};
use crate::wire::{Request, Response};

/// Whether faults have to name an operation for it to concern them.
pub(crate) fn is_node_operation(operation: &str) -> bool {
    operation.starts_with("node.") || operation.starts_with("net.")
}

/// The network of one simulator. Connections end with it.
pub(crate) struct SandboxNet {
    sim: Sim,
    connections: Mutex<JoinSet<()>>,
}

impl fmt::Debug for SandboxNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SandboxNet")
    }
}

/// Which server.
#[derive(Debug, Clone)]
struct Whose {
    provider: ProviderId,
    id: String,
}

/// What listens at a port.
#[derive(Debug, Clone, Copy)]
enum Service {
    Ssh,
    Redirect,
    Manager,
}

impl SandboxNet {
    pub(crate) fn new(sim: Sim) -> Self {
        SandboxNet { sim, connections: Mutex::new(JoinSet::new()) }
    }

    /// A loopback connection whose other end `serve` answers.
    async fn connect<F>(&self, serve: impl FnOnce(TcpStream) -> F) -> io::Result<TcpStream>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let client = TcpStream::connect(listener.local_addr()?).await?;
        let own = client.local_addr()?;
        let server = loop {
            let (server, peer) = listener.accept().await?;
            // Whoever else found the port in this moment is not who asked for the connection.
            if peer == own {
                break server;
            }
        };
        let mut connections = self.connections.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        while connections.try_join_next().is_some() {}
        connections.spawn(serve(server));
        Ok(client)
    }
}

#[async_trait]
impl Net for SandboxNet {
    async fn dial(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let Some((provider, id, is_let_in)) = self.sim.server_at(to.ip(), to.port()).map_err(failed)? else {
            return Err(io::Error::new(io::ErrorKind::HostUnreachable, "no simulated server has this address"));
        };
        let whose = Whose { provider, id };
        let due = self.sim.due(&whose.provider, "node.dial").map_err(failed)?;
        self.sim.count(&whose.provider, "node.dial", None).map_err(failed)?;
        self.sim.delay(&due).await;
        if due.contains(&What::RefuseConnect) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let troubles: Vec<Trouble> =
            due.iter().filter_map(|what| if let What::Node(trouble) = what { Some(*trouble) } else { None }).collect();
        let now = self.sim.clock().now();
        let guest = self.sim.guest_with(&whose.provider, &whose.id, &troubles).map_err(failed)?;
        let Some(guest) = guest else { return Err(io::ErrorKind::HostUnreachable.into()) };
        let is_web = matches!(to.port(), 80 | 443);
        let hangs = due.iter().any(|what| matches!(what, What::Hang { .. } | What::LoseRequest));
        if hangs || !is_let_in || (is_web && guest.has(Trouble::ClosedHttps)) {
            self.sim.hang().await;
            return Err(io::ErrorKind::TimedOut.into());
        }
        let service = match (to.port(), guest.stage_at(now)) {
            (22, Stage::Ubuntu) => Service::Ssh,
            (80, Stage::Starting | Stage::Ready) => Service::Redirect,
            (443, Stage::Starting | Stage::Ready) => Service::Manager,
            _ => return Err(io::ErrorKind::ConnectionRefused.into()),
        };
        let sim = self.sim.clone();
        self.connect(|stream| async move {
            // An error is a client that went away, or one that does not like the certificate.
            let _ = serve(&sim, &whose, &troubles, service, stream).await;
        })
        .await
    }

    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let nobody = ProviderId::new("net");
        let due = self.sim.due(&nobody, "net.resolve").map_err(failed)?;
        self.sim.delay(&due).await;
        if due.iter().any(|what| matches!(what, What::Hang { .. } | What::LoseRequest)) {
            self.sim.hang().await;
        }
        if due.iter().any(|what| !matches!(what, What::Slow(_))) {
            return Err(io::Error::other("the name service does not answer"));
        }
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let names = self.sim.look(|world| world.names.get(&host).cloned()).map_err(failed)?;
        Ok(names.map(|name| name.addresses).unwrap_or_default())
    }
}

/// The simulator itself does not work.
fn failed(error: Error) -> io::Error {
    io::Error::other(error.to_string())
}

async fn serve(
    sim: &Sim,
    whose: &Whose,
    troubles: &[Trouble],
    service: Service,
    mut stream: TcpStream,
) -> io::Result<()> {
    match service {
        Service::Ssh => {
            stream.write_all(b"SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13.5\r\n").await?;
            // Nobody gets in; the client hangs up.
            let mut heard = [0; 1024];
            while stream.read(&mut heard).await? > 0 {}
            Ok(())
        }
        Service::Redirect => {
            answer_all(
                stream,
                |request| async move { Ok(Outcome::Answer(manager::redirect(&request), Delivery::Whole)) },
            )
            .await
        }
        Service::Manager => {
            let hello = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await?;
            let asked = hello.client_hello().server_name().map(str::to_owned);
            let now = sim.clock().now();
            let guest = sim.guest_with(&whose.provider, &whose.id, troubles).map_err(failed)?;
            let guest = guest.ok_or(io::ErrorKind::ConnectionAborted)?;
            let config = tls::server_config(&guest, asked.as_deref(), now).map_err(failed)?;
            let stream = hello.into_stream(config).await?;
            answer_all(stream, |request| manage(sim, whose, troubles, request)).await
        }
    }
}

async fn answer_all<S, A, F>(stream: S, answer: A) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Request) -> F,
    F: Future<Output = io::Result<Outcome>>,
{
    let service = service_fn(|request: http::Request<Incoming>| {
        let answer = &answer;
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
            let request = Request::new(String::new(), parts.method, &parts.uri, parts.headers, body);
            deliver(answer(request).await?)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    connection.await.map_err(io::Error::other)
}

/// One request to a node, with everything that goes wrong on its way.
async fn manage(sim: &Sim, whose: &Whose, troubles: &[Trouble], request: Request) -> io::Result<Outcome> {
    let operation = manager::operation(&request);
    let due = sim.due(&whose.provider, operation).map_err(failed)?;
    let answer = || {
        let refusal = due.iter().find_map(|what| match what {
            What::Status { code, after_effect: false } => Some(*code),
            What::RateLimit(_) => Some(429),
            _ => None,
        });
        let mut response = match refusal {
            Some(code) => Response::empty(code),
            None => answer(sim, whose, troubles, &request)?,
        };
        for what in &due {
            match what {
                What::Status { code, after_effect: true } => response = Response::empty(*code),
                What::Garbage => response.body = Bytes::from_static(GARBAGE),
                _ => {}
            }
        }
        if !is_silent(&due) {
            sim.count(&whose.provider, operation, Some(response.status))?;
        }
        Ok(response)
    };
    Ok(sim.through(&whose.provider, operation, &due, answer).await)
}

fn answer(sim: &Sim, whose: &Whose, troubles: &[Trouble], request: &Request) -> Result<Response> {
    let now = sim.clock().now();
    let Some(guest) = sim.guest_with(&whose.provider, &whose.id, troubles)? else { return Ok(Response::empty(502)) };
    let (response, change) = manager::answer(&guest, request, now);
    if let Some(change) = change {
        sim.change_node(&whose.provider, &whose.id, change)?;
    }
    Ok(response)
}
