//! What is asked about transactions that a coordinator may have left open, on a real Kafka. That something is ended late is
//! shown with a broker of its own (`it left_open`).

use herdsman::config::client::ClientSettings;
use herdsman::kafka::left_open::{Asked, LeftOpen};
use herdsman::stdx::time::Clock;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer as _};

use crate::group_offsets::secured;
use crate::own_kafka::{kafka, send};
use crate::support::{SOON, unique};

#[test]
fn where_nothing_is_open_nothing_is_ended_and_no_topic_is_made() {
    let Some(kafka) = kafka() else { return };
    let (topic, missing) = (unique("offsets"), unique("missing"));
    kafka.create(&topic, 3, &[]);
    let plain = vec![("bootstrap.servers", kafka.bootstrap.clone())];
    for settings in [plain, secured(&kafka)] {
        let client: ClientSettings = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let asked = Asked::from_client(&client).unwrap();
        let id = unique("id");
        let mut config = ClientConfig::new();
        config.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let taken = || {
            let producer: BaseProducer = config.clone().set("transactional.id", &id).create().unwrap();
            producer.init_transactions(SOON).unwrap();
            producer
        };
        for (topic, commits) in [(&missing, None), (&topic, Some(true)), (&topic, Some(false))] {
            let mut left_open = LeftOpen::new(asked.clone(), &id, topic.as_str().into());
            left_open.look(Clock.deadline(SOON)).unwrap();
            let producer = taken();
            assert_eq!(left_open.end(Clock.deadline(SOON)), Ok(None), "{topic} {commits:?}");
            if let Some(commits) = commits {
                producer.begin_transaction().unwrap();
                send(&producer, topic, &[("key", Some("value"))]);
                let ended = if commits {
                    producer.commit_transaction(SOON)
                } else {
                    producer.abort_transaction(SOON)
                };
                ended.unwrap();
            }
        }
        assert!(!kafka.has(&missing), "to look made the topic");
    }
}
