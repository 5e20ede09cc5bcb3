//! Connectors to test with, under the class names of Apache's `org.apache.kafka.connect.tools`.

mod mock;
mod pace;
mod printed;
mod schema_source;
mod verifiable_sink;
mod verifiable_source;

use std::sync::Arc;

use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance, ParsedConfig, Validator};
use crate::api::connector::{Connector, ConnectorContext};
use crate::api::error::{ConnectError, ErrorKind, Result};
use crate::api::offset::{OffsetMap, OffsetValue};
use crate::api::registry::Registry;
use crate::api::source::SourceTaskContext;

const NAME: &str = "name";
const ID: &str = "id";
const TOPIC: &str = "topic";
const THROUGHPUT: &str = "throughput";
const SEQNO: &str = "seqno";

/// Adds all of them.
pub fn register(registry: &mut Registry) {
    registry.add_source(verifiable_source::VerifiableSource);
    registry.add_sink(verifiable_sink::VerifiableSink);
    registry.add_source(schema_source::SchemaSource);
    registry.add_source(mock::MockSource);
    registry.add_sink(mock::MockSink);
}

fn topic_key() -> ConfigKey {
    ConfigKey::required(TOPIC, ConfigType::String, Importance::High, "The topic to write to.")
        .validator(Validator::TopicName)
}

fn throughput_key() -> ConfigKey {
    ConfigKey::new(THROUGHPUT, ConfigType::Long, Importance::Medium, "Records a second; negative: no limit.")
        .default("-1")
}

/// The settings of a task: those of its connector, the name, and the number that the connector gave it.
fn task_def(connector: ConfigDef) -> ConfigDef {
    connector
        .define(ConfigKey::new(NAME, ConfigType::String, Importance::High, "The name of the connector."))
        .define(ConfigKey::required(ID, ConfigType::Int, Importance::High, "The number of the task."))
}

/// Gives each task the settings of the connector and a number, `id`.
#[derive(Default)]
struct NumberedTasks {
    settings: Settings,
}

impl Connector for NumberedTasks {
    fn start(&mut self, _: Arc<dyn ConnectorContext>, settings: &Settings) -> Result<()> {
        self.settings = settings.clone();
        Ok(())
    }

    fn task_configs(&mut self, tasks_max: u32) -> Result<Vec<Settings>> {
        let numbered = |id: u32| {
            let mut settings = self.settings.clone();
            settings.insert(ID.to_owned(), id.to_string());
            settings
        };
        Ok((0..tasks_max).map(numbered).collect())
    }

    fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

fn name_of(settings: &ParsedConfig) -> Result<String> {
    Ok(settings.text(NAME)?.unwrap_or_default())
}

/// The number behind the last stored one; 0 without any.
fn next_seqno(context: &dyn SourceTaskContext, partition: &OffsetMap) -> Result<i64> {
    match context.offset(partition)?.as_ref().and_then(|offset| offset.get(SEQNO)) {
        Some(OffsetValue::Long(last)) => Ok(last.saturating_add(1)),
        None | Some(OffsetValue::Null) => Ok(0),
        Some(OffsetValue::Boolean(_) | OffsetValue::Double(_) | OffsetValue::String(_)) => {
            Err(ConnectError::connect(
                "the stored 'seqno' is no whole number: reset the offsets of the connector",
            ))
        }
    }
}

fn not_started() -> ConnectError {
    ConnectError::new(ErrorKind::IllegalArgument, "the task was not started")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::connector::ConnectorPlugin;

    /// A context without stored offsets, or with one.
    pub(super) struct Stored(pub(super) Option<i64>);

    impl SourceTaskContext for Stored {
        fn offset(&self, _: &OffsetMap) -> Result<Option<OffsetMap>> {
            Ok(self.0.map(|seqno| OffsetMap::of(SEQNO, seqno)))
        }
    }

    pub(super) fn settings(pairs: &[(&str, &str)]) -> Settings {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn tasks_are_numbered() {
        let mut connector = NumberedTasks { settings: settings(&[("topic", "t")]) };
        let tasks = connector.task_configs(2).unwrap();
        assert_eq!(tasks, ["0", "1"].map(|id| settings(&[("topic", "t"), ("id", id)])));
    }

    #[test]
    fn classes_are_those_of_apache() {
        let mut registry = Registry::new();
        register(&mut registry);
        let classes: Vec<_> = registry.connectors().map(|class| class.plugin().class()).collect();
        let expected = ["MockSink", "MockSource", "SchemaSource", "VerifiableSink", "VerifiableSource"]
            .map(|name| format!("org.apache.kafka.connect.tools.{name}Connector"));
        assert_eq!(classes, expected);
        let plugin: &dyn ConnectorPlugin = &verifiable_source::VerifiableSource;
        assert_eq!(plugin.task_class(), "org.apache.kafka.connect.tools.VerifiableSourceTask");
    }
}
