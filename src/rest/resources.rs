//! What each route does. Every file is one group of paths.

mod connectors;
mod health;
mod loggers;
mod offsets;
mod plugins;

use bytes::Bytes;
use serde::Serialize;

use super::api::RestApi;
use super::dto::{BodyError, ServerInfoBody};
use super::error::ApiError;
use super::http::{HttpRequest, HttpResponse};
use super::router::Route;
use crate::store::config_state::TargetState;

/// Answers a request whose route was found.
pub(super) fn answer(api: &RestApi, route: Route, request: &HttpRequest) -> Result<HttpResponse, ApiError> {
    match route {
        Route::Options { allow, wants_text } => Ok(options(allow, wants_text)),
        Route::ServerInfo => server_info(api),
        Route::Health(query) => health::get(api, query),
        Route::ListConnectors(expand) => connectors::list(api, expand),
        Route::CreateConnector => connectors::create(api, request),
        Route::Connector(name) => connectors::get(api, name),
        Route::DeleteConnector(name) => connectors::delete(api, name),
        Route::Config(name) => connectors::get_config(api, name),
        Route::PutConfig(name) => connectors::put_config(api, name, request),
        Route::PatchConfig(name) => connectors::patch_config(api, name, request),
        Route::Pause(name) => connectors::set_target(api, name, TargetState::Paused),
        Route::Resume(name) => connectors::set_target(api, name, TargetState::Started),
        Route::Stop(name) => connectors::stop(api, name),
        Route::Restart(name) => connectors::restart(api, name),
        Route::RestartParts(name, scope) => connectors::restart_parts(api, name, scope),
        Route::Status(name) => connectors::status(api, &name),
        Route::Tasks(name) => connectors::tasks(api, name),
        Route::TaskStatus(name, index) => connectors::task_status(api, &name, index),
        Route::RestartTask(name, index) => connectors::restart_task(api, name, index),
        Route::Topics(name) => connectors::topics(api, &name),
        Route::ResetTopics(name) => connectors::reset_topics(api, name),
        Route::Offsets(name) => offsets::get(api, name),
        Route::AlterOffsets(name) => offsets::alter(api, name, &request.body),
        Route::ResetOffsets(name) => offsets::reset(api, name),
        Route::Plugins { connectors_only } => plugins::list(api, connectors_only),
        Route::PluginConfig { plugin, version } => plugins::config(api, &plugin, version.as_deref()),
        Route::ValidatePlugin(plugin) => plugins::validate(api, &plugin, &request.body),
        Route::Loggers => loggers::list(api),
        Route::Logger(name) => loggers::get(api, &name),
        Route::SetLogger(name, scope) => loggers::set(api, &name, scope, &request.body),
        Route::SubmitTasks(_) => Err(ApiError::Unsupported(
            "Kafka Connect in standalone mode does not support externally setting task configurations.",
        )),
        Route::Fence(_) => Err(ApiError::Unsupported(
            "Kafka Connect in standalone mode does not support exactly-once source connectors.",
        )),
    }
}

fn options(allow: String, wants_text: bool) -> HttpResponse {
    let mut response = HttpResponse::empty(200).with_header("Content-Type", "text/plain");
    if wants_text {
        response.body = Bytes::from(allow.replace(',', ", "));
    }
    response.with_header("Allow", allow)
}

fn server_info(api: &RestApi) -> Result<HttpResponse, ApiError> {
    let kafka_cluster_id = api.parts.worker.kafka_cluster_id.get().map(String::as_str);
    let version = env!("CARGO_PKG_VERSION");
    let commit = option_env!("HERDSMAN_COMMIT").unwrap_or("unknown");
    json(200, &ServerInfoBody { version, commit, kafka_cluster_id })
}

/// An answer with a JSON body.
fn json(status: u16, body: &impl Serialize) -> Result<HttpResponse, ApiError> {
    match serde_json::to_vec(body) {
        Ok(body) => Ok(HttpResponse::json(status, body)),
        Err(error) => Err(ApiError::Failed(format!("The answer cannot be written as JSON: {error}"))),
    }
}

/// «Done», for what has no answer beyond that.
fn no_content() -> HttpResponse {
    HttpResponse::empty(204)
}

/// «Will be done», for what goes on after the answer.
fn accepted() -> HttpResponse {
    HttpResponse::empty(202)
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        ApiError::BadRequest(error.to_string())
    }
}
