//! What every task has, whatever it does: its name in the log, its flags, and who is told what happens to it.

use std::sync::Arc;

use super::control::{Control, Ending};
use super::counters::TaskCounters;
use super::runner::Waker;
use super::{TaskEvent, TaskEventKind, TaskEvents};
use crate::api::error::{ConnectError, Result};
use crate::api::ids::{Epoch, TaskId};

/// The part of a task that is the same for sources and sinks.
pub(super) struct Frame {
    /// How its lines in the log begin: `WorkerSourceTask{id=orders-0}`.
    pub(super) name: String,
    /// The logger of its lines.
    pub(super) target: &'static str,
    /// The log context of its turns: `[orders|task-0] `.
    pub(super) context: Arc<str>,
    pub(super) control: Arc<Control>,
    pub(super) waker: Waker,
    pub(super) counters: Arc<TaskCounters>,
    paused: bool,
    id: TaskId,
    epoch: Epoch,
    events: TaskEvents,
}

/// The kinds of task, as their lines in the log name them.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Source,
    ExactlyOnceSource,
    Sink,
}

impl Frame {
    pub(super) fn new(
        kind: Kind,
        (id, epoch): (TaskId, Epoch),
        control: Arc<Control>,
        waker: Waker,
        (events, counters): (TaskEvents, Arc<TaskCounters>),
    ) -> Self {
        let (class, target) = match kind {
            Kind::Source => ("WorkerSourceTask", "org.apache.kafka.connect.runtime.WorkerSourceTask"),
            Kind::ExactlyOnceSource => (
                "ExactlyOnceWorkerSourceTask",
                "org.apache.kafka.connect.runtime.ExactlyOnceWorkerSourceTask",
            ),
            Kind::Sink => ("WorkerSinkTask", "org.apache.kafka.connect.runtime.WorkerSinkTask"),
        };
        let name = format!("{class}{{id={id}}}");
        let context = format!("[{}|task-{}] ", id.connector, id.index).into();
        Frame { name, target, context, control, waker, counters, paused: false, id, epoch, events }
    }

    pub(super) fn id(&self) -> &TaskId {
        &self.id
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Tells the owner.
    pub(super) fn report(&self, kind: TaskEventKind) {
        self.counters.reported(&kind);
        (self.events)(TaskEvent { id: self.id.clone(), epoch: self.epoch, kind });
    }

    /// Whether the task is paused, after what its owner wants was looked at. A change is reported once.
    pub(super) fn look_at_pause(&mut self) -> PauseChange {
        let wants = self.control.wants_pause();
        let change = match (self.paused, wants) {
            (false, true) => PauseChange::Pauses,
            (true, false) => PauseChange::Resumes,
            (true, true) => PauseChange::StaysPaused,
            (false, false) => PauseChange::None,
        };
        self.paused = wants;
        change
    }

    /// Whether the task was paused at the last look.
    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// What a task that has not started may do now; tells its owner when that is to wait or to end.
    pub(super) fn gate(&mut self) -> Gate {
        if self.control.ending() != Ending::None {
            self.report(TaskEventKind::Stopped);
            return Gate::End;
        }
        if self.look_at_pause() == PauseChange::Pauses {
            self.report(TaskEventKind::Paused);
        }
        if self.paused { Gate::Wait } else { Gate::Start }
    }

    /// Tells what came of a start.
    pub(super) fn report_start(&self, started: std::result::Result<(), &ConnectError>) {
        match started {
            Ok(()) => self.report(TaskEventKind::Started),
            Err(error) => {
                self.log_failure(error);
                self.report(TaskEventKind::Failed { trace: error.trace() });
            }
        }
    }

    /// Tells how the task ended. It must have let go of everything.
    pub(super) fn report_end(&self, failure: Option<&ConnectError>) {
        self.report(match failure {
            None => TaskEventKind::Stopped,
            Some(error) => TaskEventKind::Failed { trace: error.trace() },
        });
    }

    /// Says that plug-in code panicked: the task has failed.
    pub(super) fn report_panic(&self, message: &str) {
        let error = ConnectError::connect(format!("The code of the plug-in panicked: {message}"));
        self.log_failure(&error);
        self.report(TaskEventKind::Failed { trace: error.trace() });
    }

    /// Says that the task fails, and why, with the whole chain of causes.
    pub(super) fn log_failure(&self, error: &ConnectError) {
        // Who restarts it says when.
        let until = if self.control.restarts { "" } else { " and will not recover until manually restarted" };
        log::error!(
            target: self.target,
            "{} Task threw an uncaught and unrecoverable exception. Task is being killed{until}\n{}",
            self.name,
            error.trace().trim_end(),
        );
    }

    /// Takes what came of the last call of the plug-in: an error is only told.
    pub(super) fn note_stop(&self, stopped: Result<()>) {
        if let Err(error) = stopped {
            log::warn!(target: self.target, "{} Could not stop task\n{}", self.name, error.trace().trim_end());
        }
    }

    /// The waker as what other layers call.
    pub(super) fn wake(&self) -> Arc<dyn Fn() + Send + Sync> {
        let waker = self.waker.clone();
        Arc::new(move || waker.wake())
    }
}

/// What a task that has not started may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    Start,
    Wait,
    End,
}

/// What a look at the target state showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PauseChange {
    /// It runs, as before.
    None,
    /// It was running and shall pause.
    Pauses,
    /// It is paused, as before.
    StaysPaused,
    /// It was paused and shall run.
    Resumes,
}
