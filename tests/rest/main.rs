//! The REST API over the real herder and its thread, in this process: only what the herder has done outside is made up.
//! No socket, no Kafka.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conformance;
mod requests;
mod worker;
