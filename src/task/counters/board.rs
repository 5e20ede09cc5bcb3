//! Where the counters of all tasks of a worker are found.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Direction, TaskCounters};
use crate::api::ids::{ConnectorName, TaskId};
use crate::stdx::sampled::Windows;
use crate::stdx::time::Clock;

/// The counters of the tasks that run here, or have failed here. Shared by all threads.
#[derive(Debug)]
pub struct TaskBoard {
    windows: Windows,
    tasks: Mutex<Tasks>,
}

#[derive(Debug, Default)]
struct Tasks {
    counters: BTreeMap<TaskId, Arc<TaskCounters>>,
    /// With so many, those that have stopped are let go of.
    sweep_at: usize,
}

/// Below this number nothing is let go of.
const SWEEP_MIN: usize = 64;

impl TaskBoard {
    /// Without any task.
    pub fn new(windows: Windows) -> Self {
        TaskBoard { windows, tasks: Mutex::default() }
    }

    /// The counters of a new instance, in the place of those before.
    pub(crate) fn begin(&self, id: &TaskId, direction: Direction) -> Arc<TaskCounters> {
        let counters = Arc::new(TaskCounters::new(self.windows, Clock.now().instant, direction));
        let mut tasks = self.lock();
        if tasks.counters.len() >= tasks.sweep_at {
            tasks.counters.retain(|_, counters| !counters.is_over());
            tasks.sweep_at = SWEEP_MIN.max(2 * tasks.counters.len());
        }
        tasks.counters.insert(id.clone(), Arc::clone(&counters));
        counters
    }

    /// The tasks that run or have failed, ordered.
    pub fn all(&self) -> Vec<(TaskId, Arc<TaskCounters>)> {
        let tasks = self.lock();
        let shown = tasks.counters.iter().filter(|(_, counters)| !counters.is_over());
        shown.map(|(id, counters)| (id.clone(), Arc::clone(counters))).collect()
    }

    /// A connector has so many tasks from now on; those beyond are forgotten.
    pub fn keep_tasks(&self, connector: &ConnectorName, tasks: usize) {
        let task = |index| TaskId { connector: connector.clone(), index };
        let first = u32::try_from(tasks).unwrap_or(u32::MAX);
        let mut tasks = self.lock();
        let beyond = tasks.counters.range(task(first)..=task(u32::MAX)).map(|(id, _)| id.clone());
        for id in beyond.collect::<Vec<_>>() {
            tasks.counters.remove(&id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tasks> {
        // Nothing panics while the lock is held.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for TaskBoard {
    fn default() -> Self {
        TaskBoard::new(Windows::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::TaskEventKind;

    fn id(connector: &str, index: u32) -> TaskId {
        TaskId { connector: connector.into(), index }
    }

    #[test]
    fn the_board_shows_what_runs_and_what_has_failed() {
        let board = TaskBoard::default();
        let [a, b, c] = [id("a", 0), id("a", 1), id("b", 0)].map(|id| board.begin(&id, Direction::Sink));
        let names = || board.all().iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>().join(" ");
        a.reported(&TaskEventKind::Failed { trace: String::new() });
        c.reported(&TaskEventKind::Stopped);
        assert_eq!(names(), "a-0 a-1");
        let again = board.begin(&id("a", 1), Direction::Sink);
        b.reported(&TaskEventKind::Stopped);
        assert_eq!(names(), "a-0 a-1", "an earlier instance does not speak for the one that followed");
        board.keep_tasks(&"a".into(), 1);
        assert_eq!(names(), "a-0");
        board.keep_tasks(&"a".into(), 0);
        again.reported(&TaskEventKind::Stopped);
        assert_eq!(names(), "");
    }

    #[test]
    fn what_has_stopped_is_let_go_of() {
        let board = TaskBoard::default();
        for number in 0..1000 {
            board.begin(&id(&format!("c{number}"), 0), Direction::Source).reported(&TaskEventKind::Stopped);
        }
        let kept = board.lock().counters.len();
        assert!(kept <= SWEEP_MIN, "{kept}");
    }
}
