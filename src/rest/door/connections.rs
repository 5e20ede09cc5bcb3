//! Who is connected: counted, bounded, and who has to go when there is no room.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::stdx::time::{Clock, Deadline};

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing that the server works on: a handshake, silence, or a request on its way in.
    Waiting,
    /// A request of it is being answered.
    Working,
    /// It has been told to end.
    Closing,
}

/// One client connection, shared by its own thread and those that may have to end it.
#[derive(Debug)]
pub(super) struct Connection {
    id: u64,
    socket: TcpStream,
    peer: SocketAddr,
    phase: AtomicU8,
    /// When it was accepted or last got an answer, in microseconds since the door opened. Bytes of an unfinished
    /// request do not count: who sends a byte a second is as silent as who sends none.
    silent_since: AtomicU64,
}

/// All connections of the door.
#[derive(Debug)]
pub(super) struct Connections {
    opened: Instant,
    connections_max: usize,
    registry: Mutex<Registry>,
    ended: Condvar,
    stopping: AtomicBool,
}

#[derive(Debug, Default)]
struct Registry {
    next_id: u64,
    /// Those that have not been told to end.
    open: usize,
    by_id: HashMap<u64, Arc<Connection>>,
}

/// A connection that has been taken in, as its own thread holds it. Its place is given up after all else.
#[derive(Debug)]
pub(super) struct Admitted {
    connection: Arc<Connection>,
    _place: Place,
}

/// A connection's place in the registry; left when dropped.
#[derive(Debug)]
struct Place {
    connections: Arc<Connections>,
    id: u64,
}

impl Connection {
    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// A request is complete and goes to the handler. `false` if the connection has been told to end: nobody would get
    /// the answer.
    #[must_use]
    pub(super) fn begin_work(&self) -> bool {
        self.step(Phase::Waiting, Phase::Working)
    }

    /// Goes from one phase to another; `false` if it has left the first already.
    fn step(&self, from: Phase, to: Phase) -> bool {
        // In one order with `Connections::stopping`: whoever stops sees the step, or who steps sees the stop.
        self.phase.compare_exchange(from as u8, to as u8, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::SeqCst) == phase as u8
    }

    fn shut(&self, how: Shutdown) {
        // An error means that the client has closed it already.
        let _gone = self.socket.shutdown(how);
    }
}

impl Connections {
    pub(super) fn new(connections_max: usize, opened: Instant) -> Self {
        Connections {
            opened,
            connections_max: connections_max.max(1),
            registry: Mutex::default(),
            ended: Condvar::new(),
            stopping: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // Nothing panics while the lock is held.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn micros(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.opened).as_micros()).unwrap_or(u64::MAX)
    }

    /// Takes a newcomer in; when full, the one that has been silent longest goes.
    pub(super) fn admit(self: &Arc<Self>, socket: TcpStream, peer: SocketAddr, now: Instant) -> Admitted {
        let mut registry = self.lock();
        while registry.open >= self.connections_max && registry.evict() {}
        let id = registry.next_id;
        registry.next_id += 1;
        registry.open += 1;
        let connection = Arc::new(Connection {
            id,
            socket,
            peer,
            phase: AtomicU8::new(Phase::Waiting as u8),
            silent_since: AtomicU64::new(self.micros(now)),
        });
        registry.by_id.insert(id, Arc::clone(&connection));
        drop(registry);
        Admitted { connection, _place: Place { connections: Arc::clone(self), id } }
    }

    /// Ends the connection that has been silent longest, if there is one that is not worked on, and waits until one
    /// has ended and its descriptor is free, at most `timeout`. One that is worked on keeps its descriptor until it is
    /// answered, so ending it would gain nothing.
    pub(super) fn evict_and_wait(&self, timeout: Duration) {
        let mut registry = self.lock();
        registry.evict_from(Phase::Waiting);
        // Whichever way the wait ends, the caller looks for itself.
        let _woken = self.ended.wait_timeout(registry, timeout);
    }

    /// Notes that a request of `connection` has been answered.
    pub(super) fn answered(&self, connection: &Connection, now: Instant) {
        connection.silent_since.store(self.micros(now), Ordering::Relaxed);
        // Where that fails, the connection is on its way out.
        let _closing = connection.step(Phase::Working, Phase::Waiting);
    }

    /// Open connections, those told to end left out.
    pub(super) fn open(&self) -> usize {
        self.lock().open
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// No further request is read. Those that are complete will be answered; connections without one end now.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        for connection in self.lock().by_id.values() {
            // Only the reading side: a request that was complete just now still gets its answer.
            if !connection.is(Phase::Working) {
                connection.shut(Shutdown::Read);
            }
        }
    }

    /// Waits until all have ended or the deadline has passed, then ends the rest. Says how many that were.
    pub(super) fn drain(&self, clock: Clock, deadline: Deadline) -> usize {
        let mut registry = self.lock();
        while !registry.by_id.is_empty() {
            let left = deadline.left(clock.now().instant);
            if left.is_zero() {
                break;
            }
            registry = self.ended.wait_timeout(registry, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        for connection in registry.by_id.values() {
            connection.shut(Shutdown::Both);
        }
        registry.by_id.len()
    }
}

impl Registry {
    /// Ends the connection that has been silent longest; one that is worked on only if all are. `false` if there is
    /// none to end.
    fn evict(&mut self) -> bool {
        self.evict_from(Phase::Waiting) || self.evict_from(Phase::Working)
    }

    fn evict_from(&mut self, phase: Phase) -> bool {
        loop {
            let candidates = self.by_id.values().filter(|connection| connection.is(phase));
            let longest = candidates
                .min_by_key(|connection| (connection.silent_since.load(Ordering::Relaxed), connection.id));
            let Some(victim) = longest else { return false };
            // It may have begun, or ended, to be worked on just now.
            if victim.step(phase, Phase::Closing) {
                victim.shut(Shutdown::Both);
                log::debug!("ended the connection of {} to make room", victim.peer);
                self.open -= 1;
                return true;
            }
        }
    }
}

impl Admitted {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut registry = self.connections.lock();
        let connection = registry.by_id.remove(&self.id);
        if connection.as_ref().is_some_and(|connection| !connection.is(Phase::Closing)) {
            registry.open -= 1;
        }
        drop(registry);
        // Closes the socket: who waits for the end waits for the descriptor.
        drop(connection);
        self.connections.ended.notify_all();
    }
}

/// Whether an error is a deadline that passed: sockets with a timeout say it in two ways.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use super::*;

    struct Hall {
        listener: TcpListener,
        connections: Arc<Connections>,
        opened: Instant,
    }

    impl Hall {
        fn new(connections_max: usize) -> Self {
            let opened = Clock.now().instant;
            Hall {
                listener: TcpListener::bind("127.0.0.1:0").unwrap(),
                connections: Arc::new(Connections::new(connections_max, opened)),
                opened,
            }
        }

        fn enter(&self, at_ms: u64) -> (TcpStream, Admitted) {
            let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
            client.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            let (socket, peer) = self.listener.accept().unwrap();
            let now = self.opened + Duration::from_millis(at_ms);
            (client, self.connections.admit(socket, peer, now))
        }
    }

    fn is_closed(mut client: &TcpStream) -> bool {
        matches!(client.read(&mut [0]), Ok(0))
    }

    #[test]
    fn the_longest_silent_goes_first_and_the_working_last() {
        let hall = Hall::new(3);
        let (first, first_admitted) = hall.enter(0);
        let (second, second_admitted) = hall.enter(10);
        let (third, third_admitted) = hall.enter(20);
        assert!(first_admitted.connection().begin_work());
        assert!(second_admitted.connection().begin_work());
        hall.connections.answered(second_admitted.connection(), hall.opened + Duration::from_millis(30));

        let (fourth, fourth_admitted) = hall.enter(40);
        assert!(is_closed(&third), "silent since 20");
        assert!(!is_closed(&second), "answered at 30");
        let (_fifth, fifth_admitted) = hall.enter(50);
        assert!(is_closed(&second));
        assert!(!is_closed(&first), "worked on");
        assert!(fourth_admitted.connection().begin_work());
        assert!(fifth_admitted.connection().begin_work());
        let (_sixth, _sixth_admitted) = hall.enter(60);
        assert!(is_closed(&first), "all are worked on: the longest goes");
        assert!(!is_closed(&fourth));
        assert_eq!(hall.connections.open(), 3);
        drop((second_admitted, third_admitted, first_admitted));
        assert_eq!(hall.connections.open(), 3, "those told to end were not counted any more");
    }

    #[test]
    fn a_shortage_ends_the_silent_and_nobody_who_is_worked_on() {
        let hall = Hall::new(3);
        let (working, working_admitted) = hall.enter(0);
        let (silent, silent_admitted) = hall.enter(10);
        assert!(working_admitted.connection().begin_work());
        for _ in 0..3 {
            hall.connections.evict_and_wait(Duration::ZERO);
        }
        assert!(is_closed(&silent) && !is_closed(&working));
        assert!(!silent_admitted.connection().begin_work(), "nobody would get the answer");
    }

    #[test]
    fn draining_waits_for_answers_and_ends_what_is_late() {
        let hall = Hall::new(3);
        let (silent, silent_admitted) = hall.enter(0);
        let (working, working_admitted) = hall.enter(0);
        assert!(working_admitted.connection().begin_work());
        hall.connections.stop();
        let mut socket = silent_admitted.connection().socket();
        assert_eq!(socket.read(&mut [0]).unwrap(), 0, "its thread sees the end");
        drop(silent_admitted);
        assert!(is_closed(&silent));
        assert!(!is_closed(&working));
        assert_eq!(hall.connections.drain(Clock, Clock.deadline(Duration::ZERO)), 1);
        assert!(is_closed(&working));
        drop(working_admitted);
        assert_eq!(hall.connections.drain(Clock, Clock.deadline(Duration::ZERO)), 0);
    }
}
