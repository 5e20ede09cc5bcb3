//! The member of the group of workers on its thread: against the embedded broker, and against a real Apache Kafka where
//! one is named by `HERDSMAN_TEST_KAFKA` (`scripts/test` brings one up).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::disallowed_methods,
    reason = "another process is watched: only the real clock tells its time"
)]

mod broker;
mod embedded;
mod herd;
mod kafka;
mod security;
