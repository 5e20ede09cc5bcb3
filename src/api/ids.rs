//! The names of things. Each is a type of its own, so that one cannot be passed for another.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

/// The name of a connector: any text that is not empty and has no control characters (checked where it enters).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ConnectorName(Arc<str>);

impl ConnectorName {
    /// Wraps a name that was checked, or is about to be.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        ConnectorName(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ConnectorName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ConnectorName {
    fn from(name: &str) -> Self {
        ConnectorName(name.into())
    }
}

impl fmt::Display for ConnectorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One task of a connector; printed as `connector-0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct TaskId {
    /// The connector it belongs to.
    pub connector: ConnectorName,
    /// Its number within the connector, from 0.
    #[serde(rename = "task")]
    pub index: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.connector, self.index)
    }
}

/// A worker as others know it: the advertised `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct WorkerId(Arc<str>);

impl WorkerId {
    /// Of the advertised host and port.
    pub fn new(host_and_port: impl Into<Arc<str>>) -> Self {
        WorkerId(host_and_port.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A member of the group of workers: the id that Kafka gave it when it joined. A worker that joins anew has another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(Arc<str>);

impl MemberId {
    /// Of the id that Kafka gave.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        MemberId(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for MemberId {
    fn from(id: &str) -> Self {
        MemberId(id.into())
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which of the consecutive compositions of the group of workers something belongs to. Kafka counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(i32);

impl Generation {
    /// Of the number that Kafka gave.
    pub const fn new(number: i32) -> Self {
        Generation(number)
    }

    /// The number, as Kafka wants it back.
    pub const fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far the config topic was read: the offset after the last record that was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigOffset(i64);

impl ConfigOffset {
    /// Nothing was ever read. Lower than every other.
    pub const NOTHING_READ: ConfigOffset = ConfigOffset(-1);

    /// Of the number that stands for it in the messages of the group; -1 is [`ConfigOffset::NOTHING_READ`].
    pub const fn new(number: i64) -> Self {
        ConfigOffset(number)
    }

    /// The number that stands for it in the messages of the group.
    pub const fn number(self) -> i64 {
        self.0
    }
}

impl Default for ConfigOffset {
    fn default() -> Self {
        ConfigOffset::NOTHING_READ
    }
}

impl fmt::Display for ConfigOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition, from 0.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Which of the consecutive instances of one connector or task a message is about. What an earlier instance says is
/// not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch of the next instance.
    #[must_use]
    pub fn next(self) -> Self {
        Epoch(self.0 + 1)
    }
}
