//! Sink connectors that break a rule each: the suite has to catch them.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use herdsman::api::Settings;
use herdsman::api::config_def::ConfigDef;
use herdsman::api::connector::{Connector, ConnectorContext, ConnectorPlugin};
use herdsman::api::data::Value;
use herdsman::api::error::{ConnectError, Result};
use herdsman::api::ids::TopicPartition;
use herdsman::api::record::SinkRecord;
use herdsman::api::sink::{SinkOffsets, SinkPlugin, SinkTask, SinkTaskContext};
use herdsman::contract;

use crate::breaks;

/// What a sink does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    StartFails,
    EmptyPutFails,
    RepetitionFails,
    OpensOnlyOnce,
    ClosesOnlyWhatWasCommitted,
    CommitNeedsRecords,
    OffsetTooFar,
    OffsetsOfAll,
    NeverAdvances,
    WritesAtStop,
    TombstoneIsRetriable,
    TombstonePanics,
    CommitAfterStopPanics,
}

/// Where records go.
type Destination = Arc<Mutex<BTreeSet<(i32, i64)>>>;

/// Keeps which records it has seen.
struct Keeper(Fault, Destination);

impl ConnectorPlugin for Keeper {
    fn class(&self) -> &'static str {
        "com.example.KeeperConnector"
    }

    fn version(&self) -> &'static str {
        "1.0"
    }

    fn task_class(&self) -> &'static str {
        "com.example.KeeperTask"
    }

    fn config_def(&self) -> ConfigDef {
        ConfigDef::new()
    }

    fn connector(&self) -> Box<dyn Connector> {
        Box::new(KeeperConnector)
    }
}

impl SinkPlugin for Keeper {
    fn task(&self) -> Box<dyn SinkTask> {
        Box::new(KeeperTask {
            fault: self.0,
            destination: Arc::clone(&self.1),
            pending: BTreeSet::new(),
            all: SinkOffsets::new(),
            open: BTreeSet::new(),
            committed: false,
            stopped: false,
        })
    }
}

struct KeeperConnector;

impl Connector for KeeperConnector {
    fn start(&mut self, _: Arc<dyn ConnectorContext>, _: &Settings) -> Result<()> {
        Ok(())
    }

    fn task_configs(&mut self, tasks_max: u32) -> Result<Vec<Settings>> {
        Ok(vec![Settings::new(); tasks_max as usize])
    }

    fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

struct KeeperTask {
    fault: Fault,
    destination: Destination,
    pending: BTreeSet<(i32, i64)>,
    /// The latest offsets of all partitions that it ever saw.
    all: SinkOffsets,
    open: BTreeSet<TopicPartition>,
    committed: bool,
    stopped: bool,
}

impl KeeperTask {
    fn write(&mut self) {
        self.destination.lock().unwrap().append(&mut self.pending);
    }
}

fn of_the_test<T>() -> Result<T> {
    Err(ConnectError::connect("of the test"))
}

impl SinkTask for KeeperTask {
    fn start(&mut self, _: Arc<dyn SinkTaskContext>, _: &Settings) -> Result<()> {
        if self.fault == Fault::StartFails { of_the_test() } else { Ok(()) }
    }

    fn open(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        if self.fault == Fault::OpensOnlyOnce && !self.open.is_empty() {
            return of_the_test();
        }
        self.open.extend(partitions.iter().cloned());
        Ok(())
    }

    fn put(&mut self, records: &[SinkRecord]) -> Result<()> {
        if self.fault == Fault::EmptyPutFails && records.is_empty() {
            return of_the_test();
        }
        for record in records {
            match self.fault {
                Fault::TombstonePanics => assert_ne!(record.value.value, Value::Null),
                Fault::TombstoneIsRetriable if record.value.value.is_null() => {
                    return Err(ConnectError::retriable("of the test"));
                }
                _ => {}
            }
            let is_new = self.pending.insert((record.partition, record.offset));
            let partition =
                TopicPartition { topic: Arc::clone(&record.original_topic), partition: record.partition };
            let repeats = self.all.get(&partition).is_some_and(|next| record.offset < *next);
            if self.fault == Fault::RepetitionFails && (repeats || !is_new) {
                return of_the_test();
            }
            self.all.insert(partition, record.offset + 1);
        }
        Ok(())
    }

    fn pre_commit(&mut self, offsets: &SinkOffsets) -> Result<SinkOffsets> {
        self.committed = true;
        let shifted = |by: i64| offsets.iter().map(|(of, next)| (of.clone(), next + by)).collect();
        match self.fault {
            Fault::CommitNeedsRecords if self.pending.is_empty() => return of_the_test(),
            Fault::CommitAfterStopPanics => assert!(!self.stopped),
            Fault::WritesAtStop => return Ok(offsets.clone()),
            Fault::NeverAdvances => return Ok(offsets.keys().map(|of| (of.clone(), 0)).collect()),
            Fault::OffsetTooFar => return Ok(shifted(1)),
            _ => {}
        }
        self.write();
        Ok(if self.fault == Fault::OffsetsOfAll { self.all.clone() } else { offsets.clone() })
    }

    fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        if self.fault == Fault::ClosesOnlyWhatWasCommitted && !self.committed {
            return of_the_test();
        }
        self.open.retain(|partition| !partitions.contains(partition));
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        self.stopped = true;
        self.write();
        Ok(())
    }
}

#[test]
fn every_fault_of_a_sink_is_caught() {
    use Fault as F;
    let cases = [
        (F::None, None),
        (F::StartFails, Some("a task starts and stops")),
        (F::EmptyPutFails, Some("a sink takes records")),
        (F::RepetitionFails, Some("a sink takes records")),
        (F::OpensOnlyOnce, Some("partitions come and go")),
        (F::ClosesOnlyWhatWasCommitted, Some("partitions come and go")),
        (F::CommitNeedsRecords, Some("a commit is prepared")),
        (F::OffsetTooFar, Some("offsets are those that were asked for")),
        (F::OffsetsOfAll, Some("offsets are those that were asked for")),
        (F::NeverAdvances, Some("what was put can be committed in time")),
        (F::WritesAtStop, Some("what is committed has arrived")),
        (F::TombstoneIsRetriable, Some("a record that cannot be used is no retriable error")),
        (F::TombstonePanics, Some("no call panics")),
        (F::CommitAfterStopPanics, Some("no call panics")),
    ];
    for (fault, rule) in cases {
        let destination = Destination::default();
        let seen = Arc::clone(&destination);
        // Long enough for a busy machine, but where it is waited for in vain.
        let patience = if fault == F::NeverAdvances { 100 } else { 10_000 };
        let contract = contract::sink(Keeper(fault, destination), &[])
            .arrived(move |record| seen.lock().unwrap().contains(&(record.partition, record.offset)))
            .within(Duration::from_secs(10), Duration::from_millis(patience));
        breaks(&contract.report(), rule, &format!("{fault:?}"));
    }
}

#[test]
fn a_sink_may_keep_its_offsets_itself() {
    let contract = contract::sink(Keeper(Fault::NeverAdvances, Destination::default()), &[]);
    breaks(&contract.keeps_offsets().report(), None, "keeps its offsets");
}
