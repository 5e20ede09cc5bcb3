//! What librdkafka tells of a client at an interval (`statistics.interval.ms`), as far as Java's clients mean the same by it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::Deserialize;

/// The latest numbers of a client. librdkafka's callback writes; anybody reads, without a lock.
#[derive(Debug, Default)]
pub struct ClientFigures {
    /// Something was told.
    is_known: AtomicBool,
    connections: AtomicU64,
    requests: AtomicU64,
    responses: AtomicU64,
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
    records: AtomicU64,
    record_bytes: AtomicU64,
}

/// The numbers of a client at about one moment. Totals are since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientCounts {
    /// Connections to brokers that are up.
    pub connections: u64,
    /// Requests that were sent.
    pub requests: u64,
    /// Responses that came.
    pub responses: u64,
    /// Bytes that were sent.
    pub bytes_out: u64,
    /// Bytes that came.
    pub bytes_in: u64,
    /// Records that were sent, or consumed.
    pub records: u64,
    /// Their bytes.
    pub record_bytes: u64,
}

/// The part of librdkafka's text that is looked at.
#[derive(Debug, Deserialize)]
struct Told {
    tx: u64,
    tx_bytes: u64,
    rx: u64,
    rx_bytes: u64,
    txmsgs: u64,
    txmsg_bytes: u64,
    rxmsgs: u64,
    rxmsg_bytes: u64,
    brokers: BTreeMap<String, Broker>,
}

#[derive(Debug, Deserialize)]
struct Broker {
    state: String,
}

impl ClientFigures {
    /// Takes in what librdkafka tells, as JSON. What cannot be read is passed over: it is no reason to disturb a client.
    pub(crate) fn take(&self, statistics: &[u8]) {
        let Ok(told) = serde_json::from_slice::<Told>(statistics) else {
            log::debug!("the statistics of a client cannot be read: {} bytes", statistics.len());
            return;
        };
        let up = told.brokers.values().filter(|broker| broker.state == "UP").count();
        let numbers = [
            (&self.connections, up as u64),
            (&self.requests, told.tx),
            (&self.responses, told.rx),
            (&self.bytes_out, told.tx_bytes),
            (&self.bytes_in, told.rx_bytes),
            // A producer consumes nothing, and a consumer produces nothing.
            (&self.records, told.txmsgs + told.rxmsgs),
            (&self.record_bytes, told.txmsg_bytes + told.rxmsg_bytes),
        ];
        for (number, value) in numbers {
            number.store(value, Ordering::Relaxed);
        }
        self.is_known.store(true, Ordering::Release);
    }

    /// What was told last; `None` before that.
    pub fn counts(&self) -> Option<ClientCounts> {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        self.is_known.load(Ordering::Acquire).then(|| ClientCounts {
            connections: read(&self.connections),
            requests: read(&self.requests),
            responses: read(&self.responses),
            bytes_out: read(&self.bytes_out),
            bytes_in: read(&self.bytes_in),
            records: read(&self.records),
            record_bytes: read(&self.record_bytes),
        })
    }
}

impl std::ops::AddAssign for ClientCounts {
    fn add_assign(&mut self, other: Self) {
        let ClientCounts { connections, requests, responses, bytes_out, bytes_in, records, record_bytes } =
            other;
        self.connections += connections;
        self.requests += requests;
        self.responses += responses;
        self.bytes_out += bytes_out;
        self.bytes_in += bytes_in;
        self.records += records;
        self.record_bytes += record_bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_kept_and_nonsense_is_passed_over() {
        let figures = ClientFigures::default();
        figures.take(b"{}");
        assert_eq!(figures.counts(), None);
        let told = r#"{"name":"c","tx":5,"tx_bytes":500,"rx":4,"rx_bytes":400,"txmsgs":0,"txmsg_bytes":0,
            "rxmsgs":30,"rxmsg_bytes":3000,"brokers":{"a:1/1":{"state":"UP"},"b:1/2":{"state":"DOWN","x":1}}}"#;
        figures.take(told.as_bytes());
        let counts = figures.counts().unwrap();
        let expected = ClientCounts {
            connections: 1,
            requests: 5,
            responses: 4,
            bytes_out: 500,
            bytes_in: 400,
            records: 30,
            record_bytes: 3000,
        };
        assert_eq!(counts, expected);
        figures.take(b"nonsense");
        assert_eq!(figures.counts(), Some(expected));
        let mut twice = counts;
        twice += counts;
        assert_eq!((twice.connections, twice.record_bytes), (2, 6000));
    }
}
