//! What a coordinator has left open of a transaction that it has ended.
//!
//! A coordinator writes how a transaction ended into each of its partitions. One of Kafka 4.3 that comes to a partition
//! which has no leader at that moment takes it for deleted (KAFKA-20734): there the transaction is open for ever, and
//! nobody who reads committed records gets past it, while for the coordinator it is over. A broker that was killed and
//! comes back, with partitions that no other broker has, goes through such a moment.
//!
//! The next transaction of the same producer ends what is open, with its own outcome. So whoever takes a transactional
//! id looks how the latest transaction ended before that ([`LeftOpen::look`]): afterwards nobody knows. When the id is
//! taken and nobody else can write any more, partitions that are open all the same are ended in that way
//! ([`LeftOpen::end`]), in a transaction of these partitions that has no records.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_transactions_response::TransactionState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, DescribeProducersRequest, DescribeTransactionsRequest, EndTxnRequest,
    MetadataRequest, MetadataResponse, ProducerId, TopicName, TransactionalId,
};

use super::broker_socket::coordinator::Served;
use super::broker_socket::talk::{BrokerTalk, NoCoordinator};
use super::broker_socket::{ConnectionSettings, SocketFault, SocketFaultKind, text};
use super::fault::{FaultKind, KafkaFault};
use crate::config::broker::Broker;
use crate::config::client::ClientSettings;
use crate::stdx::time::Deadline;

/// How long brokers may refuse a login that librdkafka succeeds with: one that starts may not know its users yet.
const DENIED: Duration = Duration::from_secs(10);

/// How long there may be no answer before the log says so.
pub const QUIET: Duration = Duration::from_secs(5);

/// How a transaction ended, or will end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Its records are valid.
    Commit,
    /// They are not.
    Abort,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Decision::Commit => "committed",
            Decision::Abort => "aborted",
        })
    }
}

/// A transaction was ended that had been left open. It prints as what people should know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedLate {
    /// How.
    pub decision: Decision,
    /// Where.
    pub topic: Arc<str>,
    /// In which of its partitions.
    pub partitions: Vec<i32>,
}

impl fmt::Display for EndedLate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EndedLate { decision, topic, partitions } = self;
        write!(
            f,
            "Kafka had left the latest transaction open in the partitions {partitions:?} of the topic '{topic}'; it is \
             {decision} there, too, now"
        )
    }
}

/// Why nothing can be said or done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Brokers are away, or busy with it: ask again.
    #[error("{0}")]
    Passing(String),
    /// A broker does not let us in. One that starts may not know its users yet.
    #[error("{0}")]
    Denied(String),
    /// It will not be otherwise.
    #[error("{0}")]
    Final(String),
    /// Something is open, and it is not known how to end it.
    #[error("{0}")]
    Undecided(String),
    /// Brokers before 3.0 have no such questions.
    #[error("{0}")]
    Unsupported(String),
}

impl Unanswered {
    /// Whether it may help to ask again, when there was no answer for so long.
    pub fn may_pass(&self, waited: Duration) -> bool {
        match self {
            Unanswered::Passing(_) => true,
            Unanswered::Denied(_) => waited < DENIED,
            Unanswered::Final(_) | Unanswered::Undecided(_) | Unanswered::Unsupported(_) => false,
        }
    }

    /// How much it is to people that it will not pass.
    pub fn level(&self) -> log::Level {
        match self {
            Unanswered::Unsupported(_) => log::Level::Info,
            Unanswered::Passing(_)
            | Unanswered::Denied(_)
            | Unanswered::Final(_)
            | Unanswered::Undecided(_) => log::Level::Warn,
        }
    }
}

impl From<SocketFault> for Unanswered {
    fn from(fault: SocketFault) -> Self {
        let why = fault.to_string();
        match fault.kind() {
            SocketFaultKind::Unreachable | SocketFaultKind::Closed => Unanswered::Passing(why),
            SocketFaultKind::Tls | SocketFaultKind::Authentication => Unanswered::Denied(why),
            SocketFaultKind::Protocol | SocketFaultKind::Bug => Unanswered::Final(why),
            SocketFaultKind::Unsupported => Unanswered::Unsupported(why),
        }
    }
}

impl From<NoCoordinator> for Unanswered {
    fn from(why: NoCoordinator) -> Self {
        match why {
            NoCoordinator::NoBroker => Unanswered::Passing(why.to_string()),
            NoCoordinator::Socket(fault) => fault.into(),
            NoCoordinator::Refused(why) => failed("FindCoordinator", why.error()),
        }
    }
}

/// The brokers that are asked, and how they let us in.
#[derive(Clone)]
pub struct Asked {
    bootstrap: Arc<[Broker]>,
    settings: Arc<ConnectionSettings>,
}

impl Asked {
    /// Of the settings of a client.
    ///
    /// # Errors
    /// A setting that these connections cannot keep.
    pub fn from_client(settings: &ClientSettings) -> Result<Self, KafkaFault> {
        let bootstrap = Broker::parse_list(settings.get("bootstrap.servers").unwrap_or_default());
        let bootstrap = bootstrap
            .map_err(|why| KafkaFault::other("ask how a transaction ended", FaultKind::Config, why))?;
        let client_id = settings.get("client.id").unwrap_or_default();
        let settings = ConnectionSettings::from_client(client_id, settings)?;
        Ok(Asked { bootstrap: bootstrap.into(), settings: Arc::new(settings) })
    }
}

/// What is known of one transactional id and the partitions of one topic. All calls block, at most until the deadline;
/// what a call has learnt before it failed is kept for the next.
pub struct LeftOpen {
    asked: Asked,
    id: String,
    topic: Arc<str>,
    attempts: usize,
    latest: Option<Latest>,
    /// By partition: whether a transaction is open there.
    partitions: BTreeMap<i32, bool>,
}

/// The latest transaction before the id was taken.
#[derive(Debug, Clone, Copy)]
struct Latest {
    producer: ProducerId,
    /// How it ended or will end; `None` if that is not known any more, since the id was taken after it.
    decision: Option<Decision>,
}

/// The brokers, and which partitions of the topic each of them leads.
type Leaders = Vec<(Broker, Vec<i32>)>;

impl LeftOpen {
    /// Nothing is known yet. The topic need not be there.
    pub fn new(asked: Asked, id: &str, topic: Arc<str>) -> Self {
        let id = id.to_owned();
        LeftOpen { asked, id, topic, attempts: 0, latest: None, partitions: BTreeMap::new() }
    }

    /// Looks how the latest transaction ended or will end once the transactional id is taken: one that is open is
    /// aborted then. To be called before the id is taken, and again if it may have been used meanwhile. Every partition
    /// needs a leader: what is known now could not be asked any more while one is waited for later.
    ///
    /// # Errors
    /// There is no answer.
    pub fn look(&mut self, deadline: Deadline) -> Result<(), Unanswered> {
        let mut broker = self.broker(deadline)?;
        self.leaders(&mut broker)?;
        let mut coordinator = broker.coordinator(Served::TransactionalId(&self.id))?;
        if let Some(state) = self.state(&mut coordinator)? {
            let decision = decision(&state.transaction_state);
            // Once it is taken, a state tells nothing of the transaction before.
            if decision.is_some() || self.latest.is_none() {
                self.latest = Some(Latest { producer: state.producer_id, decision });
            }
        }
        Ok(())
    }

    /// Ends what was left open in the topic; the transactional id was taken since the last look, and nothing was sent.
    /// `None`: nothing was open.
    ///
    /// # Errors
    /// There is no answer, or something is open and it is not known how it was decided.
    pub fn end(&mut self, deadline: Deadline) -> Result<Option<EndedLate>, Unanswered> {
        let Some(latest) = self.latest else { return Ok(None) };
        let mut broker = self.broker(deadline)?;
        for (leader, mut led) in self.leaders(&mut broker)? {
            led.retain(|partition| !self.partitions.contains_key(partition));
            if !led.is_empty() {
                let mut leader = BrokerTalk::begin(&leader, &self.asked.settings, deadline)?;
                self.look_into(&led, latest.producer, &mut leader)?;
            }
        }
        let open = self.partitions.iter().filter(|(_, is_open)| **is_open);
        let partitions: Vec<i32> = open.map(|(partition, _)| *partition).collect();
        if partitions.is_empty() {
            return Ok(None);
        }
        let undecided = |why: &str| {
            let LeftOpen { id, topic, .. } = &*self;
            let producer = latest.producer.0;
            Unanswered::Undecided(format!(
                "a transaction of {id} (producer {producer}) is open in the partitions {partitions:?} of the topic \
                 '{topic}' although its coordinator has ended it, and {why}"
            ))
        };
        let Some(decision) = latest.decision else {
            return Err(undecided("it is not known any more whether it was committed"));
        };
        let mut coordinator = broker.coordinator(Served::TransactionalId(&self.id))?;
        match self.state(&mut coordinator)? {
            Some(state) if state.producer_id == latest.producer => {
                self.end_in(&partitions, decision, &state, &mut coordinator)?;
                Ok(Some(EndedLate { decision, topic: Arc::clone(&self.topic), partitions }))
            }
            Some(_) | None => Err(undecided("the transactional id is that of another producer")),
        }
    }

    fn end_in(
        &self,
        partitions: &[i32],
        decision: Decision,
        state: &TransactionState,
        coordinator: &mut BrokerTalk,
    ) -> Result<(), Unanswered> {
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(TopicName(text(&self.topic)))
            .with_partitions(partitions.to_vec());
        let added = coordinator.ask(|_| {
            AddPartitionsToTxnRequest::default()
                .with_v3_and_below_transactional_id(TransactionalId(text(&self.id)))
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
                .with_transactional_id(TransactionalId(text(&self.id)))
                .with_producer_id(state.producer_id)
                .with_producer_epoch(state.producer_epoch)
                .with_committed(decision == Decision::Commit)
        })?;
        checked("EndTxn", ended.error_code)
    }

    /// Some broker; each attempt begins with another one.
    fn broker(&mut self, deadline: Deadline) -> Result<BrokerTalk, Unanswered> {
        let Asked { bootstrap, settings } = &self.asked;
        let (before, first) = bootstrap.split_at(self.attempts % bootstrap.len().max(1));
        self.attempts = self.attempts.wrapping_add(1);
        Ok(BrokerTalk::with_any(first.iter().chain(before), settings, deadline)?)
    }

    /// Who leads which partitions; none if the topic is not there, which the question does not change.
    fn leaders(&self, broker: &mut BrokerTalk) -> Result<Leaders, Unanswered> {
        let topic = MetadataRequestTopic::default().with_name(Some(TopicName(text(&self.topic))));
        let request =
            MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(false);
        leaders(&broker.ask(|_| request)?)
    }

    /// What the coordinator knows of the transactional id; `None` if nothing.
    fn state(&self, coordinator: &mut BrokerTalk) -> Result<Option<TransactionState>, Unanswered> {
        let id = TransactionalId(text(&self.id));
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

    /// Learns in which of the partitions a transaction of the producer is open.
    fn look_into(
        &mut self,
        partitions: &[i32],
        producer: ProducerId,
        leader: &mut BrokerTalk,
    ) -> Result<(), Unanswered> {
        let topic = TopicRequest::default()
            .with_name(TopicName(text(&self.topic)))
            .with_partition_indexes(partitions.to_vec());
        let answer = leader.ask(|_| DescribeProducersRequest::default().with_topics(vec![topic]))?;
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            checked("DescribeProducers", partition.error_code)?;
            let mut producers = partition.active_producers.iter();
            let is_open =
                producers.any(|known| known.producer_id == producer && known.current_txn_start_offset >= 0);
            self.partitions.insert(partition.partition_index, is_open);
        }
        Ok(())
    }
}

impl fmt::Debug for LeftOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeftOpen").field("id", &self.id).field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// Reads who leads which partitions of the only topic.
fn leaders(answer: &MetadataResponse) -> Result<Leaders, Unanswered> {
    let mut led: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for topic in &answer.topics {
        if topic.error_code == ResponseError::UnknownTopicOrPartition.code() {
            continue;
        }
        checked("Metadata", topic.error_code)?;
        for partition in &topic.partitions {
            led.entry(partition.leader_id.0).or_default().push(partition.partition_index);
        }
    }
    let of_broker = |(leader, partitions): (i32, Vec<i32>)| {
        let mut brokers = answer.brokers.iter();
        let broker = brokers.find(|broker| broker.node_id.0 == leader);
        let broker = broker.and_then(|at| Some(Broker::new(at.host.as_str(), u16::try_from(at.port).ok()?)));
        match broker {
            Some(broker) => Ok((broker, partitions)),
            None => Err(Unanswered::Passing(format!(
                "the partitions {partitions:?} of the topic '{}' have no leader",
                answer.topics.iter().find_map(|topic| topic.name.as_ref()).map_or("", |name| name.as_str())
            ))),
        }
    };
    led.into_iter().map(of_broker).collect()
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

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::metadata_response::{
        MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
    };

    use super::*;
    use crate::kafka::embedded::EmbeddedBroker;
    use crate::stdx::time::Clock;

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

    /// An answer of a cluster of one broker, 1, about one topic with a partition for each leader.
    fn metadata(error: i16, leaders_of_partitions: &[i32]) -> MetadataResponse {
        let broker = MetadataResponseBroker::default().with_node_id(1.into());
        let broker = broker.with_host(text("b")).with_port(9092);
        let partitions = (0..).zip(leaders_of_partitions).map(|(index, leader)| {
            MetadataResponsePartition::default().with_partition_index(index).with_leader_id((*leader).into())
        });
        let topic =
            MetadataResponseTopic::default().with_error_code(error).with_name(Some(TopicName(text("t"))));
        let topic = topic.with_partitions(partitions.collect());
        MetadataResponse::default().with_brokers(vec![broker]).with_topics(vec![topic])
    }

    #[test]
    fn all_partitions_need_a_leader() {
        assert_eq!(leaders(&metadata(0, &[1, 1])), Ok(vec![(Broker::new("b", 9092), vec![0, 1])]));
        let why = "the partitions [1, 2] of the topic 't' have no leader";
        assert_eq!(leaders(&metadata(0, &[1, -1, -1])), Err(Unanswered::Passing(why.to_owned())));
        let unknown = ResponseError::UnknownTopicOrPartition.code();
        assert_eq!(leaders(&metadata(unknown, &[])), Ok(Vec::new()), "nothing is open in what is not there");
        let denied = leaders(&metadata(ResponseError::TopicAuthorizationFailed.code(), &[]));
        assert!(matches!(denied, Err(Unanswered::Final(_))), "{denied:?}");
    }

    #[test]
    fn a_broker_that_knows_no_such_question_is_told_from_one_that_refuses() {
        let broker = EmbeddedBroker::start().unwrap();
        broker.create_topic("t", 1).unwrap();
        let settings: ClientSettings =
            [("bootstrap.servers", broker.bootstrap_servers())].into_iter().collect();
        let mut left_open = LeftOpen::new(Asked::from_client(&settings).unwrap(), "id", "t".into());
        let told = left_open.look(Clock.deadline(Duration::from_secs(30)));
        let is_told =
            matches!(&told, Err(Unanswered::Unsupported(why)) if why.contains("DescribeTransactions"));
        assert!(is_told, "{told:?}");
    }
}
