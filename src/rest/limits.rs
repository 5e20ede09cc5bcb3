//! Every bound of the HTTP server in one place: how many, how large, how long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::framing::FrameLimits;

/// What one client, and all of them together, may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Open client connections. When full, a newcomer evicts the one that has been silent longest.
    pub connections_max: usize,
    /// How long a connection may stay without a request: from its start or the last answer to the first byte.
    pub idle_timeout: Duration,
    /// From the first byte of a TLS handshake's wait to its end.
    pub handshake_timeout: Duration,
    /// From the first byte of a request head to its last.
    pub head_timeout: Duration,
    /// Request line and header fields together, in bytes. Beyond it: 414 or 431.
    pub header_bytes_max: usize,
    /// One request body, decoded, in bytes. Beyond it: 413.
    pub body_bytes_max: usize,
    /// The bodies of all requests held at one time, in bytes. Beyond it: 503.
    pub body_bytes_total_max: usize,
    /// What a body, or an answer that the client takes, may be late against `transfer_bytes_per_second_min`.
    pub transfer_grace: Duration,
    /// The slowest rate at which a client may send a body or take an answer, averaged from its start.
    pub transfer_bytes_per_second_min: u32,
    /// How long a connection that the server ends is read on, so that the client sees the last answer.
    pub linger: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        ServerLimits {
            connections_max: 512,
            idle_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            head_timeout: Duration::from_secs(10),
            header_bytes_max: 8192,
            body_bytes_max: 8 * 1024 * 1024,
            body_bytes_total_max: 64 * 1024 * 1024,
            transfer_grace: Duration::from_secs(10),
            transfer_bytes_per_second_min: 16 * 1024,
            linger: Duration::from_secs(1),
        }
    }
}

impl ServerLimits {
    /// The bounds that framing alone can check.
    pub fn frame(&self) -> FrameLimits {
        FrameLimits { header_bytes_max: self.header_bytes_max, body_bytes_max: self.body_bytes_max }
    }

    /// Threads of connections. An evicted connection whose request is still being worked on keeps its thread until
    /// the answer is there: these come on top.
    pub fn connection_threads_max(&self) -> usize {
        self.connections_max + (self.connections_max / 8).max(32)
    }

    /// How long a transfer of which `bytes` have passed may have taken.
    pub fn transfer_allowance(&self, bytes: usize) -> Duration {
        let rate = f64::from(self.transfer_bytes_per_second_min.max(1));
        self.transfer_grace + Duration::from_secs_f64(bytes as f64 / rate)
    }
}

/// What the bodies of all requests together may still take.
#[derive(Debug, Clone)]
pub(crate) struct BodyBudget(Arc<AtomicUsize>);

/// The part of the budget that one request holds; given back when dropped.
#[derive(Debug)]
pub(crate) struct BodyShare {
    budget: BodyBudget,
    bytes: usize,
}

impl BodyBudget {
    pub(crate) fn new(bytes: usize) -> Self {
        BodyBudget(Arc::new(AtomicUsize::new(bytes)))
    }

    pub(crate) fn share(&self) -> BodyShare {
        BodyShare { budget: self.clone(), bytes: 0 }
    }
}

impl BodyShare {
    /// Makes the share at least `bytes`; `false` if the budget does not hold as much.
    #[must_use]
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let taken = self
            .budget
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(more))
            .is_ok();
        if taken {
            self.bytes += more;
        }
        taken
    }
}

impl Drop for BodyShare {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_take_from_one_budget_and_give_back() {
        let budget = BodyBudget::new(100);
        let mut first = budget.share();
        let mut second = budget.share();
        assert!(first.grow_to(60));
        assert!(!second.grow_to(41));
        assert!(second.grow_to(40));
        assert!(first.grow_to(60), "growing to what it has takes nothing");
        drop(first);
        assert!(second.grow_to(100));
    }

    #[test]
    fn a_transfer_gets_the_grace_and_the_time_its_bytes_take() {
        let limits = ServerLimits {
            transfer_grace: Duration::from_secs(10),
            transfer_bytes_per_second_min: 1000,
            ..ServerLimits::default()
        };
        assert_eq!(limits.transfer_allowance(0), Duration::from_secs(10));
        assert_eq!(limits.transfer_allowance(5000), Duration::from_secs(15));
    }
}
