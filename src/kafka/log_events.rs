//! What librdkafka tells the consumer of internal topics by callbacks, all on the thread that polls.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::client_log;
use super::denials::kind_of;
use super::fault::FaultKind;

/// Notes of callbacks.
#[derive(Debug, Default)]
pub(super) struct LogEvents {
    notes: Mutex<Notes>,
    /// Counts callbacks. A poll that gave nothing has emptied the queue only if this did not change.
    callbacks: AtomicU64,
}

#[derive(Debug, Default)]
struct Notes {
    /// The offset at which the partition ends whose end the poll under way has met.
    end: Option<i64>,
    /// The latest error with its reason, other than that no broker is there.
    error: Option<(FaultKind, String)>,
}

impl LogEvents {
    /// Where the partition ends that the latest poll was told the end of: all before it was given out.
    pub(super) fn take_end(&self) -> Option<i64> {
        self.notes().end.take()
    }

    /// The latest error with its reason, which a poll only gives the code of, once.
    pub(super) fn take_error(&self) -> Option<(FaultKind, String)> {
        self.notes().error.take()
    }

    /// How many callbacks there were.
    pub(super) fn callbacks(&self) -> u64 {
        self.callbacks.load(Ordering::Acquire)
    }

    fn called(&self) {
        self.callbacks.fetch_add(1, Ordering::AcqRel);
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for LogEvents {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.called();
        client_log::line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.called();
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::PartitionEOF) => self.notes().end = end_offset(reason),
            Some(code) => {
                client_log::client_error(&error, reason);
                // That all brokers are down comes after the reason for it.
                if code != RDKafkaErrorCode::AllBrokersDown {
                    self.notes().error = Some((kind_of(code, reason), reason.to_owned()));
                }
            }
            None => {}
        }
    }

    fn stats_raw(&self, _: &[u8]) {
        self.called();
    }
}

impl ConsumerContext for LogEvents {}

/// The offset in librdkafka's words for an end: rdkafka hides the field that has it.
fn end_offset(reason: &str) -> Option<i64> {
    let (_, rest) = reason.split_once("end of partition at offset ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_breaks_is_no_wrong_certificate() {
        let events = LogEvents::default();
        for (reason, kind) in [
            ("SSL handshake failed: certificate verify failed", FaultKind::Tls),
            ("SSL handshake failed: SSL transport error: Broken pipe", FaultKind::Unreachable),
        ] {
            events.error(KafkaError::Global(RDKafkaErrorCode::SSL), reason);
            assert_eq!(events.take_error(), Some((kind, reason.to_owned())));
        }
    }

    #[test]
    fn the_offset_of_an_end_is_found_in_its_words() {
        for (reason, offset) in [
            ("Fetch from broker 1 reached end of partition at offset 12 (HighwaterMark 13)", Some(12)),
            ("Fetch from broker 1 failed: Broker: Unknown topic or partition", None),
            ("reached end of partition at offset soon", None),
        ] {
            assert_eq!(end_offset(reason), offset, "{reason}");
        }
    }
}
