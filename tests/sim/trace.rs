//! What happened last, for people.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use herdsman::herder::msg::Effect;

const LINES_MAX: usize = 120;

/// Takes lines down, or not: most seeds pass, and nobody reads theirs.
pub(crate) struct Trace(Option<RefCell<VecDeque<String>>>);

impl Trace {
    pub(crate) fn on() -> Self {
        Trace(Some(RefCell::default()))
    }

    pub(crate) fn off() -> Self {
        Trace(None)
    }

    pub(crate) fn add(&self, at: Duration, line: impl FnOnce() -> String) {
        let Some(lines) = &self.0 else { return };
        let mut lines = lines.borrow_mut();
        if lines.len() == LINES_MAX {
            lines.pop_front();
        }
        lines.push_back(format!("{:>11.6} {}", at.as_secs_f64(), line()));
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.0.iter().flat_map(|lines| lines.borrow().clone()) {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// An effect in a line. What is shown of a connector is long: its states are enough.
pub(crate) fn effect(effect: &Effect) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are short")]
    match effect {
        Effect::Publish(name, None) => format!("Publish {name}: gone"),
        Effect::Publish(name, Some(view)) => {
            let status = view.status.as_ref();
            let connector = status.map(|status| status.connector.state);
            let tasks: Vec<_> = status.iter().flat_map(|status| &status.tasks).collect();
            let tasks: Vec<_> =
                tasks.iter().map(|(index, task)| format!("{index}:{:?}", task.state)).collect();
            format!(
                "Publish {name}: {connector:?}, {} of {} tasks: {tasks:?}",
                tasks.len(),
                view.info.tasks.len()
            )
        }
        other => format!("{other:?}"),
    }
}
