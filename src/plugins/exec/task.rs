//! What tasks of both kinds have in common: how they begin, and that nothing can be asked of one that has not.

use super::connector::{Place, task_def, told};
use super::life::{Life, MakeHearing, Plan};
use super::program::{self, Programs};
use super::words::{self, Kind};
use crate::api::Settings;
use crate::api::config_def::{ConfigDef, ParsedConfig};
use crate::api::error::{ConnectError, ErrorKind, Result};

/// The settings of a task by their types, and the life of its program, which is not started yet. `hearing` says how to make
/// sense of the program.
pub(super) fn begin(
    programs: &Programs,
    kind: Kind,
    own: ConfigDef,
    config: &Settings,
    hearing: impl FnOnce(&ParsedConfig) -> Result<MakeHearing>,
) -> Result<(ParsedConfig, Life)> {
    let def = task_def(own);
    let parsed = def.parse(config)?;
    let place = Place::of(&parsed)?;
    let plan = Plan {
        program: program::program(programs, &def, config)?,
        first_words: words::start(kind, &place, &told(config)),
        hearing: hearing(&parsed)?,
        may_finish: match kind {
            Kind::Source => true,
            Kind::Sink => false,
        },
        thread_name: format!("exec-{}-{}", place.connector, place.task),
    };
    Ok((parsed, Life::new(plan)))
}

/// What a started task works with.
pub(super) struct Started<R>(Option<R>);

impl<R> Started<R> {
    pub(super) fn not_yet() -> Self {
        Started(None)
    }

    pub(super) fn set(&mut self, running: R) {
        self.0 = Some(running);
    }

    pub(super) fn get(&mut self) -> Result<&mut R> {
        let not_started = || ConnectError::new(ErrorKind::IllegalArgument, "the task was not started");
        self.0.as_mut().ok_or_else(not_started)
    }

    /// What it works with, if it was started.
    pub(super) fn look(&self) -> Option<&R> {
        self.0.as_ref()
    }

    pub(super) fn take(&mut self) -> Option<R> {
        self.0.take()
    }
}
