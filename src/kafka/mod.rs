//! All that touches a Kafka broker: on librdkafka, and for the group of workers and questions about transactions on
//! connections of our own ([`broker_socket`]).
//!
//! Errors come out as [`fault::KafkaFault`]: typed, and with words that say what to do.

pub mod admin;
mod block_on;
pub mod broker_socket;
mod client_log;
pub mod consumed;
pub mod consumer;
pub mod dead_letter_topic;
mod deliveries;
mod denials;
pub mod embedded;
pub mod fault;
pub mod figures;
mod group_events;
pub mod left_open;
pub mod log_consumer;
mod log_events;
pub mod log_offsets;
pub mod log_producer;
pub mod log_records;
pub mod new_topics;
mod offset_deletion;
pub mod producer;
pub mod security;
mod settings;
pub mod topic_admin;
mod topic_watch;
pub mod transactional_log;
pub mod transactions;
