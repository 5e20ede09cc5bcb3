//! Apache's attributes of this worker: of what runs here, and of what has failed here.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::exposition::{Exposition, Kind, Labels};
use super::names::{self, Names};
use super::table::{
    self, ClassAndVersion, Classes, ConnectorSubject, PluginSubject, TaskCounts, TaskSubject, WorkerSubject,
};
use super::{COMMIT, MetricsParts};
use crate::api::Settings;
use crate::api::ids::{ConnectorName, TaskId};
use crate::api::registry::Registry;
use crate::herder::view::{ConnectorView, RunState, Status};
use crate::stdx::time::Now;
use crate::task::counters::TaskReading;

/// Adds them.
pub(super) fn add(out: &mut Exposition, parts: &MetricsParts, names: Names, now: Now) {
    let here = Here::of(parts, now);
    let meter = &parts.herder.meter;
    let worker = WorkerSubject {
        connectors: here.connectors.len(),
        tasks: here.tasks.len(),
        connector_starts: meter.connectors(now.instant),
        task_starts: meter.tasks(now.instant),
    };
    app_info(out, parts, names);
    table::add(out, names, table::WORKER, &[(names::of_worker(names), worker)]);
    table::add(out, names, table::WORKER_CONNECTOR, &here.counts);
    if let Some(group) = meter.group(now.instant) {
        let client = Labels::none().with(names::client_label(names), parts.client_id.as_str());
        table::add(out, names, table::REBALANCE, &[(Labels::none(), group.clone())]);
        table::add(out, names, table::COORDINATOR, &[(client, group)]);
    }
    table::add(out, names, table::CONNECTOR, &here.connectors);
    table::add(out, names, table::TASK, &here.tasks);
    table::add(out, names, table::TRANSFORM, &here.transforms);
    table::add(out, names, table::PREDICATE, &here.predicates);
}

/// What the worker is.
fn app_info(out: &mut Exposition, parts: &MetricsParts, names: Names) {
    let version = env!("CARGO_PKG_VERSION");
    let client = Labels::none().with(names::client_label(names), parts.worker.as_str());
    let started_ms = parts.started.as_millisecond();
    match names {
        Names::Strimzi => {
            let labels = client.clone().with("version", version);
            out.add("kafka_connect_version_info", Kind::Gauge, "The version of the worker.", &labels, 1.0);
            let labels = client.clone().with("commit_id", COMMIT);
            let help = "The commit that the worker was built from.";
            out.add("kafka_connect_commit_id_info", Kind::Gauge, help, &labels, 1.0);
            let help = "When the worker began, in seconds since 1970.";
            let seconds = started_ms as f64 / 1000.0;
            out.add("kafka_connect_start_time_seconds", Kind::Gauge, help, &client, seconds);
        }
        Names::Confluent => {
            let labels = client.with("version", version).with("commit_id", COMMIT);
            let labels = labels.with("start_time_ms", started_ms.to_string());
            let help = "The worker: its version, and when it began.";
            // Without its ending where version 1 of the JMX exporter reads the rules.
            for name in ["kafka_connect_app_info", "kafka_connect_app"] {
                out.add(name, Kind::Gauge, help, &labels, 1.0);
            }
        }
    }
}

/// What runs on this worker, or has failed here.
#[derive(Default)]
struct Here {
    counts: Vec<(Labels, TaskCounts)>,
    connectors: Vec<(Labels, ConnectorSubject)>,
    tasks: Vec<(Labels, TaskSubject)>,
    transforms: Vec<(Labels, PluginSubject)>,
    predicates: Vec<(Labels, PluginSubject)>,
}

impl Here {
    fn of(parts: &MetricsParts, now: Now) -> Self {
        let mut counted: BTreeMap<ConnectorName, BTreeMap<u32, TaskReading>> = BTreeMap::new();
        for (TaskId { connector, index }, counters) in parts.herder.tasks.all() {
            counted.entry(connector).or_default().insert(index, counters.read(now.instant));
        }
        let mut here = Here::default();
        for view in parts.herder.views.all() {
            let counted = counted.remove(&view.info.name).unwrap_or_default();
            here.add(parts, &view, counted);
        }
        here
    }

    fn add(
        &mut self,
        parts: &MetricsParts,
        view: &Arc<ConnectorView>,
        mut counted: BTreeMap<u32, TaskReading>,
    ) {
        let Some(status) = &view.status else { return };
        let is_here = |status: &Status| status.worker == parts.worker;
        let labels = Labels::none().with("connector", view.info.name.as_str());
        let (config, registry) = (&view.info.config, &*parts.registry);
        let classes = Classes::of(parts, config);
        let shown = |status: &Status| is_here(status) && status.state != RunState::Unassigned;
        if shown(&status.connector) {
            let connector = ConnectorSubject {
                class: classes.connector.clone(),
                kind: classes.kind,
                version: classes.version,
                state: status.connector.state,
            };
            self.connectors.push((labels.clone(), connector));
        }
        let transforms = plugins(config, "transforms", |class| {
            registry.transform(class).map(|it| (it.class(), it.version()))
        });
        let predicates = plugins(config, "predicates", |class| {
            registry.predicate(class).map(|it| (it.class(), it.version()))
        });
        let mut counts = TaskCounts::default();
        for (index, status) in status.tasks.iter().filter(|(_, status)| is_here(status)) {
            counts.count(status.state);
            let reading = counted.remove(index);
            if reading.is_none() && !shown(status) {
                continue;
            }
            let labels = labels.clone().with("task", index.to_string());
            let of = |label: &'static str, plugins: &[(String, PluginSubject)]| {
                let each = plugins
                    .iter()
                    .map(|(alias, plugin)| (labels.clone().with(label, alias.as_str()), plugin.clone()));
                each.collect::<Vec<_>>()
            };
            self.transforms.extend(of("transform", &transforms));
            self.predicates.extend(of("predicate", &predicates));
            let task = TaskSubject { state: Some(status.state), reading, classes: classes.clone() };
            self.tasks.push((labels, task));
        }
        if counts.total() > 0 || shown(&status.connector) {
            self.counts.push((labels, counts));
        }
    }
}

impl Classes {
    fn of(parts: &MetricsParts, config: &Settings) -> Self {
        let registry: &Registry = &parts.registry;
        let text = |key: &str| config.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
        let written = text("connector.class").unwrap_or_default();
        let class = registry.connector(written);
        let converter = |key: &str, of_worker: &str| {
            let written = text(key).unwrap_or(of_worker);
            registry.converter(written).map(|plugin| (plugin.class(), plugin.version()))
        };
        Classes {
            connector: class.map_or(written, |class| class.plugin().class()).to_owned(),
            kind: class.map(|class| class.kind_name()),
            task: class.map(|class| class.plugin().task_class()),
            key_converter: converter("key.converter", &parts.converters.key),
            value_converter: converter("value.converter", &parts.converters.value),
            header_converter: converter("header.converter", &parts.converters.header),
            version: class.map(|class| class.plugin().version()),
        }
    }
}

/// The plug-ins that a connector names in a list of aliases, by these.
fn plugins(
    config: &Settings,
    list: &str,
    class: impl Fn(&str) -> Option<ClassAndVersion>,
) -> Vec<(String, PluginSubject)> {
    let aliases = config.get(list).map_or("", String::as_str).split(',').map(str::trim);
    let mut found: BTreeMap<String, PluginSubject> = BTreeMap::new();
    for alias in aliases.filter(|alias| !alias.is_empty()) {
        let written = config.get(&format!("{list}.{alias}.type")).map(|class| class.trim());
        if let Some(class) = written.and_then(&class) {
            found.insert(alias.to_owned(), PluginSubject(class));
        }
    }
    found.into_iter().collect()
}

/// The plug-ins that a worker has.
#[cfg(test)]
pub(super) fn plugins_of_a_worker() -> Registry {
    crate::plugins::registry()
}
