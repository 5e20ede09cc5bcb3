//! From settings to a task that can be built: references resolved, converters chosen, client settings translated.
//!
//! Runs on a thread of the task, since config providers read files.

mod errors;
mod sources;
mod transforms;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

pub use sources::{GroupPlans, SourceOffsets};

use super::spec::{ConverterChoice, Converters, SinkTopics, TaskSpec, TaskWork};
use crate::api::Settings;
use crate::api::config_def::ConfigErrors;
use crate::api::error::{ConnectError, Result};
use crate::api::ids::{ConnectorName, TaskId};
use crate::api::registry::{ConnectorClass, Registry};
use crate::config::client::{ClientLayers, ClientSettings};
use crate::config::worker::{ConverterConfig, WorkerConfig};
use crate::kafka::admin::GroupOffsets;
use crate::store::offset_store::OffsetStore;

/// Where the offset store will be once it is opened.
pub type OffsetStoreSlot = Arc<OnceLock<Arc<dyn OffsetStore>>>;

/// Makes plans of tasks. Shared by all threads.
pub struct TaskPlanner {
    config: Arc<WorkerConfig>,
    registry: Arc<Registry>,
    offsets: OffsetStoreSlot,
    group: Option<GroupPlans>,
}

/// What the planner is told about a task; references to config providers are unresolved.
#[derive(Debug, Clone)]
pub struct StoredTask {
    /// Which task.
    pub id: TaskId,
    /// The class of its connector.
    pub class: ConnectorClass,
    /// Its settings.
    pub settings: Settings,
    /// Those of its connector.
    pub connector: Settings,
    /// How many tasks its connector has.
    pub tasks: usize,
}

impl TaskPlanner {
    /// With what all tasks of a worker share.
    pub fn new(config: Arc<WorkerConfig>, registry: Arc<Registry>, offsets: OffsetStoreSlot) -> Self {
        TaskPlanner { config, registry, offsets, group: None }
    }

    /// The same for a worker in a group.
    #[must_use]
    pub fn in_group(self, group: GroupPlans) -> Self {
        TaskPlanner { group: Some(group), ..self }
    }

    /// Settings with references to config providers replaced.
    ///
    /// # Errors
    /// A provider failed.
    pub fn resolve(&self, settings: &Settings) -> Result<Settings> {
        let cannot = || ConnectError::config("Cannot resolve the references to config providers");
        self.config.providers.resolve(settings).map_err(|why| cannot().caused_by(why))
    }

    /// What a task is built from.
    ///
    /// # Errors
    /// Settings that cannot be kept; a config provider that failed.
    pub fn plan(&self, task: &StoredTask) -> Result<TaskSpec> {
        let connector = self.resolve(&task.connector)?;
        let settings = self.resolve(&task.settings)?;
        check_tasks_max(&task.id.connector, &connector, task.tasks)?;
        let layers = self.layers(&connector);
        let (work, client) = match &task.class {
            ConnectorClass::Source(plugin) => self.source(&task.id, plugin, &connector)?,
            ConnectorClass::Sink(plugin) => {
                let work = TaskWork::Sink { plugin: Arc::clone(plugin), topics: topics(&connector)? };
                let client = layers.sink_consumer(task.id.connector.as_str(), task.id.index);
                (work, client.map_err(refused)?)
            }
        };
        let client = match self.config.client_figures_interval {
            Duration::ZERO => client,
            interval => client.with("statistics.interval.ms", interval.as_millis().to_string()),
        };
        Ok(TaskSpec {
            id: task.id.clone(),
            work,
            settings,
            converters: self.converters(&connector)?,
            transforms: transforms::choose(&self.registry, &connector)?,
            topic_creation: match &task.class {
                ConnectorClass::Source(_) => self.topic_creation(&task.id, &connector)?,
                ConnectorClass::Sink(_) => None,
            },
            client,
            offset_flush_interval: self.config.offset_flush_interval,
            offset_flush_timeout: self.config.offset_flush_timeout,
            // What is left is for the plug-in and for the commit of what was acknowledged.
            stop_timeout: self
                .config
                .offset_flush_timeout
                .min(self.config.task_shutdown_graceful_timeout * 4 / 5),
            errors: errors::handling(&task.class, &connector, &layers)?,
            records_max: layers.max_poll_records().map_err(refused)?,
        })
    }

    /// The offsets of a sink connector's group.
    ///
    /// # Errors
    /// Settings of the connector's clients that cannot be kept; a config provider that failed.
    pub fn group_offsets(&self, name: &ConnectorName, connector: &Settings) -> Result<GroupOffsets> {
        let connector = self.resolve(connector)?;
        let client: ClientSettings =
            self.layers(&connector).sink_consumer(name.as_str(), 0).map_err(refused)?;
        Ok(GroupOffsets::new(client))
    }

    fn layers<'a>(&'a self, connector: &'a Settings) -> ClientLayers<'a> {
        ClientLayers { worker: &self.config.originals.0, connector, policy: self.config.override_policy }
    }

    fn converters(&self, connector: &Settings) -> Result<Converters> {
        Ok(Converters {
            key: self.converter("key.converter", connector, &self.config.key_converter)?,
            value: self.converter("value.converter", connector, &self.config.value_converter)?,
            header: self.converter("header.converter", connector, &self.config.header_converter)?,
        })
    }

    /// The connector's own converter with its own settings, else the worker's with the worker's.
    fn converter(
        &self,
        key: &str,
        connector: &Settings,
        of_worker: &ConverterConfig,
    ) -> Result<ConverterChoice> {
        let (class, settings) =
            match connector.get(key).map(|class| class.trim()).filter(|class| !class.is_empty()) {
                Some(class) => {
                    let prefix = format!("{key}.");
                    let own = connector
                        .iter()
                        .filter_map(|(name, value)| Some((name.strip_prefix(&prefix)?, value)));
                    (class, own.map(|(name, value)| (name.to_owned(), value.clone())).collect())
                }
                None => (of_worker.class.as_str(), of_worker.settings.clone()),
            };
        let plugin = self.registry.converter(class).ok_or_else(|| {
            ConnectError::config(format!(
                "Invalid value {class} for configuration {key}: Class {class} could not be found."
            ))
        })?;
        Ok(ConverterChoice { plugin: Arc::clone(plugin), settings })
    }
}

impl std::fmt::Debug for TaskPlanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskPlanner").field("registry", &self.registry).finish_non_exhaustive()
    }
}

/// The error of a task whose settings cannot be kept.
fn refused(why: ConfigErrors) -> ConnectError {
    ConnectError::config(why.to_string())
}

/// An oversized set of tasks that is stored already makes each of its tasks fail.
fn check_tasks_max(name: &ConnectorName, connector: &Settings, tasks: usize) -> Result<()> {
    let max = connector.get("tasks.max").map_or(Ok(1), |text| text.trim().parse::<usize>()).unwrap_or(1);
    let enforced =
        connector.get("tasks.max.enforce").is_none_or(|text| !text.trim().eq_ignore_ascii_case("false"));
    if enforced && tasks > max {
        return Err(ConnectError::connect(format!(
            "The connector {name} has generated {tasks} tasks, which is greater than {max}, the maximum number of \
             tasks it is configured to create. Raise tasks.max, or set tasks.max.enforce to false"
        )));
    }
    Ok(())
}

fn topics(connector: &Settings) -> Result<SinkTopics> {
    let text = |key: &str| connector.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
    match (text("topics"), text("topics.regex")) {
        (Some(names), _) => {
            let mut topics: Vec<String> = Vec::new();
            for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                if !topics.iter().any(|other| other == name) {
                    topics.push(name.to_owned());
                }
            }
            Ok(SinkTopics::Named(topics))
        }
        (None, Some(pattern)) => Ok(SinkTopics::Matching(pattern.to_owned())),
        (None, None) => Err(ConnectError::config("Must configure one of topics or topics.regex")),
    }
}
