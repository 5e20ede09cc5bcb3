//! A sink task as a member of its group: taking partitions over, giving them up, committing their offsets.
//!
//! Partitions are given up in this order: `pre_commit`, `close`, commit and wait for it, then tell the group. So the
//! next owner begins where this one ended.

use std::time::{Duration, Instant};

use super::sink::{Running, TARGET, in_consumer};
use crate::api::error::Result;
use crate::api::ids::TopicPartition;
use crate::api::sink::SinkOffsets;
use crate::kafka::consumer::Membership;
use crate::kafka::fault::KafkaFault;
use crate::stdx::error_class::ErrorClass;
use crate::stdx::time::{Clock, Deadline};

/// How long a task waits for the committed offsets of partitions that came.
const COMMITTED: Duration = Duration::from_secs(5);
/// How long a task waits until a partition reads from another offset.
const SEEK: Duration = Duration::from_secs(5);

impl Running {
    /// Carries out what the group decided. `paused`: the connector is.
    pub(super) fn look_at_group(&mut self, name: &str, paused: bool, now: Instant) -> Result<()> {
        while let Some(membership) = self.consumer.next_membership() {
            match membership {
                Membership::Assigned(partitions) => self.take_over(name, paused, partitions)?,
                Membership::Revoked(partitions) => self.give_up(name, &partitions, true, now)?,
                Membership::Lost(partitions) => self.give_up(name, &partitions, false, now)?,
            }
        }
        Ok(())
    }

    fn take_over(&mut self, name: &str, paused: bool, partitions: Vec<TopicPartition>) -> Result<()> {
        let committed = self.consumer.committed(&partitions, Clock.deadline(COMMITTED));
        let committed = committed.or_else(|fault| match fault.class() {
            // The client asks once more by itself; where the task began is known by its first record.
            ErrorClass::Retriable => Ok(SinkOffsets::new()),
            ErrorClass::Fatal | ErrorClass::Bug => Err(in_consumer(fault)),
        })?;
        if partitions.is_empty() {
            return self.consumer.take_over(&partitions, &committed).map_err(in_consumer);
        }
        log::debug!(target: TARGET, "{name} Partitions assigned {}", shown(&partitions));
        self.commits.assigned(&committed);
        self.assigned.extend_from_slice(&partitions);
        self.context.set_assignment(&self.assigned);
        self.count_partitions();
        let opened = self.task.open(&partitions);
        // A task that keeps its offsets itself says in `open` where it begins. A partition that was only just taken over
        // cannot be read from elsewhere: librdkafka does not know yet that it reads it.
        let begins = self.context.take_seeks(&partitions);
        self.commits.rewound(&begins);
        let from = committed.into_iter().chain(begins).collect();
        self.consumer.take_over(&partitions, &from).map_err(in_consumer)?;
        if paused || self.held_back {
            self.consumer.pause(&partitions).map_err(in_consumer)?;
        }
        opened
    }

    /// Gives partitions up; `commits` unless they are lost to others already.
    fn give_up(
        &mut self,
        name: &str,
        partitions: &[TopicPartition],
        commits: bool,
        now: Instant,
    ) -> Result<()> {
        log::debug!(target: TARGET, "{name} Partitions revoked {}", shown(partitions));
        let until = Clock.deadline(self.flush_timeout);
        let closed = self.close(name, partitions, commits.then_some(until), now);
        // In any case: the group waits for it.
        self.consumer.give_up(partitions).map_err(in_consumer)?;
        closed?;
        self.assigned.retain(|partition| !partitions.contains(partition));
        self.commits.removed(partitions);
        self.context.set_assignment(&self.assigned);
        self.count_partitions();
        self.forget(partitions);
        Ok(())
    }

    /// Forgets the records of partitions that went, or are read again. The next delivery takes records again if none is left
    /// that held them back.
    fn forget(&mut self, partitions: &[TopicPartition]) {
        self.errors.forget(partitions);
        self.intake.forget(partitions);
        if self.redeliver_at.is_some() && !self.batch.forget(partitions) {
            self.redeliver_at = None;
        }
    }

    /// Closes all partitions at the end of the task, and commits what was put; waits for that until the deadline.
    pub(super) fn close_all(&mut self, name: &str, deadline: Deadline, now: Instant) -> Result<()> {
        let assigned = self.assigned.clone();
        self.close(name, &assigned, Some(deadline), now)
    }

    /// Closes partitions, and commits what was put of them, unless there is no deadline for that.
    fn close(
        &mut self,
        name: &str,
        partitions: &[TopicPartition],
        commits: Option<Deadline>,
        now: Instant,
    ) -> Result<()> {
        if partitions.is_empty() {
            return Ok(());
        }
        if let Some(deadline) = commits {
            self.settle(name, partitions, deadline);
        }
        let offsets = commits.and_then(|deadline| Some((deadline, self.pre_commit_last(name, partitions)?)));
        let closed = self.task.close(partitions);
        if let Some((deadline, offsets)) = offsets {
            self.commit_sync(name, offsets, deadline, now);
        }
        closed
    }

    /// Waits until the dead letter queue has what failed of partitions that go: offsets are committed up to what it has. Takes
    /// at most half of the time that there is.
    fn settle(&self, name: &str, partitions: &[TopicPartition], deadline: Deadline) {
        let half = deadline.left(Clock.now().instant) / 2;
        if !self.errors.settle(partitions, Clock.deadline(half)) {
            log::warn!(
                target: TARGET,
                "{name} The dead letter queue has not acknowledged all records: they are read again with those behind them"
            );
        }
    }

    /// The offsets to commit of partitions that go. A failure of the task means that nothing is committed for them:
    /// their next owner reads again.
    fn pre_commit_last(&mut self, name: &str, partitions: &[TopicPartition]) -> Option<SinkOffsets> {
        let asked = self.commits.current_of(partitions);
        match self.task.pre_commit(&asked) {
            Ok(given) => self.plan(name, &asked, given),
            Err(error) => {
                log::warn!(
                    target: TARGET,
                    "{name} Offset commit failed during close\n{}",
                    error.trace().trim_end(),
                );
                None
            }
        }
    }

    /// What to commit: what the task gave, but nothing behind a record that the dead letter queue does not have yet.
    fn plan(&self, name: &str, asked: &SinkOffsets, given: SinkOffsets) -> Option<SinkOffsets> {
        let plan = self.commits.plan(asked, given, &self.assigned, &self.errors.holds());
        for ignored in plan.ignored {
            log::warn!(target: TARGET, "{name} {ignored}");
        }
        plan.offsets
    }

    /// Begins a commit of what was put, if anything has changed.
    pub(super) fn commit_async(&mut self, name: &str, now: Instant) -> Result<()> {
        self.commits.reschedule(now);
        let asked = self.commits.current_of(&self.assigned);
        if asked.is_empty() {
            return Ok(());
        }
        let given = match self.task.pre_commit(&asked) {
            Ok(given) => given,
            Err(error) => {
                log::error!(
                    target: TARGET,
                    "{name} Offset commit failed, rewinding to last committed offsets\n{}",
                    error.trace().trim_end(),
                );
                let committed = self.commits.committed_of(&self.assigned);
                return self.rewind(name, committed);
            }
        };
        let Some(offsets) = self.plan(name, &asked, given) else {
            self.counters.committed(now, true, Duration::ZERO);
            return Ok(());
        };
        log::debug!(target: TARGET, "{name} Committing offsets asynchronously: {offsets:?}");
        self.begin_commit(name, offsets, now);
        Ok(())
    }

    /// Begins a commit; its number, unless it failed at once.
    fn begin_commit(&mut self, name: &str, offsets: SinkOffsets, now: Instant) -> Option<u64> {
        let number = self.commits.begin(offsets.clone(), now);
        self.counters.commit_begun(number);
        match self.consumer.commit(number, &offsets) {
            Ok(()) => Some(number),
            Err(fault) => {
                self.end_commit(name, number, Err(fault));
                None
            }
        }
    }

    fn end_commit(&mut self, name: &str, number: u64, result: std::result::Result<(), KafkaFault>) {
        let now = Clock.now().instant;
        let took = self.commits.waits_since().map(|since| now.saturating_duration_since(since));
        let counts = self.commits.ended(number, result.is_ok());
        if counts {
            self.counters.committed(now, result.is_ok(), took.unwrap_or_default());
            self.counters.active(now, self.commits.uncommitted());
        } else {
            self.counters.commit_skipped(now);
        }
        match (counts, result) {
            (true, Ok(())) => {}
            (true, Err(fault)) => log::error!(
                target: TARGET,
                "{name} Commit of offsets threw an unexpected exception for sequence number {number}: {fault}"
            ),
            (false, _) => log::debug!(
                target: TARGET,
                "{name} Received out of order commit callback for sequence number {number}; it does not count"
            ),
        }
    }

    /// Commits and waits for it, until the deadline. A failure is logged: what was put but is not
    /// committed is put again by the next owner.
    fn commit_sync(&mut self, name: &str, offsets: SinkOffsets, deadline: Deadline, now: Instant) {
        log::debug!(target: TARGET, "{name} Committing offsets synchronously: {offsets:?}");
        let Some(awaited) = self.begin_commit(name, offsets, now) else { return };
        while let Some((number, result)) = self.consumer.wait_for_commit(deadline) {
            self.end_commit(name, number, result);
            if number == awaited {
                return;
            }
        }
        self.commits.time_out(now, Duration::ZERO);
        log::warn!(target: TARGET, "{name} Commit of offsets timed out");
    }

    /// Looks how asynchronous commits ended, and gives up one that takes too long.
    pub(super) fn look_at_commits(&mut self, name: &str, now: Instant) {
        while let Some((number, result)) = self.consumer.commit_ended() {
            self.end_commit(name, number, result);
        }
        if self.commits.time_out(now, self.flush_timeout) {
            log::warn!(target: TARGET, "{name} Commit of offsets timed out");
        }
    }

    fn count_partitions(&self) {
        self.counters.partitions(self.assigned.len());
        self.counters.active(Clock.now().instant, self.commits.uncommitted());
    }

    /// Reads on from other offsets, as the task asked or after a failed `pre_commit`.
    pub(super) fn rewind(&mut self, name: &str, mut offsets: SinkOffsets) -> Result<()> {
        offsets.retain(|partition, _| {
            let assigned = self.assigned.contains(partition);
            if !assigned {
                log::warn!(target: TARGET, "{name} Ignoring a seek of {partition}: the partition is not assigned");
            }
            assigned
        });
        log::debug!(target: TARGET, "{name} Rewinding to {offsets:?}");
        let moved: Vec<_> = offsets.keys().cloned().collect();
        self.forget(&moved);
        self.consumer.seek(&offsets, Clock.deadline(SEEK)).map_err(in_consumer)?;
        self.commits.rewound(&offsets);
        self.count_partitions();
        Ok(())
    }
}

fn shown(partitions: &[TopicPartition]) -> String {
    let names: Vec<String> = partitions.iter().map(TopicPartition::to_string).collect();
    format!("[{}]", names.join(", "))
}
