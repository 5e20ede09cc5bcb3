//! A sink task's life: start, consume, put, commit, stop.
//!
//! One turn is: what the group decided, ends of commits, pauses, a commit if it is time, rewinds that the task asked
//! for, then a poll and a `put`. A turn waits in the poll, so a running sink keeps a thread.

use std::sync::Arc;
use std::time::Instant;

use super::TaskEventKind;
use super::control::Ending;
use super::frame::{Frame, PauseChange};
use super::runner::{Next, Turn};
use super::sink_flow::SinkFlow;
use super::sink_requests::SinkRequests;
use super::spec::{SinkTopics, TaskSpec};
use crate::api::error::{ConnectError, Result};
use crate::api::sink::{SinkPlugin, SinkTask};
use crate::kafka::consumer::SinkConsumer;
use crate::stdx::log_context::LogContext;

const TARGET: &str = "org.apache.kafka.connect.runtime.WorkerSinkTask";

/// The turns of a sink task.
pub(super) struct SinkTurns {
    frame: Frame,
    phase: Phase,
}

enum Phase {
    Unstarted(Box<Unstarted>),
    Running(Box<SinkFlow>),
    Ended,
}

struct Unstarted {
    spec: TaskSpec,
    plugin: Arc<dyn SinkPlugin>,
    topics: SinkTopics,
}

impl SinkTurns {
    pub(super) fn new(frame: Frame, spec: TaskSpec, plugin: Arc<dyn SinkPlugin>, topics: SinkTopics) -> Self {
        SinkTurns { frame, phase: Phase::Unstarted(Box::new(Unstarted { spec, plugin, topics })) }
    }

    fn begin(&mut self, unstarted: Box<Unstarted>, now: Instant) -> Next {
        if self.frame.control.ending() != Ending::None {
            self.frame.report(TaskEventKind::Stopped);
            return Next::Done;
        }
        if self.frame.look_at_pause() == PauseChange::Pauses {
            self.frame.report(TaskEventKind::Paused);
        }
        if self.frame.is_paused() {
            self.phase = Phase::Unstarted(unstarted);
            return Next::WhenWoken;
        }
        match unstarted.start(&self.frame, now) {
            Ok(flow) => {
                let name = &self.frame.name;
                log::info!(target: TARGET, "{name} Sink task finished initialization and start");
                log::info!(target: TARGET, "{name} Executing sink task");
                self.frame.report(TaskEventKind::Started);
                self.phase = Phase::Running(Box::new(flow));
                Next::Again
            }
            Err(error) => {
                self.frame.log_failure(&error);
                self.frame.report(TaskEventKind::Failed { trace: error.trace() });
                Next::Done
            }
        }
    }

    fn run(&mut self, mut flow: Box<SinkFlow>, now: Instant) -> Next {
        let failure = match self.frame.control.ending() {
            Ending::None => match flow.turn(&mut self.frame, now) {
                Ok(()) => {
                    self.phase = Phase::Running(flow);
                    return Next::Again;
                }
                Err(error) => {
                    let error =
                        ConnectError::connect("Exiting WorkerSinkTask due to unrecoverable exception.")
                            .caused_by(error);
                    self.frame.log_failure(&error);
                    Some(error)
                }
            },
            Ending::Stop => None,
            Ending::Cancel => {
                flow.abandon();
                None
            }
        };
        flow.finish(&self.frame);
        drop(flow);
        self.frame.report(match failure {
            None => TaskEventKind::Stopped,
            Some(error) => TaskEventKind::Failed { trace: error.trace() },
        });
        Next::Done
    }
}

impl Turn for SinkTurns {
    fn turn(&mut self, now: Instant) -> Next {
        let _context = LogContext::enter(&self.frame.context);
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Unstarted(unstarted) => self.begin(unstarted, now),
            Phase::Running(flow) => self.run(flow, now),
            Phase::Ended => Next::Done,
        }
    }

    fn panicked(&mut self, message: &str) {
        let _context = LogContext::enter(&self.frame.context);
        self.frame.report_panic(message);
    }
}

impl Unstarted {
    fn start(self: Box<Self>, frame: &Frame, now: Instant) -> Result<SinkFlow> {
        let Unstarted { spec, plugin, topics } = *self;
        let without_consumer =
            |fault| ConnectError::connect("Failed to create the consumer of the task").caused_by(fault);
        let consumer = SinkConsumer::new(&spec.client).map_err(without_consumer)?;
        let requests = Arc::new(SinkRequests::default());
        let mut task = plugin.task();
        let started = task.start(Arc::clone(&requests) as _, &spec.settings).and_then(|()| {
            let topics = match topics {
                SinkTopics::Named(names) => names,
                SinkTopics::Matching(pattern) => vec![format!("^({pattern})$")],
            };
            consumer.subscribe(&topics).map_err(without_consumer)
        });
        if let Err(error) = started {
            stop_plugin(frame, task.as_mut());
            return Err(error);
        }
        SinkFlow::new(frame, &spec, task, consumer, requests, now)
    }
}

/// Ends the plug-in.
pub(super) fn stop_plugin(frame: &Frame, task: &mut dyn SinkTask) {
    if let Err(error) = task.stop() {
        log::warn!(target: TARGET, "{} Could not stop task\n{}", frame.name, error.trace().trim_end());
    }
}
