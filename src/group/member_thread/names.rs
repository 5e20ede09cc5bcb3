//! The addresses of hosts. Looking them up may block for long, so it is done on threads of a pool; what was learnt once
//! is used at once the next time, while it is looked up anew.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use mio::Waker;

use crate::config::broker::Broker;
use crate::stdx::pool::{Pool, PoolLimits};
use crate::stdx::thread;
use crate::stdx::time::Clock;

/// How many names may be looked up at one time.
const LOOKUPS_MAX: usize = 4;
/// How many hosts are remembered. A group has one coordinator at a time, and a few brokers to ask for it.
const HOSTS_MAX: usize = 64;
/// How long the end of lookups is awaited at shutdown; one that hangs is abandoned.
const CLOSE_PATIENCE: Duration = Duration::from_millis(10);

/// The outcome of a lookup.
pub(super) type Found = (Broker, io::Result<Vec<SocketAddr>>);

/// Looks up the addresses of brokers.
pub(super) struct Names {
    pool: Pool,
    found: Receiver<Found>,
    finds: Sender<Found>,
    waker: Arc<Waker>,
    known: BTreeMap<String, Vec<SocketAddr>>,
    sought: BTreeSet<String>,
}

impl Names {
    pub(super) fn new(waker: Arc<Waker>) -> Self {
        // The system's resolver may load code of others, which takes more stack than ours.
        let limits = PoolLimits {
            threads_max: LOOKUPS_MAX,
            idle: Duration::from_secs(10),
            stack_bytes: thread::PLUGIN_STACK_BYTES,
        };
        // One place for each lookup that may be under way.
        let (finds, found) = bounded(HOSTS_MAX);
        Names {
            pool: Pool::new("group-names", limits),
            found,
            finds,
            waker,
            known: BTreeMap::new(),
            sought: BTreeSet::new(),
        }
    }

    /// Asks for the addresses of a broker. Those that are known come back at once; others, or newer ones, come by
    /// [`Self::next_found`].
    pub(super) fn ask(&mut self, broker: &Broker) -> Option<Vec<SocketAddr>> {
        if let Ok(address) = broker.host.parse::<IpAddr>() {
            return Some(vec![SocketAddr::new(address, broker.port)]);
        }
        let key = broker.to_string();
        if self.sought.len() < HOSTS_MAX && self.sought.insert(key.clone()) {
            self.look_up(broker);
        }
        self.known.get(&key).cloned()
    }

    fn look_up(&mut self, broker: &Broker) {
        let (finds, waker, wanted) = (self.finds.clone(), Arc::clone(&self.waker), broker.clone());
        let job = move || {
            let found = (&*wanted.host, wanted.port).to_socket_addrs().map(Iterator::collect);
            // There is a place for each lookup; the receiver may be gone, which ends it all.
            drop(finds.try_send((wanted, found)));
            wake(&waker);
        };
        if self.pool.execute(job).is_err() {
            let why = io::Error::other("too many names are being looked up, and none is answered");
            drop(self.finds.try_send((broker.clone(), Err(why))));
            wake(&self.waker);
        }
    }

    /// The next outcome, if there is one.
    pub(super) fn next_found(&mut self) -> Option<Found> {
        let (broker, found) = self.found.try_recv().ok()?;
        let key = broker.to_string();
        self.sought.remove(&key);
        if let Ok(addresses) = &found {
            if self.known.len() == HOSTS_MAX {
                drop(self.known.pop_first());
            }
            self.known.insert(key, addresses.clone());
        }
        Some((broker, found))
    }
}

fn wake(waker: &Waker) {
    if let Err(error) = waker.wake() {
        log::debug!("the thread of the group's member cannot be woken: {error}");
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        let left = self.pool.close(Clock, Clock.deadline(CLOSE_PATIENCE));
        if left > 0 {
            log::debug!("{left} lookups of names are abandoned");
        }
    }
}

#[cfg(test)]
mod tests {
    use mio::{Events, Poll, Token};

    use super::*;

    #[test]
    fn a_name_is_looked_up_on_another_thread_and_remembered() {
        let mut poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        let mut names = Names::new(waker);
        let broker = Broker::new("localhost", 7);
        assert_eq!(names.ask(&broker), None);
        let mut events = Events::with_capacity(1);
        let found = loop {
            poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
            assert!(!events.is_empty(), "no lookup in time");
            if let Some((_, found)) = names.next_found() {
                break found.unwrap();
            }
        };
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 7), "{found:?}");
        assert_eq!(names.ask(&broker), Some(found));
        let literal = Broker::new("::1", 9);
        assert_eq!(names.ask(&literal).unwrap()[0].to_string(), "[::1]:9");
    }
}
