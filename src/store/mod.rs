//! What outlives a worker: where it is kept, and how it is written.

pub mod file_offsets;
mod java_json;
pub mod java_map;
pub mod offset_record;
pub mod offset_store;
mod offsets_file;
