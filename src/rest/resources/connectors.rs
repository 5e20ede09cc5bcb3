//! `/connectors` and what is below it, except offsets.

use std::borrow::Borrow;

use serde_json::{Map, Value as Json, json as json_value};

use super::super::api::{Mode, RestApi};
use super::super::dto::{
    ConnectorInfoBody, ConnectorStatusBody, CreateRequest, TaskBody, TaskStatusBody, config_body, create_body,
};
use super::super::errand::{Errand, Onward};
use super::super::error::ApiError;
use super::super::http::HttpResponse;
use super::super::router::{Expand, encode_segment};
use super::{accepted, json, no_content};
use crate::api::ids::{ConnectorName, TaskId};
use crate::herder::msg::{Draft, Request, Written};
use crate::herder::view::ConnectorView;
use crate::store::config_state::{RestartScope, TargetState};

pub(super) fn list(api: &RestApi, expand: Option<Expand>) -> Result<HttpResponse, ApiError> {
    let views = api.parts.herder.views.all();
    let Some(expand) = expand else {
        let names: Vec<&ConnectorName> = views.iter().map(|view| &view.info.name).collect();
        return json(200, &names);
    };
    let mut all = Map::new();
    for view in &views {
        if let Some(expanded) = expanded(view, expand)? {
            all.insert(view.info.name.to_string(), Json::Object(expanded));
        }
    }
    json(200, &all)
}

/// The parts of one connector; `None` if its status is wanted and not known yet.
fn expanded(view: &ConnectorView, expand: Expand) -> Result<Option<Map<String, Json>>, ApiError> {
    let failed = |error: serde_json::Error| ApiError::Failed(error.to_string());
    let mut parts = Map::new();
    if expand.status {
        let Some(status) = &view.status else { return Ok(None) };
        let status = serde_json::to_value(ConnectorStatusBody::from(status)).map_err(failed)?;
        parts.insert("status".to_owned(), status);
    }
    if expand.info {
        let info = serde_json::to_value(ConnectorInfoBody::from(&view.info)).map_err(failed)?;
        parts.insert("info".to_owned(), info);
    }
    Ok(Some(parts))
}

pub(super) fn create(errand: &Errand<'_>) -> Result<HttpResponse, ApiError> {
    let CreateRequest { name, config: mut draft, target } = create_body(&errand.request().body)?;
    name_draft(&mut draft, &name)?;
    let name = ConnectorName::new(name);
    let onward = Onward::new("POST", &["connectors"]).body_as_sent();
    let done = errand.run(&onward, |reply| {
        let (name, draft) = (name.clone(), draft.clone());
        Request::Create { name, draft, target, reply }
    })?;
    let answer = done.answer(|info| json(201, &ConnectorInfoBody::from(&info)))?;
    Ok(located(answer, errand, &name))
}

pub(super) fn put_config(errand: &Errand<'_>, name: &ConnectorName) -> Result<HttpResponse, ApiError> {
    let mut draft = config_body(&errand.request().body)?;
    name_draft(&mut draft, name.as_str())?;
    let onward = onward("PUT", name, &["config"]).config(&draft);
    let put = |reply| Request::Put { name: name.clone(), draft: draft.clone(), reply };
    let answer = errand.run(&onward, put)?.answer(|(written, info)| {
        let status = match written {
            Written::Created => 201,
            Written::Updated => 200,
        };
        json(status, &ConnectorInfoBody::from(&info))
    })?;
    Ok(located(answer, errand, name))
}

pub(super) fn patch_config(errand: &Errand<'_>, name: &ConnectorName) -> Result<HttpResponse, ApiError> {
    let mut changes = config_body(&errand.request().body)?;
    // The name can neither be changed nor removed; Apache lets both happen.
    name_draft(&mut changes, name.as_str())?;
    let onward = onward("PATCH", name, &["config"]).config(&changes);
    let patch = |reply| Request::Patch { name: name.clone(), changes: changes.clone(), reply };
    errand.run(&onward, patch)?.answer(|(_, info)| json(200, &ConnectorInfoBody::from(&info)))
}

/// The request to another worker about a connector, or about what is below it.
fn onward<'a>(method: &'static str, name: &ConnectorName, below: &[&str]) -> Onward<'a> {
    Onward::new(method, &[&["connectors", name.as_str()], below].concat())
}

/// Has the settings name their connector: they must do so with its name, or not at all.
fn name_draft(draft: &mut Draft, name: &str) -> Result<(), ApiError> {
    match draft.get("name").and_then(Option::as_deref) {
        Some(other) if other != name => Err(ApiError::BadRequest(format!(
            "Connector name configuration ({other}) doesn't match connector name in the URL ({name})"
        ))),
        Some(_) => Ok(()),
        None => {
            draft.insert("name".to_owned(), Some(name.to_owned()));
            Ok(())
        }
    }
}

/// The answer, with the URL of the connector if it was created: by whichever worker, the client is led back here.
fn located(answer: HttpResponse, errand: &Errand<'_>, name: &ConnectorName) -> HttpResponse {
    if answer.status == 201 { answer.with_header("Location", location(errand, name)) } else { answer }
}

/// The URL of a connector as the client would reach it.
fn location(errand: &Errand<'_>, name: &ConnectorName) -> String {
    let (api, request) = (errand.api(), errand.request());
    let path = encode_segment(name.as_str());
    match request.header("Host").filter(|host| !host.is_empty()) {
        Some(host) => {
            let scheme = if request.origin.tls.is_some() { "https" } else { "http" };
            format!("{scheme}://{host}/connectors/{path}")
        }
        None => format!("{}/connectors/{path}", api.parts.worker.advertised_url.trim_end_matches('/')),
    }
}

pub(super) fn get(api: &RestApi, name: ConnectorName) -> Result<HttpResponse, ApiError> {
    let info = api.show(|reply| Request::Info(name, reply))?;
    json(200, &ConnectorInfoBody::from(&info))
}

pub(super) fn get_config(api: &RestApi, name: ConnectorName) -> Result<HttpResponse, ApiError> {
    json(200, &api.show(|reply| Request::Info(name, reply))?.config)
}

pub(super) fn delete(errand: &Errand<'_>, name: &ConnectorName) -> Result<HttpResponse, ApiError> {
    let done = errand.run(&onward("DELETE", name, &[]), |reply| Request::Delete(name.clone(), reply))?;
    done.answer(|()| Ok(no_content()))
}

pub(super) fn set_target(
    errand: &Errand<'_>,
    name: &ConnectorName,
    state: TargetState,
) -> Result<HttpResponse, ApiError> {
    let verb = match state {
        TargetState::Started => "resume",
        TargetState::Paused => "pause",
        TargetState::Stopped => "stop",
    };
    let onward = onward("PUT", name, &[verb]);
    errand.run(&onward, |reply| Request::SetTarget(name.clone(), state, reply))?.answer(|()| Ok(accepted()))
}

pub(super) fn stop(errand: &Errand<'_>, name: &ConnectorName) -> Result<HttpResponse, ApiError> {
    let done = errand.run(&onward("PUT", name, &["stop"]), |reply| Request::Stop(name.clone(), reply))?;
    done.answer(|()| Ok(no_content()))
}

pub(super) fn restart(errand: &Errand<'_>, name: &ConnectorName) -> Result<HttpResponse, ApiError> {
    let onward = onward("POST", name, &["restart"]);
    errand.run(&onward, |reply| Request::Restart(name.clone(), reply))?.answer(|()| Ok(no_content()))
}

pub(super) fn restart_parts(
    errand: &Errand<'_>,
    name: &ConnectorName,
    scope: RestartScope,
) -> Result<HttpResponse, ApiError> {
    let onward = onward("POST", name, &["restart"])
        .flag("includeTasks", scope.include_tasks)
        .flag("onlyFailed", scope.only_failed);
    let done = errand.run(&onward, |reply| Request::RestartParts(name.clone(), scope, reply))?;
    done.answer(|status| json(202, &ConnectorStatusBody::from(&status)))
}

pub(super) fn status(api: &RestApi, name: &ConnectorName) -> Result<HttpResponse, ApiError> {
    let view = api.parts.herder.views.get(name.as_str());
    match view.as_ref().and_then(|view| view.status.as_ref()) {
        Some(status) => json(200, &ConnectorStatusBody::from(status)),
        None => Err(ApiError::NotFound(format!("No status found for connector {name}"))),
    }
}

pub(super) fn tasks(api: &RestApi, name: ConnectorName) -> Result<HttpResponse, ApiError> {
    let configs = api.show(|reply| Request::Tasks(name.clone(), reply))?;
    let tasks = (0..).zip(&configs);
    let tasks =
        tasks.map(|(index, config)| TaskBody { id: TaskId { connector: name.clone(), index }, config });
    json(200, &tasks.collect::<Vec<_>>())
}

pub(super) fn task_status(api: &RestApi, name: &ConnectorName, index: i32) -> Result<HttpResponse, ApiError> {
    let view = api.parts.herder.views.get(name.as_str());
    let tasks = view.as_ref().and_then(|view| view.status.as_ref()).map(|status| &status.tasks);
    let found = u32::try_from(index).ok().and_then(|id| Some((id, tasks?.get(&id)?)));
    match found {
        Some((id, status)) => json(200, &TaskStatusBody::new(id, status)),
        None => Err(ApiError::NotFound(format!("No status found for task {name}-{index}"))),
    }
}

pub(super) fn restart_task(
    errand: &Errand<'_>,
    name: &ConnectorName,
    index: i32,
) -> Result<HttpResponse, ApiError> {
    let Ok(number) = u32::try_from(index) else {
        return Err(ApiError::NotFound(match errand.api().parts.settings.mode {
            Mode::Standalone => format!("Task {name}-{index} not found"),
            Mode::Distributed(_) => format!("Unknown task: {name}-{index}"),
        }));
    };
    let id = TaskId { connector: name.clone(), index: number };
    let onward = onward("POST", name, &["tasks", &index.to_string(), "restart"]);
    errand.run(&onward, |reply| Request::RestartTask(id.clone(), reply))?.answer(|()| Ok(no_content()))
}

pub(super) fn topics(api: &RestApi, name: &ConnectorName) -> Result<HttpResponse, ApiError> {
    topics_are_tracked(api)?;
    let view = api.parts.herder.views.get(name.as_str());
    let topics = view.iter().flat_map(|view| view.topics.iter().map(Borrow::<str>::borrow));
    let topics: Vec<&str> = topics.collect();
    json(200, &json_value!({ name.as_str(): { "topics": topics } }))
}

pub(super) fn reset_topics(errand: &Errand<'_>, name: &ConnectorName) -> Result<HttpResponse, ApiError> {
    topics_are_tracked(errand.api())?;
    if !errand.api().parts.settings.topic_tracking_reset {
        return Err(ApiError::Forbidden("Topic tracking reset is disabled."));
    }
    let onward = onward("PUT", name, &["topics", "reset"]);
    errand.run(&onward, |reply| Request::ResetTopics(name.clone(), reply))?.answer(|()| Ok(accepted()))
}

fn topics_are_tracked(api: &RestApi) -> Result<(), ApiError> {
    if api.parts.settings.topic_tracking {
        Ok(())
    } else {
        Err(ApiError::Forbidden("Topic tracking is disabled."))
    }
}
