//! Sink connectors: what is said about the plug-in, and the class itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::connector::{self, Subject};
use super::instance::within;
use super::report::{Notes, Report};
use super::sink_group::SinkGroup;
use super::{CALL, PATIENCE, samples, settings};
use crate::api::Settings;
use crate::api::connector::ConnectorPlugin;
use crate::api::data::SchemaAndValue;
use crate::api::ids::TopicPartition;
use crate::api::record::SinkRecord;
use crate::api::sink::SinkPlugin;

/// Whether the destination has a record.
pub(super) type Arrived = Arc<dyn Fn(&SinkRecord) -> bool + Send + Sync>;

/// A sink connector to check.
#[must_use = "nothing is checked before `check` is called"]
pub struct SinkContract {
    pub(super) plugin: Arc<dyn SinkPlugin>,
    pub(super) settings: Settings,
    pub(super) values: Vec<SchemaAndValue>,
    pub(super) arrived: Option<Arrived>,
    pub(super) keeps_offsets: bool,
    pub(super) call: Duration,
    pub(super) patience: Duration,
}

/// Begins the check of a sink connector with settings that work.
///
/// Its tasks get records of two partitions of the topic `contract`, with texts as keys and values: partitions come and go,
/// records come again, calls come in odd orders, offsets are committed, a task ends as in a crash. At the end it gets
/// records of every kind.
pub fn sink(plugin: impl SinkPlugin + 'static, settings: &[(&str, &str)]) -> SinkContract {
    SinkContract::of(Arc::new(plugin), settings)
}

impl std::fmt::Debug for SinkContract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SinkContract").field("class", &self.plugin.class()).finish_non_exhaustive()
    }
}

impl SinkContract {
    /// As [`sink`], of a class that is shared already.
    pub fn of(plugin: Arc<dyn SinkPlugin>, settings: &[(&str, &str)]) -> Self {
        SinkContract {
            plugin,
            settings: settings::of(settings),
            values: Vec::new(),
            arrived: None,
            keeps_offsets: false,
            call: CALL,
            patience: PATIENCE,
        }
    }

    /// Values that it takes, in turn, in place of texts such as `value 0-17` (of partition 0 at offset 17).
    pub fn values(mut self, values: Vec<SchemaAndValue>) -> Self {
        self.values = values;
        self
    }

    /// Says how to see whether the destination has a record: then it is checked that everything that may be committed has
    /// arrived, also when the task ends as in a crash. Called on any thread.
    pub fn arrived(mut self, arrived: impl Fn(&SinkRecord) -> bool + Send + Sync + 'static) -> Self {
        self.arrived = Some(Arc::new(arrived));
        self
    }

    /// Says that it keeps its offsets itself, so that `pre_commit` need not give any.
    pub fn keeps_offsets(mut self) -> Self {
        self.keeps_offsets = true;
        self
    }

    /// How long one call may take, and how long all that is waited for. 5 s, as a worker gives a task to stop, and 10 s unless
    /// this is said.
    pub fn within(mut self, call: Duration, patience: Duration) -> Self {
        (self.call, self.patience) = (call, patience);
        self
    }

    /// Checks all rules.
    ///
    /// # Panics
    /// A rule is broken.
    #[track_caller]
    pub fn check(self) {
        self.report().check();
    }

    /// Checks all rules and tells which are broken.
    pub fn report(self) -> Report {
        let class = self.plugin.class();
        let mut notes = Notes::new(class);
        let settings = connector::full_settings(&self.settings, class, Some(samples::TOPIC));
        let plugin: Arc<dyn ConnectorPlugin> = Arc::clone(&self.plugin) as _;
        let subject = Subject { plugin: &plugin, settings: &settings, call: self.call };
        let tasks = connector::check(&mut notes, &subject);
        self.check_alteration(&mut notes, &settings);
        if let Some(task) = tasks.of_one.into_iter().next() {
            SinkGroup::new(&self, task).check(&mut notes);
        }
        notes.into_report()
    }

    fn check_alteration(&self, notes: &mut Notes, settings: &Settings) {
        let nowhere = TopicPartition { topic: "nowhere".into(), partition: 99 };
        for changes in [
            BTreeMap::new(),
            BTreeMap::from([(nowhere.clone(), None)]),
            BTreeMap::from([(nowhere, Some(i64::MAX))]),
        ] {
            let (plugin, own) = (Arc::clone(&self.plugin), settings.clone());
            let asked = within(self.call, move || drop(plugin.alter_offsets(&own, &changes)));
            notes.returned("asked whether offsets of a partition that it never had can be set", asked);
        }
    }
}
