//! Answers as bytes. The one file that knows `tiny_http`, which prints their heads.
//!
//! Of that library only its messages are used. Where what it prints is not what Connect's clients know, this file puts
//! it right: reason phrases, no `Content-Length` where there never is a body, and `Connection`, which it takes from
//! nobody. It is not shown the fields of the request: it would answer in chunks to a client that names them in `TE`.

use std::io;

use tiny_http::{HTTPVersion, Header, Response, StatusCode};

use crate::rest::http::{HttpResponse, reason};

/// What answers call this server, unless the handler says otherwise.
const SERVER_NAME: &str = "herdsman";
/// How `tiny_http` ends a head with a length of zero.
const NO_LENGTH: &[u8] = b"Content-Length: 0\r\n";
const EMPTY_LINE: &[u8] = b"\r\n";

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

/// Appends the head of an answer. Its `Content-Length` is that of the body, be it sent or not.
pub(super) fn write_head(response: &HttpResponse, after: After, out: &mut Vec<u8>) {
    let start = out.len();
    let status = StatusCode(response.status);
    let length = if has_no_body(response.status) { 0 } else { response.body.len() };
    let head = Response::new(status, headers(response), io::empty(), Some(length), None)
        .with_chunked_threshold(usize::MAX);
    // A vector takes all that is written to it.
    let _always_ok = head.raw_print(&mut *out, HTTPVersion(1, 1), &[], true, None);
    reword(out, start, status);
    strip(out, EMPTY_LINE);
    if has_no_body(response.status) {
        strip(out, NO_LENGTH);
    }
    out.extend_from_slice(match after {
        After::GoOn => EMPTY_LINE,
        After::SayGoOn => b"Connection: keep-alive\r\n\r\n",
        After::Close => b"Connection: close\r\n\r\n",
    });
}

/// Whether answers of that status never have a body.
pub(super) fn has_no_body(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

fn strip(out: &mut Vec<u8>, end: &[u8]) {
    if let Some(rest) = out.strip_suffix(end) {
        out.truncate(rest.len());
    }
}

/// Puts Connect's reason phrase, where it has one, in the place of `tiny_http`'s.
fn reword(out: &mut Vec<u8>, start: usize, status: StatusCode) {
    let (ours, theirs) = (reason(status.0), status.default_reason_phrase());
    if ours.is_empty() || ours == theirs {
        return;
    }
    let line = out.iter().skip(start).position(|byte| *byte == b'\r').unwrap_or_default();
    let end = start + line;
    out.splice(end.saturating_sub(theirs.len())..end, ours.bytes());
}

fn headers(response: &HttpResponse) -> Vec<Header> {
    let mut headers = Vec::with_capacity(response.headers.len() + 1);
    if !response.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("server")) {
        headers.extend(header("Server", SERVER_NAME));
    }
    // `tiny_http` would take a length of the handler's for that of the body.
    let given = response.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
    headers.extend(given.filter_map(|(name, value)| header(name, value)));
    headers
}

/// A header field; `None`, and a line in the log, if it would not be one line of ASCII.
fn header(name: &str, value: &str) -> Option<Header> {
    let printable = |text: &str| text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte));
    let header = Header::from_bytes(name, value).ok();
    let header = header.filter(|_| printable(name) && printable(value) && !name.contains([' ', ':', '\t']));
    if header.is_none() {
        log::error!("left out a header field of an answer that is not printable ASCII: {name:?}");
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head, without the line that changes with time.
    fn head(response: &HttpResponse, after: After) -> String {
        let mut out = b"before".to_vec();
        write_head(response, after, &mut out);
        let text = String::from_utf8(out).unwrap();
        let (date, other): (Vec<_>, Vec<_>) =
            text.split_inclusive("\r\n").partition(|line| line.starts_with("Date: "));
        assert!(matches!(date[..], [date] if date.ends_with(" GMT\r\n")), "{text}");
        other.concat()
    }

    #[test]
    fn a_head_is_that_of_connect() {
        let table = [
            (
                HttpResponse::json(200, "{}"),
                After::GoOn,
                "200 OK\r\nServer: herdsman\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n",
            ),
            (
                HttpResponse::empty(500).with_header("Server", "other"),
                After::Close,
                "500 Server Error\r\nServer: other\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            ),
            (
                HttpResponse::json(204, "never sent"),
                After::SayGoOn,
                "204 No Content\r\nServer: herdsman\r\nContent-Type: application/json\r\n\
                 Connection: keep-alive\r\n\r\n",
            ),
            (
                HttpResponse::empty(299).with_header("X-Length", "0"),
                After::GoOn,
                "299 Unknown\r\nServer: herdsman\r\nX-Length: 0\r\nContent-Length: 0\r\n\r\n",
            ),
        ];
        for (response, after, expected) in table {
            assert_eq!(head(&response, after), format!("beforeHTTP/1.1 {expected}"));
        }
    }

    #[test]
    fn no_handler_can_break_a_head() {
        let response = HttpResponse::json(200, "four")
            .with_header("Content-Length", "9")
            .with_header("connection", "upgrade")
            .with_header("Transfer-Encoding", "chunked")
            .with_header("X-Bad", "a\r\nX-Split: b")
            .with_header("X Bad", "a")
            .with_header("X-Bad:", "a")
            .with_header("X-Good", "a");
        let expected = "beforeHTTP/1.1 200 OK\r\nServer: herdsman\r\nContent-Type: application/json\r\n\
                        X-Good: a\r\nContent-Length: 4\r\n\r\n";
        assert_eq!(head(&response, After::GoOn), expected);
    }
}
