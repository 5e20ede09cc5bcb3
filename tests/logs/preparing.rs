//! Topics on a real Kafka: created as asked, checked, and waited for.

use std::collections::BTreeMap;

use herdsman::store::topic_log::{LogStage, Obstacle, TopicRole};

use crate::own_kafka::{Kafka, kafka, send};
use crate::support::{Logs, Setup, Told, entry, seen, wait_for};

const CONFIG: TopicRole = TopicRole::Config;
const OFFSET: TopicRole = TopicRole::Offset;
const STATUS: TopicRole = TopicRole::Status;

/// Waits until something is in the way of a topic; gives its words.
#[track_caller]
fn waits(logs: &Logs) -> String {
    logs.stage("something in the way", |stage| matches!(stage, LogStage::Waiting { .. })).to_string()
}

fn check(text: &str, words: &[&str]) {
    words.iter().for_each(|word| assert!(text.contains(word), "{word} in: {text}"));
}

#[test]
fn missing_topics_are_created_as_asked() {
    let Some(kafka) = kafka() else { return };
    let settings = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let mut setup = Setup::new(&kafka.bootstrap)
        .change(CONFIG, |spec| spec.partitions = Some(9))
        .change(OFFSET, |spec| {
            spec.partitions = Some(25);
            spec.settings = settings("segment.bytes", "1048576");
        })
        .change(STATUS, |spec| {
            (spec.partitions, spec.replication) = (None, None);
            spec.settings = settings("cleanup.policy", "delete");
        });
    let logs = setup.start().following();
    for (role, partitions) in [(CONFIG, 1), (OFFSET, 25), (STATUS, 1)] {
        let name = setup.name(role);
        assert_eq!(kafka.partitions(&name), partitions, "{name}");
        assert_eq!(kafka.setting(&name, "cleanup.policy").as_deref(), Some("compact"), "{name}");
    }
    assert_eq!(kafka.setting(&setup.name(OFFSET), "segment.bytes").as_deref(), Some("1048576"));
    logs.append(OFFSET, (0..100).map(|key| entry(&format!("k{key}"), Some("v"))).collect()).unwrap();
    assert_eq!(logs.records(OFFSET).len(), 100);
    // The next worker finds them.
    setup.start().following();
}

#[test]
fn an_early_write_waits_for_the_topic_and_does_not_create_it() {
    let Some(kafka) = kafka() else { return };
    let mut setup = Setup::new(&kafka.bootstrap);
    let logs = setup.start();
    for role in TopicRole::ALL {
        assert_eq!(logs.append(role, vec![entry("k", Some("v"))]), Ok(()));
        assert_eq!(logs.records(role), [seen("k", Some("v"))]);
        assert_eq!(kafka.setting(&setup.name(role), "cleanup.policy").as_deref(), Some("compact"));
    }
}

#[test]
fn a_topic_that_is_not_compacted_only_is_refused_until_it_is() {
    let Some(kafka) = kafka() else { return };
    for policy in ["delete", "compact,delete"] {
        let mut setup = Setup::new(&kafka.bootstrap);
        let name = setup.name(STATUS);
        kafka.create(&name, 1, &[("cleanup.policy", policy)]);
        let logs = setup.start();
        let found = format!("has cleanup.policy={policy}, but must have cleanup.policy=compact");
        check(&waits(&logs), &[&name, "status.storage.topic", &found, "kafka-configs.sh --alter"]);
        // The others go on all the same.
        logs.append(CONFIG, vec![entry("k", Some("v"))]).unwrap();
        kafka.set(&name, "cleanup.policy", "compact");
        let logs = logs.following();
        logs.append(STATUS, vec![entry("k", Some("v"))]).unwrap();
    }
}

#[test]
fn more_than_one_partition_is_refused_for_the_config_topic_only() {
    let Some(kafka) = kafka() else { return };
    let mut setup = Setup::new(&kafka.bootstrap);
    for role in TopicRole::ALL {
        kafka.create(&setup.name(role), 2, &[("cleanup.policy", "compact")]);
    }
    let logs = setup.start();
    check(&waits(&logs), &["config.storage.topic", "has 2 partitions, but must have exactly 1"]);
    logs.read_to_end(OFFSET).unwrap();
    logs.read_to_end(STATUS).unwrap();
}

#[test]
fn too_many_replicas_are_waited_out_and_told() {
    let Some(kafka) = kafka() else { return };
    let mut setup = Setup::new(&kafka.bootstrap).change(OFFSET, |spec| spec.replication = Some(3));
    let logs = setup.start();
    let told = waits(&logs);
    check(&told, &["3 replicas", "the cluster has 1 broker", "offset.storage.replication.factor"]);
    let found = logs.got.change(|got| got.stages.iter().find_map(obstacle_of).cloned());
    assert!(matches!(found, Some(Obstacle::TooFewBrokers { replicas: Some(3), brokers: Some(1), .. })));
    // As good as more brokers: somebody creates it by hand.
    kafka.create(&setup.name(OFFSET), 1, &[("cleanup.policy", "compact")]);
    logs.following();
}

fn obstacle_of(stage: &LogStage) -> Option<&Obstacle> {
    match stage {
        LogStage::Waiting { obstacle, .. } => Some(obstacle),
        LogStage::Preparing { .. } | LogStage::Reading { .. } | LogStage::Following => None,
    }
}

#[test]
fn a_setting_that_the_broker_does_not_know_is_told() {
    let Some(kafka) = kafka() else { return };
    let mut setup = Setup::new(&kafka.bootstrap)
        .change(STATUS, |spec| spec.settings = BTreeMap::from([("retention".to_owned(), "x".to_owned())]));
    check(&waits(&setup.start()), &["CreateTopics", "begin with status.storage."]);
}

fn read_again(logs: &Logs, role: TopicRole) -> bool {
    logs.got.change(|got| {
        let told = got.told.get(&role).into_iter().flatten();
        let since = told.skip_while(|told| !matches!(told, Told::BeginsAnew(_)));
        since.into_iter().any(|told| *told == Told::ReadToEnd)
    })
}

#[test]
fn a_topic_that_is_made_anew_is_read_from_its_beginning() {
    let Some(kafka) = kafka() else { return };
    let mut setup = Setup::new(&kafka.bootstrap);
    let logs = setup.start().following();
    let name = setup.name(OFFSET);
    let entries = (0..50).map(|key| entry(&format!("old{key}"), Some("v"))).collect();
    logs.append(OFFSET, entries).unwrap();
    kafka.delete(&name);
    kafka.create(&name, 2, &[("cleanup.policy", "compact")]);
    send(&kafka.producer(), &name, &[("new1", Some("v")), ("new2", Some("v"))]);
    wait_for("the new topic to be read", || {
        // Whoever asks for the end finds that it is another topic, if nobody has before.
        logs.read_to_end(OFFSET).map_err(|error| error.to_string())?;
        if read_again(&logs, OFFSET) { Ok(()) } else { Err("not yet".to_owned()) }
    });
    let mut records = logs.records(OFFSET);
    records.sort();
    assert_eq!(records, [seen("new1", Some("v")), seen("new2", Some("v"))]);
    logs.append(OFFSET, vec![entry("new3", Some("v"))]).unwrap();
    assert_eq!(logs.records(OFFSET).len(), 3);
}

#[test]
fn a_topic_that_is_deleted_is_missed_and_not_created_by_the_reader() {
    let Some(kafka) = kafka() else { return };
    let mut setup = Setup::new(&kafka.bootstrap);
    let logs = setup.start().following();
    let name = setup.name(CONFIG);
    logs.append(CONFIG, vec![entry("old", Some("v"))]).unwrap();
    kafka.delete(&name);
    let (done, _pending) = herdsman::stdx::reply::reply();
    let deadline = herdsman::stdx::time::Clock.deadline(crate::support::SOON);
    logs.handle.read_to_end(CONFIG, deadline, done);
    logs.got.wait("that it is missed", |got| {
        let deleted = |told: &Told| matches!(told, Told::Unreadable(why) if why.contains("was deleted"));
        got.told[&CONFIG].iter().any(deleted).then_some(())
    });
    // What it held is known until there is something better.
    assert_eq!(logs.records(CONFIG), [seen("old", Some("v"))]);
    // The others go on.
    logs.append(STATUS, vec![entry("k", Some("v"))]).unwrap();
    kafka.create(&name, 1, &[("cleanup.policy", "compact")]);
    logs.got.wait("that it is read again", |got| {
        got.told[&CONFIG].iter().filter(|told| **told == Told::ReadToEnd).nth(1).map(|_| ())
    });
    assert_eq!(logs.records(CONFIG), []);
}

#[test]
fn a_partition_that_was_emptied_is_at_its_end() {
    let Some(kafka) = kafka() else { return };
    let mut setup = Setup::new(&kafka.bootstrap).only(CONFIG);
    let name = setup.name(CONFIG);
    kafka.create(&name, 1, &[("cleanup.policy", "delete")]);
    send(&kafka.producer(), &name, &[("a", Some("1")), ("b", Some("2"))]);
    kafka.delete_records(&name, 0, 2);
    kafka.set(&name, "cleanup.policy", "compact");
    let logs = setup.start().following();
    assert_eq!(logs.records(CONFIG), []);
    logs.append(CONFIG, vec![entry("c", Some("3"))]).unwrap();
    assert_eq!(logs.records(CONFIG), [seen("c", Some("3"))]);
}

#[test]
fn partitions_that_are_added_later_are_read_too() {
    let Some(kafka) = kafka() else { return };
    let mut setup = Setup::new(&kafka.bootstrap);
    let logs = setup.start().following();
    kafka.add_partitions(&setup.name(STATUS), 12);
    wait_for("a record in a new partition", || {
        let keys: Vec<String> = (0..50).map(|key| format!("k{key}")).collect();
        logs.append(STATUS, keys.iter().map(|key| entry(key, Some("v"))).collect()).unwrap();
        let records = logs.records(STATUS);
        assert!(keys.iter().all(|key| records.contains(&seen(key, Some("v")))));
        let told = logs.got.change(|got| got.told.clone());
        if partitions_written(&kafka, &setup.name(STATUS)) > 2 { Ok(()) } else { Err(told) }
    });
    logs.read_to_end(STATUS).unwrap();
}

/// How many partitions of a topic have records.
fn partitions_written(kafka: &Kafka, topic: &str) -> usize {
    let count = i32::try_from(kafka.partitions(topic)).unwrap();
    let client = kafka.producer();
    let ends = |partition| {
        let client = rdkafka::producer::Producer::client(&client);
        client.fetch_watermarks(topic, partition, crate::support::SOON).unwrap()
    };
    (0..count).filter(|partition| ends(*partition).1 > 0).count()
}
