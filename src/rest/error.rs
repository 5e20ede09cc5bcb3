//! What goes wrong, as clients see it. Only this file knows the status codes of failures.

use std::time::Duration;

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

use super::forward::ForwardError;
use super::http::HttpResponse;
use super::router::Refusal;
use crate::health::{HealthState, StageSince};
use crate::herder::msg::{HerderError, SignatureFault};

/// Why a request gets no 2xx.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ApiError {
    /// It has no route.
    Refused(Refusal),
    /// It, or its body, is wrong.
    BadRequest(String),
    /// What it names is not there.
    NotFound(String),
    /// The worker is configured not to do that.
    Forbidden(&'static str),
    /// The worker was asked to do it and could not.
    Failed(String),
    /// The herder's answer.
    Herder(HerderError),
    /// The group of workers is being rearranged, so nobody can do it at the moment.
    NotNow(String),
    /// It is another worker's, and that one could not be asked.
    Forward(ForwardError),
    /// It is another worker's, and this is what that one says.
    Relayed(HttpResponse),
    /// The herder took too long; it may still do what it was asked.
    TimedOut(Option<StageSince>),
    /// The check of a configuration took too long: what it has been doing since when.
    ValidationTimedOut {
        /// In words that fit after «The worker is currently …».
        step: String,
        /// When that began.
        since: Timestamp,
    },
    /// So many requests wait for the tick thread that there was no room in time.
    Overloaded(Duration),
    /// All threads that check configurations are busy.
    NoThreadForValidation,
    /// Name and password are missing or wrong.
    Unauthorized,
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        ApiError::Refused(refusal)
    }
}

impl From<HerderError> for ApiError {
    fn from(error: HerderError) -> Self {
        ApiError::Herder(error)
    }
}

impl ApiError {
    /// The whole answer.
    pub(super) fn into_response(self) -> HttpResponse {
        match self {
            ApiError::Refused(refusal) => refused(refusal),
            ApiError::BadRequest(message) => HttpResponse::error(400, &message),
            ApiError::NotFound(message) => HttpResponse::error(404, &message),
            ApiError::Forbidden(message) => HttpResponse::error(403, message),
            ApiError::Failed(message) => HttpResponse::error(500, &message),
            ApiError::Herder(error) => HttpResponse::error(herder_status(&error), &error.to_string()),
            ApiError::NotNow(message) => HttpResponse::error(409, &message),
            ApiError::Forward(error) => HttpResponse::error(500, &error.to_string()),
            ApiError::Relayed(response) => response,
            ApiError::TimedOut(None) => HttpResponse::error(500, "Request timed out"),
            ApiError::TimedOut(Some(StageSince { stage, since })) => {
                HttpResponse::error(500, &format!("{}.", timed_out(&stage, since)))
            }
            // Apache forgot the full stop here.
            ApiError::ValidationTimedOut { step, since } => {
                HttpResponse::error(500, &timed_out(&step, since))
            }
            ApiError::Overloaded(waited) => {
                let message = format!(
                    "The worker has too many requests waiting; this one found no room within {} ms. Try again later.",
                    waited.as_millis()
                );
                HttpResponse::error(503, &message)
            }
            ApiError::NoThreadForValidation => {
                let message = "All threads that validate configurations are busy. Try again later.";
                HttpResponse::error(503, message)
            }
            // Apache says it is JSON, and names no scheme: browsers do not ask for a password.
            ApiError::Unauthorized => HttpResponse::json(401, "User cannot access the resource."),
        }
    }
}

/// The status of `GET /health` (KIP-1017).
pub(super) fn health_status(state: HealthState) -> u16 {
    match state {
        HealthState::Healthy => 200,
        HealthState::Starting => 503,
        HealthState::Unhealthy => 500,
    }
}

fn herder_status(error: &HerderError) -> u16 {
    match error {
        HerderError::NotFound(_) => 404,
        HerderError::BadRequest(_) => 400,
        HerderError::Conflict(_) | HerderError::NotHere { .. } | HerderError::Rebalancing(_) => 409,
        HerderError::Unsigned(fault, _) => match fault {
            SignatureFault::Unusable => 400,
            SignatureFault::Wrong => 403,
            SignatureFault::NoKey => 503,
        },
        HerderError::Failed(_) | HerderError::ShuttingDown => 500,
    }
}

fn refused(refusal: Refusal) -> HttpResponse {
    match refusal {
        Refusal::BadRequest(message) => HttpResponse::error(400, &message),
        Refusal::NotATaskNumber => HttpResponse::error(404, "HTTP 404 Not Found"),
        Refusal::NotFound => untyped(HttpResponse::error(404, "HTTP 404 Not Found")),
        Refusal::MethodNotAllowed { allow } => {
            untyped(HttpResponse::error(405, "HTTP 405 Method Not Allowed")).with_header("Allow", allow)
        }
        Refusal::NotAcceptable => untyped(HttpResponse::error(406, "HTTP 406 Not Acceptable")),
        Refusal::UnsupportedMediaType => untyped(HttpResponse::error(415, "HTTP 415 Unsupported Media Type")),
    }
}

/// What Apache answers before it has chosen a method has no `Content-Type`.
fn untyped(mut response: HttpResponse) -> HttpResponse {
    response.headers.clear();
    response
}

fn timed_out(doing: &impl std::fmt::Display, since: Timestamp) -> String {
    let since = iso_instant(since);
    format!("Request timed out. The worker is currently {doing}, which began at {since}")
}

/// A moment as Java prints it: milliseconds only if there are any.
pub(super) fn iso_instant(moment: Timestamp) -> String {
    let whole = TimestampRound::new().smallest(Unit::Millisecond).mode(RoundMode::Trunc);
    // Rounding down fails at the very beginning of what a timestamp can hold, where it changes nothing.
    let moment = moment.round(whole).unwrap_or(moment);
    if moment.subsec_millisecond() == 0 { format!("{moment:.0}") } else { format!("{moment:.3}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Stage;
    use crate::herder::msg::{CONFLICTING_OPERATION, NO_KNOWN_URL, STALE_CONFIGURATION, Target};

    fn shown(error: ApiError) -> (u16, String) {
        let response = error.into_response();
        let body: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(body["error_code"], response.status);
        (response.status, body["message"].as_str().unwrap().to_owned())
    }

    fn not_here(url: Option<&str>) -> ApiError {
        HerderError::NotHere { target: Target::Owner, url: url.map(str::to_owned) }.into()
    }

    fn unsigned(fault: SignatureFault) -> ApiError {
        HerderError::Unsigned(fault, "s".to_owned()).into()
    }

    #[test]
    fn every_failure_has_its_status_and_text() {
        let since = "2026-11-22T20:06:37.103456Z".parse().unwrap();
        let stage = StageSince { stage: Stage::ReadingOffsets, since };
        let table = [
            (HerderError::NotFound("n".to_owned()).into(), 404, "n"),
            (HerderError::BadRequest("b".to_owned()).into(), 400, "b"),
            (HerderError::Conflict("c".to_owned()).into(), 409, "c"),
            (HerderError::Failed("f".to_owned()).into(), 500, "f"),
            (HerderError::ShuttingDown.into(), 500, "Worker is shutting down"),
            (not_here(None), 409, NO_KNOWN_URL),
            (not_here(Some("http://w:1/")), 409, CONFLICTING_OPERATION),
            (HerderError::Rebalancing(STALE_CONFIGURATION.to_owned()).into(), 409, STALE_CONFIGURATION),
            (unsigned(SignatureFault::Unusable), 400, "s"),
            (unsigned(SignatureFault::Wrong), 403, "s"),
            (unsigned(SignatureFault::NoKey), 503, "s"),
            (ApiError::NotNow("later".to_owned()), 409, "later"),
            (Refusal::NotFound.into(), 404, "HTTP 404 Not Found"),
            (Refusal::NotATaskNumber.into(), 404, "HTTP 404 Not Found"),
            (Refusal::NotAcceptable.into(), 406, "HTTP 406 Not Acceptable"),
            (Refusal::UnsupportedMediaType.into(), 415, "HTTP 415 Unsupported Media Type"),
            (Refusal::BadRequest("x".to_owned()).into(), 400, "x"),
            (ApiError::Forbidden("no"), 403, "no"),
            (ApiError::TimedOut(None), 500, "Request timed out"),
            (
                ApiError::TimedOut(Some(stage)),
                500,
                "Request timed out. The worker is currently reading the offsets file, which began at \
                 2026-11-22T20:06:37.103Z.",
            ),
            (
                ApiError::ValidationTimedOut { step: "waiting".to_owned(), since },
                500,
                "Request timed out. The worker is currently waiting, which began at 2026-11-22T20:06:37.103Z",
            ),
            (
                ApiError::Overloaded(Duration::from_secs(90)),
                503,
                "The worker has too many requests waiting; this one found no room within 90000 ms. Try again later.",
            ),
        ];
        for (error, status, message) in table {
            assert_eq!(shown(error), (status, message.to_owned()));
        }
    }

    #[test]
    fn what_has_no_route_has_no_type_and_names_the_methods() {
        let allow = "GET,HEAD,OPTIONS".to_owned();
        let response = ApiError::from(Refusal::MethodNotAllowed { allow }).into_response();
        assert_eq!(response.headers, [("Allow".into(), "GET,HEAD,OPTIONS".into())]);
        assert_eq!(ApiError::from(Refusal::NotFound).into_response().headers, []);
        let typed = ApiError::from(Refusal::NotATaskNumber).into_response();
        assert_eq!(typed.headers, [("Content-Type".into(), "application/json".into())]);
    }

    #[test]
    fn moments_are_those_of_java() {
        for (moment, shown) in [
            ("2026-11-22T20:06:37Z", "2026-11-22T20:06:37Z"),
            ("2026-11-22T20:06:37.1Z", "2026-11-22T20:06:37.100Z"),
            ("2026-11-22T20:06:37.000999Z", "2026-11-22T20:06:37Z"),
        ] {
            assert_eq!(iso_instant(moment.parse().unwrap()), shown);
        }
    }
}
