//! What does not need a real Kafka: answers in time, order, contact lost and found, bounds.

use std::time::Duration;

use herdsman::kafka::embedded::EmbeddedBroker;
use herdsman::stdx::error_class::ErrorClass;
use herdsman::stdx::reply::reply;
use herdsman::stdx::time::Clock;
use herdsman::store::topic_log::{LogError, LogStage, Missing, Obstacle, TopicRole};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use crate::support::{SOON, Setup, Told, entry, seen};

const CONFIG: TopicRole = TopicRole::Config;
const OFFSET: TopicRole = TopicRole::Offset;
const STATUS: TopicRole = TopicRole::Status;
const A_MOMENT: Duration = Duration::from_millis(200);

#[test]
fn what_was_answered_has_been_read_back() {
    let broker = EmbeddedBroker::start().unwrap();
    let mut setup = Setup::embedded(&broker);
    let logs = setup.start().following();
    for role in TopicRole::ALL {
        assert_eq!(logs.append(role, vec![entry("k", Some("v")), entry("k", None)]), Ok(()));
        assert_eq!(logs.records(role), [seen("k", Some("v")), seen("k", None)], "{role:?}");
    }
    assert_eq!(logs.append(CONFIG, Vec::new()), Ok(()));
    // Another worker reads the same, before it says that it is at the end.
    let other = setup.start().following();
    assert_eq!(other.records(OFFSET), [seen("k", Some("v")), seen("k", None)]);
    let told = other.got.change(|got| got.told.get(&OFFSET).cloned());
    assert_eq!(told, Some(vec![Told::ReadToEnd]));
}

#[test]
fn writes_keep_their_order_and_each_is_answered() {
    let broker = EmbeddedBroker::start().unwrap();
    let logs = Setup::embedded(&broker).start().following();
    let answers: Vec<_> = (0..500)
        .map(|write| {
            let (done, pending) = reply();
            let entries = (0..3).map(|part| entry("k", Some(&format!("{write}.{part}")))).collect();
            logs.handle.append(CONFIG, entries, Clock.deadline(SOON), done);
            pending
        })
        .collect();
    for answer in answers {
        assert_eq!(answer.wait(SOON).unwrap(), Ok(()));
    }
    let expected = (0..500).flat_map(|write| (0..3).map(move |part| format!("{write}.{part}")));
    let values: Vec<_> = logs.records(CONFIG).into_iter().filter_map(|(_, value)| value).collect();
    assert_eq!(values, expected.collect::<Vec<_>>());
}

#[test]
fn the_end_is_that_of_all_writers() {
    let broker = EmbeddedBroker::start().unwrap();
    let mut setup = Setup::embedded(&broker);
    let (reader, writer) = (setup.start().following(), setup.start().following());
    for round in 0..20 {
        let key = format!("k{round}");
        writer.append(STATUS, vec![entry(&key, Some("v"))]).unwrap();
        reader.read_to_end(STATUS).unwrap();
        assert!(reader.records(STATUS).contains(&seen(&key, Some("v"))), "{key}");
    }
}

#[test]
fn a_broker_that_comes_late_is_waited_for_and_told() {
    let broker = EmbeddedBroker::start().unwrap();
    let mut setup = Setup::embedded(&broker);
    broker.go_down().unwrap();
    let logs = setup.start();
    let waiting = logs.stage("a word about the broker", |stage| matches!(stage, LogStage::Waiting { .. }));
    assert!(waiting.to_string().contains("bootstrap.servers"), "{waiting}");
    let late = logs.read_to_end_within(CONFIG, A_MOMENT).unwrap_err();
    assert!(late.to_string().contains("was not read to its end in time: "), "{late}");
    let late = logs.append_within(STATUS, vec![entry("k", Some("v"))], A_MOMENT).unwrap_err();
    assert_eq!(late.class(), ErrorClass::Retriable);
    broker.come_up().unwrap();
    let logs = logs.following();
    assert_eq!(logs.append(CONFIG, vec![entry("k", Some("v"))]), Ok(()));
}

#[test]
fn a_broker_that_goes_away_is_told_and_costs_nothing() {
    let broker = EmbeddedBroker::start().unwrap();
    let logs = Setup::embedded(&broker).start().following();
    logs.append(OFFSET, vec![entry("k", Some("1"))]).unwrap();
    broker.go_down().unwrap();
    logs.got.wait("the loss of contact", |got| {
        got.told[&CONFIG].iter().any(|told| matches!(told, Told::Unreadable(_))).then_some(())
    });
    let (done, written) = reply();
    logs.handle.append(OFFSET, vec![entry("k", Some("2"))], Clock.deadline(SOON), done);
    let late = logs.read_to_end_within(CONFIG, A_MOMENT).unwrap_err();
    assert!(matches!(late, LogError::TimedOut { why: Some(_), .. }), "{late:?}");
    assert!(written.poll().is_none());
    broker.come_up().unwrap();
    assert_eq!(written.wait(SOON).unwrap(), Ok(()));
    assert_eq!(logs.read_to_end(CONFIG), Ok(()));
    assert_eq!(logs.records(OFFSET), [seen("k", Some("1")), seen("k", Some("2"))]);
    logs.got.wait("contact again", |got| got.told(CONFIG, &Told::Readable).then_some(()));
}

#[test]
fn a_write_that_misses_its_topic_has_that_told_soon() {
    let broker = EmbeddedBroker::start().unwrap();
    let mut setup = Setup::embedded(&broker).believing_at_once();
    let logs = setup.start().following();
    let (gone, cluster) =
        (RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, broker.cluster().unwrap());
    cluster.topic_error(&setup.name(STATUS), gone).unwrap();
    for request in [RDKafkaApiKey::Produce, RDKafkaApiKey::ListOffsets] {
        cluster.request_errors(request, &[gone; 200]);
    }
    // The next look by itself is ten seconds away.
    let refused = logs.append(STATUS, vec![entry("k", Some("v"))]).unwrap_err();
    let refused_at = Clock.now().instant;
    assert!(matches!(refused, LogError::Refused(_)), "{refused}");
    logs.got.wait("that it is missed", |got| {
        got.told[&STATUS].iter().any(|told| matches!(told, Told::Unreadable(_))).then_some(())
    });
    let took = Clock.now().instant - refused_at;
    assert!(took < Duration::from_secs(5), "it was told after {took:?}");
}

#[test]
fn a_topic_that_the_embedded_broker_lacks_is_named() {
    let broker = EmbeddedBroker::start().unwrap();
    let mut setup = Setup::new(broker.bootstrap_servers()).only(CONFIG);
    let logs = setup.start();
    let topic = setup.name(CONFIG);
    let obstacle = Obstacle::Missing { topic: topic.clone(), role: CONFIG, reason: Missing::Embedded };
    let waiting = LogStage::Waiting { topic: topic.clone(), obstacle };
    logs.stage("a word about the topic", |stage| *stage == waiting);
    broker.create_topic(&topic, 1).unwrap();
    assert_eq!(logs.following().read_to_end(STATUS), Err(LogError::NoTopic("status")));
}

#[test]
fn a_config_topic_with_two_partitions_is_refused() {
    let broker = EmbeddedBroker::start().unwrap();
    let mut setup = Setup::new(broker.bootstrap_servers()).only(CONFIG);
    broker.create_topic(&setup.name(CONFIG), 2).unwrap();
    let logs = setup.start();
    let waiting = logs.stage("a refusal", |stage| matches!(stage, LogStage::Waiting { .. }));
    assert!(waiting.to_string().contains("has 2 partitions, but must have exactly 1"), "{waiting}");
}

#[test]
fn more_requests_than_fit_are_refused_by_name() {
    let broker = EmbeddedBroker::start().unwrap();
    let logs = Setup::embedded(&broker).start().following();
    broker.go_down().unwrap();
    let answers: Vec<_> = (0..1100)
        .map(|_| {
            let (done, pending) = reply();
            logs.handle.append(STATUS, vec![entry("k", None)], Clock.deadline(SOON), done);
            pending
        })
        .collect();
    let refused: Vec<_> = answers.iter().filter_map(|answer| answer.poll()).collect();
    assert_eq!(refused.len(), 1100 - 1024);
    let error = refused[0].clone().unwrap_err();
    assert!(error.to_string().starts_with("1024 writes of the topic 'status-"), "{error}");
    // Reads have a queue of their own.
    assert!(matches!(logs.read_to_end_within(STATUS, A_MOMENT), Err(LogError::TimedOut { .. })));
    broker.come_up().unwrap();
    drop(logs);
    assert_eq!(answers.iter().filter_map(|answer| answer.poll()).count(), 1024);
}

#[test]
fn who_waits_when_the_logs_end_is_told_and_the_end_does_not_wait_for_a_broker() {
    let broker = EmbeddedBroker::start().unwrap();
    let logs = Setup::embedded(&broker).start().following();
    broker.go_down().unwrap();
    let handle = logs.handle.clone();
    let (done, written) = reply();
    handle.append(CONFIG, vec![entry("k", None)], Clock.deadline(SOON), done);
    let (done, read) = reply();
    handle.read_to_end(CONFIG, Clock.deadline(SOON), done);
    let began = Clock.now().instant;
    drop(logs);
    assert!(Clock.now().instant - began < Duration::from_secs(5));
    assert_eq!(written.wait(SOON).unwrap(), Err(LogError::Closed));
    assert_eq!(read.wait(SOON).unwrap(), Err(LogError::Closed));
    let (done, late) = reply();
    handle.read_to_end(CONFIG, Clock.deadline(SOON), done);
    assert_eq!(late.wait(SOON).unwrap(), Err(LogError::Closed));
}

#[test]
fn leaders_write_only_where_exactly_once_support_asks_for_it() {
    let broker = EmbeddedBroker::start().unwrap();
    let logs = Setup::embedded(&broker).start().following();
    assert_eq!(logs.claim(), Err(LogError::NotClaimed));
    assert_eq!(logs.append_as_leader(vec![entry("k", None)]), Err(LogError::NotClaimed));
}
