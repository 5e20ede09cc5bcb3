//! What outlives a worker: where it is kept, and how it is written.

mod java_json;
pub mod java_map;
pub mod offset_record;
