//! Takes what the internal topics hold, and tells the herder. Runs on the thread of the logs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::hands::tell;
use crate::api::ids::{ConfigOffset, ConnectorName};
use crate::herder::msg::{HerderEvent, TopicsEvent};
use crate::store::config_records::ConfigRecord;
use crate::store::status_records::StatusRecord;
use crate::store::topic_log::{LogRecords, LogSink, LogStage, OnStage};

/// How many connectors that were lost are named.
const LOST_NAMED_MAX: usize = 20;

/// Takes the records of the config topic.
pub struct ConfigSink {
    topic: Arc<str>,
    inbox: Sender<HerderEvent>,
    offset: ConfigOffset,
    connectors: Roll,
}

impl ConfigSink {
    /// For a topic of that name; `inbox` is the herder's.
    pub fn new(topic: Arc<str>, inbox: Sender<HerderEvent>) -> Self {
        ConfigSink { topic, inbox, offset: ConfigOffset::NOTHING_READ, connectors: Roll::default() }
    }

    fn tell(&self, event: TopicsEvent) {
        tell(&self.inbox, HerderEvent::Topics(event));
    }
}

impl LogSink for ConfigSink {
    fn records(&mut self, records: &LogRecords) {
        let mut read = Vec::with_capacity(records.len());
        for record in records.iter() {
            let counts = match ConfigRecord::decode(record.key, record.value) {
                Ok(record) => {
                    record.iter().for_each(|record| self.connectors.note(record));
                    read.extend(record);
                    true
                }
                Err(why) => {
                    let (topic, offset) = (&self.topic, record.offset);
                    log::error!("the record at offset {offset} of the topic '{topic}' is passed over: {why}");
                    why.moves_offset()
                }
            };
            if counts {
                self.offset = ConfigOffset::new(record.offset + 1);
            }
        }
        tell(&self.inbox, HerderEvent::ConfigRead(read, self.offset));
    }

    fn read_to_end(&mut self) {
        if let Some(lost) = self.connectors.read_to_end() {
            log::error!("{}", told_lost(&self.topic, &lost));
        }
    }

    fn begins_anew(&mut self, why: &str) {
        log::error!("the config topic '{}' begins anew: {why}", self.topic);
        self.offset = ConfigOffset::NOTHING_READ;
        self.connectors.begin_anew();
        self.tell(TopicsEvent::ConfigAnew);
    }

    fn unreadable(&mut self, why: &str) {
        self.tell(TopicsEvent::ConfigUnreadable(Some(why.to_owned())));
    }

    fn readable(&mut self) {
        self.tell(TopicsEvent::ConfigUnreadable(None));
    }
}

/// The connectors that are configured, so that a topic without those that were is noticed.
#[derive(Default)]
struct Roll {
    names: BTreeSet<ConnectorName>,
    /// Those of the topic that this one took the place of, until it is read.
    before: BTreeSet<ConnectorName>,
}

impl Roll {
    fn note(&mut self, record: &ConfigRecord) {
        match record {
            ConfigRecord::Connector { name, .. } => drop(self.names.insert(name.clone())),
            ConfigRecord::Removed(name) => drop(self.names.remove(name)),
            ConfigRecord::Target { .. }
            | ConfigRecord::Task { .. }
            | ConfigRecord::Commit { .. }
            | ConfigRecord::TaskCount { .. }
            | ConfigRecord::SessionKey(_)
            | ConfigRecord::Restart { .. }
            | ConfigRecord::LoggerLevel { .. } => {}
        }
    }

    fn begin_anew(&mut self) {
        self.before.append(&mut self.names);
    }

    /// The connectors that there were and are no more, if there are any, once the new topic is read.
    fn read_to_end(&mut self) -> Option<Vec<ConnectorName>> {
        let before = std::mem::take(&mut self.before);
        let lost: Vec<_> = before.into_iter().filter(|name| !self.names.contains(name)).collect();
        (!lost.is_empty()).then_some(lost)
    }
}

/// That connectors were lost with the records of the config topic, and what to do.
fn told_lost(topic: &str, lost: &[ConnectorName]) -> String {
    let named: Vec<_> = lost.iter().take(LOST_NAMED_MAX).map(ConnectorName::as_str).collect();
    let more = match lost.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "the config topic '{topic}' was read anew, and {} connectors that this worker knew are not in it any more, so they \
         end: {}{more}. If nobody meant to delete them, stop all workers and restore the topic, or create the connectors \
         again under their names: they go on after their stored offsets",
        lost.len(),
        named.join(", ")
    )
}

/// Takes the records of the status topic.
pub struct StatusSink {
    topic: Arc<str>,
    inbox: Sender<HerderEvent>,
}

impl StatusSink {
    /// For a topic of that name; `inbox` is the herder's.
    pub fn new(topic: Arc<str>, inbox: Sender<HerderEvent>) -> Self {
        StatusSink { topic, inbox }
    }
}

impl LogSink for StatusSink {
    fn records(&mut self, records: &LogRecords) {
        let decode = |record: crate::store::topic_log::LogRecord<'_>| {
            let decoded = StatusRecord::decode(record.key, record.value);
            decoded
                .inspect_err(|why| {
                    let (topic, offset) = (&self.topic, record.offset);
                    log::warn!("the record at offset {offset} of the topic '{topic}' is passed over: {why}");
                })
                .ok()
        };
        let read: Vec<_> = records.iter().filter_map(decode).collect();
        if !read.is_empty() {
            tell(&self.inbox, HerderEvent::StatusRead(read));
        }
    }

    fn read_to_end(&mut self) {}

    fn begins_anew(&mut self, why: &str) {
        log::error!("the status topic '{}' begins anew: {why}", self.topic);
    }

    fn unreadable(&mut self, why: &str) {
        log::warn!(
            "the status topic '{}' cannot be read, states of other workers may be old: {why}",
            self.topic
        );
    }

    fn readable(&mut self) {
        log::info!("the status topic '{}' can be read again", self.topic);
    }
}

/// Tells the herder what the logs are doing, and that all of them were read. The topics are prepared side by side: one
/// that something is in the way of is told before those that are merely on their way.
pub fn on_stage(inbox: Sender<HerderEvent>) -> OnStage {
    let mut stages = BTreeMap::new();
    Box::new(move |stage| {
        let event = match &stage {
            LogStage::Following => TopicsEvent::Read,
            LogStage::Waiting { topic, .. }
            | LogStage::Preparing { topic }
            | LogStage::Reading { topic, .. } => {
                if matches!(stage, LogStage::Waiting { .. }) {
                    log::warn!("{stage}");
                }
                stages.insert(Arc::clone(topic), stage.clone());
                let waiting = stages.values().find(|stage| matches!(stage, LogStage::Waiting { .. }));
                TopicsEvent::Stage(waiting.unwrap_or(&stage).to_string())
            }
        };
        tell(&inbox, HerderEvent::Topics(event));
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roll(names: &[&str]) -> Roll {
        let mut roll = Roll::default();
        roll.take(names);
        roll
    }

    impl Roll {
        /// Records of connectors of these names; those with a `-` were removed.
        fn take(&mut self, names: &[&str]) {
            for name in names {
                self.note(&match name.strip_prefix('-') {
                    Some(name) => ConfigRecord::Removed(name.into()),
                    None => ConfigRecord::Connector { name: (*name).into(), settings: Default::default() },
                });
            }
        }

        fn lost(&mut self) -> String {
            let lost = self.read_to_end().unwrap_or_default();
            lost.iter().map(ConnectorName::as_str).collect::<Vec<_>>().join(" ")
        }
    }

    #[test]
    fn what_a_new_topic_lacks_is_lost() {
        let table: &[(&[&str], &[&str], &str)] = &[
            (&["a", "b", "c"], &["b"], "a c"),
            (&["a", "b"], &["b", "a"], ""),
            (&["a", "b", "-a"], &[], "b"),
            (&[], &["a"], ""),
            (&["a"], &["a", "-a"], "a"),
        ];
        for (before, after, lost) in table {
            let mut roll = roll(before);
            assert_eq!(roll.lost(), "", "it is read for the first time");
            roll.begin_anew();
            roll.take(after);
            assert_eq!(roll.lost(), *lost, "{before:?} {after:?}");
            assert_eq!(roll.lost(), "", "it is told once");
        }
    }

    #[test]
    fn a_topic_that_begins_anew_twice_before_it_is_read_has_lost_what_was_first() {
        let mut roll = roll(&["a", "b"]);
        roll.begin_anew();
        roll.take(&["a"]);
        roll.begin_anew();
        roll.take(&["a"]);
        assert_eq!(roll.lost(), "b");
    }

    #[test]
    fn the_loss_is_told_with_the_topic_and_the_first_names() {
        let names: Vec<ConnectorName> = (0..23).map(|n| format!("c{n:02}").as_str().into()).collect();
        let text = told_lost("configs", &names);
        for part in ["'configs'", "23 connectors", ": c00, c01, ", ", c19 and 3 more. ", "restore the topic"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        let text = told_lost("configs", &names[..1]);
        assert!(text.contains(": c00. "), "{text}");
    }
}
