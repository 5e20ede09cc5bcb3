//! Takes what the internal topics hold, and tells the herder. Runs on the thread of the logs.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::hands::tell;
use crate::api::ids::ConfigOffset;
use crate::herder::msg::{HerderEvent, TopicsEvent};
use crate::store::config_records::ConfigRecord;
use crate::store::status_records::StatusRecord;
use crate::store::topic_log::{LogRecords, LogSink, LogStage, OnStage};

/// Takes the records of the config topic.
pub struct ConfigSink {
    topic: Arc<str>,
    inbox: Sender<HerderEvent>,
    offset: ConfigOffset,
}

impl ConfigSink {
    /// For a topic of that name; `inbox` is the herder's.
    pub fn new(topic: Arc<str>, inbox: Sender<HerderEvent>) -> Self {
        ConfigSink { topic, inbox, offset: ConfigOffset::NOTHING_READ }
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
        self.tell(TopicsEvent::ConfigRead);
    }

    fn begins_anew(&mut self, why: &str) {
        log::error!("the config topic '{}' begins anew: {why}", self.topic);
        self.offset = ConfigOffset::NOTHING_READ;
        self.tell(TopicsEvent::ConfigAnew);
    }

    fn unreadable(&mut self, why: &str) {
        self.tell(TopicsEvent::ConfigUnreadable(Some(why.to_owned())));
    }

    fn readable(&mut self) {
        self.tell(TopicsEvent::ConfigUnreadable(None));
    }
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
