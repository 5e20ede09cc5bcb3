//! All that touches a Kafka broker: on librdkafka, and for the group of workers on a connection of our own
//! ([`group_socket`]).
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
pub mod group_socket;
pub mod producer;
pub mod security;
mod settings;
mod topic_pattern;
