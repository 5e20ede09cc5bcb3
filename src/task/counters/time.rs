//! For how long a task has been running and paused.

use std::sync::atomic::{AtomicU64, Ordering};

/// For how long a task has been in which state.
#[derive(Debug, Default)]
pub(super) struct TimeInStates {
    /// When the first state was entered, in milliseconds plus one; 0 is never.
    first: AtomicU64,
    /// The present state in the lowest two bits, and since when.
    present: AtomicU64,
    running_ms: AtomicU64,
    paused_ms: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Other = 0,
    Running = 1,
    Paused = 2,
}

impl TimeInStates {
    pub(super) fn enter(&self, state: State, now_ms: u64) {
        if self.first.load(Ordering::Relaxed) == 0 {
            self.first.store(now_ms + 1, Ordering::Relaxed);
        }
        let (before, since) = self.present();
        let took = now_ms.saturating_sub(since);
        match before {
            State::Running => self.running_ms.fetch_add(took, Ordering::Relaxed),
            State::Paused => self.paused_ms.fetch_add(took, Ordering::Relaxed),
            State::Other => 0,
        };
        self.present.store(now_ms << 2 | state as u64, Ordering::Release);
    }

    fn present(&self) -> (State, u64) {
        let present = self.present.load(Ordering::Acquire);
        let state = match present & 3 {
            1 => State::Running,
            2 => State::Paused,
            _ => State::Other,
        };
        (state, present >> 2)
    }

    /// The shares of running and of pausing in the time since the first state.
    pub(super) fn shares(&self, now_ms: u64) -> (f64, f64) {
        let Some(first) = self.first.load(Ordering::Relaxed).checked_sub(1) else { return (0.0, 0.0) };
        let (state, since) = self.present();
        let present = now_ms.saturating_sub(since);
        let running =
            self.running_ms.load(Ordering::Relaxed) + if state == State::Running { present } else { 0 };
        let paused =
            self.paused_ms.load(Ordering::Relaxed) + if state == State::Paused { present } else { 0 };
        let all = now_ms.saturating_sub(first);
        if all == 0 {
            return (
                f64::from(u8::from(state == State::Running)),
                f64::from(u8::from(state == State::Paused)),
            );
        }
        let share = |part: u64| (part as f64 / all as f64).min(1.0);
        (share(running), share(paused))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_in_states_is_shared_out() {
        let time = TimeInStates::default();
        assert_eq!(time.shares(500), (0.0, 0.0));
        time.enter(State::Running, 1000);
        assert_eq!(time.shares(1000), (1.0, 0.0));
        time.enter(State::Paused, 2000);
        assert_eq!(time.shares(2000), (1.0, 0.0));
        assert_eq!(time.shares(5000), (0.25, 0.75));
        time.enter(State::Running, 5000);
        time.enter(State::Other, 6000);
        assert_eq!(time.shares(11_000), (0.2, 0.3));
    }
}
