//! What librdkafka tells a consumer by callbacks in the middle of a poll, kept until its task looks.
//!
//! A callback only notes what happened; the task carries it out after the poll. So the life of a task is one line of
//! steps, and no plug-in code runs inside of librdkafka.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};

use super::client_log;
use super::figures::ClientFigures;
use crate::api::ids::TopicPartition;
use crate::stdx::mutex::lock;

/// What the group decided about a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    /// These partitions came, in addition to those it has.
    Assigned(Vec<TopicPartition>),
    /// These are to be given up; until they are, they are this member's.
    Revoked(Vec<TopicPartition>),
    /// These may be another member's already.
    Lost(Vec<TopicPartition>),
}

/// Notes of callbacks.
#[derive(Default)]
pub(super) struct GroupEvents {
    memberships: Mutex<VecDeque<Membership>>,
    /// Counts callbacks. A poll that gave no record has emptied the queue only if this did not change.
    callbacks: AtomicU64,
    /// Why the latest error came about that concerns the whole client: a poll only gives its code.
    reason: Mutex<Option<String>>,
    /// The consumer is closing: partitions are given up at once, since nobody looks any more.
    closing: AtomicBool,
    /// What librdkafka tells of the consumer.
    pub(super) figures: Arc<ClientFigures>,
}

impl GroupEvents {
    pub(super) fn callbacks(&self) -> u64 {
        self.callbacks.load(Ordering::Acquire)
    }

    pub(super) fn has_membership(&self) -> bool {
        !lock(&self.memberships).is_empty()
    }

    pub(super) fn next_membership(&self) -> Option<Membership> {
        lock(&self.memberships).pop_front()
    }

    /// The reason of the error that the latest poll gave, if there is one.
    pub(super) fn take_reason(&self) -> Option<String> {
        lock(&self.reason).take()
    }

    /// From now on partitions are given up as soon as the group asks.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    fn called(&self) {
        self.callbacks.fetch_add(1, Ordering::AcqRel);
    }
}

impl ClientContext for GroupEvents {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.called();
        client_log::line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.called();
        client_log::client_error(&error, reason);
        *lock(&self.reason) = Some(reason.to_owned());
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.called();
        self.figures.take(statistics);
    }
}

impl ConsumerContext for GroupEvents {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        self.called();
        if self.closing.load(Ordering::Acquire) {
            drop(unassign(consumer, list));
            return;
        }
        let partitions = partitions_of(list);
        let membership = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            Membership::Assigned(partitions)
        } else if consumer.assignment_lost() {
            Membership::Lost(partitions)
        } else {
            Membership::Revoked(partitions)
        };
        lock(&self.memberships).push_back(membership);
    }
}

/// Gives partitions up, in the way of the protocol that the group speaks.
pub(super) fn unassign(consumer: &BaseConsumer<GroupEvents>, list: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
        // Eager: a revocation is of everything.
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
    }
}

pub(super) fn partitions_of(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let elements = list.elements();
    elements
        .iter()
        .map(|element| TopicPartition { topic: element.topic().into(), partition: element.partition() })
        .collect()
}
