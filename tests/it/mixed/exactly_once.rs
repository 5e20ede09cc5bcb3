//! Exactly-once sources (KIP-618) in a group of both kinds: whoever leads, whoever runs a task and whoever is killed, a
//! reader of committed records sees each number of each task once, in order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::cluster::Cluster;
use super::cluster::Kind::{self, Java, Ours};
use super::cluster::Request;
use super::shape::expect_status;
use super::tape::Tape;
use crate::support::{Kafka, kafka, try_send, wait_for};

/// How long it may take until all tasks count on after somebody was killed: a broker that is told to abort a transaction, a
/// member that is buried, a worker of Apache's that starts.
const RECOVERED: Duration = Duration::from_secs(150);
/// How far each task counts until something else happens.
const SOME: u64 = 40;
/// How often a task counts in a second.
const THROUGHPUT: &str = "40";

const SUPPORT: &str = "exactly.once.source.support";

#[test]
#[ignore = "long: scripts/test --long"]
fn tasks_move_between_the_kinds_and_no_number_is_lost_or_repeated() {
    let Some(kafka) = kafka() else { return };
    let mut cluster = Cluster::new(&kafka, "eo-moves", &[(SUPPORT, "enabled")]);
    cluster.start_all(&[Java, Ours]);
    let mut source = Source::create(&kafka, &cluster, 4);
    source.counts_on(&cluster, Repeats::None);
    for (victim, leader) in [(Ours, Java), (Java, Java), (Java, Ours), (Ours, Ours)] {
        cluster.led_by(leader);
        source.counts_on(&cluster, Repeats::None);
        source.is_on_both(&cluster);
        let index = cluster.members.iter().position(|member| member.kind == victim).unwrap();
        cluster.kill(index);
        // All that the dead one had is with the other kind now.
        source.counts_on(&cluster, Repeats::None);
        cluster.start(victim);
        cluster.settled();
        source.counts_on(&cluster, Repeats::None);
    }
    source.end("moves between the kinds");
}

#[test]
#[ignore = "long: scripts/test --long"]
fn leaders_of_both_kinds_shut_out_earlier_tasks_for_followers_of_both_kinds() {
    let Some(kafka) = kafka() else { return };
    let mut cluster = Cluster::new(&kafka, "eo-fences", &[(SUPPORT, "enabled")]);
    cluster.start_all(&[Ours, Java]);
    let mut source = Source::create(&kafka, &cluster, 4);
    source.counts_on(&cluster, Repeats::None);
    for leader in [Ours, Java, Ours] {
        cluster.led_by(leader);
        for (member, tasks) in [(0, 3), (1, 5), (0, 4)] {
            source.reconfigure(&cluster, member, tasks);
            source.counts_on(&cluster, Repeats::None);
            // The tasks of the follower began, so it asked the leader, and was believed.
            source.is_on_both(&cluster);
            assert_eq!(source.tasks_of_last_fencing(), u64::from(tasks), "led by {leader:?}");
        }
    }
    for member in &cluster.members {
        let path = format!("{}/fence", source.path());
        let unsigned = try_send(&member.url, "PUT", &path, None).unwrap();
        expect_status(&unsigned, 400, member);
    }
    source.end("fencing across the kinds");
}

#[test]
#[ignore = "long: scripts/test --long"]
fn a_group_of_both_kinds_is_upgraded_while_it_works() {
    let Some(kafka) = kafka() else { return };
    let mut cluster = Cluster::new(&kafka, "eo-upgrade", &[(SUPPORT, "disabled")]);
    cluster.start_all(&[Java, Ours]);
    let mut source = Source::create(&kafka, &cluster, 3);
    source.counts_on(&cluster, Repeats::Possible);
    for support in ["preparing", "enabled"] {
        for _ in 0..cluster.members.len() {
            // The first of them is always one that has not had its turn.
            let kind = cluster.stop(0);
            source.counts_on(&cluster, Repeats::Possible);
            cluster.start_with(kind, &[(SUPPORT, support)]);
            cluster.settled();
            source.counts_on(&cluster, Repeats::Possible);
        }
    }
    source.counts_on(&cluster, Repeats::None);
    for victim in [Java, Ours] {
        source.is_on_both(&cluster);
        let index = cluster.members.iter().position(|member| member.kind == victim).unwrap();
        cluster.kill(index);
        source.counts_on(&cluster, Repeats::None);
        cluster.start_with(victim, &[(SUPPORT, "enabled")]);
        cluster.settled();
        source.counts_on(&cluster, Repeats::None);
    }
    source.end("upgrade by way of preparing");
}

/// Whether a number may come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeats {
    None,
    Possible,
}

/// A source whose tasks count up, and what a reader of committed records has seen of it.
struct Source {
    name: String,
    topic: String,
    tasks: u32,
    numbers: Tape,
    configs: Tape,
    looked_at: usize,
    /// The number that each task is to say next, by its id.
    next: BTreeMap<String, u64>,
    restarts: u32,
    began: Instant,
}

impl Source {
    fn create(kafka: &Kafka, cluster: &Cluster<'_>, tasks: u32) -> Self {
        let topic = kafka.topic("numbers", 1);
        let mut source = Source {
            name: format!("{}-numbers", cluster.group),
            numbers: Tape::of(kafka, &topic),
            configs: Tape::of(kafka, &format!("{}-configs", cluster.group)),
            topic,
            tasks,
            looked_at: 0,
            next: BTreeMap::new(),
            restarts: 0,
            began: Instant::now(),
        };
        source.reconfigure(cluster, 0, tasks);
        source
    }

    fn path(&self) -> String {
        format!("/connectors/{}", self.name)
    }

    /// Has a member give it so many tasks.
    fn reconfigure(&mut self, cluster: &Cluster<'_>, member: usize, tasks: u32) {
        let config = json!({
            "connector.class": "org.apache.kafka.connect.tools.VerifiableSourceConnector", "topic": self.topic,
            "throughput": THROUGHPUT, "tasks.max": tasks.to_string(),
        });
        let put = Request { method: "PUT", path: format!("{}/config", self.path()), body: Some(config) };
        let answer = cluster.ask(member, &put);
        let status = if self.next.is_empty() { 201 } else { 200 };
        expect_status(&answer, status, &put);
        self.tasks = tasks;
    }

    /// Waits until each task has counted on. No number is left out, and none comes again unless that is possible.
    fn counts_on(&mut self, cluster: &Cluster<'_>, repeats: Repeats) {
        // What is there already was said before.
        self.numbers.read_to_end();
        self.look(repeats);
        let goals: Vec<u64> = (0..self.tasks).map(|task| self.next_of(task) + SOME).collect();
        let start = Instant::now();
        while (0..).zip(&goals).any(|(task, goal)| self.next_of(task) < *goal) {
            self.numbers.read_on(Duration::from_millis(100));
            self.look(repeats);
            self.restart_what_failed(cluster);
            let status = || self.status(cluster);
            assert!(start.elapsed() < RECOVERED, "{:?} of {goals:?}; {:?}", self.next, status());
        }
    }

    fn next_of(&self, task: u32) -> u64 {
        self.next.get(&task.to_string()).copied().unwrap_or(0)
    }

    fn look(&mut self, repeats: Repeats) {
        for record in &self.numbers.records[self.looked_at..] {
            let number: u64 = record.value.as_deref().unwrap().parse().unwrap();
            let next = self.next.entry(record.key.clone()).or_default();
            if number < *next && repeats == Repeats::Possible {
                continue;
            }
            assert_eq!(number, *next, "what task {} says next", record.key);
            *next += 1;
        }
        self.looked_at = self.numbers.records.len();
    }

    /// Its status at any member that gives it.
    fn status(&self, cluster: &Cluster<'_>) -> Option<Json> {
        let path = format!("{}/status", self.path());
        let answers =
            cluster.members.iter().filter_map(|member| try_send(&member.url, "GET", &path, None).ok());
        answers.into_iter().find(|answer| answer.status == 200).map(|answer| answer.json())
    }

    /// A task fails, as in Apache, whose leader dies while it shuts others out for it; somebody restarts it.
    fn restart_what_failed(&mut self, cluster: &Cluster<'_>) {
        let status = self.status(cluster).unwrap_or_default();
        let tasks = status["tasks"].as_array().cloned().unwrap_or_default();
        if tasks.iter().any(|task| task["state"] == "FAILED") {
            eprintln!("  restarted: {status}");
            self.restarts += 1;
            let path = format!("{}/restart?includeTasks=true&onlyFailed=true", self.path());
            drop(try_send(&cluster.members[0].url, "POST", &path, None));
        }
    }

    /// Waits until every member runs at least one of its tasks.
    fn is_on_both(&self, cluster: &Cluster<'_>) {
        wait_for("tasks on every member", RECOVERED, || {
            let status = self.status(cluster).unwrap_or_default();
            let tasks = status["tasks"].as_array().cloned().unwrap_or_default();
            let runs = |kind: Kind| {
                let mut members = cluster.members.iter().filter(|member| member.kind == kind);
                members.any(|member| tasks.iter().any(|task| task["worker_id"] == member.worker_id()))
            };
            if runs(Java) && runs(Ours) { Ok(()) } else { Err(status) }
        });
    }

    /// For how many tasks the last fencing was recorded.
    fn tasks_of_last_fencing(&mut self) -> u64 {
        let key = format!("tasks-fencing-{}", self.name);
        let mut records = self.configs.read_to_end().iter().filter(|record| record.key == key);
        let last = records.next_back().and_then(|record| record.value.clone()).unwrap_or_default();
        let value: Json = serde_json::from_str(&last).unwrap_or_default();
        value["task-count"].as_u64().unwrap_or_else(|| panic!("no count of tasks in {last:?}"))
    }

    /// Tells what was shown.
    fn end(self, what: &str) {
        eprintln!(
            "{what}: {} numbers of {} tasks, {} restarts of failed tasks, in {} s",
            self.next.values().sum::<u64>(),
            self.next.len(),
            self.restarts,
            self.began.elapsed().as_secs()
        );
    }
}
