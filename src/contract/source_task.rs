//! Source tasks: their lives, their records, and where they go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::connector::TaskConfigs;
use super::instance::{Fault, Instance};
use super::report::{Notes, Rule, shown};
use super::source::SourceContract;
use super::wait;
use crate::api::error::{ConnectError, Result};
use crate::api::offset::{OffsetMap, OffsetValue};
use crate::api::record::{RecordMetadata, SourceRecord};
use crate::api::source::{PollOutcome, SourceTask, SourceTaskContext};
use crate::api::{Settings, topic_name, validation};
use crate::stdx::time::Clock;

const STARTS: Rule = Rule {
    name: "a task starts and stops",
    expected: "a start and a stop without an error, with the settings that the connector made for it",
    docs: "herdsman::api::source, 1 and 4",
};
const GIVES: Rule = Rule {
    name: "a source gives its records",
    expected: "as many records as the check was told to wait for; `gives(0)` says that none come",
    docs: "herdsman::contract::SourceContract::gives",
};
const POLLS: Rule = Rule {
    name: "a poll that finds nothing is no error",
    expected: "records, or Idle; an error that is not retriable ends the task",
    docs: "herdsman::api::source::SourceTask::poll",
};
const RECORDS: Rule = Rule {
    name: "a record can be sent",
    expected: "a topic that can be, values that fit their schemas, no negative time and no negative partition",
    docs: "herdsman::api::record::SourceRecord",
};
const STORABLE: Rule = Rule {
    name: "offsets can be stored",
    expected: "a source partition with a name in it, and finite fractions only: both are stored as JSON",
    docs: "herdsman::api::source, «Offsets»",
};
const RESUMES: Rule = Rule {
    name: "a restart loses nothing",
    expected: "the records behind it, since an offset says where to go on *after* its record",
    docs: "herdsman::api::source, «Offsets»",
};
const RESUMES_AT_OFFSET: Rule = Rule {
    name: "a restart goes on where it was",
    expected: "that not all records come again which lie before the stored offset: it is not looked at",
    docs: "herdsman::api::source, «Offsets»",
};
const FAILS_WITH_STORE: Rule = Rule {
    name: "offsets that cannot be read are an error",
    expected: "the error of the context passed on: to begin anew repeats records or leaves some out",
    docs: "herdsman::api::source::SourceTaskContext::offset",
};
const COMMITS: Rule = Rule {
    name: "commits are taken",
    expected: "no error from commit_record and commit for what was polled",
    docs: "herdsman::api::source, 3",
};

/// The offsets that a task finds.
struct Context {
    stored: Stored,
    asked: AtomicBool,
}

enum Stored {
    Pairs(Vec<(OffsetMap, Option<OffsetMap>)>),
    Nonsense(OffsetMap),
    Failing,
}

impl SourceTaskContext for Context {
    fn offset(&self, partition: &OffsetMap) -> Result<Option<OffsetMap>> {
        self.asked.store(true, Ordering::Relaxed);
        match &self.stored {
            Stored::Pairs(pairs) => {
                let found = pairs.iter().find(|(other, _)| other == partition);
                Ok(found.and_then(|(_, offset)| offset.clone()))
            }
            Stored::Nonsense(offset) => Ok(Some(offset.clone())),
            Stored::Failing => Err(ConnectError::connect("the offset store of the check fails on purpose")),
        }
    }
}

impl Context {
    fn new(stored: Stored) -> Arc<Self> {
        Arc::new(Context { stored, asked: AtomicBool::new(false) })
    }

    fn empty() -> Arc<Self> {
        Context::new(Stored::Pairs(Vec::new()))
    }

    fn was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

type Task = Instance<dyn SourceTask>;

/// The tasks of a source connector.
pub(super) struct SourceTasks<'a> {
    contract: &'a SourceContract,
    configs: TaskConfigs,
}

impl<'a> SourceTasks<'a> {
    pub(super) fn new(contract: &'a SourceContract, configs: TaskConfigs) -> Self {
        SourceTasks { contract, configs }
    }

    /// Checks them, and gives records of the first.
    pub(super) fn check(&self, notes: &mut Notes) -> Vec<SourceRecord> {
        let Some(settings) = self.configs.of_one.first() else { return Vec::new() };
        self.check_odd_orders(notes, settings);
        let (records, asked) = self.first_run(notes, settings);
        for record in &records {
            check_record(notes, record);
        }
        for resume_at in resume_points(records.len()) {
            self.check_restart(notes, settings, &records, resume_at);
        }
        if asked {
            self.check_failing_store(notes, settings, &records);
        }
        for tasks in [&self.configs.of_one, &self.configs.of_three] {
            self.check_side_by_side(notes, tasks);
        }
        records
    }

    fn new_task(&self, notes: &mut Notes) -> Option<Task> {
        let made = Instance::made(&self.contract.plugin, self.contract.call, |plugin| plugin.task());
        notes.returned("made a task", made)
    }

    fn started(
        &self,
        notes: &mut Notes,
        did: &str,
        settings: &Settings,
        context: Arc<Context>,
    ) -> Option<Task> {
        let mut task = self.new_task(notes)?;
        notes.succeeded(&STARTS, did, start(&mut task, settings, context))?;
        Some(task)
    }

    fn check_odd_orders(&self, notes: &mut Notes, settings: &Settings) {
        let Some(mut task) = self.new_task(notes) else { return };
        let did = "stopped a task that was never started, twice";
        notes.returned(did, task.call(|task| drop(task.stop())));
        notes.returned(did, task.call(|task| drop(task.stop())));
        let Some(mut task) = self.new_task(notes) else { return };
        let did = "polled and committed with a task that was never started";
        notes.returned(did, task.call(|task| drop(task.poll())));
        notes.returned(did, task.call(|task| drop(task.commit())));
        let Some(mut task) = self.new_task(notes) else { return };
        let did = "started a task without any settings, and stopped it";
        notes.returned(did, start(&mut task, &Settings::new(), Context::empty()));
        notes.returned(did, task.call(|task| drop(task.stop())));
        let Some(mut task) = self.started(notes, "started a task", settings, Context::empty()) else {
            return;
        };
        let did = "stopped a task that was never polled";
        notes.succeeded(&STARTS, did, task.call(|task| task.stop()));
        let did = "polled a task that was stopped, and stopped it again";
        notes.returned(did, task.call(|task| drop(task.poll())));
        notes.returned(did, task.call(|task| drop(task.stop())));
    }

    /// The records of a task that begins, and whether it asked for offsets.
    fn first_run(&self, notes: &mut Notes, settings: &Settings) -> (Vec<SourceRecord>, bool) {
        let context = Context::empty();
        let did = "started a task without stored offsets";
        let Some(mut task) = self.started(notes, did, settings, Arc::clone(&context)) else {
            return (Vec::new(), false);
        };
        let wanted = self.contract.gives;
        let records = self.poll_until(notes, &mut task, |records| records.len() >= wanted.max(1));
        notes.expect(records.len() >= wanted, &GIVES, "polled a task", || {
            format!("{} of {wanted} records within {:?}", records.len(), self.contract.patience)
        });
        let did = "stopped a task between two polls";
        notes.succeeded(&STARTS, did, task.call(|task| task.stop()));
        let did = "polled a task after its stop";
        notes.returned(did, task.call(|task| drop(task.poll())));
        (records, context.was_asked())
    }

    /// Polls as a worker does until enough came, the task fails, or the time is over.
    fn poll_until(
        &self,
        notes: &mut Notes,
        task: &mut Task,
        enough: impl Fn(&[SourceRecord]) -> bool,
    ) -> Vec<SourceRecord> {
        // Where nothing is to come, it is enough to see how some polls end.
        const POLLS_OF_NOTHING: usize = 5;
        let deadline = Clock.deadline(self.contract.patience);
        let (mut records, mut polls) = (Vec::new(), 0);
        while !enough(&records) && !deadline.passed(Clock.now().instant) {
            let rest = match notes.returned("polled a task", task.call(|task| task.poll())) {
                Some(Ok(PollOutcome::Records(batch))) => {
                    records.extend(batch);
                    Duration::from_millis(1)
                }
                Some(Ok(PollOutcome::Idle(rest))) => rest,
                Some(Err(error)) if error.is_retriable() => Duration::from_millis(10),
                Some(Err(error)) => {
                    notes.broken(&POLLS, "polled a task", shown(&error));
                    break;
                }
                None => break,
            };
            polls += 1;
            if self.contract.gives == 0 && polls >= POLLS_OF_NOTHING {
                break;
            }
            wait(rest.min(deadline.left(Clock.now().instant)));
        }
        records
    }

    /// Takes records up to one of them as delivered, and looks whether a new task gives the others.
    fn check_restart(&self, notes: &mut Notes, settings: &Settings, records: &[SourceRecord], at: usize) {
        let (delivered, behind) = records.split_at((at + 1).min(records.len()));
        if !behind.is_empty() {
            self.deliver(notes, settings, delivered);
        }
        let did = format!(
            "took {} records, and started a new task from the offset of record {}",
            records.len(),
            at + 1
        );
        let context = Context::new(Stored::Pairs(offsets_of(delivered)));
        let Some(mut task) = self.started(notes, &did, settings, Arc::clone(&context)) else { return };
        let again = self.poll_until(notes, &mut task, |again| missing(behind, again).is_empty());
        if let Some(lost) = missing(behind, &again).first() {
            let offset = lost.source_offset.as_ref();
            let saw = format!(
                "no record of {} with offset {}",
                text_of(&lost.source_partition),
                offset.map_or("null".to_owned(), text_of)
            );
            notes.broken(&RESUMES, did.as_str(), saw);
        }
        let repeats = again.first().is_some_and(|first| same(first, &records[0])) && at > 0;
        let has_offsets = delivered.iter().all(|record| record.source_offset.is_some());
        notes.expect(!(repeats && has_offsets && !context.was_asked()), &RESUMES_AT_OFFSET, did, || {
            "the first record of all, and no question for the offset".to_owned()
        });
        notes.succeeded(&STARTS, "stopped a task that went on from an offset", task.call(|task| task.stop()));
    }

    /// Has a task poll records again, and tells it that Kafka has those.
    fn deliver(&self, notes: &mut Notes, settings: &Settings, delivered: &[SourceRecord]) {
        let Some(mut task) = self.started(notes, "started a task", settings, Context::empty()) else {
            return;
        };
        let polled = self.poll_until(notes, &mut task, |polled| missing(delivered, polled).is_empty());
        let did = "told a task that Kafka has its records, and that their offsets are stored";
        for record in delivered.iter().filter(|record| polled.iter().any(|it| same(it, record))) {
            let record = record.clone();
            let metadata = Some(RecordMetadata { partition: 0, offset: 0 });
            let told = task.call(move |task| task.commit_record(&record, metadata));
            if notes.succeeded(&COMMITS, did, told).is_none() {
                return;
            }
        }
        notes.succeeded(&COMMITS, did, task.call(|task| task.commit()));
        notes.succeeded(&STARTS, "stopped a task after a commit", task.call(|task| task.stop()));
    }

    /// A task that asks for offsets and gets an error, or what is none of its own.
    fn check_failing_store(&self, notes: &mut Notes, settings: &Settings, records: &[SourceRecord]) {
        let did = "let the offset store fail, started a task, and polled it";
        if let Some(mut task) = self.new_task(notes) {
            let context = Context::new(Stored::Failing);
            let started = notes.returned(did, start(&mut task, settings, Arc::clone(&context)));
            let polls = if let Some(Ok(())) = started { 20 } else { 0 };
            for _ in 0..polls {
                match notes.returned(did, task.call(|task| task.poll())) {
                    Some(Ok(PollOutcome::Records(batch))) if !batch.is_empty() => {
                        notes.expect(!context.was_asked(), &FAILS_WITH_STORE, did, || {
                            format!("{} records, as if nothing was stored", batch.len())
                        });
                        break;
                    }
                    Some(Ok(PollOutcome::Records(_) | PollOutcome::Idle(_))) => {
                        wait(Duration::from_millis(10))
                    }
                    Some(Err(_)) | None => break,
                }
            }
            notes.returned(did, task.call(|task| drop(task.stop())));
        }
        let own = records.iter().find_map(|record| record.source_offset.as_ref());
        let names = own.into_iter().flat_map(OffsetMap::iter).map(|(name, _)| name.to_owned());
        let mut of_wrong_types = OffsetMap::new();
        names.for_each(|name| of_wrong_types.insert(name, "nonsense"));
        for nonsense in [OffsetMap::new(), OffsetMap::of("nonsense", true), of_wrong_types] {
            let did = format!("stored {} as an offset, started a task, and polled it", text_of(&nonsense));
            let Some(mut task) = self.new_task(notes) else { return };
            let context = Context::new(Stored::Nonsense(nonsense));
            notes.returned(&did, start(&mut task, settings, context));
            notes.returned(&did, task.call(|task| drop(task.poll())));
            notes.returned(&did, task.call(|task| drop(task.stop())));
        }
    }

    /// All tasks of a connector at the same time, as one worker may have them.
    fn check_side_by_side(&self, notes: &mut Notes, configs: &[Settings]) {
        let did = format!("started {} tasks of one connector, polled and stopped each", configs.len());
        let mut tasks: Vec<Task> = Vec::new();
        for settings in configs {
            tasks.extend(self.started(notes, &did, settings, Context::empty()));
        }
        for task in &mut tasks {
            match notes.returned(&did, task.call(|task| task.poll())) {
                Some(Err(error)) if !error.is_retriable() => {
                    notes.broken(&POLLS, did.as_str(), shown(&error))
                }
                Some(Ok(_) | Err(_)) | None => {}
            }
        }
        for task in &mut tasks {
            notes.succeeded(&STARTS, &did, task.call(|task| task.stop()));
        }
    }
}

fn start(
    task: &mut Task,
    settings: &Settings,
    context: Arc<Context>,
) -> std::result::Result<Result<()>, Fault> {
    let settings = settings.clone();
    task.call(move |task| task.start(context, &settings))
}

/// The first, one in the middle and the last of so many.
fn resume_points(records: usize) -> Vec<usize> {
    let mut points = vec![0, records / 2, records.saturating_sub(1)];
    points.dedup();
    points.retain(|point| *point < records);
    points
}

/// What is stored once these records are delivered.
fn offsets_of(delivered: &[SourceRecord]) -> Vec<(OffsetMap, Option<OffsetMap>)> {
    let mut offsets: Vec<(OffsetMap, Option<OffsetMap>)> = Vec::new();
    for record in delivered {
        match offsets.iter_mut().find(|(partition, _)| *partition == *record.source_partition) {
            Some((_, offset)) => offset.clone_from(&record.source_offset),
            None => offsets.push((OffsetMap::clone(&record.source_partition), record.source_offset.clone())),
        }
    }
    offsets
}

fn same(one: &SourceRecord, other: &SourceRecord) -> bool {
    *one.source_partition == *other.source_partition && one.source_offset == other.source_offset
}

fn missing<'r>(wanted: &'r [SourceRecord], found: &[SourceRecord]) -> Vec<&'r SourceRecord> {
    wanted.iter().filter(|record| !found.iter().any(|it| same(it, record))).collect()
}

fn check_record(notes: &mut Notes, record: &SourceRecord) {
    let did = "looked at the records of a task";
    if let Err(why) = topic_name::check(&record.topic) {
        notes.broken(&RECORDS, did, why);
    }
    let headers = record.headers.iter().map(|header| &header.value);
    for part in [&record.key, &record.value].into_iter().chain(headers) {
        let fits = part.schema.as_ref().map_or(Ok(()), |schema| validation::validate(schema, &part.value));
        if let Err(error) = fits {
            notes.broken(&RECORDS, did, error.message());
        }
    }
    let (time, partition) = (record.timestamp, record.partition);
    notes.expect(time.is_none_or(|time| time >= 0), &RECORDS, did, || format!("the time {time:?}"));
    notes
        .expect(partition.is_none_or(|it| it >= 0), &RECORDS, did, || format!("the partition {partition:?}"));
    let partition = &*record.source_partition;
    notes.expect(!partition.is_empty(), &STORABLE, did, || "a source partition without a name".to_owned());
    for (name, value) in partition.iter().chain(record.source_offset.iter().flat_map(OffsetMap::iter)) {
        let is_finite = !matches!(value, OffsetValue::Double(number) if !number.is_finite());
        notes.expect(is_finite, &STORABLE, did, || format!("{name}={value:?}"));
    }
}

fn text_of(map: &OffsetMap) -> String {
    let entry = |(name, value): (&str, &OffsetValue)| match value {
        OffsetValue::Null => format!("{name}=null"),
        OffsetValue::Boolean(value) => format!("{name}={value}"),
        OffsetValue::Long(value) => format!("{name}={value}"),
        OffsetValue::Double(value) => format!("{name}={value}"),
        OffsetValue::String(value) => format!("{name}={value}"),
    };
    format!("{{{}}}", map.iter().map(entry).collect::<Vec<_>>().join(", "))
}
