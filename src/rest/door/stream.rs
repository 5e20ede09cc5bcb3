//! The bytes of one client connection, with or without TLS, under deadlines.
//!
//! A socket's own timeout starts anew with each byte; a deadline does not. So each read asks what is left. The
//! timeout that the socket already has is not set again: the first read of a wait costs one system call.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use openssl::ssl::{ShutdownResult, SslStream};

use super::connections::Connection;
use crate::rest::tls::{self, Acceptor, TlsPeer};
use crate::stdx::time::{Clock, Deadline};

/// A connection as its own thread sees it.
#[derive(Debug)]
pub(super) enum Stream {
    Plain(Timed),
    Tls(Box<SslStream<Timed>>),
}

/// A socket whose reads and writes end at a deadline.
#[derive(Debug)]
pub(super) struct Timed {
    connection: Arc<Connection>,
    clock: Clock,
    read: Allowance,
    write: Allowance,
}

/// What one direction may still take.
#[derive(Debug, Default)]
struct Allowance {
    deadline: Option<Deadline>,
    /// The whole time until the deadline, while nothing of it has been used.
    unused: Option<Duration>,
    /// The timeout the socket has.
    set: Option<Duration>,
}

impl Allowance {
    fn begin(&mut self, now: Instant, time: Duration) {
        self.deadline = Some(Deadline::after(now, time));
        self.unused = Some(time);
    }

    /// The timeout to set for the next operation; `None` if the socket has it already.
    fn next(&mut self, clock: Clock) -> io::Result<Option<Duration>> {
        let Some(deadline) = self.deadline else { return Err(io::ErrorKind::TimedOut.into()) };
        let unused = self.unused.take();
        if unused.is_some() && unused == self.set {
            return Ok(None);
        }
        let left = unused.unwrap_or_else(|| deadline.left(clock.now().instant));
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // Sockets count in microseconds, and zero means forever.
        let left = left.max(Duration::from_millis(1));
        self.set = Some(left);
        Ok(Some(left))
    }
}

impl Timed {
    fn new(connection: &Arc<Connection>, clock: Clock) -> Self {
        let connection = Arc::clone(connection);
        Timed { connection, clock, read: Allowance::default(), write: Allowance::default() }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(timeout) = self.read.next(self.clock)? {
            self.connection.socket().set_read_timeout(Some(timeout))?;
        }
        self.connection.socket().read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(timeout) = self.write.next(self.clock)? {
            self.connection.socket().set_write_timeout(Some(timeout))?;
        }
        self.connection.socket().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream {
    /// Takes a fresh connection; with an acceptor it shakes hands first, at most until the deadline that lies
    /// `handshake` ahead.
    pub(super) fn establish(
        connection: &Arc<Connection>,
        acceptor: Option<&Acceptor>,
        handshake: Duration,
        clock: Clock,
    ) -> io::Result<Self> {
        connection.socket().set_nodelay(true)?;
        let mut timed = Timed::new(connection, clock);
        let Some(acceptor) = acceptor else { return Ok(Stream::Plain(timed)) };
        let now = clock.now().instant;
        timed.read.begin(now, handshake);
        timed.write.begin(now, handshake);
        acceptor.accept(timed).map(|session| Stream::Tls(Box::new(session)))
    }

    /// What the TLS session says about the client.
    pub(super) fn tls_peer(&self) -> Option<TlsPeer> {
        match self {
            Stream::Plain(_) => None,
            Stream::Tls(session) => Some(tls::peer_of(session.ssl())),
        }
    }

    fn timed(&mut self) -> &mut Timed {
        match self {
            Stream::Plain(timed) => timed,
            Stream::Tls(session) => session.get_mut(),
        }
    }

    /// All reads from now on, together, end `time` from now.
    pub(super) fn allow_reads(&mut self, now: Instant, time: Duration) {
        self.timed().read.begin(now, time);
    }

    /// All writes from now on, together, end `time` from now.
    pub(super) fn allow_writes(&mut self, now: Instant, time: Duration) {
        self.timed().write.begin(now, time);
    }

    /// Reads what is there; 0 at the end of the stream.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = match self {
                Stream::Plain(timed) => timed.read(buffer),
                Stream::Tls(session) => session.read(buffer),
            };
            if !matches!(&result, Err(error) if error.kind() == io::ErrorKind::Interrupted) {
                return result;
            }
        }
    }

    /// Writes some of `bytes`.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            let result = match self {
                Stream::Plain(timed) => timed.write(bytes),
                Stream::Tls(session) => session.write(bytes),
            };
            if !matches!(&result, Err(error) if error.kind() == io::ErrorKind::Interrupted) {
                return result;
            }
        }
    }

    /// Ends the connection from this side; see [`linger`].
    pub(super) fn close(mut self, time: Duration) {
        let now = self.timed().clock.now().instant;
        self.allow_writes(now, time);
        if let Stream::Tls(session) = &mut self {
            let _answered_later: Result<ShutdownResult, _> = session.shutdown();
        }
        let timed = self.timed();
        linger(&timed.connection, time, timed.clock);
    }
}

/// Says that nothing more will be sent, and reads on for at most `time`: closing with bytes unread would take the
/// last answer from the client.
pub(super) fn linger(connection: &Arc<Connection>, time: Duration, clock: Clock) {
    if connection.socket().shutdown(Shutdown::Write).is_err() {
        return;
    }
    let mut timed = Timed::new(connection, clock);
    timed.read.begin(clock.now().instant, time);
    let mut dropped = [0; 1024];
    loop {
        match timed.read(&mut dropped) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The client has closed as well, or the time is up.
            Err(_) => return,
        }
    }
}
