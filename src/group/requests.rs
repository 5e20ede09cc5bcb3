//! What a member asks its coordinator, and what that answers: without versions and bytes, which are left to `wire`.

use bytes::Bytes;

use super::error_code::GroupError;
use super::events::Protocols;
use crate::api::ids::{Generation, MemberId};

/// The protocol type of groups of workers.
pub const PROTOCOL_TYPE: &str = "connect";

/// Which request an answer belongs to. They count up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A request of the member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberRequest {
    /// JoinGroup.
    Join {
        /// `None` until the coordinator gave one.
        member: Option<MemberId>,
        /// What is offered.
        protocols: Protocols,
        /// Empty, but after a round that failed.
        reason: String,
    },
    /// SyncGroup.
    Sync {
        /// The generation that was joined.
        generation: Generation,
        /// This member.
        member: MemberId,
        /// The protocol that was chosen.
        protocol: String,
        /// Of the leader: what each gets.
        assignments: Vec<(MemberId, Bytes)>,
    },
    /// Heartbeat.
    Heartbeat {
        /// The member's generation.
        generation: Generation,
        /// This member.
        member: MemberId,
    },
    /// LeaveGroup.
    Leave {
        /// This member.
        member: MemberId,
        /// Why.
        reason: &'static str,
    },
}

/// An answer of the coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberAnswer {
    /// To JoinGroup.
    Join(Result<JoinAnswer, JoinRefusal>),
    /// To SyncGroup.
    Sync(Result<SyncAnswer, GroupError>),
    /// To Heartbeat.
    Heartbeat(Result<(), GroupError>),
    /// To LeaveGroup.
    Leave(Result<(), GroupError>),
}

/// A generation that was joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinAnswer {
    /// Its number.
    pub generation: Generation,
    /// This member.
    pub member: MemberId,
    /// The leader.
    pub leader: MemberId,
    /// The type of the group, if the version of the answer has it.
    pub protocol_type: Option<String>,
    /// The protocol that was chosen.
    pub protocol: Option<String>,
    /// Whether the leader is not to assign: only for static members, which workers never are.
    pub skip_assignment: bool,
    /// All members, for the leader.
    pub members: Vec<(MemberId, Bytes)>,
}

/// A join that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRefusal {
    /// Why.
    pub error: GroupError,
    /// The id with which to join.
    pub member: Option<MemberId>,
}

/// An assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncAnswer {
    /// The type of the group, if the version of the answer has it.
    pub protocol_type: Option<String>,
    /// The protocol of the generation, if the version of the answer has it.
    pub protocol: Option<String>,
    /// The bytes of the leader.
    pub assignment: Bytes,
}
