//! The consumer of one sink task: a member of the group of its connector.
//!
//! It never waits for records: [`SinkConsumer::fill`] takes what is there, and the task is woken when there is more.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::client_log;
use super::consumed::{BatchBuilder, Consumed};
use super::denials::kind_of;
use super::fault::{FaultKind, KafkaFault};
use super::figures::ClientFigures;
pub use super::group_events::Membership;
use super::group_events::{GroupEvents, unassign};
use super::producer::Wake;
use super::settings::client_config;
use super::topic_watch::{Change, TopicWatch};
use crate::api::ids::TopicPartition;
use crate::api::sink::SinkOffsets;
use crate::config::client::ClientSettings;
use crate::stdx::java_regex::JavaRegex;
use crate::stdx::thread;
use crate::stdx::time::{Clock, Deadline};

/// Results of commits that wait for the task; more are commits that it gave up.
const COMMITS_MAX: usize = 16;

/// What a consumer subscribes to.
#[derive(Debug, Clone, Copy)]
pub enum Subscription<'a> {
    /// Topics by name.
    Names(&'a [String]),
    /// Topics whose whole name matches a regular expression of Java.
    Pattern(&'a str),
}

/// What a fill of the batch ended with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// The batch is full: there may be more.
    Full,
    /// There is nothing more now; the task will be woken.
    Drained,
    /// The group decided something: look at [`SinkConsumer::next_membership`].
    Membership,
}

/// A consumer that belongs to one sink task. It leaves the group when it is dropped; without an answer of the broker
/// that takes as long as `session.timeout.ms`, see [`SinkConsumer::close`].
pub struct SinkConsumer {
    client: Arc<BaseConsumer<GroupEvents>>,
    batch: BatchBuilder,
    commit_ended: Sender<CommitEnded>,
    commits_ended: Receiver<CommitEnded>,
    wake: Wake,
    settings: ClientSettings,
    /// Which topics there are to subscribe to, where a pattern says which.
    watch: Option<TopicWatch>,
}

/// How a commit ended: its number, and its result.
pub type CommitEnded = (u64, Result<(), KafkaFault>);

impl SinkConsumer {
    /// A consumer that has not subscribed yet. `wake` is called on librdkafka's threads when there is something to
    /// fill after [`Filled::Drained`]; it must not block. Does not wait for the broker.
    pub fn new(settings: &ClientSettings, wake: Wake) -> Result<Self, KafkaFault> {
        let client = client_config(settings).create_with_context(GroupEvents::default());
        let mut client: BaseConsumer<GroupEvents> =
            client.map_err(|error| KafkaFault::new("make a consumer", &error))?;
        let on_records = Arc::clone(&wake);
        client.set_nonempty_callback(move || on_records());
        let (commit_ended, commits_ended) = bounded(COMMITS_MAX);
        let client = Arc::new(client);
        Ok(SinkConsumer {
            client,
            batch: BatchBuilder::default(),
            commit_ended,
            commits_ended,
            wake,
            settings: settings.clone(),
            watch: None,
        })
    }

    /// What librdkafka tells of it, if it was asked to.
    pub fn figures(&self) -> Arc<ClientFigures> {
        Arc::clone(&self.client.context().figures)
    }

    /// Joins the group for topics; with a pattern once [`SinkConsumer::follow_topics`] has found some. Fails when a
    /// pattern is wrong.
    pub fn subscribe(&mut self, subscription: Subscription<'_>, now: Instant) -> Result<(), KafkaFault> {
        match subscription {
            Subscription::Names(topics) => self.subscribe_to(topics),
            Subscription::Pattern(pattern) => {
                let refused = |why| {
                    KafkaFault::other(
                        format!("subscribe to topics.regex '{pattern}'"),
                        FaultKind::Config,
                        why,
                    )
                };
                let pattern = JavaRegex::new(pattern).map_err(refused)?;
                self.watch = Some(TopicWatch::new(pattern, &self.settings, now));
                Ok(())
            }
        }
    }

    /// Subscribes to topics that have come, and no longer to those that have gone, where a pattern says which. To be called
    /// in every turn; does not wait. The task is woken when there is something new.
    ///
    /// # Errors
    /// Something that does not go away by itself.
    pub fn follow_topics(&mut self, now: Instant) -> Result<(), KafkaFault> {
        let Some(watch) = &mut self.watch else { return Ok(()) };
        match watch.look(&self.client, &self.wake, now)? {
            Change::None => Ok(()),
            Change::To(topics) if topics.is_empty() => {
                log::info!("No topic matches topics.regex");
                self.client.unsubscribe();
                Ok(())
            }
            Change::To(topics) => {
                log::info!("Subscribing to the topics that match topics.regex: {}", topics.join(", "));
                self.subscribe_to(&topics)
            }
        }
    }

    /// When [`SinkConsumer::follow_topics`] has something to do, if nothing wakes the task before.
    pub fn follows_topics_at(&self) -> Option<Instant> {
        self.watch.as_ref().and_then(TopicWatch::due)
    }

    fn subscribe_to(&self, topics: &[String]) -> Result<(), KafkaFault> {
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        self.client.subscribe(&topics).map_err(|error| KafkaFault::new("subscribe to the topics", &error))
    }

    /// Adds to the batch what is there, up to `records_max` records in all. Never waits. Fails with what librdkafka
    /// does not get over by itself.
    pub fn fill(&mut self, records_max: usize) -> Result<Filled, KafkaFault> {
        let mut callbacks = None;
        loop {
            // What the group decides comes by a callback: without one the lock need not be asked for each record.
            let seen = self.client.context().callbacks();
            if callbacks.replace(seen) != Some(seen) && self.client.context().has_membership() {
                return Ok(Filled::Membership);
            }
            if self.batch.is_full(records_max) {
                return Ok(Filled::Full);
            }
            match self.client.poll(Duration::ZERO) {
                Some(Ok(message)) => self.batch.push(&message),
                Some(Err(error)) => look_at(&error, self.client.context().take_reason())?,
                None if self.client.context().callbacks() == seen => return Ok(Filled::Drained),
                None => {}
            }
        }
    }

    /// Records in the batch.
    pub fn filled(&self) -> usize {
        self.batch.len()
    }

    /// Takes the batch.
    pub fn take_batch(&mut self) -> impl Iterator<Item = Consumed> + '_ {
        self.batch.take()
    }

    /// What the group decided, in order, once each. Each must be carried out: the group waits for it.
    pub fn next_membership(&self) -> Option<Membership> {
        self.client.context().next_membership()
    }

    /// Takes partitions over that were assigned, and reads from the given offsets; without one, from where the group
    /// has committed or `auto.offset.reset` says.
    pub fn take_over(&self, partitions: &[TopicPartition], from: &SinkOffsets) -> Result<(), KafkaFault> {
        let fault = |error: &_| KafkaFault::new("take over partitions", error);
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            let offset = from.get(partition).map_or(Offset::Invalid, |offset| Offset::Offset(*offset));
            list.add_partition_offset(&partition.topic, partition.partition, offset)
                .map_err(|error| fault(&error))?;
        }
        let result = match self.client.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.client.incremental_assign(&list),
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.client.assign(&list),
        };
        result.map_err(|error| fault(&error))
    }

    /// Gives partitions up that were revoked or lost, and forgets their records in the batch.
    pub fn give_up(&mut self, partitions: &[TopicPartition]) -> Result<(), KafkaFault> {
        self.batch.forget(|topic, partition| {
            partitions.iter().any(|gone| gone.partition == partition && &*gone.topic == topic)
        });
        let result = unassign(&self.client, &list_of(partitions));
        result.map_err(|error| KafkaFault::new("give up partitions", &error))
    }

    /// The committed offsets of partitions, where there are any. Waits for the broker until the deadline.
    pub fn committed(
        &self,
        partitions: &[TopicPartition],
        deadline: Deadline,
    ) -> Result<SinkOffsets, KafkaFault> {
        let left = deadline.left(Clock.now().instant);
        let committed = self.client.committed_offsets(list_of(partitions), left);
        let committed = committed.map_err(|error| KafkaFault::new("read the committed offsets", &error))?;
        let elements = committed.elements();
        Ok(elements
            .iter()
            .filter_map(|element| match element.offset() {
                Offset::Offset(offset) => Some((
                    TopicPartition { topic: element.topic().into(), partition: element.partition() },
                    offset,
                )),
                Offset::Beginning
                | Offset::End
                | Offset::Stored
                | Offset::Invalid
                | Offset::OffsetTail(_) => None,
            })
            .collect())
    }

    /// Begins to commit offsets under a number; [`SinkConsumer::commit_ended`] tells how it ended, and the task is
    /// woken then.
    ///
    /// librdkafka has an asynchronous commit, but rdkafka never hears of its result; its synchronous one knows no
    /// deadline. So each commit has a short-lived thread: one a task and `offset.flush.interval.ms`.
    pub fn commit(&self, number: u64, offsets: &SinkOffsets) -> Result<(), KafkaFault> {
        let what = "commit offsets";
        let list = list_with_offsets(offsets).map_err(|error| KafkaFault::new(what, &error))?;
        let (client, ended, wake) =
            (Arc::clone(&self.client), self.commit_ended.clone(), Arc::clone(&self.wake));
        let committing = thread::spawn("kafka-commit", thread::STACK_BYTES, move || {
            let result = client.commit(&list, CommitMode::Sync);
            // Full or closed: the task has given so many commits up, or has ended.
            drop(ended.try_send((number, result.map_err(|error| KafkaFault::new(what, &error)))));
            wake();
        });
        let committing =
            committing.map_err(|error| KafkaFault::other(what, FaultKind::Other, error.to_string()))?;
        // It ends within librdkafka's own bound, whether the task still wants to know or not.
        committing.abandon();
        Ok(())
    }

    /// A commit that has ended, once each.
    pub fn commit_ended(&self) -> Option<CommitEnded> {
        self.commits_ended.try_recv().ok()
    }

    /// Waits until a commit ends; `None` when the deadline passes before.
    pub fn wait_for_commit(&self, deadline: Deadline) -> Option<CommitEnded> {
        self.commits_ended.recv_timeout(deadline.left(Clock.now().instant)).ok()
    }

    /// Reads on from other offsets; records of these partitions in the batch are forgotten.
    pub fn seek(&mut self, offsets: &SinkOffsets, deadline: Deadline) -> Result<(), KafkaFault> {
        self.batch.forget(|topic, partition| {
            offsets.keys().any(|moved| moved.partition == partition && &*moved.topic == topic)
        });
        for (partition, offset) in offsets {
            let left = deadline.left(Clock.now().instant);
            self.client.seek(&partition.topic, partition.partition, Offset::Offset(*offset), left).map_err(
                |error| KafkaFault::new(format!("read {partition} from offset {offset} again"), &error),
            )?;
        }
        Ok(())
    }

    /// Takes no records of these partitions until they are resumed.
    pub fn pause(&self, partitions: &[TopicPartition]) -> Result<(), KafkaFault> {
        let result = self.client.pause(&list_of(partitions));
        result.map_err(|error| KafkaFault::new("pause partitions", &error))
    }

    /// Takes records of these partitions again.
    pub fn resume(&self, partitions: &[TopicPartition]) -> Result<(), KafkaFault> {
        let result = self.client.resume(&list_of(partitions));
        result.map_err(|error| KafkaFault::new("resume partitions", &error))
    }
}

impl SinkConsumer {
    /// Leaves the group; waits for it until the deadline. `false` if it goes on after that, on a thread of its own.
    pub fn close(self, deadline: Deadline) -> bool {
        let (closed, wait) = bounded::<Infallible>(0);
        let closing = thread::spawn("kafka-consumer-close", thread::STACK_BYTES, move || {
            drop(self);
            drop(closed);
        });
        // Without a thread the consumer was dropped here already.
        let Ok(closing) = closing else { return true };
        match wait.recv_timeout(deadline.left(Clock.now().instant)) {
            Ok(never) => match never {},
            Err(RecvTimeoutError::Disconnected) => true,
            Err(RecvTimeoutError::Timeout) => {
                closing.abandon();
                false
            }
        }
    }
}

impl Drop for SinkConsumer {
    fn drop(&mut self) {
        // The client leaves the group while it is dropped, and asks by a callback to give up what it has.
        self.client.context().close();
        while let Some(membership) = self.client.context().next_membership() {
            match membership {
                Membership::Assigned(_) => {}
                Membership::Revoked(partitions) | Membership::Lost(partitions) => {
                    drop(unassign(&self.client, &list_of(&partitions)));
                }
            }
        }
    }
}

impl fmt::Debug for SinkConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkConsumer").field("filled", &self.batch.len()).finish_non_exhaustive()
    }
}

/// Fails with what librdkafka does not get over by itself; the rest is only told.
fn look_at(error: &KafkaError, reason: Option<String>) -> Result<(), KafkaFault> {
    let fault = KafkaFault::new("consume records", error);
    let fault = match &reason {
        Some(reason) => {
            let kind = error.rdkafka_error_code().map_or(fault.kind(), |code| kind_of(code, reason));
            fault.because(kind, reason)
        }
        None => fault,
    };
    if matches!(error, KafkaError::MessageConsumptionFatal(_)) || fault.kind().ends_consumer() {
        return Err(fault);
    }
    client_log::client_error(error, &fault.to_string());
    Ok(())
}

fn list_of(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}

fn list_with_offsets(offsets: &SinkOffsets) -> rdkafka::error::KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (partition, offset) in offsets {
        list.add_partition_offset(&partition.topic, partition.partition, Offset::Offset(*offset))?;
    }
    Ok(list)
}
