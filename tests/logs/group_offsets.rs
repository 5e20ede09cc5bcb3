//! The offsets of a sink's group, on a real Kafka.

use std::collections::BTreeMap;

use herdsman::api::ids::TopicPartition;
use herdsman::kafka::admin::GroupOffsets;
use herdsman::stdx::time::Clock;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::own_kafka::{Kafka, kafka};
use crate::support::{SOON, unique};

/// What a client needs for the listener with TLS and a password.
pub(crate) fn secured(kafka: &Kafka) -> Vec<(&'static str, String)> {
    let address = std::fs::read_to_string(kafka.dir.join("bootstrap-sasl-ssl")).unwrap();
    let of = |value: &str| value.to_owned();
    vec![
        ("bootstrap.servers", of(address.trim())),
        ("security.protocol", of("sasl_ssl")),
        ("sasl.mechanism", of("SCRAM-SHA-512")),
        ("sasl.username", of("alice")),
        ("sasl.password", of("alice-secret")),
        ("ssl.ca.location", kafka.dir.join("tls/ca.pem").display().to_string()),
    ]
}

#[test]
fn single_offsets_are_forgotten_and_others_are_not_touched() {
    let Some(kafka) = kafka() else { return };
    let topic = unique("offsets");
    kafka.create(&topic, 3, &[]);
    let plain = vec![("bootstrap.servers", kafka.bootstrap.clone())];
    for mut settings in [plain, secured(&kafka)] {
        settings.push(("group.id", unique("group")));
        let group = GroupOffsets::new(settings.iter().map(|(name, value)| (*name, value.as_str())).collect());
        let of = |partition| TopicPartition { topic: topic.as_str().into(), partition };
        let alter = |changes: &[(i32, Option<i64>)]| {
            let changes: BTreeMap<_, _> =
                changes.iter().map(|(partition, offset)| (of(*partition), *offset)).collect();
            group.alter(&changes, Clock.deadline(SOON)).unwrap();
        };
        alter(&[(0, None)]); // the group is not there yet

        let mut config = ClientConfig::new();
        config.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let foreign: BaseConsumer = config.create().unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..3 {
            let mut one = list.add_partition(&topic, partition);
            one.set_offset(Offset::Offset(5)).unwrap();
            one.set_metadata("words of another client");
        }
        foreign.assign(&list).unwrap();
        foreign.commit(&list, CommitMode::Sync).unwrap();
        alter(&[(0, None), (1, Some(7))]);
        let committed = foreign.committed_offsets(list, SOON).unwrap();
        let seen: Vec<_> =
            committed.elements().iter().map(|one| (one.offset(), one.metadata().to_owned())).collect();
        let expected = [
            (Offset::Invalid, String::new()),
            (Offset::Offset(7), String::new()),
            (Offset::Offset(5), "words of another client".to_owned()),
        ];
        assert_eq!(seen, expected);
    }
}
