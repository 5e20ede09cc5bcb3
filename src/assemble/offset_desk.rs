//! The desk for offsets: shows and changes what connectors have stored (KIP-875), for clients of the REST API.
//!
//! Called on threads of a pool: it waits for the offset store, for Kafka and for the connector, up to a deadline of its
//! own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::offset_change::{self, Patience, Progress, Step};
use crate::api::Settings;
use crate::api::error::{ConnectError, ErrorKind};
use crate::api::ids::{ConnectorName, TopicPartition};
use crate::api::offset::OffsetMap;
use crate::api::registry::ConnectorClass;
use crate::api::sink::SinkPlugin;
use crate::api::source::{AlterOffsets, SourcePlugin};
use crate::herder::msg::{Answer, ConnectorOffsets, HerderError, OffsetsChange};
use crate::kafka::admin::GroupOffsets;
use crate::kafka::fault::{FaultKind, KafkaFault};
use crate::stdx::error_class::ErrorClass;
use crate::stdx::pool::Pool;
use crate::stdx::time::{Clock, Deadline};
use crate::store::offset_record::{OffsetKey, encode_offset};
use crate::store::offset_store::StoredOffset;
use crate::task::plan::TaskPlanner;

/// How long one look at offsets may take, less than the 90 s that its client waits.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Shows and changes offsets.
pub struct OffsetDesk {
    /// Knows where the offsets of sources are, and how connectors reach Kafka.
    planner: Arc<TaskPlanner>,
    patience: Patience,
}

impl OffsetDesk {
    /// For offsets where the planner finds them.
    pub fn new(planner: Arc<TaskPlanner>) -> Self {
        OffsetDesk { planner, patience: Patience::WORKER }
    }

    /// The offsets of a connector.
    ///
    /// # Errors
    /// `Failed`, in Connect's words.
    pub fn show(
        &self,
        name: &ConnectorName,
        class: &ConnectorClass,
        settings: &Settings,
    ) -> Answer<ConnectorOffsets> {
        match class {
            ConnectorClass::Source(_) => {
                let stored = self.planner.resolve(settings).map_err(|why| chain(&why));
                let deadline = Clock.deadline(TIMEOUT);
                let stored =
                    stored.and_then(|settings| self.stored(name, &settings, deadline)).map_err(|why| {
                        HerderError::Failed(format!(
                            "Failed to retrieve offsets for source connector {name}: {why}"
                        ))
                    })?;
                let offsets = stored.into_iter().map(|stored| (stored.partition, Some(stored.offset)));
                Ok(ConnectorOffsets::Source(offsets.collect()))
            }
            ConnectorClass::Sink(_) => {
                let offsets = self
                    .group(name, settings)
                    .and_then(|group| group.committed(Clock.deadline(TIMEOUT)).map_err(of_kafka));
                offsets.map(ConnectorOffsets::Sink).map_err(|why| {
                    HerderError::Failed(format!(
                        "Failed to retrieve consumer group offsets for sink connector {name}: {}",
                        chain(&why)
                    ))
                })
            }
        }
    }

    /// Changes the offsets of a connector, after its plug-in has agreed. The plug-in is called on a thread of `jobs`; a
    /// change that was not made in time is not made later, unless it was being written.
    ///
    /// # Errors
    /// `BadRequest` where the plug-in says the change is wrong, else `Failed`, in Connect's words.
    pub fn modify(
        self: Arc<Self>,
        jobs: &Pool,
        name: ConnectorName,
        class: ConnectorClass,
        settings: Settings,
        change: OffsetsChange,
    ) -> Answer<AlterOffsets> {
        let desk = Arc::clone(&self);
        let of = name.clone();
        let kind = match class {
            ConnectorClass::Source(_) => "source",
            ConnectorClass::Sink(_) => "sink",
        };
        offset_change::make(jobs, (kind, &name), self.patience, move |progress, deadline| {
            let resolved = desk.planner.resolve(&settings).map_err(|why| {
                HerderError::Failed(format!("Failed to modify offsets for connector {of}: {}", chain(&why)))
            })?;
            let change_of = Change { desk: &desk, name: &of, raw: &settings, resolved, progress, deadline };
            match (class, change) {
                (ConnectorClass::Source(plugin), OffsetsChange::Source(changes)) => {
                    change_of.of_source(&*plugin, changes)
                }
                (ConnectorClass::Source(plugin), OffsetsChange::Reset | OffsetsChange::Sink(_)) => {
                    let stored = desk.stored(&of, &change_of.resolved, deadline);
                    let stored = stored.map_err(|why| source_failure(&of, &why))?;
                    let changes = stored.into_iter().map(|stored| (stored.partition, None)).collect();
                    change_of.of_source(&*plugin, changes)
                }
                (ConnectorClass::Sink(plugin), OffsetsChange::Sink(changes)) => {
                    change_of.of_sink(&*plugin, changes)
                }
                (ConnectorClass::Sink(plugin), OffsetsChange::Reset | OffsetsChange::Source(_)) => {
                    change_of.reset_sink(&*plugin)
                }
            }
        })
    }

    /// The stored offsets of a source connector, of whose settings references are resolved.
    fn stored(
        &self,
        name: &ConnectorName,
        settings: &Settings,
        deadline: Deadline,
    ) -> Result<Vec<StoredOffset>, String> {
        let offsets = self.planner.source_offsets(name, settings).map_err(|why| chain(&why))?;
        offsets.store.offsets_of(name, deadline).map_err(|why| chain(&why))
    }

    fn group(&self, name: &ConnectorName, settings: &Settings) -> Result<GroupOffsets, ConnectError> {
        self.planner.group_offsets(name, settings)
    }
}

/// One change on its way.
struct Change<'a> {
    desk: &'a OffsetDesk,
    name: &'a ConnectorName,
    /// The settings of the connector, references unresolved.
    raw: &'a Settings,
    resolved: Settings,
    progress: &'a Progress,
    /// Until when it is to be agreed on.
    deadline: Deadline,
}

impl Change<'_> {
    fn of_source(
        &self,
        plugin: &dyn SourcePlugin,
        changes: Vec<(OffsetMap, Option<OffsetMap>)>,
    ) -> Answer<AlterOffsets> {
        let name = self.name;
        self.progress.enter(Step::Asking)?;
        let verdict = plugin.alter_offsets(&self.resolved, &changes).map_err(|why| refusal(&why))?;
        // What is stored goes under the key it was stored with, whatever the order of its fields.
        let stored = self
            .desk
            .stored(name, &self.resolved, self.deadline)
            .map_err(|why| source_failure(name, &why))?;
        let key_of = |partition: &OffsetMap| {
            let same = stored.iter().find(|stored| stored.partition == *partition);
            same.map_or_else(|| OffsetKey::new(name, partition), |stored| stored.key.clone())
        };
        let writes =
            changes.iter().map(|(partition, offset)| (key_of(partition), offset.as_ref().map(encode_offset)));
        let writes = writes.collect();
        self.progress.enter(Step::Writing)?;
        let deadline = Clock.deadline(self.desk.patience.write);
        let written = self.desk.planner.write_offsets(name, &self.resolved, writes, deadline);
        written.map(|()| verdict).map_err(|why| source_failure(name, &chain(&why)))
    }

    fn of_sink(
        &self,
        plugin: &dyn SinkPlugin,
        changes: BTreeMap<TopicPartition, Option<i64>>,
    ) -> Answer<AlterOffsets> {
        let name = self.name;
        if let Some((partition, offset)) = changes.iter().find_map(|(partition, offset)| {
            offset.filter(|offset| *offset < 0).map(|offset| (partition, offset))
        }) {
            let why = format!("The offset {offset} for partition {partition} is negative");
            return Err(HerderError::BadRequest(why));
        }
        self.progress.enter(Step::Asking)?;
        let verdict = plugin.alter_offsets(&self.resolved, &changes).map_err(|why| refusal(&why))?;
        let group = self.desk.group(name, self.raw).map_err(|why| group_failure("alter", name, &why, ""))?;
        self.progress.enter(Step::Writing)?;
        let deadline = Clock.deadline(self.desk.patience.write);
        group.alter(&changes, deadline).map(|()| verdict).map_err(|why| {
            if matches!(why.kind(), FaultKind::UnknownTopic | FaultKind::UnknownPartition) {
                return HerderError::BadRequest(format!(
                    "Failed to alter consumer group offsets for connector {name}: Kafka has no such topic or partition"
                ));
            }
            group_fault("alter", name, why)
        })
    }

    fn reset_sink(&self, plugin: &dyn SinkPlugin) -> Answer<AlterOffsets> {
        let name = self.name;
        let group = self.desk.group(name, self.raw).map_err(|why| group_failure("reset", name, &why, ""))?;
        let committed = group.committed(self.deadline).map_err(|why| {
            let why = chain(&why);
            HerderError::Failed(format!(
                "Failed to list offsets prior to resetting offsets for sink connector {name}: {why}"
            ))
        })?;
        let changes = committed.into_keys().map(|partition| (partition, None)).collect();
        self.progress.enter(Step::Asking)?;
        let verdict = plugin.alter_offsets(&self.resolved, &changes).map_err(|why| refusal(&why))?;
        self.progress.enter(Step::Writing)?;
        let reset = group.delete(Clock.deadline(self.desk.patience.write));
        reset.map(|()| verdict).map_err(|why| group_fault("reset", name, why))
    }
}

fn of_kafka(why: KafkaFault) -> ConnectError {
    ConnectError::connect("Kafka refused").caused_by(why)
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// What a plug-in has against a change is the client's to mend.
fn refusal(why: &ConnectError) -> HerderError {
    match why.kind() {
        ErrorKind::Connect | ErrorKind::Config | ErrorKind::Data | ErrorKind::IllegalArgument => {
            HerderError::BadRequest(chain(why))
        }
        ErrorKind::Retriable | ErrorKind::SchemaBuilder | ErrorKind::NotFound => {
            HerderError::Failed(chain(why))
        }
    }
}

fn source_failure(name: &ConnectorName, why: &str) -> HerderError {
    HerderError::Failed(format!("Failed to modify offsets for source connector {name}: {why}"))
}

fn group_failure(verb: &str, name: &ConnectorName, why: &ConnectError, hint: &str) -> HerderError {
    HerderError::Failed(format!(
        "Failed to {verb} consumer group offsets for connector {name}: {}{hint}",
        chain(why)
    ))
}

/// The same where Kafka refused, with what helps if tasks have not left their group yet.
fn group_fault(verb: &str, name: &ConnectorName, why: KafkaFault) -> HerderError {
    let may_pass = why.kind() == FaultKind::GroupNotEmpty || why.class() == ErrorClass::Retriable;
    let hint = match may_pass {
        true => ". If its tasks have only just stopped, the request can be repeated safely",
        false => "",
    };
    group_failure(verb, name, &of_kafka(why), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_to_be_tried_again() {
        let table =
            [(FaultKind::GroupNotEmpty, true), (FaultKind::Unreachable, true), (FaultKind::Other, false)];
        for (kind, may_pass) in table {
            let fault = KafkaFault::other("delete the consumer group", kind, "no");
            let HerderError::Failed(text) = group_fault("reset", &"c".into(), fault) else {
                panic!("{kind:?}")
            };
            assert!(text.starts_with("Failed to reset consumer group offsets for connector c: "), "{text}");
            assert!(text.contains("failed to delete the consumer group: no"), "{text}");
            assert_eq!(text.contains("repeated safely"), may_pass, "{text}");
        }
    }
}
