//! One instance of a connector, from start to stop. Its methods run on a pool thread, one after another.

use std::sync::Arc;

use super::{ConnectorEvent, ConnectorEventKind, ConnectorEvents, TASKS_MAX};
use crate::api::Settings;
use crate::api::connector::{Connector, ConnectorContext};
use crate::api::error::{ConnectError, Result};
use crate::api::ids::{ConnectorName, Epoch};
use crate::api::registry::ConnectorClass;
use crate::config::providers::{ConfigProviders, Resolved, restore_references};
use crate::config::topic_creation;
use crate::stdx::panics;

const LOGGER: &str = "org.apache.kafka.connect.runtime.WorkerConnector";

/// An instance with what it needs.
pub(super) struct Life {
    reporter: Arc<Reporter>,
    class: ConnectorClass,
    raw: Settings,
    providers: Arc<ConfigProviders>,
    connector: Option<Box<dyn Connector>>,
}

/// Reports for one instance; what the connector itself sees of the worker.
struct Reporter {
    name: ConnectorName,
    epoch: Epoch,
    events: ConnectorEvents,
}

impl Reporter {
    fn report(&self, kind: ConnectorEventKind) {
        (self.events)(ConnectorEvent { name: self.name.clone(), epoch: self.epoch, kind });
    }

    fn fail(&self, error: &ConnectError) {
        log::error!(target: LOGGER, "WorkerConnector{{id={}}} Connector failed: {}", self.name, error.trace().trim_end());
        self.report(ConnectorEventKind::Failed { trace: error.trace() });
    }
}

impl ConnectorContext for Reporter {
    fn request_task_reconfiguration(&self) {
        self.report(ConnectorEventKind::ReconfigurationRequested);
    }

    fn raise_error(&self, error: ConnectError) {
        self.fail(&error);
    }
}

impl Life {
    pub(super) fn new(
        name: ConnectorName,
        epoch: Epoch,
        class: ConnectorClass,
        raw: Settings,
        providers: Arc<ConfigProviders>,
        events: ConnectorEvents,
    ) -> Self {
        let reporter = Arc::new(Reporter { name, epoch, events });
        Life { reporter, class, raw, providers, connector: None }
    }

    pub(super) fn start(&mut self) {
        let started = self.within("starting", |life| {
            let Resolved { settings, missing, .. } = life.resolved()?;
            for missing in missing.iter().filter(|missing| missing.has_provider) {
                let (name, setting) = (&life.reporter.name, &missing.setting);
                log::warn!(target: LOGGER, "Connector {name}: in the setting {setting}, {missing}");
            }
            let plugin = life.class.plugin();
            log::info!(target: LOGGER, "Creating connector {} of type {}", life.reporter.name, plugin.class());
            let notes = match life.class {
                ConnectorClass::Source(_) => topic_creation::notes(&settings),
                ConnectorClass::Sink(_) => Vec::new(),
            };
            for note in notes {
                log::warn!(target: LOGGER, "Connector {}: {note}", life.reporter.name);
            }
            let connector = life.connector.insert(plugin.connector());
            connector.start(Arc::clone(&life.reporter) as Arc<dyn ConnectorContext>, &settings)
        });
        match started {
            Ok(()) => {
                log::info!(target: LOGGER, "Finished creating connector {}", self.reporter.name);
                self.reporter.report(ConnectorEventKind::Started);
            }
            Err(error) => self.reporter.fail(&error),
        }
    }

    pub(super) fn make_task_configs(&mut self) {
        match self.within("making the task configs of", Life::task_configs) {
            Ok(tasks) => self.reporter.report(ConnectorEventKind::TaskConfigs(tasks)),
            Err(error) => self.reporter.fail(&error),
        }
    }

    pub(super) fn stop(&mut self) {
        let stopped = self.within("stopping", |life| match &mut life.connector {
            Some(connector) => connector.stop(),
            None => Ok(()),
        });
        if let Err(error) = stopped {
            log::error!(
                target: LOGGER,
                "WorkerConnector{{id={}}} Error while shutting down connector: {}",
                self.reporter.name,
                error.trace().trim_end()
            );
        }
        self.connector = None;
        log::info!(target: LOGGER, "Completed shutdown for WorkerConnector{{id={}}}", self.reporter.name);
        self.reporter.report(ConnectorEventKind::Stopped);
    }

    fn resolved(&self) -> Result<Resolved> {
        self.providers.resolve_all(&self.raw).map_err(|error| {
            ConnectError::config(format!("Cannot resolve the settings of connector {}", self.reporter.name))
                .caused_by(error)
        })
    }

    /// The settings of the tasks as they are stored: with the class of the task, what sinks read, and references to
    /// config providers put back in place of what they stand for.
    fn task_configs(&mut self) -> Result<Vec<Settings>> {
        let settings = self.resolved()?.settings;
        let limits = TaskLimits::of(&settings)?;
        let connector = self.connector.as_mut().ok_or_else(|| ConnectError::connect("It is not started"))?;
        let mut tasks = connector.task_configs(limits.tasks_max)?;
        limits.check(&self.reporter.name, tasks.len())?;
        for task in &mut tasks {
            task.insert("task.class".to_owned(), self.class.plugin().task_class().to_owned());
            if let ConnectorClass::Sink(_) = self.class {
                let subscription =
                    ["topics", "topics.regex"].into_iter().filter_map(|key| settings.get_key_value(key));
                task.extend(subscription.map(|(key, value)| (key.clone(), value.clone())));
            }
            restore_references(&self.raw, task);
        }
        Ok(tasks)
    }

    /// Runs code of the plug-in; a panic is an error like any other.
    fn within<T>(&mut self, doing: &str, code: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let name = self.reporter.name.clone();
        panics::caught(|| code(self)).unwrap_or_else(|words| {
            Err(ConnectError::connect(format!("Panic while {doing} connector {name}: {words}")))
        })
    }
}

/// How many tasks a connector may have.
struct TaskLimits {
    tasks_max: u32,
    enforce: bool,
}

impl TaskLimits {
    /// Of settings that were validated; what is wrong in them all the same is an error.
    fn of(settings: &Settings) -> Result<Self> {
        let tasks_max = match settings.get("tasks.max").map(|text| text.trim()) {
            None => 1,
            Some(text) => text.parse().map_err(|_| {
                ConnectError::config(format!(
                    "Invalid value {text} for configuration tasks.max: Not a number of type INT"
                ))
            })?,
        };
        if tasks_max > TASKS_MAX {
            let message = "for configuration tasks.max: Value must be no more than";
            return Err(ConnectError::config(format!("Invalid value {tasks_max} {message} {TASKS_MAX}")));
        }
        let enforce =
            settings.get("tasks.max.enforce").is_none_or(|text| !text.trim().eq_ignore_ascii_case("false"));
        Ok(TaskLimits { tasks_max, enforce })
    }

    fn check(&self, name: &ConnectorName, tasks: usize) -> Result<()> {
        if tasks <= self.tasks_max as usize {
            return Ok(());
        }
        let message = format!(
            "The connector {name} has generated {tasks} tasks, which is greater than {}, the maximum number of tasks \
             it is configured to create.",
            self.tasks_max
        );
        if self.enforce {
            return Err(ConnectError::connect(format!(
                "{message} Raise tasks.max, or set tasks.max.enforce to false to allow more tasks than that"
            )));
        }
        log::warn!(target: LOGGER, "{message}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_tasks_has_a_bound() {
        let limits =
            |tasks: &str| TaskLimits::of(&Settings::from([("tasks.max".to_owned(), tasks.to_owned())]));
        assert_eq!(limits(" 10000 ").unwrap().tasks_max, TASKS_MAX);
        let error = limits("2000000000").err().expect("an error").to_string();
        assert!(
            error.contains(
                "Invalid value 2000000000 for configuration tasks.max: Value must be no more than 10000"
            ),
            "{error}"
        );
    }
}
