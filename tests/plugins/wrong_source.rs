//! Source connectors that break a rule each: the suite has to catch them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::ThreadId;
use std::time::Duration;

use herdsman::api::Settings;
use herdsman::api::config_def::{ConfigDef, ConfigKey, ConfigType, ConfigValue, Importance, Validator};
use herdsman::api::connector::{Connector, ConnectorContext, ConnectorPlugin};
use herdsman::api::data::{Schema, SchemaAndValue, SchemaKind, Value};
use herdsman::api::error::{ConnectError, Result};
use herdsman::api::offset::{OffsetMap, OffsetValue};
use herdsman::api::record::{RecordMetadata, SourceRecord};
use herdsman::api::source::{
    AlterOffsets, OffsetChanges, PollOutcome, SourcePlugin, SourceTask, SourceTaskContext, Support,
};
use herdsman::contract;

use crate::breaks;

/// What a counter does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    ClassWithoutPackage,
    NoVersion,
    NoDocumentation,
    SecretIsText,
    WrongDefault,
    SettingsChange,
    ValidationPanics,
    ValidationComplains,
    ConnectorRefusesUnknown,
    ConnectorStopFails,
    NoTasks,
    TooManyTasks,
    StopBeforeStartPanics,
    TaskRefusesUnknown,
    PollHangs,
    PollHangsOnce,
    EndsEarly,
    IdleIsAnError,
    BoundToThread,
    TopicCannotBe,
    ValueDoesNotFit,
    NegativeTime,
    InfiniteOffset,
    NamelessPartition,
    OffsetTooFar,
    OffsetOfBatch,
    IgnoresOffset,
    SwallowsStoreError,
    PanicsOnNonsenseOffset,
    CommitFails,
    RefusesOwnOffsets,
    SupportFails,
}

/// Gives the numbers from 0 up to `limit`, three at a time.
struct Counter(Fault, AtomicUsize);

impl Counter {
    fn with(fault: Fault) -> Self {
        Counter(fault, AtomicUsize::new(0))
    }
}

impl ConnectorPlugin for Counter {
    fn class(&self) -> &'static str {
        if self.0 == Fault::ClassWithoutPackage { "Counter" } else { "com.example.CounterConnector" }
    }

    fn version(&self) -> &'static str {
        if self.0 == Fault::NoVersion { "undefined" } else { "1.0" }
    }

    fn task_class(&self) -> &'static str {
        "com.example.CounterTask"
    }

    fn config_def(&self) -> ConfigDef {
        let times = self.1.fetch_add(1, Ordering::Relaxed);
        let key = |name, kind, doc| ConfigKey::new(name, kind, Importance::High, doc);
        let topic = ConfigKey::required("topic", ConfigType::String, Importance::High, "Where numbers go.");
        let doc = if self.0 == Fault::NoDocumentation { "" } else { "How many numbers." };
        let default = if self.0 == Fault::WrongDefault { "many" } else { "9" };
        let secret = if self.0 == Fault::SecretIsText { ConfigType::String } else { ConfigType::Password };
        let mut def = ConfigDef::new()
            .define(topic.validator(Validator::TopicName))
            .define(key("limit", ConfigType::Int, doc).default(default).at_least(0))
            .define(key("api.secret", secret, "Not used."));
        if self.0 == Fault::SettingsChange {
            def = def.define(key(&format!("setting.{times}"), ConfigType::Int, "One more."));
        }
        def
    }

    fn validate(&self, settings: &Settings, values: &mut [ConfigValue]) {
        if self.0 == Fault::ValidationPanics {
            assert!(!settings["topic"].is_empty());
        }
        if self.0 == Fault::ValidationComplains {
            values[0].errors.push("of the test".to_owned());
        }
    }

    fn connector(&self) -> Box<dyn Connector> {
        Box::new(CounterConnector(self.0, None))
    }
}

impl SourcePlugin for Counter {
    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(CounterTask { fault: self.0, started: None, thread: None, polls: 0 })
    }

    fn exactly_once_support(&self, _: &Settings) -> Result<Option<Support>> {
        match self.0 {
            Fault::SupportFails => Err(ConnectError::connect("of the test")),
            _ => Ok(Some(Support::Supported)),
        }
    }

    fn alter_offsets(&self, _: &Settings, changes: &OffsetChanges) -> Result<AlterOffsets> {
        match self.0 {
            Fault::RefusesOwnOffsets if changes[0].1.is_some() => Err(ConnectError::connect("of the test")),
            _ => Ok(AlterOffsets::Checked),
        }
    }
}

struct CounterConnector(Fault, Option<Settings>);

fn refuse_unknown(settings: &Settings) -> Result<()> {
    match settings.keys().find(|key| key.contains("unknown")) {
        Some(key) => Err(ConnectError::config(format!("what is {key}?"))),
        None => Ok(()),
    }
}

impl Connector for CounterConnector {
    fn start(&mut self, _: Arc<dyn ConnectorContext>, settings: &Settings) -> Result<()> {
        if self.0 == Fault::ConnectorRefusesUnknown {
            refuse_unknown(settings)?;
        }
        self.1 = Some(settings.clone());
        Ok(())
    }

    fn task_configs(&mut self, tasks_max: u32) -> Result<Vec<Settings>> {
        let tasks = match self.0 {
            Fault::NoTasks => 0,
            Fault::TooManyTasks => tasks_max + 1,
            _ => 1,
        };
        Ok((0..tasks).map(|_| self.1.clone().unwrap_or_default()).collect())
    }

    fn stop(&mut self) -> Result<()> {
        if self.0 == Fault::StopBeforeStartPanics {
            self.1.as_ref().unwrap();
        }
        if self.0 == Fault::ConnectorStopFails { Err(ConnectError::connect("of the test")) } else { Ok(()) }
    }
}

struct CounterTask {
    fault: Fault,
    started: Option<Started>,
    thread: Option<ThreadId>,
    polls: usize,
}

struct Started {
    topic: String,
    limit: i64,
    next: i64,
}

fn partition() -> OffsetMap {
    OffsetMap::of("counter", 1)
}

impl SourceTask for CounterTask {
    fn start(&mut self, context: Arc<dyn SourceTaskContext>, settings: &Settings) -> Result<()> {
        if self.fault == Fault::TaskRefusesUnknown {
            refuse_unknown(settings)?;
        }
        let settings = Counter::with(Fault::None).config_def().parse(settings)?;
        let stored = match self.fault {
            Fault::IgnoresOffset => None,
            Fault::SwallowsStoreError => context.offset(&partition()).unwrap_or(None),
            _ => context.offset(&partition())?,
        };
        let next = match stored.as_ref().and_then(|offset| offset.get("next")) {
            Some(OffsetValue::Long(next)) => *next,
            Some(other) if self.fault == Fault::PanicsOnNonsenseOffset => panic!("not a number: {other:?}"),
            Some(other) => return Err(ConnectError::connect(format!("not a number: {other:?}"))),
            None => 0,
        };
        let limit: i32 = settings.get("limit")?;
        self.started = Some(Started { topic: settings.get("topic")?, limit: limit.into(), next });
        self.thread = Some(std::thread::current().id());
        Ok(())
    }

    fn poll(&mut self) -> Result<PollOutcome> {
        let started = self.started.as_mut().ok_or_else(|| ConnectError::connect("not started"))?;
        self.polls += 1;
        let hangs = match self.fault {
            Fault::PollHangs => true,
            Fault::PollHangsOnce => self.polls == 2,
            _ => false,
        };
        if hangs {
            let (_never, nothing) = crossbeam_channel::bounded::<()>(0);
            nothing.recv().unwrap();
        }
        if self.fault == Fault::BoundToThread && self.thread != Some(std::thread::current().id()) {
            return Err(ConnectError::connect("called on another thread"));
        }
        let limit = if self.fault == Fault::EndsEarly { 4 } else { started.limit };
        let batch = started.next..limit.min(started.next + 3);
        if batch.is_empty() {
            return match self.fault {
                Fault::IdleIsAnError => Err(ConnectError::connect("nothing to do")),
                _ => Ok(PollOutcome::Idle(Duration::from_millis(5))),
            };
        }
        started.next = batch.end;
        let records = batch.clone().map(|number| record(self.fault, &started.topic, number, batch.end));
        Ok(PollOutcome::Records(records.collect()))
    }

    fn commit_record(&mut self, _: &SourceRecord, _: Option<RecordMetadata>) -> Result<()> {
        if self.fault == Fault::CommitFails { Err(ConnectError::connect("of the test")) } else { Ok(()) }
    }

    fn stop(&mut self) -> Result<()> {
        self.started = None;
        Ok(())
    }
}

fn record(fault: Fault, topic: &str, number: i64, batch_end: i64) -> SourceRecord {
    let offset = match fault {
        Fault::OffsetTooFar => OffsetMap::of("next", number + 2),
        Fault::OffsetOfBatch => OffsetMap::of("next", batch_end),
        Fault::InfiniteOffset => {
            let mut offset = OffsetMap::of("next", number + 1);
            offset.insert("share", f64::INFINITY);
            offset
        }
        _ => OffsetMap::of("next", number + 1),
    };
    let of = if fault == Fault::NamelessPartition { OffsetMap::new() } else { partition() };
    let topic = if fault == Fault::TopicCannotBe { "two words" } else { topic };
    let kind = if fault == Fault::ValueDoesNotFit { SchemaKind::Int32 } else { SchemaKind::Int64 };
    let value = SchemaAndValue::with_schema(Arc::new(Schema::new(kind)), Value::Int64(number));
    let timestamp = (fault == Fault::NegativeTime).then_some(-1);
    SourceRecord { timestamp, ..SourceRecord::new(Arc::new(of), offset, topic, value) }
}

#[test]
fn every_fault_of_a_source_is_caught() {
    use Fault as F;
    let cases = [
        (F::None, None),
        (F::ClassWithoutPackage, Some("a class has a full name and a version")),
        (F::NoVersion, Some("a class has a full name and a version")),
        (F::NoDocumentation, Some("every setting is documented")),
        (F::SecretIsText, Some("secrets are passwords")),
        (F::WrongDefault, Some("what is not required can be left out")),
        (F::SettingsChange, Some("the settings are always the same")),
        (F::ValidationPanics, Some("no call panics")),
        (F::ValidationComplains, Some("settings that work are valid")),
        (F::ConnectorRefusesUnknown, Some("a connector starts and stops")),
        (F::ConnectorStopFails, Some("a connector starts and stops")),
        (F::NoTasks, Some("a connector says its tasks")),
        (F::TooManyTasks, Some("a connector says its tasks")),
        (F::StopBeforeStartPanics, Some("no call panics")),
        (F::TaskRefusesUnknown, Some("a task starts and stops")),
        (F::PollHangs, Some("every call returns")),
        (F::PollHangsOnce, Some("every call returns")),
        (F::EndsEarly, Some("a source gives its records")),
        (F::IdleIsAnError, Some("a poll that finds nothing is no error")),
        (F::BoundToThread, Some("a poll that finds nothing is no error")),
        (F::TopicCannotBe, Some("a record can be sent")),
        (F::ValueDoesNotFit, Some("a record can be sent")),
        (F::NegativeTime, Some("a record can be sent")),
        (F::InfiniteOffset, Some("offsets can be stored")),
        (F::NamelessPartition, Some("offsets can be stored")),
        (F::OffsetTooFar, Some("a restart loses nothing")),
        (F::OffsetOfBatch, Some("a restart loses nothing")),
        (F::IgnoresOffset, Some("a restart goes on where it was")),
        (F::SwallowsStoreError, Some("offsets that cannot be read are an error")),
        (F::PanicsOnNonsenseOffset, Some("no call panics")),
        (F::CommitFails, Some("commits are taken")),
        (F::RefusesOwnOffsets, Some("a source takes its own offsets")),
        (F::SupportFails, Some("a source says what it supports")),
    ];
    for (fault, rule) in cases {
        // One that idles with an error does so behind its last record only: it has to be waited for.
        let gives = if fault == F::IdleIsAnError { 10 } else { 9 };
        // Long enough for a busy machine where nothing hangs.
        let (call, patience) = match rule {
            None => (Duration::from_secs(10), Duration::from_secs(20)),
            Some("every call returns") => (Duration::from_millis(300), Duration::from_millis(300)),
            Some(_) => (Duration::from_secs(10), Duration::from_secs(2)),
        };
        let contract = contract::source(Counter::with(fault), &[("topic", "numbers")]);
        breaks(&contract.gives(gives).within(call, patience).report(), rule, &format!("{fault:?}"));
    }
}

#[test]
fn settings_that_do_not_work_are_told() {
    let report = contract::source(Counter::with(Fault::None), &[("limit", "3")]).report();
    breaks(&report, Some("the settings of the check are valid"), "no topic");
}

#[test]
#[should_panic(expected = "com.example.CounterConnector breaks 1 rule of the contract of plug-ins")]
fn a_check_that_fails_panics() {
    contract::source(Counter::with(Fault::CommitFails), &[("topic", "numbers")]).gives(9).check();
}

#[test]
fn a_report_says_what_was_done_and_seen_and_where_the_rule_stands() {
    let contract = contract::source(Counter::with(Fault::OffsetTooFar), &[("topic", "numbers")]);
    let (call, patience) = (Duration::from_secs(10), Duration::from_secs(2));
    let text = contract.gives(9).within(call, patience).report().to_string();
    expect_test::expect![[r"
        com.example.CounterConnector breaks 1 rule of the contract of plug-ins

        1. a restart loses nothing
           did:      took 9 records, and started a new task from the offset of record 1
           expected: the records behind it, since an offset says where to go on *after* its record
           saw:      no record of {counter=1} with offset {next=3}
           docs:     herdsman::api::source, «Offsets»
    "]]
    .assert_eq(&text);
}
