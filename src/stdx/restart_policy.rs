//! Whether, when and how often what has failed is started again.

use std::time::Duration;

/// What is said of restarts after failures, by the settings of a worker or of what has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// Whether there are any.
    pub enabled: bool,
    /// How often in a row; `None` without an end.
    pub restarts_max: Option<u32>,
    /// What the pauses are counted in.
    pub unit: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for RestartPolicy {
    /// Off; else Strimzi's: minutes, an hour at most, without an end.
    fn default() -> Self {
        let (unit, longest) = (Duration::from_secs(60), Duration::from_secs(3600));
        RestartPolicy { enabled: false, restarts_max: None, unit, longest }
    }
}

impl RestartPolicy {
    /// The pause before the restart after so many others.
    pub fn pause_after(&self, restarts: u32) -> Duration {
        let units = restarts.saturating_mul(restarts).saturating_add(restarts);
        self.unit.saturating_mul(units).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_an_hour() {
        let policy = RestartPolicy::default();
        let minutes: Vec<_> = (0..10).map(|restarts| policy.pause_after(restarts).as_secs() / 60).collect();
        assert_eq!(minutes, [0, 2, 6, 12, 20, 30, 42, 56, 60, 60]);
        assert_eq!(policy.pause_after(u32::MAX), Duration::from_secs(3600));
    }
}
