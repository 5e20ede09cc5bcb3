//! Exactly-once sources: the way of a task's question to the herder, and what the herder wants done to shut earlier tasks
//! out. Nothing here blocks but the jobs that it gives to a pool.

use std::collections::VecDeque;
use std::time::Duration;

use crossbeam_channel::Sender;

use super::cluster::ClusterHands;
use super::hands::tell;
use crate::api::ids::{Epoch, TaskId};
use crate::herder::msg::{Answer, AskForFencing, FenceTasks, HerderError, HerderEvent, TaskQuestion};
use crate::stdx::reply::Reply;
use crate::stdx::time::Clock;
use crate::task::{MayGoOn, StartGuard, StartStep};

/// How long it may take to shut out all earlier tasks of a connector, or to have the leader do it; the same as in Apache.
const FENCING_TIMEOUT: Duration = Duration::from_secs(90);

/// Brings the questions of tasks to the herder.
pub(super) struct HerderGuard(pub(super) Sender<HerderEvent>);

impl StartGuard for HerderGuard {
    fn ask(&self, id: &TaskId, epoch: Epoch, step: StartStep, may_go_on: MayGoOn) {
        let reply = Reply::calling(|answer: Answer<()>| may_go_on(answer.map_err(|why| why.to_string())));
        tell(&self.0, HerderEvent::TaskAsks(TaskQuestion { id: id.clone(), epoch, step, reply }));
    }
}

impl ClusterHands {
    /// Shuts out earlier tasks of a connector, as the leader; ends in an event.
    pub(super) fn fence_tasks(&self, fence: FenceTasks, echo: &mut VecDeque<HerderEvent>) {
        let (planner, inbox) = (self.planner.clone(), self.inbox.clone());
        let operation = fence.operation;
        let job = move || {
            let FenceTasks { operation, name, settings, tasks } = fence;
            let fenced = planner.fence(&name, &settings, tasks, Clock.deadline(FENCING_TIMEOUT));
            let outcome = fenced.map_err(|why| format!("{:#}", anyhow::Error::from(why)));
            tell(&inbox, HerderEvent::TasksFenced(operation, outcome));
        };
        if self.jobs.execute(job).is_err() {
            let why = "no thread is free to shut out earlier tasks".to_owned();
            echo.push_back(HerderEvent::TasksFenced(operation, Err(why)));
        }
    }

    /// Has the leader shut out earlier tasks of a connector; whoever waits is answered.
    pub(super) fn ask_for_fencing(&self, ask: AskForFencing) {
        let client = self.client.clone();
        let job = move || {
            let AskForFencing { name, leader_url, proof, reply } = ask;
            let fenced = client.fence(&leader_url, &name, &proof, Clock.deadline(FENCING_TIMEOUT));
            reply.send(fenced.map_err(|why| HerderError::Failed(why.to_string())));
        };
        if self.jobs.execute(job).is_err() {
            // The reply was dropped with the job, and has answered for itself.
            log::error!("no thread is free to have the leader shut out earlier tasks");
        }
    }
}
