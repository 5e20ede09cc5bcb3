//! Records that a sink was given and has not acknowledged, and how far offsets may be committed. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::message::Ack;
use crate::api::ids::TopicPartition;
use crate::api::record::SinkRecord;
use crate::api::sink::SinkOffsets;

/// Records by id, in the order in which they were given.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    records: VecDeque<Entry>,
    /// The id of the first of `records`. Ids start at 1 with each run.
    base: u64,
    partitions: Vec<TopicPartition>,
    /// Where records of a partition will be read again: nothing from there on is acknowledged.
    again: SinkOffsets,
}

#[derive(Debug)]
struct Entry {
    /// A place in `partitions`; `None`: the partition was taken away.
    partition: Option<usize>,
    offset: i64,
    given: Instant,
    acknowledged: bool,
}

impl InFlight {
    pub(super) fn new() -> Self {
        InFlight { base: 1, ..InFlight::default() }
    }

    /// Records that are not acknowledged, and those behind the first of them.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The id that the next record gets.
    pub(super) fn next_id(&self) -> u64 {
        self.base + self.records.len() as u64
    }

    /// Since when the oldest record waits.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.records.front().map(|entry| entry.given)
    }

    /// A record is given under [`InFlight::next_id`].
    pub(super) fn give(&mut self, record: &SinkRecord, now: Instant) {
        let is_of = |of: &TopicPartition| {
            of.partition == record.partition
                && (Arc::ptr_eq(&of.topic, &record.original_topic) || of.topic == record.original_topic)
        };
        let partition = self.partitions.iter().position(is_of).unwrap_or_else(|| {
            self.partitions.push(partition_of(record));
            self.partitions.len() - 1
        });
        if !self.again.is_empty()
            && let Some(of) = self.partitions.get(partition)
        {
            self.again.remove(of);
        }
        let entry =
            Entry { partition: Some(partition), offset: record.offset, given: now, acknowledged: false };
        self.records.push_back(entry);
    }

    /// The program has written records.
    ///
    /// # Errors
    /// It cannot have: in words for the author of the program.
    pub(super) fn acknowledge(&mut self, ack: &Ack) -> Result<(), String> {
        let next = self.next_id();
        let given = |id: u64| {
            if id == 0 || id >= next {
                Err(format!("acknowledged the id {id}, which it was not given"))
            } else {
                Ok(())
            }
        };
        if let Some(through) = ack.through {
            given(through)?;
            for entry in self
                .records
                .iter_mut()
                .take(usize::try_from((through + 1).saturating_sub(self.base)).unwrap_or(usize::MAX))
            {
                entry.acknowledged = true;
            }
        }
        for &id in &ack.ids {
            given(id)?;
            let entry = id
                .checked_sub(self.base)
                .and_then(|place| self.records.get_mut(usize::try_from(place).ok()?));
            match entry {
                Some(entry) if !entry.acknowledged => entry.acknowledged = true,
                Some(_) | None => return Err(format!("acknowledged the id {id} twice")),
            }
        }
        while self.records.front().is_some_and(|entry| entry.acknowledged) {
            self.records.pop_front();
            self.base += 1;
        }
        Ok(())
    }

    /// Of the offsets behind what was put: how far they may be committed.
    pub(super) fn committable(&self, put: &SinkOffsets) -> SinkOffsets {
        let first = self.first_unacknowledged();
        let lowest = |of: &TopicPartition, offset: i64| {
            [first.get(of), self.again.get(of)].into_iter().flatten().copied().fold(offset, i64::min)
        };
        put.iter().map(|(of, offset)| (of.clone(), lowest(of, *offset))).collect()
    }

    fn first_unacknowledged(&self) -> SinkOffsets {
        let mut first: BTreeMap<usize, i64> = BTreeMap::new();
        for entry in self.records.iter().filter(|entry| !entry.acknowledged) {
            if let Some(partition) = entry.partition {
                let known = first.entry(partition).or_insert(entry.offset);
                *known = entry.offset.min(*known);
            }
        }
        first
            .into_iter()
            .filter_map(|(place, offset)| Some((self.partitions.get(place)?.clone(), offset)))
            .collect()
    }

    /// Partitions were taken away: what becomes of their records does not count any more.
    pub(super) fn forget(&mut self, partitions: &[TopicPartition]) {
        let places: Vec<usize> =
            partitions.iter().filter_map(|gone| self.partitions.iter().position(|of| of == gone)).collect();
        for entry in &mut self.records {
            entry.partition = entry.partition.filter(|place| !places.contains(place));
        }
        self.again.retain(|of, _| !partitions.contains(of));
    }

    /// The program ended: all that it has not acknowledged has to be read again, and so have `others`, which it was not
    /// given. Where to; until then nothing behind it may be committed.
    pub(super) fn read_again(&mut self, others: &[SinkRecord]) -> SinkOffsets {
        let mut from = self.first_unacknowledged();
        for record in others {
            let known = from.entry(partition_of(record)).or_insert(record.offset);
            *known = record.offset.min(*known);
        }
        for (of, offset) in &from {
            let known = self.again.entry(of.clone()).or_insert(*offset);
            *known = (*offset).min(*known);
        }
        self.records.clear();
        self.base = 1;
        self.again.clone()
    }
}

fn partition_of(record: &SinkRecord) -> TopicPartition {
    TopicPartition { topic: Arc::clone(&record.original_topic), partition: record.partition }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::data::SchemaAndValue;
    use crate::stdx::time::Clock;

    fn record(partition: i32, offset: i64) -> SinkRecord {
        SinkRecord {
            topic: "renamed".into(),
            partition,
            offset,
            key: SchemaAndValue::null(),
            value: SchemaAndValue::null(),
            timestamp: None,
            headers: Vec::new(),
            original_topic: "t".into(),
            raw: None,
        }
    }

    fn of(partition: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition }
    }

    /// Three records of `t-0` from offset 10 with ids 1, 3, 5, and two of `t-1` from 20 with ids 2, 4.
    fn five() -> InFlight {
        let mut given = InFlight::new();
        for (partition, offset) in [(0, 10), (1, 20), (0, 11), (1, 21), (0, 12)] {
            given.give(&record(partition, offset), Clock.now().instant);
        }
        given
    }

    fn committable(given: &InFlight) -> (i64, i64) {
        let put = SinkOffsets::from([(of(0), 13), (of(1), 22)]);
        let found = given.committable(&put);
        (found[&of(0)], found[&of(1)])
    }

    fn ids(ids: &[u64]) -> Ack {
        Ack { ids: ids.to_vec(), through: None }
    }

    #[test]
    fn offsets_go_as_far_as_all_before_are_acknowledged() {
        let mut given = five();
        assert_eq!(committable(&given), (10, 20));
        for (acked, expected) in
            [(&[3][..], (10, 20)), (&[2], (10, 21)), (&[1], (12, 21)), (&[5, 4], (13, 22))]
        {
            given.acknowledge(&ids(acked)).unwrap();
            assert_eq!(committable(&given), expected, "{acked:?}");
        }
        assert!(given.is_empty());
        assert_eq!(given.next_id(), 6);
    }

    #[test]
    fn through_acknowledges_all_before() {
        let mut given = five();
        given.acknowledge(&Ack { ids: vec![], through: Some(4) }).unwrap();
        assert_eq!(committable(&given), (12, 22));
        given.acknowledge(&Ack { ids: vec![], through: Some(2) }).unwrap();
        given.acknowledge(&Ack { ids: vec![], through: Some(5) }).unwrap();
        assert!(given.is_empty());
    }

    #[test]
    fn lies_are_found_out() {
        for (acks, words) in [
            (vec![ids(&[6])], "the id 6, which it was not given"),
            (vec![ids(&[0])], "the id 0, which it was not given"),
            (vec![ids(&[u64::MAX])], "which it was not given"),
            (vec![Ack { ids: vec![], through: Some(u64::MAX) }], "which it was not given"),
            (vec![ids(&[3]), ids(&[3])], "the id 3 twice"),
            (vec![ids(&[1]), ids(&[1])], "the id 1 twice"),
            (vec![ids(&[2, 2])], "the id 2 twice"),
        ] {
            let mut given = five();
            let found = acks.iter().find_map(|ack| given.acknowledge(ack).err());
            assert!(found.as_ref().is_some_and(|found| found.contains(words)), "{acks:?}: {found:?}");
        }
    }

    #[test]
    fn after_an_end_nothing_is_committed_until_it_was_read_again() {
        let mut given = five();
        given.acknowledge(&ids(&[1, 4])).unwrap();
        let from = given.read_again(&[record(1, 22), record(2, 30)]);
        assert_eq!(from, SinkOffsets::from([(of(0), 11), (of(1), 20), (of(2), 30)]));
        assert_eq!(committable(&given), (11, 20));
        assert_eq!(given.next_id(), 1);
        // Ends again before anything was read.
        assert_eq!(given.read_again(&[]), from);
        given.give(&record(0, 11), Clock.now().instant);
        assert_eq!(committable(&given), (11, 20));
        given.acknowledge(&ids(&[1])).unwrap();
        assert_eq!(committable(&given), (13, 20));
    }

    #[test]
    fn what_was_taken_away_does_not_hold_back_what_comes_again() {
        let mut given = five();
        given.forget(&[of(0)]);
        assert_eq!(committable(&given), (13, 20));
        given.acknowledge(&ids(&[1, 2, 3, 4, 5])).unwrap();
        let mut given = five();
        given.read_again(&[]);
        given.forget(&[of(1)]);
        assert_eq!(committable(&given), (10, 22));
    }

    proptest! {
        #[test]
        fn nothing_unacknowledged_is_ever_committed(
            partitions in prop::collection::vec(0..3_i32, 1..30),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        ) {
            let mut given = InFlight::new();
            let mut next = [0_i64; 3];
            let mut open: Vec<(u64, usize, i64)> = Vec::new();
            for partition in partitions {
                let place = usize::try_from(partition).unwrap();
                open.push((given.next_id(), place, next[place]));
                given.give(&record(partition, next[place]), Clock.now().instant);
                next[place] += 1;
            }
            let put: SinkOffsets = (0..3).map(|partition| (of(partition), next[usize::try_from(partition).unwrap()])).collect();
            for index in order {
                if open.is_empty() {
                    break;
                }
                let (id, ..) = open.remove(index.index(open.len()));
                given.acknowledge(&ids(&[id])).unwrap();
                for (of, offset) in given.committable(&put) {
                    let place = usize::try_from(of.partition).unwrap();
                    let first = open.iter().filter(|(_, partition, _)| *partition == place).map(|(.., offset)| *offset).min();
                    prop_assert_eq!(offset, first.unwrap_or(next[place]));
                }
            }
        }
    }
}
