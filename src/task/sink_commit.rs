//! Which offsets of a sink task are to be committed, and which commit a result belongs to. Pure.

use std::time::{Duration, Instant};

use crate::api::ids::TopicPartition;
use crate::api::sink::SinkOffsets;

/// The offsets of a sink task and its commits.
#[derive(Debug)]
pub(super) struct SinkCommits {
    /// What the group has, or where the task began to read where the group has nothing.
    last_committed: SinkOffsets,
    /// The next record to put, by partition.
    current: SinkOffsets,
    sequence: u64,
    waits: Option<Waits>,
    interval: Duration,
    next: Instant,
}

/// The commit whose result counts.
#[derive(Debug)]
struct Waits {
    sequence: u64,
    since: Instant,
    offsets: SinkOffsets,
}

/// What is to be committed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// `None`: nothing has changed.
    pub(super) offsets: Option<SinkOffsets>,
    /// What the task gave back and should not have, for the log.
    pub(super) ignored: Vec<Ignored>,
}

/// An offset from `pre_commit` that is not committed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Ignored {
    /// It lies behind the last record that was put.
    #[error(
        "Ignoring invalid task provided offset {partition}/{offset} -- not yet consumed, taskOffset={offset} \
         currentOffset={current}"
    )]
    BeyondConsumed { partition: TopicPartition, offset: i64, current: i64 },
    /// The task does not have the partition.
    #[error("Ignoring invalid task provided offset {partition}/{offset} -- partition not assigned")]
    Unassigned { partition: TopicPartition, offset: i64 },
    /// It was not asked about the partition: others are committed now.
    #[error("Ignoring task provided offset {partition}/{offset} -- partition not requested")]
    Unrequested { partition: TopicPartition, offset: i64 },
}

impl SinkCommits {
    /// Without partitions; the first commit is due after one interval.
    pub(super) fn new(interval: Duration, now: Instant) -> Self {
        SinkCommits {
            last_committed: SinkOffsets::new(),
            current: SinkOffsets::new(),
            sequence: 0,
            waits: None,
            interval,
            next: now + interval,
        }
    }

    /// When the next commit is due.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Whether a commit waits for its result.
    pub(super) fn is_committing(&self) -> bool {
        self.waits.is_some()
    }

    /// Partitions came, with what the group has committed.
    pub(super) fn assigned(&mut self, committed: &SinkOffsets) {
        self.last_committed.extend(committed.iter().map(|(partition, offset)| (partition.clone(), *offset)));
        self.current.extend(committed.iter().map(|(partition, offset)| (partition.clone(), *offset)));
    }

    /// Partitions went.
    pub(super) fn removed(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.last_committed.remove(partition);
            self.current.remove(partition);
        }
    }

    /// A record was consumed from a partition: where nothing was committed, the task begins there.
    pub(super) fn began(&mut self, partition: &TopicPartition, offset: i64) {
        self.last_committed.entry(partition.clone()).or_insert(offset);
    }

    /// Records were put; `next` is the one after.
    pub(super) fn put(&mut self, partition: &TopicPartition, next: i64) {
        self.current.insert(partition.clone(), next);
    }

    /// The task reads on from other offsets, which then count as committed.
    pub(super) fn rewound(&mut self, offsets: &SinkOffsets) {
        self.assigned(offsets);
    }

    /// The current offsets of some partitions: what `pre_commit` is asked about.
    pub(super) fn current_of(&self, partitions: &[TopicPartition]) -> SinkOffsets {
        of(&self.current, partitions)
    }

    /// The committed offsets of some partitions: where to read again after a failed `pre_commit`.
    pub(super) fn committed_of(&self, partitions: &[TopicPartition]) -> SinkOffsets {
        of(&self.last_committed, partitions)
    }

    /// What to commit, given what `pre_commit` was asked about and what it gave back. Nothing goes past `holds`.
    pub(super) fn plan(
        &self,
        asked: &SinkOffsets,
        given: SinkOffsets,
        assigned: &[TopicPartition],
        holds: &SinkOffsets,
    ) -> Plan {
        let mut offsets: SinkOffsets = asked
            .keys()
            .filter_map(|partition| Some((partition.clone(), *self.last_committed.get(partition)?)))
            .collect();
        let before = offsets.clone();
        let mut ignored = Vec::new();
        for (partition, offset) in given {
            match asked.get(&partition) {
                Some(current) if offset > *current => {
                    ignored.push(Ignored::BeyondConsumed { partition, offset, current: *current });
                }
                Some(_) => {
                    offsets.insert(partition, offset);
                }
                None if assigned.contains(&partition) => {
                    ignored.push(Ignored::Unrequested { partition, offset });
                }
                None => ignored.push(Ignored::Unassigned { partition, offset }),
            }
        }
        for (partition, offset) in &mut offsets {
            if let Some(hold) = holds.get(partition).filter(|hold| **hold < *offset) {
                // A hold takes nothing back that is committed.
                let committed = before.get(partition).copied().unwrap_or(*hold).min(*offset);
                *offset = committed.max(*hold);
            }
        }
        Plan { offsets: (offsets != before).then_some(offsets), ignored }
    }

    /// The time of a commit came, whether there was something to commit or not.
    pub(super) fn reschedule(&mut self, now: Instant) {
        self.next = now + self.interval;
    }

    /// A commit begins; its number. Until it ends no other begins, unless it is given up.
    pub(super) fn begin(&mut self, offsets: SinkOffsets, now: Instant) -> u64 {
        self.sequence += 1;
        self.waits = Some(Waits { sequence: self.sequence, since: now, offsets });
        self.sequence
    }

    /// The commit of this number has ended. `false` if it does not count: it was given up before.
    pub(super) fn ended(&mut self, number: u64, succeeded: bool) -> bool {
        let Some(waits) = self.waits.take_if(|waits| waits.sequence == number) else { return false };
        if succeeded {
            for (partition, offset) in waits.offsets {
                // A partition that was taken away meanwhile has no committed offset here any more.
                self.last_committed.entry(partition).and_modify(|committed| *committed = offset);
            }
        }
        true
    }

    /// When the commit began that waits for its result.
    pub(super) fn waits_since(&self) -> Option<Instant> {
        self.waits.as_ref().map(|waits| waits.since)
    }

    /// How many records were put and are not committed.
    pub(super) fn uncommitted(&self) -> usize {
        let open = |(partition, next): (&TopicPartition, &i64)| {
            let committed = self.last_committed.get(partition).unwrap_or(next);
            usize::try_from(next - committed).unwrap_or_default()
        };
        self.current.iter().map(open).fold(0, usize::saturating_add)
    }

    /// Gives the commit up that has waited for `timeout`; its result will not count.
    pub(super) fn time_out(&mut self, now: Instant, timeout: Duration) -> bool {
        self.waits.take_if(|waits| now.saturating_duration_since(waits.since) >= timeout).is_some()
    }

    /// When the commit that waits has waited for `timeout`.
    pub(super) fn times_out_at(&self, timeout: Duration) -> Option<Instant> {
        self.waits.as_ref().map(|waits| waits.since + timeout)
    }
}

fn of(offsets: &SinkOffsets, partitions: &[TopicPartition]) -> SinkOffsets {
    partitions.iter().filter_map(|partition| Some((partition.clone(), *offsets.get(partition)?))).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::stdx::time::Clock;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition: number }
    }

    fn offsets(of: &[(i32, i64)]) -> SinkOffsets {
        of.iter().map(|(number, offset)| (partition(*number), *offset)).collect()
    }

    /// `t-0` and `t-1`, committed up to 10 and put up to 20.
    fn commits(now: Instant) -> SinkCommits {
        let mut commits = SinkCommits::new(Duration::from_secs(60), now);
        commits.assigned(&offsets(&[(0, 10), (1, 10)]));
        commits.put(&partition(0), 20);
        commits.put(&partition(1), 20);
        commits
    }

    #[test]
    fn nothing_is_committed_past_a_record_that_the_dead_letter_queue_does_not_have() {
        let commits = commits(Clock.now().instant);
        let assigned = [partition(0), partition(1)];
        let all = offsets(&[(0, 20), (1, 20)]);
        let table = [
            ("no hold", all.clone(), offsets(&[]), Some(offsets(&[(0, 20), (1, 20)]))),
            ("in one partition", all.clone(), offsets(&[(0, 13)]), Some(offsets(&[(0, 13), (1, 20)]))),
            ("beyond what was put", all.clone(), offsets(&[(0, 25)]), Some(offsets(&[(0, 20), (1, 20)]))),
            ("at what is committed", all.clone(), offsets(&[(0, 10), (1, 10)]), None),
            ("behind what is committed", all.clone(), offsets(&[(0, 3), (1, 3)]), None),
            (
                "beyond what is given",
                offsets(&[(0, 12)]),
                offsets(&[(0, 13)]),
                Some(offsets(&[(0, 12), (1, 10)])),
            ),
            (
                "given behind the hold",
                offsets(&[(0, 5)]),
                offsets(&[(0, 7)]),
                Some(offsets(&[(0, 5), (1, 10)])),
            ),
            (
                "of a partition that is not asked for",
                all,
                offsets(&[(7, 1)]),
                Some(offsets(&[(0, 20), (1, 20)])),
            ),
        ];
        for (what, given, holds, expected) in table {
            let plan = commits.plan(&commits.current_of(&assigned), given, &assigned, &holds);
            assert_eq!(plan.offsets, expected, "{what}");
        }
    }

    #[test]
    fn what_pre_commit_gives_back_decides() {
        let commits = commits(Clock.now().instant);
        let assigned = [partition(0), partition(1), partition(2)];
        let cases = [
            ("all", offsets(&[(0, 20), (1, 20)])),
            ("lower", offsets(&[(0, 15)])),
            ("below what is committed", offsets(&[(0, 5)])),
            ("unchanged", offsets(&[(0, 10)])),
            ("nothing", offsets(&[])),
            ("too much", offsets(&[(0, 21), (1, 12)])),
            ("foreign", offsets(&[(2, 1), (3, 1)])),
        ];
        let mut shown = String::new();
        for (what, given) in cases {
            let plan = commits.plan(&commits.current_of(&assigned), given, &assigned, &SinkOffsets::new());
            let offsets = plan.offsets.map(|offsets| {
                let each = offsets.iter().map(|(partition, offset)| format!("{partition}@{offset}"));
                each.collect::<Vec<_>>().join(" ")
            });
            shown += &format!("{what}: {}\n", offsets.as_deref().unwrap_or("-"));
            for ignored in plan.ignored {
                shown += &format!("  {ignored}\n");
            }
        }
        expect![[r"
            all: t-0@20 t-1@20
            lower: t-0@15 t-1@10
            below what is committed: t-0@5 t-1@10
            unchanged: -
            nothing: -
            too much: t-0@10 t-1@12
              Ignoring invalid task provided offset t-0/21 -- not yet consumed, taskOffset=21 currentOffset=20
            foreign: -
              Ignoring task provided offset t-2/1 -- partition not requested
              Ignoring invalid task provided offset t-3/1 -- partition not assigned
        "]]
        .assert_eq(&shown);
    }

    #[test]
    fn a_late_result_does_not_count() {
        let now = Clock.now().instant;
        let mut commits = commits(now);
        let timeout = Duration::from_secs(5);
        let first = commits.begin(offsets(&[(0, 15)]), now);
        assert!(!commits.time_out(now, timeout));
        assert!(commits.time_out(now + timeout, timeout));
        let second = commits.begin(offsets(&[(0, 20)]), now + timeout);
        assert_ne!(first, second);
        assert!(!commits.ended(first, true));
        assert!(commits.is_committing());
        assert!(commits.ended(second, true));
        assert_eq!(commits.committed_of(&[partition(0)]), offsets(&[(0, 20)]));
    }

    #[test]
    fn a_failed_commit_changes_nothing() {
        let now = Clock.now().instant;
        let mut commits = commits(now);
        let number = commits.begin(offsets(&[(0, 20)]), now);
        assert!(commits.ended(number, false));
        assert_eq!(commits.committed_of(&[partition(0)]), offsets(&[(0, 10)]));
    }

    #[test]
    fn a_task_begins_where_nothing_is_committed_at_its_first_record() {
        let mut commits = SinkCommits::new(Duration::from_secs(60), Clock.now().instant);
        commits.assigned(&SinkOffsets::new());
        commits.began(&partition(0), 7);
        commits.began(&partition(0), 9);
        assert_eq!(commits.committed_of(&[partition(0)]), offsets(&[(0, 7)]));
    }
}
