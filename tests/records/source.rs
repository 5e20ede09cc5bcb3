//! Source tasks.

use std::sync::Arc;
use std::time::Duration;

use herdsman::api::error::ConnectError;
use herdsman::api::ids::TaskId;
use herdsman::api::record::RecordMetadata;
use herdsman::api::registry::ConnectorClass;
use herdsman::api::source::PollOutcome;
use herdsman::task::{TaskEventKind, Tolerance};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::plugins::{Lines, numbered};
use crate::support::{HOUR, Rig, epoch, wait_until};

#[test]
fn lines_arrive_in_order_once_and_a_stop_commits_the_last() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    let lines = Lines::new("t", numbered(20_000));
    let mut spec = rig.lines(&lines);
    spec.offset_flush_interval = HOUR;
    let task = rig.start(1, spec);
    assert_eq!(rig.consume("t", 0, 20_000), numbered(20_000));
    assert_eq!(rig.offsets.position("f"), None);
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    assert_eq!(rig.offsets.position("f"), Some(20_000));
    assert_eq!(
        rig.kinds(),
        [TaskEventKind::Started, TaskEventKind::Topic("t".into()), TaskEventKind::Stopped]
    );
    lines.with(|state| assert_eq!((state.commits, state.stops), (1, 1)));
}

#[test]
fn offsets_are_committed_while_records_flow() {
    let rig = Rig::new();
    let lines = Lines::new("t", numbered(1000));
    rig.start(1, rig.lines(&lines));
    wait_until("the offset of the last line", || {
        let position = rig.offsets.position("f");
        (position == Some(1000), position)
    });
    wait_until("a call of commit", || lines.with(|state| (state.commits > 0, state.commits)));
}

#[test]
fn a_task_sees_its_records_again_with_where_they_went() {
    let rig = Rig::new();
    let lines = Lines::new("t", numbered(300));
    lines.with(|state| state.wants_commit_record = true);
    let task = rig.start(1, rig.lines(&lines));
    rig.consume("t", 0, 300);
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    lines.with(|state| {
        let expected: Vec<_> = numbered(300)
            .into_iter()
            .zip(0..)
            .map(|(line, offset)| (line, Some(RecordMetadata { partition: 0, offset })))
            .collect();
        assert_eq!(state.committed_records, expected);
    });
}

#[test]
fn a_full_producer_queue_holds_records_back_and_drops_none() {
    let rig = Rig::new();
    let lines = Lines::new("t", numbered(5000));
    let mut spec = rig.lines(&lines);
    spec.client = spec.client.with("queue.buffering.max.messages", "20");
    rig.start(1, spec);
    assert_eq!(rig.consume("t", 0, 5000), numbered(5000));
}

#[test]
fn an_outage_of_the_broker_loses_nothing_and_repeats_nothing() {
    let rig = Rig::new();
    let lines = Lines::new("t", numbered(500));
    let task = rig.start(1, rig.lines(&lines));
    rig.consume("t", 0, 500);
    rig.broker.go_down().unwrap();
    lines.with(|state| state.lines = numbered(2000));
    wait_until("the lines of the outage to be polled", || {
        lines.with(|state| (state.polls > 30, state.polls))
    });
    let before = rig.offsets.position("f");
    assert!(before <= Some(500), "{before:?} was never acknowledged");
    rig.broker.come_up().unwrap();
    assert_eq!(rig.consume("t", 0, 2000), numbered(2000));
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    assert_eq!(rig.offsets.position("f"), Some(2000));
}

#[test]
fn records_that_expire_because_somebody_said_so_fail_the_task_and_come_again() {
    let rig = Rig::new();
    let lines = Lines::new("t", numbered(10));
    let mut spec = rig.lines(&lines);
    spec.client = spec.client.with("message.timeout.ms", "500");
    rig.start(1, spec.clone());
    rig.consume("t", 0, 10);
    wait_until("the offset", || (rig.offsets.position("f") == Some(10), rig.offsets.position("f")));
    rig.broker.go_down().unwrap();
    lines.with(|state| state.lines = numbered(20));
    let trace = rig.wait_for_failure(1);
    assert!(trace.contains("TimeoutException"), "{trace}");
    assert_eq!(rig.offsets.position("f"), Some(10), "what expired does not count as read");
    rig.broker.come_up().unwrap();
    rig.start(2, spec);
    assert_eq!(rig.consume("t", 0, 20), numbered(20));
}

#[test]
fn a_task_that_is_given_up_commits_nothing_and_its_successor_loses_nothing() {
    let rig = Rig::new();
    let lines = Lines::new("t", numbered(200));
    let mut spec = rig.lines(&lines);
    spec.offset_flush_interval = HOUR;
    let first = rig.start(1, spec.clone());
    rig.consume("t", 0, 200);
    first.cancel();
    rig.wait_for(1, &TaskEventKind::Stopped);
    assert_eq!(rig.offsets.position("f"), None);
    let second = rig.start(2, spec.clone());
    rig.consume("t", 0, 400);
    second.stop();
    rig.wait_for(2, &TaskEventKind::Stopped);
    assert_eq!(rig.offsets.position("f"), Some(200));
    lines.with(|state| state.lines = numbered(250));
    rig.start(3, spec);
    let all = [numbered(200), numbered(250)].concat();
    assert_eq!(rig.consume("t", 0, 450), all);
    lines.with(|state| assert_eq!(state.started_at, [0, 0, 200]));
}

#[test]
fn a_paused_task_polls_nothing_and_commits_on() {
    let rig = Rig::new();
    let lines = Lines::new("t", numbered(100));
    let task = rig.start(1, rig.lines(&lines));
    rig.consume("t", 0, 100);
    task.pause();
    rig.wait_for(1, &TaskEventKind::Paused);
    let polls = lines.with(|state| {
        state.lines = numbered(150);
        (state.polls, state.commits)
    });
    wait_until("commits while paused", || lines.with(|state| (state.commits > polls.1 + 3, state.commits)));
    lines.with(|state| assert_eq!(state.polls, polls.0));
    assert_eq!(rig.offsets.position("f"), Some(100));
    task.resume();
    assert_eq!(rig.consume("t", 0, 150), numbered(150));
    let kinds = rig.kinds();
    let topic = TaskEventKind::Topic("t".into());
    assert_eq!(kinds, [TaskEventKind::Started, topic, TaskEventKind::Paused, TaskEventKind::Resumed]);
}

#[test]
fn a_task_that_is_paused_from_the_beginning_starts_when_it_is_resumed() {
    let rig = Rig::new();
    let lines = Lines::new("t", numbered(1));
    let task = rig.start_paused(1, rig.lines(&lines));
    rig.wait_for(1, &TaskEventKind::Paused);
    lines.with(|state| assert!(state.started_at.is_empty()));
    task.resume();
    rig.wait_for(1, &TaskEventKind::Started);
    let task = rig.start_paused(2, rig.lines(&lines));
    rig.wait_for(2, &TaskEventKind::Paused);
    task.stop();
    rig.wait_for(2, &TaskEventKind::Stopped);
}

#[test]
fn a_retriable_error_of_a_poll_is_tried_again_and_any_other_fails_the_task() {
    let rig = Rig::new();
    let lines = Lines::new("t", numbered(10));
    lines.with(|state| {
        state.answers.extend([
            Err(ConnectError::retriable("not now")),
            Ok(PollOutcome::Records(Vec::new())),
            Err(ConnectError::retriable("not now")),
        ]);
    });
    rig.start(1, rig.lines(&lines));
    rig.consume("t", 0, 10);
    wait_until("the offset", || (rig.offsets.position("f") == Some(10), rig.offsets.position("f")));
    lines.with(|state| state.answers.push_back(Err(ConnectError::connect("disk on fire"))));
    let trace = rig.wait_for_failure(1);
    assert_eq!(trace, "org.apache.kafka.connect.errors.ConnectException: disk on fire\n");
    lines.with(|state| assert_eq!(state.stops, 1));
}

#[test]
fn a_panic_of_the_plug_in_or_of_the_plan_fails_the_task_and_no_other() {
    let rig = Rig::new();
    let lines = Lines::new("t", numbered(10));
    rig.start(1, rig.lines(&lines));
    rig.consume("t", 0, 10);
    lines.with(|state| state.panics = true);
    let trace = rig.wait_for_failure(1);
    assert!(trace.contains("The code of the plug-in panicked: a bug of the plug-in"), "{trace}");
    let class = ConnectorClass::Source(Arc::new(lines.clone()));
    let id = TaskId { connector: "lines".into(), index: 0 };
    rig.tasks.start(id, epoch(2), &class, false, false, || panic!("a bug of a config provider"));
    let trace = rig.wait_for_failure(2);
    assert!(trace.contains("panicked: a bug of a config provider"), "{trace}");
    lines.with(|state| state.panics = false);
    rig.start(3, rig.lines(&lines)).stop();
    rig.wait_for(3, &TaskEventKind::Stopped);
}

/// Ten good lines, a bad one, one more.
fn with_a_bad_line() -> Vec<String> {
    let mut lines = numbered(12);
    lines[10] = "bad line".to_owned();
    lines
}

#[test]
fn a_record_that_cannot_be_converted_fails_the_task_after_what_was_sent_is_committed() {
    let rig = Rig::new();
    let lines = Lines::new("t", with_a_bad_line());
    let mut spec = rig.lines(&lines);
    spec.offset_flush_interval = HOUR;
    rig.start(1, spec);
    let trace = rig.wait_for_failure(1);
    assert_eq!(
        trace,
        "org.apache.kafka.connect.errors.ConnectException: Tolerance exceeded in error handler: stage VALUE_CONVERTER \
         with class test.TextConverter failed for a record for topic 't'. Set errors.tolerance=all to leave such \
         records out\nCaused by: org.apache.kafka.connect.errors.DataException: bad line is bad\n"
    );
    assert_eq!(rig.offsets.position("f"), Some(10));
}

#[test]
fn a_record_that_cannot_be_converted_is_left_out_where_that_is_tolerated() {
    let rig = Rig::new();
    let lines = Lines::new("t", with_a_bad_line());
    lines.with(|state| state.wants_commit_record = true);
    let mut spec = rig.lines(&lines);
    spec.errors.tolerance = Tolerance::All;
    let task = rig.start(1, spec);
    let mut expected = with_a_bad_line();
    expected.remove(10);
    assert_eq!(rig.consume("t", 0, 11), expected);
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    assert_eq!(rig.offsets.position("f"), Some(12));
    lines.with(|state| assert!(state.committed_records.contains(&("bad line".to_owned(), None))));
}

#[test]
fn a_record_that_is_too_large_fails_the_task_with_advice() {
    let rig = Rig::new();
    let mut all = numbered(12);
    all[10] = "x".repeat(20_000);
    let lines = Lines::new("t", all);
    let mut spec = rig.lines(&lines);
    spec.client = spec.client.with("message.max.bytes", "10000");
    rig.start(1, spec);
    let trace = rig.wait_for_failure(1);
    let parts = [
        "org.apache.kafka.connect.errors.ConnectException: Unrecoverable exception from producer send callback",
        "Caused by: org.apache.kafka.common.errors.RecordTooLargeException: ",
        "topic 't' partition 0",
        "producer.override.max.request.size",
        "max.message.bytes",
    ];
    for part in parts {
        assert!(trace.contains(part), "{part} in:\n{trace}");
    }
    assert_eq!(rig.offsets.position("f"), Some(10));
}

#[test]
fn a_record_that_the_broker_refuses_fails_the_task_with_advice() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    rig.broker.cluster().unwrap().request_errors(RDKafkaApiKey::Produce, &[refused; 20]);
    let lines = Lines::new("t", numbered(10));
    rig.start(1, rig.lines(&lines));
    let trace = rig.wait_for_failure(1);
    for part in ["TopicAuthorizationException", "topic 't' partition 0", "ACLs: WRITE for a source"] {
        assert!(trace.contains(part), "{part} in:\n{trace}");
    }
    assert_eq!(rig.offsets.position("f"), None);
}

#[test]
fn a_stop_without_a_broker_commits_what_was_acknowledged_within_its_bound() {
    let rig = Rig::new();
    let lines = Lines::new("t", numbered(10));
    let mut spec = rig.lines(&lines);
    (spec.offset_flush_interval, spec.offset_flush_timeout) = (HOUR, HOUR);
    spec.stop_timeout = Duration::from_millis(500);
    let task = rig.start(1, spec);
    rig.consume("t", 0, 10);
    rig.broker.go_down().unwrap();
    lines.with(|state| state.lines = numbered(20));
    wait_until("all lines polled", || lines.with(|state| (state.given == 20, state.given)));
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    assert_eq!(rig.offsets.position("f"), Some(10));
}

#[test]
fn records_flow_while_the_offset_store_is_slow() {
    let rig = Rig::new();
    let lines = Lines::new("t", numbered(50));
    rig.offsets.hold();
    let task = rig.start(1, rig.lines(&lines));
    wait_until("a write that waits", || (rig.offsets.held() == 1, rig.offsets.held()));
    lines.with(|state| state.lines = numbered(3000));
    assert_eq!(rig.consume("t", 0, 3000), numbered(3000));
    assert_eq!(rig.offsets.held(), 1, "one write at a time");
    rig.offsets.release();
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    assert_eq!(rig.offsets.position("f"), Some(3000));
}

#[test]
fn a_write_of_offsets_that_takes_too_long_is_repeated() {
    let rig = Rig::new();
    let lines = Lines::new("t", numbered(50));
    rig.offsets.hold();
    let mut spec = rig.lines(&lines);
    spec.offset_flush_timeout = Duration::from_millis(50);
    rig.start(1, spec);
    wait_until("another write", || (rig.offsets.held() > 1, rig.offsets.held()));
    rig.offsets.release();
    wait_until("the offset", || (rig.offsets.position("f") == Some(50), rig.offsets.position("f")));
}

#[test]
fn a_thousand_idle_tasks_have_few_threads_and_one_producer() {
    let rig = Rig::new();
    let lines = Lines::new("t", numbered(1));
    let tasks: Vec<_> = (0..1000)
        .map(|index| {
            let mut spec = rig.lines(&lines);
            spec.id.index = index;
            spec.settings.insert("file".to_owned(), index.to_string());
            rig.start(1, spec)
        })
        .collect();
    rig.consume("t", 0, 1000);
    let idle = lines.with(|state| state.polls) + 3000;
    wait_until("each task to poll some more", || lines.with(|state| (state.polls > idle, state.polls)));
    let threads = rig.tasks.runner().threads();
    assert!(threads <= 16, "{threads} threads");
    assert!(format!("{:?}", rig.tasks).contains("tasks: 1000"), "{:?}", rig.tasks);
    for task in &tasks {
        task.stop();
    }
    wait_until("all tasks to end", || {
        let left = rig.tasks.runner().tasks();
        (left == 0, left)
    });
    let stored = (0..1000).filter(|index| rig.offsets.position(&index.to_string()) == Some(1)).count();
    assert_eq!(stored, 1000);
}
