//! What a worker's herder wants done, done.

use std::time::Duration;

use herdsman::api::ids::ConnectorName;
use herdsman::api::source::AlterOffsets;
use herdsman::group::events::MemberCommand;
use herdsman::group::member::Input;
use herdsman::health::StartupPhase;
use herdsman::herder::msg::{ConnectorOffsets, Draft, Effect, Exit, HerderError, HerderEvent, OperationId};
use herdsman::store::status_table::StatusWrite;

use super::network::Life;
use super::{Cluster, Coming, News};
use crate::calls::{self, Taken};
use crate::trace;

/// Why the member leaves when its worker ends.
const CLOSED: &str = "the consumer is being closed";

impl Cluster<'_> {
    pub(super) fn carry_out(&mut self, life: Life, effect: Effect) {
        if !matches!(effect, Effect::Member(MemberCommand::Probe) | Effect::Publish(..)) {
            self.note(|| format!("{life}     {}", trace::effect(&effect)));
        }
        if let Some(who) = calls::starts(&effect) {
            self.check_start(life, &who);
        }
        let now = self.schedule.now();
        let process = self.process(life);
        let effect = match process.instances.take(&process.configs, effect) {
            Taken::Call(who, epoch, call) => {
                let takes = self.call_takes();
                let instances = &mut self.places[life.worker].process.as_mut().unwrap().instances;
                let (at, ending) = instances.begin(now, takes, (who, epoch, call), &self.moods);
                return self.schedule.at(at, Coming::Reaches(life, News::Ends(ending)));
            }
            Taken::Abandoned => return,
            Taken::Other(effect) => effect,
        };
        match effect {
            Effect::Phase(phase) => self.process(life).phase = phase,
            Effect::Publish(name, Some(view)) => drop(self.process(life).views.insert(name, view)),
            Effect::Publish(name, None) => drop(self.process(life).views.remove(&name)),
            Effect::Validate(operation, draft) => self.validate(life, operation, draft),
            Effect::WriteConfig(write, operation) => self.write(life, &write, operation),
            Effect::ReadOffsets(.., reply) => reply.send(Ok(ConnectorOffsets::Source(Vec::new()))),
            Effect::ModifyOffsets(operation, name, ..) => self.modify_offsets(life, operation, &name),
            Effect::Member(command) => {
                if let MemberCommand::Join(protocols) = &command {
                    self.check_join(life, protocols);
                }
                self.member(life, Input::Command(command));
            }
            Effect::CatchUp(operation, timeout) => self.catch_up(life, operation, timeout),
            Effect::WriteStatus(write) => self.write_status(life, write),
            Effect::WriteStatusRecords(records) => {
                for record in records {
                    let at = self.status_is_there(life);
                    self.schedule.at(at, Coming::StatusAppended(record));
                }
            }
            Effect::SubmitTasks(submit) => self.submit_tasks(life, *submit),
            Effect::ClaimConfigTopic(operation) => self.claim(life, operation),
            Effect::SetLevel(..) | Effect::TellTopics(..) => {}
            Effect::FenceTasks(_) | Effect::AskForFencing(_) => {
                unreachable!("no source writes exactly once here")
            }
            Effect::Exit(exit) => self.exit(life, &exit),
            Effect::StartConnector { .. }
            | Effect::MakeTaskConfigs(..)
            | Effect::StopConnector(..)
            | Effect::AbandonConnector(..)
            | Effect::StartTask(_)
            | Effect::PauseTask(..)
            | Effect::ResumeTask(..)
            | Effect::StopTask(..)
            | Effect::AbandonTask(..) => unreachable!("instances take these"),
        }
    }

    fn call_takes(&mut self) -> Duration {
        if self.is_calm { self.random.up_to(Duration::from_millis(20)) } else { self.random.delay() }
    }

    fn validate(&mut self, life: Life, operation: OperationId, draft: Draft) {
        let settings = draft.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        let result = match self.random.percent(95) {
            true => Ok(settings),
            false => Err(HerderError::BadRequest("invalid".to_owned())),
        };
        let takes = self.call_takes();
        self.reach_at(takes, life, News::Event(HerderEvent::Validated(operation, result)));
    }

    fn modify_offsets(&mut self, life: Life, operation: OperationId, name: &ConnectorName) {
        let live = self.process(life).instances.live_of(name).next();
        assert_eq!(live, None, "{life}: offsets of {name} change");
        let result = match self.random.percent(80) {
            true => Ok(AlterOffsets::Checked),
            false => Err(HerderError::Failed("cannot".to_owned())),
        };
        let takes = self.call_takes();
        self.reach_at(takes, life, News::Event(HerderEvent::OffsetsModified(operation, result)));
    }

    /// When the next status that a worker writes is in the topic: in the order they were written.
    fn status_is_there(&mut self, life: Life) -> Duration {
        let at = self.schedule.now() + self.net_delay();
        let process = self.process(life);
        process.statuses_at = process.statuses_at.max(at);
        process.statuses_at
    }

    fn write_status(&mut self, life: Life, write: StatusWrite) {
        let at = self.status_is_there(life);
        if !self.is_calm && self.random.percent(2) {
            let back = News::Event(HerderEvent::StatusUnwritten(write));
            self.schedule.at(at, Coming::Reaches(life, back));
        } else {
            self.schedule.at(at, Coming::StatusAppended(write.record()));
        }
    }

    fn claim(&mut self, life: Life, operation: OperationId) {
        let fails = !self.is_calm && self.random.percent(10);
        let process = self.process(life);
        process.claimed = process.took;
        let outcome = if fails { Err("cannot".to_owned()) } else { Ok(()) };
        if !fails {
            self.claimant = Some(life);
        }
        let delay = self.net_delay();
        self.reach_at(delay, life, News::Event(HerderEvent::Claimed(operation, outcome)));
    }

    fn exit(&mut self, life: Life, exit: &Exit) {
        assert_eq!(*exit, Exit::Stopped, "{life} ends");
        let process = self.process(life);
        assert_eq!(process.phase, StartupPhase::Stopping, "{life} ends without having been told to");
        process.is_ending = true;
        self.member(life, Input::Command(MemberCommand::Leave { reason: CLOSED }));
    }
}
