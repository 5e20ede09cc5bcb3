//! Source connectors: what is said about the plug-in, and the class itself.

use std::sync::Arc;
use std::time::Duration;

use super::connector::{self, Subject};
use super::instance::within;
use super::report::{Notes, Report, Rule};
use super::source_task::SourceTasks;
use super::{CALL, PATIENCE, settings};
use crate::api::Settings;
use crate::api::connector::ConnectorPlugin;
use crate::api::offset::OffsetMap;
use crate::api::record::SourceRecord;
use crate::api::source::SourcePlugin;

const SUPPORT: Rule = Rule {
    name: "a source says what it supports",
    expected: "an answer without an error, with settings that work",
    docs: "herdsman::api::source::SourcePlugin",
};
const ALTERS: Rule = Rule {
    name: "a source takes its own offsets",
    expected: "no error for an offset that it gave itself, nor for a reset: users set offsets by what GET …/offsets shows",
    docs: "herdsman::api::source::SourcePlugin::alter_offsets",
};

/// A source connector to check.
#[must_use = "nothing is checked before `check` is called"]
pub struct SourceContract {
    pub(super) plugin: Arc<dyn SourcePlugin>,
    pub(super) settings: Settings,
    /// At least so many records come.
    pub(super) gives: usize,
    pub(super) call: Duration,
    pub(super) patience: Duration,
}

/// Begins the check of a source connector with settings that work.
///
/// The settings should make it give the same records each time it begins anew, and at least one. It is asked for its tasks;
/// they are started, polled, stopped in odd orders, and started again from the offsets of some of their records; the
/// offset store fails, and holds nonsense.
pub fn source(plugin: impl SourcePlugin + 'static, settings: &[(&str, &str)]) -> SourceContract {
    SourceContract::of(Arc::new(plugin), settings)
}

impl std::fmt::Debug for SourceContract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceContract").field("class", &self.plugin.class()).finish_non_exhaustive()
    }
}

impl SourceContract {
    /// As [`source`], of a class that is shared already.
    pub fn of(plugin: Arc<dyn SourcePlugin>, settings: &[(&str, &str)]) -> Self {
        let settings = settings::of(settings);
        SourceContract { plugin, settings, gives: 1, call: CALL, patience: PATIENCE }
    }

    /// How many records the settings make it give at least: so many are waited for, and compared after a restart. 0 says
    /// that nothing comes. 1 unless this is said.
    pub fn gives(mut self, records: usize) -> Self {
        self.gives = records;
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
        let settings = connector::full_settings(&self.settings, class, None);
        let plugin: Arc<dyn ConnectorPlugin> = Arc::clone(&self.plugin) as _;
        let subject = Subject { plugin: &plugin, settings: &settings, call: self.call };
        let tasks = connector::check(&mut notes, &subject);
        self.check_support(&mut notes, &settings);
        let records = SourceTasks::new(&self, tasks).check(&mut notes);
        self.check_alteration(&mut notes, &settings, &records);
        notes.into_report()
    }

    fn check_support(&self, notes: &mut Notes, settings: &Settings) {
        let did = "asked whether it supports exactly-once delivery, and to say where transactions end";
        let (plugin, own) = (Arc::clone(&self.plugin), settings.clone());
        let asked = within(self.call, move || {
            plugin.exactly_once_support(&own)?;
            plugin.can_define_transaction_boundaries(&own)
        });
        notes.succeeded(&SUPPORT, did, asked);
    }

    fn check_alteration(&self, notes: &mut Notes, settings: &Settings, records: &[SourceRecord]) {
        let alter = |partition: OffsetMap, offset: Option<OffsetMap>| {
            let (plugin, own) = (Arc::clone(&self.plugin), settings.clone());
            within(self.call, move || plugin.alter_offsets(&own, &[(partition, offset)]))
        };
        if let Some(record) = records.iter().find(|record| record.source_offset.is_some()) {
            let partition = OffsetMap::clone(&record.source_partition);
            let did = "asked whether an offset of one of its records can be set";
            notes.succeeded(&ALTERS, did, alter(partition.clone(), record.source_offset.clone()));
            let did = "asked whether the offset of one of its partitions can be reset";
            notes.succeeded(&ALTERS, did, alter(partition, None));
        }
        for (partition, offset) in [
            (OffsetMap::new(), Some(OffsetMap::new())),
            (OffsetMap::of("nonsense", 1.5), Some(OffsetMap::of("nonsense", "x"))),
            (OffsetMap::of("nonsense", None::<i64>), None),
        ] {
            notes.returned("asked whether a nonsensical offset can be set", alter(partition, offset));
        }
    }
}
