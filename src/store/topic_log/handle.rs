//! The way of all other threads to the logs.

use std::sync::Arc;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::check::TopicRole;
use super::error::{LogAnswer, LogError};
use super::gate::{Gate, Permit};
use super::leader::{Leader, LeaderCommand};
use super::progress::Target;
use crate::stdx::reply::Reply;
use crate::stdx::time::Deadline;

/// How many writes, and how many reads to the end, may wait for each topic.
const WAITING_MAX: usize = 1024;

/// A key and a value to write; without a value it is a tombstone.
pub type LogEntry = (Bytes, Option<Bytes>);

/// Writes to the logs and asks about them. Cheap to clone, for any thread; no call blocks. A reply that is not answered
/// by its deadline is answered then.
#[derive(Debug, Clone)]
pub struct LogHandle {
    commands: Sender<Command>,
    topics: Arc<[TopicGates]>,
    leader: Option<Sender<LeaderCommand>>,
}

#[derive(Debug)]
struct TopicGates {
    role: TopicRole,
    name: Arc<str>,
    writes: Gate,
    reads: Gate,
}

/// What the thread of the logs is asked to do. What is written may be secret, so it is not for logs.
pub(super) enum Command {
    /// Write records.
    Append { topic: usize, entries: Vec<LogEntry>, request: Request },
    /// Answer when records that are in the topic were read.
    ReadBack { topic: usize, targets: Vec<Target>, request: Request },
    /// A write of the leader did not find the topic: look whether it is there.
    Look { topic: usize },
    /// Answer when all that is in the topic now was read.
    ReadToEnd { topic: usize, request: Request },
}

/// Who wants an answer, until when, and the place that is held meanwhile.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) deadline: Deadline,
    pub(super) done: Reply<LogAnswer>,
    pub(super) _permit: Permit,
}

/// A handle for topics, and what it asks for.
pub(super) fn new(topics: Vec<(TopicRole, Arc<str>)>) -> (LogHandle, Receiver<Command>) {
    // Whoever holds a permit finds room here, and a write of the leader twice.
    let (commands, receiver) = bounded(topics.len().max(1) * 2 * WAITING_MAX + WAITING_MAX);
    let topics = topics.into_iter().map(|(role, name)| {
        let (writes, reads) = (Gate::new(WAITING_MAX), Gate::new(WAITING_MAX));
        TopicGates { role, name, writes, reads }
    });
    (LogHandle { commands, topics: topics.collect(), leader: None }, receiver)
}

impl LogHandle {
    /// The same handle with the way to the leader's writes.
    pub(super) fn with_leader(self, leader: Option<&Leader>) -> Self {
        LogHandle { leader: leader.map(Leader::commands), ..self }
    }

    /// The topic of a role.
    fn topic(&self, role: TopicRole) -> Result<(usize, &TopicGates), LogError> {
        let found = self.topics.iter().enumerate().find(|(_, topic)| topic.role == role);
        found.ok_or(LogError::NoTopic(role.word()))
    }

    /// Writes records, together and in order, after all that were written before by this handle or a clone; answers
    /// when all are acknowledged and the sink has them. After an error some of them may be in the topic all the same.
    pub fn append(
        &self,
        role: TopicRole,
        entries: Vec<LogEntry>,
        deadline: Deadline,
        done: Reply<LogAnswer>,
    ) {
        match self.topic(role).and_then(|(topic, gates)| Ok((topic, gates.enter_write()?))) {
            Err(error) => done.send(Err(error)),
            Ok(_) if entries.is_empty() => done.send(Ok(())),
            Ok((topic, permit)) => {
                let request = Request { deadline, done, _permit: permit };
                self.send(Command::Append { topic, entries, request });
            }
        }
    }

    /// Answers when the sink has all that is in the topic at the time of this call, open transactions included.
    pub fn read_to_end(&self, role: TopicRole, deadline: Deadline, done: Reply<LogAnswer>) {
        match self.topic(role).and_then(|(topic, gates)| Ok((topic, gates.enter_read()?))) {
            Err(error) => done.send(Err(error)),
            Ok((topic, permit)) => {
                let request = Request { deadline, done, _permit: permit };
                self.send(Command::ReadToEnd { topic, request });
            }
        }
    }

    /// Claims write privileges for the config topic, anew if this worker had them: a former leader cannot write any more
    /// then. For the leader, where exactly-once support is prepared or enabled.
    pub fn claim(&self, deadline: Deadline, done: Reply<LogAnswer>) {
        self.ask_leader(done, |done| LeaderCommand::Claim { deadline, done });
    }

    /// Writes records to the config topic in one transaction, as the leader that has claimed the privilege; answers when
    /// it is committed and the sink has them. After an error the privilege has to be claimed again; whether the records
    /// are in the topic is not known, unless the error is [`LogError::NotClaimed`].
    pub fn append_as_leader(&self, entries: Vec<LogEntry>, deadline: Deadline, done: Reply<LogAnswer>) {
        match self.topic(TopicRole::Config).and_then(|(topic, gates)| Ok((topic, gates.enter_write()?))) {
            Err(error) => done.send(Err(error)),
            Ok(_) if entries.is_empty() => done.send(Ok(())),
            Ok((topic, permit)) => {
                let name = Arc::clone(&self.topics[topic].name);
                self.ask_leader(done, |done| {
                    let request = Request { deadline, done, _permit: permit };
                    LeaderCommand::Write { topic, name, entries, request }
                });
            }
        }
    }

    fn ask_leader(&self, done: Reply<LogAnswer>, command: impl FnOnce(Reply<LogAnswer>) -> LeaderCommand) {
        let Some(leader) = &self.leader else { return done.send(Err(LogError::NotClaimed)) };
        match leader.try_send(command(done)) {
            Ok(()) => {}
            Err(TrySendError::Full(command)) => {
                let (topic, waiting) = ("of the leader".into(), leader.len());
                command.refuse(LogError::Busy { topic, what: "writes", waiting });
            }
            Err(TrySendError::Disconnected(command)) => command.refuse(LogError::Closed),
        }
    }

    /// Answers when records that the leader wrote were read back.
    pub(super) fn read_back(&self, topic: usize, targets: Vec<Target>, request: Request) {
        self.send(Command::ReadBack { topic, targets, request });
    }

    /// Has a topic looked at that a write of the leader did not find.
    pub(super) fn look(&self, topic: usize) {
        self.send(Command::Look { topic });
    }

    fn send(&self, command: Command) {
        // A command that is not taken is dropped, and its reply answers that the logs are closed.
        drop(self.commands.try_send(command));
    }
}

impl TopicGates {
    fn enter_write(&self) -> Result<Permit, LogError> {
        self.writes.enter().ok_or_else(|| self.busy("writes", &self.writes))
    }

    fn enter_read(&self) -> Result<Permit, LogError> {
        self.reads.enter().ok_or_else(|| self.busy("reads", &self.reads))
    }

    fn busy(&self, what: &'static str, gate: &Gate) -> LogError {
        LogError::Busy { topic: Arc::clone(&self.name), what, waiting: gate.max() }
    }
}
