//! One client connection from its handshake to its end: reads a request whole, has the handler answer it, sends the
//! answer, and reads the next. Runs on a thread of its own, which calls the handler: one that hangs holds nobody else.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Floor;
use super::access_log;
use super::answer::{self, After};
use super::connections::{Admitted, is_timeout};
use super::request;
use super::stream::{self, Stream};
use crate::rest::framing::{Framer, RequestHead, Step};
use crate::rest::http::{HttpResponse, ListenerLabel, Origin};
use crate::rest::limits::{BodyShare, ServerLimits};
use crate::rest::tls::Acceptor;
use crate::stdx::time::Now;

/// How much of a body is sent together with the head of its answer.
const BODY_BYTES_WITH_HEAD: usize = 16 * 1024;
/// How much room for answers a connection keeps: most need less.
const ANSWER_BYTES_KEPT: usize = 2048;
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A request that is complete.
struct Received {
    head: RequestHead,
    body: Vec<u8>,
    share: BodyShare,
}

/// Why no request came of what was read.
enum NoRequest {
    /// The client is gone, or was silent for too long: nothing is said.
    Gone,
    /// It gets an answer, and the connection ends.
    Refused { head: Option<Box<RequestHead>>, status: u16, message: String },
}

struct Conversation<'f> {
    floor: &'f Floor,
    admitted: &'f Admitted,
    origin: Arc<Origin>,
    stream: Stream,
    framer: Framer,
    /// The beginning of an answer, or all of it.
    outgoing: Vec<u8>,
}

/// Serves a connection until it ends.
pub(super) fn run(floor: &Floor, admitted: &Admitted, label: ListenerLabel, acceptor: Option<&Acceptor>) {
    let connection = admitted.connection();
    let limits = &floor.limits;
    match Stream::establish(connection, acceptor, limits.handshake_timeout, floor.clock) {
        Ok(stream) => {
            let origin = Origin { peer: connection.peer(), listener: label, tls: stream.tls_peer() };
            let conversation = Conversation {
                floor,
                admitted,
                origin: Arc::new(origin),
                stream,
                framer: Framer::new(limits.frame()),
                outgoing: Vec::new(),
            };
            conversation.run();
        }
        Err(error) => {
            log::debug!("no TLS handshake with {}: {error}", connection.peer());
            if !is_timeout(&error) {
                // What OpenSSL had to say about it should still arrive.
                stream::linger(connection, limits.linger, floor.clock);
            }
        }
    }
}

impl Conversation<'_> {
    fn run(mut self) {
        let mut silent_since = self.now();
        loop {
            let after = match self.receive(silent_since) {
                Ok(received) => self.answer(received),
                Err(NoRequest::Gone) => return,
                Err(NoRequest::Refused { head, status, message }) => {
                    let begun = self.floor.clock.now();
                    let refusal = HttpResponse::error(status, &message);
                    self.send(head.as_deref(), &refusal, After::Close, begun).map(|at| (After::Close, at))
                }
            };
            match after {
                // A server that stops asks those who are silent to end, and this one may have been answered just then.
                Ok((After::GoOn | After::SayGoOn, answered)) if !self.floor.connections.is_stopping() => {
                    silent_since = answered;
                }
                Ok((After::GoOn | After::SayGoOn | After::Close, _answered)) => break,
                // The client is gone, or does not take the answer.
                Err(_) => return,
            }
        }
        self.stream.close(self.floor.limits.linger);
    }

    fn now(&self) -> Instant {
        self.floor.clock.now().instant
    }

    /// Reads until a request is complete.
    fn receive(&mut self, silent_since: Instant) -> Result<Received, NoRequest> {
        let limits = &self.floor.limits;
        let mut share = self.floor.bodies.share();
        let mut body = Vec::new();
        let mut head: Option<RequestHead> = None;
        let mut body_since = None;
        let mut begun = false;
        self.stream.allow_reads(silent_since, limits.idle_timeout);
        loop {
            let step = self.framer.step(&mut body);
            match step {
                Ok(Step::NeedMore) => {}
                Ok(Step::Head(complete)) => {
                    head = Some(complete);
                    continue;
                }
                Ok(Step::Body) if share.grow_to(body.capacity()) => continue,
                Ok(Step::Body) => {
                    let message = "Too many request bodies at one time: try again later";
                    return Err(refused(head, 503, message));
                }
                Ok(Step::End) => match head {
                    Some(head) => return Ok(Received { head, body, share }),
                    None => return Err(NoRequest::Gone),
                },
                Err(refusal) => return Err(refused(head, refusal.status(), &refusal.to_string())),
            }
            match &mut head {
                None if self.framer.has_begun() && !begun => {
                    begun = true;
                    let now = self.now();
                    self.stream.allow_reads(now, limits.head_timeout);
                }
                None => {}
                Some(head) => {
                    let now = self.now();
                    if head.expects_continue && body.is_empty() && !self.framer.has_begun() {
                        head.expects_continue = false;
                        self.stream.allow_writes(now, limits.transfer_grace);
                        self.write_at_rate(CONTINUE, &mut 0, now).map_err(|_| NoRequest::Gone)?;
                    }
                    let since = *body_since.get_or_insert(now);
                    self.stream.allow_reads(now, left_of_transfer(limits, body.len(), since, now));
                }
            }
            match self.stream.read(self.framer.space()) {
                Ok(0) => return Err(NoRequest::Gone),
                Ok(read) => self.framer.filled(read),
                Err(error) if is_timeout(&error) && (begun || head.is_some()) => {
                    return Err(refused(head, 408, "The request took too long to arrive"));
                }
                Err(_) => return Err(NoRequest::Gone),
            }
        }
    }

    /// Has the handler answer a request, and sends what it says; says when that had left. An error means that the
    /// connection is beyond use.
    fn answer(&mut self, received: Received) -> io::Result<(After, Instant)> {
        let begun = self.floor.clock.now();
        let Received { head, body, share } = received;
        let connection = self.admitted.connection();
        if !connection.begin_work() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let request = request::of(&head, body, &self.origin);
        let handler = &self.floor.handler;
        let response = catch_unwind(AssertUnwindSafe(|| handler.handle(request))).unwrap_or_else(|_| {
            log::error!("the handler of {} {} panicked", head.method(), head.target().escape_ascii());
            HttpResponse::error(500, "The worker failed while it handled this request: see its log")
        });
        drop(share);
        let after = self.after(&head);
        let answered = self.send(Some(&head), &response, after, begun)?;
        self.floor.connections.answered(connection, answered);
        Ok((after, answered))
    }

    /// How the connection goes on after the answer to that request, as it looks now.
    fn after(&self, head: &RequestHead) -> After {
        match (head.keep_alive && !self.floor.connections.is_stopping(), head.minor_version) {
            (false, _) => After::Close,
            (true, 0) => After::SayGoOn,
            (true, _) => After::GoOn,
        }
    }

    /// Sends an answer, with one write if it is short, and logs it once it has left; says when that was.
    fn send(
        &mut self,
        head: Option<&RequestHead>,
        response: &HttpResponse,
        after: After,
        begun: Now,
    ) -> io::Result<Instant> {
        let unsent = answer::has_no_body(response.status) || head.is_some_and(|head| head.method() == "HEAD");
        let body = if unsent { &[] } else { response.body.as_ref() };
        let (first, rest) = body.split_at(body.len().min(BODY_BYTES_WITH_HEAD));
        let mut outgoing = std::mem::take(&mut self.outgoing);
        answer::write_head(response, after, &mut outgoing);
        outgoing.extend_from_slice(first);
        let since = self.now();
        self.stream.allow_writes(since, self.floor.limits.transfer_grace);
        let mut sent = 0;
        self.write_at_rate(&outgoing, &mut sent, since)?;
        self.write_at_rate(rest, &mut sent, since)?;
        outgoing.clear();
        outgoing.shrink_to(ANSWER_BYTES_KEPT);
        self.outgoing = outgoing;
        let answered = self.now();
        if access_log::is_on() {
            let peer = self.admitted.connection().peer();
            let took = answered.saturating_duration_since(begun.instant);
            access_log::Line { peer, at: begun.wall, head, status: response.status, bytes: sent, took }.log();
        }
        Ok(answered)
    }

    /// Writes all, as long as the client takes it at the least rate. `sent` counts what it has of this answer.
    fn write_at_rate(&mut self, mut bytes: &[u8], sent: &mut usize, since: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            if *sent > 0 {
                let now = self.now();
                self.stream.allow_writes(now, left_of_transfer(&self.floor.limits, *sent, since, now));
            }
            let written = self.stream.write(bytes)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            *sent += written;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }
}

/// What is left of the time that a transfer may take of which so many bytes have passed.
fn left_of_transfer(limits: &ServerLimits, bytes: usize, since: Instant, now: Instant) -> Duration {
    limits.transfer_allowance(bytes).saturating_sub(now.saturating_duration_since(since))
}

fn refused(head: Option<RequestHead>, status: u16, message: &str) -> NoRequest {
    NoRequest::Refused { head: head.map(Box::new), status, message: message.to_owned() }
}
