//! `/connector-plugins`: what this worker can run, what it takes, and whether settings would do.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::super::api::RestApi;
use super::super::dto::{ConfigInfosBody, DefinitionBody, PluginBody, config_body};
use super::super::error::ApiError;
use super::super::http::HttpResponse;
use super::json;
use crate::api::converter::ConverterRoles;
use crate::api::registry::ConnectorClass;
use crate::connector::plugin_version::VersionRange;
use crate::connector::validation::{ConfigInfos, ValidationStep, no_such_version};
use crate::stdx::reply::{Unanswered, reply};

pub(super) fn list(api: &RestApi, connectors_only: bool) -> Result<HttpResponse, ApiError> {
    let registry = api.parts.validator.registry();
    let plugin = |class, version, kind| PluginBody { class, kind, version };
    let connectors = |sinks: bool| {
        let wanted =
            registry.connectors().filter(move |class| matches!(class, ConnectorClass::Sink(_)) == sinks);
        wanted.map(|class| plugin(class.plugin().class(), class.plugin().version(), class.kind_name()))
    };
    let mut plugins: Vec<PluginBody> = connectors(true).chain(connectors(false)).collect();
    if !connectors_only {
        plugins.extend(registry.transforms().map(|it| plugin(it.class(), it.version(), "transformation")));
        plugins.extend(registry.predicates().map(|it| plugin(it.class(), it.version(), "predicate")));
        plugins.extend(registry.data_converters().map(|it| plugin(it.class(), it.version(), "converter")));
        let for_headers = registry.converters().filter(|converter| match converter.roles() {
            ConverterRoles::All | ConverterRoles::HeaderOnly => true,
        });
        plugins.extend(for_headers.map(|it| plugin(it.class(), it.version(), "header_converter")));
    }
    json(200, &plugins)
}

pub(super) fn config(api: &RestApi, plugin: &str, version: Option<&str>) -> Result<HttpResponse, ApiError> {
    let (class, here, def) = api
        .parts
        .validator
        .plugin_def(plugin)
        .ok_or_else(|| ApiError::NotFound(format!("Unknown plugin {plugin}.")))?;
    let version = version.unwrap_or("latest");
    let range = VersionRange::parse(version)
        .map_err(|_| ApiError::BadRequest(format!("Invalid version specification: {version}")))?;
    if !range.contains(here) {
        return Err(ApiError::BadRequest(no_such_version(class, here, &range)));
    }
    json(200, &def.keys().map(DefinitionBody::from).collect::<Vec<_>>())
}

/// The outcome of a validation on its way from the pool.
struct Validated(Result<ConfigInfos, ApiError>);

impl Unanswered for Validated {
    fn unanswered() -> Self {
        let message =
            "The validation ended without a result: the code of the connector plug-in panicked. See the log.";
        Validated(Err(ApiError::Failed(message.to_owned())))
    }
}

/// Validates on a thread of the pool: a plug-in that blocks there keeps nobody else waiting.
pub(super) fn validate(api: &RestApi, plugin: &str, body: &[u8]) -> Result<HttpResponse, ApiError> {
    let draft = config_body(body)?;
    if let Some(Some(class)) = draft.get("connector.class")
        && !class_matches(class, plugin)
    {
        let message = format!("Included connector type {class} does not match request type {plugin}");
        return Err(ApiError::BadRequest(message));
    }
    let (reply, pending) = reply();
    let clock = api.clock;
    let progress = Arc::new(Progress::new(clock.now().wall));
    let (validator, noted) = (Arc::clone(&api.parts.validator), Arc::clone(&progress));
    let job = move || {
        let result = validator.validate(&draft, &|step| noted.note(step, clock.now().wall));
        reply.send(Validated(result.map_err(|error| ApiError::BadRequest(error.to_string()))));
    };
    api.parts.pool.execute(job).map_err(|_refused| ApiError::NoThreadForValidation)?;
    match pending.wait(api.parts.settings.request_timeout) {
        Ok(Validated(infos)) => json(200, &ConfigInfosBody::from(&infos?)),
        Err(_timed_out) => Err(progress.timed_out()),
    }
}

/// Whether the class in the body is the one of the path. Both may leave out their package and their `Connector`.
fn class_matches(class: &str, plugin: &str) -> bool {
    let short = |name: &'_ str| match name.strip_suffix("Connector") {
        Some(short) if !short.is_empty() => short.len(),
        Some(_) | None => name.len(),
    };
    let (class, plugin) = (class.get(..short(class)), plugin.get(..short(plugin)));
    class.zip(plugin).is_some_and(|(class, plugin)| class.ends_with(plugin))
}

/// What a validation is doing since when, for who waits for it.
#[derive(Debug)]
struct Progress(Mutex<(ValidationStep, Timestamp)>);

impl Progress {
    fn new(now: Timestamp) -> Self {
        Progress(Mutex::new((ValidationStep::AwaitingThread, now)))
    }

    fn note(&self, step: ValidationStep, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (step, now);
    }

    fn timed_out(&self) -> ApiError {
        let (step, since) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ApiError::ValidationTimedOut { step: step.to_string(), since }
    }
}

#[cfg(test)]
mod tests {
    use super::class_matches;

    #[test]
    fn classes_match_as_in_apache() {
        let full = "org.apache.kafka.connect.file.FileStreamSourceConnector";
        let table = [
            ("FileStreamSource", "FileStreamSource", true),
            ("FileStreamSourceConnector", "FileStreamSource", true),
            (full, "FileStreamSource", true),
            (full, "FileStreamSourceConnector", true),
            ("FileStreamSource", "Source", true),
            ("FileStreamSource", full, false),
            ("FileStreamSink", "FileStreamSource", false),
            ("Connector", "Connector", true),
        ];
        for (class, plugin, expected) in table {
            assert_eq!(class_matches(class, plugin), expected, "{class} for {plugin}");
        }
    }
}
