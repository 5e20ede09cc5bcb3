//! What a request asks for: method, path and query become a [`Route`], after which no text is looked at again.
//!
//! Names in paths are data: they are decoded here, each path segment by itself, so a connector may be called `a/b`.

mod media;
mod passage;
mod path;
mod query;
#[cfg(test)]
mod tests;

use std::time::Duration;

use super::http::{HttpRequest, ListenerLabel, Method};
use crate::api::ids::ConnectorName;
use crate::metrics::Names;
use crate::store::config_state::RestartScope;
pub(super) use passage::{Passage, passage};
pub(super) use path::encode_segment;
use query::Query;

/// Where `/admin/…` and `/metrics` are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminMode {
    /// `admin.listeners` is not set: on the main listeners.
    WithMain,
    /// `admin.listeners` is empty: `/admin/…` nowhere, `/metrics` on the main listeners.
    Off,
    /// `admin.listeners` names listeners: only there, and nothing else is served there.
    Separate,
}

/// Which parts `GET /connectors?expand=…` shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Expand {
    pub(super) status: bool,
    pub(super) info: bool,
}

/// What `GET /health` was asked for beyond KIP-1017.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct HealthQuery {
    /// How long the caller wants to wait at most.
    pub(super) timeout: Option<Duration>,
    /// Whether it wants to know more than the state.
    pub(super) verbose: bool,
}

/// Whom a log level is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LevelScope {
    Worker,
    Cluster,
}

/// What a request asks for. A task number is as the client wrote it, so it may be negative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `OPTIONS`: the methods that the path has.
    Options {
        allow: String,
        wants_text: bool,
    },
    ServerInfo,
    Health(HealthQuery),
    Metrics(Names),
    ListConnectors(Option<Expand>),
    CreateConnector,
    Connector(ConnectorName),
    DeleteConnector(ConnectorName),
    Config(ConnectorName),
    PutConfig(ConnectorName),
    PatchConfig(ConnectorName),
    Pause(ConnectorName),
    Resume(ConnectorName),
    Stop(ConnectorName),
    Restart(ConnectorName),
    RestartParts(ConnectorName, RestartScope),
    Status(ConnectorName),
    Tasks(ConnectorName),
    SubmitTasks(ConnectorName),
    Fence(ConnectorName),
    TaskStatus(ConnectorName, i32),
    RestartTask(ConnectorName, i32),
    Topics(ConnectorName),
    ResetTopics(ConnectorName),
    Offsets(ConnectorName),
    AlterOffsets(ConnectorName),
    ResetOffsets(ConnectorName),
    Plugins {
        connectors_only: bool,
    },
    PluginConfig {
        plugin: String,
        version: Option<String>,
    },
    ValidatePlugin(String),
    Loggers,
    Logger(String),
    SetLogger(String, LevelScope),
}

/// Why a request has no route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The request is wrong in itself.
    BadRequest(String),
    /// There is no such path.
    NotFound,
    /// The path has other methods.
    MethodNotAllowed { allow: String },
    /// The client does not take JSON.
    NotAcceptable,
    /// The body is not JSON by its own account.
    UnsupportedMediaType,
    /// A task number that is none.
    NotATaskNumber,
}

/// The methods that a path may have, apart from those that follow from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

const VERBS: [(Verb, &str); 5] = [
    (Verb::Get, "GET"),
    (Verb::Post, "POST"),
    (Verb::Put, "PUT"),
    (Verb::Patch, "PATCH"),
    (Verb::Delete, "DELETE"),
];

/// Finds the route of a request. The order of the checks is Apache's: path, method, type of the body, type wanted.
pub(super) fn route(request: &HttpRequest, admin: AdminMode) -> Result<Route, Refusal> {
    let (path, query) = path::split_target(&request.target);
    let segments = path::segments(path)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    if !is_served(&segments, request.origin.listener, admin) {
        return Err(Refusal::NotFound);
    }
    let query = Query::parse(query);
    let allow = allowed(&segments, &query).ok_or(Refusal::NotFound)?;
    let verb = match &request.method {
        Method::Get | Method::Head => Verb::Get,
        Method::Post => Verb::Post,
        Method::Put => Verb::Put,
        Method::Patch => Verb::Patch,
        Method::Delete => Verb::Delete,
        Method::Options => {
            let wants_text = media::accepts(request, "text", "plain");
            return Ok(Route::Options { allow, wants_text });
        }
        Method::Other(_) => return Err(Refusal::MethodNotAllowed { allow }),
    };
    let route = lookup(&segments, verb, &query).ok_or(Refusal::MethodNotAllowed { allow })??;
    media::check_content_type(request, route.body())?;
    if route.is_json() && !media::accepts(request, "application", "json") {
        return Err(Refusal::NotAcceptable);
    }
    Ok(route)
}

/// Whether the listener serves that path at all.
fn is_served(segments: &[&str], listener: ListenerLabel, admin: AdminMode) -> bool {
    let (is_admin, is_metrics) = (segments.first() == Some(&"admin"), segments == ["metrics"]);
    match (listener, admin) {
        (ListenerLabel::Main, AdminMode::WithMain) => true,
        (ListenerLabel::Main, AdminMode::Off) => !is_admin,
        (ListenerLabel::Main, AdminMode::Separate) => !is_admin && !is_metrics,
        (ListenerLabel::Admin, AdminMode::WithMain | AdminMode::Off | AdminMode::Separate) => {
            is_admin || is_metrics
        }
    }
}

/// The methods of a path as the `Allow` header has them; `None` if there is no such path.
fn allowed(segments: &[&str], query: &Query) -> Option<String> {
    let verbs = VERBS.iter().filter(|(verb, _)| lookup(segments, *verb, query).is_some());
    let mut names: Vec<&str> = verbs.map(|(_, name)| *name).collect();
    if names.is_empty() {
        return None;
    }
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    Some(names.join(","))
}

/// The table of all paths.
fn lookup(segments: &[&str], verb: Verb, query: &Query) -> Option<Result<Route, Refusal>> {
    let route = match (segments, verb) {
        ([], Verb::Get) => Route::ServerInfo,
        (["health"], Verb::Get) => return Some(health(query)),
        (["metrics"], Verb::Get) => return Some(metrics(query)),
        (["connectors"], Verb::Get) => Route::ListConnectors(expand(query)),
        (["connectors"], Verb::Post) => Route::CreateConnector,
        (["connectors", name, rest @ ..], _) => return of_connector((*name).into(), rest, verb, query),
        (["connector-plugins"], Verb::Get) => {
            Route::Plugins { connectors_only: query.flag_or("connectorsOnly", true) }
        }
        (["connector-plugins", plugin, "config"], Verb::Get) => Route::PluginConfig {
            plugin: (*plugin).to_owned(),
            version: query.first("version").map(str::to_owned),
        },
        (["connector-plugins", plugin, "config", "validate"], Verb::Put) => {
            Route::ValidatePlugin((*plugin).to_owned())
        }
        (["admin", "loggers"], Verb::Get) => Route::Loggers,
        (["admin", "loggers", name], Verb::Get) => Route::Logger((*name).to_owned()),
        (["admin", "loggers", name], Verb::Put) => Route::SetLogger((*name).to_owned(), level_scope(query)),
        _ => return None,
    };
    Some(Ok(route))
}

/// The paths below `/connectors/{name}`.
fn of_connector(
    name: ConnectorName,
    rest: &[&str],
    verb: Verb,
    query: &Query,
) -> Option<Result<Route, Refusal>> {
    let of_task = |index: &str, make: fn(ConnectorName, i32) -> Route, name| {
        index.parse().map(|index| make(name, index)).map_err(|_| Refusal::NotATaskNumber)
    };
    let route = match (rest, verb) {
        ([], Verb::Get) => Route::Connector(name),
        ([], Verb::Delete) => Route::DeleteConnector(name),
        (["config"], Verb::Get) => Route::Config(name),
        (["config"], Verb::Put) => Route::PutConfig(name),
        (["config"], Verb::Patch) => Route::PatchConfig(name),
        (["pause"], Verb::Put) => Route::Pause(name),
        (["resume"], Verb::Put) => Route::Resume(name),
        (["stop"], Verb::Put) => Route::Stop(name),
        (["restart"], Verb::Post) => restart(name, query),
        (["status"], Verb::Get) => Route::Status(name),
        (["tasks"], Verb::Get) => Route::Tasks(name),
        (["tasks"], Verb::Post) => Route::SubmitTasks(name),
        (["fence"], Verb::Put) => Route::Fence(name),
        (["tasks", index, "status"], Verb::Get) => return Some(of_task(index, Route::TaskStatus, name)),
        (["tasks", index, "restart"], Verb::Post) => return Some(of_task(index, Route::RestartTask, name)),
        (["topics"], Verb::Get) => Route::Topics(name),
        (["topics", "reset"], Verb::Put) => Route::ResetTopics(name),
        (["offsets"], Verb::Get) => Route::Offsets(name),
        (["offsets"], Verb::Patch) => Route::AlterOffsets(name),
        (["offsets"], Verb::Delete) => Route::ResetOffsets(name),
        _ => return None,
    };
    Some(Ok(route))
}

fn restart(name: ConnectorName, query: &Query) -> Route {
    let scope =
        RestartScope { only_failed: query.flag("onlyFailed"), include_tasks: query.flag("includeTasks") };
    match scope {
        RestartScope { only_failed: false, include_tasks: false } => Route::Restart(name),
        _ => Route::RestartParts(name, scope),
    }
}

/// What is to be expanded; `None` without any `expand`. Values that mean nothing still ask for the expanded form.
fn expand(query: &Query) -> Option<Expand> {
    let mut values = query.all("expand").peekable();
    values.peek()?;
    let mut expand = Expand::default();
    for value in values {
        match value {
            "status" => expand.status = true,
            "info" => expand.info = true,
            other => log::info!("Ignoring unknown expansion type {other:?}"),
        }
    }
    Some(expand)
}

fn health(query: &Query) -> Result<Route, Refusal> {
    let timeout = match query.first("timeout") {
        None => None,
        Some(text) => match text.parse() {
            Ok(milliseconds) if milliseconds > 0 => Some(Duration::from_millis(milliseconds)),
            Ok(_) | Err(_) => {
                let message = format!(
                    "The parameter timeout must be a positive number of milliseconds, such as 2000, and not '{text}'"
                );
                return Err(Refusal::BadRequest(message));
            }
        },
    };
    Ok(Route::Health(HealthQuery { timeout, verbose: query.flag("verbose") }))
}

fn metrics(query: &Query) -> Result<Route, Refusal> {
    let Some(word) = query.first("names") else { return Ok(Route::Metrics(Names::default())) };
    Names::from_word(word).map(Route::Metrics).ok_or_else(|| {
        let words = Names::ALL.map(|(word, _)| word).join(" or ");
        Refusal::BadRequest(format!("The parameter names must be {words}, and not '{word}'"))
    })
}

fn level_scope(query: &Query) -> LevelScope {
    match query.first("scope") {
        None => LevelScope::Worker,
        Some(scope) if scope.eq_ignore_ascii_case("worker") => LevelScope::Worker,
        Some(scope) if scope.eq_ignore_ascii_case("cluster") => LevelScope::Cluster,
        Some(scope) => {
            log::warn!(
                "Received invalid scope {scope:?} in a request to set a log level; using 'worker' instead"
            );
            LevelScope::Worker
        }
    }
}

/// What a route takes as a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// Of any type: it is not looked at.
    Any,
    /// None; but one that says it is something else than JSON is refused.
    JsonOrNone,
    /// JSON.
    Json,
}

impl Route {
    fn body(&self) -> Body {
        match self {
            Route::Options { .. }
            | Route::ServerInfo
            | Route::Health(_)
            | Route::Metrics(_)
            | Route::SubmitTasks(_)
            | Route::Fence(_) => Body::Any,
            Route::CreateConnector
            | Route::PutConfig(_)
            | Route::PatchConfig(_)
            | Route::AlterOffsets(_)
            | Route::ValidatePlugin(_)
            | Route::SetLogger(..) => Body::Json,
            Route::ListConnectors(_)
            | Route::Connector(_)
            | Route::DeleteConnector(_)
            | Route::Config(_)
            | Route::Pause(_)
            | Route::Resume(_)
            | Route::Stop(_)
            | Route::Restart(_)
            | Route::RestartParts(..)
            | Route::Status(_)
            | Route::Tasks(_)
            | Route::TaskStatus(..)
            | Route::RestartTask(..)
            | Route::Topics(_)
            | Route::ResetTopics(_)
            | Route::Offsets(_)
            | Route::ResetOffsets(_)
            | Route::Plugins { .. }
            | Route::PluginConfig { .. }
            | Route::Loggers
            | Route::Logger(_) => Body::JsonOrNone,
        }
    }

    /// Whether the answer is JSON, which the client has to take.
    fn is_json(&self) -> bool {
        !matches!(self, Route::Metrics(_))
    }

    /// Whether other workers send it, signed by a key of their own: it needs no user.
    pub(super) fn is_internal(&self) -> bool {
        matches!(self, Route::SubmitTasks(_) | Route::Fence(_))
    }
}
