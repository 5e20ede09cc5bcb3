//! What source and sink connectors have in common: settings, and the connector itself.

use std::sync::Arc;
use std::time::Duration;

use super::instance::{Fault, Instance, within};
use super::report::{Notes, Rule};
use super::settings;
use crate::api::Settings;
use crate::api::config_def::ConfigDef;
use crate::api::connector::{Connector, ConnectorContext, ConnectorPlugin};
use crate::api::error::{ConnectError, Result};

const VALIDATES: Rule = Rule {
    name: "settings that work are valid",
    expected: "no complaint about the settings that the check was given",
    docs: "herdsman::api::connector::ConnectorPlugin::validate",
};
const STARTS: Rule = Rule {
    name: "a connector starts and stops",
    expected: "a start and a stop without an error, also with settings that nobody knows among the others",
    docs: "herdsman::api::connector, 1 and 3",
};
const TASKS: Rule = Rule {
    name: "a connector says its tasks",
    expected: "the settings of at least one task and at most tasks_max, as often as it is asked",
    docs: "herdsman::api::connector::Connector::task_configs",
};

/// A class of connectors as the suite sees it.
pub(super) struct Subject<'a> {
    pub(super) plugin: &'a Arc<dyn ConnectorPlugin>,
    /// What the author gave, and what every connector gets from the worker.
    pub(super) settings: &'a Settings,
    pub(super) call: Duration,
}

/// Tasks of a connector by how many it was allowed.
#[derive(Default)]
pub(super) struct TaskConfigs {
    pub(super) of_one: Vec<Settings>,
    pub(super) of_three: Vec<Settings>,
}

/// Nobody listens.
struct Context;

impl ConnectorContext for Context {
    fn request_task_reconfiguration(&self) {}

    fn raise_error(&self, _: ConnectError) {}
}

/// What the worker adds to the settings of a connector.
pub(super) fn full_settings(own: &Settings, class: &str, topics: Option<&str>) -> Settings {
    let mut settings = settings::of(&[
        ("name", "contract"),
        ("connector.class", class),
        ("tasks.max", "3"),
        (settings::UNKNOWN, "anything"),
    ]);
    settings.extend(topics.map(|topics| ("topics".to_owned(), topics.to_owned())));
    settings.extend(own.iter().map(|(name, value)| (name.clone(), value.clone())));
    settings
}

/// Checks everything about the connector, and gives the settings of its tasks.
pub(super) fn check(notes: &mut Notes, subject: &Subject<'_>) -> TaskConfigs {
    let plugin = Arc::clone(subject.plugin);
    let about = move || {
        let classes = vec![plugin.class(), plugin.task_class()];
        (classes, plugin.version(), plugin.config_def(), plugin.config_def())
    };
    let Some(def) = settings::check(notes, subject.call, about, subject.settings) else {
        return TaskConfigs::default();
    };
    check_validation(notes, subject, &def);
    check_odd_orders(notes, subject);
    for (what, spoilt) in settings::spoilt(&def, subject.settings) {
        let Some(mut connector) = new_connector(notes, subject) else { break };
        let did = format!("started a connector {what}, asked for its tasks, and stopped it");
        notes.returned(&did, start(&mut connector, &spoilt));
        notes.returned(&did, connector.call(|connector| drop(connector.task_configs(1))));
        notes.returned(&did, connector.call(|connector| drop(connector.stop())));
    }
    task_configs(notes, subject)
}

/// Validations come on several threads, with settings of any kind.
fn check_validation(notes: &mut Notes, subject: &Subject<'_>, def: &ConfigDef) {
    let validate = |settings: &Settings| {
        let (plugin, def, settings) = (Arc::clone(subject.plugin), def.clone(), settings.clone());
        within(subject.call, move || {
            let mut values = def.validate(&settings);
            plugin.validate(&settings, &mut values);
            values.into_iter().flat_map(|value| value.errors).collect::<Vec<_>>()
        })
    };
    let did = "validated the settings that were given";
    if let Some(errors) = notes.returned(did, validate(subject.settings)) {
        notes.expect(errors.is_empty(), &VALIDATES, did, || errors.join("; "));
    }
    for (what, spoilt) in settings::spoilt(def, subject.settings) {
        notes.returned(&format!("validated settings {what}"), validate(&spoilt));
    }
    notes.returned("validated no settings at all", validate(&Settings::new()));
}

fn check_odd_orders(notes: &mut Notes, subject: &Subject<'_>) {
    let Some(mut connector) = new_connector(notes, subject) else { return };
    let did = "stopped a connector that was never started, and stopped it again";
    notes.returned(did, connector.call(|connector| drop(connector.stop())));
    notes.returned(did, connector.call(|connector| drop(connector.stop())));
    let Some(mut connector) = new_connector(notes, subject) else { return };
    let did = "asked a connector that was never started for its tasks";
    notes.returned(did, connector.call(|connector| drop(connector.task_configs(1))));
}

fn task_configs(notes: &mut Notes, subject: &Subject<'_>) -> TaskConfigs {
    let mut configs = TaskConfigs::default();
    let Some(mut connector) = new_connector(notes, subject) else { return configs };
    let started = start(&mut connector, subject.settings);
    if notes.succeeded(&STARTS, "started a connector", started).is_none() {
        return configs;
    }
    for tasks_max in [1, 3, 1, 3] {
        let did = format!("asked a connector for at most {tasks_max} tasks");
        let made = connector.call(move |connector| connector.task_configs(tasks_max));
        let Some(made) = notes.succeeded(&TASKS, &did, made) else { break };
        let fits = !made.is_empty() && made.len() <= tasks_max as usize;
        notes.expect(fits, &TASKS, did, || format!("the settings of {} tasks", made.len()));
        match tasks_max {
            1 => configs.of_one = made,
            _ => configs.of_three = made,
        }
    }
    notes.succeeded(&STARTS, "stopped a connector", connector.call(|connector| connector.stop()));
    let did = "stopped a connector that was stopped already";
    notes.returned(did, connector.call(|connector| drop(connector.stop())));
    configs
}

fn new_connector(notes: &mut Notes, subject: &Subject<'_>) -> Option<Instance<dyn Connector>> {
    let made = Instance::made(subject.plugin, subject.call, |plugin| plugin.connector());
    notes.returned("made a connector", made)
}

fn start(
    connector: &mut Instance<dyn Connector>,
    settings: &Settings,
) -> std::result::Result<Result<()>, Fault> {
    let settings = settings.clone();
    connector.call(move |connector| connector.start(Arc::new(Context), &settings))
}
