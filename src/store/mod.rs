//! What outlives a worker: where it is kept, and how it is written.

pub mod java_map;
