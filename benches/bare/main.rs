//! What `scripts/bench` compares with: the least that a program with librdkafka must do for the same work, and the
//! load for the REST API.
//!
//! ```text
//! bare produce BOOTSTRAP TOPIC FILE         each line of the file as a record; prints the seconds until all are acknowledged
//! bare consume BOOTSTRAP TOPIC COUNT FILE   that many records as lines; prints the seconds until all are written
//! bare offsets BOOTSTRAP TOPIC COUNT        that many offsets of a file source, as a Connect worker keeps them
//! bare watch BOOTSTRAP TOPIC COUNT SECONDS  waits until the topic holds that many records
//! bare load HOST:PORT PATH CONNECTIONS SECONDS   requests over kept connections; prints their rate and times as JSON
//! bare say COUNT ACKS                       is the program of an exec source, and says that many records
//! ```

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::time::{Duration, Instant};

use rdkafka::config::{ClientConfig, FromClientConfig};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, ToBytes};
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Offset, TopicPartitionList};

mod load;
mod say;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["produce", bootstrap, topic, file] => produce(bootstrap, topic, file),
        ["consume", bootstrap, topic, count, file] => consume(bootstrap, topic, count.parse()?, file),
        ["offsets", bootstrap, topic, count] => offsets(bootstrap, topic, count.parse()?),
        ["watch", bootstrap, topic, count, seconds] => {
            watch(bootstrap, topic, count.parse()?, seconds.parse()?)
        }
        ["load", address, path, connections, seconds] => {
            load::load(address, path, connections.parse()?, Duration::from_secs_f64(seconds.parse()?))
        }
        ["say", count, acks] => say::say(count.parse()?, acks.parse()?),
        // Without arguments there is nothing to compare: `cargo bench` alone runs this.
        _ => {
            println!("use scripts/bench");
            Ok(())
        }
    }
}

fn now() -> Instant {
    herdsman::stdx::time::Clock.now().instant
}

fn client<T: FromClientConfig>(bootstrap: &str, settings: &[(&str, &str)]) -> Result<T> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    for (key, value) in settings {
        config.set(*key, *value);
    }
    Ok(config.create()?)
}

fn producer(bootstrap: &str) -> Result<ThreadedProducer<DefaultProducerContext>> {
    client(bootstrap, &[("acks", "all"), ("enable.idempotence", "true"), ("linger.ms", "5")])
}

fn send<K: ToBytes + ?Sized>(
    producer: &ThreadedProducer<DefaultProducerContext>,
    mut record: BaseRecord<'_, K, [u8]>,
) -> Result<()> {
    while let Err((error, again)) = producer.send(record) {
        if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
            return Err(error.into());
        }
        std::thread::yield_now();
        record = again;
    }
    Ok(())
}

fn produce(bootstrap: &str, topic: &str, file: &str) -> Result<()> {
    let start = now();
    let producer = producer(bootstrap)?;
    let mut lines = BufReader::with_capacity(256 * 1024, File::open(file)?);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        let payload = line.strip_suffix(b"\n").unwrap_or(&line);
        send(&producer, BaseRecord::<(), [u8]>::to(topic).partition(0).payload(payload))?;
        line.clear();
    }
    producer.flush(Duration::from_secs(60))?;
    println!("{:.4}", (now() - start).as_secs_f64());
    Ok(())
}

fn offsets(bootstrap: &str, topic: &str, count: u64) -> Result<()> {
    let producer = producer(bootstrap)?;
    for number in 0..count {
        let key = format!(r#"["files-{}",{{"filename":"/var/spool/input/{number}.log"}}]"#, number % 100);
        let value = format!(r#"{{"position":{number}}}"#);
        send(&producer, BaseRecord::<str, [u8]>::to(topic).key(&key).payload(value.as_bytes()))?;
    }
    producer.flush(Duration::from_secs(60))?;
    Ok(())
}

fn consume(bootstrap: &str, topic: &str, count: u64, file: &str) -> Result<()> {
    let start = now();
    let settings = [
        ("group.id", "bare"),
        ("enable.auto.commit", "false"),
        ("auto.offset.reset", "earliest"),
        // As the worker has it: with the default of a second the loop mostly waits.
        ("fetch.queue.backoff.ms", "5"),
    ];
    let consumer: BaseConsumer = client(bootstrap, &settings)?;
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, 0, Offset::Beginning)?;
    consumer.assign(&assignment)?;
    let mut lines = BufWriter::with_capacity(256 * 1024, File::create(file)?);
    for _ in 0..count {
        let record = consumer.poll(Duration::from_secs(30)).ok_or("no record for 30 s")??;
        lines.write_all(record.payload().unwrap_or_default())?;
        lines.write_all(b"\n")?;
    }
    lines.flush()?;
    println!("{:.4}", (now() - start).as_secs_f64());
    Ok(())
}

fn watch(bootstrap: &str, topic: &str, count: i64, seconds: u64) -> Result<()> {
    let producer: BaseProducer = client(bootstrap, &[])?;
    let deadline = now() + Duration::from_secs(seconds);
    let mut last = None;
    while now() < deadline {
        match producer.client().fetch_watermarks(topic, 0, Duration::from_secs(5)) {
            Ok((_, high)) if high >= count => return Ok(()),
            other => last = Some(other),
        }
        producer.poll(Duration::from_millis(5));
    }
    Err(format!("not {count} records in {seconds} s; last seen: {last:?}").into())
}
