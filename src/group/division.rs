//! How the work is divided among the members: what both assignors are given, and what they answer.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::ids::{ConnectorName, MemberId, TaskId};

/// All configured connectors, each with the number of its tasks (0 while they are not completely known). Whether a
/// connector is paused or stopped does not matter here.
pub type TaskCounts = BTreeMap<ConnectorName, u32>;

/// All configured tasks, ordered by connector and number.
pub(super) fn tasks(configured: &TaskCounts) -> impl Iterator<Item = TaskId> {
    configured.iter().flat_map(|(connector, &count)| {
        (0..count).map(|index| TaskId { connector: connector.clone(), index })
    })
}

/// Connector instances and tasks in the order in which a member lists them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Work {
    /// The connector instances.
    pub connectors: Vec<ConnectorName>,
    /// The tasks.
    pub tasks: Vec<TaskId>,
}

/// One member's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Whose part.
    pub member: MemberId,
    /// What it keeps of what it said it holds.
    pub kept: Work,
    /// What it is to start.
    pub assigned: Work,
    /// What it is to stop.
    pub revoked: Work,
}

impl Share {
    /// A part of nothing.
    pub fn of_nothing(member: MemberId) -> Self {
        Share { member, kept: Work::default(), assigned: Work::default(), revoked: Work::default() }
    }
}

/// All members' parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Division {
    /// One for each member, ordered by their ids.
    pub shares: Vec<Share>,
    /// When all are to join again, in whole milliseconds from now; zero: there is no need to.
    pub delay: Duration,
}

impl Division {
    /// Nothing is assigned and nothing revoked.
    pub fn of_nothing<'a>(members: impl Iterator<Item = &'a MemberId>) -> Self {
        let shares = members.cloned().map(Share::of_nothing).collect();
        Division { shares, delay: Duration::ZERO }
    }
}
