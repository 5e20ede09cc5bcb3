//! All that can reach the herder, and all that it can want done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use super::fencing_msg::{AskForFencing, FenceTasks, TaskQuestion};
use super::view::{ConnectorInfo, ConnectorStatus, ConnectorView};
use crate::api::Settings;
use crate::api::ids::{ConfigOffset, ConnectorName, Epoch, TaskId, TopicPartition};
use crate::api::offset::OffsetMap;
use crate::api::registry::ConnectorClass;
use crate::api::source::AlterOffsets;
use crate::connector::ConnectorEvent;
use crate::group::events::{GroupEvent, MemberCommand};
use crate::health::StartupPhase;
use crate::stdx::reply::{Reply, Unanswered};
use crate::store::config_records::ConfigRecord;
use crate::store::config_state::{RestartScope, TargetState};
use crate::store::config_write::ConfigWrite;
use crate::store::status_records::StatusRecord;
use crate::store::status_table::StatusWrite;
use crate::task::TaskEvent;

/// Why a request was not done. `rest::error` gives each its status code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HerderError {
    /// What the request names is not there.
    #[error("{0}")]
    NotFound(String),
    /// The request is wrong.
    #[error("{0}")]
    BadRequest(String),
    /// The request does not fit the present state.
    #[error("{0}")]
    Conflict(String),
    /// The request is right but could not be done.
    #[error("{0}")]
    Failed(String),
    /// Another worker has to do it.
    #[error("{}", not_here(.url.as_deref()))]
    NotHere {
        /// Which of them.
        target: Target,
        /// The URL that it advertises; `None` if it is not known at the moment.
        url: Option<String>,
    },
    /// The group of workers is being rearranged: asked again in a moment, it can be done. The text is or begins with
    /// [`STALE_CONFIGURATION`] or [`REBALANCE_UNDERWAY`] for changes, and is [`REBALANCE_EXPECTED`] for what is only shown.
    #[error("{0}")]
    Rebalancing(String),
    /// A request of another worker does not prove that it is one. The text says why.
    #[error("{1}")]
    Unsigned(SignatureFault, String),
    /// The worker is ending, or has no room for another request.
    #[error("Worker is shutting down")]
    ShuttingDown,
}

/// Whose a request is, if it is not everybody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The worker that leads the group.
    Leader,
    /// The worker that runs the connector or task.
    Owner,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Target::Leader => "leader",
            Target::Owner => "owner",
        })
    }
}

/// What is wrong with the signature of a request between workers (KIP-507).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureFault {
    /// It is missing, cannot be read, or is of a kind that is not accepted.
    Unusable,
    /// This worker knows no key yet, so it cannot tell.
    NoKey,
    /// It is not that of the body.
    Wrong,
}

/// Whose the request is, is not known.
pub const NO_KNOWN_URL: &str = "Cannot complete request momentarily due to no known leader URL, likely because a \
                                rebalance was underway.";
/// Nobody leads until a rebalance is over, or this worker is in contact with its group again; followed by what it waits for.
pub const REBALANCE_UNDERWAY: &str = "Cannot complete request momentarily because a rebalance is underway";
/// The request is another worker's, and was forwarded often enough.
pub const CONFLICTING_OPERATION: &str =
    "Cannot complete request because of a conflicting operation (e.g. worker rebalance)";
/// A change has to wait for a rebalance that is due.
pub const STALE_CONFIGURATION: &str = "Cannot complete request momentarily due to stale configuration (typically \
                                       caused by a concurrent config change)";
/// What is asked for cannot be shown before a rebalance that is due.
pub const REBALANCE_EXPECTED: &str = "Request cannot be completed because a rebalance is expected";

fn not_here(url: Option<&str>) -> &'static str {
    match url {
        Some(_) => CONFLICTING_OPERATION,
        None => NO_KNOWN_URL,
    }
}

/// The answer to a request.
pub type Answer<T> = Result<T, HerderError>;

impl<T> Unanswered for Answer<T> {
    fn unanswered() -> Self {
        Err(HerderError::ShuttingDown)
    }
}

pub use crate::connector::validation::Draft;

/// A change of stored offsets (KIP-875).
#[derive(Debug, Clone, PartialEq)]
pub enum OffsetsChange {
    /// A source's: partition, and offset or `None` to forget it.
    Source(Vec<(OffsetMap, Option<OffsetMap>)>),
    /// A sink's: partition, and offset or `None` to forget it.
    Sink(BTreeMap<TopicPartition, Option<i64>>),
    /// All of them are forgotten.
    Reset,
}

/// The offsets in the body of a request: what they mean depends on the kind of the connector.
#[derive(Debug, Clone, PartialEq)]
pub enum OffsetsDraft {
    /// Entries of `PATCH`: partition and offset as JSON.
    Alter(Vec<(serde_json::Value, serde_json::Value)>),
    /// `DELETE`.
    Reset,
}

/// The stored offsets of a connector.
#[derive(Debug, Clone, PartialEq)]
pub enum ConnectorOffsets {
    /// A source's, as they were stored.
    Source(Vec<(OffsetMap, Option<OffsetMap>)>),
    /// A sink's.
    Sink(BTreeMap<TopicPartition, i64>),
}

/// What proves that a request comes from a worker of the group: its headers as they came, and the body that they sign.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Proof {
    /// `X-Connect-Authorization`.
    pub signature: Option<String>,
    /// `X-Connect-Request-Signature-Algorithm`.
    pub algorithm: Option<String>,
    /// The body, byte for byte.
    pub body: Bytes,
}

impl std::fmt::Debug for Proof {
    /// Without the signature, which is worth as much as the key for this body, and without the body, which has settings.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Proof { signature, algorithm, body } = self;
        f.debug_struct("Proof")
            .field("signed", &signature.is_some())
            .field("algorithm", algorithm)
            .field("body_bytes", &body.len())
            .finish()
    }
}

/// A request of a client.
#[derive(Debug)]
pub enum Request {
    /// Whether all other requests would be served (KIP-1017).
    Health(Reply<Answer<()>>),
    /// Creates a connector.
    Create {
        /// Its name.
        name: ConnectorName,
        /// Its settings.
        draft: Draft,
        /// Its initial state (KIP-980).
        target: Option<TargetState>,
        /// Who asks.
        reply: Reply<Answer<ConnectorInfo>>,
    },
    /// Creates a connector or replaces its settings; the answer tells which.
    Put {
        /// Its name.
        name: ConnectorName,
        /// Its settings.
        draft: Draft,
        /// Who asks.
        reply: Reply<Answer<(Written, ConnectorInfo)>>,
    },
    /// Changes some settings; those without a value are removed (KIP-477).
    Patch {
        /// Its name.
        name: ConnectorName,
        /// The changes.
        changes: Draft,
        /// Who asks.
        reply: Reply<Answer<(Written, ConnectorInfo)>>,
    },
    /// Deletes a connector; its offsets stay.
    Delete(ConnectorName, Reply<Answer<()>>),
    /// Shows a connector.
    Info(ConnectorName, Reply<Answer<ConnectorInfo>>),
    /// Shows the settings of its tasks.
    Tasks(ConnectorName, Reply<Answer<Vec<Settings>>>),
    /// Pauses or resumes it.
    SetTarget(ConnectorName, TargetState, Reply<Answer<()>>),
    /// Stops it: it has no tasks then.
    Stop(ConnectorName, Reply<Answer<()>>),
    /// Restarts the connector itself.
    Restart(ConnectorName, Reply<Answer<()>>),
    /// Restarts parts of it; answers with the status at the beginning.
    RestartParts(ConnectorName, RestartScope, Reply<Answer<ConnectorStatus>>),
    /// Restarts a task.
    RestartTask(TaskId, Reply<Answer<()>>),
    /// Forgets which topics it used.
    ResetTopics(ConnectorName, Reply<Answer<()>>),
    /// Shows its offsets.
    Offsets(ConnectorName, Reply<Answer<ConnectorOffsets>>),
    /// Changes its offsets.
    ModifyOffsets(ConnectorName, OffsetsDraft, Reply<Answer<AlterOffsets>>),
    /// Another worker hands in the tasks of a connector that it runs.
    SubmitTasks {
        /// The connector.
        name: ConnectorName,
        /// The settings of each task.
        tasks: Vec<Settings>,
        /// Of the other worker.
        proof: Proof,
        /// Who asks.
        reply: Reply<Answer<()>>,
    },
    /// Another worker wants the earlier tasks of a source connector shut out (KIP-618).
    Fence {
        /// The connector.
        name: ConnectorName,
        /// Of the other worker.
        proof: Proof,
        /// Who asks.
        reply: Reply<Answer<()>>,
    },
    /// Sets a level of the log on all workers of the group (KIP-976).
    SetClusterLevel {
        /// The logger, and all whose names begin with its name.
        namespace: String,
        /// A level as the client wrote it; it was checked.
        level: String,
        /// Who asks.
        reply: Reply<Answer<()>>,
    },
}

/// Whether a write made a connector or changed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// There was none of that name.
    Created,
    /// There was one.
    Updated,
}

/// Names an operation that goes on outside, so that its end finds what it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct OperationId(pub(super) u64);

/// A connector from a file of the command line.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandLineConnector {
    /// The file it is from.
    pub file: String,
    /// Its name.
    pub name: ConnectorName,
    /// Its settings.
    pub settings: Settings,
    /// Its initial state.
    pub target: TargetState,
}

/// Something happened.
#[derive(Debug)]
pub enum HerderEvent {
    /// A client asks.
    Request(Request),
    /// A broker answered for the first time.
    KafkaReached,
    /// The offset store was opened and read, or cannot be.
    OffsetsRead(Result<(), String>),
    /// Settings were checked. The error is the text of the answer.
    Validated(OperationId, Result<Settings, HerderError>),
    /// Records of the config store were read, whoever wrote them, up to this place. They are in force from here on.
    ConfigRead(Vec<ConfigRecord>, ConfigOffset),
    /// A write to the config store has ended: what it wrote was read back before, or it failed. The error is the text of
    /// the answer.
    ConfigWritten(OperationId, Result<(), HerderError>),
    /// A connector did something.
    Connector(ConnectorEvent),
    /// A task did something.
    Task(TaskEvent),
    /// The internal topics of a group have news.
    Topics(TopicsEvent),
    /// Records of the status topic were read.
    StatusRead(Vec<StatusRecord>),
    /// A status could not be written for the moment.
    StatusUnwritten(StatusWrite),
    /// The member of the group has news.
    Group(GroupEvent),
    /// The config topic was read to its end, or not in time; why.
    CaughtUp(OperationId, Result<(), String>),
    /// The leader may write the config topic in transactions, or why not.
    Claimed(OperationId, Result<(), String>),
    /// A transaction found that the leader may not any more.
    ClaimLost,
    /// A change of offsets is done.
    OffsetsModified(OperationId, Result<AlterOffsets, HerderError>),
    /// A task that writes exactly once asks whether it may go on with its start.
    TaskAsks(TaskQuestion),
    /// Earlier tasks of a connector were shut out, or why not.
    TasksFenced(OperationId, Result<(), String>),
    /// The worker is to end.
    Stop,
    /// Nothing; a deadline may have passed.
    Wake,
}

/// News of the internal topics of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicsEvent {
    /// What they wait for, in words that fit after «The worker is currently …».
    Stage(String),
    /// All of them were read to their ends.
    Read,
    /// The config topic cannot be read for the time being; why. `None` once it can again.
    ConfigUnreadable(Option<String>),
    /// The config topic is another than it was: what was read of it does not count, all of it follows.
    ConfigAnew,
    /// All of the config topic was read, for the first time or anew.
    ConfigRead,
}

impl HerderEvent {
    /// What a write leads to where the config store is the herder's own memory, as in standalone mode: it is read back
    /// at once.
    pub fn of_write_in_memory(write: &ConfigWrite, operation: Option<OperationId>) -> Vec<HerderEvent> {
        let groups = write.records().into_iter();
        let read = groups.map(|records| HerderEvent::ConfigRead(records, ConfigOffset::NOTHING_READ));
        let written = operation.map(|operation| HerderEvent::ConfigWritten(operation, Ok(())));
        read.chain(written).collect()
    }

    /// What it is, for people: fits after «handling».
    pub fn describe(&self) -> &'static str {
        match self {
            HerderEvent::Request(request) => request.describe(),
            HerderEvent::KafkaReached => "the first answer of Kafka",
            HerderEvent::OffsetsRead(_) => "the opened offset store",
            HerderEvent::Validated(..) => "the result of a validation",
            HerderEvent::ConfigRead(..) => "a change of the configuration",
            HerderEvent::ConfigWritten(..) => "the end of a write of the configuration",
            HerderEvent::Connector(_) => "the news of a connector",
            HerderEvent::Task(_) => "the news of a task",
            HerderEvent::OffsetsModified(..) => "the result of an offset change",
            HerderEvent::Topics(_) => "the news of the internal topics",
            HerderEvent::StatusRead(_) | HerderEvent::StatusUnwritten(_) => "the states of other workers",
            HerderEvent::Group(_) => "the news of the group",
            HerderEvent::CaughtUp(..) => "the end of the config topic",
            HerderEvent::Claimed(..) | HerderEvent::ClaimLost => "the news of the leader's producer",
            HerderEvent::TaskAsks(_) => "the question of a task",
            HerderEvent::TasksFenced(..) => "the end of a zombie fencing",
            HerderEvent::Stop => "the request to stop",
            HerderEvent::Wake => "a deadline",
        }
    }
}

impl Request {
    fn describe(&self) -> &'static str {
        match self {
            Request::Health(_) => "a health request",
            Request::Create { .. } => "a request to create a connector",
            Request::Put { .. } | Request::Patch { .. } => "a request to configure a connector",
            Request::Delete(..) => "a request to delete a connector",
            Request::Info(..) | Request::Tasks(..) => "a request to show a connector",
            Request::SetTarget(..) => "a request to pause or resume a connector",
            Request::Stop(..) => "a request to stop a connector",
            Request::Restart(..) | Request::RestartParts(..) | Request::RestartTask(..) => {
                "a request to restart"
            }
            Request::ResetTopics(..) => "a request to forget topics",
            Request::Offsets(..) => "a request to show offsets",
            Request::ModifyOffsets(..) => "a request to change offsets",
            Request::SubmitTasks { .. } => "tasks that another worker hands in",
            Request::Fence { .. } => "a request to shut out earlier tasks",
            Request::SetClusterLevel { .. } => "a request to set a log level",
        }
    }
}

/// A task to be started.
#[derive(Debug, Clone)]
pub struct StartTask {
    /// Which.
    pub id: TaskId,
    /// Which instance of it.
    pub epoch: Epoch,
    /// The class of its connector.
    pub class: ConnectorClass,
    /// Its settings, references unresolved.
    pub settings: Settings,
    /// The settings of its connector, references unresolved.
    pub connector: Settings,
    /// How many tasks its connector has.
    pub tasks: usize,
    /// Whether it starts paused.
    pub paused: bool,
    /// Whether it is restarted by itself when it fails, as far as that is known when it starts.
    pub restarts: bool,
}

/// Something is to happen outside of the herder. Each ends in an event or is answered directly.
#[derive(Debug)]
pub enum Effect {
    /// The phase changed.
    Phase(StartupPhase),
    /// Show a connector anew, or no longer.
    Publish(ConnectorName, Option<Arc<ConnectorView>>),
    /// Check settings; ends in [`HerderEvent::Validated`].
    Validate(OperationId, Draft),
    /// Write to the config store; with an operation, ends in [`HerderEvent::ConfigWritten`], which comes after the
    /// [`HerderEvent::ConfigRead`] of what was written. There is no other before that has ended.
    WriteConfig(ConfigWrite, Option<OperationId>),
    /// Start a connector; ends in a [`ConnectorEvent`], as do the next two.
    StartConnector {
        /// Its name.
        name: ConnectorName,
        /// Which instance of it.
        epoch: Epoch,
        /// Its class.
        class: ConnectorClass,
        /// Its settings, references unresolved.
        settings: Settings,
    },
    /// Ask a running connector for the settings of its tasks.
    MakeTaskConfigs(ConnectorName, Epoch),
    /// End a connector.
    StopConnector(ConnectorName, Epoch),
    /// Wait no longer for the end of a connector.
    AbandonConnector(ConnectorName, Epoch),
    /// Start a task; ends in a [`TaskEvent`], as do the next three.
    StartTask(Box<StartTask>),
    /// Let a task pause.
    PauseTask(TaskId, Epoch),
    /// Let a task go on.
    ResumeTask(TaskId, Epoch),
    /// End a task.
    StopTask(TaskId, Epoch),
    /// Wait no longer for the end of a task.
    AbandonTask(TaskId, Epoch),
    /// Hear of the topics that a task uses anew: what it has told was forgotten.
    TellTopics(TaskId, Epoch),
    /// Show the offsets of a connector to who asks.
    ReadOffsets(ConnectorName, ConnectorClass, Settings, Reply<Answer<ConnectorOffsets>>),
    /// Change the offsets of a connector; ends in [`HerderEvent::OffsetsModified`].
    ModifyOffsets(OperationId, ConnectorName, ConnectorClass, Settings, OffsetsChange),
    /// Tell the member of the group.
    Member(MemberCommand),
    /// Read the config topic to its end within that time; ends in [`HerderEvent::CaughtUp`].
    CatchUp(OperationId, Duration),
    /// Write a status; ends in [`HerderEvent::StatusRead`], or in [`HerderEvent::StatusUnwritten`] if it may be repeated.
    WriteStatus(StatusWrite),
    /// Write other records of the status topic: tombstones, topics that are used.
    WriteStatusRecords(Vec<StatusRecord>),
    /// Have the leader write the tasks of a connector that runs here; ends in [`HerderEvent::ConfigWritten`].
    SubmitTasks(Box<SubmitTasks>),
    /// Make the config topic this leader's own to write; ends in [`HerderEvent::Claimed`].
    ClaimConfigTopic(OperationId),
    /// Shut earlier tasks of a connector out; ends in [`HerderEvent::TasksFenced`].
    FenceTasks(Box<FenceTasks>),
    /// Have the leader do it; answered directly.
    AskForFencing(Box<AskForFencing>),
    /// Set a level of the log: the logger, and all whose names begin with its name.
    SetLevel(String, String),
    /// End the worker.
    Exit(Exit),
}

/// Tasks on their way to the leader.
#[derive(Debug, Clone)]
pub struct SubmitTasks {
    /// What ends with the answer.
    pub operation: OperationId,
    /// The connector.
    pub name: ConnectorName,
    /// Where the leader is reached.
    pub leader_url: String,
    /// The settings of the tasks as JSON, signed where the group signs.
    pub proof: Proof,
}

/// Why the worker ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// It was told to, and all connectors and tasks have ended or were abandoned.
    Stopped,
    /// A connector of the command line could not be created.
    ConnectorFailed(String),
    /// The offsets could not be read.
    OffsetsUnreadable(String),
    /// The group does not take this worker; why, and what to do.
    GroupRefused(String),
}

/// The effects of one turn, in the order they are to be carried out; the answers to clients come last, so that a
/// client who has its answer sees what led to it.
#[derive(Default)]
pub struct Effects {
    effects: Vec<Effect>,
    answers: Vec<Box<dyn FnOnce() + Send>>,
}

impl Effects {
    /// Adds one.
    pub fn push(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Answers a client, after all effects of the turn.
    pub fn answer<T: Unanswered + Send + 'static>(&mut self, reply: Reply<T>, answer: T) {
        self.answers.push(Box::new(move || reply.send(answer)));
    }

    /// Takes the effects out, in order. The answers stay.
    pub fn drain(&mut self) -> impl Iterator<Item = Effect> + '_ {
        self.effects.drain(..)
    }

    /// Gives the answers, once the effects were carried out. Never blocks.
    pub fn give_answers(&mut self) {
        for answer in self.answers.drain(..) {
            answer();
        }
    }
}

impl std::fmt::Debug for Effects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Effects")
            .field("effects", &self.effects)
            .field("answers", &self.answers.len())
            .finish()
    }
}

/// When the herder wants to be called again although nothing happened; `None` for never.
pub type Wakeup = Option<Instant>;
