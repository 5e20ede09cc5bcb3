//! What went wrong between us and Kafka: librdkafka's codes, sorted by what the worker makes of them, with words
//! that say what to do.

use std::borrow::Cow;
use std::fmt;

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::stdx::error_class::ErrorClass;

/// A failure of something that was asked of Kafka.
///
/// Its text begins with the name of the exception that the Java client has for it: that is what people search for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaFault {
    what: Cow<'static, str>,
    kind: FaultKind,
    detail: String,
    /// Whether it befell a client of the worker itself, whose settings have no prefix.
    of_worker: bool,
}

/// The kinds of failure that differ in what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// The record is larger than the producer, the topic or the broker allows.
    RecordTooLarge,
    /// The principal may not use the topic.
    TopicAuthorization,
    /// The principal may not use the group.
    GroupAuthorization,
    /// The principal may not do this on the cluster.
    ClusterAuthorization,
    /// The broker refused the login, or the client cannot log in.
    Authentication,
    /// TLS failed.
    Tls,
    /// There is no such topic, and the broker does not create it.
    UnknownTopic,
    /// The topic has no such partition.
    UnknownPartition,
    /// The name of the topic is not allowed.
    InvalidTopic,
    /// The broker refused the record itself.
    InvalidRecord,
    /// The producer lost its order guarantee, or was fenced: it cannot be used any more.
    ProducerLost,
    /// The group moved on without this member.
    GroupMovedOn,
    /// The group has members, so it cannot be changed from outside.
    GroupNotEmpty,
    /// There is no such group.
    UnknownGroup,
    /// The group takes no member with this session timeout.
    SessionTimeout,
    /// The group has members that share nothing with this one: a protocol, or a strategy to assign partitions.
    GroupProtocol,
    /// A partition has no committed offset, and nothing says where to begin.
    NoOffset,
    /// A setting of the client is wrong.
    Config,
    /// No answer, or none in time.
    Unreachable,
    /// What librdkafka says may go away.
    Passing,
    /// Anything else.
    Other,
    /// Something that the worker did wrong.
    Bug,
}

impl KafkaFault {
    /// `what` failed with librdkafka's error; it reads well after «failed to».
    pub fn new(what: impl Into<Cow<'static, str>>, error: &KafkaError) -> Self {
        let (kind, detail) = if let KafkaError::ClientConfig(_, why, name, _) = error {
            // Never the value: it may be a secret.
            (FaultKind::Config, format!("{why} (setting {name})"))
        } else if let KafkaError::ClientCreation(why) = error {
            (FaultKind::Config, why.clone())
        } else if let Some(code) = error.rdkafka_error_code() {
            (FaultKind::of(code), code.to_string())
        } else {
            (FaultKind::Other, error.to_string())
        };
        KafkaFault { what: what.into(), kind, detail, of_worker: false }
    }

    /// `what` failed with librdkafka's code.
    pub fn of_code(what: impl Into<Cow<'static, str>>, code: Code) -> Self {
        KafkaFault::other(what, FaultKind::of(code), code.to_string())
    }

    /// `what` failed for a reason that librdkafka has no code for.
    pub fn other(what: impl Into<Cow<'static, str>>, kind: FaultKind, detail: impl Into<String>) -> Self {
        KafkaFault { what: what.into(), kind, detail: detail.into(), of_worker: false }
    }

    /// `what` failed in a way that should not happen.
    pub fn bug(what: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        KafkaFault::other(what, FaultKind::Bug, detail)
    }

    /// The same of a client of the worker itself: the advice is about settings without a prefix, and about the
    /// worker's own topics.
    #[must_use]
    pub fn of_worker(self) -> Self {
        KafkaFault { of_worker: true, ..self }
    }

    /// The same of a topic that a connector wants to have: advice about records, and about the topics of the worker, is
    /// left out.
    #[must_use]
    pub(super) fn about_topic(self) -> Self {
        let misleads = matches!(self.kind, FaultKind::Config | FaultKind::InvalidRecord);
        let kind = if misleads { FaultKind::Other } else { self.kind };
        KafkaFault { kind, of_worker: kind != FaultKind::TopicAuthorization, ..self }
    }

    /// The same failure with a cause that was told apart from it: its kind, and its words.
    pub(super) fn because(self, kind: FaultKind, why: &str) -> Self {
        let detail = format!("{}: {why}", self.detail);
        KafkaFault { kind, detail, ..self }
    }

    /// The kind of failure.
    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    /// What the worker makes of it.
    pub fn class(&self) -> ErrorClass {
        self.kind.class()
    }
}

impl fmt::Display for KafkaFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let KafkaFault { what, kind, detail, of_worker } = self;
        write!(f, "{}: failed to {what}: {detail}", kind.class_name())?;
        match if *of_worker { kind.advice_to_worker() } else { kind.advice() } {
            "" => Ok(()),
            advice => write!(f, ". {advice}"),
        }
    }
}

impl std::error::Error for KafkaFault {}

/// Whether a code stands for a state of the cluster or the client that ends by itself.
fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::WaitingForCoordinator
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::OffsetNotAvailable
            | Code::ReplicaNotAvailable
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::KafkaStorageError
            | Code::PreviousInProgress
            | Code::InProgress
            | Code::UnstableOffsetCommit
            | Code::QueueFull
            | Code::Retry
            | Code::WaitCache
            | Code::ThrottlingQuotaExceeded
    )
}

impl FaultKind {
    /// The kind that a code of librdkafka stands for.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "librdkafka adds codes; what is not listed has no advice"
    )]
    pub fn of(code: Code) -> Self {
        match code {
            Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
                FaultKind::RecordTooLarge
            }
            Code::TopicAuthorizationFailed => FaultKind::TopicAuthorization,
            Code::GroupAuthorizationFailed => FaultKind::GroupAuthorization,
            Code::ClusterAuthorizationFailed | Code::TransactionalIdAuthorizationFailed => {
                FaultKind::ClusterAuthorization
            }
            Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState => FaultKind::Authentication,
            Code::SSL => FaultKind::Tls,
            Code::UnknownTopic | Code::UnknownTopicOrPartition => FaultKind::UnknownTopic,
            Code::UnknownPartition => FaultKind::UnknownPartition,
            Code::InvalidTopic => FaultKind::InvalidTopic,
            Code::InvalidRecord
            | Code::InvalidMessage
            | Code::InvalidTimestamp
            | Code::UnsupportedForMessageFormat
            | Code::PolicyViolation
            | Code::BadMessage => FaultKind::InvalidRecord,
            Code::Fatal
            | Code::GaplessGuarantee
            | Code::Inconsistent
            | Code::Fenced
            | Code::ProducerFenced
            | Code::InvalidProducerEpoch
            | Code::UnknownProducerId
            | Code::OutOfOrderSequenceNumber => FaultKind::ProducerLost,
            Code::IllegalGeneration
            | Code::UnknownMemberId
            | Code::RebalanceInProgress
            | Code::AssignmentLost
            | Code::StaleMemberEpoch
            | Code::FencedMemberEpoch
            | Code::FencedInstanceId => FaultKind::GroupMovedOn,
            Code::NonEmptyGroup | Code::GroupSubscribedToTopic => FaultKind::GroupNotEmpty,
            Code::GroupIdNotFound | Code::UnknownGroup => FaultKind::UnknownGroup,
            Code::InvalidSessionTimeout => FaultKind::SessionTimeout,
            Code::InconsistentGroupProtocol => FaultKind::GroupProtocol,
            Code::AutoOffsetReset | Code::NoOffset => FaultKind::NoOffset,
            Code::InvalidArgument | Code::InvalidConfig | Code::NotConfigured => FaultKind::Config,
            Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::MessageTimedOut
            | Code::TimedOutQueue
            | Code::BrokerNotAvailable
            | Code::NetworkException => FaultKind::Unreachable,
            code if passes(code) => FaultKind::Passing,
            _ => FaultKind::Other,
        }
    }

    /// What the worker makes of it.
    pub fn class(self) -> ErrorClass {
        match self {
            FaultKind::Unreachable | FaultKind::Passing | FaultKind::GroupMovedOn => ErrorClass::Retriable,
            FaultKind::RecordTooLarge
            | FaultKind::TopicAuthorization
            | FaultKind::GroupAuthorization
            | FaultKind::ClusterAuthorization
            | FaultKind::Authentication
            | FaultKind::Tls
            | FaultKind::UnknownTopic
            | FaultKind::UnknownPartition
            | FaultKind::InvalidTopic
            | FaultKind::InvalidRecord
            | FaultKind::ProducerLost
            | FaultKind::GroupNotEmpty
            | FaultKind::UnknownGroup
            | FaultKind::SessionTimeout
            | FaultKind::GroupProtocol
            | FaultKind::NoOffset
            | FaultKind::Config
            | FaultKind::Other => ErrorClass::Fatal,
            FaultKind::Bug => ErrorClass::Bug,
        }
    }

    /// Whether a consumer that met it cannot go on. All else it gets over by itself: a topic that is not there yet, a
    /// broker that moved, a poll that came too late.
    pub(super) fn ends_consumer(self) -> bool {
        match self {
            FaultKind::TopicAuthorization
            | FaultKind::GroupAuthorization
            | FaultKind::ClusterAuthorization
            | FaultKind::Authentication
            | FaultKind::Tls
            | FaultKind::InvalidTopic
            | FaultKind::SessionTimeout
            | FaultKind::GroupProtocol
            | FaultKind::NoOffset
            | FaultKind::Config
            | FaultKind::Bug => true,
            FaultKind::RecordTooLarge
            | FaultKind::UnknownTopic
            | FaultKind::UnknownPartition
            | FaultKind::InvalidRecord
            | FaultKind::ProducerLost
            | FaultKind::GroupMovedOn
            | FaultKind::GroupNotEmpty
            | FaultKind::UnknownGroup
            | FaultKind::Unreachable
            | FaultKind::Passing
            | FaultKind::Other => false,
        }
    }

    /// The Java client's exception of this kind.
    fn class_name(self) -> &'static str {
        match self {
            FaultKind::RecordTooLarge => "org.apache.kafka.common.errors.RecordTooLargeException",
            FaultKind::TopicAuthorization => "org.apache.kafka.common.errors.TopicAuthorizationException",
            FaultKind::GroupAuthorization => "org.apache.kafka.common.errors.GroupAuthorizationException",
            FaultKind::ClusterAuthorization => "org.apache.kafka.common.errors.ClusterAuthorizationException",
            FaultKind::Authentication => "org.apache.kafka.common.errors.SaslAuthenticationException",
            FaultKind::Tls => "org.apache.kafka.common.errors.SslAuthenticationException",
            FaultKind::UnknownTopic | FaultKind::UnknownPartition => {
                "org.apache.kafka.common.errors.UnknownTopicOrPartitionException"
            }
            FaultKind::InvalidTopic => "org.apache.kafka.common.errors.InvalidTopicException",
            FaultKind::InvalidRecord => "org.apache.kafka.common.InvalidRecordException",
            FaultKind::ProducerLost => "org.apache.kafka.common.errors.InvalidProducerEpochException",
            FaultKind::GroupMovedOn => "org.apache.kafka.clients.consumer.CommitFailedException",
            FaultKind::GroupNotEmpty => "org.apache.kafka.common.errors.GroupNotEmptyException",
            FaultKind::UnknownGroup => "org.apache.kafka.common.errors.GroupIdNotFoundException",
            FaultKind::SessionTimeout => "org.apache.kafka.common.errors.InvalidSessionTimeoutException",
            FaultKind::GroupProtocol => "org.apache.kafka.common.errors.InconsistentGroupProtocolException",
            FaultKind::NoOffset => "org.apache.kafka.clients.consumer.NoOffsetForPartitionException",
            FaultKind::Config => "org.apache.kafka.common.config.ConfigException",
            FaultKind::Unreachable => "org.apache.kafka.common.errors.TimeoutException",
            FaultKind::Passing => "org.apache.kafka.common.errors.RetriableException",
            FaultKind::Other | FaultKind::Bug => "org.apache.kafka.common.KafkaException",
        }
    }

    /// What to do about it where it befell a client of the worker itself.
    fn advice_to_worker(self) -> &'static str {
        match self {
            FaultKind::RecordTooLarge => {
                "Raise max.request.size of the worker (without a prefix) and max.message.bytes of the topic"
            }
            FaultKind::TopicAuthorization => {
                "Allow the worker's principal to use its internal topics (ACLs: CREATE, DESCRIBE, DESCRIBE_CONFIGS, \
                 READ, WRITE)"
            }
            FaultKind::GroupAuthorization => "Allow the worker's principal to READ the group of group.id",
            FaultKind::ClusterAuthorization => {
                "Allow the worker's principal to CREATE topics, or create them for it; with exactly-once support, \
                 allow it to WRITE with the transactional id connect-cluster-GROUP"
            }
            FaultKind::Authentication => {
                "Check sasl.mechanism and sasl.jaas.config of the worker, those without a prefix"
            }
            FaultKind::Tls => {
                "Check security.protocol, the port of bootstrap.servers and the trust store of the worker, those \
                 without a prefix"
            }
            FaultKind::UnknownTopic => {
                "Create the topic with cleanup.policy=compact; a worker that starts does that by itself"
            }
            FaultKind::Config => "Check the client settings of the worker, those without a prefix",
            FaultKind::ProducerLost => "The worker that leads the group now writes in its place",
            FaultKind::UnknownPartition
            | FaultKind::InvalidTopic
            | FaultKind::InvalidRecord
            | FaultKind::GroupNotEmpty
            | FaultKind::NoOffset
            | FaultKind::Unreachable
            | FaultKind::GroupProtocol
            | FaultKind::SessionTimeout
            | FaultKind::GroupMovedOn
            | FaultKind::UnknownGroup
            | FaultKind::Passing
            | FaultKind::Other
            | FaultKind::Bug => self.advice(),
        }
    }

    /// What to do about it; a whole sentence, or nothing.
    fn advice(self) -> &'static str {
        match self {
            FaultKind::RecordTooLarge => {
                "Raise producer.override.max.request.size on the connector (or producer.max.request.size on the \
                 worker) and max.message.bytes on the topic, or let the source give smaller records"
            }
            FaultKind::TopicAuthorization => {
                "Allow the principal of this connector to use the topic (ACLs: WRITE for a source, READ for a sink)"
            }
            FaultKind::GroupAuthorization => {
                "Allow the principal of this connector to READ the group connect-NAME, or set \
                 consumer.override.group.id"
            }
            FaultKind::ClusterAuthorization => {
                "Allow the principal IDEMPOTENT_WRITE, or set producer.override.enable.idempotence=false"
            }
            FaultKind::Authentication => {
                "Check sasl.mechanism and sasl.jaas.config under producer., consumer. and admin.: tasks do not \
                 inherit the top-level settings"
            }
            FaultKind::Tls => {
                "Check security.protocol, the port of bootstrap.servers and the trust store under producer., \
                 consumer. and admin."
            }
            FaultKind::UnknownTopic => {
                "Create the topic, or allow the broker to (auto.create.topics.enable), or set topic.creation.default.*"
            }
            FaultKind::UnknownPartition => "The record names a partition that the topic does not have",
            FaultKind::InvalidTopic => "Topic names have up to 249 of the characters a-z A-Z 0-9 . _ -",
            FaultKind::InvalidRecord => {
                "The broker refuses the record itself: check its timestamp, and its key where the topic is compacted"
            }
            FaultKind::ProducerLost => {
                "Restart the task: it gets a new producer and goes on after the stored offsets"
            }
            FaultKind::GroupNotEmpty => {
                "Stop the connector first, and any other member of its consumer group"
            }
            FaultKind::SessionTimeout => {
                "Set consumer.override.session.timeout.ms between group.min.session.timeout.ms and \
                 group.max.session.timeout.ms of the broker"
            }
            FaultKind::GroupProtocol => {
                "Give all members of the group the same partition.assignment.strategy and group.protocol"
            }
            FaultKind::NoOffset => "Set consumer.override.auto.offset.reset to earliest or latest",
            FaultKind::Config => "Check the client settings of the worker and the overrides of the connector",
            FaultKind::Unreachable => {
                "Check bootstrap.servers, and that the broker is up and speaks this protocol"
            }
            FaultKind::GroupMovedOn
            | FaultKind::UnknownGroup
            | FaultKind::Passing
            | FaultKind::Other
            | FaultKind::Bug => "",
        }
    }
}
