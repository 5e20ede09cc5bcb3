//! A million offsets at the start of a worker.

use std::sync::Arc;

use herdsman::kafka::embedded::EmbeddedBroker;
use herdsman::stdx::time::Clock;
use herdsman::store::topic_log::{LogRecords, LogSink, TopicRole};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use crate::own_kafka::kafka;
use crate::support::{SOON, Setup, Watched};

const OFFSET: TopicRole = TopicRole::Offset;
const RECORDS: usize = 1_000_000;

/// Counts records, and checks that those of a partition come in order, each once, with the value that belongs to the key.
#[derive(Debug, Default)]
struct Counted {
    records: usize,
    last: std::collections::BTreeMap<i32, i64>,
    wrong: Option<String>,
    is_read: bool,
}

struct Counting(Arc<Watched<Counted>>);

impl LogSink for Counting {
    fn records(&mut self, records: &LogRecords) {
        self.0.change(|counted| {
            let last = counted.last.entry(records.partition()).or_insert(-1);
            for record in records.iter() {
                let key = String::from_utf8_lossy(record.key.unwrap_or_default());
                let value = String::from_utf8_lossy(record.value.unwrap_or_default());
                let (of_key, of_value) = (number(&key), number(&value));
                if record.offset <= *last || of_key != of_value {
                    let place = format!("{}-{}", records.partition(), record.offset);
                    counted.wrong.get_or_insert(format!("{place}: {key} {value} after {last}"));
                }
                *last = record.offset;
            }
            counted.records += records.len();
        });
    }

    fn read_to_end(&mut self) {
        self.0.change(|counted| counted.is_read = true);
    }

    fn begins_anew(&mut self, why: &str) {
        self.0.change(|counted| counted.wrong = Some(why.to_owned()));
    }

    fn unreadable(&mut self, _: &str) {}

    fn readable(&mut self) {}
}

fn number(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Writes as many offsets, each under a key of its own.
fn write(producer: &BaseProducer, topic: &str, count: usize) {
    for number in 0..count {
        let key = format!(r#"["connector-of-a-million",{{"filename":"/var/log/in-{number}.txt"}}]"#);
        let value = format!(r#"{{"position":{number}}}"#);
        loop {
            let record = BaseRecord::to(topic).key(&key).payload(&value);
            match producer.send(record) {
                Ok(()) => break,
                Err((error, _)) => {
                    assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull));
                    producer.poll(std::time::Duration::from_millis(10));
                }
            }
        }
    }
    producer.flush(SOON).unwrap();
}

fn read(mut setup: Setup, count: usize) {
    let counted = Arc::new(Watched::new(Counted::default()));
    setup = setup.sink(OFFSET, Box::new(Counting(Arc::clone(&counted))));
    let began = Clock.now().instant;
    let _logs = setup.start();
    counted.wait("all to be read", |counted| counted.is_read.then_some(()));
    counted.change(|counted| {
        assert_eq!(counted.wrong, None);
        assert_eq!(counted.records, count);
    });
    eprintln!("read {count} records in {:?}", Clock.now().instant - began);
}

#[test]
fn a_million_offsets_are_read_in_order() {
    let Some(kafka) = kafka() else { return };
    let setup = Setup::new(&kafka.bootstrap).only(OFFSET).change(OFFSET, |spec| spec.partitions = Some(25));
    kafka.create(&setup.name(OFFSET), 25, &[("cleanup.policy", "compact")]);
    write(&kafka.producer(), &setup.name(OFFSET), RECORDS);
    read(setup, RECORDS);
}

#[test]
fn what_the_embedded_broker_holds_is_read_in_order() {
    let broker = EmbeddedBroker::start().unwrap();
    let setup = Setup::embedded(&broker).only(OFFSET);
    let producer: BaseProducer =
        rdkafka::ClientConfig::new().set("bootstrap.servers", broker.bootstrap_servers()).create().unwrap();
    write(&producer, &setup.name(OFFSET), 20_000);
    read(setup, 20_000);
}
