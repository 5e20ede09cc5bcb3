//! What a coordinator has left open of a transaction that it has ended.
//!
//! A coordinator writes how a transaction ended into each of its partitions. One of Kafka 4.3 that comes to a partition which
//! has no leader at that moment takes it for deleted (KAFKA-20734): there the transaction is open for ever, and nobody who reads
//! committed records gets past it, while for the coordinator it is over. A broker that was killed and comes back, with
//! partitions that no other broker has, goes through such a moment.
//!
//! The next transaction of the same producer ends what is open, with its own outcome. So whoever takes a transactional id asks
//! how the latest transaction ended before that ([`LeftOpen::latest`]): afterwards nobody knows. When the id is taken and nobody
//! else can write any more, partitions that are open all the same are ended in that way ([`LeftOpen::end`]), in a transaction of
//! these partitions that has no records.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_transactions_response::TransactionState;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, DescribeProducersRequest, DescribeTransactionsRequest, EndTxnRequest,
    ProducerId, TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;
use rdkafka::ClientContext;
use rdkafka::client::Client;

use super::group_socket::talk::{BrokerTalk, NoCoordinator, Served};
use super::group_socket::{ConnectionSettings, SocketFault, SocketFaultKind};
use crate::config::client::ClientSettings;
use crate::stdx::time::{Clock, Deadline};

/// How a transaction ended, or will end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Its records are valid.
    Commit,
    /// They are not.
    Abort,
}

/// Partitions of one topic in which a transaction was ended that had been left open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedLate {
    /// How.
    pub decision: Decision,
    /// Which.
    pub partitions: Vec<i32>,
}

/// Why nothing can be said or done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Brokers are away, or busy with it: ask again.
    #[error("{0}")]
    Passing(String),
    /// It will not be otherwise.
    #[error("{0}")]
    Final(String),
}

impl From<SocketFault> for Unanswered {
    fn from(fault: SocketFault) -> Self {
        match fault.kind() {
            SocketFaultKind::Unreachable | SocketFaultKind::Closed => Unanswered::Passing(fault.to_string()),
            SocketFaultKind::Tls
            | SocketFaultKind::Authentication
            | SocketFaultKind::Protocol
            | SocketFaultKind::Unsupported
            | SocketFaultKind::Bug => Unanswered::Final(fault.to_string()),
        }
    }
}

impl From<NoCoordinator> for Unanswered {
    fn from(why: NoCoordinator) -> Self {
        match why {
            NoCoordinator::NoBroker => Unanswered::Passing(why.to_string()),
            NoCoordinator::Socket(fault) => fault.into(),
            NoCoordinator::Refused(error) => failed("FindCoordinator", error),
        }
    }
}

/// Questions about one transactional id and one topic. All calls block, at most until the deadline.
pub(super) struct LeftOpen<'a, C: ClientContext> {
    /// Knows the brokers.
    pub(super) client: &'a Client<C>,
    /// How brokers let us in.
    pub(super) settings: &'a ClientSettings,
    pub(super) id: &'a str,
    pub(super) topic: &'a str,
    pub(super) deadline: Deadline,
}

/// The brokers, and which of them lead which partitions of the topic.
struct Cluster {
    addresses: BTreeMap<i32, (String, u16)>,
    led: BTreeMap<i32, Vec<i32>>,
}

impl<C: ClientContext> LeftOpen<'_, C> {
    /// How the latest transaction ended or will end once the transactional id is taken: one that is open is aborted then. `None`
    /// where there was none, or it is not known any more since the id was taken after it.
    pub(super) fn latest(&self) -> Result<Option<Decision>, Unanswered> {
        let (cluster, settings) = (self.cluster()?, self.connections()?);
        let mut coordinator = self.coordinator(&cluster, &settings)?;
        Ok(self.state(&mut coordinator)?.and_then(|state| decision(&state.transaction_state)))
    }

    /// Ends what was left open in the topic; the transactional id was taken since the decision, and nothing was sent. `None`:
    /// nothing was open.
    pub(super) fn end(&self, decision: Option<Decision>) -> Result<Option<EndedLate>, Unanswered> {
        let (cluster, settings) = (self.cluster()?, self.connections()?);
        let mut coordinator = self.coordinator(&cluster, &settings)?;
        let Some(state) = self.state(&mut coordinator)? else { return Ok(None) };
        let mut partitions = Vec::new();
        for (leader, led) in &cluster.led {
            partitions.extend(self.open(state.producer_id, *leader, led, &cluster, &settings)?);
        }
        if partitions.is_empty() {
            return Ok(None);
        }
        partitions.sort_unstable();
        let Some(decision) = decision else {
            return Err(Unanswered::Final(format!(
                "a transaction of {} (producer {}) is open in the partitions {partitions:?} of the topic '{}' although its \
                 coordinator has ended it, and it is not known any more whether it was committed",
                self.id, state.producer_id.0, self.topic
            )));
        };
        self.end_in(&partitions, decision, &state, &mut coordinator)?;
        Ok(Some(EndedLate { decision, partitions }))
    }

    fn end_in(
        &self,
        partitions: &[i32],
        decision: Decision,
        state: &TransactionState,
        coordinator: &mut BrokerTalk,
    ) -> Result<(), Unanswered> {
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(TopicName(text(self.topic)))
            .with_partitions(partitions.to_vec());
        let added = coordinator.ask(|_| {
            AddPartitionsToTxnRequest::default()
                .with_v3_and_below_transactional_id(TransactionalId(text(self.id)))
                .with_v3_and_below_producer_id(state.producer_id)
                .with_v3_and_below_producer_epoch(state.producer_epoch)
                .with_v3_and_below_topics(vec![topic])
        })?;
        let results =
            added.results_by_topic_v3_and_below.iter().flat_map(|topic| &topic.results_by_partition);
        for result in results {
            checked("AddPartitionsToTxn", result.partition_error_code)?;
        }
        let ended = coordinator.ask(|_| {
            EndTxnRequest::default()
                .with_transactional_id(TransactionalId(text(self.id)))
                .with_producer_id(state.producer_id)
                .with_producer_epoch(state.producer_epoch)
                .with_committed(decision == Decision::Commit)
        })?;
        checked("EndTxn", ended.error_code)
    }

    fn connections(&self) -> Result<Arc<ConnectionSettings>, Unanswered> {
        let client_id = self.settings.get("client.id").unwrap_or_default();
        let settings = ConnectionSettings::from_client(client_id, self.settings);
        settings.map(Arc::new).map_err(|fault| Unanswered::Final(fault.to_string()))
    }

    fn cluster(&self) -> Result<Cluster, Unanswered> {
        let patience = self.deadline.left(Clock.now().instant);
        let metadata = self.client.fetch_metadata(Some(self.topic), patience);
        let metadata = metadata.map_err(|error| Unanswered::Passing(format!("Metadata: {error}")))?;
        let addresses = metadata.brokers().iter().filter_map(|broker| {
            Some((broker.id(), (broker.host().to_owned(), u16::try_from(broker.port()).ok()?)))
        });
        let mut led: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
            led.entry(partition.leader()).or_default().push(partition.id());
        }
        Ok(Cluster { addresses: addresses.collect(), led })
    }

    /// The broker that coordinates the transactions.
    fn coordinator(
        &self,
        cluster: &Cluster,
        settings: &Arc<ConnectionSettings>,
    ) -> Result<BrokerTalk, Unanswered> {
        let brokers: Vec<_> = cluster.addresses.values().cloned().collect();
        let of = Served::TransactionalId(self.id);
        Ok(BrokerTalk::with_coordinator(of, &brokers, settings, self.deadline)?)
    }

    /// What the coordinator knows of the transactional id; `None` if nothing.
    fn state(&self, coordinator: &mut BrokerTalk) -> Result<Option<TransactionState>, Unanswered> {
        let id = TransactionalId(text(self.id));
        let answer = coordinator
            .ask(|_| DescribeTransactionsRequest::default().with_transactional_ids(vec![id.clone()]))?;
        let state = answer.transaction_states.into_iter().find(|state| state.transactional_id == id);
        let state = state.ok_or_else(|| {
            Unanswered::Final("the coordinator does not tell of the transactional id".to_owned())
        })?;
        if state.error_code == ResponseError::TransactionalIdNotFound.code() {
            return Ok(None);
        }
        checked("DescribeTransactions", state.error_code)?;
        Ok(Some(state))
    }

    /// Those of the partitions in which a transaction of the producer is open.
    fn open(
        &self,
        producer: ProducerId,
        leader: i32,
        led: &[i32],
        cluster: &Cluster,
        settings: &Arc<ConnectionSettings>,
    ) -> Result<Vec<i32>, Unanswered> {
        let Some((host, port)) = cluster.addresses.get(&leader) else {
            return Err(Unanswered::Passing(format!("partitions {led:?} have no leader")));
        };
        let topic = TopicRequest::default()
            .with_name(TopicName(text(self.topic)))
            .with_partition_indexes(led.to_vec());
        let mut leader = BrokerTalk::begin((host, *port), settings, self.deadline)?;
        let answer = leader.ask(|_| DescribeProducersRequest::default().with_topics(vec![topic]))?;
        let mut open = Vec::new();
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            checked("DescribeProducers", partition.error_code)?;
            let mut producers = partition.active_producers.iter();
            if producers.any(|known| known.producer_id == producer && known.current_txn_start_offset >= 0) {
                open.push(partition.partition_index);
            }
        }
        Ok(open)
    }
}

/// What a state of a transaction, in Kafka's words, says of its end.
fn decision(state: &str) -> Option<Decision> {
    match state {
        "PrepareCommit" | "CompleteCommit" => Some(Decision::Commit),
        // Whoever takes the id aborts what is under way.
        "Ongoing" | "PrepareAbort" | "CompleteAbort" | "PrepareEpochFence" => Some(Decision::Abort),
        _ => None,
    }
}

/// An error in an answer.
fn checked(api: &str, code: i16) -> Result<(), Unanswered> {
    ResponseError::try_from_code(code).map_or(Ok(()), |error| Err(failed(api, error)))
}

fn failed(api: &str, error: ResponseError) -> Unanswered {
    let why = format!("{api} failed with {error}");
    // The end of a transaction is under way.
    if error.is_retriable() || error == ResponseError::ConcurrentTransactions {
        Unanswered::Passing(why)
    } else {
        Unanswered::Final(why)
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_tells_how_the_transaction_ends() {
        let cases = [
            ("PrepareCommit", Some(Decision::Commit)),
            ("CompleteCommit", Some(Decision::Commit)),
            ("Ongoing", Some(Decision::Abort)),
            ("PrepareAbort", Some(Decision::Abort)),
            ("CompleteAbort", Some(Decision::Abort)),
            ("PrepareEpochFence", Some(Decision::Abort)),
            ("Empty", None),
            ("Dead", None),
            ("Unknown", None),
        ];
        for (state, expected) in cases {
            assert_eq!(decision(state), expected, "{state}");
        }
    }

    #[test]
    fn what_passes_is_asked_again() {
        assert_eq!(checked("EndTxn", 0), Ok(()));
        for passing in [ResponseError::ConcurrentTransactions, ResponseError::CoordinatorLoadInProgress] {
            assert!(matches!(checked("EndTxn", passing.code()), Err(Unanswered::Passing(_))), "{passing}");
        }
        for last in [ResponseError::TransactionalIdAuthorizationFailed, ResponseError::ProducerFenced] {
            assert!(matches!(checked("EndTxn", last.code()), Err(Unanswered::Final(_))), "{last}");
        }
    }
}
