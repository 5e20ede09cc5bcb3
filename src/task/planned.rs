//! A task before it knows what it is made of: its plan is made in its first turn, since that may take long.

use std::sync::Arc;
use std::time::Instant;

use super::TaskEventKind;
use super::control::Ending;
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
    Unplanned(Box<Frame>, MakePlan, Arc<Producers>),
    Planned(Box<dyn Turn>),
    Ended,
}

impl PlannedTurns {
    pub(super) fn new(frame: Frame, plan: MakePlan, producers: Arc<Producers>) -> Self {
        PlannedTurns(State::Unplanned(Box::new(frame), plan, producers))
    }
}

/// Makes the plan, and the turns that follow it; `None` if that is the end of the task.
fn begin(frame: Frame, plan: MakePlan, producers: Arc<Producers>) -> Option<Box<dyn Turn>> {
    let _context = LogContext::enter(&frame.context);
    if frame.control.ending() != Ending::None {
        frame.report(TaskEventKind::Stopped);
        return None;
    }
    let plan = plan();
    if let Err(error) = &plan {
        frame.report_start(Err(error));
    }
    let spec = plan.ok()?;
    Some(match spec.work.clone() {
        TaskWork::Source { plugin, offsets } => {
            Box::new(SourceTurns::new(frame, spec, plugin, offsets, producers))
        }
        TaskWork::Sink { plugin, topics } => Box::new(SinkTurns::new(frame, spec, plugin, topics)),
    })
}

impl Turn for PlannedTurns {
    fn turn(&mut self, now: Instant) -> Next {
        match std::mem::replace(&mut self.0, State::Ended) {
            State::Unplanned(frame, plan, producers) => match begin(*frame, plan, producers) {
                Some(turns) => {
                    self.0 = State::Planned(turns);
                    Next::Again
                }
                None => Next::Done,
            },
            State::Planned(mut turns) => {
                let next = turns.turn(now);
                self.0 = State::Planned(turns);
                next
            }
            State::Ended => Next::Done,
        }
    }

    fn panicked(&mut self, message: &str) {
        match &mut self.0 {
            State::Unplanned(frame, ..) => frame.report_panic(message),
            State::Planned(turns) => turns.panicked(message),
            State::Ended => {}
        }
    }
}
