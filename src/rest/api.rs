//! The REST API as a whole: one handler that finds the route, lets in who may, asks who knows, and answers.
//!
//! What is published (names, statuses, plug-ins, loggers) is answered from the thread of the request and waits for
//! nobody. All else goes to the tick thread as an event and is waited for, within the time that a request has.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, Sender};

use super::error::ApiError;
use super::forward::WorkerClient;
use super::http::{Handler, HttpRequest, HttpResponse, ListenerLabel};
use super::layers::basic_auth::BasicAuth;
use super::layers::cors::Cors;
use super::layers::response_headers::{self, HeaderRule};
use super::resources;
use super::router::{self, AdminMode, Route};
use super::shared_probe::SharedProbe;
use crate::connector::validation::Validator;
use crate::herder::msg::{Answer, HerderError, HerderEvent, Request};
use crate::herder::tick_thread::Shared;
use crate::logging::levels::Levels;
use crate::metrics::Metrics;
use crate::stdx::pool::Pool;
use crate::stdx::reply::{Reply, reply};
use crate::stdx::time::{Clock, Deadline};

/// Whether this worker is alone.
#[derive(Debug, Clone)]
pub enum Mode {
    /// It is.
    Standalone,
    /// It is one of a group, and calls the others with this.
    Distributed(WorkerClient),
}

/// How the API behaves.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Whether this worker is alone.
    pub mode: Mode,
    /// `rest.request.timeout.ms`: how long a request waits for its answer; 90 s in Apache.
    pub request_timeout: Duration,
    /// `rest.health.timeout.ms`: how long `GET /health` waits at most; 10 s in KIP-1017.
    pub health_timeout: Duration,
    /// Where `/admin` and `/metrics` are served.
    pub admin: AdminMode,
    /// `topic.tracking.enable`.
    pub topic_tracking: bool,
    /// `topic.tracking.allow.reset`.
    pub topic_tracking_reset: bool,
    /// Use from browsers, if it is allowed.
    pub cors: Option<Cors>,
    /// Headers for every answer of the main listeners.
    pub response_headers: Vec<HeaderRule>,
    /// Who may use the main listeners, if not everybody.
    pub basic_auth: Option<BasicAuth>,
}

/// What there is to know about this worker.
#[derive(Debug, Clone)]
pub struct WorkerFacts {
    /// Set once a broker has told it.
    pub kafka_cluster_id: Arc<OnceLock<String>>,
    /// `http://host:port/`: where URLs lead when a client does not say how it reached the worker.
    pub advertised_url: String,
}

/// What the API is made of.
#[derive(Debug)]
pub struct RestParts {
    /// To the tick thread.
    pub inbox: Sender<HerderEvent>,
    /// What the herder shows without being asked.
    pub herder: Shared,
    /// The plug-ins, and what is checked about their settings.
    pub validator: Arc<Validator>,
    /// Runs validations, which call the code of plug-ins; a full pool refuses further ones.
    pub pool: Pool,
    /// The levels of the log.
    pub levels: Arc<Levels>,
    /// What the worker is measured by.
    pub metrics: Arc<Metrics>,
    /// About this worker.
    pub worker: WorkerFacts,
    /// How the API behaves.
    pub settings: ApiSettings,
}

/// Answers all requests. Shared by all threads that do; needs none of its own.
#[derive(Debug)]
pub struct RestApi {
    pub(super) parts: RestParts,
    pub(super) probe: SharedProbe,
    pub(super) clock: Clock,
}

impl RestApi {
    /// The API of a worker whose herder may not run yet: it answers what it can.
    pub fn new(parts: RestParts) -> Self {
        RestApi { parts, probe: SharedProbe::default(), clock: Clock }
    }

    fn answer(&self, request: &HttpRequest) -> Result<HttpResponse, ApiError> {
        let route = router::route(request, self.parts.settings.admin)?;
        if !self.permits(request, &route) {
            return Err(ApiError::Unauthorized);
        }
        resources::answer(self, route, request)
    }

    /// Whether who asks may. As in Apache, separate admin listeners ask nobody for a password: who can reach them may
    /// use them.
    fn permits(&self, request: &HttpRequest, route: &Route) -> bool {
        let auth = self.parts.settings.basic_auth.as_ref();
        match request.origin.listener {
            ListenerLabel::Admin => true,
            ListenerLabel::Main => route.is_internal() || auth.is_none_or(|auth| auth.permits(request)),
        }
    }

    /// Asks the herder for something to show and waits for its answer within the time that a request has. What waits
    /// for a rebalance is a 500 here, as in Apache: nobody forwards such a request.
    pub(super) fn show<T>(&self, make: impl FnOnce(Reply<Answer<T>>) -> Request) -> Result<T, ApiError> {
        self.ask(make).map_err(|error| {
            if let ApiError::Herder(HerderError::Rebalancing(why)) = &error {
                return ApiError::Failed(why.clone());
            }
            error
        })
    }

    /// Asks the herder and waits for its answer within the time that a request has.
    pub(super) fn ask<T>(&self, make: impl FnOnce(Reply<Answer<T>>) -> Request) -> Result<T, ApiError> {
        self.ask_until(self.clock.deadline(self.parts.settings.request_timeout), make)
    }

    /// Asks the herder and waits for its answer until then.
    pub(super) fn ask_until<T>(
        &self,
        deadline: Deadline,
        make: impl FnOnce(Reply<Answer<T>>) -> Request,
    ) -> Result<T, ApiError> {
        let timeout = deadline.left(self.clock.now().instant);
        let (reply, pending) = reply();
        match self.parts.inbox.send_timeout(HerderEvent::Request(make(reply)), timeout) {
            Ok(()) => {}
            Err(SendTimeoutError::Timeout(_)) => {
                return Err(ApiError::Overloaded(self.parts.settings.request_timeout));
            }
            // The tick thread has ended, and with it the reply, which says so.
            Err(SendTimeoutError::Disconnected(event)) => drop(event),
        }
        match pending.wait(deadline.left(self.clock.now().instant)) {
            Ok(answer) => Ok(answer?),
            Err(_timed_out) => Err(ApiError::TimedOut(self.parts.herder.stages.current(self.clock.now()))),
        }
    }
}

impl Handler for RestApi {
    fn handle(&self, request: HttpRequest) -> HttpResponse {
        let mut response = self.answer(&request).unwrap_or_else(ApiError::into_response);
        match request.origin.listener {
            ListenerLabel::Main => {
                if let Some(cors) = &self.parts.settings.cors {
                    cors.apply(&request, &mut response);
                }
                let rules = &self.parts.settings.response_headers;
                response_headers::apply(rules, self.clock.now().wall, &mut response);
            }
            ListenerLabel::Admin => {}
        }
        response
    }
}
