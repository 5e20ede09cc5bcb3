//! The two connector classes and their connector.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::tasks::FaultyTask;
use super::{Failures, Faults, Point, config_def};
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigValue};
use crate::api::connector::{Connector, ConnectorContext, ConnectorPlugin};
use crate::api::error::{ConnectError, ErrorKind, Result};
use crate::api::ids::TopicPartition;
use crate::api::registry::VERSION;
use crate::api::sink::{SinkPlugin, SinkTask};
use crate::api::source::{AlterOffsets, OffsetChanges, SourcePlugin, SourceTask};

/// The source class.
#[derive(Default)]
pub(super) struct BlockingSource(Failures);

/// The sink class.
#[derive(Default)]
pub(super) struct BlockingSink(Failures);

macro_rules! connector_plugin {
    ($plugin:ty, $class:literal, $task:literal) => {
        impl ConnectorPlugin for $plugin {
            fn class(&self) -> &'static str {
                $class
            }

            fn version(&self) -> &'static str {
                VERSION
            }

            fn task_class(&self) -> &'static str {
                $task
            }

            fn config_def(&self) -> ConfigDef {
                config_def()
            }

            fn validate(&self, settings: &Settings, values: &mut [ConfigValue]) {
                validate(settings, values, &self.0);
            }

            fn connector(&self) -> Box<dyn Connector> {
                Box::new(FaultyConnector { failures: Arc::clone(&self.0), running: None })
            }
        }
    };
}

connector_plugin!(
    BlockingSource,
    "herdsman.test.BlockingSourceConnector",
    "herdsman.test.BlockingSourceTask"
);
connector_plugin!(BlockingSink, "herdsman.test.BlockingSinkConnector", "herdsman.test.BlockingSinkTask");

/// A failure is told at `fail.in`. Settings that cannot be read were complained about before.
fn validate(settings: &Settings, values: &mut [ConfigValue], failures: &Failures) {
    let Ok(faults) = Faults::new(settings, failures) else { return };
    if let Err(error) = faults.at(Point::Validate) {
        let told = values.iter_mut().find(|value| value.name == super::FAIL_IN);
        if let Some(value) = told {
            value.errors.push(error.to_string());
        }
    }
}

impl SourcePlugin for BlockingSource {
    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(FaultyTask::new(&self.0))
    }

    fn alter_offsets(&self, settings: &Settings, _: &OffsetChanges) -> Result<AlterOffsets> {
        Faults::new(settings, &self.0)?.at(Point::AlterOffsets)?;
        Ok(AlterOffsets::Checked)
    }
}

impl SinkPlugin for BlockingSink {
    fn task(&self) -> Box<dyn SinkTask> {
        Box::new(FaultyTask::new(&self.0))
    }

    fn alter_offsets(
        &self,
        settings: &Settings,
        _: &BTreeMap<TopicPartition, Option<i64>>,
    ) -> Result<AlterOffsets> {
        Faults::new(settings, &self.0)?.at(Point::AlterOffsets)?;
        Ok(AlterOffsets::Checked)
    }
}

struct FaultyConnector {
    failures: Failures,
    running: Option<(Faults, Settings)>,
}

impl Connector for FaultyConnector {
    fn start(&mut self, _: Arc<dyn ConnectorContext>, settings: &Settings) -> Result<()> {
        let (faults, _) = self.running.insert((Faults::new(settings, &self.failures)?, settings.clone()));
        faults.at(Point::Start)
    }

    fn task_configs(&mut self, tasks_max: u32) -> Result<Vec<Settings>> {
        let Some((faults, settings)) = &self.running else {
            return Err(ConnectError::new(ErrorKind::IllegalArgument, "the connector was not started"));
        };
        faults.at(Point::TaskConfigs)?;
        Ok((0..tasks_max).map(|_| settings.clone()).collect())
    }

    fn stop(&mut self) -> Result<()> {
        match self.running.take() {
            Some((faults, _)) => faults.at(Point::Stop),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl ConnectorContext for Nobody {
        fn request_task_reconfiguration(&self) {}
        fn raise_error(&self, error: ConnectError) {
            panic!("{error}");
        }
    }

    fn failing_in(point: Point) -> Settings {
        Settings::from_iter(
            [("name", "c"), ("fail.in", point.name())].map(|(n, v)| (n.to_owned(), v.to_owned())),
        )
    }

    #[test]
    fn a_connector_fails_where_it_is_told() {
        for point in [Point::Start, Point::TaskConfigs, Point::Stop] {
            let mut connector = BlockingSource::default().connector();
            let outcomes = [
                connector.start(Arc::new(Nobody), &failing_in(point)).is_err(),
                connector.task_configs(2).is_err(),
                connector.stop().is_err(),
            ];
            let expected = [Point::Start, Point::TaskConfigs, Point::Stop].map(|other| other == point);
            assert_eq!(outcomes, expected, "{}", point.name());
        }
    }

    #[test]
    fn validation_tells_its_failure_at_the_setting() {
        let settings = failing_in(Point::Validate);
        let mut values = config_def().validate(&settings);
        BlockingSink::default().validate(&settings, &mut values);
        let wrong: Vec<_> = values.iter().filter(|value| !value.errors.is_empty()).collect();
        assert_eq!(wrong.len(), 1);
        assert_eq!(
            (wrong[0].name.as_str(), &wrong[0].errors[..]),
            ("fail.in", &["fails on purpose in validate".to_owned()][..])
        );
    }
}
