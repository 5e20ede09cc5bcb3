//! A coordinator whose broker dies while others live: one of them takes its place.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use serde_json::json;

use crate::own_kafka::OwnKafka;
use crate::support::{Kafka, SOON, Worker, WorkerSetup, kafka, wait_for, wait_until};

/// From the loss of contact to the 500: `heartbeat.interval.ms`, and the time that a health request is held.
const NOTICED_MAX: Duration = Duration::from_secs(3 + 10);
/// From the new coordinator to the 200.
const BACK_MAX: Duration = Duration::from_secs(2);
/// How long the other brokers may take to agree that one of them is the coordinator: `broker.session.timeout.ms` is 9 s.
const REPLACED_MAX: Duration = Duration::from_secs(40);
const LINES: usize = 100;

/// Three brokers, and what is known of who coordinates what.
struct Brokers {
    own: OwnKafka,
    kafka: Kafka,
    consumer: BaseConsumer,
}

impl Brokers {
    fn start() -> Self {
        let own = OwnKafka::start(&["--brokers", "3"]);
        let kafka = Kafka { bootstrap: own.address("bootstrap"), dir: own.dir() };
        // The topic of the groups is made when the first of them comes.
        let topic = kafka.topic("first", 1);
        kafka.produce(&topic, ["first"]);
        kafka.values_until(&topic, |values| values.len() == 1);
        let consumer = kafka.client().create().unwrap();
        Brokers { own, kafka, consumer }
    }

    /// The broker that leads each partition of the topic of the groups; none where it is being replaced.
    fn coordinators(&self) -> Vec<i32> {
        // Whoever is asked may be the one that is dead.
        let patience = Duration::from_millis(200);
        let Ok(metadata) = self.consumer.fetch_metadata(Some("__consumer_offsets"), patience) else {
            return Vec::new();
        };
        let mut partitions: Vec<_> = metadata.topics()[0].partitions().iter().collect();
        partitions.sort_by_key(|partition| partition.id());
        partitions.into_iter().map(|partition| partition.leader()).collect()
    }

    /// A group whose coordinator can die while the controller, the first broker, lives; its partition; and that broker.
    fn group(&self) -> (String, usize, i32) {
        let coordinators = wait_for("a leader for each partition", SOON, || {
            let coordinators = self.coordinators();
            let all_lead = !coordinators.is_empty() && coordinators.iter().all(|id| *id > 0);
            if all_lead { Ok(coordinators) } else { Err(coordinators) }
        });
        let of = |group: String| {
            let partition = partition_of(&group, coordinators.len());
            (group, partition, coordinators[partition])
        };
        let mut groups = (0..1000).map(|number| of(format!("replaced-{number}")));
        groups.find(|(_, _, coordinator)| *coordinator != 1).unwrap()
    }

    /// Ends a broker other than the first as a power failure would.
    fn kill(&self, broker: i32) {
        self.own.script_below(&format!("broker-{broker}"), "kill");
    }
}

/// The partition of the topic of the groups that holds a group: Java's hash of its name decides.
fn partition_of(group: &str, partitions: usize) -> usize {
    let hash = group.bytes().fold(0_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)));
    hash.unsigned_abs() as usize % partitions
}

/// Lines that a source reads from a file and a sink writes to another.
struct Lines {
    worker: Worker,
    topic: String,
    written: usize,
}

impl Lines {
    fn start(brokers: &Brokers, group: &str) -> Self {
        let setup = WorkerSetup::distributed(group).kafka(&brokers.kafka.bootstrap).file("in", "");
        let topics =
            ["config", "offset", "status"].map(|topic| format!("{topic}.storage.replication.factor"));
        let setup = topics.iter().fold(setup, |setup, setting| setup.set(setting, "2"));
        let worker = setup.start().healthy();
        let topic = format!("{group}-lines");
        // With as many replicas as the brokers give by themselves.
        brokers.own.script("topic", &["create", &topic]);
        let mut lines = Lines { worker, topic, written: 0 };
        let [input, output] = ["in", "out"].map(|name| lines.worker.folder().join(name));
        lines.create(
            "source",
            &json!({"connector.class": "FileStreamSource", "file": input, "topic": lines.topic}),
        );
        lines.append();
        lines.create(
            "sink",
            &json!({"connector.class": "FileStreamSink", "file": output, "topics": lines.topic}),
        );
        lines
    }

    fn create(&self, name: &str, config: &serde_json::Value) {
        let body = json!({"name": name, "config": config});
        let created = self.worker.send("POST", "/connectors", Some(&body));
        assert_eq!(created.status, 201, "{created:?}");
    }

    fn append(&mut self) {
        let mut input = fs::OpenOptions::new().append(true).open(self.worker.folder().join("in")).unwrap();
        for number in self.written..self.written + LINES {
            writeln!(input, "line {number}").unwrap();
        }
        self.written += LINES;
    }

    /// Waits until all lines have come through, some perhaps twice, and the offset says so.
    fn come_through(&self) {
        let all = || (0..self.written).map(|number| format!("line {number}"));
        wait_until("all lines", 2 * SOON, || {
            let text = fs::read_to_string(self.worker.folder().join("out")).unwrap_or_default();
            let lines: BTreeSet<&str> = text.lines().collect();
            all().all(|line| lines.contains(line.as_str()))
        });
        let length = all().map(|line| line.len() + 1).sum::<usize>();
        wait_for("the offset", SOON, || {
            let answer = self.worker.get("/connectors/source/offsets");
            let position = answer.json().pointer("/offsets/0/offset/position").cloned();
            if position == Some(json!(length)) { Ok(()) } else { Err(answer) }
        });
    }
}

/// Asks for health until another broker is the coordinator and the worker is healthy with it.
fn is_replaced(brokers: &Brokers, worker: &Worker, partition: usize, dead: i32) {
    let lost = Instant::now();
    let (mut noticed, mut replaced) = (None, None::<Instant>);
    let replaced = wait_for("another coordinator, and healthy with it", REPLACED_MAX, || {
        let answer = worker.get("/health?timeout=300&verbose=true");
        if answer.status != 200 {
            assert_eq!(answer.status, 500, "{answer:?}");
            noticed.get_or_insert(lost.elapsed());
        }
        match replaced {
            Some(at) if answer.status == 200 => return Ok(at),
            Some(at) => assert!(at.elapsed() < BACK_MAX, "{answer:?}\n{}", worker.log()),
            None => {
                let coordinator = brokers.coordinators().get(partition).copied();
                let is_other = coordinator.is_some_and(|id| id > 0 && id != dead);
                replaced = is_other.then(Instant::now);
            }
        }
        Err(answer)
    });
    eprintln!(
        "died: 500 after {noticed:?}, another coordinator after {:?}, 200 after {:?}",
        replaced - lost,
        lost.elapsed()
    );
    let in_time = noticed.map_or(replaced - lost < NOTICED_MAX, |took| took < NOTICED_MAX);
    assert!(in_time, "500 after {noticed:?}, another coordinator after {:?}", replaced - lost);
}

#[test]
#[ignore = "long: scripts/test --long"]
fn a_coordinator_whose_broker_dies_is_replaced_and_nothing_is_lost() {
    if kafka().is_none() {
        return;
    }
    let brokers = Brokers::start();
    let (group, partition, coordinator) = brokers.group();
    let mut lines = Lines::start(&brokers, &group);
    lines.come_through();
    brokers.kill(coordinator);
    lines.append();
    is_replaced(&brokers, &lines.worker, partition, coordinator);
    lines.come_through();
    assert_eq!(lines.worker.get("/connectors").json(), json!(["sink", "source"]));
    for name in ["source", "sink"] {
        lines.worker.task_state(name, 0, "RUNNING");
    }
    // What the topics hold is what was written.
    lines.worker = lines.worker.kill_and_restart().healthy();
    assert_eq!(lines.worker.get("/connectors").json(), json!(["sink", "source"]));
    lines.append();
    lines.come_through();
    let values = brokers.kafka.values_until(&lines.topic, |values| {
        values.last().is_some_and(|last| *last == format!("line {}", lines.written - 1))
    });
    let repeated = values.len() - lines.written;
    eprintln!("{} lines, {repeated} of them twice", lines.written);
    assert!(repeated < LINES, "the source has gone on where it was: {repeated} lines came twice");
}
