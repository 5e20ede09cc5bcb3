//! The connector of both kinds: each task runs the program once and learns its number.

use std::sync::Arc;

use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance, ParsedConfig};
use crate::api::connector::{Connector, ConnectorContext};
use crate::api::error::Result;

const NAME: &str = "name";
const TASK: &str = "exec.task";
const TASKS: &str = "exec.tasks";

/// Gives each task the settings of the connector, its number, and how many there are.
#[derive(Default)]
pub(super) struct ExecConnector {
    settings: Settings,
}

impl Connector for ExecConnector {
    fn start(&mut self, _: Arc<dyn ConnectorContext>, settings: &Settings) -> Result<()> {
        self.settings = settings.clone();
        Ok(())
    }

    fn task_configs(&mut self, tasks_max: u32) -> Result<Vec<Settings>> {
        let numbered = |task: u32| {
            let mut settings = self.settings.clone();
            settings.insert(TASK.to_owned(), task.to_string());
            settings.insert(TASKS.to_owned(), tasks_max.to_string());
            settings
        };
        Ok((0..tasks_max).map(numbered).collect())
    }

    fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Which task this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) connector: String,
    /// Its number, from 0.
    pub(super) task: i32,
    /// How many tasks the connector has.
    pub(super) tasks: i32,
}

/// The settings of a task: those of its connector, and what [`ExecConnector`] added.
pub(super) fn task_def(connector: ConfigDef) -> ConfigDef {
    let number = |name| ConfigKey::new(name, ConfigType::Int, Importance::Low, "Set by the connector.");
    connector
        .define(
            ConfigKey::new(NAME, ConfigType::String, Importance::High, "The name of the connector.")
                .default(""),
        )
        .define(number(TASK).default("0"))
        .define(number(TASKS).default("1"))
}

impl Place {
    /// From the settings of a task, read by [`task_def`].
    pub(super) fn of(settings: &ParsedConfig) -> Result<Self> {
        Ok(Place { connector: settings.get(NAME)?, task: settings.get(TASK)?, tasks: settings.get(TASKS)? })
    }
}

/// The settings as the program is told them: without what the connector added.
pub(super) fn told(settings: &Settings) -> Settings {
    let added = |name: &str| name == TASK || name == TASKS;
    settings
        .iter()
        .filter(|(name, _)| !added(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_knows_its_place() {
        let own =
            Settings::from_iter([("name".to_owned(), "n".to_owned()), ("a".to_owned(), "b".to_owned())]);
        let mut connector = ExecConnector { settings: own.clone() };
        let tasks = connector.task_configs(2).unwrap();
        let places =
            tasks.iter().map(|task| Place::of(&task_def(ConfigDef::new()).parse(task).unwrap()).unwrap());
        let place = |task| Place { connector: "n".to_owned(), task, tasks: 2 };
        assert_eq!(places.collect::<Vec<_>>(), [place(0), place(1)]);
        assert_eq!(told(&tasks[1]), own);
    }
}
