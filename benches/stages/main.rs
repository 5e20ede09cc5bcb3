//! What each stage of a record's way costs on the thread of its task; `scripts/bench --only records` runs it.
//!
//! ```text
//! stages BOOTSTRAP TOPIC FILE ORDERS COUNT
//! ```
//! takes the lines of a file through the source's chain of `benches/chains.json` to a topic, and so many orders of the
//! topic ORDERS through the sink's to a file, as tasks do: with the same plug-ins, a batch at a time. The clock is read
//! between stages only, so each goes through the whole batch before the next one. Prints tables in Markdown. Waiting,
//! for room in the producer or for records, is no stage.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use herdsman::api::Settings;
use herdsman::api::connect_record::ConnectRecord;
use herdsman::api::converter::{Converter, ConverterRole};
use herdsman::api::data::SchemaAndValue;
use herdsman::api::record::{SinkRecord, SourceRecord, TimestampType};
use herdsman::api::registry::{ConnectorClass, Registry};
use herdsman::api::source::PollOutcome;
use herdsman::api::transform::Transform;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

use crate::contexts::NoContext;
use crate::laps::Laps;

mod contexts;
mod laps;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// As many as a sink task takes at a time.
const BATCH: usize = 500;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let [bootstrap, topic, file, orders, count] = args[..] else {
        // Without arguments there is no broker: `cargo bench` alone runs this.
        println!("use scripts/bench --only records");
        return Ok(());
    };
    let bench = Bench {
        registry: herdsman::plugins::registry(),
        chains: serde_json::from_str(include_str!("../chains.json"))?,
        bootstrap: bootstrap.to_owned(),
    };
    let output = tempfile::NamedTempFile::new()?;
    println!("{}", bench.source(topic, file)?.table("stage of the source"));
    let to = output.path().to_str().ok_or("a folder for temporary files whose name is text")?;
    print!("{}", bench.sink(orders, count.parse()?, to)?.table("stage of the sink"));
    Ok(())
}

struct Bench {
    registry: Registry,
    chains: Value,
    bootstrap: String,
}

/// A transform and its name.
type Link = (String, Box<dyn Transform>);

impl Bench {
    fn source(&self, topic: &str, file: &str) -> Result<Laps> {
        let Some(ConnectorClass::Source(plugin)) = self.registry.connector("FileStreamSource") else {
            return Err("there is no FileStreamSource".into());
        };
        let mut task = plugin.task();
        task.start(Arc::new(NoContext), &settings(&[("file", file), ("topic", &format!("raw-{topic}"))]))?;
        let mut chain = self.chain("source")?;
        let (mut key, mut value) = (self.json(ConverterRole::Key)?, self.json(ConverterRole::Value)?);
        let producer: ThreadedProducer<DefaultProducerContext> =
            self.client(&[("acks", "all"), ("enable.idempotence", "true"), ("linger.ms", "5")])?;
        let mut laps = Laps::begin();
        while let PollOutcome::Records(mut records) = task.poll()? {
            laps.count(records.len());
            laps.end("read lines");
            for (name, transform) in &mut chain {
                for record in &mut records {
                    transform.apply(&mut ConnectRecord::Source(record))?;
                }
                laps.end(name);
            }
            let messages: Vec<_> = records
                .iter()
                .map(|record| {
                    Ok((convert(&mut key, record, &record.key)?, convert(&mut value, record, &record.value)?))
                })
                .collect::<Result<_>>()?;
            laps.end("convert key and value");
            for (record, (key, value)) in records.iter().zip(&messages) {
                send(&producer, &mut laps, record, (key, value))?;
            }
            laps.end("hand to librdkafka");
            drop((records, messages));
            laps.end("let go");
        }
        producer.flush(Duration::from_secs(60))?;
        Ok(laps)
    }

    fn sink(&self, topic: &str, count: usize, file: &str) -> Result<Laps> {
        let Some(ConnectorClass::Sink(plugin)) = self.registry.connector("FileStreamSink") else {
            return Err("there is no FileStreamSink".into());
        };
        let mut task = plugin.task();
        task.start(Arc::new(NoContext), &settings(&[("file", file), ("topics", topic)]))?;
        let mut chain = self.chain("sink")?;
        let mut value = self.json(ConverterRole::Value)?;
        let consumer = self.consumer(topic)?;
        let topic: Arc<str> = topic.into();
        let mut left = count;
        let mut laps = Laps::begin();
        while left > 0 {
            let consumed = take(&consumer, &mut laps, left.min(BATCH))?;
            left -= consumed.len();
            laps.count(consumed.len());
            laps.end("take from librdkafka");
            let mut records = Vec::with_capacity(consumed.len());
            for (offset, timestamp, bytes) in &consumed {
                records.push(record(&topic, *offset, *timestamp, value.to_connect(&topic, bytes.as_ref())?));
            }
            laps.end("convert");
            for (name, transform) in &mut chain {
                for record in &mut records {
                    transform.apply(&mut ConnectRecord::Sink(record))?;
                }
                laps.end(name);
            }
            task.put(&records)?;
            laps.end("write lines");
            drop((records, consumed));
            laps.end("let go");
        }
        task.stop()?;
        Ok(laps)
    }

    fn chain(&self, which: &str) -> Result<Vec<Link>> {
        let links = self.chains[which].as_array().ok_or("a chain is a list")?;
        links.iter().map(|link| self.link(link)).collect()
    }

    fn link(&self, link: &Value) -> Result<Link> {
        let name = link[0].as_str().ok_or("a link begins with its class")?;
        let given = link[1].as_object().ok_or("a link has settings")?;
        let given = given.iter().map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()));
        let class = format!("org.apache.kafka.connect.transforms.{name}");
        let plugin = self.registry.transform(&class).ok_or_else(|| format!("there is no {class}"))?;
        Ok((format!("`{name}`"), plugin.transform(&settings(&given.collect::<Vec<_>>()))?))
    }

    fn json(&self, role: ConverterRole) -> Result<Box<dyn Converter>> {
        let plugin = self.registry.converter("JsonConverter").ok_or("there is no JsonConverter")?;
        Ok(plugin.converter(&Settings::new(), role)?)
    }

    fn consumer(&self, topic: &str) -> Result<BaseConsumer> {
        let settings =
            [("group.id", "stages"), ("enable.auto.commit", "false"), ("fetch.queue.backoff.ms", "5")];
        let consumer: BaseConsumer = self.client(&settings)?;
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic, 0, Offset::Beginning)?;
        consumer.assign(&assignment)?;
        Ok(consumer)
    }

    fn client<T: rdkafka::config::FromClientConfig>(&self, settings: &[(&str, &str)]) -> Result<T> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        for (key, value) in settings {
            config.set(*key, *value);
        }
        Ok(config.create()?)
    }
}

fn settings(entries: &[(&str, &str)]) -> Settings {
    entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn convert(
    converter: &mut Box<dyn Converter>,
    record: &SourceRecord,
    data: &SchemaAndValue,
) -> Result<Option<Bytes>> {
    Ok(converter.from_connect(&record.topic, data.schema.as_ref(), &data.value)?)
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    laps: &mut Laps,
    record: &SourceRecord,
    (key, value): (&Option<Bytes>, &Option<Bytes>),
) -> Result<()> {
    let mut outgoing = BaseRecord::<[u8], [u8]>::to(&record.topic);
    outgoing.key = key.as_deref();
    outgoing.payload = value.as_deref();
    outgoing.timestamp = record.timestamp;
    while let Err((error, again)) = producer.send(outgoing) {
        if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
            return Err(error.into());
        }
        laps.end("hand to librdkafka");
        std::thread::yield_now();
        laps.pass();
        outgoing = again;
    }
    Ok(())
}

/// Offset, timestamp and value of a record.
type Consumed = (i64, Option<i64>, Option<Bytes>);

fn take(consumer: &BaseConsumer, laps: &mut Laps, count: usize) -> Result<Vec<Consumed>> {
    let mut consumed = Vec::with_capacity(count);
    while consumed.len() < count {
        let message = match consumer.poll(Duration::ZERO) {
            Some(message) => message?,
            None => {
                laps.end("take from librdkafka");
                let message = consumer.poll(Duration::from_secs(30)).ok_or("no record for 30 s")??;
                laps.pass();
                message
            }
        };
        let value = message.payload().map(Bytes::copy_from_slice);
        consumed.push((message.offset(), message.timestamp().to_millis(), value));
    }
    Ok(consumed)
}

fn record(topic: &Arc<str>, offset: i64, timestamp: Option<i64>, value: SchemaAndValue) -> SinkRecord {
    SinkRecord {
        topic: Arc::clone(topic),
        partition: 0,
        offset,
        key: SchemaAndValue::null(),
        value,
        timestamp: timestamp.map(|millis| (millis, TimestampType::CreateTime)),
        headers: Vec::new(),
        original_topic: Arc::clone(topic),
        raw: None,
    }
}
