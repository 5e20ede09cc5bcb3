//! One client connection from its handshake to its end: reads a request whole, has it answered, passes the answer
//! on, and reads the next. Runs on a thread of its own.

use std::io;
use std::time::{Duration, Instant};

use super::Floor;
use super::access_log;
use super::answer::{self, After, AnswerHead};
use super::connections::{Admitted, is_timeout};
use super::relay::Lease;
use super::stream::{self, Stream};
use crate::rest::framing::{Framer, RequestHead, Step};
use crate::rest::limits::BodyShare;
use crate::rest::tls::Acceptor;
use crate::stdx::time::{Deadline, Now};

/// How much of an answer is passed on at a time.
const COPY_BYTES: usize = 16 * 1024;
/// Room for an answer that is read at once: most are.
const ANSWER_BYTES_START: usize = 2048;

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

/// Why an answer did not reach the client whole.
enum NoAnswer {
    /// The server behind the door failed before a byte was passed on.
    Upstream(io::Error),
    /// The client is gone, or takes nothing; or the answer broke off. Nothing can be said any more.
    Lost,
}

struct Conversation<'f> {
    floor: &'f Floor,
    admitted: &'f Admitted,
    stream: Stream,
    framer: Framer,
    /// The head of what is sent next, to either side.
    outgoing: Vec<u8>,
    /// What has been read of an answer.
    incoming: Vec<u8>,
}

/// Serves a connection until it ends.
pub(super) fn run(floor: &Floor, admitted: &Admitted, acceptor: Option<&Acceptor>) {
    let connection = admitted.connection();
    let limits = &floor.limits;
    match Stream::establish(connection, acceptor, limits.handshake_timeout, floor.clock) {
        Ok(stream) => {
            connection.established(stream.tls_peer());
            let conversation = Conversation {
                floor,
                admitted,
                stream,
                framer: Framer::new(limits.frame()),
                outgoing: Vec::new(),
                incoming: Vec::new(),
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
    floor.relay.trim();
}

impl Conversation<'_> {
    fn run(mut self) {
        loop {
            match self.receive() {
                Ok(received) => match self.answer(received) {
                    Ok(After::GoOn | After::SayGoOn) => {}
                    Ok(After::Close) => break,
                    Err(()) => return,
                },
                Err(NoRequest::Gone) => return,
                Err(NoRequest::Refused { head, status, message }) => {
                    let now = self.floor.clock.now();
                    if self.say_error(head.as_deref(), status, &message, now).is_err() {
                        return;
                    }
                    break;
                }
            }
        }
        self.stream.close(self.floor.limits.linger);
    }

    /// Reads until a request is complete.
    fn receive(&mut self) -> Result<Received, NoRequest> {
        let limits = &self.floor.limits;
        let mut share = self.floor.bodies.share();
        let mut body = Vec::new();
        let mut head: Option<(RequestHead, Instant)> = None;
        let mut begun = false;
        self.stream.allow_reads(limits.idle_timeout);
        loop {
            let step = self.framer.step(&mut body);
            match step {
                Ok(Step::NeedMore) => {}
                Ok(Step::Head(complete)) => {
                    head = Some((complete, self.floor.clock.now().instant));
                    continue;
                }
                Ok(Step::Body) if share.grow_to(body.capacity()) => continue,
                Ok(Step::Body) => {
                    let message = "Too many request bodies at one time: try again later";
                    return Err(refused(head, 503, message));
                }
                Ok(Step::End) => match head {
                    Some((head, _)) => return Ok(Received { head, body, share }),
                    None => return Err(NoRequest::Gone),
                },
                Err(refusal) => return Err(refused(head, refusal.status(), &refusal.to_string())),
            }
            match &mut head {
                None if self.framer.has_begun() && !begun => {
                    begun = true;
                    self.stream.allow_reads(limits.head_timeout);
                }
                None => {}
                Some((head, since)) => {
                    if head.expects_continue && body.is_empty() && !self.framer.has_begun() {
                        head.expects_continue = false;
                        self.stream.allow_writes(limits.transfer_grace);
                        self.write(b"HTTP/1.1 100 Continue\r\n\r\n").map_err(|_| NoRequest::Gone)?;
                    }
                    self.stream.allow_reads(self.left_of_transfer(body.len(), *since));
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

    /// What is left of the time that a transfer may take of which so many bytes have passed.
    fn left_of_transfer(&self, bytes: usize, since: Instant) -> Duration {
        let spent = self.floor.clock.now().instant.saturating_duration_since(since);
        self.floor.limits.transfer_allowance(bytes).saturating_sub(spent)
    }

    /// Has a request answered. An error means that the connection is beyond use.
    fn answer(&mut self, received: Received) -> Result<After, ()> {
        let begun = self.floor.clock.now();
        let connection = self.admitted.connection();
        connection.begin_work();
        let Received { head, body, share } = received;
        let exchanged = self.exchange(&head, body, share, begun);
        self.floor.connections.answered(connection, self.floor.clock.now().instant);
        let (after, status, sent) = match exchanged {
            Ok(done) => done,
            Err(NoAnswer::Lost) => return Err(()),
            Err(NoAnswer::Upstream(error)) => {
                log::error!("a request of {} found no answer: {error}", connection.peer());
                let (status, message) = if is_timeout(&error) {
                    (503, "The worker has no room for another request: try again later")
                } else {
                    (500, "The request could not be answered: see the log of the worker")
                };
                self.say_error(Some(&head), status, message, begun)?;
                return Ok(After::Close);
            }
        };
        self.log(Some(&head), status, sent, begun);
        Ok(after)
    }

    fn exchange(
        &mut self,
        head: &RequestHead,
        body: Vec<u8>,
        share: BodyShare,
        begun: Now,
    ) -> Result<(After, u16, usize), NoAnswer> {
        let floor = self.floor;
        let connection = self.admitted.connection();
        let place = floor.clock.deadline(floor.limits.place_timeout);
        let make_room = || floor.connections.evict_silent();
        let mut lease = floor.relay.lease(place, make_room).map_err(NoAnswer::Upstream)?;
        let deadline = Deadline::after(begun.instant, floor.limits.answer_timeout);
        self.outgoing.clear();
        answer::write_request(head, body.len(), floor.relay.pass(), connection.id(), &mut self.outgoing);
        if body.len() <= COPY_BYTES {
            self.outgoing.extend_from_slice(&body);
            lease.send(&self.outgoing, deadline).map_err(NoAnswer::Upstream)?;
        } else {
            lease.send(&self.outgoing, deadline).map_err(NoAnswer::Upstream)?;
            lease.send(&body, deadline).map_err(NoAnswer::Upstream)?;
        }
        drop(body);
        drop(share);
        self.pass_answer(head, lease, deadline)
    }

    /// Passes the answer on as it comes.
    fn pass_answer(
        &mut self,
        head: &RequestHead,
        mut lease: Lease<'_>,
        deadline: Deadline,
    ) -> Result<(After, u16, usize), NoAnswer> {
        self.outgoing.clear();
        let mut filled = 0;
        let (after, answer_head) = self.read_answer_head(head, &mut lease, &mut filled, deadline)?;
        let unsent = head.method() == "HEAD" || answer::has_no_body(answer_head.status);
        let mut left = if unsent { 0 } else { answer_head.content_length };
        let first = self.incoming.get(answer_head.bytes..filled).unwrap_or_default();
        let first = first.get(..left).unwrap_or(first);
        self.outgoing.extend_from_slice(first);
        left -= first.len();

        let since = self.floor.clock.now().instant;
        self.stream.allow_writes(self.floor.limits.transfer_grace);
        let mut sent = 0;
        let outgoing = std::mem::take(&mut self.outgoing);
        let passed = self.write_at_rate(&outgoing, &mut sent, since);
        self.outgoing = outgoing;
        passed.map_err(|_| NoAnswer::Lost)?;
        if left > 0 {
            let mut block = vec![0; COPY_BYTES.min(left)];
            while left > 0 {
                let room = block.len().min(left);
                let read = lease.read(&mut block[..room], deadline).map_err(|_| NoAnswer::Lost)?;
                if read == 0 {
                    return Err(NoAnswer::Lost);
                }
                self.write_at_rate(&block[..read], &mut sent, since).map_err(|_| NoAnswer::Lost)?;
                left -= read;
            }
        }
        lease.finish();
        Ok((after, answer_head.status, sent))
    }

    /// How the connection goes on after the answer to that request, as it looks now.
    fn after(&self, head: &RequestHead) -> After {
        match (head.keep_alive && !self.floor.connections.is_stopping(), head.minor_version) {
            (false, _) => After::Close,
            (true, 0) => After::SayGoOn,
            (true, _) => After::GoOn,
        }
    }

    /// Reads until the head of the answer is there and has been put into `outgoing`.
    fn read_answer_head(
        &mut self,
        head: &RequestHead,
        lease: &mut Lease<'_>,
        filled: &mut usize,
        deadline: Deadline,
    ) -> Result<(After, AnswerHead), NoAnswer> {
        loop {
            if *filled == self.incoming.len() {
                if *filled >= answer::ANSWER_HEAD_BYTES_MAX {
                    return Err(NoAnswer::Upstream(io::ErrorKind::InvalidData.into()));
                }
                self.incoming.resize((2 * *filled).max(ANSWER_BYTES_START), 0);
            }
            let read = lease.read(&mut self.incoming[*filled..], deadline).map_err(NoAnswer::Upstream)?;
            if read == 0 {
                return Err(NoAnswer::Upstream(io::ErrorKind::UnexpectedEof.into()));
            }
            *filled += read;
            let after = self.after(head);
            match answer::pass_head(&self.incoming[..*filled], after, &mut self.outgoing) {
                Ok(Some(answer_head)) => return Ok((after, answer_head)),
                Ok(None) => {}
                Err(error) => return Err(NoAnswer::Upstream(io::Error::other(error))),
            }
        }
    }

    /// Writes all, as long as the client takes it at the least rate.
    fn write_at_rate(&mut self, mut bytes: &[u8], sent: &mut usize, since: Instant) -> io::Result<()> {
        loop {
            if *sent > 0 {
                let left = self.left_of_transfer(*sent, since);
                self.stream.allow_writes(left);
            }
            let written = self.stream.write(bytes)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            *sent += written;
            bytes = bytes.get(written..).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(());
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let since = self.floor.clock.now().instant;
        self.write_at_rate(bytes, &mut 0, since)
    }

    /// Answers for the door itself.
    fn say_error(
        &mut self,
        head: Option<&RequestHead>,
        status: u16,
        message: &str,
        begun: Now,
    ) -> Result<(), ()> {
        let mut out = Vec::new();
        answer::write_error(status, message, &mut out);
        self.stream.allow_writes(self.floor.limits.transfer_grace);
        let said = self.write(&out);
        self.log(head, status, out.len(), begun);
        said.map_err(|_| ())
    }

    fn log(&self, head: Option<&RequestHead>, status: u16, bytes: usize, begun: Now) {
        if access_log::is_on() {
            let took = self.floor.clock.now().instant.saturating_duration_since(begun.instant);
            let peer = self.admitted.connection().peer();
            access_log::log_request(peer, begun.wall, head, status, bytes, took);
        }
    }
}

fn refused(head: Option<(RequestHead, Instant)>, status: u16, message: &str) -> NoRequest {
    NoRequest::Refused { head: head.map(|(head, _)| Box::new(head)), status, message: message.to_owned() }
}
