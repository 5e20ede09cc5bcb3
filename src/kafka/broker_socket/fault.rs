//! Why a connection to a broker could not be made, or ended.

use std::fmt;
use std::sync::Arc;

use crate::stdx::error_class::ErrorClass;

/// A failure of one connection, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketFault {
    broker: Arc<str>,
    kind: SocketFaultKind,
    detail: String,
}

/// The kinds of failure that differ in what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketFaultKind {
    /// No connection came about.
    Unreachable,
    /// There was a connection, and it ended.
    Closed,
    /// TLS failed.
    Tls,
    /// The login failed.
    Authentication,
    /// What came is not what a broker says.
    Protocol,
    /// The broker does not have what is needed.
    Unsupported,
    /// Something that the worker did wrong.
    Bug,
}

impl SocketFault {
    pub(super) fn new(broker: &Arc<str>, kind: SocketFaultKind, detail: impl fmt::Display) -> Self {
        SocketFault { broker: Arc::clone(broker), kind, detail: detail.to_string() }
    }

    /// The kind of failure.
    pub fn kind(&self) -> SocketFaultKind {
        self.kind
    }

    /// What the caller can do. A login that fails may succeed later: a broker that starts may not know its users yet.
    pub fn class(&self) -> ErrorClass {
        match self.kind {
            SocketFaultKind::Unreachable
            | SocketFaultKind::Closed
            | SocketFaultKind::Tls
            | SocketFaultKind::Authentication
            | SocketFaultKind::Protocol => ErrorClass::Retriable,
            SocketFaultKind::Unsupported => ErrorClass::Fatal,
            SocketFaultKind::Bug => ErrorClass::Bug,
        }
    }
}

impl fmt::Display for SocketFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SocketFault { broker, kind, detail } = self;
        write!(f, "broker {broker}: {detail}")?;
        match kind {
            SocketFaultKind::Tls => f.write_str(
                ". Check security.protocol, the port of bootstrap.servers, the trust store and the key store",
            ),
            SocketFaultKind::Authentication => f.write_str(". Check sasl.mechanism and sasl.jaas.config"),
            SocketFaultKind::Unreachable
            | SocketFaultKind::Closed
            | SocketFaultKind::Protocol
            | SocketFaultKind::Unsupported
            | SocketFaultKind::Bug => Ok(()),
        }
    }
}

impl std::error::Error for SocketFault {}
