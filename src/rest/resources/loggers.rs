//! `/admin/loggers` (KIP-495, KIP-976).

use std::collections::BTreeMap;

use super::super::api::{Mode, RestApi};
use super::super::dto::{LoggerBody, level_body};
use super::super::error::ApiError;
use super::super::http::HttpResponse;
use super::super::router::LevelScope;
use super::{json, no_content};
use crate::herder::msg::Request;
use crate::logging::level::LogLevel;

pub(super) fn list(api: &RestApi) -> Result<HttpResponse, ApiError> {
    let shown = api.parts.levels.all().into_iter().filter(|(_, state)| state.level != LogLevel::Off);
    json(200, &shown.map(|(name, state)| (name, LoggerBody::from(state))).collect::<BTreeMap<_, _>>())
}

pub(super) fn get(api: &RestApi, name: &str) -> Result<HttpResponse, ApiError> {
    match api.parts.levels.get(name) {
        Some(state) => json(200, &LoggerBody::from(state)),
        None => Err(ApiError::NotFound(format!("Logger {name} not found."))),
    }
}

/// Sets a level. A worker that is alone is all of its cluster, so both scopes do the same. In a group the wider one goes
/// to all workers by way of the config topic, and this worker sets it when it reads it there.
pub(super) fn set(
    api: &RestApi,
    name: &str,
    scope: LevelScope,
    body: &[u8],
) -> Result<HttpResponse, ApiError> {
    let written = level_body(body)?;
    // Apache's status for this: to it, the level is not found.
    let level = LogLevel::of(&written)
        .ok_or_else(|| ApiError::NotFound(format!("invalid log level '{written}'.")))?;
    match (scope, &api.parts.settings.mode) {
        (LevelScope::Cluster, Mode::Distributed(_)) => {
            let namespace = name.to_owned();
            api.ask(|reply| Request::SetClusterLevel { namespace, level: written, reply })?;
            return Ok(no_content());
        }
        (LevelScope::Cluster, Mode::Standalone)
        | (LevelScope::Worker, Mode::Standalone | Mode::Distributed(_)) => {}
    }
    let changed = api.parts.levels.set(name, level, api.clock.now().wall);
    let changed = changed.map_err(|error| ApiError::BadRequest(error.to_string()))?;
    match scope {
        LevelScope::Worker => json(200, &changed),
        LevelScope::Cluster => Ok(no_content()),
    }
}
