//! What a connector is to be, and what each member of a cluster shows of it.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::cluster::{Cluster, REST};
use crate::support::{Answer, try_send, wait_for};

/// The settings of a connector, as REST shows them.
pub(super) type Config = BTreeMap<String, String>;

/// Whether a connector is to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Running,
    Paused,
    Stopped,
}

/// The offset of a file source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offset {
    /// It moves: not looked at.
    Moving,
    None,
    At(u64),
}

/// A connector at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) config: Config,
    pub(super) target: Target,
    pub(super) tasks: usize,
    pub(super) offset: Offset,
}

impl Cluster<'_> {
    /// Waits until all members show a connector alike, in one of the shapes that it may have, and every part of it on a
    /// worker that is there; tells which. `None` is a connector that is not there.
    pub(super) fn agreed(&self, name: &str, candidates: &[Option<Shape>]) -> Option<Shape> {
        let looks = candidates.iter().flatten().any(|shape| shape.offset != Offset::Moving);
        wait_for(&format!("all members show {name} as one of {candidates:?}"), REST, || {
            let seen: Result<Vec<_>, _> =
                self.members.iter().map(|member| self.seen(&member.url, name, looks)).collect();
            let seen = seen?;
            match candidates.iter().find(|candidate| seen.iter().all(|seen| seen == *candidate)) {
                Some(candidate) => Ok(candidate.clone()),
                None => Err(format!("{:?} show {seen:?}", self.members)),
            }
        })
    }

    /// What one member shows of a connector; an error while that is nothing that could last.
    fn seen(&self, url: &str, name: &str, with_offset: bool) -> Result<Option<Shape>, String> {
        let get = |path: &str| {
            let path = format!("/connectors/{name}{path}");
            let answer =
                try_send(url, "GET", &path, None).map_err(|why| format!("GET {path} of {url}: {why}"))?;
            match answer.status {
                200 => Ok(Some(answer.json())),
                404 => Ok(None),
                _ => Err(format!("GET {path} of {url}: {answer:?}")),
            }
        };
        let Some(config) = get("/config")? else { return Ok(None) };
        let config: Config = serde_json::from_value(config).map_err(|why| why.to_string())?;
        let status = get("/status")?.ok_or("no status yet")?;
        let tasks = status["tasks"].as_array().cloned().unwrap_or_default();
        let target = match status["connector"]["state"].as_str() {
            Some("RUNNING") => Target::Running,
            Some("PAUSED") => Target::Paused,
            Some("STOPPED") => Target::Stopped,
            _ => return Err(format!("{url}: {status}")),
        };
        let parts = tasks.iter().map(|task| &task["state"]);
        let as_it = |state: &Json| *state == status["connector"]["state"];
        let is_there =
            |part: &Json| self.members.iter().any(|member| part["worker_id"] == member.worker_id());
        if !parts.into_iter().all(as_it) || !tasks.iter().chain([&status["connector"]]).all(is_there) {
            return Err(format!("{url}: {status}"));
        }
        let configured = get("/tasks")?.ok_or("no tasks yet")?;
        let made_of_it = |task: &Json| {
            let settings = task["config"].as_object().into_iter().flatten();
            settings.into_iter().all(|(key, value)| config.get(key).is_none_or(|known| value == known))
        };
        let configured: Vec<Json> = configured.as_array().cloned().unwrap_or_default();
        if configured.len() != tasks.len() || !configured.iter().all(made_of_it) {
            return Err(format!("{url}: {status} with {configured:?}"));
        }
        let offset =
            if with_offset { offset(&get("/offsets")?.ok_or("no offsets yet")?) } else { Offset::Moving };
        Ok(Some(Shape { config, target, tasks: tasks.len(), offset }))
    }
}

fn offset(offsets: &Json) -> Offset {
    match offsets.pointer("/offsets/0/offset/position").and_then(Json::as_u64) {
        Some(position) => Offset::At(position),
        None => Offset::None,
    }
}

/// Fails unless the answer has that status.
pub(super) fn expect_status(answer: &Answer, status: u16, what: &dyn std::fmt::Debug) {
    assert_eq!(answer.status, status, "{what:?}: {answer:?}");
}
