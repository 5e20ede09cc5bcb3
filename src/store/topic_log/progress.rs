//! How far a topic was read, and who waits until it was read further. Pure.

use std::fmt;
use std::time::{Duration, Instant};

/// The positions of one topic's partitions, and what waits for them. `T` is whoever waits.
#[derive(Debug)]
pub(super) struct Progress<T> {
    partitions: Vec<Position>,
    waits: Vec<Wait<T>>,
}

#[derive(Debug, Clone, Copy)]
struct Position {
    /// All records before this offset were handed over.
    offset: i64,
    /// Whether anything was heard of the partition since its reading began.
    is_begun: bool,
    /// Since when it is known that there is more to read from here.
    more_since: Option<Instant>,
}

impl Position {
    fn at(offset: i64, is_begun: bool) -> Self {
        Position { offset, is_begun, more_since: None }
    }
}

#[derive(Debug)]
struct Wait<T> {
    /// The positions that are not reached yet.
    targets: Vec<Target>,
    who: T,
}

/// A partition, and the position it is to reach.
pub(super) type Target = (i32, i64);

/// A partition whose end lies before what was read of it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shrunk {
    partition: i32,
    position: i64,
    end: i64,
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shrunk { partition, position, end } = self;
        write!(f, "partition {partition} ends at offset {end}, but was read up to {position} already")
    }
}

/// A partition that was not read as far as somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Behind {
    partition: i32,
    position: i64,
    target: i64,
}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Behind { partition, position, target } = self;
        write!(f, "its partition {partition} was read up to offset {position} of {target}")
    }
}

/// A partition that ends before what was read of it: it is not the one that was read. `read` is how far that was when the
/// ends were asked for: what was read since may be news.
pub(super) fn shrunk(read: &[(i32, i64)], ends: &[i64]) -> Option<Shrunk> {
    let partitions = read.iter().zip(ends);
    partitions
        .map(|((partition, position), end)| Shrunk { partition: *partition, position: *position, end: *end })
        .find(|found| found.end < found.position)
}

impl<T> Default for Progress<T> {
    fn default() -> Self {
        Progress { partitions: Vec::new(), waits: Vec::new() }
    }
}

impl<T> Progress<T> {
    /// The partitions are read from these offsets on; gives back all who waited.
    pub(super) fn restart(&mut self, beginnings: &[i64]) -> Vec<T> {
        self.partitions = beginnings.iter().map(|offset| Position::at(*offset, false)).collect();
        std::mem::take(&mut self.waits).into_iter().map(|wait| wait.who).collect()
    }

    /// There are so many partitions, if there were fewer; the new ones are read from offset 0 on.
    pub(super) fn grow(&mut self, partitions: usize) {
        let partitions = partitions.max(self.partitions.len());
        self.partitions.resize(partitions, Position::at(0, false));
    }

    /// How many partitions there are.
    pub(super) fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// The offset before which all records of each partition were handed over.
    pub(super) fn offsets(&self) -> impl Iterator<Item = (i32, i64)> {
        (0..).zip(self.partitions.iter().map(|position| position.offset))
    }

    /// All records of a partition before this offset were handed over.
    pub(super) fn advance(&mut self, partition: i32, to: i64) {
        if let Some(position) = index(partition).and_then(|index| self.partitions.get_mut(index)) {
            position.is_begun = true;
            if to > position.offset {
                *position = Position::at(to, true);
            }
        }
    }

    /// Whether anything was heard of a partition since its reading began.
    pub(super) fn is_begun(&self, partition: i32) -> bool {
        let position = index(partition).and_then(|index| self.partitions.get(index));
        position.is_some_and(|position| position.is_begun)
    }

    /// Adds somebody who waits for all of these.
    pub(super) fn wait(&mut self, targets: impl IntoIterator<Item = Target>, who: T) {
        self.waits.push(Wait { targets: targets.into_iter().collect(), who });
    }

    /// Takes those out whose positions are reached, in the order in which they began to wait.
    pub(super) fn take_reached(&mut self) -> Vec<T> {
        let partitions = &self.partitions;
        for wait in &mut self.waits {
            wait.targets.retain(|(partition, target)| offset(partitions, *partition) < *target);
        }
        take_if(&mut self.waits, |wait| wait.targets.is_empty())
    }

    /// Takes those out who need not wait any longer.
    pub(super) fn take_if(&mut self, mut is_over: impl FnMut(&T) -> bool) -> Vec<T> {
        take_if(&mut self.waits, |wait| is_over(&wait.who))
    }

    /// What the first of these waits for that was not read yet.
    pub(super) fn behind(&self, of: impl Fn(&T) -> bool) -> Option<Behind> {
        let mut waits = self.waits.iter().filter(|wait| of(&wait.who)).flat_map(|wait| &wait.targets);
        let (partition, target) = waits.next().copied()?;
        Some(Behind { partition, position: offset(&self.partitions, partition), target })
    }

    /// Who waits.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &T> {
        self.waits.iter().map(|wait| &wait.who)
    }

    /// Whether somebody waits for more of a partition than was read.
    pub(super) fn is_awaited(&self, partition: i32) -> bool {
        let position = offset(&self.partitions, partition);
        self.waits
            .iter()
            .flat_map(|wait| &wait.targets)
            .any(|(awaited, target)| *awaited == partition && *target > position)
    }

    /// Whether somebody waits for more than was read.
    pub(super) fn is_awaited_at_all(&self) -> bool {
        !self.waits.is_empty()
    }

    /// A partition of which nothing came for so long although it can be read up to `readable`, as was found before and now.
    pub(super) fn stuck(&mut self, readable: &[i64], now: Instant, patience: Duration) -> Option<Behind> {
        let mut stuck = None;
        for (partition, (position, readable)) in (0..).zip(self.partitions.iter_mut().zip(readable)) {
            if position.offset >= *readable {
                position.more_since = None;
            } else if now.saturating_duration_since(*position.more_since.get_or_insert(now)) >= patience {
                // The new attempt gets as long.
                position.more_since = None;
                stuck = Some(Behind { partition, position: position.offset, target: *readable });
            }
        }
        stuck
    }

    /// The sum of all positions, up to what `ends` has for each partition.
    pub(super) fn read_of(&self, ends: &[i64]) -> i64 {
        self.partitions.iter().zip(ends).map(|(position, end)| position.offset.min(*end)).sum()
    }
}

fn take_if<T>(waits: &mut Vec<Wait<T>>, mut is_over: impl FnMut(&Wait<T>) -> bool) -> Vec<T> {
    let (over, left): (Vec<_>, Vec<_>) = std::mem::take(waits).into_iter().partition(|wait| is_over(wait));
    *waits = left;
    over.into_iter().map(|wait| wait.who).collect()
}

fn offset(partitions: &[Position], partition: i32) -> i64 {
    index(partition).and_then(|index| partitions.get(index)).map_or(0, |position| position.offset)
}

fn index(partition: i32) -> Option<usize> {
    usize::try_from(partition).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stdx::time::Clock;

    fn two() -> Progress<&'static str> {
        let mut progress = Progress::default();
        progress.restart(&[0, 0]);
        progress
    }

    #[test]
    fn who_waits_is_let_go_when_all_partitions_are_there_and_in_order() {
        let mut progress = two();
        progress.wait([(0, 5), (1, 2)], "both");
        progress.wait([(0, 3)], "first");
        progress.wait([(1, 0)], "nothing");
        assert_eq!(progress.take_reached(), ["nothing"]);
        progress.advance(0, 5);
        assert_eq!(progress.take_reached(), ["first"]);
        assert!(progress.is_awaited(1) && !progress.is_awaited(0));
        progress.advance(1, 7);
        assert_eq!(progress.take_reached(), ["both"]);
        assert_eq!(progress.take_reached(), Vec::<&str>::new());
    }

    #[test]
    fn a_position_never_goes_back_and_an_unknown_partition_has_none() {
        let mut progress = two();
        progress.advance(0, 5);
        progress.advance(0, 3);
        progress.advance(7, 9);
        progress.advance(-1, 9);
        progress.wait([(0, 5), (7, 1)], "new partition");
        assert_eq!(progress.take_reached(), Vec::<&str>::new());
        progress.grow(8);
        progress.advance(7, 1);
        assert_eq!(progress.take_reached(), ["new partition"]);
        assert_eq!(
            progress.offsets().filter(|(_, offset)| *offset > 0).collect::<Vec<_>>(),
            [(0, 5), (7, 1)]
        );
    }

    #[test]
    fn a_restart_gives_back_all_who_waited() {
        let mut progress = two();
        progress.advance(0, 9);
        progress.wait([(0, 10)], "a");
        progress.wait([(1, 10)], "b");
        assert_eq!(progress.restart(&[0, 2, 0]), ["a", "b"]);
        assert_eq!((progress.partitions(), progress.read_of(&[5, 5, 5])), (3, 2));
    }

    #[test]
    fn a_partition_is_at_its_beginning_before_anything_was_heard_of_it() {
        let mut progress = Progress::default();
        progress.restart(&[7]);
        progress.wait([(0, 7)], "empty");
        assert_eq!(progress.take_reached(), ["empty"]);
        assert!(!progress.is_begun(0) && !progress.is_begun(1));
        progress.advance(0, 7);
        assert!(progress.is_begun(0));
    }

    #[test]
    fn an_end_before_the_position_is_another_topic() {
        let mut progress = two();
        progress.advance(0, 9);
        progress.advance(1, 4);
        let read: Vec<_> = progress.offsets().collect();
        assert_eq!(shrunk(&read, &[9, 4]), None);
        assert_eq!(shrunk(&read, &[12, 3]), Some(Shrunk { partition: 1, position: 4, end: 3 }));
        progress.advance(0, 11);
        assert_eq!(shrunk(&read, &[10, 4]), None, "what came since the ends were asked for is news");
        assert_eq!(progress.read_of(&[5, 5]), 9);
    }

    #[test]
    fn who_is_late_is_taken_out_and_told_what_is_missing() {
        let mut progress = two();
        progress.wait([(0, 1), (1, 6)], "late");
        progress.wait([(0, 1)], "not yet");
        progress.advance(0, 3);
        progress.advance(1, 4);
        progress.take_reached();
        let behind = progress.behind(|who| *who == "late").unwrap().to_string();
        assert!(behind.starts_with("its partition 1 was read up to offset 4 of 6"), "{behind}");
        assert_eq!(progress.behind(|who| *who == "not yet"), None);
        progress.wait([(0, 9)], "not yet");
        assert_eq!(progress.take_if(|who| *who == "late"), ["late"]);
        assert_eq!(progress.waiting().collect::<Vec<_>>(), [&"not yet"]);
    }

    #[test]
    fn a_partition_is_stuck_that_has_more_and_gives_nothing() {
        let (mut progress, patience) = (two(), Duration::from_secs(5));
        let start = Clock.now().instant;
        let stuck = |progress: &mut Progress<_>, readable: [i64; 2], at: u64| {
            progress.stuck(&readable, start + Duration::from_secs(at), patience).is_some()
        };
        progress.advance(0, 9);
        assert!(!stuck(&mut progress, [9, 3], 0), "just found");
        assert!(!stuck(&mut progress, [9, 3], 4), "not for long");
        progress.advance(1, 1);
        assert!(!stuck(&mut progress, [9, 3], 6), "something came");
        progress.advance(1, 1);
        assert!(stuck(&mut progress, [9, 3], 11), "nothing new came");
        assert!(!stuck(&mut progress, [9, 3], 12), "it was told");
        assert!(stuck(&mut progress, [9, 3], 17), "and is told again");
        progress.advance(1, 3);
        assert!(!stuck(&mut progress, [9, 3], 30), "all is read; what follows is in an open transaction");
    }

    proptest! {
        /// Whatever the order of things, somebody is let go exactly when the positions have passed what they wait for.
        #[test]
        fn nobody_is_let_go_early_or_forgotten(
            steps in prop::collection::vec((0_i32..3, 0_i64..20, any::<bool>()), 1..60)
        ) {
            let mut progress: Progress<Vec<Target>> = Progress::default();
            progress.restart(&[0; 3]);
            let mut positions = [0_i64; 3];
            let mut waiting: Vec<Vec<Target>> = Vec::new();
            let reached = |positions: &[i64; 3], targets: &[Target]| {
                targets.iter().all(|(partition, target)| positions[*partition as usize] >= *target)
            };
            for (partition, offset, waits) in steps {
                if waits {
                    let targets = vec![(partition, offset), ((partition + 1) % 3, offset / 2)];
                    progress.wait(targets.clone(), targets.clone());
                    waiting.push(targets);
                } else {
                    progress.advance(partition, offset);
                    let position = &mut positions[partition as usize];
                    *position = offset.max(*position);
                }
                let let_go = progress.take_reached();
                let expected: Vec<_> =
                    waiting.iter().filter(|targets| reached(&positions, targets)).cloned().collect();
                waiting.retain(|targets| !reached(&positions, targets));
                prop_assert_eq!(let_go, expected);
            }
            prop_assert_eq!(progress.waiting().count(), waiting.len());
        }
    }
}
