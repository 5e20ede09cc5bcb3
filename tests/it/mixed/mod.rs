//! Clusters of herdsman's and Apache's workers on a real Kafka: asked for everything through every member, with leaders of
//! both kinds, and disturbed.
//!
//! A scenario has a [`cluster::Cluster`], [`work::Work`] that goes on in it, and [`operations::Subject`]s that things are
//! done to. After each disturbance [`work::Work::check`] tells whether the cluster is as it should be.

mod cluster;
mod every_member;
mod exactly_once;
mod java;
mod keys;
mod killed;
mod operations;
mod protocols;
mod rolling;
mod shape;
mod tape;
mod topics;
mod watch;
mod work;
