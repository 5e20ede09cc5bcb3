//! What the herder hears and wants done about tasks that write exactly once.

use super::msg::{Answer, OperationId, Proof};
use crate::api::Settings;
use crate::api::ids::{ConnectorName, Epoch, TaskId};
use crate::stdx::reply::Reply;
use crate::task::StartStep;

/// A task that writes exactly once asks whether it may go on with its start.
#[derive(Debug)]
pub struct TaskQuestion {
    /// The task.
    pub id: TaskId,
    /// Which instance of it.
    pub epoch: Epoch,
    /// What it is about to do.
    pub step: StartStep,
    /// Where the answer goes.
    pub reply: Reply<Answer<()>>,
}

/// Earlier tasks of a connector to be shut out.
#[derive(Debug, Clone)]
pub struct FenceTasks {
    /// What ends with it.
    pub operation: OperationId,
    /// The connector.
    pub name: ConnectorName,
    /// Its settings, references unresolved.
    pub settings: Settings,
    /// Of so many tasks, from 0 on.
    pub tasks: u32,
}

/// A wish to shut out earlier tasks, on its way to the leader.
#[derive(Debug)]
pub struct AskForFencing {
    /// The connector.
    pub name: ConnectorName,
    /// Where the leader is reached.
    pub leader_url: String,
    /// Signed where the group signs.
    pub proof: Proof,
    /// Who waits.
    pub reply: Reply<Answer<()>>,
}
