//! A connector class that exists by name only: the simulation plays its part.

use std::sync::Arc;

use herdsman::api::Settings;
use herdsman::api::config_def::ConfigDef;
use herdsman::api::connector::{Connector, ConnectorPlugin};
use herdsman::api::registry::Registry;
use herdsman::api::source::{SourcePlugin, SourceTask};

/// The class of nearly all simulated connectors.
pub(crate) const CLASS: &str = "fake.FakeSourceConnector";

struct FakeSource;

impl ConnectorPlugin for FakeSource {
    fn class(&self) -> &'static str {
        CLASS
    }

    fn task_class(&self) -> &'static str {
        "fake.FakeSourceTask"
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::default()
    }

    fn connector(&self) -> Box<dyn Connector> {
        unreachable!("the simulation runs no connector")
    }
}

impl SourcePlugin for FakeSource {
    fn task(&self) -> Box<dyn SourceTask> {
        unreachable!("the simulation runs no task")
    }
}

pub(crate) fn registry() -> Arc<Registry> {
    let mut registry = Registry::new();
    registry.add_source(FakeSource);
    Arc::new(registry)
}

/// What a connector with such settings says of its tasks. `mood` stands for the outside world, which may have it
/// change its mind.
pub(crate) fn task_configs(settings: &Settings, mood: u64) -> Vec<Settings> {
    let count: u64 =
        settings.get("tasks.max").map_or(Ok(1), |text| text.parse()).unwrap_or_else(|_| panic!("tasks.max"));
    let of = |index: u64| {
        let value = settings.get("value").cloned().unwrap_or_default();
        let texts = [("index", index.to_string()), ("value", value), ("mood", (mood % 2).to_string())];
        texts.into_iter().map(|(key, text)| (key.to_owned(), text)).collect()
    };
    (0..count + mood % 3).map(of).collect()
}
