//! Which offsets of a sink may be committed. Pure.

use super::sink_requests::Assignment;
use crate::api::sink::SinkOffsets;

const TARGET: &str = "org.apache.kafka.connect.runtime.WorkerSinkTask";

/// How far a sink task is, by partition: offsets of the next record.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Of what was put.
    pub(super) current: SinkOffsets,
    /// Of what was committed.
    pub(super) committed: SinkOffsets,
}

impl Progress {
    /// The part that concerns some partitions.
    pub(super) fn of(&self, partitions: &Assignment) -> SinkOffsets {
        let mine = self.current.iter().filter(|(partition, _)| partitions.contains(*partition));
        mine.map(|(partition, offset)| (partition.clone(), *offset)).collect()
    }

    /// Forgets partitions that are another task's now.
    pub(super) fn forget(&mut self, partitions: &Assignment) {
        self.current.retain(|partition, _| !partitions.contains(partition));
        self.committed.retain(|partition, _| !partitions.contains(partition));
    }

    /// What is to be committed when a task that was asked about `asked` said `returned`: only what was consumed, only
    /// what is assigned, and only what is new.
    pub(super) fn to_commit(
        &self,
        name: &str,
        asked: &SinkOffsets,
        returned: SinkOffsets,
        assigned: &Assignment,
    ) -> SinkOffsets {
        let mut commit = SinkOffsets::new();
        for (partition, offset) in returned {
            if !assigned.contains(&partition) {
                log::warn!(target: TARGET, "{name} Ignoring invalid task provided offset {partition} -- partition not assigned, assignment={assigned:?}");
                continue;
            }
            match asked.get(&partition) {
                None => {
                    log::debug!(target: TARGET, "{name} Ignoring task provided offset {partition} -- not asked for")
                }
                Some(current) if offset > *current => log::warn!(
                    target: TARGET,
                    "{name} Ignoring invalid task provided offset {partition}={offset} -- not yet consumed, \
                     taskOffset={offset} currentOffset={current}"
                ),
                Some(_) if self.committed.get(&partition) == Some(&offset) => {}
                Some(_) => drop(commit.insert(partition, offset)),
            }
        }
        commit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ids::TopicPartition;

    fn at(partition: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition }
    }

    fn offsets(entries: &[(i32, i64)]) -> SinkOffsets {
        entries.iter().map(|(partition, offset)| (at(*partition), *offset)).collect()
    }

    #[test]
    fn only_what_was_consumed_is_assigned_and_is_new_is_committed() {
        let progress =
            Progress { current: offsets(&[(0, 10), (1, 5), (2, 7)]), committed: offsets(&[(2, 7)]) };
        let assigned = Assignment::from([at(0), at(1), at(2)]);
        let asked = progress.of(&assigned);
        let table = [
            (
                offsets(&[(0, 10), (1, 5), (2, 7)]),
                offsets(&[(0, 10), (1, 5)]),
                "what is committed already is left out",
            ),
            (offsets(&[(0, 4)]), offsets(&[(0, 4)]), "lower ones are accepted"),
            (offsets(&[(0, 11)]), offsets(&[]), "not yet consumed"),
            (offsets(&[(9, 1)]), offsets(&[]), "not assigned"),
        ];
        for (returned, expected, why) in table {
            assert_eq!(progress.to_commit("test", &asked, returned, &assigned), expected, "{why}");
        }
    }

    #[test]
    fn partitions_of_another_task_are_forgotten() {
        let mut progress = Progress { current: offsets(&[(0, 1), (1, 2)]), committed: offsets(&[(0, 1)]) };
        progress.forget(&Assignment::from([at(0)]));
        assert_eq!((progress.current, progress.committed), (offsets(&[(1, 2)]), offsets(&[])));
    }
}
