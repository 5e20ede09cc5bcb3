//! Where on its way a record met an error.

use std::fmt;

use super::conversion::not_tolerated;
use crate::api::error::ConnectError;

/// A step on the way of a record; its `Display` is Connect's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The chain of transforms.
    Transformation,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Transformation => "TRANSFORMATION",
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

impl StageFailure {
    /// Tells what failed where, for who looks closely: the error itself does not say it.
    pub(super) fn note(&self, task: &str) {
        let StageFailure { stage, class, error } = self;
        log::debug!(
            target: "org.apache.kafka.connect.runtime.errors.LogReporter",
            "{task} Error encountered. Executing stage '{stage}' with class '{class}'.\n{}",
            error.trace().trim_end(),
        );
    }

    /// The error of the task where the failure may not cost a record only.
    pub(super) fn into_error(self) -> ConnectError {
        not_tolerated(self.error)
    }
}
