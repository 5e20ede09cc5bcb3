//! What the worker keeps: what is configured, and how far sources have come.

pub mod config_records;
pub mod config_state;
pub mod config_write;
pub mod connector_offsets;
pub mod file_offsets;
mod java_json;
pub mod java_map;
pub mod offset_record;
pub mod offset_store;
mod offset_table;
mod offsets_file;
mod record_json;
pub mod session_key;
pub mod status_records;
pub mod status_table;
pub mod topic_log;
pub mod topic_offsets;
