//! Has a group forget the offsets of single partitions (KIP-496), which librdkafka's admin client for Rust cannot ask
//! for.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::after;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::{GroupId, OffsetDeleteRequest, TopicName};

use super::broker_socket::coordinator::Served;
use super::broker_socket::talk::{BrokerTalk, NoCoordinator};
use super::broker_socket::{ConnectionSettings, SocketFault, SocketFaultKind, text};
use super::fault::{FaultKind, KafkaFault};
use crate::api::ids::TopicPartition;
use crate::config::broker::Broker;
use crate::stdx::time::{Clock, Deadline};

pub(super) const WHAT: &str = "delete committed offsets";

/// The pause before a coordinator is looked for again that was about to become one.
const PAUSE: Duration = Duration::from_millis(200);

/// What to forget, and whom to ask.
pub(super) struct OffsetDeletion {
    /// Of the client that asks.
    pub(super) settings: Arc<ConnectionSettings>,
    /// Some brokers, any of which knows the coordinator.
    pub(super) brokers: Vec<Broker>,
    /// The group.
    pub(super) group: String,
    /// The partitions; others keep their offsets.
    pub(super) partitions: Vec<TopicPartition>,
}

impl OffsetDeletion {
    /// Does it. A group that is not there has no offsets. Blocks, at most until the deadline.
    ///
    /// # Errors
    /// No answer in time, no authority, or members that still run.
    pub(super) fn carry_out(&self, deadline: Deadline) -> Result<(), KafkaFault> {
        loop {
            match self.attempt(deadline) {
                Err(fault) if fault.kind() == FaultKind::Passing && !deadline.passed(Clock.now().instant) => {
                    after(PAUSE.min(deadline.left(Clock.now().instant))).recv().ok();
                }
                result => return result,
            }
        }
    }

    fn attempt(&self, deadline: Deadline) -> Result<(), KafkaFault> {
        let of = Served::Group(&self.group);
        let mut coordinator = BrokerTalk::with_coordinator(of, &self.brokers, &self.settings, deadline)
            .map_err(uncoordinated)?;
        let answer = coordinator.ask(|_| self.request()).map_err(|fault| of_socket(&fault))?;
        let of_partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let codes =
            std::iter::once(answer.error_code).chain(of_partitions.map(|partition| partition.error_code));
        match codes.into_iter().find_map(ResponseError::try_from_code) {
            None | Some(ResponseError::GroupIdNotFound) => Ok(()),
            Some(error) => Err(refused(error)),
        }
    }

    fn request(&self) -> OffsetDeleteRequest {
        let mut topics: Vec<OffsetDeleteRequestTopic> = Vec::new();
        for TopicPartition { topic, partition } in &self.partitions {
            let partition = OffsetDeleteRequestPartition::default().with_partition_index(*partition);
            match topics.iter_mut().find(|known| known.name.as_str() == &**topic) {
                Some(known) => known.partitions.push(partition),
                None => topics.push(
                    OffsetDeleteRequestTopic::default()
                        .with_name(TopicName(text(topic)))
                        .with_partitions(vec![partition]),
                ),
            }
        }
        OffsetDeleteRequest::default().with_group_id(GroupId(text(&self.group))).with_topics(topics)
    }
}

fn uncoordinated(why: NoCoordinator) -> KafkaFault {
    match why {
        NoCoordinator::NoBroker => KafkaFault::other(WHAT, FaultKind::Unreachable, why.to_string()),
        NoCoordinator::Socket(fault) => of_socket(&fault),
        NoCoordinator::Refused(why) => refused(why.error()),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "Kafka adds errors; what is not listed has no advice")]
fn refused(error: ResponseError) -> KafkaFault {
    let kind = match error {
        ResponseError::NonEmptyGroup | ResponseError::GroupSubscribedToTopic => FaultKind::GroupNotEmpty,
        ResponseError::GroupAuthorizationFailed => FaultKind::GroupAuthorization,
        ResponseError::TopicAuthorizationFailed => FaultKind::TopicAuthorization,
        ResponseError::UnknownTopicOrPartition => FaultKind::UnknownTopic,
        _ if error.is_retriable() => FaultKind::Passing,
        _ => FaultKind::Other,
    };
    KafkaFault::other(WHAT, kind, error.to_string())
}

fn of_socket(fault: &SocketFault) -> KafkaFault {
    let kind = match fault.kind() {
        SocketFaultKind::Tls => FaultKind::Tls,
        SocketFaultKind::Authentication => FaultKind::Authentication,
        SocketFaultKind::Bug => FaultKind::Bug,
        SocketFaultKind::Unsupported => FaultKind::Other,
        SocketFaultKind::Unreachable | SocketFaultKind::Closed | SocketFaultKind::Protocol => {
            FaultKind::Unreachable
        }
    };
    KafkaFault::other(WHAT, kind, fault.to_string())
}
