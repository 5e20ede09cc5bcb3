//! Has a group forget the offsets of single partitions (KIP-496), which librdkafka's admin client for Rust cannot ask
//! for: two conversations of our own, with a broker that knows the coordinator and with the coordinator.

use std::io;
use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, GroupId, OffsetDeleteRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use mio::{Events, Poll, Token};

use super::fault::{FaultKind, KafkaFault};
use super::group_socket::api::Ask;
use super::group_socket::conversation::Heard;
use super::group_socket::{BrokerConnection, ConnectionSettings, SocketFault, SocketFaultKind};
use crate::api::ids::TopicPartition;
use crate::stdx::time::{Clock, Deadline};

pub(super) const WHAT: &str = "delete committed offsets";

/// The pause before a coordinator is looked for again that was about to become one.
const PAUSE: Duration = Duration::from_millis(200);

/// What to forget, and whom to ask.
pub(super) struct OffsetDeletion {
    /// Of the client that asks.
    pub(super) settings: Arc<ConnectionSettings>,
    /// Hosts and ports of brokers, any of which knows the coordinator.
    pub(super) brokers: Vec<(String, u16)>,
    /// The group.
    pub(super) group: String,
    /// The partitions; others keep their offsets.
    pub(super) partitions: Vec<TopicPartition>,
}

impl OffsetDeletion {
    /// Does it. A group that is not there has no offsets. Blocks until the deadline, and beside that as long as the system
    /// looks up the name of a broker.
    ///
    /// # Errors
    /// No answer in time, no authority, or members that still run.
    pub(super) fn carry_out(&self, deadline: Deadline) -> Result<(), KafkaFault> {
        loop {
            match self.attempt(deadline) {
                Err(fault) if fault.kind() == FaultKind::Passing && !has_passed(deadline) => {
                    wait(PAUSE, deadline)?;
                }
                result => return result,
            }
        }
    }

    fn attempt(&self, deadline: Deadline) -> Result<(), KafkaFault> {
        let (host, port) = self.coordinator(deadline)?;
        let answer = self.converse(&host, port, deadline, |_| self.request())?;
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

    /// The coordinator, as the first broker says that can be asked.
    fn coordinator(&self, deadline: Deadline) -> Result<(String, u16), KafkaFault> {
        let mut last = KafkaFault::other(WHAT, FaultKind::Unreachable, "the cluster names no broker");
        for (host, port) in &self.brokers {
            let answer = self.converse(host, *port, deadline, |version| {
                let request = FindCoordinatorRequest::default();
                if version < 4 {
                    request.with_key(text(&self.group))
                } else {
                    request.with_coordinator_keys(vec![text(&self.group)])
                }
            });
            match answer {
                Ok(answer) => return coordinator_of(answer),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    /// One request over a connection of its own.
    fn converse<R: Ask>(
        &self,
        host: &str,
        port: u16,
        deadline: Deadline,
        make: impl FnOnce(i16) -> R,
    ) -> Result<R::Answer, KafkaFault> {
        let mut poll = Poll::new().map_err(|error| of_system(&error))?;
        let mut events = Events::with_capacity(8);
        let broker: Arc<str> = format!("{host}:{port}").into();
        let mut connection =
            BrokerConnection::new(broker, host, Arc::clone(&self.settings), Token(0), Clock.now());
        match (host, port).to_socket_addrs() {
            Ok(addresses) => connection.set_addresses(Clock.now(), addresses.collect()),
            Err(why) => connection.has_no_address(&why).map_err(|fault| of_socket(&fault))?,
        }
        let mut make = Some(make);
        loop {
            let now = Clock.now();
            let mut heard = Vec::new();
            let driven = connection.drive(now, poll.registry(), &mut heard);
            for heard in heard {
                match heard {
                    Heard::Ready => {
                        if let Some(make) = make.take() {
                            connection.ask(now, make).map_err(|fault| of_socket(&fault))?;
                        }
                    }
                    Heard::Answer(answer) => return answer.decode::<R>().map_err(|fault| of_socket(&fault)),
                }
            }
            driven.map_err(|fault| of_socket(&fault))?;
            let next =
                connection.next_deadline().map_or(deadline.instant(), |next| next.min(deadline.instant()));
            if deadline.passed(now.instant) {
                let why = format!("{host}:{port} did not answer in time");
                return Err(KafkaFault::other(WHAT, FaultKind::Unreachable, why));
            }
            poll_for(&mut poll, &mut events, next.saturating_duration_since(now.instant))?;
        }
    }
}

fn coordinator_of(answer: FindCoordinatorResponse) -> Result<(String, u16), KafkaFault> {
    // From version 4 on there is one entry for each group that was asked for, which is one.
    let (code, host, port) = match answer.coordinators.first() {
        Some(first) => (first.error_code, &first.host, first.port),
        None => (answer.error_code, &answer.host, answer.port),
    };
    match (ResponseError::try_from_code(code), u16::try_from(port)) {
        (Some(error), _) => Err(refused(error)),
        (None, Ok(port)) if port != 0 && !host.is_empty() => Ok((host.to_string(), port)),
        (None, Ok(_) | Err(_)) => Err(refused(ResponseError::CoordinatorNotAvailable)),
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

fn of_system(error: &io::Error) -> KafkaFault {
    KafkaFault::other(WHAT, FaultKind::Other, error.to_string())
}

fn has_passed(deadline: Deadline) -> bool {
    deadline.passed(Clock.now().instant)
}

fn wait(pause: Duration, deadline: Deadline) -> Result<(), KafkaFault> {
    let mut nothing = Poll::new().map_err(|error| of_system(&error))?;
    let pause = pause.min(deadline.left(Clock.now().instant));
    poll_for(&mut nothing, &mut Events::with_capacity(1), pause)
}

fn poll_for(poll: &mut Poll, events: &mut Events, wait: Duration) -> Result<(), KafkaFault> {
    match poll.poll(events, Some(wait)) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(of_system(&error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
