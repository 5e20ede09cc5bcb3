//! Topics that source tasks create before their first record goes there.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use herdsman::api::Settings;
use herdsman::api::data::{SchemaAndValue, Value};
use herdsman::api::offset::OffsetMap;
use herdsman::api::record::SourceRecord;
use herdsman::api::source::PollOutcome;
use herdsman::config::topic_creation::TopicGroups;
use herdsman::kafka::embedded::EmbeddedBroker;
use herdsman::kafka::fault::{FaultKind, KafkaFault};
use herdsman::kafka::new_topics::Topics;
use herdsman::kafka::topic_admin::{Creation, TopicToCreate};
use herdsman::stdx::time::Deadline;
use herdsman::task::{Boundary, TaskEventKind, TaskSpec, TopicCreationSpec};

use crate::exactly_once::{guard, in_transactions};
use crate::plugins::{Lines, numbered};
use crate::support::{HOUR, Rig, wait_until};

/// What is asked of a cluster, and what it answers; topics come into being in the embedded broker, which cannot create any
/// itself.
#[derive(Clone)]
struct Cluster(Arc<Mutex<ClusterState>>);

struct ClusterState {
    broker: Arc<EmbeddedBroker>,
    asked: Vec<String>,
    /// What the next questions are answered with.
    looked_up: VecDeque<Result<bool, KafkaFault>>,
    created: VecDeque<Result<Creation, KafkaFault>>,
}

impl Topics for Cluster {
    fn exists(&mut self, topic: &str, _: Deadline) -> Result<bool, KafkaFault> {
        let mut state = self.0.lock().unwrap();
        state.asked.push(format!("{topic}?"));
        state.looked_up.pop_front().unwrap_or(Ok(false))
    }

    fn create(&mut self, topic: &TopicToCreate<'_>, _: Deadline) -> Result<Creation, KafkaFault> {
        let mut state = self.0.lock().unwrap();
        let TopicToCreate { name, partitions, replication, settings } = topic;
        state.asked.push(format!("{name} {partitions:?} {replication:?} {settings:?}"));
        state.created.pop_front().unwrap_or_else(|| {
            state.broker.create_topic(name, partitions.unwrap_or(1)).map(|()| Creation::Created)
        })
    }
}

impl Cluster {
    fn of(rig: &Rig) -> Self {
        let (looked_up, created) = (VecDeque::new(), VecDeque::new());
        let broker = Arc::clone(&rig.broker);
        Cluster(Arc::new(Mutex::new(ClusterState { broker, asked: Vec::new(), looked_up, created })))
    }

    fn with<R>(&self, look: impl FnOnce(&mut ClusterState) -> R) -> R {
        look(&mut self.0.lock().unwrap())
    }

    fn asked(&self) -> Vec<String> {
        self.with(|state| state.asked.clone())
    }

    /// The task with these settings below `topic.creation.`.
    fn creates(&self, spec: TaskSpec, settings: &[(&str, &str)]) -> TaskSpec {
        let settings: Settings = settings
            .iter()
            .map(|(key, value)| (format!("topic.creation.{key}"), (*value).to_owned()))
            .collect();
        let groups = Arc::new(TopicGroups::parse(&settings).unwrap().unwrap());
        let cluster = self.clone();
        let topics = Arc::new(move || Ok(Box::new(cluster.clone()) as Box<dyn Topics>));
        TaskSpec { topic_creation: Some(TopicCreationSpec { groups, topics }), ..spec }
    }
}

const DEFAULTS: [(&str, &str); 2] = [("default.replication.factor", "1"), ("default.partitions", "-1")];
const GROUPS: [(&str, &str); 6] = [
    ("default.replication.factor", "1"),
    ("default.partitions", "-1"),
    ("groups", "wide"),
    ("wide.include", "w.*"),
    ("wide.partitions", "3"),
    ("wide.cleanup.policy", "compact"),
];
const WIDE: &str = r#"wide Some(3) Some(1) {"cleanup.policy": "compact"}"#;

/// The next poll gives a record for each topic.
fn records(lines: &Lines, topics: &[&str]) {
    let record = |topic: &&str| SourceRecord {
        source_partition: Arc::new(OffsetMap::of("filename", "f")),
        source_offset: None,
        topic: (*topic).into(),
        partition: None,
        key: SchemaAndValue::default(),
        value: SchemaAndValue { schema: None, value: Value::string(*topic) },
        timestamp: None,
        headers: Vec::new(),
    };
    lines.with(|state| {
        let records = topics.iter().map(record).collect();
        state.answers.push_back(Ok(PollOutcome::Records(records)));
    });
}

#[test]
fn each_topic_is_looked_up_once_and_created_as_its_group_says() {
    let rig = Rig::new();
    let cluster = Cluster::of(&rig);
    let lines = Lines::default();
    records(&lines, &["wide", "other", "wide", "other", "wide"]);
    records(&lines, &["other", "wide"]);
    rig.start(1, cluster.creates(rig.lines(&lines), &GROUPS));
    assert_eq!(rig.consume("other", 0, 3).len(), 3);
    wait_until("all records of the wide topic", || {
        let count: i64 = (0..3).map(|partition| rig.count("wide", partition)).sum();
        (count == 4, count)
    });
    assert_eq!(cluster.asked(), ["wide?", WIDE, "other?", "other None Some(1) {}"]);
}

#[test]
fn a_topic_that_is_there_or_that_another_creates_is_taken_as_it_is() {
    let rig = Rig::new();
    let cluster = Cluster::of(&rig);
    rig.broker.create_topic("t", 1).unwrap();
    rig.broker.create_topic("u", 1).unwrap();
    cluster.with(|state| {
        state.looked_up.extend([Ok(true), Ok(false)]);
        state.created.push_back(Ok(Creation::Exists));
    });
    let lines = Lines::default();
    records(&lines, &["t", "u", "t"]);
    rig.start(1, cluster.creates(rig.lines(&lines), &DEFAULTS));
    rig.consume("t", 0, 2);
    rig.consume("u", 0, 1);
    assert_eq!(cluster.asked(), ["t?", "u?", "u None Some(1) {}"]);
}

#[test]
fn what_passes_is_tried_again_and_loses_nothing() {
    let away = || KafkaFault::other("ask", FaultKind::Unreachable, "no answer in time");
    let rig = Rig::new();
    let cluster = Cluster::of(&rig);
    cluster.with(|state| {
        state.looked_up.extend([Err(away()), Err(away()), Ok(false), Ok(false)]);
        state.created.push_back(Err(away()));
    });
    let lines = Lines::new("t", numbered(500));
    rig.start(1, cluster.creates(rig.lines(&lines), &[DEFAULTS[0], ("default.partitions", "1")]));
    assert_eq!(rig.consume("t", 0, 500), numbered(500));
    assert_eq!(cluster.asked()[..4], ["t?", "t?", "t?", "t Some(1) Some(1) {}"]);
    assert!(!rig.kinds().iter().any(|kind| matches!(kind, TaskEventKind::Failed { .. })));
}

#[test]
fn a_topic_that_cannot_be_fails_the_task_with_words() {
    let fault = |kind| KafkaFault::other("create the topic 't' (CreateTopics)", kind, "no");
    let denied = fault(FaultKind::TopicAuthorization);
    type Answers = (Option<KafkaFault>, Option<Creation>);
    let table: [(Answers, &[&str]); 4] = [
        (
            (None, Some(Creation::NotAllowed(denied.clone()))),
            &[
                "Task failed to create new topic (name=t, numPartitions=default, replicationFactor=1, ",
                "Ensure that the task is authorized to create topics or that the topic exists and restart the task",
                "Caused by: org.apache.kafka.common.errors.TopicAuthorizationException",
            ],
        ),
        (
            (None, Some(Creation::TooFewBrokers(fault(FaultKind::Other)))),
            &["Unable to create topic(s) 't': ", "Change topic.creation.default.* of the connector"],
        ),
        ((Some(denied), None), &["Not authorized to describe topic(s) 't'"]),
        ((Some(fault(FaultKind::Authentication)), None), &["sasl.jaas.config"]),
    ];
    for ((looked_up, created), words) in table {
        let rig = Rig::new();
        let cluster = Cluster::of(&rig);
        cluster.with(|state| {
            state.looked_up.extend(looked_up.map(Err));
            state.created.extend(created.map(Ok));
        });
        rig.start(1, cluster.creates(rig.lines(&Lines::new("t", numbered(3))), &DEFAULTS));
        let trace = rig.wait_for_failure(1);
        for word in words {
            assert!(trace.contains(word), "no «{word}» in:\n{trace}");
        }
        assert_eq!(rig.offsets.position("f"), None);
    }
}

#[test]
fn a_task_that_waits_for_a_topic_hears_that_it_is_to_stop() {
    let rig = Rig::new();
    let cluster = Cluster::of(&rig);
    let mut spec = cluster.creates(rig.lines(&Lines::new("t", numbered(3))), &DEFAULTS);
    let held = Arc::new(Mutex::new(()));
    let hold = held.lock().unwrap();
    let (of_topics, creation) = (Arc::clone(&held), spec.topic_creation.take().unwrap());
    let topics = Arc::clone(&creation.topics);
    let waits = Arc::new(move || {
        drop(of_topics.lock());
        topics()
    });
    spec.topic_creation = Some(TopicCreationSpec { topics: waits, ..creation });
    spec.stop_timeout = HOUR;
    let task = rig.start(1, spec);
    rig.wait_for(1, &TaskEventKind::Started);
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    drop(hold);
    assert_eq!(rig.offsets.position("f"), None);
}

#[test]
fn a_source_in_transactions_creates_its_topics_too() {
    let rig = Rig::new();
    let cluster = Cluster::of(&rig);
    let lines = Lines::new("wide", numbered(100));
    let spec = in_transactions(&rig, &lines, Boundary::Poll, &guard(None));
    let task = rig.start(1, cluster.creates(spec, &GROUPS));
    wait_until("the offset", || (rig.offsets.position("f") == Some(100), rig.offsets.position("f")));
    task.stop();
    rig.wait_for(1, &TaskEventKind::Stopped);
    assert_eq!(cluster.asked(), ["wide?", WIDE]);
    let counts: Vec<_> = (0..3).map(|partition| rig.count("wide", partition)).collect();
    assert!(counts.iter().sum::<i64>() >= 100, "{counts:?}");
}

#[test]
fn topics_are_told_again_when_they_were_forgotten() {
    let rig = Rig::new();
    let lines = Lines::new("t", numbered(3));
    let task = rig.start(1, rig.lines(&lines));
    let told = || rig.kinds().into_iter().filter(|kind| *kind == TaskEventKind::Topic("t".into())).count();
    wait_until("the topic", || (told() == 1, told()));
    task.tell_topics();
    lines.with(|state| state.lines = numbered(6));
    wait_until("the topic again", || (told() == 2, told()));
    lines.with(|state| state.lines = numbered(9));
    wait_until("the last line", || (rig.offsets.position("f") == Some(9), rig.offsets.position("f")));
    assert_eq!(told(), 2);
}
