//! Requests to other workers: those of clients that are forwarded, and those that workers send each other.
//!
//! Every call is made on the thread of who wants it, and bounded by that one's deadline. No connection is kept: such
//! requests are rare, and one that was closed meanwhile could not be told from a worker that ended before it answered.

mod transport;

use std::fmt;
use std::io::ErrorKind;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use ureq::http::{Request, Response};
use ureq::{Agent, AsSendBody, Body, Timeout};

use super::http::HttpResponse;
use super::router::encode_segment;
use super::tls::client::{ClientTlsSettings, Shaker};
use crate::api::Settings;
use crate::api::ids::ConnectorName;
use crate::herder::msg::Proof;
use crate::herder::session_key::{ALGORITHM_HEADER, SIGNATURE_HEADER};
use crate::stdx::error_class::ErrorClass;
use crate::stdx::time::{Clock, Deadline};

/// What a call of another worker may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// How long each may take: to resolve the host, to be connected, to shake hands over TLS.
    pub connect_timeout: Duration,
    /// How much longer than its own time a forwarded request waits: the other worker's time ends a little later, and
    /// its own words for that are better than a connection cut off.
    pub answer_margin: Duration,
    /// The largest answer that is taken, in bytes.
    pub answer_bytes_max: u64,
}

impl Default for ClientLimits {
    fn default() -> Self {
        ClientLimits {
            connect_timeout: Duration::from_secs(10),
            answer_margin: Duration::from_secs(5),
            answer_bytes_max: 32 * 1024 * 1024,
        }
    }
}

/// Calls other workers. Cheap to clone; usable on any thread.
#[derive(Clone)]
pub struct WorkerClient {
    agent: Agent,
    limits: ClientLimits,
    clock: Clock,
}

impl fmt::Debug for WorkerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerClient").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// One request to another worker.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// Such as `PUT`.
    pub(super) method: &'static str,
    /// From the root, percent-encoded.
    pub(super) path_and_query: String,
    /// Beyond those that every call has.
    pub(super) headers: Vec<(&'static str, &'a str)>,
    /// JSON, if anything.
    pub(super) body: Option<Bytes>,
}

/// What another worker answered.
struct Reception {
    status: u16,
    content_type: Option<String>,
    body: Vec<u8>,
}

/// Connect's error body.
#[derive(Deserialize)]
struct ErrorMessage {
    #[expect(dead_code, reason = "its being there makes it an error body")]
    error_code: i64,
    message: Option<String>,
}

/// Why another worker could not be called, or what it refused. The texts begin like Apache's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// There is no connection: nothing was sent.
    #[error(
        "IO Error trying to forward REST request: {url} cannot be reached: {cause}. Either rest.advertised.host.name and \
         rest.advertised.port of that worker do not lead to it from here, or it has just ended, and the request can be \
         repeated once another has taken its place."
    )]
    Unreachable {
        /// The worker.
        url: String,
        /// Why.
        cause: String,
    },
    /// There is no TLS session: nothing was sent.
    #[error("IO Error trying to forward REST request: no TLS session with {url}: {cause}")]
    Tls {
        /// The worker.
        url: String,
        /// Why.
        cause: String,
    },
    /// The URL or a header cannot be part of a request: nothing was sent.
    #[error("Error trying to forward REST request: it cannot be sent to {url}: {cause}")]
    Unsendable {
        /// The worker.
        url: String,
        /// Why.
        cause: String,
    },
    /// The connection ended before there was a whole answer.
    #[error(
        "IO Error trying to forward REST request: the connection with {url} ended before its answer: {cause}. Either that \
         worker has just ended, or rest.advertised.host.name and rest.advertised.port of it lead to another server. It \
         may have done what was asked."
    )]
    Broken {
        /// The worker.
        url: String,
        /// Why.
        cause: String,
    },
    /// There was no answer in time.
    #[error(
        "IO Error trying to forward REST request: {url} has not answered within {} ms. It may still do what was asked. \
         Its GET /health tells what it is doing.",
        waited.as_millis()
    )]
    TimedOut {
        /// The worker.
        url: String,
        /// How long it had.
        waited: Duration,
    },
    /// The answer is larger than what is taken.
    #[error("IO Error trying to forward REST request: the answer of {url} is larger than {bytes_max} bytes")]
    TooLarge {
        /// The worker.
        url: String,
        /// What is taken.
        bytes_max: u64,
    },
    /// The answer is none of Connect's.
    #[error(
        "IO Error trying to forward REST request: {url} answered with status {status} and {found}, which is no answer of \
         Connect. Either that worker is just starting, or rest.advertised.host.name and rest.advertised.port of it lead to \
         another server."
    )]
    NotConnect {
        /// The worker.
        url: String,
        /// The status.
        status: u16,
        /// What came instead of JSON.
        found: String,
    },
    /// The answer is one that a worker does not give, such as a redirection, which nobody follows.
    #[error(
        "Unexpected status code when handling forwarded request: {status} from {url}. Its rest.advertised.host.name and \
         rest.advertised.port must lead to the worker itself."
    )]
    UnexpectedStatus {
        /// The worker.
        url: String,
        /// The status.
        status: u16,
    },
    /// The other worker wants name and password of somebody else.
    #[error("{url} does not accept the name and password of the request")]
    Unauthorized {
        /// The worker.
        url: String,
    },
    /// The other worker does not do it.
    #[error("{url} answered with status {status}: {message}")]
    Refused {
        /// The worker.
        url: String,
        /// The status.
        status: u16,
        /// Its words.
        message: String,
    },
}

impl ForwardError {
    /// Whether the other worker cannot have got anything, and might be there the next time.
    pub fn is_unsent(&self) -> bool {
        matches!(self, ForwardError::Unreachable { .. })
    }

    /// The status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            ForwardError::Refused { status, .. } => Some(*status),
            ForwardError::Unauthorized { .. } => Some(401),
            ForwardError::Unreachable { .. }
            | ForwardError::Tls { .. }
            | ForwardError::Unsendable { .. }
            | ForwardError::Broken { .. }
            | ForwardError::TimedOut { .. }
            | ForwardError::TooLarge { .. }
            | ForwardError::NotConnect { .. }
            | ForwardError::UnexpectedStatus { .. } => None,
        }
    }

    /// What to do about it. A conflict, a key that was replaced and a worker that is starting pass by themselves.
    pub fn class(&self) -> ErrorClass {
        match self {
            ForwardError::Refused { status: 403 | 409 | 500..=599, .. }
            | ForwardError::Unreachable { .. }
            | ForwardError::Broken { .. }
            | ForwardError::TimedOut { .. }
            | ForwardError::NotConnect { .. } => ErrorClass::Retriable,
            ForwardError::Refused { .. }
            | ForwardError::Unauthorized { .. }
            | ForwardError::Tls { .. }
            | ForwardError::Unsendable { .. }
            | ForwardError::TooLarge { .. }
            | ForwardError::UnexpectedStatus { .. } => ErrorClass::Fatal,
        }
    }
}

/// The body that hands in tasks: what has to be signed, and sent as it is.
///
/// # Errors
/// The settings cannot be written as JSON.
pub fn tasks_body(tasks: &[Settings]) -> Result<Bytes, serde_json::Error> {
    serde_json::to_vec(tasks).map(Bytes::from)
}

impl WorkerClient {
    /// A client that reaches workers over HTTP, and with `tls` over HTTPS. Without it, `tls` says why not.
    pub fn new(tls: Result<&ClientTlsSettings, String>, limits: ClientLimits) -> Self {
        let shaker = tls.and_then(|settings| Shaker::new(settings).map_err(|why| chain(&why)));
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            // Workers reach each other directly; a proxy of the environment is for what is outside.
            .proxy(None)
            .max_idle_connections(0)
            .timeout_resolve(Some(limits.connect_timeout))
            .timeout_connect(Some(limits.connect_timeout))
            .user_agent("kafka-connect")
            .accept("application/json");
        WorkerClient { agent: transport::agent(config.build(), shaker), limits, clock: Clock }
    }

    /// Hands in the tasks of a connector to the leader. The body of `proof` is what [`tasks_body`] made.
    ///
    /// # Errors
    /// The leader was not reached, or did not take them.
    pub fn submit_tasks(
        &self,
        leader_url: &str,
        name: &ConnectorName,
        proof: &Proof,
        deadline: Deadline,
    ) -> Result<(), ForwardError> {
        let path = format!("/connectors/{}/tasks", encode_segment(name.as_str()));
        self.tell(leader_url, "POST", path, proof, Some(proof.body.clone()), deadline)
    }

    /// Has the leader shut out the earlier tasks of a source connector. The body of `proof` is empty.
    ///
    /// # Errors
    /// The leader was not reached, or did not do it.
    pub fn fence(
        &self,
        leader_url: &str,
        name: &ConnectorName,
        proof: &Proof,
        deadline: Deadline,
    ) -> Result<(), ForwardError> {
        let path = format!("/connectors/{}/fence", encode_segment(name.as_str()));
        self.tell(leader_url, "PUT", path, proof, None, deadline)
    }

    fn tell(
        &self,
        url: &str,
        method: &'static str,
        path_and_query: String,
        proof: &Proof,
        body: Option<Bytes>,
        deadline: Deadline,
    ) -> Result<(), ForwardError> {
        let signature = proof.signature.as_deref().map(|value| (SIGNATURE_HEADER, value));
        let algorithm = proof.algorithm.as_deref().map(|value| (ALGORITHM_HEADER, value));
        let headers = signature.into_iter().chain(algorithm).collect();
        let answer = self.send(url, &Call { method, path_and_query, headers, body }, deadline)?;
        match answer.status {
            200..=299 => Ok(()),
            status => Err(match answer.error_message() {
                Some(error) if status >= 400 => {
                    let message = error.message.unwrap_or_default();
                    ForwardError::Refused { url: url.to_owned(), status, message }
                }
                _ => answer.odd(url),
            }),
        }
    }

    /// Sends a client's request on, and gives the answer that the client is to get. It may take a little longer than the
    /// deadline: the other worker's time ends later.
    pub(super) fn forward(
        &self,
        url: &str,
        call: &Call<'_>,
        deadline: Deadline,
    ) -> Result<HttpResponse, ForwardError> {
        let deadline = Deadline::after(deadline.instant(), self.limits.answer_margin);
        let answer = self.send(url, call, deadline)?;
        let is_connects = match answer.status {
            200..=299 if answer.body.is_empty() => return Ok(HttpResponse::empty(answer.status)),
            200..=299 => serde_json::from_slice::<IgnoredAny>(&answer.body).is_ok(),
            _ => answer.status >= 400 && answer.error_message().is_some(),
        };
        if is_connects { Ok(HttpResponse::json(answer.status, answer.body)) } else { Err(answer.odd(url)) }
    }

    fn send(&self, url: &str, call: &Call<'_>, deadline: Deadline) -> Result<Reception, ForwardError> {
        let left = deadline.left(self.clock.now().instant);
        if left.is_zero() {
            return Err(ForwardError::TimedOut { url: url.to_owned(), waited: left });
        }
        let uri = format!("{}{}", url.trim_end_matches('/'), call.path_and_query);
        let mut request = Request::builder().method(call.method).uri(uri);
        for (name, value) in &call.headers {
            request = request.header(*name, *value);
        }
        let answered = match &call.body {
            Some(body) => {
                self.run(request.header("Content-Type", "application/json").body(body.as_ref()), left)
            }
            None if call.method == "DELETE" => self.run(request.body(()), left),
            // What usually has a body has one of no bytes.
            None => self.run(request.body(&[][..]), left),
        };
        answered.and_then(|response| self.receive(response)).map_err(|error| self.failed(url, error, left))
    }

    fn run<B: AsSendBody>(
        &self,
        request: Result<Request<B>, ureq::http::Error>,
        timeout: Duration,
    ) -> Result<Response<Body>, ureq::Error> {
        self.agent.run(self.agent.configure_request(request?).timeout_global(Some(timeout)).build())
    }

    fn receive(&self, mut response: Response<Body>) -> Result<Reception, ureq::Error> {
        let content_type = response.headers().get("Content-Type");
        let content_type = content_type.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(self.limits.answer_bytes_max).read_to_vec()?;
        Ok(Reception { status, content_type, body })
    }

    fn failed(&self, url: &str, error: ureq::Error, timeout: Duration) -> ForwardError {
        let url = url.to_owned();
        if is_unsent(&error) {
            return ForwardError::Unreachable { url, cause: plain(&error) };
        }
        if matches!(error, ureq::Error::Timeout(_)) {
            return ForwardError::TimedOut { url, waited: timeout };
        }
        if matches!(error, ureq::Error::BodyExceedsLimit(_)) {
            return ForwardError::TooLarge { url, bytes_max: self.limits.answer_bytes_max };
        }
        if let Some(cause) = tls_failure(&error) {
            return ForwardError::Tls { url, cause };
        }
        if matches!(error, ureq::Error::Http(_) | ureq::Error::BadUri(_)) {
            return ForwardError::Unsendable { url, cause: error.to_string() };
        }
        ForwardError::Broken { url, cause: plain(&error) }
    }
}

impl Reception {
    fn error_message(&self) -> Option<ErrorMessage> {
        serde_json::from_slice(&self.body).ok()
    }

    /// What is wrong with an answer that is none of Connect's.
    fn odd(&self, url: &str) -> ForwardError {
        let (url, status) = (url.to_owned(), self.status);
        let found = match &self.content_type {
            _ if self.body.is_empty() => "no body".to_owned(),
            Some(kind) => format!("a body of the type {kind}"),
            None => "a body of no known type".to_owned(),
        };
        match status {
            401 => ForwardError::Unauthorized { url },
            200..=299 | 400.. => ForwardError::NotConnect { url, status, found },
            _ => ForwardError::UnexpectedStatus { url, status },
        }
    }
}

/// Whether nothing was sent because there is nobody, as far as can be told from here.
fn is_unsent(error: &ureq::Error) -> bool {
    if let ureq::Error::Io(error) = error {
        return matches!(
            error.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::NetworkDown
                | ErrorKind::AddrNotAvailable
        );
    }
    matches!(error, ureq::Error::HostNotFound | ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve))
}

/// What TLS says if it is that. A worker that wants a certificate says so only after the handshake.
fn tls_failure(error: &ureq::Error) -> Option<String> {
    if let ureq::Error::Other(cause) = error {
        return Some(cause.to_string());
    }
    let ureq::Error::Io(error) = error else { return None };
    error.get_ref().filter(|cause| cause.is::<openssl::ssl::Error>()).map(ToString::to_string)
}

/// The error without the prefix that `ureq` gives it.
fn plain(error: &ureq::Error) -> String {
    if let ureq::Error::Io(error) = error { error.to_string() } else { error.to_string() }
}

/// An error with what led to it.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
