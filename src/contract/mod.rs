//! A suite of tests that any plug-in can be run through, in its own tests: it calls the plug-in as a worker does, and as a
//! worker does when things go wrong, and tells every rule of [`crate::api`] that it breaks.
//!
//! ```
//! use herdsman::contract;
//! # use herdsman::api::{Settings, config_def::*, connect_record::ConnectRecord, error::Result, transform::*};
//! # struct DropAll;
//! # impl TransformPlugin for DropAll {
//! #     fn class(&self) -> &'static str { "com.example.DropAll" }
//! #     fn version(&self) -> &'static str { "1.0.0" }
//! #     fn config_def(&self) -> ConfigDef { ConfigDef::new() }
//! #     fn transform(&self, _: &Settings) -> Result<Box<dyn Transform>> { Ok(Box::new(DropAll)) }
//! # }
//! # impl Transform for DropAll {
//! #     fn apply(&mut self, _: &mut ConnectRecord<'_>) -> Result<Fate> { Ok(Fate::Dropped) }
//! # }
//!
//! contract::transform(DropAll, &[]).check();
//! ```
//!
//! [`source`], [`sink`], [`converter`], [`transform`] and [`predicate`] take a plug-in and settings with which it works;
//! what they give has a few things to say about the plug-in, and `check`, which panics with all that was found:
//!
//! ```text
//! com.example.CounterSource breaks 1 rule of the contract of plug-ins
//!
//! 1. a restart loses nothing
//!    did:      took 9 records, and started a new task from the offset of record 1
//!    expected: the records behind it, since an offset says where to go on *after* its record
//!    saw:      no record of {counter=1} with offset {next=3}
//!    docs:     herdsman::api::source, «Offsets»
//! ```
//!
//! `report` gives the same as a value. The suite needs no Kafka, writes nothing but what the plug-in writes, and ends in a
//! bounded time: each call runs on a thread of its own, and one that does not return in time counts as broken. Each call
//! is on another thread than the one before, as in a worker.

mod connector;
mod converter;
mod instance;
mod report;
mod samples;
mod settings;
mod sink;
mod sink_group;
mod source;
mod source_task;
mod transform;

pub use converter::{ConverterContract, converter};
pub use report::{Report, Violation};
pub use sink::{SinkContract, sink};
pub use source::{SourceContract, source};
pub use transform::{PredicateContract, TransformContract, predicate, transform};

use std::time::Duration;

/// How long one call may take, unless the author says otherwise: what a worker gives a task to stop.
const CALL: Duration = Duration::from_secs(5);
/// How long what is to happen sooner or later may take, unless the author says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lets some time pass.
fn wait(time: Duration) {
    let (_never, nothing) = crossbeam_channel::bounded::<()>(0);
    nothing.recv_timeout(time).ok();
}
