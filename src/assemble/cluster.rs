//! What a worker in a group has beside one that is alone: the member of the group, the internal topics, and the way to the
//! other workers. Part of the hands of the tick thread: nothing here blocks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};

use super::hands::tell;
use super::pending_writes::PendingWrites;
use crate::group::events::MemberCommand;
use crate::group::member_thread::MemberHandle;
use crate::herder::msg::{Effect, HerderError, HerderEvent, OperationId, SubmitTasks};
use crate::logging::level::LogLevel;
use crate::logging::levels::Levels;
use crate::rest::forward::WorkerClient;
use crate::stdx::error_class::ErrorClass;
use crate::stdx::pool::Pool;
use crate::stdx::reply::Reply;
use crate::stdx::time::Clock;
use crate::store::config_records::ConfigRecord;
use crate::store::config_write::ConfigWrite;
use crate::store::status_records::StatusRecord;
use crate::store::status_table::StatusWrite;
use crate::store::topic_log::{LogAnswer, LogEntry, LogError, LogHandle, TopicRole};
use crate::task::plan::TaskPlanner;

/// How long a write of the config topic may take, with its being read back; the same as in Apache.
const CONFIG_WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a status may be on its way before it is written anew.
const STATUS_WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a leader's claim of the config topic may take: `max.block.ms` of Java's producers.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(60);
/// How long handing tasks to the leader may take.
const SUBMIT_TIMEOUT: Duration = Duration::from_secs(90);

/// The hands of a worker in a group.
#[derive(Clone)]
pub struct ClusterHands {
    /// Where results go.
    pub inbox: Sender<HerderEvent>,
    /// The member of the group.
    pub member: Arc<MemberHandle>,
    /// The internal topics.
    pub log: LogHandle,
    /// Reaches other workers.
    pub client: WorkerClient,
    /// Runs requests to other workers.
    pub jobs: Pool,
    /// What is logged.
    pub levels: Arc<Levels>,
    /// Knows how connectors reach Kafka.
    pub planner: Arc<TaskPlanner>,
    /// Whether the leader writes the config topic in transactions.
    pub transactional: bool,
    /// Statuses on their way, which the end of the worker and its joining wait for.
    pub statuses: Arc<PendingWrites>,
}

impl ClusterHands {
    /// Puts an event into the inbox. The logs answer on their own thread, and on the tick thread itself what they cannot
    /// take: that must not wait for room that only it can make.
    fn tell(&self, event: HerderEvent) {
        let Err(TrySendError::Full(event)) = self.inbox.try_send(event) else { return };
        let inbox = self.inbox.clone();
        if self.jobs.execute(move || tell(&inbox, event)).is_err() {
            log::error!(
                "an event was lost: the inbox of the tick thread is full, and no thread is free to wait for it"
            );
        }
    }

    /// Carries out what only a worker in a group has to do.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the other effects are those of all workers")]
    pub fn carry_out(&self, effect: Effect, echo: &mut VecDeque<HerderEvent>) {
        match effect {
            Effect::Member(command) => self.tell_member(command),
            Effect::CatchUp(operation, timeout) => self.catch_up(operation, timeout),
            Effect::WriteStatus(write) => self.write_status(write),
            Effect::WriteStatusRecords(records) => self.write_status_records(&records),
            Effect::SubmitTasks(submit) => self.submit_tasks(*submit, echo),
            Effect::ClaimConfigTopic(operation) => self.claim(operation),
            Effect::FenceTasks(fence) => self.fence_tasks(*fence, echo),
            Effect::AskForFencing(ask) => self.ask_for_fencing(*ask),
            Effect::SetLevel(namespace, level) => self.set_level(&namespace, &level),
            other => log::error!("no effect of a group: {other:?}"),
        }
    }

    /// Tells the member of the group. It joins when the states of what ended here are written: those of another worker,
    /// who may be given it in the next generation, are to come after them.
    pub(super) fn tell_member(&self, command: MemberCommand) {
        match &command {
            MemberCommand::Join(_) => {
                let member = Arc::clone(&self.member);
                self.statuses.then(move || tell_now(&member, command));
            }
            MemberCommand::Leave { .. } => {
                self.statuses.then_nothing();
                tell_now(&self.member, command);
            }
            MemberCommand::Assign { .. } | MemberCommand::Probe => tell_now(&self.member, command),
        }
    }

    /// Writes a change of what is configured; ends in an event once it was read back.
    pub fn write_config(&self, write: &ConfigWrite, operation: Option<OperationId>) {
        let groups = write.records().iter().map(|group| group.iter().map(config_entry).collect()).collect();
        let writing = ConfigWriting {
            hands: self.clone(),
            groups,
            operation,
            failure: write.failure(),
            as_leader: self.transactional && write.is_leaders(),
        };
        writing.go_on();
    }

    /// Has the config topic read to its end.
    fn catch_up(&self, operation: OperationId, timeout: Duration) {
        let hands = self.clone();
        let done = Reply::calling(move |answer: LogAnswer| {
            let outcome = answer.map_err(|why| why.to_string());
            hands.tell(HerderEvent::CaughtUp(operation, outcome));
        });
        self.log.read_to_end(TopicRole::Config, Clock.deadline(timeout), done);
    }

    /// Claims the config topic for this leader.
    fn claim(&self, operation: OperationId) {
        let hands = self.clone();
        let done = Reply::calling(move |answer: LogAnswer| {
            hands.tell(HerderEvent::Claimed(operation, answer.map_err(|why| why.to_string())));
        });
        self.log.claim(Clock.deadline(CLAIM_TIMEOUT), done);
    }

    /// Writes a status. One that failed for the moment comes back, for the herder to decide whether it still counts.
    fn write_status(&self, write: StatusWrite) {
        let entry = status_entry(&write.record());
        let (hands, pending) = (self.clone(), PendingWrites::begin(&self.statuses));
        let done = Reply::calling(move |answer: LogAnswer| {
            // What waits for this write does not wait for a second one.
            drop(pending);
            match answer {
                Ok(()) | Err(LogError::Closed) => {}
                Err(why) if why.class() == ErrorClass::Retriable => {
                    log::warn!("a status was not written, trying again if it still counts: {why}");
                    hands.tell(HerderEvent::StatusUnwritten(write));
                }
                Err(why) => log::error!("a status was not written: {why}"),
            }
        });
        self.log.append(TopicRole::Status, vec![entry], Clock.deadline(STATUS_WRITE_TIMEOUT), done);
    }

    /// Writes records of the status topic that need not be tried again: tombstones, topics in use.
    fn write_status_records(&self, records: &[StatusRecord]) {
        let entries = records.iter().map(status_entry).collect();
        let pending = PendingWrites::begin(&self.statuses);
        let done = Reply::calling(move |answer: LogAnswer| {
            if let Err(why) = answer {
                log::warn!("a record of the status topic was not written: {why}");
            }
            drop(pending);
        });
        self.log.append(TopicRole::Status, entries, Clock.deadline(STATUS_WRITE_TIMEOUT), done);
    }

    /// Hands the tasks of a connector to the leader.
    fn submit_tasks(&self, submit: SubmitTasks, echo: &mut VecDeque<HerderEvent>) {
        let (client, inbox) = (self.client.clone(), self.inbox.clone());
        let operation = submit.operation;
        let job = move || {
            let SubmitTasks { operation, name, leader_url, proof } = submit;
            let outcome = client.submit_tasks(&leader_url, &name, &proof, Clock.deadline(SUBMIT_TIMEOUT));
            let outcome = outcome.map_err(|why| HerderError::Failed(why.to_string()));
            tell(&inbox, HerderEvent::ConfigWritten(operation, outcome));
        };
        if self.jobs.execute(job).is_err() {
            let why = HerderError::Failed("no thread is free to reach the leader".to_owned());
            echo.push_back(HerderEvent::ConfigWritten(operation, Err(why)));
        }
    }

    /// Sets a level of the log for all workers, here.
    fn set_level(&self, namespace: &str, level: &str) {
        let set = match LogLevel::of(level) {
            Some(level) => self.levels.set(namespace, level, Clock.now().wall).map_err(|why| why.to_string()),
            None => Err(format!("there is no level '{level}'")),
        };
        if let Err(why) = set {
            log::warn!("the level of {namespace} that was set for all workers is passed over: {why}");
        }
    }
}

/// A change of what is configured on its way: one group of records after the other.
struct ConfigWriting {
    hands: ClusterHands,
    groups: VecDeque<Vec<LogEntry>>,
    operation: Option<OperationId>,
    failure: &'static str,
    as_leader: bool,
}

impl ConfigWriting {
    fn go_on(mut self) {
        let Some(group) = self.groups.pop_front() else { return self.end(Ok(())) };
        let hands = self.hands.clone();
        let deadline = Clock.deadline(CONFIG_WRITE_TIMEOUT);
        let as_leader = self.as_leader;
        let done = Reply::calling(move |answer: LogAnswer| match answer {
            Ok(()) => self.go_on(),
            Err(why) => self.fail(&why),
        });
        if as_leader {
            hands.log.append_as_leader(group, deadline, done);
        } else {
            hands.log.append(TopicRole::Config, group, deadline, done);
        }
    }

    fn fail(self, why: &LogError) {
        log::error!("{}: {why}", self.failure);
        if self.as_leader {
            // Whatever went wrong, the transaction is over, and the producer with it.
            self.hands.tell(HerderEvent::ClaimLost);
        }
        let what = if self.as_leader { "Failed to write to config topic" } else { self.failure };
        let message = format!("{what}: {why}. The request can be repeated.");
        self.end(Err(HerderError::Failed(message)));
    }

    fn end(self, outcome: Result<(), HerderError>) {
        if let Some(operation) = self.operation {
            self.hands.tell(HerderEvent::ConfigWritten(operation, outcome));
        }
    }
}

fn tell_now(member: &MemberHandle, command: MemberCommand) {
    if let Err(why) = member.tell(command) {
        log::error!("the member of the group was not told: {why}");
    }
}

fn config_entry(record: &ConfigRecord) -> LogEntry {
    (record.key().into_owned().into(), record.value().map(Into::into))
}

fn status_entry(record: &StatusRecord) -> LogEntry {
    (record.key().into(), record.value().map(Into::into))
}

impl std::fmt::Debug for ClusterHands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterHands").field("member", &self.member).finish_non_exhaustive()
    }
}
