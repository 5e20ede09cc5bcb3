//! Who coordinates a group, or the transactions of an id (FindCoordinator).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

use super::text;
use crate::config::broker::Broker;

/// Whom a coordinator serves.
#[derive(Debug, Clone, Copy)]
pub enum Served<'a> {
    /// The members of a group, and its offsets.
    Group(&'a str),
    /// Whoever has a transactional id.
    TransactionalId(&'a str),
}

/// A broker does not say who the coordinator is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.error())]
pub struct NotNamed {
    /// Kafka's code of the error.
    pub code: i16,
    /// What the broker says to it. May be empty.
    pub why: String,
}

impl NotNamed {
    /// The error by its name.
    pub fn error(&self) -> ResponseError {
        ResponseError::try_from_code(self.code).unwrap_or(ResponseError::CoordinatorNotAvailable)
    }
}

impl Served<'_> {
    /// The question, in a version.
    pub fn request(self, version: i16) -> FindCoordinatorRequest {
        let (kind, key) = match self {
            Served::Group(key) => (0, text(key)),
            Served::TransactionalId(key) => (1, text(key)),
        };
        match version {
            0 => FindCoordinatorRequest::default().with_key(key),
            1..4 => FindCoordinatorRequest::default().with_key_type(kind).with_key(key),
            _ => FindCoordinatorRequest::default().with_key_type(kind).with_coordinator_keys(vec![key]),
        }
    }
}

/// Reads the answer.
///
/// # Errors
/// That of the broker; one that names neither host nor port counts as one that knows no coordinator.
pub fn named(answer: FindCoordinatorResponse) -> Result<Broker, NotNamed> {
    let (code, why, host, port) = match answer {
        // From version 4 on there is one entry for each key that was asked for, which is one.
        FindCoordinatorResponse { coordinators, .. } if !coordinators.is_empty() => {
            let first = coordinators.into_iter().next().unwrap_or_default();
            (first.error_code, first.error_message, first.host, first.port)
        }
        FindCoordinatorResponse { error_code, error_message, host, port, .. } => {
            (error_code, error_message, host, port)
        }
    };
    if code != 0 {
        return Err(NotNamed { code, why: why.as_deref().unwrap_or_default().to_owned() });
    }
    match u16::try_from(port) {
        Ok(port) if port != 0 && !host.is_empty() => Ok(Broker::new(host.as_str(), port)),
        Ok(_) | Err(_) => Err(NotNamed {
            code: ResponseError::CoordinatorNotAvailable.code(),
            why: format!("the broker names no host and port, but {:?} and {port}", host.as_str()),
        }),
    }
}
