//! Tests of the real binary: with the embedded broker, and with a real Apache Kafka where one is named by
//! `HERDSMAN_TEST_KAFKA` (`scripts/test` brings one up).

mod durability;
mod exit_codes;
mod health;
mod support;
