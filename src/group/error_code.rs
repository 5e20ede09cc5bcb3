//! The error codes with which a coordinator answers a member, by name.

use std::fmt;

use kafka_protocol::error::ResponseError;

/// An error code of a coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupError {
    /// 14: the coordinator still reads what it knows of its groups.
    LoadInProgress,
    /// 15: there is no coordinator at the moment.
    CoordinatorNotAvailable,
    /// 16: another broker is the coordinator.
    NotCoordinator,
    /// 22: the group has another generation.
    IllegalGeneration,
    /// 23: the members have no protocol in common.
    InconsistentProtocol,
    /// 24: the name of the group is not allowed.
    InvalidGroupId,
    /// 25: the coordinator does not know the member.
    UnknownMemberId,
    /// 26: the session timeout is not within the broker's bounds.
    InvalidSessionTimeout,
    /// 27: the group rebalances; the member is to join again.
    RebalanceInProgress,
    /// 30: the principal may not use the group.
    GroupAuthorization,
    /// 79: the member is to join with the id that came with this.
    MemberIdRequired,
    /// 81: the group has as many members as it may.
    GroupMaxSizeReached,
    /// 82: another has taken this member's place.
    Fenced,
    /// Any other.
    Other(i16),
}

impl GroupError {
    /// The error that a code stands for; `None` is success.
    pub fn from_code(code: i16) -> Option<Self> {
        Some(match code {
            0 => return None,
            14 => GroupError::LoadInProgress,
            15 => GroupError::CoordinatorNotAvailable,
            16 => GroupError::NotCoordinator,
            22 => GroupError::IllegalGeneration,
            23 => GroupError::InconsistentProtocol,
            24 => GroupError::InvalidGroupId,
            25 => GroupError::UnknownMemberId,
            26 => GroupError::InvalidSessionTimeout,
            27 => GroupError::RebalanceInProgress,
            30 => GroupError::GroupAuthorization,
            79 => GroupError::MemberIdRequired,
            81 => GroupError::GroupMaxSizeReached,
            82 => GroupError::Fenced,
            other => GroupError::Other(other),
        })
    }

    /// The code on the wire.
    pub fn code(self) -> i16 {
        match self {
            GroupError::LoadInProgress => 14,
            GroupError::CoordinatorNotAvailable => 15,
            GroupError::NotCoordinator => 16,
            GroupError::IllegalGeneration => 22,
            GroupError::InconsistentProtocol => 23,
            GroupError::InvalidGroupId => 24,
            GroupError::UnknownMemberId => 25,
            GroupError::InvalidSessionTimeout => 26,
            GroupError::RebalanceInProgress => 27,
            GroupError::GroupAuthorization => 30,
            GroupError::MemberIdRequired => 79,
            GroupError::GroupMaxSizeReached => 81,
            GroupError::Fenced => 82,
            GroupError::Other(code) => code,
        }
    }

    /// Whether it says that the coordinator has to be looked for again.
    pub fn is_about_the_coordinator(self) -> bool {
        matches!(self, GroupError::CoordinatorNotAvailable | GroupError::NotCoordinator)
    }

    /// Whether it may go away by itself, as the protocol says.
    pub fn is_retriable(self) -> bool {
        ResponseError::try_from_code(self.code()).is_some_and(|error| error.is_retriable())
    }

    /// The simple name of Java's exception for it; it stands in the reason of the next join.
    pub fn java_class(self) -> &'static str {
        match self {
            GroupError::LoadInProgress => "CoordinatorLoadInProgressException",
            GroupError::CoordinatorNotAvailable => "CoordinatorNotAvailableException",
            GroupError::NotCoordinator => "NotCoordinatorException",
            GroupError::IllegalGeneration => "IllegalGenerationException",
            GroupError::InconsistentProtocol => "InconsistentGroupProtocolException",
            GroupError::InvalidGroupId => "InvalidGroupIdException",
            GroupError::UnknownMemberId => "UnknownMemberIdException",
            GroupError::InvalidSessionTimeout => "InvalidSessionTimeoutException",
            GroupError::RebalanceInProgress => "RebalanceInProgressException",
            GroupError::GroupAuthorization => "GroupAuthorizationException",
            GroupError::MemberIdRequired => "MemberIdRequiredException",
            GroupError::GroupMaxSizeReached => "GroupMaxSizeReachedException",
            GroupError::Fenced => "FencedInstanceIdException",
            GroupError::Other(_) => "KafkaException",
        }
    }

    /// What a person can do about it; empty if nothing is known.
    pub fn advice(self) -> &'static str {
        match self {
            GroupError::InconsistentProtocol => {
                "The members of the group have no protocol in common with this worker: give group.id a name that \
                 nothing but these workers uses, and all of them a connect.protocol that fits"
            }
            GroupError::InvalidGroupId => "Give group.id a name",
            GroupError::InvalidSessionTimeout => {
                "Set session.timeout.ms within the broker's group.min.session.timeout.ms and \
                 group.max.session.timeout.ms"
            }
            GroupError::GroupAuthorization => "Allow the principal of this worker to READ the group (ACL)",
            GroupError::GroupMaxSizeReached => "Raise the broker's group.max.size, or start fewer workers",
            GroupError::Fenced => "Another member has taken this one's place: start the worker again",
            GroupError::LoadInProgress
            | GroupError::CoordinatorNotAvailable
            | GroupError::NotCoordinator
            | GroupError::IllegalGeneration
            | GroupError::UnknownMemberId
            | GroupError::RebalanceInProgress
            | GroupError::MemberIdRequired
            | GroupError::Other(_) => "",
        }
    }
}

impl fmt::Display for GroupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code();
        match ResponseError::try_from_code(code) {
            Some(error @ ResponseError::Unknown(_)) => write!(f, "{error}"),
            Some(error) => write!(f, "{error} ({code})"),
            None => f.write_str("no error"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_keeps_its_number() {
        for code in -1..150 {
            assert_eq!(GroupError::from_code(code).map_or(0, GroupError::code), code);
        }
        assert_eq!(GroupError::RebalanceInProgress.to_string(), "RebalanceInProgress (27)");
        assert_eq!(GroupError::Other(999).to_string(), "Unknown error code: 999");
        assert!(GroupError::LoadInProgress.is_retriable() && !GroupError::InvalidGroupId.is_retriable());
    }
}
