//! The REST API over the real herder and its thread, in this process: only what the herder has done outside is made up.
//! No socket, no Kafka. `forwarding`, `waiting` and `other_workers` have several workers with real servers, whose herders
//! are made up.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "shared with the tests of the server, which need more of it")]
#[path = "../http/certificates.rs"]
mod certificates;
mod conformance;
mod forwarding;
mod group;
mod odd;
mod other_workers;
#[path = "../conformance/recorded.rs"]
mod recorded;
mod requests;
mod transforms;
mod waiting;
mod worker;
