//! One connection to a broker for what librdkafka cannot say: the group of workers, single offsets of others, and what
//! became of transactions.
//!
//! Nothing here blocks but a [`talk::BrokerTalk`]. A [`BrokerConnection`] is driven by one thread, which waits for
//! readiness (`mio`), for its next deadline, and for the addresses of the host. What is said over it is a
//! [`conversation::Conversation`], which does no IO. Librdkafka apart, these are the only connections to brokers.

pub mod api;
pub mod conversation;
pub mod coordinator;
mod dial;
mod fault;
mod frames;
mod shape;
pub mod talk;

use std::fmt;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_protocol::protocol::StrBytes;
use mio::net::TcpStream;
use mio::{Registry, Token};
use openssl::ssl::{ErrorCode, SslStream};

pub use self::fault::{SocketFault, SocketFaultKind};
pub use self::frames::{FRAME_BYTES_MAX, SETUP_FRAME_BYTES_MAX};

use self::api::Ask;
use self::conversation::{Conversation, CorrelationId, Heard};
use self::dial::Dial;
use super::fault::{FaultKind, KafkaFault};
use super::security::Security;
use crate::config::client::ClientSettings;
use crate::stdx::time::Now;

/// Which part of the life of a login is used before it is renewed.
const LOGIN_USED: f64 = 0.85;
const READ_BYTES: usize = 16 * 1024;

/// A text of a message.
pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// What all connections of one client have in common.
#[derive(Debug, Clone)]
pub struct ConnectionSettings {
    /// How the client names itself in each request.
    pub client_id: String,
    /// TLS and login.
    pub security: Security,
    /// How long it may take until a broker has let us in.
    pub setup_timeout: Duration,
}

impl ConnectionSettings {
    /// Of the settings of the worker's own clients, in librdkafka's names. Those about buffers, idle connections and
    /// metadata have no effect: the connections carry a few small messages, and are never idle for long.
    ///
    /// # Errors
    /// A setting that these connections cannot keep.
    pub fn from_client(client_id: &str, settings: &ClientSettings) -> Result<Self, KafkaFault> {
        let refused =
            |detail: String| KafkaFault::other("connect to a coordinator", FaultKind::Config, detail);
        if let Some(lookup) = settings.get("client.dns.lookup")
            && lookup != "use_all_dns_ips"
        {
            return Err(refused(format!("client.dns.lookup={lookup}: use use_all_dns_ips")));
        }
        let setup_timeout = match settings.get("socket.connection.setup.timeout.ms").map(str::parse) {
            None => Duration::from_secs(10),
            Some(Ok(millis)) => Duration::from_millis(millis),
            Some(Err(_)) => {
                return Err(refused("socket.connection.setup.timeout.ms is no number".to_owned()));
            }
        };
        let security = Security::from_settings(settings)?;
        Ok(ConnectionSettings { client_id: client_id.to_owned(), security, setup_timeout })
    }
}

/// A connection to one broker. After an error it is over: drop it.
pub struct BrokerConnection {
    broker: Arc<str>,
    host: String,
    settings: Arc<ConnectionSettings>,
    token: Token,
    phase: Phase,
    conversation: Conversation,
    setup_ends: Option<Instant>,
    renew_login_at: Option<Instant>,
}

enum Phase {
    /// The addresses of the host are not known yet.
    Resolving,
    Dialing(Dial),
    Shaking(Box<SslStream<TcpStream>>),
    Talking(Stream),
    Over,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<SslStream<TcpStream>>),
}

impl fmt::Debug for BrokerConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerConnection").field("broker", &self.broker).finish_non_exhaustive()
    }
}

impl BrokerConnection {
    /// A connection that begins once the addresses of the host are given. `broker` is what messages call it; its
    /// readiness is told with the token.
    pub fn new(
        broker: Arc<str>,
        host: &str,
        settings: Arc<ConnectionSettings>,
        token: Token,
        now: Now,
    ) -> Self {
        BrokerConnection {
            conversation: Conversation::of(Arc::clone(&broker), &settings),
            broker,
            host: host.to_owned(),
            setup_ends: Some(now.instant + settings.setup_timeout),
            settings,
            token,
            phase: Phase::Resolving,
            renew_login_at: None,
        }
    }

    /// Tells the addresses of the host. May be told again: those learnt later count for further attempts.
    pub fn set_addresses(&mut self, now: Now, addresses: Vec<SocketAddr>) {
        match &mut self.phase {
            Phase::Resolving => self.phase = Phase::Dialing(Dial::new(addresses, now.instant)),
            Phase::Dialing(dial) => dial.set_addresses(addresses),
            Phase::Shaking(_) | Phase::Talking(_) | Phase::Over => {}
        }
    }

    /// Tells that the host has no address that can be found. Only matters if none was told before.
    ///
    /// # Errors
    /// The connection is over.
    pub fn has_no_address(&mut self, why: &io::Error) -> Result<(), SocketFault> {
        match self.phase {
            Phase::Resolving => {
                let host = &self.host;
                Err(self
                    .over(SocketFaultKind::Unreachable, format!("the name {host} cannot be resolved: {why}")))
            }
            Phase::Dialing(_) | Phase::Shaking(_) | Phase::Talking(_) | Phase::Over => Ok(()),
        }
    }

    /// Sends a request in the highest version that both sides speak; `make` makes it for a version.
    ///
    /// # Errors
    /// The connection is over, or both sides have no version in common.
    pub fn ask<R: Ask>(
        &mut self,
        now: Now,
        make: impl FnOnce(i16) -> R,
    ) -> Result<CorrelationId, SocketFault> {
        if self.renew_login_at.is_some_and(|at| at <= now.instant) && !self.conversation.is_waiting() {
            self.renew_login_at = None;
            self.conversation.renew_login()?;
        }
        let correlation = self.conversation.ask(make)?;
        self.send()?;
        Ok(correlation)
    }

    /// When it has to be driven even if nothing is ready.
    pub fn next_deadline(&self) -> Option<Instant> {
        let dial = match &self.phase {
            Phase::Dialing(dial) => Some(dial.next_deadline()),
            Phase::Resolving | Phase::Shaking(_) | Phase::Talking(_) | Phase::Over => None,
        };
        dial.into_iter().chain(self.setup_ends).min()
    }

    /// Does all that can be done now. Its sockets are registered with `registry`.
    ///
    /// # Errors
    /// The connection is over.
    pub fn drive(
        &mut self,
        now: Now,
        registry: &Registry,
        heard: &mut Vec<Heard>,
    ) -> Result<(), SocketFault> {
        let heard_before = heard.len();
        loop {
            match std::mem::replace(&mut self.phase, Phase::Over) {
                Phase::Dialing(dial) => {
                    if !self.dial(now, registry, dial)? {
                        break;
                    }
                }
                Phase::Shaking(stream) => {
                    if !self.shake(stream)? {
                        break;
                    }
                }
                Phase::Talking(stream) => {
                    self.phase = Phase::Talking(stream);
                    self.send()?;
                    self.receive(now, heard)?;
                    break;
                }
                phase @ (Phase::Resolving | Phase::Over) => {
                    self.phase = phase;
                    break;
                }
            }
        }
        if heard.iter().skip(heard_before).any(|it| matches!(it, Heard::Ready)) {
            self.setup_ends = None;
            let lasts = self.conversation.take_login_lasts();
            self.renew_login_at = lasts.map(|lasts| now.instant + lasts.mul_f64(LOGIN_USED));
        }
        if self.setup_ends.is_some_and(|ends| ends <= now.instant) {
            return Err(self.setup_took_too_long());
        }
        Ok(())
    }

    fn setup_took_too_long(&mut self) -> SocketFault {
        let doing = match &self.phase {
            Phase::Resolving => "its name is not resolved",
            Phase::Dialing(_) => "no connection came about",
            Phase::Shaking(_) => "it did not finish the handshake of TLS",
            Phase::Talking(_) | Phase::Over => "it did not answer",
        };
        let millis = self.settings.setup_timeout.as_millis();
        self.over(SocketFaultKind::Unreachable, format!("{doing} within {millis} ms"))
    }

    /// Whether there is a connection now.
    fn dial(&mut self, now: Now, registry: &Registry, mut dial: Dial) -> Result<bool, SocketFault> {
        let connected = dial
            .poll(now.instant, registry, self.token)
            .map_err(|error| self.over(SocketFaultKind::Unreachable, format!("cannot connect: {error}")))?;
        let Some(stream) = connected else {
            self.phase = Phase::Dialing(dial);
            return Ok(false);
        };
        self.phase = match &self.settings.security.tls {
            None => {
                self.conversation.begin()?;
                Phase::Talking(Stream::Plain(stream))
            }
            Some(tls) => {
                let session = tls.session(&self.host).and_then(|session| SslStream::new(session, stream));
                let session =
                    session.map_err(|error| self.over(SocketFaultKind::Tls, format!("TLS: {error}")))?;
                Phase::Shaking(Box::new(session))
            }
        };
        Ok(true)
    }

    /// Whether the handshake of TLS is done.
    fn shake(&mut self, mut stream: Box<SslStream<TcpStream>>) -> Result<bool, SocketFault> {
        match stream.connect() {
            Ok(()) => {
                self.conversation.begin()?;
                self.phase = Phase::Talking(Stream::Tls(stream));
                Ok(true)
            }
            Err(error) if matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE) => {
                self.phase = Phase::Shaking(stream);
                Ok(false)
            }
            Err(error) => {
                let verified = stream.ssl().verify_result();
                let why = if verified == openssl::x509::X509VerifyResult::OK {
                    error.to_string()
                } else {
                    format!("its certificate is not trusted: {}", verified.error_string())
                };
                Err(self.over(SocketFaultKind::Tls, format!("the handshake of TLS failed: {why}")))
            }
        }
    }

    fn send(&mut self) -> Result<(), SocketFault> {
        let Phase::Talking(stream) = &mut self.phase else { return Ok(()) };
        while !self.conversation.unsent().is_empty() {
            match stream.write(self.conversation.unsent()) {
                Ok(0) => return Err(self.ended(None)),
                Ok(count) => self.conversation.sent(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.ended(Some(&error))),
            }
        }
        Ok(())
    }

    fn receive(&mut self, now: Now, heard: &mut Vec<Heard>) -> Result<(), SocketFault> {
        let mut buffer = [0; READ_BYTES];
        loop {
            let Phase::Talking(stream) = &mut self.phase else { return Ok(()) };
            match stream.read(&mut buffer) {
                Ok(0) => return Err(self.ended(None)),
                Ok(count) => {
                    let bytes = buffer.get(..count).unwrap_or_default();
                    self.conversation.received(now, bytes, heard)?;
                    // An answer may lead to the next message at once.
                    self.send()?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.ended(Some(&error))),
            }
        }
    }

    fn ended(&mut self, error: Option<&io::Error>) -> SocketFault {
        let why = error
            .map_or("it closed the connection".to_owned(), |error| format!("the connection ended: {error}"));
        let hint = if self.setup_ends.is_some() {
            " before it let us in; is security.protocol that of its port?"
        } else {
            ""
        };
        self.over(SocketFaultKind::Closed, format!("{why}{hint}"))
    }

    fn over(&mut self, kind: SocketFaultKind, detail: String) -> SocketFault {
        self.phase = Phase::Over;
        SocketFault::new(&self.broker, kind, detail)
    }
}

impl Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }
}

#[cfg(test)]
mod tests;
