//! Sink tasks.

use std::time::Duration;

use herdsman::api::data::Value;
use herdsman::api::error::ConnectError;
use herdsman::api::ids::TopicPartition;
use herdsman::api::sink::SinkOffsets;
use herdsman::task::{SinkTopics, TaskEventKind, TaskWork, Tolerance};

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::plugins::{Keeper, KeeperState, Lines, numbered};
use crate::support::{HOUR, Rig, wait_until};

#[test]
fn records_are_put_in_order_and_a_stop_commits_them() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    rig.produce("t", 0, &numbered(2000));
    let keeper = Keeper::new();
    let mut spec = rig.keeper(&keeper, 0);
    spec.offset_flush_interval = HOUR;
    let task = rig.start(1, spec);
    keeper.wait_for(2000);
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    keeper.0.change(|state| {
        let values: Vec<String> = state.kept.iter().map(|(_, _, value)| value.clone()).collect();
        assert_eq!(values, numbered(2000));
        assert_eq!(state.calls, ["0 open [0]", "0 pre_commit [0]", "0 close [0]", "0 stop []"]);
    });
    assert_eq!(rig.committed(0), Some(2000));
}

#[test]
fn a_refused_batch_comes_again_as_it_was() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    rig.produce("t", 0, &numbered(100));
    let keeper = Keeper::new();
    let refusals = 3;
    keeper.0.change(|state| state.answers.extend((0..refusals).map(|_| ConnectError::retriable("not now"))));
    let mut spec = rig.keeper(&keeper, 0);
    spec.offset_flush_interval = Duration::from_millis(100);
    rig.start(1, spec);
    keeper.0.wait("three refusals", |state| (state.refused.len() == refusals).then_some(()));
    // What comes meanwhile waits behind the refused batch.
    rig.produce("t", 0, &["later".to_owned()]);
    keeper.wait_for(101);
    keeper.0.change(|state| {
        let first = &state.refused[0];
        assert!(state.refused.iter().all(|batch| batch == first), "{:?}", state.refused);
        let values: Vec<String> = state.kept.iter().map(|(_, _, value)| value.clone()).collect();
        assert_eq!(values, [numbered(100), vec!["later".to_owned()]].concat());
    });
}

#[test]
fn two_tasks_share_partitions_and_one_that_leaves_hands_over() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 4).unwrap();
    let produce = |from: usize, to: usize| {
        for partition in 0..4 {
            let values: Vec<String> = (from..to).map(|number| format!("{partition}/{number}")).collect();
            rig.produce("t", partition, &values);
        }
    };
    let keeper = Keeper::new();
    let first = rig.start(1, rig.keeper(&keeper, 0));
    let second = rig.start(2, rig.keeper(&keeper, 1));
    let opened_by = |state: &KeeperState, task: &str| state.calls.iter().any(|call| call.starts_with(task));
    keeper.0.wait("both tasks to have partitions", |state| {
        (opened_by(state, "0 open") && opened_by(state, "1 open")).then_some(())
    });
    // The embedded broker takes no commits while a group rebalances: records come when it does not.
    produce(0, 200);
    keeper.wait_for(800);
    let all_committed = |count| {
        wait_until("the commits of all partitions", || {
            let committed: Vec<_> = (0..4).map(|partition| rig.committed(partition)).collect();
            (committed == [Some(count); 4], committed)
        });
    };
    all_committed(200);
    let before = keeper.0.change(|state| state.calls.len());
    first.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    keeper.0.wait("the task that stays to have all partitions", |state| {
        state.calls[before..].iter().any(|call| call.ends_with(" open [0, 1, 2, 3]")).then_some(())
    });
    produce(200, 400);
    keeper.wait_for(1600);
    all_committed(400);
    second.stop();
    rig.wait_for(2, &TaskEventKind::Stopped);
    keeper.0.change(|state| {
        // Each once and in order: whoever gave a partition up had committed all it had put.
        for partition in 0..4 {
            let of_partition = state.kept.iter().filter(|(of, _, _)| *of == partition);
            let offsets: Vec<i64> = of_partition.map(|(_, offset, _)| *offset).collect();
            assert_eq!(offsets, (0..400).collect::<Vec<i64>>(), "partition {partition}: {:?}", state.calls);
        }
    });
}

#[test]
fn a_paused_sink_gets_empty_batches_and_stays_in_its_group() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    rig.produce("t", 0, &numbered(10));
    let keeper = Keeper::new();
    let task = rig.start(1, rig.keeper(&keeper, 0));
    keeper.wait_for(10);
    task.pause();
    rig.wait_for(1, &TaskEventKind::Paused);
    rig.produce("t", 0, &numbered(10));
    let empty = keeper.0.change(|state| state.empty_puts);
    keeper.0.wait("empty batches", |state| (state.empty_puts > empty + 5).then_some(()));
    keeper.0.change(|state| assert_eq!(state.kept.len(), 10));
    wait_until("the commit that a pause asks for", || (rig.committed(0) == Some(10), rig.committed(0)));
    task.resume();
    keeper.wait_for(20);
    keeper.0.change(|state| {
        let opens = state.calls.iter().filter(|call| call.contains("open")).count();
        assert_eq!(opens, 1, "{:?}", state.calls);
    });
    let topic = TaskEventKind::Topic("t".into());
    assert_eq!(rig.kinds(), [TaskEventKind::Started, topic, TaskEventKind::Paused, TaskEventKind::Resumed]);
}

#[test]
fn a_task_asks_for_a_commit_a_rewind_and_a_pause_of_its_own() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    rig.produce("t", 0, &numbered(10));
    let keeper = Keeper::new();
    let mut spec = rig.keeper(&keeper, 0);
    spec.offset_flush_interval = HOUR;
    rig.start(1, spec);
    keeper.wait_for(10);
    let context = keeper.0.change(|state| state.contexts[0].clone());
    assert_eq!(rig.committed(0), None);
    context.request_commit();
    wait_until("the commit that the task asked for", || (rig.committed(0) == Some(10), rig.committed(0)));
    let partition = TopicPartition { topic: "t".into(), partition: 0 };
    assert_eq!(context.assignment(), std::slice::from_ref(&partition));
    context.seek(SinkOffsets::from([(partition.clone(), 4)]));
    keeper.wait_for(16);
    keeper.0.change(|state| {
        let offsets: Vec<i64> = state.kept.iter().map(|(_, offset, _)| *offset).collect();
        assert_eq!(offsets, (0..10).chain(4..10).collect::<Vec<_>>());
    });
    context.pause(std::slice::from_ref(&partition));
    rig.produce("t", 0, &numbered(10));
    context.timeout(Duration::from_millis(10));
    let empty = keeper.0.change(|state| state.empty_puts);
    context.resume(&[partition]);
    keeper.wait_for(26);
    let later = keeper.0.change(|state| state.empty_puts);
    assert!(later >= empty, "{later} after {empty}");
}

#[test]
fn a_task_says_in_open_where_it_begins() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    rig.produce("t", 0, &numbered(10));
    let keeper = Keeper::new();
    let (own, other) = (TopicPartition { topic: "t".into(), partition: 0 }, "of somebody else");
    let other = TopicPartition { topic: other.into(), partition: 0 };
    keeper.0.change(|state| state.begins = SinkOffsets::from([(own, 7), (other, 1)]));
    let task = rig.start(1, rig.keeper(&keeper, 0));
    keeper.wait_for(3);
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    keeper.0.change(|state| {
        let offsets: Vec<i64> = state.kept.iter().map(|(_, offset, _)| *offset).collect();
        assert_eq!(offsets, [7, 8, 9]);
    });
    assert_eq!(rig.committed(0), Some(10));
}

#[test]
fn a_failed_pre_commit_reads_again_from_what_is_committed() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    rig.produce("t", 0, &numbered(10));
    let keeper = Keeper::new();
    let mut spec = rig.keeper(&keeper, 0);
    spec.offset_flush_interval = HOUR;
    rig.start(1, spec);
    keeper.wait_for(10);
    keeper.0.change(|state| {
        state.pre_commits.push_back(Err(ConnectError::connect("cannot flush")));
        state.contexts[0].request_commit();
    });
    keeper.wait_for(20);
    keeper.0.change(|state| {
        let offsets: Vec<i64> = state.kept.iter().map(|(_, offset, _)| *offset).collect();
        assert_eq!(offsets, (0..10).chain(0..10).collect::<Vec<_>>());
    });
    assert_eq!(rig.committed(0), None);
}

#[test]
fn a_put_that_fails_ends_the_task_and_leaves_its_batch_to_the_next() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    rig.produce("t", 0, &numbered(10));
    let keeper = Keeper::new();
    rig.start(1, rig.keeper(&keeper, 0));
    keeper.wait_for(10);
    keeper.0.change(|state| state.answers.push_back(ConnectError::connect("disk full")));
    rig.produce("t", 0, &["one more".to_owned()]);
    let trace = rig.wait_for_failure(1);
    assert_eq!(
        trace,
        "org.apache.kafka.connect.errors.ConnectException: Exiting WorkerSinkTask due to unrecoverable \
         exception.\nCaused by: org.apache.kafka.connect.errors.ConnectException: disk full\n"
    );
    assert_eq!(rig.committed(0), Some(10));
    rig.start(2, rig.keeper(&keeper, 0));
    keeper.wait_for(11);
}

#[test]
fn a_record_that_cannot_be_converted_fails_the_task_or_is_counted_and_left_out() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    rig.produce("t", 0, &["good".to_owned(), "bad".to_owned()]);
    let keeper = Keeper::new();
    rig.start(1, rig.keeper(&keeper, 0));
    let trace = rig.wait_for_failure(1);
    let what = "Tolerance exceeded in error handler: stage VALUE_CONVERTER with class test.TextConverter failed for the \
                record of topic 't', partition 0, offset 1.";
    assert!(trace.contains(what), "{trace}");
    let mut spec = rig.keeper(&keeper, 0);
    spec.errors.tolerance = Tolerance::All;
    let task = rig.start(2, spec);
    keeper.wait_for(1);
    task.stop();
    rig.wait_for(2, &TaskEventKind::Stopped);
    assert_eq!(rig.committed(0), Some(2));
}

#[test]
fn a_pattern_takes_topics_whose_whole_name_matches() {
    let rig = Rig::new();
    for topic in ["orders-1", "orders-22", "old-orders-1", "orders-x"] {
        rig.broker.create_topic(topic, 1).unwrap();
        rig.produce(topic, 0, &[topic.to_owned()]);
    }
    let keeper = Keeper::new();
    let mut spec = rig.keeper(&keeper, 0);
    let TaskWork::Sink { topics, .. } = &mut spec.work else { unreachable!() };
    *topics = SinkTopics::Matching(r"(?:orders)-\d+".to_owned());
    let task = rig.start(1, spec);
    keeper.wait_for(2);
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    keeper.0.change(|state| {
        let mut values: Vec<&str> = state.kept.iter().map(|(_, _, value)| value.as_str()).collect();
        values.sort_unstable();
        assert_eq!(values, ["orders-1", "orders-22"]);
    });
}

#[test]
fn a_stop_without_a_broker_ends_within_its_bounds() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    rig.produce("t", 0, &numbered(10));
    let keeper = Keeper::new();
    let mut spec = rig.keeper(&keeper, 0);
    spec.offset_flush_interval = HOUR;
    spec.offset_flush_timeout = HOUR;
    spec.stop_timeout = Duration::from_millis(500);
    let task = rig.start(1, spec.clone());
    keeper.wait_for(10);
    rig.broker.go_down().unwrap();
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    rig.broker.come_up().unwrap();
    rig.start(2, spec);
    // Whether the commit still came through or not, nothing is missing.
    rig.produce("t", 0, &["one more".to_owned()]);
    keeper.0.wait("the record after the outage", |state| {
        state.kept.iter().any(|(_, offset, _)| *offset == 10).then_some(())
    });
}

#[test]
fn a_stop_before_the_group_has_gathered_waits_for_nobody() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    rig.broker.set_round_trip_time(HOUR).unwrap();
    let mut spec = rig.keeper(&Keeper::new(), 0);
    spec.stop_timeout = HOUR;
    let task = rig.start(1, spec);
    rig.wait_for(1, &TaskEventKind::Started);
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
}

#[test]
fn what_the_group_refuses_for_good_fails_the_task_with_advice() {
    let table = [
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT, "group.min.session.timeout.ms"),
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL, "partition.assignment.strategy"),
    ];
    for (code, advice) in table {
        let rig = Rig::new();
        rig.broker.create_topic("t", 1).unwrap();
        rig.broker.cluster().unwrap().request_errors(RDKafkaApiKey::JoinGroup, &[code; 20]);
        rig.start(1, rig.keeper(&Keeper::new(), 0));
        let trace = rig.wait_for_failure(1);
        assert!(trace.contains(advice), "{advice} in:\n{trace}");
    }
}

#[test]
fn headers_travel_in_order_there_and_back() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    let lines = Lines::new("t", numbered(2));
    lines.with(|state| state.headers = vec![("b", Some("1")), ("a", Some("ä")), ("b", None)]);
    rig.start(1, rig.lines(&lines));
    let keeper = Keeper::new();
    rig.start(2, rig.keeper(&keeper, 0));
    keeper.wait_for(2);
    let of_one = [("b", Value::string("1")), ("a", Value::string("ä")), ("b", Value::Null)];
    let expected: Vec<_> =
        of_one.iter().chain(&of_one).map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    keeper.0.change(|state| assert_eq!(state.headers, expected));
}

#[test]
fn a_topic_that_is_not_there_yet_is_waited_for() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    rig.produce("t", 0, &numbered(10));
    let missing = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    rig.broker.cluster().unwrap().topic_error("t", missing).unwrap();
    let keeper = Keeper::new();
    let mut spec = rig.keeper(&keeper, 0);
    spec.client = spec.client.with("topic.metadata.refresh.interval.ms", "200");
    rig.start(1, spec);
    keeper.0.wait("batches without records", |state| (state.empty_puts > 5).then_some(()));
    rig.broker.cluster().unwrap().topic_error("t", RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).unwrap();
    keeper.wait_for(10);
    assert!(!rig.kinds().iter().any(|kind| matches!(kind, TaskEventKind::Failed { .. })));
}

#[test]
fn a_pattern_follows_topics_that_come_and_go() {
    let rig = Rig::new();
    rig.broker.create_topic("orders-1", 1).unwrap();
    rig.produce("orders-1", 0, &["first".to_owned()]);
    let keeper = Keeper::new();
    let mut spec = rig.keeper(&keeper, 0);
    spec.client = spec.client.with("topic.metadata.refresh.interval.ms", "200");
    let TaskWork::Sink { topics, .. } = &mut spec.work else { unreachable!() };
    // A pattern that only Java has.
    *topics = SinkTopics::Matching(r"(?!orders-x)orders-\w+".to_owned());
    let task = rig.start(1, spec);
    keeper.wait_for(1);
    for topic in ["orders-x", "others", "orders-new"] {
        rig.broker.create_topic(topic, 1).unwrap();
        rig.produce(topic, 0, &[topic.to_owned()]);
    }
    keeper.wait_for(2);
    let gone = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    rig.broker.cluster().unwrap().topic_error("orders-1", gone).unwrap();
    keeper.0.wait("one topic only", |state| {
        let assigned = state.contexts.last().unwrap().assignment();
        (assigned.len() == 1 && &*assigned[0].topic == "orders-new").then_some(())
    });
    rig.produce("orders-new", 0, &["last".to_owned()]);
    keeper.wait_for(3);
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    keeper.0.change(|state| {
        let mut values: Vec<&str> = state.kept.iter().map(|(_, _, value)| value.as_str()).collect();
        values.sort_unstable();
        assert_eq!(values, ["first", "last", "orders-new"]);
    });
}
