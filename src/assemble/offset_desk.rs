//! The desk for offsets: shows and changes what connectors have stored (KIP-875), for clients of the REST API.
//!
//! Called on threads of a pool: it waits for the offset store or for Kafka, up to a deadline of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::api::Settings;
use crate::api::error::{ConnectError, ErrorKind};
use crate::api::ids::{ConnectorName, TopicPartition};
use crate::api::offset::OffsetMap;
use crate::api::registry::ConnectorClass;
use crate::api::sink::SinkPlugin;
use crate::api::source::{AlterOffsets, SourcePlugin};
use crate::herder::msg::{Answer, ConnectorOffsets, HerderError, OffsetsChange};
use crate::kafka::admin::GroupOffsets;
use crate::kafka::fault::KafkaFault;
use crate::stdx::reply::reply;
use crate::stdx::time::Clock;
use crate::store::offset_record::{OffsetKey, encode_offset};
use crate::store::offset_store::StoredOffset;
use crate::task::plan::{OffsetStoreSlot, TaskPlanner};

/// How long one request may take outside, less than the 90 s that its client waits.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Shows and changes offsets.
pub struct OffsetDesk {
    /// The offsets of sources.
    pub store: OffsetStoreSlot,
    /// Knows how connectors reach Kafka.
    pub planner: Arc<TaskPlanner>,
}

impl OffsetDesk {
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
                let stored = self.stored(name).map_err(|why| {
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

    /// Changes the offsets of a connector, after its plug-in has agreed.
    ///
    /// # Errors
    /// `BadRequest` where the plug-in says the change is wrong, else `Failed`, in Connect's words.
    pub fn modify(
        &self,
        name: &ConnectorName,
        class: &ConnectorClass,
        settings: &Settings,
        change: OffsetsChange,
    ) -> Answer<AlterOffsets> {
        let resolved = self.planner.resolve(settings).map_err(|why| {
            HerderError::Failed(format!("Failed to modify offsets for connector {name}: {}", chain(&why)))
        })?;
        match (class, change) {
            (ConnectorClass::Source(plugin), OffsetsChange::Source(changes)) => {
                self.modify_source(name, &**plugin, &resolved, changes)
            }
            (ConnectorClass::Source(plugin), OffsetsChange::Reset | OffsetsChange::Sink(_)) => {
                let stored = self.stored(name).map_err(|why| source_failure(name, &why))?;
                let changes = stored.into_iter().map(|stored| (stored.partition, None)).collect();
                self.modify_source(name, &**plugin, &resolved, changes)
            }
            (ConnectorClass::Sink(plugin), OffsetsChange::Sink(changes)) => {
                self.modify_sink(name, &**plugin, settings, &resolved, changes)
            }
            (ConnectorClass::Sink(plugin), OffsetsChange::Reset | OffsetsChange::Source(_)) => {
                self.reset_sink(name, &**plugin, settings, &resolved)
            }
        }
    }

    fn modify_source(
        &self,
        name: &ConnectorName,
        plugin: &dyn SourcePlugin,
        settings: &Settings,
        changes: Vec<(OffsetMap, Option<OffsetMap>)>,
    ) -> Answer<AlterOffsets> {
        let verdict = plugin.alter_offsets(settings, &changes).map_err(|why| refusal(&why))?;
        // What is stored goes under the key it was stored with, whatever the order of its fields.
        let stored = self.stored(name).map_err(|why| source_failure(name, &why))?;
        let key_of = |partition: &OffsetMap| {
            let same = stored.iter().find(|stored| stored.partition == *partition);
            same.map_or_else(|| OffsetKey::new(name, partition), |stored| stored.key.clone())
        };
        let writes =
            changes.iter().map(|(partition, offset)| (key_of(partition), offset.as_ref().map(encode_offset)));
        let store =
            self.store.get().ok_or_else(|| source_failure(name, "the offset store is not open yet"))?;
        let (done, written) = reply();
        store.write(writes.collect(), done);
        match written.wait(TIMEOUT) {
            Ok(Ok(())) => Ok(verdict),
            Ok(Err(why)) => Err(source_failure(name, &chain(&why))),
            Err(_) => Err(HerderError::Failed(format!(
                "Timed out while attempting to modify offsets for source connector {name}"
            ))),
        }
    }

    fn modify_sink(
        &self,
        name: &ConnectorName,
        plugin: &dyn SinkPlugin,
        raw: &Settings,
        settings: &Settings,
        changes: BTreeMap<TopicPartition, Option<i64>>,
    ) -> Answer<AlterOffsets> {
        if let Some((partition, offset)) = changes.iter().find_map(|(partition, offset)| {
            offset.filter(|offset| *offset < 0).map(|offset| (partition, offset))
        }) {
            let why = format!("The offset {offset} for partition {partition} is negative");
            return Err(HerderError::BadRequest(why));
        }
        let verdict = plugin.alter_offsets(settings, &changes).map_err(|why| refusal(&why))?;
        let altered = self
            .group(name, raw)
            .and_then(|group| group.alter(&changes, Clock.deadline(TIMEOUT)).map_err(of_kafka));
        altered.map(|()| verdict).map_err(|why| group_failure("alter", name, &why))
    }

    fn reset_sink(
        &self,
        name: &ConnectorName,
        plugin: &dyn SinkPlugin,
        raw: &Settings,
        settings: &Settings,
    ) -> Answer<AlterOffsets> {
        let deadline = Clock.deadline(TIMEOUT);
        let group = self.group(name, raw).map_err(|why| group_failure("reset", name, &why))?;
        let committed = group.committed(deadline).map_err(|why| {
            let why = chain(&why);
            HerderError::Failed(format!(
                "Failed to list offsets prior to resetting offsets for sink connector {name}: {why}"
            ))
        })?;
        let changes = committed.into_keys().map(|partition| (partition, None)).collect();
        let verdict = plugin.alter_offsets(settings, &changes).map_err(|why| refusal(&why))?;
        let reset = group.delete(deadline).map_err(of_kafka);
        reset.map(|()| verdict).map_err(|why| group_failure("reset", name, &why))
    }

    fn stored(&self, name: &ConnectorName) -> Result<Vec<StoredOffset>, String> {
        let store = self.store.get().ok_or("the offset store is not open yet")?;
        store.offsets_of(name, Clock.deadline(TIMEOUT)).map_err(|why| chain(&why))
    }

    fn group(&self, name: &ConnectorName, settings: &Settings) -> Result<GroupOffsets, ConnectError> {
        self.planner.group_offsets(name, settings)
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

fn group_failure(verb: &str, name: &ConnectorName, why: &ConnectError) -> HerderError {
    HerderError::Failed(format!(
        "Failed to {verb} consumer group offsets for connector {name}: {}. If its tasks have only just stopped, the \
         request can be repeated safely",
        chain(why)
    ))
}
