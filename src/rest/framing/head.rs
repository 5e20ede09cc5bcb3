//! One request head: parsed by `httparse`, then checked for all that framing and routing rest on.

use std::ops::Range;

use super::{FIELDS_MAX, FrameLimits, Refusal};

/// How the end of the body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// So many bytes; 0 where there is no body.
    Fixed(usize),
    /// In chunks, the last of which is empty.
    Chunked,
}

/// A request line and its header fields, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    raw: Vec<u8>,
    method: Range<usize>,
    target: Range<usize>,
    fields: Vec<(Range<usize>, Range<usize>)>,
    /// Minor version: 0 or 1.
    pub minor_version: u8,
    /// How the end of the body is known.
    pub body: BodyLength,
    /// Whether the client wants to go on after this request.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
}

/// Whether the method has been seen whole. Refuses what no method begins with, before any line has ended.
pub(super) fn check_method(bytes: &[u8], bytes_max: usize) -> Result<bool, Refusal> {
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b' ' if index > 0 => return Ok(true),
            // The record type and version that begin a TLS handshake.
            0x16 if index == 0 => {
                return Err(Refusal::NotHttp(
                    "This listener speaks HTTP without TLS: use http:// instead of https://",
                ));
            }
            byte if index == bytes_max || !is_token(*byte) => {
                return Err(Refusal::NotHttp("This is not an HTTP request"));
            }
            _ => {}
        }
    }
    Ok(false)
}

/// Looks at the end of a request line: a version this server does not speak deserves an answer of its own.
pub(super) fn check_version(line: &[u8]) -> Result<(), Refusal> {
    let mut words = line.rsplitn(2, |byte| *byte == b' ');
    let last = words.next().unwrap_or_default();
    let two_words = words.next().is_some_and(|rest| !rest.contains(&b' '));
    match last {
        b"HTTP/1.1" | b"HTTP/1.0" => Ok(()),
        last if last.starts_with(b"HTTP/") => Err(Refusal::Version),
        _ if two_words && line.starts_with(b"GET ") => Err(Refusal::Version),
        _ => Err(Refusal::RequestLine("it does not end in a version")),
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

impl RequestHead {
    /// Parses a whole head, its empty line included.
    pub(super) fn parse(bytes: &[u8], limits: FrameLimits) -> Result<Self, Refusal> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut fields);
        let status = request.parse(bytes).map_err(|error| refusal_of(error, limits))?;
        let (Some(method), Some(target), Some(minor_version)) =
            (request.method, request.path, request.version)
        else {
            return Err(Refusal::RequestLine("it is not complete"));
        };
        if status != httparse::Status::Complete(bytes.len()) {
            return Err(Refusal::Field("the head ends before its empty line"));
        }
        check_target(method, target)?;
        let facts = Facts::collect(request.headers)?;
        facts.check_host(minor_version)?;
        Ok(RequestHead {
            method: range_of(bytes, method.as_bytes()),
            target: range_of(bytes, target.as_bytes()),
            fields: request
                .headers
                .iter()
                .map(|field| (range_of(bytes, field.name.as_bytes()), range_of(bytes, field.value)))
                .collect(),
            raw: bytes.to_vec(),
            minor_version,
            body: facts.body_length(minor_version, limits)?,
            keep_alive: facts.keep_alive(minor_version),
            expects_continue: facts.expects_continue(minor_version)?,
        })
    }

    /// The method, in the case the client sent it.
    pub fn method(&self) -> &str {
        str::from_utf8(&self.raw[self.method.clone()]).unwrap_or_default()
    }

    /// The target as sent: path and query, `*`, or an absolute URI.
    pub fn target(&self) -> &[u8] {
        &self.raw[self.target.clone()]
    }

    /// Names and values of the header fields, in order; values may hold any byte but controls.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|(name, value)| {
            (str::from_utf8(&self.raw[name.clone()]).unwrap_or_default(), &self.raw[value.clone()])
        })
    }

    /// The value of the first field of that name.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Path and query, also of an absolute URI; or `*`.
    pub fn path_and_query(&self) -> &[u8] {
        let target = self.target();
        let Some(scheme_end) = absolute_scheme(target) else { return target };
        let rest = &target[scheme_end..];
        match rest.iter().position(|byte| matches!(byte, b'/' | b'?')) {
            Some(path) if rest[path] == b'/' => &rest[path..],
            _ => b"/",
        }
    }
}

/// Where the scheme of an absolute URI ends, `://` included.
fn absolute_scheme(target: &[u8]) -> Option<usize> {
    [b"http://".as_slice(), b"https://"]
        .into_iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
        .map(<[u8]>::len)
}

fn check_target(method: &str, target: &str) -> Result<(), Refusal> {
    if target.contains('#') {
        return Err(Refusal::RequestLine("the target has a fragment"));
    }
    let known = target.starts_with('/')
        || absolute_scheme(target.as_bytes()).is_some()
        || (target == "*" && method == "OPTIONS");
    if known { Ok(()) } else { Err(Refusal::RequestLine("the target is no path")) }
}

/// The place of `part` within `whole`, of which it is a slice.
fn range_of(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize).min(whole.len());
    start..(start + part.len()).min(whole.len())
}

fn refusal_of(error: httparse::Error, limits: FrameLimits) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::HeadTooLarge(limits.header_bytes_max),
        httparse::Error::HeaderName => Refusal::Field("a field name holds a character that it must not"),
        httparse::Error::HeaderValue => Refusal::Field("a field value holds a control character"),
        httparse::Error::NewLine => Refusal::Field("a CR without LF"),
        // The version itself has been looked at: what stands in its place is more of the target.
        httparse::Error::Version => Refusal::RequestLine("a space in the target"),
        httparse::Error::Token | httparse::Error::Status => {
            Refusal::RequestLine("a character that must not be there")
        }
    }
}

/// The fields that framing rests on.
#[derive(Default)]
struct Facts<'h> {
    host: Option<&'h [u8]>,
    content_length: Option<&'h [u8]>,
    transfer_encoding: Option<&'h [u8]>,
    expect: Option<&'h [u8]>,
    close: bool,
    stay: bool,
}

impl<'h> Facts<'h> {
    fn collect(fields: &[httparse::Header<'h>]) -> Result<Self, Refusal> {
        let mut facts = Facts::default();
        for field in fields {
            let (slot, twice) = if field.name.eq_ignore_ascii_case("host") {
                (&mut facts.host, "Host is said twice")
            } else if field.name.eq_ignore_ascii_case("content-length") {
                (&mut facts.content_length, "Content-Length is said twice")
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                (&mut facts.transfer_encoding, "Transfer-Encoding is said twice")
            } else if field.name.eq_ignore_ascii_case("expect") {
                (&mut facts.expect, "Expect is said twice")
            } else {
                if field.name.eq_ignore_ascii_case("connection") {
                    for word in field.value.split(|byte| *byte == b',') {
                        facts.close |= word.trim_ascii().eq_ignore_ascii_case(b"close");
                        facts.stay |= word.trim_ascii().eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                continue;
            };
            if slot.replace(field.value).is_some() {
                return Err(Refusal::Field(twice));
            }
        }
        Ok(facts)
    }

    fn check_host(&self, minor_version: u8) -> Result<(), Refusal> {
        match self.host {
            None if minor_version == 0 => Ok(()),
            None => Err(Refusal::Field("Host is missing")),
            Some(host)
                if host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%:[]".contains(byte)) =>
            {
                if host.is_empty() && minor_version > 0 {
                    Err(Refusal::Field("Host is empty"))
                } else {
                    Ok(())
                }
            }
            Some(_) => Err(Refusal::Field("Host is no host and port")),
        }
    }

    fn body_length(&self, minor_version: u8, limits: FrameLimits) -> Result<BodyLength, Refusal> {
        match (self.transfer_encoding, self.content_length) {
            (Some(_), Some(_)) => Err(Refusal::Field("both Content-Length and Transfer-Encoding are there")),
            (Some(_), None) if minor_version == 0 => {
                Err(Refusal::Field("Transfer-Encoding is not of HTTP/1.0"))
            }
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Ok(BodyLength::Chunked),
            (Some(_), None) => Err(Refusal::Coding),
            (None, Some(length)) => parse_length(length, limits).map(BodyLength::Fixed),
            (None, None) => Ok(BodyLength::Fixed(0)),
        }
    }

    fn keep_alive(&self, minor_version: u8) -> bool {
        !self.close && (minor_version > 0 || self.stay)
    }

    fn expects_continue(&self, minor_version: u8) -> Result<bool, Refusal> {
        match self.expect {
            // A client of HTTP/1.0 does not know the interim answer: its expectation is ignored.
            Some(_) if minor_version == 0 => Ok(false),
            Some(value) if value.eq_ignore_ascii_case(b"100-continue") => Ok(true),
            Some(_) => Err(Refusal::Expectation),
            None => Ok(false),
        }
    }
}

fn parse_length(value: &[u8], limits: FrameLimits) -> Result<usize, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::Field("Content-Length is no number"));
    }
    let length = str::from_utf8(value).ok().and_then(|digits| digits.parse::<usize>().ok());
    match length {
        Some(length) if length <= limits.body_bytes_max => Ok(length),
        _ => Err(Refusal::BodyTooLarge(limits.body_bytes_max)),
    }
}
