//! What the herder wants done, done: the hands of the tick thread. Nothing here blocks; what may take time is given to
//! a pool or to the threads of tasks, and ends in an event.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::Sender;

use super::cluster::ClusterHands;
use super::offset_change::no_thread;
use super::offset_desk::OffsetDesk;
use crate::api::Settings;
use crate::api::ids::{Epoch, TaskId};
use crate::connector::Connectors;
use crate::health::{Stage, StartupPhase};
use crate::herder::msg::{Draft, Effect, HerderError, HerderEvent, OperationId, StartTask, Wakeup};
use crate::herder::tick_thread::Outside;
use crate::stdx::panics;
use crate::stdx::pool::Pool;
use crate::systemd::Notifier;
use crate::task::plan::{StoredTask, TaskPlanner};
use crate::task::{TaskHandle, Tasks};

/// Checks settings; called on a thread of the pool, since it runs code of connectors.
pub type Validate = Arc<dyn Fn(Draft) -> Result<Settings, HerderError> + Send + Sync>;

/// All that carries out effects. Owned by the tick thread.
pub struct Hands {
    /// Where results go.
    pub inbox: Sender<HerderEvent>,
    /// Runs checks and offset requests.
    pub jobs: Pool,
    /// Checks settings.
    pub validate: Validate,
    /// The connectors that run here.
    pub connectors: Connectors,
    /// The tasks that run here.
    pub tasks: TaskHands,
    /// Reads and changes offsets for clients.
    pub offsets: Arc<OffsetDesk>,
    /// What a worker in a group has beside that.
    pub cluster: Option<ClusterHands>,
    /// Tells systemd, if the worker is its service.
    pub notifier: Option<Notifier>,
}

/// The tasks that run here, by id.
pub struct TaskHands {
    tasks: Tasks,
    planner: Arc<TaskPlanner>,
    running: BTreeMap<TaskId, (Epoch, TaskHandle)>,
    /// With so many in `running`, those that have ended are taken out. It grows with those that run.
    sweep_at: usize,
    abandoned: usize,
}

/// Handles of ended tasks are left alone below this number.
const SWEEP_MIN: usize = 64;

impl TaskHands {
    /// None yet.
    pub fn new(tasks: Tasks, planner: Arc<TaskPlanner>) -> Self {
        TaskHands { tasks, planner, running: BTreeMap::new(), sweep_at: SWEEP_MIN, abandoned: 0 }
    }

    fn start(&mut self, task: StartTask) {
        if self.running.len() >= self.sweep_at {
            self.running.retain(|_, (_, handle)| !handle.is_over());
            self.sweep_at = SWEEP_MIN.max(2 * self.running.len());
        }
        let StartTask { id, epoch, class, settings, connector, tasks, paused, restarts } = task;
        let planner = Arc::clone(&self.planner);
        let stored = StoredTask { id: id.clone(), class: class.clone(), settings, connector, tasks };
        let plan = move || planner.plan(&stored);
        let handle = self.tasks.start(id.clone(), epoch, &class, paused, restarts, plan);
        self.running.insert(id, (epoch, handle));
    }

    fn steer(&self, id: &TaskId, epoch: Epoch, steer: impl FnOnce(&TaskHandle)) {
        if let Some((_, handle)) = self.running.get(id).filter(|(running, _)| *running == epoch) {
            steer(handle);
        }
    }

    fn abandon(&mut self, id: &TaskId, epoch: Epoch) {
        self.steer(id, epoch, TaskHandle::cancel);
        self.running.remove(id);
        self.abandoned += 1;
        log::warn!("{} tasks were abandoned since the start of the worker", self.abandoned);
    }
}

impl Hands {
    fn run_job(&self, job: impl FnOnce(&Sender<HerderEvent>) + Send + 'static) -> bool {
        let inbox = self.inbox.clone();
        self.jobs.execute(move || job(&inbox)).is_ok()
    }

    fn validate(&self, operation: OperationId, draft: Draft, echo: &mut VecDeque<HerderEvent>) {
        let validate = Arc::clone(&self.validate);
        let started = self.run_job(move |inbox| {
            let outcome = panics::caught(|| validate(draft)).unwrap_or_else(|words| {
                Err(HerderError::Failed(format!(
                    "The code of the connector panicked in its validation: {words}"
                )))
            });
            tell(inbox, HerderEvent::Validated(operation, outcome));
        });
        if !started {
            echo.push_back(HerderEvent::Validated(operation, Err(no_thread("the validation"))));
        }
    }
}

impl Outside for Hands {
    fn carry_out(&mut self, effect: Effect, echo: &mut VecDeque<HerderEvent>) {
        match effect {
            Effect::Validate(operation, draft) => self.validate(operation, draft, echo),
            Effect::WriteConfig(write, operation) => match &self.cluster {
                Some(cluster) => cluster.write_config(&write, operation),
                // The store of standalone mode is the herder's own memory: what is written is read back at once.
                None => echo.extend(HerderEvent::of_write_in_memory(&write, operation)),
            },
            Effect::StartConnector { name, epoch, class, settings } => {
                let refused = self.connectors.start(name, epoch, class, settings);
                echo.extend(refused.map(HerderEvent::Connector));
            }
            Effect::MakeTaskConfigs(name, epoch) => {
                let refused = self.connectors.make_task_configs(&name, epoch);
                echo.extend(refused.map(HerderEvent::Connector));
            }
            Effect::StopConnector(name, epoch) => {
                let refused = self.connectors.stop(&name, epoch);
                echo.extend(refused.map(HerderEvent::Connector));
            }
            Effect::AbandonConnector(name, _) => self.connectors.abandon(&name),
            Effect::StartTask(task) => self.tasks.start(*task),
            Effect::PauseTask(id, epoch) => self.tasks.steer(&id, epoch, TaskHandle::pause),
            Effect::ResumeTask(id, epoch) => self.tasks.steer(&id, epoch, TaskHandle::resume),
            Effect::StopTask(id, epoch) => self.tasks.steer(&id, epoch, TaskHandle::stop),
            Effect::AbandonTask(id, epoch) => self.tasks.abandon(&id, epoch),
            Effect::TellTopics(id, epoch) => self.tasks.steer(&id, epoch, TaskHandle::tell_topics),
            Effect::ReadOffsets(name, class, settings, reply) => {
                let desk = Arc::clone(&self.offsets);
                // Without a thread the reply is dropped and answers for itself.
                self.run_job(move |_| {
                    let shown = panics::caught(|| desk.show(&name, &class, &settings));
                    let panicked =
                        |words| format!("Failed to retrieve offsets for connector {name}: {words}");
                    reply.send(shown.unwrap_or_else(|words| Err(HerderError::Failed(panicked(words)))));
                });
            }
            Effect::ModifyOffsets(operation, name, class, settings, change) => {
                let (desk, jobs) = (Arc::clone(&self.offsets), self.jobs.clone());
                let started = self.run_job(move |inbox| {
                    let outcome = desk.modify(&jobs, name, class, settings, change);
                    tell(inbox, HerderEvent::OffsetsModified(operation, outcome));
                });
                if !started {
                    let why = no_thread("the change of offsets");
                    echo.push_back(HerderEvent::OffsetsModified(operation, Err(why)));
                }
            }
            Effect::Member(_)
            | Effect::CatchUp(..)
            | Effect::WriteStatus(_)
            | Effect::WriteStatusRecords(_)
            | Effect::SubmitTasks(_)
            | Effect::ClaimConfigTopic(_)
            | Effect::FenceTasks(_)
            | Effect::AskForFencing(_)
            | Effect::SetLevel(..) => {
                if let Some(cluster) = &self.cluster {
                    cluster.carry_out(effect, echo);
                }
            }
            Effect::Phase(_) | Effect::Publish(..) | Effect::Exit(_) => {
                unreachable!("the tick thread itself carries these out")
            }
        }
    }

    fn turned(&mut self, now: Instant, phase: StartupPhase, stage: Option<&Stage>) -> Wakeup {
        self.notifier.as_mut()?.turned(now, phase, stage)
    }
}

/// Puts an event into the inbox; waits while it is full. Never on the tick thread.
pub fn tell(inbox: &Sender<HerderEvent>, event: HerderEvent) {
    // Fails only when the tick thread has ended; then nobody needs the event.
    drop(inbox.send(event));
}

impl std::fmt::Debug for Hands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hands").field("connectors", &self.connectors).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use super::*;
    use crate::config::worker::{RawConfig, StandaloneConfig};
    use crate::task::runner::TaskRunner;

    fn task_hands(runner: &Arc<TaskRunner>) -> TaskHands {
        let mut raw = RawConfig::default();
        for key in ["key.converter", "value.converter"] {
            raw.set(key, "org.apache.kafka.connect.storage.StringConverter");
        }
        raw.set("offset.storage.file.filename", "offsets");
        let worker = StandaloneConfig::from_raw(&raw, &Default::default()).unwrap().worker;
        let registry = Arc::new(crate::plugins::registry());
        let planner = TaskPlanner::new(Arc::new(worker), registry, Arc::new(OnceLock::new()));
        TaskHands::new(Tasks::new(Arc::clone(runner), Arc::new(|_| ())), Arc::new(planner))
    }

    fn task(number: u32) -> StartTask {
        let class = crate::plugins::registry().connector("FileStreamSource").cloned().unwrap();
        let connector = format!("c{number}").as_str().into();
        let (settings, epoch) = (Settings::new(), Epoch::default());
        let (connector_settings, id) = (Settings::new(), TaskId { connector, index: 0 });
        let (connector, tasks) = (connector_settings, 1);
        StartTask { id, epoch, class, settings, connector, tasks, paused: false, restarts: false }
    }

    #[test]
    fn tasks_that_have_ended_are_forgotten() {
        let runner = Arc::new(TaskRunner::new(4).unwrap());
        let mut hands = task_hands(&runner);
        for number in 0..2000 {
            // Fails at once: there is no offset store.
            hands.start(task(number));
            while runner.tasks() > 0 {
                std::thread::yield_now();
            }
        }
        assert!(hands.running.len() <= SWEEP_MIN, "{} handles of no task", hands.running.len());
    }
}
