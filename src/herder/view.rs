//! What the herder shows of connectors: immutable values, published when they change, read by any thread.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use crate::api::Settings;
use crate::api::ids::{ConnectorName, TaskId, WorkerId};

/// Whether a connector reads into Kafka or writes from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectorKind {
    /// Into Kafka.
    Source,
    /// From Kafka.
    Sink,
    /// No such class is known here.
    Unknown,
}

pub use crate::store::status_records::RunState;

/// The status of one connector or task.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Its state.
    pub state: RunState,
    /// Where it runs.
    pub worker: WorkerId,
    /// Why it failed.
    pub trace: Option<Arc<str>>,
    /// The version of its plug-in, where it is known.
    pub version: Option<Arc<str>>,
}

/// A connector as `GET /connectors/C` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectorInfo {
    /// Its name.
    pub name: ConnectorName,
    /// Its settings as the user wrote them.
    pub config: Settings,
    /// Its tasks.
    pub tasks: Vec<TaskId>,
    /// Its kind.
    pub kind: ConnectorKind,
}

/// A connector as `GET /connectors/C/status` shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectorStatus {
    /// Its name.
    pub name: ConnectorName,
    /// The status of the connector itself.
    pub connector: Status,
    /// The status of each task, by number.
    pub tasks: BTreeMap<u32, Status>,
    /// Its kind.
    pub kind: ConnectorKind,
}

/// All that is shown of one connector.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectorView {
    /// What is configured.
    pub info: ConnectorInfo,
    /// How it does; `None` until that is known for the first time.
    pub status: Option<ConnectorStatus>,
    /// The topics it used (KIP-558).
    pub topics: BTreeSet<Arc<str>>,
}

/// The published views. Only the tick thread writes; all others read without asking it.
#[derive(Debug, Default)]
pub struct Views(RwLock<BTreeMap<ConnectorName, Arc<ConnectorView>>>);

impl Views {
    /// The view of a connector, `None` if there is none of that name.
    pub fn get(&self, name: &str) -> Option<Arc<ConnectorView>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The views of all connectors, ordered by name.
    pub fn all(&self) -> Vec<Arc<ConnectorView>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Shows a connector anew, or no longer. Tick thread only.
    pub(crate) fn publish(&self, name: ConnectorName, view: Option<Arc<ConnectorView>>) {
        let mut views = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match view {
            Some(view) => views.insert(name, view),
            None => views.remove(&name),
        };
    }
}
