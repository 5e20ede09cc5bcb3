//! The door: accepts clients, bounds what they may take, and has their requests answered, each on the thread of its
//! connection.
//!
//! Nothing a client does reaches the handler but complete, checked requests, one at a time on each connection. The
//! door outlives what the system denies it: when `accept` fails, the longest silent connection goes, and the door
//! tries again.
//!
//! - `connections` knows who is connected and ends whom there is no room for;
//! - `stream` puts deadlines, and TLS, under the bytes of a client;
//! - `conversation` is one connection's life;
//! - `request` is what the handler sees, `answer` what the client gets.

mod access_log;
mod answer;
mod connections;
mod conversation;
mod request;
mod stream;

use std::fmt;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use connections::Connections;

use super::http::{Handler, ListenerLabel};
use super::limits::{BodyBudget, ServerLimits};
use super::tls::Acceptor;
use crate::stdx::pool::{Pool, PoolLimits};
use crate::stdx::thread::{self, JoinOnDrop};
use crate::stdx::time::{Clock, Deadline};

/// How long a thread without a connection stays.
const THREAD_REST: Duration = Duration::from_secs(3);
/// How long to wait for a descriptor when none is left.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// How long a shortage must be over before another is told.
const COMPLAINT_REST: Duration = Duration::from_secs(10);

/// A listener that is bound.
#[derive(Debug)]
pub(super) struct BoundListener {
    pub(super) listener: TcpListener,
    pub(super) label: ListenerLabel,
    pub(super) acceptor: Option<Acceptor>,
}

/// What all connections share.
struct Floor {
    handler: Arc<dyn Handler>,
    limits: ServerLimits,
    clock: Clock,
    connections: Arc<Connections>,
    bodies: BodyBudget,
}

impl fmt::Debug for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Floor").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// An open door. Dropped without [`Door::stop`], it ends all connections at once.
#[derive(Debug)]
pub(super) struct Door {
    floor: Arc<Floor>,
    pool: Pool,
    entrances: Vec<Entrance>,
}

/// One listener being accepted on. The handle ends the thread, so it is dropped first.
#[derive(Debug)]
struct Entrance {
    _handle: ListenerHandle,
    _thread: JoinOnDrop,
}

/// A second descriptor of a listening socket: shutting it down ends the `accept` that waits on the first. What the
/// standard library calls a stream is any socket that can be shut down.
#[derive(Debug)]
struct ListenerHandle(TcpStream);

impl ListenerHandle {
    fn of(listener: &TcpListener) -> io::Result<Self> {
        listener.try_clone().map(|listener| ListenerHandle(TcpStream::from(OwnedFd::from(listener))))
    }
}

impl Drop for ListenerHandle {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown(Shutdown::Both) {
            log::debug!("a listener was closed already: {error}");
        }
    }
}

impl Door {
    /// Begins to accept.
    pub(super) fn open(
        listeners: Vec<BoundListener>,
        limits: ServerLimits,
        handler: Arc<dyn Handler>,
        clock: Clock,
    ) -> io::Result<Self> {
        let floor = Arc::new(Floor {
            handler,
            limits,
            clock,
            connections: Arc::new(Connections::new(limits.connections_max, clock.now().instant)),
            bodies: BodyBudget::new(limits.body_bytes_total_max),
        });
        let pool = Pool::new(
            "rest-client",
            PoolLimits {
                threads_max: limits.connection_threads_max(),
                idle: THREAD_REST,
                stack_bytes: thread::STACK_BYTES,
            },
        );
        let mut door = Door { floor, pool, entrances: Vec::new() };
        for bound in listeners {
            let handle = ListenerHandle::of(&bound.listener)?;
            let floor = Arc::clone(&door.floor);
            let pool = door.pool.clone();
            let accept = move || accept_all(&Arc::new(bound), &floor, &pool);
            let thread = thread::spawn("rest-accept", thread::STACK_BYTES, accept)?;
            door.entrances.push(Entrance { _handle: handle, _thread: thread });
        }
        Ok(door)
    }

    /// Client connections open now.
    pub(super) fn connections_open(&self) -> usize {
        self.floor.connections.open()
    }

    /// Closes the door: newcomers are refused, requests that are complete are answered, and at `deadline` the rest is
    /// ended. Says how many connections that were.
    pub(super) fn stop(&mut self, deadline: Deadline) -> usize {
        self.floor.connections.stop();
        self.entrances.clear();
        self.floor.connections.drain(self.floor.clock, deadline)
    }

    /// Waits for the threads of connections, at most until `deadline`. Says how many the handler still holds.
    pub(super) fn join(&self, deadline: Deadline) -> usize {
        self.pool.close(self.floor.clock, deadline)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let now = self.floor.clock.deadline(Duration::ZERO);
        self.stop(now);
        self.join(now);
    }
}

/// Says a thing once and not again until it has been quiet for a while.
#[derive(Debug, Default)]
struct Complaint(Mutex<Option<Instant>>);

impl Complaint {
    /// Notes that there is reason to complain; `true` if it should be said.
    fn is_new(&self, now: Instant) -> bool {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        last.is_none_or(|last| now.saturating_duration_since(last) > COMPLAINT_REST)
    }
}

/// Accepts until the listener is shut down.
fn accept_all(bound: &Arc<BoundListener>, floor: &Arc<Floor>, pool: &Pool) {
    let no_thread = Complaint::default();
    let no_accept = Complaint::default();
    while !floor.connections.is_stopping() {
        let accepted = bound.listener.accept();
        let now = floor.clock.now().instant;
        match accepted {
            Ok((socket, peer)) => {
                let admitted = floor.connections.admit(socket, peer, now);
                let (floor, bound) = (Arc::clone(floor), Arc::clone(bound));
                let converse =
                    move || conversation::run(&floor, &admitted, bound.label, bound.acceptor.as_ref());
                if pool.execute(converse).is_err() && no_thread.is_new(now) {
                    log::warn!("no thread is free for a further connection: closed that of {peer}");
                }
            }
            Err(error) if is_of_the_client(&error) => {}
            Err(_) if floor.connections.is_stopping() => {}
            Err(error) => {
                if no_accept.is_new(now) {
                    log::error!("cannot accept a connection: {error}; ending silent ones to make room");
                }
                floor.connections.evict_and_wait(ACCEPT_RETRY);
            }
        }
    }
}

/// Whether a failed `accept` tells of one client only, who has left already.
fn is_of_the_client(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}
