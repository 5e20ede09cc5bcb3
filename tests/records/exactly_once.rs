//! Source tasks that write in transactions: on the embedded broker as far as that knows transactions, else on a real Kafka.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use herdsman::api::ids::{Epoch, TaskId};
use herdsman::task::{
    Boundary, MayGoOn, StartGuard, StartStep, TaskEventKind, TaskSpec, TaskWork, Tolerance, TransactionSpec,
};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;

use crate::plugins::{Ask, Hesitant, Lines, numbered};
use crate::support::{HOUR, Rig, wait_until};

/// Lets tasks begin, or says why not; notes who asked for what.
pub(crate) struct Guard {
    asked: Mutex<Vec<String>>,
    refuses: Option<StartStep>,
}

impl StartGuard for Guard {
    fn ask(&self, id: &TaskId, _: Epoch, step: StartStep, may_go_on: MayGoOn) {
        self.asked.lock().unwrap().push(format!("{step:?} {id}"));
        may_go_on(if self.refuses == Some(step) { Err("the test says so".to_owned()) } else { Ok(()) });
    }
}

pub(crate) fn guard(refuses: Option<StartStep>) -> Arc<Guard> {
    Arc::new(Guard { asked: Mutex::default(), refuses })
}

/// A task like that of [`Rig::lines`] that writes in transactions, and its offsets to the topic `offsets` and, once they are
/// committed, into memory.
pub(crate) fn in_transactions(rig: &Rig, lines: &Lines, boundary: Boundary, guard: &Arc<Guard>) -> TaskSpec {
    let mut spec = rig.lines(lines);
    let TaskWork::Source { plugin, offsets } = spec.work else { panic!("no source") };
    let transactions = TransactionSpec {
        boundary,
        offsets_topic: "offsets".into(),
        secondary: Some(Arc::clone(&offsets)),
        guard: Arc::clone(guard) as Arc<dyn StartGuard>,
    };
    spec.work = TaskWork::ExactlyOnceSource { plugin, offsets, transactions };
    spec.client = [
        ("bootstrap.servers", rig.broker.bootstrap_servers()),
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("transactional.id", "group-lines-0"),
        ("linger.ms", "0"),
    ]
    .into_iter()
    .collect();
    spec
}

fn position(rig: &Rig, expected: i64) {
    wait_until("the offset", || {
        let position = rig.offsets.position("f");
        (position == Some(expected), position)
    });
}

#[test]
fn a_task_asks_before_it_begins_and_commits_each_batch_with_its_offset() {
    let rig = Rig::new();
    let (lines, guard) = (Lines::new("t", numbered(1000)), guard(None));
    lines.with(|state| state.wants_commit_record = true);
    let task = rig.start(1, in_transactions(&rig, &lines, Boundary::Poll, &guard));
    assert_eq!(rig.consume("t", 0, 1000), numbered(1000));
    position(&rig, 1000);
    assert_eq!(*guard.asked.lock().unwrap(), ["Fence lines-0", "Confirm lines-0"]);
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    lines.with(|state| {
        let seen: Vec<_> = state.committed_records.iter().map(|(line, _)| line.clone()).collect();
        assert_eq!(seen, numbered(1000));
        assert!(state.committed_records.iter().all(|(_, metadata)| metadata.is_some()));
        assert!(state.commits >= 10, "{} commits", state.commits);
    });
    let started = rig.kinds().into_iter().filter(|kind| *kind == TaskEventKind::Started).count();
    assert_eq!(started, 1);
}

#[test]
fn a_task_that_may_not_begin_fails_with_the_reason() {
    for (step, instance, words) in [
        (StartStep::Fence, 1, "Failed to perform zombie fencing"),
        (StartStep::Confirm, 2, "Cannot start source task"),
    ] {
        let rig = Rig::new();
        let lines = Lines::new("t", numbered(10));
        rig.start(instance, in_transactions(&rig, &lines, Boundary::Poll, &guard(Some(step))));
        let trace = rig.wait_for_failure(instance);
        assert!(trace.contains(words) && trace.contains("the test says so"), "{trace}");
        lines.with(|state| assert_eq!((state.started_at.len(), state.polls), (0, 0)));
    }
}

#[test]
fn an_interval_is_one_transaction_and_a_stop_commits_it() {
    let rig = Rig::new();
    let lines = Lines::new("t", numbered(500));
    lines.with(|state| state.wants_commit_record = true);
    let task = rig.start(1, in_transactions(&rig, &lines, Boundary::Interval(HOUR), &guard(None)));
    rig.consume("t", 0, 500);
    lines.with(|state| assert_eq!((state.commits, state.committed_records.len()), (0, 0)));
    assert_eq!(rig.offsets.position("f"), None);
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    position(&rig, 500);
    lines.with(|state| assert_eq!((state.commits, state.committed_records.len()), (1, 500)));
}

#[test]
fn what_cannot_be_converted_is_left_out_and_what_cannot_be_sent_fails_the_task() {
    let rig = Rig::new();
    let lines = Lines::new("t", ["good 1", "bad", "good 2"].map(str::to_owned));
    lines.with(|state| state.wants_commit_record = true);
    let mut spec = in_transactions(&rig, &lines, Boundary::Poll, &guard(None));
    spec.errors.tolerance = Tolerance::All;
    rig.start(1, spec.clone());
    assert_eq!(rig.consume("t", 0, 2), ["good 1", "good 2"]);
    position(&rig, 3);
    lines.with(|state| {
        let left_out: Vec<_> =
            state.committed_records.iter().filter(|(_, metadata)| metadata.is_none()).collect();
        assert_eq!(left_out, [&("bad".to_owned(), None)]);
    });
    let offsets = Lines::new("offsets", numbered(10));
    rig.start(2, in_transactions(&rig, &offsets, Boundary::Poll, &guard(None)));
    let trace = rig.wait_for_failure(2);
    assert!(trace.contains("may not produce to their own offsets topics"), "{trace}");
}

#[test]
fn what_is_left_out_is_part_of_the_transaction() {
    let rig = Rig::new();
    let lines = Lines::new("t", ["good", "bad"].map(str::to_owned));
    lines.with(|state| state.wants_commit_record = true);
    let mut spec = in_transactions(&rig, &lines, Boundary::Interval(HOUR), &guard(None));
    spec.errors.tolerance = Tolerance::All;
    let task = rig.start(1, spec.clone());
    assert_eq!(rig.consume("t", 0, 1), ["good"]);
    lines.with(|state| assert_eq!((state.commits, state.committed_records.len()), (0, 0)));
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    position(&rig, 2);
    lines.with(|state| {
        let seen: std::collections::BTreeSet<_> = state
            .committed_records
            .iter()
            .map(|(line, metadata)| (line.as_str(), metadata.is_some()))
            .collect();
        assert_eq!(seen, [("bad", false), ("good", true)].into());
        state.lines.push("bad, too".to_owned());
    });
    // Offsets alone make a transaction: what was left out is not read again.
    let task = rig.start(2, spec);
    wait_until("the third line", || lines.with(|state| (state.given == 3, state.given)));
    task.stop();
    rig.wait_for(2, &TaskEventKind::Stopped);
    position(&rig, 3);
    lines.with(|state| assert_eq!(state.started_at, [0, 2]));
}

#[test]
fn a_record_is_tried_again_within_its_transaction() {
    let rig = Rig::new();
    let lines = Lines::new("t", ["one", "later two"].map(str::to_owned));
    let mut spec = in_transactions(&rig, &lines, Boundary::Poll, &guard(None));
    spec.errors.retry.timeout = None;
    (_, spec.transforms) = Hesitant::chain(2);
    rig.start(1, spec);
    position(&rig, 2);
    assert_eq!(rig.consume("t", 0, 2), ["seen one", "seen later two"]);
}

/// A real Kafka; `None` when the tests are to do without it.
fn kafka() -> Option<String> {
    if std::env::var("HERDSMAN_WITHOUT_KAFKA").is_ok_and(|value| value == "1") {
        eprintln!("left out: it needs a real Kafka, and HERDSMAN_WITHOUT_KAFKA=1 is set");
        return None;
    }
    let bootstrap = std::env::var("HERDSMAN_TEST_KAFKA");
    Some(
        bootstrap
            .unwrap_or_else(|_| panic!("no Kafka: set HERDSMAN_TEST_KAFKA, or HERDSMAN_WITHOUT_KAFKA=1")),
    )
}

/// The same task on a real Kafka, with topics and an id that nobody else has.
fn on_kafka(rig: &Rig, lines: &Lines, bootstrap: &str, boundary: Boundary) -> TaskSpec {
    let topic = lines.with(|state| state.topic.clone());
    let mut spec = in_transactions(rig, lines, boundary, &guard(None));
    if let TaskWork::ExactlyOnceSource { transactions, .. } = &mut spec.work {
        transactions.offsets_topic = format!("{topic}-offsets").into();
    }
    spec.client = spec.client.with("bootstrap.servers", bootstrap).with("transactional.id", topic);
    spec
}

fn unique(name: &str) -> String {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    format!("{name}-{}-{}", std::process::id(), now.as_nanos())
}

/// Reads committed values of a topic until there are so many.
fn committed(bootstrap: &str, topic: &str, count: usize) -> Vec<String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", unique("committed"))
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .set("topic.metadata.refresh.interval.ms", "500")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let mut values: Vec<String> = Vec::new();
    wait_until(&format!("{count} committed values"), || {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            values.push(String::from_utf8(message.payload().unwrap_or_default().to_vec()).unwrap());
        }
        (values.len() >= count, values.last().cloned())
    });
    values
}

#[test]
fn a_task_says_where_its_transactions_end_and_offsets_of_aborted_ones_count() {
    let Some(bootstrap) = kafka() else { return };
    let rig = Rig::new();
    let topic = unique("asked");
    let lines = Lines::new(&topic, numbered(400));
    lines.with(|state| {
        state.asks = [
            vec![Ask::AbortAfter(49), Ask::CommitAfter(69)],
            vec![Ask::Commit],
            vec![Ask::Abort],
            vec![Ask::CommitAfter(99)],
        ]
        .into();
    });
    let task = rig.start(1, on_kafka(&rig, &lines, &bootstrap, Boundary::Connector));
    let all = numbered(400);
    let expected = [&all[50..200], &all[300..400]].concat();
    assert_eq!(committed(&bootstrap, &topic, expected.len()), expected);
    position(&rig, 400);
    // What nobody asked to commit is given up with the task.
    lines.with(|state| state.lines = numbered(450));
    wait_until("a poll", || lines.with(|state| (state.given == 450, state.given)));
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    assert_eq!(rig.offsets.position("f"), Some(400));
    lines.with(|state| state.asks = [vec![Ask::Commit]].into());
    rig.start(2, on_kafka(&rig, &lines, &bootstrap, Boundary::Connector));
    let expected = [&expected[..], &numbered(450)[400..]].concat();
    assert_eq!(committed(&bootstrap, &topic, expected.len()), expected);
    position(&rig, 450);
}

#[test]
fn both_a_commit_and_an_abort_fail_the_task() {
    let rig = Rig::new();
    let lines = Lines::new("t", numbered(10));
    lines.with(|state| state.asks = [vec![Ask::Commit, Ask::Abort]].into());
    rig.start(1, in_transactions(&rig, &lines, Boundary::Connector, &guard(None)));
    let trace = rig.wait_for_failure(1);
    assert!(trace.contains("both committed and aborted"), "{trace}");
    assert_eq!(rig.offsets.position("f"), None);
}

#[test]
fn an_earlier_instance_cannot_write_any_more() {
    let Some(bootstrap) = kafka() else { return };
    let rig = Rig::new();
    let topic = unique("fenced");
    let lines = Lines::new(&topic, numbered(100));
    rig.start(1, on_kafka(&rig, &lines, &bootstrap, Boundary::Poll));
    assert_eq!(committed(&bootstrap, &topic, 100), numbered(100));
    position(&rig, 100);
    let later = Lines::new(&topic, numbered(100));
    rig.start(2, on_kafka(&rig, &later, &bootstrap, Boundary::Poll));
    rig.wait_for(2, &TaskEventKind::Started);
    lines.with(|state| state.lines = numbered(200));
    let trace = rig.wait_for_failure(1);
    assert!(trace.contains("before its producer transaction expired"), "{trace}");
    later.with(|state| state.lines = numbered(200));
    assert_eq!(committed(&bootstrap, &topic, 200), numbered(200));
}
