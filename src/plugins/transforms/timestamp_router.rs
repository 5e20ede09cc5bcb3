//! `TimestampRouter`: another topic, made of the topic and the time of the record.

use std::sync::Arc;

use super::class::TransformClass;
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ConfigKey, ConfigType, Importance};
use crate::api::connect_record::ConnectRecord;
use crate::api::error::{ConnectError, Result};
use crate::api::transform::{Fate, Transform};
use crate::stdx::java_date_format::JavaDateFormat;
use crate::stdx::time::Clock;

pub(super) const CLASS: TransformClass = TransformClass {
    name: "org.apache.kafka.connect.transforms.TimestampRouter",
    settings,
    create: |settings| Ok(Box::new(TimestampRouter::new(settings)?)),
};

const TOPIC_FORMAT: &str = "topic.format";
const TIMESTAMP_FORMAT: &str = "timestamp.format";
const TOPIC: &str = "${topic}";
const TIMESTAMP: &str = "${timestamp}";

fn settings() -> ConfigDef {
    let key =
        |name, doc, default| ConfigKey::new(name, ConfigType::String, Importance::High, doc).default(default);
    ConfigDef::new()
        .define(key(
            TOPIC_FORMAT,
            "The new topic; ${topic} and ${timestamp} stand for the old one and the time.",
            "${topic}-${timestamp}",
        ))
        .define(key(
            TIMESTAMP_FORMAT,
            "How the time is written, in UTC: a pattern as Java's SimpleDateFormat has them.",
            "yyyyMMdd",
        ))
}

struct TimestampRouter {
    topic_format: String,
    timestamp_format: JavaDateFormat,
    /// The topic that was made last; the next record most likely has the same.
    last: Arc<str>,
}

impl TimestampRouter {
    fn new(config: &Settings) -> Result<Self> {
        let parsed = settings().parse(config)?;
        let pattern: String = parsed.get(TIMESTAMP_FORMAT)?;
        let format = JavaDateFormat::new(&pattern, Clock.now().wall.as_millisecond());
        let timestamp_format = format.map_err(|why| {
            ConnectError::config(format!(
                "Invalid value {pattern} for configuration {TIMESTAMP_FORMAT}: {why}"
            ))
        })?;
        Ok(TimestampRouter { topic_format: parsed.get(TOPIC_FORMAT)?, timestamp_format, last: "".into() })
    }
}

impl Transform for TimestampRouter {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Fate> {
        let Some(timestamp) = record.timestamp() else {
            return Err(ConnectError::data(format!("Timestamp missing on record: {record}")));
        };
        let timestamp = self.timestamp_format.format(timestamp);
        let topic = self.topic_format.replace(TOPIC, record.topic()).replace(TIMESTAMP, &timestamp);
        if *self.last != *topic {
            self.last = topic.into();
        }
        record.set_topic(Arc::clone(&self.last));
        Ok(Fate::Kept)
    }
}
