//! Where one request ends and the next begins: bytes in, heads and bodies out. No IO, no clock.
//!
//! The framer is stricter than RFC 9112 asks wherever two readers could disagree about the end of a request: bare
//! line feeds, folded lines, repeated or odd lengths and a length beside a transfer coding are refused, never guessed.
//! After a [`Refusal`] the place in the stream is lost and the connection must end.
//!
//! How the bytes are cut into reads never changes what comes out.

mod chunked;
mod head;
#[cfg(test)]
mod tests;

use chunked::ChunkedBody;
pub use head::{BodyLength, RequestHead};

/// The most header fields of one request.
pub const FIELDS_MAX: usize = 100;
/// The most bytes of a method; longer ones cannot be methods.
const METHOD_BYTES_MAX: usize = 32;
/// What a fresh framer's buffer holds: most heads fit, and a silent connection costs little.
const BUFFER_BYTES_START: usize = 2048;

/// The bounds of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLimits {
    /// Request line and header fields together, in bytes; likewise extensions and trailers of a chunked body.
    pub header_bytes_max: usize,
    /// The body, decoded, in bytes.
    pub body_bytes_max: usize,
}

/// Why a request cannot be read. The connection has to end after it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The first bytes are no method.
    #[error("{0}")]
    NotHttp(&'static str),
    /// The request line is malformed.
    #[error("Malformed request line: {0}")]
    RequestLine(&'static str),
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("HTTP version not supported: use HTTP/1.1")]
    Version,
    /// The request line alone is longer than a head may be.
    #[error("The request line is longer than {0} bytes")]
    UriTooLong(usize),
    /// The head is too long or has too many fields.
    #[error("The request head is longer than {0} bytes or has more than {FIELDS_MAX} fields")]
    HeadTooLarge(usize),
    /// A header field that is malformed, missing or said twice.
    #[error("Malformed request head: {0}")]
    Field(&'static str),
    /// The body is, or says it is, longer than a body may be.
    #[error("The request body is longer than {0} bytes")]
    BodyTooLarge(usize),
    /// A transfer coding other than `chunked`.
    #[error("Transfer coding not supported: only chunked is")]
    Coding,
    /// An `Expect` other than `100-continue`.
    #[error("Expectation not supported: only 100-continue is")]
    Expectation,
    /// A chunked body that is malformed.
    #[error("Malformed chunked body: {0}")]
    Chunk(&'static str),
}

impl Refusal {
    /// The status of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Refusal::NotHttp(_) | Refusal::RequestLine(_) | Refusal::Field(_) | Refusal::Chunk(_) => 400,
            Refusal::BodyTooLarge(_) => 413,
            Refusal::UriTooLong(_) => 414,
            Refusal::Expectation => 417,
            Refusal::HeadTooLarge(_) => 431,
            Refusal::Coding => 501,
            Refusal::Version => 505,
        }
    }
}

/// What one step of a framer came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing more without more bytes.
    NeedMore,
    /// A head is complete; its body follows.
    Head(RequestHead),
    /// Bytes were appended to the body.
    Body,
    /// The request is complete; what is left in the buffer belongs to the next.
    End,
}

#[derive(Debug)]
enum State {
    Head(Scan),
    Fixed { left: usize },
    Chunked(ChunkedBody),
}

/// How far an unfinished head has been looked at, so that no byte is looked at twice.
#[derive(Debug, Default)]
struct Scan {
    bytes: usize,
    method_seen: bool,
    request_line_seen: bool,
}

/// Reads requests from one connection, in order.
///
/// Fill [`Framer::space`], say how much with [`Framer::filled`], then [`Framer::step`] until it needs more.
#[derive(Debug)]
pub struct Framer {
    limits: FrameLimits,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    state: State,
}

impl Framer {
    /// A framer at the beginning of a connection.
    pub fn new(limits: FrameLimits) -> Self {
        Framer { limits, buffer: Vec::new(), start: 0, end: 0, state: State::Head(Scan::default()) }
    }

    /// Room for the next bytes; never empty. Grows to twice the longest head, never beyond.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            let longest = (2 * self.limits.header_bytes_max).max(BUFFER_BYTES_START);
            let grown = (2 * self.buffer.len()).clamp(BUFFER_BYTES_START, longest);
            // A head that long has been refused; more only comes from a caller that fills without stepping.
            self.buffer.resize(grown.max(self.end + 1), 0);
        }
        &mut self.buffer[self.end..]
    }

    /// `bytes` of the space have been filled.
    pub fn filled(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(self.buffer.len());
    }

    /// Whether the buffer holds bytes that no step has taken: a request has begun.
    pub fn has_begun(&self) -> bool {
        self.start < self.end
    }

    /// Goes one step on. Body bytes are appended to `body`.
    pub fn step(&mut self, body: &mut Vec<u8>) -> Result<Step, Refusal> {
        match &mut self.state {
            State::Head(_) => self.step_head(),
            State::Fixed { left: 0 } => Ok(self.end_of_request()),
            State::Fixed { left } => {
                let taken = (self.end - self.start).min(*left);
                if taken == 0 {
                    return Ok(Step::NeedMore);
                }
                body.extend_from_slice(&self.buffer[self.start..self.start + taken]);
                *left -= taken;
                self.start += taken;
                Ok(Step::Body)
            }
            State::Chunked(chunked) => {
                let before = body.len();
                let taken = chunked.decode(&self.buffer[self.start..self.end], body)?;
                self.start += taken;
                if body.len() > before {
                    Ok(Step::Body)
                } else if chunked.is_done() {
                    Ok(self.end_of_request())
                } else {
                    Ok(Step::NeedMore)
                }
            }
        }
    }

    fn end_of_request(&mut self) -> Step {
        self.state = State::Head(Scan::default());
        Step::End
    }

    fn step_head(&mut self) -> Result<Step, Refusal> {
        let State::Head(scan) = &mut self.state else { return Ok(Step::NeedMore) };
        if scan.bytes == 0 && !scan.method_seen {
            // Some clients end a body with one line end too many.
            while self.buffer[self.start..self.end].starts_with(b"\r\n") {
                self.start += 2;
            }
        }
        let seen = &self.buffer[self.start..self.end];
        if seen == b"\r" {
            return Ok(Step::NeedMore);
        }
        let window = &seen[..seen.len().min(self.limits.header_bytes_max)];
        match scan.find_end(window)? {
            Some(length) => {
                let head = RequestHead::parse(&seen[..length], self.limits)?;
                self.start += length;
                self.state = match head.body {
                    BodyLength::Fixed(left) => State::Fixed { left },
                    BodyLength::Chunked => State::Chunked(ChunkedBody::new(self.limits)),
                };
                Ok(Step::Head(head))
            }
            None if window.len() < self.limits.header_bytes_max => Ok(Step::NeedMore),
            None if scan.request_line_seen => Err(Refusal::HeadTooLarge(self.limits.header_bytes_max)),
            None => Err(Refusal::UriTooLong(self.limits.header_bytes_max)),
        }
    }
}

impl Scan {
    /// The length of the head that `bytes` begins with, if its end is there.
    fn find_end(&mut self, bytes: &[u8]) -> Result<Option<usize>, Refusal> {
        if !self.method_seen {
            self.method_seen = head::check_method(bytes, METHOD_BYTES_MAX)?;
            if !self.method_seen {
                return Ok(None);
            }
        }
        while let Some(offset) = bytes[self.bytes..].iter().position(|byte| *byte == b'\n') {
            let feed = self.bytes + offset;
            self.bytes = feed + 1;
            let line =
                bytes[..feed].strip_suffix(b"\r").ok_or(Refusal::Field("a line ends in LF without CR"))?;
            if !self.request_line_seen {
                head::check_version(line)?;
                self.request_line_seen = true;
            } else if line.ends_with(b"\n") {
                return Ok(Some(self.bytes));
            }
        }
        self.bytes = bytes.len();
        Ok(None)
    }
}
