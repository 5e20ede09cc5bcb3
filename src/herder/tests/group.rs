//! A worker in a group: into a generation, through a rebalance, and what a health request waits for.

mod leading;
mod tasks;
mod topics;
mod work;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;

use super::world::{registry, settings_of};
use crate::api::Settings;
use crate::api::ids::{ConfigOffset, ConnectorName, Epoch, Generation, MemberId, TaskId, WorkerId};
use crate::api::source::AlterOffsets;
use crate::connector::{ConnectorEvent, ConnectorEventKind};
use crate::group::events::{GroupEvent, MemberCommand, RejoinCause};
use crate::group::protocol::{Assignment, AssignmentError, ConnectProtocol, Metadata, ProtocolVersion};
use crate::health::StartupPhase;
use crate::herder::msg::{
    Answer, AskForFencing, Effect, Effects, Exit, FenceTasks, HerderError, HerderEvent, OffsetsDraft,
    OperationId, Request, TopicsEvent,
};
use crate::herder::session_key::KeySettings;
use crate::herder::{GroupSettings, Herder, HerderSettings, Random};
use crate::stdx::java_mac::MacAlgorithm;
use crate::stdx::reply::{Pending, reply};
use crate::stdx::time::{Clock, Now};
use crate::store::config_records::{ConfigRecord, stored};
use crate::store::config_write::ConfigWrite;
use crate::store::status_records::{StatusOf, StatusRecord, TopicUse};
use crate::store::status_table::StatusWrite;
use crate::task::{TaskEvent, TaskEventKind};

const OURS: &str = "http://ours:8083/";
pub(super) const OTHERS: &str = "http://other:8083/";

/// A herder of a group, and what it wants done, as far as that is not answered by the story.
pub(super) struct Member {
    pub(super) herder: Herder,
    pub(super) now: Now,
    phase: StartupPhase,
    commands: Vec<MemberCommand>,
    pub(super) writes: Vec<(ConfigWrite, Option<OperationId>)>,
    pub(super) reads: Vec<OperationId>,
    pub(super) fencings: Vec<FenceTasks>,
    pub(super) asked: Vec<AskForFencing>,
    submits: Vec<OperationId>,
    claims: Vec<OperationId>,
    /// Checks of settings that are under way.
    checks: Vec<OperationId>,
    /// Tasks that were started and not stopped since, and those that were stopped.
    pub(super) started: Vec<(TaskId, Epoch)>,
    pub(super) stopped: Vec<(TaskId, Epoch)>,
    started_instances: Vec<(ConnectorName, Epoch)>,
    stopped_instances: Vec<(ConnectorName, Epoch)>,
    /// Connectors that were asked for their tasks since the last look.
    asked_for_tasks: Vec<(ConnectorName, Epoch)>,
    /// What was written of connectors and tasks since the last look, e.g. `a-0 UNASSIGNED`.
    said: Vec<String>,
    /// Changes of offsets that are under way.
    pub(super) modified: usize,
    exits: Vec<Exit>,
    /// What was called since the last look, in order, e.g. `start a-0`.
    called: Vec<String>,
    /// The statuses that were to be written since the last look.
    statuses: Vec<StatusWrite>,
    offset: i64,
    generation: i32,
}

impl Member {
    /// One whose internal topics are not read yet.
    pub(super) fn new() -> Self {
        let keys = KeySettings {
            key_algorithm: MacAlgorithm::HmacSha256,
            key_bytes: 32,
            ttl: Duration::from_secs(3600),
            signature: MacAlgorithm::HmacSha256,
            verification: vec![MacAlgorithm::HmacSha256],
        };
        let group = GroupSettings {
            url: OURS.to_owned(),
            protocol: ConnectProtocol::Sessioned,
            delay_max: Duration::ZERO,
            sync_timeout: Duration::from_secs(3),
            unsync_backoff: Duration::from_secs(300),
            keys,
            transactional: false,
            exactly_once: true,
        };
        let settings = HerderSettings {
            worker: WorkerId::new("ours:8083"),
            registry: registry(),
            task_stop_timeout: Duration::from_secs(3),
            group: Some(group),
            random: Random(Arc::new(|bytes| {
                bytes.fill(7);
                Ok(())
            })),
        };
        let now = Now { instant: Clock.now().instant, wall: Timestamp::UNIX_EPOCH };
        Member {
            herder: Herder::new(settings, Vec::new(), now),
            now,
            phase: StartupPhase::Starting,
            commands: Vec::new(),
            writes: Vec::new(),
            reads: Vec::new(),
            fencings: Vec::new(),
            asked: Vec::new(),
            submits: Vec::new(),
            claims: Vec::new(),
            checks: Vec::new(),
            started: Vec::new(),
            stopped: Vec::new(),
            started_instances: Vec::new(),
            stopped_instances: Vec::new(),
            asked_for_tasks: Vec::new(),
            said: Vec::new(),
            modified: 0,
            exits: Vec::new(),
            called: Vec::new(),
            statuses: Vec::new(),
            offset: 0,
            generation: 0,
        }
    }

    /// One that leads a group of itself, and has its key.
    pub(super) fn leading() -> Self {
        let mut member = Member::new();
        member.event(HerderEvent::Topics(TopicsEvent::Read));
        member.join_as_leader();
        member.write_all();
        member
    }

    pub(super) fn event(&mut self, event: HerderEvent) -> Option<Instant> {
        let mut effects = Effects::default();
        let wakeup = self.herder.tick(self.now, event, &mut effects);
        for effect in effects.drain() {
            #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else is looked at")]
            match effect {
                Effect::Phase(phase) => self.phase = phase,
                Effect::Member(command) => self.commands.push(command),
                Effect::WriteConfig(write, operation) => self.writes.push((write, operation)),
                Effect::CatchUp(operation, _) => self.reads.push(operation),
                Effect::ClaimConfigTopic(operation) => self.claims.push(operation),
                Effect::Validate(operation, _) => self.checks.push(operation),
                Effect::SubmitTasks(submit) => self.submits.push(submit.operation),
                Effect::WriteStatus(write) => {
                    self.said.push(said(&write.record()));
                    self.statuses.push(write);
                }
                Effect::WriteStatusRecords(records) => self.said.extend(records.iter().map(said)),
                Effect::ModifyOffsets(..) => self.modified += 1,
                Effect::StartConnector { name, epoch, .. } => {
                    self.called.push(format!("start {name}"));
                    self.started_instances.push((name, epoch));
                }
                Effect::MakeTaskConfigs(name, epoch) => self.asked_for_tasks.push((name, epoch)),
                Effect::StopConnector(name, epoch) => {
                    self.called.push(format!("stop {name}"));
                    self.stopped_instances.push((name, epoch));
                }
                Effect::StartTask(task) => {
                    self.called.push(format!("start {}", task.id));
                    self.started.push((task.id, task.epoch));
                }
                Effect::StopTask(id, epoch) => {
                    self.called.push(format!("stop {id}"));
                    self.started.retain(|started| *started != (id.clone(), epoch));
                    self.stopped.push((id, epoch));
                }
                Effect::TellTopics(id, _) => self.called.push(format!("topics {id}")),
                Effect::FenceTasks(fence) => self.fencings.push(*fence),
                Effect::AskForFencing(ask) => self.asked.push(*ask),
                Effect::Exit(exit) => self.exits.push(exit),
                _ => {}
            }
        }
        effects.give_answers();
        wakeup
    }

    pub(super) fn group(&mut self, event: GroupEvent) {
        self.event(HerderEvent::Group(event));
    }

    /// What was told to the member since the last call, by name.
    fn told(&mut self) -> Vec<&'static str> {
        let name = |command: MemberCommand| match command {
            MemberCommand::Join(_) => "join",
            MemberCommand::Assign { .. } => "assign",
            MemberCommand::Probe => "probe",
            MemberCommand::Leave { reason } => reason,
        };
        self.commands.drain(..).map(name).collect()
    }

    /// The metadata of the join that was asked for.
    pub(super) fn joins_with(&mut self) -> Metadata {
        let join = self.commands.drain(..).find_map(|command| match command {
            MemberCommand::Join(protocols) => Some(protocols),
            MemberCommand::Assign { .. } | MemberCommand::Probe | MemberCommand::Leave { .. } => None,
        });
        let protocols = join.expect("it does not join");
        assert_eq!(
            protocols.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
            ["sessioned", "compatible", "default"]
        );
        Metadata::decode(&protocols[0].1).unwrap()
    }

    fn joined(&mut self, leader: &str, members: Option<Vec<(MemberId, Bytes)>>) {
        self.generation += 1;
        let generation = Generation::new(self.generation);
        let (member, leader) = ("ours".into(), leader.into());
        self.contact();
        self.group(GroupEvent::Joined {
            generation,
            member,
            leader,
            protocol: "sessioned".to_owned(),
            members,
        });
    }

    /// The coordinator answers.
    fn contact(&mut self) {
        let at = self.now.instant;
        self.group(GroupEvent::Contact { at });
    }

    /// Joins as the only member, and takes what it has assigned itself.
    pub(super) fn join_as_leader(&mut self) {
        let metadata = self.joins_with().encode(ProtocolVersion::Sessioned).unwrap();
        self.joined("ours", Some(vec![("ours".into(), metadata.into())]));
        let assignment = self.commands.drain(..).find_map(|command| match command {
            MemberCommand::Assign { mut assignments, .. } => assignments.pop(),
            MemberCommand::Join(_) | MemberCommand::Probe | MemberCommand::Leave { .. } => None,
        });
        let (_, assignment) = assignment.expect("it assigns nothing");
        let generation = Generation::new(self.generation);
        self.group(GroupEvent::Assigned { generation, assignment });
    }

    /// Takes what another leader has assigned, who has read the config topic so far.
    pub(super) fn assigned_by_other(&mut self, offset: i64, connectors: &[&str], tasks: &[(&str, u32)]) {
        self.joined("other", None);
        let assignment = Assignment {
            error: AssignmentError::None,
            leader: "other".into(),
            leader_url: OTHERS.to_owned(),
            config_offset: ConfigOffset::new(offset),
            connectors: connectors.iter().map(|name| (*name).into()).collect(),
            tasks: tasks
                .iter()
                .map(|(name, index)| TaskId { connector: (*name).into(), index: *index })
                .collect(),
            revoked_connectors: Vec::new(),
            revoked_tasks: Vec::new(),
            delay: Duration::ZERO,
        };
        let assignment = assignment.encode(ProtocolVersion::Sessioned).unwrap().into();
        let generation = Generation::new(self.generation);
        self.group(GroupEvent::Assigned { generation, assignment });
    }

    /// Records are read back from the config topic.
    pub(super) fn read(&mut self, records: Vec<ConfigRecord>) {
        self.offset += i64::try_from(records.len()).unwrap();
        self.event(HerderEvent::ConfigRead(records, ConfigOffset::new(self.offset)));
    }

    /// Everything that is to be written is, and read back.
    pub(super) fn write_all(&mut self) {
        while let Some((write, operation)) = (!self.writes.is_empty()).then(|| self.writes.remove(0)) {
            for group in write.records() {
                self.read(group);
            }
            if let Some(operation) = operation {
                self.event(HerderEvent::ConfigWritten(operation, Ok(())));
            }
        }
    }

    /// All that was stopped has ended.
    pub(super) fn end_stopped(&mut self) {
        for (name, epoch) in std::mem::take(&mut self.stopped_instances) {
            let kind = ConnectorEventKind::Stopped;
            self.event(HerderEvent::Connector(ConnectorEvent { name, epoch, kind }));
        }
        for (id, epoch) in std::mem::take(&mut self.stopped) {
            self.event(HerderEvent::Task(TaskEvent { id, epoch, kind: TaskEventKind::Stopped }));
        }
    }

    fn probe(&mut self) -> Pending<Answer<()>> {
        let (reply, pending) = reply();
        self.event(HerderEvent::Request(Request::Health(reply)));
        pending
    }

    fn pass(&mut self, time: Duration) {
        self.now = Now { instant: self.now.instant + time, wall: self.now.wall + time };
        self.event(HerderEvent::Wake);
    }

    fn stage(&self) -> String {
        self.herder.stage().map_or_else(String::new, |stage| stage.to_string())
    }
}

fn connector(name: &str) -> ConfigRecord {
    let settings = Settings::from([("connector.class".to_owned(), "X".to_owned())]);
    ConfigRecord::Connector { name: name.into(), settings: stored(settings) }
}

/// A record of the status topic as a story shows it.
fn said(record: &StatusRecord) -> String {
    match record {
        StatusRecord::Status(of, status) => {
            let name = match of {
                StatusOf::Connector(name) => name.to_string(),
                StatusOf::Task(id) => id.to_string(),
            };
            format!("{name} {}", status.as_ref().map_or("gone", |status| status.state.name()))
        }
        StatusRecord::Topic { connector, topic, used } => {
            format!("{connector} {} {topic}", if used.is_some() { "uses" } else { "forgets" })
        }
    }
}

/// A connector that can run, with one task.
fn source(name: &str) -> Vec<ConfigRecord> {
    let settings = || stored(settings_of(name, &[]));
    let id = TaskId { connector: name.into(), index: 0 };
    vec![
        ConfigRecord::Connector { name: name.into(), settings: settings() },
        ConfigRecord::Task { id, settings: settings() },
        ConfigRecord::Commit { name: name.into(), tasks: 1 },
    ]
}

fn is_answered(pending: &Pending<Answer<()>>) -> bool {
    matches!(pending.poll(), Some(Ok(())))
}

#[test]
fn a_worker_is_ready_when_it_leads_with_a_key_that_was_read_back() {
    let mut member = Member::new();
    let probe = member.probe();
    member.event(HerderEvent::Topics(TopicsEvent::Stage("waiting for the topic 't'".to_owned())));
    assert_eq!((member.told(), member.stage()), (vec![], "waiting for the topic 't'".to_owned()));
    member.event(HerderEvent::Topics(TopicsEvent::Read));
    let metadata =
        Metadata { url: OURS.to_owned(), config_offset: ConfigOffset::NOTHING_READ, allocation: None };
    let joins = member.joins_with();
    assert_eq!(joins, metadata);
    let metadata = joins.encode(ProtocolVersion::Sessioned).unwrap();
    member.joined("ours", Some(vec![("ours".into(), metadata.into())]));
    assert_eq!((member.told(), member.phase), (vec!["assign"], StartupPhase::Starting));
    // The generation is in force when the assignment came; a probe waits for the key, too.
    member.generation = 0;
    let mut member = Member::new();
    member.event(HerderEvent::Topics(TopicsEvent::Read));
    member.join_as_leader();
    assert_eq!(member.phase, StartupPhase::Ready);
    let waiting = member.probe();
    assert!(!is_answered(&waiting), "before the key is read back");
    assert_eq!(member.stage(), "writing a new session key to the config topic");
    assert!(matches!(member.writes[0].0, ConfigWrite::SessionKey(_)));
    member.write_all();
    assert!(is_answered(&waiting));
    assert!(probe.poll().is_none(), "that of the other worker");
}

#[test]
fn a_key_that_cannot_be_written_is_tried_again_and_holds_health() {
    let mut member = Member::new();
    member.event(HerderEvent::Topics(TopicsEvent::Read));
    member.join_as_leader();
    let probe = member.probe();
    let (_, operation) = member.writes.remove(0);
    let failed = HerderError::Failed("no".to_owned());
    member.event(HerderEvent::ConfigWritten(operation.unwrap(), Err(failed)));
    assert!(!is_answered(&probe) && member.writes.is_empty());
    member.pass(Duration::from_millis(250));
    member.write_all();
    assert!(is_answered(&probe));
}

#[test]
fn an_old_answer_of_the_coordinator_is_asked_for_anew() {
    let mut member = Member::leading();
    assert!(is_answered(&member.probe()));
    assert_eq!(member.told(), Vec::<&str>::new(), "its answer is fresh");
    member.pass(Duration::from_secs(2));
    let probe = member.probe();
    member.probe();
    assert_eq!(member.told(), ["probe"], "once for all who ask");
    assert!(!is_answered(&probe));
    member.contact();
    assert!(is_answered(&probe));
}

#[test]
fn an_answer_of_the_coordinator_that_waited_for_the_herder_is_as_old_as_it_is() {
    let mut member = Member::leading();
    let at = member.now.instant;
    member.pass(Duration::from_secs(2));
    member.group(GroupEvent::Contact { at });
    let probe = member.probe();
    assert!(!is_answered(&probe));
    member.contact();
    assert!(is_answered(&probe));
}

#[test]
fn without_the_coordinator_a_probe_waits_and_the_work_goes_on_until_the_session_is_over() {
    let mut member = Member::leading();
    member.read(vec![connector("a")]);
    member.join_as_leader();
    member.group(GroupEvent::ContactLost { why: "it is frozen".to_owned() });
    let probe = member.probe();
    assert!(!is_answered(&probe));
    assert_eq!(member.stage(), "waiting for the group coordinator: it is frozen");
    assert!(member.told().is_empty());
    member.contact();
    assert!(is_answered(&probe));
    member.group(GroupEvent::CoordinatorUnreachable { why: "it is gone".to_owned() });
    let joins = member.joins_with();
    assert_eq!(joins.allocation, None, "others may have been given what it held");
}

#[test]
fn a_new_connector_makes_the_group_divide_the_work_anew() {
    let mut member = Member::leading();
    member.read(vec![connector("a")]);
    let joins = member.joins_with();
    assert_eq!(joins.config_offset, ConfigOffset::new(member.offset));
    let metadata = joins.encode(ProtocolVersion::Sessioned).unwrap();
    member.joined("ours", Some(vec![("ours".into(), metadata.into())]));
    let Some(MemberCommand::Assign { assignments, .. }) = member.commands.pop() else {
        panic!("no assignment")
    };
    let given = Assignment::decode(&assignments[0].1).unwrap();
    assert_eq!(given.connectors, [ConnectorName::from("a")]);
}

#[test]
fn a_worker_that_is_behind_reads_on_before_it_runs_what_it_was_given() {
    let mut member = Member::new();
    member.event(HerderEvent::Topics(TopicsEvent::Read));
    member.joins_with();
    member.assigned_by_other(2, &["a"], &[]);
    assert_eq!((member.reads.len(), member.phase), (1, StartupPhase::Starting));
    assert_eq!(member.stage(), "reading to the end of the config topic");
    member.read(vec![connector("a"), connector("b")]);
    assert_eq!(member.phase, StartupPhase::Ready, "it has read as far as the leader");
    let probe = member.probe();
    assert!(is_answered(&probe), "a follower needs no key");
}

#[test]
fn a_worker_that_cannot_read_leaves_and_comes_back_after_a_pause() {
    let mut member = Member::new();
    member.event(HerderEvent::Topics(TopicsEvent::Read));
    member.joins_with();
    member.assigned_by_other(2, &["a"], &[]);
    let operation = member.reads.remove(0);
    member.event(HerderEvent::CaughtUp(operation, Err("too slow".to_owned())));
    assert_eq!(member.told(), ["taking too long to read the log"]);
    member.pass(Duration::from_millis(1));
    let operation = member.reads.remove(0);
    member.read(vec![connector("a"), connector("b")]);
    member.event(HerderEvent::CaughtUp(operation, Ok(())));
    let held = member.joins_with().allocation.unwrap();
    assert_eq!(held.connectors, [ConnectorName::from("a")], "it keeps what it was given");
}

#[test]
fn a_follower_tells_who_leads_and_a_leader_who_has_the_work() {
    let mut member = Member::new();
    member.event(HerderEvent::Topics(TopicsEvent::Read));
    member.joins_with();
    member.read(vec![connector("a")]);
    member.assigned_by_other(1, &[], &[]);
    for request in [Request::Delete as fn(ConnectorName, _) -> Request, Request::Stop, Request::Restart] {
        let (reply, pending) = reply::<Answer<()>>();
        member.event(HerderEvent::Request(request("a".into(), reply)));
        let Some(Err(HerderError::NotHere { url, .. })) = pending.poll() else {
            panic!("it answers for itself")
        };
        assert_eq!(url.as_deref(), Some(OTHERS));
    }
    assert!(member.writes.is_empty());
}

#[test]
fn requests_in_the_middle_of_a_rebalance_are_served_after_it() {
    let mut member = Member::leading();
    member.read(vec![connector("a")]);
    member.group(GroupEvent::RejoinNeeded(RejoinCause::Rebalance));
    let (reply, pending) = reply::<Answer<()>>();
    member.event(HerderEvent::Request(Request::Delete("a".into(), reply)));
    assert!(member.writes.is_empty() && pending.poll().is_none());
    member.join_as_leader();
    member.write_all();
    assert_eq!(pending.poll(), Some(Ok(())));
}

#[test]
fn a_group_that_does_not_take_the_worker_ends_it() {
    let mut member = Member::leading();
    member.group(GroupEvent::Fatal("no authority".to_owned()));
    assert_eq!(member.exits, [Exit::GroupRefused("no authority".to_owned())]);
}

#[test]
fn a_worker_joins_when_the_tasks_have_ended_that_are_no_longer_configured() {
    let mut member = Member::leading();
    member.read(source("a"));
    member.join_as_leader();
    assert_eq!((member.started.len(), member.told()), (1, vec![]));
    member.read(vec![ConfigRecord::Commit { name: "a".into(), tasks: 0 }]);
    assert_eq!((member.stopped.len(), member.told()), (1, vec![]), "its task may still commit offsets");
    member.end_stopped();
    assert_eq!(member.joins_with().allocation.unwrap().tasks, []);
}

#[test]
fn offsets_are_changed_after_the_rebalance_that_a_stop_has_begun() {
    let mut member = Member::leading();
    // Nothing is to be shut out before.
    member.herder.membership.group().expect("a group").settings.exactly_once = false;
    member.read(source("a"));
    member.join_as_leader();
    let (reply, pending) = reply::<Answer<AlterOffsets>>();
    member.event(HerderEvent::Request(Request::ModifyOffsets("a".into(), OffsetsDraft::Reset, reply)));
    // Another worker has stopped it; that is read before the change.
    let stop = ConfigWrite::Stopped("a".into()).records().into_iter().flatten().collect();
    member.read(stop);
    let operation = member.reads.remove(0);
    member.event(HerderEvent::CaughtUp(operation, Ok(())));
    assert!(pending.poll().is_none() && member.modified == 0, "its tasks may go on elsewhere");
    member.end_stopped();
    member.join_as_leader();
    let operation = member.reads.remove(0);
    member.event(HerderEvent::CaughtUp(operation, Ok(())));
    assert_eq!((pending.poll().is_none(), member.modified), (true, 1));
}

/// One that leads, and runs a connector with a task of which all is known.
fn running() -> Member {
    let mut member = Member::leading();
    member.read(source("a"));
    member.join_as_leader();
    let (id, epoch) = member.started[0].clone();
    member.event(HerderEvent::Task(TaskEvent { id, epoch, kind: TaskEventKind::Started }));
    assert_eq!(member.said.pop().as_deref(), Some("a-0 RUNNING"));
    member.said.clear();
    member
}

#[test]
fn what_has_ended_is_told_before_it_is_forgotten() {
    let mut stopped = running();
    stopped.read(ConfigWrite::Stopped("a".into()).records().into_iter().flatten().collect());
    stopped.end_stopped();
    assert_eq!(stopped.said, ["a STOPPED", "a-0 UNASSIGNED"]);
    stopped.join_as_leader();
    stopped.said.clear();
    stopped.event(HerderEvent::Stop);
    assert_eq!(stopped.said, ["a UNASSIGNED"], "nobody has it while the worker is gone");
    let mut ended = running();
    ended.event(HerderEvent::Stop);
    ended.end_stopped();
    assert_eq!(ended.said, ["a UNASSIGNED", "a-0 UNASSIGNED"]);
}

#[test]
fn the_topics_of_a_deleted_connector_are_forgotten_by_all() {
    let mut member = running();
    let used = Some(TopicUse { task: 0, discovered_ms: 5 });
    let record = StatusRecord::Topic { connector: "a".into(), topic: "t".into(), used };
    member.event(HerderEvent::StatusRead(vec![record]));
    member.read(ConfigWrite::Removed("a".into()).records().into_iter().flatten().collect());
    assert_eq!(member.said, ["a forgets t"]);
}
