//! Connecting to a host that has several addresses, or that does not answer at once.
//!
//! An address that says nothing for half a second gets company: the next address is tried too, round and round, and
//! whichever answers first is taken. So a dead address costs little, a host that comes back is found within half a
//! second, and a slow line still has all the time of the connection's setup.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// After how long without an answer the next address is tried.
const COMPANY_AFTER: Duration = Duration::from_millis(500);
/// How many attempts may be open; the oldest makes room.
const ATTEMPTS_MAX: usize = 16;

/// Attempts to connect to one host.
#[derive(Debug)]
pub(super) struct Dial {
    addresses: Vec<SocketAddr>,
    tried: usize,
    open: VecDeque<TcpStream>,
    next_at: Instant,
    last_error: Option<io::Error>,
}

impl Dial {
    /// Attempts that begin now.
    pub(super) fn new(addresses: Vec<SocketAddr>, now: Instant) -> Self {
        Dial { addresses, tried: 0, open: VecDeque::new(), next_at: now, last_error: None }
    }

    /// Other addresses of the same host, learnt meanwhile.
    pub(super) fn set_addresses(&mut self, addresses: Vec<SocketAddr>) {
        if !addresses.is_empty() {
            self.addresses = addresses;
        }
    }

    /// When the next attempt is due.
    pub(super) fn next_deadline(&self) -> Instant {
        self.next_at
    }

    /// Looks how the attempts go, and begins those that are due. The stream is registered.
    ///
    /// # Errors
    /// All addresses refuse.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Option<TcpStream>> {
        let mut index = 0;
        while let Some(stream) = self.open.get(index) {
            match outcome(stream) {
                None => index += 1,
                Some(Ok(())) => return Ok(self.open.remove(index)),
                Some(Err(error)) => {
                    drop(self.open.remove(index));
                    self.failed(error, now);
                }
            }
        }
        while now >= self.next_at {
            let Some(address) = self.addresses.get(self.tried % self.addresses.len().max(1)) else { break };
            self.tried += 1;
            self.next_at = now + COMPANY_AFTER;
            let attempt = TcpStream::connect(*address).and_then(|mut stream| {
                registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
                Ok(stream)
            });
            match attempt {
                Ok(stream) => {
                    if self.open.len() == ATTEMPTS_MAX {
                        drop(self.open.pop_front());
                    }
                    self.open.push_back(stream);
                }
                Err(error) => self.failed(error, now),
            }
        }
        if self.open.is_empty() && self.tried >= self.addresses.len() {
            return Err(self
                .last_error
                .take()
                .unwrap_or_else(|| io::Error::other("the host has no address")));
        }
        Ok(None)
    }

    /// The next address need not wait, unless all were tried.
    fn failed(&mut self, error: io::Error, now: Instant) {
        self.last_error = Some(error);
        if self.tried < self.addresses.len() {
            self.next_at = now;
        }
    }
}

/// What became of an attempt; `None` while it goes on.
fn outcome(stream: &TcpStream) -> Option<io::Result<()>> {
    match stream.take_error() {
        Ok(Some(error)) | Err(error) => return Some(Err(error)),
        Ok(None) => {}
    }
    match stream.peer_addr() {
        Ok(_) => Some(stream.set_nodelay(true)),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => None,
        Err(error) => Some(Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use mio::{Events, Poll};

    use super::*;
    use crate::stdx::time::Clock;

    const SOON: Duration = Duration::from_secs(10);

    fn dial(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
        let mut poll = Poll::new()?;
        let mut events = Events::with_capacity(8);
        let mut dial = Dial::new(addresses, Clock.now().instant);
        let deadline = Clock.deadline(SOON);
        loop {
            let now = Clock.now().instant;
            assert!(!deadline.passed(now), "no outcome in {SOON:?}");
            if let Some(stream) = dial.poll(now, poll.registry(), Token(1))? {
                return Ok(stream);
            }
            poll.poll(&mut events, Some(dial.next_deadline().saturating_duration_since(now)))?;
        }
    }

    fn closed_port() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    #[test]
    fn the_address_that_answers_is_taken() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        // 192.0.2.0/24 is for documentation: nobody answers there, or the system refuses at once.
        let silent = "192.0.2.1:9092".parse().unwrap();
        for addresses in [vec![open], vec![closed_port(), open], vec![silent, closed_port(), open]] {
            assert_eq!(dial(addresses).unwrap().peer_addr().unwrap(), open);
        }
    }

    #[test]
    fn when_all_refuse_it_is_told_at_once() {
        let error = dial(vec![closed_port(), closed_port()]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(dial(Vec::new()).unwrap_err().to_string().contains("no address"));
    }
}
