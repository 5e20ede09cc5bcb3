//! The REST API over the real herder and its thread, in this process: only what the herder has done outside is made up.
//! No socket, no Kafka.

mod conformance;
mod requests;
mod worker;
