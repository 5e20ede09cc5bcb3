//! A task before it knows what it is made of: its plan is made in its first turn, since that may take long.

use std::sync::Arc;
use std::time::Instant;

use super::TaskEventKind;
use super::control::Ending;
use super::exactly_once::ExactlyOnceTurns;
use super::frame::Frame;
use super::runner::{Next, Turn};
use super::sink::SinkTurns;
use super::source::SourceTurns;
use super::spec::{TaskSpec, TaskWork};
use crate::api::error::Result;
use crate::kafka::producer::Producers;
use crate::stdx::log_context::LogContext;

/// Makes what a task is built from.
pub(super) type MakePlan = Box<dyn FnOnce() -> Result<TaskSpec> + Send>;

/// The turns of a task from its very beginning.
pub(super) struct PlannedTurns(State);

enum State {
    Unplanned(Box<Unplanned>),
    Planned(Box<dyn Turn>),
    Ended,
}

struct Unplanned {
    frame: Frame,
    /// Taken when it is called.
    plan: Option<MakePlan>,
    producers: Arc<Producers>,
}

impl PlannedTurns {
    pub(super) fn new(frame: Frame, plan: MakePlan, producers: Arc<Producers>) -> Self {
        PlannedTurns(State::Unplanned(Box::new(Unplanned { frame, plan: Some(plan), producers })))
    }
}

impl Unplanned {
    /// What the task is built from; `None` if that is the end of it.
    fn plan(&mut self) -> Option<TaskSpec> {
        let _context = LogContext::enter(&self.frame.context);
        if self.frame.control.ending() != Ending::None {
            self.frame.report(TaskEventKind::Stopped);
            return None;
        }
        let plan = self.plan.take()?();
        if let Err(error) = &plan {
            self.frame.report_start(Err(error));
        }
        plan.ok()
    }

    fn into_turns(self, spec: TaskSpec) -> Box<dyn Turn> {
        let Unplanned { frame, producers, .. } = self;
        match spec.work.clone() {
            TaskWork::Source { plugin, offsets } => {
                Box::new(SourceTurns::new(frame, spec, plugin, offsets, producers))
            }
            TaskWork::ExactlyOnceSource { plugin, offsets, transactions } => {
                Box::new(ExactlyOnceTurns::new(frame, spec, (plugin, offsets, transactions)))
            }
            TaskWork::Sink { plugin, topics } => {
                Box::new(SinkTurns::new(frame, spec, (plugin, topics), producers))
            }
        }
    }
}

impl Turn for PlannedTurns {
    /// What a turn runs stays in its place: a panic finds there who has to tell of it.
    fn turn(&mut self, now: Instant) -> Next {
        let spec = match &mut self.0 {
            State::Planned(turns) => return turns.turn(now),
            State::Unplanned(unplanned) => unplanned.plan(),
            State::Ended => return Next::Done,
        };
        match (std::mem::replace(&mut self.0, State::Ended), spec) {
            (State::Unplanned(unplanned), Some(spec)) => {
                self.0 = State::Planned(unplanned.into_turns(spec));
                Next::Again
            }
            (State::Unplanned(_) | State::Planned(_) | State::Ended, _) => Next::Done,
        }
    }

    fn panicked(&mut self, message: &str) {
        match &mut self.0 {
            State::Unplanned(unplanned) => unplanned.frame.report_panic(message),
            State::Planned(turns) => turns.panicked(message),
            State::Ended => {}
        }
    }
}
