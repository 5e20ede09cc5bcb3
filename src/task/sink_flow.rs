//! The records of a sink task on their way: consumed, converted, put, committed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::TaskEventKind;
use super::conversion::{Conversion, not_tolerated};
use super::frame::{Frame, PauseChange};
use super::sink::stop_plugin;
use super::sink_commit::Progress;
use super::sink_requests::{Assignment, SinkRequests};
use super::spec::{TaskSpec, Tolerance};
use crate::api::error::{ConnectError, Result};
use crate::api::ids::TopicPartition;
use crate::api::record::SinkRecord;
use crate::api::sink::{SinkOffsets, SinkTask};
use crate::kafka::consumer::{Consumed, Membership, SinkConsumer};
use crate::kafka::fault::KafkaFault;
use crate::stdx::backoff::Backoff;

const TARGET: &str = "org.apache.kafka.connect.runtime.WorkerSinkTask";

/// The longest wait in one poll: a stop or pause waits for it.
const POLL: Duration = Duration::from_millis(100);
/// The pauses before a batch is delivered again, where the task named none. Apache waits for the next commit.
const REDELIVERY_FIRST: Duration = Duration::from_millis(100);
const REDELIVERY_LONGEST: Duration = Duration::from_secs(10);
/// How long a rewind may take.
const SEEK: Duration = Duration::from_secs(5);

/// A running sink task with its consumer.
pub(super) struct SinkFlow {
    task: Box<dyn SinkTask>,
    consumer: SinkConsumer,
    requests: Arc<SinkRequests>,
    conversion: Conversion,
    tolerance: Tolerance,
    records_max: usize,
    progress: Progress,
    commits: Commits,
    /// Converted records that were not put yet, with the offsets they lead to.
    batch: Vec<SinkRecord>,
    leads_to: SinkOffsets,
    redelivery: Option<Redelivery>,
    topics: BTreeSet<Arc<str>>,
    abandoned: bool,
}

struct Commits {
    interval: Duration,
    timeout: Duration,
    next: Instant,
    /// What an asynchronous commit that goes on will have committed, and since when it goes on.
    open: Option<(SinkOffsets, Instant)>,
    /// Commits that were given up and whose results are still to come: they count no more.
    late: usize,
}

/// A batch that the task could not take comes again.
struct Redelivery {
    at: Instant,
    backoff: Backoff,
}

impl SinkFlow {
    pub(super) fn new(
        frame: &Frame,
        spec: &TaskSpec,
        mut task: Box<dyn SinkTask>,
        consumer: SinkConsumer,
        requests: Arc<SinkRequests>,
        now: Instant,
    ) -> Result<Self> {
        let conversion = match Conversion::new(&spec.converters) {
            Ok(conversion) => conversion,
            Err(error) => {
                stop_plugin(frame, task.as_mut());
                return Err(error);
            }
        };
        let (interval, timeout) = (spec.offset_flush_interval, spec.offset_flush_timeout);
        Ok(SinkFlow {
            task,
            consumer,
            requests,
            conversion,
            tolerance: spec.tolerance,
            records_max: spec.records_max,
            progress: Progress::default(),
            commits: Commits { interval, timeout, next: now + interval, open: None, late: 0 },
            batch: Vec::new(),
            leads_to: SinkOffsets::new(),
            redelivery: None,
            topics: BTreeSet::new(),
            abandoned: false,
        })
    }

    pub(super) fn turn(&mut self, frame: &mut Frame, now: Instant) -> Result<()> {
        while let Some(membership) = self.consumer.next_membership() {
            self.follow(frame, membership)?;
        }
        self.end_commits(frame, now);
        self.look_at_pause(frame, now)?;
        let requested = self.requests.take_commit();
        if self.commits.open.is_none() && (requested || now >= self.commits.next) {
            self.begin_commit(frame, now);
        }
        self.rewind()?;
        match &self.redelivery {
            Some(redelivery) if now < redelivery.at => {
                // Stays in the group meanwhile; the partitions are paused, so no record comes.
                let wait = redelivery.at.saturating_duration_since(now).min(POLL);
                let early = self.consumer.poll(self.records_max, wait).map_err(consume_failure)?;
                self.take(frame, early)?;
                Ok(())
            }
            Some(_) => self.put(frame, now),
            None => {
                let next = self.commits.next.saturating_duration_since(now);
                let wait = self.requests.take_timeout().map_or(next, |timeout| timeout.min(next)).min(POLL);
                let records = self.consumer.poll(self.records_max, wait).map_err(consume_failure)?;
                self.take(frame, records)?;
                self.put(frame, now)
            }
        }
    }

    /// Converts records into the batch. One that is left out still counts as done.
    fn take(&mut self, frame: &Frame, records: Vec<Consumed>) -> Result<()> {
        for record in records {
            self.tell_topic(frame, &record.topic);
            let partition = TopicPartition { topic: Arc::clone(&record.topic), partition: record.partition };
            let next = record.offset + 1;
            match self.conversion.to_record(record) {
                Ok(record) => self.batch.push(record),
                Err(_) if self.tolerance == Tolerance::All => {}
                Err(error) => return Err(not_tolerated(error)),
            }
            self.leads_to.insert(partition, next);
        }
        Ok(())
    }

    fn put(&mut self, frame: &Frame, now: Instant) -> Result<()> {
        match self.task.put(&self.batch) {
            Ok(()) => {
                self.batch.clear();
                self.progress.current.append(&mut self.leads_to);
                if self.redelivery.take().is_some() && !frame.is_paused() {
                    self.resume_all()?;
                }
                Ok(())
            }
            Err(error) if error.is_retriable() => {
                let message = error.trace();
                log::error!(target: TARGET, "{} RetriableException from SinkTask:\n{}", frame.name, message.trim_end());
                let mut backoff = match self.redelivery.take() {
                    Some(redelivery) => redelivery.backoff,
                    None => {
                        let assigned = self.requests.assigned();
                        self.consumer.pause(&assigned).map_err(consume_failure)?;
                        Backoff::new(REDELIVERY_FIRST, REDELIVERY_LONGEST)
                    }
                };
                let own = backoff.next_delay(0.0);
                let wait = self.requests.take_timeout().unwrap_or(own);
                self.redelivery = Some(Redelivery { at: now + wait, backoff });
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn tell_topic(&mut self, frame: &Frame, topic: &Arc<str>) {
        if !self.topics.contains(topic) {
            self.topics.insert(Arc::clone(topic));
            frame.report(TaskEventKind::Topic(Arc::clone(topic)));
        }
    }

    fn follow(&mut self, frame: &Frame, membership: Membership) -> Result<()> {
        match membership {
            Membership::Assigned(partitions) => {
                log::info!(target: TARGET, "{} Partitions assigned: {}", frame.name, names(&partitions));
                self.consumer.take_over(&partitions).map_err(consume_failure)?;
                self.requests.add(&partitions);
                if frame.is_paused() || self.redelivery.is_some() {
                    self.consumer.pause(&partitions).map_err(consume_failure)?;
                }
                if partitions.is_empty() { Ok(()) } else { self.task.open(&partitions) }
            }
            Membership::Revoked(partitions) => {
                log::info!(target: TARGET, "{} Partitions revoked: {}", frame.name, names(&partitions));
                let result = self.let_go(frame, &partitions.iter().cloned().collect(), true);
                self.consumer.give_up(&partitions).map_err(consume_failure)?;
                result
            }
            Membership::Lost(partitions) => {
                log::warn!(target: TARGET, "{} Partitions lost: {}", frame.name, names(&partitions));
                let result = self.let_go(frame, &partitions.iter().cloned().collect(), false);
                self.consumer.give_up(&partitions).map_err(consume_failure)?;
                result
            }
        }
    }

    /// Ends the work on partitions: what was put is committed first, unless they are another task's already.
    fn let_go(&mut self, frame: &Frame, partitions: &Assignment, commit: bool) -> Result<()> {
        let list: Vec<TopicPartition> = partitions.iter().cloned().collect();
        let offsets = self.progress.of(partitions);
        let committed = if commit && !offsets.is_empty() { self.pre_commit(frame, &offsets) } else { None };
        let closed = if list.is_empty() { Ok(()) } else { self.task.close(&list) };
        if let Some(offsets) = committed {
            self.commit_sync(frame, offsets);
        }
        self.batch.retain(|record| {
            let of =
                TopicPartition { topic: Arc::clone(&record.original_topic), partition: record.partition };
            !partitions.contains(&of)
        });
        self.leads_to.retain(|partition, _| !partitions.contains(partition));
        self.progress.forget(partitions);
        self.requests.remove(partitions);
        closed
    }

    /// What the task agrees to have committed; `None` if it failed to say.
    fn pre_commit(&mut self, frame: &Frame, offsets: &SinkOffsets) -> Option<SinkOffsets> {
        match self.task.pre_commit(offsets) {
            Ok(returned) => {
                let assigned = self.requests.assigned();
                Some(self.progress.to_commit(&frame.name, offsets, returned, &assigned))
            }
            Err(error) => {
                let trace = error.trace();
                log::error!(
                    target: TARGET,
                    "{} Offset commit failed, rewinding to last committed offsets\n{}",
                    frame.name,
                    trace.trim_end()
                );
                None
            }
        }
    }

    fn commit_sync(&mut self, frame: &Frame, offsets: SinkOffsets) {
        if offsets.is_empty() {
            return;
        }
        match self.consumer.commit_sync(&offsets) {
            Ok(()) => self.progress.committed.extend(offsets),
            Err(fault) => log::error!(target: TARGET, "{} Failed to commit offsets: {fault}", frame.name),
        }
    }

    fn begin_commit(&mut self, frame: &Frame, now: Instant) {
        self.commits.next = now + self.commits.interval;
        let current = self.progress.current.clone();
        if current.is_empty() {
            return;
        }
        let Some(offsets) = self.pre_commit(frame, &current) else {
            // What was put since the last commit comes again.
            let back = self.progress.committed.clone();
            if let Err(fault) = self.consumer.seek(&back, SEEK) {
                log::error!(target: TARGET, "{} Failed to rewind: {fault}", frame.name);
            }
            self.progress.current.extend(back);
            self.batch.clear();
            self.leads_to.clear();
            return;
        };
        if offsets.is_empty() {
            return;
        }
        match self.consumer.commit_async(&offsets) {
            Ok(()) => self.commits.open = Some((offsets, now)),
            Err(fault) => log::error!(target: TARGET, "{} Failed to commit offsets: {fault}", frame.name),
        }
    }

    fn end_commits(&mut self, frame: &Frame, now: Instant) {
        for result in self.consumer.take_commit_results() {
            if self.commits.late > 0 {
                self.commits.late -= 1;
                continue;
            }
            let Some((offsets, _)) = self.commits.open.take() else { continue };
            match result {
                Ok(()) => {
                    let assigned = self.requests.assigned();
                    let mine = offsets.into_iter().filter(|(partition, _)| assigned.contains(partition));
                    self.progress.committed.extend(mine);
                }
                Err(fault) => log::error!(target: TARGET, "{} Failed to commit offsets: {fault}", frame.name),
            }
        }
        if let Some((_, since)) = &self.commits.open
            && now.saturating_duration_since(*since) >= self.commits.timeout
        {
            log::warn!(target: TARGET, "{} Commit of offsets timed out", frame.name);
            self.commits.open = None;
            self.commits.late += 1;
        }
    }

    fn look_at_pause(&mut self, frame: &mut Frame, now: Instant) -> Result<()> {
        match frame.look_at_pause() {
            PauseChange::None | PauseChange::StaysPaused => {}
            PauseChange::Pauses => {
                self.consumer.pause(&self.requests.assigned()).map_err(consume_failure)?;
                self.commits.next = now;
                frame.report(TaskEventKind::Paused);
            }
            PauseChange::Resumes => {
                if self.redelivery.is_none() {
                    self.resume_all()?;
                }
                frame.report(TaskEventKind::Resumed);
            }
        }
        if let Some(paused) = self.requests.take_paused()
            && !frame.is_paused()
            && self.redelivery.is_none()
        {
            self.consumer.pause(&paused).map_err(consume_failure)?;
            self.resume_all()?;
        }
        Ok(())
    }

    /// Takes records again of all partitions but those that the task itself paused.
    fn resume_all(&self) -> Result<()> {
        let paused = self.requests.paused();
        let assigned = self.requests.assigned();
        self.consumer.resume(assigned.difference(&paused)).map_err(consume_failure)
    }

    fn rewind(&mut self) -> Result<()> {
        let mut seeks = self.requests.take_seeks();
        let assigned = self.requests.assigned();
        seeks.retain(|partition, _| assigned.contains(partition));
        if seeks.is_empty() {
            return Ok(());
        }
        self.consumer.seek(&seeks, SEEK).map_err(consume_failure)?;
        self.progress.committed.extend(seeks.clone());
        self.progress.current.extend(seeks);
        Ok(())
    }

    /// Nobody waits for the task any more: it commits nothing.
    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
    }

    /// Commits what was put, lets go of everything, ends the plug-in.
    pub(super) fn finish(&mut self, frame: &Frame) {
        let assigned = self.requests.assigned();
        if !self.progress.current.is_empty()
            && let Err(error) = self.let_go(frame, &assigned, !self.abandoned)
        {
            log::warn!(target: TARGET, "{} Could not close the task\n{}", frame.name, error.trace().trim_end());
        }
        stop_plugin(frame, self.task.as_mut());
    }
}

fn consume_failure(fault: KafkaFault) -> ConnectError {
    ConnectError::connect("The consumer of the task failed").caused_by(fault)
}

fn names(partitions: &[TopicPartition]) -> String {
    let names: Vec<String> = partitions.iter().map(TopicPartition::to_string).collect();
    format!("[{}]", names.join(", "))
}
