//! Which source offsets may be stored: those of records that Kafka has, with nothing missing before them.
//!
//! Records are numbered in the order they are sent. Each source partition is a chain through that order; when the
//! head of a chain is acknowledged, the chain moves on and the offset it passed last is the partition's candidate
//! (KAFKA-12226). A record that is not acknowledged holds back its own partition and no other.
//!
//! Pure: no clock, no thread, no client. Nothing is allocated per record; the room for records in flight is bounded.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use smallvec::SmallVec;

use crate::api::offset::{OffsetMap, OffsetValue};

/// How many records of a task may be in flight: sent, and the oldest of them not yet acknowledged.
pub const IN_FLIGHT_MAX: usize = 1 << 16;

/// Room that is kept when nothing is in flight; more is given back at the next commit.
const ROOM_KEPT: usize = 256;

/// A source offset with the partition it belongs to; `None` says that there is no offset.
pub type SourceOffset = (Arc<OffsetMap>, Option<OffsetMap>);

/// Nothing follows in the chain.
const END: u64 = u64::MAX;

/// Records in flight and the offsets they stand for.
#[derive(Debug, Default)]
pub struct Submitted {
    records: VecDeque<Record>,
    /// The number of the first of `records`.
    base: u64,
    partitions: Vec<Partition>,
    /// Places in `partitions` by the hash of the name.
    by_name: HashMap<u64, SmallVec<[usize; 1]>>,
    /// Places in `partitions` that can be used again.
    free: Vec<usize>,
    /// The partition of the latest record: the next one is most likely of the same.
    latest: Option<usize>,
    unacknowledged: usize,
    /// Acknowledged records whose offsets are among the candidates.
    passed: u64,
}

#[derive(Debug)]
struct Record {
    offset: Option<OffsetMap>,
    partition: usize,
    acknowledged: bool,
    passed: bool,
    next: u64,
}

#[derive(Debug)]
struct Partition {
    name: Arc<OffsetMap>,
    in_use: bool,
    /// First and last record in flight, [`END`] when there is none.
    head: u64,
    tail: u64,
    candidate: Candidate,
}

#[derive(Debug, PartialEq)]
enum Candidate {
    None,
    Offset(Option<OffsetMap>),
}

impl Submitted {
    /// Nothing in flight.
    pub fn new() -> Self {
        Submitted::default()
    }

    /// The oldest number that may be in flight.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The number that the next record gets.
    pub fn next_number(&self) -> u64 {
        self.base + self.records.len() as u64
    }

    /// Whether another record has room.
    pub fn has_room(&self) -> bool {
        self.records.len() < IN_FLIGHT_MAX
    }

    /// Records that are not acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.unacknowledged
    }

    /// Adds the record that is sent next and returns its number. There must be room: see [`Submitted::has_room`].
    pub fn submit(&mut self, partition: &Arc<OffsetMap>, offset: Option<OffsetMap>) -> u64 {
        assert!(self.has_room(), "the bound of records in flight is kept by who sends");
        let number = self.next_number();
        let index = self.partition(partition);
        self.latest = Some(index);
        let chain = &mut self.partitions[index];
        let before = std::mem::replace(&mut chain.tail, number);
        if before == END {
            chain.head = number;
        } else {
            let before = self.place(before);
            self.records[before].next = number;
        }
        self.records.push_back(Record {
            offset,
            partition: index,
            acknowledged: false,
            passed: false,
            next: END,
        });
        self.unacknowledged += 1;
        number
    }

    /// Kafka has the record of this number, or it was given up where errors are tolerated. A number that is not in
    /// flight is ignored: acknowledgements may come twice.
    pub fn acknowledge(&mut self, number: u64) {
        let place = self.place(number);
        let Some(record) = self.records.get_mut(place) else { return };
        if std::mem::replace(&mut record.acknowledged, true) {
            return;
        }
        self.unacknowledged -= 1;
        let index = record.partition;
        if self.partitions[index].head == number {
            self.pass(index);
        }
        while self.records.front().is_some_and(|record| record.passed) {
            self.records.pop_front();
            self.base += 1;
        }
    }

    /// The offset of the last record of each partition that was submitted since candidates were taken, acknowledged or
    /// not. What stands for them in a transaction: it has all of the records or none.
    pub fn latest_offsets(&self) -> Vec<SourceOffset> {
        let in_use = self.partitions.iter().filter(|partition| partition.in_use);
        let offsets = in_use.filter_map(|partition| {
            let offset = match (partition.tail, &partition.candidate) {
                (END, Candidate::None) => return None,
                (END, Candidate::Offset(offset)) => offset.clone(),
                (tail, _) => self.records.get(self.place(tail))?.offset.clone(),
            };
            Some((Arc::clone(&partition.name), offset))
        });
        offsets.collect()
    }

    /// Takes the candidates and how many records they stand for. Called when offsets are committed.
    pub fn take_committable(&mut self) -> (Vec<SourceOffset>, u64) {
        let mut offsets = Vec::new();
        for index in 0..self.partitions.len() {
            let partition = &mut self.partitions[index];
            match std::mem::replace(&mut partition.candidate, Candidate::None) {
                Candidate::None => {}
                Candidate::Offset(offset) => offsets.push((Arc::clone(&partition.name), offset)),
            }
            if partition.in_use && partition.head == END {
                self.forget_partition(index);
            }
        }
        if self.records.is_empty() {
            self.records.shrink_to(ROOM_KEPT);
        }
        (offsets, std::mem::take(&mut self.passed))
    }

    /// Moves the chain of a partition over all acknowledged records at its head.
    fn pass(&mut self, index: usize) {
        let partition = &mut self.partitions[index];
        while partition.head != END {
            let place = usize::try_from(partition.head - self.base).unwrap_or(usize::MAX);
            let record = &mut self.records[place];
            if !record.acknowledged {
                return;
            }
            record.passed = true;
            partition.candidate = Candidate::Offset(record.offset.take());
            partition.head = record.next;
            self.passed += 1;
        }
        partition.tail = END;
    }

    /// Where the record of a number stands; beyond the end for one that is not in flight.
    fn place(&self, number: u64) -> usize {
        number.checked_sub(self.base).and_then(|place| usize::try_from(place).ok()).unwrap_or(usize::MAX)
    }

    /// The place of a partition: by identity if it is the latest, else by equality, else a new one.
    fn partition(&mut self, name: &Arc<OffsetMap>) -> usize {
        if let Some(latest) = self.latest
            && Arc::ptr_eq(&self.partitions[latest].name, name)
        {
            return latest;
        }
        let places = self.by_name.entry(hash_of(name)).or_default();
        if let Some(&index) = places.iter().find(|&&index| self.partitions[index].name == *name) {
            // The next record most likely carries the same object again.
            self.partitions[index].name = Arc::clone(name);
            return index;
        }
        let fresh = Partition {
            name: Arc::clone(name),
            in_use: true,
            head: END,
            tail: END,
            candidate: Candidate::None,
        };
        let index = if let Some(index) = self.free.pop() {
            self.partitions[index] = fresh;
            index
        } else {
            self.partitions.push(fresh);
            self.partitions.len() - 1
        };
        places.push(index);
        index
    }

    /// Frees the place of a partition without records in flight: a source with ever new partitions must not grow.
    fn forget_partition(&mut self, index: usize) {
        let partition = &mut self.partitions[index];
        partition.in_use = false;
        let hash = hash_of(&partition.name);
        if let Some(places) = self.by_name.get_mut(&hash) {
            places.retain(|place| *place != index);
            if places.is_empty() {
                self.by_name.remove(&hash);
            }
        }
        self.free.push(index);
        self.latest = None;
    }
}

/// A hash that equal maps share, whatever the order of their entries.
fn hash_of(map: &OffsetMap) -> u64 {
    map.iter()
        .map(|(name, value)| {
            let mut hasher = DefaultHasher::new();
            name.hash(&mut hasher);
            match value {
                // NaN differs from itself and 0.0 equals -0.0: equality decides, the hash only sorts.
                OffsetValue::Null | OffsetValue::Double(_) => {}
                OffsetValue::Boolean(value) => value.hash(&mut hasher),
                OffsetValue::Long(value) => value.hash(&mut hasher),
                OffsetValue::String(value) => value.hash(&mut hasher),
            }
            hasher.finish()
        })
        .fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn file(name: &str) -> Arc<OffsetMap> {
        Arc::new(OffsetMap::of("filename", name))
    }

    fn at(position: i64) -> Option<OffsetMap> {
        Some(OffsetMap::of("position", position))
    }

    /// `name@position` of each candidate, in the order of names.
    fn committable(submitted: &mut Submitted) -> String {
        let (offsets, records) = submitted.take_committable();
        let mut shown: Vec<String> = offsets
            .iter()
            .map(|(partition, offset)| {
                let Some(OffsetValue::String(name)) = partition.get("filename") else {
                    panic!("{partition:?}")
                };
                match offset.as_ref().and_then(|offset| offset.get("position")) {
                    Some(OffsetValue::Long(position)) => format!("{name}@{position}"),
                    other => format!("{name}@{other:?}"),
                }
            })
            .collect();
        shown.sort();
        format!("{records}: {}", shown.join(" "))
    }

    #[test]
    fn the_latest_offsets_are_those_of_what_was_submitted_acknowledged_or_not() {
        let mut submitted = Submitted::new();
        let (a, b) = (file("a"), file("b"));
        let shown = |submitted: &Submitted| {
            let mut latest = submitted.latest_offsets();
            latest.sort_by_key(|(name, _)| format!("{name:?}"));
            latest.into_iter().map(|(_, offset)| offset).collect::<Vec<_>>()
        };
        assert_eq!(shown(&submitted), []);
        let first = submitted.submit(&a, at(1));
        let second = submitted.submit(&a, at(2));
        let only = submitted.submit(&b, at(7));
        assert_eq!(shown(&submitted), [at(2), at(7)]);
        submitted.acknowledge(second);
        submitted.acknowledge(only);
        assert_eq!(shown(&submitted), [at(2), at(7)], "one is acknowledged behind one that is not");
        submitted.acknowledge(first);
        assert_eq!(shown(&submitted), [at(2), at(7)], "all are acknowledged");
        submitted.submit(&b, None);
        assert_eq!(shown(&submitted), [at(2), None], "there is no offset any more");
        let last = submitted.next_number() - 1;
        submitted.acknowledge(last);
        drop(submitted.take_committable());
        assert_eq!(shown(&submitted), [], "nothing was submitted since");
    }

    #[test]
    fn only_an_acknowledged_prefix_is_committable() {
        let (a, b) = (file("a"), file("b"));
        let mut submitted = Submitted::new();
        // Records 0 to 5: a1 a2 b1 a3 b2 b3.
        for (partition, position) in [(&a, 1), (&a, 2), (&b, 1), (&a, 3), (&b, 2), (&b, 3)] {
            submitted.submit(partition, at(position));
        }
        let steps: [(&[u64], &str); 7] = [
            (&[], "0: "),
            (&[1], "0: "),
            (&[2], "1: b@1"),
            (&[3], "0: "),
            (&[0], "3: a@3"),
            (&[5, 5, 77], "0: "),
            (&[4], "2: b@3"),
        ];
        for (acknowledged, expected) in steps {
            for number in acknowledged {
                submitted.acknowledge(*number);
            }
            assert_eq!(committable(&mut submitted), expected, "after {acknowledged:?}");
        }
        assert_eq!((submitted.unacknowledged(), submitted.records.len()), (0, 0));
    }

    #[test]
    fn candidates_wait_for_a_commit_and_a_newer_one_replaces_an_older() {
        let mut submitted = Submitted::new();
        for position in 1..=3 {
            let number = submitted.submit(&file("a"), at(position));
            submitted.acknowledge(number);
        }
        assert_eq!(committable(&mut submitted), "3: a@3");
        assert_eq!(committable(&mut submitted), "0: ");
    }

    #[test]
    fn a_record_without_an_offset_is_a_candidate_without_one() {
        let mut submitted = Submitted::new();
        let number = submitted.submit(&file("a"), None);
        submitted.acknowledge(number);
        assert_eq!(committable(&mut submitted), "1: a@None");
    }

    #[test]
    fn partitions_are_equal_by_content() {
        let mut submitted = Submitted::new();
        let mut turned = OffsetMap::of("partition", 1);
        turned.insert("filename", "t");
        let mut plain = OffsetMap::of("filename", "t");
        plain.insert("partition", 1);
        submitted.submit(&Arc::new(plain), at(1));
        let second = submitted.submit(&Arc::new(turned), at(2));
        submitted.acknowledge(second);
        assert_eq!(
            committable(&mut submitted),
            "0: ",
            "the first record of the same partition is not acknowledged"
        );
    }

    #[test]
    fn ever_new_partitions_take_no_more_room() {
        let mut submitted = Submitted::new();
        for round in 0..1000 {
            let number = submitted.submit(&file(&format!("file-{round}")), at(round));
            submitted.acknowledge(number);
            assert_eq!(submitted.take_committable().0.len(), 1);
        }
        assert_eq!((submitted.partitions.len(), submitted.by_name.len()), (1, 0));
    }

    #[test]
    fn room_is_bounded_by_the_oldest_record_in_flight() {
        let mut submitted = Submitted::new();
        let (slow, quick) = (file("slow"), file("quick"));
        submitted.submit(&slow, at(1));
        while submitted.has_room() {
            let number = submitted.submit(&quick, at(1));
            submitted.acknowledge(number);
        }
        assert_eq!(submitted.records.len(), IN_FLIGHT_MAX);
        submitted.acknowledge(0);
        assert!(submitted.has_room() && submitted.records.is_empty());
    }

    proptest! {
        /// Against the definition: per partition, the last offset of the longest acknowledged run from its start.
        #[test]
        fn nothing_beyond_a_missing_acknowledgement(
            records in prop::collection::vec(0_usize..4, 1..60),
            picks in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..120),
        ) {
            let names: Vec<_> = (0..4).map(|name| file(&name.to_string())).collect();
            let mut submitted = Submitted::new();
            for (number, partition) in records.iter().enumerate() {
                submitted.submit(&names[*partition], at(number as i64));
            }
            let mut acknowledged = vec![false; records.len()];
            let mut stored = BTreeMap::new();
            for (pick, commits) in picks {
                let number = pick.index(records.len());
                acknowledged[number] = true;
                submitted.acknowledge(number as u64);
                if commits {
                    for (partition, offset) in submitted.take_committable().0 {
                        let place = names.iter().position(|name| *name == partition).unwrap();
                        stored.insert(place, offset);
                    }
                    let mut expected = BTreeMap::new();
                    for partition in 0..4 {
                        let prefix = (0..records.len())
                            .filter(|number| records[*number] == partition)
                            .take_while(|number| acknowledged[*number])
                            .last();
                        if let Some(last) = prefix {
                            expected.insert(partition, at(last as i64));
                        }
                    }
                    prop_assert_eq!(&stored, &expected);
                }
            }
            let missing = acknowledged.iter().filter(|acknowledged| !**acknowledged).count();
            prop_assert_eq!(submitted.unacknowledged(), missing);
        }
    }
}
