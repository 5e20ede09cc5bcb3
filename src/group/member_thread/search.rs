//! The search for the coordinator: brokers are asked in turn, and the first that names it is believed.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use mio::Registry;

use crate::config::broker::Broker;
use crate::group::wire::{self, Coordinator};
use crate::kafka::broker_socket::conversation::Heard;
use crate::kafka::broker_socket::{BrokerConnection, SocketFault};
use crate::stdx::error_class::ErrorClass;
use crate::stdx::time::Now;

/// How many brokers are remembered besides the bootstrap ones.
const LEARNT_MAX: usize = 16;

/// Brokers that may know the coordinator, and those that are being asked.
#[derive(Debug)]
pub(super) struct Search {
    bootstrap: Vec<Broker>,
    learnt: VecDeque<Broker>,
    next: usize,
    asked: Vec<Asked>,
}

#[derive(Debug)]
struct Asked {
    broker: Broker,
    connection: BrokerConnection,
}

/// What came of a search.
#[derive(Debug)]
pub(super) enum Outcome {
    Found(Broker),
    Failed { why: String, is_fatal: bool },
}

impl Search {
    pub(super) fn new(bootstrap: Vec<Broker>) -> Self {
        Search { bootstrap, learnt: VecDeque::new(), next: 0, asked: Vec::new() }
    }

    /// The next broker in turn that is not being asked already.
    pub(super) fn next_broker(&mut self) -> Option<Broker> {
        let count = self.bootstrap.len() + self.learnt.len();
        for _ in 0..count {
            let index = self.next % count;
            self.next = self.next.wrapping_add(1);
            let known = self.bootstrap.get(index).or_else(|| self.learnt.get(index - self.bootstrap.len()));
            let is_free = |broker: &&Broker| self.asked.iter().all(|asked| asked.broker != **broker);
            if let Some(broker) = known.filter(is_free) {
                return Some(broker.clone());
            }
        }
        None
    }

    /// Asks a broker as soon as its connection is ready.
    pub(super) fn ask(&mut self, broker: Broker, connection: BrokerConnection) {
        self.asked.push(Asked { broker, connection });
    }

    /// Gives up all that are being asked.
    pub(super) fn stop(&mut self) {
        self.asked.clear();
    }

    pub(super) fn set_addresses(&mut self, now: Now, of: &Broker, addresses: &[SocketAddr]) {
        for asked in self.asked.iter_mut().filter(|asked| asked.broker == *of) {
            asked.connection.set_addresses(now, addresses.to_vec());
        }
    }

    pub(super) fn have_no_address(&mut self, of: &Broker, why: &std::io::Error, outcomes: &mut Vec<Outcome>) {
        self.asked.retain_mut(|asked| {
            if asked.broker != *of {
                return true;
            }
            asked.connection.has_no_address(why).map_err(|fault| outcomes.push(failed(&fault))).is_ok()
        });
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.asked.iter().filter_map(|asked| asked.connection.next_deadline()).min()
    }

    /// Drives all connections; adds what came of it.
    pub(super) fn drive(
        &mut self,
        now: Now,
        registry: &Registry,
        group_id: &str,
        outcomes: &mut Vec<Outcome>,
    ) {
        let mut found = Vec::new();
        self.asked.retain_mut(|asked| match drive(asked, now, registry, group_id) {
            Ok(None) => true,
            Ok(Some(Coordinator::Is(broker))) => {
                found.push(broker.clone());
                outcomes.push(Outcome::Found(broker));
                false
            }
            Ok(Some(Coordinator::Unknown { error, why })) => {
                let mut told = format!("broker {}: FindCoordinator failed with {error}", asked.broker);
                for words in [why.as_str(), error.advice()].into_iter().filter(|it| !it.is_empty()) {
                    told = format!("{told}. {words}");
                }
                outcomes.push(Outcome::Failed { why: told, is_fatal: !error.is_retriable() });
                false
            }
            Err(fault) => {
                outcomes.push(failed(&fault));
                false
            }
        });
        found.into_iter().for_each(|broker| self.learn(broker));
    }

    fn learn(&mut self, broker: Broker) {
        if self.bootstrap.contains(&broker) || self.learnt.contains(&broker) {
            return;
        }
        if self.learnt.len() == LEARNT_MAX {
            drop(self.learnt.pop_front());
        }
        self.learnt.push_back(broker);
    }
}

fn drive(
    asked: &mut Asked,
    now: Now,
    registry: &Registry,
    group_id: &str,
) -> Result<Option<Coordinator>, SocketFault> {
    let mut heard = Vec::new();
    let outcome = asked.connection.drive(now, registry, &mut heard);
    for heard in heard {
        match heard {
            Heard::Ready => {
                wire::ask_for_coordinator(&mut asked.connection, now, group_id)?;
            }
            Heard::Answer(answer) => return wire::read_coordinator(&answer).map(Some),
        }
    }
    outcome.map(|()| None)
}

fn failed(fault: &SocketFault) -> Outcome {
    let is_fatal = match fault.class() {
        ErrorClass::Retriable => false,
        ErrorClass::Fatal | ErrorClass::Bug => true,
    };
    Outcome::Failed { why: fault.to_string(), is_fatal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_asked_in_turn_and_those_learnt_too() {
        let broker = |port| Broker::new("b", port);
        let mut search = Search::new(vec![broker(1), broker(2)]);
        search.learn(broker(3));
        search.learn(broker(2));
        let ports: Vec<_> = (0..4).map(|_| search.next_broker().unwrap().port).collect();
        assert_eq!(ports, [1, 2, 3, 1]);
        for port in 10..100 {
            search.learn(broker(port));
        }
        assert_eq!(search.learnt.len(), LEARNT_MAX);
    }
}
