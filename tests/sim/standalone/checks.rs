//! What must hold for an answer, after every turn, once nothing more comes, and in the end.

use std::sync::Arc;

use herdsman::api::ids::{ConnectorName, TaskId};
use herdsman::health::StartupPhase;
use herdsman::herder::msg::{Exit, HerderEvent};
use herdsman::herder::view::RunState;
use herdsman::store::config_state::TargetState;

use super::Sim;
use crate::clients::{Ask, Client, Given, Kind};
use crate::fakes;
use crate::instances::{Told, Who};

impl Sim<'_> {
    pub(super) fn check_answer(&self, client: &Client, given: &Given) {
        let config = self.configs.connector(&client.name);
        match client.kind {
            Kind::Health => {
                assert_eq!(self.stores, [true, true], "healthy without its stores");
                assert_eq!(self.phase, StartupPhase::Ready, "healthy");
            }
            Kind::Write => {
                let Given::Connector(info) = given else { panic!("no connector in {given:?}") };
                assert_eq!(Some(&info.config), config.map(|config| &config.settings));
                let view = self.views.get(&client.name);
                assert_eq!(
                    Some(info),
                    view.map(|view| &view.info),
                    "an answer that was not published before"
                );
            }
            Kind::End => {
                let wanted = config.is_some_and(|config| config.target != TargetState::Stopped);
                let live = self.instances.live_of(&client.name).next();
                assert!(wanted || live.is_none(), "{} has ended, but {live:?} runs", client.name);
            }
            Kind::Restart => {
                if config.is_some_and(|config| config.target == TargetState::Started) {
                    let live = self.instances.live(&Who::Connector(client.name.clone()));
                    let told = live.map(|(_, instance)| instance.told);
                    assert_eq!(told, Some(Told::Runs), "{} is restarted", client.name);
                }
            }
            Kind::ChangeOffsets => {
                assert!(!self.changing.contains(&client.name));
            }
            Kind::Other => {}
        }
    }

    /// What is shown is what is configured; what is shown to run does run.
    pub(super) fn check_views(&self) {
        let shown: Vec<_> = self.views.keys().collect();
        assert_eq!(shown, self.configs.names().collect::<Vec<_>>(), "the connectors that are shown");
        for (name, view) in &self.views {
            let Some(config) = self.configs.connector(name) else { continue };
            assert_eq!(view.info.config, config.settings, "the settings of {name} that are shown");
            assert_eq!(view.info.tasks.len(), config.tasks.len(), "the tasks of {name} that are shown");
            let Some(status) = &view.status else { continue };
            let runs = |who: &Who| self.instances.live(who).map(|(_, instance)| instance.told);
            if status.connector.state == RunState::Running {
                let connector = Who::Connector(name.clone());
                // One that fails after it was told to stop is shown as what it was until it has ended.
                assert!(
                    matches!(runs(&connector), Some(Told::Runs | Told::Failed)),
                    "{name} is shown as running: {:?}",
                    runs(&connector)
                );
            }
            for (index, task) in &status.tasks {
                let who = Who::Task(TaskId { connector: name.clone(), index: *index });
                if task.state == RunState::Failed {
                    assert_eq!(runs(&who), None, "{who} is shown as failed");
                }
                if matches!(task.state, RunState::Running | RunState::Paused) {
                    assert_eq!(runs(&who), Some(Told::Runs), "{who} is shown as {:?}", task.state);
                }
            }
        }
    }

    /// Nothing more comes: what is wanted runs, once, with the latest settings, and is shown so.
    pub(super) fn check_quiet(&mut self) {
        let waiting: Vec<_> = self.clients.iter().map(|client| client.text.as_str()).collect();
        assert_eq!(waiting, [""; 0], "they were not answered");
        if self.phase == StartupPhase::Stopping {
            return;
        }
        let (request, client) = Ask::Health.put();
        self.clients.push(client);
        self.deliver(HerderEvent::Request(request));
        assert_eq!(self.clients.len(), 0, "health is not answered: {:?}", self.herder.stage());
        let names = self.configs.names().cloned().collect::<Vec<_>>();
        for (who, _) in self.instances.all_live() {
            assert!(names.contains(who.connector()), "{who} runs and is not configured");
        }
        names.iter().for_each(|name| self.check_rest(name));
    }

    /// One connector has come to rest as it should.
    fn check_rest(&self, name: &ConnectorName) {
        let Some(config) = self.configs.connector(name) else { return };
        let Some(status) = self.views.get(name).and_then(|view| view.status.clone()) else {
            panic!("{name} has no status")
        };
        let who = Who::Connector(name.clone());
        let live = self.instances.live(&who).map(|(_, instance)| instance);
        match config.target {
            TargetState::Paused => {
                assert_eq!((live.is_some(), status.connector.state), (false, RunState::Paused))
            }
            TargetState::Stopped => {
                assert_eq!((live.is_some(), status.connector.state), (false, RunState::Stopped));
                assert_eq!(config.tasks.len(), 0, "{name} is stopped and has tasks");
            }
            TargetState::Started if config.settings["connector.class"] != fakes::CLASS => {
                assert_eq!((live.is_some(), status.connector.state), (false, RunState::Failed));
            }
            TargetState::Started => {
                let Some(live) = live else { panic!("{name} does not run") };
                assert_eq!(live.settings, config.settings, "{name} runs with old settings");
                let state = if live.told == Told::Runs { RunState::Running } else { RunState::Failed };
                assert_eq!(status.connector.state, state, "{name} is shown in a wrong state");
                if live.told == Told::Runs {
                    let mood = self.moods.of(name);
                    assert_eq!(
                        config.tasks,
                        fakes::task_configs(&config.settings, mood),
                        "the tasks of {name}"
                    );
                    assert_eq!(config.tasks_made_from, config.settings, "the tasks of {name}");
                }
            }
        }
        assert_eq!(status.tasks.len(), config.tasks.len(), "the tasks of {name} that have a status");
        for (index, settings) in (0..).zip(&config.tasks) {
            let who = Who::Task(TaskId { connector: name.clone(), index });
            let live = self.instances.live(&who).map(|(_, instance)| instance);
            let task = status.tasks.get(&index);
            let state = task.map(|task| task.state);
            let classless = |trace: &Arc<str>| trace.contains("no connector class");
            if live.is_none() && task.and_then(|task| task.trace.as_ref()).is_some_and(classless) {
                continue;
            }
            let Some(last) = self.instances.last(&who) else { panic!("{who} was never started") };
            let expected = match (last.told, config.target) {
                (Told::Failed, _) => RunState::Failed,
                (_, TargetState::Paused) => RunState::Paused,
                (..) => RunState::Running,
            };
            assert_eq!(state, Some(expected), "{who} is shown");
            assert_eq!(&last.settings, settings, "{who} runs with old settings");
            if status.connector.state == RunState::Running {
                assert_eq!(last.connector, config.settings, "{who} runs with old settings of {name}");
            }
            assert!(last.told == Told::Failed || live.is_some(), "{who} does not run");
        }
        let tasks = self.instances.live_of(name).filter(|who| matches!(who, Who::Task(_)));
        assert!(tasks.count() <= config.tasks.len(), "more tasks of {name} run than are configured");
    }

    /// The worker has ended.
    pub(super) fn check_end(&self) {
        assert_eq!(self.exits.last(), Some(&Exit::Stopped), "the worker does not end");
        assert_eq!(self.clients.len(), 0, "somebody was not answered");
        assert_eq!(self.phase, StartupPhase::Stopping);
        assert_eq!(self.instances.all_live().count(), 0, "something runs on");
    }
}
