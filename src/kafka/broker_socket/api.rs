//! The APIs that these connections speak, and which of their versions.

use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, ApiVersionsRequest, ApiVersionsResponse,
    DescribeProducersRequest, DescribeProducersResponse, DescribeTransactionsRequest,
    DescribeTransactionsResponse, EndTxnRequest, EndTxnResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, LeaveGroupResponse, MetadataRequest, MetadataResponse, OffsetDeleteRequest,
    OffsetDeleteResponse, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
    SaslHandshakeResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, VersionRange};

use super::shape::{self, Shape};

/// An API of a broker; the number is its key on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
#[expect(missing_docs, reason = "named as Kafka names them")]
pub enum Api {
    Metadata = 3,
    FindCoordinator = 10,
    JoinGroup = 11,
    Heartbeat = 12,
    LeaveGroup = 13,
    SyncGroup = 14,
    SaslHandshake = 17,
    ApiVersions = 18,
    AddPartitionsToTxn = 24,
    EndTxn = 26,
    SaslAuthenticate = 36,
    OffsetDelete = 47,
    DescribeProducers = 61,
    DescribeTransactions = 65,
}

impl Api {
    /// All of them.
    pub const ALL: [Api; 14] = [
        Api::Metadata,
        Api::FindCoordinator,
        Api::JoinGroup,
        Api::Heartbeat,
        Api::LeaveGroup,
        Api::SyncGroup,
        Api::SaslHandshake,
        Api::ApiVersions,
        Api::AddPartitionsToTxn,
        Api::EndTxn,
        Api::SaslAuthenticate,
        Api::OffsetDelete,
        Api::DescribeProducers,
        Api::DescribeTransactions,
    ];

    /// Its key on the wire.
    pub fn key(self) -> i16 {
        self as i16
    }

    /// The versions that are spoken here. Version 0 of SaslHandshake is followed by messages without Kafka's frame; all
    /// brokers since 1.0 have version 1. Transactions are spoken of as librdkafka does: in later versions each one has
    /// an epoch of its own. Only since version 4 of Metadata a topic is not created by the question.
    pub fn versions(self) -> VersionRange {
        let (min, max) = match self {
            Api::Metadata => (4, 8),
            Api::FindCoordinator => (0, 6),
            Api::JoinGroup => (0, 9),
            Api::Heartbeat => (0, 4),
            Api::LeaveGroup | Api::SyncGroup => (0, 5),
            Api::SaslHandshake => (1, 1),
            Api::ApiVersions => (0, 3),
            Api::SaslAuthenticate => (0, 2),
            Api::OffsetDelete => (0, 0),
            Api::AddPartitionsToTxn | Api::EndTxn => (0, 3),
            Api::DescribeProducers | Api::DescribeTransactions => (0, 0),
        };
        VersionRange { min, max }
    }
}

/// A request, and the answer to it.
pub trait Ask: Encodable + HeaderVersion {
    /// The API that both belong to.
    const API: Api;
    /// Where lists stand in the answer.
    const ANSWER: Shape;
    /// The answer.
    type Answer: Decodable + HeaderVersion;
}

macro_rules! ask {
    ($($request:ident -> $answer:ident, $api:ident, $shape:expr;)*) => {$(
        impl Ask for $request {
            const API: Api = Api::$api;
            const ANSWER: Shape = $shape;
            type Answer = $answer;
        }
    )*};
}

ask! {
    ApiVersionsRequest -> ApiVersionsResponse, ApiVersions, shape::API_VERSIONS;
    SaslHandshakeRequest -> SaslHandshakeResponse, SaslHandshake, shape::SASL_HANDSHAKE;
    SaslAuthenticateRequest -> SaslAuthenticateResponse, SaslAuthenticate, shape::SASL_AUTHENTICATE;
    MetadataRequest -> MetadataResponse, Metadata, shape::METADATA;
    FindCoordinatorRequest -> FindCoordinatorResponse, FindCoordinator, shape::FIND_COORDINATOR;
    JoinGroupRequest -> JoinGroupResponse, JoinGroup, shape::JOIN_GROUP;
    SyncGroupRequest -> SyncGroupResponse, SyncGroup, shape::SYNC_GROUP;
    HeartbeatRequest -> HeartbeatResponse, Heartbeat, shape::HEARTBEAT;
    LeaveGroupRequest -> LeaveGroupResponse, LeaveGroup, shape::LEAVE_GROUP;
    OffsetDeleteRequest -> OffsetDeleteResponse, OffsetDelete, shape::OFFSET_DELETE;
    DescribeTransactionsRequest -> DescribeTransactionsResponse, DescribeTransactions, shape::DESCRIBE_TRANSACTIONS;
    DescribeProducersRequest -> DescribeProducersResponse, DescribeProducers, shape::DESCRIBE_PRODUCERS;
    AddPartitionsToTxnRequest -> AddPartitionsToTxnResponse, AddPartitionsToTxn, shape::ADD_PARTITIONS_TO_TXN;
    EndTxnRequest -> EndTxnResponse, EndTxn, shape::END_TXN;
}
