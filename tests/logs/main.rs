//! The internal topics as logs, and the offsets of groups: on the embedded broker, and on a real Apache Kafka where one is named by
//! `HERDSMAN_TEST_KAFKA` (`scripts/test` brings one up).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod embedded;
mod exactly_once;
mod group_offsets;
mod kafka;
mod large;
mod left_open;
mod offsets;
mod own_kafka;
mod preparing;
mod support;
