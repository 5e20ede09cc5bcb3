//! What each route does. Every file is one group of paths.

mod connectors;
mod health;
mod internal;
mod loggers;
mod metrics;
mod offsets;
mod plugins;

use bytes::Bytes;
use serde::Serialize;

use super::api::RestApi;
use super::dto::{BodyError, ServerInfoBody};
use super::errand::Errand;
use super::error::ApiError;
use super::http::{HttpRequest, HttpResponse};
use super::router::Route;
use crate::store::config_state::TargetState;

/// Answers a request whose route was found.
pub(super) fn answer(api: &RestApi, route: Route, request: &HttpRequest) -> Result<HttpResponse, ApiError> {
    let errand = || Errand::new(api, request);
    match route {
        Route::Options { allow, wants_text } => Ok(options(allow, wants_text)),
        Route::ServerInfo => server_info(api),
        Route::Health(query) => health::get(api, query),
        Route::Metrics(names) => Ok(metrics::get(api, names)),
        Route::ListConnectors(expand) => connectors::list(api, expand),
        Route::CreateConnector => connectors::create(&errand()?),
        Route::Connector(name) => connectors::get(api, name),
        Route::DeleteConnector(name) => connectors::delete(&errand()?, &name),
        Route::Config(name) => connectors::get_config(api, name),
        Route::PutConfig(name) => connectors::put_config(&errand()?, &name),
        Route::PatchConfig(name) => connectors::patch_config(&errand()?, &name),
        Route::Pause(name) => connectors::set_target(&errand()?, &name, TargetState::Paused),
        Route::Resume(name) => connectors::set_target(&errand()?, &name, TargetState::Started),
        Route::Stop(name) => connectors::stop(&errand()?, &name),
        Route::Restart(name) => connectors::restart(&errand()?, &name),
        Route::RestartParts(name, scope) => connectors::restart_parts(&errand()?, &name, scope),
        Route::Status(name) => connectors::status(api, &name),
        Route::Tasks(name) => connectors::tasks(api, name),
        Route::TaskStatus(name, index) => connectors::task_status(api, &name, index),
        Route::RestartTask(name, index) => connectors::restart_task(&errand()?, &name, index),
        Route::Topics(name) => connectors::topics(api, &name),
        Route::ResetTopics(name) => connectors::reset_topics(&errand()?, &name),
        Route::Offsets(name) => offsets::get(api, name),
        Route::AlterOffsets(name) => offsets::alter(&errand()?, &name),
        Route::ResetOffsets(name) => offsets::reset(&errand()?, &name),
        Route::Plugins { connectors_only } => plugins::list(api, connectors_only),
        Route::PluginConfig { plugin, version } => plugins::config(api, &plugin, version.as_deref()),
        Route::ValidatePlugin(plugin) => plugins::validate(api, &plugin, &request.body),
        Route::Loggers => loggers::list(api),
        Route::Logger(name) => loggers::get(api, &name),
        Route::SetLogger(name, scope) => loggers::set(api, &name, scope, &request.body),
        Route::SubmitTasks(name) => internal::submit_tasks(&errand()?, &name),
        Route::Fence(name) => internal::fence(&errand()?, &name),
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
