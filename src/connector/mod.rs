//! The life of connectors: each has its calls made one after another, on threads of a pool, never on the tick thread.

use crate::api::Settings;
use crate::api::ids::{ConnectorName, Epoch};

/// What a connector reports to its owner.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectorEvent {
    /// Which connector.
    pub name: ConnectorName,
    /// Which instance of it.
    pub epoch: Epoch,
    /// What happened.
    pub kind: ConnectorEventKind,
}

/// What happened to a connector.
#[derive(Debug, Clone, PartialEq)]
pub enum ConnectorEventKind {
    /// It runs.
    Started,
    /// It could not start, could not say its tasks, or reported an error of its own.
    Failed {
        /// Why, for people.
        trace: String,
    },
    /// The settings of its tasks, complete: `task.class` added, references to config providers put back.
    TaskConfigs(Vec<Settings>),
    /// It wants to be asked for its tasks again.
    ReconfigurationRequested,
    /// It ended.
    Stopped,
}
