//! Where on its way a record met an error.

use std::fmt;

use crate::api::error::ConnectError;

/// A step on the way of a record; its `Display` is Connect's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The chain of transforms.
    Transformation,
    /// Keys to bytes, or back.
    KeyConverter,
    /// Values to bytes, or back.
    ValueConverter,
    /// Headers to bytes, or back.
    HeaderConverter,
    /// On its way to Kafka.
    KafkaProduce,
    /// In the hands of a sink task, which reported it.
    TaskPut,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Transformation => "TRANSFORMATION",
            Stage::KeyConverter => "KEY_CONVERTER",
            Stage::ValueConverter => "VALUE_CONVERTER",
            Stage::HeaderConverter => "HEADER_CONVERTER",
            Stage::KafkaProduce => "KAFKA_PRODUCE",
            Stage::TaskPut => "TASK_PUT",
        })
    }
}

/// An error with the step and the class that it came from.
#[derive(Debug)]
pub(super) struct StageFailure {
    pub(super) stage: Stage,
    /// The full name of the class.
    pub(super) class: &'static str,
    pub(super) error: ConnectError,
}

/// The result of a step.
pub(super) type Staged<T> = Result<T, StageFailure>;
