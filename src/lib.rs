//! A Kafka Connect worker: synchronous, thread-based, in one static binary.

pub mod api;
pub mod plugins;
pub mod stdx;
pub mod store;
