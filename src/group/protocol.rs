//! The bytes that go through Kafka between the members of the group and their leader: what a member says when it
//! joins ([`Metadata`]), and what it is told ([`Assignment`]). Kafka does not look into them; Java workers do.
//!
//! Version 0 lacks the allocation of the metadata, and revocations and delay of the assignment; versions 1 and 2 are
//! alike. What is read tells its version itself. Any that is not negative is read as if it were 2, so that a newer
//! writer is understood: bytes after the known fields are ignored, and a blob that ends before the allocation, the
//! assignment, the revocations or the delay has none.

mod bytes;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::hash::Hash;
use std::time::Duration;

use self::bytes::{Reader, Writer};
use crate::api::ids::{ConfigOffset, ConnectorName, MemberId, TaskId};
pub use crate::config::worker::ConnectProtocol;

impl ConnectProtocol {
    /// What a member offers when it joins, the most preferred first. Kafka picks one that all members offer.
    pub fn offers(self) -> &'static [ProtocolVersion] {
        match self {
            ConnectProtocol::Eager => &[ProtocolVersion::Eager],
            ConnectProtocol::Compatible => &[ProtocolVersion::Compatible, ProtocolVersion::Eager],
            ConnectProtocol::Sessioned => {
                &[ProtocolVersion::Sessioned, ProtocolVersion::Compatible, ProtocolVersion::Eager]
            }
        }
    }
}

/// One of the protocols that members offer, and the version of the bytes under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtocolVersion {
    /// Everything stops for each rebalance; an assignment replaces what was held.
    Eager,
    /// An assignment is a difference: what to take up, what to give up.
    Compatible,
    /// The same, and requests among workers are signed.
    Sessioned,
}

impl ProtocolVersion {
    /// Its name among the offers in a join. That of the eager one is `default`.
    pub fn name(self) -> &'static str {
        match self {
            ProtocolVersion::Eager => "default",
            ProtocolVersion::Compatible => "compatible",
            ProtocolVersion::Sessioned => "sessioned",
        }
    }

    /// The one of that name; `None` if there is none.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [ProtocolVersion::Eager, ProtocolVersion::Compatible, ProtocolVersion::Sessioned];
        all.into_iter().find(|version| version.name() == name)
    }

    /// The number that metadata and assignments under it begin with.
    pub fn header(self) -> i16 {
        match self {
            ProtocolVersion::Eager => 0,
            ProtocolVersion::Compatible => 1,
            ProtocolVersion::Sessioned => 2,
        }
    }

    /// Whether an assignment is a difference to what is held, rather than all of it.
    pub fn is_cooperative(self) -> bool {
        match self {
            ProtocolVersion::Eager => false,
            ProtocolVersion::Compatible | ProtocolVersion::Sessioned => true,
        }
    }
}

/// Bytes that are no metadata or assignment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They end in the middle of a field, or before one that must be there.
    #[error("the bytes end before the end of {0}")]
    CutShort(&'static str),
    /// They have a version that does not exist.
    #[error("version {0} is negative")]
    NegativeVersion(i16),
    /// A field has no value that must have one.
    #[error("{0} has a negative length")]
    Null(&'static str),
    /// A text is no text.
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    /// A number stands where tasks are listed that neither counts tasks nor means the connector.
    #[error("connector {connector} has no task {number}")]
    NoTask {
        /// Whose tasks are listed.
        connector: ConnectorName,
        /// The number that is none.
        number: i32,
    },
}

/// Metadata or an assignment that its version cannot express.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A text is too long.
    #[error("{field} has a text of {length} bytes, {} at most", i16::MAX)]
    TextTooLong {
        /// Where it stands.
        field: &'static str,
        /// Its bytes.
        length: usize,
    },
    /// Too many elements, or bytes.
    #[error("{field} has {length} parts, {} at most", i32::MAX)]
    TooMuch {
        /// What has too many.
        field: &'static str,
        /// How many.
        length: usize,
    },
    /// The number of a task is too great.
    #[error("task {0} has a number above {max}", max = i32::MAX)]
    NoTask(TaskId),
    /// Under the eager protocol, where everything is stopped anyway, nothing can be revoked and nothing delayed.
    #[error("the protocol `default` knows no {0}")]
    NotInEager(&'static str),
}

/// What a member says of itself when it joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Where its REST server is reached, as it is advertised.
    pub url: String,
    /// How far it has read the config topic.
    pub config_offset: ConfigOffset,
    /// All that it holds, as the assignment that gave it the last of it; `None` if it has none.
    pub allocation: Option<Assignment>,
}

impl Metadata {
    /// The bytes under a protocol. The eager one does not ask what is held.
    pub fn encode(&self, version: ProtocolVersion) -> Result<Vec<u8>, EncodeError> {
        let mut out = Writer::default();
        out.int16(version.header());
        out.string("the url", &self.url)?;
        out.int64(self.config_offset.number());
        if version.is_cooperative() {
            let held = self.allocation.as_ref().map(|held| held.encode(version)).transpose()?;
            out.nullable_bytes("the allocation", held.as_deref())?;
        }
        Ok(out.finish())
    }

    /// Reads the bytes of whatever version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version()?;
        Ok(Metadata {
            url: reader.string("the url")?.to_owned(),
            config_offset: ConfigOffset::new(reader.int64("the config offset")?),
            allocation: reader.bytes_or_end("the allocation")?.map(Assignment::decode).transpose()?,
        })
    }
}

/// What went wrong in a round, by its code on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AssignmentError {
    /// Nothing.
    None,
    /// The leader has not read the config topic as far as another member has: nothing is assigned, all join again.
    ConfigMismatch,
    /// Something that only the leader knows: nothing is assigned, all join again.
    Other(i16),
}

impl AssignmentError {
    fn from_code(code: i16) -> Self {
        match code {
            0 => AssignmentError::None,
            1 => AssignmentError::ConfigMismatch,
            other => AssignmentError::Other(other),
        }
    }

    fn code(self) -> i16 {
        match self {
            AssignmentError::None => 0,
            AssignmentError::ConfigMismatch => 1,
            AssignmentError::Other(code) => code,
        }
    }
}

/// What the leader tells a member. Under the eager protocol it is all that the member holds from then on, under the
/// others the difference to what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Whether the round succeeded.
    pub error: AssignmentError,
    /// The member that leads.
    pub leader: MemberId,
    /// Where the leader's REST server is reached.
    pub leader_url: String,
    /// How far the config topic is to be read before anything assigned is started.
    pub config_offset: ConfigOffset,
    /// Connectors to take up.
    pub connectors: Vec<ConnectorName>,
    /// Tasks to take up.
    pub tasks: Vec<TaskId>,
    /// Connectors to stop.
    pub revoked_connectors: Vec<ConnectorName>,
    /// Tasks to stop.
    pub revoked_tasks: Vec<TaskId>,
    /// When to join again, in whole milliseconds after this came; zero: there is no need to.
    pub delay: Duration,
}

impl Assignment {
    /// The bytes under a protocol.
    pub fn encode(&self, version: ProtocolVersion) -> Result<Vec<u8>, EncodeError> {
        let mut out = Writer::default();
        out.int16(version.header());
        out.int16(self.error.code());
        out.string("the leader", self.leader.as_str())?;
        out.string("the leader's url", &self.leader_url)?;
        out.int64(self.config_offset.number());
        out.work("the assignment", &self.connectors, &self.tasks)?;
        if version.is_cooperative() {
            out.work("what is revoked", &self.revoked_connectors, &self.revoked_tasks)?;
            out.int32(i32::try_from(self.delay.as_millis()).unwrap_or(i32::MAX));
        } else if !self.revoked_connectors.is_empty() || !self.revoked_tasks.is_empty() {
            return Err(EncodeError::NotInEager("revocation"));
        } else if !self.delay.is_zero() {
            return Err(EncodeError::NotInEager("delay"));
        }
        Ok(out.finish())
    }

    /// Reads the bytes of whatever version.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.version()?;
        let error = AssignmentError::from_code(reader.int16("the error")?);
        let leader = MemberId::from(reader.string("the leader")?);
        let leader_url = reader.string("the leader's url")?.to_owned();
        let config_offset = ConfigOffset::new(reader.int64("the config offset")?);
        let (connectors, tasks) = reader.work_or_end("the assignment")?;
        let (revoked_connectors, revoked_tasks) = reader.work_or_end("what is revoked")?;
        // A negative delay is none.
        let delay = u64::try_from(reader.int32_or_end("the delay", 0)?).unwrap_or_default();
        Ok(Assignment {
            error,
            leader,
            leader_url,
            config_offset,
            connectors,
            tasks,
            revoked_connectors,
            revoked_tasks,
            delay: Duration::from_millis(delay),
        })
    }

    /// Makes of a difference all that is held after it: adds what was held `before` and is not revoked. What is to be
    /// stopped stays listed as revoked; whoever has stopped it clears those lists.
    pub fn augment(&mut self, before: &Assignment) {
        augment(&mut self.connectors, &before.connectors, &self.revoked_connectors);
        augment(&mut self.tasks, &before.tasks, &self.revoked_tasks);
    }
}

/// What is new comes first: what has run the shortest is the first to be revoked.
fn augment<T: Clone + Eq + Hash>(held: &mut Vec<T>, before: &[T], revoked: &[T]) {
    let left_out: HashSet<&T> = held.iter().chain(revoked).collect();
    let kept: Vec<T> = before.iter().filter(|resource| !left_out.contains(resource)).cloned().collect();
    held.extend(kept);
}
