//! What the worker can be measured by: the text of `GET /metrics`.
//!
//! Begin reading at [`Metrics::text`]. Everything is read from what others publish or count; the tick thread is never asked,
//! so there is an answer while it is stuck. [`table`] lists Apache's attributes, [`own`] what herdsman has beside those.

mod clients;
mod connect;
mod exposition;
mod names;
mod own;
mod process;
pub mod reference;
mod table;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::Sender;
use jiff::Timestamp;

use crate::api::ids::WorkerId;
use crate::api::registry::Registry;
use crate::health::HealthState;
use crate::herder::msg::HerderEvent;
use crate::herder::tick_thread::Shared;
use crate::stdx::time::Now;
pub use exposition::CONTENT_TYPE;
use exposition::Exposition;
pub use names::Names;

/// Who asks again sooner gets the same text: however many ask at the same time, a few texts are in memory.
const FRESH: Duration = Duration::from_millis(200);

/// The commit that this was built from.
const COMMIT: &str = match option_env!("HERDSMAN_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// What is measured.
#[derive(Debug)]
pub struct MetricsParts {
    /// This worker.
    pub worker: WorkerId,
    /// How its clients name themselves.
    pub client_id: String,
    /// When it began.
    pub started: Timestamp,
    /// What the herder shows and counts.
    pub herder: Shared,
    /// To the tick thread: only its length is looked at.
    pub inbox: Sender<HerderEvent>,
    /// The plug-ins.
    pub registry: Arc<Registry>,
    /// The worker's converters, for connectors that name none of their own.
    pub converters: ConverterClasses,
}

/// Classes of converters as settings name them.
#[derive(Debug, Clone, Default)]
pub struct ConverterClasses {
    /// `key.converter`.
    pub key: String,
    /// `value.converter`.
    pub value: String,
    /// `header.converter`.
    pub header: String,
}

/// Measures the worker. Shared by all threads that answer requests.
#[derive(Debug)]
pub struct Metrics {
    parts: MetricsParts,
    probes: [AtomicU64; 3],
    latest: Mutex<Option<Latest>>,
}

/// The text that was made last.
#[derive(Debug)]
struct Latest {
    names: Names,
    at: Instant,
    text: Bytes,
}

impl Metrics {
    /// Of a worker whose herder may not run yet.
    pub fn new(parts: MetricsParts) -> Self {
        Metrics { parts, probes: Default::default(), latest: Mutex::new(None) }
    }

    /// A health request was answered.
    pub fn health_answered(&self, state: HealthState) {
        self.probes[probe_place(state)].fetch_add(1, Ordering::Relaxed);
    }

    /// All of it, as Prometheus reads it. Any thread; waits for nobody but others who ask for the same.
    pub fn text(&self, names: Names, now: Now) -> Bytes {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |latest: &&Latest| {
            latest.names == names && now.instant.saturating_duration_since(latest.at) < FRESH
        };
        if let Some(latest) = latest.as_ref().filter(is_fresh) {
            return latest.text.clone();
        }
        let text = Bytes::from(self.made(names, now));
        *latest = Some(Latest { names, at: now.instant, text: text.clone() });
        text
    }

    fn made(&self, names: Names, now: Now) -> String {
        let mut out = Exposition::default();
        connect::add(&mut out, &self.parts, names, now);
        clients::add(&mut out, &self.parts, names);
        own::add(&mut out, self, now);
        process::add(&mut out);
        out.into_text()
    }
}

/// Answers to health requests are counted here by their states.
fn probe_place(state: HealthState) -> usize {
    match state {
        HealthState::Healthy => 0,
        HealthState::Unhealthy => 1,
        HealthState::Starting => 2,
    }
}
