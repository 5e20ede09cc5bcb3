//! Requests of the member as Kafka's messages, in the version that was agreed on, and answers back.

use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    FindCoordinatorRequest, GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse,
    LeaveGroupRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::error_code::GroupError;
use super::events::MemberSettings;
use super::requests::{JoinAnswer, JoinRefusal, MemberAnswer, MemberRequest, PROTOCOL_TYPE, SyncAnswer};
use crate::api::ids::{Generation, MemberId};
use crate::config::broker::Broker;
use crate::kafka::broker_socket::api::Api;
use crate::kafka::broker_socket::conversation::{Answer, CorrelationId};
use crate::kafka::broker_socket::coordinator::{self, NotNamed, Served};
use crate::kafka::broker_socket::{BrokerConnection, SocketFault, text};
use crate::stdx::time::Now;

/// The longest reason that a broker takes, in characters.
const REASON_MAX: usize = 255;

/// Sends a request of the member.
pub(super) fn send(
    connection: &mut BrokerConnection,
    now: Now,
    settings: &MemberSettings,
    request: MemberRequest,
) -> Result<CorrelationId, SocketFault> {
    let group = GroupId(text(&settings.group_id));
    match request {
        MemberRequest::Join { member, protocols, reason } => {
            let protocols = protocols.into_iter().map(|(name, metadata)| {
                JoinGroupRequestProtocol::default()
                    .with_name(StrBytes::from_static_str(name))
                    .with_metadata(metadata)
            });
            let request = JoinGroupRequest::default()
                .with_group_id(group)
                .with_session_timeout_ms(millis(settings.session_timeout))
                .with_rebalance_timeout_ms(millis(settings.rebalance_timeout))
                .with_member_id(member.as_ref().map_or_else(StrBytes::new, member_text))
                .with_protocol_type(StrBytes::from_static_str(PROTOCOL_TYPE))
                .with_protocols(protocols.collect())
                .with_reason(Some(reason_text(&reason)));
            connection.ask(now, |_| request)
        }
        MemberRequest::Sync { generation, member, protocol, assignments } => {
            let assignments = assignments.into_iter().map(|(member, assignment)| {
                SyncGroupRequestAssignment::default()
                    .with_member_id(member_text(&member))
                    .with_assignment(assignment)
            });
            let request = SyncGroupRequest::default()
                .with_group_id(group)
                .with_generation_id(generation.number())
                .with_member_id(member_text(&member))
                .with_protocol_type(Some(StrBytes::from_static_str(PROTOCOL_TYPE)))
                .with_protocol_name(Some(text(&protocol)))
                .with_assignments(assignments.collect());
            connection.ask(now, |_| request)
        }
        MemberRequest::Heartbeat { generation, member } => {
            let request = HeartbeatRequest::default()
                .with_group_id(group)
                .with_generation_id(generation.number())
                .with_member_id(member_text(&member));
            connection.ask(now, |_| request)
        }
        MemberRequest::Leave { member, reason } => connection.ask(now, |version| {
            let request = LeaveGroupRequest::default().with_group_id(group);
            if version < 3 {
                return request.with_member_id(member_text(&member));
            }
            let leaving = MemberIdentity::default()
                .with_member_id(member_text(&member))
                .with_reason(Some(reason_text(reason)));
            request.with_members(vec![leaving])
        }),
    }
}

/// Reads the answer to a request of the member; `None` if it is to no such request.
pub(super) fn read(answer: &Answer) -> Result<Option<MemberAnswer>, SocketFault> {
    Ok(Some(match answer.api {
        Api::JoinGroup => MemberAnswer::Join(joined(answer.decode::<JoinGroupRequest>()?)),
        Api::SyncGroup => {
            let answer = answer.decode::<SyncGroupRequest>()?;
            MemberAnswer::Sync(match GroupError::from_code(answer.error_code) {
                Some(error) => Err(error),
                None => Ok(SyncAnswer {
                    protocol_type: answer.protocol_type.map(|it| it.to_string()),
                    protocol: answer.protocol_name.map(|it| it.to_string()),
                    assignment: answer.assignment,
                }),
            })
        }
        Api::Heartbeat => {
            let answer = answer.decode::<HeartbeatRequest>()?;
            MemberAnswer::Heartbeat(GroupError::from_code(answer.error_code).map_or(Ok(()), Err))
        }
        Api::LeaveGroup => {
            let answer = answer.decode::<LeaveGroupRequest>()?;
            let of_member = answer.members.iter().map(|member| member.error_code);
            let error = std::iter::once(answer.error_code).chain(of_member).find_map(GroupError::from_code);
            MemberAnswer::Leave(error.map_or(Ok(()), Err))
        }
        Api::Metadata
        | Api::FindCoordinator
        | Api::SaslHandshake
        | Api::ApiVersions
        | Api::SaslAuthenticate
        | Api::OffsetDelete
        | Api::AddPartitionsToTxn
        | Api::EndTxn
        | Api::DescribeProducers
        | Api::DescribeTransactions => return Ok(None),
    }))
}

fn joined(answer: JoinGroupResponse) -> Result<JoinAnswer, JoinRefusal> {
    let member = MemberId::from(answer.member_id.as_str());
    if let Some(error) = GroupError::from_code(answer.error_code) {
        let member = (!answer.member_id.is_empty()).then_some(member);
        return Err(JoinRefusal { error, member });
    }
    let members = answer.members.into_iter().map(|it| (MemberId::from(it.member_id.as_str()), it.metadata));
    Ok(JoinAnswer {
        generation: Generation::new(answer.generation_id),
        member,
        leader: MemberId::from(answer.leader.as_str()),
        protocol_type: answer.protocol_type.map(|it| it.to_string()),
        protocol: answer.protocol_name.map(|it| it.to_string()),
        skip_assignment: answer.skip_assignment,
        members: members.collect(),
    })
}

/// Asks a broker who the coordinator is.
pub(super) fn ask_for_coordinator(
    connection: &mut BrokerConnection,
    now: Now,
    group_id: &str,
) -> Result<CorrelationId, SocketFault> {
    connection.ask(now, |version| Served::Group(group_id).request(version))
}

/// What a broker says about the coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Coordinator {
    Is(Broker),
    Unknown { error: GroupError, why: String },
}

/// Reads the answer to [`ask_for_coordinator`].
pub(super) fn read_coordinator(answer: &Answer) -> Result<Coordinator, SocketFault> {
    let answer = answer.decode::<FindCoordinatorRequest>()?;
    Ok(coordinator::named(answer).map_or_else(unknown, Coordinator::Is))
}

fn unknown(NotNamed { code, why }: NotNamed) -> Coordinator {
    let error = GroupError::from_code(code).unwrap_or(GroupError::CoordinatorNotAvailable);
    let why: String = why.chars().take(REASON_MAX).collect();
    Coordinator::Unknown { error, why: why.escape_debug().to_string() }
}

fn millis(duration: std::time::Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

fn member_text(member: &MemberId) -> StrBytes {
    text(member.as_str())
}

fn reason_text(reason: &str) -> StrBytes {
    StrBytes::from_string(reason.chars().take(REASON_MAX).collect())
}
