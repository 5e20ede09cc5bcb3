//! The HTTP server of the worker: listeners are bound first, served later, and stopped with a deadline.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use super::door::{BoundListener, Door};
use super::http::{Handler, ListenerLabel};
use super::limits::ServerLimits;
use super::tls::{self, TlsError, TlsSettings};
use crate::stdx::time::{Clock, Deadline};

/// What threads that have nothing to do get to end, however late it is.
const THREADS_END: Duration = Duration::from_millis(250);

/// `http` or `https`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as what they are")]
pub enum Scheme {
    Http,
    Https,
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        })
    }
}

/// One of `listeners` or `admin.listeners`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Must be [`Scheme::Https`] exactly where `tls` is set.
    pub scheme: Scheme,
    /// A name or address, IPv6 with or without brackets; empty for all interfaces.
    pub host: String,
    /// 0 for any free port.
    pub port: u16,
    /// Certificates and the like.
    pub tls: Option<TlsSettings>,
    /// What it is for.
    pub label: ListenerLabel,
}

impl fmt::Display for ListenerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = bare_host(&self.host);
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{host}{close}:{}", self.scheme, self.port)
    }
}

/// A listener that is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerAddress {
    /// As configured.
    pub scheme: Scheme,
    /// Where it listens, with the port it got.
    pub address: SocketAddr,
    /// What it is for.
    pub label: ListenerLabel,
}

/// Why the server cannot listen or serve.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No address could be listened on.
    #[error("cannot listen on {listener}: {}", remedy(source))]
    Bind {
        /// The listener.
        listener: String,
        /// Why.
        source: io::Error,
    },
    /// TLS settings that cannot work.
    #[error("cannot set up TLS for {listener}")]
    Tls {
        /// The listener.
        listener: String,
        /// Why.
        source: TlsError,
    },
    /// `https` without TLS settings, or the other way round.
    #[error("listener {listener} has scheme {scheme}, which does not go with {what}")]
    Scheme {
        /// The listener.
        listener: String,
        /// Its scheme.
        scheme: Scheme,
        /// What it has or lacks.
        what: &'static str,
    },
    /// The system has no socket or thread left.
    #[error("cannot start to serve HTTP: check the limits of open files and threads")]
    Start(#[source] io::Error),
}

fn remedy(error: &io::Error) -> &'static str {
    let remedies = [
        (io::ErrorKind::AddrInUse, "the port is in use; stop what uses it or choose another, or 0 for any"),
        (io::ErrorKind::AddrNotAvailable, "this machine has no such address"),
        (io::ErrorKind::PermissionDenied, "this user may not; ports below 1024 need a privilege"),
    ];
    let known = remedies.into_iter().find(|(kind, _)| *kind == error.kind());
    known.map_or("check host and port", |(_, remedy)| remedy)
}

/// A server whose listeners are bound. Clients may connect already; they wait until it serves.
#[derive(Debug)]
pub struct BoundServer {
    listeners: Vec<BoundListener>,
    addresses: Vec<ListenerAddress>,
    limits: ServerLimits,
}

/// A server that serves. Dropped without [`HttpServer::stop`], it ends all connections at once.
#[derive(Debug)]
pub struct HttpServer {
    addresses: Vec<ListenerAddress>,
    door: Door,
    clock: Clock,
}

/// What was left when the time to stop was up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stopped {
    /// Connections ended before their answer.
    pub connections_cut: usize,
    /// Requests the handler still works on: their threads are abandoned.
    pub requests_abandoned: usize,
}

impl HttpServer {
    /// Binds all listeners and reads all certificates. Serves nothing yet.
    pub fn bind(configs: &[ListenerConfig], limits: ServerLimits) -> Result<BoundServer, ServerError> {
        let mut server = BoundServer { listeners: Vec::new(), addresses: Vec::new(), limits };
        for config in configs {
            let listener = config.to_string();
            let acceptor = match (config.scheme, &config.tls) {
                (Scheme::Http, None) => None,
                (Scheme::Https, Some(settings)) => Some(
                    tls::acceptor(settings)
                        .map_err(|source| ServerError::Tls { listener: listener.clone(), source })?,
                ),
                (scheme @ Scheme::Http, Some(_)) => {
                    return Err(ServerError::Scheme { listener, scheme, what: "TLS settings" });
                }
                (scheme @ Scheme::Https, None) => {
                    return Err(ServerError::Scheme { listener, scheme, what: "missing TLS settings" });
                }
            };
            let bound = listen(&config.host, config.port);
            let (bound, address) = bound.map_err(|source| ServerError::Bind { listener, source })?;
            server.addresses.push(ListenerAddress { scheme: config.scheme, address, label: config.label });
            server.listeners.push(BoundListener { listener: bound, label: config.label, acceptor });
        }
        Ok(server)
    }

    /// Where it listens, in the order of the configuration.
    pub fn addresses(&self) -> &[ListenerAddress] {
        &self.addresses
    }

    /// Client connections open now.
    pub fn connections_open(&self) -> usize {
        self.door.connections_open()
    }

    /// Refuses newcomers, lets requests that are complete be answered until `deadline`, then ends the rest.
    pub fn stop(mut self, deadline: Deadline) -> Stopped {
        let connections_cut = self.door.stop(deadline);
        let requests_abandoned = self.door.join(deadline.max(self.clock.deadline(THREADS_END)));
        log::debug!("HTTP server stopped; threads left: {requests_abandoned}");
        Stopped { connections_cut, requests_abandoned }
    }
}

impl BoundServer {
    /// Where it listens, in the order of the configuration.
    pub fn addresses(&self) -> &[ListenerAddress] {
        &self.addresses
    }

    /// Begins to serve.
    pub fn serve(self, handler: Arc<dyn Handler>) -> Result<HttpServer, ServerError> {
        let clock = Clock;
        let BoundServer { listeners, addresses, limits } = self;
        let door = Door::open(listeners, limits, handler, clock).map_err(ServerError::Start)?;
        Ok(HttpServer { addresses, door, clock })
    }
}

fn bare_host(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Listens on the first address of that host that can be listened on.
fn listen(host: &str, port: u16) -> io::Result<(TcpListener, SocketAddr)> {
    let host = bare_host(host);
    let listener = if host.is_empty() {
        // Both families where the system has both.
        match TcpListener::bind(("::", port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(_) => TcpListener::bind(("0.0.0.0", port))?,
            Ok(listener) => listener,
        }
    } else {
        let addresses: Vec<_> = (host, port).to_socket_addrs()?.collect();
        TcpListener::bind(addresses.as_slice())?
    };
    let address = listener.local_addr()?;
    Ok((listener, address))
}
