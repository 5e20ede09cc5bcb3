//! Requests and answers as bytes between the door and the server behind it: what is passed on, and what the door
//! says itself.

use std::io::Write;

use super::pass::{PASS_FIELD, Pass};
use crate::rest::framing::RequestHead;
use crate::rest::http::{error_body, reason};

/// What belongs to the client's connection and not to the request.
const HOP_FIELDS: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    PASS_FIELD,
];
const ANSWER_FIELDS_MAX: usize = 100;
/// The longest head of an answer that the door passes on.
pub(super) const ANSWER_HEAD_BYTES_MAX: usize = 64 * 1024;

/// How a client's connection goes on after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The next request may come, as it does by default.
    GoOn,
    /// The same, said in so many words to a client of HTTP/1.0.
    SayGoOn,
    /// The connection ends.
    Close,
}

/// Appends the head of a request for the server behind the door: what concerns the request alone, in ASCII.
pub(super) fn write_request(
    head: &RequestHead,
    body_bytes: usize,
    pass: &Pass,
    connection: u64,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(head.method().as_bytes());
    out.push(b' ');
    for byte in head.path_and_query() {
        if byte.is_ascii() {
            out.push(*byte);
        } else {
            append(out, format_args!("%{byte:02X}"));
        }
    }
    out.extend_from_slice(b" HTTP/1.1\r\n");
    pass.write_line(connection, out);
    if body_bytes > 0 {
        append(out, format_args!("Content-Length: {body_bytes}\r\n"));
    }
    for (name, value) in head.fields() {
        if HOP_FIELDS.iter().any(|hop| name.eq_ignore_ascii_case(hop)) {
            continue;
        }
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend(value.iter().map(|byte| if byte.is_ascii() { *byte } else { b'?' }));
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// What of an answer's head the door needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AnswerHead {
    pub(super) status: u16,
    /// Where the body begins.
    pub(super) bytes: usize,
    /// The body that `Content-Length` counts, be it sent or not.
    pub(super) content_length: usize,
}

/// Reads the head of an answer and appends to `out` what the client gets of it. `None` until it is complete;
/// an error if it is no answer of HTTP.
pub(super) fn pass_head(
    bytes: &[u8],
    after: After,
    out: &mut Vec<u8>,
) -> Result<Option<AnswerHead>, httparse::Error> {
    let mut fields = [httparse::EMPTY_HEADER; ANSWER_FIELDS_MAX];
    let mut answer = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = answer.parse(bytes)? else { return Ok(None) };
    let status = answer.code.unwrap_or_default();
    let worded = match reason(status) {
        "" => answer.reason.unwrap_or_default(),
        reason => reason,
    };
    append(out, format_args!("HTTP/1.1 {status} {worded}\r\n"));
    let mut content_length = 0;
    for field in answer.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            content_length =
                str::from_utf8(field.value).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0);
            if has_no_body(status) {
                continue;
            }
        }
        out.extend_from_slice(field.name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(field.value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(match after {
        After::GoOn => b"\r\n",
        After::SayGoOn => b"Connection: keep-alive\r\n\r\n",
        After::Close => b"Connection: close\r\n\r\n".as_slice(),
    });
    Ok(Some(AnswerHead { status, bytes: length, content_length }))
}

/// Whether answers of that status never have a body.
pub(super) fn has_no_body(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

/// Appends an answer of the door itself, after which the connection ends.
pub(super) fn write_error(status: u16, message: &str, out: &mut Vec<u8>) {
    let body = error_body(status, message);
    let (reason, length) = (reason(status), body.len());
    append(
        out,
        format_args!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        ),
    );
}

fn append(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // A vector takes all that is written to it.
    let _always_ok = out.write_fmt(text);
}
