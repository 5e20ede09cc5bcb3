//! The way from the door to the server behind it: Unix connections that are kept and used again, one request at a
//! time on each. So accepting a client needs no `accept` behind the door.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Complaint;
use super::connections::is_timeout;
use super::pass::Pass;
use crate::stdx::time::{Clock, Deadline};

/// Connections that stay open however quiet it is: enough to answer when no descriptor is left for another.
const LINES_KEPT: usize = 4;
/// How long a connection beyond those may be unused.
const LINE_REST: Duration = Duration::from_secs(10);
/// How long an answer may take before the crew is asked whether it needs help; doubles up to `PATIENCE_MAX`.
const PATIENCE: Duration = Duration::from_millis(20);
const PATIENCE_MAX: Duration = Duration::from_secs(1);
/// How long a fresh connection may take to answer its first question.
const PROOF_TIMEOUT: Duration = Duration::from_secs(1);
/// The answer to that question is one short write.
const PROOF_BYTES_MAX: usize = 1024;
/// How long to wait for a connection to come back before trying to open one again.
const RETRY: Duration = Duration::from_millis(20);

/// The server behind the door.
pub(crate) trait Upstream: Send + Sync + fmt::Debug {
    /// Opens a connection to it. Fails, without harm, while the system is short of descriptors.
    fn connect(&self) -> io::Result<(UnixStream, Arc<dyn Crew>)>;
}

/// Those who answer what comes over one connection.
pub(crate) trait Crew: Send + Sync + fmt::Debug {
    /// A request is on its way to them.
    fn asked(&self);
    /// It has been answered, or given up.
    fn answered(&self);
    /// A request waits: if none of them is free, one more is called.
    fn help(self: Arc<Self>);
    /// A connection to them did not work: others take their place, while they finish what they have.
    fn retire(&self);
    /// Whether others have taken their place: nothing new is for them.
    fn has_retired(&self) -> bool;
}

/// All connections to the server behind the door.
#[derive(Debug)]
pub(crate) struct Relay {
    upstream: Arc<dyn Upstream>,
    pass: Pass,
    clock: Clock,
    idle: Mutex<Idle>,
    returned: Condvar,
    /// Held while a connection is being opened: one at a time.
    opening: Mutex<()>,
    no_line: Complaint,
}

#[derive(Debug, Default)]
struct Idle {
    /// The one used last is at the end and goes out first.
    lines: Vec<Line>,
    waiting: usize,
    closed: bool,
}

#[derive(Debug)]
struct Line {
    stream: UnixStream,
    crew: Arc<dyn Crew>,
    patience: Duration,
    used: Instant,
}

/// A connection in use for one request. Goes back when [`Lease::finish`] was called, otherwise it is closed.
#[derive(Debug)]
pub(super) struct Lease<'r> {
    relay: &'r Relay,
    line: Option<Line>,
    finished: bool,
}

impl Relay {
    pub(crate) fn new(upstream: Arc<dyn Upstream>, pass: Pass, clock: Clock) -> Self {
        Relay {
            upstream,
            pass,
            clock,
            idle: Mutex::default(),
            returned: Condvar::new(),
            opening: Mutex::new(()),
            no_line: Complaint::default(),
        }
    }

    pub(super) fn pass(&self) -> &Pass {
        &self.pass
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        // Nothing panics while the lock is held.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the connections that are always kept.
    pub(crate) fn open_kept(&self) -> io::Result<()> {
        while self.lock().lines.len() < LINES_KEPT {
            let line = self.open()?;
            self.give_back(line);
        }
        Ok(())
    }

    /// A connection for one request: an unused one, or a new one. Where no descriptor is left, `make_room` is called
    /// and the wait goes on until the deadline.
    pub(super) fn lease(&self, deadline: Deadline, make_room: impl Fn()) -> io::Result<Lease<'_>> {
        loop {
            if let Some(line) = self.take_idle() {
                return Ok(self.lend(line));
            }
            let mut failure = None;
            if let Ok(_opening) = self.opening.try_lock() {
                match self.open() {
                    Ok(line) => return Ok(self.lend(line)),
                    Err(error) => failure = Some(error),
                }
            }
            let now = self.clock.now().instant;
            if let Some(error) = failure {
                if self.no_line.is_new(now) {
                    log::warn!("requests wait for one another: cannot open a further connection: {error}");
                }
                if is_shortage(&error) {
                    make_room();
                }
                if deadline.passed(now) {
                    return Err(error);
                }
            }
            if deadline.passed(now) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.wait(RETRY);
        }
    }

    fn take_idle(&self) -> Option<Line> {
        let mut idle = self.lock();
        while let Some(line) = idle.lines.pop() {
            if !line.crew.has_retired() {
                return Some(line);
            }
        }
        None
    }

    fn wait(&self, timeout: Duration) {
        let mut idle = self.lock();
        if idle.closed || !idle.lines.is_empty() {
            return;
        }
        idle.waiting += 1;
        let woken = self.returned.wait_timeout(idle, timeout);
        woken.unwrap_or_else(PoisonError::into_inner).0.waiting -= 1;
    }

    fn lend(&self, line: Line) -> Lease<'_> {
        line.crew.asked();
        Lease { relay: self, line: Some(line), finished: false }
    }

    /// Opens a connection and has it answer once, so that what is lent is known to be served.
    fn open(&self) -> io::Result<Line> {
        if self.lock().closed {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let (stream, crew) = self.upstream.connect()?;
        let proven = self.prove(stream, &crew);
        if proven.is_err() {
            crew.retire();
        }
        proven
    }

    fn prove(&self, stream: UnixStream, crew: &Arc<dyn Crew>) -> io::Result<Line> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let used = self.clock.now().instant;
        let mut lease = self.lend(Line { stream, crew: Arc::clone(crew), patience: PATIENCE, used });
        let deadline = self.clock.deadline(PROOF_TIMEOUT);
        lease.send(self.pass.proof_request().as_bytes(), deadline)?;
        if lease.read(&mut [0; PROOF_BYTES_MAX], deadline)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        lease.take()
    }

    fn give_back(&self, mut line: Line) {
        line.used = self.clock.now().instant;
        if line.patience != PATIENCE && line.set_patience(PATIENCE).is_err() {
            return;
        }
        let mut idle = self.lock();
        if idle.closed {
            return;
        }
        let oldest = idle.trim(line.used);
        idle.lines.push(line);
        if idle.waiting > 0 {
            self.returned.notify_one();
        }
        // Closing it is a system call that nobody needs to wait for.
        drop(idle);
        drop(oldest);
    }

    /// Closes one connection that nobody has needed for long.
    pub(super) fn trim(&self) {
        let oldest = self.lock().trim(self.clock.now().instant);
        drop(oldest);
    }

    /// Closes those unused, and the others as they come back.
    pub(crate) fn close(&self) {
        let mut idle = self.lock();
        idle.closed = true;
        let lines = std::mem::take(&mut idle.lines);
        drop(idle);
        drop(lines);
        self.returned.notify_all();
    }
}

/// Whether the process (`EMFILE`) or the system (`ENFILE`) has no descriptor left; both numbers are Linux's own.
fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}

impl Idle {
    fn trim(&mut self, now: Instant) -> Option<Line> {
        let oldest = self.lines.first()?;
        let rested = now.saturating_duration_since(oldest.used) > LINE_REST;
        (rested && self.lines.len() > LINES_KEPT).then(|| self.lines.remove(0))
    }
}

impl Line {
    fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        self.patience = patience;
        self.stream.set_read_timeout(Some(patience))?;
        self.stream.set_write_timeout(Some(patience))
    }

    /// Does one thing with the stream; calls for help whenever it takes long.
    fn patiently(
        &mut self,
        clock: Clock,
        deadline: Deadline,
        mut operation: impl FnMut(&UnixStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match operation(&self.stream) {
                Err(error) if is_timeout(&error) => {
                    let left = deadline.left(clock.now().instant);
                    if left.is_zero() {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    Arc::clone(&self.crew).help();
                    let longer = (2 * self.patience).min(PATIENCE_MAX).min(left.max(PATIENCE));
                    self.set_patience(longer)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl Lease<'_> {
    fn line(&mut self) -> io::Result<&mut Line> {
        self.line.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Takes the connection out of the lease.
    fn take(mut self) -> io::Result<Line> {
        let line = self.line.take().ok_or(io::ErrorKind::NotConnected)?;
        line.crew.answered();
        Ok(line)
    }

    /// Sends all of `bytes`.
    pub(super) fn send(&mut self, mut bytes: &[u8], deadline: Deadline) -> io::Result<()> {
        let clock = self.relay.clock;
        while !bytes.is_empty() {
            let written =
                self.line()?.patiently(clock, deadline, |mut stream: &UnixStream| stream.write(bytes))?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// Reads some of the answer; 0 if the server behind the door has closed.
    pub(super) fn read(&mut self, buffer: &mut [u8], deadline: Deadline) -> io::Result<usize> {
        let clock = self.relay.clock;
        self.line()?.patiently(clock, deadline, |mut stream: &UnixStream| stream.read(buffer))
    }

    /// The answer has been read to its end: the connection can serve another request.
    pub(super) fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let Some(line) = self.line.take() else { return };
        line.crew.answered();
        if self.finished {
            self.relay.give_back(line);
        }
    }
}
