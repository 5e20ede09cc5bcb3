//! `GET /health` (KIP-1017): whether this worker has started and could serve any other request.
//!
//! The question goes through the inbox to the tick thread like any other, and the herder holds it until its start is
//! complete; so an answer proves what it says. No answer in time means `starting` or `unhealthy`, by how far the
//! worker has come.
//!
//! The bodies are byte for byte the blocks that KIP-1017 prints: an object over four lines, indented by two blanks,
//! nothing after the brace. `verbose=true` adds fields after those two.

use super::super::api::RestApi;
use super::super::dto::{HealthBody, HealthDetails, StartupStepBody};
use super::super::error::{ApiError, health_status, iso_instant};
use super::super::http::HttpResponse;
use super::super::router::HealthQuery;
use crate::health::HealthState;

pub(super) fn get(api: &RestApi, query: HealthQuery) -> Result<HttpResponse, ApiError> {
    let longest = api.parts.settings.health_timeout;
    let timeout = query.timeout.map_or(longest, |timeout| timeout.min(longest));
    let answered = api.probe.ask(&api.parts.inbox, api.clock, api.clock.deadline(timeout));
    let state = HealthState::of(api.parts.herder.phase.load(), answered);
    api.parts.metrics.health_answered(state);
    let body = HealthBody::new(state, query.verbose.then(|| details(api)));
    match serde_json::to_vec_pretty(&body) {
        Ok(body) => Ok(HttpResponse::json(health_status(state), body)),
        Err(error) => Err(ApiError::Failed(format!("The answer cannot be written as JSON: {error}"))),
    }
}

fn details(api: &RestApi) -> HealthDetails {
    let herder = &api.parts.herder;
    let current = herder.stages.current(api.clock.now());
    let startup = herder.stages.startup().into_iter().map(|step| StartupStepBody {
        stage: step.stage.to_string(),
        ms: u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX),
    });
    HealthDetails {
        phase: herder.phase.load().name(),
        stage: current.as_ref().map(|current| current.stage.to_string()),
        stage_started: current.map(|current| iso_instant(current.since)),
        startup: startup.collect(),
    }
}
