//! The leader's writes to the config topic. Transactions block, so they have a thread of their own.

use std::convert::Infallible;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::LogsNotStarted;
use super::error::{LogAnswer, LogError};
use super::handle::{LogEntry, LogHandle, Request};
use super::progress::Target;
use crate::config::client::ClientSettings;
use crate::kafka::transactional_log::TransactionalLogProducer;
use crate::stdx::reply::Reply;
use crate::stdx::thread::{self, JoinOnDrop};
use crate::stdx::time::{Clock, Deadline};

/// How many claims and writes may wait: when a group starts, the leader writes something for each connector at once.
const WAITING_MAX: usize = 1024;
/// What a claim is, where it fails.
const CLAIM: &str = "claim write privileges for the config topic (InitProducerId)";

/// The thread of the leader's writes. Dropping it does not wait for a call to the broker that is under way: that ends
/// by its deadline.
#[derive(Debug)]
pub(super) struct Leader {
    commands: Sender<LeaderCommand>,
    thread: Option<JoinOnDrop>,
    /// Dropped last: the thread sees the channel closed, and ends.
    _stop: Sender<Infallible>,
}

/// What it is asked to do. What is written may be secret, so it is not for logs.
pub(super) enum LeaderCommand {
    /// Become the only one that can write.
    Claim { deadline: Deadline, done: Reply<LogAnswer> },
    /// Write in one transaction.
    Write { topic: usize, name: Arc<str>, entries: Vec<LogEntry>, request: Request },
}

impl LeaderCommand {
    /// Answers without doing it.
    pub(super) fn refuse(self, error: LogError) {
        match self {
            LeaderCommand::Claim { done, .. } => done.send(Err(error)),
            LeaderCommand::Write { request, .. } => request.done.send(Err(error)),
        }
    }
}

impl Leader {
    /// Starts the thread. `logs` is where writes wait until they are read back.
    pub(super) fn start(settings: ClientSettings, logs: LogHandle) -> Result<Self, LogsNotStarted> {
        let (commands, queue) = bounded(WAITING_MAX);
        let (stop, stopped) = bounded(0);
        let mut writer = Writer { settings, logs, producer: None };
        let thread = thread::spawn("internal-topics-leader", thread::STACK_BYTES, move || {
            writer.run(&queue, &stopped);
            // A queue keeps what is in it as long as it has senders: here they get their answer.
            queue.try_iter().for_each(|command| command.refuse(LogError::Closed));
        });
        let thread = Some(thread.map_err(LogsNotStarted::Thread)?);
        Ok(Leader { commands, thread, _stop: stop })
    }

    /// Where commands go.
    pub(super) fn commands(&self) -> Sender<LeaderCommand> {
        self.commands.clone()
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.abandon();
        }
    }
}

struct Writer {
    settings: ClientSettings,
    logs: LogHandle,
    /// The producer of the claim that holds, as far as is known.
    producer: Option<TransactionalLogProducer>,
}

impl Writer {
    fn run(&mut self, queue: &Receiver<LeaderCommand>, stopped: &Receiver<Infallible>) {
        loop {
            let command = select! {
                recv(queue) -> command => command,
                recv(stopped) -> _ => return,
            };
            match command {
                Ok(LeaderCommand::Claim { deadline, done }) => done.send(self.claim(deadline)),
                Ok(LeaderCommand::Write { topic, name, entries, request }) => {
                    match self.write(&name, &entries, request.deadline) {
                        Ok(targets) => self.logs.read_back(topic, targets, request),
                        Err(error) => {
                            if error.misses_topic() {
                                self.logs.look(topic);
                            }
                            request.done.send(Err(error));
                        }
                    }
                }
                Err(_) => return,
            }
        }
    }

    /// A producer of an earlier claim proves nothing: another leader may have come between, and it would only be found out
    /// by a write that fails.
    fn claim(&mut self, deadline: Deadline) -> LogAnswer {
        self.producer = None;
        self.producer = Some(TransactionalLogProducer::claim(&self.settings, CLAIM, deadline)?);
        log::info!("this worker has claimed write privileges for the config topic");
        Ok(())
    }

    /// Writes, and says which positions have to be read for that to be read back. The claim does not survive an error.
    fn write(
        &mut self,
        topic: &Arc<str>,
        entries: &[LogEntry],
        deadline: Deadline,
    ) -> Result<Vec<Target>, LogError> {
        if deadline.passed(Clock.now().instant) {
            let (topic, what, may_be_written, why) = (Arc::clone(topic), "written", false, None);
            return Err(LogError::TimedOut { topic, what, may_be_written, why });
        }
        let producer = self.producer.take().ok_or(LogError::NotClaimed)?;
        let records = entries.iter().map(|(key, value)| (&key[..], value.as_deref()));
        let placed = producer.write(topic, records, deadline)?;
        self.producer = Some(producer);
        Ok(placed.into_iter().map(|placed| (placed.partition, placed.offset + 1)).collect())
    }
}
