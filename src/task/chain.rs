//! The transforms of a task, one after another.

use super::spec::{PredicateChoice, TransformChoice};
use super::stage::{Stage, StageFailure, Staged};
use crate::api::connect_record::ConnectRecord;
use crate::api::error::{ConnectError, Result};
use crate::api::transform::{Fate, Predicate, Transform};

/// The transforms of a running task in the order of `transforms`.
pub(super) struct Chain(Vec<Link>);

struct Link {
    transform: Box<dyn Transform>,
    class: &'static str,
    condition: Option<Condition>,
}

/// For which records a transform is used.
struct Condition {
    predicate: Box<dyn Predicate>,
    negate: bool,
}

impl Chain {
    /// Makes the transforms. An error makes the task fail before it starts.
    pub(super) fn new(choices: &[TransformChoice]) -> Result<Self> {
        let link = |choice: &TransformChoice| {
            Ok(Link {
                transform: choice.plugin.transform(&choice.settings).map_err(unusable)?,
                class: choice.plugin.class(),
                condition: choice.condition.as_ref().map(Condition::new).transpose()?,
            })
        };
        choices.iter().map(link).collect::<Result<_>>().map(Chain)
    }

    /// Whether records go through as they are.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a record through all transforms that are for it, until one drops it; not again through the first `done`, which
    /// counts those that it has got through. After a failure the one that failed is the next.
    pub(super) fn apply(&mut self, record: &mut ConnectRecord<'_>, done: &mut usize) -> Staged<Fate> {
        for link in self.0.iter_mut().skip(*done) {
            let class = link.class;
            let fate = link.apply(record).map_err(|error| StageFailure {
                stage: Stage::Transformation,
                class,
                error,
            })?;
            if fate == Fate::Dropped {
                return Ok(fate);
            }
            *done += 1;
        }
        Ok(Fate::Kept)
    }
}

impl Link {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Fate> {
        if let Some(Condition { predicate, negate }) = &mut self.condition
            && predicate.test(record)? == *negate
        {
            return Ok(Fate::Kept);
        }
        self.transform.apply(record)
    }
}

impl Condition {
    fn new(choice: &PredicateChoice) -> Result<Self> {
        let predicate = choice.plugin.predicate(&choice.settings).map_err(unusable)?;
        Ok(Condition { predicate, negate: choice.negate })
    }
}

/// The error of a task whose transform cannot be made, as Apache words it.
fn unusable(error: ConnectError) -> ConnectError {
    let message = format!("{}: {}", error.kind().class_name(), error.message());
    ConnectError::connect(message).caused_by(error)
}

#[cfg(test)]
mod tests;
