//! A Kafka Connect worker: synchronous, thread-based, in one static binary.

pub mod api;
pub mod assemble;
pub mod cli;
pub mod config;
pub mod connector;
#[cfg(feature = "faults")]
pub mod faults;
pub mod group;
pub mod health;
pub mod herder;
pub mod kafka;
pub mod logging;
pub mod plugins;
pub mod rest;
pub mod signals;
pub mod stdx;
pub mod store;
pub mod systemd;
pub mod task;
