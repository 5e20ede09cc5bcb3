//! `FileStreamSource` and `FileStreamSink`: lines of a file to a topic and back, under Apache's class names.

mod input;
mod lines;
mod sink;
mod source;

use crate::api::config_def::{ConfigKey, ConfigType, Importance};
use crate::api::registry::Registry;

const FILE: &str = "file";

/// Adds both connectors.
pub fn register(registry: &mut Registry) {
    registry.add_source(source::FileStreamSource);
    registry.add_sink(sink::FileStreamSink);
}

fn file_key(documentation: &str) -> ConfigKey {
    ConfigKey::new(FILE, ConfigType::String, Importance::High, documentation)
}
