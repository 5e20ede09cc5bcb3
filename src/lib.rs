//! herdsman: a Kafka Connect worker in one static binary, and a library to build such a worker with plug-ins of one's own.
//!
//! - [`api`] is what a plug-in is written against: connectors, converters, transforms and predicates, with the contract of
//!   each: when it is called, on which thread, and what becomes of its errors.
//! - [`Worker::builder`] makes a worker of plug-ins: a program with the whole command line of herdsman, or a worker within a
//!   process.
//! - [`contract`] is the suite of tests that any plug-in can be run through.
//!
//! `docs/guide/plugins-in-rust.md` goes from `cargo new` to a static binary; `examples/own_plugins` is a worker with a source,
//! a sink and a transform. All other modules are the worker itself. They are reachable for its own tests and benchmarks,
//! hidden here, and change without notice.

#![expect(
    rustdoc::private_intra_doc_links,
    reason = "in the hidden modules: who reads those reads the source, or documents private items, too"
)]

pub mod api;
#[doc(hidden)]
pub mod assemble;
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod connector;
pub mod contract;
mod embed;
#[cfg(feature = "faults")]
#[doc(hidden)]
pub mod faults;
#[doc(hidden)]
pub mod group;
#[doc(hidden)]
pub mod health;
#[doc(hidden)]
pub mod herder;
#[doc(hidden)]
pub mod kafka;
#[doc(hidden)]
pub mod logging;
#[doc(hidden)]
pub mod metrics;
#[doc(hidden)]
pub mod plugins;
#[doc(hidden)]
pub mod rest;
#[doc(hidden)]
pub mod signals;
#[doc(hidden)]
pub mod stdx;
#[doc(hidden)]
pub mod store;
#[doc(hidden)]
pub mod systemd;
#[doc(hidden)]
pub mod task;

pub use embed::{Health, Standalone, StartError, Worker, WorkerBuilder};
