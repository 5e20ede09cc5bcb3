//! Transforms change records on their way between a connector and Kafka, or drop them; predicates say which records a
//! transform is for.
//!
//! 1. A plug-in makes an instance for each task and each alias (`transforms.ALIAS.*`) when the task starts, before the
//!    task's own `start`. An error fails the task before it starts.
//! 2. For each record the chain asks the alias' predicate, if it has one, and then calls `apply`: for a source before
//!    the record becomes bytes, for a sink after it was made of bytes.
//! 3. The instance is dropped with the task. Nothing else tells it of the end: what it holds, its `Drop` lets go.
//!
//! One instance belongs to one task and is called in the task's turns, one record after another, in the order of the
//! source's batch or of the partition. It keeps state for itself only: a restart begins with a new instance, and a sink's
//! records may come again.
//!
//! A record may be anything: without key or value (a tombstone, which should go through), with or without a schema, with a
//! value that another transform has made. What a transform cannot use is an error of kind `Data`, never a panic: that ends the
//! task. An error of kind `Retriable` is for what lies outside of the record: the same call comes again for
//! `errors.retry.timeout`, which is 0 by default. A value must fit its schema when the transform is done; schemas are shared
//! and stay as they are, so a change of shape needs a new one.

use super::Settings;
use super::config_def::ConfigDef;
use super::connect_record::ConnectRecord;
use super::error::Result;
use super::registry::UNDEFINED_VERSION;

/// What becomes of a record after a transform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Kept,
    /// It ends here: the rest of the chain does not see it, and it counts as delivered.
    Dropped,
}

/// Changes records.
pub trait Transform: Send {
    /// Changes the record in place. May block, and holds back the task meanwhile.
    ///
    /// An error fails the task, or costs this record where `errors.tolerance` is `all`. A record that met an error is not
    /// used any more, so it may be left half changed; only with a retriable error it must be as it was.
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Fate>;
}

/// Decides for which records a transform is used.
pub trait Predicate: Send {
    /// Whether it holds for the record. An error counts as one of the transform.
    fn test(&mut self, record: &ConnectRecord<'_>) -> Result<bool>;
}

/// Makes transforms of one class. Stateless and shared by all threads.
pub trait TransformPlugin: Send + Sync {
    /// The full class name, Apache's where Apache has it.
    fn class(&self) -> &'static str;

    /// Its version: what `GET /connector-plugins` shows and `connector.plugin.version` and its like ask for. Usually
    /// `env!("CARGO_PKG_VERSION")`.
    fn version(&self) -> &'static str {
        UNDEFINED_VERSION
    }

    /// The settings it takes, without any prefix.
    fn config_def(&self) -> ConfigDef;

    /// A transform with the given settings (prefix stripped). Fails with an error of kind `Config`.
    fn transform(&self, settings: &Settings) -> Result<Box<dyn Transform>>;
}

/// Makes predicates of one class. Stateless and shared by all threads.
pub trait PredicatePlugin: Send + Sync {
    /// The full class name, Apache's where Apache has it.
    fn class(&self) -> &'static str;

    /// Its version: what `GET /connector-plugins` shows and `connector.plugin.version` and its like ask for. Usually
    /// `env!("CARGO_PKG_VERSION")`.
    fn version(&self) -> &'static str {
        UNDEFINED_VERSION
    }

    /// The settings it takes, without any prefix.
    fn config_def(&self) -> ConfigDef;

    /// A predicate with the given settings (prefix stripped). Fails with an error of kind `Config`.
    fn predicate(&self, settings: &Settings) -> Result<Box<dyn Predicate>>;
}
