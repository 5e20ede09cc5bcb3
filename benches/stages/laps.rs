//! How long the stages took, in all.

use std::time::{Duration, Instant};

use herdsman::stdx::time::Clock;

/// Adds up the time of stages that take turns.
pub(crate) struct Laps {
    last: Instant,
    /// In the order in which they were first ended.
    stages: Vec<(String, Duration)>,
    records: usize,
}

impl Laps {
    pub(crate) fn begin() -> Self {
        Laps { last: Clock.now().instant, stages: Vec::new(), records: 0 }
    }

    /// More records went through.
    pub(crate) fn count(&mut self, records: usize) {
        self.records += records;
    }

    /// What has passed since the last call belongs to this stage.
    pub(crate) fn end(&mut self, name: &str) {
        let took = self.since_last();
        match self.stages.iter_mut().find(|(stage, _)| stage == name) {
            Some((_, sum)) => *sum += took,
            None => self.stages.push((name.to_owned(), took)),
        }
    }

    /// What has passed since the last call belongs to none.
    pub(crate) fn pass(&mut self) {
        self.since_last();
    }

    fn since_last(&mut self) -> Duration {
        let now = Clock.now().instant;
        now - std::mem::replace(&mut self.last, now)
    }

    /// The stages with what they cost a record, in Markdown.
    pub(crate) fn table(&self, title: &str) -> String {
        let all: Duration = self.stages.iter().map(|(_, took)| *took).sum();
        let row = |name: &str, took: Duration| {
            let nanoseconds = took.as_secs_f64() * 1e9 / self.records as f64;
            let share = took.as_secs_f64() / all.as_secs_f64() * 100.0;
            format!("| {name} | {nanoseconds:.0} | {share:.0} % |\n")
        };
        let mut table = format!("| {title} | ns a record | share |\n|---|---|---|\n");
        for (name, took) in &self.stages {
            table += &row(name, *took);
        }
        table + &row("all", all)
    }
}
