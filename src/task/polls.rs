//! The polls of a source task: when the next one is due, and what came of it.

use std::time::{Duration, Instant};

use super::frame::Frame;
use crate::api::error::{ErrorKind, Result};
use crate::api::record::SourceRecord;
use crate::api::source::{PollOutcome, SourceTask};
use crate::stdx::backoff::Backoff;
use crate::stdx::time::Clock;

/// The pause after a poll that gave an empty batch: a plug-in that never blocks must not spin.
const EMPTY: Duration = Duration::from_millis(5);
/// The pauses after retriable errors of a poll. Apache polls again at once and spins.
const RETRY_FIRST: Duration = Duration::from_millis(10);
const RETRY_LONGEST: Duration = Duration::from_secs(1);

/// When to poll.
pub(super) struct Polls {
    /// No poll before.
    at: Option<Instant>,
    retry: Backoff,
}

impl Polls {
    /// The first one is due.
    pub(super) fn new() -> Self {
        Polls { at: None, retry: Backoff::new(RETRY_FIRST, RETRY_LONGEST) }
    }

    /// When the next one is due, if not now.
    pub(super) fn not_before(&self, now: Instant) -> Option<Instant> {
        self.at.filter(|at| now < *at)
    }

    /// Polls. `None`: there is nothing now; [`Polls::not_before`] tells until when.
    pub(super) fn poll(
        &mut self,
        task: &mut dyn SourceTask,
        frame: &Frame,
    ) -> Result<Option<Vec<SourceRecord>>> {
        self.at = None;
        let began = Clock.now().instant;
        let rest = match task.poll() {
            Ok(PollOutcome::Records(batch)) => {
                self.retry.reset();
                let now = Clock.now().instant;
                frame.counters.polled(now, batch.len(), now.saturating_duration_since(began));
                if !batch.is_empty() {
                    return Ok(Some(batch));
                }
                EMPTY
            }
            Ok(PollOutcome::Idle(rest)) => {
                self.retry.reset();
                rest
            }
            Err(error) if error.kind() == ErrorKind::Retriable => {
                log::warn!(
                    target: frame.target,
                    "{} failed to poll records from SourceTask. Will retry operation.\n{}",
                    frame.name,
                    error.trace().trim_end(),
                );
                self.retry.next_delay(0.0)
            }
            Err(error) => return Err(error),
        };
        // Counted from here: the poll itself may have taken long.
        self.at = Some(Clock.deadline(rest).instant());
        Ok(None)
    }
}
