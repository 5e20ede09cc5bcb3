//! A request that changes something, and whose it is: this worker's, or that of another one, to whom it is forwarded.
//!
//! In a group of workers the leader makes most changes, and a restart is for the worker that runs what is restarted.
//! The herder knows, and says so in its answer. The rules of forwarding are Apache's, so that workers of both kinds can
//! be in one group: a client's request goes on with `forward=true`, from there once more with `forward=false`, and then
//! no further. While the group is being rearranged a request is a 409 that may be repeated; with `wait` it is repeated
//! here, as long as that says.

use std::time::Duration;

use bytes::Bytes;
use crossbeam_channel::never;

use super::api::{Mode, RestApi};
use super::error::ApiError;
use super::forward::{Call, ForwardError};
use super::http::{HttpRequest, HttpResponse};
use super::router::{Passage, encode_segment, passage};
use crate::herder::msg::{
    Answer, CONFLICTING_OPERATION, Draft, HerderError, NO_KNOWN_URL, REBALANCE_UNDERWAY, Request,
    STALE_CONFIGURATION, Target,
};
use crate::herder::session_key::{ALGORITHM_HEADER, SIGNATURE_HEADER};
use crate::stdx::backoff::Backoff;
use crate::stdx::reply::Reply;
use crate::stdx::time::Deadline;

/// The pauses of a request that waits: short enough that a rebalance of a small group is hardly noticed, long enough
/// that many who wait cost nothing.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A header that goes with a forwarded request.
const PASSED_ON: [&str; 3] = ["Authorization", SIGNATURE_HEADER, ALGORITHM_HEADER];

/// One request that changes something.
#[derive(Debug)]
pub(super) struct Errand<'a> {
    api: &'a RestApi,
    request: &'a HttpRequest,
    passage: Passage,
    deadline: Deadline,
}

/// What came of an errand.
#[derive(Debug)]
pub(super) enum Done<T> {
    /// This worker has done it.
    Here(T),
    /// Another one has, and answers this.
    Elsewhere(HttpResponse),
}

/// The same request as another worker would get it.
#[derive(Debug)]
pub(super) struct Onward<'a> {
    method: &'static str,
    path: String,
    flags: Vec<(&'static str, bool)>,
    body: OnwardBody<'a>,
}

#[derive(Debug)]
enum OnwardBody<'a> {
    None,
    AsSent,
    Config(&'a Draft),
}

impl<'a> Onward<'a> {
    /// A request without a body. The segments of the path are names as they are.
    pub(super) fn new(method: &'static str, segments: &[&str]) -> Self {
        let path = segments.iter().map(|segment| format!("/{}", encode_segment(segment))).collect();
        Onward { method, path, flags: Vec::new(), body: OnwardBody::None }
    }

    /// With a parameter; all others stay behind.
    pub(super) fn flag(mut self, name: &'static str, value: bool) -> Self {
        self.flags.push((name, value));
        self
    }

    /// With the body that the client sent.
    pub(super) fn body_as_sent(mut self) -> Self {
        self.body = OnwardBody::AsSent;
        self
    }

    /// With settings as the body, as this worker has understood them.
    pub(super) fn config(mut self, draft: &'a Draft) -> Self {
        self.body = OnwardBody::Config(draft);
        self
    }
}

/// Why an errand is not done.
#[derive(Debug)]
struct NotDone {
    error: ApiError,
    /// Nothing was done, and a rearranged group may do it.
    may_be_repeated: bool,
}

impl<'a> Errand<'a> {
    /// The errand of a request that has just come.
    pub(super) fn new(api: &'a RestApi, request: &'a HttpRequest) -> Result<Self, ApiError> {
        let deadline = api.clock.deadline(api.parts.settings.request_timeout);
        Ok(Errand { api, request, passage: passage(&request.target)?, deadline })
    }

    /// The API that got it.
    pub(super) fn api(&self) -> &'a RestApi {
        self.api
    }

    /// The request itself.
    pub(super) fn request(&self) -> &'a HttpRequest {
        self.request
    }

    /// Has it done: by the herder of this worker, or else by that of another one. `make` is called anew for each try.
    pub(super) fn run<T>(
        &self,
        onward: &Onward<'_>,
        make: impl Fn(Reply<Answer<T>>) -> Request,
    ) -> Result<Done<T>, ApiError> {
        let clock = self.api.clock;
        let wait = self.passage.wait.min(self.api.parts.settings.request_timeout);
        let until = clock.deadline(wait);
        let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let NotDone { error, may_be_repeated } = match self.attempt(onward, &make) {
                Ok(done) => return Ok(done),
                Err(not_done) => not_done,
            };
            if !may_be_repeated {
                return Err(advise(error, onward, Duration::ZERO));
            }
            let left = until.left(clock.now().instant);
            if left.is_zero() {
                return Err(advise(error, onward, wait));
            }
            pause(pauses.next_delay(0.0).min(left));
            if self.deadline.passed(clock.now().instant) {
                return Err(advise(error, onward, wait));
            }
        }
    }

    fn attempt<T>(
        &self,
        onward: &Onward<'_>,
        make: impl Fn(Reply<Answer<T>>) -> Request,
    ) -> Result<Done<T>, NotDone> {
        match self.api.ask_until(self.deadline, make) {
            Ok(answer) => Ok(Done::Here(answer)),
            Err(ApiError::Herder(HerderError::NotHere { target, url })) => {
                self.send_on(onward, target, url).map(Done::Elsewhere)
            }
            Err(ApiError::Herder(HerderError::Rebalancing(why))) => Err(not_now(why)),
            Err(error) => Err(not_done(error)),
        }
    }

    /// Forwards it to the worker of that URL, if it may go on.
    fn send_on(
        &self,
        onward: &Onward<'_>,
        target: Target,
        url: Option<String>,
    ) -> Result<HttpResponse, NotDone> {
        let Some(forward) = self.passage.forwarded.next() else {
            // The worker that the client asked repeats it from the beginning, if it is to wait.
            return Err(not_done(ApiError::NotNow(CONFLICTING_OPERATION.to_owned())));
        };
        let Some(url) = url else { return Err(not_now(NO_KNOWN_URL.to_owned())) };
        if same_url(&url, &self.api.parts.worker.advertised_url) {
            return Err(not_now(format!(
                "{CONFLICTING_OPERATION}: the {target} is known by the address {url}, which is that of this worker. If \
                 this lasts, two workers advertise one address: give each its own rest.advertised.host.name and \
                 rest.advertised.port"
            )));
        }
        let client = match &self.api.parts.settings.mode {
            Mode::Distributed(client) => client,
            Mode::Standalone => {
                let why = "A worker in standalone mode has no other worker to ask";
                return Err(not_done(ApiError::Failed(why.to_owned())));
            }
        };
        let call = self.call(onward, forward)?;
        let log_target = "org.apache.kafka.connect.runtime.rest.HerderRequestHandler";
        log::debug!(target: log_target, "Forwarding {} {} to the {target} at {url}", call.method, call.path_and_query);
        match client.forward(&url, &call, self.deadline) {
            Ok(response) if is_not_now(&response) => {
                Err(NotDone { error: ApiError::Relayed(response), may_be_repeated: true })
            }
            Ok(response) => Ok(response),
            Err(ForwardError::Unauthorized { .. }) => Err(not_done(ApiError::Unauthorized)),
            Err(error) => {
                let may_be_repeated = error.is_unsent();
                Err(NotDone { error: ApiError::Forward(error), may_be_repeated })
            }
        }
    }

    fn call(&self, onward: &Onward<'_>, forward: bool) -> Result<Call<'a>, NotDone> {
        let mut path_and_query = format!("{}?forward={forward}", onward.path);
        for (name, value) in &onward.flags {
            path_and_query.push_str(&format!("&{name}={value}"));
        }
        let body = match &onward.body {
            OnwardBody::None => None,
            OnwardBody::AsSent => Some(self.request.body.clone()).filter(|body| !body.is_empty()),
            OnwardBody::Config(draft) => {
                let json = serde_json::to_vec(draft).map_err(|why| {
                    not_done(ApiError::Failed(format!("The configuration cannot be written as JSON: {why}")))
                })?;
                Some(Bytes::from(json))
            }
        };
        let header = |name: &'static str| Some((name, self.request.header(name)?));
        let headers = PASSED_ON.into_iter().filter_map(header).collect();
        Ok(Call { method: onward.method, path_and_query, headers, body })
    }
}

impl<T> Done<T> {
    /// The answer to the client: that of the other worker, or one made from what was done here.
    pub(super) fn answer(
        self,
        here: impl FnOnce(T) -> Result<HttpResponse, ApiError>,
    ) -> Result<HttpResponse, ApiError> {
        match self {
            Done::Here(done) => here(done),
            Done::Elsewhere(response) => Ok(response),
        }
    }
}

fn not_done(error: ApiError) -> NotDone {
    NotDone { error, may_be_repeated: false }
}

fn not_now(why: String) -> NotDone {
    NotDone { error: ApiError::NotNow(why), may_be_repeated: true }
}

/// Says what can be done about a request that could not be done now.
fn advise(error: ApiError, onward: &Onward<'_>, waited: Duration) -> ApiError {
    let ApiError::NotNow(why) = &error else { return error };
    let (why, request) = (why.trim_end_matches('.'), format!("{} {}", onward.method, onward.path));
    let advice = match waited.as_millis() {
        0 => format!("Repeat {request}, or have it wait for that with ?wait=MILLISECONDS."),
        waited => {
            format!("{request} has waited for {waited} ms: repeat it, or have it wait longer with ?wait=.")
        }
    };
    ApiError::NotNow(format!("{why}. {advice}"))
}

/// Whether another worker, of whatever kind, says that its group is being rearranged.
fn is_not_now(response: &HttpResponse) -> bool {
    #[derive(serde::Deserialize)]
    struct ErrorMessage {
        message: Option<String>,
    }
    const TEXTS: [&str; 4] = [NO_KNOWN_URL, CONFLICTING_OPERATION, REBALANCE_UNDERWAY, STALE_CONFIGURATION];
    let says = |message: &str| TEXTS.iter().any(|text| message.starts_with(text.trim_end_matches('.')));
    let body = || serde_json::from_slice::<ErrorMessage>(&response.body).ok()?.message;
    response.status == 409 && body().is_some_and(|message| says(&message))
}

fn same_url(url: &str, other: &str) -> bool {
    url.trim_end_matches('/').eq_ignore_ascii_case(other.trim_end_matches('/'))
}

fn pause(time: Duration) {
    let (Ok(()) | Err(_)) = never::<()>().recv_timeout(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_another_worker_has_every_name_escaped() {
        let table = [
            ("c", "/connectors/c/config"),
            ("a/b", "/connectors/a%2Fb/config"),
            ("{b}", "/connectors/%7Bb%7D/config"),
            ("a;x=1", "/connectors/a%3Bx=1/config"),
            ("%41", "/connectors/%2541/config"),
            ("é ü?#", "/connectors/%C3%A9%20%C3%BC%3F%23/config"),
        ];
        for (name, path) in table {
            assert_eq!(Onward::new("PUT", &["connectors", name, "config"]).path, path);
        }
    }

    #[test]
    fn addresses_are_compared_as_hosts_are() {
        assert!(same_url("http://W:8083/", "http://w:8083"));
        assert!(!same_url("http://w:8083/", "https://w:8083/"));
        assert!(!same_url("http://w:8083/", "http://w:8084/"));
    }

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let conflict = |message: &str| HttpResponse::error(409, message);
        assert!(is_not_now(&conflict(NO_KNOWN_URL)));
        assert!(is_not_now(&conflict(&format!("{STALE_CONFIGURATION}. Repeat it."))));
        assert!(is_not_now(&conflict(&format!(
            "{REBALANCE_UNDERWAY}: the worker is currently waiting. Repeat it."
        ))));
        assert!(!is_not_now(&conflict("Connector c already exists")));
        assert!(!is_not_now(&HttpResponse::error(500, STALE_CONFIGURATION)));
        assert!(!is_not_now(&HttpResponse::json(409, "{}")));
    }
}
