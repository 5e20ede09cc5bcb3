//! A connection to one broker for a thread that may wait: one question, its answer, the next question.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::bounded;
use mio::{Events, Poll, Token};

use super::api::Ask;
use super::conversation::Heard;
use super::coordinator::{self, NotNamed, Served};
use super::{BrokerConnection, ConnectionSettings, SocketFault, SocketFaultKind};
use crate::config::broker::Broker;
use crate::stdx::thread;
use crate::stdx::time::{Clock, Deadline};

/// A broker that has let us in. All calls block, at most until the deadline that it was begun with.
pub struct BrokerTalk {
    broker: Arc<str>,
    settings: Arc<ConnectionSettings>,
    connection: BrokerConnection,
    poll: Poll,
    events: Events,
    deadline: Deadline,
}

/// Why there is no coordinator to talk to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCoordinator {
    /// There is nobody to ask who it is.
    #[error("the cluster names no broker")]
    NoBroker,
    /// It or the brokers that know it cannot be talked to.
    #[error(transparent)]
    Socket(#[from] SocketFault),
    /// A broker does not say who it is.
    #[error("FindCoordinator failed with {0}")]
    Refused(NotNamed),
}

impl BrokerTalk {
    /// Begins to talk to the coordinator, which the first of these brokers names that lets us in.
    ///
    /// # Errors
    /// None of that in time, or brokers do not let us in or do not say who it is.
    pub fn with_coordinator<'a>(
        of: Served<'_>,
        brokers: impl IntoIterator<Item = &'a Broker>,
        settings: &Arc<ConnectionSettings>,
        deadline: Deadline,
    ) -> Result<Self, NoCoordinator> {
        BrokerTalk::with_any(brokers, settings, deadline)?.coordinator(of)
    }

    /// Begins to talk to the first of these brokers that lets us in. One that is silent has half of the time that is
    /// left.
    ///
    /// # Errors
    /// None does in time; why the last one does not.
    pub fn with_any<'a>(
        brokers: impl IntoIterator<Item = &'a Broker>,
        settings: &Arc<ConnectionSettings>,
        deadline: Deadline,
    ) -> Result<Self, NoCoordinator> {
        let mut last = NoCoordinator::NoBroker;
        let mut brokers = brokers.into_iter().peekable();
        while let Some(broker) = brokers.next() {
            let now = Clock.now().instant;
            let half = Deadline::after(now, deadline.left(now) / 2);
            let until = if brokers.peek().is_some() { half } else { deadline };
            match BrokerTalk::begin(broker, settings, until) {
                Ok(talk) => return Ok(BrokerTalk { deadline, ..talk }),
                Err(fault) => last = fault.into(),
            }
        }
        Err(last)
    }

    /// Asks who the coordinator is, and begins to talk to it, until the same deadline.
    ///
    /// # Errors
    /// None of that in time, or the broker does not say who it is.
    pub fn coordinator(&mut self, of: Served<'_>) -> Result<Self, NoCoordinator> {
        let answer = self.ask(|version| of.request(version))?;
        let coordinator = coordinator::named(answer).map_err(NoCoordinator::Refused)?;
        Ok(BrokerTalk::begin(&coordinator, &self.settings, self.deadline)?)
    }

    /// Connects, logs in, and waits until requests may be sent.
    ///
    /// # Errors
    /// None of that in time, or the broker does not let us in.
    pub fn begin(
        Broker { host, port }: &Broker,
        settings: &Arc<ConnectionSettings>,
        deadline: Deadline,
    ) -> Result<Self, SocketFault> {
        let broker: Arc<str> = format!("{host}:{port}").into();
        let of_system =
            |error: io::Error| SocketFault::new(&broker, SocketFaultKind::Unreachable, error.to_string());
        let now = Clock.now();
        let mut connection =
            BrokerConnection::new(Arc::clone(&broker), host, Arc::clone(settings), Token(0), now);
        match addresses(host, *port, deadline.left(now.instant)) {
            Ok(addresses) => connection.set_addresses(Clock.now(), addresses),
            Err(why) => connection.has_no_address(&why)?,
        }
        let poll = Poll::new().map_err(of_system)?;
        let mut talk = BrokerTalk {
            settings: Arc::clone(settings),
            connection,
            poll,
            events: Events::with_capacity(8),
            deadline,
            broker: Arc::clone(&broker),
        };
        talk.wait(|heard| matches!(heard, Heard::Ready).then_some(()))?;
        Ok(talk)
    }

    /// Asks, in the highest version that both sides speak, and waits for the answer.
    ///
    /// # Errors
    /// The connection is over, or there is no answer in time: drop it.
    pub fn ask<R: Ask>(&mut self, make: impl FnOnce(i16) -> R) -> Result<R::Answer, SocketFault> {
        let asked = self.connection.ask(Clock.now(), make)?;
        let answer = self.wait(|heard| match heard {
            Heard::Answer(answer) if answer.correlation == asked => Some(answer),
            Heard::Answer(_) | Heard::Ready => None,
        })?;
        answer.decode::<R>()
    }

    fn wait<T>(&mut self, mut wanted: impl FnMut(Heard) -> Option<T>) -> Result<T, SocketFault> {
        let mut heard = Vec::new();
        loop {
            let now = Clock.now();
            self.connection.drive(now, self.poll.registry(), &mut heard)?;
            if let Some(found) = heard.drain(..).find_map(&mut wanted) {
                return Ok(found);
            }
            let fault = |why| SocketFault::new(&self.broker, SocketFaultKind::Unreachable, why);
            if self.deadline.passed(now.instant) {
                return Err(fault("it did not answer in time".to_owned()));
            }
            let until = self.connection.next_deadline().into_iter().chain([self.deadline.instant()]).min();
            let left = until.map(|until| until.saturating_duration_since(now.instant));
            match self.poll.poll(&mut self.events, left) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(fault(error.to_string())),
            }
        }
    }
}

impl fmt::Debug for BrokerTalk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerTalk").field("broker", &self.broker).finish_non_exhaustive()
    }
}

/// The addresses of a host. The system looks a name up in its own time, which is not waited for any longer than this.
fn addresses(host: &Arc<str>, port: u16, patience: Duration) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (found, finds) = bounded(1);
    let name = Arc::clone(host);
    let look_up = move || drop(found.send((&*name, port).to_socket_addrs().map(Iterator::collect)));
    thread::spawn("broker-name", thread::STACK_BYTES, look_up)?.abandon();
    finds.recv_timeout(patience).unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::config::client::ClientSettings;
    use crate::kafka::embedded::EmbeddedBroker;

    #[test]
    fn a_broker_that_is_silent_leaves_time_for_the_next() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let silent = Broker::new("127.0.0.1", silent.local_addr().unwrap().port());
        let embedded = EmbeddedBroker::start().unwrap();
        let embedded = Broker::parse_list(embedded.bootstrap_servers()).unwrap().remove(0);
        let settings = ConnectionSettings::from_client("me", &ClientSettings::default()).unwrap();
        let deadline = Clock.deadline(Duration::from_secs(4));
        let mut talk =
            BrokerTalk::with_any([&silent, &silent, &embedded], &Arc::new(settings), deadline).unwrap();
        let coordinator = talk.coordinator(Served::Group("group")).unwrap();
        assert_eq!(*coordinator.broker, embedded.to_string());
        assert!(!deadline.passed(Clock.now().instant));
    }
}
