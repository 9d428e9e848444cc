//! The way to the guests for other programs: an HTTP proxy on loopback.
//!
//! `CONNECT 198.18.0.1:443` leads to a server by its address, `CONNECT node.example.org:443` by a name of the sandbox:
//! what `curl --proxy http://127.0.0.1:PORT https://...` asks for. A closed port is answered with 502, an address that
//! nobody has with 503; what drops packets does not answer.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use capsule_core::Net;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::serve::{Body, control, tunnel, whole};
use crate::sim::Sim;
use crate::wire::{Request, Response};

/// Accepts for ever. The connections end with it, since their tasks are its own.
pub(crate) async fn listen(sim: Sim, listener: TcpListener) {
    let net = sim.net();
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (sim, net) = (sim.clone(), net.clone());
        connections.spawn(async move {
            // An error is a client that went away.
            let _ = connection(&sim, &net, stream).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(sim: &Sim, net: &Arc<dyn Net>, stream: TcpStream) -> io::Result<()> {
    // The tunnel, once it is agreed upon: it begins where the last answer ends.
    let (agreed, mut tunnels) = tokio::sync::mpsc::unbounded_channel();
    let service = service_fn(|request: http::Request<Incoming>| {
        let agreed = agreed.clone();
        async move {
            let (response, tunnel) = answer(sim, net, request).await?;
            if let Some(tunnel) = tunnel {
                // Whoever waits for it lives as long as this connection.
                let _ = agreed.send(tunnel);
            }
            Ok::<_, io::Error>(response)
        }
    });
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    served.with_upgrades().await.map_err(io::Error::other)?;
    if let Ok((client, mut server)) = tunnels.try_recv() {
        let client = client.await.map_err(io::Error::other)?;
        copy_bidirectional(&mut TokioIo::new(client), &mut server).await?;
    }
    Ok(())
}

type Tunnel = (hyper::upgrade::OnUpgrade, TcpStream);

async fn answer(
    sim: &Sim,
    net: &Arc<dyn Net>,
    mut request: http::Request<Incoming>,
) -> io::Result<(http::Response<Body>, Option<Tunnel>)> {
    let text = |status: u16, text: String| whole(Response::text(status, "text/plain; charset=utf-8", text + "\n"));
    if request.method() != http::Method::CONNECT {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let request = Request::new(String::new(), parts.method, &parts.uri, parts.headers, body);
        return Ok((whole(control(sim, &request)), None));
    }
    let client = hyper::upgrade::on(&mut request);
    let Some((host, port)) = request.uri().authority().and_then(|to| Some((to.host(), to.port_u16()?))) else {
        return Ok((text(400, "Write CONNECT HOST:PORT.".to_owned()), None));
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let addresses: Vec<IpAddr> = net.resolve(host).await?;
    let Some(address) = addresses.first() else {
        return Ok((text(503, format!("{host} is no address and no name of the sandbox.")), None));
    };
    match net.dial(SocketAddr::new(*address, port)).await {
        Ok(server) => Ok((tunnel(), Some((client, server)))),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Ok((text(502, format!("Port {port} of {host} is closed.")), None))
        }
        Err(error) => Ok((text(503, format!("{host} cannot be reached: {error}.")), None)),
    }
}
