//! The life of tasks.

use std::sync::Arc;

use crate::api::ids::{Epoch, TaskId};

/// What a task reports to its owner.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskEvent {
    /// Which task.
    pub id: TaskId,
    /// Which instance of it.
    pub epoch: Epoch,
    /// What happened.
    pub kind: TaskEventKind,
}

/// What happened to a task.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskEventKind {
    /// It runs.
    Started,
    /// It rests, as it was told.
    Paused,
    /// It goes on, as it was told.
    Resumed,
    /// It ended by an error.
    Failed {
        /// Why, for people.
        trace: String,
    },
    /// It ended as it was told.
    Stopped,
    /// It used a topic for the first time.
    Topic(Arc<str>),
}
