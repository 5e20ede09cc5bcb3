//! What a handler of requests sees and gives: requests and responses, whole and in memory.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::tls::TlsPeer;

/// Answers requests. Called on the thread of the client's connection, which has nothing else to do meanwhile: it may
/// wait, and must bring deadlines for what it waits for. A panic becomes a 500.
pub trait Handler: Send + Sync {
    /// Answers one request.
    fn handle(&self, request: HttpRequest) -> HttpResponse;
}

impl<F: Fn(HttpRequest) -> HttpResponse + Send + Sync> Handler for F {
    fn handle(&self, request: HttpRequest) -> HttpResponse {
        self(request)
    }
}

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListenerLabel {
    /// One of `listeners`.
    Main,
    /// One of `admin.listeners`.
    Admin,
}

/// Where a request came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The client's address.
    pub peer: SocketAddr,
    /// The listener it came in by.
    pub listener: ListenerLabel,
    /// What its TLS session says; `None` without TLS.
    pub tls: Option<TlsPeer>,
}

/// A request method. Methods are case-sensitive: `get` is [`Method::Other`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as what they are")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Other(String),
}

impl Method {
    /// The method of that name.
    pub fn of(name: &str) -> Self {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            "OPTIONS" => Method::Options,
            other => Method::Other(other.to_owned()),
        }
    }
}

/// One request, complete.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// The method. The body of an answer to `HEAD` is counted and not sent: answer it like `GET`.
    pub method: Method,
    /// Path and query as sent, still percent-encoded; bytes outside of ASCII have been percent-encoded.
    pub target: String,
    /// End-to-end header fields in the order of the client, repeated ones repeated. Bytes outside of ASCII are `?`.
    pub headers: Vec<(String, String)>,
    /// The body, decoded; empty if there is none.
    pub body: Bytes,
    /// Where it came from.
    pub origin: Arc<Origin>,
}

impl HttpRequest {
    /// The value of the first header field of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The values of all header fields of that name, in any case.
    pub fn header_values<'r>(&'r self, name: &'r str) -> impl Iterator<Item = &'r str> {
        self.headers
            .iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// One response, complete. `Date`, `Content-Length` and `Connection` are the server's to set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status; its reason phrase follows from it.
    pub status: u16,
    /// Header fields in order. One that is not printable ASCII is left out and logged.
    pub headers: Vec<(Cow<'static, str>, Cow<'static, str>)>,
    /// The body.
    pub body: Bytes,
}

impl HttpResponse {
    /// A response without header fields and body.
    pub fn empty(status: u16) -> Self {
        HttpResponse { status, headers: Vec::new(), body: Bytes::new() }
    }

    /// A response with a JSON body.
    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        HttpResponse {
            status,
            headers: vec![(Cow::Borrowed("Content-Type"), Cow::Borrowed("application/json"))],
            body: body.into(),
        }
    }

    /// Connect's error body, `{"error_code":…,"message":…}`.
    pub fn error(status: u16, message: &str) -> Self {
        Self::json(status, error_body(status, message))
    }

    /// The same with one header field more.
    #[must_use]
    pub fn with_header(
        mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Connect's error body as text.
fn error_body(status: u16, message: &str) -> String {
    format!(r#"{{"error_code":{status},"message":{}}}"#, serde_json::Value::from(message))
}

/// The reason phrase of a status, as Connect's server words it.
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Payload Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        500 => "Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_body_is_json_whatever_the_message() {
        assert_eq!(error_body(404, "a \"b\"\n"), r#"{"error_code":404,"message":"a \"b\"\n"}"#);
    }

    #[test]
    fn header_fields_are_found_in_any_case() {
        let request = HttpRequest {
            method: Method::Get,
            target: "/".to_owned(),
            headers: [("Accept", "a"), ("ACCEPT", "b")].map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec(),
            body: Bytes::new(),
            origin: Arc::new(Origin {
                peer: ([127, 0, 0, 1], 1).into(),
                listener: ListenerLabel::Main,
                tls: None,
            }),
        };
        assert_eq!(request.header("accept"), Some("a"));
        assert_eq!(request.header_values("Accept").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(request.header("Host"), None);
    }
}
