//! All that touches a Kafka broker, on librdkafka.
//!
//! Errors come out as [`fault::KafkaFault`]: typed, and with words that say what to do.

pub mod admin;
mod block_on;
mod client_log;
pub mod consumed;
pub mod consumer;
mod deliveries;
pub mod embedded;
pub mod fault;
mod group_events;
pub mod log_consumer;
mod log_events;
pub mod log_offsets;
pub mod log_producer;
pub mod log_records;
pub mod producer;
mod settings;
pub mod topic_admin;
mod topic_pattern;
pub mod transactional_log;
