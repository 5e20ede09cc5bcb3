//! A Kafka Connect worker: synchronous, thread-based, in one static binary.

pub mod api;
pub mod rest;
pub mod stdx;
