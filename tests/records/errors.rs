//! Records of sources that fail: tried again, left out, counted.

use std::time::Duration;

use herdsman::stdx::time::Clock;
use herdsman::task::{ErrorCounts, RetryPolicy, TaskEventKind, Tolerance};

use crate::dead_letters::counts;
use crate::plugins::{Hesitant, Lines, numbered};
use crate::support::{HOUR, Rig, wait_until};

/// Two lines, one that waits, and one more; as a transform leaves them.
fn with_one_that_waits() -> (Vec<String>, Vec<String>) {
    let lines = ["one", "two", "later three", "four"].map(str::to_owned).to_vec();
    let seen = lines.iter().map(|line| format!("seen {line}")).collect();
    (lines, seen)
}

#[test]
fn a_transform_is_tried_again_until_it_gets_through_and_goes_on_where_it_was() {
    let rig = Rig::new();
    let (lines, seen) = with_one_that_waits();
    let lines = Lines::new("t", lines);
    let mut spec = rig.lines(&lines);
    spec.errors.retry = RetryPolicy { timeout: None, delay_max: Duration::from_millis(10) };
    (_, spec.transforms) = Hesitant::chain(5);
    let start = Clock.now().instant;
    let task = rig.start(1, spec);
    assert_eq!(rig.consume("t", 0, 4), seen);
    let took = Clock.now().instant - start;
    assert!(took < Duration::from_secs(5), "delays of up to 10 ms, not 9.3 s in all: {took:?}");
    let expected = ErrorCounts { record_failures: 5, retries: 5, ..ErrorCounts::default() };
    assert_eq!(counts(&task), expected);
}

#[test]
fn without_a_timeout_nothing_is_tried_again() {
    let rig = Rig::new();
    let (lines, _) = with_one_that_waits();
    let lines = Lines::new("t", lines);
    let mut spec = rig.lines(&lines);
    (_, spec.transforms) = Hesitant::chain(1);
    let task = rig.start(1, spec);
    let trace = rig.wait_for_failure(1);
    for words in ["stage TRANSFORMATION with class test.Hesitant", "RetriableException: later three, not now"]
    {
        assert!(trace.contains(words), "no «{words}» in:\n{trace}");
    }
    let expected = ErrorCounts { record_failures: 2, record_errors: 1, ..ErrorCounts::default() };
    assert_eq!(counts(&task), expected);
    assert_eq!(rig.offsets.position("f"), Some(2));
}

#[test]
fn retries_end_with_their_timeout_and_the_record_is_left_out_where_that_is_tolerated() {
    let rig = Rig::new();
    let (lines, mut seen) = with_one_that_waits();
    let lines = Lines::new("t", lines);
    let mut spec = rig.lines(&lines);
    spec.errors.retry =
        RetryPolicy { timeout: Some(Duration::from_millis(400)), delay_max: Duration::from_secs(1) };
    spec.errors.tolerance = Tolerance::All;
    (_, spec.transforms) = Hesitant::chain(usize::MAX);
    let task = rig.start(1, spec);
    seen.remove(2);
    assert_eq!(rig.consume("t", 0, 3), seen);
    // At 0, 300 and 400 ms.
    let expected = ErrorCounts {
        record_failures: 4,
        record_errors: 1,
        records_skipped: 1,
        retries: 2,
        ..ErrorCounts::default()
    };
    assert_eq!(counts(&task), expected);
}

#[test]
fn while_one_record_waits_those_before_it_are_committed_and_a_stop_does_not_wait() {
    let rig = Rig::new();
    let (lines, seen) = with_one_that_waits();
    let lines = Lines::new("t", lines);
    let mut spec = rig.lines(&lines);
    spec.errors.retry = RetryPolicy { timeout: None, delay_max: HOUR };
    let (hesitant, chain) = Hesitant::chain(usize::MAX);
    spec.transforms = chain;
    let task = rig.start(1, spec.clone());
    wait_until("the offset of what was sent", || {
        let position = rig.offsets.position("f");
        (position == Some(2), position)
    });
    wait_until("some retries", || (counts(&task).retries >= 2, counts(&task)));
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    assert_eq!((rig.offsets.position("f"), counts(&task).record_errors), (Some(2), 0));
    *hesitant.0.lock().unwrap() = 0;
    rig.start(2, spec);
    assert_eq!(rig.consume("t", 0, 4), seen, "nothing lost, nothing twice");
}

#[test]
fn a_record_that_is_left_out_last_is_not_read_again() {
    let rig = Rig::new();
    let lines = Lines::new("t", ["good", "bad"].map(str::to_owned));
    lines.with(|state| state.wants_commit_record = true);
    let mut spec = rig.lines(&lines);
    spec.errors.tolerance = Tolerance::All;
    let task = rig.start(1, spec);
    wait_until("the offset of what was left out", || {
        let position = rig.offsets.position("f");
        (position == Some(2), position)
    });
    let expected =
        ErrorCounts { record_failures: 1, record_errors: 1, records_skipped: 1, ..ErrorCounts::default() };
    assert_eq!(counts(&task), expected);
    let time = task.error_counters().counts().last_error;
    let now = Clock.now().wall.as_millisecond();
    assert!((now - 60_000..=now).contains(&time), "{time} at {now}");
    lines.with(|state| assert!(state.committed_records.contains(&("bad".to_owned(), None))));
}

#[test]
fn a_record_that_kafka_refuses_is_left_out_and_committed_where_that_is_tolerated() {
    let rig = Rig::new();
    let mut all = numbered(12);
    all[11] = "x".repeat(20_000);
    let lines = Lines::new("t", all);
    lines.with(|state| state.wants_commit_record = true);
    let mut spec = rig.lines(&lines);
    spec.client = spec.client.with("message.max.bytes", "10000");
    spec.errors.tolerance = Tolerance::All;
    let task = rig.start(1, spec);
    assert_eq!(rig.consume("t", 0, 11), numbered(11));
    wait_until("the offset of what was left out", || {
        let position = rig.offsets.position("f");
        (position == Some(12), position)
    });
    // As Apache counts: it is a failure, but no operation of the worker's own.
    assert_eq!(counts(&task), ErrorCounts { record_failures: 1, ..ErrorCounts::default() });
    lines.with(|state| {
        let left_out: Vec<_> =
            state.committed_records.iter().filter(|(_, metadata)| metadata.is_none()).collect();
        assert_eq!(left_out.len(), 1);
    });
}
