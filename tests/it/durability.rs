//! At least once: a worker that is killed at random moments loses no line on its way to a topic and no record on its
//! way to a file.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};

use crate::support::{SOON, Worker, WorkerSetup, kafka, wait_for};

const ROUNDS: usize = 50;
/// In so many rounds at least records must have moved, or the kills proved nothing.
const ROUNDS_WITH_RECORDS: usize = 5;

#[test]
fn kills_at_random_moments_lose_nothing() {
    let Some(kafka) = kafka() else { return };
    let mut random = Random::seeded();
    let (lines, records) = (kafka.topic("lines", 1), kafka.topic("records", 1));
    let source = [
        ("connector.class", "FileStreamSource"),
        ("file", "in.txt"),
        ("topic", &lines),
        ("batch.size", "50"),
    ];
    // A static member takes its place again at once: without that, the group waits for the dead one until its session
    // ends, and most rounds would pass before the sink gets a record.
    let group = kafka.unique("connect-sink");
    let sink = [
        ("connector.class", "FileStreamSink"),
        ("file", "out.txt"),
        ("topics", &records),
        ("consumer.override.group.id", &group),
        ("consumer.override.group.instance.id", "the-only-one"),
        ("consumer.override.session.timeout.ms", "6000"),
    ];
    let setup = WorkerSetup::new()
        .kafka(&kafka.bootstrap)
        .set("offset.flush.interval.ms", "50")
        .file("in.txt", "")
        .connector("source", &source)
        .connector("sink", &sink);
    let input = OpenOptions::new().append(true).open(setup.folder().join("in.txt")).unwrap();
    let mut worker = setup.start().healthy();

    let over = AtomicBool::new(false);
    let (written, produced, worker) = thread::scope(|scope| {
        let writer = scope.spawn(|| write_lines(input, &over));
        let producer = scope.spawn(|| produce_records(kafka.producer(), &records, &over));
        let end = SetWhenDropped(&over);
        let mut moved = (0, 0);
        for _ in 0..ROUNDS {
            let before = (committed(&worker), received(worker.folder()).len());
            thread::park_timeout(Duration::from_millis(50 + random.below(650)));
            moved.0 += usize::from(committed(&worker) != before.0);
            moved.1 += usize::from(received(worker.folder()).len() != before.1);
            worker = worker.kill_and_restart().healthy();
        }
        drop(end);
        println!(
            "rounds in which offsets of the source were committed and records reached the sink: {moved:?}"
        );
        assert!(moved.0 >= ROUNDS_WITH_RECORDS && moved.1 >= ROUNDS_WITH_RECORDS, "{moved:?}");
        (writer.join().unwrap(), producer.join().unwrap(), worker)
    });

    println!("{written} lines, {produced} records");
    assert!(written > 1000 && produced > 1000);
    let last = line(written - 1);
    let arrived: BTreeSet<_> =
        kafka.values_until(&lines, |values| values.last() == Some(&last)).into_iter().collect();
    assert_eq!(missing(written, &arrived), Vec::<String>::new(), "lines missing from the topic");
    wait_for("the drain of the sink", SOON, || {
        match missing(produced, &received(worker.folder()).into_iter().collect()) {
            missing if missing.is_empty() => Ok(()),
            missing => Err((missing.len(), missing.first().cloned(), missing.last().cloned())),
        }
    });
}

/// Ends the writers also when a round panics.
struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The text of a line and of a record; not ASCII only, and long enough that kills meet it half-written.
fn line(number: usize) -> String {
    format!("{number} größer als 線 {}", "x".repeat(number % 300))
}

fn missing(count: usize, arrived: &BTreeSet<String>) -> Vec<String> {
    (0..count).map(line).filter(|line| !arrived.contains(line)).collect()
}

/// Appends lines until it is over; gives their number.
fn write_lines(mut input: File, over: &AtomicBool) -> usize {
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            return number;
        }
        // In two pieces, so that the source meets lines that are not whole yet.
        let line = line(number) + "\n";
        let (begin, rest) = line.as_bytes().split_at(line.len() / 2);
        input.write_all(begin).unwrap();
        thread::park_timeout(Duration::from_micros(500));
        input.write_all(rest).unwrap();
    }
    unreachable!("the numbers do not end")
}

/// Produces records until it is over; gives the number of those that were acknowledged, which are all.
fn produce_records(
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    over: &AtomicBool,
) -> usize {
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            producer.flush(SOON).unwrap();
            return number;
        }
        producer.send(BaseRecord::<(), str>::to(topic).payload(&line(number))).unwrap();
        thread::park_timeout(Duration::from_micros(500));
    }
    unreachable!("the numbers do not end")
}

/// The offsets file as it is.
fn committed(worker: &Worker) -> Vec<u8> {
    fs::read(worker.folder().join("offsets")).unwrap()
}

/// The lines that the sink has written.
fn received(folder: &Path) -> Vec<String> {
    let bytes = fs::read(folder.join("out.txt")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
}

/// SplitMix64: moments that differ from run to run, and can be had again.
struct Random(u64);

impl Random {
    /// From `HERDSMAN_TEST_SEED`, or from the clock; printed, so that a failure can be repeated.
    fn seeded() -> Self {
        let seed = match std::env::var("HERDSMAN_TEST_SEED") {
            Ok(seed) => seed.parse().unwrap(),
            Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos().into(),
        };
        println!("HERDSMAN_TEST_SEED={seed}");
        Random(seed)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}
