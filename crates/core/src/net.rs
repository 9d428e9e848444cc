//! The way to a server's own ports, for whoever looks at it from outside.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use tokio::net::{TcpStream, lookup_host};

/// The network between here and the servers. A sandbox has one of its own, in which its machines' addresses lead to
/// loopback ports.
#[async_trait]
pub trait Net: fmt::Debug + Send + Sync + 'static {
    /// Opens a connection. How long that may take is the caller's concern.
    ///
    /// # Errors
    /// As the system says it: [`io::ErrorKind::ConnectionRefused`] is a closed port.
    async fn dial(&self, to: SocketAddr) -> io::Result<TcpStream>;

    /// The addresses of a host name, in the order in which they were told; empty when it has none.
    ///
    /// # Errors
    /// When that cannot be found out.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The network of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemNet;

#[async_trait]
impl Net for SystemNet {
    async fn dial(&self, to: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(to).await
    }

    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}
