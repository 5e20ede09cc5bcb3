//! Sink tasks in a consumer group that the suite plays: partitions come and go, records come and come again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::instance::{Fault, Instance};
use super::report::{Notes, Rule, shown};
use super::sink::SinkContract;
use super::{samples, wait};
use crate::api::Settings;
use crate::api::data::{SchemaAndValue, Value};
use crate::api::error::Result;
use crate::api::ids::TopicPartition;
use crate::api::record::SinkRecord;
use crate::api::sink::{SinkOffsets, SinkTask, SinkTaskContext};
use crate::stdx::mutex::lock;
use crate::stdx::time::Clock;

const STARTS: Rule = Rule {
    name: "a task starts and stops",
    expected: "a start and a stop without an error, with the settings that the connector made for it",
    docs: "herdsman::api::sink, 1 and 6",
};
const TAKES: Rule = Rule {
    name: "a sink takes records",
    expected: "no error, or a retriable one until it works; also for no records, and for records that came before",
    docs: "herdsman::api::sink, 3",
};
const PARTITIONS: Rule = Rule {
    name: "partitions come and go",
    expected: "no error from open and close: others come in addition, some are closed, and may come again",
    docs: "herdsman::api::sink, 2 and 5",
};
const COMMITS: Rule = Rule {
    name: "a commit is prepared",
    expected: "no error from pre_commit for partitions that the task has, whether anything was put or not",
    docs: "herdsman::api::sink, 4",
};
const BOUNDED: Rule = Rule {
    name: "offsets are those that were asked for",
    expected: "offsets of partitions that it was asked about, and none further than it was asked",
    docs: "herdsman::api::sink, «Offsets»",
};
const ADVANCES: Rule = Rule {
    name: "what was put can be committed in time",
    expected: "that pre_commit gives the offset behind all that was put, sooner or later, while empty puts go on; \
               `keeps_offsets` says that it does not",
    docs: "herdsman::api::sink, «Offsets»",
};
const SAFE: Rule = Rule {
    name: "what is committed has arrived",
    expected: "every record below an offset that pre_commit gave at the destination: it never comes again",
    docs: "herdsman::api::sink, «Offsets»",
};
const NOT_RETRIABLE: Rule = Rule {
    name: "a record that cannot be used is no retriable error",
    expected: "an error of another kind: the same batch would come again for ever",
    docs: "herdsman::api::sink::SinkTask::put",
};

/// How many records a batch has.
const BATCH: i64 = 3;

/// What a task asked for.
#[derive(Default)]
struct Context {
    assigned: Mutex<Vec<TopicPartition>>,
    seeks: Mutex<SinkOffsets>,
}

impl SinkTaskContext for Context {
    fn seek(&self, offsets: SinkOffsets) {
        lock(&self.seeks).extend(offsets);
    }

    fn timeout(&self, _: Duration) {}

    fn assignment(&self) -> Vec<TopicPartition> {
        lock(&self.assigned).clone()
    }

    fn pause(&self, _: &[TopicPartition]) {}

    fn resume(&self, _: &[TopicPartition]) {}

    fn request_commit(&self) {}
}

/// The group, as far as tasks that run one after another see it.
pub(super) struct SinkGroup<'a> {
    contract: &'a SinkContract,
    settings: Settings,
    /// Where the next owner of a partition begins.
    committed: SinkOffsets,
}

/// A task with its partitions.
struct Member {
    task: Instance<dyn SinkTask>,
    context: Arc<Context>,
    /// The next record of each partition that it has.
    next: SinkOffsets,
}

fn partition(number: i32) -> TopicPartition {
    TopicPartition { topic: samples::TOPIC.into(), partition: number }
}

impl<'a> SinkGroup<'a> {
    pub(super) fn new(contract: &'a SinkContract, settings: Settings) -> Self {
        SinkGroup { contract, settings, committed: SinkOffsets::new() }
    }

    /// Plays one scene after another. Each ends early when the task fails, which is noted.
    pub(super) fn check(mut self, notes: &mut Notes) {
        let both = [partition(0), partition(1)];
        self.odd_orders(notes);
        self.whole_life(notes, &both);
        self.crash(notes, &both[..1]);
        self.rebalance(notes, &both);
        self.loss(notes, &both[..1]);
        self.odd_records(notes, &both[..1]);
    }

    fn odd_orders(&self, notes: &mut Notes) {
        let Some(mut task) = self.new_task(notes) else { return };
        let did = "stopped a task that was never started, twice";
        notes.returned(did, task.call(|task| drop(task.stop())));
        notes.returned(did, task.call(|task| drop(task.stop())));
        let Some(mut task) = self.new_task(notes) else { return };
        let did = "put nothing, and prepared a commit, with a task that was never started";
        notes.returned(did, task.call(|task| drop(task.put(&[]))));
        notes.returned(did, task.call(|task| drop(task.pre_commit(&SinkOffsets::new()))));
        let Some(mut task) = self.new_task(notes) else { return };
        let did = "started a task without any settings, and stopped it";
        let context = Arc::<Context>::default();
        notes.returned(did, task.call(move |task| drop(task.start(context, &Settings::new()))));
        notes.returned(did, task.call(|task| drop(task.stop())));
        let Some(mut member) = self.joined(notes) else { return };
        self.put(notes, &mut member, "put nothing, before any partition came", Vec::new());
        let did = "stopped a task that never had a partition";
        notes.succeeded(&STARTS, did, member.task.call(|task| task.stop()));
        let did = "put a record and prepared a commit after the stop, and stopped again";
        let record = self.record(&partition(0), 0);
        notes.returned(did, member.task.call(move |task| drop(task.put(&[record]))));
        notes.returned(did, member.task.call(|task| drop(task.pre_commit(&SinkOffsets::new()))));
        notes.returned(did, member.task.call(|task| drop(task.stop())));
    }

    fn whole_life(&mut self, notes: &mut Notes, partitions: &[TopicPartition]) {
        let Some(mut member) = self.joined(notes) else { return };
        self.open(notes, &mut member, partitions);
        self.pre_commit(notes, &mut member, "prepared a commit before anything was put", partitions);
        for did in ["put some records", "put more records"] {
            let batch = self.batch(&mut member);
            self.put(notes, &mut member, did, batch);
        }
        self.commit_all(notes, &mut member, partitions);
        let batch = self.batch(&mut member);
        self.put(notes, &mut member, "put records", batch.clone());
        self.put(notes, &mut member, "put the same records again", batch);
        self.commit_all(notes, &mut member, partitions);
        self.leave(notes, member, partitions);
    }

    /// What was prepared for a commit is there although the task ends without close and stop.
    fn crash(&mut self, notes: &mut Notes, partitions: &[TopicPartition]) {
        let Some(mut member) = self.joined(notes) else { return };
        self.open(notes, &mut member, partitions);
        let batch = self.batch(&mut member);
        self.put(notes, &mut member, "put records", batch);
        let did = "put records, prepared a commit, and let the task end as in a crash";
        let given = self.pre_commit(notes, &mut member, did, partitions).unwrap_or_default();
        notes.returned(did, member.task.abandon());
        self.check_arrived(notes, did, &given);
        self.committed.extend(given);
        let Some(mut member) = self.joined(notes) else { return };
        self.open(notes, &mut member, partitions);
        let batch = self.batch(&mut member);
        self.put(notes, &mut member, "put the records that were not committed before a crash", batch);
        self.commit_all(notes, &mut member, partitions);
        self.leave(notes, member, partitions);
    }

    /// A partition comes in addition, another goes.
    fn rebalance(&mut self, notes: &mut Notes, partitions: &[TopicPartition]) {
        let (first, second) = partitions.split_at(1);
        let Some(mut member) = self.joined(notes) else { return };
        for (more, did) in [(first, "put records"), (second, "put records of a partition that came later")] {
            self.open(notes, &mut member, more);
            let batch = self.batch(&mut member);
            self.put(notes, &mut member, did, batch);
        }
        self.commit_all(notes, &mut member, first);
        self.close(notes, &mut member, first);
        let batch = self.batch(&mut member);
        self.put(notes, &mut member, "put records of a partition that stayed", batch);
        self.commit_all(notes, &mut member, second);
        self.leave(notes, member, second);
    }

    /// A partition is lost without a commit, and comes again with the same records.
    fn loss(&mut self, notes: &mut Notes, partitions: &[TopicPartition]) {
        let Some(mut member) = self.joined(notes) else { return };
        self.open(notes, &mut member, partitions);
        let batch = self.batch(&mut member);
        self.put(notes, &mut member, "put records", batch);
        self.close(notes, &mut member, partitions);
        self.put(notes, &mut member, "put nothing, without a partition", Vec::new());
        self.open(notes, &mut member, partitions);
        let batch = self.batch(&mut member);
        self.put(notes, &mut member, "put records again after their partition was lost", batch);
        self.commit_all(notes, &mut member, partitions);
        self.leave(notes, member, partitions);
    }

    /// Records of every kind: each may be refused, but not with a retriable error. A task that refuses one has ended.
    fn odd_records(&mut self, notes: &mut Notes, partitions: &[TopicPartition]) {
        let mut member = None;
        for (what, key, value) in samples::keys_and_values() {
            let Some(mut current) = member.take().or_else(|| {
                let mut joined = self.joined(notes)?;
                self.open(notes, &mut joined, partitions);
                Some(joined)
            }) else {
                return;
            };
            let offset = current.next.get(&partitions[0]).copied().unwrap_or_default();
            let record = SinkRecord { offset, ..samples::sink_record(key, value) };
            let did = format!("put {what}");
            match notes.returned(&did, current.task.call(move |task| task.put(&[record]))) {
                Some(Ok(())) => {
                    current.next.insert(partitions[0].clone(), offset + 1);
                    member = Some(current);
                }
                Some(Err(error)) => {
                    notes.expect(!error.is_retriable(), &NOT_RETRIABLE, did.as_str(), || shown(&error));
                    notes.returned(&did, current.task.call(|task| drop(task.stop())));
                }
                None => {}
            }
        }
    }
}

/// The calls that scenes are made of.
impl SinkGroup<'_> {
    fn new_task(&self, notes: &mut Notes) -> Option<Instance<dyn SinkTask>> {
        let made = Instance::made(&self.contract.plugin, self.contract.call, |plugin| plugin.task());
        notes.returned("made a task", made)
    }

    /// A started task without partitions.
    fn joined(&self, notes: &mut Notes) -> Option<Member> {
        let mut task = self.new_task(notes)?;
        let context = Arc::<Context>::default();
        let (of_task, settings) = (Arc::clone(&context), self.settings.clone());
        let started = task.call(move |task| task.start(of_task, &settings));
        notes.succeeded(&STARTS, "started a task", started)?;
        Some(Member { task, context, next: SinkOffsets::new() })
    }

    fn open(&self, notes: &mut Notes, member: &mut Member, partitions: &[TopicPartition]) {
        for partition in partitions {
            let committed = self.committed.get(partition).copied().unwrap_or_default();
            member.next.insert(partition.clone(), committed);
        }
        *lock(&member.context.assigned) = member.next.keys().cloned().collect();
        let own = partitions.to_vec();
        let opened = member.task.call(move |task| task.open(&own));
        notes.succeeded(&PARTITIONS, "opened partitions", opened);
        member.carry_out_seeks();
    }

    fn close(&self, notes: &mut Notes, member: &mut Member, partitions: &[TopicPartition]) {
        let own = partitions.to_vec();
        let closed = member.task.call(move |task| task.close(&own));
        notes.succeeded(&PARTITIONS, "closed partitions", closed);
        member.next.retain(|partition, _| !partitions.contains(partition));
        *lock(&member.context.assigned) = member.next.keys().cloned().collect();
        member.carry_out_seeks();
    }

    fn leave(&self, notes: &mut Notes, mut member: Member, partitions: &[TopicPartition]) {
        self.close(notes, &mut member, partitions);
        notes.succeeded(&STARTS, "stopped a task", member.task.call(|task| task.stop()));
    }

    /// The next records of all partitions that a task has.
    fn batch(&self, member: &mut Member) -> Vec<SinkRecord> {
        let mut batch = Vec::new();
        for (partition, next) in &mut member.next {
            batch.extend((*next..*next + BATCH).map(|offset| self.record(partition, offset)));
            *next += BATCH;
        }
        batch
    }

    fn record(&self, partition: &TopicPartition, offset: i64) -> SinkRecord {
        let number = format!("{}-{offset}", partition.partition);
        let text = |text: String| SchemaAndValue::schemaless(Value::string(text));
        let values = &self.contract.values;
        let place = usize::try_from(offset).unwrap_or_default().checked_rem(values.len());
        let value = place.and_then(|place| values.get(place)).cloned();
        let record = samples::sink_record(
            text(format!("key {number}")),
            value.unwrap_or_else(|| text(format!("value {number}"))),
        );
        SinkRecord { partition: partition.partition, offset, ..record }
    }

    /// Puts records, again as long as the task says that it may work later.
    fn put(&self, notes: &mut Notes, member: &mut Member, did: &str, records: Vec<SinkRecord>) {
        let deadline = Clock.deadline(self.contract.patience);
        loop {
            let batch = records.clone();
            let outcome = member.task.call(move |task| task.put(&batch));
            match outcome {
                Ok(Err(error)) if error.is_retriable() && !deadline.passed(Clock.now().instant) => {
                    wait(Duration::from_millis(10));
                }
                Ok(_) | Err(_) => {
                    notes.succeeded(&TAKES, did, outcome);
                    break;
                }
            }
        }
        member.carry_out_seeks();
    }

    /// Asks how far partitions may be committed.
    fn pre_commit(
        &self,
        notes: &mut Notes,
        member: &mut Member,
        did: &str,
        partitions: &[TopicPartition],
    ) -> Option<SinkOffsets> {
        let asked = member.next_of(partitions);
        let given = member.pre_commit(&asked);
        let given = notes.succeeded(&COMMITS, did, given)?;
        for (partition, offset) in &given {
            let bound = asked.get(partition);
            notes.expect(bound.is_some_and(|bound| offset <= bound), &BOUNDED, did, || match bound {
                Some(bound) => format!("{partition} at {offset}, asked up to {bound}"),
                None => format!("{partition} at {offset}, not asked"),
            });
        }
        self.check_arrived(notes, did, &given);
        Some(given)
    }

    /// Commits until everything that was put is committed.
    fn commit_all(&mut self, notes: &mut Notes, member: &mut Member, partitions: &[TopicPartition]) {
        let did = "put records, and prepared commits until all of them could be committed";
        let deadline = Clock.deadline(self.contract.patience);
        loop {
            let Some(given) = self.pre_commit(notes, member, did, partitions) else { return };
            self.committed.extend(given);
            let asked = member.next_of(partitions);
            let behind = asked.iter().find(|(partition, next)| self.committed.get(partition) < Some(next));
            let Some((partition, next)) = behind.filter(|_| !self.contract.keeps_offsets) else { break };
            if deadline.passed(Clock.now().instant) {
                let committed = self.committed.get(partition);
                let saw = format!("{partition} at {committed:?}, put up to {next}");
                notes.broken(&ADVANCES, did, saw);
                break;
            }
            wait(Duration::from_millis(10));
            self.put(notes, member, "put nothing, while records were on their way", Vec::new());
        }
    }

    fn check_arrived(&self, notes: &mut Notes, did: &str, given: &SinkOffsets) {
        let Some(arrived) = &self.contract.arrived else { return };
        for (partition, offset) in given {
            let lost =
                (0..*offset).map(|offset| self.record(partition, offset)).find(|record| !arrived(record));
            if let Some(lost) = lost {
                let saw =
                    format!("no record of {partition} at offset {}, and {offset} was given", lost.offset);
                notes.broken(&SAFE, did, saw);
            }
        }
    }
}

impl Member {
    fn next_of(&self, partitions: &[TopicPartition]) -> SinkOffsets {
        let of = |partition: &TopicPartition| Some((partition.clone(), *self.next.get(partition)?));
        partitions.iter().filter_map(of).collect()
    }

    fn pre_commit(&mut self, asked: &SinkOffsets) -> std::result::Result<Result<SinkOffsets>, Fault> {
        let asked = asked.clone();
        let given = self.task.call(move |task| task.pre_commit(&asked));
        self.carry_out_seeks();
        given
    }

    /// Reads on where the task wants to, as far as it has the partition.
    fn carry_out_seeks(&mut self) {
        for (partition, offset) in std::mem::take(&mut *lock(&self.context.seeks)) {
            self.next.entry(partition).and_modify(|next| *next = offset);
        }
    }
}
