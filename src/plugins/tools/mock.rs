//! `MockSource` and `MockSink`: do nothing, until the connector or its task fails as told.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use super::not_started;
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance};
use crate::api::connector::{Connector, ConnectorContext, ConnectorPlugin};
use crate::api::error::{ConnectError, Result};
use crate::api::record::SinkRecord;
use crate::api::registry::VERSION;
use crate::api::sink::{SinkPlugin, SinkTask, SinkTaskContext};
use crate::api::source::{PollOutcome, SourcePlugin, SourceTask, SourceTaskContext};
use crate::stdx::thread::{self, JoinOnDrop};
use crate::stdx::time::{Clock, Deadline};

const MOCK_MODE: &str = "mock_mode";
const DELAY_MS: &str = "delay_ms";
const CONNECTOR_FAILURE: &str = "connector-failure";
const TASK_FAILURE: &str = "task-failure";
/// How often a source looks whether its time has come.
const LOOK: Duration = Duration::from_millis(100);

/// The source class.
pub(super) struct MockSource;
/// The sink class.
pub(super) struct MockSink;

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

            fn connector(&self) -> Box<dyn Connector> {
                Box::<MockConnector>::default()
            }
        }
    };
}

connector_plugin!(
    MockSource,
    "org.apache.kafka.connect.tools.MockSourceConnector",
    "org.apache.kafka.connect.tools.MockSourceTask"
);
connector_plugin!(
    MockSink,
    "org.apache.kafka.connect.tools.MockSinkConnector",
    "org.apache.kafka.connect.tools.MockSinkTask"
);

fn config_def() -> ConfigDef {
    let mode = "What fails: connector-failure or task-failure. Nothing fails without it.";
    ConfigDef::new().define(ConfigKey::new(MOCK_MODE, ConfigType::String, Importance::High, mode)).define(
        ConfigKey::new(DELAY_MS, ConfigType::Long, Importance::Medium, "How long before it fails.")
            .default("15000"),
    )
}

/// After which time something fails, if the settings ask for the failure of it.
fn failure_after(settings: &Settings, mode: &str) -> Result<Option<Duration>> {
    let settings = config_def().parse(settings)?;
    let wanted = settings.text(MOCK_MODE)?.is_some_and(|wanted| wanted == mode);
    Ok(if wanted { Some(settings.get(DELAY_MS)?) } else { None })
}

fn failure(mode: &str) -> ConnectError {
    ConnectError::connect(format!("fails on purpose, as mock_mode={mode} says"))
}

impl SourcePlugin for MockSource {
    fn task(&self) -> Box<dyn SourceTask> {
        Box::<MockTask>::default()
    }
}

impl SinkPlugin for MockSink {
    fn task(&self) -> Box<dyn SinkTask> {
        Box::<MockTask>::default()
    }
}

#[derive(Default)]
struct MockConnector {
    settings: Settings,
    failing: Option<Failing>,
}

/// A thread that reports the failure when its time has come, unless it is dropped before.
struct Failing {
    _stop: Sender<()>, // dropped first: the thread sees the channel closed and ends
    _thread: JoinOnDrop,
}

impl Connector for MockConnector {
    fn start(&mut self, context: Arc<dyn ConnectorContext>, settings: &Settings) -> Result<()> {
        self.settings = settings.clone();
        if let Some(delay) = failure_after(settings, CONNECTOR_FAILURE)? {
            let (stop, stopped) = bounded(0);
            let body = move || {
                if stopped.recv_timeout(delay) == Err(RecvTimeoutError::Timeout) {
                    context.raise_error(failure(CONNECTOR_FAILURE));
                }
            };
            let thread = thread::spawn("mock-connector", thread::STACK_BYTES, body)
                .map_err(|error| ConnectError::connect("cannot start a thread").caused_by(error))?;
            self.failing = Some(Failing { _stop: stop, _thread: thread });
        }
        Ok(())
    }

    fn task_configs(&mut self, _: u32) -> Result<Vec<Settings>> {
        Ok(vec![self.settings.clone()])
    }

    fn stop(&mut self) -> Result<()> {
        self.failing = None;
        Ok(())
    }
}

#[derive(Default)]
struct MockTask {
    started: Option<Started>,
}

struct Started {
    fails_at: Option<Deadline>,
}

impl MockTask {
    fn begin(&mut self, settings: &Settings) -> Result<()> {
        let after = failure_after(settings, TASK_FAILURE)?;
        self.started = Some(Started { fails_at: after.map(|delay| Clock.deadline(delay)) });
        Ok(())
    }

    /// Fails once its time has come; else how long that is away.
    fn check(&self) -> Result<Duration> {
        let started = self.started.as_ref().ok_or_else(not_started)?;
        let left = started.fails_at.map(|deadline| deadline.left(Clock.now().instant));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(failure(TASK_FAILURE));
        }
        Ok(left.unwrap_or(Duration::MAX))
    }
}

impl SourceTask for MockTask {
    fn start(&mut self, _: Arc<dyn SourceTaskContext>, settings: &Settings) -> Result<()> {
        self.begin(settings)
    }

    fn poll(&mut self) -> Result<PollOutcome> {
        self.check().map(|left| PollOutcome::Idle(left.min(LOOK)))
    }
}

impl SinkTask for MockTask {
    fn start(&mut self, _: Arc<dyn SinkTaskContext>, settings: &Settings) -> Result<()> {
        self.begin(settings)
    }

    fn put(&mut self, _: &[SinkRecord]) -> Result<()> {
        self.check().map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Stored, settings};
    use super::*;

    struct Raised(Sender<String>);

    impl ConnectorContext for Raised {
        fn request_task_reconfiguration(&self) {}

        fn raise_error(&self, error: ConnectError) {
            self.0.send(error.to_string()).unwrap();
        }
    }

    #[test]
    fn a_connector_fails_after_its_delay_unless_stopped_before() {
        let (errors, raised) = bounded(1);
        for (delay, stopped, fails) in [("0", false, true), ("600000", true, false)] {
            let mut connector = MockSource.connector();
            let settings = settings(&[(MOCK_MODE, CONNECTOR_FAILURE), (DELAY_MS, delay)]);
            connector.start(Arc::new(Raised(errors.clone())), &settings).unwrap();
            assert_eq!(connector.task_configs(5).unwrap(), [settings]);
            if stopped {
                connector.stop().unwrap();
            }
            let error = raised.recv_timeout(if fails { Duration::from_secs(10) } else { Duration::ZERO });
            assert_eq!(error.is_ok(), fails, "{error:?}");
        }
    }

    #[test]
    fn a_task_fails_after_its_delay() {
        for (mode, delay, fails) in
            [(TASK_FAILURE, "0", true), (TASK_FAILURE, "600000", false), (CONNECTOR_FAILURE, "0", false)]
        {
            let settings = settings(&[(MOCK_MODE, mode), (DELAY_MS, delay)]);
            let mut source = MockSource.task();
            source.start(Arc::new(Stored(None)), &settings).unwrap();
            assert_eq!(source.poll().is_err(), fails, "{mode} {delay}");
        }
    }
}
