//! How `ureq` gets its connections: names resolved so that a failure is known as one, and TLS by the OpenSSL that the
//! listeners have, with the same settings. What `ureq` offers for this is not settled; it is used here only.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};

use openssl::ssl::SslStream;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, TcpConnector, Transport,
    TransportAdapter,
};
use ureq::{Agent, Error};

use crate::rest::tls::client::{ShakeError, Shaker};

/// An agent with these connections. Without a shaker, the text says why there is no HTTPS.
pub(super) fn agent(config: Config, shaker: Result<Shaker, String>) -> Agent {
    let connector = ().chain(TcpConnector::default()).chain(TlsConnector(shaker));
    Agent::with_parts(config, connector, HostResolver::default())
}

/// Resolves names. One that cannot be resolved is a host that cannot be reached.
#[derive(Debug, Default)]
struct HostResolver(DefaultResolver);

impl Resolver for HostResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        if let (Ok(address), Some(port)) = (bare_host(uri).parse::<IpAddr>(), uri.port_u16()) {
            // The default resolver would start a thread for this, too.
            let mut found = self.empty();
            found.push(SocketAddr::new(address, port));
            return Ok(found);
        }
        self.0.resolve(uri, config, timeout).map_err(|error| {
            if let Error::Io(cause) = error {
                return Error::Io(io::Error::new(io::ErrorKind::HostUnreachable, cause.to_string()));
            }
            error
        })
    }
}

/// The host of a URI, an IPv6 address without its brackets.
fn bare_host(uri: &Uri) -> &str {
    uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

/// Wraps connections for `https`.
#[derive(Debug)]
struct TlsConnector(Result<Shaker, String>);

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let shaker = self.0.as_ref().map_err(|why| Error::Other(why.clone().into()))?;
        let mut stream = TransportAdapter::new(transport.boxed(), details.current_time.clone());
        stream.set_timeout(details.timeout);
        let stream = shaker.shake(bare_host(details.uri), stream).map_err(|error| match error {
            ShakeError::Io(error) => Error::from(error),
            ShakeError::Tls(why) => Error::Other(why.into()),
        })?;
        let buffers =
            LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(TlsTransport { buffers, stream })))
    }
}

/// A connection with TLS.
struct TlsTransport {
    buffers: LazyBuffers,
    stream: SslStream<TransportAdapter>,
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTransport")
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.get_mut().set_timeout(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        Ok(self.stream.write_all(output)?)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}
