//! What the author of a connector, converter or transform sees.
//!
//! Nothing here knows how the worker is built. A plug-in depends on this module and on nothing else of the crate; it is given
//! to [`crate::Worker::builder`].
//!
//! | Kind | A class | What it makes |
//! |---|---|---|
//! | source connector | [`source::SourcePlugin`] | a [`connector::Connector`], and a [`source::SourceTask`] for each task |
//! | sink connector | [`sink::SinkPlugin`] | a [`connector::Connector`], and a [`sink::SinkTask`] for each task |
//! | converter | [`converter::ConverterPlugin`] | a [`converter::Converter`] for each task and each of key and value, a [`converter::HeaderConverter`] for headers |
//! | transform | [`transform::TransformPlugin`] | a [`transform::Transform`] for each task and each alias |
//! | predicate | [`transform::PredicatePlugin`] | a [`transform::Predicate`] for each task and each transform that names it |
//!
//! # What holds for all of them
//!
//! **A class is shared, an instance is not.** There is one value of a `…Plugin` in a worker. Its methods are called on any
//! thread, on several at the same time, and have no state to change. What it makes belongs to one connector or one task, and
//! its methods are called one after another, never two at a time. They are called on *different* threads, though: between
//! calls an instance has no thread, so nothing of it may hang on one (no thread-locals, no lock guards that are kept).
//!
//! **A call may block, and holds up only its own.** Connectors are called on threads of a pool, of which there are at most
//! 512, tasks on at most 4096 others. The thread that makes the decisions of the worker calls no plug-in, and neither does
//! one that answers REST, except for validations, which have a pool thread. A task that has nothing to do should say so
//! instead of blocking: then it costs no thread.
//!
//! **A stop waits for the call that is under way.** Nothing interrupts it. When `task.shutdown.graceful.timeout.ms` (5 s by
//! default) has passed, the instance is abandoned: nobody believes it any more, offsets of a source that has not stopped are
//! not committed, the worker says so in its log, and goes on. Its thread ends when the call returns. So what blocks should
//! block for a second or two at most.
//!
//! **A panic is an error of that call.** In a connector it fails the connector as an error would. In a task it fails the
//! task, and the instance is dropped at once: no `stop`, no last commit of offsets. In a validation it is answered with
//! status 500. No panic reaches another connector or ends the worker.
//!
//! **An error that a method returns** decides by its [`error::ErrorKind`] and nothing else. [`error::ErrorKind::Retriable`]
//! means the same call again where this is said below; everywhere else it is an error like any other. A connector or task
//! that failed stays so, with the trace of the error in `GET /connectors/NAME/status`, until it is restarted.
//!
//! **Settings** come as text, with references to config providers resolved: secrets are in them, and are not to be logged.
//! All settings of a connector are passed on, also those of the worker (`name`, `tasks.max`, `errors.tolerance`…) and those
//! that nobody knows. They were checked by the plug-in's [`config_def::ConfigDef`] when the connector was created, which may
//! have been by another version of it; so parse them again in `start` and say what is wrong.

pub mod config_def;
pub mod connect_record;
pub mod connector;
pub mod converter;
pub mod data;
pub mod errant;
pub mod error;
pub mod ids;
pub mod offset;
pub mod record;
pub mod registry;
pub mod sink;
pub mod source;
pub mod text;
pub mod topic_name;
pub mod transform;
pub mod validation;

pub use {bytes, bytestring, indexmap, num_bigint};

use indexmap::IndexMap;

/// Settings by name, as text: what a properties file or a REST body holds, in its order (which equality ignores).
pub type Settings = IndexMap<String, String>;
