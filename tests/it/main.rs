//! Tests of the real binary: with the embedded broker, and with a real Apache Kafka where one is named by
//! `HERDSMAN_TEST_KAFKA` (`scripts/test` brings one up).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::disallowed_methods,
    reason = "another process is watched: only the real clock tells its time"
)]

mod cluster;
mod cluster_contact;
mod cluster_coordinator;
mod cluster_health;
mod cluster_long;
mod cluster_rights;
mod cluster_topics;
mod conformance;
mod credentials;
mod durability;
mod exactly_once;
mod exactly_once_health;
mod exec;
mod exit_codes;
mod failures;
mod hanging;
mod health;
mod kafka;
mod left_open;
mod metrics;
mod mixed;
mod own_kafka;
#[path = "../conformance/recorded.rs"]
mod recorded;
mod records;
mod relay;
mod rest;
mod support;
mod systemd;
mod topics;
