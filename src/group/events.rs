//! What the herder and the member of the group say to each other.

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::error_code::GroupError;
use crate::api::ids::{Generation, MemberId};

/// The protocols that a member offers, the best first, each with its metadata.
pub type Protocols = Vec<(&'static str, Bytes)>;

/// How a member behaves: settings of the worker, and of its Kafka clients.
#[derive(Debug, Clone)]
pub struct MemberSettings {
    /// `group.id`.
    pub group_id: String,
    /// How the member names itself in requests: `client.id`, or `connect-` and the worker id.
    pub client_id: String,
    /// `session.timeout.ms`: after so long without a heartbeat the coordinator takes the member for dead.
    pub session_timeout: Duration,
    /// `rebalance.timeout.ms`: how long the coordinator waits for members to join.
    pub rebalance_timeout: Duration,
    /// `heartbeat.interval.ms`: how often heartbeats are sent, and how long one may stay unanswered.
    pub heartbeat_interval: Duration,
    /// `retry.backoff.ms`.
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`.
    pub retry_backoff_max: Duration,
    /// `request.timeout.ms`.
    pub request_timeout: Duration,
    /// `reconnect.backoff.ms`.
    pub reconnect_backoff: Duration,
    /// `reconnect.backoff.max.ms`.
    pub reconnect_backoff_max: Duration,
}

impl MemberSettings {
    /// Apache's defaults.
    pub fn new(group_id: impl Into<String>, client_id: impl Into<String>) -> Self {
        MemberSettings {
            group_id: group_id.into(),
            client_id: client_id.into(),
            session_timeout: Duration::from_secs(10),
            rebalance_timeout: Duration::from_secs(60),
            heartbeat_interval: Duration::from_secs(3),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            request_timeout: Duration::from_secs(40),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
        }
    }

    /// How long the answer to a JoinGroup may take: it comes when all members have joined.
    pub fn join_timeout(&self) -> Duration {
        self.request_timeout.max(self.rebalance_timeout + Duration::from_secs(5))
    }
}

/// What the herder wants of the member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberCommand {
    /// Join, or join again, with these protocols. Valid in any state; the latest one counts.
    Join(Protocols),
    /// The leader's answer to [`GroupEvent::Joined`] with members: what each of them gets. Followers need none.
    Assign {
        /// The generation that was joined; another one has passed, and the command has no effect.
        generation: Generation,
        /// An assignment for each member.
        assignments: Vec<(MemberId, Bytes)>,
    },
    /// Send a heartbeat now if none is on its way: somebody wants to know whether the coordinator answers. While the
    /// member is stable there is a [`GroupEvent::Contact`] or [`GroupEvent::ContactLost`] within a second, unless that
    /// contact is lost was told already.
    Probe,
    /// Leave the group, and stay out until the next `Join`.
    Leave {
        /// Why, for the coordinator's log.
        reason: &'static str,
    },
}

/// What the member tells the herder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// The member is to join; the herder answers with [`MemberCommand::Join`]. Until then the member keeps what it
    /// has: heartbeats go on if it still has a generation.
    RejoinNeeded(RejoinCause),
    /// The group has a new generation, and this member is in it. If it leads, `members` is there and the herder answers
    /// with [`MemberCommand::Assign`].
    Joined {
        /// The new generation.
        generation: Generation,
        /// This member.
        member: MemberId,
        /// The leader.
        leader: MemberId,
        /// The protocol that the coordinator chose.
        protocol: String,
        /// For the leader: all members with the metadata of that protocol.
        members: Option<Vec<(MemberId, Bytes)>>,
    },
    /// What this member is to do in a generation.
    Assigned {
        /// The generation.
        generation: Generation,
        /// As the leader wrote it.
        assignment: Bytes,
    },
    /// The coordinator answered: a join, a sync, or a heartbeat that succeeded or said that the group rebalances.
    /// Comes before what the answer leads to.
    Contact {
        /// When the answer was there. The herder may hear of it later.
        at: Instant,
    },
    /// A request to the coordinator failed or was not answered in time, or the coordinator is being looked for. The
    /// member keeps its generation. Told again only when there is something new to say.
    ContactLost {
        /// Why, in words for people.
        why: String,
    },
    /// The coordinator was not found within `heartbeat.interval.ms` after the session ran out or the connection was
    /// lost: all that is held must be stopped. The member has forgotten its generation; [`GroupEvent::RejoinNeeded`]
    /// follows.
    CoordinatorUnreachable {
        /// Why, in words for people.
        why: String,
    },
    /// The member gave up its place: the tick thread did not turn for `rebalance.timeout.ms`. What is held may go on;
    /// [`GroupEvent::RejoinNeeded`] follows.
    PollTimeout,
    /// The member has left, as it was told.
    Left,
    /// It cannot go on; why, and what to do, in words for people.
    Fatal(String),
}

/// Why a member is to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RejoinCause {
    /// It never did.
    First,
    /// The group rebalances.
    Rebalance,
    /// A heartbeat said that the member, or its generation, is not the coordinator's.
    GenerationLost(GroupError),
    /// The round failed between joining and the assignment; the text says how.
    SyncFailed(String),
    /// See [`GroupEvent::CoordinatorUnreachable`].
    CoordinatorUnreachable,
    /// See [`GroupEvent::PollTimeout`].
    PollTimeout,
}

impl fmt::Display for RejoinCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RejoinCause::First => f.write_str("this member never joined"),
            RejoinCause::Rebalance => f.write_str("the group is rebalancing"),
            RejoinCause::GenerationLost(error) => {
                write!(f, "the generation is lost, a heartbeat failed with {error}")
            }
            RejoinCause::SyncFailed(why) => write!(f, "the round failed: {why}"),
            RejoinCause::CoordinatorUnreachable => f.write_str("the coordinator was unreachable"),
            RejoinCause::PollTimeout => f.write_str("the member left because the tick thread was held up"),
        }
    }
}
