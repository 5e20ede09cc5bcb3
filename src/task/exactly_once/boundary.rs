//! Where the transactions of a source task end. Pure.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::api::error::{ConnectError, ErrorKind, Result};
use crate::api::record::SourceRecord;
use crate::api::source::TransactionContext;
use crate::task::spec::Boundary;

/// What follows once records were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// More of them.
    GoOn,
    /// The transaction is committed.
    Commit,
    /// The transaction is aborted; the offsets of its records are committed in another one.
    Abort,
}

/// Some records of a batch, one after the other.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) records: Vec<SourceRecord>,
    pub(super) then: Then,
}

/// Decides where transactions end.
pub(super) enum Boundaries {
    Poll,
    Interval { interval: Duration, due: Instant },
    Connector(Arc<Requests>),
}

/// What the task has asked for since its last poll.
#[derive(Debug, Default)]
pub(super) struct Requests(Mutex<Asked>);

#[derive(Debug, Default)]
struct Asked {
    commit: bool,
    abort: bool,
    commit_after: BTreeSet<usize>,
    abort_after: BTreeSet<usize>,
}

impl Requests {
    fn lock(&self) -> MutexGuard<'_, Asked> {
        // Nothing panics while the lock is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TransactionContext for Requests {
    fn commit(&self) {
        self.lock().commit = true;
    }

    fn commit_after(&self, record: usize) {
        self.lock().commit_after.insert(record);
    }

    fn abort(&self) {
        self.lock().abort = true;
    }

    fn abort_after(&self, record: usize) {
        self.lock().abort_after.insert(record);
    }
}

impl Boundaries {
    /// The first interval begins now.
    pub(super) fn new(boundary: Boundary, now: Instant) -> Self {
        match boundary {
            Boundary::Poll => Boundaries::Poll,
            Boundary::Interval(interval) => Boundaries::Interval { interval, due: now + interval },
            Boundary::Connector => Boundaries::Connector(Arc::default()),
        }
    }

    /// Where the task says where its transactions end, if it may.
    pub(super) fn context(&self) -> Option<Arc<dyn TransactionContext>> {
        match self {
            Boundaries::Poll | Boundaries::Interval { .. } => None,
            Boundaries::Connector(requests) => Some(Arc::clone(requests) as Arc<dyn TransactionContext>),
        }
    }

    /// A batch as it is to be sent, part by part. It may be empty.
    ///
    /// # Errors
    /// The task wants a commit and an abort at the same place, or names a record that the batch does not have.
    pub(super) fn divide(&self, batch: Vec<SourceRecord>) -> Result<VecDeque<Part>> {
        match self {
            Boundaries::Poll => Ok([Part { records: batch, then: Then::Commit }].into()),
            // What follows depends on how long the sending takes: see `is_due`.
            Boundaries::Interval { .. } => Ok([Part { records: batch, then: Then::GoOn }].into()),
            Boundaries::Connector(requests) => {
                let asked = std::mem::take(&mut *requests.lock());
                divide(batch, &asked)
            }
        }
    }

    /// Whether the time of a transaction is up; the next one begins to count then.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        match self {
            Boundaries::Interval { interval, due } if now >= *due => {
                *due = now + *interval;
                true
            }
            Boundaries::Poll | Boundaries::Interval { .. } | Boundaries::Connector(_) => false,
        }
    }

    /// When the time of the transaction under way is up, if that has a time.
    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Boundaries::Interval { due, .. } => Some(*due),
            Boundaries::Poll | Boundaries::Connector(_) => None,
        }
    }

    /// Whether what was sent is committed when the task pauses or stops. `is_whole`: all of the last batch was sent.
    pub(super) fn commits_at_end(&self, is_whole: bool) -> bool {
        match self {
            Boundaries::Poll | Boundaries::Interval { .. } => true,
            Boundaries::Connector(requests) => is_whole && std::mem::take(&mut requests.lock().commit),
        }
    }
}

fn divide(batch: Vec<SourceRecord>, asked: &Asked) -> Result<VecDeque<Part>> {
    let Asked { commit, abort, commit_after, abort_after } = asked;
    let both = || ConnectError::connect("The task asked for a transaction to be both committed and aborted");
    if (*commit && *abort) || !commit_after.is_disjoint(abort_after) {
        return Err(both());
    }
    if let Some(place) = commit_after.union(abort_after).find(|place| **place >= batch.len()) {
        let message = format!(
            "The task asked for a transaction to end after the record at place {place} of a batch of {} records",
            batch.len()
        );
        return Err(ConnectError::new(ErrorKind::IllegalArgument, message));
    }
    let mut parts = VecDeque::new();
    let mut records = Vec::new();
    for (place, record) in batch.into_iter().enumerate() {
        records.push(record);
        let then = match (commit_after.contains(&place), abort_after.contains(&place)) {
            (true, _) => Then::Commit,
            (false, true) => Then::Abort,
            (false, false) => continue,
        };
        parts.push_back(Part { records: std::mem::take(&mut records), then });
    }
    let then = match (*commit, *abort) {
        (true, _) => Then::Commit,
        (false, true) => Then::Abort,
        (false, false) => Then::GoOn,
    };
    if !records.is_empty() || then != Then::GoOn {
        parts.push_back(Part { records, then });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::data::SchemaAndValue;
    use crate::api::offset::OffsetMap;
    use crate::stdx::time::Clock;

    fn batch(count: usize) -> Vec<SourceRecord> {
        let record = SourceRecord {
            source_partition: Arc::new(OffsetMap::of("p", 1)),
            source_offset: None,
            topic: "t".into(),
            partition: None,
            key: SchemaAndValue::default(),
            value: SchemaAndValue::default(),
            timestamp: None,
            headers: Vec::new(),
        };
        vec![record; count]
    }

    fn shown(parts: Result<VecDeque<Part>>) -> String {
        let parts = parts.unwrap_or_else(|why| panic!("{why}"));
        let part = |part: &Part| format!("{} {:?}", part.records.len(), part.then);
        parts.iter().map(part).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn a_batch_is_divided_where_the_task_says() {
        type Ask = fn(&dyn TransactionContext);
        let table: [(Ask, usize, &str); 8] = [
            (|_| (), 3, "3 GoOn"),
            (|_| (), 0, ""),
            (|context| context.commit(), 3, "3 Commit"),
            (|context| context.commit(), 0, "0 Commit"),
            (|context| context.abort(), 2, "2 Abort"),
            (|context| context.commit_after(0), 3, "1 Commit, 2 GoOn"),
            (
                |context| {
                    context.abort_after(1);
                    context.commit_after(2);
                    context.commit();
                },
                4,
                "2 Abort, 1 Commit, 1 Commit",
            ),
            (
                |context| {
                    context.commit_after(1);
                    context.abort();
                },
                2,
                "2 Commit, 0 Abort",
            ),
        ];
        for (ask, count, expected) in table {
            let boundaries = Boundaries::new(Boundary::Connector, Clock.now().instant);
            ask(&*boundaries.context().unwrap());
            assert_eq!(shown(boundaries.divide(batch(count))), expected);
            assert_eq!(shown(boundaries.divide(batch(1))), "1 GoOn", "what was asked for is done once");
        }
    }

    #[test]
    fn what_cannot_be_done_fails_the_task() {
        let boundaries = Boundaries::new(Boundary::Connector, Clock.now().instant);
        let context = boundaries.context().unwrap();
        context.commit();
        context.abort();
        assert!(boundaries.divide(batch(1)).is_err());
        context.commit_after(0);
        context.abort_after(0);
        assert!(boundaries.divide(batch(1)).is_err());
        context.commit_after(1);
        let why = boundaries.divide(batch(1)).unwrap_err();
        assert!(why.to_string().contains("place 1 of a batch of 1"), "{why}");
    }

    #[test]
    fn an_interval_ends_once_and_begins_anew() {
        let start = Clock.now().instant;
        let second = Duration::from_secs(1);
        let mut boundaries = Boundaries::new(Boundary::Interval(second), start);
        assert!(boundaries.context().is_none());
        assert_eq!(shown(boundaries.divide(batch(2))), "2 GoOn");
        assert!(!boundaries.is_due(start));
        assert_eq!(boundaries.due(), Some(start + second));
        assert!(boundaries.is_due(start + 3 * second));
        assert!(!boundaries.is_due(start + 3 * second));
        assert_eq!(boundaries.due(), Some(start + 4 * second));
    }

    #[test]
    fn the_end_of_a_task_is_the_end_of_a_transaction_unless_the_task_says_where_that_is() {
        let now = Clock.now().instant;
        for boundary in [Boundary::Poll, Boundary::Interval(Duration::from_secs(1))] {
            assert!(Boundaries::new(boundary, now).commits_at_end(false));
        }
        let boundaries = Boundaries::new(Boundary::Connector, now);
        assert!(!boundaries.commits_at_end(true));
        boundaries.context().unwrap().commit();
        assert!(!boundaries.commits_at_end(false), "a part of a batch is none of its business");
        assert!(boundaries.commits_at_end(true));
        assert!(!boundaries.commits_at_end(true));
    }
}
