//! Brokers that do not let a client in: a login that they refuse, a certificate that is not trusted.
//!
//! librdkafka tries again for ever, as it does with a broker that is away. To wait helps against the one and not against
//! the other, so a task has to tell them apart.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::fault::FaultKind;
use crate::stdx::mutex::lock;

/// For how long nothing must get through to a broker until a refusal is believed: one that starts may refuse what it does
/// not know yet.
const PATIENCE: Duration = Duration::from_secs(1);

/// What librdkafka calls a TLS error although the connection broke.
const BROKEN_CONNECTION: &str = "SSL transport error";

const LET_IN: u8 = 0;
const SUSPECTED: u8 = 1;
const DENIED: u8 = 2;

/// The kind of an error of a whole client. A TLS connection that breaks is a broker that is away.
pub(super) fn kind_of(code: RDKafkaErrorCode, reason: &str) -> FaultKind {
    let kind = FaultKind::of(code);
    if kind == FaultKind::Tls && reason.contains(BROKEN_CONNECTION) { FaultKind::Unreachable } else { kind }
}

/// The kind of an error of a whole client, if it is that a broker does not let it in.
pub(super) fn denial(error: &KafkaError, reason: &str) -> Option<FaultKind> {
    let kind = kind_of(error.rdkafka_error_code()?, reason);
    matches!(kind, FaultKind::Authentication | FaultKind::Tls).then_some(kind)
}

/// What a producer knows of being let in. Written by the thread that serves it, read by tasks.
#[derive(Debug, Default)]
pub(super) struct Denials {
    standing: AtomicU8,
    latest: Mutex<Option<Denial>>,
}

#[derive(Debug)]
struct Denial {
    kind: FaultKind,
    reason: String,
    /// Since when records wait.
    since: Instant,
}

impl Denials {
    /// A broker did not let the client in.
    pub(super) fn note(&self, kind: FaultKind, reason: &str, now: Instant) {
        let mut latest = lock(&self.latest);
        let since = latest.as_ref().map_or(now, |denial| denial.since);
        *latest = Some(Denial { kind, reason: reason.to_owned(), since });
        let _already = self.standing.compare_exchange(LET_IN, SUSPECTED, Ordering::AcqRel, Ordering::Acquire);
    }

    /// A record was delivered: the client is let in. Called for each.
    pub(super) fn delivered(&self) {
        if self.standing.load(Ordering::Relaxed) != LET_IN {
            *lock(&self.latest) = None;
            self.standing.store(LET_IN, Ordering::Release);
        }
    }

    /// Looks whether records have waited too long since a denial. `true` once: those who wait are to be told.
    pub(super) fn look(&self, now: Instant, waits: impl FnOnce() -> bool) -> bool {
        if self.standing.load(Ordering::Relaxed) != SUSPECTED {
            return false;
        }
        let mut latest = lock(&self.latest);
        let Some(denial) = &mut *latest else { return false };
        if !waits() {
            denial.since = now;
            return false;
        }
        let is_sure = now.saturating_duration_since(denial.since) >= PATIENCE;
        if is_sure {
            self.standing.store(DENIED, Ordering::Release);
        }
        is_sure
    }

    /// Why records that wait will not get through.
    pub(super) fn denied(&self) -> Option<(FaultKind, String)> {
        if self.standing.load(Ordering::Acquire) == DENIED { self.suspected() } else { None }
    }

    /// Why the latest attempt failed, whether or not another may do better.
    pub(super) fn suspected(&self) -> Option<(FaultKind, String)> {
        lock(&self.latest).as_ref().map(|denial| (denial.kind, denial.reason.clone()))
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::error::RDKafkaErrorCode as Code;

    use super::*;
    use crate::stdx::time::Clock;

    #[test]
    fn a_broker_that_is_away_denies_nothing() {
        for (code, reason, kind) in [
            (Code::Authentication, "SASL authentication error", Some(FaultKind::Authentication)),
            (Code::SSL, "SSL handshake failed: certificate verify failed", Some(FaultKind::Tls)),
            (Code::SSL, "SSL handshake failed: SSL transport error: Broken pipe", None),
            (Code::BrokerTransportFailure, "Connection refused", None),
            (Code::AllBrokersDown, "1/1 brokers are down", None),
            (Code::Resolve, "Failed to resolve", None),
        ] {
            assert_eq!(denial(&KafkaError::Global(code), reason), kind, "{reason}");
        }
    }

    #[test]
    fn a_denial_counts_when_records_have_waited_for_a_while_and_none_got_through() {
        let start = Clock.now().instant;
        let at = |ms| start + Duration::from_millis(ms);
        let denials = Denials::default();
        assert!(!denials.look(start, || unreachable!("nothing is suspected")));
        denials.note(FaultKind::Authentication, "no", start);
        // Nobody waits.
        assert!(!denials.look(at(5000), || false));
        assert!(!denials.look(at(5900), || true));
        assert_eq!(denials.denied(), None);
        assert!(denials.look(at(6000), || true));
        assert!(!denials.look(at(6001), || true), "told once");
        assert_eq!(denials.denied(), Some((FaultKind::Authentication, "no".to_owned())));
        denials.delivered();
        assert_eq!((denials.denied(), denials.suspected()), (None, None));
        denials.note(FaultKind::Tls, "no", at(7000));
        assert!(!denials.look(at(7900), || true));
        // Another broker has let it in.
        denials.delivered();
        assert!(!denials.look(at(9000), || true));
    }
}
