//! The dead letter queue of sink tasks.

use std::collections::BTreeSet;
use std::time::Duration;

use herdsman::config::client::ClientSettings;
use herdsman::task::{
    DeadLetterSpec, ErrorCounts, RetryPolicy, TaskEventKind, TaskHandle, TaskSpec, Tolerance,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::plugins::{Hesitant, Keeper, numbered};
use crate::support::{HOUR, Rig, SOON, wait_until};

/// A task like that of [`Rig::keeper`] with the dead letter queue `dead`, of one partition.
pub(crate) fn with_queue(rig: &Rig, keeper: &Keeper) -> TaskSpec {
    rig.broker.create_topic("dead", 1).unwrap();
    let admin: ClientSettings = [("bootstrap.servers", rig.broker.bootstrap_servers())].into_iter().collect();
    let mut spec = rig.keeper(keeper, 0);
    spec.errors.tolerance = Tolerance::All;
    spec.errors.dead_letters = Some(DeadLetterSpec {
        topic: "dead".into(),
        replication: 1,
        with_context: true,
        producer: rig.producer_settings().with("retry.backoff.max.ms", "200"),
        admin,
    });
    spec
}

/// A record of the dead letter queue.
#[derive(Debug, PartialEq)]
pub(crate) struct Dead {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Dead {
    /// The text of a header that tells of the failure.
    pub(crate) fn told(&self, name: &str) -> String {
        let name = format!("__connect.errors.{name}");
        let found = self.headers.iter().find(|(other, _)| *other == name);
        let Some((_, Some(value))) = found else { panic!("no {name} in {:?}", self.headers) };
        String::from_utf8(value.clone()).unwrap()
    }
}

/// Reads the dead letter queue from its beginning until it has so many records.
pub(crate) fn dead(rig: &Rig, count: usize) -> Vec<Dead> {
    dead_until(rig, |records| records.len() >= count)
}

/// Waits until the dead letter queue has so many different values; some may be there twice.
pub(crate) fn dead_values(rig: &Rig, count: usize) {
    let mut values = BTreeSet::new();
    let enough = |records: &[Dead]| {
        values.extend(records.last().map(|record| record.value.clone()));
        values.len() >= count
    };
    dead_until(rig, enough);
    assert_eq!(values.len(), count);
}

fn dead_until(rig: &Rig, mut enough: impl FnMut(&[Dead]) -> bool) -> Vec<Dead> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", rig.broker.bootstrap_servers())
        .set("group.id", "a test that only reads")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset("dead", 0, Offset::Beginning).unwrap();
    consumer.assign(&assignment).unwrap();
    let mut records = Vec::new();
    wait_until("the records in the dead letter queue", || {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            let owned = |bytes: &[u8]| bytes.to_vec();
            let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
            records.push(Dead {
                key: message.key().map(owned),
                value: message.payload().map(owned),
                timestamp: message.timestamp().to_millis(),
                headers: headers.map(|header| (header.key.to_owned(), header.value.map(owned))).collect(),
            });
        }
        (enough(&records), records.len())
    });
    records
}

/// What a task has counted of errors, without the time of the last one.
pub(crate) fn counts(task: &TaskHandle) -> ErrorCounts {
    ErrorCounts { last_error: 0, ..task.error_counters().counts() }
}

/// From now on the broker takes no records, and says that this will pass.
pub(crate) fn hold_produce(rig: &Rig) {
    let passing = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
    rig.broker.cluster().unwrap().request_errors(RDKafkaApiKey::Produce, &[passing; 2000]);
}

pub(crate) fn release_produce(rig: &Rig) {
    rig.broker.cluster().unwrap().clear_request_errors(RDKafkaApiKey::Produce);
}

pub(crate) fn committed(rig: &Rig, expected: i64) {
    wait_until(&format!("the commit of {expected}"), || {
        let committed = rig.committed(0);
        (committed == Some(expected), committed)
    });
}

/// A record with a header of its own and a time.
fn produce_bad(rig: &Rig) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", rig.broker.bootstrap_servers()).create().unwrap();
    let headers = OwnedHeaders::new()
        .insert(Header { key: "h", value: Some(&[0xff, 0][..]) })
        .insert(Header::<&[u8]> { key: "n", value: None });
    let record = BaseRecord::to("t").partition(0).key(&[1_u8, 0xfe][..]).payload("bad one");
    producer.send(record.timestamp(1_700_000_000_123).headers(headers)).unwrap();
    producer.flush(SOON).unwrap();
}

#[test]
fn a_record_that_cannot_be_converted_goes_there_as_it_is_with_what_happened() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    produce_bad(&rig);
    rig.produce("t", 0, &["good".to_owned()]);
    let keeper = Keeper::new();
    let mut spec = with_queue(&rig, &keeper);
    spec.converters.key.plugin = herdsman::plugins::registry().converter("ByteArray").unwrap().clone();
    let task = rig.start(1, spec);
    keeper.wait_for(1);
    committed(&rig, 2);
    let expected = ErrorCounts {
        record_failures: 1,
        record_errors: 1,
        records_skipped: 1,
        dead_letter_requests: 1,
        ..ErrorCounts::default()
    };
    assert_eq!(counts(&task), expected);
    let found = dead(&rig, 1).remove(0);
    assert_eq!((found.key.as_deref(), found.value.as_deref()), (Some(&[1, 0xfe][..]), Some(&b"bad one"[..])));
    assert_eq!(found.timestamp, Some(1_700_000_000_123));
    let own = [("h".to_owned(), Some(vec![0xff, 0])), ("n".to_owned(), None)];
    assert_eq!(found.headers[..2], own);
    let told: Vec<&str> = found.headers[2..].iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(told.len(), 10, "{told:?}");
    for (name, value) in [
        ("topic", "t"),
        ("partition", "0"),
        ("offset", "0"),
        ("connector.name", "keeper"),
        ("task.id", "0"),
        ("stage", "VALUE_CONVERTER"),
        ("class.name", "test.TextConverter"),
        ("exception.class.name", "org.apache.kafka.connect.errors.DataException"),
        ("exception.message", "bad one is bad"),
        ("exception.stacktrace", "org.apache.kafka.connect.errors.DataException: bad one is bad\n"),
    ] {
        assert_eq!(found.told(name), value, "{name}");
    }
}

#[test]
fn without_context_headers_a_record_has_its_own_only() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    produce_bad(&rig);
    let mut spec = with_queue(&rig, &Keeper::new());
    spec.converters.key.plugin = herdsman::plugins::registry().converter("ByteArray").unwrap().clone();
    spec.errors.dead_letters.as_mut().unwrap().with_context = false;
    rig.start(1, spec);
    let own = vec![("h".to_owned(), Some(vec![0xff, 0])), ("n".to_owned(), None)];
    assert_eq!(dead(&rig, 1)[0].headers, own);
}

#[test]
fn each_stage_is_told_by_its_name() {
    for (stage, class) in [
        ("KEY_CONVERTER", "org.apache.kafka.connect.converters.IntegerConverter"),
        ("HEADER_CONVERTER", "org.apache.kafka.connect.converters.IntegerConverter"),
        ("TRANSFORMATION", "test.Hesitant"),
    ] {
        let rig = Rig::new();
        rig.broker.create_topic("t", 1).unwrap();
        produce_bad(&rig);
        rig.produce("t", 0, &["later".to_owned()]);
        let mut spec = with_queue(&rig, &Keeper::new());
        let converter = |name: &str| herdsman::plugins::registry().converter(name).unwrap().clone();
        for choice in [&mut spec.converters.key, &mut spec.converters.value, &mut spec.converters.header] {
            choice.plugin = converter("ByteArray");
        }
        match stage {
            "KEY_CONVERTER" => spec.converters.key.plugin = converter("Integer"),
            "HEADER_CONVERTER" => spec.converters.header.plugin = converter("Integer"),
            _ => {
                spec.converters.value.plugin = converter("String");
                (_, spec.transforms) = Hesitant::chain(usize::MAX);
            }
        }
        rig.start(1, spec);
        let found = dead(&rig, 1).remove(0);
        assert_eq!((found.told("stage").as_str(), found.told("class.name").as_str()), (stage, class));
    }
}

#[test]
fn where_nothing_is_tolerated_the_record_goes_there_and_the_task_fails() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    rig.produce("t", 0, &["good".to_owned(), "bad".to_owned(), "good".to_owned()]);
    let mut spec = with_queue(&rig, &Keeper::new());
    spec.errors.tolerance = Tolerance::None;
    rig.start(1, spec);
    let trace = rig.wait_for_failure(1);
    assert!(trace.contains("Tolerance exceeded in error handler"), "{trace}");
    assert_eq!(dead(&rig, 1)[0].value.as_deref(), Some(&b"bad"[..]));
    assert_eq!(rig.committed(0), None);
}

#[test]
fn nothing_is_committed_past_a_record_that_is_not_there_yet() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    let mut values = numbered(50);
    values[7] = "bad".to_owned();
    rig.produce("t", 0, &values);
    let keeper = Keeper::new();
    let spec = with_queue(&rig, &keeper);
    hold_produce(&rig);
    let task = rig.start(1, spec);
    keeper.wait_for(49);
    committed(&rig, 7);
    // Some more commits make no difference.
    let asked = |state: &crate::plugins::KeeperState| {
        state.calls.iter().filter(|call| call.contains("pre_commit")).count()
    };
    let before = keeper.0.change(|state| asked(state));
    keeper.0.wait("more commits", |state| (asked(state) > before + 3).then_some(()));
    assert_eq!((rig.committed(0), counts(&task).dead_letter_failures), (Some(7), 0));
    release_produce(&rig);
    committed(&rig, 50);
    assert_eq!(dead(&rig, 1)[0].told("offset"), "7");
}

#[test]
fn a_queue_that_refuses_a_record_fails_the_task_before_its_offset_is_committed() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    let mut values = numbered(50);
    values[7] = "bad".to_owned();
    rig.produce("t", 0, &values);
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    rig.broker.cluster().unwrap().request_errors(RDKafkaApiKey::Produce, &[refused; 20]);
    let spec = with_queue(&rig, &Keeper::new());
    let task = rig.start(1, spec);
    let trace = rig.wait_for_failure(1);
    for words in ["The dead letter queue 'dead' does not take a record", "TopicAuthorizationException"] {
        assert!(trace.contains(words), "no «{words}» in:\n{trace}");
    }
    assert_eq!(counts(&task).dead_letter_failures, 1);
    assert_eq!(rig.committed(0), Some(7));
}

#[test]
fn a_queue_without_room_holds_the_task_back_and_a_stop_loses_nothing() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    rig.produce("t", 0, &(0..3000).map(|number| format!("bad {number}")).collect::<Vec<_>>());
    let mut spec = with_queue(&rig, &Keeper::new());
    spec.stop_timeout = Duration::from_secs(1);
    hold_produce(&rig);
    let task = rig.start(1, spec.clone());
    wait_until("a full queue", || (counts(&task).records_skipped >= 1000, counts(&task)));
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    let counted = counts(&task);
    assert_eq!((counted.records_skipped, counted.dead_letter_requests), (1000, 1000), "bounded");
    assert_eq!(rig.committed(0), None);
    release_produce(&rig);
    rig.start(2, spec);
    committed(&rig, 3000);
    dead_values(&rig, 3000);
}

#[test]
fn what_comes_before_a_record_that_waits_is_put_and_the_task_stays_in_its_group() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    let values = ["one", "later two", "three"].map(str::to_owned);
    rig.produce("t", 0, &values);
    let keeper = Keeper::new();
    let mut spec = rig.keeper(&keeper, 0);
    spec.errors.retry = RetryPolicy { timeout: None, delay_max: Duration::from_millis(100) };
    let (hesitant, chain) = Hesitant::chain(usize::MAX);
    spec.transforms = chain;
    let task = rig.start(1, spec);
    keeper.wait_for(1);
    committed(&rig, 1);
    // It waits for longer than records are taken on: the partition rests, and is taken up again.
    wait_until("some retries", || (counts(&task).retries >= 20, counts(&task)));
    rig.produce("t", 0, &["four".to_owned()]);
    *hesitant.0.lock().unwrap() = 0;
    keeper.wait_for(4);
    keeper.0.change(|state| {
        let kept: Vec<&str> = state.kept.iter().map(|(_, _, text)| text.as_str()).collect();
        assert_eq!(kept, ["seen one", "seen later two", "seen three", "seen four"]);
    });
    committed(&rig, 4);
}

#[test]
fn a_record_that_waits_goes_with_its_partition() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 2).unwrap();
    rig.produce("t", 0, &["later".to_owned()]);
    rig.produce("t", 1, &["later".to_owned()]);
    let keeper = Keeper::new();
    let mut spec = rig.keeper(&keeper, 0);
    spec.errors.retry = RetryPolicy { timeout: None, delay_max: Duration::from_millis(50) };
    let (hesitant, chain) = Hesitant::chain(usize::MAX);
    spec.transforms = chain;
    let first = rig.start(1, spec.clone());
    wait_until("a retry", || (counts(&first).retries >= 1, counts(&first)));
    spec.id.index = 1;
    let second = rig.start(2, spec);
    wait_until("a retry of the other", || (counts(&second).retries >= 1, counts(&second)));
    *hesitant.0.lock().unwrap() = 0;
    keeper.wait_for(2);
    keeper.0.change(|state| {
        let mut partitions: Vec<i32> = state.kept.iter().map(|(partition, _, _)| *partition).collect();
        partitions.sort_unstable();
        assert_eq!(partitions, [0, 1], "each of them once");
    });
}

#[test]
fn a_task_waits_for_a_broker_that_can_be_asked_for_the_queue() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 1).unwrap();
    let spec = with_queue(&rig, &Keeper::new());
    rig.broker.go_down().unwrap();
    let task = rig.start(1, spec.clone());
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    rig.start(2, spec);
    rig.broker.come_up().unwrap();
    rig.wait_for(2, &TaskEventKind::Started);
    assert!(!rig.kinds().iter().any(|kind| matches!(kind, TaskEventKind::Failed { .. })));
}

#[test]
fn tasks_share_the_producer_of_the_queue() {
    let rig = Rig::new();
    rig.broker.create_topic("t", 2).unwrap();
    let keeper = Keeper::new();
    let spec = with_queue(&rig, &keeper);
    for index in 0..5 {
        let mut spec = spec.clone();
        spec.id.index = index;
        spec.offset_flush_interval = HOUR;
        rig.start(index + 1, spec);
        rig.wait_for(index + 1, &TaskEventKind::Started);
    }
    let shown = format!("{:?}", rig.tasks);
    assert_eq!(shown.matches("(Weak)").count(), 1, "{shown}");
}
